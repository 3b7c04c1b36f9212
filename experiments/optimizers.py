"""Which optimizer and which schedule: SGD, momentum or Adam; constant, step or plateau?

Claim: Sutskever et al. 2013 (ICML): momentum trains quicker than plain SGD. Kingma and Ba 2014 (arXiv:1412.6980),
    section 6.3: Adam makes quicker progress on CNNs than SGD with momentum at first. He et al. 2015: dividing the rate
    on a plateau or at fixed steps lowers the error.
Protocol: one convnet; plain SGD at 0.1, momentum 0.9 at 0.02, Adam at 0.002, each with a constant rate, with steps of
    10 at half and three quarters of the run, and with a division by 10 after two evaluations without progress.
Margin: of test accuracy that of `scale_margin`, a point at the scale digits; of steps a quarter, far below what papers
    claim. It was set after the first record (seeds 0 to 4) had left claims open, and before the runs that decide, whose
    seeds are others.
Refuted if: plain SGD needs fewer steps than momentum, or a constant rate tests above steps, beyond what seeds explain.
Cost: 207 runs in 45 minutes of one core until decided (--runner population --until decided), at the scale digits.
"""

from jaxcnn.sweeps import Claim, Study, scale_config, scale_margin, steps_to_training_error

OPTIMIZER, SCHEDULE = "update", "schedule.name"


def study(scale="digits"):
    """Three optimizers under three schedules."""
    config = scale_config(scale)
    config.schedule.boundaries, config.schedule.patience = ("50%", "75%"), 2
    config.log_every = 5
    updates = {
        "sgd": {"optimizer.momentum": 0.0, "optimizer.learning_rate": 0.1},
        "momentum": {"optimizer.momentum": 0.9, "optimizer.learning_rate": 0.02},
        "adam": {"optimizer.name": "adam", "optimizer.learning_rate": 0.002},
    }
    sgd, momentum, adam = ({OPTIMIZER: name} for name in updates)
    constant, step, plateau = ({SCHEDULE: name} for name in ("constant", "step", "plateau"))
    margin = scale_margin(scale)
    return Study(
        base=config,
        factors={OPTIMIZER: updates, SCHEDULE: ("constant", "step", "plateau")},
        seeds=(5, 6, 7, 8, 9),
        baseline={OPTIMIZER: "momentum", SCHEDULE: "constant"},
        claims=(
            Claim("Plain SGD needs more steps than momentum to 25 % training error.", sgd, momentum, "steps_to_25"),
            Claim(
                "Momentum needs more steps than Adam to 25 % training error.",
                momentum,
                adam,
                "steps_to_25",
                margin=1.25,
            ),
            Claim("A stepped rate tests better than a constant one.", step, constant, margin=margin),
            Claim("A plateau rate tests better than a constant one.", plateau, constant, margin=margin),
        ),
        measures={"steps_to_25": steps_to_training_error(0.25)},
    )
