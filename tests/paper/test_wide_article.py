"""Figures and tables of 08_where_nads_come_from: what is in them is what was given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from anisotropy import directions, kernels
from anisotropy.kernels import ingredients, layers
from anisotropy.kernels.widths import Distance
from anisotropy.paper import discrimination, wide_figures, wide_tables


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


NET = layers.Sequential(layers.Conv(3, stride=2), layers.ReLU(), layers.GlobalAverage(), layers.Readout())


def test_a_picture_of_a_grid_has_every_frequency_in_its_place():
    frequencies, basis = range(-4, 4, 2), directions.fourier(8, 8)

    def energy(rows):
        asked.append(len(rows))
        return kernels.energies(NET, rows)

    asked = []
    found = discrimination.picture(energy, frequencies, 8)
    assert asked[0] <= 8 < 16  # of (a, b), (b, a), (-a, -b) one is asked
    expected = kernels.energies(NET, basis.pictures())
    values = np.array([[expected[basis.index(a, b)] for b in frequencies] for a in frequencies])
    assert found == pytest.approx(values / values.mean(), rel=1e-5)
    assert found.mean() == pytest.approx(1)


@pytest.mark.parametrize("columns", [1, 2])
def test_predictions_stand_beside_what_was_trained(columns):
    picture = np.full((4, 4), 100.0)
    picture[1, 2] = 0.1
    published = {"A": np.full((16, 16), 0.5)} if columns == 2 else {}
    figure = wide_figures.predictions({"A": picture}, {"A": range(-16, 16, 8)}, published)
    images = [ax.images[0] for ax in figure.axes if ax.images and ax.get_title()]
    assert len(images) == columns
    assert np.asarray(images[0].get_array())[1, 2] == pytest.approx(-1)
    assert list(images[0].get_extent()) == [-20, 12, 12, -20]
    if columns == 2:
        assert np.asarray(images[1].get_array()) == pytest.approx(50)


def test_clouds_hold_all_cells_and_the_threshold():
    figure = wide_figures.clouds({"learnt": np.array([1.0, 2.0])}, 0.14, {"(1, 2) cos": 3.0})
    (ax,) = figure.axes
    drawn = [line.get_xdata() for line in ax.lines]
    assert [list(np.atleast_1d(x)) for x in drawn[:2]] == [[1.0, 2.0], [3.0]]
    assert set(drawn[2]) == {0.14}


def test_errors_mark_a_bias_only_where_it_is_seen():
    seen, noise = Distance(2.0, 0.5, 0.3, 0.16, 0.01), Distance(1.0, 0.2, 0.2, 0.0, 0.01)
    ax = wide_figures.errors({"net": {4: seen, 16: noise}}).axes[0]
    assert list(ax.lines[2].get_xdata()) == [4]
    assert ax.lines[2].get_ydata() == pytest.approx([0.4])
    text = str(wide_tables.distances({"net": {4: seen, 16: noise}})).splitlines()
    assert [line.split() for line in text[1:]] == [
        ["net", "4", "0.5", "0.3", "yes", "2"],
        ["net", "16", "0.2", "0.2", "no", "1"],
    ]


def test_tables_hold_what_was_measured():
    found = ingredients.measure({"strided": NET}, 8, period=4)
    table = wide_tables.ingredients(found)
    assert table.rows[0][:2] == ("strided", f"{found['strided'].mark.constant:.3g}")
    assert table.rows[0][6] == str(found["strided"].half)
    assert "<td" in table._repr_html_()
    assert wide_tables.table(("a",), [("<b>",)])._repr_html_().count("&lt;b&gt;") == 1
    with pytest.raises(ValueError, match="expected 2 cells"):
        wide_tables.table(("a", "b"), [("c",)])


def test_what_was_foretold_is_in_the_record():
    rows = wide_tables.foretold().rows
    assert len(rows) == sum(map(len, discrimination.EXACT.values()))
    assert rows[0][4:7] == ("144", "100.0%", "1.000")
    with pytest.raises(LookupError, match="discrimination --exact"):
        wide_tables.recorded("lenet", discrimination.EXACT["resnet18"][0])


def test_lines_spectra_maps_and_depth_draw_what_they_are_given():
    values = torch.tensor([4.0, 1.0, 1.0])
    ax = wide_figures.spectra({"net": values}).axes[0]
    assert ax.lines[0].get_ydata() == pytest.approx([2, 0.5, 0.5])
    ax = wide_figures.lines({"net": ([0, 1], [2.0, 3.0])}, dark=[1]).axes[0]
    assert ax.lines[0].get_ydata() == pytest.approx([2, 3])
    figure = wide_figures.maps({"net": np.array([[1.0, 10.0], [0.0, np.nan]])})
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert shown[0, 1] == pytest.approx(1)
    assert shown[1, 0] == pytest.approx(-2)
    right = wide_figures.depth({1: np.ones(3)}, {1: np.array([1.0, 0.5])}, {1: 0.25}).axes[1]
    assert right.lines[1].get_ydata() == pytest.approx([1, 0.25])
