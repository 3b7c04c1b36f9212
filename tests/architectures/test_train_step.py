"""One step of training: the smallest member of each family by default, the rest under `long`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.architectures import ARCHITECTURES, CLAIMS, create
from jaxcnn.benchmark.steps import train_step

QUICK = {"xla_backend_optimization_level": 0}  # half the time to compile

SMALLEST = {  # name: (image, options)
    "lenet5": ((32, 32, 1), {}),
    "lenet5_common": ((32, 32, 1), {}),
    "mlp": ((28, 28, 1), {}),
    "convnet": ((16, 16, 3), {}),
    "alexnet_small": ((28, 28, 1), {}),
    "zfnet": ((99, 99, 3), {"map_size": None}),
    "vgg_a_small": ((28, 28, 1), {}),
    "nin_cifar": ((32, 32, 3), {}),
    "googlenet_small": ((28, 28, 1), {}),
    "inception_small": ((28, 28, 1), {}),
    "resnet18": ((33, 33, 3), {}),
    "resnet20": ((16, 16, 3), {}),
    "plain20": ((16, 16, 3), {}),
    "densenet_small": ((16, 16, 3), {}),
}


@pytest.fixture(autouse=True)
def quick_keys():
    """The first weights by rbg: threefry takes as long to compile as the step, and which they are is no matter here."""
    with jax.default_prng_impl("rbg"):
        yield


def moves_finitely(name, image, options, dtype):
    """The share of a network's parameters that one step of SGD changes."""
    images = jnp.asarray(np.random.default_rng(0).standard_normal((2, *image), dtype=np.float32))
    step, state = train_step(create(name, dtype=dtype, **options), images)
    after = jax.jit(step).lower(state).compile(compiler_options=QUICK)(state)
    moved = []
    for old, new in zip(jax.tree.leaves(state[0]), jax.tree.leaves(after[0]), strict=True):
        assert np.isfinite(new).all() and new.dtype == old.dtype == jnp.float32
        moved.append(not np.array_equal(old, new))
    return np.mean(moved)


# These take a minute to compile: by default in bfloat16 alone, in which more can go wrong.
SLOW = ("googlenet_small", "inception_small", "densenet_small")
STEPS = [
    pytest.param(name, dtype, marks=[pytest.mark.long] if name in SLOW and dtype == "float32" else [])
    for name in SMALLEST
    for dtype in ("float32", "bfloat16")
]


@pytest.mark.parametrize("name, dtype", STEPS)
def test_one_step(name, dtype):
    assert moves_finitely(name, *SMALLEST[name], dtype) > 0.9


# The step of resnet1202, all of whose layers are unrolled, takes more than 15 minutes to compile on two cores.
OTHERS = [name for name in ARCHITECTURES if name not in SMALLEST and name != "resnet1202"]

REDUCED = {  # beginning of the name: the least image, or the least of which a norm of two images sees several pixels
    "alexnet": ((67, 67, 3), {"map_size": None}),
    "zfnet": ((99, 99, 3), {"map_size": None}),
    "vgg": ((32, 32, 3), {"map_size": None}),
    "nin": ((39, 39, 3), {}),
    "googlenet": ((79, 79, 3), {}),  # with both heads
    "inception": ((139, 139, 3), {"auxiliary": False}),  # the head needs 299, see test_inception_v3
    "resnet": ((64, 64, 3), {}),
    "plain": ((64, 64, 3), {}),
    "densenet": ((64, 64, 3), {}),
}


def reduced(name):
    """(image, options): a network's step at the least cost; what it takes is its compilation."""
    if CLAIMS[name].input == (32, 32, 3):
        return ((32, 32, 3) if name.endswith("_small") else (16, 16, 3)), {}
    return next(found for beginning, found in REDUCED.items() if name.startswith(beginning))


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", OTHERS)
def test_one_step_of_every_other_network(name, dtype):
    assert moves_finitely(name, *reduced(name), dtype) > 0.9
