"""Random networks against the exact covariance, as notebook 08 asks: right where that is known, refused where not."""

import pytest
from anisotropy.experiments import kernel_measures
from anisotropy.results import record


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A store and a record that hold nothing."""
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(record, "folder", lambda: tmp_path / "results")
    return tmp_path / "store"


def test_the_error_falls_with_the_width_and_rectified_skips_lose_the_scale(nowhere):
    how = {"response": "secant", "size": 8, "random_networks": 64, "store": nowhere}
    plain = kernel_measures.curve("plain, strides", [2, 32], **how)
    assert list(plain) == [2, 32]
    assert plain[32].error < plain[2].error
    assert plain[32].trace == pytest.approx(1, abs=0.3)
    skips = kernel_measures.curve("rectified skips", [32], **how)
    assert skips[32].trace > 5


def test_widths_of_the_papers_networks_are_channels_of_their_first_stage(nowhere):
    how = {"response": "gradient", "size": 8, "random_networks": 8, "store": nowhere}
    assert list(kernel_measures.curve("densenet121", [0.0625], **how)) == [2]


@pytest.mark.parametrize(("network", "response"), [("plain", "secant"), ("lenet", "dipole"), ("mine:net", "secant")])
def test_other_networks_and_responses_are_refused(nowhere, network, response):
    with pytest.raises(ValueError, match="expected a network out of plain, strides"):
        kernel_measures.sampled(network, response=response, width=4, size=8, random_networks=8, store=nowhere)
