"""VGG (Simonyan and Zisserman 2014, arXiv:1409.1556), VGG-Face (Parkhi et al. 2015), and the lectures on VGG-16."""

from jaxcnn.analysis.ledger.entry import Entry, erratum, error, match, recipe

_PAPER = "Simonyan and Zisserman 2014"
_LECTURE = "CS231n, lecture 9"
_NOTES = "CS231n notes, convolutional networks"
_RESNET = "He et al. 2015, section 3.3"

_MILLIONS = {"vgg_a": "133M", "vgg_a_lrn": "133M", "vgg_b": "133M", "vgg_c": "134M", "vgg_d": "138M", "vgg_e": "144M"}

_WEIGHTS = {  # of VGG-16, without biases, as the lecture lists them
    "conv1_1": "1,728",
    "conv1_2": "36,864",
    "conv2_1": "73,728",
    "conv2_2": "147,456",
    "conv3_1": "294,912",
    "conv3_2": "589,824",
    "conv3_3": "589,824",
    "conv4_1": "1,179,648",
    "conv4_2": "2,359,296",
    "conv4_3": "2,359,296",
    "conv5_1": "2,359,296",
    "conv5_2": "2,359,296",
    "conv5_3": "2,359,296",
    "fc6": "102,760,448",
    "fc7": "16,777,216",
    "fc8": "4,096,000",
}

_ACTIVATIONS = {  # of VGG-16, as the lecture lists them
    **{"conv1_1": "3.2M", "conv1_2": "3.2M", "pool1": "800K", "conv2_1": "1.6M", "conv2_2": "1.6M", "pool2": "400K"},
    **{"conv3_1": "800K", "conv3_2": "800K", "conv3_3": "800K", "pool3": "200K"},
    **{"conv4_1": "400K", "conv4_2": "400K", "conv4_3": "400K", "pool4": "100K"},
    **{"conv5_1": "100K", "conv5_2": "100K", "conv5_3": "100K", "pool5": "25K"},
    **{"fc6": "4096", "fc7": "4096", "logits": "1000"},
}


def _weights(layer):
    return lambda network: network.parameters(layer, weights=True)


def _units(stage):
    return lambda network: network.units(stage)


_OWN_LIST = "the lecture's own list, the input included, sums to 15.2M, which is 61 MB"

_LISTED = [
    *(
        match("vgg_d", f"{layer}/weights", "parameters", printed, _LECTURE, _weights(layer))
        for layer, printed in _WEIGHTS.items()
    ),
    match("vgg_d", "lecture/parameters", "parameters", "138M", _LECTURE, lambda network: network.parameters()),
    match("vgg_d", "input/activations", "activations", "150K", _LECTURE, formula=lambda: 224 * 224 * 3, to=10_000),
    *(
        match(
            "vgg_d",
            f"{stage}/activations",
            "activations",
            printed,
            _LECTURE,
            _units(stage),
            to=10_000 if printed.endswith("00K") else None,
        )
        for stage, printed in _ACTIVATIONS.items()
    ),
    erratum(
        "vgg_d",
        "activations",
        "activations",
        "24M",
        _LECTURE,
        lambda network: network.units(),
        true=15_237_608,
        reason=_OWN_LIST,
    ),
    *(
        erratum(
            "vgg_d",
            f"activations/bytes/{printed}",
            "activations",
            printed,
            source,
            lambda network: 4 * network.units(),
            true=60_950_432,
            reason=f"{_OWN_LIST}; 24M * 4 bytes is {product}",
        )
        for printed, source, product in (("96MB", _LECTURE, "96 MB"), ("93MB", _NOTES, "92 MiB"))
    ),
]

_STACK = f"{_PAPER}, section 2.3"
_COUNTS = [
    *(
        match(name, "parameters", "parameters", printed, f"{_PAPER}, table 2", lambda network: network.parameters())
        for name, printed in _MILLIONS.items()
    ),
    match("vgg_d", "stack_of_two/receptive_field", "receptive_field", "5", _STACK, formula=lambda: 1 + 2 * (3 - 1)),
    match("vgg_d", "stack_of_three/receptive_field", "receptive_field", "7", _STACK, formula=lambda: 1 + 3 * (3 - 1)),
    match("vgg_d", "one_7x7_more", "parameters", "81%", _STACK, formula=lambda: 100 * (7 * 7 / (3 * 3 * 3) - 1)),
    erratum(
        "vgg_d",
        "flops",
        "macs",
        "15.3e9",
        _RESNET,
        lambda network: network.macs(),
        true=15_470_264_320,
        reason="without its full connections, 15,346,630,656; the 19.6e9 of VGG-19 beside it has them",
    ),
    match("vgg_e", "flops", "macs", "19.6e9", _RESNET, lambda network: network.macs()),
]

_SINGLE = {  # table 3: training scale (S), test scale (Q), error
    "vgg_a": (("256", "256", "29.6/10.4"),),
    "vgg_a_lrn": (("256", "256", "29.7/10.5"),),
    "vgg_b": (("256", "256", "28.7/9.9"),),
    "vgg_c": (("256", "256", "28.1/9.4"), ("384", "384", "28.1/9.3"), ("256-512", "384", "27.3/8.8")),
    "vgg_d": (("256", "256", "27.0/8.8"), ("384", "384", "26.8/8.7"), ("256-512", "384", "25.6/8.1")),
    "vgg_e": (("256", "256", "27.3/9.0"), ("384", "384", "26.9/8.7"), ("256-512", "384", "25.5/8.0")),
}
_MULTI = {"vgg_c": "26.3/8.2", "vgg_d": "24.8/7.5", "vgg_e": "24.8/7.5"}  # table 4, S in 256-512
_CROPS = {"vgg_d": ("24.6/7.5", "24.4/7.2"), "vgg_e": ("24.6/7.4", "24.4/7.1")}  # table 5

_ERRORS = [
    *(
        error(name, printed, f"{_PAPER}, table 3", f"dense, trained at {train}, tested at {test}")
        for name, rows in _SINGLE.items()
        for train, test, printed in rows
    ),
    *(
        error(name, printed, f"{_PAPER}, table 4", "dense, trained at 256-512, tested at 256, 384 and 512")
        for name, printed in _MULTI.items()
    ),
    *(error(name, crops, f"{_PAPER}, table 5", "multi-crop") for name, (crops, _) in _CROPS.items()),
    *(error(name, both, f"{_PAPER}, table 5", "multi-crop and dense") for name, (_, both) in _CROPS.items()),
    error("vgg_e", "23.7/6.8", f"{_PAPER}, table 6", "multi-crop and dense, D and E"),
    error(
        "vgg_e", "-/6.8", f"{_PAPER}, table 6", "multi-crop and dense, D and E", data="ILSVRC-2014 test", images=100_000
    ),
    error("vgg_e", "-/7.3", f"{_PAPER}, table 6", "dense, 7 nets", data="ILSVRC-2014 test", images=100_000),
]

ENTRIES: list[Entry] = [
    *_COUNTS,
    *_LISTED,
    *_ERRORS,
    recipe(
        "vgg_d",
        "batch 256, SGD with momentum 0.9 and weight decay 5e-4, rate 0.01 divided by 10 three times on plateau, 74 "
        "epochs (370k steps); dropout 0.5; deeper nets start from A's first four convolutions and three full "
        "connections; 224 crops of images of short side 256, 384 or 256 to 512, flips, colours as AlexNet",
        f"{_PAPER}, section 3.1",
    ),
    recipe("vgg_face", "2,622 identities, 2.6M images", "Parkhi et al. 2015, abstract and table 2", "data"),
]
