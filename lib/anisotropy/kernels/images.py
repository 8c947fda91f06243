"""Second moments of responses to dipoles: secants along every pixel, and dipoles along given directions.

    secants    C_ij = E[(f(x + h e_i) - f(x - h e_i)) (f(x + h e_j) - f(x - h e_j))] / 4 h^2
    energies   E[(f(x + h v) - f(x - h v))^2] / 4 h^2,  which is C_ii for v = e_i

Both are second differences of the kernel K(x, x') = E f(x) f(x'). Without biases and with ReLU f is positively
homogeneous: at x = 0 the step cancels, and a step far longer than any x gives the same.
"""

import math

import numpy as np
import torch
from torch import Tensor

from anisotropy.kernels.graph import Graph
from anisotropy.kernels.lists import AxisPlan, Labels
from anisotropy.kernels.recursion import run

BUDGET = 2**27
"""Numbers of one covariance at most, 1 GiB in float64; more pairs of pixels are taken in blocks."""

MOST = 10**12
"""Numbers of all covariances of one network at most: some hours. Larger ones are refused."""


def energies(graph: Graph, directions: Tensor, x: Tensor | None, step: float, *, budget: int = BUDGET // 8) -> Tensor:
    """E[(f(x + h v) - f(x - h v))^2] / 4 h^2 along directions.

    Args:
        graph: the architecture.
        directions: (K, C, H, W).
        x: (C, H, W); None is x = 0.
        step: h; infinity is the limit of long steps, in which x and all biases are forgotten.
        budget: numbers of a covariance at most; directions are taken in blocks.

    Returns:
        (K,) float64.
    """
    graph, x, step = limit(graph, x, step)
    v = directions.to(torch.float64)
    plans = tuple(AxisPlan(graph, which, Labels.pictures(graph.input_shape[1 + which])) for which in (0, 1))
    y, z = (p.entries[0] for p in plans)
    entries = max(len(a) * len(b) for a, b in zip(*(p.entries for p in plans), strict=True))
    combinations = 2 if x is None else 3
    found = []
    for block in v.split(max(1, budget // (combinations * entries))):
        plus = step * block if x is None else x + step * block
        pictures = [(plus, plus), (plus, -plus)]
        if x is not None:
            minus = x - step * block
            pictures = [(plus, plus), (plus, minus), (minus, minus)]
        source = torch.stack([_products(a, b, y, z) for a, b in pictures], 2)
        k = run(graph, plans, source, ((0, 0), (0, 0)) if x is None else ((0, 0, 2), (0, 2, 2)))[0, 0]
        found.append((k[0] - k[1]) / 2 if x is None else (k[0] - 2 * k[1] + k[2]) / 4)
    return torch.cat(found) / step**2


def _products(a: Tensor, b: Tensor, y, x) -> Tensor:
    """Mean over channels of a[k, c, p] b[k, c, q] at the entries of the images' lists: (Y, X, K)."""
    total = 0
    for channel in range(a.shape[1]):
        first, second = a[:, channel][:, y.p][:, :, x.p], b[:, channel][:, y.q][:, :, x.q]
        total = total + first * second
    return (total / a.shape[1]).permute(1, 2, 0).contiguous()


def secants(graph: Graph, x: Tensor | None, step: float, *, budget: int = BUDGET) -> Tensor:
    """Covariance of secants along every pixel.

    Args:
        graph: the architecture.
        x: (C, H, W); None is x = 0.
        step: h; infinity is the limit of long steps, in which x and all biases are forgotten.
        budget: numbers of one covariance at most; pairs of pixels are taken in blocks.

    Returns:
        C (D, D) float64, D = C * H * W.

    Raises:
        ValueError: the recursion would need more than `MOST` numbers.
    """
    graph, x, step = limit(graph, x, step)
    channels, height, width = graph.input_shape
    blank = x is not None or graph.biased
    columns = AxisPlan(graph, 1, Labels.impulses(width, np.ones((width, width), dtype=bool), blank=blank))
    upper = np.triu(np.ones((height, height), dtype=bool))  # the others follow by exchanging the two impulses
    covariance = torch.zeros(channels, height, width, channels, height, width, dtype=torch.float64)
    kinds = 2 if x is None else 4 if channels == 1 else 8
    alike = x is None  # impulses in different channels are then uncorrelated, and all channels the same
    pairs = [(0, 0)] if alike else [(c, d) for c in range(channels) for d in range(channels)]
    for rows in _blocks(graph, columns, upper, blank, kinds, budget):
        i, j = (
            (torch.from_numpy(getattr(rows.entries[-1], n))[:, None], torch.from_numpy(getattr(columns.entries[-1], n)))
            for n in "ij"
        )
        for c, d in pairs:
            k, signs = _impulses(x, step, rows.entries[0], columns.entries[0], c, d, channels)
            k = run(graph, (rows, columns), k, signs)[:, :, :, 0]
            found = (k[:, :, 0] - k[:, :, 1]) / 2 if alike else (k[:, :, 0] - k[:, :, 1] - k[:, :, 2] + k[:, :, 3]) / 4
            for a, b in [(a, a) for a in range(channels)] if alike else [(c, d)]:
                covariance[a, :, :, b][(*i, *j)] = found
                covariance[b, :, :, a][(*j, *i)] = found
    size = channels * height * width
    return covariance.view(size, size) / step**2


def _impulses(x: Tensor | None, step: float, y, z, c: int, d: int, channels: int):
    """Covariance (Y, X, S, 1) of the images x +- h e_(c, i) and x +- h e_(d, j), and where their variances stand."""

    def impulse(i: str, p: str) -> Tensor:
        rows, columns = (torch.from_numpy(getattr(e, i) == getattr(e, p)) for e in (y, z))
        return step * (rows[:, None] & columns).double()

    first, second = impulse("i", "p"), impulse("j", "q")
    if x is None:
        k = first * second / channels
        return torch.stack([k, -k], 2)[..., None], ((0, 0), (0, 0))
    left, right = x[:, y.p][:, :, z.p], x[:, y.q][:, :, z.q]
    product = (left * right).sum(0)

    def kind(a: int, b: int, c: int, d: int) -> Tensor:
        total = product + a * first * right[c] + b * second * left[d]
        return (total + a * b * first * second if c == d else total) / channels

    kinds = [kind(a, b, c, d) for a in (1, -1) for b in (1, -1)]
    if c == d:
        return torch.stack(kinds, 2)[..., None], ((0, 0, 3, 3), (0, 3, 0, 3))
    kinds += [kind(a, a, e, e) for e in (c, d) for a in (1, -1)]  # variances: pairs of one image with itself
    return torch.stack(kinds, 2)[..., None], ((4, 4, 5, 5, 4, 5, 6, 7), (6, 7, 6, 7, 4, 5, 6, 7))


def _blocks(graph: Graph, columns: AxisPlan, wanted: np.ndarray, blank: bool, kinds: int, budget: int):
    """Plans along y for blocks of pairs of rows, each of which fits."""
    size = len(wanted)
    plan = AxisPlan(graph, 0, Labels.impulses(size, wanted, blank=blank))
    entries = [len(a) * len(b) * kinds for a, b in zip(plan.entries, columns.entries, strict=True)]
    if sum(entries) > MOST:
        raise ValueError(
            f"secants of this network at this size need {sum(entries):.1e} numbers, more than {MOST:.0e}: pooling and "
            "the evaluation point connect too many pairs of positions. Take energies along directions, gradients, "
            "a smaller image, or sampling (estimate)"
        )
    if max(entries) <= budget or wanted.sum() <= 1:
        yield plan
        return
    pairs = np.argwhere(wanted)
    for half in np.array_split(pairs[np.argsort(pairs[:, 1] - pairs[:, 0], kind="stable")], 2):
        part = np.zeros_like(wanted)
        part[tuple(half.T)] = True
        yield from _blocks(graph, columns, part, blank, kinds, budget)


def limit(graph: Graph, x: Tensor | None, step: float) -> tuple[Graph, Tensor | None, float]:
    """The same question in its simplest form: infinite steps, and steps from x = 0 where their length cancels.

    Raises:
        ValueError: the step is not positive, or infinite where an activation is not homogeneous.
    """
    if not step > 0:
        raise ValueError(f"expected a positive step, got {step}")
    if math.isinf(step):
        graph, x = graph.without_biases(), None
        if not graph.homogeneous:
            raise ValueError("expected a finite step: in the limit of long ones a bounded activation saturates")
    if x is not None and not bool(x.any()) and not graph.biased:
        x = None
    if x is None and graph.homogeneous:
        return graph, None, 1.0
    if x is None and not graph.biased:
        return graph, None, step
    return graph, torch.zeros(graph.input_shape, dtype=torch.float64) if x is None else x.double(), step
