"""Faster R-CNN finds handwritten digits in scenes of 64x64 that jaxcnn composes itself: nothing to download.

Command: python -m jaxcnn train --config=configs/faster_rcnn_scenes.py --workdir=runs/scenes
Recipe: Ren et al. 2015 (arXiv:1506.01497) at a twelfth of its side: six convolutions in the place of VGG D, anchors of
    10 to 26 pixels, RoI align in the place of RoI pooling; Adam in the place of SGD, from scratch.
Hardware and time: 11 minutes of one CPU core; an AP of 95.3 % at an IoU of 0.5 on test: experiments/results/scenes.
"""

from jaxcnn import default_config


def get_config():
    """Adam, batch 16, rate 0.002 with cosine decay over 6 epochs of 1,800 scenes."""
    config = default_config()
    config.data.name = "scenes"
    config.task.name = "detection"
    config.task.options = {
        "anchors": 64,
        "border": 16.0,
        "best_of": (400, 200),
        "proposals": (100, 40),
        "least_side": 4.0,
        "regions": 40,
        "detections": 20,
        "flip": False,
        "zoom": (0.8, 1.25),
        "jitter": 0.2,
    }
    config.model.name = "faster_rcnn"
    config.model.options = {
        "backbone": "convnet",
        "backbone_options": {"widths": (16, 48, 96), "batch_norm": True, "hidden": ()},
        "stage": "conv3_2",
        "scales": (10.0, 16.0, 26.0),
        "ratios": (1.2, 1.8),
        "rpn_width": 96,
        "pooling": "align",
        "size": 5,
        "hidden": (128,),
    }
    config.model.dropout = 0.0
    config.optimizer.name, config.optimizer.learning_rate = "adam", 2e-3
    config.schedule.name, config.schedule.warmup = "cosine", "1 epoch"
    config.batch_size = 16
    config.duration = "6 epochs"
    config.evaluation.every = config.checkpoint.every = "2 epochs"
    return config
