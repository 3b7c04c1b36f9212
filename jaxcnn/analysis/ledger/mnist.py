"""Published errors on MNIST's test images, of papers that have no other numbers here.

Simard, Steinkraus and Platt 2003 ("Best practices for convolutional neural networks applied to visual document
analysis"); Goodfellow et al. 2013 (arXiv:1302.4389); Srivastava et al. 2014 (JMLR 15).
"""

from typing import Any

from jaxcnn.analysis.ledger.entry import Entry, error

_SIMARD = "Simard et al. 2003, section 5"
_MAXOUT = "Goodfellow et al. 2013, section 5.1"
_DROPOUT = "Srivastava et al. 2014, table 2"
_TEST: dict[str, Any] = {"data": "MNIST test", "images": 10_000}

ENTRIES: list[Entry] = [
    error("mlp", "1.6", _SIMARD, "800 hidden units, cross-entropy, no distortions", **_TEST),
    error("mlp", "0.7", _SIMARD, "800 hidden units, cross-entropy, elastic distortions", **_TEST),
    error("simard_cnn", "0.4", _SIMARD, "cross-entropy, elastic distortions", **_TEST),
    error("mlp", "1.60", _DROPOUT, "standard network, logistic, 2 layers of 800 units", **_TEST),
    error("mlp", "1.35", _DROPOUT, "dropout, logistic, 3 layers of 1024 units", **_TEST),
    error("mlp", "1.25", _DROPOUT, "dropout, relu, 3 layers of 1024 units", **_TEST),
    error("mlp", "1.06", _DROPOUT, "dropout, relu, max-norm, 3 layers of 1024 units", **_TEST),
    error("maxout_mnist_dense", "0.94", _MAXOUT, "permutation invariant, dropout", **_TEST),
    error("maxout_mnist", "0.45", _MAXOUT, "convolutions, dropout", **_TEST),
]
