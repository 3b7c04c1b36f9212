"""How far held-out images can tell which of a run's states is the best."""

FEW = 100  # held-out images below which the choice is said to be uncertain: +- 9 points at 70 %
OF_IMAGES = ("top1", "exact")  # measures that are the fraction of images that are right


def few_images(share: float, n: int) -> str | None:
    """A sentence with the 95 % interval of a held-out accuracy, where few images gave it; None where many did.

    Wilson's interval, which holds for few images and near 0 and 1 too (Wilson 1927).

    Args:
      share: the fraction that was right.
      n: held-out images.
    """
    if not 0 < n < FEW:
        return None
    from scipy.stats import binomtest  # only here, and slow to import

    found = binomtest(round(share * n), n).proportion_ci(method="wilson")
    return (
        f"only {n} images are held out: {share:.1%} of them right could as well be {found.low:.1%} or {found.high:.1%} "
        "(95 % interval), so the choice of the best checkpoint is in part chance. A larger slice in "
        "config.data.validation decides better."
    )
