"""Learning without forgetting (Li and Hoiem 2016, arXiv:1606.09282): a second task, without data of the first.

Shared parameters theta_s, old ones theta_o of the head that is there, new ones theta_n of a head for the new classes.
The old network's responses to the new task's images are recorded once (figure 3); then

    lambda_old * L_old(recorded, theta_s, theta_o) + L_new(labels, theta_s, theta_n) + R(theta)

is minimised: L_old is distillation at temperature 2, L_new the cross-entropy, R weight decay. First theta_n alone
learns (warm-up), then all. The paper's baselines are the same run with other numbers, see METHODS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn import architectures, trust
from jaxcnn.errors import input_errors, look_up
from jaxcnn.operators.dense import HEAD_INIT
from jaxcnn.training.config import Config
from jaxcnn.training.finetune.plan import changes_with_classes
from jaxcnn.training.model import make_model
from jaxcnn.training.rundir.about import read_data
from jaxcnn.training.rundir.directory import read_config

if TYPE_CHECKING:
    import numpy as np
    from ml_collections import ConfigDict

    from jaxcnn.evaluation.trained import Trained


HEAD = "new_head"
METHODS = ("lwf", "fine_tuning", "feature_extraction", "joint")


class TwoHeads(nn.Module):
    """A network with the head that it has, for the old classes, and a linear one beside it for the new classes.

    The new head reads the network's last stage. Parameters of the network keep their names, so that a run of the
    network alone is the source of this one; those of the head are `new_head`. Features: those of the network, `old`
    (n, old_classes) and `new` (n, num_classes), both logits.

    Attributes:
      network: a name of ARCHITECTURES or package.module:attribute.
      options: its own arguments.
      old_classes: the number of classes of its head.
      num_classes: the number of new classes; of both together where joint is set.
      joint: the output is log softmax of the old classes, then that of the new, each task by itself; else the new
        logits.
      dtype: what the layers compute in.
    Raises:
      ValueError: an option is unknown, or joint has no new classes.
    """

    network: str
    old_classes: int
    options: Any = None
    num_classes: int = 10
    joint: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        new_classes = self.num_classes - self.old_classes * self.joint
        if new_classes < 1:
            raise ValueError(f"{self.num_classes} classes of both tasks, but {self.old_classes} are old")
        options = {**(self.options or {}), "num_classes": self.old_classes}
        if self.dtype != jnp.float32:  # a network of the user's own need not have the field
            options["dtype"] = self.dtype
        network = architectures.create_allowed(self.network, **options)
        nn.share_scope(self, network)
        old, features = network(x, train=train)
        shared = [x for stage, x in features.items() if not stage.startswith("aux") and x.shape[-1] != self.old_classes]
        if not shared:
            raise ValueError(f"{self.network} has no stage below its {self.old_classes} classes for the new head")
        last = shared[-1]  # that of a map for each old class belongs to the old head
        last = last.reshape(last.shape[0], -1).astype(jnp.float32)
        new = nn.Dense(new_classes, kernel_init=HEAD_INIT, name=HEAD)(last)
        features = {**features, "old": old, "new": new}
        if self.joint:
            return jnp.concatenate([jax.nn.log_softmax(old), jax.nn.log_softmax(new)], axis=1), features
        return new, features


def likelihood(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Minus the log probability of the targets where the logits are log probabilities already, as those of joint."""
    return -jnp.sum(targets * logits, axis=-1)


def second_task(
    config: ConfigDict, source: str, *, method: str = "lwf", weight: float = 1.0, warmup: str = "0 steps"
) -> ConfigDict:
    """The config of a run that learns a second task on the network of a run of the first.

    lwf: the new head alone during the warm-up, then all, held to the old responses.
    fine_tuning: the new head alone during the warm-up, then the shared parameters too; the old head stays.
    feature_extraction: the new head alone.
    joint: as lwf, but held by the images of both tasks; the labels are those of the old classes, then of the new.

    Args:
      config: of the new task's data and recipe; it is copied, its model and source are set.
      source: the run directory of the first task.
      method: one of METHODS.
      weight: lambda_old; 1 is the paper's.
      warmup: duration of the warm-up.
    Raises:
      InputError: no such method or run.
    """
    with input_errors(""):
        look_up(method, table=dict.fromkeys(METHODS), kind="method")
    theirs, (classes, shape) = read_config(source), read_data(source)
    trust.check(theirs.model.name)  # it becomes a part of the user's config
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.model.name = f"{__name__}:TwoHeads"
        options = {key: value for key, value in theirs.model.options.items() if key != "num_classes"}
        config.model.options = Config(
            {
                "network": theirs.model.name,
                "options": options,
                "old_classes": len(classes),
                "joint": method == "joint",
            }
        )
        config.finetune.update({"source": str(source), "head": (HEAD,), "freeze": ("*",)})
        config.finetune.unfreeze = () if method == "feature_extraction" else (("*", warmup),)
        if method == "fine_tuning":
            old_head = changes_with_classes(make_model(theirs, shape, classes), shape)
            config.finetune.rates = tuple((name, 0.0) for name in sorted(old_head))
        if method == "lwf":
            config.task.name = "learning_without_forgetting"
            config.task.options = Config({"weight": weight})
        if method == "joint":
            config.loss.update({"name": f"{__name__}:likelihood", "options": Config()})
    return config


def predictions(
    trained: Trained, images: np.ndarray, *, stages: Sequence[str] = ("old", "new"), batch_size: int = 256
) -> dict[str, np.ndarray]:
    """The class of the largest logit of each head, {stage: int (n,)}, for uint8 images (n, h, w, c).

    Args:
      trained: a Trained of a TwoHeads.
      images: as its runs' images are stored.
      stages: names of features that are logits.
      batch_size: of the computation.
    """

    def largest(variables, images):
        _, features = trained.apply(variables, images)
        return {stage: features[stage].argmax(axis=1) for stage in stages}

    return trained.map(largest, images, batch_size=batch_size)
