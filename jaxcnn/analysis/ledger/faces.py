"""Faces: Lawrence, Giles, Tsoi and Back 1997 ("Face recognition: a convolutional neural-network approach")."""

from typing import Any

from jaxcnn.analysis.ledger.entry import Entry, error

_PAPER = "Lawrence et al. 1997, abstract"
_ORL: dict[str, Any] = {"data": "ORL test", "images": 200}

ENTRIES: list[Entry] = [
    error("som_cnn", "3.8", _PAPER, "5 images a person to learn from; a self-organising map before it", **_ORL),
    error("som_cnn", "5.3", _PAPER, "5 images a person to learn from; the Karhunen-Loeve transform before it", **_ORL),
    error("som_cnn", "10.5", _PAPER, "5 images a person to learn from; eigenfaces in its place", **_ORL),
]
