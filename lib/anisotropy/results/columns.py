"""What the columns of a line of the record mean, and when two lines of one identity agree."""

import math
from collections.abc import Iterator
from typing import Any

OUTCOME = (
    "test_accuracy", "train_accuracy", "test_loss", "train_loss", "probe_accuracy", "steps_to_threshold", "diverged",
    "history", "early", "seconds", "area", "low", "high", "least", "most", "right", "energies", "bound",
)  # fmt: skip
"""Columns that are results, as are those under `found.`; the rest is identity, but `key` and what is under `made.`."""

FOUND = "found."
"""What the names of measured numbers begin with, see `measures`."""

ACCURACY = 0.1
"""Largest difference of two accuracies of one identity from different processors: rounding takes another path through
a training, and cells that a network half learns differed by up to 7 points between seeds."""

ENERGY = 0.1, 0.01
"""Largest difference of two energies from different processors: a share of the larger one, and a share of the mean of
the line, below which bfloat16 rounds an answer away."""

ROUNDING = 1e-6
"""Largest relative difference on one processor with the same versions, where every step is the same."""


def is_outcome(column: str) -> bool:
    """Whether a column is a result."""
    return column in OUTCOME or column.startswith(FOUND)


def same_arithmetic(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two lines were made where every step rounds alike: same processor, instructions, torch and NumPy."""
    names = ("made.on", "made.arithmetic", "made.device", "made.torch", "made.numpy")
    return all(one.get(name) == other.get(name) for name in names)


def disagreement(one: dict[str, Any], other: dict[str, Any]) -> str:
    """In which column two lines of one identity differ by more than they may, in words; "" where they agree.

    On the same processor with the same versions every number must be the same to rounding. Elsewhere accuracies
    and areas may differ by `ACCURACY`, energies by `ENERGY`, measured numbers by the `bound` of the second line, a
    share of the largest number of that name.
    """
    if "measure" in one:
        return _measured_apart(one, other)
    if not same_arithmetic(one, other):
        for name in ("test_accuracy", "train_accuracy", "area"):
            a, b = one.get(name), other.get(name)
            if a is not None and b is not None and not abs(a - b) <= ACCURACY:
                return f"{name} {a} and {b}, more than {ACCURACY} apart"
        return _far(one.get("energies"), other.get("energies"))
    for name in (n for n in OUTCOME if n != "seconds"):
        a, b = (row.get(name) for row in (one, other))
        if name == "energies" and a and b and [len(x) for x in a] == [len(x) for x in b]:
            a, b = ([value for network in values for value in network] for values in (a, b))
        pairs = zip(a, b, strict=True) if isinstance(a, list) and isinstance(b, list) and len(a) == len(b) else [(a, b)]
        for x, y in pairs:
            both = all(isinstance(v, (int, float)) for v in (x, y))
            if not (math.isclose(x, y, rel_tol=ROUNDING) if both else x == y):
                what = f"{x} and {y} among its {name}" if name == "energies" else f"{name} {a} and {b}"
                return f"{what} on the same processor with the same versions"
    return ""


def _measured_apart(one: dict[str, Any], other: dict[str, Any]) -> str:
    exact = same_arithmetic(one, other)
    for name in sorted(k for k in {*one, *other} if k.startswith(FOUND)):
        a, b = (list(numbers(row.get(name, []))) for row in (one, other))
        if len(a) != len(b):
            return f"{len(a)} and {len(b)} numbers in {name}"
        most = 0.0 if exact else other["bound"] * max(map(abs, (*a, *b)), default=0.0)
        for place, (x, y) in enumerate(zip(a, b, strict=True)):
            if not math.isclose(x, y, rel_tol=ROUNDING, abs_tol=most):
                how = "the same processor with the same versions" if exact else "another processor"
                return f"{name}, number {place}: {x} and {y} on {how}"
    return ""


def numbers(value: Any) -> Iterator[float]:
    """All numbers of a number or of nested lists of them, in order.

    Raises:
        TypeError: there is something else.
    """
    if isinstance(value, list):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value
    else:
        raise TypeError(f"expected numbers or lists of them, got {value!r:.50}")


def _far(one: list[list[float]] | None, other: list[list[float]] | None) -> str:
    """In words, which energies (N, K) of two lines from different processors are further apart than `ENERGY` lets."""
    for ours, theirs in zip(one or [], other or [], strict=True):
        floor = ENERGY[1] * sum(ours) / len(ours)
        for place, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            if not abs(a - b) <= ENERGY[0] * max(a, b) + floor:
                return f"energy {place}, {a} and {b}, more than {ENERGY[0]:.0%} apart"
    return ""
