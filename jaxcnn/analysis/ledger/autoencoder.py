"""The deep autoencoder of Hinton and Salakhutdinov 2006 ("Reducing the dimensionality of data ...").

Its errors are squared differences, summed over an image of pixels from 0 to 1 and averaged over MNIST's test images.
"""

from typing import Any

from jaxcnn.analysis.ledger.entry import Entry, match, shapes
from jaxcnn.analysis.pca import pca_error

_NAME, _PAPER = "autoencoder_mlp", "Hinton and Salakhutdinov 2006"
_FIGURE = f"{_PAPER}, figure 2B"


def _trained(what, printed, protocol):
    options: dict[str, Any] = {"data": "MNIST test", "protocol": protocol, "images": 10_000}
    return Entry(f"{_NAME}/{what}/error", _NAME, "squared error", printed, _FIGURE, "protocol", **options)


ENTRIES: list[Entry] = [
    *shapes(
        _NAME,
        f"{_PAPER}, MNIST: 784-1000-500-250-30",
        {"encoder1": "1000", "encoder2": "500", "encoder3": "250", "code": "30", "image": "28x28"},
    ),
    _trained("deep_autoencoder", "3.00", "pretrained by restricted Boltzmann machines, code of 30"),
    _trained("logistic_pca", "8.01", "logistic PCA of 30 components"),
    match(
        _NAME,
        "pca/error",
        "squared error",
        "13.87",
        f"{_FIGURE}; 30 components",
        data="tfds:mnist",
        from_images=lambda train, test: pca_error(train, test, 30),
    ),
]
