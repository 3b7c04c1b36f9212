"""Captchas of four characters, read by a small CRNN.

Command: python -m jaxcnn train --config=configs/read_captcha.py --config.data.name=text:CAPTCHAS --workdir=runs/captcha
    (CAPTCHAS holds labels.tsv and the images, as ../shared/sequences/captcha_4000; then
    python -m jaxcnn predict --workdir runs/captcha IMAGE.png)
Recipe: grey images of 24x72, Adam, batch 16, rate 0.002 with cosine decay over 40 epochs.
Hardware and time: 7 minutes on one CPU core (2,880 captchas to train on): experiments/results/captcha.
"""

from jaxcnn import default_config


def get_config():
    """CTC on 36 frames; the recipe is ours."""
    config = default_config()
    config.data.name = "text:captchas"
    config.data.image_size, config.data.channels = (24, 72), 1
    config.task.name, config.model.name = "reading", "crnn_small"
    config.batch_size, config.duration = 16, "40 epochs"
    config.optimizer.name, config.optimizer.learning_rate, config.optimizer.clip = "adam", 2e-3, 5.0
    config.schedule.name, config.schedule.warmup = "cosine", "5%"
    return config
