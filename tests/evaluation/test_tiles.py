"""Windows of large images give what one piece gives."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.architectures import create
from jaxcnn.evaluation import tiles
from jaxcnn.evaluation.inference import Inference

NETWORKS = [
    ("dncnn", {"depth": 6, "width": 4}),
    ("unet_small", {"depth": 2, "width": 2}),
    *(
        pytest.param("autoencoder_conv", {"widths": (3, 4), "code": 3, "decoder": decoder}, marks=pytest.mark.long)
        for decoder in ("resize", "transposed")
    ),
]


class Darker(nn.Module):
    """An image less its own mean."""

    @nn.compact
    def __call__(self, x, *, train: bool):
        return x - x.mean(axis=(1, 2), keepdims=True), {}


class Restorer(Inference):
    """A network that gets and gives images in [0, 1]."""

    def restored(self, variables, images):
        return self.apply(variables, images)[0]


@pytest.fixture
def restorer():
    """make(model) with random weights of all signs."""

    def make(model):
        variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 1)), train=False))
        random = np.random.default_rng(0)

        def draw(path, leaf):
            fan_in = np.prod(leaf.shape[:-1], initial=1)
            return (random.normal(size=leaf.shape) / np.sqrt(fan_in)).astype(np.float32) + (path[-1].key == "var") * 9

        variables = jax.tree_util.tree_map_with_path(draw, variables)
        return Restorer(model, variables, shape=(32, 32, 1), classes=(), mean=0.0, std=1.0)

    return make


@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_windows_give_what_one_piece_gives(name, options, restorer, monkeypatch):
    monkeypatch.setattr(tiles, "INSIDE", 64)
    network = restorer(create(name, **options))
    margin = tiles.margin_of(network)
    assert margin == 32
    image = np.random.default_rng(1).integers(0, 256, (192, 160, 1), np.uint8)
    whole = network.map(network.restored, image[None], batch_size=1)[0]
    found, taken = np.zeros_like(whole), np.zeros(whole.shape[:2], int)
    for place, part in tiles.restore_in_tiles(network, image, margin):
        found[place] = part
        taken[place] += 1
    assert (taken == 1).all()
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-6 * np.ptp(whole))
    assert len(network._batched(network.restored, batch_size=1).programs) == 2  # of the whole, and of every window


def test_what_sees_the_whole_image_has_no_margin(restorer):
    assert tiles.margin_of(restorer(Darker())) is None


@pytest.mark.parametrize("side", [96, 128, 160, 192, 224, 1024])
def test_windows_keep_every_pixel_with_all_that_it_sees(side, monkeypatch):
    monkeypatch.setattr(tiles, "INSIDE", 64)
    found = tiles.windows(side, 32)
    assert len({stop - start for start, stop, _, _ in found}) == 1 and found[0][1] == min(side, 128)
    assert [first for _, _, first, _ in found] == [0, *(last for _, _, _, last in found[:-1])]
    assert found[-1][3] == found[-1][1] == side
    for start, stop, first, last in found:
        assert start % 32 == 0 and first < last
        assert first - start >= 32 or start == first == 0
        assert stop - last >= 32 or stop == last == side
