"""VGG-Face's projection: a classifier of people stays as it is, a linear layer behind it is learned by triplets.

Parkhi, Vedaldi and Zisserman 2015 ("Deep face recognition", section 4.2) train by softmax first, then learn a projection
of the descriptor, 1,024 numbers of 4,096, by a triplet loss.

Command: python -m jaxcnn train --config=configs/faces_projection.py --config.finetune.source=RUN --config.data.name=folder:PEOPLE --workdir=runs/projection
    RUN is a run of task classification on people, as of configs/faces_softmax.py, of which it takes the splits. Without
    --config.finetune.freeze, as --config.finetune.freeze="()", the whole network is tuned (softmax, then triplets).
Recipe: architecture, image size and normalisation of RUN, all of it frozen but the head, which is a new one of 64 numbers;
    batches of 16 people with 4 images of each, semi-hard triplets, margin 0.2; Adam, rate 0.001, 500 steps.
Hardware and time: about 10 minutes on 2 CPU cores for faces of 92x112.
"""  # noqa: E501

from jaxcnn import default_config


def get_config():
    """All that RUN does not say."""
    config = default_config()
    config.data.name = "folder:people"
    config.data.train, config.data.validation, config.data.test = "train[:60%]", "train[60%:80%]", "train[80%:]"
    config.model.name = ""
    config.model.options = {"num_classes": 64}
    config.finetune.source = "runs/people"
    config.finetune.freeze = ("*",)
    config.task.name, config.task.options = "embedding", {"loss": "triplet", "mining": "semi_hard", "margin": 0.2}
    config.sampler.name, config.sampler.options = "identities", {"identities": 16, "images": 4}
    config.batch_size = 64
    config.duration = "500 steps"
    config.optimizer.name, config.optimizer.learning_rate = "adam", 1e-3
    config.schedule.name = "cosine"
    config.evaluation.every = config.checkpoint.every = "10%"
    return config
