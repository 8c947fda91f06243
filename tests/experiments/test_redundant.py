"""Two redundant signals: which one is used can be foretold of a linear classifier, exactly."""

import pytest
import torch
from anisotropy import nads
from anisotropy.experiments import audit, campaign
from anisotropy.results import record, resumable, stores

ITEM = campaign.Item(
    "x", "Sec. 4.2", "logreg", pairs=((3, 40),), ratios=(0.5, 0.8, 1.25, 2.0), sigma=0.3, samples=2000, epochs=4,
    dtypes=("float32",),
)  # fmt: skip


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    for row in campaign.rows([ITEM], str(folder), ""):
        resumable.Compute(row.job)([row.unit])
    return [line | {"made.clean": True} for line in record.from_store(stores.Store(folder))]


def test_logistic_regression_follows_the_larger_amplitude(lines):
    """Its gradient lies along u + r v, so where the two disagree its score is about 1 - r^2 times the class."""
    follows = {line["ratio"]: line["probe_accuracy"] for line in lines}
    assert [follows[ratio] > 0.99 for ratio in (0.5, 0.8)] == [True, True]
    assert [follows[ratio] < 0.01 for ratio in (1.25, 2.0)] == [True, True]
    assert all(line["test_accuracy"] == 1.0 for line in lines)  # each is enough


def test_amplitudes_are_compared_on_the_same_network_and_noise():
    one, *_, other = campaign.rows([ITEM], "", "")
    a, b = (row.job.sample("train", row.unit, 50)[0].flatten(1) for row in (one, other))
    pair = nads.load("logreg").directions[[3, 40]].flatten(1).to(a)
    assert not torch.allclose(a, b)
    rest = torch.eye(1024) - pair.T @ pair
    assert torch.allclose(a @ rest, b @ rest, atol=1e-5)
    assert one.key != other.key


def test_its_lines_are_recorded_in_a_file_of_their_own_and_audited(lines, tmp_path, monkeypatch):
    monkeypatch.setattr(record, "folder", lambda: tmp_path)
    assert {record.experiment(line) for line in lines} == {"redundant"}
    assert record.add("redundant", lines) == 4
    for part in (audit.WHOLE, audit.EARLY):
        assert audit.compute(audit.Draw(lines[0], part)).verdict == audit.AGREES
    altered = lines[1] | {"probe_accuracy": lines[1]["probe_accuracy"] - 0.03}
    assert audit.compute(audit.Draw(altered, audit.WHOLE)).verdict == audit.DIFFERS
