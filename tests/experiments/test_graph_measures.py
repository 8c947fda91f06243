"""Graph networks on a grid: the numbers of the docs are those of the record, and the measure asks what it says."""

import re

import numpy as np
import pytest
import torch
from anisotropy._util import paths
from anisotropy.experiments import graph_measures
from anisotropy.models import graphs
from anisotropy.results import record

pytest.importorskip("torch_geometric")


def test_bands_of_a_flat_spectrum_are_one_and_add_up():
    assert graph_measures.bands(torch.full((256,), 3.0)) == [1.0] * 8
    assert sum(graph_measures.bands(torch.arange(16.0))) == pytest.approx(8)


def test_a_mean_over_the_nodes_answers_to_the_constant_alone(tmp_path, monkeypatch):
    """And so it learns nothing else: one mode of 36."""
    monkeypatch.setattr(record, "folder", lambda: tmp_path)
    how = {"side": 6, "networks": 4, "each": 2, "epochs": 3, "samples": 600, "store": tmp_path / "store"}
    mean = graph_measures.grid("gcn", readout="mean", **how)
    assert mean["graph"][0] > 0.99 * 36 / 5  # all of it: the first band has 5 of the 36 modes
    assert mean["accuracy"][2] == pytest.approx(0.5, abs=0.06)
    flat = graph_measures.grid("gcn", readout="flat", **how)
    assert flat["graph"][0] < 0.8 * 36 / 5
    assert flat["accuracy"][0] > mean["accuracy"][0] + 0.1  # two strong modes are learnt, not one
    sizes = np.array([5, 5, 5, 5, 4, 4, 4, 4]) / 36
    for found in (mean, flat):  # both bases are complete: all bands together have the mean energy
        assert sizes @ found["graph"] == pytest.approx(1, rel=1e-3)
        assert sizes @ found["fourier"] == pytest.approx(1, rel=1e-3)


def test_the_table_of_the_docs_is_that_of_the_record():
    rows = record.read(paths.root() / "results" / "measures.jsonl").rows.values()
    kept = {(r["arguments.kind"], r["arguments.readout"]): r for r in rows if r["measure"] == "graphs.grid"}
    assert set(kept) == {(kind, readout) for kind in graphs.KINDS for readout in graphs.READOUTS}
    text = (paths.root() / "docs" / "your_network.md").read_text(encoding="utf-8")
    names = {"GCN": "gcn", "ChebNet": "cheb", "GIN": "gin", "GAT": "gat"}
    lines = re.findall(r"^\| (\w+), `(\w+)` \| (.*) \|$", text, flags=re.M)
    assert len(lines) == 12
    for name, readout, numbers in lines:
        row = kept[names[name], readout]
        pairs = zip(row["found.accuracy"], row["found.error"], strict=True)
        expected = [f"{a:.2f} ± {e:.2f}" for a, e in pairs] + [f"{row['found.graph'][0]:.1f}"]
        assert numbers.split(" | ") == [*expected, f"{row['found.fourier'][0]:.1f}"]
