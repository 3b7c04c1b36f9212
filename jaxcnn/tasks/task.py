"""The contract of a task: the functions and numbers by which a run learns, is measured and is used.

A batch is a dict of arrays with a leading axis n. There are always `image` float32 (n, h, w, c) in [0, 1], `mask`
float32 (n,), which is 0 where an image is padding or could not be read, and `index` int32 (n,), its number in the set.
All other fields (`label`, boxes and their mask, tokens) are declared by the source, padded to a static size.

Functions of the bound network run inside `model.apply(variables, batch, method=f)`: `module(...)` and its methods
may be called as often as wanted. None of them reduces over devices or masks images: the step does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax

from jaxcnn.errors import InputError
from jaxcnn.tasks.pixels import normalise

AXIS = "batch"  # the mapped axis of the replicas that share a batch


class Measure(NamedTuple):
    """A number by which runs are compared.

    Attributes:
      unit: "points" for a fraction from 0 to 1, shown in per cent; any other word is printed behind the number.
      higher_is_better: the direction in which a run gets better.
      log: positive numbers that are compared by their ratio, as times are.
      label: its name in a sentence; the key it stands under where empty.
    """

    unit: str = ""
    higher_is_better: bool = True
    log: bool = False
    label: str = ""

    def error(self, value: float) -> float:
        """The number that falls as a run gets better: 1 - value of a fraction, -value or value of others."""
        if not self.higher_is_better:
            return value
        return 1 - value if self.unit == "points" else -value


class Terms(NamedTuple):
    """The result of an objective on a batch of n images.

    Attributes:
      loss: (n,) float32. Its sum over the images that are there, divided by their number, is minimised.
      means: {name: (n,)} logged as means over images; {name: (values (n,), weights (n,))} as a sum over a sum. "loss"
        among them is logged in place of `loss`.
      weight: (n,), the number of terms that are summed in each image's loss (matched boxes, tokens): their sum is the
        divisor in place of the number of images.
    """

    loss: jax.Array
    means: dict
    weight: jax.Array | None = None


class Scores(NamedTuple):
    """The scores of a batch of n images, for evaluation.

    Attributes:
      means: as those of Terms.
      sums: {name: array} of the batch, masked already; added up over batches and replicas.
      rows: {name: (n, ...)} brought to the host for every image.
    """

    means: dict
    sums: dict = {}
    rows: dict = {}


class Player(NamedTuple):
    """One that moves parameters in a step. A game has several, which move in their order.

    Attributes:
      name: the prefix of its metrics where there are several players, and its key in config.optimizers.
      objective: f(module, batch, numbers) -> Terms; numbers are the state's hyperparameters.
      parts: the top-level names of its parameters; () for all. The others are constants in its turn.
      turns: updates in a step, each on its part of the batch: every turns-th image.
    """

    name: str
    objective: Callable
    parts: tuple = ()
    turns: int = 1


def own_parts(tree: dict[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    """The part of a dict like params that a player with these parts moves; () is all."""
    return {name: tree[name] for name in tree if name in parts} if parts else tree


class Sample(NamedTuple):
    """How images are drawn from the network of a task that generates.

    Labels are int32 (n,), the classes to show; a network that is not conditional ignores them. An image depends on
    its own key and label alone, so that it is the same in a batch of any size.

    Attributes:
      codes: f(module, keys (n,), labels) -> (n, ...) float32, the network's random input; keys are typed PRNG keys.
      images: f(module, codes, labels) -> (n, h, w, c) float32 in [0, 1], without labels or images of the data set.
      conditional: whether an image shows the class of its label.
    """

    codes: Callable
    images: Callable
    conditional: bool = False


class Beginning(NamedTuple):
    """How a run changes the network that it begins with, once, by all training images.

    Attributes:
      record: f(module, batch) -> {name: (n, ...)}, of that network; the batch has the images as they are stored.
      change: f(variables, recorded) -> variables of the same shapes, {"params", "batch_stats"}, on the host from NumPy
        arrays; recorded are those of all images.
    """

    record: Callable
    change: Callable


class About(NamedTuple):
    """The material of a task: the data, as a run directory keeps them, and the functions of the config.

    Attributes:
      classes: names in the order of the labels; may be empty.
      shape: (h, w, c) of the images that the network gets.
      fields: {name: (shape, dtype)} of what an example holds beside its image.
      mean, std: float32 (c,) or (h, w, c), of images on the [0, 1] scale.
      augment: f(key, image, magnitude) -> image, of config.augment.
      mix: f(key, images, targets) -> (images, targets), of config.augment, or None.
      loss: f(logits, targets) -> (n,), of config.loss.
      auxiliary_weight: config.loss.auxiliary_weight.
      counts: f() -> integers (K,), the training images of each class; None where nothing is trained.
    """

    classes: tuple
    shape: tuple
    fields: dict
    mean: Any
    std: Any
    augment: Callable = lambda key, image, magnitude: image
    mix: Callable | None = None
    loss: Callable | None = None
    auxiliary_weight: float = 0.0
    counts: Callable | None = None

    def normalise(self, images: jax.Array) -> jax.Array:
        """(images - mean) / std of images (n, h, w, c) on the [0, 1] scale."""
        return normalise(images, self.mean, self.std)

    def prepare(self, key: jax.Array, example: Mapping[str, Any], numbers: Mapping[str, Any]) -> dict[str, Any]:
        """The example with its image augmented, at the run's magnitude: `Task.prepare` of a task that does no more."""
        image = self.augment(key, example["image"], numbers.get("augment_magnitude", 1.0))
        return {**example, "image": image}


def images_as_they_are(images: jax.Array) -> jax.Array:
    """The same images: `Task.enter` of a task that does not normalise."""
    return images


def _example_as_it_is(key, example, numbers):
    return example


def _batch_as_it_is(batch):
    return batch


def means_alone(n: int, means: dict[str, float], sums: dict[str, Any], rows: dict[str, np.ndarray]) -> dict[str, Any]:
    """The means of a split as its measures: the default of `Task.finish`."""
    return means


def _no_details(n, means, sums, rows):
    return {}


def wrong_positions(
    n: int, means: dict[str, float], sums: dict[str, Any], rows: dict[str, np.ndarray]
) -> dict[str, Any]:
    """{"wrong": positions}, of the images whose row "wrong" is true: the `details` of a task that keeps no more."""
    return {"wrong": np.flatnonzero(rows["wrong"]).tolist()}


def _no_notices(values):
    return ()


def init_by_image(module: Any, batch: Mapping[str, Any]) -> Any:
    """Creates all parameters by one call on the image."""
    return module(batch["image"], train=False)


class Task(NamedTuple):
    """The functions of a kind of learning, for one set of data.

    Attributes:
      players: (Player, ...), in their order within a step.
      infer: f(module, batch) -> {output: (n, ...)}, without labels; the batch may hold nothing but images and `reads`.
      score: f(outputs, batch) -> Scores.
      prepare: f(key, example, numbers) -> example: augmentation and corruption of one training example, under vmap.
      mix: f(key, batch, numbers) -> batch: draws across the images of a replica, or None.
      inputs: f(batch) -> batch: evaluation's counterpart of prepare; what it draws derives from batch["index"].
      finish: f(n, means, sums, rows) -> {measure: float or None}, on the host, from NumPy arrays over a whole split.
      details: f(n, means, sums, rows) -> JSON kept beside the measures in evaluations.jsonl.
      notices: f({measure: value} of an evaluation on held-out images) -> sentences on what is wrong, said while it
        trains and in the report.
      describe: f({output: array} of one image) -> JSON of a prediction, or None where `predict` is not offered; an
        output named "features" is left out, and "view" and "size" (jaxcnn.data.GEOMETRY) of the file are there too.
      init: f(module, batch), which touches every parameter once.
      check: f(name, result, about), which raises InputError where `result`, the ShapeDtypeStructs that the network of
        this name returns for two images, does not fit the task; or None.
      before: f(module, batch) -> {field: (n, ...)}, recorded once over the training images with the network that the
        run begins with; fields of every training batch from then on. Or None.
      begin: a Beginning, or None where a run begins with the network as it was drawn or as config.finetune has it.
      sample: a Sample, or None where the network generates no images.
      enter: f(images (n, h, w, c) in [0, 1]) -> what infer calls the network with, for whoever looks at its stages;
        None for about.normalise.
      reads: the fields of an example that infer needs beside the image.
      undefined: names of measures that have no value on these data.
      stored: names of rows that are kept in evaluations/SPLIT-STEP.npz.
      whole_batch: the loss of an image depends on the others of the batch, see `gathered`: the batch cannot be cut into
        parts by config.optimizer.accumulate.
    """

    players: tuple
    infer: Callable
    score: Callable
    prepare: Callable = _example_as_it_is
    mix: Callable | None = None
    inputs: Callable = _batch_as_it_is
    finish: Callable = means_alone
    details: Callable = _no_details
    notices: Callable = _no_notices
    describe: Callable | None = None
    init: Callable = init_by_image
    check: Callable | None = None
    before: Callable | None = None
    begin: Beginning | None = None
    sample: Sample | None = None
    enter: Callable | None = None
    reads: tuple = ()
    undefined: tuple = ()
    stored: tuple = ()
    whole_batch: bool = False


class Kind(NamedTuple):
    """A kind of task: what is known of it without data. TASKS holds ours; a user's is `package.module:attribute`.

    Attributes:
      measures: {name: Measure} of all that is logged for a split; of a game, "player/name" for its players' means.
      selects: (measure, tie-breaker, ...): the first chooses the best checkpoint, moves the plateau and the patience,
        and is what a search optimises; the others decide between equals. () for the latest checkpoint.
      create: f(about, **options) -> Task; options are config.task.options.
      numbers: {name: config key}: numbers that the objective and prepare read as traced values of `numbers`; changing
        one never recompiles, and the runs of a population may differ in it.
      tells_apart: whether it tells classes apart, for which a set of one class is refused.
      check_split: f(labels (n,)), which raises ValueError where images of these classes cannot be measured, asked of
        each held-out split before a run starts; None for any.
    """

    measures: dict
    selects: tuple
    create: Callable | None
    numbers: dict = {}
    tells_apart: bool = False
    check_split: Callable | None = None

    @property
    def main(self) -> str:
        """The name of the measure by which runs are compared: the first that selects, else the first of no player."""
        common = (name for name in self.measures if "/" not in name)
        return next(iter((*self.selects, *common, *self.measures)))

    def rank(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """A tuple that is larger for the better of two evaluations, {measure: float}."""
        return tuple(values[name] * (1 if self.measures[name].higher_is_better else -1) for name in self.selects)


def check_returned(name: str, result: Any, what: str) -> tuple[int, ...]:
    """The shape of the array that a network returns beside its features.

    Args:
      name: of the network.
      result: as `Task.check` gets it.
      what: what the array is: "logits" for example.
    Raises:
      InputError: it does not return (array, features).
    """
    wanted = f"a model returns ({what}, features), {what} an array and features a dict from stage names to arrays."
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
        raise InputError(f"architecture {name} returns {type(result).__name__}; {wanted}")
    if not hasattr(result[0], "shape"):
        raise InputError(f"architecture {name} returns ({type(result[0]).__name__}, features); {wanted}")
    return result[0].shape


def gathered(x: jax.Array) -> jax.Array:
    """The rows of x (n, ...) of all replicas, in the order of the global batch: for losses across images."""
    return lax.all_gather(x, AXIS, tiled=True)
