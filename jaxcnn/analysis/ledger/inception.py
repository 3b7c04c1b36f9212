"""Inception-v3 (Szegedy et al. 2015, arXiv:1512.00567), Inception-v4 and Inception-ResNet (2016, arXiv:1602.07261).

Shapes are those of the networks as they were released; table 1 of Inception-v3 draws another one in two places.
"""

from jaxcnn.analysis.ledger.entry import Entry, erratum, error, match, recipe, shapes

_V3 = "Szegedy et al. 2015"
_V4 = "Szegedy et al. 2016"
_KEPT = 48_238  # images of the validation set that are not blacklisted

_SHAPES = {
    "inception_v3": (
        f"{_V3}, table 1",
        {
            **{"Conv2d_1a_3x3": "149x149x32", "Conv2d_2a_3x3": "147x147x32", "Conv2d_2b_3x3": "147x147x64"},
            **{"MaxPool_3a_3x3": "73x73x64", "MaxPool_5a_3x3": "35x35x192", "Mixed_5d": "35x35x288"},
            **{"Mixed_6e": "17x17x768", "Mixed_7a": "8x8x1280", "Mixed_7c": "8x8x2048"},
        },
    ),
    "inception_v4": (
        f"{_V4}, figures 3 and 9",
        {
            **{"Conv2d_1a_3x3": "149x149x32", "Conv2d_2a_3x3": "147x147x32", "Conv2d_2b_3x3": "147x147x64"},
            **{"Mixed_3a": "73x73x160", "Mixed_4a": "71x71x192", "Mixed_5a": "35x35x384", "Mixed_5e": "35x35x384"},
            **{"Mixed_6a": "17x17x1024", "Mixed_6h": "17x17x1024", "Mixed_7a": "8x8x1536", "Mixed_7d": "8x8x1536"},
        },
    ),
    "inception_resnet_v1": (
        f"{_V4}, figures 14 and 15",
        {
            **{"Conv2d_1a_3x3": "149x149x32", "Conv2d_2a_3x3": "147x147x32", "Conv2d_2b_3x3": "147x147x64"},
            **{"MaxPool_3a_3x3": "73x73x64", "Conv2d_3b_1x1": "73x73x80", "Conv2d_4a_3x3": "71x71x192"},
            **{"Conv2d_4b_3x3": "35x35x256", "block35": "35x35x256", "Mixed_6a": "17x17x896"},
            **{"block17": "17x17x896", "Mixed_7a": "8x8x1792", "block8": "8x8x1792"},
        },
    ),
    "inception_resnet_v2_paper": (f"{_V4}, figures 3 and 15", {"Mixed_5a": "35x35x384", "block35": "35x35x384"}),
}


def _channels(stage):
    return lambda network: network.shape(stage)[-1:]


_COUNTS = [
    erratum(
        "inception_v3",
        "Conv2d_3b_1x1/shape",
        "shape",
        "71x71x80",
        f"{_V3}, table 1",
        lambda network: network.shape("Conv2d_3b_1x1"),
        true=(73, 73, 80),
        reason="the table has 3x3 convolutions to 80 and, at stride 2, to 192; the release 1x1, 3x3 and a pooling",
    ),
    match(
        "inception_v3",
        "parameters",
        "parameters",
        "<25M",
        f"{_V3}, abstract",
        lambda network: network.parameters(without=("AuxLogits",)),
    ),
    erratum(
        "inception_v3",
        "macs",
        "macs",
        "5e9",
        f"{_V3}, abstract",
        lambda network: network.macs(),
        true=5_713_216_096,
        reason="5.7e9, cut off; it rounds to 6e9",
    ),
    erratum(
        "inception_v3",
        "macs_of_googlenet",
        "macs",
        "2.5",
        f"{_V3}, section 6",
        lambda network: network.macs() / 1_582_671_872,
        true=3.610,
        reason="5,713,216,096 by 1,582,671,872",
    ),
    *(
        erratum(
            "inception_resnet_v2_paper",
            f"{stage}/channels",
            "shape",
            printed,
            f"{_V4}, figure {figure}",
            _channels(stage),
            true=true,
            reason=f"the projection is added to the {true[0]} channels that come in",
        )
        for stage, printed, figure, true in (("block17", "1154", 17, (1152,)), ("block8", "2048", 19, (2144,)))
    ),
]


def _arithmetic(what, printed, formula, section):
    return match("inception_v3", what, "macs", printed, f"{_V3}, section {section}", formula=formula)


_FACTORISATION = [
    _arithmetic("5x5_by_3x3", "2.78", lambda: 25 / 9, "3.1"),
    _arithmetic("two_3x3_save", "28%", lambda: 100 * (1 - (9 + 9) / 25), "3.1"),
    _arithmetic("3x1_and_1x3_save", "33%", lambda: 100 * (1 - (3 + 3) / 9), "3.2"),
    _arithmetic("two_2x2_save", "11%", lambda: 100 * (1 - (4 + 4) / 9), "3.2"),
]

_ONE_CROP = {
    "inception_v3": ("21.2/5.6", f"{_V3}, table 3"),
    "inception_v4": ("20.0/5.0", f"{_V4}, table 2"),
    "inception_resnet_v1": ("21.3/5.5", f"{_V4}, table 2"),
    "inception_resnet_v2": ("19.9/4.9", f"{_V4}, table 2"),
}
_CROPS = {  # 12 crops and 144 crops
    "inception_v3": (("19.47/4.48", f"{_V3}, table 4"), ("18.77/4.2", f"{_V3}, table 4")),
    "inception_v4": (("18.7/4.2", f"{_V4}, table 3"), ("17.7/3.8", f"{_V4}, table 4")),
    "inception_resnet_v1": (("19.8/4.6", f"{_V4}, table 3"), ("18.8/4.3", f"{_V4}, table 4")),
    "inception_resnet_v2": (("18.7/4.1", f"{_V4}, table 3"), ("17.8/3.7", f"{_V4}, table 4")),
}
# The drawn network (inception_resnet_v2_paper) has 9.3e9 multiply-adds, the released one 13.2e9, Inception-v4 12.3e9.
_WHICH = {
    "inception_resnet_v2": "section 3.2 says that the network costs as much as Inception-v4: the one that was released "
    "does, the one of the figures costs a quarter less"
}
_ERRORS = [
    *(
        error(name, printed, source, "one crop", images=_KEPT, reason=_WHICH.get(name, ""))
        for name, (printed, source) in _ONE_CROP.items()
    ),
    *(
        error(name, printed, source, f"{crops} crops", reason=_WHICH.get(name, ""))
        for name, rows in _CROPS.items()
        for crops, (printed, source) in zip((12, 144), rows, strict=True)
    ),
    error("inception_v3", "17.2/3.58", f"{_V3}, table 5", "144 crops, 4 nets"),
    error("inception_v4", "16.5/3.1", f"{_V4}, table 5", "144 crops, with 3 Inception-ResNet-v2"),
    error(
        "inception_v4",
        "-/3.08",
        f"{_V4}, section 5",
        "144 crops, with 3 Inception-ResNet-v2",
        data="ILSVRC-2012 test",
        images=100_000,
    ),
]

ENTRIES: list[Entry] = [
    *(entry for name, (source, rows) in _SHAPES.items() for entry in shapes(name, source, rows)),
    *_COUNTS,
    *_FACTORISATION,
    *_ERRORS,
    recipe("inception_v3", "five blocks at 17x17; the released network has four", f"{_V3}, table 1", "blocks"),
    recipe(
        "inception_v3",
        "batch 32 on each of 50 replicas, 100 epochs; RMSProp with decay 0.9 and epsilon 1.0, rate 0.045 times 0.94 "
        "every 2 epochs, gradients clipped at 2.0; averaged weights; label smoothing 0.1",
        f"{_V3}, sections 7 and 8",
    ),
    recipe(
        "inception_v4",
        "RMSProp with decay 0.9 and epsilon 1.0, rate 0.045 times 0.94 every 2 epochs; averaged weights",
        f"{_V4}, section 4",
    ),
    recipe("inception_resnet_v2", "residuals scaled by 0.1 to 0.3", f"{_V4}, section 3.3", "residual_scale"),
]
