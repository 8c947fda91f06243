"""Which entries of a covariance are needed, along one axis of the image, and the sparse matrices between them.

The covariance of feature maps of two images is wanted for many pairs of images at once. The images that a pixel's
dipole needs are named by the pixel, (i_y, i_x), and everything that is linear here is a product over the two axes. So
an entry is a pair of quadruples: one (i, j, p, q) along y and one along x, where i and j are coordinates of the pixels
of the two images, p and q the positions in the feature map; the covariance is a matrix over (quadruples along y) x
(quadruples along x), and a layer multiplies it by a sparse matrix from each side. What makes it small:

* an impulse at i reaches few positions p (`left`, `right`: windows that grow from layer to layer);
* from what the read-out needs, going backwards, strides keep a few offsets q - p only;
* at x = 0 the two signs of a dipole differ only in entries that linear layers alone connect with (i, j, i, j): at the
  same offset, as long as nothing is pooled. Where only linear layers follow, the others cancel and are left out.

Where images are given as whole pictures instead, there is one label for all of them, and entries are pairs (p, q).
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from anisotropy.kernels.axes import Axis
from anisotropy.kernels.graph import Graph, Linear, Pointwise


@dataclass(frozen=True)
class Labels:
    """Labels of the two images along one axis.

    Attributes:
        left: (La, n) whether the image with that label differs from the common background at each pixel.
        right: (Lb, n).
        blank: whether the last label of both is the background itself, which must be followed too: it is not black.
        wanted: (La, Lb) pairs that are asked for.
        odd: only the difference of the two signs is asked for, at x = 0.
    """

    left: np.ndarray
    right: np.ndarray
    wanted: np.ndarray
    blank: bool = False
    odd: bool = False

    @classmethod
    def pictures(cls, size: int) -> "Labels":
        """One label: whole pictures."""
        whole = np.ones((1, size), dtype=bool)
        return cls(whole, whole, np.ones((1, 1), dtype=bool))

    @classmethod
    def impulses(cls, size: int, wanted: np.ndarray, *, blank: bool) -> "Labels":
        """One label for each coordinate, and one for the background if it is not black (`blank`)."""
        each = np.eye(size + blank, size, dtype=bool)
        asked = np.zeros((size + blank, size + blank), dtype=bool)
        asked[:size, :size] = wanted
        return cls(each, each, asked, blank, not blank)


@dataclass(frozen=True)
class Entries:
    """Quadruples (i, j, p, q) of one node, and where each of them stands."""

    i: np.ndarray
    j: np.ndarray
    p: np.ndarray
    q: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.i)

    @classmethod
    def of(cls, needed: np.ndarray) -> "Entries":
        """All true entries of a boolean (La, Lb, P, P), in order."""
        found = np.nonzero(needed)
        index = np.full(needed.shape, -1, dtype=np.int32)
        index[found] = np.arange(len(found[0]))
        return cls(*found, index)


class AxisPlan:
    """Entries of every node along one axis, and the matrices between them.

    Args:
        graph: the architecture.
        which: 0 for y, 1 for x.
        labels: of the images.
        dtype: of the matrices.

    Attributes:
        entries: for each node.
    """

    def __init__(self, graph: Graph, which: int, labels: Labels, dtype: torch.dtype = torch.float64):
        self.graph, self.which, self.labels, self.dtype = graph, which, labels, dtype
        self.left = self._windows(labels.left)
        self.right = self.left if labels.right is labels.left else self._windows(labels.right)
        self.entries = [Entries.of(needed) for needed in self._needed()]
        self._cache: dict[tuple[int, int], Tensor] = {}

    def identical(self, node: int) -> bool:
        """Whether a linear node takes its input as it is along this axis: a 1 x 1 convolution."""
        axis, source = self._axis(node), self.graph.nodes[node].inputs[0]
        plain = axis.shared and axis.taps == tuple((p,) for p in range(axis.size))
        return plain and np.array_equal(self.entries[node].index, self.entries[source].index)

    def matrix(self, node: int, *, transposed: bool = False) -> Tensor:
        """Sparse (entries of a linear node, entries of its input), or its transpose."""
        key = node, int(transposed)
        if key not in self._cache:
            axis, source = self._axis(node), self.graph.nodes[node].inputs[0]
            rows, columns, values = [], [], []
            for row, keys, weight in self._reads(node, axis, source):
                column = self.entries[source].index[keys]
                kept = column >= 0
                rows.append(row[kept]), columns.append(column[kept])
                values.append(np.full(int(kept.sum()), weight))
            shape = (len(self.entries[node]), len(self.entries[source]))
            made = sparse.csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape)
            made = made.T.tocsr() if transposed else made
            self._cache[key] = _tensor(made, self.dtype)
        return self._cache[key]

    def positions(self, node: int, source: int) -> Tensor:
        """Where each entry of a node stands in the list of one of its inputs, -1 where it is 0 there."""
        e = self.entries[node]
        i, j, kept = self._relabelled(source, e.i, e.j, e.p, e.q)
        found = np.where(kept, self.entries[source].index[i, j, e.p, e.q], -1)
        return torch.from_numpy(found.astype(np.int64))

    def variances(self, node: int, source: int) -> tuple[Tensor, Tensor]:
        """Where the variances (i, i, p, p) and (j, j, q, q) of each entry of an activation stand in its input."""
        e, index = self.entries[node], self.entries[source].index
        left = self._relabelled(source, e.i, e.i, e.p, e.p)
        right = self._relabelled(source, e.j, e.j, e.q, e.q)
        found = index[left[0], left[1], e.p, e.p], index[right[0], right[1], e.q, e.q]
        return tuple(torch.from_numpy(f.astype(np.int64)) for f in found)

    def _axis(self, node: int) -> Axis:
        operation = self.graph.nodes[node].operation
        return operation.x if self.which else operation.y

    def _windows(self, start: np.ndarray) -> list[np.ndarray]:
        """For each node the positions (L, P) that an image with each label reaches."""
        found: list[np.ndarray] = []
        for number, node in enumerate(self.graph.nodes):
            if not node.inputs:
                reached = start.copy()
            elif isinstance(node.operation, Linear):
                reached = _forward(found[node.inputs[0]], self._axis(number))
            else:
                reached = np.logical_or.reduce([found[i] for i in node.inputs])
            if self.labels.blank:
                reached[-1] = True
            found.append(reached)
        return found

    def _relabelled(self, source: int, i, j, p, q):
        """Labels in a node where a label that does not reach a position is the background, or whether it is not 0."""
        left, right = self.left[source][i, p], self.right[source][j, q]
        if not self.labels.blank:
            return i, j, left & right
        return np.where(left, i, -1), np.where(right, j, -1), np.ones(len(i), dtype=bool)

    def _reads(self, node: int, axis: Axis, source: int, entries: tuple[np.ndarray, ...] | None = None):
        """For each pair of taps: which entries of a linear node read an entry of its input, which one, what weight."""
        i, j, p, q = entries or (self.entries[node].i, self.entries[node].j, self.entries[node].p, self.entries[node].q)
        for t, u, weight in axis.pairs():
            pt, qu = axis.table[p, t], axis.table[q, u]
            rows = np.nonzero((pt >= 0) & (qu >= 0))[0]
            first, second, kept = self._relabelled(source, i[rows], j[rows], pt[rows], qu[rows])
            yield rows[kept], (first[kept], second[kept], pt[rows][kept], qu[rows][kept]), weight

    def _needed(self) -> list[np.ndarray]:
        nodes, sizes = self.graph.nodes, self.labels.wanted.shape
        needed = [np.zeros((*sizes, n.sides[self.which], n.sides[self.which]), dtype=bool) for n in nodes]
        odd = self._odd() if self.labels.odd else None
        last = len(nodes) - 1
        needed[last][:, :, 0, 0] = self.labels.wanted
        reach = self.left[last][:, None, :, None] & self.right[last][None, :, None, :]
        needed[last] &= reach
        if odd is not None:
            needed[last] &= odd[last]
        tail = self._linear_tail()
        for number in range(last, -1, -1):
            node, e = nodes[number], np.nonzero(needed[number])
            for source in node.inputs:
                found = np.zeros_like(needed[source])
                if isinstance(node.operation, Linear):
                    for _, keys, _ in self._reads(number, self._axis(number), source, e):
                        found[keys] = True
                else:
                    i, j, kept = self._relabelled(source, *e)
                    found[i[kept], j[kept], e[2][kept], e[3][kept]] = True
                if odd is not None and tail[number]:
                    found &= odd[source]
                if isinstance(node.operation, Pointwise):
                    self._add_variances(found, np.nonzero(found))
                needed[source] |= found
        return needed

    def _add_variances(self, needed: np.ndarray, e) -> None:
        i, j, p, q = e
        if needed.shape[0] == needed.shape[1]:
            needed[i, i, p, p] = True
            needed[j, j, q, q] = True

    def _odd(self) -> list[np.ndarray]:
        """Entries of each node that the signs of the two impulses change: linearly connected with (i, j, i, j)."""
        found: list[np.ndarray] = []
        for number, node in enumerate(self.graph.nodes):
            if not node.inputs:
                left, right = self.labels.left, self.labels.right
                found.append(left[:, None, :, None] & right[None, :, None, :])
            elif isinstance(node.operation, Linear):
                axis, before = self._axis(number), found[node.inputs[0]]
                after = np.zeros((*before.shape[:2], axis.length, axis.length), dtype=bool)
                for t, u, _ in axis.pairs():
                    p, q = axis.table[:, t], axis.table[:, u]
                    inside = np.ix_(*(range(s) for s in before.shape[:2]), np.nonzero(p >= 0)[0], np.nonzero(q >= 0)[0])
                    read = np.ix_(*(range(s) for s in before.shape[:2]), p[p >= 0], q[q >= 0])
                    after[inside] |= before[read]
                found.append(after)
            else:
                found.append(np.logical_or.reduce([found[i] for i in node.inputs]))
        return found

    def _linear_tail(self) -> list[bool]:
        """Nodes that only linear layers follow, down to the output."""
        nodes = self.graph.nodes
        tail = [True] * len(nodes)
        for number in range(len(nodes) - 1, -1, -1):
            for source in nodes[number].inputs:
                tail[source] &= tail[number] and not isinstance(nodes[number].operation, Pointwise)
        return tail


def _forward(reached: np.ndarray, axis: Axis) -> np.ndarray:
    found = np.zeros((len(reached), axis.length), dtype=bool)
    for t in range(axis.table.shape[1]):
        inside = axis.table[:, t] >= 0
        found[:, inside] |= reached[:, axis.table[inside, t]]
    return found


def _tensor(matrix: sparse.csr_array, dtype: torch.dtype) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse")  # that these tensors are in beta, and not checked
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int32)),
            torch.from_numpy(matrix.indices.astype(np.int32)),
            torch.from_numpy(matrix.data).to(dtype),
            matrix.shape,
        )
