"""The README's figure: its maps lie where the published ones do, and its numbers are ours alone."""

import json

import numpy as np
import pytest
from anisotropy._util import paths
from anisotropy.paper import discrimination, foretold, published


def test_cells_lie_where_the_published_map_has_them(folder):
    there, table = discrimination.cells(folder), published.fourier_accuracies(folder)
    ours = foretold.picture(there.accuracies["lenet"], there.frequencies, 32)
    assert np.array_equal(ours, table.accuracy.sel(network="lenet").to_numpy())
    marked = np.zeros(144)
    marked[there.frequencies.tolist().index([4, 6])] = 1
    where = np.argwhere(foretold.picture(marked, there.frequencies, 32) == 1)
    assert sorted(map(tuple, 2 * where - 16)) == [(-4, -6), (4, 6)]


def test_the_boundary_lets_as_many_through_as_were_learnt():
    values = np.array([5.0, 1.0, 3.0, 0.5])
    for count in range(1, 4):
        learnt = np.arange(4) < count
        assert (values > foretold.boundary(learnt, values)).sum() == count
    assert foretold.boundary(np.ones(4, bool), values) == pytest.approx(0.05)


def test_the_figure_and_its_passport(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(foretold, "NETWORKS", {"logreg": 1, "lenet": 2})
    monkeypatch.setattr(paths, "committed", lambda: tmp_path / "figures")
    assert foretold.main(["--published", str(folder)]) == 0
    made = tmp_path / "figures/readme"
    passport = json.loads((made / "foretold.passport.json").read_text())
    assert passport["not_ours"] == ["published_accuracies"]
    assert str(tmp_path) not in json.dumps(passport)
    numbers = json.loads((made / "foretold.json").read_text())
    assert set(numbers) == {"energies", "ky", "kx"}
    assert len(numbers["energies"]["lenet"]) == 144
    assert np.allclose(numbers["energies"]["logreg"], 1 / (3 * 1024), rtol=1e-4)
    assert (made / "foretold.png").stat().st_size > 10_000
