"""DnCNN (Zhang, Zuo, Chen, Meng and Zhang 2017, arXiv:1608.03981)."""

from typing import Any

from jaxcnn.analysis.ledger.entry import Entry, match, recipe

_PAPER = "Zhang et al. 2017, section"


def _set12(method: str, printed: str, sigma: int) -> Entry:
    """A published mean PSNR over Set12 in dB, of a method that is told sigma."""
    name, table = f"dncnn/PSNR/Set12/{method}, sigma {sigma}", "Zhang et al. 2017, table III"
    options: dict[str, Any] = {"data": "Set12", "protocol": f"{method}, sigma {sigma}", "images": 12}
    return Entry(name, "dncnn", "PSNR", printed, table, "protocol", **options)


ENTRIES: list[Entry] = [
    match(
        "dncnn",
        "receptive_field",
        "receptive_field",
        "35",
        f"{_PAPER} III.A",
        lambda net: net.receptive_field("conv17"),
    ),
    _set12("DnCNN-S", "32.86", 15),
    _set12("DnCNN-S", "30.44", 25),
    _set12("DnCNN-S", "27.18", 50),
    _set12("BM3D", "32.37", 15),
    _set12("BM3D", "29.97", 25),
    _set12("BM3D", "26.72", 50),
    recipe(
        "dncnn",
        "noise of sigma 25, 400 images of 180x180, 128 x 1,600 patches of 40x40; SGD with momentum 0.9, decay 0.0001, "
        "128 patches, 50 epochs at rates falling from 0.1 to 0.0001",
        f"{_PAPER} IV.A and IV.B",
    ),
]
