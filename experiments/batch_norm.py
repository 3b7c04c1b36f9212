"""Does batch normalisation speed training up and let it stand a higher learning rate?

Claim: Ioffe and Szegedy 2015 (arXiv:1502.03167), section 4.2: with it a network reaches the same accuracy in fewer
    steps, and at five and thirty times the learning rate, where the plain network does not train.
Protocol: one convnet with and without, three learning rates; the steps to 25 % training error, read every 5 steps. A
    run that diverges has no value and is reported as failed: that is part of the answer.
Margin: of test accuracy that of `scale_margin`, a point at the scale digits. It was set after the first record (seeds 0
    to 4) had left claims open, and before the runs that decide, whose seeds are others.
Refuted if: without it training is as quick at the same rate, or does not suffer from ten times the rate.
Cost: 99 runs of about 10 seconds at the scale digits, until the claims are decided (14 minutes of one CPU core).
"""

from jaxcnn.sweeps import Claim, Study, scale_config, scale_margin, steps_to_training_error

NORM, RATE = "model.options.batch_norm", "optimizer.learning_rate"


def study(scale="digits"):
    """With and without, at 0.02, 0.1 and 0.5."""
    config = scale_config(scale)
    config.log_every = 5
    return Study(
        base=config,
        factors={NORM: (False, True), RATE: (0.02, 0.1, 0.5)},
        seeds=(5, 6, 7, 8, 9),
        baseline={NORM: False, RATE: 0.02},
        claims=(
            Claim(
                "At one rate the plain network needs more steps to 25 % training error.",
                {NORM: False, RATE: 0.02},
                {NORM: True, RATE: 0.02},
                "steps_to_25",
            ),
            Claim(
                "At five times the rate the normalised network tests better than the plain one.",
                {NORM: True, RATE: 0.1},
                {NORM: False, RATE: 0.1},
            ),
            Claim(
                "At 25 times the rate the normalised network tests better than the plain one at its own.",
                {NORM: True, RATE: 0.5},
                {NORM: False, RATE: 0.02},
                margin=scale_margin(scale),
            ),
        ),
        measures={"steps_to_25": steps_to_training_error(0.25)},
    )
