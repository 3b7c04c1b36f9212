"""Your own photographs in class folders, from a network that knows other images.

Command: python -m jaxcnn train --config=configs/finetune_folder.py --config.finetune.source=RUN --config.data.name=folder:PHOTOS --workdir=runs/photos
    RUN is a run directory, one that `convert` wrote too; PHOTOS/cats/*.jpg, PHOTOS/dogs/*.jpg ...
Recipe: architecture, image size and normalisation of RUN; a random half or more of each photograph, flipped or not; for 3
    epochs the new head alone, then all layers at a tenth of its rate 0.01; batch 32, clip 1, cosine decay, 30 epochs, ended
    by 8 evaluations without a lower error on the held-out photographs, where the best checkpoint is kept.
Hardware and time: about 10 seconds an epoch for 1,000 photographs with ResNet-20 at 32x32 on 2 CPU cores.
"""  # noqa: E501

from jaxcnn import default_config


def get_config():
    """All that RUN does not say; raise finetune.rates with the number of photographs."""
    config = default_config()
    config.data.name = "folder:photos"
    config.augment.crop, config.augment.crop_area, config.augment.flip = "resized", (0.5, 1.0), True
    config.model.name = ""
    config.finetune.source = "runs/imported"
    config.finetune.freeze = ("*",)
    config.finetune.unfreeze = (("*", "3 epochs"),)
    config.finetune.rates = (("*", 0.1),)
    config.batch_size = 32
    config.duration = "30 epochs"
    config.optimizer.learning_rate = 0.01
    config.optimizer.weight_decay = 1e-4
    config.optimizer.clip = 1.0
    config.schedule.name = "cosine"
    config.evaluation.patience = 8
    return config
