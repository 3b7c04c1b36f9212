"""What a model costs, computed without running it."""

from jaxcnn.analysis.summary import summarize

__all__ = ["summarize"]
