"""Examples of CS231n (Stanford) and EECS 498 (Michigan) that belong to no named network, and papers about many.

Araujo, Norris and Sim 2019, "Computing receptive fields of convolutional neural networks" (distill.pub), has a table of
networks; Canziani, Paszke and Culurciello 2016 draws its numbers and prints none.
"""

from jaxcnn.analysis.ledger.entry import Entry, match, recipe

_CONV = "CS231n, lecture 5"
_NOTES = "CS231n notes, convolutional networks"
_FIELDS = {  # stage before the global pooling, side of its receptive field in pixels
    "alexnet": ("pool5", "195"),
    "alexnet_owt": ("pool5", "195"),
    "vgg_d": ("pool5", "212"),
    "inception_v3": ("Mixed_7c", "1311"),
    "inception_v4": ("Mixed_7d", "2071"),
    "inception_resnet_v2": ("Conv2d_7b_1x1", "3039"),
    "resnet50": ("conv5_x", "483"),
    "resnet101": ("conv5_x", "1027"),
    "resnet152": ("conv5_x", "1507"),
}


def _field(name, stage, printed):
    source = "Araujo et al. 2019, the table of their library"
    what = f"{stage}/receptive_field"
    return match(name, what, "receptive_field", printed, source, lambda network: network.receptive_field(stage))


def _example(what, quantity, printed, source, formula, **options):
    return match("lectures", what, quantity, printed, source, formula=formula, **options)


def _side(size, kernel, *, stride=1, padding=0):
    return (size + 2 * padding - kernel) // stride + 1


ENTRIES: list[Entry] = [
    _example("conv_5x5_on_32/shape", "shape", "28x28x6", _CONV, lambda: (_side(32, 5), _side(32, 5), 6)),
    _example("conv_5x5_on_28/shape", "shape", "24x24x10", _CONV, lambda: (_side(28, 5), _side(28, 5), 10)),
    _example("conv_3x3_on_7/shape", "shape", "5x5", _CONV, lambda: (_side(7, 3),) * 2),
    _example("conv_3x3_on_7_stride_2/shape", "shape", "3x3", _CONV, lambda: (_side(7, 3, stride=2),) * 2),
    _example("conv_3x3_on_7_padding_1/shape", "shape", "7x7", _CONV, lambda: (_side(7, 3, padding=1),) * 2),
    _example(
        "conv_5x5_padding_2/shape",
        "shape",
        "32x32x10",
        _CONV,
        lambda: (_side(32, 5, padding=2), _side(32, 5, padding=2), 10),
    ),
    _example("conv_5x5_padding_2/parameters", "parameters", "760", _CONV, lambda: 10 * (5 * 5 * 3 + 1)),
    _example("conv_1x1/shape", "shape", "56x56x32", _CONV, lambda: (_side(56, 1), _side(56, 1), 32)),
    _example("neuron_on_cifar/weights", "parameters", "3072", _NOTES, lambda: 32 * 32 * 3),
    _example("neuron_on_200/weights", "parameters", "120,000", _NOTES, lambda: 200 * 200 * 3),
    _example(
        "pool_2x2/shape",
        "shape",
        "112x112x64",
        _NOTES,
        lambda: (_side(224, 2, stride=2), _side(224, 2, stride=2), 64),
    ),
    _example("three_3x3/weights", "parameters", "27", f"{_NOTES}; times C**2", lambda: 3 * 3 * 3),
    _example("one_7x7/weights", "parameters", "49", f"{_NOTES}; times C**2", lambda: 7 * 7),
    _example("three_3x3/receptive_field", "receptive_field", "7", _NOTES, lambda: 1 + 3 * (3 - 1)),
    _example("basic_block", "macs", "18", "EECS 498-007, lecture 8; times H W C**2", lambda: 2 * 9),
    _example("bottleneck_block", "macs", "17", "EECS 498-007, lecture 8; times H W C**2", lambda: 4 + 9 + 4),
    *(_field(name, stage, printed) for name, (stage, printed) in _FIELDS.items()),
    recipe("lectures", "one operation is half a multiply-add", "Canziani et al. 2016, figure 2", "unit"),
]
