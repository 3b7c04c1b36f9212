"""Trained networks used elsewhere: foreign weights, features and their probes, learning a second task."""

from jaxcnn.transfer.convert import convert, export
from jaxcnn.transfer.sources import SOURCES

__all__ = ["SOURCES", "convert", "export"]
