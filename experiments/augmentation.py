"""Which augmentations raise test accuracy, each alone?

Claim: Krizhevsky et al. 2012, section 4.1: without crops and mirror images the network overfits. Simard et al. 2003:
    elastic distortions help on handwritten digits, where mirror images are another sign. DeVries and Taylor 2017
    (arXiv:1708.04552): cutout helps on CIFAR-10. Zhang et al. 2017 (arXiv:1710.09412): mixup does.
Protocol: one convnet, each operation alone against none, equal steps.
Margin: of test accuracy that of `scale_margin`, a point at the scale digits. It was set after the first record (seeds 0
    to 4) had left claims open, and before the runs that decide, whose seeds are others.
Refuted if: crops test below none beyond what the seeds explain.
Cost: 82 runs of about 10 seconds at the scale digits, until the claims are decided (12 minutes of one CPU core).
"""

from jaxcnn.sweeps import Claim, Study, scale_config, scale_margin

AUGMENT = "augmentation"


def study(scale="digits"):
    """Seven augmentations and none."""
    config = scale_config(scale)
    pad = config.augment.pad_crop or config.data.image_size[0] // 8
    config.augment.pad_crop, config.augment.flip, config.augment.crop = 0, False, "none"
    levels = {
        "none": {},
        "crop": {"augment.pad_crop": pad},
        "flip": {"augment.flip": True},
        "rotate": {"augment.operations": (("rotate", 1.0, 15.0),)},
        "elastic": {"augment.operations": (("elastic", 1.0, 1.0),)},
        "brightness and contrast": {"augment.operations": (("brightness", 1.0, 0.3), ("contrast", 1.0, 0.3))},
        "cutout": {"augment.operations": (("coarse_dropout", 1.0, 0.2),)},
        "mixup": {"augment.mixup": 0.2},
    }
    none, crop, flip, elastic = ({AUGMENT: name} for name in ("none", "crop", "flip", "elastic"))
    margin = scale_margin(scale)
    return Study(
        base=config,
        factors={AUGMENT: levels},
        seeds=(5, 6, 7, 8, 9),
        baseline=none,
        claims=(
            Claim("Crops raise test accuracy.", crop, none, margin=margin),
            Claim("Mirror images raise test accuracy.", flip, none, margin=margin),
            Claim("Elastic distortions raise test accuracy.", elastic, none, margin=margin),
        ),
    )
