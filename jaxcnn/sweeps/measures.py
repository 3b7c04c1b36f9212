"""Measures that several studies share, beside those of every study (METRICS)."""

from jaxcnn.sweeps.claim import Measure


def steps_to_training_error(error):
    """The Measure of how many steps a run takes until its error on the training images of a log interval is this low.

    Krizhevsky et al. 2012, figure 1, with 0.25. A run that never gets there has none; its resolution is
    config.log_every.

    Args:
      error: a fraction.
    Returns:
      A Measure, compared by ratios.
    """

    def read(rows):
        train = (row for row in rows if row.get("split") == "train")
        return next((row["step"] for row in train if 1 - row["top1"] <= error), None)

    return Measure(read, "steps", higher_is_better=False, log=True, label=f"steps to {100 * error:g} % training error")
