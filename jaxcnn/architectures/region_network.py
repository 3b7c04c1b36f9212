"""The part that R-CNN, Fast R-CNN and Faster R-CNN share: a trunk up to a stage, and a head that classifies regions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.trunk import make_trunk, maps_of
from jaxcnn.operators.activation import relu
from jaxcnn.operators.dense import HEAD_INIT, Dense
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.regularization import Dropout


class RegionNetwork(nn.Module):
    """A network of regions. Its methods are the parts that a task puts together; `maps` and `pool` are of a subclass.

    Attributes:
      num_classes: K, without the background.
      backbone: the name of an architecture.
      backbone_options: its keyword arguments.
      stage: the name of one of its features, a map; full connections behind it are left out.
      hidden: widths of the full connections of the head.
      dropout_rate: behind each of them; a number or a traced scalar.
      norm: of the backbone where it has one, called with train.
      dtype: what the layers compute in; parameters and outputs are float32.
    Raises:
      ValueError: an unknown name of a stage, or one that is no map.
    """

    num_classes: int = 20
    backbone: str = "vgg_d"
    backbone_options: Mapping | None = None
    stage: str = "conv5_3"
    hidden: Sequence[int] = (4096, 4096)
    dropout_rate: Any = 0.5
    norm: Callable = BatchNorm
    dtype: Any = jnp.float32

    result: ClassVar[str] = "regions"

    def setup(self) -> None:
        self.trunk = make_trunk(self.backbone, self.backbone_options, dtype=self.dtype, norm=self.norm)
        self.fc = [Dense(width, dtype=self.dtype, name=f"fc{i}") for i, width in enumerate(self.hidden, 6)]
        self.drop = [Dropout(self.dropout_rate, name=f"dropout{i}") for i in range(6, 6 + len(self.hidden))]
        self.classes = Dense(self.num_classes + 1, kernel_init=HEAD_INIT)

    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, h, w, c)
        """(the class logits (n, K + 1) of each whole image as a region, the features of all parts)."""
        maps, features = self.maps(x, train=train)
        whole = jnp.broadcast_to(jnp.array([0, 0, x.shape[2], x.shape[1]], jnp.float32), (x.shape[0], 1, 4))
        _, vectors = self.describe(maps, whole, image=x.shape[1:3], train=train)
        return self.answer(vectors)[0][:, 0], {**features, "region": vectors[:, 0]}

    def trunk_maps(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:
        """(the map of features (n, h', w', c') of the stage, all stages of the trunk) of normalised images."""
        return maps_of(self.trunk, x, self.stage, train=train)

    def describe(
        self, maps: jax.Array, boxes: jax.Array, *, image: Sequence[int], train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """The features of regions.

        Args:
          maps: of `maps`.
          boxes: (n, m, 4), in pixels of the images.
          image: (height, width) of the images.
          train: whether it trains.
        Returns:
          (those behind the pooling (n, m, d), those behind the head's last full connection (n, m, d'), float32).
        """
        pooled = self.pool(maps, boxes, image=image, train=train)
        x = pooled.reshape(boxes.shape[0] * boxes.shape[1], -1)  # the regions of an image together, for Dropout
        for layer, drop in zip(self.fc, self.drop, strict=True):
            x = drop(relu(layer(x)), train=train)
        rows = (*boxes.shape[:2], -1)
        return pooled.reshape(rows), x.astype(jnp.float32).reshape(rows)

    def answer(self, vectors: jax.Array) -> tuple[jax.Array, jax.Array | None]:
        """(logits (n, m, K + 1), the last of the background, offsets (n, m, K, 4) or None) of the head's features."""
        return self.of_rows(self.classes, vectors), None

    def of_rows(self, layer: Callable[[jax.Array], jax.Array], vectors: jax.Array) -> jax.Array:
        """A full connection of the vectors (n, m, d) of regions, as if they were one long list of rows."""
        return layer(vectors.reshape(-1, vectors.shape[-1])).reshape(*vectors.shape[:2], -1)

    def classify(
        self, maps: jax.Array, boxes: jax.Array, *, image: Sequence[int], train: bool
    ) -> tuple[jax.Array, jax.Array | None]:
        """The answer to boxes (n, m, 4)."""
        return self.answer(self.describe(maps, boxes, image=image, train=train)[1])
