"""The networks of `benchmark steps` in plain torch.nn: the same layers and parameters as ours, logits in a list.

Each returns [logits, auxiliary logits, ...]. Weights keep torch.nn's initial values: they change no time.
"""

import functools

import torch.nn.functional as F
from torch import nn

from jaxcnn.benchmark.torch_joined import DenseNet, GoogLeNet, InceptionV3


def _flat(*layers: nn.Module) -> nn.Module:
    return _Logits(nn.Sequential(*layers))


class _Logits(nn.Module):
    """A chain whose end are the logits."""

    def __init__(self, chain):
        super().__init__()
        self.chain = chain

    def forward(self, x):
        return [self.chain(x)]


class _ResponseNorm(nn.Module):
    """Krizhevsky's: alpha scales the sum over 5 maps, PyTorch's its mean."""

    def forward(self, x):
        return F.local_response_norm(x, 5, 5e-4, 0.75, 2.0)


def lenet5_common() -> nn.Module:
    """61,706 parameters; images of 32x32x1."""
    maps = (nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2))
    full = (nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10))
    return _flat(*maps, *full)


def convnet() -> nn.Module:
    """Three blocks of two 3x3 convolutions and a pooling; images of 32x32x3."""
    layers, channels = [], 3
    for width in (32, 64, 128):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return _flat(*layers, nn.Flatten(), nn.Linear(2048, 256), nn.ReLU(), nn.Linear(256, 10))


def alexnet() -> nn.Module:
    """The paper's, in two groups, with response normalisation; images of 227x227x3."""
    pool = functools.partial(nn.MaxPool2d, 3, 2)
    layers = [nn.Conv2d(3, 96, 11, 4), nn.ReLU(), _ResponseNorm(), pool()]
    layers += [nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), _ResponseNorm(), pool()]
    for c_in, c_out, groups in ((256, 384, 1), (384, 384, 2), (384, 256, 2)):
        layers += [nn.Conv2d(c_in, c_out, 3, padding=1, groups=groups), nn.ReLU()]
    return _flat(*layers, pool(), nn.Flatten(), *_full(256 * 36))


def vgg_d() -> nn.Module:
    """Thirteen 3x3 convolutions; images of 224x224x3."""
    layers, channels = [], 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return _flat(*layers, nn.Flatten(), *_full(512 * 49))


def _full(inputs):
    """fc6 to fc8 of AlexNet and VGG, dropout before the last two."""
    for c_in in (inputs, 4096):
        yield from (nn.Linear(c_in, 4096), nn.ReLU(), nn.Dropout(0.5))
    yield nn.Linear(4096, 1000)


class _Block(nn.Module):
    """Convolutions with norms, and a shortcut: projected, or padded with zeros where `zeros`."""

    def __init__(self, c_in, plan, stride, *, zeros=False):
        super().__init__()
        layers, channels = [], c_in
        for width, kernel, step in plan:
            layers += [nn.Conv2d(channels, width, kernel, step, kernel // 2, bias=False), nn.BatchNorm2d(width)]
            layers.append(nn.ReLU())
            channels = width
        self.body = nn.Sequential(*layers[:-1])
        self.stride, self.more, self.shortcut = stride, channels - c_in, None
        if (stride > 1 or self.more) and not zeros:
            projection = nn.Conv2d(c_in, channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(channels))

    def forward(self, x):
        y = self.body(x)
        if self.shortcut is not None:
            x = self.shortcut(x)
        elif self.more:
            half = self.more // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.more - half))
        return F.relu(x + y)


def resnet20() -> nn.Module:
    """CIFAR's, with shortcut A; images of 32x32x3."""
    layers, channels = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for width in (16, 32, 64):
        for _ in range(3):
            stride = 1 if width == channels else 2
            layers.append(_Block(channels, ((width, 3, stride), (width, 3, 1)), stride, zeros=True))
            channels = width
    return _flat(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def _resnet(blocks, *, bottleneck):
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        for block in range(count):
            stride = 2 if stage and not block else 1
            if bottleneck:  # version 1: the stride is in the first 1x1
                plan = ((width, 1, stride), (width, 3, 1), (4 * width, 1, 1))
            else:
                plan = ((width, 3, stride), (width, 3, 1))
            layers.append(_Block(channels, plan, stride))
            channels = plan[-1][0]
    return _flat(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


NETWORKS = {
    "lenet5_common": lenet5_common,
    "convnet": convnet,
    "resnet20": resnet20,
    "alexnet": alexnet,
    "vgg_d": vgg_d,
    "googlenet": GoogLeNet,
    "inception_v3": InceptionV3,
    "resnet18": functools.partial(_resnet, (2, 2, 2, 2), bottleneck=False),
    "resnet50": functools.partial(_resnet, (3, 4, 6, 3), bottleneck=True),
    "resnet152": functools.partial(_resnet, (3, 8, 36, 3), bottleneck=True),
    "densenet121": DenseNet,
}


def parameters(module: nn.Module) -> int:
    """How many trainable parameters a module has."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
