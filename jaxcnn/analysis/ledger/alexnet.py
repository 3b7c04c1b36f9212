"""AlexNet (Krizhevsky, Sutskever and Hinton 2012), what Caffe's copy reached, and the lectures on it."""

from typing import Any

from jaxcnn.analysis.ledger.entry import Entry, erratum, error, match, recipe, shapes

_PAPER = "Krizhevsky et al. 2012"
_FIGURE_2 = f"{_PAPER}, caption of figure 2"
_LECTURE = "CS231n, lecture 9"
_NOTES = "CS231n notes, convolutional networks"
_SUMMARY = "Mallick and Nayak 2018, number of parameters in a CNN (learnopencv.com)"
_LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "logits")
_NEURONS = ("253,440", "186,624", "64,896", "64,896", "43,264", "4096", "4096", "1000")
_ONE_TOWER = {  # parameters, as a summary counts them
    "conv1": "34,944",
    "conv2": "614,656",
    "conv3": "885,120",
    "conv4": "1,327,488",
    "conv5": "884,992",
    "fc6": "37,752,832",
    "fc7": "16,781,312",
    "fc8": "4,097,000",
}


def _units(*stages):
    return lambda network: network.units(*stages)


def _parameters(*parts):
    return lambda network: network.parameters(*parts)


_COUNTS = [
    match("alexnet", "parameters", "parameters", "60M", f"{_PAPER}, abstract", _parameters(), to=10e6),
    erratum(
        "alexnet",
        "neurons",
        "activations",
        "650,000",
        f"{_PAPER}, abstract",
        _units(*_LAYERS),
        true=659_272,
        to=10_000,
        reason="the units of conv1 to the output are 659,272, which rounds to 660,000",
    ),
    match("alexnet", "input/neurons", "activations", "150,528", _FIGURE_2, formula=lambda: 224 * 224 * 3),
    erratum(
        "alexnet",
        "conv1/neurons",
        "activations",
        _NEURONS[0],
        _FIGURE_2,
        _units("conv1"),
        true=290_400,
        reason="55 x 55 x 96; the printed number is 55 x 48 x 96, with the maps of one tower for a side",
    ),
    *(
        match("alexnet", f"{layer}/neurons", "activations", printed, _FIGURE_2, _units(layer))
        for layer, printed in list(zip(_LAYERS, _NEURONS, strict=True))[1:]
    ),
    erratum(
        "alexnet",
        "input/shape",
        "shape",
        "224x224x3",
        f"{_PAPER}, section 3.5",
        formula=lambda: (54 * 4 + 11, 54 * 4 + 11, 3),
        true=(227, 227, 3),
        reason="55 positions of 11x11 at stride 4 need 227 pixels without padding; (224 - 11) / 4 is not whole",
    ),
    *(
        match("alexnet_one_tower", f"{layer}/parameters", "parameters", printed, _SUMMARY, _parameters(layer))
        for layer, printed in _ONE_TOWER.items()
    ),
    match("alexnet_one_tower", "parameters", "parameters", "62,378,344", _SUMMARY, _parameters()),
    match(
        "alexnet",
        "bytes",
        "parameters",
        "230MB",
        "Caffe's model zoo, NIN-ImageNet",
        lambda network: 4 * network.parameters(),
        to=10 * 2**20,
        kilo=1024,
    ),
]

_LECTURES = [
    *shapes(
        "alexnet",
        _LECTURE,
        {
            "conv1": "55x55x96",
            "pool1": "27x27x96",
            "conv2": "27x27x256",
            "pool2": "13x13x256",
            "conv3": "13x13x384",
            "conv4": "13x13x384",
            "conv5": "13x13x256",
            "pool5": "6x6x256",
            "fc6": "4096",
            "fc7": "4096",
        },
    ),
    match("alexnet", "conv1/weights", "parameters", "35K", _LECTURE, lambda n: n.parameters("conv1", weights=True)),
    match(
        "alexnet", "conv1/unique_weights", "parameters", "34,848", _NOTES, lambda n: n.parameters("conv1", weights=True)
    ),
    match("alexnet", "conv1/parameters", "parameters", "34,944", _NOTES, _parameters("conv1")),
    match("alexnet", "conv1/notes_neurons", "activations", "290,400", _NOTES, _units("conv1")),
    match(
        "alexnet",
        "conv1/unshared_parameters",
        "parameters",
        "105,705,600",
        _NOTES,
        lambda network: network.units("conv1") * (11 * 11 * 3 + 1),
    ),
]

_TEST_2010: dict[str, Any] = {"data": "ILSVRC-2010 test", "images": 150_000}
_TEST_2012: dict[str, Any] = {"data": "ILSVRC-2012 test", "images": 100_000}
_ERRORS = [
    error("alexnet", "37.5/17.0", f"{_PAPER}, table 1", "10 crops", **_TEST_2010),
    error("alexnet", "39.0/18.3", f"{_PAPER}, section 4.1", "one crop", **_TEST_2010),
    error("alexnet", "40.7/18.2", f"{_PAPER}, table 2", "10 crops"),
    error("alexnet", "38.1/16.4", f"{_PAPER}, table 2", "10 crops, 5 nets"),
    error("alexnet", "-/16.4", f"{_PAPER}, table 2", "10 crops, 5 nets", **_TEST_2012),
    error("alexnet", "39.0/16.6", f"{_PAPER}, table 2", "10 crops, pre-trained on ImageNet 2011"),
    error("alexnet", "36.7/15.4", f"{_PAPER}, table 2", "10 crops, 7 nets, 2 of them pre-trained"),
    error("alexnet", "-/15.3", f"{_PAPER}, table 2", "10 crops, 7 nets, 2 of them pre-trained", **_TEST_2012),
    error("alexnet", "42.9/19.8", "Caffe's bvlc_alexnet", "one crop"),
]

ENTRIES: list[Entry] = [
    *_COUNTS,
    *_LECTURES,
    *_ERRORS,
    recipe(
        "alexnet",
        "batch 128, SGD with momentum 0.9 and weight decay 5e-4, rate 0.01 divided by 10 three times on plateau, 90 "
        "epochs; N(0, 0.01**2), biases of 1 in conv2, conv4, conv5 and the hidden full connections; dropout 0.5; "
        "random 224 crops of 256 and flips, colours along the principal components with 0.1",
        f"{_PAPER}, sections 4 and 5",
    ),
    Entry(
        "alexnet/relu sooner than tanh",
        "alexnet",
        "factor",
        "6",
        f"{_PAPER}, figure 1; printed as six times faster",
        "protocol",
        data="CIFAR-10 train",
        protocol="steps to 25 % training error, a network of four layers, each unit at its own rate",
    ),
    recipe("alexnet", "k = 2, n = 5, alpha = 1e-4, beta = 0.75", f"{_PAPER}, section 3.3", "response_norm"),
]
