"""Inputs of one, two and three axes through the same functions, as they are: sequences, graphs, images."""

import anisotropy as an
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from anisotropy.directions import bases
from anisotropy.experiments import units
from anisotropy.kernels import exact
from anisotropy.nads import naming
from anisotropy.site import explorer
from torch import nn

SHAPES = [(24,), (1, 24), (6, 4), (2, 3, 4)]


class Perceptron(nn.Module):
    """A control that knows nothing of axes: the same weights whatever the shape."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(24, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, x):
        return self.layers(x.flatten(1))


def sequence(outputs: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv1d(8, 8, 5), nn.Flatten(), nn.Linear(48, outputs)
    )


class Ring(nn.Module):
    """Two layers of a graph network on a ring, x <- A x W, linear; every node is read."""

    def __init__(self, nodes: int = 12, outputs: int = 1):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 8, bias=False), nn.Linear(8, 8, bias=False)])
        self.readout = nn.Linear(8 * nodes, outputs)

    def forward(self, x):
        for layer in self.layers:
            x = layer((x.roll(1, 1) + x + x.roll(-1, 1)) / 3)
        return self.readout(x.flatten(1))


@pytest.mark.parametrize("response", [an.Secant(), an.Gradient(), an.Mixed()])
def test_axes_are_names_of_the_same_numbers(response):
    """A network that flattens its input has the same covariance for every shape of 24 numbers."""
    x = torch.randn(24, generator=torch.Generator().manual_seed(0))
    found = [
        an.estimate(Perceptron, shape, type(response)(at=x.view(shape)), networks=4, symmetry="none")
        for shape in SHAPES
    ]
    for one, shape in zip(found, SHAPES, strict=True):
        assert one.directions.shape == (24, *shape)
        assert torch.allclose(one.covariance(), found[0].covariance(), rtol=1e-4, atol=1e-9)


def test_a_graph_network_on_a_ring_by_closed_form():
    """C = A^4 (x) I times 2-D constants, A the circulant mean over neighbours: Fourier modes, filter^4.

    Layers of torch have weights of variance 1 / (3 inputs): 8 / 6 after the first, times 1/3, and 1 / (3 * 96) at last.
    """
    found = an.estimate(Ring, (12, 2), an.Gradient(), networks=400)
    mean = (torch.eye(12) + torch.eye(12).roll(1, 0) + torch.eye(12).roll(-1, 0)).double() / 3
    expected = torch.kron(torch.linalg.matrix_power(mean, 4), torch.eye(2).double()) * 8 / 6 / 3 / (3 * 96)
    assert float((found.covariance() - expected).norm() / expected.norm()) < 0.06
    assert float((found.covariance() - expected.roll(1, 0)).norm() / expected.norm()) > 0.5
    k = torch.arange(12)
    values = ((1 + 2 * torch.cos(2 * torch.pi * k / 12)) / 3).double().pow(4).repeat_interleave(2).sort(descending=True)
    error = (found.eigenvalues - values.values * 8 / 6 / 3 / (3 * 96)).abs() / expected.diagonal().mean()
    assert float(error.max()) < 0.15
    v = torch.kron(bases.wave(12, 1, 3, 0, "cos"), torch.tensor([[1.0, 0.0]]))[None]
    assert float(found.energy(v)) == pytest.approx(float(an.energies(Ring, v, networks=400).mean), rel=0.15)


@pytest.mark.parametrize("shape", SHAPES)
def test_energies_agree_with_the_covariance(shape):
    """Other networks: within the stated errors of both."""
    v = an.random_directions(30, shape, generator=torch.Generator().manual_seed(3))
    dense = an.estimate(Perceptron, shape, an.Gradient(at="zero"), networks=200, symmetry="none", seed=1)
    found = an.energies(Perceptron, v, response=an.Gradient(at="zero"), networks=60, seed=2)
    z = (found.mean - dense.energy(v)) / found.errors
    assert float(z.abs().max()) < 5
    assert float(((found.mean - 1.5 * dense.energy(v)) / found.errors).abs().max()) > 5


@pytest.mark.parametrize("shape", SHAPES)
def test_nads_are_kept_and_shown(shape, tmp_path):
    found = an.estimate(Perceptron, shape, networks=8, symmetry="none")
    again = an.load(found.save(tmp_path / "mine.safetensors"))
    assert torch.equal(again.directions, found.directions)
    assert again.settings == found.settings
    assert found.settings["input_shape"] == list(shape)
    assert str(shape) in repr(again)
    table = found.to_xarray()
    assert table.directions.shape == (24, *shape)
    assert (
        table.directions.dims[1:]
        == {1: ("axis_0",), 2: ("axis_0", "axis_1"), 3: ("channel", "row", "column")}[len(shape)]
    )
    table.to_netcdf(tmp_path / "mine.nc")
    other = an.estimate(Perceptron, shape, networks=8, seed=1, symmetry="none")
    assert float(an.compare({"a": found, "b": other}, k=2).table.overlap[0, 1]) == pytest.approx(
        found.overlap(other, 2)
    )
    figure = found.plot([0, 3])
    drawn = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in drawn] == ["0", "3"]
    if len(shape) < 3:  # a line for each place on the shorter axis, and one at 0
        lines = drawn[1].lines[:-1]
        assert len(lines) == (min(shape) if len(shape) == 2 else 1)
        shown = np.stack([line.get_ydata() for line in lines])
        assert np.allclose(np.sort(shown.ravel()), np.sort(found.directions[3].numpy().ravel()))
    assert len(found.spectrum(plt.figure().gca()).lines[0].get_xdata()) == 24
    plt.close("all")


def test_two_long_axes_are_a_map():
    identity = an.Nads(torch.ones(2).double(), torch.eye(100)[:2].view(2, 10, 10), 1)
    (ax, *_) = identity.plot([1]).axes
    assert ax.images[0].get_array().shape == (10, 10)
    plt.close("all")


def test_the_leading_directions_of_a_long_sequence():
    def long():
        return nn.Sequential(
            nn.Conv1d(1, 4, 9, stride=4), nn.Tanh(), nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(16, 1)
        )

    whole = an.estimate(long, (1, 200), an.Gradient(), networks=20)
    leading = an.estimate(long, (1, 200), an.Gradient(), networks=20, rank=8)
    assert leading.directions.shape == (8, 1, 200)
    assert whole.overlap(leading, 4) > 0.99
    assert leading.trace == pytest.approx(whole.trace)
    with pytest.raises(ValueError, match="expected directions of one shape"):
        whole.overlap(an.estimate(long, (1, 204), an.Gradient(), networks=2), 4)


@pytest.mark.parametrize(("network", "shape"), [(sequence, (1, 24)), (Ring, (12, 2))])
def test_training_follows_and_is_found_again(network, shape, tmp_path):
    """Along what fresh networks answer to most and least; the second call computes nothing, from equal directions."""
    found = an.estimate(network, shape, an.Gradient(), networks=30)
    chosen = found.directions[[0, 1, -1]]

    def sweep(directions):
        return an.sweep(
            lambda: network(outputs=2), directions, name="mine", store=tmp_path, sigma=1.0, train_samples=600,
            test_samples=500, recipe=an.Recipe(epochs=4, batch_size=32), progress=False,
        )  # fmt: skip

    table = sweep(chosen)
    accuracy = table.test_accuracy.values[:, 0]
    assert accuracy[:2].min() > accuracy[2] + 0.15
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    stamps = [path.stat().st_mtime_ns for path in files if path.suffix != ".nc"]
    again = sweep(chosen.numpy())
    assert np.array_equal(again.seconds, table.seconds)  # as stored
    assert [path.stat().st_mtime_ns for path in files if path.suffix != ".nc"] == stamps
    x, y = an.sample(chosen[0], 500, sigma=1.0, generator=torch.Generator().manual_seed(0))
    assert x.shape == (500, *shape)
    side = (x * chosen[0]).flatten(1).sum(1)
    assert torch.allclose(side, 2.0 * y - 1, atol=1e-4)


def test_what_a_direction_is_called():
    wave = bases.wave(1, 24, 0, 3, "sin")
    for direction in (wave, wave[0], wave[None]):
        rounded = units.rounded(direction[None])[0]
        name = naming.identity(rounded)
        assert name == {"kind": "fourier", "ky": 0, "kx": 3, "phase": "sin"}
        assert torch.allclose(naming.made_from(name, tuple(direction.shape)), direction)
    for other in (wave.T, an.random_directions(1, (1, 24), generator=torch.Generator().manual_seed(0))[0]):
        assert naming.identity(units.rounded(other[None])[0])["kind"] == "given"


@pytest.mark.parametrize("given", [torch.ones(4), torch.ones(2, 1, 1, 2, 2), torch.ones(0, 4)])
def test_directions_of_other_axes_are_refused(given, tmp_path):
    with pytest.raises(ValueError, match=r"\(K, \*shape\).*one to three axes"):
        an.sweep(lambda: nn.Linear(4, 2), given, name="x", store=tmp_path)


def test_what_is_for_images_says_so(tmp_path):
    found = an.estimate(sequence, (1, 24), networks=2)
    assert found.settings["symmetry"] == [""]
    path = found.save(tmp_path / "mine.safetensors")
    with pytest.raises(ValueError, match=r"shows NADs of images \(C, H, W\), these are of inputs of shape \(1, 24\)"):
        explorer.data([], nad_files=[path])
    with pytest.raises(ValueError, match=r"known for images \(C, H, W\), got the shape \(1, 24\)"):
        exact.infinite_width(sequence, (1, 24))
    with pytest.raises(ValueError, match=r"directions of shape \(K, 1, 24\), got \(1, 24, 1\)"):
        found.energy(torch.ones(1, 24, 1))
    with pytest.raises(ValueError, match=r"refuses an input of shape \(24, 1\): .*shape="):
        an.estimate(sequence, (24, 1), networks=2)
