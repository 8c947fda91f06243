"""Feature maps that differ from a common background in one small window each: what an impulse does to a network.

The images x + h e_p and x - h e_p differ from x in one pixel, so after a few convolutions they still differ from the
feature map of x only within a receptive field of p. A `Windows` holds that map once, and of each image the rectangle
that may differ. Layers that look at a neighbourhood (convolution, pooling), at one position (activations) or at several
maps (sums, concatenation) are computed on the rectangles alone, with the same numbers as on whole images up to
rounding; any other operation, or a window that has grown over most of the map, gets whole images. Networks need not
know: it is a tensor to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

LARGEST = 0.7
"""Share of the map from which on whole images cost no more than windows, which have to be cut out."""

aten = torch.ops.aten
_RULES: dict[Any, Callable] = {}


class Windows(Tensor):
    """Images (n, C, H, W) that equal `background` outside their windows.

    Args:
        background: (1, C, H, W).
        patch: (n, C, h, w), what is in the windows.
        top: (n,), first row of each window; it lies inside the map with all its rows.
        left: (n,), first column.
    """

    @staticmethod
    def __new__(cls, background: Tensor, patch: Tensor, top: np.ndarray, left: np.ndarray):
        """A tensor of the whole images' shape, channels last, without memory of its own."""
        _, channels, height, width = shape = (len(patch), *background.shape[1:])
        strides = (channels * height * width, 1, width * channels, channels)
        return Tensor._make_wrapper_subclass(cls, shape, strides=strides, dtype=patch.dtype, device=patch.device)

    def __init__(self, background: Tensor, patch: Tensor, top: np.ndarray, left: np.ndarray):
        super().__init__()
        self.background, self.patch, self.top, self.left = background, patch, top, left

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        """Apply a rule for windows where there is one and it pays, or the operation itself to whole images."""
        kwargs = kwargs or {}
        result = _RULES[operation](operation, *args, **kwargs) if operation in _RULES else NotImplemented
        if result is not NotImplemented:
            return result
        args, kwargs = tree_map_only(Windows, Windows.whole, (args, kwargs))
        return operation(*args, **kwargs)

    def __repr__(self, **_: Any) -> str:
        return f"Windows({tuple(self.patch.shape)} in {tuple(self.shape)})"

    @property
    def is_whole(self) -> bool:
        """Whether the windows cover the map."""
        return self.patch.shape[2:] == self.shape[2:]

    def whole(self) -> Tensor:
        """The whole images; from then on they are what is kept, so that views of them stay views."""
        if not self.is_whole:
            nothing = np.zeros_like(self.top)
            self.patch = self.cut(nothing, nothing, *self.shape[2:])
            self.top = self.left = nothing
        if self.patch.stride() != self.stride():
            self.patch = self.patch.new_empty_strided(self.shape, self.stride()).copy_(self.patch)
        return self.patch

    def cut(self, top: np.ndarray, left: np.ndarray, height: int, width: int, fill: float = 0.0) -> Tensor:
        """Rectangles (n, C, height, width), channels last, one of each image, `fill` where they leave the map."""
        n, channels, rows, columns = self.shape
        inner = self.patch.shape[2:]
        outside = rows * columns  # the row of the table that holds `fill`; the windows follow it
        # Beyond the map an axis alone reaches `outside`, so that any sum with it is cut down to that row.
        y, x = (
            np.where((where < 0) | (where >= limit), outside, where * stride).astype(np.int32)
            for where, limit, stride in (
                (top[:, None] + np.arange(height), rows, columns),
                (left[:, None] + np.arange(width), columns, 1),
            )
        )
        index = np.minimum(y[:, :, None] + x[:, None, :], outside).reshape(n, height * width)
        y, x = (self.top - top)[:, None] + np.arange(inner[0]), (self.left - left)[:, None] + np.arange(inner[1])
        inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
        place = (np.arange(n) * height * width)[:, None, None] + (y * width)[:, :, None] + x[:, None, :]
        entry = np.arange(outside + 1, outside + 1 + inside.size, dtype=np.int32).reshape(inside.shape)
        if inside.all():
            index.ravel()[place] = entry
        else:
            index.ravel()[place[inside]] = entry[inside]
        pieces = (_rows(self.background), self.patch.new_full((1, channels), fill), _rows(self.patch))
        chosen = torch.cat(pieces).index_select(0, torch.from_numpy(index.ravel()).to(self.device))
        return chosen.view(n, height, width, channels).permute(0, 3, 1, 2)


def impulses(x: Tensor, pixels: Tensor, values: Tensor) -> Windows:
    """Images that equal x but for one number each.

    Args:
        x: (C, H, W).
        pixels: (n,) indices into x.flatten().
        values: (n,) what to add there.
    """
    channels, height, width = x.shape
    plane, row, column = np.unravel_index(pixels.cpu().numpy(), (channels, height, width))
    patch = x[:, row, column].T.clone()
    patch[torch.arange(len(pixels)), torch.from_numpy(plane)] += values
    return Windows(x[None].clone(), patch[:, :, None, None], row, column)


def _rows(maps: Tensor) -> Tensor:
    """(n, C, H, W) as (n * H * W, C): no copy where channels are last."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _rule(*operations):
    def register(function):
        _RULES.update(dict.fromkeys(operations, function))
        return function

    return register


def _pair(value) -> tuple[int, int]:
    value = list(value) if isinstance(value, (list, tuple)) else [value]
    return (value[0], value[-1])


def _neighbourhood(x: Windows, function, kernel, stride, padding, dilation=1, fill: float = 0.0):
    """Apply what reads `kernel` positions for each output: to the background, and to what the windows reach.

    Args:
        x: the images.
        function: of images and padding.
        kernel: (height, width), and so on for the others.
        stride: of the operation.
        padding: of the operation.
        dilation: of the kernel.
        fill: what the padding holds.
    """
    kernel, stride, padding, dilation = map(_pair, (kernel, stride, padding, dilation))
    places, sizes, cuts, lengths = [], [], [], []
    for axis, start in enumerate((x.top, x.left)):
        s, p, span = stride[axis], padding[axis], dilation[axis] * (kernel[axis] - 1) + 1
        count = (x.shape[2 + axis] + 2 * p - span) // s + 1  # positions of the whole output
        size = min(count, (x.patch.shape[2 + axis] + span - 2) // s + 1)  # the most that a window can reach
        first = -((span - 1 - p - start) // s)  # ceil((start + p - span + 1) / s)
        first = np.clip(first, 0, count - size)
        places.append(first)
        sizes.append(size)
        cuts.append(first * s - p)
        lengths.append((size - 1) * s + span)
    height, width = (x.shape[2 + a] + 2 * padding[a] - dilation[a] * (kernel[a] - 1) - 1 for a in (0, 1))
    if sizes[0] * sizes[1] > LARGEST * (height // stride[0] + 1) * (width // stride[1] + 1):
        return NotImplemented
    patch = function(x.cut(*cuts, *lengths, fill), (0, 0))
    return Windows(function(x.background, padding), patch, *places)


@_rule(aten.convolution.default)
def _convolution(operation, x, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    if transposed or not isinstance(x, Windows) or weight.dim() != 4:
        return NotImplemented

    def function(images, padding):
        return operation(images, weight, bias, stride, list(padding), dilation, False, output_padding, groups)

    return _neighbourhood(x, function, weight.shape[2:], stride, padding, dilation)


@_rule(aten.max_pool2d_with_indices.default)
def _max_pool(operation, x, kernel, stride=(), padding=0, dilation=1, ceil_mode=False):
    if ceil_mode:
        return NotImplemented

    def function(images, padding):
        return operation(images, kernel, stride or kernel, list(padding), dilation)[0]

    values = _neighbourhood(x, function, kernel, stride or kernel, padding, dilation, fill=-torch.inf)
    if values is NotImplemented:
        return values
    # Max-pooling asks for the indices and drops them; who keeps them, for unpooling, is refused there.
    return values, torch.full((1, 1, 1, 1), -1, device=x.device).expand(values.shape)


@_rule(aten.avg_pool2d.default)
def _average_pool(operation, x, kernel, stride=(), padding=0, ceil_mode=False, include_pad=True, divisor=None):
    if ceil_mode or (not include_pad and any(_pair(padding))):
        return NotImplemented

    def function(images, padding):
        return operation(images, kernel, stride or kernel, list(padding), False, True, divisor)

    return _neighbourhood(x, function, kernel, stride or kernel, padding)


ACTIVATIONS = "relu relu6 silu gelu elu leaky_relu hardtanh hardswish sigmoid tanh softplus neg abs clamp clamp_min"
"""Operations that look at one position and keep shape and type."""


@_rule(*[getattr(aten, name).default for name in ACTIVATIONS.split() if hasattr(aten, name)])
def _activation(operation, x, *args, **kwargs):
    return Windows(operation(x.background, *args, **kwargs), operation(x.patch, *args, **kwargs), x.top, x.left)


@_rule(*[getattr(aten, f"{n}_").default for n in ACTIVATIONS.split() if hasattr(aten, f"{n}_")])
def _activation_in_place(operation, x, *args, **kwargs):
    if x.is_whole:  # others may have views of it
        return NotImplemented
    operation(x.background, *args, **kwargs), operation(x.patch, *args, **kwargs)
    return x


@_rule(aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor)
def _arithmetic(operation, a, b, **kwargs):
    if isinstance(a, Windows) and isinstance(b, Windows):
        (one, other), place = _together(a, b)
        if place is None:
            return NotImplemented
        return Windows(operation(a.background, b.background, **kwargs), operation(one, other, **kwargs), *place)
    x, constant = (a, b) if isinstance(a, Windows) else (b, a)
    if isinstance(constant, Tensor) and (constant.dim() > 4 or any(s != 1 for s in _outer(constant))):
        return NotImplemented

    def function(images):
        return operation(images, b, **kwargs) if x is a else operation(a, images, **kwargs)

    patch = function(x.patch)
    if patch.dtype != x.dtype or patch.shape != x.patch.shape:
        return NotImplemented
    return Windows(function(x.background), patch, x.top, x.left)


@_rule(aten.add_.Tensor, aten.sub_.Tensor, aten.mul_.Tensor, aten.div_.Tensor)
def _arithmetic_in_place(operation, a, b, **kwargs):
    if not isinstance(a, Windows) or a.is_whole:
        return NotImplemented
    name = operation.overloadpacket.__name__.removesuffix("_")
    result = _arithmetic(getattr(aten, name).Tensor, a, b, **kwargs)
    if result is NotImplemented or result.shape != a.shape or result.dtype != a.dtype:
        return NotImplemented
    a.background, a.patch, a.top, a.left = result.background, result.patch, result.top, result.left
    return a


def _outer(constant: Tensor) -> list[int]:
    """Sizes along every axis but the channels', of what is broadcast to (n, C, H, W)."""
    shape = [1] * (4 - constant.dim()) + list(constant.shape)
    return [shape[0], *shape[2:]]


@_rule(aten.cat.default)
def _concatenate(operation, maps, dim=0):
    if dim not in (1, -3) or not all(isinstance(m, Windows) for m in maps):
        return NotImplemented
    patches, place = _together(*maps)
    if place is None:
        return NotImplemented
    return Windows(operation([m.background for m in maps], 1), operation(patches, 1), *place)


def _together(*maps: Windows) -> tuple[list[Tensor], tuple[np.ndarray, np.ndarray] | None]:
    """Patches of several maps in windows that hold all of theirs, and their places; None where they are too large."""
    if len({m.shape[2:] for m in maps}) > 1 or len({len(m) for m in maps}) > 1:
        return [], None
    places, sizes = [], []
    for axis, name in enumerate(("top", "left")):
        first = np.min([getattr(m, name) for m in maps], axis=0)
        last = np.max([getattr(m, name) + m.patch.shape[2 + axis] for m in maps], axis=0)
        size = int((last - first).max())
        places.append(np.minimum(first, maps[0].shape[2 + axis] - size))
        sizes.append(size)
    if sizes[0] * sizes[1] > LARGEST * maps[0].shape[2] * maps[0].shape[3]:
        return [], None
    patches = []
    for m in maps:
        there = list(m.patch.shape[2:]) == sizes and all(map(np.array_equal, places, (m.top, m.left)))
        patches.append(m.patch if there else m.cut(*places, *sizes))
    return patches, tuple(places)
