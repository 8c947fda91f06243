"""What the ingredients of an architecture must do by theory."""

import itertools

import numpy as np
import pytest
import torch
from anisotropy import kernels
from anisotropy.kernels import exact, ingredients
from anisotropy.kernels.activations import Rectifier, SingleTap
from anisotropy.kernels.layers import AvgPool, Conv, GlobalAverage, Readout, ReLU, Sequential
from anisotropy.models import architectures

AVERAGE = (GlobalAverage(), Readout())


def block(**how):
    return Sequential(Conv(3, **how), ReLU())


def test_a_dense_readout_hears_each_pixel_alone():
    """Shared weights pair equal positions only: C is diagonal, and without border and strides a multiple of 1."""
    nets = {"zeros": Sequential(block(), block(), Readout()), "circular": Sequential(block(mode="circular"), Readout())}
    found = ingredients.measure(nets, 8, period=4)
    covariance = found["zeros"].nads.covariance()
    assert torch.allclose(covariance, torch.diag(covariance.diagonal()), atol=1e-9)
    assert found["zeros"].edge < 1
    assert found["circular"].energies == pytest.approx(1)
    assert found["circular"].edge == pytest.approx(1)


def test_without_border_a_global_average_hears_the_mean_alone():
    nets = {
        "circular": Sequential(block(mode="circular"), block(mode="circular"), *AVERAGE),
        "zeros": Sequential(block(), block(), *AVERAGE),
    }
    found = ingredients.measure(nets, 8, period=4)
    assert found["circular"].mark.constant == pytest.approx(64)
    assert (found["circular"].half, found["zeros"].half) == (1, 1)
    assert found["zeros"].mark.axes > 100 * found["circular"].mark.axes + 0.1  # what the border lets in


def test_strides_make_a_lattice_only_where_positions_are_averaged():
    circle = {"mode": "circular"}
    parts = (block(**circle), block(stride=2, **circle), block(stride=2, **circle))
    found = ingredients.measure(
        {"dense": Sequential(*parts, Readout()), "average": Sequential(*parts, *AVERAGE)}, 8, period=4
    )
    assert found["average"].mark.lattice == pytest.approx((8 / 4) ** 2, rel=0.01)  # all energy on 16 of 64 directions
    assert found["average"].mark.elsewhere == pytest.approx(0, abs=1e-6)
    assert found["dense"].mark.lattice == pytest.approx(1, abs=0.1)


def test_depth_lets_each_mode_fade_by_its_factor():
    """Before a stride, C_ii depends on the position by modes that a 3 x 3 convolution multiplies by (1 + 2 cos) / 3."""
    size, stride = 16, 8
    amplitudes = []
    for depth in (1, 2, 3):
        net = Sequential(*[block(mode="circular")] * depth, Conv(1, stride=stride, padding=0), *AVERAGE)
        covariance = ingredients.measure({"": net}, size, period=stride)[""].nads.covariance()
        heard = covariance.diagonal().view(size, size)
        amplitudes.append((torch.fft.fft2(heard).abs() / heard.sum())[0, :: size // stride][1 : stride // 2 + 1])
    expected = np.abs(1 + 2 * np.cos(2 * np.pi * np.arange(1, stride // 2 + 1) / stride)) / 3
    for before, after in itertools.pairwise(amplitudes):
        assert (after / before).numpy() == pytest.approx(expected, rel=1e-3)


def test_circular_factories_have_no_border():
    """Moving a picture by one step of all strides together changes nothing where there is no border."""
    make = architectures.factory("resnet18", image_size=16, width=0.1)
    found = ingredients.measure({"zeros": make, "circular": ingredients.circular(make)}, 16, period=8)
    heard = {name: m.nads.covariance().diagonal().view(16, 16) for name, m in found.items()}
    heard = {name: values / values.mean() for name, values in heard.items()}
    assert torch.allclose(heard["circular"], heard["circular"].roll((8, 8), (0, 1)), rtol=1e-4)
    assert not torch.allclose(heard["zeros"], heard["zeros"].roll((8, 8), (0, 1)), rtol=1e-1)


def test_the_first_layer_may_have_moments_of_its_own():
    """Weights uniform on (-1, 1): E[relu(w) relu(v)] is 1/6 for equal ones, 1/16 for independent ones, else 0."""
    expected = {1.0: 1 / 6, 0.0: 1 / 16, -1.0: 0.0}
    for r, moment in expected.items():
        found = float(SingleTap().moment(torch.tensor([r], dtype=torch.float64))) / 3  # the variance of w is 1 / 3
        assert found == pytest.approx(moment, abs=1e-9)
        assert (found == pytest.approx(float(Rectifier().moment(torch.tensor([r]))) / 3, abs=1e-6)) == (r != 0)


def test_the_first_layer_counts_only_where_pools_mix_offsets():
    parts = (Conv(3), ReLU(), Conv(3, stride=2), ReLU())
    pooled, strided = (Sequential(*parts, *end, *AVERAGE) for end in ((AvgPool(2), Conv(1), ReLU()), ()))
    found = []
    for net in (pooled, strided):
        graph = kernels.graph_of(net, (1, 8, 8))
        one, other = (exact.infinite_width(g).covariance() for g in (graph, ingredients.uniform_first_layer(graph)))
        found.append(float((one / one.trace() - other / other.trace()).norm() * other.trace() / other.norm()))
    assert found[0] > 1e-4 > 1e-12 > found[1]
    with pytest.raises(ValueError, match="read by a ReLU"):
        ingredients.uniform_first_layer(kernels.graph_of(Sequential(Conv(3), *AVERAGE), (1, 4, 4)))
