"""Sequence to sequence: one recurrent network reads, another writes (Sutskever, Vinyals and Le 2014, arXiv:1409.3215).

    layer        output              parameters of an LSTM
    encoder<k>   t, units            4 * units * (c_in + units + 1)
    embed        embedding           (num_classes + 1) * embedding
    attend       units               2 * units**2 + 2 * units, where there is attention
    decoder<k>   units               4 * units * (c_in + units + 1)
    output       num_classes + 1     (units + 1) * (num_classes + 1)

A step of the input is a row of the image. The decoder begins with the last states of the encoder, layer by layer, and
gets the token before. With attention (Bahdanau et al. 2015, arXiv:1409.0473) it also gets a mean of the encoder's
outputs, weighted by its own state; their encoder reads in both directions, here it reads in one.
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.architectures.token_by_token import behind_each
from jaxcnn.errors import look_up
from jaxcnn.operators.dense import HEAD_INIT
from jaxcnn.operators.recurrent import CELLS, AdditiveAttention, Embed, Recurrent

CLAIMS = {
    "seq2seq": Claim(
        (10, 8, 1),
        154_347,
        697_728,
        "4 * 128 * (8 + 128 + 1) + 11 * 32 + 4 * 128 * (32 + 128 + 1) + 129 * 11; 10 steps are read, the first "
        "from no state, and one is written, behind nothing",
    )
}


class Seq2Seq(nn.Module):
    """Reads the rows of an image and writes a text; token k > 0 is class k - 1, and 0 is nothing.

    Called with `text`, the tokens that stand before the wanted ones (n, l), it returns the logits of each next token,
    (n, l, num_classes + 1), in one pass; without it the logits of a first token behind nothing. `lengths` (n,) are the
    rows that are there. Its features are "state", the encoder's last output (n, units), and with attention
    "attention", the weights (n, l, t). `encode` and `step` are the parts of a search.

    Attributes:
      units: width of each state.
      layers: of the encoder, and of the decoder.
      cell: "rnn", "irnn", "lstm" or "gru".
      embedding: width of a token.
      attention: whether the decoder looks back at the encoder's outputs.
      reverse: whether the input is read from its end, which helped Sutskever et al.
      num_classes: of tokens.
      dtype: what the layers compute in; parameters, the output layer and logits are float32.
    Raises:
      ValueError: an unknown cell.
    """

    units: int = 128
    layers: int = 1
    cell: str = "lstm"
    embedding: int = 32
    attention: bool = False
    reverse: bool = False
    num_classes: int = 10
    dtype: Any = jnp.float32

    result: ClassVar[str] = "next tokens"

    def setup(self) -> None:
        make, numbers = look_up(self.cell, table=CELLS, kind="cell"), range(1, self.layers + 1)
        options: dict[str, Any] = {"reverse": self.reverse, "dtype": self.dtype}
        self.encoders = [Recurrent(self.units, self.cell, name=f"encoder{k}", **options) for k in numbers]
        self.embed = Embed(self.num_classes + 1, self.embedding, dtype=self.dtype)
        self.decoders = [make(self.units, dtype=self.dtype, name=f"decoder{k}") for k in numbers]
        self.attend = AdditiveAttention(self.units, dtype=self.dtype) if self.attention else None
        self.output = nn.Dense(self.num_classes + 1, kernel_init=HEAD_INIT)

    def encode(self, x: jax.Array, lengths: jax.Array | None = None) -> tuple[Any, ...]:
        """The state of the decoder before its first token: (states of its layers, outputs (n, t, units), lengths)."""
        x = x.reshape(*x.shape[:2], -1)
        lengths = jnp.full(x.shape[0], x.shape[1], jnp.int32) if lengths is None else lengths
        states = []
        for layer in self.encoders:
            x, state = layer(x, lengths)
            states.append(state)
        return tuple(states), x, lengths

    def step(self, tokens: jax.Array, state: Any) -> tuple[jax.Array, jax.Array | None, Any]:
        """(logits (n, num_classes + 1), attention (n, t) or None, the next state) behind tokens (n,)."""
        states, outputs, lengths = state
        x, weights = self.embed(tokens), None
        if self.attend is not None:
            context, weights = self.attend(_output(states[-1]), outputs, lengths)
            x = jnp.concatenate([x, context], axis=-1)
        after = []
        for cell, own in zip(self.decoders, states, strict=True):
            own, x = cell(own, x)
            after.append(own)
        return self.output(x.astype(jnp.float32)), weights, (tuple(after), outputs, lengths)

    def __call__(
        self, x: jax.Array, *, train: bool, text: jax.Array | None = None, lengths: jax.Array | None = None
    ) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, h, w, c)
        states, outputs, lengths = self.encode(x, lengths)
        text = jnp.zeros((x.shape[0], 1), jnp.int32) if text is None else text

        def advance(self, states, token, outputs, lengths):
            logits, weights, (states, _, _) = self.step(token, (states, outputs, lengths))
            return states, (logits, weights)

        logits, weights = behind_each(advance, self, text, states, outputs, lengths)
        features = {"state": _output(states[-1])}
        return logits, features if weights is None else {**features, "attention": weights}


def _output(state):
    """The part of a cell's state that it puts out: of an LSTM's (memory, output) the second."""
    return jax.tree.leaves(state)[-1]


MODELS = {"seq2seq": Seq2Seq}
