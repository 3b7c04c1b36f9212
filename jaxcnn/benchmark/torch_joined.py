"""GoogLeNet, Inception-v3 and DenseNet-121 of `torch_networks`: the networks that join maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from jaxcnn.architectures.conv_norm import MAX
from jaxcnn.architectures.googlenet import TABLE_1
from jaxcnn.architectures.inception_v3 import BLOCKS, STEM


def _conv(c_in, width, kernel, stride=1, padding=None):
    padding = kernel // 2 if padding is None else padding
    return nn.Sequential(nn.Conv2d(c_in, width, kernel, stride, padding), nn.ReLU())


class _Inception(nn.Module):
    def __init__(self, c_in, one, reduce3, three, reduce5, five, pooled):
        super().__init__()
        self.one = _conv(c_in, one, 1)
        self.three = nn.Sequential(_conv(c_in, reduce3, 1), _conv(reduce3, three, 3))
        self.five = nn.Sequential(_conv(c_in, reduce5, 1), _conv(reduce5, five, 5))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), _conv(c_in, pooled, 1))

    def forward(self, x):
        return torch.cat((self.one(x), self.three(x), self.five(x), self.pooled(x)), 1)


def _head(c_in):
    layers = (nn.AvgPool2d(5, 3), _conv(c_in, 128, 1), nn.Flatten(), nn.Linear(2048, 1024), nn.ReLU())
    return nn.Sequential(*layers, nn.Dropout(0.7), nn.Linear(1024, 1000))


class GoogLeNet(nn.Module):
    """The paper's, with response normalisation and both auxiliary heads; images of 224x224x3."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.reduce, self.conv2 = _conv(3, 64, 7, 2), _conv(64, 64, 1), _conv(64, 192, 3)
        self.blocks, channels = nn.ModuleDict(), 192
        for name, (one, reduce3, three, reduce5, five, pooled) in TABLE_1.items():
            self.blocks[name] = _Inception(channels, one, reduce3, three, reduce5, five, pooled)
            channels = one + three + five + pooled
        self.heads = nn.ModuleDict({"inception_4a": _head(512), "inception_4d": _head(528)})
        self.linear = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.4), nn.Linear(1024, 1000))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        auxiliary = []
        x = F.max_pool2d(self.conv1(x), 3, 2, ceil_mode=True)
        x = self.conv2(self.reduce(F.local_response_norm(x, 5, 5e-4, 0.75, 2.0)))
        x = F.max_pool2d(F.local_response_norm(x, 5, 5e-4, 0.75, 2.0), 3, 2, ceil_mode=True)
        for name, block in self.blocks.items():
            x = block(x)
            if name in self.heads:
                auxiliary.append(self.heads[name](x))
            if name in ("inception_3b", "inception_4e"):
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        return [self.linear(x), *auxiliary]


class _ConvNorm(nn.Sequential):
    def __init__(self, c_in, width, kernel, stride=1, padding=None):
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        if padding is None:
            padding = tuple(k // 2 for k in kernel) if stride == 1 else 0
        conv = nn.Conv2d(c_in, width, kernel, stride, padding, bias=False)
        super().__init__(conv, nn.BatchNorm2d(width, eps=1e-3), nn.ReLU())


class _Fan(nn.ModuleList):
    """Layers of one input, joined."""

    def forward(self, x):
        return torch.cat([layer(x) for layer in self], 1)


def _branch(c_in, layers):
    """(The module, its channels) of a branch of our table: convolutions, poolings by name, fans as nested tuples."""
    made = []
    for layer in layers:
        if isinstance(layer, str):
            made.append(nn.MaxPool2d(3, 2) if layer == MAX else nn.AvgPool2d(3, 1, 1, count_include_pad=False))
        elif isinstance(layer[0], int):
            made.append(_ConvNorm(c_in, *layer))
            c_in = layer[0]
        else:
            made.append(_Fan([_ConvNorm(c_in, *part) for part in layer]))
            c_in = sum(part[0] for part in layer)
    return nn.Sequential(*made), c_in


class InceptionV3(nn.Module):
    """The released network from our table, with its auxiliary head; images of 299x299x3."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, channels = _branch(3, STEM.values())
        self.blocks = nn.ModuleDict()
        for name, block in BLOCKS.items():
            branches, widths = zip(*(_branch(channels, layers) for layers in block), strict=True)
            self.blocks[name], channels = _Fan(branches), sum(widths)
        head = (nn.AvgPool2d(5, 3), _ConvNorm(768, 128, 1), _ConvNorm(128, 768, 5, 1, 0))
        self.head = nn.Sequential(*head, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(768, 1000))
        self.linear = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(2048, 1000))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.stem(x)
        for name, block in self.blocks.items():
            x = block(x)
            if name == "Mixed_6e":
                auxiliary = self.head(x)
        return [self.linear(x), auxiliary]


def _composite(c_in, width, kernel):
    conv = nn.Conv2d(c_in, width, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(c_in), nn.ReLU(), conv)


class _DenseLayer(nn.Sequential):
    def __init__(self, c_in, growth):
        super().__init__(_composite(c_in, 4 * growth, 1), _composite(4 * growth, growth, 3))

    def forward(self, x):
        return torch.cat((x, super().forward(x)), 1)


class DenseNet(nn.Sequential):
    """DenseNet-121; images of 224x224x3."""

    def __init__(self, blocks: Sequence[int] = (6, 12, 24, 16), growth: int = 32) -> None:
        channels = 2 * growth
        layers = [nn.Conv2d(3, channels, 7, 2, 3, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        layers.append(nn.MaxPool2d(3, 2, 1))
        for number, count in enumerate(blocks, start=1):
            for _ in range(count):
                layers.append(_DenseLayer(channels, growth))
                channels += growth
            if number < len(blocks):
                layers += [_composite(channels, channels // 2, 1), nn.AvgPool2d(2)]
                channels //= 2
        end = (nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))
        super().__init__(*layers, *end)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [super().forward(x)]
