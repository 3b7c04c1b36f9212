import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from tracing import count, shapes

from jaxcnn.architectures import create
from jaxcnn.architectures.digit_bitmaps import DIGIT_BITMAPS
from jaxcnn.architectures.lenet import C3_TABLE
from jaxcnn.operators import rbf_loss, softmax_cross_entropy

TABLE_I = """
X...XXX..XXXX.XX
XX...XXX..XXXX.X
XXX...XXX..X.XXX
.XXX..XXXX..X.XX
..XXX..XXXX.XX.X
...XXX..XXXX.XXX
"""  # LeCun et al. 1998: a row for each map of S2, a column for each of C3

CONNECTED = np.array([list(row) for row in TABLE_I.split()]) == "X"  # (6, 16)


@pytest.fixture(scope="module")
def lenet5():
    model = create("lenet5")
    return model, jax.jit(lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 1)), train=False))()


def test_parameters_of_each_layer(lenet5):
    counts = {name: count(layer) for name, layer in lenet5[1]["params"].items()}
    assert counts == {"C1": 156, "S2": 12, "C3": 1516, "S4": 32, "C5": 48120, "F6": 10164}


def test_stages(lenet5):
    model, variables = lenet5
    _, features = jax.eval_shape(lambda: model.apply(variables, jnp.zeros((2, 32, 32, 1)), train=False))
    assert {name: feature.shape[1:] for name, feature in features.items()} == {
        "C1": (28, 28, 6), "S2": (14, 14, 6), "C3": (10, 10, 16), "S4": (5, 5, 16), "C5": (1, 1, 120), "F6": (84,),
    }  # fmt: skip


def test_the_table_is_table_i():
    assert CONNECTED.sum() == 60
    assert [tuple(np.flatnonzero(column)) for column in CONNECTED.T] == list(C3_TABLE)


def test_a_map_of_s2_reaches_the_maps_of_the_table(lenet5):
    model, variables = lenet5
    perturbed = {"params": dict(variables["params"])}

    def c3(offset):  # (16,), the maps of C3 when the maps of S2 are moved
        s2 = perturbed["params"]["S2"]
        layers = {**perturbed["params"], "S2": {**s2, "bias": s2["bias"] + offset}}
        _, features = model.apply({"params": layers}, jnp.ones((1, 32, 32, 1)), train=False)
        return features["C3"].sum((0, 1, 2))

    reaches = np.asarray(jax.jit(jax.jacobian(c3))(jnp.zeros(6))) != 0  # (16, 6)
    np.testing.assert_array_equal(reaches, CONNECTED.T)


def squash(a):
    return 1.7159 * np.tanh(2 / 3 * a)


def correlate(x, kernel):  # (h, w, c) with (5, 5, c)
    return np.einsum("ijcuv,uvc->ij", sliding_window_view(x, (5, 5), (0, 1)), kernel)


def sub_sample(x, layer):
    total = x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]
    return squash(total * layer["coefficient"] + layer["bias"])


def lenet5_in_numpy(params, x):
    """The paper's equations, a map at a time: (32, 32, 1) to the ten penalties."""
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    x = squash(np.stack([correlate(x, p["C1"]["kernel"][..., o]) for o in range(6)], -1) + p["C1"]["bias"])
    x = sub_sample(x, p["S2"])
    maps, connection = [], 0
    for column in CONNECTED.T:
        inputs = np.flatnonzero(column)
        kernels = p["C3"]["kernel"][..., connection : connection + len(inputs)]
        maps.append(correlate(x[..., inputs], kernels))
        connection += len(inputs)
    x = sub_sample(squash(np.stack(maps, -1) + p["C3"]["bias"]), p["S4"])
    x = squash(np.einsum("uvc,uvco->o", x, p["C5"]["kernel"]) + p["C5"]["bias"])
    x = squash(x @ p["F6"]["kernel"] + p["F6"]["bias"])
    return [sum((x - bitmap.ravel()) ** 2) for bitmap in DIGIT_BITMAPS]


def test_logits_are_those_of_the_equations(draw):
    model = create("lenet5")
    rng = np.random.default_rng(0)
    moved = draw(model, (32, 32, 1))["params"]
    x = rng.normal(size=(2, 32, 32, 1))
    logits, _ = model.apply({"params": moved}, jnp.asarray(x, jnp.float32), train=True)
    np.testing.assert_allclose(-logits, [lenet5_in_numpy(moved, image) for image in x], rtol=1e-4)


def test_weights_are_uniform_within_the_fan_of_their_unit(lenet5):
    params = lenet5[1]["params"]
    assert all((layer["bias"] == 0).all() for layer in params.values())
    fans = {"C1": 25, "C5": 400, "F6": 120}
    for name, fan in fans.items():
        assert 0.9 * 2.4 / fan < np.abs(params[name]["kernel"]).max() <= 2.4 / fan
    first, last = params["C3"]["kernel"][..., :18], params["C3"]["kernel"][..., -6:]  # maps that see 3, and 6
    assert 0.9 * 2.4 / 75 < np.abs(first).max() <= 2.4 / 75
    assert 0.9 * 2.4 / 150 < np.abs(last).max() <= 2.4 / 150
    assert np.abs(params["S2"]["coefficient"]).max() <= 0.6


def test_bitmaps_are_ten_different_digits_of_12_rows_and_7_columns():
    assert DIGIT_BITMAPS.shape == (10, 12, 7)
    assert set(np.unique(DIGIT_BITMAPS)) == {-1.0, 1.0}
    distances = ((DIGIT_BITMAPS[:, None] - DIGIT_BITMAPS[None]) ** 2).sum((2, 3))
    assert (distances + 1000 * np.eye(10) >= 4 * 6).all()  # the nearest two differ in 6 pixels or more
    seven = ["#######", ".....##", ".....##", "....##.", "...##..", "...##..", *["..##..."] * 4, *["......."] * 2]
    np.testing.assert_array_equal(DIGIT_BITMAPS[7] > 0, np.array([list(row) for row in seven]) == "#")


def test_bitmaps_are_symmetric_where_the_figure_is():
    zero, eight = DIGIT_BITMAPS[0], DIGIT_BITMAPS[8]
    np.testing.assert_array_equal(zero[2:4], zero[9:7:-1])
    np.testing.assert_array_equal(eight[1:4], eight[6:9])


@pytest.mark.parametrize("size", [(28, 28, 1), (32, 32, 3), (64, 64, 1)])
def test_lenet5_takes_only_its_images(size):
    with pytest.raises(ValueError, match="32x32x1"):
        jax.eval_shape(lambda: create("lenet5").init(jax.random.key(0), jnp.zeros((1, *size)), train=False))


def test_lenet5_has_no_bitmaps_for_40_classes():
    with pytest.raises(ValueError, match="got 40; lenet5_common takes any number"):
        create("lenet5", num_classes=40)


def common(size, **options):
    model = create("lenet5_common", **options)
    return shapes(model, size)


def test_common_takes_28_with_padding_and_any_larger_image():
    (_, features), variables = common((28, 28, 1), padding=2)
    assert count(variables) == 61_706
    assert features["C5"].shape == (2, 1, 1, 120)
    (logits, features), _ = common((40, 45, 3), num_classes=7)
    assert features["C5"].shape == (2, 3, 4, 120) and logits.shape == (2, 7)


def test_common_parameters_of_each_layer():
    _, variables = common((32, 32, 1))
    counts = {name: count(layer) for name, layer in variables["params"].items()}
    assert counts == {"C1": 156, "C3": 2416, "C5": 48120, "F6": 10164, "output": 850}


def test_common_refuses_a_small_image_and_names_the_right_size():
    with pytest.raises(ValueError, match=r"at least 32x32, or 28x28 with padding=2, got \(2, 28, 28, 1\)"):
        common((28, 28, 1))


@pytest.mark.parametrize(
    "options, said", [({"activation": "tan"}, "did you mean 'tanh'"), ({"pooling": "mean"}, "average, max")]
)
def test_common_refuses_unknown_names(options, said):
    with pytest.raises(ValueError, match=said):
        common((32, 32, 1), **options)


@pytest.mark.parametrize("activation", ["relu", pytest.param("sigmoid", marks=pytest.mark.long), "rbf"])
def test_a_few_images_are_learnt_by_heart(activation, lenet5):
    paper = activation == "rbf"
    model = lenet5[0] if paper else create("lenet5_common", activation=activation)
    loss_of = rbf_loss if paper else softmax_cross_entropy
    x = np.random.default_rng(0).normal(size=(10, 32, 32, 1)).astype(np.float32)
    targets = jnp.eye(10)
    optimizer = optax.adam(0.01 if paper else 0.003)

    def loss(params):
        logits, _ = model.apply({"params": params}, x, train=True)
        return jnp.mean(loss_of(logits, targets)), jnp.mean(jnp.argmax(logits, -1) == jnp.arange(10))

    @jax.jit
    def step(params, state):
        (_, correct), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, correct

    params = (lenet5[1] if paper else jax.jit(lambda: model.init(jax.random.key(1), x, train=False))())["params"]
    state = optimizer.init(params)
    for _ in range(150):
        params, state, correct = step(params, state)
        if correct == 1:
            return
    pytest.fail(f"only {correct:.0%} after 150 steps")
