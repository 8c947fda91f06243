"""Orthonormal directions from slow to fast where there are no pixels: waves of a sequence, modes of a graph.

A graph is `edges`, (2, E) whole numbers as in PyTorch Geometric, an edge in both directions where it has none, or its
symmetric adjacency matrix (n, n). Its modes are the eigenvectors of the Laplacian, which on a ring are Fourier's waves
and on a path those of the discrete cosine transform.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

from anisotropy._util import checks
from anisotropy.directions import bases

SAME = 1e-9
"""Difference of eigenvalues, in units of the largest, below which they count as one."""


@dataclass(frozen=True)
class Modes:
    """Directions with what they are ordered by; goes wherever directions are asked for.

    Attributes:
        directions: (K, *shape) float64, orthonormal.
        values: (K,) float64, ascending: cycles per length of a wave, eigenvalue of the Laplacian of a graph's mode.
    """

    directions: Tensor
    values: Tensor

    def __len__(self) -> int:
        return len(self.values)


def harmonics(length: int) -> Modes:
    """The real Fourier basis of sequences (1, length): a constant, then a cosine and a sine of each frequency.

    They are the rows of `fourier(1, length)`; an even length has one wave of the highest frequency, which alternates.

    Example:
        >>> waves = harmonics(8)
        >>> tuple(waves.directions.shape), waves.values.int().tolist()
        ((8, 1, 8), [0, 1, 1, 2, 2, 3, 3, 4])
    """
    basis = bases.fourier(1, checks.whole(length, "length"))
    return Modes(basis.vectors, torch.from_numpy(np.abs(basis.frequencies[:, 1])).double())


def ring(nodes: int) -> Tensor:
    """Edges (2, 2n) of a ring of n >= 3 nodes.

    Example:
        >>> ring(3).tolist()
        [[0, 1, 2, 1, 2, 0], [1, 2, 0, 0, 1, 2]]
    """
    first = torch.arange(checks.whole(nodes, "nodes", 3))
    return _both(first, first.roll(-1))


def grid(height: int, width: int) -> Tensor:
    """Edges of a grid of pixels, each with its two to four neighbours; node r * width + c is row r, column c.

    Example:
        >>> grid(2, 2).tolist()
        [[0, 2, 0, 1, 1, 3, 2, 3], [1, 3, 2, 3, 0, 2, 0, 1]]
    """
    node = torch.arange(checks.whole(height, "height") * checks.whole(width, "width")).view(height, width)
    first = torch.cat([node[:, :-1].flatten(), node[:-1].flatten()])
    return _both(first, torch.cat([node[:, 1:].flatten(), node[1:].flatten()]))


def _both(first: Tensor, second: Tensor) -> Tensor:
    return torch.stack([torch.cat([first, second]), torch.cat([second, first])])


def adjacency(graph: Tensor, nodes: int | None = None) -> Tensor:
    """Symmetric adjacency matrix (n, n), float64, of edges (2, E) or of such a matrix; an edge that is there is 1.

    Args:
        graph: edges or matrix, a tensor or an array.
        nodes: n, where the last nodes have no edge.

    Raises:
        ValueError: neither, an edge of a node that there is not, an edge one way only, or negative or infinite weights.
    """
    graph = checks.tensor(torch.as_tensor(graph) if isinstance(graph, np.ndarray) else graph, "a graph")
    whole = not graph.is_floating_point() and not graph.is_complex() and graph.dtype != torch.bool
    if graph.ndim == 2 and len(graph) == 2 and whole and not (graph.shape[1] == 2 and int(graph.max()) < 2):
        least = int(graph.max()) + 1 if graph.numel() else 0
        count = checks.whole(least if nodes is None else nodes, "nodes")
        if least > count or (graph.numel() and int(graph.min()) < 0):
            raise ValueError(
                f"expected edges between the nodes 0 to {count - 1}, got {int(graph.min())} to {least - 1}"
            )
        matrix = torch.zeros(count, count, dtype=torch.float64)
        matrix[graph[0], graph[1]] = 1.0
    elif graph.ndim == 2 and graph.shape[0] == graph.shape[1] == (nodes or len(graph)) and len(graph):
        matrix = graph.double()
    else:
        raise ValueError(
            "expected a graph as edges (2, E) of whole numbers or as its adjacency matrix (n, n), got "
            f"{checks.described(graph)}" + (f" and nodes={nodes}" if nodes else "")
        )
    if not torch.isfinite(matrix).all() or bool((matrix < 0).any()) or not torch.allclose(matrix, matrix.T):
        raise ValueError(
            "expected an undirected graph with finite weights of at least 0: give each edge (i, j) as (j, i) too, "
            "torch.cat([edges, edges.flip(0)], 1)"
        )
    return matrix


def graph_modes(graph: Tensor, features: int = 1, *, nodes: int | None = None, normalised: bool = True) -> Modes:
    """Eigenvectors of a graph's Laplacian, slow to fast, each along each feature: a basis of inputs (nodes, features).

    With A the adjacency matrix and d its row sums, L = I - d^-1/2 A d^-1/2 (eigenvalues 0 to 2), or L = diag(d) - A.
    A node without edges has a row of zeros. Where eigenvalues coincide, eigenvectors are a convention: here the first
    is the projection of the first node that is not orthogonal to them, the next that of the next node, and so on, each
    positive at its node. So they do not depend on the solver.

    Args:
        graph: edges (2, E), both ways, or adjacency matrix (n, n).
        features: numbers at each node; a mode comes once along each.
        nodes: n, where the last nodes have no edge.
        normalised: which Laplacian.

    Returns:
        n * features directions (n, features), with the eigenvalues.

    Raises:
        ValueError: no such graph (`adjacency`), or no feature.

    Example:
        >>> found = graph_modes(ring(4), normalised=False)
        >>> found.values.round().int().tolist(), (2 * found.directions[1, :, 0]).round().int().tolist()
        ([0, 2, 2, 4], [1, 0, -1, 0])
    """
    matrix, features = adjacency(graph, nodes), checks.whole(features, "features")
    degrees = matrix.sum(1)
    laplacian = torch.diag(degrees) - matrix
    if normalised:
        root = torch.where(degrees > 0, degrees, torch.inf).rsqrt()
        laplacian = root[:, None] * laplacian * root
    values, vectors = linalg.eigh(laplacian.numpy())
    starts = np.flatnonzero(np.diff(values, prepend=-np.inf) > SAME * max(abs(values).max(), 1e-300))
    rows = np.concatenate([_canonical(block) for block in np.split(vectors, starts[1:], axis=1)])
    directions = torch.einsum("kn,fg->kfng", torch.from_numpy(rows), torch.eye(features, dtype=torch.float64))
    return Modes(directions.flatten(0, 1), torch.from_numpy(values).clamp(min=0).repeat_interleave(features))


def _canonical(vectors: np.ndarray) -> np.ndarray:
    """Orthonormal rows (m, n) of the space of orthonormal columns (n, m), from projections of its first nodes."""
    rows: list[np.ndarray] = []
    left = vectors @ vectors.T
    for node in range(len(vectors)):
        if len(rows) == vectors.shape[1]:
            break
        size = left[node, node]
        if size > 0.0123 * (vectors.shape[1] - len(rows)) / len(vectors):  # no ratio that symmetry brings about
            rows.append(left[node] / np.sqrt(size))
            left = left - np.outer(rows[-1], rows[-1])
    return np.stack(rows)
