"""PyTorch's side of `benchmark steps`: the whole training step of the same network on the same images."""

import contextlib
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from jaxcnn.benchmark.torch_networks import NETWORKS
from jaxcnn.benchmark.torch_operators import LAYOUTS, device_of

COMPILED = "torch compiled"
MOMENTUM, AUXILIARY_WEIGHT = 0.9, 0.3  # config.optimizer.momentum and config.loss.auxiliary_weight


def contenders(
    name: str, images: np.ndarray, labels: np.ndarray, *, precision: str, accelerator: bool, learning_rate: float
) -> dict[str, Callable[[], None]]:
    """Training steps of a network: forward in training mode, loss, gradients, SGD with momentum.

    Images and labels lie on the device before the first step. A call returns when its step is done.

    Args:
      name: a name of `torch_networks.NETWORKS`; for another there are no contenders.
      images: (n, h, w, c) float32, normalised.
      labels: (n,) integers.
      precision: float32, or bfloat16 by autocast.
      accelerator: train on the GPU, also compiled by torch.compile (channels_last); float32 products may use TF32, as
        JAX's do there.
      learning_rate: of SGD.
    Returns:
      dict from the name of a contender to its step; empty where PyTorch has no GPU and one is asked for.
    """
    if name not in NETWORKS or not (device := device_of(accelerator=accelerator)):
        return {}
    settings = {"precision": precision, "device": device, "learning_rate": learning_rate}
    made = {layout: _step(name, images, labels, LAYOUTS[layout], **settings) for layout in LAYOUTS}
    if accelerator:
        made[COMPILED] = _step(name, images, labels, torch.channels_last, compiled=True, **settings)
    return made


def loss_of(outputs: list[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    """Cross entropy of the logits, and 0.3 times that of every auxiliary head."""
    first, *auxiliary = (F.cross_entropy(logits.float(), labels) for logits in outputs)
    return first + AUXILIARY_WEIGHT * sum(auxiliary)


def _step(name, images, labels, layout, *, precision, device, learning_rate, compiled=False):
    module = NETWORKS[name]().to(device=device, memory_format=layout).train()
    options = {"lr": learning_rate, "momentum": MOMENTUM, "fused": True}
    optimizer = torch.optim.SGD(module.parameters(), **options)
    x = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    y = torch.from_numpy(labels).long().to(device)

    def loss():
        context = contextlib.nullcontext()
        if precision == "bfloat16":
            context = torch.autocast(device, torch.bfloat16)
        with context:
            return loss_of(module(x), y)

    found = torch.compile(loss) if compiled else loss

    def step():
        optimizer.zero_grad(set_to_none=True)
        found().backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step
