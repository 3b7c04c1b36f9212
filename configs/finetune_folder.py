"""Your own photographs in class folders, from a network that knows ImageNet's.

Command: python -m jaxcnn train --config=configs/finetune_folder.py --config.data.name=folder:PHOTOS --workdir=runs/photos
    PHOTOS/cats/*.jpg, PHOTOS/dogs/*.jpg ... The network comes first, and once: docs/weights.md lists others.
    JAXCNN_EXTRAS=hub ./launch.sh convert --from timm hf-hub:timm/resnet18.a1_in1k --workdir runs/imagenet
    Any run directory will do: --config.finetune.source=RUN. Without one, from scratch, which wants some thousand
    photographs: configs/folder.py.
Recipe: architecture, image size and normalisation of the source; a random half or more of each photograph, flipped or not;
    for the first tenth, 3 epochs, the new head alone, then all layers at a tenth of its rate 0.01; batch 32, clip 1, cosine decay, 30 epochs,
    ended by 8 evaluations without a lower error on the held-out photographs, where the best checkpoint is kept.
Hardware and time: about a minute an epoch for 1,000 photographs with the head alone, two with all layers, with ResNet-18 at
    224x224 on 2 CPU cores (estimated from the processor time of 20 steps on a busy machine).
"""  # noqa: E501

from jaxcnn import default_config


def get_config():
    """All that the source does not say; raise finetune.rates with the number of photographs."""
    config = default_config()
    config.data.name = "folder:photos"
    config.augment.crop, config.augment.crop_area, config.augment.flip = "resized", (0.5, 1.0), True
    config.model.name = ""
    config.finetune.source = "runs/imagenet"
    config.finetune.freeze = ("*",)
    config.finetune.unfreeze = (("*", "10%"),)
    config.finetune.rates = (("*", 0.1),)
    config.batch_size = 32
    config.duration = "30 epochs"
    config.optimizer.learning_rate = 0.01
    config.optimizer.weight_decay = 1e-4
    config.optimizer.clip = 1.0
    config.schedule.name = "cosine"
    config.evaluation.patience = 8
    return config
