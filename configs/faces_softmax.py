"""People named by softmax, on a folder of them: the first step of VGG-Face, before faces_projection.py.

Command: python -m jaxcnn train --config=configs/faces_softmax.py --config.data.name=folder:PEOPLE --workdir=runs/softmax
    PEOPLE/ann/*.jpg, PEOPLE/bob/*.jpg ...: then, on people who were not in it, by the stage before the names,
    python -m jaxcnn verify --workdir runs/softmax --data folder:OTHERS --pairs pairs.txt
Recipe: as faces_triplets.py, but for the loss and the order of the images: grey images of 92x112, moved by 4 pixels and
    mirrored; deepface_small; batches of 64; Adam, rate 0.001, cosine decay, 2,000 steps.
Hardware and time: about an hour on 2 CPU cores; minutes on a GPU.
"""  # noqa: E501

from jaxcnn import default_config


def get_config():
    """Raise the duration with the number of people."""
    config = default_config()
    config.data.name = "folder:people"
    config.data.train, config.data.validation, config.data.test = "train[:60%]", "train[60%:80%]", "train[80%:]"
    config.data.image_size, config.data.channels = (112, 92), 1
    config.augment.pad_crop, config.augment.flip = 4, True
    config.model.name = "deepface_small"
    config.batch_size = 64
    config.duration = "2000 steps"
    config.optimizer.name, config.optimizer.learning_rate = "adam", 1e-3
    config.schedule.name, config.schedule.warmup = "cosine", "5%"
    config.evaluation.every = config.checkpoint.every = "10%"
    return config
