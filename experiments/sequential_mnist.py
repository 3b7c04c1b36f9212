"""Does an LSTM read a digit as a sequence better than a plain recurrent network, and the identity help the latter?

Claim: Le, Jaitly and Hinton 2015 (arXiv:1504.00941, table 3): on MNIST pixel by pixel a network of rectified units that
    begins with the identity (97 %) beats the LSTM (65 % at their budget), which beats plain tanh units (35 %).
Protocol: one recurrent layer of 96 units. Pixel by pixel is too long for two CPU cores: the image is read by rows, and
    by patches of 4x4. One recipe for all; the paper searched a rate for each.
Refuted if: the tanh network is not below the LSTM, or not below the identity, beyond what the seeds explain (paired t,
    Holm).
Cost: 18 runs on the embedded digits, 12 minutes of one core with --runner population.
"""

from jaxcnn.sweeps import Claim, Study, scale_config

CELL, PATCH = "model.options.cell", "model.options.patch"


def study(scale="digits"):
    """Three cells, two ways to cut an image into steps."""
    config = scale_config(scale)
    config.model.name, config.model.options = "rnn_classifier", {"cell": "lstm", "patch": 0}
    config.augment.pad_crop, config.augment.flip = 0, False
    config.optimizer.name, config.optimizer.learning_rate, config.optimizer.clip = "adam", 2e-3, 1.0
    lstm, plain, identity = ({CELL: name} for name in ("lstm", "rnn", "irnn"))
    return Study(
        base=config,
        factors={CELL: ("lstm", "rnn", "irnn"), PATCH: (0, 4)},
        seeds=(0, 1, 2),
        claims=(
            Claim("The LSTM tests better than tanh units.", lstm, plain),
            Claim("Rectified units that begin with the identity test better than tanh units.", identity, plain),
            Claim("Rectified units that begin with the identity test better than the LSTM.", identity, lstm),
        ),
    )
