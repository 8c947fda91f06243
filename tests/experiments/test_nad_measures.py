"""What notebook 03 looks up: refused before it is computed where it makes no sense, and right where that is known."""

import numpy as np
import pytest
from anisotropy.experiments import measured, nad_measures
from anisotropy.results import record


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A store and a record that hold nothing."""
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(record, "folder", lambda: tmp_path / "results")
    return tmp_path / "store"


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda **where: nad_measures.symmetries("mine:net", **where), "a network of the paper"),
        (lambda **where: nad_measures.definitions("lenet", networks=1, **where), "two halves"),
        (lambda **where: nad_measures.gradient("vgg11", networks=1, **where), "two halves"),
        (lambda **where: nad_measures.effort("lenet", networks=0, **where), "expected"),
    ],
)
def test_what_makes_no_sense_is_refused(nowhere, ask, said):
    with pytest.raises(ValueError, match=said):
        ask(store=nowhere)
    assert not list(nowhere.glob("??/*.json"))


def test_logistic_regression_has_every_symmetry(nowhere):
    assert set(nad_measures.symmetries("logreg", store=nowhere).values()) == {1}


def test_a_short_dipole_is_its_slope_and_lengths_do_not_change_slopes(nowhere):
    common = {"frequencies": [[0, 1], [8, 8]], "networks": 3, "store": nowhere}
    short = nad_measures.dipoles("lenet", lengths=[0.01], **common)
    assert np.shape(short["slopes"]) == np.shape(short["mixed"]) == (2, 3)
    assert short["ratios"][0] == pytest.approx([1, 1], abs=0.05)
    both = nad_measures.dipoles("lenet", lengths=[0.01, 100.0], **common)
    assert both["ratios"][0] == short["ratios"][0]
    assert both["ratios"][1] != pytest.approx([1, 1], abs=0.05)
    np.testing.assert_allclose(both["slopes"], short["slopes"], rtol=1e-3)


def test_overlap_with_the_authors_needs_their_files_and_no_others(nowhere, tmp_path):
    ask = {"sha256": nad_measures.PUBLISHED["lenet"], "store": nowhere}
    with pytest.raises(ValueError, match="whose folder was not given"):
        nad_measures.published("lenet", **ask)
    (tmp_path / "NADs").mkdir()
    np.save(tmp_path / "NADs" / "LeNet_NADs.npy", np.eye(1024)[:1023])
    np.save(tmp_path / "NADs" / "LeNet_eigenvals.npy", np.ones(1024))
    with pytest.raises(ValueError, match="another checksum"):
        nad_measures.published("lenet", folder=str(tmp_path), **ask)


def test_every_measure_says_how_far_another_processor_may_be_off():
    assert measured.MEASURES
    for name, measure in measured.MEASURES.items():
        assert name == measure.name
        assert 0 <= measure.bound <= 0.1
