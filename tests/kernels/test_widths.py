"""Bias and noise of sampled covariances are told apart."""

import functools

import pytest
import torch
from anisotropy import kernels
from anisotropy.kernels import layers, widths
from anisotropy.nads.definitions import Secant

ZERO = Secant(at="zero")
EXACT = torch.diag(torch.tensor([4.0, 2.0, 1.0, 1.0], dtype=torch.float64))
NORM = float((EXACT - 2 * torch.eye(4, dtype=torch.float64)).norm())


def noisy(centre, count, sigma, seed):
    generator = torch.Generator().manual_seed(seed)
    return centre + sigma * torch.randn(count, 4, 4, generator=generator, dtype=torch.float64)


def test_noise_alone_is_no_bias():
    found = [widths.distance(noisy(EXACT, 8, 0.3, seed), EXACT) for seed in range(200)]
    bias = torch.tensor([d.bias for d in found])
    assert abs(float(bias.mean())) < 3 * float(bias.std()) / 200**0.5
    assert sum(d.seen for d in found) < 30  # about 1 in 20 expected; the spread of 8 groups is itself uncertain
    expected = 0.3 * 4 / 8**0.5 / NORM
    assert sum(d.noise for d in found) / 200 == pytest.approx(expected, rel=0.1)


def test_a_bias_is_found_beneath_the_noise():
    shifted = EXACT + torch.diag(torch.tensor([0.1, -0.1, 0, 0], dtype=torch.float64)) * NORM / 2**0.5
    found = [widths.distance(noisy(shifted, 8, 0.3, seed), EXACT).bias for seed in range(400)]
    assert sum(found) / 400 == pytest.approx(0.01, rel=0.3)
    assert widths.distance(noisy(shifted, 8, 0.001, 0), EXACT).offset == pytest.approx(0.1, rel=0.02)
    assert widths.distance(noisy(shifted, 8, 0.001, 0), EXACT).seen


def test_the_error_is_that_of_the_mean():
    groups = noisy(EXACT, 5, 0.3, 1)
    found = widths.distance(groups, EXACT)
    assert found.error == pytest.approx(float((groups.mean(0) / found.trace - EXACT).norm()) / NORM)
    assert found.trace == pytest.approx(float(groups.mean(0).trace()) / 8)
    assert widths.distance(3 * groups, EXACT).error == pytest.approx(found.error)  # NADs know no scale
    assert found.error**2 == pytest.approx(found.noise**2 + found.bias)


def test_random_networks_come_nearer_with_width():
    net = layers.Sequential(layers.Conv(3, stride=2), layers.ReLU(), layers.Conv(3), layers.ReLU(), layers.Readout())
    exact = kernels.infinite_width(net, (1, 6, 6))
    errors = []
    for width in (2, 64):
        groups = widths.sampled(lambda width=width: layers.network(net, (1, 6, 6), width), (1, 6, 6), ZERO, networks=32)
        assert groups.shape == (8, 36, 36)
        errors.append(widths.distance(groups, exact.covariance()))
    assert errors[0].error > 3 * errors[1].error
    assert not errors[1].seen
    assert errors[1].trace == pytest.approx(1, abs=0.1)
    wrong = widths.distance(groups, exact.covariance() + torch.diag(torch.linspace(0, 1, 36)) * exact.eigenvalues[0])
    assert wrong.seen


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="at least 3 groups"):
        widths.distance(noisy(EXACT, 2, 0.1, 0), EXACT)
    with pytest.raises(ValueError, match="preferred direction"):
        widths.distance(noisy(EXACT, 4, 0.1, 0), torch.eye(4, dtype=torch.float64))


def test_a_rectified_skip_loses_what_random_numbers_say():
    u, b = torch.randn(2, 2_000_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for c in (0.03, 0.5, 4.0):
        measured = float((u.clamp(min=0) + c**0.5 * b).clamp(min=0).square().mean()) / ((0.5 + c) / 2)
        assert widths.skip_factor(c) == pytest.approx(measured, rel=0.006)
    assert widths.skip_factor(1e6) == pytest.approx(1, abs=1e-3)  # a Gaussian after all


def test_random_networks_with_rectified_skips_stop_short_of_the_recursion():
    """The trace is missed by a factor that width does not mend; before a skip is rectified it is right."""
    branch = layers.Sequential(layers.Conv(3), layers.ReLU(), layers.Conv(3))
    skip = layers.Sum(layers.Identity(), branch)
    ends = layers.Sequential(layers.ReLU(), layers.GlobalAverage(), layers.Readout())
    after = layers.Sequential(layers.Conv(3), layers.ReLU(), skip, ends)
    before = layers.Sequential(layers.Conv(3), skip, ends)
    found = {}
    for name, net in (("after", after), ("before", before)):
        exact = kernels.infinite_width(net, (1, 6, 6)).covariance()
        for width in (16, 64):
            make = functools.partial(layers.network, net, (1, 6, 6), width)
            found[name, width] = widths.distance(widths.sampled(make, (1, 6, 6), ZERO, networks=64), exact).trace
    assert found["before", 64] == pytest.approx(1, abs=0.1)
    assert found["after", 64] == pytest.approx(found["after", 16], rel=0.15)
    assert found["after", 64] > 1.5
