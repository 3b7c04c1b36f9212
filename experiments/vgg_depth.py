"""Does depth alone lower the error, from 11 to 19 layers of 3x3 convolutions?

Claim: Simonyan and Zisserman 2014, table 3: from A to D the top-1 error falls from 29.6 to 25.6 %, E is no better than
    D (25.5 at one scale), response normalisation does not help A (29.7), and C, with 1x1 where D has 3x3, lies between.
Protocol: the six networks, without normalisation, He's weights. At small scales the `*_small` variants with an eighth
    of the widths, full connections of 128, batch normalisation and no dropout: so narrow, A does not leave chance
    without (pilot of one seed, 242 steps: 10 % without, 73 % with normalisation).
Margin: of test accuracy that of `scale_margin`, a point at the scale digits. It was set after the first record (seeds 0
    to 4) had left claims open, and before the runs that decide, whose seeds are others.
Refuted if: D tests below A beyond what the seeds explain; at a small scale that may be a matter of optimisation only.
Cost: 30 runs of about 30 seconds on 2 CPU cores at the scale digits.
"""

from jaxcnn.sweeps import Claim, Study, is_large, scale_config, scale_margin

NETWORK = "network"
PAPER = {"A": 29.6, "A-LRN": 29.7, "B": 28.7, "C": 28.1, "D": 27.0, "E": 27.3}


def study(scale="digits"):
    """A, A-LRN, B, C, D, E."""
    config = scale_config(scale)
    config.optimizer.learning_rate = 0.01
    config.model.options = {}
    if is_large(scale):
        config.data.image_size, config.data.resize = (224, 224), 256
    if not is_large(scale):
        config.model.options.update({"widths": (8, 16, 32, 64, 64), "hidden": (128, 128), "batch_norm": True})
        config.model.dropout, config.optimizer.learning_rate = 0.0, 0.05
    end = "" if is_large(scale) else "_small"
    levels = {letter: {"model.name": f"vgg_{letter.lower()}{end}"} for letter in "ABCDE"}
    levels["A-LRN"] = {**levels["A"], "model.options.lrn": True}
    paper = {f"{NETWORK}={k}": (v, "top-1 error, %, one scale of 256, table 3") for k, v in PAPER.items()}
    a, b, c, d, e, lrn = ({NETWORK: name} for name in levels)
    margin = scale_margin(scale)
    return Study(
        base=config,
        factors={NETWORK: levels},
        seeds=(5, 6, 7, 8, 9),
        baseline=a,
        claims=(
            Claim("B, with 13 layers, tests better than A, with 11.", b, a, margin=margin),
            Claim("D, with 16 layers, tests better than A, with 11.", d, a, margin=margin),
            Claim("D tests better than C, which has 1x1 for three of its 3x3.", d, c, margin=margin),
            Claim("E, with 19 layers, tests better than D, with 16.", e, d, margin=margin),
            Claim("Response normalisation raises A's test accuracy.", lrn, a, margin=margin),
        ),
        paper=paper if scale == "imagenet" else {},
    )
