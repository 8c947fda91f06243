"""The five networks of the paper (Fig. 1), as modules for any input shape, width and number of outputs.

Sizes and initialisation are those of the paper's experiments: LeNet with ReLU and max-pooling, VGG-11 with batch
normalisation, ResNet-18 and DenseNet-121 in their CIFAR form (3x3 stem, no pooling in the stem). Where the input is
not 32 x 32 the first fully connected layer follows the size of the last feature map.

Each network ends in one linear layer, ``readout``. ``pooling=False`` removes every pooling layer and lets the first
fully connected layer read the whole feature map (Fig. 3).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NUMERICS = 1
"""Version of the five networks and their initialisation: raised when the same seed makes another network."""


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


class LogisticRegression(nn.Module):
    """f(x) = w^T x + b on the flattened image: no preferred direction, the control of every experiment."""

    def __init__(self, in_channels: int, num_outputs: int, image_size: tuple[int, int]):
        super().__init__()
        self.readout = nn.Linear(in_channels * image_size[0] * image_size[1], num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (n, num_outputs) of images (n, C, H, W)."""
        return self.readout(x.flatten(1))


class LeNet(nn.Module):
    """LeNet-5 with ReLU and max-pooling: two 5x5 convolutions, three fully connected layers."""

    def __init__(
        self,
        in_channels: int,
        num_outputs: int,
        image_size: tuple[int, int],
        *,
        width: float = 1.0,
        pooling: bool = True,
    ):
        super().__init__()
        c1, c2, f1, f2 = (_scaled(c, width) for c in (6, 16, 120, 84))
        shrink = 2 if pooling else 1
        height, breadth = (((s - 4) // shrink - 4) // shrink for s in image_size)
        if min(height, breadth) < 1:
            raise ValueError(f"LeNet needs images of at least {16 if pooling else 9} pixels a side, got {image_size}")
        self.conv1 = nn.Conv2d(in_channels, c1, 5)
        self.conv2 = nn.Conv2d(c1, c2, 5)
        self.fc1 = nn.Linear(c2 * height * breadth, f1)
        self.fc2 = nn.Linear(f1, f2)
        self.readout = nn.Linear(f2, num_outputs)
        self.pool = nn.MaxPool2d(2) if pooling else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Scores (n, num_outputs) of images (n, C, H, W)."""
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = F.relu(self.fc1(x.flatten(1)))
        return self.readout(F.relu(self.fc2(x)))


class VGG11(nn.Module):
    """VGG-11 with batch normalisation and two hidden fully connected layers of 512 with dropout.

    Convolutions are drawn from N(0, 2 / (k * k * out_channels)) with zero bias, everything else as torch does.
    """

    STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))  # a pooling layer after each stage

    def __init__(
        self,
        in_channels: int,
        num_outputs: int,
        image_size: tuple[int, int],
        *,
        width: float = 1.0,
        pooling: bool = True,
    ):
        super().__init__()
        height, breadth = (s // 2 ** len(self.STAGES) if pooling else s for s in image_size)
        if min(height, breadth) < 1:
            raise ValueError(f"VGG-11 halves the image five times and needs at least 32 pixels, got {image_size}")
        layers: list[nn.Module] = []
        channels = in_channels
        for stage in self.STAGES:
            for planes in (_scaled(c, width) for c in stage):
                layers += [nn.Conv2d(channels, planes, 3, padding=1), nn.BatchNorm2d(planes), nn.ReLU()]
                channels = planes
            if pooling:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        hidden = _scaled(512, width)
        self.hidden = nn.Sequential(
            *(nn.Linear(channels * height * breadth, hidden), nn.ReLU(), nn.Dropout()),
            *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout()),
        )
        self.readout = nn.Linear(hidden, num_outputs)
        for conv in (m for m in self.features if isinstance(m, nn.Conv2d)):
            nn.init.normal_(conv.weight, std=math.sqrt(2 / (9 * conv.out_channels)))
            nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (n, num_outputs) of images (n, C, H, W)."""
        return self.readout(self.hidden(self.features(x).flatten(1)))


def _conv3(channels: int, planes: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, planes, 3, stride=stride, padding=1, bias=False)


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int, planes: int, stride: int, project: bool):
        super().__init__()
        self.conv1, self.bn1 = _conv3(channels, planes, stride), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = _conv3(planes, planes), nn.BatchNorm2d(planes)
        self.shortcut: nn.Module = nn.Identity()
        if project:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, planes, 1, stride=stride, bias=False), nn.BatchNorm2d(planes)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class _GlobalAverage(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True)


class ResNet18(nn.Module):
    """ResNet-18 in its CIFAR form: 3x3 stem of 64 channels, four stages of two blocks, global average pooling.

    A stride of 2 opens stages two to four; it subsamples as pooling does, so ``strides=False`` removes it too.
    """

    def __init__(
        self,
        in_channels: int,
        num_outputs: int,
        image_size: tuple[int, int],
        *,
        width: float = 1.0,
        pooling: bool = True,
        strides: bool = True,
    ):
        super().__init__()
        channels = _scaled(64, width)
        self.conv1, self.bn1 = _conv3(in_channels, channels), nn.BatchNorm2d(channels)
        blocks = []
        for planes, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            planes, stride = _scaled(planes, width), stride if strides else 1
            blocks += [_ResidualBlock(channels, planes, stride, project=stride != 1 or channels != planes)]
            blocks += [_ResidualBlock(planes, planes, 1, project=False)]
            channels = planes
        self.blocks = nn.Sequential(*blocks)
        self.pool = _GlobalAverage() if pooling else nn.Identity()
        height, breadth = (math.ceil(s / 8) if strides else s for s in image_size)
        self.readout = nn.Linear(channels if pooling else channels * height * breadth, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (n, num_outputs) of images (n, C, H, W)."""
        x = F.relu(self.bn1(self.conv1(x)))
        return self.readout(self.pool(self.blocks(x)).flatten(1))


class _DenseLayer(nn.Module):
    def __init__(self, channels: int, growth: int):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, 4 * growth, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(4 * growth), _conv3(4 * growth, growth)

    def forward(self, x: Tensor) -> Tensor:
        new = self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))
        return torch.cat([new, x], 1)


class DenseNet121(nn.Module):
    """DenseNet-121 in its CIFAR form: growth 32, blocks of 6, 12, 24, 16 layers, transitions that halve channels."""

    BLOCKS = (6, 12, 24, 16)

    def __init__(
        self,
        in_channels: int,
        num_outputs: int,
        image_size: tuple[int, int],
        *,
        width: float = 1.0,
        pooling: bool = True,
    ):
        super().__init__()
        height, breadth = (s // 2 ** (len(self.BLOCKS) - 1) if pooling else s for s in image_size)
        if min(height, breadth) < 1:
            raise ValueError(f"DenseNet-121 halves the image three times and needs at least 8 pixels, got {image_size}")
        growth = _scaled(32, width)
        channels = 2 * growth
        layers: list[nn.Module] = [_conv3(in_channels, channels)]
        for number, depth in enumerate(self.BLOCKS):
            for _ in range(depth):
                layers.append(_DenseLayer(channels, growth))
                channels += growth
            last = number == len(self.BLOCKS) - 1
            layers += [nn.BatchNorm2d(channels), nn.ReLU()]
            if not last:
                layers.append(nn.Conv2d(channels, channels // 2, 1, bias=False))
                channels //= 2
                if pooling:
                    layers.append(nn.AvgPool2d(2))
        self.features = nn.Sequential(*layers)
        self.pool = _GlobalAverage() if pooling else nn.Identity()
        self.readout = nn.Linear(channels if pooling else channels * height * breadth, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (n, num_outputs) of images (n, C, H, W)."""
        return self.readout(self.pool(self.features(x)).flatten(1))
