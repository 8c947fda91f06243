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
"""

import itertools

import numpy as np
import torch
from torch import Tensor

from anisotropy.kernels.graph import Add, Graph, Linear, Pointwise, Source
from anisotropy.kernels.lists import AxisPlan, Labels
from anisotropy.kernels.recursion import Plans, added, linear, moments, picked, run


def gradients(graph: Graph, x: Tensor, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """Covariance of gradients at x.

    Args:
        graph: the architecture.
        x: (C, H, W), not black where activations are ReLU: their kernel has a kink there.
        dtype: of the slopes, which are the most of the work; the kernel itself is always float64.

    Returns:
        C (D, D) float64, D = C * H * W.
    """
    x = x.double()
    plans = tuple(AxisPlan(graph, which, Labels.pictures(graph.input_shape[1 + which])) for which in (0, 1))
    y, z = (p.entries[0] for p in plans)
    source = ((x[:, y.p][:, :, z.p] * x[:, y.q][:, :, z.q]).mean(0))[..., None, None]
    seen: dict[int, Tensor] = {}
    run(graph, plans, source, ((0,), (0,)), watch=lambda number, k: seen.__setitem__(number, k))
    states = {number: _State(graph, plans, number, k) for number, k in seen.items()}
    seen.clear()
    weights = _backward(graph, plans, states)
    return _forward(graph, plans, states, weights, x, dtype)


class _State:
    """What the second derivative of an activation needs to know at each pair of positions: arrays (Y, X)."""

    def __init__(self, graph: Graph, plans: Plans, number: int, k: Tensor):
        node = graph.nodes[number]
        activation, source = node.operation.activation, node.inputs[0]
        [((m1, n1, *at1), (m2, n2, *at2))] = moments(activation, k, plans, number, source, ((0,), (0,)))

        def table(values: Tensor, at: list[Tensor]) -> Tensor:
            return values[..., 0].index_select(0, at[0]).index_select(1, at[1])

        m, n = table(m1, at1) * table(m2, at2), table(n1, at1) * table(n2, at2)
        picks = [p.positions(number, source) for p in plans]
        self.r = (picked(picks, k[:, :, 0, 0]) / n.clamp(min=1e-150)).clamp(-1, 1)
        a, b = (self._variance(plans, number, source, k, which) for which in (0, 1))
        (lm, ln), (rm, rn) = activation.growth(a), activation.growth(b)
        f, slope = activation.moment(self.r.clone()), activation.slope(self.r)
        self.slope = slope * m / n.clamp(min=1e-150)  # d out / d k
        self.curvature = activation.curvature(self.r) * m
        self.right = slope * m * (rm - rn)  # multiplies r_i A_j'
        self.left = slope * m * (lm - ln)  # multiplies A_i r_j'
        self.both = m * (lm * rm * f - ln * rn * slope * self.r)
        self.own = m * (lm * f - ln * slope * self.r)  # d out / d a, variances of the first image
        self.n, self.ln = n.clamp(min=1e-150), ln

    @staticmethod
    def _variance(plans: Plans, number: int, source: int, k: Tensor, which: int) -> Tensor:
        rows, columns = (p.variances(number, source)[which] for p in plans)
        return k[:, :, 0, 0].index_select(0, rows).index_select(1, columns)


def _backward(graph: Graph, plans: Plans, states: dict[int, _State]) -> list[Tensor]:
    """Derivative of the output by each node's covariance (Y, X), variances held fixed."""
    shapes = [tuple(len(p.entries[n]) for p in plans) for n in range(len(graph.nodes))]
    weights: list[Tensor | None] = [None] * len(shapes)
    weights[-1] = torch.ones(shapes[-1], dtype=torch.float64)
    for number in range(len(shapes) - 1, 0, -1):
        node, weight = graph.nodes[number], weights[number]
        for position, source in enumerate(node.inputs):
            if isinstance(node.operation, Linear):
                part = linear(plans, number, weight, transposed=True)
            else:
                part = weight * (states[number].slope if number in states else node.operation.weights[position])
                part = _placed([p.positions(number, source) for p in plans], part, shapes[source])
            weights[source] = part if weights[source] is None else weights[source] + part
    return weights


def _placed(positions: list[Tensor], part: Tensor, shape: tuple[int, int]) -> Tensor:
    """The transpose of `picked`."""
    rows, columns = positions
    out = torch.zeros(shape, dtype=part.dtype)
    out[rows[:, None], columns] = part
    return out


def _forward(graph: Graph, plans: Plans, states, weights: list[Tensor], x: Tensor, dtype: torch.dtype) -> Tensor:
    """Slopes k_i[p, q] = d k / d x_i layer by layer, and the sources' sum: C (D, D)."""
    channels, height, width = x.shape
    slopes = tuple(SlopePlan(graph, which, plan, dtype) for which, plan in enumerate(plans))
    covariance = torch.zeros(channels, height, width, channels, height, width, dtype=torch.float64)
    y, z = (p.entries[0] for p in plans)
    direct = weights[0] / channels
    for c in range(channels):
        covariance[c, :, :, c][torch.from_numpy(y.p)[:, None], z.p, torch.from_numpy(y.q)[:, None], z.q] += direct
    values: dict[int, Tensor] = {}
    remaining = [sum(number in node.inputs for node in graph.nodes) for number in range(len(graph.nodes))]
    for number, node in enumerate(graph.nodes[: 1 + max(states, default=-1)]):
        operation = node.operation
        if isinstance(operation, Source):
            y, z = (p.entries[0] for p in slopes)
            hit = torch.from_numpy((y.i == y.p)[:, None] & (z.i == z.p))
            values[number] = (hit * x[:, y.q][:, :, z.q] / channels).permute(1, 2, 0).to(dtype).contiguous()
        elif isinstance(operation, Linear):
            values[number] = linear(slopes, number, values[node.inputs[0]])
        elif isinstance(operation, Add):
            values[number] = added(slopes, number, operation, {i: values[i] for i in node.inputs})
        elif isinstance(operation, Pointwise):
            task = _Sources(slopes, number, node.inputs[0], states[number], values[node.inputs[0]])
            task.add_to(covariance, weights[number])
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
            pairs.index[0, 0][None, None].__ge__(0) & reach[:, None, :, None]
            for pairs, reach in zip(self.pairs.entries, self.left, strict=True)
        ]

    def own(self, node: int, source: int) -> Tensor:
        """Where (i, p, p) of each entry (i, p, q) of an activation stands in its input."""
        e = self.entries[node]
        return torch.from_numpy(self.entries[source].index[e.i, 0, e.p, e.p].astype(np.int64))

    def pair(self, node: int) -> Tensor:
        """Where (p, q) of each entry stands in the list of pairs."""
        e = self.entries[node]
        return torch.from_numpy(self.pairs.entries[node].index[0, 0][e.p, e.q].astype(np.int64))


class _Sources:
    """One activation going forward: slopes before it, its sources, slopes after it.

    Slopes are (Y, X, C): entries (i, p, q) along y and along x, channels of the pixel.
    """

    def __init__(self, plans: tuple[SlopePlan, SlopePlan], number: int, source: int, state: _State, k: Tensor):
        self.plans, self.number, self.state = plans, number, state
        self.pairs = [p.pair(number) for p in plans]
        self.k = picked([p.positions(number, source) for p in plans], k)
        self.own = 2 * k.index_select(0, plans[0].own(number, source)).index_select(1, plans[1].own(number, source))

    def _at(self, table: Tensor) -> Tensor:
        return table.to(self.k.dtype).index_select(0, self.pairs[0]).index_select(1, self.pairs[1])[..., None]

    def slopes_after(self) -> Tensor:
        """k_i of the activation's output."""
        after = self.k * self._at(self.state.slope)
        return after.addcmul_(self.own, self._at(self.state.own))

    def add_to(self, covariance: Tensor, weight: Tensor) -> None:
        """Add the sum over pairs of weight times source: C (C, H, W, C, H, W) in place."""
        state = self.state
        r = self.k * self._at(1 / state.n)
        r.addcmul_(self.own, self._at(state.ln * state.r), value=-1)
        y, x = (p.entries[self.number] for p in self.plans)
        rows = _by_pair(y, self.plans[0].pairs.entries[self.number])
        columns = self.plans[1].pairs.entries[self.number]
        width, channels = covariance.shape[2], covariance.shape[0]
        place = torch.from_numpy(x.i * len(columns)) + self.pairs[1]  # (ix, pair along x) of each entry along x
        swapped = torch.from_numpy(columns.index[0, 0][columns.q, columns.p].astype(np.int64))

        def dense(values: Tensor, entries: Tensor) -> Tensor:  # (iy, ix, C, pairs along x)
            block = values.new_zeros(len(entries), width * len(columns), channels)
            block[:, place] = values.index_select(0, entries)
            return block.view(len(entries), width, len(columns), channels).transpose(2, 3)

        pairs = self.plans[0].pairs.entries[self.number]
        for row in range(len(pairs)):
            first = rows[row]
            second = rows[int(pairs.index[0, 0][pairs.q[row], pairs.p[row]])]
            if not len(first) or not len(second) or pairs.p[row] > pairs.q[row]:
                continue  # (q, p) is the transpose of (p, q)
            w = weight[row].to(r.dtype) * (0.5 if pairs.p[row] == pairs.q[row] else 1.0)
            r1, own1 = dense(r, first), dense(self.own, first)
            r2, own2 = (dense(v, second)[..., swapped] for v in (r, self.own))
            right = r2 * (w * state.curvature[row]).to(r.dtype) + own2 * (w * state.right[row]).to(r.dtype)
            other = r2 * (w * state.left[row]).to(r.dtype) + own2 * (w * state.both[row]).to(r.dtype)
            shape = (*r1.shape[:3], *r2.shape[:3])
            found = r1.flatten(0, 2) @ right.flatten(0, 2).T
            if bool(state.left[row].any()) or bool(state.both[row].any()):
                found += own1.flatten(0, 2) @ other.flatten(0, 2).T
            iy, jy = (torch.from_numpy(y.i[e]) for e in (first, second))
            part = found.view(shape).permute(2, 0, 1, 5, 3, 4).double()  # (C, iy, ix, C, jy, jx)
            covariance[:, iy[:, None], :, :, jy] += part.permute(1, 4, 0, 2, 3, 5)
            mirrored = part.permute(3, 4, 5, 0, 1, 2)
            covariance[:, jy[:, None], :, :, iy] += mirrored.permute(1, 4, 0, 2, 3, 5)


def _by_pair(entries, pairs) -> list[Tensor]:
    """For each pair (p, q) the entries (i, p, q)."""
    owner = pairs.index[0, 0][entries.p, entries.q]
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(len(pairs) + 1))
    return [torch.from_numpy(order[a:b]) for a, b in itertools.pairwise(bounds)]
