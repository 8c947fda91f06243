"""Slopes k_i[p, q] = d k[p, q] / d x_i of the covariances of feature maps, and the sources that activations make.

A pixel i reaches some positions p. Far ones it reaches by few paths through many layers, so that most slopes are far
smaller than the rounding of the largest: entries whose bound is below `NEGLIGIBLE` of the largest at the same position
are left out. The bound is a recursion of its own along each axis, with every activation as steep as it can be.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anisotropy.kernels.graph import Add, Graph, Linear
from anisotropy.kernels.lists import AxisPlan, Labels
from anisotropy.kernels.recursion import BLOCK, picked

NEGLIGIBLE = 1e-6
"""Slopes whose bound is a smaller share of the largest bound at the same position are taken as 0."""


class SlopePlan(AxisPlan):
    """Lists (i, p, q) along one axis: the pairs of positions of a plan, for each pixel i that reaches p."""

    def __init__(self, graph: Graph, which: int, pairs: AxisPlan, dtype: torch.dtype, negligible: float):
        self.pairs, self.negligible = pairs, negligible
        size = graph.input_shape[1 + which]
        left, right = np.eye(size, dtype=bool), np.ones((1, size), dtype=bool)
        super().__init__(graph, which, Labels(left, right, np.ones((size, 1), dtype=bool)), dtype)

    def _windows(self, start: np.ndarray) -> list[np.ndarray]:
        """For each node the positions (L, P) that each pixel reaches by more than `negligible`."""
        bounds: list[np.ndarray] = []
        for node in self.graph.nodes:
            operation = node.operation
            read = [bounds[i] for i in node.inputs]
            if not read:
                bounds.append(start.astype(float))
            elif isinstance(operation, Linear):
                axis, across = (operation.y, operation.x)[:: -1 if self.which else 1]
                padded = np.pad(read[0], ((0, 0), (0, 1)))[:, axis.table]  # the last position is the zero outside
                taps = padded.sum(2) * across.table.shape[1] if axis.shared else padded @ np.array(axis.weights)
                bounds.append(operation.gain * taps)
            elif isinstance(operation, Add):
                bounds.append(sum(w * b for w, b in zip(operation.weights, read, strict=True)))
            else:
                bounds.append(operation.activation.steepest * read[0])
        return [bound > self.negligible * bound.max(0) for bound in bounds]

    def _needed(self) -> list[np.ndarray]:
        return [
            (pairs.index[0, 0][None, None] >= 0) & reach[:, None, :, None]
            for pairs, reach in zip(self.pairs.entries, self.left, strict=True)
        ]

    def pair(self, node: int) -> Tensor:
        """Where (p, q) of each entry stands in the list of pairs."""
        e = self.entries[node]
        return torch.from_numpy(self.pairs.entries[node].index[0, 0][e.p, e.q].astype(np.int64))

    def own(self, node: int, source: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The entries (i, p, p) of an activation's input: i, p, and where they stand in its list."""
        i, p = np.nonzero(self.left[node])
        at = self.entries[source].index[i, 0, p, p].astype(np.int64)
        return i[at >= 0], p[at >= 0], at[at >= 0]

    def blocks(self, node: int, size: int) -> list["Block"]:
        """The pairs of positions of a node, in blocks of `size` positions of the first and of the second image."""
        index, reach = self.pairs.entries[node].index[0, 0], self.left[node]
        found = []
        for a in range(0, len(index), size):
            for b in range(0, len(index), size):
                p, q = np.nonzero(index[a : a + size, b : b + size] >= 0)
                if len(p):
                    found.append(Block.of(self.entries[node].index[:, 0], index, reach, p + a, q + b, (a, b)))
        return found


@dataclass(frozen=True)
class Block:
    """Some pairs of positions (p, q) along one axis, and the pixels that reach them.

    Attributes:
        at: first positions of the block, of p and of q.
        pixels: range of the pixels that reach the p, and of those that reach the q.
        rows: (pixels, pairs) where (i, p, q) stands in the list of slopes, and where (j, q, p) does; -1 where it is 0.
        pair: (pairs) where (p, q) stands in the list of pairs, and where (q, p) does.
        first: (pairs) p, and q.
    """

    at: tuple[int, int]
    pixels: tuple[slice, slice]
    rows: tuple[Tensor, Tensor]
    pair: tuple[Tensor, Tensor]
    first: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, slopes: np.ndarray, pairs: np.ndarray, reach: np.ndarray, p: np.ndarray, q: np.ndarray, at) -> "Block":
        """From tables of slopes (i, p, q), of pairs (p, q), and of what each pixel reaches (i, p)."""
        pixels, rows = [], []
        for one, other in ((p, q), (q, p)):
            i = np.nonzero(reach[:, one].any(1))[0]
            pixels.append(slice(int(i[0]), int(i[-1]) + 1))
            rows.append(torch.from_numpy(slopes[pixels[-1]][:, one, other].astype(np.int64)))
        pair = (torch.from_numpy(pairs[one, other].astype(np.int64)) for one, other in ((p, q), (q, p)))
        return cls(at, tuple(pixels), tuple(rows), tuple(pair), (torch.from_numpy(p), torch.from_numpy(q)))


class Sources:
    """One activation going forward: slopes before it, its sources, slopes after it.

    Slopes are (Y, X, C): entries (i, p, q) along y and along x, channels of the pixel.

    Args:
        plans: along y and along x.
        number: of the activation.
        source: of what it reads.
        at: its derivatives at each pair of positions (`gradients.Derivatives`).
        k: slopes of what it reads.
    """

    def __init__(self, plans: tuple[SlopePlan, SlopePlan], number: int, source: int, at, k: Tensor):
        self.plans, self.number, self.at = plans, number, at
        self.pairs = [p.pair(number) for p in plans]
        self.k = picked([p.positions(number, source) for p in plans], k)
        own = [p.own(number, source) for p in plans]
        self.own_at = [(torch.from_numpy(i), torch.from_numpy(p)) for i, p, _ in own]
        rows, columns = (torch.from_numpy(at) for *_, at in own)
        self.own = 2 * k.index_select(0, rows).index_select(1, columns)  # A_i[p] at (i, p)
        self.own_index = [_index(plan.left[number].shape, i, p) for plan, (i, p, _) in zip(plans, own, strict=True)]

    def slopes_after(self) -> Tensor:
        """k_i of the activation's output."""
        after, step = torch.empty_like(self.k), max(1, BLOCK // self.k[0].numel())
        (y, x), dtype = (p.entries[self.number] for p in self.plans), self.k.dtype
        rows, columns = (table[e.i, e.p] for table, e in zip(self.own_index, (y, x), strict=True))
        slope, own = (t.to(dtype).index_select(1, self.pairs[1])[..., None] for t in (self.at.slope, self.at.own))
        variances = self.own.index_select(1, columns)
        for begin in range(0, len(after), step):
            block = slice(begin, begin + step)
            torch.mul(self.k[block], slope.index_select(0, self.pairs[0][block]), out=after[block])
            after[block].addcmul_(variances.index_select(0, rows[block]), own.index_select(0, self.pairs[0][block]))
        return after

    def add_to(self, covariance: Tensor, weight: Tensor) -> None:
        """Add the sum over pairs of weight times source to C (C, H, W, C, H, W); its symmetric part counts."""
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
            flat += 2 * crossed.flatten(3).flatten(0, 2) @ own.T

    def _pairwise(self, covariance: Tensor, weight: Tensor, crossed: Tensor | None) -> None:
        """Add the sum over p, q of w f'' r_i[p, q] r_j'[p, q], where r_j'[p, q] = r_j[q, p]; and G, if asked for."""
        sides = self.plans[0].graph.nodes[self.number].sides
        bend = weight * self.at.curvature
        scale = float(bend.abs().max()) or 1.0  # weights are tiny after many layers: float32 would lose them
        bend = (bend / scale).to(self.k.dtype)
        inverse = torch.where(self.at.n > 1e-140, 1 / self.at.n, 0.0)  # where all is black nothing is bent
        tables = inverse.to(self.k.dtype), (self.at.ln * self.at.r).to(self.k.dtype)
        self.by_column = self.k.transpose(0, 1).contiguous()
        rows = self.plans[0].blocks(self.number, max(4, sides[0] // 4))
        for x in self.plans[1].blocks(self.number, 4):
            strips = [self._strip(x, side) for side in (0, 1)]
            for y in rows:
                p, q = zip(y.at, x.at, strict=True)
                if p > q:
                    continue  # (q, p) is the transpose of (p, q)
                first, second = (self._dense(y, x, side, strips[side], tables) for side in (0, 1))
                if crossed is not None:
                    for side, r in enumerate((first, second) if p < q else (first,)):
                        self._cross(crossed, weight, y, x, side, r)
                weighted = second * _at(bend, y.pair[0], x.pair[0])
                found = first.flatten(0, 2).flatten(1) @ weighted.flatten(0, 2).flatten(1).T
                found = found.view(*first.shape[:3], *second.shape[:3]).permute(2, 0, 1, 5, 3, 4)
                place = (slice(None), y.pixels[0], x.pixels[0], slice(None), y.pixels[1], x.pixels[1])
                covariance[place].add_(found, alpha=scale * (2 if p < q else 1))

    def _strip(self, x: Block, side: int) -> tuple[Tensor, Tensor]:
        """Slopes and A_i[p] at the columns of a block."""
        own = self.own_index[1][x.pixels[side]][:, x.first[side]]
        read = ((self.by_column, x.rows[side]), (self.own.transpose(0, 1), own))
        return tuple(_taken(values, at).transpose(0, 1).contiguous() for values, at in read)

    def _dense(self, y: Block, x: Block, side: int, strip, tables: tuple[Tensor, Tensor]) -> Tensor:
        """r_i[p, q] (iy, ix, C, pairs along y, pairs along x), or r_j[q, p] (side 1)."""
        shape = (*y.rows[side].shape, *x.rows[side].shape, -1)
        inverse, shrink = (_at(t, y.pair[side], x.pair[side])[:, None, :, None] for t in tables)
        own = self.own_index[0][y.pixels[side]][:, y.first[side]]
        r = _taken(strip[0], y.rows[side]).view(shape) * inverse
        r.addcmul_(_taken(strip[1], own).view(shape), shrink, value=-1)
        return r.permute(0, 2, 4, 1, 3)

    def _cross(self, crossed: Tensor, weight: Tensor, y: Block, x: Block, side: int, r: Tensor) -> None:
        """Add a block's part of G."""
        height, width = crossed.shape[3:]
        g = (r * _at(weight * self.at.right, y.pair[side], x.pair[side])).double()
        q = y.first[1 - side][:, None] * width + x.first[1 - side]
        part = g.new_zeros(*g.shape[:3], height * width).index_add_(3, q.flatten(), g.flatten(3))
        crossed[:, y.pixels[side], x.pixels[side]] += part.permute(2, 0, 1, 3).unflatten(3, (height, width))


def _index(shape: tuple[int, int], i: np.ndarray, p: np.ndarray) -> Tensor:
    """A table of where (i, p) stands in a list, -1 where it is not there."""
    table = torch.full(shape, -1, dtype=torch.int64)
    table[i, p] = torch.arange(len(i))
    return table


def _at(table: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return table.index_select(0, rows).index_select(1, columns)


def _taken(values: Tensor, index: Tensor) -> Tensor:
    """Rows of an array, 0 where the index is -1."""
    index = index.flatten()
    return values.index_select(0, index.clamp(min=0)).index_fill_(0, torch.nonzero(index < 0)[:, 0], 0)
