"""VGG A to E (Simonyan and Zisserman 2014, arXiv:1409.1556, table 1), and the face network built on D.

    stage  output       width   A     A-LRN    B     C          D      E
    1      112x112x64    64     1     1, LRN   2     2          2      2      convolutions, then 2x2 max pooling
    2      56x56x128    128     1     1        2     2          2      2
    3      28x28x256    256     2     2        2     2 + 1x1    3      4
    4      14x14x512    512     2     2        2     2 + 1x1    3      4
    5      7x7x512      512     2     2        2     2 + 1x1    3      4
    fc6, fc7, fc8: 4096, 4096, 1000
    parameters (table 2, millions)    133   133   133   134   138   144

Convolutions are 3x3 with padding 1 (C's third of a stage: 1x1), stride 1, with a bias, each with a relu. The LRN of
A-LRN follows the relu of conv1_1; the paper takes its parameters from Krizhevsky et al. 2012. Dropout of 0.5 follows
fc6 and fc7. `vgg_face` is D with 2,622 identities (Parkhi, Vedaldi and Zisserman 2015, "Deep face recognition").

Initialisation. The paper draws from a normal distribution of mean zero, its biases are zero, and it starts the nets
deeper than A from A's first four convolutions and its fc6 to fc8, because they do not train from scratch so. It
prints a variance of 10**-2, under which the activations of A would grow to 10**5 times those of the image; we read a
standard deviation of 0.01, as He et al. 2015 (arXiv:1502.01852, section 2.2) do. Under that the signal vanishes in the
deep nets instead. So the default is He's, which needs no pre-training. The authors noted after the submission that
Glorot's works from scratch too. See INITIALISATIONS. fc8 is N(0, 0.01**2).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.architectures.claim import Claim
from jaxcnn.errors import look_up
from jaxcnn.operators.activation import relu
from jaxcnn.operators.convolution import HE_FAN_IN, Conv
from jaxcnn.operators.dense import HEAD_INIT, SlidingDense
from jaxcnn.operators.normalization import BatchNorm
from jaxcnn.operators.pooling import max_pool
from jaxcnn.operators.regularization import Dropout
from jaxcnn.operators.remat import rematerialised
from jaxcnn.operators.response import local_response_norm

LAYERS = {  # kernel sizes of the convolutions of each stage
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}

VARIANTS = {
    "vgg_a": {"layers": LAYERS["A"]},
    "vgg_a_lrn": {"layers": LAYERS["A"], "lrn": True},
    "vgg_b": {"layers": LAYERS["B"]},
    "vgg_c": {"layers": LAYERS["C"]},
    "vgg_d": {"layers": LAYERS["D"]},
    "vgg_e": {"layers": LAYERS["E"]},
}

INITIALISATIONS = {
    "he": HE_FAN_IN,
    "glorot": nn.initializers.glorot_uniform(),  # Glorot and Bengio 2010
    "paper": nn.initializers.normal(0.01),
    "paper_printed": nn.initializers.normal(0.1),  # variance 10**-2, to the letter
}

_TABLE_2 = "Simonyan and Zisserman 2014, table 2 (rounded); from its layers"

CLAIMS = {
    "vgg_a": Claim((224, 224, 3), 132_863_336, 7_609_090_048, _TABLE_2),
    "vgg_a_lrn": Claim((224, 224, 3), 132_863_336, 7_609_090_048, _TABLE_2),
    "vgg_b": Claim((224, 224, 3), 133_047_848, 11_308_466_176, _TABLE_2),
    "vgg_c": Claim((224, 224, 3), 133_638_952, 11_770_888_192, _TABLE_2),
    "vgg_d": Claim((224, 224, 3), 138_357_544, 15_470_264_320, _TABLE_2),
    "vgg_e": Claim((224, 224, 3), 143_667_240, 19_632_062_464, _TABLE_2),
    "vgg_face": Claim((224, 224, 3), 145_002_878, 15_476_908_032, "vgg_d with 2,622 classes"),
    "vgg_a_small": Claim((32, 32, 3), 10_537_354, 210_703_360, "from its layers"),
    "vgg_b_small": Claim((32, 32, 3), 10_721_866, 286_200_832, "from its layers"),
    "vgg_c_small": Claim((32, 32, 3), 11_312_970, 298_783_744, "from its layers"),
    "vgg_d_small": Claim((32, 32, 3), 16_031_562, 399_447_040, "from its layers"),
    "vgg_e_small": Claim((32, 32, 3), 21_341_258, 512_693_248, "from its layers"),
}


def _initialiser(kernel_init):
    return kernel_init if callable(kernel_init) else look_up(kernel_init, table=INITIALISATIONS, kind="kernel_init")


class VGG(nn.Module):
    """One network of table 1; the paper's images are 224x224x3.

    Attributes:
      layers: kernel sizes of the convolutions of each stage.
      lrn: local response normalisation behind conv1_1.
      widths: channels of each stage.
      hidden: widths of fc6 and fc7.
      pools: the stages that end in a pooling.
      map_size: side of the map that fc6 sees; None for whatever the last stage leaves of an image.
      num_classes: any number.
      dropout_rate: behind fc6 and fc7; a number or a traced scalar.
      batch_norm: puts a `norm` between each convolution, then without bias, and its relu; not in the paper.
      norm: the module of that normalisation, called with train.
      kernel_init: of all layers but fc8; a name in INITIALISATIONS or an initialiser.
      dense_evaluation: the paper's test (section 3.2): fc6 is a convolution over windows of map_size, fc7 and fc8 are
        1x1 convolutions, the logits are the mean over the map of class scores. The parameters are the same, any image
        that leaves at least one window fits, and the features fc6 and fc7 are maps.
      remat: recomputes each stage in the backward pass instead of keeping its activations.
      dtype: what the layers compute in; parameters, batch statistics, fc8 and logits are float32.
    Raises:
      ValueError: images of a size that does not fit, an unknown kernel_init, or dense_evaluation without a map_size.
    """

    layers: Sequence[Sequence[int]]
    lrn: bool = False
    widths: Sequence[int] = (64, 128, 256, 512, 512)
    hidden: Sequence[int] = (4096, 4096)
    pools: Sequence[int] = (1, 2, 3, 4, 5)
    map_size: int | None = 7
    num_classes: int = 1000
    dropout_rate: Any = 0.5
    batch_norm: bool = False
    norm: Callable = BatchNorm
    kernel_init: Any = "he"
    dense_evaluation: bool = False
    remat: bool = False
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        super().__post_init__()
        _initialiser(self.kernel_init)
        if self.dense_evaluation and self.map_size is None:
            raise ValueError("dense_evaluation needs map_size, the side of the map that fc6 was trained on")

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, dict[str, jax.Array]]:  # (n, 224, 224, 3)
        self._check_size(x.shape)
        features = {}
        stage_of = rematerialised(VGG._stage, self.remat, static=(2, 3))
        for stage in range(1, len(self.layers) + 1):
            x, outputs = stage_of(self, x, stage, train)  # (n, 224 / 2**stage, ..., widths[stage - 1])
            features.update(outputs)
        options = {"kernel_init": _initialiser(self.kernel_init), "dtype": self.dtype}
        if self.dense_evaluation:
            side: Any = self.map_size  # which __post_init__ refuses to be None
            x = SlidingDense(self.hidden[0], side, name="fc6", **options)(x)  # (n, h / 32 - 6, w / 32 - 6, c)
        else:
            x = nn.Dense(self.hidden[0], name="fc6", **options)(x.reshape(x.shape[0], -1))  # (n, 4096)
        x = features["fc6"] = relu(x)
        x = Dropout(self.dropout_rate, name="dropout6")(x, train=train)
        x = features["fc7"] = relu(nn.Dense(self.hidden[1], name="fc7", **options)(x))  # nn.Dense on a map is 1x1
        x = Dropout(self.dropout_rate, name="dropout7")(x, train=train)
        logits = nn.Dense(self.num_classes, kernel_init=HEAD_INIT, name="fc8")(x.astype(jnp.float32))
        return (jnp.mean(logits, axis=(1, 2)) if self.dense_evaluation else logits), features

    def _stage(self, x, stage, train):
        features, width = {}, self.widths[stage - 1]
        options: dict[str, Any] = {
            "use_bias": not self.batch_norm,
            "kernel_init": _initialiser(self.kernel_init),
            "dtype": self.dtype,
        }
        for layer, size in enumerate(self.layers[stage - 1], start=1):
            name = f"conv{stage}_{layer}"
            x = Conv(width, size, padding=size // 2, name=name, **options)(x)
            if self.batch_norm:
                x = self.norm(name=f"{name}_norm")(x, train=train)
            x = features[name] = relu(x)
            if self.lrn and name == "conv1_1":
                x = features["norm1"] = local_response_norm(x, size=5, k=2.0, alpha=1e-4, beta=0.75)
        if stage in self.pools:
            x = features[f"pool{stage}"] = max_pool(x, window=2, stride=2, padding=0)
        return x, features

    def _check_size(self, shape):
        reduction, side = 2 ** len(self.pools), self.map_size or 1
        needed = f"{side * reduction}x{side * reduction}"
        left = [size // reduction for size in shape[1:3]]  # every pooling rounds down
        if self.dense_evaluation or self.map_size is None:
            if min(left) < side:
                raise ValueError(f"images must be at least {needed}, got {shape}")
        elif left != [side, side]:
            raise ValueError(
                f"fc6 sees a {side}x{side} map, so images must be {needed}, got {shape}; dense_evaluation=True takes "
                "larger ones"
            )


class VGGFace(VGG):
    """VGG D for the 2,622 identities of Parkhi et al. 2015; its fc7 describes a face."""

    num_classes: int = 2622


class VGGSmall(VGG):
    """A VGG for 28-32 pixels, with hidden layers of 512 and 512; not in the paper.

    Five poolings would leave nothing of 28 pixels. Here stage 4 does not pool, so stages 4 and 5 both see 3x3 maps
    (4x4 of 32 pixels), where a 3x3 kernel still uses all its weights, and pool5 leaves 1x1 (2x2). fc6 takes that map
    as it is, so its kernel depends on the size of the images. For dense evaluation give its side as map_size.
    """

    hidden: Sequence[int] = (512, 512)
    pools: Sequence[int] = (1, 2, 3, 5)
    map_size: int | None = None
    num_classes: int = 10


MODELS = {
    **{name: functools.partial(VGG, **variant) for name, variant in VARIANTS.items()},
    "vgg_face": functools.partial(VGGFace, layers=LAYERS["D"]),
    **{f"vgg_{letter.lower()}_small": functools.partial(VGGSmall, layers=layers) for letter, layers in LAYERS.items()},
}
