"""Update rules against numbers worked out by hand and against loops in NumPy, for every convention of the papers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcnn import InputError, default_config, trust
from jaxcnn.tasks import CLASSIFICATION
from jaxcnn.training.finetune.freeze import with_rates
from jaxcnn.training.optimizer import OPTIMIZERS, make_optimizer, make_optimizers
from jaxcnn.training.setup import resolve_values
from jaxcnn.training.state import hyperparameters

GRADIENTS = np.array([[0.5, -2.0], [1.0, 0.1], [-0.7, 0.3], [0.2, 0.0], [1.5, -1.0]], np.float64)
START = np.array([1.0, -0.5])


def optimizer_of(changes, schedule):
    config = default_config()
    config.update_from_flattened_dict({f"optimizer.{key}": value for key, value in changes.items()})
    numbers = hyperparameters(config, CLASSIFICATION, object())
    return make_optimizer(config, schedule), numbers


def descend(changes, start, gradients, schedule):
    """The weights after each update; start and each of the gradients are equal pytrees."""
    make, numbers = optimizer_of(changes, schedule)
    weights = jax.tree.map(jnp.float32, start)
    state, found = make(numbers).init(weights), []
    for gradient in gradients:
        updates, state = make(numbers).update(jax.tree.map(jnp.float32, gradient), state, weights)
        weights = optax.apply_updates(weights, updates)
        found.append(jax.tree.map(np.asarray, weights))
    return found


def constant(rate):
    return lambda step: rate


@pytest.mark.parametrize(("convention", "expected"), [("torch", -0.683197), ("caffe", -1.278069)])
def test_momentum_where_the_rate_changes(convention, expected):
    """The rate is in the buffer (Krizhevsky et al. 2012, section 5) or outside (torch).

    w = 0, g = 1, momentum 0.9, rate 0.1 three times and then 0.01 three times.
    """
    found = descend({"momentum_convention": convention}, 0.0, [1.0] * 6, lambda step: jnp.where(step < 3, 0.1, 0.01))
    np.testing.assert_allclose(found[-1], expected, rtol=1e-5)


def test_the_conventions_agree_at_a_constant_rate():
    torch, caffe = (descend({"momentum_convention": c}, START, GRADIENTS, constant(0.05)) for c in ("torch", "caffe"))
    np.testing.assert_allclose(torch, caffe, rtol=1e-5)


@pytest.mark.parametrize(
    ("decay", "expected"), [("l2", [0.94, 0.8266, 0.666274]), ("decoupled", [0.94, 0.8356, 0.691744])]
)
def test_weight_decay_before_momentum_or_after(decay, expected):
    """L2 or decoupled (Loshchilov and Hutter 2017, arXiv:1711.05101).

    w = 1, g = 0.5, decay 0.1, rate 0.1, momentum 0.9.
    """
    found = descend({"decay": decay, "weight_decay": 0.1}, 1.0, [0.5] * 3, constant(0.1))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_nesterov():
    w, v, expected = START.copy(), np.zeros(2), []
    for g in GRADIENTS:
        v = 0.8 * v + g
        w = w - 0.1 * (g + 0.8 * v)  # Sutskever et al. 2013, as torch writes it
        expected.append(w)
    found = descend({"nesterov": True, "momentum": 0.8}, START, GRADIENTS, constant(0.1))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("convention", ["torch", "caffe"])
def test_max_norm_keeps_the_weights_into_a_unit_within_a_ball(convention):
    """Srivastava et al. 2014, section 5.1: the vector into unit j is column j; biases are free."""
    rng = np.random.default_rng(0)
    start = {"kernel": rng.normal(size=(4, 3)), "bias": np.full(3, 7.0)}
    gradients = [{"kernel": rng.normal(size=(4, 3)), "bias": np.ones(3)} for _ in range(3)]
    changes = {"max_norm": 1.5, "momentum": 0.9, "momentum_convention": convention}
    weights, buffer, expected = start["kernel"], np.zeros((4, 3)), []
    for gradient in gradients:
        buffer = 0.9 * buffer + 0.1 * gradient["kernel"]  # at a constant rate the conventions agree
        weights = weights - buffer
        weights = weights * np.minimum(1, 1.5 / np.linalg.norm(weights, axis=0))
        expected.append(weights)
    found = descend(changes, start, gradients, constant(0.1))
    np.testing.assert_allclose([each["kernel"] for each in found], expected, rtol=1e-5, atol=1e-6)
    assert np.linalg.norm(expected[-1], axis=0).min() < 1.4, "a unit inside the ball is left alone"
    np.testing.assert_allclose(found[-1]["bias"], 7 - 0.1 * (1 + 1.9 + 2.71), rtol=1e-5)


def test_adam():
    w, m, s, expected = START.copy(), np.zeros(2), np.zeros(2), []
    for t, g in enumerate(GRADIENTS, start=1):
        m, s = 0.9 * m + 0.1 * g, 0.99 * s + 0.01 * g**2
        w = w - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.99**t)) + 1e-3)  # Kingma and Ba 2014, algorithm 1
        expected.append(w)
    changes = {"name": "adam", "momentum": 0.9, "second_moment": 0.99, "epsilon": 1e-3}
    np.testing.assert_allclose(descend(changes, START, GRADIENTS, constant(0.1)), expected, rtol=1e-5)


@pytest.mark.parametrize("convention", ["tensorflow", "torch"])
@pytest.mark.parametrize("epsilon", [1.0, 1e-3])
def test_rmsprop(convention, epsilon):
    """Tieleman and Hinton 2012; TensorFlow: epsilon inside the root and a buffer from 1; torch: outside and from 0."""
    w, v, expected = START.copy(), np.zeros(2), []
    s = np.ones(2) if convention == "tensorflow" else np.zeros(2)
    for g in GRADIENTS:
        s = 0.9 * s + 0.1 * g**2
        direction = g / np.sqrt(s + epsilon) if convention == "tensorflow" else g / (np.sqrt(s) + epsilon)
        v = 0.8 * v + direction
        w = w - 0.045 * v
        expected.append(w)
    changes = {"name": "rmsprop", "momentum": 0.8, "second_moment": 0.9}
    changes |= {"epsilon": epsilon, "rmsprop_convention": convention}
    np.testing.assert_allclose(descend(changes, START, GRADIENTS, constant(0.045)), expected, rtol=1e-5)


def test_clipping_scales_the_whole_gradient_to_the_norm():
    start, gradient = {"a": 0.0, "b": 0.0}, {"a": 3.0, "b": 4.0}
    (found,) = descend({"clip": 2.5, "momentum": 0.0}, start, [gradient], constant(1.0))
    np.testing.assert_allclose([found["a"], found["b"]], [-1.5, -2.0], rtol=1e-6)
    (found,) = descend({"clip": 6.0, "momentum": 0.0}, start, [gradient], constant(1.0))
    np.testing.assert_allclose([found["a"], found["b"]], [-3.0, -4.0], rtol=1e-6)


def test_clipping_comes_before_weight_decay():
    (found,) = descend({"clip": 1.0, "weight_decay": 0.5, "momentum": 0.0}, 10.0, [4.0], constant(0.1))
    np.testing.assert_allclose(found, 10 - 0.1 * (1 + 0.5 * 10), rtol=1e-6)


@pytest.mark.parametrize("decay", ["l2", "decoupled"])
def test_the_mask_spares_biases_and_batch_norm(decay):
    start = {"kernel": np.ones((2, 2)), "bias": np.ones(2), "scale": np.ones(2)}
    nothing = jax.tree.map(np.zeros_like, start)
    changes = {"decay": decay, "weight_decay": 0.5, "momentum": 0.0}
    (every,) = descend({**changes, "decay_mask": "all"}, start, [nothing], constant(0.1))
    (kernels,) = descend({**changes, "decay_mask": "kernels"}, start, [nothing], constant(0.1))
    assert all((leaf == np.float32(0.95)).all() for leaf in every.values())
    assert (kernels["kernel"] == np.float32(0.95)).all()
    assert (kernels["bias"] == 1).all() and (kernels["scale"] == 1).all()


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_a_hyperparameter_changes_the_update_and_compiles_nothing(name):
    make, numbers = optimizer_of({"name": name, "weight_decay": 0.1}, constant(0.1))
    weights, traces = jnp.float32(START), []

    @jax.jit
    def two(numbers):
        traces.append(1)
        w, state = weights, make(numbers).init(weights)
        for gradient in jnp.float32(GRADIENTS[:2]):
            updates, state = make(numbers).update(gradient, state, w)
            w = optax.apply_updates(w, updates)
        return w

    reference = two(numbers)
    for key in ("learning_rate_scale", "momentum", "weight_decay"):
        assert not np.allclose(two({**numbers, key: numbers[key] / 2}), reference)
    assert len(traces) == 1


def test_the_scale_multiplies_the_rate():
    make, numbers = optimizer_of({}, constant(0.1))
    numbers = {**numbers, "learning_rate_scale": jnp.float32(0.25)}
    weights = jnp.float32(START)
    updates, _ = make(numbers).update(jnp.float32(GRADIENTS[0]), make(numbers).init(weights), weights)
    np.testing.assert_allclose(updates, -0.025 * GRADIENTS[0], rtol=1e-6)


@pytest.mark.parametrize(("name", "options"), [
    ("lion", {"b1": 0.8}), ("adabelief", {}), ("sgd", {"momentum": 0.9, "nesterov": True}), ("rprop", {}),
])  # fmt: skip
def test_an_optimizer_of_optax_is_what_optax_makes(name, options):
    rates = jnp.float32([0.1, 0.05, 0.02, 0.02, 0.01])
    changes = {"name": f"optax:{name}", "options": options}
    found = descend(changes, START, GRADIENTS, lambda step: rates[step])
    theirs, weights = getattr(optax, name), jnp.float32(START)
    quiet = {"weight_decay": 0.0} if name == "lion" else {}
    own = theirs(lambda step: rates[step], **options, **quiet)
    if name == "rprop":  # its rate is a number
        own = optax.chain(theirs(1.0), optax.scale_by_schedule(lambda step: rates[step]))
    state = own.init(weights)
    for gradient, expected in zip(jnp.float32(GRADIENTS), found, strict=True):
        updates, state = own.update(gradient, state, weights)
        weights = optax.apply_updates(weights, updates)
        np.testing.assert_array_equal(weights, expected)


@pytest.mark.parametrize("decay", ["l2", "decoupled"])
def test_our_clipping_and_decay_are_around_an_optimizer_of_optax(decay):
    """optax's sgd without momentum is sgd with a momentum of 0, whatever stands around both."""
    around = {"clip": 1.0, "weight_decay": 0.1, "decay": decay}
    plain = descend({**around, "momentum": 0.0}, START, GRADIENTS, constant(0.1))
    np.testing.assert_array_equal(plain, descend({**around, "name": "optax:sgd"}, START, GRADIENTS, constant(0.1)))


def test_every_optimizer_of_optax_knows_what_is_frozen():
    """Its state has the parameters' tree, by which the parts of frozen layers are told."""
    weights = {"moves": jnp.ones((2, 2)), "stays": jnp.ones(2)}

    def step(name):
        make, numbers = optimizer_of({"name": name}, constant(0.1))
        rule = with_rates(make(numbers), {"moves": 1.0, "stays": 0.0})
        return jax.eval_shape(lambda w: (rule.init(w), *rule.update(w, rule.init(w), w)), weights)

    named = [name for name in OPTIMIZERS if ":" in name]
    for old, updates, new in map(step, named):
        assert old == new and updates == jax.eval_shape(lambda: weights)
    assert {"optax:lion", "optax:lamb", "optax:adafactor"} < set(named) and "optax:sm3" not in named


def test_adamw_is_adam_with_decoupled_decay():
    decoupled = {"name": "adam", "decay": "decoupled", "weight_decay": 0.1}
    expected = descend(decoupled, START, GRADIENTS, constant(0.1))
    found = descend({**decoupled, "name": "adamw", "decay": "l2"}, START, GRADIENTS, constant(0.1))
    np.testing.assert_array_equal(found, expected)
    theirs, state = optax.adamw(0.1, eps=1e-8, weight_decay=0.1), None
    weights = jnp.float32(START)
    for gradient in jnp.float32(GRADIENTS):
        updates, state = theirs.update(gradient, theirs.init(weights) if state is None else state, weights)
        weights = optax.apply_updates(weights, updates)
    np.testing.assert_allclose(found[-1], weights, rtol=1e-5)


OWN = """
import jax
import optax

def signs(numbers, share=0.5):
    rate = share * numbers["momentum"]
    return optax.stateless(lambda grads, params: jax.tree.map(lambda g: rate * jax.numpy.sign(g), grads))

def nothing(numbers):
    return None

def flat(numbers):
    return optax.stateless(lambda grads, params: jax.tree.map(lambda g: g[0], grads))

def slips(numbers):
    return optax.trace(1.0 / 0)
"""


@pytest.fixture
def own(user_package):
    """The name of a module of a user's own, which they have named."""
    name = "jaxcnn_test_update_rules"
    user_package(name, OWN)
    trust.allow(*(f"{name}:{rule}" for rule in ("signs", "nothing", "flat", "slips", "missing")))
    return name


def test_an_optimizer_of_the_users_own_gives_a_direction(own):
    """The direction that is subtracted, times the rate; its numbers are the state's, its options the config's."""
    changes = {"name": f"{own}:signs", "options": {"share": 2.0}, "momentum": 0.25}
    (found,) = descend(changes, START, GRADIENTS[:1], constant(0.1))
    np.testing.assert_allclose(found, START - 0.1 * 0.5 * np.sign(GRADIENTS[0]), rtol=1e-6)


@pytest.mark.parametrize(("name", "options", "words"), [
    ("sdg", {}, "config.optimizer.name: unknown optimizer 'sdg'; did you mean 'sgd'"),
    ("sdg", {}, "one of your own: package.module:attribute"),
    ("optax:lin", {}, "unknown optimizer 'optax:lin'; did you mean 'optax:lion'"),
    ("optax:apply_updates", {}, "unknown optimizer"),
    ("optax:_src", {}, "unknown optimizer"),
    ("optax:_deprecated_dpsgd", {}, "unknown optimizer"),
    ("optax:lbfgs", {}, "unknown optimizer"),
    ("optax:lion", {"b3": 0.9}, "config.optimizer.options: optax:lion takes no option 'b3'; known: b1, b2"),
    ("adam", {"b1": 0.9}, "config.optimizer.options: adam takes no option 'b1'; known: none"),
    ("own:signs", {"shar": 1.0}, "takes no option 'shar'; did you mean 'share'?"),
    ("own:nothing", {}, "returns NoneType; it returns an optax.GradientTransformation"),
    ("own:flat", {}, "gives updates of other shapes or types than the gradients"),
    ("own:slips", {}, "line 16: config.optimizer: "),
    ("own:missing", {}, "has no attribute 'missing'"),
    ("jaxcnn_test_theirs:rule", {}, "give --trust-code jaxcnn_test_theirs:rule"),
])  # fmt: skip
def test_an_optimizer_that_cannot_be_is_refused(name, options, words, own):
    with pytest.raises(InputError) as refused:
        optimizer_of({"name": name.replace("own:", f"{own}:"), "options": options}, constant(0.1))
    assert words in str(refused.value), str(refused.value)


def test_a_player_may_have_another_optimizer_with_options_of_its_own():
    config = default_config()
    config.optimizer.update({"name": "optax:sgd", "options": {"momentum": 0.5}})
    config.optimizers = {"critic": {"name": "optax:lion"}, "actor": {"options": {"nesterov": True}}}
    config.lock()
    found = make_optimizers(config, dict.fromkeys(("critic", "actor", "crowd"), 1), constant(0.1))
    numbers = hyperparameters(config, CLASSIFICATION, object())
    weights = jnp.float32(START)
    updates = {
        name: make(numbers).update(jnp.float32(GRADIENTS[0]), make(numbers).init(weights), weights)[0]
        for name, make in found.items()
    }
    np.testing.assert_allclose(updates["critic"], -0.1 * np.sign(GRADIENTS[0]), rtol=1e-6)
    np.testing.assert_allclose(updates["actor"], updates["crowd"], rtol=1e-6)
    config = default_config()
    config.optimizers = {"critic": {"name": "lino"}}
    with pytest.raises(InputError, match=r"config\.optimizers\.critic\.name: unknown optimizer 'lino'"):
        make_optimizers(config, {"critic": 1}, constant(0.1))


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"learning_rate": 0.1}, r"critic has a learning_rate; give rate, a factor"),
        ({"ema": 0.5}, r"critic: unknown key 'ema'"),
        ({"rate": -1.0}, r"critic\.rate is -1\.0; it is a factor of the learning rate, from 0"),
        ({"rate": "x"}, r"critic\.rate is 'x'"),
        ({"rate": True}, r"critic\.rate is True"),
        ({"momentum": 5.0}, r"critic\.momentum is 5\.0; it is a number from 0\.0 to below 1\.0"),
        ({"decay": "nonsense"}, r"critic\.decay is 'nonsense'; it is one of l2, decoupled"),
        ({"name": "adam", "epsilon": 0.0}, r"critic\.epsilon is 0"),
        (0.5, r"critic is 0\.5; it holds changes of config\.optimizer"),
    ],
)
def test_what_a_player_cannot_change_is_refused(own, words):
    config = default_config()
    config.optimizers = {"critic": own}
    with pytest.raises(InputError, match=r"config\.optimizers\." + words):
        resolve_values(config)
