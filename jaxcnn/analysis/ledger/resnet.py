"""ResNets and plain nets (He, Zhang, Ren and Sun 2015, arXiv:1512.03385), for ImageNet and for CIFAR-10.

The paper's FLOPs are multiply-adds.
"""

from typing import Any

from jaxcnn.analysis.ledger.entry import Entry, erratum, error, match, recipe, shapes

_PAPER = "He et al. 2015"
_TABLE_1 = f"{_PAPER}, table 1"
_SHORTCUT_A = {"options": {"shortcut": "A"}}
_NETWORKS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "plain18", "plain34")
_SIZES = {"conv1": "112x112", "conv2_x": "56x56", "conv3_x": "28x28", "conv4_x": "14x14", "conv5_x": "7x7"}
_CIFAR = {  # depth: parameters, error on CIFAR-10 (table 6)
    20: ("0.27M", "8.75"),
    32: ("0.46M", "7.51"),
    44: ("0.66M", "7.17"),
    56: ("0.85M", "6.97"),
    110: ("1.7M", "6.43"),
    1202: ("19.4M", "7.93"),
}
_PLAIN = ("plain20", "plain32", "plain44", "plain56", "plain110")


def _macs(network):
    return network.macs()


def _parameters(network):
    return network.parameters()


_FLOPS = [
    match("resnet18", "flops", "macs", "1.8e9", _TABLE_1, _macs),
    match("plain18", "flops", "macs", "1.8e9", _TABLE_1, _macs),
    match("resnet34", "flops", "macs", "3.6e9", _TABLE_1, _macs, **_SHORTCUT_A),
    match("plain34", "flops", "macs", "3.6e9", f"{_PAPER}, figure 3", _macs),
    erratum(
        "resnet50",
        "flops",
        "macs",
        "3.8e9",
        _TABLE_1,
        _macs,
        true=3_857_973_248,
        reason="3.86e9, cut off for 3.9e9; those of 101 and 152 layers are rounded",
    ),
    match("resnet101", "flops", "macs", "7.6e9", _TABLE_1, _macs),
    match("resnet152", "flops", "macs", "11.3e9", _TABLE_1, _macs),
    erratum(
        "plain34",
        "flops_of_vgg_e",
        "macs",
        "18%",
        f"{_PAPER}, section 3.3",
        lambda network: 100 * network.macs() / 19_632_062_464,
        true=18.564,
        reason="the quotient of the rounded 3.6 and 19.6; of the exact numbers it is 18.6 %",
    ),
]

_TEN_CROPS = {  # table 3; table 2 has the top-1 of 18 layers
    "plain18": (("27.94/-", ""),),
    "resnet18": (("27.88/-", ", shortcut A"),),
    "plain34": (("28.54/10.02", ""),),
    "resnet34": (("25.03/7.76", ", shortcut A"), ("24.52/7.46", ", shortcut B"), ("24.19/7.40", ", shortcut C")),
    "resnet50": (("22.85/6.71", ", shortcut B"),),
    "resnet101": (("21.75/6.05", ", shortcut B"),),
    "resnet152": (("21.43/5.71", ", shortcut B"),),
}
_SCALES = {  # table 4
    "resnet34": (("21.84/5.71", ", shortcut B"), ("21.53/5.60", ", shortcut C")),
    "resnet50": (("20.74/5.25", ", shortcut B"),),
    "resnet101": (("19.87/4.60", ", shortcut B"),),
    "resnet152": (("19.38/4.49", ", shortcut B"),),
}
_ONE_CROP = {"resnet50": "24.7/7.8", "resnet101": "23.6/7.1", "resnet152": "23.0/6.7"}
_ILSVRC_TEST: dict[str, Any] = {"data": "ILSVRC-2015 test", "images": 100_000}
_CIFAR_TEST: dict[str, Any] = {"data": "CIFAR-10 test", "images": 10_000}

_ERRORS = [
    *(
        error(name, printed, f"{_PAPER}, tables 2 and 3", f"10 crops{how}")
        for name, rows in _TEN_CROPS.items()
        for printed, how in rows
    ),
    *(
        error(name, printed, f"{_PAPER}, table 4", f"dense, short sides 224, 256, 384, 480 and 640{how}")
        for name, rows in _SCALES.items()
        for printed, how in rows
    ),
    *(
        error(name, printed, "the authors' release of the Caffe networks", "one crop")
        for name, printed in _ONE_CROP.items()
    ),
    error("resnet152", "-/3.57", f"{_PAPER}, table 5", "6 nets of several depths", **_ILSVRC_TEST),
    *(
        error(f"resnet{depth}", printed, f"{_PAPER}, table 6", "one view", **_CIFAR_TEST)
        for depth, (_, printed) in _CIFAR.items()
    ),
    error(
        "resnet110", "6.61", f"{_PAPER}, table 6", "one view, mean of 5 runs with a deviation of 0.16", **_CIFAR_TEST
    ),
]

_CIFAR_MAPS = {"stage1": "32x32x16", "stage2": "16x16x32", "stage3": "8x8x64"}

ENTRIES: list[Entry] = [
    *(entry for name in _NETWORKS for entry in shapes(name, _TABLE_1, _SIZES)),
    *_FLOPS,
    *(
        entry
        for name in ("resnet20", *_PLAIN)
        for entry in shapes(name, f"{_PAPER}, section 4.2, the table of output map sizes", _CIFAR_MAPS)
    ),
    *(
        match(f"resnet{depth}", "parameters", "parameters", printed, f"{_PAPER}, table 6", _parameters)
        for depth, (printed, _) in _CIFAR.items()
    ),
    *_ERRORS,
    recipe("plain110", "an error above 60 %, not displayed", f"{_PAPER}, caption of figure 6", "error_in_words"),
    recipe(
        "resnet50",
        "batch 256, SGD with momentum 0.9 and weight decay 1e-4, rate 0.1 divided by 10 on plateau, at most 600k "
        "steps; weights as He et al. 2015; 224 crops of images of short side 256 to 480, flips, colours as AlexNet; "
        "no dropout",
        f"{_PAPER}, section 3.4",
    ),
    recipe(
        "resnet20",
        "batch 128, SGD with momentum 0.9 and weight decay 1e-4, rate 0.1 divided by 10 at 32k and 48k of 64k steps "
        "(110 layers: 0.01 until the training error is below 80 %); 45k images to train and 5k to validate; padded by "
        "4, 32 crops, flips; per-pixel mean taken off",
        f"{_PAPER}, section 4.2",
    ),
]
