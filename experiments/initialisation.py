"""Do deeper relu networks need initial weights whose variance suits the fan-in?

Claim: He et al. 2015 (arXiv:1502.01852), section 2.2: with their variance a deep relu network starts to learn sooner
    than with Glorot's, and N(0, 0.01**2) stalls.
Protocol: a convnet of nine convolutions without normalisation; He's, Glorot's, LeCun's and N(0, 0.01**2) weights,
    everything else the same; the training loss of the last steps. The steps to 25 % training error, read every 5 steps,
    are in the table: the first record (seeds 0 to 4) claimed them, and at the scale digits no run of Glorot's weights
    got there, so that no pair had a value. The claim is of the loss since, and its seeds are others.
Refuted if: Glorot's weights end with a lower training loss than He's beyond what the seeds explain.
Cost: 26 runs of about 15 seconds at the scale digits, until the claims are decided (6 minutes of one CPU core).
"""

from jaxcnn.sweeps import Claim, Study, scale_config, steps_to_training_error

WEIGHTS = "model.options.kernel_init"


def study(scale="digits"):
    """Four ways to draw the weights."""
    config = scale_config(scale)
    config.model.options.convolutions = 3
    config.optimizer.learning_rate = 0.01
    config.log_every = 5
    if scale == "digits":
        config.duration = "10 epochs"
    he, glorot, normal = ({WEIGHTS: name} for name in ("he", "glorot", "normal"))
    return Study(
        base=config,
        factors={WEIGHTS: ("he", "glorot", "lecun", "normal")},
        seeds=(5, 6, 7, 8, 9),
        baseline=he,
        claims=(
            Claim("Glorot's weights end with a higher training loss than He's.", glorot, he, "train_loss"),
            Claim("N(0, 0.01²) weights end with a higher training loss than He's.", normal, he, "train_loss"),
        ),
        measures={"steps_to_25": steps_to_training_error(0.25)},
    )
