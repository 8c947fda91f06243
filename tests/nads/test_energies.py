"""Energies along directions, against closed forms, the dense covariance, and their own stated errors."""

import subprocess
import sys

import pytest
import torch
from anisotropy import nads
from anisotropy.directions import bases
from anisotropy.models import architectures
from anisotropy.nads import Dipole, Gradient, Secant, definitions, energies
from torch import nn

LENET = architectures.factory("lenet", image_size=32)
FOURIER = bases.fourier(32, 32)
GRID = FOURIER.pictures()[FOURIER.subgrid(4)]


@pytest.mark.parametrize("response", [Secant(), Gradient()])
def test_as_the_dense_covariance(response):
    """The same networks give v'Cv of the 1,024 x 1,024 matrix; others give it within the stated errors."""
    dense = nads.estimate(LENET, response=response, networks=30, symmetry="none", seed=3)
    expected = dense.energy(GRID.float())
    same = energies.energies(LENET, GRID, response=response, networks=30, seed=3)
    assert torch.allclose(same.mean, expected, rtol=1e-5)
    x = definitions.point(response, (1, 32, 32), 3)
    other = energies.energies(LENET, GRID, response=type(response)(at=x), networks=30, seed=4)
    z = (other.mean - expected) / (same.errors.square() + other.errors.square()).sqrt()
    assert 0.4 < float(z.std()) < 1.6
    assert float(z.abs().max()) < 5


def test_forward_and_backward_derivatives_are_one():
    """84 features: fewer directions than that are derived forward, more backward."""
    whole = energies.energies(LENET, FOURIER.pictures()[:100], response=Gradient(), networks=2)
    few = energies.energies(LENET, FOURIER.pictures()[:10], response=Gradient(), networks=2)
    assert torch.allclose(few.samples, whole.samples[:, :10], rtol=1e-4)


def test_the_gradient_is_the_limit_of_the_dipole():
    def smooth():
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 1))

    v = bases.random(20, (1, 8, 8), generator=torch.Generator().manual_seed(0))
    limit = energies.energies(smooth, v, response=Gradient(dtype="float64"), networks=2).mean
    errors = [
        float((energies.energies(smooth, v, response=r, networks=2).mean - limit).norm())
        for r in (Dipole(0.2, "normal", dtype="float64"), Dipole(0.1, "normal", dtype="float64"))
    ]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("response", [Dipole(), Dipole(100, at="normal"), Gradient(), Secant()])
def test_logistic_regression_by_closed_form(response):
    """f = w'x with w uniform in +-1/sqrt(D): C = I / (3 D), exactly for each network."""
    factory = architectures.factory("logreg", image_size=8)
    v = 2 * bases.random(5, (1, 8, 8), generator=torch.Generator().manual_seed(0))
    found = energies.energies(factory, v, response=response, networks=3)
    assert torch.allclose(found.samples, torch.full((3, 5), 4 / (3 * 64), dtype=torch.float64), rtol=2e-4)


def within(found: energies.Energies, expected: torch.Tensor, most: float = 4.5) -> bool:
    return bool(((found.mean - expected).abs() < most * found.errors + 1e-9).all())


def test_two_linear_layers_by_closed_form():
    """f = w'Ax with A (F, D), entries uniform in +-1/sqrt(D): F * 1/(3D) * 1/(3F) = 1/(9D); another constant fails."""

    def linear():
        return nn.Sequential(nn.Linear(24, 6, bias=False), nn.Linear(6, 1))

    v = bases.random(10, (24,), generator=torch.Generator().manual_seed(1))
    found = energies.energies(linear, v, networks=400)
    expected = torch.full((10,), 1 / (9 * 24), dtype=torch.float64)
    assert within(found, expected)
    assert not within(found, 2 * expected)
    assert not within(found, 1.3 * expected)


class Ring(nn.Module):
    """A graph network on a ring of n nodes: x <- act(A x W), A the mean of a node and its two neighbours."""

    def __init__(self, nodes: int, layers: int, act: nn.Module, pooled: bool = False):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(1 if i == 0 else 8, 8, bias=False) for i in range(layers)])
        self.act, self.pooled = act, pooled
        self.readout = nn.Linear(8 if pooled else 8 * nodes, 1)

    def forward(self, x):
        for layer in self.layers:
            x = self.act(layer((x.roll(1, 1) + x + x.roll(-1, 1)) / 3))
        return self.readout(x.mean(1) if self.pooled else x.flatten(1))


NODES = 16
RING = [(k, phase) for k in range(NODES // 2 + 1) for phase in bases.phases(k, 0, (NODES, 1))]
MODES = torch.stack([bases.wave(NODES, 1, k, 0, phase) for k, phase in RING])
"""(n, nodes, 1): Fourier modes, the eigenvectors of the ring's Laplacian."""


@pytest.mark.parametrize(("layers", "act"), [(1, nn.ReLU()), (2, nn.Identity())])
@pytest.mark.parametrize("response", [Dipole(), Dipole(3.0)])
def test_a_graph_network_on_a_ring_by_closed_form(layers, act, response):
    """A mode of frequency k is scaled by lambda_k = (1 + 2 cos(2 pi k / n)) / 3 in each layer.

    Torch draws a layer's weights with variance 1 / (3 inputs), so the channels' energy is 8/3 after the first layer and
    times 1/3 * 8/8 after each other; the read-out adds 1 / (3 * 8 n). One ReLU halves the response to a dipole at 0,
    relu(a) - relu(-a) = a, where the identity gives 2 a.
    """
    found = energies.energies(lambda: Ring(NODES, layers, act), MODES, response=response, networks=300)
    scale = torch.tensor([(1 + 2 * torch.cos(torch.tensor(2 * torch.pi * k / NODES))) / 3 for k, _ in RING])
    size = 8 / 3 / 3 ** (layers - 1) / (3 * 8 * NODES) * (0.25 if isinstance(act, nn.ReLU) else 1)
    assert within(found, size * scale.double() ** (2 * layers))
    assert not within(found, 1.3 * size * scale.double() ** (2 * layers))
    assert not within(found, size * scale.double() ** (2 * layers + 2))  # a layer too many


def test_a_pooled_ring_answers_to_the_constant_alone():
    found = energies.energies(lambda: Ring(NODES, 2, nn.Identity(), pooled=True), MODES, networks=4)
    assert float(found.mean[0]) > 1e-4
    assert float(found.mean[1:].max()) < 1e-10 * float(found.mean[0])


@pytest.mark.parametrize("response", [Dipole(100.0), Gradient(), Secant()])
def test_sequences_as_they_are(response):
    """(1, length) through 1-D convolutions, against derivatives and dipoles of each direction by themselves."""

    def sequence():
        return nn.Sequential(
            nn.Conv1d(1, 6, 5, stride=2), nn.ReLU(), nn.Conv1d(6, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 1)
        )

    v = bases.random(12, (1, 20), generator=torch.Generator().manual_seed(0))
    found = energies.energies(sequence, v, response=response, networks=3, seed=5)
    x = definitions.point(response, (1, 20), 5)
    for index in range(3):
        phi = architectures.build(sequence, 5, index)[:-1]

        def dipole(u, h, phi=phi):
            with torch.no_grad():
                return (phi((x + h * u)[None].float()) - phi((x - h * u)[None].float()))[0].double() / (2 * h)

        jacobian = torch.autograd.functional.jacobian(lambda z, phi=phi: phi(z[None])[0], x).flatten(1).double()
        if isinstance(response, Secant):
            jacobian = torch.stack([dipole(e.view(1, 20), 100.0) for e in torch.eye(20)], 1)
        slow = [dipole(u, 100.0) if isinstance(response, Dipole) else jacobian @ u.flatten() for u in v]
        expected = torch.stack([(s.square().sum() / (3 * 36)) for s in slow])
        assert torch.allclose(found.samples[index], expected, rtol=1e-3)


def convolutions():
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(16, 16, 3, stride=2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(144, 1)),
    )


def test_stated_errors_cover():
    """Of intervals from 8 networks, about 95 in 100 hold the mean of many networks; half as wide, far fewer."""
    v = bases.fourier(16, 16).pictures()[::23]
    truth = energies.energies(convolutions, v, networks=2000, seed=1)
    every = energies.energies(convolutions, v, networks=800, seed=2)
    groups = [energies.Energies(samples) for samples in every.samples.split(8)]

    def held(misses):
        return float(torch.stack(misses).double().mean())

    assert held([(low <= truth.mean) & (truth.mean <= high) for low, high in (g.interval() for g in groups)]) > 0.88
    assert held([(g.mean - truth.mean).abs() < 2.365 * g.errors / 2 for g in groups]) < 0.8  # t, 7 degrees of freedom
    expected, relative = truth.relative()[0], [g.relative() for g in groups]
    assert 0.86 < held([(ratios - expected).abs() < 2.365 * errors for ratios, errors in relative]) < 0.98
    assert held([(ratios - expected).abs() < 2.365 * errors / 2 for ratios, errors in relative]) < 0.8


def test_a_wave_whose_negative_is_a_shift_by_the_pooling_is_not_answered():
    """Pooled over every place, LeNet on 16 x 16 sees the same in v and -v: q(v) = 0 but for the constant."""
    factory = architectures.factory("lenet", image_size=16, width=0.5)
    basis = bases.fourier(16, 16)
    found = energies.energies(factory, basis.pictures()[basis.subgrid(4)], networks=3)
    assert float(found.mean[0]) > 0
    assert float(found.mean[1:].max()) < 1e-6 * float(found.mean[0])


def test_directions_made_as_they_are_needed():
    names = [(0, 0, "real"), (0, 4, "cos"), (3, 5, "sin")]
    waves = bases.Waves(32, 32, names)
    assert torch.equal(
        torch.stack([waves[i] for i in range(3)]), torch.stack([bases.wave(32, 32, *n)[None] for n in names])
    )
    found, plain = (energies.energies(LENET, d, networks=2) for d in (waves, torch.stack(list(waves))))
    assert torch.equal(found.samples, plain.samples)
    colours = bases.Waves(8, 8, [(1, 2, "cos")], colour=(1, -1, 0))[0]
    assert torch.allclose(colours, bases.fourier(8, 8).pictures((1, -1, 0))[bases.fourier(8, 8).index(1, 2)])
    with pytest.raises(ValueError, match="phase out of"):
        bases.Waves(8, 8, [(0, 0, "sin")])


LARGE = """
import resource, torch
import torchvision  # a library, and so before the measurement begins
from anisotropy import directions
from anisotropy.models import architectures
from anisotropy.nads import energies
torch.set_num_threads(1)
def used():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
make = architectures.factory("torchvision:mobilenet_v3_small", in_channels=3, image_size=224)
before = used()
waves = directions.Waves(224, 224, [(k, k, "cos") for k in range(1, 112, 3)], colour=(1, 1, 1))
for response in (energies.Dipole(), energies.Gradient()):
    assert energies.energies(make, waves, response=response, networks=1).mean.min() > 0
print((used() - before) / 2**20)
"""


def test_memory_at_224():
    """37 directions of 3 x 224 x 224 take a batch of images and not a basis: GiB above what the libraries take."""
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 2


def test_processes_change_nothing():
    one, two = (energies.energies(LENET, GRID[:4], networks=4, workers=n) for n in (1, 2))
    assert torch.allclose(one.samples, two.samples, rtol=1e-5)
    assert one.samples.shape == (4, 4)
    assert one.settings["response"] == "dipole"


def test_a_fourier_basis_is_taken_as_its_pictures():
    basis = bases.fourier(32, 32)
    found, pictures = (energies.energies(LENET, v, networks=1) for v in (basis, basis.pictures()))
    assert torch.equal(found.samples, pictures.samples)


def test_one_network_has_no_errors():
    found = energies.energies(LENET, GRID[:4], networks=1)
    assert bool(found.errors.isnan().all())
    assert bool(found.relative()[1].isnan().all())
    assert float(found.relative()[0].mean()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("directions", "options", "error", "message"),
    [
        (torch.zeros(0, 1, 32, 32), {}, ValueError, "at least one direction"),
        ("cos", {}, TypeError, "each direction"),
        (torch.zeros(2, 2, 1, 32, 32), {}, ValueError, "one to three axes"),
        (GRID, {"response": "dipole"}, TypeError, "Dipole()"),
        (GRID, {"response": Dipole(at=torch.zeros(3))}, ValueError, "an evaluation point of shape"),
        (torch.ones(1, 3, 64, 64), {"response": Secant()}, ValueError, "24,576 forward passes"),
        (GRID, {"networks": 0}, ValueError, "networks"),
        (torch.ones(1, 3, 20, 20), {}, ValueError, "refuses an input"),
    ],
)
def test_what_cannot_be_measured_says_why(directions, options, error, message):
    with pytest.raises(error, match=message):
        energies.energies(LENET, directions, **options)
