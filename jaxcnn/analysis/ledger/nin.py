"""Network in network (Lin, Chen and Yan 2013, arXiv:1312.4400), and the authors' ImageNet model for Caffe."""

from jaxcnn.analysis.ledger.entry import Entry, error, match, recipe

_PAPER = "Lin et al. 2013"
_ZOO = "Caffe's model zoo, NIN-ImageNet"


def _cifar(printed, source, protocol, data="CIFAR-10 test"):
    return error("nin_cifar", printed, f"{_PAPER}, {source}", protocol, data=data, images=10_000)


ENTRIES: list[Entry] = [
    _cifar("10.41", "table 1", "dropout"),
    _cifar("8.81", "table 1", "dropout, shifted and flipped training images"),
    _cifar("35.68", "table 2", "dropout", "CIFAR-100 test"),
    _cifar("0.47", "table 4", "dropout", "MNIST test"),
    error("nin_cifar", "2.35", f"{_PAPER}, table 3", "dropout", data="SVHN test", images=26_032),
    match(
        "nin_imagenet",
        "bytes",
        "parameters",
        "29MB",
        _ZOO,
        lambda network: 4 * network.parameters(),
        kilo=1024,
    ),
    error("nin_imagenet", "40.64", _ZOO, "one crop; printed as an accuracy of 59.36 %"),
    recipe(
        "nin_cifar",
        "batch 128, the rate divided by 10 twice, each time that the training accuracy stops improving; dropout 0.5 "
        "after the first two mlpconv layers, weight decay; images contrast-normalised and whitened as by Goodfellow "
        "et al. 2013",
        f"{_PAPER}, section 4.1",
    ),
]
