"""How lines of the record that are no trainings are measured again, for the audit."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from anisotropy.experiments import (
    gallery,
    graph_measures,
    image_measures,
    kernel_measures,
    nad_measures,
    pooling_measures,
    prediction_measures,
)
from anisotropy.results import columns, measures

Again = Callable[[dict[str, Any], bool], dict[str, Any]]
"""Measures a line that is no training again, from its identity alone: (line, whether whole) -> line. Raises ValueError,
with the reason, where it cannot be measured here."""

MEASURES = measures.of(
    graph_measures, image_measures, kernel_measures, nad_measures, pooling_measures, prediction_measures
)
"""Our measures by name. A module that defines some is added here, so that the audit reaches their lines."""


def gallery_again(row: dict[str, Any], whole: bool) -> dict[str, Any]:
    """A line of the gallery, measured again: all of its networks, or the first."""
    return gallery.again(row, networks=None if whole else 1)


def measure_again(folder: str, root: str, row: dict[str, Any], whole: bool) -> dict[str, Any]:
    """A line of `measures.jsonl`, computed again; there is no part of it that could be computed alone.

    Args:
        folder: checkout of the authors' repository; "" where there is none.
        root: folder of CIFAR-10; "" where there is none.
        row: the line.
        whole: says nothing here.

    Raises:
        ValueError: no measure of ours, another version of it, or it cannot be computed here.
    """
    if row["measure"] not in MEASURES:
        raise ValueError(f"{row['measure']} is no measure of ours: expected one of {', '.join(sorted(MEASURES))}")
    return MEASURES[row["measure"]].again(row, folder=folder, root=root)


WAYS: Mapping[str, Again] = {"gallery": gallery_again, "measures": functools.partial(measure_again, "", "")}
"""How lines are measured again, by file of the record."""


def label(row: dict[str, Any]) -> str:
    """What a line of a measure is, in words: its name and arguments."""
    given = [f"{k.removeprefix('arguments.')} {v}" for k, v in row.items() if k.startswith("arguments.")]
    return ", ".join([row["measure"], *given])


def amount(row: dict[str, Any], new: dict[str, Any]) -> str:
    """How much of a line was measured again, in words."""
    if "energies" in row:
        return f"{len(new['energies'])} of {row['networks']} networks"
    if "area" in row:
        return f"area {new['area']:.4f}"
    return f"{sum(1 for k in new if k.startswith(columns.FOUND) for _ in columns.numbers(new[k]))} numbers"
