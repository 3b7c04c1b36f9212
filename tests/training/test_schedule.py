"""Learning rates step by step, and what a plateau decides."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import InputError, default_config, trust
from jaxcnn.training.schedule import Plateau, make_schedule


def rates(changes, steps, *, steps_per_epoch=2.5, total=10):
    config = default_config()
    config.optimizer.learning_rate = 0.8
    config.update_from_flattened_dict({f"schedule.{key}": value for key, value in changes.items()})
    schedule = make_schedule(config, steps_per_epoch=steps_per_epoch, total=total)
    traced = jax.jit(lambda step: jnp.float32(schedule(step)))
    found = [float(traced(step)) for step in range(steps)]
    np.testing.assert_allclose([float(schedule(step)) for step in range(steps)], found, rtol=1e-5, atol=1e-7)
    return found


def test_constant_and_plateau_keep_the_rate():
    for name in ("constant", "plateau"):
        np.testing.assert_allclose(rates({"name": name}, 12), [0.8] * 12, rtol=1e-6)


def test_inverse_sqrt_counts_from_one_behind_the_warmup():
    found = rates({"name": "inverse_sqrt"}, 4)
    np.testing.assert_allclose(found, [0.8, 0.8 / 2**0.5, 0.8 / 3**0.5, 0.4], rtol=1e-6)
    np.testing.assert_allclose(rates({"name": "inverse_sqrt", "warmup": "1 steps"}, 5)[1:], found, rtol=1e-6)


def test_a_step_drops_at_its_boundary_counted_from_zero():
    found = rates({"name": "step", "boundaries": ("3 steps", "5 steps"), "factor": 0.5}, 7)
    np.testing.assert_allclose(found, [0.8, 0.8, 0.8, 0.4, 0.4, 0.2, 0.2], rtol=1e-6)


@pytest.mark.parametrize("boundary", ["5 steps", "2 epochs", "50%"])
def test_boundaries_in_steps_epochs_and_percent(boundary):
    found = rates({"name": "step", "boundaries": (boundary,)}, 8)
    np.testing.assert_allclose(found, [0.8] * 5 + [0.08] * 3, rtol=1e-6)


def test_warmup_is_linear_from_zero():
    found = rates({"name": "constant", "warmup": "4 steps"}, 7)
    np.testing.assert_allclose(found, [0, 0.2, 0.4, 0.6, 0.8, 0.8, 0.8], rtol=1e-6)


def test_boundaries_count_from_the_start_of_the_run_with_the_warmup():
    found = rates({"name": "step", "warmup": "2 steps", "boundaries": ("4 steps", "6 steps")}, 8)
    np.testing.assert_allclose(found, [0, 0.4, 0.8, 0.8, 0.08, 0.08, 0.008, 0.008], rtol=1e-6)


def test_a_boundary_inside_the_warmup_lowers_it_from_there_on():
    found = rates({"name": "step", "warmup": "4 steps", "boundaries": ("2 steps", "4 steps"), "factor": 0.5}, 6)
    np.testing.assert_allclose(found, [0, 0.2, 0.2, 0.3, 0.2, 0.2], rtol=1e-6)


def test_two_boundaries_that_fall_on_one_step_both_count():
    found = rates({"name": "step", "boundaries": ("50%", "51%"), "factor": 0.5}, 7)
    np.testing.assert_allclose(found, [0.8] * 5 + [0.2] * 2, rtol=1e-6)


@pytest.mark.parametrize("warmup", [0, 4])
def test_cosine_ends_at_zero(warmup):
    found = rates({"name": "cosine", "warmup": f"{warmup} steps"}, 13)
    expected = [0.8 * step / 4 for step in range(warmup)]
    length = 10 - warmup
    expected += [0.4 * (1 + math.cos(math.pi * min(step, length) / length)) for step in range(13 - warmup)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert found[9] > 0.01 and found[10] == pytest.approx(0, abs=1e-7)


def follow(errors, *, patience, factor=0.1):
    plateau, scales = Plateau(), []
    for error in errors:
        plateau = plateau.update(error, patience=patience, factor=factor)
        scales.append(plateau.scale)
    return plateau, scales


def test_plateau_decays_after_patience_evaluations_without_a_lower_error():
    plateau, scales = follow([0.5, 0.4, 0.4, 0.45, 0.4, 0.41, 0.42], patience=3)
    np.testing.assert_allclose(scales, [1, 1, 1, 1, 0.1, 0.1, 0.1])
    assert (plateau.best, plateau.count) == (0.4, 2)


def test_a_lower_error_starts_the_count_again():
    plateau, scales = follow([0.5, 0.6, 0.4, 0.6, 0.3, 0.6], patience=2)
    assert scales == [1] * 6 and plateau == Plateau(0.3, 1, 1.0)


def test_plateau_decays_again_and_again():
    _, scales = follow([0.5] * 7, patience=2, factor=0.5)
    assert scales == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]


def test_patience_one_and_a_lost_error():
    assert follow([0.5, 0.5, 0.4], patience=1)[1] == pytest.approx([1, 0.1, 0.1])
    assert follow([0.5, math.nan, math.nan], patience=2)[1] == pytest.approx([1, 1, 0.1])


def test_a_schedule_of_optax_multiplies_the_rate():
    """Its numbers are factors, and what is written as a duration counts the steps after the warm-up."""
    found = rates({"name": "optax:polynomial_schedule", "warmup": "2 steps", "options": {
        "end_value": 0.5, "power": 1, "transition_steps": "50%", "transition_begin": "1 step"}}, 9)  # fmt: skip
    np.testing.assert_allclose(found, [0, 0.4, 0.8, 0.8, 0.7, 0.6, 0.5, 0.4, 0.4], rtol=1e-6)


def test_warm_restarts():
    """Loshchilov and Hutter 2016: two cosines, each from its start; durations stand inside an option too."""
    one = {"init_value": 1.0, "peak_value": 1.0, "warmup_steps": 0, "end_value": 0.0}
    cosines = ({**one, "decay_steps": "40%"}, {**one, "decay_steps": "6 steps"})
    found = rates({"name": "optax:sgdr_schedule", "options": {"cosine_kwargs": cosines}}, 10)
    expected = [0.4 * (1 + math.cos(math.pi * i / n)) for n in (4, 6) for i in range(n)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    scales = {"boundaries_and_scales": {"2 epochs": 0.5}}
    found = rates({"name": "optax:piecewise_constant_schedule", "options": scales}, 7)
    np.testing.assert_allclose(found, [0.8] * 5 + [0.4] * 2, rtol=1e-6)


OWN = """
def saw(total, steps_per_epoch, teeth=1):
    return lambda step: 1 - step % (total // teeth) / total

def negative(total, steps_per_epoch):
    return lambda step: 0.5 - step / total

def python(total, steps_per_epoch):
    return lambda step: 1.0 if step < 5 else 0.1

def number(total, steps_per_epoch):
    return 0.1
"""


@pytest.fixture
def own(user_package):
    """The name of a module of a user's own, which they have named."""
    name = "jaxcnn_test_courses"
    user_package(name, OWN)
    trust.allow(*(f"{name}:{course}" for course in ("saw", "negative", "python", "number")))
    return name


def test_a_schedule_of_the_users_own(own):
    found = rates({"name": f"{own}:saw", "warmup": "2 steps", "options": {"teeth": 2}}, 10)
    np.testing.assert_allclose(found, [0, 0.4, *[0.8, 0.7, 0.6, 0.5] * 2], rtol=1e-6)


@pytest.mark.parametrize(("name", "options", "words"), [
    ("cosin", {}, "config.schedule.name: unknown schedule 'cosin'; did you mean 'cosine'"),
    ("optax:join_schedules", {}, "unknown schedule 'optax:join_schedules'"),
    ("cosine", {"alpha": 0.1}, "config.schedule.options: cosine takes no option 'alpha'; known: none"),
    ("optax:exponential_decay", {"decay_rate": 0.5}, "missing 1 required positional argument: 'transition_steps'"),
    ("optax:linear_schedule", {"end": 0.5}, "takes no option 'end'; known: end_value"),
    ("optax:constant_schedule", {"value": -1.0}, "gives -1.0, -1.0, -1.0 at the first, the middle and the last step"),
    ("own:saw", {"tooth": 2}, "takes no option 'tooth'; did you mean 'teeth'"),
    ("own:negative", {}, "a factor of config.optimizer.learning_rate"),
    ("own:python", {}, "line 9: config.schedule.name: "),
    ("own:number", {}, "returns float; it returns f(step)"),
    ("jaxcnn_test_theirs:course", {}, "give --trust-code jaxcnn_test_theirs:course"),
])  # fmt: skip
def test_a_schedule_that_cannot_be_is_refused(name, options, words, own):
    with pytest.raises(InputError) as refused:
        rates({"name": name.replace("own:", f"{own}:"), "options": options}, 1)
    assert words in str(refused.value), str(refused.value)
