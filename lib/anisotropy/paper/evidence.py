"""What a statement is judged by: a measured number, how sure it is, its size, and where it comes from.

A measure is a function (sources, **arguments) -> `Measured`. It raises `Missing` where rows or tables are not there,
so that a verdict says "not decided" and what it waits for. Bounds are words: `<= 5`, `0.95 to 1.05`, `outside 1 to 2`.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from anisotropy._util import checks


class Missing(Exception):
    """Evidence that is not there yet; the text says what is."""


class Elsewhere(Missing):
    """Evidence that needs the authors' tables, where no folder is given: the committed verdict is kept."""


@dataclass(frozen=True)
class Measured:
    """A measured number.

    Attributes:
        value: the number.
        low: lower end of its 95 % interval; equal to `value` where nothing was sampled.
        high: upper end.
        n: independent measurements behind it (seeds, orbits, networks), None where nothing was sampled.
        tail: bound -> two-sided p-value of "the true value is the bound", None where nothing was sampled.
        size: networks, widths, images, samples, epochs, seeds, in words.
        full: whether that is the paper's size.
        files: what it was computed from, relative to the repository or to the folder of the authors' data.
        command: what computes it again.
        minutes: about how long that takes on two cores.
        note: what the reader should know besides.
        commits: commits that made the rows behind it.
    """

    value: float
    low: float
    high: float
    n: int | None = None
    tail: Callable[[float], float] | None = None
    size: str = ""
    full: bool = False
    files: tuple[str, ...] = ()
    command: str = "make statements"
    minutes: float = 1.0
    note: str = ""
    commits: tuple[str, ...] = ()

    def at(self, **known) -> "Measured":
        """Return it with size, files and so on filled in."""
        return replace(self, **known)


def exact(value: float) -> Measured:
    """Return a number that rests on no sample: a formula, or a table that is compared as it stands."""
    value = float(value)
    return Measured(value, value, value)


def student(values) -> Measured:
    """Return the mean of independent measurements with Student's interval.

    Args:
        values: (n,), n >= 2.

    Raises:
        Missing: fewer than two.

    Example:
        >>> found = student([1.0, 2.0, 3.0])
        >>> round(found.low, 2), round(found.high, 2)
        (-0.48, 4.48)
    """
    values = np.asarray(values, dtype=float)
    spread = values.std(ddof=1) if len(values) > 1 else 0.0
    return from_error(values.mean(), spread / math.sqrt(max(len(values), 1)), len(values))


def from_error(value: float, error: float, n: int) -> Measured:
    """Return a mean of n independent measurements whose standard error is known.

    Equal measurements say little about their spread when there are few: an error of 0 counts as that of one rounding
    in the third decimal, 0.0005 / sqrt(n).

    Raises:
        Missing: fewer than two.
    """
    if n < 2:
        raise Missing(f"{n} measurement(s), needs two to know their spread")
    value, error = float(value), max(float(error), 0.0005 / math.sqrt(n))
    half = error * float(stats.t.ppf(0.975, n - 1))
    return Measured(
        value, value - half, value + half, n, lambda bound: float(2 * stats.t.sf(abs(value - bound) / error, n - 1))
    )


def proportion(hits: int, n: int) -> Measured:
    """Return a share of n independent cases with the interval of Clopper and Pearson.

    Example:
        >>> found = proportion(8, 8)
        >>> round(found.low, 2), found.high
        (0.63, 1.0)
    """
    interval = stats.binomtest(hits, n).proportion_ci(0.95)

    def tail(bound: float) -> float:
        one = min(stats.binom.cdf(hits, n, bound), stats.binom.sf(hits - 1, n, bound))
        return float(min(1.0, 2 * one))

    return Measured(hits / n, float(interval.low), float(interval.high), n, tail)


def resampled(value: float, draws, n: int) -> Measured:
    """Return a number with the 95 % interval of its bootstrap draws.

    Args:
        value: of the sample itself.
        draws: (B,) values of resamples.
        n: independent units that were drawn from.
    """
    draws = np.asarray(draws, dtype=float)

    def tail(bound: float) -> float:
        one = min((draws <= bound).sum(), (draws >= bound).sum())
        return float(min(1.0, 2 * (1 + one) / (1 + len(draws))))

    return Measured(float(value), *(float(q) for q in np.quantile(draws, [0.025, 0.975])), n, tail)


def over_range(values) -> Measured:
    """Return the mean of few measurements with their range in place of an interval: a bound must hold for each."""
    values = np.asarray(values, dtype=float)
    return Measured(float(values.mean()), float(values.min()), float(values.max()), len(values))


def roc_area(scores, positive) -> float:
    """Area under the ROC curve: probability that a positive case has the higher score; ties count half.

    Example:
        >>> roc_area([3, 2, 1, 0], [True, True, False, False])
        1.0
    """
    scores, positive = np.asarray(scores, dtype=float), np.asarray(positive, dtype=bool)
    if positive.all() or not positive.any():
        raise Missing("all cases are of one kind, so that there is nothing to tell apart")
    pairs = scores[positive][:, None] - scores[~positive][None]
    return float((pairs > 0).mean() + (pairs == 0).mean() / 2)


def roc(scores, positive, *, draws: int = 1_000, seed: int = 0) -> Measured:
    """Area under the ROC curve with an interval that has a width even where nothing is mistaken.

    A bootstrap of a perfect separation is perfect each time. So the interval is that of the binormal model: the true
    areas for which an area as large (as small) as the one that was found comes up in more than 2.5 % of samples of as
    many positive and negative cases.

    Args:
        scores: (n,), one for each independent case.
        positive: (n,).
        draws: samples of the model.
        seed: of the draws.
    """
    found = roc_area(scores, positive)
    yes = int(np.sum(positive))
    generator = np.random.default_rng(seed)
    above, below = (generator.standard_normal((draws, k)) for k in (yes, len(positive) - yes))
    difference = above[:, :, None] - below[:, None, :]

    def tails(true: float) -> tuple[float, float]:
        shift = math.sqrt(2) * stats.norm.ppf(min(max(true, 1e-6), 1 - 1e-6))
        areas = (difference + shift > 0).mean((1, 2))
        return (1 + (areas >= found - 1e-12).sum()) / (1 + draws), (1 + (areas <= found + 1e-12).sum()) / (1 + draws)

    def edge(side: int, outer: float) -> float:
        """True area at which the tail passes 2.5 %, between the area found and an outer end; by halving."""
        inner = found
        for _ in range(10):
            middle = (inner + outer) / 2
            inner, outer = (middle, outer) if tails(middle)[side] > 0.025 else (inner, middle)
        return inner

    low, high = edge(0, 0.0), edge(1, 1.0)
    return Measured(found, low, high, len(positive), lambda bound: float(min(1.0, 2 * min(tails(bound)))))


@dataclass(frozen=True)
class Bound:
    """A set of numbers: those from `low` to `high`, or those outside.

    Example:
        >>> Bound.read("<= 5").contains(5), Bound.read("outside 1 to 2").contains(1.5)
        (True, False)
    """

    low: float
    high: float
    outside: bool = False

    @classmethod
    def read(cls, text: str) -> "Bound":
        """Read `<= 5`, `>= 5`, `1 to 2` or `outside 1 to 2`.

        Raises:
            ValueError: it is none of these.
        """
        number = r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)"
        if found := re.fullmatch(rf"<= {number}", str(text)):
            return cls(-math.inf, float(found[1]))
        if found := re.fullmatch(rf">= {number}", str(text)):
            return cls(float(found[1]), math.inf)
        if found := re.fullmatch(rf"(outside )?{number} to {number}", str(text)):
            return cls(float(found[2]), float(found[3]), bool(found[1]))
        raise ValueError(f"expected a bound such as '<= 5', '1 to 2' or 'outside 1 to 2', got {checks.described(text)}")

    @property
    def edges(self) -> list[float]:
        """Finite ends."""
        return [edge for edge in (self.low, self.high) if math.isfinite(edge)]

    def contains(self, value: float) -> bool:
        """Whether a number is in the set."""
        inside = self.low <= value <= self.high
        return not inside if self.outside else inside

    def holds_all(self, low: float, high: float) -> bool:
        """Whether every number from `low` to `high` is in the set."""
        apart = high < self.low or low > self.high
        return apart if self.outside else self.contains(low) and self.contains(high)
