"""Several trained networks on the devices, as functions from images to probabilities, whole images too."""

import functools
import math

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.errors import InputError
from jaxcnn.training.compilation import compiler_options
from jaxcnn.training.parallel import AXIS
from jaxcnn.training.setup import make_normalise
from jaxcnn.training.step import as_float

DENSE_PART = 8  # a batch of whole images is this part of a batch of crops: few of them have the same shape


def dense_network(trained):
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
    """The members on the devices, each of its programs compiled once for a shape and shared by equal architectures.

    Args:
      members: [Trained].
      setup: the Setup of one of them; its evaluation.batch_size is that of crops.

    Attributes:
      programs: {(architecture, shape of the batch, dense): the compiled program}.
    """

    def __init__(self, members, setup):
        self.members, self.replicas = members, setup.replicas
        self.batch_size = setup.config.evaluation.batch_size
        self.options = compiler_options(deterministic=setup.config.deterministic)
        self.data = [self.replicas.replicate({"variables": m.variables, "mean": m.mean, "std": m.std}) for m in members]
        # A mean image and channel means make different programs of one architecture.
        self.names = [(m.config.model.to_json_best_effort(sort_keys=True), np.shape(m.mean)) for m in members]
        self.programs = {}

    def check_dense(self, scales, unit):
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
                raise InputError(f"{where}, at images of {shape[1]}x{shape[2]}: {reason}") from error
            if logits.shape != (1, len(member.classes)):
                raise InputError(f"{where}: its logits for images of {shape[1]}x{shape[2]} have shape {logits.shape}.")

    def probabilities(self, number, images, *, dense=False):
        """Softmax outputs (n, K) float32 of a member for uint8 images (n, h, w, c), in batches of one size."""
        size = self.batch_size
        if dense:
            size = math.ceil(size / DENSE_PART / self.replicas.count) * self.replicas.count
        found = []
        for first in range(0, len(images), size):
            part = images[first : first + size]
            padded = np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), part.dtype)])
            inputs = self.replicas.shard({"image": padded[None]})
            _, batch = self._program(number, inputs, padded.shape, dense)((), self.data[number], inputs)
            found.append(np.asarray(batch)[: len(part)])
        return np.concatenate(found)

    def _program(self, number, inputs, shape, dense):
        key = (self.names[number], shape, dense)
        if key not in self.programs:
            member = self.members[number]
            model = dense_network(member) if dense else member.model

            def forward(state, data, inputs):
                images = make_normalise(data["mean"], data["std"])(as_float(inputs["image"][0]))
                logits, _ = model.apply(data["variables"], images, train=False)
                return state, lax.all_gather(jax.nn.softmax(logits), AXIS, tiled=True)

            lowered = self.replicas.map(forward, donate=False).lower((), self.data[number], inputs)
            self.programs[key] = lowered.compile(compiler_options=self.options)
        return self.programs[key]
