"""What is left out of the slopes is too small to be seen."""

import pytest
import torch
from anisotropy import directions, kernels, nads
from anisotropy.kernels import gradients, layers
from anisotropy.kernels.graph import Add
from anisotropy.kernels.layers import AvgPool, Concat, Conv, GlobalAverage, Identity, Readout, ReLU, Sequential
from anisotropy.kernels.lists import AxisPlan, Labels
from anisotropy.kernels.slopes import SlopePlan

INNER = Sequential(ReLU(), Conv(1, channels=2.0), ReLU(), Conv(3, channels=0.5))
DENSE = Sequential(Conv(3), *[Concat(Identity(), INNER)] * 5, ReLU(), AvgPool(2), GlobalAverage(), Readout())


def test_far_slopes_are_left_out_only_where_they_are_negligible():
    graph, shares = layers.graph(DENSE, (1, 12, 12)), (0.0, 1e-6, 0.5)
    x = torch.randn(graph.input_shape, generator=torch.Generator().manual_seed(0))
    whole, kept, coarse = (gradients.gradients(graph, x, negligible=share) for share in shares)
    assert float((kept - whole).norm()) < 1e-5 * float(whole.norm())
    assert float((coarse - whole).norm()) > 1e-2 * float(whole.norm())
    last = max(n for n, node in enumerate(graph.nodes) if isinstance(node.operation, Add) and node.sides == (12, 12))
    pairs = AxisPlan(graph, 0, Labels.pictures(12))
    reached = [int(SlopePlan(graph, 0, pairs, torch.float32, share).left[last].sum()) for share in shares]
    assert reached[0] > reached[1] > reached[2]


def test_homogeneous_networks_return_their_kernel():
    """f(h x) = h f(x), so that x . grad f = f and x' C x = K(x, x), whatever else C is."""
    graph, v = layers.graph(DENSE, (1, 12, 12)), directions.fourier(12, 12).pictures()[30:31].double()
    covariance = kernels.infinite_width(graph, response=nads.Gradient(at=v[0])).covariance()
    assert float(v.flatten() @ covariance @ v.flatten()) == pytest.approx(_kernel(graph, v), rel=1e-4)


def _kernel(graph, v: torch.Tensor) -> float:
    """K(v, v): a dipole of step 1 around x = v compares f(2 v) = 2 f(v) with f(0) = 0, and is f(v)."""
    return float(kernels.energies(graph, v, response=nads.Dipole(1.0, v[0])))
