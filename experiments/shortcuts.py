"""Which shortcut: padded identity (A), projection where shapes change (B), projection everywhere (C)?

Claim: He et al. 2015, table 3: B is slightly better than A (ResNet-34 top-1 24.52 against 25.03 %), C slightly better
    than B (24.19 %): projections are not needed.
Protocol: ResNet-20 (--scale imagenet or folder: ResNet-34, and ResNet-50 with the stride in its first 1x1 or, v1.5, in
    its 3x3) by one recipe.
Margin: of test accuracy that of `scale_margin`, a point at the scale digits. It was set after the first record (seeds 0
    to 4) had left claims open, and before the runs that decide, whose seeds are others.
Refuted if: B tests below A beyond what the seeds explain.
Cost: 27 runs of 1 to 3 minutes on one core until decided (--runner local --until decided), at the scale digits.
"""

from jaxcnn.sweeps import Claim, Study, is_large, scale_config, scale_margin

SHORTCUT = "shortcut"
PAPER = {"A": 25.03, "B": 24.52, "C": 24.19}


def study(scale="digits"):
    """A, B, C; on photographs also v1 and v1.5."""
    config = scale_config(scale)
    config.optimizer.learning_rate = 0.1
    config.model.name, config.model.options = "resnet34" if is_large(scale) else "resnet20", {}
    levels = {letter: {"model.options.shortcut": letter} for letter in "ABC"}
    if is_large(scale):
        levels |= {"v1": {"model.name": "resnet50"}, "v1.5": {"model.name": "resnet50_v1_5"}}
    paper = {f"{SHORTCUT}={k}": (v, "top-1 error, %, 10 crops, ResNet-34, He et al. table 3") for k, v in PAPER.items()}
    a, b, c = ({SHORTCUT: letter} for letter in "ABC")
    margin = scale_margin(scale)
    return Study(
        base=config,
        factors={SHORTCUT: levels},
        seeds=(5, 6, 7, 8, 9),
        baseline=a,
        claims=(
            Claim("Projections where shapes change (B) test better than padding (A).", b, a, margin=margin),
            Claim("Projections everywhere (C) test better than B.", c, b, margin=margin),
        ),
        paper=paper if scale == "imagenet" else {},
    )
