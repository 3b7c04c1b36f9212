"""Which digits a scene holds: several labels an image, of scenes that need no download.

Command: python -m jaxcnn train --config=configs/label_scenes.py --workdir=runs/labels
    (labels of your own: --config.data.name=labels:PHOTOS, where PHOTOS holds labels.csv, see docs/kinds.md)
Recipe: scenes of one to five digits, halved to 32x32 pixels, a ResNet-20, crops out of a border of 4, Adam, batch 64,
    rate 0.002 with cosine decay over 28 epochs. Its mean over all places counts: a convnet with full connections knows
    the training scenes by heart after 8 epochs and is at 35 % on test.
Result: test mean average precision 65.6 %, macro F1 50.7 % (400 images, one run); it still rises a little.
Hardware and time: 6.4 minutes of training on a CPU core that another training shared.
"""

from jaxcnn import default_config


def get_config():
    """A sigmoid for each digit; the recipe is ours."""
    config = default_config()
    config.data.name, config.task.name = "scene_labels", "multilabel"
    config.data.image_size = (32, 32)
    config.model.name, config.augment.pad_crop = "resnet20", 4
    config.batch_size, config.duration = 64, "28 epochs"
    config.optimizer.name, config.optimizer.learning_rate = "adam", 2e-3
    config.schedule.name, config.schedule.warmup = "cosine", "5%"
    config.evaluation.every = "2 epochs"
    return config
