"""The one step of training, the one of evaluation, and the chunk of steps that is compiled."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxcnn.operators import loss as losses
from jaxcnn.training.finetune.freeze import frozen_statistics, keep, with_rates, without_gradient
from jaxcnn.training.parallel import AXIS

WHOLE_BATCH = 2**32 - 1  # folded into a key where the images' positions are; no position is so large


class Task(NamedTuple):
    """What varies between experiments, all of it functions and static numbers; the step itself never changes.

    Attributes:
      model: Linen module; apply(variables, x, train=...) returns (logits, features).
      loss: f(logits, targets (n, K)) -> (n,) float32.
      augment: f(key, image float32 (h, w, c) in [0, 1], magnitude) -> image; the last is the state's augment_magnitude.
      normalise: f(images (n, h, w, c) in [0, 1]) -> images.
      num_classes: K.
      auxiliary_weight: of the loss of each auxiliary head: the features named aux1, aux2, ... are logits.
      mix: f(key, images, targets (n, K)) -> (images, targets) of a replica's batch, or None.
      beside: f(features, batch) -> (n,) float32, added to the loss of each image that is minimised, or None.
      factors: {"params", "batch_stats"}, pytrees of floats, see Plan, or None.
      skips: whether images may be left out, whose mask is 0: they do not enter batch norm's statistics.
    """

    model: Any
    loss: Callable
    augment: Callable
    normalise: Callable
    num_classes: int
    auxiliary_weight: float = 0.3
    mix: Callable | None = None
    beside: Callable | None = None
    factors: Any = None
    skips: bool = False


def fetch(data, inputs):
    """The batch of a step: streamed inputs are one already; resident data are gathered by record number."""
    if "image" in inputs:
        return inputs
    batch = {name: array[inputs["record"]] for name, array in data.items()}
    return {**batch, "mask": batch["mask"] * inputs["mask"]}


def as_float(images):
    """uint8 images to float32 in [0, 1]; float images pass."""
    return images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images.astype(jnp.float32)


def top_k_correct(logits, labels, *, k):
    """1.0 where fewer than k classes stand before the label's, (n,) float32.

    A class stands before another with a larger logit, or an equal one and a smaller number; a row with a NaN is wrong.
    """
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)
    earlier = jnp.arange(logits.shape[1])[None] < labels[:, None]
    before = jnp.sum((logits > own) | ((logits == own) & earlier), axis=1)
    return ((before < k) & ~jnp.isnan(logits).any(axis=1)).astype(jnp.float32)


def make_train_step(task, optimizer, schedule, *, ema=0.0, accumulate=1):
    """`train_step(state, batch) -> (state, metrics)` of one replica, to be mapped over AXIS.

    The loss is the mean over the images of the global batch whose mask is 1; what is minimised adds those of auxiliary
    heads, with their weight, and what the task puts beside. Gradients are summed over replicas and running statistics
    averaged; what the task's factors freeze stays to the bit. Every image's keys come from (key, step, its position in
    the global batch).

    Args:
      task: a Task.
      optimizer, schedule: as make_optimizer and make_schedule return them.
      ema: decay of the averaged network, see `average`; 0 for none.
      accumulate: parts into which a replica's batch is cut, one after another, to save memory.
    Returns:
      The step. Its metrics are float32 scalars: loss, top1, top5, seen (sums over the global batch), learning_rate,
      gradient_norm, parameter_norm.
    """

    def train_step(state, batch):
        total = jnp.maximum(lax.psum(jnp.sum(batch["mask"]), AXIS), 1.0)
        size = batch["label"].shape[0]
        batch = {**batch, "position": lax.axis_index(AXIS) * size + jnp.arange(size)}
        gradient = jax.value_and_grad(_objective, has_aux=True)

        def part(carry, batch):
            stats, grads, sums = carry
            (_, (stats, new)), g = gradient(state.params, stats, task, state, batch, total)
            return (stats, jax.tree.map(jnp.add, grads, g), jax.tree.map(jnp.add, sums, new)), None

        zeros = (
            jax.tree.map(jnp.zeros_like, state.params),
            dict.fromkeys(("loss", "top1", "top5", "seen"), jnp.float32(0)),
        )
        if accumulate == 1:
            carry, _ = part((state.batch_stats, *zeros), batch)
        else:
            parts = {k: v.reshape(accumulate, size // accumulate, *v.shape[1:]) for k, v in batch.items()}
            carry, _ = lax.scan(part, (state.batch_stats, *zeros), parts)
        stats, grads, sums = carry
        grads, sums = lax.psum((grads, sums), AXIS)
        state = _update(state, optimizer, grads, lax.pmean(stats, AXIS), ema, task.factors or {})
        rate = schedule(state.step - 1) * state.hyperparameters["learning_rate_scale"]
        return state, {
            **sums,
            "learning_rate": rate,
            "gradient_norm": optax.tree.norm(grads),
            "parameter_norm": optax.tree.norm(state.params),
        }

    return train_step


def _update(state, optimizer, grads, stats, ema, factors):
    rates = factors.get("params")
    transformation = with_rates(optimizer(state.hyperparameters), rates)
    updates, opt_state = transformation.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    stats = keep(state.batch_stats, stats, factors.get("batch_stats"))
    new = state.replace(step=state.step + 1, params=params, batch_stats=stats, opt_state=opt_state)
    if not ema:
        return new
    averaged = average(state.ema, {"params": params, "batch_stats": stats}, decay=ema, updates=new.step)
    # an average of equal weights need not be that weight in floating point
    return new.replace(ema=keep(state.ema, averaged, factors or None))


def average(old, new, *, decay, updates):
    """Moves an exponential moving average of networks towards the newest one.

    average_t = d_t * average_{t-1} + (1 - d_t) * new_t,   d_t = min(decay, (1 + t) / (10 + t))

    The decay grows from 2 / 11 at t = 1 (`num_updates` of tf.train.ExponentialMovingAverage), so that the weights that
    were drawn at the start do not stay in the average of a short run: with 0.9999 throughout, they would be 99 % of it
    after 100 steps. Running statistics are averaged with the weights that they belong to, as in timm's ModelEma.

    Args:
      old, new: pytrees of one structure.
      decay: of the average once it is old.
      updates: t, the updates that led to `new`, a scalar, may be traced.
    """
    share = jnp.maximum(1 - decay, 9.0 / (10.0 + updates))
    return optax.incremental_update(new, old, share)


def _objective(params, stats, task, state, batch, total):
    """The replica's share of the mean loss, with (statistics, metric sums)."""
    step_key = jax.random.fold_in(state.key, state.step)
    augment_key, dropout_key = jax.random.split(step_key)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(augment_key, batch["position"])
    images = jax.vmap(task.augment, (0, 0, None))(
        keys, as_float(batch["image"]), state.hyperparameters.get("augment_magnitude", 1.0)
    )
    targets = losses.smooth_labels(
        jax.nn.one_hot(batch["label"], task.num_classes, dtype=jnp.float32),
        smoothing=state.hyperparameters["label_smoothing"],
    )
    if task.mix is not None:
        mixed = task.mix(jax.random.fold_in(augment_key, WHOLE_BATCH), images, targets)
        images, targets = (_of_whole_pairs(batch["mask"], *x) for x in zip(mixed, (images, targets), strict=True))
    model = task.model
    if "dropout" in state.hyperparameters:
        model = model.clone(dropout_rate=state.hyperparameters["dropout"])
    factors = task.factors or {}
    params = without_gradient(params, factors.get("params"))
    about = {name: batch[name] for name in (("position", "mask") if task.skips else ("position",))}
    variables = {"params": params, "batch_stats": stats, "batch": about}
    with frozen_statistics(factors.get("batch_stats")):
        (logits, features), changed = model.apply(
            variables, task.normalise(images), train=True, mutable=["batch_stats"], rngs={"dropout": dropout_key}
        )
    loss = jnp.sum(batch["mask"] * task.loss(logits, targets))
    auxiliary = sum(jnp.sum(batch["mask"] * task.loss(head, targets)) for head in auxiliary_logits(features))
    sums = {**_counts(logits, batch), "loss": lax.stop_gradient(loss)}
    beside = 0.0 if task.beside is None else jnp.sum(batch["mask"] * task.beside(features, batch))
    return (loss + task.auxiliary_weight * auxiliary + beside) / total, (changed.get("batch_stats", {}), sums)


def _of_whole_pairs(mask, mixed, own):
    """The mixed rows, but its own where a row's neighbour is masked: an image that was left out is zeros."""
    whole = jnp.repeat(mask.reshape(-1, 2).min(axis=1), 2)
    return jnp.where(whole.reshape(-1, *[1] * (own.ndim - 1)) > 0, mixed, own)


def auxiliary_logits(features):
    """The logits of a network's auxiliary heads, aux1, aux2, ..., by their names among its features."""
    return [features[name] for name in sorted(features) if name.startswith("aux") and name[3:].isdigit()]


def _counts(logits, batch):
    return {
        "top1": jnp.sum(batch["mask"] * top_k_correct(logits, batch["label"], k=1)),
        "top5": jnp.sum(batch["mask"] * top_k_correct(logits, batch["label"], k=5)),
        "seen": jnp.sum(batch["mask"]),
    }


def make_evaluation_step(task):
    """`step(sums, variables, batch) -> (sums, wrong)` of one replica: adds a batch's masked sums over all replicas.

    sums: loss, top1, top5, seen, and confusion (K, K), rows the true class.
    wrong: (n,) bool over the global batch, in its order: a top-1 is wrong; False where the mask is 0.
    """

    def evaluation_step(sums, variables, batch):
        images = task.normalise(as_float(batch["image"]))
        logits, _ = task.model.apply(variables, images, train=False)
        targets = jax.nn.one_hot(batch["label"], task.num_classes, dtype=jnp.float32)
        confusion = jnp.zeros((task.num_classes, task.num_classes), jnp.float32)
        confusion = confusion.at[batch["label"], jnp.argmax(logits, axis=1)].add(batch["mask"])
        # A masked image is zeros: its loss may be anything, NaN too.
        loss = jnp.sum(jnp.where(batch["mask"] > 0, task.loss(logits, targets), 0.0))
        new = {**_counts(logits, batch), "loss": loss, "confusion": confusion}
        missed = (batch["mask"] > 0) & (top_k_correct(logits, batch["label"], k=1) == 0)
        return jax.tree.map(jnp.add, sums, lax.psum(new, AXIS)), lax.all_gather(missed, AXIS, tiled=True)

    return evaluation_step


def make_chunk(train_step, *, steps):
    """`chunk(state, data, inputs) -> (state, metrics)`: inputs and metrics have a leading axis of `steps`."""

    def chunk(state, data, inputs):
        def one(state, inputs):
            return train_step(state, fetch(data, inputs))

        if steps > 1:
            return lax.scan(one, state, inputs)
        state, metrics = one(state, jax.tree.map(lambda x: x[0], inputs))
        return state, jax.tree.map(lambda x: x[None], metrics)

    return chunk
