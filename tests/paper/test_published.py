import numpy as np
import pytest
from anisotropy._util import paths
from anisotropy.paper import published


@pytest.fixture
def folder(tmp_path):
    """A folder in the authors' layout, with numbers of our own."""
    data = tmp_path / "docs" / "data"
    data.mkdir(parents=True)
    grid = ["x,y,acc_lr,acc_new"]
    grid += [f"{x},{y},{100 - abs(x - 2) - y},{50 + y}" for y in range(4) for x in range(4)]
    (data / "dft_accuracies.csv").write_text("\n".join(grid) + "\n")
    accuracy = [100, 98, 97, 96, 95, 90, 85, 80]  # breaks at 1 and 4
    other = [99, 98, 97, 95, 93, 91, 89, 87]  # and at 2
    rows = [f"{i},{a},{1 / (i + 1)},{b},0.5" for i, (a, b) in enumerate(zip(accuracy, other, strict=True))]
    (data / "nads.csv").write_text("index,acc_ln,eig_ln,acc_rn,eig_rn\n" + "\n".join(rows) + "\n")
    return tmp_path


def test_the_grid_has_signed_frequencies_fractions_and_our_names(folder):
    maps = published.fourier_accuracies(folder)
    assert list(maps.network.values) == ["logreg", "new"]
    assert list(maps.kx.values) == list(maps.ky.values) == [-4, -2, 0, 2]
    assert float(maps.accuracy.sel(network="logreg", kx=0, ky=-4)) == 1.0  # x = 2, y = 0
    assert float(maps.accuracy.sel(network="logreg", kx=2, ky=2)) == pytest.approx(0.96)
    assert float(maps.accuracy.sel(network="new", kx=-4, ky=0)) == pytest.approx(0.52)
    assert list(maps.trained.sel(ky=0).values) == [True, False, True, True]


def test_interpolated_accuracies_are_told_from_measured_ones(folder):
    table = published.nad_accuracies(folder)
    assert list(np.flatnonzero(table.measured)) == [0, 1, 2, 4, 7]
    assert float(table.accuracy.sel(network="lenet", index=4)) == 0.95
    assert float(table.eigenvalue.sel(network="lenet", index=3)) == 0.25


def test_missing_or_broken_tables_say_what_was_expected(folder):
    with pytest.raises(FileNotFoundError, match=r"expected docs/data/nads\.csv"):
        published.nad_accuracies(folder / "elsewhere")
    grid = folder / "docs" / "data" / "dft_accuracies.csv"
    lines = grid.read_text().splitlines()
    grid.write_text("\n".join(lines[:-1]))
    with pytest.raises(ValueError, match="every cell of a square grid once"):
        published.fourier_accuracies(folder)
    grid.write_text("\n".join(line.replace("x", "column") for line in lines))
    with pytest.raises(ValueError, match=r"missing \['x'\]"):
        published.fourier_accuracies(folder)


PUBLISHED = paths.data() / "published"


@pytest.mark.skipif(not (PUBLISHED / "docs").exists(), reason="needs the published tables in data/published")
def test_what_is_said_of_the_published_tables_is_true():
    maps = published.fourier_accuracies(PUBLISHED)
    lenet = maps.accuracy.sel(network="lenet").values
    assert lenet.shape == (16, 16)
    assert np.array_equal(lenet[:, 1:], lenet[:, :0:-1])  # (ky, kx) and (ky, -kx): copies
    assert not np.array_equal(lenet[1:], lenet[:0:-1])
    assert np.corrcoef(lenet[1:].ravel(), lenet[:0:-1].ravel())[0, 1] > 0.9  # alike, but trained twice
    table = published.nad_accuracies(PUBLISHED)
    measured = np.flatnonzero(table.measured)
    assert list(measured[:14]) == [*range(11), 14, 18, 22]
    assert set(np.diff(measured[10:])) == {4}


def test_a_folder_that_is_not_there_is_done_without(tmp_path):
    assert published.where_given(published.fourier_accuracies, "") is None
    assert published.where_given(published.fourier_accuracies, str(tmp_path / "nothing")) is None
    with pytest.raises(FileNotFoundError, match="dft_accuracies"):
        published.where_given(published.fourier_accuracies, str(tmp_path))  # there, and not what it should be
