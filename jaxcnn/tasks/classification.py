"""Classification: one label an image, measured by top-1 and top-5 accuracy."""

from jaxcnn.tasks.task import Kind, Measure


def create(about):
    """The Task of labelling images with the classes of `about`."""
    raise NotImplementedError


CLASSIFICATION = Kind(
    measures={
        "loss": Measure(higher_is_better=False, label="loss"),
        "top1": Measure("points", label="accuracy"),
        "top5": Measure("points", label="top-5 accuracy"),
    },
    selects=("top1", "loss"),
    create=create,
    numbers={"label_smoothing": "loss.label_smoothing"},
)
