"""Your own photographs with boxes, from scratch or from a network of yours.

Command: python -m jaxcnn train --config=configs/detect_folder.py --config.data.name=voc:PHOTOS --workdir=runs/boxes
    PHOTOS/JPEGImages/*.jpg and PHOTOS/Annotations/*.xml as annotation tools write them (PHOTOS/ImageSets/Main/train.txt ...
    are the splits where they are there); or coco:FILE.json. Measures of COCO: --config.task.options.coco=True.
Recipe: Faster R-CNN (Ren et al. 2015) on ResNet-20 up to stride 4: the whole photograph within 128x128, mirrored or not,
    scaled by 0.8 to 1.25; anchors of 16 to 96 pixels, RoI align; Adam at 0.001, warm-up and cosine decay, batch 8, 60
    epochs, ended by 10 evaluations without a better average precision. To begin with a run of this
    config: --config.finetune.source=RUN. `visualize anchors --split train --index 0 1 2` shows whether the anchors fit.
Hardware and time: not measured yet; made for 2 CPU cores and a few hundred photographs.
"""  # noqa: E501

from jaxcnn import default_config


def get_config():
    """A small detector; raise data.image_size, the anchors' scales and model.options.backbone with your patience."""
    config = default_config()
    config.data.name = "voc:photos"
    config.data.image_size, config.data.fit = (128, 128), "inside"
    config.task.name = "detection"
    config.task.options = {
        "anchors": 128,
        "border": 32.0,
        "best_of": (600, 300),
        "proposals": (150, 60),
        "least_side": 6.0,
        "regions": 64,
        "detections": 50,
        "flip": True,
        "zoom": (0.8, 1.25),
        "jitter": 0.3,
    }
    config.model.name = "faster_rcnn"
    config.model.options = {
        "backbone": "resnet20",
        "backbone_options": {},
        "stage": "stage3",
        "scales": (16.0, 32.0, 56.0, 96.0),
        "ratios": (0.5, 1.0, 2.0),
        "rpn_width": 64,
        "pooling": "align",
        "size": 5,
        "hidden": (128,),
    }
    config.model.dropout = 0.0
    config.optimizer.name, config.optimizer.learning_rate = "adam", 1e-3
    config.optimizer.clip = 10.0
    config.schedule.name, config.schedule.warmup = "cosine", "2 epochs"
    config.batch_size = 8
    config.duration = "60 epochs"
    config.evaluation.every = config.checkpoint.every = "2 epochs"
    config.evaluation.patience = 10
    return config
