"""Does a network clean scanned pages that are not those it learned from, and better with the absolute error?

Claim: Zhao, Gallo, Frosio and Kautz 2017 (arXiv:1511.08861, table 1): a network that restores images ends with a higher
    PSNR if it is taught by the absolute error than by the squared one.
Protocol: scanned pages with stains and folds beside clean ones, 8 texts under 4 kinds of dirt each. 16 pairs (4 texts)
    to train on, 8 (2 texts) for the choice of the checkpoint, 8 (2 texts) to test on: no text is on two sides. Pieces
    of 128x128, mirrored. `unet_small`, residual, Adam, cosine decay; 3 seeds, either error. At the end each run is
    measured on whole test pages (`evaluate --whole`), beside the common way without a network: paper is what a median
    of 23x23 finds, and what is darker than it by 0.1 stays on white.
Refuted if: the PSNR by the absolute error is not above that by the squared one beyond what the seeds explain (paired
    t).
Cost: 6 runs of about 2 minutes on 2 CPU cores. The data lie in ../shared/denoise/dirty_documents: train/*.png and
    train_cleaned/*.png, of one name each.
    python -m jaxcnn sweep experiments/dirty_documents.py --workdir runs/dirty_documents
"""

import numpy as np
from PIL import Image
from scipy.ndimage import median_filter
from skimage.metrics import peak_signal_noise_ratio

from jaxcnn import Trained, default_config
from jaxcnn.evaluation.restored import restored_examples
from jaxcnn.evaluation.whole import evaluate_whole
from jaxcnn.sweeps import Claim, Study
from jaxcnn.visualize.restorations import contact_sheet

LOSS = "task.options.loss"
SIDE, WHOLE = 128, 258  # pixels of a piece, and of the short side of a page


def study():
    """The absolute error and the squared one."""
    config = default_config()
    config.data.name = "pairs:../shared/denoise/dirty_documents"
    config.data.train, config.data.validation, config.data.test = "train[:16]", "train[16:24]", "train[24:]"
    config.data.channels, config.data.image_size, config.data.resize = 1, (SIDE, SIDE), WHOLE
    config.augment.crop, config.augment.crop_scale = "scaled", (WHOLE / SIDE, WHOLE / SIDE)
    config.augment.flip = config.augment.vertical_flip = True
    config.model.name, config.model.options = "unet_small", {"width": 16, "residual": True}
    config.task.name, config.task.options = "reconstruction", {"corrupt": "pair"}
    config.batch_size, config.duration = 8, "400 steps"
    config.optimizer.name, config.optimizer.learning_rate = "adam", 2e-3
    config.schedule.name, config.schedule.warmup = "cosine", "5%"
    config.evaluation.every = config.checkpoint.every = "10%"
    absolute, squared = ({LOSS: name} for name in ("absolute", "squared"))
    claim = Claim("The absolute error teaches a higher PSNR than the squared one.", absolute, squared)
    return Study(base=config, factors={LOSS: ("absolute", "squared")}, seeds=(0, 1, 2), claims=(claim,))


def analyse(study, workdir):
    """Shows test pieces; yields the PSNR of whole test pages: as they are, by the median, and of each cell."""
    trained = Trained(workdir / study.runs()[0].id)
    Image.fromarray(contact_sheet(restored_examples(trained, "test", count=2))).save(workdir / "examples.jpg")
    records = trained.open("test").records
    pages = [records.whole(number) for number in range(len(records))]
    dirty, clean = ([page[name][..., 0] / 255 for page in pages] for name in ("image", "target"))
    for name, made in (("as they are", dirty), ("by the median", map(by_median, dirty))):
        values = [peak_signal_noise_ratio(target, x, data_range=1) for target, x in zip(clean, made, strict=True)]
        yield f"whole pages, {name}: {np.mean(values):.2f} dB"
    for cell in study.cells():
        found = [evaluate_whole(Trained(workdir / run.id), "test")[1] for run in study.runs() if run.cell == cell]
        values = [one["psnr"] for one in found]
        spread = f"std {np.std(values, ddof=1):.2f} over {len(values)} seeds"
        yield f"whole pages, {cell}: {np.mean(values):.2f} dB, {spread}"


def by_median(page):
    """A page (h, w) with all that is not darker than the paper around it by 0.1 made white."""
    return np.where(page < median_filter(page, 23) - 0.1, page, 1.0)
