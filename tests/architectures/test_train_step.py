"""One training step as a run takes it: the smallest member of each family by default, the rest under `long`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.architectures import ARCHITECTURES, CLAIMS, create, googlenet, inception_v3
from jaxcnn.benchmark.steps import chunk, examples, made_of
from jaxcnn.training.state import create_state, hyperparameters

QUICK = {"xla_backend_optimization_level": 0}  # half the time to compile

SMALLEST = {  # name: (image, options, what is smaller yet)
    "lenet5": ((32, 32, 1), {}, {}),
    "lenet5_common": ((32, 32, 1), {}, {}),
    "mlp": ((28, 28, 1), {}, {}),
    "convnet": ((16, 16, 3), {}, {}),
    "alexnet_small": ((28, 28, 1), {}, {}),
    "zfnet": ((99, 99, 3), {"map_size": None}, {}),
    "vgg_a_small": ((28, 28, 1), {}, {}),
    "nin_cifar": ((32, 32, 3), {}, {}),
    "googlenet_small": ((28, 28, 1), {}, {}),
    "inception_small": ((28, 28, 1), {}, {}),
    "resnet18": ((33, 33, 3), {}, {}),
    "resnet20": ((16, 16, 3), {}, {"depth": 8}),
    "plain20": ((16, 16, 3), {}, {"depth": 8}),
    "densenet_small": ((16, 16, 3), {}, {"blocks": (1, 2, 1)}),
    "rnn_classifier": ((5, 8, 1), {"units": 8}, {}),
    "autoencoder_mlp": ((8, 8, 1), {}, {"hidden": (20, 10)}),
    "autoencoder_conv": ((16, 16, 1), {}, {"widths": (8, 16)}),
    "unet_small": ((16, 16, 1), {}, {"width": 4, "depth": 1}),
    "dncnn": ((16, 16, 1), {}, {"depth": 4, "width": 8}),
    "som_cnn": ((39, 39, 1), {}, {}),
    "deepface_small": ((47, 47, 1), {}, {"width": 4, "hidden": 8}),
}
TASKS = {  # of what a network returns
    "logits": {},
    "image": {"task": "reconstruction", "options": {"corrupt": "noise"}},
}


@pytest.fixture
def moves_finitely(draw):
    """f(model, image): the share of its parameters that the training step of a run changes, on two images."""

    def share(model, image):
        setup = made_of(model, image, **TASKS[getattr(model, "result", "logits")])
        state = jax.eval_shape(lambda: create_state(setup)).replace(key=None)
        state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state)
        drawn = draw(model, image)
        numbers = hyperparameters(setup.config, setup.kind, model)
        state = state.replace(params=drawn["params"], batch_stats=drawn.get("batch_stats", {}))
        state = setup.replicas.replicate(state.replace(key=jax.random.key(0), hyperparameters=numbers))
        images = np.random.default_rng(0).standard_normal((2, *image), dtype=np.float32)
        arguments = state, {}, examples(setup, images)
        after, metrics = chunk(setup).lower(*arguments).compile(compiler_options=QUICK)(*arguments)
        assert np.isfinite(metrics["loss"]) and metrics["seen"] == 2
        moved = []
        for old, new in zip(jax.tree.leaves(drawn["params"]), jax.tree.leaves(after.params), strict=True):
            assert np.isfinite(new).all() and new.dtype == old.dtype == jnp.float32
            moved.append(not np.array_equal(old, new))
        return np.mean(moved)

    yield share
    jax.clear_caches()  # a hundred networks, traced, are gigabytes


@pytest.fixture
def without_repeats(monkeypatch):
    """Leaves one inception module of each kind: more of the same take a minute to compile."""

    def without(table, *names):
        return {name: row for name, row in table.items() if name not in names}

    left_out = ("inception_3a", "inception_4b", "inception_4c", "inception_4d", "inception_5a")
    monkeypatch.setattr(googlenet, "TABLE_1", without(googlenet.TABLE_1, *left_out))
    small = without(
        inception_v3.VARIANTS["inception_small"], "Mixed_5c", "Mixed_5d", "Mixed_6c", "Mixed_6d", "Mixed_7c"
    )
    monkeypatch.setitem(inception_v3.VARIANTS, "inception_small", small)


DEEP = ("zfnet", "googlenet_small", "inception_small", "resnet18", "plain20", "densenet_small")  # half a minute each
ALIKE = ("lenet5_common", "alexnet_small", "vgg_a_small", "som_cnn", "autoencoder_conv", "dncnn")  # to one that stays


# By default in bfloat16, in which more can go wrong; in float32 other tests take gradients of every family.
@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.long), "bfloat16"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in DEEP + ALIKE else name for name in SMALLEST]
)
def test_one_step(name, dtype, moves_finitely, without_repeats):
    image, options, changes = SMALLEST[name]
    assert moves_finitely(create(name, dtype=dtype, **options).clone(**changes), image) > 0.9


# The step of resnet1202, all of whose layers are unrolled, takes more than 15 minutes to compile on two cores.
CUT = ("googlenet_small", "inception_small", "resnet20", "plain20", "densenet_small")  # above only in part
OTHERS = [name for name in ARCHITECTURES if (name not in SMALLEST or name in CUT) and name != "resnet1202"]
OTHERS = [name for name in OTHERS if not hasattr(create(name), "result")]  # the step is that of classification

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
    reduced_of = (found for beginning, found in REDUCED.items() if name.startswith(beginning))
    return next(reduced_of, (CLAIMS[name].input, {}))  # what is not in the table is small


@pytest.mark.long
@pytest.mark.parametrize("name", OTHERS)
def test_one_step_of_every_other_network(name, moves_finitely):
    image, options = reduced(name)
    assert moves_finitely(create(name, dtype="bfloat16", **options), image) > 0.9
