"""The gallery's waves are orthonormal, its spectra those of the dense covariance; a line gives its numbers back."""

import json

import pytest
import torch
from anisotropy import nads
from anisotropy._util import paths, provenance
from anisotropy.experiments import gallery
from anisotropy.models import architectures
from anisotropy.nads import definitions, energies
from anisotropy.results import columns, record

SMALL = {"size": 32, "axis": (0, 2, 4, 7, 16)}


@pytest.fixture(autouse=True)
def bfloat16(monkeypatch):
    """A processor without bfloat16 rounds alike, slowly: small networks are measured there too."""
    monkeypatch.setattr(provenance, "has_bfloat16", lambda: True)


def test_the_waves_are_orthonormal_in_space_and_colour():
    waves = gallery.Waves(**SMALL)
    rows = torch.stack(list(waves)).flatten(1)
    assert len(waves) == 15 + 2 * 9
    assert float((rows @ rows.T - torch.eye(len(rows), dtype=torch.float64)).abs().max()) < 1e-10


def test_every_frequency_of_the_quadrant_is_one_of_the_octant_flipped():
    assert {tuple(sorted((ky, kx))) for ky in gallery.AXIS for kx in gallery.AXIS} == set(gallery.octant())
    assert len(gallery.octant()) == 91
    assert set(gallery.rim()) < set(gallery.octant())
    assert len(gallery.rim()) == 25


@pytest.mark.parametrize(("response", "error"), [("gradient", 5e-3), ("dipole", 0.05), ("zero", 0.05)])
def test_logistic_regression_answers_to_all_colours_and_frequencies_alike(response, error):
    """f = w'x with w uniform in +-1/sqrt(D): q(v) = 1 / (3 D); to the three digits that are kept in float32."""
    row = gallery.line("logreg", response, networks=1, **SMALL)
    assert torch.allclose(torch.tensor(row["energies"]), torch.tensor(1 / (3 * 3 * 32**2)), rtol=error)
    found = gallery.radial(row, gallery.rim(SMALL["axis"]), tuple(gallery.COLOURS)).relative()[0]
    assert found.shape == (15,)
    assert torch.allclose(found, torch.ones(15, dtype=torch.float64), rtol=error)


def test_radial_spectra_and_their_errors_against_the_dense_covariance():
    """LeNet at 3 x 20 x 20, v'Cv of 300 networks: of intervals from 8 others 95 in 100 hold it; half as wide, fewer."""
    small = {"size": 20, "axis": (0, 2, 5, 10)}
    make = architectures.factory("lenet", in_channels=3, image_size=20)
    x = definitions.point(definitions.Gradient(), (3, 20, 20), 0)
    dense = nads.estimate(make, response=nads.Gradient(at=x), networks=300, symmetry="none", seed=1)
    expected = dense.energy(torch.stack(list(gallery.Waves(**small))).float()).tolist()
    row = gallery.line("lenet", "gradient", networks=160, **small)  # at the same x, which its seed 0 draws
    rim, colours = gallery.rim(small["axis"]), tuple(gallery.COLOURS)
    truth = gallery.radial(row | {"energies": [expected]}, rim, colours).relative()[0]
    whole = gallery.radial(row, rim, colours)
    assert float((whole.relative()[0] / truth - 1).abs().max()) < 0.2
    held, narrow = [], []
    for group in whole.samples.split(8):
        values, errors = energies.Energies(group).relative()
        held.append((values - truth).abs() < 2.365 * errors)  # Student's t, 7 degrees of freedom
        narrow.append((values - truth).abs() < 2.365 * errors / 2)
    assert 0.86 < float(torch.stack(held).double().mean()) < 0.98
    assert float(torch.stack(narrow).double().mean()) < 0.8


def test_how_many_networks_an_error_takes():
    """Independent energies of relative spread 0.5: (0.5 / 0.05)^2 = 100 networks, less what the mean takes away."""
    drawn = 1 + 0.5 * torch.randn(2000, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert gallery.needed(energies.Energies(drawn)) == pytest.approx(100, rel=0.1)
    assert gallery.needed(energies.Energies(drawn[:8])) == pytest.approx(100, rel=0.4)
    assert gallery.needed(energies.Energies(drawn), 0.1) == pytest.approx(25, rel=0.1)


@pytest.fixture(scope="module")
def row():
    return gallery.line("lenet", networks=3, **SMALL)


def test_a_line_gives_back_its_identity_and_its_numbers(row):
    assert gallery.again(row)["energies"] == row["energies"]
    assert gallery.again(row, networks=1)["energies"] == row["energies"][:1]
    frequencies, grey = gallery.samples(row, "grey")
    assert grey[:, frequencies.index((0, 2))].tolist() == [e[1] for e in row["energies"]]
    frequencies, colour = gallery.samples(row, "blue-yellow")
    assert colour[0].tolist() == row["energies"][0][-9:]
    assert frequencies[-1] == (16, 16)


def test_a_network_that_is_not_the_same_any_more_is_no_test_of_its_line(row):
    fields = record.fields_of(row)
    fields["architecture"]["width"] = 0.5
    with pytest.raises(ValueError, match="not what it was"):
        gallery.again(record.line(fields, {"energies": row["energies"]}, {"clean": True}))


def test_lines_of_the_record(row, monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    kept = row | {"made.clean": True}
    assert record.add("gallery", [kept]) == 1
    assert record.add("gallery", [kept]) == 0
    path = tmp_path / "results/gallery.jsonl"
    altered = [[value * 1.01 if i == 7 else value for i, value in enumerate(e)] for e in row["energies"]]
    with pytest.raises(ValueError, match="contradicts the record"):
        record.add("gallery", [kept | {"energies": altered}])
    path.write_text(json.dumps(kept | {"energies": [[-1.0]]}) + "\n")
    assert "none of them negative" in record.read(path).problems[0]


def test_on_another_processor_energies_may_differ_by_rounding_and_not_by_more(row):
    def with_sixth(share):
        changed = [[v * share if i == 6 else v for i, v in enumerate(e)] for e in row["energies"]]
        return row | {"energies": changed, "made.on": "another"}

    largest = [[v * (1.2 if v == max(e) else 1) for v in e] for e in row["energies"]]
    assert columns.disagreement(row, with_sixth(1.05)) == ""
    assert "more than 10% apart" in columns.disagreement(row, row | {"energies": largest, "made.on": "another"})


def test_the_command_measures_and_says_how_many_networks_it_takes(capsys):
    assert gallery.main(["--network", "torchvision:mobilenet_v3_small", "--networks", "1", "--grey", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "torchvision:mobilenet_v3_small" in shown
    assert "112: " in shown
