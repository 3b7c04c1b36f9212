"""Does a network that gives colours to grey images do better in Lab, where it cannot spoil the lightness?

Claim: Zhang, Isola and Efros 2016 (arXiv:1603.08511, section 2): colours are learned as a and b of Lab for a given L.
    That this is better than to make red, green and blue is not their claim but the reason given for the space.
Protocol: CIFAR-10 in grey, the first 10,000 training images, the last 1,000 for the choice of the checkpoint, all
    10,000 test images. `unet_small` with batch norm makes a and b of Lab, or red, green and blue of the luminance; Adam
    on the squared error of what it makes, cosine decay; 3 seeds. PSNR is of red, green and blue in both.
Refuted if: the PSNR by Lab is not above that by RGB beyond what the seeds explain (paired t).
Cost: 6 runs of about 2 minutes on 2 CPU cores. DIR holds TFDS's cifar10:
    TFDS_DATA_DIR=DIR python -m jaxcnn sweep experiments/colourisation.py --workdir runs/colourisation
"""

from PIL import Image

from jaxcnn import Trained, default_config
from jaxcnn.evaluation.restored import restored_examples
from jaxcnn.sweeps import Claim, Study
from jaxcnn.visualize.restorations import contact_sheet

SPACE = "task.options.space"


def study():
    """Lab and RGB."""
    config = default_config()
    config.data.name = "tfds:cifar10"
    config.data.train, config.data.validation, config.data.test = "train[:20%]", "train[98%:]", "test"
    config.augment.flip = True
    config.model.name, config.model.options = "unet_small", {"width": 16, "batch_norm": True}
    config.task.name, config.task.options = "reconstruction", {"corrupt": "gray"}
    config.batch_size, config.duration = 64, "3 epochs"
    config.optimizer.name, config.optimizer.learning_rate = "adam", 3e-3
    config.schedule.name, config.schedule.warmup = "cosine", "5%"
    config.evaluation.every = config.checkpoint.every = "1 epoch"
    spaces = {space: {SPACE: space, "model.options.channels": channels} for space, channels in (("lab", 2), ("rgb", 3))}
    claim = Claim("Colours by Lab have a higher PSNR than by RGB.", {"space": "lab"}, {"space": "rgb"})
    return Study(base=config, factors={"space": spaces}, seeds=(0, 1, 2), claims=(claim,))


def analyse(study, workdir):
    """Shows test images of each cell's first seed: grey, coloured, as they are, and the difference."""
    for run in study.runs():
        if run.seed == study.seeds[0]:
            restored = restored_examples(Trained(workdir / run.id), "test", count=4)
            Image.fromarray(contact_sheet(restored)).save(workdir / f"examples_{run.levels['space']}.jpg")
            yield f"{run.cell}: examples_{run.levels['space']}.jpg"
