"""Show, Attend and Tell (Xu et al. 2015, arXiv:1502.03044): each word looks at a part of the image.

    layer          output             parameters
    trunk          h', w', c          of the architecture up to the stage; a place of the map is one of t = h' * w'
    begin_memory   units              (c + 1) * units, of the map's mean, tanh; begin_output the same
    attend         c                  c * units + units * units + 2 * units
    gate           1                  units + 1, a sigmoid
    embed          embedding          (num_classes + 1) * embedding
    decoder        units              4 * units * (embedding + c + units + 1)
    of_state       embedding          (units + 1) * embedding
    of_context     embedding          c * embedding
    output         num_classes + 1    (embedding + 1) * (num_classes + 1)

With coordinates c is 2 larger in attend, decoder and of_context; with token_query attend has embedding * units more.

It is the paper's soft attention: a mean of the places weighted by the state of the cell (eq. 4 to 6 and 13), times the
gate (section 4.2.1), goes into the cell and, with the token before, into the output (eq. 7). The paper's trunk is
VGG-19 up to its last convolution before the pooling.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.captioner import Captioner
from jaxcnn.architectures.claim import Claim
from jaxcnn.operators.dense import Dense
from jaxcnn.operators.pooling import global_average_pool
from jaxcnn.operators.recurrent import AdditiveAttention

CLAIMS = {
    "caption_attention": Claim(
        (224, 224, 3),
        24_759_372,
        19_564_472_320,
        "trunk 20,024,384 + 2 * 513 * 512 + 525,312 + 513 + 11 * 512 + 4 * 512 * 1537 + 513 * 512 + 512 * 512 + "
        "513 * 11; one step behind nothing",
    )
}


class ShowAttendAndTell(Captioner):
    """`Captioner` that looks at the map anew before each token.

    Attributes:
      coordinates: whether each place of the map holds its row and its column too, from -1 to 1 (Liu et al. 2018,
        arXiv:1807.03247). Without them a sentence knows where something is only by what zero padding leaves of it.
      token_query: whether the token before asks for the look too, beside the state of the cell. In the paper the state
        alone asks, which has not seen that token: a sentence that has just said "a three" looks for it one token late.
    """

    coordinates: bool = False
    token_query: bool = False

    def setup(self) -> None:
        super().setup()
        self.begin_memory, self.begin_output = (Dense(self.units, dtype=self.dtype) for _ in range(2))
        self.attend = AdditiveAttention(self.units, dtype=self.dtype)
        self.gate = Dense(1, dtype=self.dtype)
        self.of_state = Dense(self.embedding, dtype=self.dtype)
        self.of_context = Dense(self.embedding, use_bias=False, dtype=self.dtype)

    def begin(self, maps: jax.Array) -> tuple[Any, ...]:
        """((memory, output), each (n, units), the places of the map (n, t, c), their projection (n, t, units))."""
        mean = global_average_pool(maps)
        if self.coordinates:
            maps = _with_coordinates(maps)
        places = maps.reshape(maps.shape[0], -1, maps.shape[-1])
        state = jnp.tanh(self.begin_memory(mean)), jnp.tanh(self.begin_output(mean))
        return state, places, self.attend.project(places)

    def advance(
        self, tokens: jax.Array, state: Any, places: jax.Array, projected: jax.Array
    ) -> tuple[jax.Array, jax.Array | None, Any]:
        """(what the output sees (n, embedding), weights (n, t), the next state) behind tokens (n,)."""
        token = self.embed(tokens)
        query = jnp.concatenate([state[1], token], axis=-1) if self.token_query else state[1]
        context, weights = self.attend(query, places, projected=projected)
        context = nn.sigmoid(self.gate(state[1])) * context
        state, output = self.decoder(state, jnp.concatenate([token, context], axis=-1))
        return token + self.of_state(output) + self.of_context(context), weights, state


def _with_coordinates(maps):
    """Maps (n, h, w, c) with two channels more, the row and the column, each from -1 to 1."""
    rows, columns = (jnp.linspace(-1, 1, side, dtype=maps.dtype) for side in maps.shape[1:3])
    where = jnp.stack(jnp.meshgrid(rows, columns, indexing="ij"), axis=-1)
    return jnp.concatenate([maps, jnp.broadcast_to(where, (*maps.shape[:3], 2))], axis=-1)


MODELS = {"caption_attention": ShowAttendAndTell}
