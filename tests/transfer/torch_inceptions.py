"""GoogLeNet with batch norm, Inception-v3, -v4 and Inception-ResNet-v2 in torch.nn, as in `torch_networks`."""

import torch
from torch import nn
from torch.nn import functional as F
from torch_networks import ConvNorm

ROW, COLUMN = (1, 7), (7, 1)


def chain(c_in, *layers):
    """A Sequential of ConvNorm from (width, kernel, stride, padding) rows; modules are taken as they are."""
    rows = []
    for layer in layers:
        if not isinstance(layer, nn.Module):
            layer, c_in = ConvNorm(c_in, *layer), layer[0]
        rows.append(layer)
    return nn.Sequential(*rows)


def average(count_padding):
    return nn.AvgPool2d(3, 1, 1, count_include_pad=count_padding)


class GoogLeNetBlock(nn.Module):
    def __init__(self, c_in, one, reduce3, three, reduce5, five, pool):
        super().__init__()
        self.branch1 = ConvNorm(c_in, one, 1)
        self.branch2 = chain(c_in, (reduce3, 1), (three, 3))
        self.branch3 = chain(c_in, (reduce5, 1), (five, 3))
        self.branch4 = chain(c_in, nn.MaxPool2d(3, 1, 1), (pool, 1))

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.children()], 1)


class GoogLeNetHead(nn.Module):
    def __init__(self, c_in, classes):
        super().__init__()
        self.conv, self.fc1, self.fc2 = ConvNorm(c_in, 128, 1), nn.Linear(2048, 1024), nn.Linear(1024, classes)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(self.conv(F.adaptive_avg_pool2d(x, 4)).flatten(1))))


class GoogLeNet(nn.Module):
    """torchvision's; no dropout here."""

    rows = {  # c_in, then table 1
        "3a": (192, 64, 96, 128, 16, 32, 32), "3b": (256, 128, 128, 192, 32, 96, 64),
        "4a": (480, 192, 96, 208, 16, 48, 64), "4b": (512, 160, 112, 224, 24, 64, 64),
        "4c": (512, 128, 128, 256, 24, 64, 64), "4d": (512, 112, 144, 288, 32, 64, 64),
        "4e": (528, 256, 160, 320, 32, 128, 128), "5a": (832, 256, 160, 320, 32, 128, 128),
        "5b": (832, 384, 192, 384, 48, 128, 128),
    }  # fmt: skip

    def __init__(self, classes=10):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = ConvNorm(3, 64, 7, 2), ConvNorm(64, 64, 1), ConvNorm(64, 192, 3)
        for name, row in self.rows.items():
            self.add_module(f"inception{name}", GoogLeNetBlock(*row))
        self.aux1, self.aux2 = GoogLeNetHead(512, classes), GoogLeNetHead(528, classes)
        self.fc = nn.Linear(1024, classes)

    def forward(self, x):
        features = {}
        x = F.max_pool2d(self.conv1(x), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.conv3(self.conv2(x)), 3, 2, ceil_mode=True)
        for name in self.rows:
            x = features[f"inception_{name}"] = getattr(self, f"inception{name}")(x)
            if name in ("4a", "4d"):
                head = "aux1" if name == "4a" else "aux2"
                features[head] = getattr(self, head)(x)
            if name in ("3b", "4e"):
                x = F.max_pool2d(x, 3 if name == "3b" else 2, 2, ceil_mode=True)
        return self.fc(x.mean((2, 3))), features


class Named(nn.Module):
    """Branches of torchvision's Inception-v3: {name: (c_in, layer)} and which name follows which."""

    def __init__(self, layers, branches, *, pool):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, ConvNorm(*layer))
        self.branches, self.pool = branches, pool

    def forward(self, x):
        parts = []
        for branch in self.branches:
            y = self.pool(x) if branch[:1] == ["branch_pool"] else x
            for name in branch:
                if isinstance(name, tuple):
                    y = torch.cat([getattr(self, part)(y) for part in name], 1)
                else:
                    y = getattr(self, name)(y)
            parts.append(y)
        if not any(branch[:1] == ["branch_pool"] for branch in self.branches):
            parts.append(self.pool(x))
        return torch.cat(parts, 1)


def names(prefix, count):
    return [f"{prefix}_{i}" for i in range(1, count + 1)]


def mixed_5(c, pooled):
    double = names("branch3x3dbl", 3)
    layers = {"branch1x1": (c, 64, 1), "branch5x5_1": (c, 48, 1), "branch5x5_2": (48, 64, 5)}
    layers |= dict(zip(double, ((c, 64, 1), (64, 96, 3), (96, 96, 3)), strict=True))
    layers["branch_pool"] = (c, pooled, 1)
    branches = [["branch1x1"], ["branch5x5_1", "branch5x5_2"], double, ["branch_pool"]]
    return Named(layers, branches, pool=average(True))


def mixed_6a(c):
    double = names("branch3x3dbl", 3)
    layers = {"branch3x3": (c, 384, 3, 2, 0)}
    layers |= dict(zip(double, ((c, 64, 1), (64, 96, 3), (96, 96, 3, 2, 0)), strict=True))
    return Named(layers, [["branch3x3"], double], pool=nn.MaxPool2d(3, 2))


def mixed_6(w, c=768):
    seven, double = names("branch7x7", 3), names("branch7x7dbl", 5)
    layers = {"branch1x1": (c, 192, 1), **dict(zip(seven, ((c, w, 1), (w, w, ROW), (w, 192, COLUMN)), strict=True))}
    rows = ((c, w, 1), (w, w, COLUMN), (w, w, ROW), (w, w, COLUMN), (w, 192, ROW))
    layers |= {**dict(zip(double, rows, strict=True)), "branch_pool": (c, 192, 1)}
    return Named(layers, [["branch1x1"], seven, double, ["branch_pool"]], pool=average(True))


def mixed_7a(c=768):
    three, seven = names("branch3x3", 2), names("branch7x7x3", 4)
    layers = dict(zip(three, ((c, 192, 1), (192, 320, 3, 2, 0)), strict=True))
    rows = ((c, 192, 1), (192, 192, ROW), (192, 192, COLUMN), (192, 192, 3, 2, 0))
    layers |= dict(zip(seven, rows, strict=True))
    return Named(layers, [three, seven], pool=nn.MaxPool2d(3, 2))


def mixed_7(c):
    layers = {"branch1x1": (c, 320, 1), "branch3x3_1": (c, 384, 1), "branch3x3dbl_1": (c, 448, 1)}
    layers |= {"branch3x3dbl_2": (448, 384, 3), "branch_pool": (c, 192, 1)}
    fans = [(f"branch3x3_{i}a", f"branch3x3_{i}b") for i in (2,)] + [("branch3x3dbl_3a", "branch3x3dbl_3b")]
    for row, column in fans:
        layers |= {row: (384, 384, (1, 3)), column: (384, 384, (3, 1))}
    branches = [["branch1x1"], ["branch3x3_1", fans[0]], ["branch3x3dbl_1", "branch3x3dbl_2", fans[1]], ["branch_pool"]]
    return Named(layers, branches, pool=average(True))


class InceptionV3(nn.Module):
    """torchvision's; no dropout here."""

    def __init__(self, classes=10, auxiliary=True):
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = ConvNorm(3, 32, 3, 2, 0), ConvNorm(32, 32, 3, 1, 0)
        self.Conv2d_2b_3x3, self.Conv2d_3b_1x1 = ConvNorm(32, 64, 3), ConvNorm(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3, 1, 0)
        blocks = {"5b": mixed_5(192, 32), "5c": mixed_5(256, 64), "5d": mixed_5(288, 64), "6a": mixed_6a(288)}
        blocks |= {"6b": mixed_6(128), "6c": mixed_6(160), "6d": mixed_6(160), "6e": mixed_6(192)}
        blocks |= {"7a": mixed_7a(), "7b": mixed_7(1280), "7c": mixed_7(2048)}
        for name, block in blocks.items():
            self.add_module(f"Mixed_{name}", block)
        self.blocks, self.fc = tuple(blocks), nn.Linear(2048, classes)
        if auxiliary:
            self.AuxLogits = nn.Module()
            self.AuxLogits.conv0, self.AuxLogits.conv1 = ConvNorm(768, 128, 1), ConvNorm(128, 768, 5, 1, 0)
            self.AuxLogits.fc = nn.Linear(768, classes)

    def forward(self, x):
        features = {}
        x = F.max_pool2d(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))), 3, 2)
        x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        for name in self.blocks:
            x = features[f"Mixed_{name}"] = getattr(self, f"Mixed_{name}")(x)
            if name == "6e" and hasattr(self, "AuxLogits"):
                y = self.AuxLogits.conv1(self.AuxLogits.conv0(F.avg_pool2d(x, 5, 3)))
                features["aux1"] = self.AuxLogits.fc(y.mean((2, 3)))
        return self.fc(x.mean((2, 3))), features


class Branches(nn.Module):
    """branch0, branch1, ... of timm; with out a residual block, whose sum it scales."""

    def __init__(self, *branches, out=0, scale=1.0, last=False):
        super().__init__()
        for i, branch in enumerate(branches):
            self.add_module(f"branch{i}", branch)
        self.count, self.scale, self.last = len(branches), scale, last
        if out:
            self.conv2d = nn.Conv2d(*out, 1)

    def forward(self, x):
        y = torch.cat([getattr(self, f"branch{i}")(x) for i in range(self.count)], 1)
        if not hasattr(self, "conv2d"):
            return y
        y = x + self.scale * self.conv2d(y)
        return y if self.last else F.relu(y)


class Beside(nn.Module):
    """A convolution beside a pooling."""

    def __init__(self, conv, pool_first):
        super().__init__()
        self.conv, self.pool_first = conv, pool_first

    def forward(self, x):
        parts = [F.max_pool2d(x, 3, 2), self.conv(x)]
        return torch.cat(parts if self.pool_first else parts[::-1], 1)


class InceptionC(nn.Module):
    def __init__(self, c=1536):
        super().__init__()
        self.branch0, self.branch1_0, self.branch2_0 = ConvNorm(c, 256, 1), ConvNorm(c, 384, 1), ConvNorm(c, 384, 1)
        self.branch1_1a, self.branch1_1b = ConvNorm(384, 256, (1, 3)), ConvNorm(384, 256, (3, 1))
        self.branch2_1, self.branch2_2 = ConvNorm(384, 448, (3, 1)), ConvNorm(448, 512, (1, 3))
        self.branch2_3a, self.branch2_3b = ConvNorm(512, 256, (1, 3)), ConvNorm(512, 256, (3, 1))
        self.branch3 = chain(c, average(False), (256, 1))

    def forward(self, x):
        y, z = self.branch1_0(x), self.branch2_2(self.branch2_1(self.branch2_0(x)))
        fans = (self.branch1_1a(y), self.branch1_1b(y), self.branch2_3a(z), self.branch2_3b(z))
        return torch.cat((self.branch0(x), *fans, self.branch3(x)), 1)


class InceptionV4(nn.Module):
    """timm's; no dropout here."""

    def __init__(self, classes=10):
        super().__init__()
        stem = [ConvNorm(3, 32, 3, 2, 0), ConvNorm(32, 32, 3, 1, 0), ConvNorm(32, 64, 3)]
        stem.append(Beside(ConvNorm(64, 96, 3, 2, 0), True))
        longer = ((64, 1), (64, ROW), (64, COLUMN), (96, 3, 1, 0))
        stem.append(Branches(chain(160, (64, 1), (96, 3, 1, 0)), chain(160, *longer)))
        stem.append(Beside(ConvNorm(192, 192, 3, 2, 0), False))
        a = [
            Branches(
                ConvNorm(384, 96, 1), chain(384, (64, 1), (96, 3)), chain(384, (64, 1), (96, 3), (96, 3)),
                chain(384, average(False), (96, 1)),
            )
            for _ in range(4)
        ]  # fmt: skip
        pool = nn.MaxPool2d(3, 2)
        a.append(Branches(ConvNorm(384, 384, 3, 2, 0), chain(384, (192, 1), (224, 3), (256, 3, 2, 0)), pool))
        b = [
            Branches(
                ConvNorm(1024, 384, 1), chain(1024, (192, 1), (224, ROW), (256, COLUMN)),
                chain(1024, (192, 1), (192, COLUMN), (224, ROW), (224, COLUMN), (256, ROW)),
                chain(1024, average(False), (128, 1)),
            )
            for _ in range(7)
        ]  # fmt: skip
        longer = ((256, 1), (256, ROW), (320, COLUMN), (320, 3, 2, 0))
        b.append(Branches(chain(1024, (192, 1), (192, 3, 2, 0)), chain(1024, *longer), pool))
        self.features = nn.Sequential(*stem, *a, *b, *(InceptionC() for _ in range(3)))
        self.last_linear = nn.Linear(1536, classes)

    def forward(self, x):
        features = {}
        stages = ["Mixed_3a", "Mixed_4a", *(f"Mixed_5{i}" for i in "abcde"), *(f"Mixed_6{i}" for i in "abcdefgh")]
        stages = [None] * 3 + stages + [f"Mixed_7{i}" for i in "abcd"]
        for stage, layer in zip(stages, self.features, strict=True):
            x = layer(x)
            if stage:
                features[stage] = x
        return self.last_linear(x.mean((2, 3))), features


def block35():
    branches = ConvNorm(320, 32, 1), chain(320, (32, 1), (32, 3)), chain(320, (32, 1), (48, 3), (64, 3))
    return Branches(*branches, out=(128, 320), scale=0.17)


def block17():
    branches = ConvNorm(1088, 192, 1), chain(1088, (128, 1), (160, ROW), (192, COLUMN))
    return Branches(*branches, out=(384, 1088), scale=0.1)


def block8(*, last=False):
    branches = ConvNorm(2080, 192, 1), chain(2080, (192, 1), (224, (1, 3)), (256, (3, 1)))
    return Branches(*branches, out=(448, 2080), scale=1.0 if last else 0.2, last=last)


class InceptionResNetV2(nn.Module):
    """timm's; no dropout here."""

    def __init__(self, classes=10):
        super().__init__()
        self.conv2d_1a, self.conv2d_2a = ConvNorm(3, 32, 3, 2, 0), ConvNorm(32, 32, 3, 1, 0)
        self.conv2d_2b, self.conv2d_3b = ConvNorm(32, 64, 3), ConvNorm(64, 80, 1)
        self.conv2d_4a, pool = ConvNorm(80, 192, 3, 1, 0), nn.MaxPool2d(3, 2)
        first = ConvNorm(192, 96, 1), chain(192, (48, 1), (64, 5)), chain(192, (64, 1), (96, 3), (96, 3))
        self.mixed_5b = Branches(*first, chain(192, average(False), (64, 1)))
        self.repeat = nn.Sequential(*(block35() for _ in range(10)))
        self.mixed_6a = Branches(ConvNorm(320, 384, 3, 2, 0), chain(320, (256, 1), (256, 3), (384, 3, 2, 0)), pool)
        self.repeat_1 = nn.Sequential(*(block17() for _ in range(20)))
        self.mixed_7a = Branches(
            chain(1088, (256, 1), (384, 3, 2, 0)), chain(1088, (256, 1), (288, 3, 2, 0)),
            chain(1088, (256, 1), (288, 3), (320, 3, 2, 0)), pool,
        )  # fmt: skip
        self.repeat_2 = nn.Sequential(*(block8() for _ in range(9)))
        self.block8 = block8(last=True)
        self.conv2d_7b, self.classif = ConvNorm(2080, 1536, 1), nn.Linear(1536, classes)

    def forward(self, x):
        features = {}
        x = F.max_pool2d(self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x))), 3, 2)
        x = features["Mixed_5b"] = self.mixed_5b(F.max_pool2d(self.conv2d_4a(self.conv2d_3b(x)), 3, 2))
        x = features["block35"] = self.repeat(x)
        x = features["Mixed_6a"] = self.mixed_6a(x)
        x = features["block17"] = self.repeat_1(x)
        x = features["Mixed_7a"] = self.mixed_7a(x)
        x = features["block8"] = self.block8(self.repeat_2(x))
        return self.classif(self.conv2d_7b(x).mean((2, 3))), features
