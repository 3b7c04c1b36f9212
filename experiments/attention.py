"""Does a captioner that looks at a part of the image before each word name more of a scene right?

Claim: Xu et al. 2015 (arXiv:1502.03044, table 1): soft attention over a map of features writes better captions than one
    look at the image (Flickr8k: BLEU-3 of 29.9 against 27 of Show and Tell).
Protocol: `sentences`, scenes of two digits; one trunk of six convolutions with batch norm, from scratch; one recipe.
    `mean`: Show and Tell, the LSTM sees the mean of the last map first, as in the paper; `places`: it sees the whole
    map first; `attention`: Show, Attend and Tell, which asks where to look by its state alone, and `asks` by the word
    before too (`token_query`; the paper has no such part). 8 epochs, 3 seeds. The share of test scenes whose whole
    sentence is right.
Refuted if: attention is not above `places`, or `asks` not above attention, beyond what the seeds explain (paired t,
    Holm). That `mean`, which does not say where anything is, falls behind `places` is what the scenes are made for.
Cost: 12 runs, 45 minutes of one core.
"""

from jaxcnn import default_config
from jaxcnn.sweeps import Claim, Study

OPTIONS = {"backbone": "convnet", "stage": "pool3", "units": 128, "embedding": 64}
OPTIONS |= {"backbone_options": {"widths": (16, 48, 96), "batch_norm": True, "hidden": ()}}


def study():
    """Four ways to see an image."""
    config = default_config()
    config.data.name, config.task.name = "sentences", "captioning"
    config.model.name, config.model.dropout = "caption_attention", 0.0
    config.model.options = OPTIONS
    config.batch_size, config.duration = 32, "8 epochs"
    config.optimizer.name, config.optimizer.learning_rate, config.optimizer.clip = "adam", 2e-3, 5.0
    config.schedule.name, config.schedule.warmup = "cosine", "5%"
    config.evaluation.every = config.checkpoint.every = "2 epochs"
    looks = {
        "mean": {"model.name": "caption_lstm"},
        "places": {"model.name": "caption_lstm", "model.options.mean": False},
        "attention": {"model.name": "caption_attention"},
        "asks": {"model.name": "caption_attention", "model.options.token_query": True},
    }
    mean, places, attention, asks = ({"look": name} for name in looks)
    return Study(
        base=config,
        factors={"look": looks},
        seeds=(0, 1, 2),
        claims=(
            Claim("With attention more scenes are named right.", attention, places, "test_exact"),
            Claim("Asked for by the word before too, attention names more right.", asks, attention, "test_exact"),
            Claim("A first look at all places names more scenes right than at their mean.", places, mean, "test_exact"),
        ),
    )
