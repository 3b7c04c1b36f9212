"""What the old network answers to the new images, recorded once: the teacher of learning without forgetting."""

import jax
import numpy as np
from jax import lax
from safetensors import numpy as safetensors

from jaxcnn.errors import InputError
from jaxcnn.files import replaced
from jaxcnn.operators.loss import distillation
from jaxcnn.training.parallel import AXIS
from jaxcnn.training.step import as_float, fetch

OLD = "old"  # the feature that holds the logits for the old classes, and the recorded ones in a batch
RESPONSES = "responses.safetensors"


def remember(settings):
    """The loss against the old network's recorded responses, f(features, batch) -> (n,), or None without a weight.

    weight * distillation(features["old"], batch["old"])   (Li and Hoiem 2016, arXiv:1606.09282, equation 2)

    Args:
      settings: config.forgetting.
    """
    if not settings.weight:
        return None

    def loss(features, batch):
        if OLD not in features:
            raise InputError(
                f"config.forgetting.weight: the network has no feature '{OLD}', the logits for the old classes; "
                "jaxcnn.transfer.forgetting:TwoHeads has."
            )
        options = {"temperature": settings.temperature, "squared_temperature": False}
        return settings.weight * distillation(features[OLD], batch[OLD], **options)

    return loss


def old_responses(setup, task, feed, state, workdir, *, resumed):
    """Logits for the old classes of the training images as they are stored, float32 (n, K): recorded or read again.

    They lie in the run directory: a run that is resumed learns from those of the network that it began with.

    Args:
      setup: a Setup.
      task: its Task.
      feed: the training Feed, which is resident.
      state: the State before the first step.
      workdir: the run directory.
      resumed: whether the run has begun before.
    Raises:
      InputError: the training images are streamed.
    """
    if not feed.resident:
        raise InputError(
            "config.forgetting.weight: responses are recorded of images that lie on the device, but these are "
            "streamed. config.data.resident='yes' puts them there."
        )
    path = workdir / RESPONSES
    if not resumed:
        found = _record(setup, task, feed, state)
        if jax.process_index() == 0:
            with replaced(path) as temporary:
                safetensors.save_file({OLD: found}, temporary)
        return found
    return safetensors.load_file(path)[OLD]


def _record(setup, task, feed, state):
    def answer(nothing, data, inputs):
        variables, images = data
        batch = fetch(images, jax.tree.map(lambda x: x[0], inputs))
        _, features = task.model.apply(variables, task.normalise(as_float(batch["image"])), train=False)
        return nothing, lax.all_gather(features[OLD], AXIS, tiled=True)

    program = setup.replicas.map(answer, donate=False)
    data = ({"params": state.params, "batch_stats": state.batch_stats}, feed.data)
    size = setup.config.evaluation.batch_size
    found = [np.asarray(program((), data, inputs)[1]) for inputs in feed.evaluation(batch_size=size)]
    return np.concatenate(found)[: len(feed.records)]
