"""Our operators beside plain XLA's and PyTorch's, per shape and pass, on the device that JAX runs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn import operators
from jaxcnn.benchmark.cases import CASES
from jaxcnn.benchmark.timing import geometric_mean, interleaved, ratio
from jaxcnn.operators.lowering import convolution_xla as convolve_xla
from jaxcnn.operators.lowering.max_pool import plain_value
from jaxcnn.operators.lowering.sum_pool import plain_sum
from jaxcnn.operators.lowering.window import Window
from jaxcnn.operators.padding import explicit_padding, pair
from jaxcnn.training.compilation import compiler_options

if TYPE_CHECKING:
    from jaxcnn.benchmark.cases import Case

LOOPS = 8
CONTENDERS = ("ours", "loop", "plain", "torch")
RATIOS = ("ours/torch", "loop/torch", "plain/torch", "ours/plain")


def benchmark_operators(
    *, only: str = "", rounds: int = 7, report: Callable[[dict[str, Any]], object] = print
) -> list[dict[str, Any]]:
    """Times every case in which a text occurs.

    Args:
      only: text that the line of a case contains (network, operator, shape).
      rounds: measurements of each contender.
      report: called with each row as it is done.
    Returns:
      list of dicts: network, case, pass; ours, loop, plain, torch (median seconds of one call; loop is ours inside
      lax.scan, per iteration; torch the better of contiguous and channels_last, None without it), and the ratios
      ours/torch, loop/torch, plain/torch, ours/plain, each with its quartiles.
    """
    rows = []
    for case in CASES:
        if only not in f"{case.network} {case.name}":
            continue
        for kind in case.passes:
            rows.append(_measure(case, kind, rounds))
            report(rows[-1])
    return rows


def _measure(case, kind, rounds):
    arrays = random_arrays(case, kind)
    contenders = {
        "ours": _called(_function(case, kind, OURS), arrays, compiler_options()),
        "loop": _called(_looped(_function(case, kind, OURS)), arrays, compiler_options()),
        "plain": _called(_function(case, kind, PLAIN), arrays, {}),
    }
    contenders |= _torch_contenders(case, kind, arrays)
    times = interleaved(contenders, rounds=rounds)
    times["loop"] = times["loop"] / LOOPS
    layouts = [name for name in times if name.startswith("torch")]
    if layouts:
        times["torch"] = times[min(layouts, key=lambda name: np.median(times[name]))]
    row = {"network": case.network, "case": case.name, "pass": kind}
    row |= {name: float(np.median(times[name])) if name in times else None for name in CONTENDERS}
    for key in RATIOS:
        a, b = key.split("/")
        row[key] = ratio(times[a], times[b]) if b in times else None
    return row


def _torch_contenders(case, kind, arrays):
    try:
        from jaxcnn.benchmark import torch_operators
    except ImportError:
        return {}
    return torch_operators.contenders(case, kind, arrays, accelerator=jax.default_backend() != "cpu")


def summarize(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Geometric means of the ratios over rows, and the number of rows with a ratio."""
    means = {}
    for key in RATIOS:
        values = [row[key][0] for row in rows if row[key] is not None]
        means[key] = geometric_mean(values) if values else None
    return {**means, "n": len(rows)}


def output_shape(case: Case) -> tuple[int, ...]:
    """The shape that a case's operator returns."""
    shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in (case.image, case.kernel) if s is not None]
    return jax.eval_shape(lambda *a: PLAIN[case.operator](*a, **case.options), *shapes).shape


def random_arrays(case: Case, kind: str) -> tuple[np.ndarray, ...]:
    """Standard normal float32 arrays that a pass takes, on the host.

    Returns:
      forward (x, kernel); input (dy, kernel); kernel (x, dy); without a kernel: forward (x,), both (x, dy).
    """
    random = np.random.default_rng(0)
    x, dy = (random.standard_normal(shape, dtype=np.float32) for shape in (case.image, output_shape(case)))
    if case.kernel is None:
        return (x,) if kind == "forward" else (x, dy)
    kernel = random.standard_normal(case.kernel, dtype=np.float32)
    return {"forward": (x, kernel), "input": (dy, kernel), "kernel": (x, dy)}[kind]


def _function(case, kind, table):
    """The function of a pass, of the arrays that random_arrays gives it."""

    def forward(*arrays):
        return table[case.operator](*arrays, **case.options)

    if kind == "forward":
        return forward
    if kind == "both":

        def both(x, dy):
            y, backward = jax.vjp(forward, x)
            return y, backward(dy)[0]

        return both
    if kind == "input":
        return lambda dy, kernel: jax.vjp(lambda x: forward(x, kernel), jnp.zeros(case.image))[1](dy)[0]
    return lambda x, dy: jax.vjp(lambda kernel: forward(x, kernel), jnp.zeros(case.kernel))[1](dy)[0]


def _looped(function):
    """The function LOOPS times one after another inside one lax.scan; each time reads what the last one wrote."""

    def loop(first, *rest):
        def body(carry, _):
            image, last = carry
            scalar = jax.tree.leaves(last)[0].ravel()[0]
            image = image.at[(0,) * image.ndim].set(scalar)  # or XLA would take the work out of the loop
            return (image, function(image, *rest)), None

        nothing = jax.tree.map(lambda y: jnp.zeros(y.shape, y.dtype), jax.eval_shape(function, first, *rest))
        return lax.scan(body, (first, nothing), length=LOOPS)[0][1]

    return loop


def _called(function, arrays, options):
    arrays = [jnp.asarray(a) for a in arrays]
    program = jax.jit(function).lower(*arrays).compile(compiler_options=options)
    return lambda: jax.block_until_ready(program(*arrays))


def _batch_norm(x):
    channels = x.shape[-1]
    mean, variance = operators.batch_statistics(x)
    return operators.normalize(x, mean, variance, jnp.ones(channels), jnp.zeros(channels))


OURS = {
    "conv2d": operators.conv2d,
    "dense": operators.dense,
    "max_pool": operators.max_pool,
    "average_pool": operators.average_pool,
    "local_response_norm": operators.local_response_norm,
    "batch_norm": _batch_norm,
}


def _window(x, kernel, stride, padding, groups=1):
    kernel, stride = pair(kernel), pair(kernel if stride is None else stride)
    padding = explicit_padding(padding, size=x.shape[1:3], window=kernel, stride=stride)
    return Window(x.shape[1:3], kernel, stride, padding, groups=groups)


def _plain_conv(x, kernel, *, stride=1, padding=0, groups=1):
    return convolve_xla.output(x, kernel, window=_window(x, kernel.shape[:2], stride, padding, groups))


def _plain_max_pool(x, *, window, stride=None, padding=0):
    return plain_value(x, pool=_window(x, window, stride, padding))


def _plain_average_pool(x, *, window, stride=None, padding=0):
    return plain_sum(x, pool=_window(x, window, stride, padding)) / window**2


def _plain_response_norm(x, *, size, k, alpha, beta):
    ends = ((0, 0), (0, 0), (0, 0), (size // 2, size // 2))
    return x / (k + alpha * lax.reduce_window(x * x, 0.0, lax.add, (1, 1, 1, size), (1, 1, 1, 1), ends)) ** beta


def _plain_batch_norm(x):
    mean, square = jnp.mean(x, axis=(0, 1, 2)), jnp.mean(x * x, axis=(0, 1, 2))
    factor = lax.rsqrt(square - mean * mean + 1e-5)
    return (x - mean[None, None, None]) * factor[None, None, None]


PLAIN = {
    "conv2d": _plain_conv,
    "dense": jnp.matmul,
    "max_pool": _plain_max_pool,
    "average_pool": _plain_average_pool,
    "local_response_norm": _plain_response_norm,
    "batch_norm": _plain_batch_norm,
}
