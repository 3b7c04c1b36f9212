"""Which digits a scene holds: several labels an image, of scenes that need no download.

Command: python -m jaxcnn train --config=configs/label_scenes.py --workdir=runs/labels
    (labels of your own: --config.data.name=labels:PHOTOS, where PHOTOS holds labels.csv, see docs/kinds.md)
Recipe: scenes of one to five digits in 64x64 pixels, a convnet of three stages with batch norm, Adam, batch 64, rate
    0.002 with cosine decay over 30 epochs.
Hardware and time: not measured yet.
"""

from jaxcnn import default_config


def get_config():
    """A sigmoid for each digit; the recipe is ours."""
    config = default_config()
    config.data.name, config.task.name = "scene_labels", "multilabel"
    config.data.image_size = (64, 64)
    config.model.name = "convnet"
    config.model.options = {"widths": (32, 64, 128), "convolutions": 2, "batch_norm": True}
    config.batch_size, config.duration = 64, "30 epochs"
    config.optimizer.name, config.optimizer.learning_rate = "adam", 2e-3
    config.schedule.name, config.schedule.warmup = "cosine", "5%"
    return config
