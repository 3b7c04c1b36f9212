"""Error rates and power of the tests that hold at any stop, simulated: `python tests/sweeps/anytime_simulation.py`.

It prints the tables of docs/statistics.md; test_anytime.py takes its laws and paths.
"""

import numpy as np
import scipy.stats

from jaxcnn.sweeps import anytime

PATHS, ALPHA = 10_000, 0.05
VARIANCES = (0.25, 0.5, 1.0, 2.0, 4.0, 9.0)  # of mu / sigma: the choice of anytime.VARIANCE
COUNTS = (3, 4, 5, 6, 8, 10, 15, 20)

# Differences of mean 0; all but the first break the assumption.
LAWS = {
    "normal": lambda generator, shape: generator.normal(0, 1, shape),
    "uniform": lambda generator, shape: generator.uniform(-1, 1, shape),
    "t, 3 degrees of freedom": lambda generator, shape: generator.standard_t(3, shape),
    "two peaks": lambda generator, shape: generator.choice([-1, 1], shape) + generator.normal(0, 0.2, shape),
    "accuracies": lambda generator, shape: (  # of two networks on 360 images, nearly all right: many are equal
        (generator.binomial(360, 0.995, shape) - generator.binomial(360, 0.995, shape)) / 360
    ),
    "exponential": lambda generator, shape: generator.exponential(1, shape) - 1,
    "rare failures": lambda generator, shape: (  # one run in twenty is far below, and the mean is 0 with it
        generator.normal(0.25, 0.25, shape) - 5 * (generator.uniform(size=shape) < 0.05)
    ),
}


def paths(law, n, *, seed=0, count=PATHS):
    """(count, n) differences of mean 0."""
    return LAWS[law](np.random.default_rng(seed), (count, n))


def bounds(successes, count):
    """Clopper and Pearson's 95 % interval of a rate, (low, high)."""
    interval = scipy.stats.binomtest(int(successes), count).proportion_ci()
    return interval.low, interval.high


def ever_claimed(differences):
    """(...,) bool: whether someone who looks after every seed ever finds a difference."""
    return (anytime.difference_p(differences) <= ALPHA).any(-1)


def ever_claimed_by_t(differences):
    """The same of the paired t test, read after every seed from the third: what optional stopping does to it."""
    n = np.arange(2, differences.shape[-1] + 1)
    squares, means = (differences**2).cumsum(-1)[..., 1:], differences.cumsum(-1)[..., 1:] / n
    spread = np.sqrt(np.maximum(squares / n - means**2, 1e-30) * n / (n - 1))
    limit = scipy.stats.t.ppf(1 - ALPHA / 2, n - 1)
    return (np.abs(means) * np.sqrt(n) > limit * spread)[..., 1:]


def covered(differences, mean=0.0):
    """(...,) bool: whether every interval, after every seed, holds the mean."""
    low, high = anytime.confidence_sequence(differences)
    return ((low <= mean) & (mean <= high)).all(-1)


def print_errors(n=200):
    print(f"law | ever claimed, {n} seeds | every interval holds the mean | t test, read after every seed")
    for law in LAWS:
        drawn = paths(law, n)
        rates = ever_claimed(drawn), covered(drawn), ever_claimed_by_t(drawn).any(-1)
        words = [f"{100 * rate.mean():.1f} ({100 * low:.1f} to {100 * high:.1f})" for rate in rates
                 for low, high in [bounds(rate.sum(), PATHS)]]  # fmt: skip
        print(law, *words, sep=" | ")


def print_power():
    print("effect | test |", *COUNTS, "mean n, at most 40", sep=" | ")
    noise = paths("normal", 40)
    for effect in (0.5, 1.0, 2.0):
        fixed = ever_claimed_by_t(noise + effect).mean(0)
        print(effect, "t, n fixed before", *(f"{100 * fixed[n - 3]:.0f}" for n in COUNTS), "", sep=" | ")
        for variance in VARIANCES:
            anytime.VARIANCE = variance
            found = anytime.difference_p(noise + effect) <= ALPHA
            ended = np.where(found.any(-1), found.argmax(-1) + 1, 40).mean()
            words = (f"{100 * found.mean(0)[n - 1]:.0f}" for n in COUNTS)
            print(effect, f"any stop, VARIANCE {variance:g}", *words, f"{ended:.1f}", sep=" | ")


if __name__ == "__main__":
    print_errors()
    print_power()
