"""Show and Tell (Vinyals, Toshev, Bengio and Erhan 2015, arXiv:1411.4555): an image is the first word.

    layer      output             parameters
    trunk      h', w', c          of the architecture up to the stage
    image      embedding          (c + 1) * embedding, of the map's mean; (h' * w' * c + 1) * embedding of all places
    embed      embedding          (num_classes + 1) * embedding
    decoder    units              4 * units * (embedding + units + 1)
    output     num_classes + 1    (units + 1) * (num_classes + 1)

The LSTM sees the image once, in its first step, and then the token before. The paper's trunk is GoogLeNet with batch
norm, whose last map's mean is what its classifier sees. The mean does not say where something is.
"""

from collections.abc import Mapping
from typing import Any

import jax
from flax.core import FrozenDict

from jaxcnn.architectures.captioner import Captioner
from jaxcnn.architectures.claim import Claim
from jaxcnn.operators.dense import Dense
from jaxcnn.operators.pooling import global_average_pool

CLAIMS = {
    "caption_lstm": Claim(
        (224, 224, 3),
        8_235_179,
        1_499_979_264,
        "trunk 5,599,904 + 1025 * 512 + 11 * 512 + 4 * 512 * 1025 + 513 * 11; one step on the image and one behind "
        "nothing",
    )
}


class ShowAndTell(Captioner):
    """`Captioner` whose cell gets the projected map as its first input, and has no attention.

    Attributes:
      mean: whether the map's mean over its places is projected, as in the paper, or all of it, for images of one size.
    """

    mean: bool = True
    backbone: str = "googlenet_bn"
    backbone_options: Mapping | None = FrozenDict(auxiliary=False)
    stage: str = "inception_5b"

    def setup(self) -> None:
        super().setup()
        self.image = Dense(self.embedding, dtype=self.dtype)

    def begin(self, maps: jax.Array) -> tuple[Any, ...]:
        """The state of the cell behind the image, (n, units) twice, in a tuple."""
        x = self.image(global_average_pool(maps) if self.mean else maps.reshape(maps.shape[0], -1))
        return (self.decoder(self.decoder.initialize_carry(jax.random.key(0), x.shape), x)[0],)

    def advance(self, tokens: jax.Array, state: Any) -> tuple[jax.Array, jax.Array | None, Any]:
        """(output (n, units), None, the next state) behind tokens (n,)."""
        state, hidden = self.decoder(state, self.embed(tokens))
        return hidden, None, state


MODELS = {"caption_lstm": ShowAndTell}
