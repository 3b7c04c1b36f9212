"""Faces as unit vectors, learned by triplets (Schroff et al. 2015, FaceNet, arXiv:1503.03832), on a folder of people.

Command: python -m jaxcnn train --config=configs/faces_triplets.py --config.data.name=folder:PEOPLE --workdir=runs/triplets
    PEOPLE/ann/*.jpg, PEOPLE/bob/*.jpg ...: 16 people or more, of 10 images or more, of which a fifth is held out and
    a fifth tested: pairs of one person must be among them. Then, on people who were not in it,
    python -m jaxcnn verify --workdir runs/triplets --data folder:OTHERS --pairs pairs.txt
Recipe: grey images of 92x112, moved by 4 pixels and mirrored; deepface_small with a vector of 64; batches of 16 people
    with 4 images of each, semi-hard triplets of the whole batch, margin 0.2; Adam, rate 0.001, cosine decay, 2,000 steps.
Hardware and time: about an hour on 2 CPU cores; minutes on a GPU.
"""  # noqa: E501

from jaxcnn import default_config


def get_config():
    """Raise the duration, and the people of a batch, with their number."""
    config = default_config()
    config.data.name = "folder:people"
    config.data.train, config.data.validation, config.data.test = "train[:60%]", "train[60%:80%]", "train[80%:]"
    config.data.image_size, config.data.channels = (112, 92), 1
    config.augment.pad_crop, config.augment.flip = 4, True
    config.model.name, config.model.options = "deepface_small", {"num_classes": 64}
    config.task.name, config.task.options = "embedding", {"loss": "triplet", "mining": "semi_hard", "margin": 0.2}
    config.sampler.name, config.sampler.options = "identities", {"identities": 16, "images": 4}
    config.batch_size = 64
    config.duration = "2000 steps"
    config.optimizer.name, config.optimizer.learning_rate = "adam", 1e-3
    config.schedule.name, config.schedule.warmup = "cosine", "5%"
    config.evaluation.every = config.checkpoint.every = "10%"
    return config
