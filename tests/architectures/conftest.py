import jax
import jax.numpy as jnp
import numpy as np
import pytest


def _draw(model, size, *, seed=0):
    rng = np.random.default_rng(seed)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((2, *size)), train=False))

    def draw(path, leaf):
        name = path[-1].key
        fan_in = {1: 4}.get(leaf.ndim, np.prod(leaf.shape[:-1]))
        spread = {"kernel": (2 / fan_in) ** 0.5, "coefficient": 0.3}.get(name, 0.1)
        centre = 1.0 if name in ("scale", "var") else 0.0
        return (centre + spread * rng.normal(size=leaf.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, variables)


@pytest.fixture(scope="session")
def draw():
    """draw(model, size, seed=0): variables from NumPy, no bias zero; compiling an initialisation costs seconds."""
    return _draw
