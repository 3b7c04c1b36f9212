"""How programs are compiled: the compiler's options per backend, and the cache that a second start reads."""

import functools
import os
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn.errors import InputError
from jaxcnn.files import cache_folder
from jaxcnn.progress import waiting

# XLA gives products, reductions and convolutions to the YNN library on CPU. The first two are 4 times faster there;
# convolutions larger than 1x1 are 1.2 to 1.8 times slower (jaxlib 0.10.2).
CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_REDUCE"}
# Kernels whose sums have one order, chosen without timing them: compiled anew they are the same.
DETERMINISTIC_OPTIONS = {"xla_gpu_deterministic_ops": True}
# A program that runs once is not worth LLVM's full effort: a tenth to a fifth less to compile, the same bits.
ONCE_OPTIONS = {"xla_backend_optimization_level": 1}


def compiled(function: Any, *arguments: Any, deterministic: bool = False, once: bool = False) -> Any:
    """The program of a jitted function for arguments like these: the one place where a program meets the compiler.

    Args:
      function: as jax.jit or Replicas.map return it.
      arguments: its arguments, or their ShapeDtypeStructs.
      deterministic, once: as in `compiler_options`.
    Raises:
      InputError: JAX is told to compile nothing.
    """
    options = compiler_options(deterministic=deterministic, once=once)
    with waiting("compiling"):
        return function.lower(*arguments).compile(compiler_options=options)


def compiler_options(*, deterministic: bool = False, once: bool = False) -> dict[str, Any]:
    """The XLA options of the default backend, those that this jaxlib knows.

    Args:
      deterministic: on a GPU, only kernels that give the same bits every time, also where the program is compiled anew.
      once: the program runs a single time: on a CPU, compile it sooner. A level in XLA_FLAGS goes first.
    Raises:
      InputError: JAX is told to compile nothing, or this jaxlib knows no deterministic kernels.
    """
    check_jit()
    named = any(name in os.environ.get("XLA_FLAGS", "") for name in ONCE_OPTIONS)
    return dict(_options(deterministic, once and not named))


@functools.cache
def _options(deterministic, once):
    backend = jax.default_backend()
    options = {**CPU_OPTIONS, **(ONCE_OPTIONS if once else {})} if backend == "cpu" else {}
    found = {name: value for name, value in options.items() if _known(name, value)}
    if backend == "gpu" and deterministic:
        for name, value in DETERMINISTIC_OPTIONS.items():
            if not _known(name, value):
                raise InputError(f"config.deterministic is True, but this jaxlib does not know {name}.")
        found |= DETERMINISTIC_OPTIONS
    return found


def _known(name, value):
    try:
        jax.jit(lambda x: x + 1).lower(jnp.float32(0)).compile(compiler_options={name: value})
    except (jax.errors.JaxRuntimeError, ValueError, RuntimeError):
        return False
    return True


def check_jit() -> None:
    """Raises InputError where JAX is told to compile nothing: the programs of a run are compiled before they start."""
    if jax.config.jax_disable_jit:  # ty: ignore[missing-attribute]  a flag
        raise InputError(
            "JAX_DISABLE_JIT is set, but jaxcnn compiles its programs before it runs them. Unset it; to look into a "
            "step, use jax.debug.print, or call model.apply by yourself."
        )


def use_persistent_cache() -> None:
    """Turns on JAX's compilation cache, in JAX_COMPILATION_CACHE_DIR or ~/.cache/jaxcnn/xla; errors of check_jit."""
    check_jit()
    if jax.config.jax_compilation_cache_dir is None:  # ty: ignore[missing-attribute]  a flag
        folder = cache_folder("xla")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:  # a read-only home: compile afresh
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
