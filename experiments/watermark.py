"""Does a U-Net take watermarks off photographs, and do its skips matter?

Claim: Mao, Shen and Yang 2016 (arXiv:1603.09056): networks that restore images need connections past their bottleneck,
    through which the detail that was not harmed comes.
Protocol: white texts and signs of 1 to 6 glyphs, drawn at random in shape, place, turn, size and strength (from half to
    0.8 of a pixel is the mark's), are laid over each image; the network gets the result and not where it is.
    `unet_small` with batch norm, which makes what is subtracted, against `autoencoder_conv`, which has no skips and
    makes the image; Adam on the squared error, cosine decay; 3 seeds. The images of test and their marks, the same for
    all networks, are seen by none in training. PSNR is measured over the marked pixels, with the mark kept (that of the
    input) and removed.
Refuted if: the U-Net's PSNR inside the mark is not above the autoencoder's beyond what the spread of the seeds explains
    (paired t), or not 6 dB above that with the mark kept.
Cost: 6 runs of a few seconds on 2 CPU cores with the embedded digits; of 2 to 8 minutes with 1,000 photographs.
    PHOTOS holds class folders, whose classes are not used:
    python -m jaxcnn sweep experiments/watermark.py --scale folder:PHOTOS --workdir runs/watermark
"""

import numpy as np
from PIL import Image

from jaxcnn import Trained
from jaxcnn.evaluation.restored import restored_examples
from jaxcnn.sweeps import Claim, Study, is_large, scale_config
from jaxcnn.training.rundir.evaluations import read_evaluations
from jaxcnn.visualize.restorations import contact_sheet

NETWORK = "network"
UNET = {"width": 16, "batch_norm": True, "residual": True}
MARKS = {"corrupt": "watermark", "strength": (0.5, 0.8), "white": 1.0, "loss": "squared"}


def study(scale="digits"):
    """With skips and without."""
    config = scale_config(scale)
    config.augment.pad_crop = 0
    if is_large(scale):
        config.data.resize = 5 * config.data.image_size[0] // 4
        config.augment.crop, config.augment.crop_scale = "scaled", (1.0, 1.25)
        config.duration = "2000 steps"
    config.batch_size = 16
    config.task.name, config.task.options = "reconstruction", MARKS
    config.model.options = {}
    config.optimizer.name, config.optimizer.learning_rate, config.optimizer.weight_decay = "adam", 3e-3, 0.0
    config.schedule.name, config.schedule.warmup = "cosine", "5%"
    networks = {
        "unet": {"model.name": "unet_small", **{f"model.options.{name}": value for name, value in UNET.items()}},
        "autoencoder": {"model.name": "autoencoder_conv", "model.options.code": 32},
    }
    unet, autoencoder = ({NETWORK: name} for name in networks)
    text = "With skips the image is nearer inside the mark."
    claim = Claim(text, unet, autoencoder, "test_psnr_mark")
    return Study(base=config, factors={NETWORK: networks}, seeds=(0, 1, 2), claims=(claim,))


def analyse(study, workdir):
    """Shows test images of the U-Net's first seed; yields by how much PSNR rises inside the mark, over the seeds."""
    for cell in study.cells():
        folders = [workdir / run.id for run in study.runs() if run.cell == cell]
        tests = [next(row for row in read_evaluations(folder) if row.get("final")) for folder in folders]
        rises = np.array([test["psnr_mark"] - test["psnr_mark_input"] for test in tests])
        kept = tests[0]["psnr_mark_input"]
        yield (
            f"{cell}: inside the mark {kept + rises.mean():.2f} dB, {kept:.2f} with the mark kept: {rises.mean():.2f} "
            f"more (least of {len(rises)} seeds {rises.min():.2f})"
        )
    first = Trained(workdir / study.runs()[0].id)
    Image.fromarray(contact_sheet(restored_examples(first, "test", count=3))).save(workdir / "examples.jpg")
