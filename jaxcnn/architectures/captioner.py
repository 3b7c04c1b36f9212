"""The common part of networks that describe an image: a trunk looks at it, a recurrent cell writes token by token."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.token_by_token import behind_each
from jaxcnn.architectures.trunk import make_trunk, maps_of
from jaxcnn.operators.dense import HEAD_INIT, Dense
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.recurrent import CELLS, Embed
from jaxcnn.operators.regularization import Dropout


class Captioner(nn.Module):
    """Looks at images and writes texts; token k > 0 is class k - 1, and 0 is nothing.

    Called with `text`, the tokens that stand before the wanted ones (n, l), it returns the logits of each next token,
    (n, l, num_classes + 1), in one pass; without it the logits of a first token behind nothing. Its features are those
    of the trunk, and with attention "attention", the weights (n, l, h', w') of the places of the map. `encode` and
    `step` are the parts of a search, `encode` and `write` those of several texts of an image.

    A network of this kind has besides `begin(maps) -> state`, a tuple of the state of its cell and of what stays as it
    is, and `advance(tokens, state, *fixed) -> (hidden (n, d), weights (n, t) or None, state)`.

    Attributes:
      backbone: the name of an architecture.
      backbone_options: its keyword arguments.
      stage: the name of one of its features, a map; full connections behind it are left out.
      units: width of the cell's state.
      embedding: width of a token.
      dropout_rate: before the output layer; a number or a traced scalar.
      num_classes: of tokens.
      norm: of the backbone where it has one, called with train.
      dtype: what the layers compute in; parameters, the output layer and logits are float32.
    Raises:
      ValueError: an unknown stage, or one that is no map.
    """

    backbone: str = "vgg_e"
    backbone_options: Mapping | None = None
    stage: str = "conv5_4"
    units: int = 512
    embedding: int = 512
    dropout_rate: Any = 0.5
    num_classes: int = 10
    norm: Callable = BatchNorm
    dtype: Any = jnp.float32

    result: ClassVar[str] = "next tokens"

    def setup(self) -> None:
        self.trunk = make_trunk(self.backbone, self.backbone_options, dtype=self.dtype, norm=self.norm)
        self.embed = Embed(self.num_classes + 1, self.embedding, dtype=self.dtype)
        self.decoder = CELLS["lstm"](self.units, dtype=self.dtype)
        self.drop = Dropout(self.dropout_rate)
        self.output = Dense(self.num_classes + 1, kernel_init=HEAD_INIT)

    def encode(self, x: jax.Array) -> Any:
        """The state before the first token, of normalised images (n, h, w, c), as the network is used."""
        return self.begin(maps_of(self.trunk, x, self.stage, train=False)[0])

    def step(self, tokens: jax.Array, state: Any) -> tuple[jax.Array, jax.Array | None, Any]:
        """(logits (n, num_classes + 1), attention (n, t) or None, the next state) behind tokens (n,)."""
        own, *fixed = state
        hidden, weights, own = self.advance(tokens, own, *fixed)
        return self._logits(hidden, train=False), weights, (own, *fixed)

    def write(self, state: Any, text: jax.Array, *, train: bool = False) -> tuple[jax.Array, jax.Array | None]:
        """(logits (n, l, num_classes + 1), attention (n, l, t) or None) behind every token of texts (n, l)."""

        def advance(self, own, tokens, *fixed):
            hidden, weights, own = self.advance(tokens, own, *fixed)
            return own, (hidden, weights)

        hidden, weights = behind_each(advance, self, text, *state)
        return self._logits(hidden, train=train), weights

    def __call__(
        self, x: jax.Array, *, train: bool, text: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, h, w, c)
        maps, features = maps_of(self.trunk, x, self.stage, train=train)
        text = jnp.zeros((x.shape[0], 1), jnp.int32) if text is None else text
        logits, weights = self.write(self.begin(maps), text, train=train)
        if weights is not None:
            features = {**features, "attention": weights.reshape(*text.shape, *maps.shape[1:3])}
        return logits, features

    def _logits(self, hidden, *, train):
        return self.output(self.drop(hidden, train=train).astype(jnp.float32))
