"""The costs and receptive fields of a model, computed without running it."""

from jaxcnn.analysis.accounting import Analysis, Layer, analyse
from jaxcnn.analysis.field import Field
from jaxcnn.analysis.summary import summarize

__all__ = ["Analysis", "Field", "Layer", "analyse", "summarize"]
