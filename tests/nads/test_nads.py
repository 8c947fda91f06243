"""NADs: closed forms, unbiasedness, convergence, resuming, files, and the low-rank route."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from anisotropy import nads
from anisotropy.models import architectures
from anisotropy.nads import Gradient, Mixed, Secant, Until, compare, covariances
from anisotropy.nads.covariances import DenseCovariance, LowRankCovariance
from anisotropy.nads.result import Nads, read_tensors, write_tensors
from anisotropy.nads.symmetry import spatial
from safetensors.torch import save
from torch import nn

SMALL = {"image_size": 16, "width": 0.5}


@pytest.fixture(scope="module")
def lenet():
    return architectures.factory("lenet", **SMALL)


@pytest.fixture(scope="module")
def measured(lenet):
    return nads.estimate(lenet, networks=16, seed=3)


def test_logistic_regression_has_no_preferred_direction():
    """C = I / (3 D) exactly, for torch's uniform weights (findings on the released code, and by hand)."""
    found = nads.estimate(architectures.factory("logreg"), networks=4)
    assert torch.allclose(found.eigenvalues, torch.full((1024,), 1 / (3 * 1024), dtype=torch.float64), rtol=1e-3)
    assert found.networks == 4


def test_sampled_logistic_regression_fills_the_marchenko_pastur_band():
    """Without averaging over the read-out only noise is left, and it has the spectrum that theory gives noise."""
    factory = architectures.factory("logreg", image_size=16)
    found = nads.estimate(factory, response=Gradient(integrate_readout=False), networks=1000, symmetry="none")
    low, high = compare.marchenko_pastur_band(1000, 256, 1 / (3 * 256))
    assert float(found.eigenvalues[0]) == pytest.approx(high, rel=0.08)
    assert float(found.eigenvalues[-1]) == pytest.approx(low, rel=0.15)
    assert float(found.eigenvalues[0] / found.eigenvalues[-1]) > 5  # though the truth is 1


class DeepLinearPooling(nn.Module):
    """f = theta^T A (m * phi * x) of Sec. 2.2, with A = [I_M ... I_M] / sqrt(S) and unit variances."""

    m = torch.linspace(1, 0.1, 64)

    def __init__(self):
        super().__init__()
        self.phi = nn.Parameter(torch.randn(64))
        self.theta = nn.Linear(16, 1, bias=False)
        nn.init.normal_(self.theta.weight)

    def forward(self, x):
        return self.theta((self.m * self.phi * x.flatten(1)).view(-1, 4, 16).sum(1) / 2)


@pytest.mark.parametrize("response", [Secant(step=1.0), Gradient()])
def test_deep_linear_pooling_has_the_covariance_of_eq_4(response):
    """sigma_phi^2 sigma_theta^2 / S diag(m^2) with S = 4 (the printed Eq. 4 lacks 1/S)."""
    expected = torch.diag(DeepLinearPooling.m**2 / 4).double()
    errors = []
    for networks in (100, 1600):
        found = nads.estimate(DeepLinearPooling, (1, 8, 8), response, networks=networks, symmetry="none", seed=1)
        errors.append(float((found.covariance() - expected).norm() / expected.norm()))
    assert errors[1] < 0.15
    assert errors[1] < errors[0] / 2.5  # 1/sqrt(N): by 4 in the mean
    assert float(4 * found.covariance().trace() / (DeepLinearPooling.m**2).sum()) == pytest.approx(1, rel=0.1)


def test_deep_linear_pooling_mixed_has_the_trace_of_eq_5():
    """(sigma_theta^2 + sigma_phi^2) / S diag(m^2), again with 1/S on both."""
    found = nads.estimate(DeepLinearPooling, (1, 8, 8), Mixed(), networks=600, symmetry="none")
    expected = torch.diag(2 * DeepLinearPooling.m**2 / 4).double()
    assert float((found.covariance() - expected).norm() / expected.norm()) < 0.15


def test_averaging_over_the_readout_keeps_the_mean_and_lowers_the_noise(lenet):
    truth = nads.estimate(lenet, networks=800, seed=100, symmetry="none").covariance()
    errors = {}
    for integrate in (True, False):
        response = Secant(integrate_readout=integrate)
        found = nads.estimate(lenet, response=response, networks=200, seed=1, symmetry="none").covariance()
        errors[integrate] = float((found - truth).norm() / truth.norm())
        assert float(found.trace() / truth.trace()) == pytest.approx(1, abs=0.15)
    assert errors[False] < 0.8  # it converges to the same matrix ...
    assert (
        errors[True] < errors[False] / 1.7
    )  # ... faster, though some of what is measured here is the truth's own noise


def test_plain_networks_is_how_many_plain_samples_it_takes(lenet):
    """As many plain samples as it says are as good as the estimate, and a sixth of them is clearly worse."""
    truth = nads.estimate(lenet, networks=500, seed=50, symmetry="none")
    plain = Secant(integrate_readout=False)
    ours = nads.estimate(lenet, networks=24, seed=2, symmetry="none")
    missing = lambda found: 1 - found.overlap(truth, 20)  # noqa: E731
    same, fewer = (
        nads.estimate(lenet, response=plain, networks=round(n), seed=7, symmetry="none")
        for n in (ours.plain_networks[20], ours.plain_networks[20] / 6)
    )
    assert ours.plain_networks[20] > 24
    assert 0.5 < missing(same) / missing(ours) < 2
    assert missing(fewer) > 1.5 * missing(ours)


def test_verified_symmetry_helps_and_a_wrong_one_harms():
    lenet = architectures.factory("lenet", **SMALL)
    truth = nads.estimate(lenet, networks=400, seed=100)
    plain, averaged = (nads.estimate(lenet, networks=12, symmetry=s) for s in ("none", "auto"))
    assert averaged.overlap(truth, 20) > plain.overlap(truth, 20) + 0.05

    class Banded(nn.Module):
        """Sees horizontal detail only: no transposition."""

        def __init__(self):
            super().__init__()
            self.conv, self.readout = nn.Conv2d(1, 16, (1, 5)), nn.Linear(16, 1)

        def forward(self, x):
            return self.readout(torch.relu(self.conv(x)).amax((2, 3)))

    truth = nads.estimate(Banded, (1, 8, 8), Secant(1.0, "zero"), networks=300, seed=5)
    assert "t" not in truth.settings["symmetry"]
    right = nads.estimate(Banded, (1, 8, 8), Secant(1.0, "zero"), networks=300)
    wrong = nads.estimate(Banded, (1, 8, 8), Secant(1.0, "zero"), networks=300, symmetry=("t",))
    error = lambda found: float((found.covariance() - truth.covariance()).norm())  # noqa: E731
    assert error(wrong) > 1.3 * error(right) or wrong.overlap(truth, 8) < right.overlap(truth, 8)


def test_directions_are_orthonormal_and_eigenvalues_decrease(measured):
    gram = measured.rows.double() @ measured.rows.double().T
    assert torch.allclose(gram, torch.eye(256, dtype=torch.float64), atol=1e-5)
    assert bool((measured.eigenvalues.diff() <= 1e-18).all())
    assert measured.directions.shape == (256, 1, 16, 16)
    assert bool((measured.eigenvalue_errors >= 0).all())


def test_energy_is_the_quadratic_form(measured):
    v = torch.nn.functional.normalize(torch.randn(5, 256, dtype=torch.float64), dim=1)
    expected = ((v @ measured.covariance()) * v).sum(1)
    assert torch.allclose(measured.energy(v.view(5, 1, 16, 16)), expected)
    assert torch.allclose(
        measured.energy(measured.directions), measured.eigenvalues, atol=1e-6 * measured.eigenvalues[0]
    )


def test_eigenvalue_errors_cover_the_spread_between_seeds(lenet):
    several = [nads.estimate(lenet, networks=32, seed=s, symmetry="none") for s in range(8)]
    spread = torch.stack([n.eigenvalues[:10] for n in several]).std(0).mean()
    claimed = torch.stack([n.eigenvalue_errors[:10] for n in several]).mean()
    assert 0.4 < float(claimed / spread) < 2.5


def test_the_overlap_with_the_truth_lies_in_the_range_that_the_halves_give(lenet):
    truth = nads.estimate(lenet, networks=1000, seed=77)
    found = nads.estimate(lenet, networks=48, seed=1)
    for k in (10, 50, 100):
        low, high = found.overlap_range(k)
        assert low == found.split_half[k] < found.overlap(truth, k) < high + 0.02
    with pytest.raises(KeyError, match="measured at k"):
        found.overlap_range(33)


@pytest.mark.parametrize("samples", [20, 100, 1000])
@pytest.mark.parametrize(
    "spectrum",
    [1 / np.arange(1, 41), np.exp(-np.arange(40) / 10), np.linspace(2, 1, 40), np.r_[np.full(5, 5.0), np.ones(35)]],
    ids=["power", "exponential", "linear", "five large ones"],
)
def test_the_range_holds_for_covariances_of_any_spectrum_however_little_is_known(spectrum, samples):
    """Sample covariances, whose leading subspaces are compared with the true ones: from hardly known to known well."""
    generator = np.random.default_rng(0)

    def leading(covariance):
        return np.linalg.eigh(covariance)[1][:, :-6:-1]

    found = []
    for _ in range(100):
        x = generator.standard_normal((samples, 40)) * spectrum**0.5
        one, other = x[::2].T @ x[::2], x[1::2].T @ x[1::2]
        halves = np.square(leading(one).T @ leading(other)).sum() / 5
        found.append((halves, np.square(leading(one + other)[:5]).sum() / 5))
    halves, truth = np.mean(found, axis=0)
    low, high = compare.overlap_with_truth(halves)
    assert low < truth < high + 0.02


def test_one_process_and_several_give_the_same(lenet, measured):
    several = nads.estimate(lenet, networks=16, seed=3, workers=2)
    assert torch.equal(several.eigenvalues, measured.eigenvalues)
    assert torch.equal(several.directions, measured.directions)


def test_auto_stops_at_its_target_and_says_when_it_cannot(lenet):
    found = nads.estimate(lenet, networks=Until(10, 0.8, most=200))
    assert found.curve[-1][2] >= 0.8 > found.curve[0][2]
    assert found.networks == found.curve[-1][0] < 200
    with pytest.warns(UserWarning, match=r"raise Until\(most=...\)"):
        short = nads.estimate(lenet, networks=Until(10, 0.999, most=6))
    assert short.networks == 6
    again = nads.estimate(lenet, networks=found.networks)
    assert torch.equal(again.eigenvalues, found.eigenvalues)


KILLED = """
import sys, torch
from anisotropy import nads
from anisotropy.models import architectures
from anisotropy.nads import running
torch.set_num_threads(1)
running.SAVE_EVERY = 0.0
nads.estimate(architectures.factory("lenet", image_size=16, width=0.5), networks=5000, seed=3, state=sys.argv[1])
"""


def test_a_killed_run_goes_on_to_the_same_result(lenet, tmp_path):
    state = tmp_path / "state.safetensors"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(state)])
    deadline = time.monotonic() + 120
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, known = nads_state(state)
    goal = known["count"] + 5
    resumed = nads.estimate(lenet, networks=goal, seed=3, state=state)
    whole = nads.estimate(lenet, networks=goal, seed=3)
    assert 0 < known["count"] < 5000
    assert torch.equal(resumed.eigenvalues, whole.eigenvalues)
    assert torch.equal(resumed.directions, whole.directions)


def nads_state(path):
    from anisotropy.nads.result import read_tensors

    return read_tensors(path)


def test_a_failing_network_leaves_the_state(lenet, tmp_path):
    calls = iter(range(10_000))

    def failing():
        network = lenet()
        if next(calls) > 40:
            nn.init.constant_(network.readout.weight, math.nan)
            nn.init.constant_(network.fc2.weight, math.nan)
        return network

    state = tmp_path / "s.safetensors"
    with pytest.raises(FloatingPointError, match=r"network \d+ of seed 0: a network's response is not finite"):
        nads.estimate(failing, SHAPE, networks=100, state=state, symmetry="none")
    assert nads_state(state)[1]["count"] > 5


SHAPE = (1, 16, 16)


def test_a_state_of_another_estimate_is_refused_and_a_broken_one_redone(lenet, tmp_path):
    state = tmp_path / "s.safetensors"
    nads.estimate(lenet, networks=2, state=state)
    with pytest.raises(ValueError, match=r"differs in step \(there 100.0, here 5.0\)"):
        nads.estimate(lenet, response=Secant(5.0), networks=2, state=state)
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="starting afresh"):
        assert nads.estimate(lenet, networks=2, state=state).networks == 2


def test_low_rank_route_agrees_with_the_dense_one(lenet):
    dense = nads.estimate(lenet, response=Gradient(), networks=24, seed=1)
    sketched = nads.estimate(lenet, response=Gradient(), networks=24, seed=1, rank=20)
    assert sketched.directions.shape == (20, 1, 16, 16)
    # The sketch of a slowly decaying spectrum is approximate; the energy that it captures is what it is for.
    best, found = (compare.energy_captured(n.directions, dense.covariance(), 20) for n in (dense, sketched))
    assert found > 0.95 * best
    assert torch.allclose(sketched.eigenvalues[:5], dense.eigenvalues[:5], rtol=0.1)
    gram = sketched.rows.double() @ sketched.rows.double().T
    assert torch.allclose(gram, torch.eye(20, dtype=torch.float64), atol=1e-5)


def test_the_sketch_is_exact_where_the_rows_span_little():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(6, 8, 100, generator=generator)[:, :, :] * torch.tensor([10.0] * 10 + [0.0] * 90)
    dense, sketch = DenseCovariance((1, 10, 10)), LowRankCovariance((1, 10, 10), rank=10)
    for r in rows:
        dense.add(r)
        sketch.add(r)
    a, b = dense.eigen(), sketch.eigen()
    assert torch.allclose(a.eigenvalues[:10], b.eigenvalues, rtol=1e-4)
    assert compare.overlap(a.directions, b.directions, 10) == pytest.approx(1, abs=1e-6)


def test_the_sketch_does_not_depend_on_its_blocks(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    sketch = LowRankCovariance((1, 10, 10), ("", "t"), rank=4)
    for _ in range(20):
        sketch.add(torch.randn(6, 100, generator=generator) * torch.logspace(0, -2, 100))
    whole = sketch.eigen()
    spread = sketch.spread(whole.directions)
    monkeypatch.setattr(covariances, "BLOCK", 7)
    blocks = sketch.eigen()
    assert torch.allclose(blocks.eigenvalues, whole.eigenvalues, rtol=1e-9)
    assert torch.allclose(blocks.directions, whole.directions, atol=1e-7)
    assert torch.allclose(sketch.spread(whole.directions), spread, rtol=1e-6)


def test_a_part_that_networks_share_stays_as_it_is():
    """A factory may put the same frozen layers under each read-out: then networks are copied."""
    shared = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    made = nads.estimate(
        lambda: nn.Sequential(shared, nn.Linear(256, 16), nn.Tanh(), nn.Linear(16, 1)),
        (1, 8, 8),
        Secant(dtype="bfloat16"),
        networks=3,
        symmetry="none",
    )
    assert made.networks == 3
    assert isinstance(shared[1], nn.BatchNorm2d)
    assert all(p.dtype == torch.float32 and p.requires_grad for p in shared.parameters())


def test_large_images_take_little_memory():
    """3 x 96 x 96 = 27,648 pixels: D x D in float64 would be 6 GB."""
    factory = architectures.factory("torchvision:resnet18", in_channels=3, image_size=96)
    found = nads.estimate(factory, response=Gradient(draws=4), networks=3, rank=5)
    assert found.directions.shape == (5, 3, 96, 96)
    assert found.settings["symmetry"] == ["", "t", "c"]


def test_overlap_and_energy():
    eye = torch.eye(6)
    assert compare.overlap(eye, eye[[1, 0, 2, 3, 4, 5]], 2) == 1.0
    assert compare.overlap(eye[:2], eye[2:4], 2) == 0.0
    q = torch.linalg.qr(torch.randn(200, 200, generator=torch.Generator().manual_seed(0)))[0]
    assert compare.overlap(torch.eye(200), q, 20) == pytest.approx(0.1, abs=0.03)  # k / D for unrelated ones
    assert compare.energy_captured(eye, torch.diag(torch.tensor([3.0, 1, 0, 0, 0, 0])), 1) == 0.75
    with pytest.raises(ValueError, match="1 <= k <= 6"):
        compare.overlap(eye, eye, 7)
    with pytest.raises(ValueError, match="same space"):
        compare.overlap(eye, torch.eye(5), 2)


def test_alignment_compares_preferences():
    a, b = torch.diag(torch.tensor([3.0, 1, 1, 1])), torch.diag(torch.tensor([1.0, 3, 1, 1]))
    assert compare.alignment(a, 7 * a + torch.eye(4)) == pytest.approx(1)  # neither scale nor an isotropic part matter
    assert compare.alignment(a, b) == pytest.approx(-1 / 3)
    with pytest.warns(UserWarning, match="multiple of the identity.*NaN"):
        assert math.isnan(compare.alignment(a, torch.eye(4)))
    nearly = torch.eye(10_000, dtype=torch.float64)  # what rounding of float32 leaves is no preference
    nearly += 2e-8 * torch.diag(torch.randn(10_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    with pytest.warns(UserWarning, match="multiple of the identity"):
        assert math.isnan(compare.alignment(nearly, nearly))
    pair = [nads.estimate(architectures.factory("logreg", image_size=8), networks=2, seed=s) for s in (0, 1)]
    with pytest.warns(UserWarning, match="logistic regression"):
        assert math.isnan(pair[0].alignment(pair[1]))


def test_saved_and_loaded_is_the_same(measured, tmp_path):
    path = measured.save(tmp_path / "deep" / "lenet.safetensors")
    loaded = nads.load(path)
    assert torch.equal(loaded.directions, measured.directions)
    assert torch.equal(loaded.eigenvalues, measured.eigenvalues)
    assert loaded.split_half == measured.split_half
    assert loaded.plain_networks == measured.plain_networks
    assert loaded.settings == measured.settings
    assert b"pickle" not in path.read_bytes()[:2000]


def test_files_that_cannot_be_are_named(measured, tmp_path):
    with pytest.raises(FileNotFoundError, match="did you mean 'lenet'"):
        nads.load("lenett")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(measured.save(tmp_path / "whole.safetensors").read_bytes()[:-50])
    with pytest.raises(ValueError, match="cut short"):
        nads.load(broken)
    pickled = tmp_path / "p.safetensors"
    torch.save({"a": torch.zeros(2)}, pickled)
    with pytest.raises(ValueError, match="not a file written by"):
        nads.load(pickled)
    altered = tmp_path / "altered.safetensors"
    Nads(measured.eigenvalues, measured.directions * 1.1, 2).save(altered)
    with pytest.raises(ValueError, match="not orthonormal"):
        nads.load(altered)
    other = write_tensors(tmp_path / "other.safetensors", {"a": torch.zeros(2)}, {})
    with pytest.raises(ValueError, match="holds no"):
        nads.load(other)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_an_error_that_names_it(measured, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="could not write"):
        measured.save(tmp_path / "x.safetensors")


@pytest.mark.parametrize("name", ["logreg", "lenet", "vgg11", "resnet18", "densenet121"])
def test_the_five_networks_nads_come_with_the_package(name):
    shipped = nads.load(name)
    assert shipped.directions.shape == (1024, 1, 32, 32)
    assert shipped.settings["architecture"]["name"] == name
    assert shipped.settings["method"] == "secant"
    assert name == "logreg" or shipped.overlap_range(10)[0] > 0.8


def test_shipped_lenet_is_what_the_code_measures():
    shipped = nads.load("lenet")
    fresh = nads.estimate(architectures.factory("lenet"), networks=50, seed=11)
    assert fresh.overlap(shipped, 10) > 0.93
    assert fresh.overlap(shipped, 50) > 0.90


def published_like(folder, rows, values):
    (folder / "NADs").mkdir()
    np.save(folder / "NADs" / "LeNet_NADs.npy", rows)
    np.save(folder / "NADs" / "LeNet_eigenvals.npy", values)
    return folder


def test_published_files_are_completed_and_turned_into_eigenvalues(tmp_path):
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 16)))[0].astype(np.float32)
    folder = published_like(tmp_path, q[:15], np.full(16, 2.0, np.float32))
    found = nads.load_published(folder, "lenet", samples=101)
    assert found.directions.shape == (16, 1, 4, 4)
    assert abs(float(found.rows[15] @ torch.from_numpy(q[15]))) == pytest.approx(1, abs=1e-4)
    assert torch.allclose(found.eigenvalues, torch.full((16,), 0.04, dtype=torch.float64))
    with pytest.raises(FileNotFoundError, match="found: LeNet"):
        nads.load_published(folder, "ResNet18")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"networks": 0}, "networks .* at least 1"),
        ({"networks": "many"}, "networks .* at least 1"),
        ({"response": Gradient(at=torch.zeros(3))}, "evaluation point of shape"),
        ({"response": Secant(math.inf)}, "step as a finite number"),
        ({"workers": 0}, "workers"),
        ({"symmetry": ("t", "h")}, "form a group"),
        ({"networks": Until(10, 0.9), "rank": 5}, "k <= rank = 5"),
    ],
)
def test_bad_arguments_are_named(lenet, arguments, message):
    with pytest.raises(ValueError, match=message):
        nads.estimate(lenet, **arguments)


def test_a_factory_without_a_shape_needs_one_and_a_vector_output_is_refused():
    with pytest.raises(ValueError, match=r"expected shape=\(C, H, W\)"):
        nads.estimate(DeepLinearPooling)
    with pytest.raises(ValueError, match="num_outputs=1"):
        nads.estimate(architectures.factory("lenet", num_outputs=2), networks=2)
    with pytest.raises(ValueError, match="makes networks for inputs"):
        nads.estimate(architectures.factory("lenet"), (1, 28, 28), networks=2)


def test_a_factory_that_returns_one_network_is_refused():
    network = architectures.factory("lenet", **SMALL)()
    with pytest.raises(ValueError, match="the same weights twice"):
        nads.estimate(lambda: network, SHAPE, networks=2)


def test_nothing_is_warned_about_in_a_normal_run(lenet):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nads.estimate(lenet, networks=2)


def test_at_an_image_only_the_symmetries_of_the_image_are_averaged_over():
    """LeNet has all eight; an image that is empty on its left half has one of them, and answers on its right half."""
    factory = architectures.factory("lenet", image_size=16)
    image = torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(0))
    image = (image + image.flip(-2)) / 2
    image[..., :8] = 0
    arguments = {"response": Gradient(at=image), "networks": 4}
    found = nads.estimate(factory, **arguments)
    assert found.settings["symmetry"] == ["", "v"]
    energy = nads.estimate(factory, **arguments, symmetry="none").covariance().diagonal().view(16, 16)
    assert found.covariance().diagonal().view(16, 16)[:, :8].sum() == pytest.approx(float(energy[:, :8].sum()))


def test_a_state_with_more_networks_is_used_by_auto_and_refused_by_a_number(tmp_path):
    factory = architectures.factory("logreg", image_size=4)
    arguments = {"state": tmp_path / "state.safetensors"}
    nads.estimate(factory, networks=20, **arguments)
    found = nads.estimate(factory, networks=Until(3, 0.01, most=10), **arguments)
    assert found.networks == 20
    with pytest.raises(ValueError, match="holds 20 networks, and networks=4"):
        nads.estimate(factory, networks=4, **arguments)


def test_a_state_is_recognised_whatever_the_arguments_of_the_factory(tmp_path):
    made = architectures.Factory(
        "own", (1, 4, 4), {"sizes": (8, 2)}, architectures.factory("logreg", image_size=4)._make
    )
    arguments = {"state": tmp_path / "state.safetensors"}
    nads.estimate(made, networks=2, **arguments)
    assert nads.estimate(made, networks=4, **arguments).networks == 4


def test_networks_that_answer_to_nothing_are_named():
    class Deaf(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.readout = torch.nn.Linear(16, 1)

        def forward(self, x):
            return self.readout(0 * x.flatten(1))

    with pytest.raises(ValueError, match="every response is zero"):
        nads.estimate(Deaf, (1, 4, 4), networks=4, rank=5, symmetry="none")


@pytest.fixture
def handled():
    """Set how this process handles Ctrl-C: one that a shell started in the background ignores it."""
    before = signal.getsignal(signal.SIGINT)
    yield lambda handler: signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_that_is_ignored_stays_ignored(handled, monkeypatch):
    handled(signal.SIG_IGN)
    add = covariances.DenseCovariance.add

    def interrupted(self, rows):
        add(self, rows)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(covariances.DenseCovariance, "add", interrupted)
    factory = architectures.factory("logreg", image_size=4)
    assert nads.estimate(factory, networks=2).networks == 2
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize("rank", [None, 5])
def test_an_interrupt_in_the_middle_of_an_addition_leaves_a_state_to_go_on_from(tmp_path, monkeypatch, handled, rank):
    """Ctrl-C comes after the sum and before the count; a state of both would hold that network twice."""
    factory = architectures.factory("logreg", image_size=4)
    arguments = {"response": Secant(integrate_readout=False), "networks": 4, "symmetry": "none", "rank": rank}
    arguments["state"] = tmp_path / "state.safetensors"
    expected = nads.estimate(factory, **{**arguments, "state": None})
    handled(signal.default_int_handler)
    kind = covariances.LowRankCovariance if rank else covariances.DenseCovariance
    add, calls = kind.add, []

    def interrupted(self, rows):
        add(self, rows)
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
            self.counts[1] += 0  # what is left to do when the signal comes

    monkeypatch.setattr(kind, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        nads.estimate(factory, **arguments)
    monkeypatch.setattr(kind, "add", add)
    found = nads.estimate(factory, **arguments)
    assert torch.equal(found.eigenvalues, expected.eigenvalues)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_addition_that_fails_half_way_is_not_saved(tmp_path, monkeypatch):
    factory = architectures.factory("logreg", image_size=4)
    state = tmp_path / "state.safetensors"
    add = covariances.DenseCovariance.add

    def failing(self, rows):
        add(self, rows)
        raise MemoryError

    monkeypatch.setattr(covariances.DenseCovariance, "add", failing)
    with pytest.raises(MemoryError):
        nads.estimate(factory, networks=2, state=state)
    assert not state.exists()


def test_finished_nads_are_no_state(tmp_path):
    factory = architectures.factory("logreg", image_size=4)
    path = nads.estimate(factory, networks=2).save(tmp_path / "mine.safetensors")
    with pytest.raises(ValueError, match="holds finished NADs"):
        nads.estimate(factory, networks=4, state=path)


class Mine(torch.nn.Module):
    """A small network with something wrong."""

    def __init__(self, wrong=""):
        super().__init__()
        self.wrong = wrong
        self.conv = torch.nn.Conv2d(1, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4, track_running_stats=wrong != "batch")
        self.readout = torch.nn.Linear(4, 10 if wrong == "ten" else 1)
        if wrong == "numpy":
            with torch.no_grad():
                self.conv.weight.copy_(torch.from_numpy(np.random.default_rng().normal(size=(4, 1, 3, 3))))

    def forward(self, x):
        x = self.norm(self.conv(x))
        if self.wrong == "dropout":
            x = torch.nn.functional.dropout(x, 0.5)
        if self.wrong == "no_grad":
            x = x.detach()
        x = self.readout(torch.relu(x).mean((2, 3)))
        return x.softmax(1) if self.wrong == "softmax" else x


@pytest.mark.filterwarnings("ignore:the network does not end in one linear layer")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("numpy", "other weights from the same seed"),
        ("dropout", "differently to the same image"),
        ("batch", "depends on the others in its batch"),
        ("ten", "last layer with one output"),
        ("softmax", "every response is zero"),
        ("no_grad", r"take Secant\(\)"),
        ("double", "its weights are torch.float64"),
    ],
)
def test_networks_that_cannot_be_measured_are_told_why(wrong, message):
    arguments = {"response": Gradient() if wrong == "no_grad" else Secant(), "networks": 2}
    make = (lambda: Mine().double()) if wrong == "double" else lambda: Mine(wrong)
    with pytest.raises(ValueError, match=message):
        nads.estimate(make, (1, 8, 8), **arguments)
    nads.estimate(Mine, (1, 8, 8), **arguments)


def truncated(covariance, k, trace):
    """The leading k eigenpairs of a covariance of 4 x 4 pixels, as an estimate that kept no more."""
    values, vectors = torch.linalg.eigh(covariance)
    return Nads(values.flip(0)[:k], vectors.T.flip(0)[:k].float().reshape(k, 1, 4, 4), 2, trace=trace)


def test_bounds_of_a_truncated_estimate_hold_the_truth_and_are_met():
    generator = torch.Generator().manual_seed(0)
    factor = torch.randn(16, 16, generator=generator, dtype=torch.float64) * torch.logspace(0, -1, 16)
    covariance = factor @ factor.T
    probes = torch.randn(200, 16, generator=generator, dtype=torch.float64)
    truth = ((probes @ covariance) * probes).sum(1)
    for trace in (float(covariance.trace()), None):
        found = truncated(covariance, 5, trace)
        low, high = found.energy_range(probes.view(-1, 1, 4, 4))
        assert bool((low <= truth * (1 + 1e-5)).all() and (truth <= high * (1 + 1e-5)).all())
        assert float((high - low).min()) > 0
    # met: a rest of 1.5 at most 1 each must give every direction outside at least 0.5 where it has two dimensions
    eigenvalues = torch.ones(14, dtype=torch.float64)
    found = Nads(eigenvalues, torch.eye(16)[:14].view(14, 1, 4, 4), 2, trace=15.5)
    low, high = found.energy_range(torch.eye(16).view(16, 1, 4, 4)[14:])
    assert low.tolist() == [0.5, 0.5]
    assert high.tolist() == [1.0, 1.0]


def test_a_truncated_estimate_says_what_it_does_not_know(lenet, measured, tmp_path):
    kept = nads.estimate(lenet, networks=4, rank=10)
    dense = nads.estimate(lenet, networks=4)
    assert kept.trace == pytest.approx(dense.trace, rel=1e-6)  # the trace is exact, whatever is kept
    assert kept.rest == pytest.approx(dense.trace - float(kept.eigenvalues.sum()), rel=1e-6)
    edge = torch.eye(256)[:3].view(3, 1, 16, 16)
    with pytest.raises(ValueError, match=r"leading 10 of 256 .*\.energy_range"):
        kept.energy(edge)
    for ask in (kept.covariance, lambda: kept.alignment(dense), lambda: dense.alignment(kept)):
        with pytest.raises(ValueError, match=r"leading 10 of 256 .* rank=256"):
            ask()
    inside = kept.directions[:4]
    assert torch.allclose(kept.energy(inside), kept.eigenvalues[:4], rtol=1e-4)
    again = nads.load(kept.save(tmp_path / "kept"))
    assert again.trace == kept.trace
    assert torch.equal(torch.stack(again.energy_range(edge)), torch.stack(kept.energy_range(edge)))
    assert measured.energy_range(edge)[0].tolist() == measured.energy(edge).tolist()
    assert measured.rest == 0


def test_the_trace_of_alike_channels_and_of_a_resumed_sketch(tmp_path):
    def small():
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 1))

    settings = {"networks": 4, "symmetry": ("c",)}
    whole = nads.estimate(small, (3, 8, 8), **settings)
    nads.estimate(small, (3, 8, 8), **settings | {"networks": 2}, rank=12, state=tmp_path / "s")
    kept = nads.estimate(small, (3, 8, 8), **settings, rank=12, state=tmp_path / "s")
    assert kept.trace == pytest.approx(float(whole.eigenvalues.sum()), rel=1e-6)


def test_files_and_states_of_0_1_0_have_no_trace_and_load(lenet, measured, tmp_path):
    def without_trace(path):
        tensors, known = read_tensors(path)
        tensors.pop("energy", None)
        known.pop("trace", None)
        return write_tensors(path, tensors, known)

    whole = nads.load(without_trace(measured.save(tmp_path / "whole")))
    assert torch.allclose(whole.covariance(), measured.covariance())
    state = tmp_path / "state"
    nads.estimate(lenet, networks=2, rank=5, state=state)
    without_trace(state)
    kept = nads.estimate(lenet, networks=4, rank=5, state=state)
    assert kept.networks == 4
    assert kept.trace is kept.rest is None
    kept = nads.load(without_trace(kept.save(tmp_path / "kept")))
    with pytest.raises(ValueError, match="not known"):
        kept.covariance()
    low, high = kept.energy_range(torch.eye(256)[:1].view(1, 1, 16, 16))
    assert 0 <= float(low) < float(high) <= float(kept.eigenvalues[0]) * 1.0001


def test_settings_of_the_reader_s_own_kind_do_not_hide_an_estimate():
    found = Nads(torch.ones(1), torch.ones(1, 1, 1, 1), 2, settings={"architecture": "hello"})
    assert repr(found).startswith("Nads(hello, 1 directions")


def test_deeply_nested_metadata_is_named_as_damage(measured, tmp_path):
    path = tmp_path / "deep"
    content = save({"a": torch.ones(1)}, metadata={"anisotropy": "[" * 100_000})
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"not a file written by Nads\.save"):
        nads.load(path)


def test_no_warning_filter_is_left_behind(lenet):
    before = list(warnings.filters)
    nads.estimate(lenet, networks=4, workers=2)
    assert warnings.filters == before


def test_a_name_too_long_for_a_file_is_no_file():
    with pytest.raises(FileNotFoundError, match="no NADs 'xxx"):
        nads.load("x" * 300)


WORKING = """
import sys, torch
from anisotropy import nads
from anisotropy.models import architectures
from anisotropy.nads import running
torch.set_num_threads(1)
running.SAVE_EVERY = 0.0
nads.estimate(architectures.factory("lenet", image_size=16, width=0.5), networks=100000, workers=2, state=sys.argv[1])
"""


def of_session(leader):
    """Processes of a session that have not ended."""
    alive = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                alive.append(int(path.parent.name))
    return alive


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked at in /proc")
def test_a_killed_estimate_leaves_no_workers_behind(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", WORKING, str(tmp_path / "state")], start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "state").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        assert len(of_session(process.pid)) >= 3
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 20
        while of_session(process.pid) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not of_session(process.pid)
    finally:
        for left in of_session(process.pid):
            os.kill(left, signal.SIGKILL)


def symmetric_covariance(noise=0.0):
    """A covariance of 6 x 6 pixels with the symmetries of the square, up to noise of this relative size."""
    draws = torch.randn(40, 36, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    mean = draws.T @ draws + noise * 40 * torch.randn(36, 36, generator=torch.Generator().manual_seed(4)).double()
    return spatial.average((mean + mean.T) / 2, (1, 6, 6), spatial.SQUARE)


def test_equal_eigenvalues_have_the_same_directions_whatever_the_rounding():
    """Symmetries of the square make pairs of equal eigenvalues, which plain `eigh` turns freely by rounding."""
    exact, other = symmetric_covariance(), symmetric_covariance(noise=1e-13)
    values, rows = covariances._decomposed(exact, (1, 6, 6), spatial.SQUARE)
    torch.testing.assert_close(rows @ exact @ rows.T, values.diag(), rtol=0, atol=1e-10)
    torch.testing.assert_close(rows @ rows.T, torch.eye(36).double(), rtol=0, atol=1e-12)
    assert bool((values.diff() <= 0).all())
    pairs = ((values[:-1] - values[1:]) < 1e-9 * values[:-1]).sum()
    assert pairs == 9  # 36 = 18 of one dimension and 9 pairs, by the characters of the group
    again = covariances._decomposed(other, (1, 6, 6), spatial.SQUARE)[1]
    assert float((rows - again).abs().max()) < 1e-8
    plain = [torch.linalg.eigh(each)[1] for each in (exact, other)]
    assert float((plain[0].abs() - plain[1].abs()).abs().max()) > 1e-2  # what it is for
