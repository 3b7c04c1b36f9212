"""PyTorch's side of the benchmark: the same passes on the same arrays, contiguous and channels_last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    import numpy as np

    from jaxcnn.benchmark.cases import Case

LAYOUTS = {"torch contiguous": torch.contiguous_format, "torch channels_last": torch.channels_last}


def device_of(*, accelerator: bool) -> str:
    """PyTorch's name of the device, "" where it has no GPU and one is asked for.

    A GPU is set up for speed, as XLA sets it up: float32 products may use TF32, and each convolution is the fastest of
    those that cuDNN has, measured.
    """
    if not accelerator:
        return "cpu"
    if not torch.cuda.is_available():
        return ""
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    return "cuda"


def contenders(
    case: Case, kind: str, arrays: Sequence[np.ndarray], *, accelerator: bool
) -> dict[str, Callable[[], object]]:
    """Functions of a case's pass, which return when it is done.

    Args:
      case: a Case.
      kind: one of its passes.
      arrays: as random_arrays gives them, channels last and kernels (kh, kw, c, features).
      accelerator: on the GPU, where JAX is on one.
    Returns:
      dict from "torch contiguous" and "torch channels_last" to a function without arguments; full connections have
      only the first; empty where PyTorch has no GPU and one is asked for.
    """
    device = device_of(accelerator=accelerator)
    if not device:
        return {}
    if case.operator == "dense":
        made = {"torch contiguous": _dense(kind, *(torch.from_numpy(a).to(device) for a in arrays))}
    else:
        made = {name: _in_layout(case, kind, arrays, layout, device) for name, layout in LAYOUTS.items()}
    return {name: _waited_for(function) for name, function in made.items()} if accelerator else made


def _in_layout(case, kind, arrays, layout, device):
    tensors = [_tensor(a, layout, device, is_kernel=a.shape == case.kernel) for a in arrays]
    if case.kernel is not None:
        return _convolution(case, kind, tensors, layout)
    return _reduction(case, kind, *tensors)


def _waited_for(function):
    def call():
        function()
        torch.cuda.synchronize()

    return call


def _tensor(array, layout, device, *, is_kernel):
    order = (3, 2, 0, 1) if is_kernel else (0, 3, 1, 2)
    return torch.from_numpy(array).to(device).permute(order).contiguous(memory_format=layout)


def _dense(kind, a, b):
    if kind == "forward":
        return lambda: torch.mm(a, b)
    if kind == "input":
        return lambda: torch.mm(a, b.t())
    return lambda: torch.mm(a.t(), b)


def _convolution(case, kind, tensors, layout):
    a, b = tensors
    stride, padding = case.options.get("stride", 1), case.options.get("padding", 0)
    groups = case.options.get("groups", 1)
    if kind == "forward":
        return lambda: F.conv2d(a, b, stride=stride, padding=padding, groups=groups)
    n, h, w, c = case.image
    kh, kw, part, features = case.kernel
    x = a if kind == "kernel" else a.new_empty(n, c, h, w).contiguous(memory_format=layout)
    kernel = b if kind == "input" else a.new_empty(features, part, kh, kw).contiguous(memory_format=layout)
    dy = a if kind == "input" else b
    wanted = (kind == "input", kind == "kernel", False)
    padding = [padding, padding] if isinstance(padding, int) else list(padding)
    backward = torch.ops.aten.convolution_backward
    return lambda: backward(dy, x, kernel, None, [stride, stride], padding, [1, 1], False, [0, 0], groups, wanted)


def _reduction(case, kind, x, dy=None):
    options = case.options
    window = {"stride": options.get("stride"), "padding": options.get("padding", 0)}
    if case.operator == "max_pool":
        function = lambda x: F.max_pool2d(x, options["window"], **window)  # noqa: E731
    elif case.operator == "average_pool":
        function = lambda x: F.avg_pool2d(x, options["window"], **window)  # noqa: E731
    elif case.operator == "local_response_norm":
        size, alpha = options["size"], options["alpha"] * options["size"]
        function = lambda x: F.local_response_norm(x, size, alpha, options["beta"], options["k"])  # noqa: E731
    else:
        ones, zeros = x.new_ones(x.shape[1]), x.new_zeros(x.shape[1])
        function = lambda x: F.batch_norm(x, None, None, ones, zeros, training=True)  # noqa: E731
    if kind == "forward":
        return torch.no_grad()(lambda: function(x))
    x.requires_grad_()

    def both():
        y = function(x)
        return torch.autograd.grad(y, x, dy)

    return both
