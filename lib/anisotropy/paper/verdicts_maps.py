"""What whole maps of Fig. 1 in the record say: every frequency of the published grid, at the paper's size."""

from anisotropy.directions import bases
from anisotropy.paper.evidence import Measured, Missing
from anisotropy.paper.sources import NAMES, Sources

SETTING = {
    "architecture.width": 1.0,
    "sigma": 3.0,
    "epsilon": 1.0,
    "convention": "text",
    "train_samples": 10_000,
    "recipe.epochs": 20,
    "recipe.dtype": "float32",
    "recipe.stop_at_threshold": False,
    "seed": 0,
}
"""Columns of the rows of a map, as in the paper."""


def rows_of(sources: Sources, network: str, step: int = 2) -> list[dict]:
    """Return a row for every frequency of the grid, cosines and the waves that are their own conjugate.

    Raises:
        Missing: the record lacks some of them.
    """
    basis = bases.fourier(32, 32)
    wanted = {(*map(int, basis.frequencies[k]), str(basis.phases[k])) for k in basis.subgrid(step)}
    found = {}
    for row in sources.rows("directions"):
        fits = all(row.get(column, 1.0 if column.endswith("width") else None) == v for column, v in SETTING.items())
        if fits and row["architecture.name"] == network and row["direction.kind"] == "fourier":
            found[row["direction.ky"], row["direction.kx"], row["direction.phase"]] = row
    if absent := wanted - found.keys():
        raise Missing(f"{len(wanted) - len(absent)} of {len(wanted)} frequencies of the map of {network}")
    return [found[place] for place in sorted(wanted)]


def worst(sources: Sources, network: str) -> Measured:
    """Least test accuracy over the frequencies of the published grid, percent, as it stands."""
    rows = rows_of(sources, network)
    value = 100 * min(row["test_accuracy"] for row in rows)
    return _sized(Measured(value, value, value), rows, network)


def span(sources: Sources, network: str) -> Measured:
    """Best minus worst frequency of the published grid, points, as it stands."""
    rows = rows_of(sources, network)
    accuracies = [row["test_accuracy"] for row in rows]
    value = 100 * (max(accuracies) - min(accuracies))
    return _sized(Measured(value, value, value), rows, network)


def _sized(measured: Measured, rows: list[dict], network: str) -> Measured:
    return measured.at(
        size=f"{NAMES[network]}, 10,000 samples, 20 epochs, sigma = 3, all {len(rows)} distinct frequencies, 1 seed",
        full=True,
        files=("results/directions.jsonl",),
        command="make reproduce PRESET=laptop ONLY=01_fourier_bias",
        minutes=sum(row["seconds"] for row in rows) / 120,
        commits=tuple(sorted({row["made.commit"] for row in rows})),
    )
