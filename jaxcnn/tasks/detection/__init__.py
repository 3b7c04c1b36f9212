"""Detection: where the objects of an image are, and of which class."""

from jaxcnn.tasks.detection.detection import DETECTION

__all__ = ["DETECTION"]
