"""Does a larger batch cost accuracy after equal epochs, and does a learning rate in proportion give it back?

Claim: Goyal et al. 2017 (arXiv:1706.02677), section 2: when the batch grows k times, k times the learning rate keeps
    the accuracy; without that it falls.
Protocol: one convnet, equal epochs; batches of 16, 64 and 256 images at the rate that suits 16, and 64 and 256 at a
    rate in proportion, with a warm-up of 10 % of the run for all.
Refuted if: at 256 the rate in proportion tests below the unchanged one beyond what the seeds explain.
Cost: 25 runs of about 10 seconds on 2 CPU cores at the scale digits.
"""

from jaxcnn.sweeps import Claim, Study, scale_config

BATCH = "batch"
RATE = 0.01


def study(scale="digits"):
    """Three batch sizes, and two of them with the rate in proportion."""
    config = scale_config(scale)
    config.schedule.warmup = "10%"
    smallest = 16 if config.batch_size < 128 else 64
    levels = {}
    for factor in (1, 4, 16):
        size = factor * smallest
        levels[f"{size}"] = {"batch_size": size, "optimizer.learning_rate": RATE}
        if factor > 1:
            levels[f"{size} scaled"] = {"batch_size": size, "optimizer.learning_rate": factor * RATE}
    small, large = f"{smallest}", f"{16 * smallest}"
    return Study(
        base=config,
        factors={BATCH: levels},
        seeds=(0, 1, 2, 3, 4),
        baseline={BATCH: small},
        claims=(
            Claim("At one rate 16 times the batch tests worse.", {BATCH: small}, {BATCH: large}),
            Claim("A rate in proportion gives accuracy back.", {BATCH: f"{large} scaled"}, {BATCH: large}),
        ),
    )
