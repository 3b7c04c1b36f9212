"""Networks of Caffe's model zoo in torch.nn, layer by layer as their prototxt files have them.

What Caffe does differently from torch: its poolings round their size up, its layers see BGR, and dropout is nothing at
test time. LRN is k + alpha / local_size * sum in both, with k = 1.
"""

import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    """Layers are added by name; `forward` gives every blob by the name of its last layer, input included."""

    def __init__(self):
        super().__init__()
        self.weighted, self.steps, self.maps = nn.ModuleDict(), [], {"data": 3}

    def add(self, name, bottoms, function, maps):
        self.steps.append((name, bottoms, function))
        self.maps[name] = maps
        return name

    def convolution(self, name, bottom, num_output, kernel_size, stride=1, pad=0):
        layer = self.weighted[name] = nn.Conv2d(self.maps[bottom], num_output, kernel_size, stride, pad)
        return self.add(name, [bottom], lambda x: F.relu(layer(x)), num_output)

    def pooling(self, name, bottom, kind, kernel_size, stride, pad=0):
        pool = F.max_pool2d if kind == "MAX" else F.avg_pool2d
        function = lambda x: pool(x, kernel_size, stride, pad, ceil_mode=True)  # noqa: E731
        return self.add(name, [bottom], function, self.maps[bottom])

    def lrn(self, name, bottom):
        return self.add(name, [bottom], lambda x: F.local_response_norm(x, 5, 1e-4, 0.75, 1.0), self.maps[bottom])

    def concat(self, name, *bottoms):
        return self.add(name, bottoms, lambda *x: torch.cat(x, 1), sum(self.maps[bottom] for bottom in bottoms))

    def inner_product(self, name, bottom, num_input, num_output, *, relu=False):
        layer = self.weighted[name] = nn.Linear(num_input, num_output)
        return self.add(name, [bottom], lambda x: F.relu(layer(x.flatten(1))) if relu else layer(x.flatten(1)), None)

    def forward(self, x):
        blobs = {"data": x}
        for name, bottoms, function in self.steps:
            blobs[name] = function(*(blobs[bottom] for bottom in bottoms))
        return blobs


def vgg(counts, widths, hidden, classes=10):
    """VGG_ILSVRC_*_layers."""
    net, top = Net(), "data"
    for stage, (count, width) in enumerate(zip(counts, widths, strict=True), start=1):
        for layer in range(1, count + 1):
            top = net.convolution(f"conv{stage}_{layer}", top, width, 3, pad=1)
        top = net.pooling(f"pool{stage}", top, "MAX", 2, 2)
    top = net.inner_product("fc6", top, widths[-1] * 49, hidden, relu=True)
    top = net.inner_product("fc7", top, hidden, hidden, relu=True)
    net.inner_product("fc8", top, hidden, classes)
    return net


def nin(blocks, side):
    """cifar10_nin and nin_imagenet; a block is its names, widths, (kernel_size, stride, pad) and pooling."""
    net, top = Net(), "data"
    for number, (names, widths, first, pool) in enumerate(blocks, start=1):
        for name, width, kernel in zip(names, widths, (first, (1, 1, 0), (1, 1, 0)), strict=True):
            top = net.convolution(name, top, width, *kernel)
        kernel = (3, 2) if number < len(blocks) else (side, 1)
        top = net.pooling(f"pool{number}", top, pool, *kernel)
    return net


CIFAR = (
    (("conv1", "cccp1", "cccp2"), (192, 160, 96), (5, 1, 2), "MAX"),
    (("conv2", "cccp3", "cccp4"), (192, 192, 192), (5, 1, 2), "AVE"),
    (("conv3", "cccp5", "cccp6"), (192, 192, 10), (3, 1, 1), "AVE"),
)
IMAGENET = (
    (("conv1", "cccp1", "cccp2"), (96, 96, 96), (11, 4, 0), "MAX"),
    (("conv2", "cccp3", "cccp4"), (256, 256, 256), (5, 1, 2), "MAX"),
    (("conv3", "cccp5", "cccp6"), (384, 384, 384), (3, 1, 1), "MAX"),
    (("conv4-1024", "cccp7-1024", "cccp8-1024"), (1024, 1024, 10), (3, 1, 1), "AVE"),
)

MODULES = (  # 1x1, 3x3_reduce, 3x3, 5x5_reduce, 5x5, pool_proj; "pool" before 4a and 5a
    ("3a", 64, 96, 128, 16, 32, 32),
    ("3b", 128, 128, 192, 32, 96, 64),
    ("4a", 192, 96, 208, 16, 48, 64),
    ("4b", 160, 112, 224, 24, 64, 64),
    ("4c", 128, 128, 256, 24, 64, 64),
    ("4d", 112, 144, 288, 32, 64, 64),
    ("4e", 256, 160, 320, 32, 128, 128),
    ("5a", 256, 160, 320, 32, 128, 128),
    ("5b", 384, 192, 384, 48, 128, 128),
)


def inception(net, where, bottom, one, three_reduce, three, five_reduce, five, projection):
    first = net.convolution(f"{where}/1x1", bottom, one, 1)
    reduced = net.convolution(f"{where}/3x3_reduce", bottom, three_reduce, 1)
    second = net.convolution(f"{where}/3x3", reduced, three, 3, pad=1)
    reduced = net.convolution(f"{where}/5x5_reduce", bottom, five_reduce, 1)
    third = net.convolution(f"{where}/5x5", reduced, five, 5, pad=2)
    pooled = net.pooling(f"{where}/pool", bottom, "MAX", 3, 1, 1)
    fourth = net.convolution(f"{where}/pool_proj", pooled, projection, 1)
    return net.concat(f"{where}/output", first, second, third, fourth)


def googlenet(classes=10):
    """bvlc_googlenet with the heads of train_val.prototxt, at 224x224."""
    net = Net()
    top = net.convolution("conv1/7x7_s2", "data", 64, 7, 2, 3)
    top = net.lrn("pool1/norm1", net.pooling("pool1/3x3_s2", top, "MAX", 3, 2))
    top = net.convolution("conv2/3x3", net.convolution("conv2/3x3_reduce", top, 64, 1), 192, 3, pad=1)
    top = net.pooling("pool2/3x3_s2", net.lrn("conv2/norm2", top), "MAX", 3, 2)
    for name, *widths in MODULES:
        top = inception(net, f"inception_{name}", top, *widths)
        if name in ("4a", "4d"):
            head = {"4a": "loss1", "4d": "loss2"}[name]
            side = net.convolution(f"{head}/conv", net.pooling(f"{head}/ave_pool", top, "AVE", 5, 3), 128, 1)
            side = net.inner_product(f"{head}/fc", side, 128 * 16, 1024, relu=True)
            net.inner_product(f"{head}/classifier", side, 1024, classes)
        if name in ("3b", "4e"):
            top = net.pooling(f"pool{int(name[0])}/3x3_s2", top, "MAX", 3, 2)
    top = net.pooling("pool5/7x7_s1", top, "AVE", 7, 1)
    net.inner_product("loss3/classifier", top, 1024, classes)
    return net
