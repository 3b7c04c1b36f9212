"""How far held-out images can tell which of a run's states is the best."""

FEW = 100  # held-out images below which the choice is said to be uncertain: +- 9 points at 70 %
OF_IMAGES = ("top1", "exact")  # measures that are the fraction of images that are right


def few_images(share: float, n: int) -> str | None:
    """A sentence with Wilson's 95 % interval of a held-out accuracy, where few images gave it; None where many did.

    Args:
      share: the fraction that was right.
      n: held-out images.
    """
    if not 0 < n < FEW:
        return None
    from jaxcnn.analysis.proportion import wilson_interval  # only here, and slow to import

    low, high = wilson_interval(round(share * n), n)
    return (
        f"only {n} images are held out: {share:.1%} of them right could as well be {low:.1%} or {high:.1%} "
        "(95 % interval), so the choice of the best checkpoint is in part chance. A larger slice in "
        "config.data.validation decides better."
    )
