"""The operators and shapes of the benchmark: layers of real networks, at a batch size for a CPU."""

from __future__ import annotations

from typing import Any, NamedTuple

CONVOLUTION = ("forward", "input", "kernel")
FIRST = ("forward", "kernel")  # nothing asks for the gradient of the images
REDUCTION = ("forward", "both")


class Case(NamedTuple):
    """An operator on one shape.

    Attributes:
      network: where the layer comes from.
      operator: name of a function of jaxcnn.operators.
      image: (n, h, w, c), or (n, inputs) for a full connection.
      kernel: (kh, kw, c / groups, features), (inputs, outputs), or None.
      options: of the operator.
      passes: forward; input and kernel, the gradients; both, forward and gradient of the input together.
    """

    network: str
    operator: str
    image: tuple[int, ...]
    kernel: tuple[int, ...] | None
    options: dict[str, Any]
    passes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Operator, shapes and options in one line."""
        options = " ".join(f"{key} {value}" for key, value in self.options.items())
        kernel = "" if self.kernel is None else "x".join(map(str, self.kernel))
        return " ".join(filter(None, (self.operator, "x".join(map(str, self.image)), kernel, options)))


def _conv(network, n, size, c, features, kernel, *, first=False, **options):
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    shape = (height, width, c // options.get("groups", 1), features)
    return Case(network, "conv2d", (n, size, size, c), shape, options, FIRST if first else CONVOLUTION)


def _reduce(network, operator, n, side, c, **options):
    return Case(network, operator, (n, side, side, c), None, options, REDUCTION)


def _dense(network, n, inputs, outputs):
    return Case(network, "dense", (n, inputs), (inputs, outputs), {}, CONVOLUTION)


CASES = (
    _conv("lenet5", 128, 32, 1, 6, 5, first=True),
    _conv("lenet5", 128, 14, 6, 16, 5),
    _conv("resnet20", 128, 32, 3, 16, 3, first=True, padding=1),
    _conv("resnet20", 128, 32, 16, 16, 3, padding=1),
    _conv("resnet20", 128, 32, 16, 32, 3, stride=2, padding=1),
    _conv("resnet20", 128, 16, 32, 32, 3, padding=1),
    _conv("resnet20", 128, 16, 32, 64, 3, stride=2, padding=1),
    _conv("resnet20", 128, 8, 64, 64, 3, padding=1),
    _conv("alexnet", 16, 227, 3, 96, 11, first=True, stride=4),
    _conv("alexnet", 16, 27, 96, 256, 5, padding=2, groups=2),
    _conv("alexnet", 16, 13, 256, 384, 3, padding=1),
    _conv("alexnet", 16, 13, 384, 384, 3, padding=1, groups=2),
    _conv("vgg_d", 4, 224, 3, 64, 3, first=True, padding=1),
    _conv("vgg_d", 4, 224, 64, 64, 3, padding=1),
    _conv("vgg_d", 4, 56, 256, 256, 3, padding=1),
    _conv("vgg_d", 4, 14, 512, 512, 3, padding=1),
    _conv("resnet50", 8, 224, 3, 64, 7, first=True, stride=2, padding=3),
    _conv("resnet50", 8, 56, 64, 64, 3, padding=1),
    _conv("resnet50", 8, 28, 128, 128, 3, padding=1),
    _conv("resnet50", 8, 14, 256, 256, 3, padding=1),
    _conv("resnet50", 8, 7, 512, 512, 3, padding=1),
    _conv("resnet18", 8, 56, 64, 128, 3, stride=2, padding=1),
    _conv("resnet50", 8, 56, 64, 256, 1),
    _conv("resnet50", 8, 56, 256, 64, 1),
    _conv("resnet50", 8, 14, 1024, 256, 1),
    _conv("resnet50", 8, 7, 512, 2048, 1),
    _conv("resnet50", 8, 56, 256, 512, 1, stride=2),
    _conv("googlenet", 8, 28, 32, 96, 5, padding=2),
    _conv("inception_v3", 8, 17, 128, 128, (1, 7), padding=(0, 3)),
    _conv("densenet121", 8, 28, 128, 32, 3, padding=1),
    _conv("resnext50", 8, 56, 128, 128, 3, padding=1, groups=32),
    _conv("resnext50", 8, 14, 512, 512, 3, padding=1, groups=32),
    _conv("separable", 8, 56, 128, 128, 3, padding=1, groups=128),
    _conv("separable", 8, 14, 512, 512, 3, padding=1, groups=512),
    _dense("lenet5", 128, 400, 120),
    _dense("alexnet", 16, 9216, 4096),
    _reduce("lenet5", "average_pool", 128, 28, 6, window=2),
    _reduce("densenet121", "average_pool", 8, 56, 128, window=2),
    _reduce("lenet5_common", "max_pool", 128, 28, 6, window=2),
    _reduce("alexnet", "max_pool", 16, 55, 96, window=3, stride=2),
    _reduce("vgg_d", "max_pool", 4, 224, 64, window=2),
    _reduce("resnet50", "max_pool", 8, 112, 64, window=3, stride=2, padding=1),
    _reduce("googlenet", "max_pool", 8, 28, 192, window=3, stride=1, padding=1),
    _reduce("alexnet", "local_response_norm", 16, 55, 96, size=5, k=2.0, alpha=1e-4, beta=0.75),
    _reduce("resnet20", "batch_norm", 128, 32, 16),
    _reduce("resnet20", "batch_norm", 128, 8, 64),
    _reduce("resnet50", "batch_norm", 8, 56, 256),
)
