"""Does a network that is taught to take noise away beat non-local means, and does residual learning help?

Claim: Zhang et al. 2017 (arXiv:1608.03981): a network of known noise is above the methods of before (Set12, sigma 25:
    BM3D 29.97 dB, DnCNN-S 30.44, table III), and it learns faster if it makes the noise, which is subtracted, than if
    it makes the image (figure 2).
Protocol: noise of sigma 25 / 255, not clipped, and a network for this sigma alone. Trained on random pieces of 64x64 of
    380 of the 400 grey images of the paper, mirrored and turned over; the other 20 choose the checkpoint. A U-Net of
    481,745 parameters in place of the 17 layers of 64, which two CPU cores do not train: it sees more around a pixel,
    at a sixteenth of the multiplications. Adam on the squared error, cosine decay; 3 seeds, residual and not. PSNR of
    Set12 is the mean over its 12 images at their own size (`evaluate --whole`); scikit-image's non-local means gets the
    same noisy images and sigma, with the numbers of its example (patches of 5x5, 13x13 searched, h 0.6 sigma).
Refuted if: the mean PSNR on Set12 is not above that of non-local means beyond what the seeds explain (Student's 95 %
    interval), or the residual network's on the held-out images not above the other's (paired t).
Cost: 6 runs of about 9 minutes on 2 CPU cores. The data lie in ../shared/denoise/dncnn: Train400/*.png, Set12/*.png.
    python -m jaxcnn sweep experiments/denoising.py --workdir runs/denoising
"""

import collections
import json

import jax
import numpy as np
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio
from skimage.restoration import denoise_nl_means

from jaxcnn import Trained, default_config
from jaxcnn.evaluation.error_table import write_csv
from jaxcnn.evaluation.whole import evaluate_whole
from jaxcnn.sweeps import Claim, Study
from jaxcnn.sweeps.statistics import mean_interval
from jaxcnn.tasks.pixels import as_float

RESIDUAL = "model.options.residual"
SIGMA = 25.0
SIDE, WHOLE = 64, 180  # pixels of a piece, and of a training image
SHOWN = slice(96, 192)  # rows and columns of an image of Set12 that are shown

Row = collections.namedtuple("Row", ("method", "seed", "psnr"))


def study():
    """The noise learned, or the image."""
    config = default_config()
    config.data.name = "images:../shared/denoise/dncnn"
    config.data.train, config.data.validation, config.data.test = "Train400[:380]", "Train400[380:]", "Set12"
    config.data.channels, config.data.image_size, config.data.resize = 1, (SIDE, SIDE), WHOLE
    config.augment.crop, config.augment.crop_scale = "scaled", (WHOLE / SIDE, WHOLE / SIDE)
    config.augment.flip = config.augment.vertical_flip = True
    config.model.name, config.model.options = "unet_small", {"width": 16}
    config.task.name, config.task.options = "reconstruction", {"corrupt": "noise", "sigma": SIGMA}
    config.batch_size, config.duration = 4, "8000 steps"
    config.optimizer.name, config.optimizer.learning_rate = "adam", 2e-3
    config.schedule.name, config.schedule.warmup = "cosine", "100 steps"
    config.evaluation.every = config.checkpoint.every = "10%"
    text = "A network that makes the noise restores held-out images better than one that makes the image."
    claim = Claim(text, {RESIDUAL: True}, {RESIDUAL: False}, "validation_psnr")
    return Study(base=config, factors={RESIDUAL: (True, False)}, seeds=(0, 1, 2), claims=(claim,))


def analyse(study, workdir):
    """Measures every run on Set12 at its own size, beside non-local means; draws a part of two images."""
    found, first = {}, None
    for run in study.runs():
        trained = Trained(workdir / run.id)
        first = first or trained
        found.setdefault(run.cell, {})[run.seed] = [image["psnr"] for image in evaluate_whole(trained, "test")[2]]
    images = [noisy_and_clean(first, number) for number in range(len(first.open("test").records))]
    means = [non_local_means(noisy) for noisy, _ in images]
    baseline = {
        name: [peak_signal_noise_ratio(clean, x, data_range=1) for (_, clean), x in zip(images, made, strict=True)]
        for name, made in (("non-local means", means), ("noisy", [noisy for noisy, _ in images]))
    }
    for name, values in baseline.items():
        yield f"{name}: {np.mean(values):.2f} dB on Set12"
    for cell, seeds in found.items():
        values = [np.mean(each) for each in seeds.values()]
        low, high = mean_interval(values)
        yield (
            f"{cell}: {np.mean(values):.2f} dB on Set12, std {np.std(values, ddof=1):.3f} over {len(values)} seeds, "
            f"95 % interval {low:.2f} to {high:.2f}"
        )
    yield "published, not computed here: BM3D 29.97 dB, DnCNN-S 30.44"
    (workdir / "set12.json").write_text(json.dumps({"baseline": baseline, "networks": found}, indent=1) + "\n")
    rows = [(cell, seed, np.mean(each)) for cell, seeds in found.items() for seed, each in seeds.items()]
    rows += [(method, None, np.mean(values)) for method, values in baseline.items()]
    write_csv(workdir / "set12.csv", [Row(*row) for row in rows])
    draw(first, images, means, workdir / "examples.jpg")


def noisy_and_clean(trained, number):
    """The (noisy, clean) image (h, w) of Set12 of that number, as `evaluate --whole` has them."""
    record = trained.open("test").records.whole(number)
    batch = trained.task.inputs({"image": as_float(record["image"])[None], "index": record["index"][None]})
    return tuple(np.asarray(batch[name], np.float64)[0, ..., 0] for name in ("image", "target"))


def non_local_means(image):
    """The image restored by scikit-image (Buades et al. 2005), which is told sigma."""
    sigma = SIGMA / 255
    restored = denoise_nl_means(image, patch_size=5, patch_distance=6, h=0.6 * sigma, sigma=sigma, fast_mode=True)
    return restored.clip(0, 1)


def draw(trained, images, means, path):
    """A row for each of two images: noisy, non-local means, the network, clean."""
    rows = []
    for (noisy, clean), mean in [(images[number], means[number]) for number in (0, 4)]:
        restored = jax.device_get(jax.jit(trained.restored)(trained.variables, noisy[None, ..., None]))
        row = [noisy.clip(0, 1), mean, restored[0, ..., 0], clean]
        rows.append(np.concatenate([x[SHOWN, SHOWN] for x in row], axis=1))
    Image.fromarray((255 * np.concatenate(rows)).round().astype(np.uint8)).save(path, quality=85)
