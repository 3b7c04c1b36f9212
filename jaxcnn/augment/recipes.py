"""The augmentation of each paper's training images, as values of the keys of config.augment."""

# Widths are ratios to the side of the network's input, so that a recipe for 224 fits 64 too.
RECIPES = {
    # Krizhevsky et al. 2012, section 4.1: short side 256, windows of 224, mirror images, PCA of the colours.
    # (The paper first cuts the central 256x256; here, as in all later recipes, windows come from the whole image.)
    "alexnet": {
        "crop": "scaled",
        "crop_scale": (256 / 224, 256 / 224),
        "flip": True,
        "operations": (("lighting", 1.0, 0.1),),
    },
    # Zeiler and Fergus 2013, section 3: as AlexNet without the colours; corners and centre there, here any window.
    "zfnet": {"crop": "scaled", "crop_scale": (256 / 224, 256 / 224), "flip": True},
    # Simonyan and Zisserman 2014, section 3.1: scale jitter, AlexNet's colour shift.
    "vgg": {
        "crop": "scaled",
        "crop_scale": (256 / 224, 512 / 224),
        "flip": True,
        "operations": (("lighting", 1.0, 0.1),),
    },
    # Szegedy et al. 2014, section 6: 8-100 % of the area, aspect 3/4-4/3, and the photometric distortions of Howard
    # 2013, who scales contrast, brightness and colour by 0.5-1.5; brightness is added here, so it is held back.
    "googlenet": {
        "crop": "resized",
        "crop_area": (0.08, 1.0),
        "crop_aspect": (3 / 4, 4 / 3),
        "flip": True,
        "operations": (("brightness", 1.0, 0.125), ("contrast", 1.0, 0.5), ("saturation", 1.0, 0.5)),
    },
    # He et al. 2015, section 3.4: short side from [256, 480], AlexNet's colours.
    "resnet": {
        "crop": "scaled",
        "crop_scale": (256 / 224, 480 / 224),
        "flip": True,
        "operations": (("lighting", 1.0, 0.1),),
    },
    # Huang et al. 2016, section 4.2, points to He et al. and to fb.resnet.torch, whose recipe it trains with.
    "densenet": {
        "crop": "resized",
        "crop_area": (0.08, 1.0),
        "crop_aspect": (3 / 4, 4 / 3),
        "flip": True,
        "operations": (
            ("brightness", 1.0, 0.1),
            ("contrast", 1.0, 0.4),
            ("saturation", 1.0, 0.4),
            ("lighting", 1.0, 0.1),
        ),
    },
    # He et al. 2015, section 4.2, and Huang et al. 2016, section 4.1: pad 4, crop, mirror.
    "cifar": {"pad_crop": 4, "flip": True},
    # LeCun et al. 1998, section III-E: planar affine distortions: translation, scaling, squeezing, shearing.
    "lenet": {"operations": (("affine", 1.0, 1.0),)},
}
