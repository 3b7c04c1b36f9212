"""The common part of Inception-v3, -v4 and Inception-ResNet: a trunk from a table, an auxiliary head, the end."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.conv_norm import RELEASED_NORM, ConvNorm, apply_stage, check_images
from jaxcnn.operators.dense import HEAD_INIT
from jaxcnn.operators.pooling import average_pool, global_average_pool
from jaxcnn.operators.regularization import Dropout


class Plan(NamedTuple):
    """A network.

    Attributes:
      name: for messages.
      stages: its table, see `conv_norm`.
      head: the stage on which the auxiliary head sits.
      smallest: the side of the smallest image that leaves a pixel of every stage.
    """

    name: str
    stages: Mapping[str, Any]
    head: str
    smallest: int = 75


class AuxLogits(nn.Module):
    """The auxiliary head on the last 17x17 stage (Szegedy et al. 2015, section 4); larger ones are averaged before the
    linear layer.

    Attributes:
      num_classes, norm, dtype: as in `InceptionTrunk`.
    """

    num_classes: int
    norm: Callable
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:  # (n, 17, 17, c)
        check_images(x, 17, "the auxiliary head needs 299x299 images, or auxiliary=False; of its stage it needs")
        x = average_pool(x, window=5, stride=3, padding=0)  # (n, 5, 5, c)
        options: dict[str, Any] = {"norm": self.norm, "dtype": self.dtype}
        x = ConvNorm(128, 1, name="Conv2d_1b_1x1", **options)(x, train=train)
        x = ConvNorm(768, 5, name="Conv2d_2a_5x5", **options)(x, train=train)  # (n, 1, 1, 768)
        x = global_average_pool(x).astype(jnp.float32)
        return nn.Dense(self.num_classes, kernel_init=HEAD_INIT, name="Logits")(x)


class InceptionTrunk(nn.Module):
    """The stages of a table, global average pooling, dropout and a linear layer; a network says which in `_plan`.

    The papers' images are 299x299x3, any from 75x75 fit without the auxiliary head.

    Attributes:
      num_classes: any number.
      auxiliary: whether there is the auxiliary head; its logits are the feature "aux1".
      dropout_rate: before the linear layer; a number or a traced scalar.
      count_padding: whether the zeros around a map are part of its average pooling, as in torchvision.
      norm: the normalisation after each convolution, called with train.
      remat: computes the activations of the blocks again in the backward pass.
      dtype: what the layers compute in; parameters, batch statistics, linear layers and logits are float32.
    Raises:
      ValueError: the images are too small.
    """

    num_classes: int = 1000
    auxiliary: bool = False
    dropout_rate: Any = 0.2
    count_padding: bool = False
    norm: Callable = RELEASED_NORM
    remat: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, 299, 299, 3)
        plan, features = self._plan(), {}
        check_images(x, plan.smallest, f"{plan.name} needs")
        for name, stage in plan.stages.items():
            x = features[name] = self._stage(x, name, stage, train)
            if name == plan.head and self.auxiliary:
                head = AuxLogits(self.num_classes, self.norm, self.dtype, name="AuxLogits")
                features["aux1"] = head(x, train=train)
        x = features["AvgPool_1a"] = global_average_pool(x)  # (n, c)
        x = Dropout(self.dropout_rate, name="dropout")(x, train=train).astype(jnp.float32)
        return nn.Dense(self.num_classes, kernel_init=HEAD_INIT, name="Logits")(x), features

    def _plan(self):
        raise NotImplementedError

    def _stage(self, x, name, stage, train):
        options = {"remat": self.remat, "count_padding": self.count_padding, "norm": self.norm, "dtype": self.dtype}
        return apply_stage(x, name, stage, train=train, **options)
