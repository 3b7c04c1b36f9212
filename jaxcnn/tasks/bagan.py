"""BAGAN, a game for sets with rare classes (Mariani et al. 2018, arXiv:1803.09655).

First an autoencoder learns all images (a run of task reconstruction, which config.finetune.source names). Its decoder
is the generator; the discriminator begins with its encoder's trunk and a new layer of K + 1 outputs, the classes and
"generated". Codes are drawn from the Gaussian of a class: mean and covariance of the encoder's codes of its images.

The discriminator minimises the cross entropy of the K + 1 outputs, of real images as they come and of generated ones of
all classes alike, as many as there would be of one class in a balanced set: 1 for K real images. Here every real image
has a generated one beside it, which counts 1 / K. The generator minimises the cross entropy of the class to be shown.
"""

import functools

import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.tasks.adversarial import Rules, checked_steps, classes_of, make_game, measures, non_saturating
from jaxcnn.tasks.task import About, Beginning, Kind, Task


def create(about: About, *, discriminator_steps: int = 1) -> Task:
    """The Task of generating images of the classes of `about`.

    Args:
      about: an About.
      discriminator_steps: updates of the discriminator before each of the generator.
    Raises:
      ValueError: the images are without classes, or the steps are no number from 1.
    """
    classes, steps = classes_of(about), checked_steps(discriminator_steps)
    # the cross entropy of K + 1 outputs is that of real or generated and, of what is real, that of the K classes
    rules = Rules(non_saturating(1.0, 0.0), classes, steps, fake_weight=1 / classes, methods=("encode",))
    return make_game(about, rules, begin=Beginning(_record, functools.partial(_change, about)))


def _record(module, batch):
    code, _ = module.encode(batch["image"], train=False)
    return {"code": code, "label": batch["label"], "mask": batch["mask"]}


def _change(about, variables, recorded):
    """The variables with the encoder's trunk in the discriminator and the Gaussians of the classes."""
    params, there = variables["params"], recorded["mask"] > 0
    fitted = [_fit(recorded["code"][there & (recorded["label"] == k)], name) for k, name in enumerate(about.classes)]
    mean, factor = (np.stack(arrays).astype(np.float32) for arrays in zip(*fitted, strict=True))
    discriminator = {**params["discriminator"], "trunk": params["encoder"]["trunk"]}
    return {
        "params": {**params, "discriminator": discriminator},
        "batch_stats": {**variables["batch_stats"], "gaussians": {"mean": mean, "factor": factor}},
    }


def _fit(codes, name):
    """(mean (d,), root of the covariance (d, d)), in float64, of codes (n, d): root times its transpose is np.cov."""
    if len(codes) < 2:
        raise InputError(f"config.data.train: class {name} has {len(codes)} images; a covariance needs 2.")
    codes = codes.astype(np.float64)
    # fewer images than numbers in a code leave it singular, for which there is no Cholesky factor
    spread, axes = np.linalg.eigh(np.cov(codes, rowvar=False).reshape(codes.shape[1], -1))
    return codes.mean(axis=0), axes * np.sqrt(np.maximum(spread, 0))


BAGAN = Kind(measures=measures(classes=True), selects=(), create=create, tells_apart=True)
