"""DenseNets (Huang, Liu, van der Maaten and Weinberger 2016, arXiv:1608.06993)."""

from jaxcnn.analysis.ledger.entry import Entry, error, match, recipe, shapes

_PAPER = "Huang et al. 2016"
_SIZES = {
    **{"convolution": "112x112", "pooling": "56x56", "dense_block1": "56x56", "transition1": "28x28"},
    **{"dense_block2": "28x28", "transition2": "14x14", "dense_block3": "14x14", "transition3": "7x7"},
    **{"dense_block4": "7x7"},
}
_CIFAR = {  # parameters; errors on C10, C10+, C100, C100+ (+ is augmentation), SVHN (table 2)
    "densenet_40_12": ("1.0M", "7.00", "5.24", "27.55", "24.42", "1.79"),
    "densenet_100_12": ("7.0M", "5.77", "4.10", "23.79", "20.20", "1.67"),
    "densenet_100_24": ("27.2M", "5.83", "3.74", "23.42", "19.25", "1.59"),
    "densenet_bc_100_12": ("0.8M", "5.92", "4.51", "24.15", "22.27", "1.76"),
    "densenet_bc_250_24": ("15.3M", "5.19", "3.62", "19.64", "17.60", "1.74"),
    "densenet_bc_190_40": ("25.6M", "-", "3.46", "-", "17.18", "-"),
}
_COLUMNS = (
    ("CIFAR-10 test", "no augmentation, dropout 0.2", 10_000),
    ("CIFAR-10 test", "augmentation", 10_000),
    ("CIFAR-100 test", "no augmentation, dropout 0.2", 10_000),
    ("CIFAR-100 test", "augmentation", 10_000),
    ("SVHN test", "no augmentation, dropout 0.2", 26_032),
)
_IMAGENET = {  # one crop, 10 crops (table 3)
    "densenet121": ("25.02/7.71", "23.61/6.66"),
    "densenet169": ("23.80/6.85", "22.08/5.92"),
    "densenet201": ("22.58/6.34", "21.46/5.54"),
    "densenet264": ("22.15/6.12", "20.80/5.29"),
}


def _parameters(network):
    return network.parameters()


_ERRORS = [
    *(
        error(name, printed, f"{_PAPER}, table 2", protocol, data=data, images=images)
        for name, (_, *errors) in _CIFAR.items()
        for printed, (data, protocol, images) in zip(errors, _COLUMNS, strict=True)
        if printed != "-"
    ),
    *(
        error(name, printed, f"{_PAPER}, table 3", protocol)
        for name, errors in _IMAGENET.items()
        for printed, protocol in zip(errors, ("one crop", "10 crops"), strict=True)
    ),
]

ENTRIES: list[Entry] = [
    *(entry for name in _IMAGENET for entry in shapes(name, f"{_PAPER}, table 1", _SIZES)),
    *shapes("densenet161", f"{_PAPER}, table 1 of the first version", _SIZES),
    *(
        match(name, "parameters", "parameters", printed, f"{_PAPER}, table 2", _parameters)
        for name, (printed, *_) in _CIFAR.items()
    ),
    match("densenet201", "parameters", "parameters", "20M", f"{_PAPER}, section 4.4", _parameters),
    *_ERRORS,
    recipe("densenet201", "FLOPs of figure 3 are twice the multiply-adds", f"{_PAPER}, figure 3", "unit"),
    recipe(
        "densenet121",
        "batch 256, SGD with Nesterov momentum 0.9 and weight decay 1e-4, rate 0.1 divided by 10 at epochs 30 and 60 "
        "of 90; weights as He et al. 2015",
        f"{_PAPER}, section 4.2",
    ),
    recipe(
        "densenet_bc_100_12",
        "batch 64, SGD with Nesterov momentum 0.9 and weight decay 1e-4, rate 0.1 divided by 10 at 50 % and 75 % of "
        "300 epochs (SVHN: 40); weights as He et al. 2015; dropout 0.2 after each convolution but the first only "
        "where there is no augmentation",
        f"{_PAPER}, section 4.2",
    ),
]
