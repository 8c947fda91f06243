"""The authors' published numbers, read from a folder that the user names: a checkout of their repository, or its
layout.

NADs are read by `nads.load_published`.
"""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from anisotropy._util import paths

SUFFIXES = {"lr": "logreg", "ln": "lenet", "vgg": "vgg11", "rn": "resnet18", "dn": "densenet121"}
"""Endings of the columns of the authors' tables -> our names of the networks. Unknown endings are kept as they are."""


def where_given(read: Callable[[Path], xr.Dataset], folder: str) -> xr.Dataset | None:
    """What `read` finds in a folder, or None where no folder is named or the one that is named is not there.

    Args:
        read: `fourier_accuracies` or `nad_accuracies`.
        folder: as a notebook's parameter names it, relative to the repository; "" for none.

    Raises:
        FileNotFoundError: the folder is there, and the table is not.
    """
    place = paths.resolve(folder) if folder else None
    return read(place) if place is not None and place.is_dir() else None


def fourier_accuracies(folder: Path | str, *, bins: int = 2) -> xr.Dataset:
    """Read the accuracy maps of Fig. 1, `docs/data/dft_accuracies.csv`.

    The grid is mirror-symmetric in kx to the last digit, and not in ky: the authors trained the half plane kx >= 0 (and
    kx = -W/2), all ky of it, and copied (ky, kx) to (ky, -kx). But it is (-ky, -kx) that is the same frequency. So
    the cells with kx < 0 are copies of the mirrored frequency; the coordinate `trained` is False on them. Both
    frequencies are alike for a network that treats left and right alike.

    Args:
        folder: what holds `docs/data/dft_accuracies.csv`.
        bins: how many of the DFT's frequencies one step of the grid is; 2 for their 16 x 16 grid of 32 x 32 pictures.

    Returns:
        Dataset with `accuracy` (network, ky, kx), fractions; ky and kx are signed frequencies, ascending; `trained`
        (ky, kx).

    Raises:
        FileNotFoundError: if the table is not there.
        ValueError: if it is not a full square grid.
    """
    columns = _table(folder, "docs/data/dft_accuracies.csv", ("x", "y"))
    x, y = columns.pop("x").astype(int), columns.pop("y").astype(int)
    size = x.max() + 1
    if sorted(zip(x, y, strict=True)) != [(i, j) for i in range(size) for j in range(size)]:
        raise ValueError(f"expected every cell of a square grid once, got {len(x)} rows with x up to {x.max()}")
    frequencies = bins * (np.arange(size) - size // 2)
    maps = np.full((len(columns), size, size), np.nan)
    for number, values in enumerate(columns.values()):
        maps[number, y, x] = values / 100
    trained = np.broadcast_to((frequencies >= 0) | (np.arange(size) == 0), (size, size))
    return xr.Dataset(
        {"accuracy": (("network", "ky", "kx"), maps)},
        coords={"network": list(columns), "ky": frequencies, "kx": frequencies, "trained": (("ky", "kx"), trained)},
    )


def nad_accuracies(folder: Path | str) -> xr.Dataset:
    """Read accuracy and eigenvalue along the NADs (Fig. 6), `docs/data/nads.csv`.

    Most accuracies lie on straight lines between a few: the authors trained along some NADs and interpolated. The
    coordinate `measured` is True where a line breaks in some network, and at both ends; only these are data.

    Args:
        folder: what holds `docs/data/nads.csv`.

    Returns:
        Dataset with `accuracy` (fractions) and `eigenvalue`, both (network, index), and the coordinate `measured`
        (index).

    Raises:
        FileNotFoundError: if the table is not there.
        ValueError: if its indices are not 0, 1, 2, ...
    """
    accuracies = _table(folder, "docs/data/nads.csv", ("index",), "acc_")
    eigenvalues = _table(folder, "docs/data/nads.csv", ("index",), "eig_")
    index = accuracies.pop("index").astype(int)
    eigenvalues.pop("index")
    if (index != np.arange(len(index))).any() or list(accuracies) != list(eigenvalues):
        raise ValueError("expected indices 0, 1, 2, ... and columns acc_NET and eig_NET of the same networks")
    measured = np.any([breaks(values) for values in accuracies.values()], axis=0)
    return xr.Dataset(
        {
            "accuracy": (("network", "index"), np.array(list(accuracies.values())) / 100),
            "eigenvalue": (("network", "index"), np.array(list(eigenvalues.values()))),
        },
        coords={"network": list(accuracies), "index": index, "measured": ("index", measured)},
    )


def breaks(values: np.ndarray, *, tolerance: float = 1e-6) -> np.ndarray:
    """Mark where a sequence is not linearly interpolated from its neighbours.

    Args:
        values: (n,), n >= 1.
        tolerance: largest second difference that counts as zero.

    Returns:
        (n,) booleans: a second difference other than zero, or an end.

    Example:
        >>> breaks(np.array([0.0, 1.0, 2.0, 5.0, 8.0])).tolist()
        [True, False, True, False, True]
    """
    marks = np.ones(len(values), dtype=bool)
    marks[1:-1] = np.abs(np.diff(values, 2)) > tolerance
    return marks


def _table(folder, name, keys, prefix="acc_") -> dict[str, np.ndarray]:
    """Return key columns under their names and data columns of one prefix under our names of the networks."""
    path = Path(folder) / name
    if not path.is_file():
        raise FileNotFoundError(
            f"expected {name} in the folder of published data, and found none in {folder}; give a checkout of the "
            "authors' repository, or leave the folder empty to go without"
        )
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path}: expected a table, got a file without rows; fetch it again")
    missing = set(keys) - set(rows[0] if rows else ())
    if missing:
        raise ValueError(f"expected columns {keys} in {name}, missing {sorted(missing)}")
    wanted = [*keys, *(column for column in rows[0] if column and column.startswith(prefix))]
    columns = {}
    for column in wanted:
        suffix = column if column in keys else column.removeprefix(prefix)
        columns[SUFFIXES.get(suffix, suffix)] = np.array([_number(row, column, path) for row in rows])
    return columns


def _number(row: dict, column: str, path: Path) -> float:
    try:
        return float(row[column])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: expected a number in column {column!r}, got {row[column]!r}; the file was altered or cut short: "
            "fetch it again"
        ) from error
