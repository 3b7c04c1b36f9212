"""Samplers: the orders in which a run takes its training images, by name.

A sampler is a function or class `f(labels, *, seed, batch_size, **options)` whose result has
`records(start, stop) -> int64 (stop - start,)`, the image numbers at positions of the endless stream. They depend on
(seed, position) alone, so that a run resumes at any step and every process reads its own part of a batch.
"""

import inspect
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcnn import trust
from jaxcnn.data.order import Order, derived_seed
from jaxcnn.errors import InputError, input_errors, nearest


def shuffle(labels: np.ndarray, *, seed: int, batch_size: int) -> Order:
    """Every image once an epoch, each epoch in an order of its own: an Order."""
    return Order(len(labels), seed=seed)


class Balanced:
    """Every class equally often, however many images it has.

    In a batch no class has over one image more than another, and over batches all come equally often. The images of a
    class are shuffled; each comes once before any comes again.

    Args:
      labels: the class of each image, integers (n,). A class without images is not drawn.
      seed: of the run.
      batch_size: images in a global batch.
    """

    def __init__(self, labels: np.ndarray, *, seed: int, batch_size: int) -> None:
        self._batch_size, self._images = batch_size, _by_class(labels)
        self._each, extra = divmod(batch_size, len(self._images))
        self._extra = _Groups(len(self._images), extra, seed=derived_seed(seed, "classes"))
        self._orders = [Order(len(own), seed=derived_seed(seed, "images", c)) for c, own in enumerate(self._images)]
        self._places = Order(batch_size, seed=derived_seed(seed, "places"))

    def records(self, start: int, stop: int) -> np.ndarray:
        """The image numbers at stream positions start .. stop - 1, int64 (stop - start,)."""
        return _of_batches(self._batch, self._batch_size, start, stop)

    def _batch(self, number):
        first, last = (self._each * n + self._extra.before(n) for n in (number, number + 1))
        parts = [
            self._images[c][self._orders[c].records(int(first[c]), int(last[c]))] for c in np.flatnonzero(last - first)
        ]
        return np.concatenate(parts)[self._places.records(number * self._batch_size, (number + 1) * self._batch_size)]


class Identities:
    """Batches of P classes with K images of each, for losses that compare images (Hermans et al. 2017, section 2).

    Classes and images are drawn without replacement: each comes once before any comes again, and never twice in one
    batch. Only of a class with fewer than K images some come more often.

    The images of a class stand together, so that devices whose number divides P hold whole classes. However a batch is
    cut, `jaxcnn.tasks.gathered` gives a loss all of it.

    Args:
      labels: the class of each image, integers (n,).
      seed: of the run.
      batch_size: images in a global batch, P times K.
      identities: P.
      images: K.
    Raises:
      InputError: P times K is not the batch size, or there are fewer than P classes.
    """

    def __init__(self, labels: np.ndarray, *, seed: int, batch_size: int, identities: int, images: int) -> None:
        if not all(type(size) is int and size > 0 for size in (identities, images)):
            raise InputError(f"identities is {identities!r} and images {images!r}; both are positive whole numbers.")
        if identities * images != batch_size:
            raise InputError(
                f"{identities} identities of {images} images are {identities * images}, but config.batch_size is "
                f"{batch_size}: the one must be the other."
            )
        self._batch_size, self._images = batch_size, _by_class(labels)
        if len(self._images) < identities:
            raise InputError(f"identities is {identities}, but the training images are of {len(self._images)} classes.")
        self._classes = _Groups(len(self._images), identities, seed=derived_seed(seed, "classes"))
        seeds = (derived_seed(seed, "images", c) for c in range(len(self._images)))
        self._groups = [_Groups(len(own), images, seed=of) for own, of in zip(self._images, seeds, strict=True)]

    def records(self, start: int, stop: int) -> np.ndarray:
        """The image numbers at stream positions start .. stop - 1, int64 (stop - start,)."""
        return _of_batches(self._batch, self._batch_size, start, stop)

    def _batch(self, number):
        before = self._classes.before(number)
        return np.concatenate(
            [self._images[c][self._groups[c].group(int(before[c]))] for c in self._classes.group(number)]
        )


SAMPLERS = {"shuffle": shuffle, "balanced": Balanced, "identities": Identities}


def make_order(
    records: Any, *, seed: int, batch_size: int, name: str = "shuffle", options: Mapping[str, Any] | None = None
) -> Any:
    """The order of the training images under a sampler, as `jaxcnn.data.stream` takes it.

    Args:
      records: Records of the training slice.
      seed: of the run.
      batch_size: images in a global batch.
      name: a key of SAMPLERS, or `package.module:attribute` that the user has allowed.
      options: {name: value} of the sampler's own arguments.
    Returns:
      An object with records(start, stop), n and seed, as Order.
    Raises:
      InputError: no such sampler or option, the options do not fit the images or the batch, the data set cannot tell
        its labels, or the user's own sampler gives anything but image numbers by position.
    """
    own, options = trust.is_code(name), dict(options or {})
    with input_errors("config.sampler.name"):
        sampler = trust.resolve(name, SAMPLERS, kind="sampler")
    _check_options(sampler, name, options)
    if sampler is shuffle:  # which needs no labels
        return Order(len(records), seed=seed)
    labels = records.labels()
    with trust.slips_named(f"config.sampler: {name}", name):
        order = sampler(labels, seed=seed, batch_size=batch_size, **options)
        if not own:
            return _Sampled(order, len(labels), seed, name)
        if not callable(getattr(order, "records", None)):
            raise InputError(f"sampler {name} returns {type(order).__name__}, which has no records(start, stop).")
        order = _Sampled(order, len(labels), seed, name)
        order.try_out(batch_size)
    return order


def _check_options(sampler, name, options):
    taken = inspect.signature(sampler).parameters
    plain = [key for key, p in taken.items() if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    known = [key for key in plain[1:] if key not in ("seed", "batch_size")]
    if any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        known += options
    for key in options:
        if key not in known:
            raise InputError(f"config.sampler.options: {name} has no option {key!r}; {nearest(key, known)}")
    for key in known:
        if key not in options and taken[key].default is taken[key].empty:
            raise InputError(f"config.sampler.options lacks '{key}', which {name} needs.")


class _Sampled:
    """An order by a sampler, whose numbers are checked."""

    def __init__(self, sampler, n, seed, name):
        self._sampler, self.n, self.seed, self._name = sampler, n, seed, name

    def records(self, start, stop):
        found = np.asarray(self._sampler.records(start, stop))
        if found.shape != (stop - start,) or found.dtype.kind not in "iu":
            raise InputError(
                f"sampler {self._name}: records({start}, {stop}) gives {found.dtype} {found.shape}; it gives image "
                f"numbers, integers ({stop - start},)."
            )
        if found.size and not 0 <= found.min() <= found.max() < self.n:
            raise InputError(
                f"sampler {self._name}: records({start}, {stop}) gives {found.min()} to {found.max()}; the numbers of "
                f"the {self.n} images are 0 to {self.n - 1}."
            )
        return found.astype(np.int64)

    def try_out(self, batch_size):
        """Raises InputError where the numbers are no function of the position."""
        whole = self.records(0, 2 * batch_size)
        if not np.array_equal(self.records(batch_size, 2 * batch_size), whole[batch_size:]):
            raise InputError(
                f"sampler {self._name} gives other images for the same positions: what records(start, stop) returns "
                "depends on the seed and the positions alone, or a run could not be resumed."
            )


class _Groups(Order):
    """An endless stream of 0 .. n - 1, cut into groups of `size` that are distinct numbers, where size is at most n.

    Every n positions are a permutation, as in Order. It stays the same for so many passes that groups end with it.
    """

    def __init__(self, n, size, *, seed):
        super().__init__(n, seed=seed)
        self.size, self._passes = size, max(1, size // math.gcd(size, n))

    def group(self, number):
        """The numbers of a group, int64 (size,)."""
        return self.records(number * self.size, (number + 1) * self.size)

    def before(self, number):
        """How often each number came in the groups before one, int64 (n,)."""
        epoch, offset = divmod(number * self.size, self.n)
        found = np.full(self.n, epoch, np.int64)
        found[self._permutation(epoch)[:offset]] += 1
        return found

    def _permutation(self, epoch):
        return super()._permutation(epoch // self._passes)


def _by_class(labels):
    """[the numbers of the images of a class], of every class that has some."""
    order = np.argsort(labels, kind="stable")
    _, starts = np.unique(np.asarray(labels)[order], return_index=True)
    return np.split(order, starts[1:])


def _of_batches(batch, size, start, stop):
    """Stream positions start .. stop - 1 of f(number of a batch) -> (size,)."""
    if not 0 <= start <= stop:
        raise ValueError(f"stream positions must satisfy 0 <= start <= stop, not {start}, {stop}")
    first = start // size
    parts = [np.zeros(0, np.int64), *(batch(number) for number in range(first, -(-stop // size)))]
    return np.concatenate(parts)[start - first * size : stop - first * size]
