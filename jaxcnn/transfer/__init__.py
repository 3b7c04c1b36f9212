"""Weights from elsewhere: torchvision, timm and Caffe, in and out."""

from jaxcnn.transfer.convert import SOURCES, convert, export

__all__ = ["SOURCES", "convert", "export"]
