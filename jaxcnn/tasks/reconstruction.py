"""Reconstruction: the target is an image, the input the same image corrupted (or itself, for an autoencoder).

The network gets images in [0, 1] and returns (image, features), on the same scale: residuals are of pixels, noise
levels mean the same for every data set, and a restored photograph needs no statistics. The option `normalise` changes
the input alone.

Everything that is measured is so on the restored image cut to [0, 1], as a file holds it; the loss is of the output as
it is.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import dm_pix
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.errors import InputError, look_up
from jaxcnn.tasks.corruption import CORRUPTIONS, corruption
from jaxcnn.tasks.task import About, Kind, Measure, Player, Scores, Task, Terms, check_returned
from jaxcnn.tasks.view import View, coloured, plain

TARGET = "target"  # the field of a second image, as pairs:PATH has it, and of every prepared batch
SSIM_WINDOW = 11  # pixels of a side; smaller images have no SSIM
EQUAL = 1e-10  # mean squared error below which images count as equal: their PSNR would be infinite and is 100 dB

LEAST = 1e-7  # of a pixel as a probability: float32 rounds what is nearer to 1


def _cross_entropy(output, aim):
    output = jnp.clip(output, LEAST, 1 - LEAST)
    return -aim * jnp.log(output) - (1 - aim) * jnp.log1p(-output)


LOSSES = {
    "squared": lambda output, aim: jnp.square(output - aim),
    "absolute": lambda output, aim: jnp.abs(output - aim),
    "cross_entropy": _cross_entropy,
}


class _Parts(NamedTuple):
    """What the functions of the task share.

    Attributes:
      about: the About.
      corrupt: the option.
      draw: f(key, {"image", ...}) -> {"image", "target"}, and "mark" where something is laid over the image.
      view: the View.
      loss: of LOSSES.
      undefined: the measures without a value on these data.
    """

    about: Any
    corrupt: str
    draw: Callable
    view: View
    loss: str
    undefined: tuple


def create(
    about: About, *, corrupt: str = "identity", loss: str = "squared", normalise: bool = False, **options: Any
) -> Task:
    """The Task of restoring the images of `about`.

    Outputs of `infer`: "restored" (n, h, w, c), cut to [0, 1]; "output", as the network gives it; "change" (n,), the
    root of the mean squared difference of restored image and input, in units of 1/255; and the network's "features".

    Args:
      about: an About.
      corrupt: the network gets an image after one of CORRUPTIONS; "gray", its luminance, of which colours are learned;
        or "pair", the image of a source whose field `target` is another one.
      loss: "squared", "absolute" or "cross_entropy" (pixels as probabilities, without a gradient within 1e-7 of 0 and
        1), the mean over the values of an image.
      normalise: whether the network gets (image - mean) / std of config.data in place of images in [0, 1].
      **options: of the corruption; of "gray" `space`: "rgb", or "lab", where a and b alone are learned.
    Raises:
      ValueError: a name or an option does not fit, or not to these data.
    """
    look_up(loss, table=LOSSES, kind="loss")
    if about.mix is not None:
        raise ValueError("mixup and cutmix mix labels, which a reconstruction is without")
    view, draw = _ways(about, corrupt, normalise, options)
    if view.signed and loss == "cross_entropy":
        raise ValueError("loss is 'cross_entropy', which is of probabilities, but a and b of Lab have both signs")
    parts = _Parts(about, corrupt, draw, view, loss, _undefined(about, corrupt, draw))
    return Task(
        players=(Player("network", functools.partial(_objective, parts)),),
        infer=functools.partial(_infer, parts),
        score=functools.partial(_score, parts),
        prepare=functools.partial(_prepare, parts),
        inputs=functools.partial(_inputs, parts),
        describe=_describe,
        init=lambda module, batch: module(view.enter(batch["image"]), train=False),
        check=functools.partial(_check, view),
        enter=view.enter,
        undefined=parts.undefined,
    )


def _ways(about, corrupt, normalise, options):
    """(The View, what draws a corrupted image) of the options."""
    if corrupt == "gray":
        if unknown := sorted(set(options) - {"space"}):
            raise ValueError(f"corruption gray takes no option {unknown[0]!r}; known: space")
        view = coloured(about, normalise=normalise, **options)
        return view, lambda key, example: {"image": view.hide(example["image"]), TARGET: example["image"]}
    view = plain(about, normalise=normalise)
    if corrupt == "pair":
        _check_pair(about, options)
        return view, lambda key, example: {"image": example["image"], TARGET: example[TARGET]}
    look_up(corrupt, table={**CORRUPTIONS, "gray": None, "pair": None}, kind="corruption")
    return view, functools.partial(_corrupted, corruption(corrupt, about.shape, options))


def _corrupted(corrupt, key, example):
    image, mark = corrupt(key, example["image"])
    return {"image": image, TARGET: example["image"], **({} if mark is None else {"mark": mark})}


def _check_pair(about, options):
    if options:
        raise ValueError(f"corruption pair takes no option {min(options)!r}; its images are as the files are")
    if TARGET not in about.fields or tuple(about.fields[TARGET][0]) != tuple(about.shape):
        raise ValueError(
            f"corrupt is 'pair', but an example of these data holds {', '.join(about.fields) or 'nothing'} beside its "
            f"image; a second image, the field '{TARGET}', is what data.name 'pairs:PATH' has"
        )


def _undefined(about, corrupt, draw):
    """The measures without a value: SSIM of small images, the input's where it is the target, a mark's without one."""
    image = jax.ShapeDtypeStruct(tuple(about.shape), jnp.float32)
    drawn = jax.eval_shape(draw, jax.random.key(0), {"image": image, TARGET: image})
    without = {
        "ssim": min(about.shape[:2]) < SSIM_WINDOW,
        "input": corrupt == "identity",
        "mark": "mark" not in drawn,
    }
    words = [word for word, missing in without.items() if missing]
    return tuple(name for name in MEASURES if any(word in name.split("_") for word in words))


def _prepare(parts, key, example, numbers):
    augment_key, corrupt_key = jax.random.split(key)
    names, strength = (
        ("image", TARGET) if parts.corrupt == "pair" else ("image",),
        numbers.get("augment_magnitude", 1.0),
    )
    # of a pair both are augmented by one key: the same crop, the same turn
    images = {name: parts.about.augment(augment_key, example[name], strength) for name in names}
    return {**example, **parts.draw(corrupt_key, images)}


def _inputs(parts, batch):
    """The batch with each image corrupted by its number: the same at every evaluation, on any number of devices."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), batch["index"])
    return {**batch, **jax.vmap(parts.draw)(keys, batch)}


def _objective(parts, module, batch, numbers):
    _check_output(parts, module)
    output, _ = module(parts.view.enter(batch["image"]), train=True)
    restored = lax.stop_gradient(_restored(parts, batch["image"], output))
    mse = _mean_square(restored - batch[TARGET])
    return Terms(_loss(parts, output, batch), {"mse": mse, "psnr": psnr(mse)})


def _infer(parts, module, batch):
    output, features = module(parts.view.enter(batch["image"]), train=False)
    restored = _restored(parts, batch["image"], output)
    change = 255 * jnp.sqrt(_mean_square(restored - batch["image"]))
    return {"restored": restored, "output": output, "change": change, "features": features}


def _score(parts, outputs, batch):
    restored, given, target = outputs["restored"], batch["image"], batch[TARGET]
    mse = _mean_square(restored - target)
    means = {
        "loss": _loss(parts, outputs["output"], batch),
        "mse": mse,
        "sse": mse * target[0].size,
        "psnr": psnr(mse),
        "psnr_input": psnr(_mean_square(given - target)),
    }
    if min(target.shape[1:3]) >= SSIM_WINDOW:
        means["ssim"], means["ssim_input"] = similarity(jnp.stack([restored, given]), jnp.stack([target, target]))
    if "mark" in batch:
        mark = batch["mark"]
        there = (mark.sum(axis=(1, 2, 3)) > 0).astype(jnp.float32)
        inside = {"psnr_mark": restored, "psnr_mark_input": given}
        means |= {name: (there * _psnr_inside(mark, image - target), there) for name, image in inside.items()}
    return Scores({name: value for name, value in means.items() if name not in parts.undefined})


def _psnr_inside(mark, difference):
    square = jnp.sum(mark * jnp.square(difference), axis=(1, 2, 3))
    return psnr(square / jnp.maximum(jnp.sum(mark, axis=(1, 2, 3)) * difference.shape[-1], 1))


def _restored(parts, images, output):
    return jnp.clip(parts.view.leave(images, output.astype(jnp.float32)), 0, 1)


def _loss(parts, output, batch):
    values = LOSSES[parts.loss](output.astype(jnp.float32), parts.view.aim(batch[TARGET]))
    return jnp.mean(values, axis=(1, 2, 3))


def _check_output(parts, module):
    """Raises InputError where the last step of a network of ours does not fit what it learns."""
    output = getattr(module, "output", None)
    if parts.loss == "cross_entropy" and output == "linear":
        raise InputError(
            "config.task.options: loss is 'cross_entropy', of pixels as probabilities, but config.model.options.output "
            "is 'linear'; 'sigmoid' fits."
        )
    if parts.view.signed and output == "sigmoid":
        raise InputError(
            "config.task.options: space is 'lab', whose a and b have both signs, but config.model.options.output is "
            "'sigmoid'; 'linear' fits."
        )


def _mean_square(difference):
    return jnp.mean(jnp.square(difference), axis=(1, 2, 3))


def psnr(mse: jax.Array) -> jax.Array:
    """Peak signal-to-noise ratio, in dB, of the mean squared error of images in [0, 1]; 100 of equal images."""
    return -10 * jnp.log10(jnp.maximum(mse, EQUAL))


def similarity(images: jax.Array, target: jax.Array) -> jax.Array:
    """Structural similarity (...,) of images (..., h, w, c) in [0, 1], by the Gaussian windows of Wang et al. 2004.

    dm_pix and scikit-image agree there (gaussian_weights, sigma 1.5, use_sample_covariance False): the mean over the
    windows of 11x11 that lie inside the image, and over channels.
    """
    before, shape = images.shape[:-3], (-1, *images.shape[-3:])
    return dm_pix.ssim(images.reshape(shape), target.reshape(shape), filter_fn=_windowed).reshape(before)


def _windowed(images):
    """The weighted mean of every window of images (n, h, w, c): two products with bands, an eighth of dm_pix's time."""
    down, across = (_band(side) for side in images.shape[1:3])
    return jnp.einsum("nhwc,yh,xw->nyxc", images, down, across, precision="highest")


def _band(side):
    """(windows, side) of the weights of every window along a side."""
    distance = np.arange(side)[None] - np.arange(side - SSIM_WINDOW + 1)[:, None] - SSIM_WINDOW // 2
    weights = np.where(abs(distance) <= SSIM_WINDOW // 2, np.exp(-np.square(distance / 1.5) / 2), 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _describe(outputs):
    return {"change": float(outputs["change"])}


def _check(view, name, result, about):
    """Raises InputError where a network does not return (output (n, h, w, channels), features)."""
    shape, wanted = check_returned(name, result, "image"), (2, *about.shape[:2], view.channels)
    if shape != wanted:
        raise InputError(
            f"architecture {name} gives {shape} for 2 images of {tuple(about.shape)}, but reconstruction "
            f"wants images, {wanted}: an autoencoder, a U-Net or another network from image to image, with channels "
            f"{view.channels} (config.model.options.channels)."
        )


MEASURES = {
    "loss": Measure(higher_is_better=False, label="loss"),
    "psnr": Measure("dB", label="PSNR"),
    "ssim": Measure(label="SSIM"),
    "mse": Measure(higher_is_better=False, log=True, label="mean squared error"),
    "sse": Measure(higher_is_better=False, log=True, label="summed squared error of an image"),
    "psnr_input": Measure("dB", label="PSNR of the input"),
    "ssim_input": Measure(label="SSIM of the input"),
    "psnr_mark": Measure("dB", label="PSNR inside the mark"),
    "psnr_mark_input": Measure("dB", label="PSNR of the input inside the mark"),
}
# PSNR first: a mean of logarithms, in which no image outweighs the others as the darkest or hardest do in a mean error.
RECONSTRUCTION = Kind(measures=MEASURES, selects=("psnr", "mse"), create=create)
