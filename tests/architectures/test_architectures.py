"""The claims of every named architecture: its count, its contract, and that each of its parameters matters."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tracing import count, shapes

from jaxcnn.architectures import ARCHITECTURES, CLAIMS, create
from jaxcnn.architectures.resnet_cifar import ResNetCIFAR
from jaxcnn.operators import BatchNorm, rbf_loss, softmax_cross_entropy


def test_every_architecture_has_a_claim():
    assert list(CLAIMS) and set(CLAIMS) == set(ARCHITECTURES)


FAMILIES = (  # one member of each that is quick to trace
    "lenet5_common",
    "lenet5",
    "mlp",
    "simard_cnn",
    "maxout_mnist",
    "maxout_mnist_dense",
    "convnet",
    "alexnet",
    "zfnet",
    "vgg_a",
    "nin_cifar",
    "googlenet",
    "inception_v3",
    "resnet18",
    "resnet20",
    "plain20",
    "densenet_40_12",
    "autoencoder_mlp",
    "autoencoder_conv",
    "unet_small",
    "dncnn",
    "dcgan_28",
    "bagan_28",
    "som_cnn",
    "deepface_small",
    "rnn_classifier",
    "crnn_small",
    "seq2seq",
)
RESTORING = [name for name in ARCHITECTURES if getattr(create(name), "result", "") == "image"]
RESTORING = [name for name in RESTORING if not hasattr(create(name), "generate")]  # whose size is fixed
CLASSIFYING = [name for name in FAMILIES if not hasattr(create(name), "result")]


@pytest.mark.parametrize(
    "name", [name if name in FAMILIES else pytest.param(name, marks=pytest.mark.long) for name in ARCHITECTURES]
)
def test_exact_parameters_and_contract(name):
    (result, features), variables = shapes(create(name), CLAIMS[name].input)
    assert count(variables["params"]) == CLAIMS[name].parameters
    image = (2, *CLAIMS[name].input)
    returns_image = getattr(create(name), "result", "") == "image"
    steps = result.shape[1:2] if getattr(create(name), "result", "") in ("frames", "next tokens") else ()
    wanted = image if returns_image else (2, *steps, result.size // math.prod((2, *steps)))
    assert result.shape == wanted and result.dtype == jnp.float32
    assert all(feature.shape[0] == 2 for feature in features.values())
    assert set(variables) <= {"params", "batch_stats"}


@pytest.mark.parametrize("name", [name for name in CLASSIFYING if name != "lenet5"])  # it knows ten digits
def test_any_number_of_classes(name):
    (logits, features), variables = shapes(create(name, num_classes=37), CLAIMS[name].input)
    assert logits.shape == (2, 37)
    assert {features[key].shape for key in features if key in ("aux1", "aux2")} <= {(2, 37)}
    assert count(variables["params"]) != CLAIMS[name].parameters


@pytest.mark.parametrize("name", RESTORING)
def test_an_image_of_other_channels_and_of_any_size_comes_back_at_its_size(name):
    options = {"residual": False} if name == "dncnn" else {}
    (image, _), _ = shapes(create(name, channels=2, **options), (13, 22, 1))
    assert image.shape == (2, 13, 22, 2)
    assert not hasattr(create(name), "num_classes")


@pytest.mark.parametrize("name", RESTORING)
def test_the_output_is_linear_or_from_0_to_1(name, draw):
    small = {
        "autoencoder_mlp": {"hidden": (5,)},
        "autoencoder_conv": {"widths": (4,)},
        "unet_small": {"width": 3, "depth": 1},
        "dncnn": {"width": 3, "depth": 2, "residual": False},
    }[name]
    models = {output: create(name, output=output, **small) for output in ("linear", "sigmoid")}
    x = np.random.default_rng(1).normal(size=(2, 8, 8, 1)).astype(np.float32)
    variables = draw(models["linear"], (8, 8, 1))
    linear, logistic = (m.apply(variables, x, train=False)[0] for m in models.values())
    assert linear.min() < 0
    np.testing.assert_allclose(logistic, 1 / (1 + np.exp(-np.asarray(linear))), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="unknown output 'tanh'; known: linear, sigmoid"):
        create(name, output="tanh")


@pytest.mark.parametrize("name", FAMILIES)
def test_bfloat16_computes_in_bfloat16_only(name, dtype="bfloat16"):
    (logits, features), variables = shapes(create(name, dtype=dtype), CLAIMS[name].input)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert logits.dtype == jnp.float32
    for key, feature in features.items():
        last = key in ("aux1", "aux2") or (name, key) in FLOAT32
        assert feature.dtype == jnp.dtype("float32" if last else "bfloat16"), key


FLOAT32 = (("nin_cifar", "cccp6"), ("dncnn", "conv17"), ("bagan_28", "code"))
SMALL = {  # the code of every architecture, at a size that compiles fast
    "lenet5": (create("lenet5"), (32, 32, 1)),
    "lenet5_common": (create("lenet5_common", pooling="max", activation="relu"), (32, 32, 3)),
    "convnet": (create("convnet", widths=(4, 6), hidden=(8,)), (8, 8, 3)),
    "convnet_norm": (create("convnet", widths=(4, 6), hidden=(8,), batch_norm=True), (8, 8, 3)),
    "resnet": (ResNetCIFAR(depth=8), (8, 8, 3)),
    "resnet_B": (ResNetCIFAR(depth=8, shortcut="B"), (8, 8, 3)),
    "plain": (ResNetCIFAR(depth=8, residual=False), (8, 8, 3)),
    "autoencoder_mlp": (create("autoencoder_mlp", hidden=(7, 6), code=3), (4, 4, 1)),
    "autoencoder_resize": (create("autoencoder_conv", widths=(5,), code=4), (7, 8, 3)),
    "autoencoder_transposed": (
        create("autoencoder_conv", widths=(4, 6), code=5, decoder="transposed", output="linear"),
        (8, 8, 3),
    ),
    "unet": (create("unet_small", width=3, depth=1, residual=True), (7, 8, 3)),
    "unet_norm": (create("unet_small", width=3, depth=1, batch_norm=True), (8, 8, 3)),
    "dncnn": (create("dncnn", depth=4, width=5), (6, 7, 1)),
    "rnn_classifier": (create("rnn_classifier", units=5, cell="gru", bidirectional=True), (4, 5, 1)),
}


@pytest.fixture(scope="module", params=SMALL)
def trial(request, draw):
    """(params, loss_and_gradient(params) on a batch) of a small model that trains."""
    model, size = SMALL[request.param]
    x = np.random.default_rng(1).normal(size=(6, *size)).astype(np.float32)
    variables, targets, clean = draw(model, size), jnp.eye(10)[:6], np.random.default_rng(2).uniform(size=x.shape)

    def loss(params):
        (result, _), _ = model.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])
        if hasattr(model, "result"):
            return jnp.mean(jnp.square(result - clean))
        return jnp.mean((rbf_loss if request.param == "lenet5" else softmax_cross_entropy)(result, targets))

    return variables["params"], jax.jit(jax.value_and_grad(loss))


def test_every_parameter_gets_a_gradient(trial):
    params, loss_and_gradient = trial
    _, gradients = loss_and_gradient(params)
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-6, jax.tree_util.keystr(path)


def test_without_any_of_its_parameters_the_output_is_another(trial):
    params, loss_and_gradient = trial
    before, _ = loss_and_gradient(params)
    leaves, structure = jax.tree.flatten(params)
    for i, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(params)):
        without = jax.tree.unflatten(structure, [*leaves[:i], np.zeros_like(leaf), *leaves[i + 1 :]])
        assert abs(loss_and_gradient(without)[0] - before) > 1e-5, jax.tree_util.keystr(path)


@pytest.mark.parametrize("name", ["convnet_norm", "resnet_B", "autoencoder_resize", "unet_norm", "dncnn"])
def test_training_can_synchronise_every_norm(name):
    model, size = SMALL[name]
    model = model.clone(norm=functools.partial(BatchNorm, axis_name="batch"))
    variables = jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), jnp.zeros((2, *size)))

    def apply(variables, x):
        return model.apply(variables, x, train=True, mutable=["batch_stats"])

    images = jax.ShapeDtypeStruct((2, 3, *size), jnp.float32)
    program = jax.make_jaxpr(jax.vmap(apply, (None, 0), axis_name="batch", axis_size=2))
    assert program(variables, images)
    with pytest.raises(NameError, match="batch"):
        jax.eval_shape(apply, variables, jnp.zeros((2, *size)))
