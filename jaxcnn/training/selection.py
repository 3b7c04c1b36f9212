"""Which of a run's states is the best, and how far its held-out images can tell."""

FEW = 100  # held-out images below which the choice is said to be uncertain: +- 9 points at 70 %


def rank(metrics):
    """Higher is better: held-out top-1, then the lower loss; of equals the later step counts as the best."""
    return metrics["top1"], -metrics["loss"]


def few_images(top1, n):
    """A sentence with the 95 % interval of a held-out accuracy, where few images gave it; None where many did.

    Wilson's interval, which holds for few images and near 0 and 1 too (Wilson 1927).

    Args:
      top1: the fraction that was right.
      n: held-out images.
    """
    if not 0 < n < FEW:
        return None
    from scipy.stats import binomtest  # only here, and slow to import

    found = binomtest(round(top1 * n), n).proportion_ci(method="wilson")
    return (
        f"only {n} images are held out: {top1:.1%} of them right could as well be {found.low:.1%} or {found.high:.1%} "
        "(95 % interval), so the choice of the best checkpoint is in part chance. A larger slice in "
        "config.data.validation decides better."
    )
