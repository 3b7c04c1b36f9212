"""Does the mean of the last quarter's weights test better than the last ones, and than a rate that falls?

Claim: Izmailov et al. 2018 (arXiv:1803.05407, table 1): the mean of the weights that SGD visits at a constant rate
    tests better than its last weights, and better than training by a falling rate.
Protocol: a small convnet, one recipe, 10 epochs; the rate stays (`last`), stays and the weights of the last quarter
    are averaged (`mean`, config.optimizer.swa), or falls by a cosine (`falling`). 10 seeds, from 5 on: 0 to 4 were a
    trial, which saw the order and left the second claim open.
Refuted if: `mean` is not above `last`, or below `falling`, beyond what the seeds explain (paired t, Holm).
Cost: 30 runs of the embedded digits, 2 minutes of one core.
"""

from jaxcnn.sweeps import Claim, Study, scale_config, scale_margin


def study(scale="digits"):
    """Three ends of one training."""
    config = scale_config(scale)
    config.duration = "10 epochs"
    config.schedule.name = "constant"
    ends = {
        "last": {"optimizer.swa": ""},
        "mean": {"optimizer.swa": "75%"},
        "falling": {"optimizer.swa": "", "schedule.name": "cosine"},
    }
    last, mean, falling = ({"end": name} for name in ends)
    return Study(
        base=config,
        factors={"end": ends},
        seeds=tuple(range(5, 15)),
        baseline=last,
        claims=(
            Claim("Averaged weights test better than the last ones.", mean, last),
            Claim("Averaged weights test better than a falling rate.", mean, falling, margin=scale_margin(scale)),
        ),
    )
