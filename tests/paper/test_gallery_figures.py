"""The gallery can be drawn from the committed rows, and its maps show what they hold."""

import json

import numpy as np
import pytest
from anisotropy._util import paths
from anisotropy.experiments import gallery
from anisotropy.paper import gallery_figures
from anisotropy.results import record

AXIS = [0, 1, 2, 4]


def row(strong):
    """What a figure reads of a line: two networks, which answer to some frequencies and little to the others."""
    energies = [10.0 if (ky, kx) in strong else 1.0 for _, ky, kx in gallery.Waves(8, AXIS).names]
    whole = {"architecture.input_shape": [3, 8, 8], "axis": AXIS, "colours": list(gallery.COLOURS), "networks": 2}
    return whole | {"energies": [energies, [1.5 * energy for energy in energies]]}


def test_a_map_has_zero_in_its_centre_and_is_its_own_mirror_image():
    found = gallery_figures.plane(row([(0, 0), (1, 4)]))
    assert found.shape == (7, 7)
    assert np.array_equal(found, found[::-1])
    assert np.array_equal(found, found.T)
    bright = sorted((int(r), int(c)) for r, c in np.argwhere(found > 1))
    assert bright == [(0, 2), (0, 4), (2, 0), (2, 6), (3, 3), (4, 0), (4, 6), (6, 2), (6, 4)]


def test_networks_that_answer_alike_are_ranked_alike():
    rows = {"one": row([(0, 0), (1, 4)]), "same": row([(0, 0), (1, 4)]), "other": row([(2, 2)])}
    found = gallery_figures.rank_correlations(rows)
    assert found[0, 1] == pytest.approx(1)
    assert found[0, 2] < 0.2


def test_the_gallery_is_drawn_from_the_committed_rows(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "committed", lambda: tmp_path / "figures")
    rows = gallery_figures.recorded()
    assert set(rows) == set(gallery.NETWORKS.values())
    assert gallery_figures.main([]) == 0
    made = tmp_path / "figures/readme"
    assert (made / "gallery.png").stat().st_size < 250_000
    assert json.loads((made / "gallery.json").read_text())["keys"]["ResNet-50"] == rows["ResNet-50"]["key"]


def test_the_committed_lines_are_whole_and_their_figure_is_theirs():
    found = record.read(record.folder() / "gallery.jsonl")
    assert found.problems == []
    assert all(line["made.clean"] for line in found.rows.values())
    drawn = json.loads((paths.root() / "figures/readme/gallery.json").read_text())["keys"]
    assert drawn == {title: line["key"] for title, line in gallery_figures.recorded().items()}


def test_the_docs_say_what_the_record_holds():
    text = (paths.root() / "docs/record.md").read_text(encoding="utf-8")
    assert gallery_figures.table(gallery_figures.recorded()) in text


def test_of_the_networks_of_today_all_but_one_have_a_lattice():
    ratios = {title: gallery_figures.on_lattice(line) for title, line in gallery_figures.recorded().items()}
    assert [title for title, ratio in ratios.items() if ratio < 2] == ["VGG-16"], ratios


def test_numbers_of_a_made_up_line():
    """Twice as strong on the lattice; colours answer half as much in the first network, as much in the second."""
    names = gallery.Waves(56, [0, 3, 14, 28]).names
    energies = [[2.0 if ky % 14 == 0 and kx % 14 == 0 else 1.0 for _, ky, kx in names] for _ in range(2)]
    energies[0] = [e * (1.0 if name[0] == "grey" else 0.5) for e, name in zip(energies[0], names, strict=True)]
    line = row([]) | {"axis": [0, 3, 14, 28], "energies": energies, "architecture.input_shape": [3, 56, 56]}
    assert gallery_figures.on_lattice(line) == 2
    ratio, error = gallery_figures.colour_over_grey(line)
    assert ratio == pytest.approx(0.75)
    assert error == pytest.approx(0.25)
