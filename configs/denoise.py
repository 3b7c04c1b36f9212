"""Noise taken from photographs: a U-Net learns from a folder of your own.

Command: python -m jaxcnn train --config=configs/denoise.py --config.data.name=images:PHOTOS --workdir=runs/denoise
    (PHOTOS/*.jpg, or PHOTOS/train/*.jpg and PHOTOS/val/*.jpg; then, for photographs of any size,
    python -m jaxcnn predict --workdir runs/denoise noisy --output restored)
Recipe: Gaussian noise of sigma 25 / 255; random pieces of 64x64 of photographs whose short side is 256, mirrored; the
    rest as the residual cell of experiments/denoising.py.
Hardware and time: about 10 minutes on 2 CPU cores, whatever the number of photographs.
"""

from jaxcnn import default_config


def get_config():
    """Adam on the squared error, batch 16, rate 0.002 with cosine decay over 3,000 steps."""
    config = default_config()
    config.data.name = "images:photos"
    config.data.image_size, config.data.resize = (64, 64), 256
    config.augment.crop, config.augment.crop_scale = "scaled", (4.0, 4.0)
    config.augment.flip = config.augment.vertical_flip = True
    config.model.name, config.model.options = "unet_small", {"width": 16, "residual": True}
    config.task.name, config.task.options = "reconstruction", {"corrupt": "noise", "sigma": 25.0}
    config.batch_size = 16
    config.duration = "3000 steps"
    config.optimizer.name, config.optimizer.learning_rate = "adam", 2e-3
    config.schedule.name, config.schedule.warmup = "cosine", "5%"
    config.evaluation.every = config.checkpoint.every = "10%"
    return config
