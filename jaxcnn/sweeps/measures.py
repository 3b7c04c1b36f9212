"""Metrics that several studies share, beside those that every run has."""

from jaxcnn.sweeps.metrics import Metric
from jaxcnn.tasks import CLASSIFICATION


def steps_to_training_error(error: float) -> Metric:
    """The Metric of how many steps a run takes until its error on the training images of a log interval is this low.

    It is of classification; a study of another task brings a Metric of its own.

    Krizhevsky et al. 2012, figure 1, with 0.25. A run that never gets there has none; its resolution is
    config.log_every.

    Args:
      error: a fraction.
    Returns:
      A Metric, compared by ratios.
    """
    name = CLASSIFICATION.selects[0]
    measure = CLASSIFICATION.measures[name]

    def read(rows):
        train = (row for row in rows if row.get("split") == "train")
        return next((row["step"] for row in train if measure.error(row[name]) <= error), None)

    return Metric(read, "steps", higher_is_better=False, log=True, label=f"steps to {100 * error:g} % training error")
