"""Do ten crops test better than one?

Claim: Krizhevsky et al. 2012, section 4.1: without the average over ten crops top-1 and top-5 errors are 39.0 and
    18.3 % instead of 37.5 and 17.0 %.
Protocol: networks that were trained on random windows of 7/8 of the side, with mirror images; each tested with one
    crop and with ten on the same images; n = 5 networks, paired.
Refuted if: the mean error of ten crops is above that of one.
Cost: 5 runs of about 10 seconds on 2 CPU cores at the scale digits, and a minute for the crops.
"""

from jaxcnn.evaluation.error_table import write_csv
from jaxcnn.evaluation.protocols import evaluate_protocols
from jaxcnn.sweeps import Study, scale_config
from jaxcnn.sweeps.statistics import paired_comparison

CROPS = (1, 10)
SIDES = {"digits": 16, "mnist": 32, "cifar10-subset": 32, "cifar10": 32, "imagenet": 256}


def study(scale="digits"):
    """One recipe, five seeds."""
    config, side = scale_config(scale), SIDES.get(scale, 64)
    config.data.image_size, config.data.resize = (7 * side // 8,) * 2, side
    config.augment.pad_crop, config.augment.flip = 0, True
    config.augment.crop, config.augment.crop_scale = "scaled", (8 / 7, 8 / 7)
    return Study(base=config, factors={}, seeds=(0, 1, 2, 3, 4))


def analyse(study, workdir):
    """The error of every protocol, with the differences to one crop; yields the lines of the answer."""
    errors, rows = {crops: {} for crops in CROPS}, []
    for run in study.runs():
        found = evaluate_protocols([workdir / run.id], "test", crops=CROPS).rows
        rows += found
        for crops, row in zip(CROPS, found, strict=True):
            errors[crops][run.seed] = row.top1_error
    write_csv(workdir / "crops.csv", rows)
    for crops in CROPS[1:]:
        found = paired_comparison(errors[1], errors[crops])
        interval = " to ".join(f"{100 * edge:.2f}" for edge in found.interval) if found.interval else "none"
        mean = sum(errors[crops].values()) / len(errors[crops])
        yield (
            f"top-1 error with {crops} crops {mean:.2%}; one crop minus {crops}: {100 * found.difference:.2f} points "
            f"(95 % interval {interval}, n = {found.n} networks, p {found.p:.2g})"
        )
