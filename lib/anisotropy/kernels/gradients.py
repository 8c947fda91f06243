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

What costs time is the slopes' number, positions^2 times the pixels that reach them; `slopes` keeps it small.
"""

import torch
from torch import Tensor

from anisotropy.kernels.graph import Add, Graph, Linear, Source
from anisotropy.kernels.lists import AxisPlan, Labels
from anisotropy.kernels.recursion import Plans, added, linear, moments, picked, run
from anisotropy.kernels.slopes import NEGLIGIBLE, SlopePlan, Sources


def gradients(graph: Graph, x: Tensor, *, dtype: torch.dtype = torch.float32, negligible: float = NEGLIGIBLE) -> Tensor:
    """Covariance of gradients at x.

    Args:
        graph: the architecture.
        x: (C, H, W), not black where activations are ReLU: their kernel has a kink there.
        dtype: of the slopes, which are most of the work; the kernel itself is always float64.
        negligible: share of the largest below which slopes are taken as 0 (`slopes`); 0 keeps all.

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
    slopes = tuple(SlopePlan(graph, which, plan, dtype, negligible) for which, plan in enumerate(plans))
    return _forward(graph, plans, slopes, seen, weights, x)


class Derivatives:
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
        slope = Derivatives(graph, plans, number, seen[number]).slope if number in seen else None
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


def _forward(graph: Graph, plans: Plans, slopes, seen, weights: dict[int, Tensor], x: Tensor) -> Tensor:
    """Slopes k_i[p, q] = d k / d x_i layer by layer, and the sources' sum: C (D, D)."""
    channels, height, width = x.shape
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
            values[number] = (hit * x[:, y.q][:, :, z.q] / channels).permute(1, 2, 0).to(slopes[0].dtype).contiguous()
        elif isinstance(operation, Linear):
            values[number] = linear(slopes, number, values[node.inputs[0]])
        elif isinstance(operation, Add):
            values[number] = added(slopes, number, operation, {i: values[i] for i in node.inputs})
        else:
            derivatives = Derivatives(graph, plans, number, seen.pop(number))
            task = Sources(slopes, number, node.inputs[0], derivatives, values[node.inputs[0]])
            task.add_to(covariance, weights.pop(number))
            values[number] = task.slopes_after()
        for source in node.inputs:
            remaining[source] -= 1
            if not remaining[source]:
                values.pop(source, None)
    size = channels * height * width
    covariance = covariance.view(size, size)
    return (covariance + covariance.T) / 2
