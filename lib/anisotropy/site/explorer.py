"""Data of the report's explorer: NADs, maps of accuracy over the frequencies, and accuracy along the NADs.

A network gathers what is known of it, from the NADs that come with the package, the numbers behind the figures, and
files of the reader.
"""

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import xarray as xr

from anisotropy import nads
from anisotropy.paper import plotting
from anisotropy.results import netcdf
from anisotropy.site import _packing
from anisotropy.site.rendering import Unreadable
from anisotropy.site.runs import Figure, Result, finite

_NAD = re.compile(r"NAD (\d+)")


@dataclass
class Network:
    """What the explorer knows of one network: its NADs, and what was trained, under labels that say where."""

    key: str
    label: str
    colour: str
    own: bool = False  # from a file of the reader
    nads: dict[str, Any] | None = None
    maps: list[dict[str, Any]] = field(default_factory=list)
    curves: list[dict[str, Any]] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """Values for JSON."""
        return dict(vars(self))


def data(results: Iterable[Result], nad_files: Sequence[Path] = (), sweep_files: Sequence[Path] = ()) -> dict[str, Any]:
    """Everything that the explorer draws.

    Args:
        results: of one preset or several, those to show first in front.
        nad_files: NADs of the reader's own networks, written by `Nads.save`.
        sweep_files: netCDF files of the reader's own sweeps.

    Returns:
        dict: `networks`, `tables` (sweeps over something other than directions), `colours` (maps of colours), and
        `problems` with the numbers of figures, in words.

    Raises:
        FileNotFoundError, ValueError: a file of the reader is missing or not what it should be.
    """
    networks: dict[str, Network] = {}
    for name in plotting.LABELS:
        if name in nads.available():
            _network(networks, name).nads = _packing.shipped(name)
    problems = []
    for result in results:
        for figure in result.figures.values():
            try:
                _from_figure(networks, result, figure)
            except Unreadable as error:
                problems.append(f"{result.preset}/{result.notebook}: {error}")
    mine: dict[str, Network] = {}
    for path in nad_files:
        found = nads.load(Path(path))
        if found.directions.dim() != 4:
            raise ValueError(
                f"{path}: the explorer shows NADs of images (C, H, W), these are of inputs of shape "
                f"{tuple(found.directions.shape[1:])}; found.plot() and found.spectrum() draw them"
            )
        described = found.settings.get("architecture")
        name = str(described.get("name", Path(path).stem) if isinstance(described, dict) else described)
        network = _network(networks, f"{name} ({Path(path).name})", f"{name} ({Path(path).name})", name)
        network.nads, network.own = _packing.pack(found), True
        mine[name] = network
    tables = []
    for path in sweep_files:
        try:
            tables += _from_sweep(networks, mine, read_sweep(Path(path)), Path(path).name)
        except (KeyError, IndexError, TypeError, OverflowError) as error:
            raise ValueError(f"{path}: not a sweep as sweeps.run or image_sweeps.run writes it: {error}") from error
    shown = [n.plain() for n in networks.values() if n.nads or n.maps or n.curves]
    return {"networks": shown, "tables": tables, "colours": _colours(), "problems": problems}


def _network(networks: dict[str, Network], key: str, label: str | None = None, name: str | None = None) -> Network:
    """What is known of a network so far; `name` is the one that its colour belongs to, where the key says more."""
    if key not in networks:
        label = label or plotting.LABELS.get(key, key.replace("_", " "))
        networks[key] = Network(key, label, plotting.colour(name or key))
    return networks[key]


def _from_figure(networks: dict[str, Network], result: Result, figure: Figure) -> None:
    """Take maps over the frequencies and curves along the NADs from a figure's numbers, where it has some."""
    numbers = figure.values
    label = f"{result.notebook}, {result.preset}"
    where = {"label": label, "preset": result.preset, "figure": figure.name, "own": False}
    asked = figure.passport.get("parameters")
    samples = asked.get("test_samples") if isinstance(asked, dict) else None
    where["samples"] = samples if type(samples) is int and samples > 0 else None
    frequencies = numbers.get("frequencies")
    if _integers(frequencies):
        for name, values in numbers.items():
            picture = _accuracies(values, (len(frequencies), len(frequencies)))
            if name != "frequencies" and picture is not None:
                cells = _cells(picture)
                _network(networks, _known(name)).maps.append(
                    {**where, "ky": frequencies, "kx": frequencies, "values": cells, "spread": None, "n": 1}
                )
    places = _places(numbers)
    for name, values in numbers.items():
        network = re.fullmatch(r"accuracy_(.+)|(.+)_test_accuracy", name)
        if network and places:
            table = _accuracies(values, (max(row for row, _ in places) + 1, None), least=True)
            if table is not None:
                curve = _curve([i for _, i in places], table[[row for row, _ in places]])
                _network(networks, _known(network[1] or network[2])).curves.append({**where, **curve})


def _known(name: str) -> str:
    """The project's name of a network, from its name in print too."""
    names = {label.lower(): key for key, label in plotting.LABELS.items()}
    return names.get(name.lower(), name)


def _places(numbers: dict[str, Any]) -> list[tuple[int, int]]:
    """(row, index of the NAD) of accuracies along the NADs: from `index`, or from arms called `NAD 12`."""
    if _integers(numbers.get("index")):
        return [(row, int(i)) for row, i in enumerate(numbers["index"])]
    arms = numbers.get("arm")
    if not isinstance(arms, list):
        return []
    matches = [(row, _NAD.fullmatch(arm)) for row, arm in enumerate(arms) if isinstance(arm, str)]
    return [(row, int(match[1])) for row, match in matches if match]


def _integers(values: Any) -> bool:
    def whole(v):
        number = finite(v)
        return number is not None and number == int(number)

    return isinstance(values, list) and bool(values) and all(map(whole, values))


def _accuracies(values: Any, shape: tuple[int | None, ...], *, least: bool = False) -> np.ndarray | None:
    """Fractions in [0, 1] as a table (rows, repetitions), NaN where there is none; None where it is not one.

    Args:
        values: rows of numbers, or one number for each row.
        shape: rows and columns that are expected, None for any.
        least: whether there may be more rows.
    """
    try:
        table = np.array(values, dtype=float)  # texts such as "NaN" are numbers here
    except (TypeError, ValueError, OverflowError):
        return None
    table = table[:, None] if table.ndim == 1 and shape[1] is None else table
    if table.ndim != 2 or (len(table) < shape[0] if least else len(table) != shape[0]):
        return None
    if shape[1] is not None and table.shape[1] != shape[1]:
        return None
    finite = table[np.isfinite(table)]
    return table if len(finite) and finite.min() >= 0 and finite.max() <= 1 else None


def _cells(picture: np.ndarray) -> list[float | None]:
    return [round(v, 5) if math.isfinite(v) else None for v in picture.flatten().tolist()]


def _curve(places: Sequence[int], table: np.ndarray) -> dict[str, Any]:
    """Mean and standard deviation over the repetitions (K, n) at each index, in the order of the indices."""
    order = np.argsort(places, kind="stable")
    several = table.shape[1] > 1
    spread = table.std(axis=1, ddof=1) if several else None
    return {
        "index": [int(places[i]) for i in order],
        "mean": _cells(table.mean(axis=1)[order]),
        "spread": _cells(spread[order]) if several else None,
        "n": table.shape[1],
    }


def _from_sweep(
    networks: dict[str, Network], mine: dict[str, Network], dataset: xr.Dataset, label: str
) -> list[dict[str, Any]]:
    """Attach a sweep to its network; return it as a table where nothing says which directions its runs were along."""
    name = str(dataset.coords["architecture"].item()) if "architecture" in dataset.coords else label
    network = mine.get(name) or _network(networks, _known(name))
    accuracy = dataset["test_accuracy"]
    where = {"label": label, "preset": "", "figure": "", "samples": None, "own": True}
    if "test_samples" in dataset.coords and dataset.coords["test_samples"].ndim == 0:
        where["samples"] = int(dataset.coords["test_samples"])
    first = "direction" if "direction" in accuracy.dims else "arm"
    table = accuracy.transpose(first, "seed").values
    if first == "arm":
        labels = [str(label) for label in dataset["arm"].values]
        found = [(row, _NAD.fullmatch(label)) for row, label in enumerate(labels)]
        along = [(row, int(match[1])) for row, match in found if match]
        if along:
            network.curves.append({**where, **_curve([i for _, i in along], table[[r for r, _ in along]])})
        curve = _curve(range(len(labels)), table)
        return [{"label": label, "network": network.label, "rows": labels, **curve}]
    if "ky" in dataset.coords and "kx" in dataset.coords:
        network.maps.append({**where, **_map(dataset["ky"].values, dataset["kx"].values, table)})
        return []
    for coordinate in ("index", "nad"):
        if coordinate in dataset.coords and dataset.coords[coordinate].dims == ("direction",):
            network.curves.append({**where, **_curve(dataset.coords[coordinate].values.tolist(), table)})
            return []
    rows = [f"direction {i}" for i in range(len(table))]
    return [{"label": label, "network": network.label, "rows": rows, **_curve(range(len(table)), table)}]


def read_sweep(path: Path) -> xr.Dataset:
    """A sweep's netCDF file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no netCDF 3 file, cut short, altered, or holds no accuracies by seed.
    """
    dataset = netcdf.read(path)
    accuracy = dataset.get("test_accuracy")
    dims = set() if accuracy is None else set(accuracy.dims)
    if dims not in ({"direction", "seed"}, {"arm", "seed"}):
        raise ValueError(
            f"{path}: expected test_accuracy by (direction, seed) or (arm, seed), as sweeps.run and image_sweeps.run "
            f"write it, got {sorted(map(str, dims)) or 'no such variable'}"
        )
    return dataset


def _map(ky: np.ndarray, kx: np.ndarray, table: np.ndarray) -> dict[str, Any]:
    """Accuracies (K, n) on the grid of their frequencies; a conjugate has that of its pair, two phases are averaged."""
    frequencies = np.stack([ky, kx], 1).astype(int)
    edges = []
    for column in frequencies.T:  # half the size of an even side is its own conjugate
        lowest = int(column.min())
        edges.append(lowest if lowest < 0 and -lowest not in column else None)
    cells: dict[tuple[int, int], list[np.ndarray]] = {}
    for frequency, row in zip(frequencies.tolist(), table, strict=True):
        conjugate = tuple(k if k == edge else -k for k, edge in zip(frequency, edges, strict=True))
        for place in {tuple(frequency), conjugate}:
            cells.setdefault(place, []).append(row)
    grid = [sorted({place[axis] for place in cells}) for axis in (0, 1)]
    shape = (len(grid[0]), len(grid[1]))
    mean, spread = np.full((2, *shape), np.nan)
    for (y, x), rows in cells.items():
        over_phases = np.mean(rows, axis=0)
        at = grid[0].index(y), grid[1].index(x)
        mean[at] = over_phases.mean()
        spread[at] = over_phases.std(ddof=1) if len(over_phases) > 1 else np.nan
    several = table.shape[1] > 1
    return {
        "ky": grid[0], "kx": grid[1], "values": _cells(mean), "spread": _cells(spread) if several else None,
        "n": table.shape[1],
    }  # fmt: skip


def _colours() -> dict[str, str]:
    """Maps of colours, 256 steps of red, green and blue each."""
    table = {}
    for name in ("magma", "viridis", "PuOr"):
        steps = matplotlib.colormaps[name](np.linspace(0, 1, 256))[:, :3]
        table[name] = _packing.encoded((255 * steps).round().astype(np.uint8))
    return table


def dumps(content: dict[str, Any]) -> str:
    """JSON that can stand inside a `<script>` element: no character there can end it."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
