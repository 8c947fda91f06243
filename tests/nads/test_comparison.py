"""Estimates side by side, and quick looks at one."""

import json
import math

import anisotropy as an
import numpy as np
import pytest
import torch
from anisotropy.directions import bases
from anisotropy.nads import comparison
from matplotlib.figure import Figure


def rotated(angle: float, **settings) -> an.Nads:
    """NADs of 2 x 2 images whose first direction leans by an angle towards the third."""
    u = torch.eye(4, dtype=torch.float64)
    u[[0, 2]] = (
        torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]).double() @ u[[0, 2]]
    )
    return an.Nads(torch.tensor([4.0, 2.0, 1.0, 1.0]).double(), u.float().view(4, 1, 2, 2), 8, **settings)


def test_overlap_anisotropy_and_alignment_by_hand():
    found = an.compare({"a": rotated(0.0), "b": rotated(0.3)}, k=2).table
    assert float(found.overlap.sel(first="a", second="b")) == pytest.approx((math.cos(0.3) ** 2 + 1) / 2)
    assert found.anisotropy.values == pytest.approx([4 * 22 / 64] * 2)
    parts = [each.covariance() - 2 * torch.eye(4) for each in (rotated(0.0), rotated(0.3))]
    expected = float((parts[0] * parts[1]).sum() / parts[0].norm() / parts[1].norm())
    assert float(found.alignment.sel(first="b", second="a")) == pytest.approx(expected)
    assert math.isnan(float(found.overlap_low.sel(first="a", second="b")))  # no halves, no range


def test_the_range_holds_what_is_true():
    """Noisy estimates of known subspaces: the range from their halves holds the overlap of the true ones."""
    generator = torch.Generator().manual_seed(0)
    truth = [rotated(0.0), rotated(0.5)]
    true = truth[0].overlap(truth[1], 2)
    for noise in (0.02, 0.1, 0.3):
        noisy = []
        for each in truth:
            halves = [
                bases.complete(
                    torch.linalg.qr(each.rows[:2].double().T + noise * torch.randn(4, 2, generator=generator))[0].T
                )
                for _ in range(2)
            ]
            half = an.overlap(halves[0], halves[1], 2)
            noisy.append(an.Nads(each.eigenvalues, halves[0].view(4, 1, 2, 2).float(), 8, split_half={2: half}))
        found = an.compare({"a": noisy[0], "b": noisy[1]}, k=2).table.sel(first="a", second="b")
        assert float(found.overlap_low) <= true <= float(found.overlap_high)
        assert float(found.overlap_low) <= float(found.overlap) <= float(found.overlap_high)
        if noise == 0.02:  # and a range that says something
            assert float(found.overlap_high - found.overlap_low) < 0.5


def test_a_truncated_estimate_is_compared_by_what_is_kept():
    whole = an.load("lenet")
    kept = an.Nads(whole.eigenvalues[:50], whole.directions[:50], whole.networks, trace=whole.trace)
    table = an.compare({"whole": whole, "kept": kept}, k=10).table
    assert float(table.overlap.min()) == pytest.approx(1.0, abs=1e-5)
    assert math.isnan(float(table.alignment.sel(first="whole", second="kept")))
    whole_says, kept_says = table.anisotropy.values
    assert 0.5 * whole_says < kept_says <= whole_says


def test_it_prints_and_draws_itself():
    found = an.compare({"<b>": rotated(0.0), "b": rotated(0.3)}, k=1)
    assert repr(found).startswith("leading 1 directions: overlap (range), alignment\n<b>: anisotropy 1.38, 8 networks")
    assert "&lt;b&gt;" in found._repr_html_()
    assert "<b>" not in found._repr_html_()
    assert isinstance(found.plot(), Figure)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"a": rotated(0.0)}, ValueError, "at least two NADs by name"),
        ([rotated(0.0)] * 2, ValueError, "at least two NADs by name"),
        ({"a": rotated(0.0), "b": torch.eye(4)}, TypeError, "NADs for 'b', got Tensor"),
        ({"a": rotated(0.0), "b": an.load("lenet")}, ValueError, "one shape"),
    ],
)
def test_what_cannot_be_compared_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        an.compare(given, k=1)


def test_nads_as_a_labelled_dataset():
    found = an.load("lenet")
    table = found.to_xarray()
    assert table.directions.dims == ("nad", "channel", "row", "column")
    assert np.array_equal(table.directions.sel(nad=3).values, found.directions[3].numpy())
    assert np.array_equal(table.eigenvalues.values, found.eigenvalues.numpy())
    assert json.loads(table.attrs["settings"]) == found.settings
    assert table.attrs["trace"] == found.trace


def test_nads_draw_themselves():
    found = rotated(0.2, eigenvalue_errors=torch.full((4,), 0.1).double(), split_half={1: 0.9})
    assert len(found.plot().axes) == 4
    assert [ax.get_title() for ax in found.plot([2, 0]).axes] == ["2", "0"]
    ax = found.spectrum(label="mine")
    assert ax.lines[-1].get_ydata() == pytest.approx([2, 1, 0.5, 0.5])  # in units of the mean
    assert "leading 1 with the truth</td><td>0.90 to" in found._repr_html_()
    with pytest.raises(ValueError, match=r"indices from 0 to 3, got \[4\]"):
        found.plot([4])


def test_directions_may_be_nads_arrays_or_tensors():
    found = rotated(0.2)
    forms = (found, found.directions, found.directions.numpy())
    v = found.directions.double()
    make = an.factory("logreg", image_size=2)
    energies = [an.energies(make, form, networks=2).samples for form in forms]
    assert all(torch.equal(each, energies[0]) for each in energies)
    assert all(torch.equal(found.energy(form).double(), found.energy(v)) for form in forms)
    assert all(an.overlap(form, found, 2) == pytest.approx(1) for form in forms)
    images = torch.rand(3, 1, 2, 2)
    assert all(torch.equal(an.flip(images, form), an.flip(images, forms[1])) for form in forms)
    draw = lambda form: an.sample(form, 4, generator=torch.Generator().manual_seed(0))[0]  # noqa: E731
    assert torch.equal(draw(found.directions[0]), draw(found.directions[0].numpy()))
    backwards = found.directions.numpy()[::-1]  # strides that torch does not take
    assert torch.equal(an.energies(make, backwards, networks=2).samples, energies[0].flip(1))


def test_drawing_without_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"anisotropy\[notebooks\]"):
        rotated(0.1).plot()


def test_anisotropy_is_one_without_a_preference():
    flat = an.Nads(torch.ones(4).double(), torch.eye(4).view(4, 1, 2, 2), 1)
    assert comparison._anisotropy(flat) == 1
