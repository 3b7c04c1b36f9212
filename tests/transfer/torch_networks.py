"""The convertible networks in torch.nn, written from their papers' tables under the public names of their weights.

Each returns (logits, {stage: map}); the stages are those of ours, (n, c, h, w).
"""

import torch
from torch import nn
from torch.nn import functional as F


class ConvNorm(nn.Module):
    """conv, bn, relu; "same" padding where none is given."""

    def __init__(self, c_in, c_out, kernel, stride=1, padding=None):
        super().__init__()
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = tuple(k // 2 for k in kernel) if padding is None else padding
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(c_out, eps=1e-3)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


def randomize(network, seed=0):
    """Draws every weight and every statistic; nothing stays at a value that could hide a swap.

    The biases of norms are near 1, so that five units of six are open. Near 0 a deep network that trains amplifies
    rounding: PyTorch's own Inception-v4 in float32 is then 2e-3 away from itself in float64.
    """
    torch.manual_seed(seed)
    norms = {f"{name}.bias" for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    with torch.no_grad():
        for name, x in network.state_dict().items():
            if name.endswith("running_var"):
                x.uniform_(0.5, 1.5)
            elif name.endswith("running_mean") or name.endswith("bias"):
                x.normal_(1 if name in norms else 0, 0.1)
            elif x.dtype.is_floating_point and x.ndim == 1:
                x.uniform_(0.5, 1.5)
            elif x.dtype.is_floating_point:
                x.normal_(0, (2 / x[0].numel()) ** 0.5)
    return network


class Block(nn.Module):
    def __init__(self, c_in, width, stride, bottleneck, first_1x1):
        super().__init__()
        out = 4 * width if bottleneck else width
        middle = ((1, stride), (3, 1), (1, 1)) if first_1x1 else ((1, 1), (3, stride), (1, 1))
        plan = middle if bottleneck else ((3, stride), (3, 1))
        channels = (c_in, width, width, out) if bottleneck else (c_in, width, out)
        for i, (kernel, step) in enumerate(plan, start=1):
            conv = nn.Conv2d(channels[i - 1], channels[i], kernel, step, kernel // 2, bias=False)
            self.add_module(f"conv{i}", conv)
            self.add_module(f"bn{i}", nn.BatchNorm2d(channels[i]))
        self.layers = len(plan)
        if stride > 1 or c_in != out:
            self.downsample = nn.Sequential(nn.Conv2d(c_in, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for i in range(1, self.layers + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = F.relu(y) if i < self.layers else y
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet(nn.Module):
    def __init__(self, blocks, bottleneck, classes=10, first_1x1=False):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        channels = 64
        for stage, count in enumerate(blocks, start=1):
            width, rows = 32 * 2**stage, []
            for block in range(count):
                rows.append(Block(channels, width, 2 if stage > 1 and block == 0 else 1, bottleneck, first_1x1))
                channels = 4 * width if bottleneck else width
            self.add_module(f"layer{stage}", nn.Sequential(*rows))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        features = {}
        x = features["conv1"] = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(x, 3, 2, 1)
        for stage in (1, 2, 3, 4):
            x = features[f"conv{stage + 1}_x"] = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3))), features


class VGG(nn.Module):
    def __init__(self, counts, batch_norm=False, classes=10):
        super().__init__()
        layers, self.ends, channels = [], {}, 3
        for stage, (count, width) in enumerate(zip(counts, (64, 128, 256, 512, 512), strict=True), start=1):
            for _ in range(count):
                layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=True))
                layers += [nn.BatchNorm2d(width)] if batch_norm else []
                layers.append(nn.ReLU())
                channels = width
            layers.append(nn.MaxPool2d(2, 2))
            self.ends[len(layers) - 1] = f"pool{stage}"
        self.features = nn.Sequential(*layers)
        head = (nn.Linear(512 * 49, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout())
        self.classifier = nn.Sequential(*head, nn.Linear(4096, classes))

    def forward(self, x):
        features = {}
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.ends:
                features[self.ends[i]] = x
        return self.classifier(x.flatten(1)), features


class AlexNet(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        pool = nn.MaxPool2d(3, 2)
        convs = [nn.Conv2d(3, 64, 11, 4, 2), nn.Conv2d(64, 192, 5, padding=2), nn.Conv2d(192, 384, 3, padding=1)]
        convs += [nn.Conv2d(384, 256, 3, padding=1), nn.Conv2d(256, 256, 3, padding=1)]
        layers = []
        for i, conv in enumerate(convs):
            layers += [conv, nn.ReLU()] + ([pool] if i in (0, 1, 4) else [])
        self.features = nn.Sequential(*layers)
        rows = [nn.Dropout(), nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()]
        self.classifier = nn.Sequential(*rows, nn.Linear(4096, classes))

    def forward(self, x):
        features = {}
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in (2, 5, 12):
                features[{2: "pool1", 5: "pool2", 12: "pool5"}[i]] = x
        return self.classifier(x.flatten(1)), features


class DenseLayer(nn.Module):
    def __init__(self, c_in, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(c_in), nn.Conv2d(c_in, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.conv1(F.relu(self.norm1(x)))
        return torch.cat((x, self.conv2(F.relu(self.norm2(y)))), 1)


class DenseNet(nn.Module):
    def __init__(self, blocks, growth=32, classes=10, small=False):  # small: of CIFAR
        super().__init__()
        channels = 2 * growth
        self.features = nn.Module()
        stem = {"kernel_size": 3, "padding": 1} if small else {"kernel_size": 7, "stride": 2, "padding": 3}
        self.features.conv0 = nn.Conv2d(3, channels, **stem, bias=False)
        if not small:
            self.features.norm0 = nn.BatchNorm2d(channels)
        for b, layers in enumerate(blocks, start=1):
            block = nn.Sequential()
            for i in range(1, layers + 1):
                block.add_module(f"denselayer{i}", DenseLayer(channels, growth))
                channels += growth
            self.features.add_module(f"denseblock{b}", block)
            if b < len(blocks):
                transition = nn.Module()
                transition.norm = nn.BatchNorm2d(channels)
                transition.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)
                self.features.add_module(f"transition{b}", transition)
                channels //= 2
        self.features.norm5 = nn.BatchNorm2d(channels)
        self.classifier, self.count = nn.Linear(channels, classes), len(blocks)

    def forward(self, x):
        f, features = self.features, {}
        x = f.conv0(x)
        x = F.max_pool2d(F.relu(f.norm0(x)), 3, 2, 1) if hasattr(f, "norm0") else x
        for b in range(1, self.count + 1):
            x = features[f"dense_block{b}"] = getattr(f, f"denseblock{b}")(x)
            if b < self.count:
                transition = getattr(f, f"transition{b}")
                x = F.avg_pool2d(transition.conv(F.relu(transition.norm(x))), 2)
                features[f"transition{b}"] = x
        return self.classifier(F.relu(f.norm5(x)).mean((2, 3))), features
