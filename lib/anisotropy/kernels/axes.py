"""One axis of a layer: which positions of its input each position of its output reads, as a small table.

Rows and columns of a feature map are treated alike and separately: every linear layer here is a product of one map
along y and one along x (square or rectangular kernels, average pooling, binomial blurs). Two kinds differ in what
they do to a covariance k[p, q] of a feature map at positions p of one image and q of another:

* shared: independent weights at each tap (convolution). k'[p', q'] = sum_t k[p'(t), q'(t)]: the same tap t in both.
* fixed: the same known weights for every channel (pooling, blur). k'[p', q'] = sum_{t, u} w_t w_u k[p'(t), q'(u)].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

MODES = ("zeros", "circular", "reflect", "replicate")


@dataclass(frozen=True)
class Axis:
    """Taps of a linear layer along one axis.

    Attributes:
        size: positions of the input.
        taps: for each output position a tuple of input positions, -1 where the tap falls outside (on a zero).
        weights: one number per tap of fixed filters, None where weights are random (shared taps).
    """

    size: int
    taps: tuple[tuple[int, ...], ...]
    weights: tuple[float, ...] | None = None

    @property
    def shared(self) -> bool:
        """Whether both images are read at the same tap: random weights, independent from tap to tap."""
        return self.weights is None

    @property
    def length(self) -> int:
        """Positions of the output."""
        return len(self.taps)

    @cached_property
    def table(self) -> np.ndarray:
        """Input positions (length, taps), -1 outside."""
        return np.array(self.taps, dtype=np.int64).reshape(self.length, -1)

    def pairs(self) -> list[tuple[int, int, float]]:
        """Which taps (t, u) of the first and of the second image are multiplied, with their weight."""
        count = self.table.shape[1]
        if self.shared:
            return [(t, t, 1.0) for t in range(count)]
        return [(t, u, self.weights[t] * self.weights[u]) for t in range(count) for u in range(count)]


def axis(
    size: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int = 1,
    mode: str = "zeros",
    weights: Sequence[float] | None = None,
) -> Axis:
    """Table of a filter that slides along one axis.

    Args:
        size: positions of the input.
        kernel: number of taps.
        stride: distance of neighbouring output positions.
        padding: positions added before and after, one number for both.
        dilation: distance of neighbouring taps.
        mode: what the added positions hold, one of `MODES`, named as in torch.
        weights: of a fixed filter; None for random ones.

    Raises:
        ValueError: the filter does not fit, or the mode is unknown.

    Example:
        >>> axis(4, 3, stride=2, padding=1).taps
        ((-1, 0, 1), (1, 2, 3))
    """
    before, after = (padding, padding) if isinstance(padding, int) else padding
    if mode not in MODES:
        raise ValueError(f"expected a padding mode out of {MODES}, got {mode!r}")
    reach = dilation * (kernel - 1) + 1
    if size + before + after < reach:
        raise ValueError(f"a filter of {reach} positions does not fit a side of {size} with padding {before}, {after}")
    widest = {"reflect": size - 1, "circular": size}.get(mode, math.inf)
    if max(before, after) > widest:
        raise ValueError(f"padding {max(before, after)} of mode {mode!r} is too wide for a side of {size}")
    starts = range(-before, size + after - reach + 1, stride)
    taps = tuple(tuple(_inside(s + dilation * t, size, mode) for t in range(kernel)) for s in starts)
    return Axis(size, taps, None if weights is None else tuple(float(w) for w in weights))


def whole(size: int, *, average: bool) -> Axis:
    """One output position that reads the whole axis: of a dense read-out, or of a global average."""
    return Axis(size, (tuple(range(size)),), (1 / size,) * size if average else None)


def _inside(position: int, size: int, mode: str) -> int:
    if 0 <= position < size:
        return position
    if mode == "zeros":
        return -1
    if mode == "circular":
        return position % size
    if mode == "replicate":
        return min(max(position, 0), size - 1)
    return -position if position < 0 else 2 * (size - 1) - position
