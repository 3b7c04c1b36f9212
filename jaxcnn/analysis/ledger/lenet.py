"""LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document recognition").

The paper prints the parameters and the connections of each layer. A connection is an input of a unit, its bias
included, so a layer with shared weights has its parameters times its positions, and a unit of a sub-sampling five.
"""

from jaxcnn.analysis.ledger.entry import Entry, erratum, error, match, recipe, shapes

_PAPER = "LeCun et al. 1998"
_LAYERS = f"{_PAPER}, section II.B"
_TABLE = {  # parameters, connections
    "C1": ("156", "122,304"),
    "S2": ("12", "5,880"),
    "C3": ("1,516", "151,600"),
    "S4": ("32", "2,000"),
    "C5": ("48,120", "48,120"),
    "F6": ("10,164", "10,164"),
}


def _parameters(layer):
    return lambda network: network.parameters(layer)


def _connections(layer):
    def count(network):
        if layer.startswith("S"):
            return 5 * network.units(layer)  # 2x2 inputs and a bias
        *_, maps = network.shape(layer)
        return network.parameters(layer) * network.units(layer) // maps

    return count


def _all_connections(network):
    return sum(_connections(layer)(network) for layer in _TABLE)


ENTRIES: list[Entry] = [
    *shapes(
        "lenet5",
        f"{_PAPER}, figure 2",
        {"C1": "28x28x6", "S2": "14x14x6", "C3": "10x10x16", "S4": "5x5x16", "C5": "1x1x120", "F6": "84"},
    ),
    *(
        match("lenet5", f"{layer}/parameters", "parameters", parameters, _LAYERS, _parameters(layer))
        for layer, (parameters, _) in _TABLE.items()
    ),
    *(
        match("lenet5", f"{layer}/connections", "connections", connections, _LAYERS, _connections(layer))
        for layer, (_, connections) in _TABLE.items()
    ),
    match("lenet5", "parameters", "parameters", "60,000", _LAYERS, lambda network: network.parameters()),
    erratum(
        "lenet5",
        "connections",
        "connections",
        "340,908",
        _LAYERS,
        _all_connections,
        true=340_068,
        reason="not the sum of the layers that the section lists, C1 to F6; it is 840 more, as many as the fixed "
        "connections of 84 units to 10 outputs, which the section does not count",
    ),
    error("lenet5", "0.95", f"{_PAPER}, section III.B", "no distortions", data="MNIST test", images=10_000),
    error("lenet5", "0.8", f"{_PAPER}, section III.B", "distorted training set", data="MNIST test", images=10_000),
    recipe(
        "lenet5",
        "20 passes of one image a step; stochastic diagonal Levenberg-Marquardt, rate 5e-4 (2 passes), 2e-4 (3), 1e-4 "
        "(3), 5e-5 (4), then 1e-5; scaled tanh 1.7159 tanh(2a / 3); background -0.1, foreground 1.175; RBF output",
        f"{_PAPER}, sections II.B, III.B and appendix C",
    ),
]
