"""Exact NADs against closed forms, a dense implementation, finite differences and random networks."""

import math
from functools import partial

import dense
import pytest
import torch
from anisotropy import directions, kernels, nads
from anisotropy._util import paths
from anisotropy.kernels import images, layers
from anisotropy.kernels.layers import (
    AvgPool,
    Blur,
    Concat,
    Conv,
    Dense,
    Erf,
    GlobalAverage,
    Identity,
    Readout,
    ReLU,
    Sum,
)
from anisotropy.kernels.layers import Sequential as Seq
from anisotropy.models import architectures
from anisotropy.nads import compare, definitions, energies
from anisotropy.paper import published
from torch import nn

INFINITE = math.inf
STRIDED = Seq(Conv(3), ReLU(), Conv(3, stride=2), ReLU(), Conv(3, stride=2), ReLU(), Readout())
POOLED = Seq(Conv(3), ReLU(), AvgPool(2), Conv(3), ReLU(), AvgPool(2), Readout())
BIASED = Seq(
    Conv(3, bias=0.1), ReLU(), AvgPool(2), Conv(3, mode="circular", bias=0.2), ReLU(), GlobalAverage(), Readout()
)
SMOOTH = Seq(Conv(3, padding=0), Erf(), Blur(2), Conv(3, gain=2.0), Erf(), GlobalAverage(), Readout())
PREACTIVATION = Seq(
    Conv(3), Sum(Identity(), Seq(ReLU(), Conv(3))), ReLU(), AvgPool(2), Conv(3), ReLU(), GlobalAverage(), Readout()
)
JOINED = Seq(
    Conv(3), Concat(Identity(), Seq(ReLU(), Conv(3, channels=0.5))), ReLU(), Conv(1), ReLU(), AvgPool(2),
    Dense(), ReLU(), Readout(),
)  # fmt: skip


def normal(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# closed forms


@pytest.mark.parametrize("response", [nads.Secant(math.inf), nads.Secant(1.0, "zero"), nads.Gradient()])
def test_one_linear_layer_is_equation_4(response):
    # a random circular filter of full size, a prefilter m (average of 3 x 3), subsampling by S = 9, a read-out:
    # C = sigma_phi^2 sigma_theta^2 / S diag(m^2) in the Fourier basis
    net = Seq(Conv(9, padding=4, mode="circular", gain=0.7), AvgPool(3), Readout(gain=0.5))
    found = kernels.infinite_width(net, (1, 9, 9), response=response)
    basis = directions.fourier(9, 9)
    taps = torch.zeros(9, 9, dtype=torch.float64)
    taps[:3, :3] = 1 / 9
    m = torch.fft.fft2(taps).abs()[basis.frequencies[:, 0], basis.frequencies[:, 1]]
    sigma_theta, sigma_phi, subsampling = 0.7, 0.5 / 9, 9
    expected = sigma_phi * sigma_theta / subsampling * m.square()
    u = basis.vectors.flatten(1)
    measured = u @ found.covariance() @ u.T
    assert torch.allclose(measured, torch.diag(expected), atol=1e-6 * float(expected.max()), rtol=1e-5)
    assert not torch.allclose(measured.diagonal(), sigma_phi * sigma_theta * m.square(), rtol=0.1)  # as printed


def test_deep_linear_pooling_is_the_product_of_the_poolings():
    net = Seq(AvgPool(2), Conv(1, gain=2.0), AvgPool(2), Conv(1, gain=3.0), Readout(gain=1.5))
    found = kernels.infinite_width(net, (1, 8, 8))
    expected = torch.zeros(64)
    expected[:4] = 2 * 3 * 1.5 / 4 / 16  # four windows of 16 pixels
    assert torch.allclose(found.eigenvalues.float(), expected, atol=1e-7)


def test_two_layers_at_one_pixel_by_hand():
    # an impulse through one ReLU: variances v at the 3 x 3 positions; K(e, e) - K(e, -e) = v / 2 at each
    net = Seq(Conv(3, gain=0.9), ReLU(), Readout(gain=0.5))
    found = kernels.infinite_width(net, (1, 5, 5)).covariance()
    middle = 12
    assert float(found[middle, middle]) == pytest.approx(0.5 * 9 / 25 * (0.9 / 9) / 2 / 2, rel=1e-6)
    assert float(found[0, 0]) == pytest.approx(0.5 * 4 / 25 * (0.9 / 9) / 2 / 2, rel=1e-6)
    assert float(found[0, 1]) == 0  # no pooling, no strides: other pixels are uncorrelated


def test_a_dense_network_prefers_nothing():
    net = Seq(Dense(gain=2.0), ReLU(), Dense(gain=2.0), ReLU(), Readout(gain=1.0))
    gradient = kernels.infinite_width(net, (1, 4, 4), response=nads.Gradient()).eigenvalues
    assert torch.allclose(gradient, torch.full_like(gradient, 1 / 16), rtol=1e-9)
    # of secants: one ReLU leaves the correlations 1 and 0 of -1 and 1, the next (1 - 1 / pi) / 2
    secant = kernels.infinite_width(net, (1, 4, 4)).eigenvalues
    assert torch.allclose(secant, torch.full_like(secant, (1 - 1 / math.pi) / 32), rtol=1e-9)


# an independent implementation


PIXELS = [0, 1, 8, 9, 27, 28, 35, 36, 45, 63]


def test_resnet18_by_dense_arrays():
    make = architectures.factory("resnet18", image_size=8)
    covariance = kernels.infinite_width(make).covariance()[PIXELS][:, PIXELS]
    expected = dense.secants(dense.resnet18, (1, 8, 8), PIXELS, torch.zeros(1, 8, 8), 1.0)
    assert torch.allclose(covariance, expected, rtol=1e-5, atol=1e-6 * float(expected.max()))
    wrong = dense.secants(partial(dense.resnet18, gain=0.9 / 3), (1, 8, 8), PIXELS, torch.zeros(1, 8, 8), 1.0)
    assert not torch.allclose(covariance, wrong, rtol=0.5, atol=0)


def pooled(pictures):
    k = dense.pool(dense.relu(dense.conv(dense.start(pictures), 1 / 3)), 2)
    return dense.dense(dense.pool(dense.relu(dense.conv(k, 1 / 3)), 2), 1 / 3)


@pytest.mark.parametrize("step", [0.3, 5.0])
def test_secants_at_a_point_by_dense_arrays(step):
    x = normal((2, 8, 8))
    graph = kernels.graph_of(POOLED, (2, 8, 8))
    whole = images.secants(graph, x, step)
    some = [0, 9, 10, 36, 63, 64, 73, 110]
    expected = dense.secants(pooled, (2, 8, 8), some, x, step)
    assert torch.allclose(whole[some][:, some], expected, rtol=1e-8, atol=1e-9 * float(expected.max()))
    blocks = images.secants(graph, x, step, budget=200_000)  # in pieces, the same
    assert torch.allclose(whole, blocks, rtol=1e-9, atol=1e-12 * float(expected.max()))


@pytest.mark.parametrize("net", [STRIDED, POOLED, PREACTIVATION, JOINED])
def test_the_limit_leaves_out_what_cancels(net):
    # at a very dim image nothing may be left out, and the step is long against it: both ways agree
    graph = kernels.graph_of(net, (1, 8, 8))
    limit = images.secants(graph, None, INFINITE)
    whole = images.secants(graph, 1e-7 * normal((1, 8, 8)), 1.0)
    assert torch.allclose(limit, whole, atol=1e-6 * float(limit.max()))


def test_channels_of_secants_from_black_are_copies():
    one = kernels.infinite_width(POOLED, (1, 8, 8)).covariance()
    three = images.secants(kernels.graph_of(POOLED, (3, 8, 8)), None, INFINITE)
    assert torch.allclose(three, torch.block_diag(one, one, one) / 3, atol=1e-6 * float(one.max()))


@pytest.mark.parametrize("net", [STRIDED, POOLED, BIASED])
def test_energies_of_pixels_are_the_diagonal_of_secants(net):
    graph, x = kernels.graph_of(net, (1, 8, 8)), normal((1, 8, 8))
    for point, step in ((None, 2.0), (x, 0.5)):
        covariance = images.secants(graph, point, step)
        e = torch.eye(64, dtype=torch.float64).view(64, 1, 8, 8)
        assert torch.allclose(images.energies(graph, e, point, step), covariance.diagonal(), rtol=1e-9)


def test_energies_are_second_differences_of_the_dense_kernel():
    v = normal((3, 1, 8, 8))
    k = dense.resnet18(torch.cat([v, -v]))
    expected = torch.stack([(k[i, i] - k[i, i + 3]) / 2 for i in range(3)])
    assert torch.allclose(kernels.energies(architectures.factory("resnet18", image_size=8), v), expected, rtol=1e-9)


# gradients


def second_difference(graph, x, i, j, step):
    """d_i d_j' K at x' = x by finite differences, K from energies: f(x + a) f(x + b) by polarisation."""
    e = torch.eye(x.numel(), dtype=torch.float64).view(-1, *x.shape)

    def q(v):
        return float(images.energies(graph, v[None], x, step)[0])

    return (q(e[i] + e[j]) - q(e[i] - e[j])) / 4


@pytest.mark.parametrize(
    ("net", "shape"),
    [(STRIDED, (1, 6, 6)), (POOLED, (2, 8, 8)), (BIASED, (1, 6, 6)), (SMOOTH, (1, 7, 7)), (PREACTIVATION, (1, 6, 6)),
     (JOINED, (1, 6, 6))],
)  # fmt: skip
def test_gradients_are_second_derivatives_of_the_kernel(net, shape):
    graph, x = kernels.graph_of(net, shape), normal(shape)
    covariance = kernels.infinite_width(graph, response=nads.Gradient(at=x)).covariance()
    size = float(covariance.diagonal().mean())
    for i, j in ((0, 0), (0, 1), (7, 20), (14, 14), (21, 8)):
        found = second_difference(graph, x, i, j, 1e-4)
        assert found == pytest.approx(float(covariance[i, j]), abs=1e-3 * size)


def test_both_open_alone_is_not_the_gradient_where_positions_are_pooled():
    net = Seq(Conv(3), ReLU(), Conv(3), ReLU(), GlobalAverage(), Readout())
    x = normal((1, 6, 6))
    found = kernels.infinite_width(net, (1, 6, 6), response=nads.Gradient(at=x)).covariance()
    # f(h x) = h f(x): x . grad f = f, so x' C x = K(x, x), which the linear term alone does not reach
    k = dense.start(x[None])
    for _ in range(2):
        k = dense.relu(dense.conv(k, 1 / 3))
    v = x.flatten()
    assert float(v @ found @ v) == pytest.approx(float(dense.average(k, 1 / 3)), rel=1e-5)


# random networks


def sampled(net, shape, width, count, x=None, gain=1 / 3):
    """Covariance of secants from black (or gradients at x) of random networks, the read-out integrated out."""
    total = 0
    size = math.prod(shape)
    for index in range(count):
        torch.manual_seed(1000 * width + index)
        features = layers.network(net, shape, width)[:-1]
        if x is None:
            e = torch.eye(size).view(-1, *shape)
            with torch.no_grad():
                s = (features(e).flatten(1) - features(-e).flatten(1)) / 2
        else:
            s = torch.autograd.functional.jacobian(features, x[None].float()).reshape(-1, size).T
        total = total + gain / s.shape[1] * (s @ s.T).double()
    return total / count


@pytest.mark.parametrize("net", [POOLED, PREACTIVATION])
def test_random_networks_approach_the_exact_secants(net):
    shape = (1, 8, 8)
    exact = kernels.infinite_width(net, shape).covariance()
    errors = [float((sampled(net, shape, w, 60) - exact).norm() / exact.norm()) for w in (4, 64)]
    assert errors[1] < 0.12
    assert errors[0] / errors[1] > 2  # 1/sqrt(width) is 4
    assert float((sampled(net, shape, 64, 60) - 1.3 * exact).norm() / exact.norm()) > 2 * errors[1]


@pytest.mark.parametrize("net", [POOLED, PREACTIVATION])
def test_random_networks_approach_the_exact_gradients(net):
    shape, x = (1, 8, 8), normal((1, 8, 8), 3)
    exact = kernels.infinite_width(net, shape, response=nads.Gradient(at=x)).covariance()
    errors = [float((sampled(net, shape, w, 60, x) - exact).norm() / exact.norm()) for w in (4, 64)]
    assert errors[1] < 0.15
    assert errors[0] / errors[1] > 2


# torch modules


def test_descriptions_and_their_modules_are_the_same_network():
    for net in (STRIDED, POOLED, BIASED, SMOOTH, PREACTIVATION):
        described = kernels.graph_of(net, (1, 8, 8))
        module = layers.network(net, (1, 8, 8), 400)
        read = kernels.graph_of(module, (1, 8, 8))
        v = normal((2, 1, 8, 8))
        one, other = (images.energies(g, v, 0.3 * v[0], 0.7) for g in (described, read))
        assert torch.allclose(one, other, rtol=0.05)  # variances of the module are measured on its weights


def test_the_projects_networks_are_translated():
    for name, options in {
        "resnet18": {}, "densenet121": {}, "logreg": {}, "anisotropy.blurpool:lenet": {"kind": "average"},
    }.items():  # fmt: skip
        graph = kernels.graph_of(architectures.factory(name, image_size=16, **options))
        assert not any("measured" in note for note in graph.notes)
    for name in ("lenet", "resnet18", "densenet121"):
        kernels.graph_of(architectures.factory(name, image_size=16, pooling=False))
    assert kernels.infinite_width(architectures.factory("logreg", image_size=4)).eigenvalues * 48 == pytest.approx(1)


@pytest.mark.parametrize("name", ["lenet", "vgg11"])
def test_max_pooling_is_refused_by_name(name):
    with pytest.raises(kernels.NoClosedForm, match=r"MaxPool2d.*no closed form.*AvgPool2d"):
        kernels.infinite_width(architectures.factory(name, width=0.1))


def test_a_users_network():
    net = nn.Sequential(
        nn.Conv2d(1, 64, 5, padding="same", bias=False), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(64, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Dropout(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 1),
    )  # fmt: skip
    found = kernels.infinite_width(net, (1, 8, 8))
    assert (found.networks, found.settings["method"], found.settings["approximations"]) == (0, "exact secant", [])
    net[4].running_var.fill_(2.0)
    with pytest.raises(kernels.NoClosedForm, match=r"4: batch norm is not that of a fresh network"):
        kernels.infinite_width(net, (1, 8, 8))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.readout = nn.Conv2d(1, 8, 1), nn.Linear(8, 1)

    def forward(self, x):
        y = torch.relu(self.conv(x))
        return self.readout((y + y).mean((2, 3)))


def test_what_is_not_independent_is_refused():
    with pytest.raises(kernels.NoClosedForm, match="share weights, or both are rectified"):
        kernels.infinite_width(Twice(), (1, 4, 4))
    with pytest.raises(kernels.NoClosedForm, match="GELU"):
        kernels.infinite_width(nn.Sequential(nn.Conv2d(1, 8, 3), nn.GELU(), nn.Flatten(), nn.Linear(32, 1)), (1, 4, 4))
    with pytest.raises(ValueError, match="ends in a linear read-out"):
        kernels.infinite_width(Seq(Conv(3)), (1, 4, 4))


def test_questions_without_an_answer_are_refused():
    with pytest.raises(ValueError, match="x = 0 ReLU has no gradient"):
        kernels.infinite_width(POOLED, (1, 8, 8), response=nads.Gradient(at="zero"))
    with pytest.raises(ValueError, match="finite step"):
        kernels.infinite_width(SMOOTH, (1, 8, 8))
    with pytest.raises(ValueError, match=r"need .* numbers, more than"):
        kernels.infinite_width(architectures.factory("densenet121"))
    with pytest.raises(TypeError, match=r"expected a response, Secant\(\) or Gradient\(\), got .* Mixed"):
        kernels.infinite_width(POOLED, (1, 8, 8), response=nads.Mixed())
    finite = kernels.infinite_width(SMOOTH, (1, 8, 8), response=nads.Secant(0.1, "zero"))
    short = kernels.infinite_width(SMOOTH, (1, 8, 8), response=nads.Gradient(at="zero"))
    assert finite.overlap(short, 5) > 0.99


def test_a_response_says_where_and_how_far():
    graph = kernels.graph_of(POOLED, (1, 8, 8))
    found = kernels.infinite_width(graph, response=nads.Secant(0.7, "normal", sigma=2.0), seed=3)
    x = 2 * definitions.point(nads.Gradient(at="normal"), (1, 8, 8), 3).double()
    expected = images.secants(graph, x, 0.7)
    assert torch.allclose(found.covariance(), expected, atol=1e-6 * float(found.eigenvalues[0]))


def test_energies_are_those_that_are_sampled_of_wide_networks():
    v = normal((3, 1, 8, 8))
    v /= v.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    wide = energies.energies(lambda: layers.network(POOLED, (1, 8, 8), 128), v.float(), networks=24)
    assert torch.allclose(wide.mean / kernels.energies(POOLED, v), torch.ones(3, dtype=torch.float64), atol=0.15)


# the authors' data, where a folder is given


PUBLISHED = paths.data() / "published"


@pytest.mark.skipif(not (PUBLISHED / "NADs").exists(), reason="needs the authors' files in data/published")
def test_resnet18_as_published():
    exact = kernels.infinite_width(architectures.factory("resnet18"))
    theirs = nads.load_published(PUBLISHED, "resnet18")
    for k in (10, 50):
        held = compare.energy_captured(exact.directions, theirs.covariance(), k)
        assert held >= 0.99 * compare.energy_captured(theirs.directions, theirs.covariance(), k)
    table = published.fourier_accuracies(PUBLISHED).accuracy.sel(network="resnet18")
    basis = directions.fourier(32, 32)
    cells = [(y, x) for y in table.ky.values for x in table.kx.values if x <= 0]
    rows = [basis.index(int(y), int(x)) for y, x in cells]
    energy = exact.energy(basis.vectors[rows][:, None])
    learnt = torch.tensor([float(table.sel(ky=y, kx=x)) > 0.6 for y, x in cells])
    assert float(energy[learnt].min()) > float(energy[~learnt].max())
