"""Tables of 08_where_nads_come_from: aligned text in a terminal, HTML in a notebook."""

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from anisotropy.kernels.ingredients import Measured
from anisotropy.kernels.widths import Distance
from anisotropy.paper import discrimination, plotting
from anisotropy.results import record


@dataclass(frozen=True)
class Table:
    """Cells as text, the first column on the left and numbers on the right.

    Attributes:
        head: names of the columns.
        rows: as many cells each.

    Raises:
        ValueError: a row has another number of cells.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self):
        for row in self.rows:
            if len(row) != len(self.head):
                raise ValueError(f"expected {len(self.head)} cells ({', '.join(self.head)}), got {len(row)}: {row}")

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        lines = []
        for first, *others in (self.head, *self.rows):
            cells = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True))]
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def line(cells: Iterable[str], tag: str) -> str:
            sides = ("left", *["right"] * (len(self.head) - 1))
            text = (
                f'<{tag} style="text-align: {side}">{html.escape(cell)}</{tag}>'
                for cell, side in zip(cells, sides, strict=True)
            )
            return f"<tr>{''.join(text)}</tr>"

        body = "".join(line(row, "td") for row in self.rows)
        return f"<table><thead>{line(self.head, 'th')}</thead><tbody>{body}</tbody></table>"


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table of values: numbers to three digits, everything else as it is written."""
    return Table(tuple(head), tuple(tuple(map(_written, row)) for row in rows))


def ingredients(found: Mapping[str, Measured]) -> Table:
    """Marks of the Fourier maps of architectures, one a row."""
    head = ("", "constant", "lattice", "axes", "low", "elsewhere", "half", "edge")
    return table(head, ((name, *vars(m.mark).values(), m.half, m.edge) for name, m in found.items()))


def distances(curves: Mapping[str, Mapping[int, Distance]]) -> Table:
    """Random networks beside the exact covariance, one width a row; errors to one digit, which is what they have."""
    rows = (
        (name, width, f"{d.error:.1f}", f"{d.noise:.1f}", "yes" if d.seen else "no", f"{d.trace:.2g}")
        for name, curve in curves.items()
        for width, d in curve.items()
    )
    return table(("", "channels", "error", "of it noise", "bias seen", "trace / exact"), rows)


def foretold() -> Table:
    """How well exact numbers tell the learnt cells of the published Fig. 1 from the others, from the record."""
    head = ("", "exact", "x", "step", "cells", "told right", "area", "95 % interval")
    return table(head, (_foretold(n, p) for n, predictors in discrimination.EXACT.items() for p in predictors))


def _foretold(network: str, predictor: discrimination.Predictor) -> tuple[object, ...]:
    row = recorded(network, predictor)
    what = {"exact": "v'Cv of secants", "exact gradient": "v'Cv of gradients"}.get(predictor.name, "dipole")
    at = f"N(0, {predictor.sigma**2:g} I)" if predictor.at == "normal" else "0"
    step = "–" if predictor.step is None else f"{predictor.step:g}"
    area, interval = f"{row['area']:.3f}", f"{row['low']:.3f} to {row['high']:.3f}"
    return plotting.LABELS[network], what, at, step, row["cells"], f"{row['right']:.1%}", area, interval


def own(found: Iterable[discrimination.Own]) -> Table:
    """What was foretold of frequencies of our own, and what became of those that are trained."""
    rows = (
        (
            o.name,
            f"{o.energy:.2g}",
            "learnt" if o.learnt else "at chance",
            "–" if o.accuracy is None else f"{o.accuracy:.1%}",
        )
        for o in found
    )
    return table(("frequency", "energy / mean", "foretold", "trained"), rows)


def recorded(network: str, predictor: discrimination.Predictor) -> dict:
    """The line of the record that says how well a predictor that draws no network tells learnt cells.

    Raises:
        LookupError: there is none.
    """
    for row in record.read(record.folder() / "discrimination.jsonl").rows.values():
        if row["network"] == network and record.fields_of(row)["predictor"] == vars(predictor):
            return row
    raise LookupError(
        f"no line for {network} and {predictor} in results/discrimination.jsonl: add it with "
        "python -m anisotropy discrimination --exact --published FOLDER"
    )


def _written(value: object) -> str:
    if isinstance(value, float):
        return f"{0.0 if abs(value) < 1e-9 else value:.3g}"  # rounding is no energy
    return str(value)
