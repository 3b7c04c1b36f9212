"""Several trained networks on the devices, as functions from images to probabilities, whole images too."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.evaluation.batched import Batched
from jaxcnn.tasks.pixels import as_float, normalise

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained


DENSE_PART = 8  # a batch of whole images is this part of a batch of crops: few of them have the same shape


def dense_network(trained: Trained) -> Any:
    """The network as it is evaluated on whole images of any size.

    Where the architecture has dense_evaluation (VGG, AlexNet), its first full connection becomes a convolution and
    class scores are averaged over the map, before the softmax (Simonyan and Zisserman 2014, section 3.2); a map_size
    of None becomes the side of its feature pool5 for images of the size it was trained on. A network
    that ends in an average over its whole map and a linear layer does the same as it is (He et al. 2015,
    arXiv:1512.03385, section 3.4).
    """
    model = trained.model
    if not hasattr(model, "dense_evaluation"):
        return model
    options = {"dense_evaluation": True}
    if getattr(model, "map_size", 0) is None:
        image = jax.ShapeDtypeStruct((1, *trained.shape), jnp.float32)
        _, features = jax.eval_shape(functools.partial(model.apply, train=False), trained.variables, image)
        options["map_size"] = features["pool5"].shape[1]
    return model.clone(**options)


class Networks:
    """The members on the devices, each of their programs compiled once for a shape and shared by equal architectures.

    Args:
      members: [Trained].
      replicas: the devices.
      batch_size: of crops.
    """

    def __init__(self, members: Sequence[Any], replicas: Any, *, batch_size: int) -> None:
        self.members, self.replicas, self.batch_size = members, replicas, batch_size
        self.deterministic = members[0].config.deterministic
        self.data = [self.replicas.replicate({"variables": m.variables, "mean": m.mean, "std": m.std}) for m in members]
        # A mean image and channel means make different programs of one architecture.
        self.names = [(m.config.model.to_json_best_effort(sort_keys=True), np.shape(m.mean)) for m in members]
        self._networks = {}  # {(architecture, dense): Batched}

    @property
    def compilations(self) -> int:
        """The number of programs that were compiled."""
        return sum(len(network.programs) for network in self._networks.values())

    def check_dense(self, scales: Sequence[int], unit: int) -> None:
        """Raises InputError where a member does not take images of the smallest scale and other aspect ratios."""
        shape = (1, scales[0], scales[0] + unit, self.members[0].shape[2])
        for member in self.members:
            where = f"architecture {member.config.model.name} ({member.workdir}) cannot be evaluated densely"
            if np.ndim(member.mean) == 3:
                raise InputError(f"{where}: a mean image is subtracted (config.data.mean 'pixel'), which has one size.")
            try:
                apply = functools.partial(dense_network(member).apply, train=False)
                logits, _ = jax.eval_shape(apply, member.variables, jax.ShapeDtypeStruct(shape, jnp.float32))
            except (flax.errors.FlaxError, ValueError, TypeError) as error:
                reason = " ".join(str(error).split())
                if isinstance(error, flax.errors.ScopeParamShapeError):  # whose text is of initializers
                    height, width, _ = member.shape
                    reason = f"its fully connected layers take images of {height}x{width} only."
                raise InputError(f"{where}, at images of {shape[1]}x{shape[2]}: {reason}") from error
            if logits.shape != (1, len(member.classes)):
                raise InputError(f"{where}: its logits for images of {shape[1]}x{shape[2]} have shape {logits.shape}.")

    def probabilities(self, number: int, images: np.ndarray, *, dense: bool = False) -> np.ndarray:
        """Softmax outputs (n, K) float32 of a member for uint8 images (n, h, w, c), in batches of one size."""
        key = (self.names[number], dense)
        if key not in self._networks:
            size = math.ceil(self.batch_size / DENSE_PART) if dense else self.batch_size
            model = dense_network(self.members[number]) if dense else self.members[number].model
            function = functools.partial(_probabilities, model)
            self._networks[key] = Batched(function, self.replicas, batch_size=size, deterministic=self.deterministic)
        return self._networks[key](self.data[number], images)


def _probabilities(model, data, images):
    logits, _ = model.apply(data["variables"], normalise(as_float(images), data["mean"], data["std"]), train=False)
    return jax.nn.softmax(logits)
