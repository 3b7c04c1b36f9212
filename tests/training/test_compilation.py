"""The compiler's options: a program that runs once is compiled sooner, to the same bits."""

import jax
import numpy as np
import pytest

from jaxcnn.errors import InputError
from jaxcnn.training import compilation
from jaxcnn.training.compilation import compiler_options
from jaxcnn.training.setup import set_up
from jaxcnn.training.state import create_state

LEVEL = "xla_backend_optimization_level"


@pytest.mark.parametrize(("flags", "level"), [("", 1), (f"--{LEVEL}=0", None), ("--xla_dump_to=d", 1)])
def test_the_level_of_a_program_that_runs_once_is_low_unless_xla_flags_say_one(monkeypatch, flags, level):
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert compiler_options(once=True).get(LEVEL) == level
    assert LEVEL not in compiler_options()


def test_deterministic_kernels_of_a_gpu_are_chosen_without_timing_them(monkeypatch):
    """XLA calls so what also turns off autotuning, which may choose other kernels in another process."""
    monkeypatch.setattr(compilation.jax, "default_backend", lambda: "gpu")
    compilation._options.cache_clear()
    try:
        assert compiler_options(deterministic=True) == {"xla_gpu_deterministic_ops": True} and not compiler_options()
        monkeypatch.setattr(compilation, "DETERMINISTIC_OPTIONS", {"xla_gpu_some_ops": True})
        compilation._options.cache_clear()
        with pytest.raises(InputError, match="this jaxlib does not know xla_gpu_some_ops"):
            compiler_options(deterministic=True)
    finally:
        compilation._options.cache_clear()


def test_the_first_state_has_the_bits_of_full_optimisation(monkeypatch, tiny_config):
    monkeypatch.setenv("XLA_FLAGS", "")
    setup = set_up(tiny_config(), devices=jax.devices()[:1])
    once, full = (
        jax.jit(lambda: create_state(setup).replace(key=None)).lower().compile(compiler_options=options)()
        for options in (compiler_options(once=True), {**compiler_options(), LEVEL: 3})
    )
    jax.tree.map(np.testing.assert_array_equal, once, full)
