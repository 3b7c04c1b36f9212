"""The contract of every public operator, by walking over them."""

import inspect

import flax.linen as nn
import jax
import pytest

from jaxcnn import operators

PUBLIC = {name: getattr(operators, name) for name in operators.__all__}
FUNCTIONS = {name: f for name, f in PUBLIC.items() if inspect.isfunction(f) and f.__module__.startswith("jaxcnn")}
MODULES = {name: m for name, m in PUBLIC.items() if inspect.isclass(m) and m.__module__.startswith("jaxcnn")}
LOOK_UPS = {"activation", "initializer"}
ARRAYS = {"x", "kernel", "bias", "slopes", "keys", "mean", "variance", "scale", "coefficient"}
ARRAYS |= {"logits", "teacher_logits", "heads", "targets", "pooled", "switches"}
OF_ONE_AXIS = {"output_size", "fitting_padding"}  # arithmetic on a size, which comes first like an array


def test_all_is_everything():
    here = {name for name, value in vars(operators).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert set(operators.__all__) == here
    assert {"conv2d", "max_pool", "dropout", "rbf_loss"} <= set(FUNCTIONS)
    assert {"Conv", "BatchNorm", "Dropout"} <= set(MODULES)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_arrays_first_and_options_by_keyword(name):
    for parameter in inspect.signature(FUNCTIONS[name]).parameters.values():
        if name in LOOK_UPS:
            assert parameter.name == "name"
        elif parameter.name in ({"size"} if name in OF_ONE_AXIS else ARRAYS):
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
        assert "(n" in text or "(..." in text or "shape" in text, f"{name} states no shape"


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_linen_and_describe_their_attributes(name):
    module, text = MODULES[name], inspect.getdoc(MODULES[name])
    assert issubclass(module, nn.Module)
    for attribute in module.__dataclass_fields__:
        if attribute not in ("parent", "name", "bias_init", "scale_init", "use_bias", "groups"):
            assert attribute in text[text.index("Attributes:") :], f"{attribute} of {name} is not described"


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
