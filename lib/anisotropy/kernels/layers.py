"""Composable layers: each writes its part of a kernel, and builds the torch module that it is the limit of.

Theory and sample are the same object (after cambridge-mlg/cnn-gp): `graph(layer, input_shape)` is the exact recursion,
`network(layer, input_shape, width)` a random network of that architecture with `width` channels a layer.

Example:
    >>> from anisotropy.kernels import layers
    >>> net = layers.Sequential(layers.Conv(3), layers.ReLU(), layers.AvgPool(2), layers.Readout())
    >>> random_network = layers.network(net, (1, 8, 8), width=4)
    >>> layers.graph(net, (1, 8, 8)).homogeneous, sum(p.numel() for p in random_network.parameters())
    (True, 100)
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from anisotropy.kernels.activations import ErrorFunction, Rectifier
from anisotropy.kernels.axes import axis, whole
from anisotropy.kernels.graph import Builder, Graph, Value
from anisotropy.models.blurpool import BlurPool2d

TORCH_GAIN = 1 / 3
"""Variance of torch's default weights times their number (fan-in): U(-1, 1) / sqrt(fan-in)."""


class Layer:
    """A layer: `write` its part of a graph, `build` its torch module."""

    def write(self, builder: Builder, value: Value) -> Value:
        """Add this layer to a graph."""
        raise NotImplementedError

    def build(self, channels: int, sides: tuple[int, int], width: int) -> tuple[nn.Module, int, tuple[int, int]]:
        """A module with random weights for maps of some channels and sides, and what channels and sides it makes."""
        raise NotImplementedError


@dataclass(frozen=True)
class Conv(Layer):
    """A convolution with independent Gaussian weights.

    Attributes:
        kernel: taps a side.
        stride: subsampling.
        padding: zeros (or what `mode` says) around the map; None keeps the size at stride 1, (kernel - 1) / 2.
        mode: "zeros" or "circular".
        gain: weight variance times fan-in.
        bias: variance of the biases.
        channels: of the output, in units of the width.
    """

    kernel: int = 3
    stride: int = 1
    padding: int | None = None
    mode: str = "zeros"
    gain: float = TORCH_GAIN
    bias: float = 0.0
    channels: float = 1.0

    @property
    def _padding(self) -> int:
        return (self.kernel - 1) // 2 if self.padding is None else self.padding

    def write(self, builder: Builder, value: Value) -> Value:
        """Add this layer to a graph."""
        tables = (
            axis(side, self.kernel, stride=self.stride, padding=self._padding, mode=self.mode) for side in value.sides
        )
        variance = self.gain / (value.channels * self.kernel**2)
        return builder.random(value, max(1, round(1000 * self.channels)), *tables, variance, self.bias)

    def build(self, channels: int, sides: tuple[int, int], width: int) -> tuple[nn.Module, int, tuple[int, int]]:
        """nn.Conv2d with `width` times `channels` output channels."""
        made = max(1, round(width * self.channels))
        conv = nn.Conv2d(channels, made, self.kernel, self.stride, self._padding, padding_mode=self.mode)
        _draw(conv, self.gain, self.bias)
        sides = tuple((s + 2 * self._padding - self.kernel) // self.stride + 1 for s in sides)
        return conv, made, sides


class _Activation(Layer):
    def write(self, builder: Builder, value: Value) -> Value:
        """Add this layer to a graph."""
        return builder.pointwise(value, self.activation)

    def build(self, channels: int, sides: tuple[int, int], width: int) -> tuple[nn.Module, int, tuple[int, int]]:
        """The activation."""
        return self.activation.module(), channels, sides


class ReLU(_Activation):
    """max(u, 0)."""

    activation = Rectifier()


class Erf(_Activation):
    """The error function, smooth."""

    activation = ErrorFunction()


@dataclass(frozen=True)
class AvgPool(Layer):
    """Average pooling over windows; a stride of None is the window."""

    window: int = 2
    stride: int | None = None

    def write(self, builder: Builder, value: Value) -> Value:
        """Add this layer to a graph."""
        weights = (1 / self.window,) * self.window
        stride = self.stride or self.window
        return builder.fixed(value, *(axis(s, self.window, stride=stride, weights=weights) for s in value.sides))

    def build(self, channels: int, sides: tuple[int, int], width: int) -> tuple[nn.Module, int, tuple[int, int]]:
        """nn.AvgPool2d."""
        stride = self.stride or self.window
        return nn.AvgPool2d(self.window, stride), channels, tuple((s - self.window) // stride + 1 for s in sides)


@dataclass(frozen=True)
class Blur(Layer):
    """Binomial blur with reflected borders, then subsampling (`blurpool.BlurPool2d`)."""

    order: int = 2
    stride: int = 2

    def write(self, builder: Builder, value: Value) -> Value:
        """Add this layer to a graph."""
        return builder.fixed(value, *(blur_axis(side, self.order, self.stride) for side in value.sides))

    def build(self, channels: int, sides: tuple[int, int], width: int) -> tuple[nn.Module, int, tuple[int, int]]:
        """`blurpool.BlurPool2d`."""
        return BlurPool2d(self.order, self.stride), channels, tuple(-(-s // self.stride) for s in sides)


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch norm of a fresh network in eval mode: the identity, but for a factor 1 - 5e-6."""

    def write(self, builder: Builder, value: Value) -> Value:
        """Nothing to add."""
        return value

    def build(self, channels: int, sides: tuple[int, int], width: int) -> tuple[nn.Module, int, tuple[int, int]]:
        """nn.BatchNorm2d."""
        return nn.BatchNorm2d(channels), channels, sides


@dataclass(frozen=True)
class GlobalAverage(Layer):
    """The mean over all positions."""

    def write(self, builder: Builder, value: Value) -> Value:
        """Add this layer to a graph."""
        return builder.fixed(value, *(whole(side, average=True) for side in value.sides))

    def build(self, channels: int, sides: tuple[int, int], width: int) -> tuple[nn.Module, int, tuple[int, int]]:
        """nn.AdaptiveAvgPool2d(1)."""
        return nn.AdaptiveAvgPool2d(1), channels, (1, 1)


@dataclass(frozen=True)
class Dense(Layer):
    """Flatten and a dense layer: after it the map has one position. `channels` in units of the width."""

    gain: float = TORCH_GAIN
    bias: float = 0.0
    channels: float = 1.0

    def write(self, builder: Builder, value: Value) -> Value:
        """Add this layer to a graph."""
        height, breadth = value.sides
        variance = self.gain / (value.channels * height * breadth)
        tables = (whole(side, average=False) for side in value.sides)
        return builder.random(value, max(1, round(1000 * self.channels)), *tables, variance, self.bias)

    def build(self, channels: int, sides: tuple[int, int], width: int) -> tuple[nn.Module, int, tuple[int, int]]:
        """A linear layer whose outputs are maps of one position."""
        return self._linear(channels, sides, max(1, round(width * self.channels)), maps=True)

    def _linear(self, channels: int, sides: tuple[int, int], made: int, *, maps: bool):
        linear = nn.Linear(channels * sides[0] * sides[1], made)
        _draw(linear, self.gain, self.bias)
        layers = (nn.Flatten(), linear) + ((nn.Unflatten(1, (made, 1, 1)),) if maps else ())
        return nn.Sequential(*layers), made, (1, 1)


@dataclass(frozen=True)
class Readout(Dense):
    """Flatten and the last linear layer, one output."""

    def build(self, channels: int, sides: tuple[int, int], width: int) -> tuple[nn.Module, int, tuple[int, int]]:
        """A linear layer with one output."""
        return self._linear(channels, sides, 1, maps=False)


class Sequential(Layer):
    """Layers one after the other."""

    def __init__(self, *layers: Layer):
        self.layers = layers

    def write(self, builder: Builder, value: Value) -> Value:
        """Add these layers to a graph."""
        for layer in self.layers:
            value = layer.write(builder, value)
        return value

    def build(self, channels: int, sides: tuple[int, int], width: int) -> tuple[nn.Module, int, tuple[int, int]]:
        """nn.Sequential."""
        modules = []
        for layer in self.layers:
            module, channels, sides = layer.build(channels, sides, width)
            modules.append(module)
        return nn.Sequential(*modules), channels, sides


class Identity(Sequential):
    """A skip: what comes in goes out."""

    def __init__(self):
        super().__init__()


class Sum(Layer):
    """The sum of two branches of one size; one of them must end in random weights of its own."""

    def __init__(self, first: Layer, second: Layer):
        self.branches = (first, second)

    def write(self, builder: Builder, value: Value) -> Value:
        """Add these branches to a graph; an identity takes the channels of the other branch, as in the torch module."""
        return builder.add(*(branch.write(builder, value) for branch in self.branches))

    def build(self, channels: int, sides: tuple[int, int], width: int) -> tuple[nn.Module, int, tuple[int, int]]:
        """A module that adds the outputs of two."""
        (first, made, after), (second, *_) = (branch.build(channels, sides, width) for branch in self.branches)
        return _Branches((first, second), concatenate=False), made, after


class Concat(Layer):
    """Channels of branches side by side."""

    def __init__(self, *branches: Layer):
        self.branches = branches

    def write(self, builder: Builder, value: Value) -> Value:
        """Add these branches to a graph."""
        return builder.concatenate([branch.write(builder, value) for branch in self.branches])

    def build(self, channels: int, sides: tuple[int, int], width: int) -> tuple[nn.Module, int, tuple[int, int]]:
        """A module that concatenates outputs."""
        made = [branch.build(channels, sides, width) for branch in self.branches]
        return _Branches(tuple(m for m, *_ in made), concatenate=True), sum(c for _, c, _ in made), made[0][2]


class _Branches(nn.Module):
    def __init__(self, branches: tuple[nn.Module, ...], *, concatenate: bool):
        super().__init__()
        self.branches, self.concatenate = nn.ModuleList(branches), concatenate

    def forward(self, x: Tensor) -> Tensor:
        outputs = [branch(x) for branch in self.branches]
        return torch.cat(outputs, 1) if self.concatenate else outputs[0] + outputs[1]


def blur_axis(side: int, order: int, stride: int):
    """The taps of `blurpool.BlurPool2d` along one axis."""
    weights = [math.comb(order, t) / 2**order for t in range(order + 1)]
    return axis(side, order + 1, stride=stride, padding=order // 2, mode="reflect", weights=weights)


def graph(layer: Layer, input_shape: tuple[int, int, int]) -> Graph:
    """The kernel of an architecture.

    Args:
        layer: ends in `Readout`.
        input_shape: (C, H, W).

    Raises:
        NoClosedForm: two branches of a sum are correlated.
        ValueError: sizes do not fit, or the last layer is no read-out.
    """
    builder = Builder(tuple(input_shape))
    return builder.graph(layer.write(builder, builder.source()))


def network(layer: Layer, input_shape: tuple[int, int, int], width: int) -> nn.Module:
    """A random network of the same architecture, drawn from torch's global generator.

    Args:
        layer: ends in `Readout`.
        input_shape: (C, H, W).
        width: channels of a layer; the kernel is the limit of many.
    """
    return layer.build(input_shape[0], tuple(input_shape[1:]), width)[0]


def _draw(layer: nn.Conv2d | nn.Linear, gain: float, bias: float) -> None:
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=math.sqrt(gain / fan_in))
    nn.init.normal_(layer.bias, std=math.sqrt(bias))
    if not bias:
        layer.bias = None
