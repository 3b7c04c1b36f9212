"""The one step of training, the one of evaluation, and the chunk of steps that is compiled.

A step is a pure function of a state and a batch, the same for every task: jaxcnn.tasks says what is learned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxcnn.operators.remat import batch_rows
from jaxcnn.tasks import AXIS, own_parts
from jaxcnn.tasks.pixels import as_float
from jaxcnn.training.finetune.freeze import frozen_statistics, select_trained, with_rates, without_gradient
from jaxcnn.training.state import with_dropout

if TYPE_CHECKING:
    from jaxcnn.tasks.task import Task


WHOLE_BATCH = 2**32 - 1  # folded into a key where the images' positions are; no position is so large
SMALL = 4096  # numbers: biases, and the scales of batch norm
OF_THE_STEP = ("learning_rate", "gradient_norm", "parameter_norm")  # metrics that are no sums over images
DIVISOR = "/divisor"  # behind a metric's name: the sum that divides it, where it is not the number of images


def assemble_batch(data: Any, inputs: Any) -> dict[str, Any]:
    """Returns a streamed batch unchanged; gathers a resident one by record number."""
    if "record" not in inputs:
        return inputs
    batch = {name: array[inputs["record"]] for name, array in data.items()}
    return {**batch, "mask": batch["mask"] * inputs["mask"]}


def make_train_step(
    model: Any,
    task: Task,
    optimizers: Mapping[str, Any],
    schedule: Callable[..., Any],
    *,
    ema: float = 0.0,
    swa: int | None = None,
    accumulate: int = 1,
    factors: Any = None,
    skips: bool = False,
) -> Callable[..., Any]:
    """`train_step(state, batch) -> (state, metrics)` of one replica, to be mapped over AXIS.

    Each player in its turn minimises the mean of its objective over the images of the global batch whose mask is 1.
    Gradients are summed over replicas and running statistics averaged; what the factors freeze stays to the bit. Every
    image's keys derive from (key, step, its position in the global batch).

    Args:
      model: a Linen module.
      task: a Task.
      optimizers: {player: as make_optimizer returns it}.
      schedule: as make_schedule returns it.
      ema: decay of the averaged network, see `average`; 0 for none.
      swa: the updates after which weights are averaged alike, see `average_since`; None for no such average.
      accumulate: parts into which a replica's batch is cut, one after another, to save memory.
      factors: {"params", "batch_stats"}, pytrees of floats, see Plan, or None.
      skips: whether images may be left out, whose mask is 0: they do not enter batch norm's statistics.
    Returns:
      The step. Its metrics are float32 scalars: `seen`, `loss` and the means of the objective (sums over the global
      batch; NAME/divisor is the divisor of one that has its own), `gradient_norm`, `learning_rate`, `parameter_norm`.
      In a game those of a player are PLAYER/loss, PLAYER/gradient_norm and so on.
    """
    turns = _turns(model, task, optimizers, accumulate, factors, skips)

    def train_step(state, batch):
        batch = _placed(batch)
        new, metrics = state, {"seen": lax.psum(jnp.sum(batch["mask"]), AXIS)}
        for turn in turns:
            new, found = _take_turn(turn, new, batch)
            metrics |= {name: _both(name, metrics.get(name), value) for name, value in found.items()}
        new = _averaged(new.replace(step=state.step + 1), ema, swa, factors)
        rate = schedule(state.step) * state.hyperparameters["learning_rate_scale"]
        return new, {**metrics, "learning_rate": rate, "parameter_norm": _norm(new.params)}

    return train_step


def make_statistics_step(model: Any, task: Task, *, factors: Any = None, skips: bool = False) -> Callable[..., Any]:
    """`step(state, batch) -> (state, {})`: moves the running statistics of state.ema by a batch, and nothing else.

    The batch goes forward as in training, through the averaged weights: statistics that were gathered through the
    weights of each step are not theirs (Izmailov et al. 2018, section 3.2).

    Args:
      model, task, factors, skips: as in `make_train_step`.
    """
    turns = _turns(model, task, dict.fromkeys(player.name for player in task.players), 1, factors, skips)

    def statistics_step(state, batch):
        batch, averaged = _placed(batch), state.replace(**state.ema)
        for turn in turns:
            own = turn.images(batch)
            _, (stats, _) = _objective(turn.own(averaged.params), averaged.batch_stats, turn, averaged, own, 1.0)
            stats = select_trained(averaged.batch_stats, lax.pmean(stats, AXIS), turn.factors.get("batch_stats"))
            averaged = averaged.replace(batch_stats=stats)
        return state.replace(step=state.step + 1, ema={**state.ema, "batch_stats": averaged.batch_stats}), {}

    return statistics_step


def _placed(batch):
    """The batch with its pixels as floats, and the position of each image in the global batch."""
    size = batch["mask"].shape[0]
    return {**_as_float(batch), "position": lax.axis_index(AXIS) * size + jnp.arange(size)}


def _as_float(batch):
    """The batch with its pixels, all that is uint8, on the [0, 1] scale."""
    return {name: as_float(x) if x.dtype == jnp.uint8 else x for name, x in batch.items()}


def of_the_step(metrics: Iterable[str]) -> list[str]:
    """The names of metrics that are no sums over images: learning_rate, gradient_norm, parameter_norm."""
    return [name for own in OF_THE_STEP for name in sorted(metrics) if name.rpartition("/")[2] == own]


def _both(name, before, value):
    """A metric of a player after one more turn: sums add up."""
    return value if before is None or of_the_step([name]) else before + value


class _Turn(NamedTuple):
    """One player's update within a step, all of it static: `number` among the step's turns, `part` of the batch."""

    model: Any
    task: Any
    player: Any
    optimizer: Any
    number: int
    part: int
    accumulate: int
    factors: dict
    skips: bool

    def own(self, tree):
        """The part of a tree like params or batch_stats that the player moves."""
        return own_parts(tree, self.player.parts)

    def images(self, batch):
        """The turn's part of a batch: every turns-th image, so that it is the same on any number of devices."""
        return {name: x[self.part :: self.player.turns] for name, x in batch.items()}

    def factors_of(self, collection):
        """The player's factors of "params" or "batch_stats", or None."""
        factors = self.factors.get(collection)
        return None if factors is None else self.own(factors)


def _turns(model, task, optimizers, accumulate, factors, skips):
    """[_Turn] of a step, in order."""
    moves = [(player, part) for player in task.players for part in range(player.turns)]
    return [
        _Turn(model, task, player, optimizers[player.name], number, part, accumulate, factors or {}, skips)
        for number, (player, part) in enumerate(moves)
    ]


def _take_turn(turn, state, batch):
    """(The state after one player's update, its metrics)."""
    batch = turn.images(batch)
    params, stats, game = turn.own(state.params), turn.own(state.batch_stats), len(turn.task.players) > 1
    grads, new_stats, sums = _gradient(turn, params, state, batch)
    opt_state = state.opt_state[turn.player.name] if game else state.opt_state
    transformation = with_rates(turn.optimizer(state.hyperparameters), turn.factors_of("params"))
    updates, opt_state = transformation.update(grads, opt_state, params)
    stats = select_trained(stats, turn.own(new_stats), turn.factors_of("batch_stats"))
    metrics = {**sums, "gradient_norm": _norm(grads)}
    if game:
        opt_state = {**state.opt_state, turn.player.name: opt_state}
        metrics = {f"{turn.player.name}/{name}": value for name, value in metrics.items()}
    params = {**state.params, **optax.apply_updates(params, updates)}  # ty: ignore[invalid-argument-type]  a dict
    return state.replace(params=params, batch_stats={**state.batch_stats, **stats}, opt_state=opt_state), metrics


def _norm(tree):
    """The square root of the sum of all squares. Small arrays are joined: on CPU each sum is three kernels."""
    leaves = jax.tree.leaves(tree)
    small = [x.ravel() for x in leaves if x.size <= SMALL]
    joined = [jnp.concatenate(small)] if small else []
    return jnp.sqrt(sum(jnp.sum(jnp.square(x)) for x in [*joined, *(x for x in leaves if x.size > SMALL)]))


def _parts(x, count):
    return x.reshape(count, x.shape[0] // count, *x.shape[1:])


def _gradient(turn, params, state, batch):
    """(The gradient of a player's parameters, the new statistics, the metric sums), of the global batch."""
    total = jnp.maximum(lax.psum(jnp.sum(batch["mask"]), AXIS), 1.0)
    differentiate = jax.value_and_grad(_objective, has_aux=True)

    def part(carry, batch):
        stats, grads, sums = carry
        (_, (stats, new)), g = differentiate(params, stats, turn, state, batch, total)
        return (stats, jax.tree.map(jnp.add, grads, g), jax.tree.map(jnp.add, sums, new)), None

    if turn.accumulate == 1:
        (_, (stats, sums)), grads = differentiate(params, state.batch_stats, turn, state, batch, total)
    else:
        parts = {name: _parts(x, turn.accumulate) for name, x in batch.items()}
        first = jax.tree.map(lambda x: x[0], parts)
        _, (_, like) = jax.eval_shape(lambda: _objective(params, state.batch_stats, turn, state, first, total))
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), (params, like))
        (stats, grads, sums), _ = lax.scan(part, (state.batch_stats, *zeros), parts)
    (grads, sums), stats = lax.psum((grads, sums), AXIS), lax.pmean(stats, AXIS)
    if DIVISOR in sums:  # of the minimised loss itself
        divisor = sums.pop(DIVISOR)
        divisor = jnp.where(divisor > 0, divisor, 1.0)
        grads = jax.tree.map(lambda g: g / divisor, grads)
    return grads, stats, sums


def _objective(params, stats, turn, state, batch, total):
    """The replica's share of what a player minimises, with (statistics, metric sums)."""
    numbers, task = state.hyperparameters, turn.task
    step_key = jax.random.fold_in(state.key, state.step)
    if turn.number:
        step_key = jax.random.fold_in(step_key, WHOLE_BATCH - turn.number)
    prepare_key, dropout_key = jax.random.split(step_key)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(prepare_key, batch["position"])
    batch = jax.vmap(task.prepare, (0, 0, None))(keys, batch, numbers)
    batch["key"] = jax.vmap(jax.random.fold_in, (0, None))(keys, WHOLE_BATCH)
    if task.mix is not None:
        batch = task.mix(jax.random.fold_in(prepare_key, WHOLE_BATCH), batch, numbers)
    model = with_dropout(turn.model, numbers)
    own = without_gradient(params, turn.factors_of("params"))
    rows = {name: batch[name] for name in (("position", "mask") if turn.skips else ("position",))}
    variables = {"params": {**state.params, **own}, "batch_stats": stats}
    variables["batch"] = batch_rows(rows, variables["params"])
    with frozen_statistics(turn.factors.get("batch_stats")):
        terms, changed = model.apply(
            variables,
            batch,
            numbers,
            method=turn.player.objective,
            mutable=["batch_stats"],
            rngs={"dropout": dropout_key},
        )
    share, sums = _sum(terms.loss, batch["mask"]), _sums({"loss": _logged(terms), **terms.means}, batch["mask"])
    if terms.weight is None:
        share = share / total
    else:
        sums[DIVISOR] = _sum(terms.weight, batch["mask"])
    return share, (changed.get("batch_stats", {}), lax.stop_gradient(sums))


def _logged(terms):
    return terms.loss if terms.weight is None else (terms.loss, terms.weight)


def _sum(values, mask):
    """The sum over the images that are there; a masked image is zeros, whose loss may be anything, NaN too."""
    return jnp.sum(jnp.where(mask > 0, values, 0.0))


def _sums(means, mask):
    """{name: sum}, and {name/divisor: sum of weights} of means that have weights."""
    sums = {}
    for name, mean in means.items():
        value, weight = mean if isinstance(mean, tuple) else (mean, None)
        sums[name] = _sum(value, mask)
        if weight is not None:
            sums[name + DIVISOR] = _sum(weight, mask)
    return sums


def _averaged(state, ema, swa, factors):
    """The state with its average of networks moved on."""
    if swa is not None:
        params = average_since(state.ema["params"], state.params, updates=state.step - swa)
        averaged = {"params": params, "batch_stats": state.batch_stats}
    elif ema:
        new = {"params": state.params, "batch_stats": state.batch_stats}
        averaged = average(state.ema, new, ema, updates=state.step)
    else:
        return state
    # an average of equal weights need not be that weight in floating point
    return state.replace(ema=select_trained(state.ema, averaged, factors))


def average(old: Any, new: Any, decay: float, *, updates: Any) -> Any:
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


def average_since(old: Any, new: Any, *, updates: Any) -> Any:
    """Moves the mean of all weights since an update towards the newest (Izmailov et al. 2018, algorithm 1 with c = 1).

    mean_t = (t * mean_{t-1} + new_t) / (t + 1);   mean_t = new_t for t <= 0

    Args:
      old, new: pytrees of one structure.
      updates: t, updates since then, a scalar, may be traced.
    """
    return optax.incremental_update(new, old, 1.0 / (1.0 + jnp.maximum(updates, 0)))


def make_evaluation_step(model: Any, task: Task) -> Callable[..., Any]:
    """`step(variables, batch) -> (sums, rows)` of one replica, to be mapped over AXIS.

    sums: {"means": {name: sum over the images that are there, of all replicas}, "sums": those of Scores}; `seen` is
      among the means.
    rows: those of Scores over the global batch, in its order.
    """

    def evaluation_step(variables, batch):
        batch = task.inputs(_as_float(batch))
        scores = task.score(model.apply(variables, batch, method=task.infer), batch)
        means = {"seen": jnp.sum(batch["mask"]), **_sums(scores.means, batch["mask"])}
        return lax.psum({"means": means, "sums": scores.sums}, AXIS), lax.all_gather(scores.rows, AXIS, tiled=True)

    return evaluation_step


def make_chunk(train_step: Callable[..., Any], *, steps: int) -> Callable[..., Any]:
    """`chunk(state, data, inputs) -> (state, metrics)`: inputs and metrics have a leading axis of `steps`."""

    def chunk(state, data, inputs):
        def one(state, inputs):
            return train_step(state, assemble_batch(data, inputs))

        if steps > 1:
            return lax.scan(one, state, inputs)
        state, metrics = one(state, jax.tree.map(lambda x: x[0], inputs))
        return state, jax.tree.map(lambda x: x[None], metrics)

    return chunk
