"""The interval of a proportion: of how many of n images a classifier is right."""

from scipy.stats import binomtest


def wilson_interval(right: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """The interval (low, high) of a proportion, which holds for few images and near 0 and 1 too.

    The n images are n draws of one fixed classifier. The spread over training seeds is not in it; that is
    jaxcnn.sweeps.statistics.mean_interval.

    Source: Wilson 1927, Journal of the American Statistical Association 22.
    """
    interval = binomtest(int(right), int(n)).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)
