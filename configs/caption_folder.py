"""Photographs with captions of your own, from a network that knows other images.

Command: python -m jaxcnn train --config=configs/caption_folder.py --config.finetune.source=RUN --config.data.name=captions:PHOTOS --workdir=runs/captions
    RUN is a run directory of a ResNet-20, one that `convert` wrote too; PHOTOS holds captions.json in COCO's layout and
    the images. Of another architecture give --config.model.options.backbone, .stage and --config.finetune.drop.
Recipe: Xu et al. 2015 (arXiv:1502.03044): soft attention over the last map of a network that stays as it is; Adam, rate
    0.001 with cosine decay over 30 epochs, dropout 0.5, batch 64, clip 5, beam search of width 3; the best BLEU-4 on the
    held-out photographs is kept. BLEU needs JAXCNN_EXTRAS=captions.
Hardware and time: not measured yet.
"""  # noqa: E501

from jaxcnn import default_config


def get_config():
    """The trunk of RUN is frozen; set finetune.freeze to () to learn it too, at finetune.rates."""
    config = default_config()
    config.data.name, config.data.image_size = "captions:photos", (64, 64)
    config.task.name, config.task.options = "captioning", {"beam": 3, "penalty": 0.7, "spread": 1.0}
    config.model.name, config.model.dropout = "caption_attention", 0.5
    config.model.options = {"backbone": "resnet20", "stage": "stage3", "units": 256, "embedding": 128}
    config.finetune.source = "runs/imported"
    config.finetune.rename, config.finetune.drop = (("*", "trunk/*"),), ("fc",)
    config.finetune.head = ("begin_*", "attend", "gate", "embed", "decoder", "of_*", "output")
    config.finetune.freeze = ("trunk",)
    config.batch_size, config.duration = 64, "30 epochs"
    config.optimizer.name, config.optimizer.learning_rate, config.optimizer.clip = "adam", 1e-3, 5.0
    config.schedule.name, config.schedule.warmup = "cosine", "5%"
    config.evaluation.every = config.checkpoint.every = "2 epochs"
    return config
