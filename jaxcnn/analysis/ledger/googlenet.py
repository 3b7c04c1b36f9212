"""GoogLeNet (Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842), the lectures' inception module.

Table 1 counts weights without biases, with K = 1024, and multiply-adds with M = 10**6: so its rows of conv2, 3a and
linear come out, and the operations of all rows but conv1, 4a and 5a.
"""

from jaxcnn.analysis.ledger.entry import Entry, erratum, error, match, recipe, shapes

_PAPER = "Szegedy et al. 2014"
_TABLE_1 = f"{_PAPER}, table 1"
_LECTURE = "CS231n, lecture 9"

_SHAPES = {
    **{"conv1": "112x112x64", "pool1": "56x56x64", "conv2": "56x56x192", "pool2": "28x28x192"},
    **{"inception_3a": "28x28x256", "inception_3b": "28x28x480", "pool3": "14x14x480"},
    **{"inception_4a": "14x14x512", "inception_4b": "14x14x512", "inception_4c": "14x14x512"},
    **{"inception_4d": "14x14x528", "inception_4e": "14x14x832", "pool4": "7x7x832"},
    **{"inception_5a": "7x7x832", "inception_5b": "7x7x1024"},
}

_SEPARABLE = (
    "of a separable 7x7: 8 maps for each of 3 colours (1,176), then 1x1 to 64 (1,536) are 2,712 weights and 34.0M "
    "multiply-adds; the network that the paper describes has a full 7x7"
)
_OTHER = "does not follow from the row's own widths"
_CLOSE = f"{_OTHER}, which give about as many"

_ROWS = {  # layers; parameters and operations as printed; weights and why the print is wrong, the same of operations
    "conv1": (("conv1",), "2.7K", "34M", (9_408, _SEPARABLE), (118_013_952, _SEPARABLE)),
    "conv2": (("conv2_reduce", "conv2"), "112K", "360M", None, None),
    "inception_3a": ((), "159K", "128M", None, None),
    "inception_3b": ((), "380K", "304M", (388_096, f"{_CLOSE}, 379K"), None),
    "inception_4a": ((), "364K", "73M", (375_552, f"{_CLOSE}, 367K"), (73_608_192, "73.6M, cut off for 74M")),
    "inception_4b": ((), "437K", "88M", (448_512, f"{_CLOSE}, 438K"), None),
    "inception_4c": ((), "463K", "100M", (509_440, f"{_OTHER}, 497.5K"), None),
    "inception_4d": ((), "580K", "119M", (604_672, f"{_OTHER}, 590.5K"), None),
    "inception_4e": ((), "840K", "170M", (867_328, f"{_CLOSE}, 847K"), None),
    "inception_5a": ((), "1072K", "54M", (1_042_432, f"{_OTHER}, 1018K"), (51_079_168, f"{_OTHER}, 51M")),
    "inception_5b": ((), "1388K", "71M", (1_442_816, f"{_CLOSE}, 1409K"), None),
    "linear": ((), "1000K", "1M", None, None),
}


def _weights(parts):
    return lambda network: network.parameters(*parts, weights=True)


def _macs(parts):
    return lambda network: network.macs(*parts)


def _row(name, parts, parameters, operations, wrong_parameters, wrong_operations):
    parts = parts or (name,)
    for what, printed, measure, wrong in (
        ("parameters", parameters, _weights(parts), wrong_parameters),
        ("macs", operations, _macs(parts), wrong_operations),
    ):
        common = ("googlenet", f"{name}/{what}", what, printed, _TABLE_1, measure)
        kilo = {"kilo": 1024} if what == "parameters" else {}
        yield erratum(*common, true=wrong[0], reason=wrong[1], **kilo) if wrong else match(*common, **kilo)


def _without_heads(network):
    return network.parameters(without=("aux1", "aux2"))


_TOTALS = [
    erratum(
        "googlenet",
        "macs",
        "macs",
        "1.5e9",
        f"{_PAPER}, section 1 (the computational budget)",
        lambda network: network.macs(),
        true=1_582_671_872,
        reason="the sum of table 1's operations, with the 34M of the separable conv1",
    ),
    erratum(
        "googlenet",
        "lecture/parameters",
        "parameters",
        "5M",
        _LECTURE,
        _without_heads,
        true=6_998_552,
        reason="the quotient of AlexNet's 60M by the 12 below, not a count",
    ),
    erratum(
        "googlenet",
        "fewer_than_alexnet",
        "parameters",
        "12",
        f"{_PAPER}, section 1",
        lambda network: 60_965_224 / _without_heads(network),
        true=8.711,
        reason="60,965,224 of AlexNet's two towers by 6,998,552 without auxiliary heads",
    ),
]

_NAIVE = ((128, 1, 256), (192, 3, 256), (96, 5, 256))  # the lecture's module on 28x28x256: channels, kernel, input
_BOTTLENECK = ((64, 1, 256), (64, 1, 256), (128, 1, 256), (192, 3, 64), (96, 5, 64), (64, 1, 256))


def _module(convolutions):
    return lambda: sum(28 * 28 * width * kernel**2 * channels for width, kernel, channels in convolutions)


_LIST = "the six convolutions that the lecture lists under it sum to 271,351,808"
_MODULE = [
    match("googlenet", "lecture/naive", "macs", "854M", _LECTURE, formula=_module(_NAIVE)),
    match(
        "googlenet",
        "lecture/naive_shape",
        "shape",
        "28x28x672",
        _LECTURE,
        formula=lambda: (28, 28, 128 + 192 + 96 + 256),
    ),
    *(
        erratum(
            "googlenet",
            f"lecture/bottleneck/{printed}",
            "macs",
            printed,
            source,
            formula=_module(_BOTTLENECK),
            true=271_351_808,
            reason=_LIST,
        )
        for printed, source in (("358M", _LECTURE), ("353M", f"summaries of {_LECTURE}"))
    ),
    match(
        "googlenet",
        "lecture/bottleneck_shape",
        "shape",
        "28x28x480",
        _LECTURE,
        formula=lambda: (28, 28, 128 + 192 + 96 + 64),
    ),
]

_ERRORS = [
    error("googlenet", "-/10.07", f"{_PAPER}, table 3", "one crop"),
    error("googlenet", "-/9.15", f"{_PAPER}, table 3", "10 crops"),
    error("googlenet", "-/7.89", f"{_PAPER}, table 3", "144 crops"),
    error("googlenet", "-/8.09", f"{_PAPER}, table 3", "one crop, 7 nets"),
    error("googlenet", "-/7.62", f"{_PAPER}, table 3", "10 crops, 7 nets"),
    error("googlenet", "-/6.67", f"{_PAPER}, table 3", "144 crops, 7 nets"),
]

ENTRIES: list[Entry] = [
    *shapes("googlenet", _TABLE_1, _SHAPES),
    *(entry for name, row in _ROWS.items() for entry in _row(name, *row)),
    *_TOTALS,
    *_MODULE,
    *_ERRORS,
    recipe(
        "googlenet",
        "asynchronous SGD with momentum 0.9, the rate 4 % lower every 8 epochs, averaged weights; crops of 8 to 100 % "
        "of the area, aspect 3/4 to 4/3; dropout 0.4, in the auxiliary heads 0.7; auxiliary losses count 0.3",
        f"{_PAPER}, sections 5 and 6",
    ),
]
