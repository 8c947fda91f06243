"""Claims that are checked: statement, reference, measured value with its spread, bound, and a computed verdict.

A verdict is `holds` or `fails` only where the bound lies outside the 95 % confidence interval of the measured value,
and `not decided at this size` otherwise: a small run must not claim what its noise cannot carry. The interval is
measured +- t spread, where `spread` is one standard error and t is Student's for n measurements: 12.7 for two, 4.3 for
three, 2 for many; one measurement decides nothing. A value with neither spread nor n (an identity, a correlation of
two fixed tables) is compared as it stands.
"""

import html
import math
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import stdtrit

from anisotropy._util import checks

HOLDS = "holds"
FAILS = "fails"
UNDECIDED = "not decided at this size"


@dataclass(frozen=True)
class Claim:
    """One checked statement; make it with `at_least`, `at_most`, `within` or `undecided`."""

    statement: str
    reference: str
    needed: str
    measured: float | None
    spread: float
    n: int | None
    digits: int
    verdict: str
    why: str = ""

    @property
    def value(self) -> str:
        """Measured value as printed: rounded to `digits`, with spread and n where there are any."""
        if self.measured is None:
            return "-"
        text = _rounded(self.measured, self.digits)
        if self.digits > 5 and not text.strip("0."):
            text = f"<{10**-self.digits:g}"  # not a row of zeros
        if self.spread:
            spread = _rounded(self.spread, self.digits)
            text += f" ± {spread}" if spread.strip("0.") else f" ± <{10**-self.digits:g}"
        return text + (f" (n = {self.n})" if self.n is not None else "")

    @property
    def row(self) -> tuple[str, ...]:
        """Cells of a table, as `Table.HEAD` names them."""
        verdict = f"{self.verdict}: {self.why}" if self.why else self.verdict
        return self.statement, self.reference, self.value, self.needed, verdict

    def __str__(self) -> str:
        detail = self.why if self.measured is None else f"{self.value}, needed {self.needed}"
        return checks.printable(f"{self.verdict}: {self.statement} [{self.reference}]: {detail}")


def _rounded(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text  # no negative zero


def _bound(value: float, digits: int) -> str:
    """A bound as it is, or rounded to `digits` where it is no short number."""
    short, fixed = f"{value:.2g}", _rounded(value, digits)
    return short if float(short) == value and (float(fixed) != value or len(fixed) > 8) else fixed


def over(values) -> dict[str, float | int]:
    """Spread and n of the mean of independent measurements, as arguments of a claim.

    Args:
        values: (n,), one for each seed, say.

    Returns:
        `spread`, the standard error of their mean (0 where there is one only, which decides nothing), and `n`.

    Example:
        >>> over([1.0, 3.0])
        {'spread': 1.0, 'n': 2}
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"expected measurements (n,), n > 0, got shape {values.shape}")
    return {"spread": float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0, "n": len(values)}


def mean(values) -> dict[str, float | int]:
    """Mean of independent measurements with its spread and n, as arguments of a claim.

    Args:
        values: (n,), one for each seed, say.

    Example:
        >>> print(at_least("more than none", "Fig. 7", bound=0, digits=1, **mean([0.8, 1.0, 0.9])))
        holds: more than none [Fig. 7]: 0.9 ± 0.1 (n = 3), needed ≥ 0.0
    """
    spread = over(values)
    return {"measured": float(np.mean(values)), **spread}


def told(values) -> str:
    """Mean of independent measurements and its standard error, in words.

    Example:
        >>> told([0.8, 1.0, 0.9]), told([-0.01, -0.01])
        ('0.9 ± 0.1', '0.0 ± 0.0')
    """
    found = mean(values)
    middle = round(found["measured"], 1) + 0.0  # of -0.0, 0.0
    return f"{middle:.1f} ± {found['spread']:.1f}"


def _interval(spread: float, n: int | None) -> float:
    """Half of the 95 % confidence interval."""
    return spread * (float(stdtrit(n - 1, 0.975)) if n is not None and n > 1 else 2.0)


def _numbers(measured: float, spread: float, **bounds: float) -> tuple[float, float]:
    try:
        measured, spread = float(measured), float(spread)
    except (TypeError, ValueError, RuntimeError) as error:  # None, text, an array or tensor of several numbers
        raise ValueError(
            f"expected measured and spread as one number each, got {checks.described(measured)} and "
            f"{checks.described(spread)}; where there is nothing to measure, use claims.undecided"
        ) from error
    for name, value in {"spread": spread, **bounds}.items():
        if not math.isfinite(value):
            raise ValueError(f"expected a finite {name}, got {value}")
    if spread < 0:
        raise ValueError(f"expected spread >= 0, got {spread}")
    return measured, spread


def _claim(statement, reference, needed, measured, spread, n, digits, margin) -> Claim:
    """Claim whose measured value is `margin` on the right side of its bound."""
    half = _interval(spread, n)
    if math.isnan(measured):
        verdict, why = FAILS, "the measurement is not a number"
    elif n == 1:
        verdict, why = UNDECIDED, "one measurement does not tell its spread"
    else:
        verdict, why = (HOLDS if margin >= half else FAILS if margin < -half else UNDECIDED), ""
    return Claim(statement, reference, needed, measured, spread, n, digits, verdict, why)


def at_least(
    statement: str,
    reference: str,
    measured: float,
    bound: float,
    *,
    spread: float = 0.0,
    n: int | None = None,
    digits: int = 2,
) -> Claim:
    """Claim that a quantity is at least `bound`.

    Args:
        statement: what is claimed, in words.
        reference: where the paper says so, such as `Fig. 5`.
        measured: our value.
        bound: the least value with which the statement holds.
        spread: one standard error of `measured`.
        n: number of independent measurements behind it; sets Student's t, 2 where it is not given.
        digits: decimals to print: what noise and another processor leave unchanged.

    Raises:
        ValueError: a measured value that is no number, a bound or spread that is not finite, or a negative spread.
    """
    m, s = _numbers(measured, spread, bound=bound)
    return _claim(statement, reference, f"≥ {_bound(bound, digits)}", m, s, n, digits, m - bound)


def at_most(
    statement: str,
    reference: str,
    measured: float,
    bound: float,
    *,
    spread: float = 0.0,
    n: int | None = None,
    digits: int = 2,
) -> Claim:
    """Claim that a quantity is at most `bound`; arguments as for `at_least`.

    Raises:
        ValueError: a bound or spread that is not finite, or a negative spread.
    """
    m, s = _numbers(measured, spread, bound=bound)
    return _claim(statement, reference, f"≤ {_bound(bound, digits)}", m, s, n, digits, bound - m)


def within(
    statement: str,
    reference: str,
    measured: float,
    expected: float,
    tolerance: float,
    *,
    spread: float = 0.0,
    n: int | None = None,
    digits: int = 2,
) -> Claim:
    """Claim that a quantity equals `expected` up to `tolerance`; other arguments as for `at_least`.

    Raises:
        ValueError: an expected value, tolerance or spread that is not finite, or a negative one of the last two.
    """
    m, s = _numbers(measured, spread, expected=expected, tolerance=tolerance)
    if tolerance < 0:
        raise ValueError(f"expected tolerance >= 0, got {tolerance}")
    needed = f"{_bound(expected, digits)} ± {_bound(tolerance, digits)}"
    return _claim(statement, reference, needed, m, s, n, digits, tolerance - abs(m - expected))


def undecided(statement: str, reference: str, why: str) -> Claim:
    """Claim that this run cannot decide, with the reason, so that the table still names it."""
    return Claim(statement, reference, "-", None, 0.0, None, 0, UNDECIDED, why)


class Table:
    """Claims of one notebook: aligned text in a terminal, HTML in a notebook, one line each from `verdicts`.

    Args:
        claims: what `at_least`, `at_most`, `within` and `undecided` return.

    Raises:
        ValueError: no claim, or the same statement twice.
    """

    HEAD = ("claim", "reference", "measured", "needed", "verdict")

    def __init__(self, claims: Iterable[Claim]):
        self.claims = list(claims)
        if not self.claims:
            raise ValueError("expected at least one claim, got none")
        statements = [c.statement for c in self.claims]
        twice = sorted({s for s in statements if statements.count(s) > 1})
        if twice:
            raise ValueError(f"expected each statement once, got twice: {twice[0]!r}")

    def __iter__(self) -> Iterator[Claim]:
        return iter(self.claims)

    def __len__(self) -> int:
        return len(self.claims)

    def __str__(self) -> str:
        rows = [self.HEAD, *(claim.row for claim in self.claims)]
        wrapped = [[textwrap.wrap(checks.printable(cell), 48) or [""] for cell in row] for row in rows]
        widths = [max(len(line) for row in wrapped for line in row[i]) for i in range(len(self.HEAD))]
        lines = []
        for number, row in enumerate(wrapped):
            for k in range(max(map(len, row))):
                cells = [(c[k] if k < len(c) else "").ljust(w) for c, w in zip(row, widths, strict=True)]
                lines.append("  ".join(cells).rstrip())
            if number == 0:
                lines.append("  ".join("-" * w for w in widths))
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def row(cells: Iterable[str], tag: str) -> str:
            style = ' style="text-align: left"'
            return "<tr>" + "".join(f"<{tag}{style}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

        body = "".join(row(cells, "td") for cells in (c.row for c in self.claims))
        return f"<table><thead>{row(self.HEAD, 'th')}</thead><tbody>{body}</tbody></table>"

    def verdicts(self) -> str:
        """One line per claim with rounded numbers, the part that nbval holds a notebook to."""
        return "\n".join(map(str, self.claims))

    def records(self) -> list[dict]:
        """Claims as plain values, for `claims.json` and the report."""
        return [asdict(c) for c in self.claims]
