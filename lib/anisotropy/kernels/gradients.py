"""Covariance of gradients: C = d/dx d/dx' K(x, x') at x' = x.

Along the layers K depends on x through covariances k[p, q] of the two images and through the variances a[p] of the
first, b[q] of the second. An activation makes of them m(a) m(b) f(r), r = k / (n(a) n(b)) (`activations`), and with
r_i = d r / d x_i, A_i = d a / d x_i, and the primed ones for x',

    d_i d_j' = m m' [ f' k_ij / (n n') + f'' r_i r_j' + f' (A_i d r_j' + r_i d' A_j') + e A_i A_j' ],
    d = d log(m / n) / da,   e = (log m)' (log m)' f - (log n)' (log n)' f' r.

The first term is linear in k_ij: it is what backpropagation of independent gradients gives ("both open", f' =
(pi - arccos r) / 2 pi for ReLU), one backward recursion. The others are sources that every activation adds: they vanish
where p = q for ReLU, so that a plain network with a dense read-out has none, and where positions are pooled they hold
the leading eigenvector. So C is the backward recursion of the output's weights w[p, q] down to the image, plus at each
activation the sum over pairs of positions of w times its source, which takes the slopes k_i[p, q] going forward.
Of these sums only that of r_i r_j' runs over pairs; with A as a matrix (D, positions) the others are products

    A (w e) A^T + G A^T + A G^T,    G_iq = sum_p w[p, q] f'[p, q] d'[q] r_i[p, q].
"""

import itertools

import numpy as np
import torch
from torch import Tensor

from anisotropy.kernels.graph import Add, Graph, Linear, Source
from anisotropy.kernels.lists import AxisPlan, Labels
from anisotropy.kernels.recursion import BLOCK, Plans, added, linear, moments, picked, run


def gradients(graph: Graph, x: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Covariance of gradients at x.

    Args:
        graph: the architecture.
        x: (C, H, W), not black where activations are ReLU: their kernel has a kink there.
        dtype: of the slopes, which are most of the work; the kernel itself is always float64.

    Returns:
        C (D, D) float64, D = C * H * W.
    """
    x = x.double()
    plans = tuple(AxisPlan(graph, which, Labels.pictures(graph.input_shape[1 + which])) for which in (0, 1))
    y, z = (p.entries[0] for p in plans)
    source = ((x[:, y.p][:, :, z.p] * x[:, y.q][:, :, z.q]).mean(0))[..., None, None]
    seen: dict[int, Tensor] = {}
    run(graph, plans, source, ((0,), (0,)), watch=lambda number, k: seen.__setitem__(number, k))
    weights = _backward(graph, plans, seen)
    return _forward(graph, plans, seen, weights, x, dtype)


class _Derivatives:
    """Derivatives of one activation at each pair of positions, arrays (Y, X) as in the formula above."""

    def __init__(self, graph: Graph, plans: Plans, number: int, k: Tensor):
        node = graph.nodes[number]
        activation, source = node.operation.activation, node.inputs[0]
        [((m1, n1, *at1), (m2, n2, *at2))] = moments(activation, k, plans, number, source, ((0,), (0,)))

        def table(values: Tensor, at: list[Tensor]) -> Tensor:
            return values[..., 0].index_select(0, at[0]).index_select(1, at[1])

        m = table(m1, at1) * table(m2, at2)
        self.n = (table(n1, at1) * table(n2, at2)).clamp(min=1e-150)
        self.r = (picked([p.positions(number, source) for p in plans], k[:, :, 0, 0]) / self.n).clamp(-1, 1)
        slope = activation.slope(self.r)
        self.slope = slope * m / self.n  # of the output by k
        self.curvature = activation.curvature(self.r) * m  # multiplies r_i r_j'
        a, b = (self._variance(plans, number, source, k, which) for which in (0, 1))
        (lm, self.ln), (rm, rn) = activation.growth(a), activation.growth(b)
        f = activation.moment(self.r.clone())
        self.right = slope * m * (rm - rn)  # multiplies r_i A_j'
        self.both = m * (lm * rm * f - self.ln * rn * slope * self.r)  # multiplies A_i A_j'
        self.own = m * (lm * f - self.ln * slope * self.r)  # of the output by the first image's variance

    @staticmethod
    def _variance(plans: Plans, number: int, source: int, k: Tensor, which: int) -> Tensor:
        rows, columns = (p.variances(number, source)[which] for p in plans)
        return k[:, :, 0, 0].index_select(0, rows).index_select(1, columns)


def _backward(graph: Graph, plans: Plans, seen: dict[int, Tensor]) -> dict[int, Tensor]:
    """Derivative of the output by the covariance of the image and of each activation (Y, X), variances held fixed."""
    shapes = [tuple(len(p.entries[n]) for p in plans) for n in range(len(graph.nodes))]
    weights = {len(shapes) - 1: torch.ones(shapes[-1], dtype=torch.float64)}
    for number in range(len(shapes) - 1, 0, -1):
        node = graph.nodes[number]
        weight = weights[number] if number in seen else weights.pop(number)
        slope = _Derivatives(graph, plans, number, seen[number]).slope if number in seen else None
        for position, source in enumerate(node.inputs):
            if isinstance(node.operation, Linear):
                part = linear(plans, number, weight, transposed=True)
            else:
                part = weight * (node.operation.weights[position] if slope is None else slope)
                part = _placed([p.positions(number, source) for p in plans], part, shapes[source])
            weights[source] = weights[source] + part if source in weights else part
    return weights


def _placed(positions: list[Tensor], part: Tensor, shape: tuple[int, int]) -> Tensor:
    """The transpose of `picked`."""
    rows, columns = positions
    out = torch.zeros(shape, dtype=part.dtype)
    out[rows[:, None], columns] = part
    return out


def _forward(graph: Graph, plans: Plans, seen, weights: dict[int, Tensor], x: Tensor, dtype: torch.dtype) -> Tensor:
    """Slopes k_i[p, q] = d k / d x_i layer by layer, and the sources' sum: C (D, D)."""
    channels, height, width = x.shape
    slopes = tuple(SlopePlan(graph, which, plan, dtype) for which, plan in enumerate(plans))
    covariance = torch.zeros(channels, height, width, channels, height, width, dtype=torch.float64)
    y, z = (p.entries[0] for p in plans)
    for c in range(channels):
        place = torch.from_numpy(y.p)[:, None], z.p, torch.from_numpy(y.q)[:, None], z.q
        covariance[c, :, :, c][place] += weights[0] / channels
    values: dict[int, Tensor] = {}
    remaining = [sum(number in node.inputs for node in graph.nodes) for number in range(len(graph.nodes))]
    for number, node in enumerate(graph.nodes[: 1 + max(seen, default=-1)]):
        operation = node.operation
        if isinstance(operation, Source):
            y, z = (p.entries[0] for p in slopes)
            hit = torch.from_numpy((y.i == y.p)[:, None] & (z.i == z.p))
            values[number] = (hit * x[:, y.q][:, :, z.q] / channels).permute(1, 2, 0).to(dtype).contiguous()
        elif isinstance(operation, Linear):
            values[number] = linear(slopes, number, values[node.inputs[0]])
        elif isinstance(operation, Add):
            values[number] = added(slopes, number, operation, {i: values[i] for i in node.inputs})
        else:
            derivatives = _Derivatives(graph, plans, number, seen.pop(number))
            task = _Sources(slopes, number, node.inputs[0], derivatives, values[node.inputs[0]])
            task.add_to(covariance, weights.pop(number))
            values[number] = task.slopes_after()
        for source in node.inputs:
            remaining[source] -= 1
            if not remaining[source]:
                values.pop(source, None)
    size = channels * height * width
    covariance = covariance.view(size, size)
    return (covariance + covariance.T) / 2


class SlopePlan(AxisPlan):
    """Lists (i, p, q) along one axis: the pairs of positions of a plan, for each pixel i that reaches p."""

    def __init__(self, graph: Graph, which: int, pairs: AxisPlan, dtype: torch.dtype):
        self.pairs = pairs
        size = graph.input_shape[1 + which]
        left, right = np.eye(size, dtype=bool), np.ones((1, size), dtype=bool)
        super().__init__(graph, which, Labels(left, right, np.ones((size, 1), dtype=bool)), dtype)

    def _needed(self) -> list[np.ndarray]:
        return [
            (pairs.index[0, 0][None, None] >= 0) & reach[:, None, :, None]
            for pairs, reach in zip(self.pairs.entries, self.left, strict=True)
        ]

    def pair(self, node: int) -> Tensor:
        """Where (p, q) of each entry stands in the list of pairs."""
        e = self.entries[node]
        return torch.from_numpy(self.pairs.entries[node].index[0, 0][e.p, e.q].astype(np.int64))

    def own(self, node: int, source: int) -> tuple[Tensor, Tensor]:
        """The entries (i, p, p) of an activation: where they stand in its input, and which of them each entry has."""
        e = self.entries[node]
        at = torch.from_numpy(self.entries[source].index[e.i, 0, e.p, e.p].astype(np.int64))
        return torch.unique(at, return_inverse=True)


class _Sources:
    """One activation going forward: slopes before it, its sources, slopes after it.

    Slopes are (Y, X, C): entries (i, p, q) along y and along x, channels of the pixel.
    """

    def __init__(self, plans: tuple[SlopePlan, SlopePlan], number: int, source: int, at: _Derivatives, k: Tensor):
        self.plans, self.number, self.source, self.at = plans, number, source, at
        self.y, self.x = (p.entries[number] for p in plans)
        self.pairs = [p.pair(number) for p in plans]
        self.k = picked([p.positions(number, source) for p in plans], k)
        (rows, self.own_rows), (columns, self.own_columns) = (p.own(number, source) for p in plans)
        self.own = 2 * k.index_select(0, rows).index_select(1, columns)  # A_i[p] at (i, p)
        lists = (p.entries[source] for p in plans)
        self.own_at = [
            tuple(torch.from_numpy(v[at]) for v in (e.i, e.p)) for e, at in zip(lists, (rows, columns), strict=True)
        ]

    def slopes_after(self) -> Tensor:
        """k_i of the activation's output."""
        after, step = torch.empty_like(self.k), max(1, BLOCK // self.k[0].numel())
        for begin in range(0, len(after), step):
            rows = torch.arange(begin, min(begin + step, len(after)))
            torch.mul(self.k[rows], self._table(self.at.slope, rows), out=after[begin : begin + step])
            after[begin : begin + step].addcmul_(self._variances(rows), self._table(self.at.own, rows))
        return after

    def add_to(self, covariance: Tensor, weight: Tensor) -> None:
        """Add the sum over pairs of weight times source: C (C, H, W, C, H, W) in place."""
        channels, height, width = covariance.shape[:3]
        pairs, columns = (p.pairs.entries[self.number] for p in self.plans)
        sides = self.plans[0].graph.nodes[self.number].sides
        own = torch.zeros(channels, height, width, *sides, dtype=torch.float64)  # A (D, positions)
        (iy, py), (ix, px) = self.own_at
        own[:, iy[:, None], ix, py[:, None], px] = self.own.permute(2, 0, 1).double()
        own = own.flatten(3).flatten(0, 2)
        both = torch.zeros(*sides, *sides, dtype=torch.float64)
        both[torch.from_numpy(pairs.p)[:, None], columns.p, torch.from_numpy(pairs.q)[:, None], columns.q] = (
            weight * self.at.both
        )
        flat = covariance.view(len(own), len(own))
        flat += own @ both.flatten(0, 1).flatten(1) @ own.T
        crossed = own.new_zeros(channels, height, width, *sides) if bool(self.at.right.any()) else None
        self._pairwise(covariance, weight, crossed)
        if crossed is not None:
            part = crossed.flatten(3).flatten(0, 2) @ own.T
            flat += part + part.T

    def _pairwise(self, covariance: Tensor, weight: Tensor, crossed: Tensor | None) -> None:
        """Add the sum over p, q of w f'' r_i[p, q] r_j'[p, q], where r_j'[p, q] = r_j[q, p]; and G, if asked for."""
        pairs, columns = (p.pairs.entries[self.number] for p in self.plans)
        channels, width = covariance.shape[0], covariance.shape[2]
        place = torch.from_numpy(self.x.i * len(columns)) + self.pairs[1]  # (ix, pair along x) of each entry along x
        swapped = torch.from_numpy(columns.index[0, 0][columns.q, columns.p].astype(np.int64))
        rows, iy = _by_pair(self.y, pairs), torch.from_numpy(self.y.i)

        def dense(entries: Tensor) -> Tensor:  # r as (iy, ix, C, pairs along x)
            r = self.k[entries] * self._table(1 / self.at.n, entries)
            r.addcmul_(self._variances(entries), self._table(self.at.ln * self.at.r, entries), value=-1)
            block = r.new_zeros(len(entries), width * len(columns), channels)
            block[:, place] = r
            return block.view(len(entries), width, len(columns), channels).transpose(2, 3)

        for pair in range(len(pairs)):
            p, q = pairs.p[pair], pairs.q[pair]
            first, second = rows[pair], rows[int(pairs.index[0, 0][q, p])]
            r1 = dense(first) if len(first) and (p <= q or crossed is not None) else None
            if r1 is not None and crossed is not None:
                g = (r1 * (weight[pair] * self.at.right[pair])).double()  # (iy, ix, C, pairs along x)
                part = g.new_zeros(*g.shape[:3], crossed.shape[4]).index_add_(3, torch.from_numpy(columns.q), g)
                crossed[:, iy[first], :, q] += part.permute(2, 0, 1, 3)
            if p > q or not len(first) or not len(second):
                continue  # (q, p) is the transpose of (p, q)
            r2 = r1[..., swapped] if p == q else dense(second)[..., swapped]
            r2 = r2 * (weight[pair] * self.at.curvature[pair]).to(r1.dtype)
            found = r1.flatten(0, 2) @ r2.flatten(0, 2).T
            part = found.view(*r1.shape[:3], *r2.shape[:3]).permute(0, 3, 2, 1, 5, 4)  # (iy, jy, C, ix, C, jx)
            covariance[:, iy[first][:, None], :, :, iy[second]] += part
            if p != q:
                covariance[:, iy[second], :, :, iy[first][:, None]] += part.permute(0, 1, 4, 5, 2, 3)

    def _table(self, table: Tensor, rows: Tensor) -> Tensor:
        """An array over pairs (Y, X) at some rows and all columns of the slopes."""
        return table[self.pairs[0][rows]].to(self.k.dtype).index_select(1, self.pairs[1])[..., None]

    def _variances(self, rows: Tensor | slice) -> Tensor:
        """A_i[p] at some rows and all columns of the slopes."""
        return self.own[self.own_rows[rows]].index_select(1, self.own_columns)


def _by_pair(entries, pairs) -> list[Tensor]:
    """For each pair (p, q) the entries (i, p, q)."""
    owner = pairs.index[0, 0][entries.p, entries.q]
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(len(pairs) + 1))
    return [torch.from_numpy(order[a:b]) for a, b in itertools.pairwise(bounds)]
