import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from anisotropy import directions
from anisotropy.paper import plotting


@pytest.fixture
def ax():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def drawn(ax):
    (image,) = ax.images
    return np.asarray(image.get_array())


def test_three_channels_are_colours_about_a_grey_that_is_zero(ax):
    v = np.zeros((3, 2, 2))
    v[0, 0, 0], v[1, 0, 1] = 0.5, -0.25
    plotting.direction(ax, v)
    expected = np.full((2, 2, 3), 0.5)
    expected[0, 0, 0], expected[0, 1, 1] = 1.0, 0.25
    assert np.allclose(drawn(ax), expected)


def test_two_channels_stand_side_by_side(ax):
    v = np.arange(12.0).reshape(2, 2, 3)
    plotting.direction(ax, v)
    assert np.array_equal(drawn(ax), np.hstack([v[0], v[1]]))


def test_one_channel_is_drawn_about_zero(ax):
    plotting.direction(ax, np.array([[[1.0, -3.0]]]))
    assert ax.images[0].get_clim() == (-3.0, 3.0)


@pytest.mark.parametrize("colour", [(1.0,), (1, 1, 1), (1, -1, 0)])
def test_the_spectrum_of_a_wave_is_two_points_whatever_its_colour(ax, colour):
    basis = directions.fourier(8, 8)
    plotting.spectrum_picture(ax, basis.pictures(colour)[basis.index(2, 3)])
    energy = drawn(ax)
    assert energy.shape == (8, 8)
    assert np.allclose(energy[[4 + 2, 4 - 2], [4 + 3, 4 - 3]], 32)  # Parseval: 64 in total
    assert energy.sum() == pytest.approx(64)


def test_a_gallery_shows_grey_and_colour_directions():
    basis = directions.fourier(4, 4)
    figure = plotting.gallery({"grey": basis.vectors, "colour": basis.pictures((1, 0, -1))}, [0, 5])
    assert [len(ax.images) for ax in figure.axes] == [1] * 8
    assert np.asarray(figure.axes[4].images[0].get_array()).shape == (4, 4, 3)
    plt.close(figure)


def test_the_colour_of_a_network_is_its_own_whoever_is_beside_it():
    names = [*plotting.COLOURS, "anisotropy.blurpool:lenet", "anisotropy.variants:PatchTransformer", "mine:network"]
    alone = {name: plotting.looks([name])[name]["color"] for name in names}
    assert alone == {name: look["color"] for name, look in plotting.looks(names[::-1]).items()}
    assert len(set(alone.values())) == len(names)
    titles = plotting.titles(names)  # as the numbers behind figures call them
    assert all(plotting.colour(titles[name]) == alone[name] for name in names[5:])


def test_networks_keep_their_colours_and_others_have_one_each():
    found = plotting.looks(["mine:one", "lenet", "mine:two"])
    assert list(found) == ["mine:one", "lenet", "mine:two"]
    assert found["lenet"] == {"color": plotting.COLOURS["lenet"], "label": "LeNet"}
    assert [found[f"mine:{n}"]["label"] for n in ("one", "two")] == ["mine:one", "mine:two"]
    many = plotting.looks([*plotting.COLOURS, *"abcde"])
    assert len({look["color"] for look in many.values()}) == len(many)
    assert len(plotting.looks("abcdefg")) == 7  # more than there are colours


def test_bars_are_standard_deviations_over_seeds_and_one_seed_has_none(ax):
    table = xr.DataArray([[0.5, 0.7], [0.2, 0.2]], dims=("arm", "seed"))
    mean, spread = plotting.percent(table)
    assert np.allclose(mean, [60, 20])
    assert np.allclose(spread, [100 * np.std([0.5, 0.7], ddof=1), 0])
    mean, spread = plotting.percent(table[:, :1])
    assert np.allclose(mean, [50, 20])
    assert spread is None
    ax.errorbar([0, 1], mean, spread, fmt="o")
    assert not ax.collections
