"""DnCNN (Zhang, Zuo, Chen, Meng and Zhang 2017, arXiv:1608.03981)."""

from jaxcnn.analysis.ledger.entry import Entry, match, recipe

_PAPER = "Zhang et al. 2017, section"

ENTRIES: list[Entry] = [
    match(
        "dncnn",
        "receptive_field",
        "receptive_field",
        "35",
        f"{_PAPER} III.A",
        lambda net: net.receptive_field("conv17"),
    ),
    recipe(
        "dncnn",
        "noise of sigma 25, 400 images of 180x180, 128 x 1,600 patches of 40x40; SGD with momentum 0.9, decay 0.0001, "
        "128 patches, 50 epochs at rates falling from 0.1 to 0.0001",
        f"{_PAPER} IV.A and IV.B",
    ),
]
