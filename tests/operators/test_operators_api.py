"""The contract of every public operator, by walking over them."""

import inspect

import flax.linen as nn
import jax
import pytest

from jaxcnn import operators
from jaxcnn.operators import recurrent, regions

PUBLIC = {name: getattr(room, name) for room in (operators, recurrent, regions) for name in room.__all__}
FUNCTIONS = {name: f for name, f in PUBLIC.items() if inspect.isfunction(f) and f.__module__.startswith("jaxcnn")}
MODULES = {name: m for name, m in PUBLIC.items() if inspect.isclass(m) and m.__module__.startswith("jaxcnn")}
RESULTS = {name: MODULES.pop(name) for name in list(MODULES) if issubclass(MODULES[name], tuple)}
LOOK_UPS = {"activation", "initializer"}
ARRAYS = {"x", "kernel", "bias", "slopes", "keys", "mean", "variance", "scale", "coefficient"}
ARRAYS |= {"logits", "teacher_logits", "heads", "targets", "pooled", "switches"}
ARRAYS |= {"boxes", "others", "anchors", "offsets", "difference", "scores", "key", "labels"}
ARRAYS |= {"objects", "object_mask", "label_mask", "lengths", "state"}
OF_A_SIZE = {"output_size": "size", "fitting_padding": "size", "anchors": "shape"}  # which comes first like an array


def test_all_is_everything():
    for room in (operators, recurrent, regions):
        here = {name for name, value in vars(room).items() if not name.startswith("_") and not inspect.ismodule(value)}
        assert set(room.__all__) == here - {"recurrent", "regions"}
    assert {"conv2d", "max_pool", "dropout", "rbf_loss"} <= set(FUNCTIONS)
    assert {"Conv", "BatchNorm", "Dropout"} <= set(MODULES)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_arrays_first_and_options_by_keyword(name):
    for parameter in inspect.signature(FUNCTIONS[name]).parameters.values():
        if name in LOOK_UPS:
            assert parameter.name == "name"
        elif parameter.name in ({OF_A_SIZE[name]} if name in OF_A_SIZE else ARRAYS):
            assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        else:
            assert parameter.kind is parameter.KEYWORD_ONLY, f"option {parameter.name} of {name} can be positional"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_state_arguments_shapes_and_results(name):
    text = inspect.getdoc(FUNCTIONS[name])
    arguments, returns = text.index("Args:"), text.index("Returns:")
    assert arguments < returns
    for parameter in inspect.signature(FUNCTIONS[name]).parameters:
        assert parameter in text[arguments:returns], f"{parameter} of {name} is not described"
    if name not in LOOK_UPS:
        assert any(word in text for word in ("(n", "(m", "(...", "shape")), f"{name} states no shape"


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_linen_and_describe_their_attributes(name):
    module, text = MODULES[name], inspect.getdoc(MODULES[name])
    assert issubclass(module, nn.Module)
    for attribute in module.__dataclass_fields__:
        if attribute not in ("parent", "name", "bias_init", "scale_init", "use_bias", "groups"):
            assert attribute in text[text.index("Attributes:") :], f"{attribute} of {name} is not described"


@pytest.mark.parametrize("name", RESULTS)
def test_results_describe_their_fields(name):
    text = inspect.getdoc(RESULTS[name])
    assert all(field in text[text.index("Attributes:") :] for field in RESULTS[name]._fields)


def test_walk_catches_a_positional_option():
    def bad(x, window):
        """Args: x: (n, h, w, c). Returns: (n, h, w, c)."""

    FUNCTIONS["bad"] = bad
    try:
        with pytest.raises(AssertionError, match="window of bad"):
            test_functions_take_arrays_first_and_options_by_keyword("bad")
    finally:
        del FUNCTIONS["bad"]


def test_nothing_runs_on_import():
    assert not any(isinstance(value, jax.Array) for value in PUBLIC.values())
