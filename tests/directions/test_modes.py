"""Modes of graphs against closed forms on rings, paths and grids; waves of sequences."""

import numpy as np
import pytest
import torch
from anisotropy.directions import modes
from scipy import fft


def path(nodes):
    return modes.grid(1, nodes)


def laplacian(matrix):
    return torch.diag(matrix.sum(1)) - matrix


@pytest.mark.parametrize("nodes", [3, 9, 12, 50])
@pytest.mark.parametrize("normalised", [True, False])
def test_modes_of_a_ring_are_fourier_s_waves(nodes, normalised):
    """The very vectors, pairs and signs included: 2 - 2 cos(2 pi k / n), or half of it."""
    found = modes.graph_modes(modes.ring(nodes), normalised=normalised)
    waves = modes.harmonics(nodes)
    assert torch.allclose(found.directions[..., 0], waves.directions[:, 0], atol=1e-9)
    expected = 2 - 2 * torch.cos(2 * torch.pi * waves.values / nodes)
    assert torch.allclose(found.values, expected / (2 if normalised else 1), atol=1e-12)


def test_modes_of_a_path_are_cosine_transforms():
    found = modes.graph_modes(path(13), normalised=False)
    cosines = torch.from_numpy(fft.idct(np.eye(13), type=2, norm="ortho", axis=1))
    assert torch.allclose(found.directions[..., 0], cosines, atol=1e-10)
    k = torch.arange(13, dtype=torch.float64)
    assert torch.allclose(found.values, 2 - 2 * torch.cos(torch.pi * k / 13), atol=1e-12)


@pytest.mark.parametrize("normalised", [True, False])
def test_modes_are_an_ordered_basis_of_eigenvectors(normalised):
    """A random graph with a node by itself, three features."""
    draws = torch.rand(10, 10, generator=torch.Generator().manual_seed(0)) < 0.3
    matrix = torch.zeros(11, 11).double()
    matrix[:10, :10] = (draws | draws.T).double() * (1 - torch.eye(10))
    found = modes.graph_modes(matrix, 3, normalised=normalised)
    again = modes.graph_modes(matrix.nonzero().T, 3, nodes=11, normalised=normalised)
    assert torch.equal(found.directions, again.directions)
    assert found.directions.shape == (33, 11, 3)
    assert torch.allclose(
        found.directions.flatten(1) @ found.directions.flatten(1).T, torch.eye(33).double(), atol=1e-10
    )
    assert (found.values.diff() >= 0).all()
    operator = laplacian(matrix)
    if normalised:
        root = matrix.sum(1).clamp(min=1e-300).rsqrt().nan_to_num(0, 0, 0) * (matrix.sum(1) > 0)
        operator = torch.diag((matrix.sum(1) > 0).double()) - root[:, None] * matrix * root
    applied = torch.einsum("mn,knf->kmf", operator, found.directions)
    assert torch.allclose(applied, found.values[:, None, None] * found.directions, atol=1e-9)


def test_modes_of_equal_eigenvalues_do_not_depend_on_the_solver(monkeypatch):
    """A grid has pairs: any orthogonal mixture that a solver returns gives the same vectors."""
    expected = modes.graph_modes(modes.grid(4, 4), normalised=False)
    eigh = modes.linalg.eigh

    def mixed(matrix):
        values, vectors = eigh(matrix)
        for value in np.unique(values.round(6)):
            (same,) = np.nonzero(np.abs(values - value) < 1e-5)
            turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(len(same), len(same))))
            vectors[:, same] = vectors[:, same] @ turn
        return values, vectors

    monkeypatch.setattr(modes.linalg, "eigh", mixed)
    assert torch.allclose(
        modes.graph_modes(modes.grid(4, 4), normalised=False).directions, expected.directions, atol=1e-9
    )


@pytest.mark.parametrize(
    ("graph", "given", "said"),
    [
        (torch.tensor([[0, 1], [1, 2]]), {}, r"undirected .* torch.cat\(\[edges, edges.flip\(0\)\], 1\)"),
        (modes.ring(5), {"nodes": 4}, "nodes 0 to 3, got 0 to 4"),
        (modes.ring(5).float(), {}, r"adjacency matrix \(n, n\), got Tensor of shape \(2, 10\)"),
        (torch.eye(3).roll(1, 0), {}, "undirected graph"),
        (-torch.ones(3, 3), {}, "weights of at least 0"),
        (torch.ones(3, 3), {"features": 0}, "features as a whole number"),
        (torch.ones(3, 3), {"nodes": 4}, "and nodes=4"),
    ],
)
def test_what_is_no_graph_is_refused(graph, given, said):
    with pytest.raises(ValueError, match=said):
        modes.graph_modes(graph, **given)
    with pytest.raises(ValueError, match="nodes as a whole number of at least 3"):
        modes.ring(2)
