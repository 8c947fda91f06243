"""Figures with passports: picture, the numbers behind it, and what made it, side by side in one folder."""

import io
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from anisotropy._util import checks, files, paths, provenance
from anisotropy.paper.claims import Table
from anisotropy.results import record, stores

PUBLISHED = "published"


RESERVED = ("claims", "run")
"""Results with a name of their own in the folder of figures."""


SHORT = 12
"""Hexadecimal digits of a key or a digest that are written down."""


class Run:
    """One execution of a notebook, from its set-up cell on; saves figures and claims with what made them.

    Args:
        notebook: name without suffix, such as `03_nads`.
        parameters: what `presets.strict` returned; `parameters["preset"]` names the folder.

    Raises:
        ValueError: no preset among the parameters, or a name that is not a plain path component.
    """

    def __init__(self, notebook: str, parameters: Mapping[str, Any]):
        if "preset" not in parameters:
            raise ValueError("expected a parameter 'preset' naming the folder of the figures, got none")
        self.notebook = notebook
        self.parameters = dict(parameters)
        self.folder = paths.figures(parameters["preset"], notebook)
        self._made_by = {  # as the run begins: what is edited meanwhile did not make its results
            "versions": provenance.versions(),
            "commit": provenance.commit(),
            "library": provenance.library(),
        }
        self._begin = time.perf_counter()

    def passport(self) -> dict[str, Any]:
        """What made a result: parameters, seed, versions, commit, library, hardware, times; no machine's path.

        `wall_seconds` is what this run took until then; `unit_seconds` what the results behind it took, each on one
        core or GPU, also those that were in the store or the record; `lines` the beginnings of their keys there, each
        with that of a digest of the result.
        """
        seconds = [result["seconds"] for result in stores.USED.values() if "seconds" in result]
        return {
            "notebook": self.notebook,
            "preset": self.parameters["preset"],
            "parameters": provenance.neutral(self.parameters),
            "seed": self.parameters.get("seed"),
            **self._made_by,
            "hardware": provenance.hardware(),
            "wall_seconds": round(time.perf_counter() - self._begin, 2),
            "lines": {key[:SHORT]: stores.digest(result)[:SHORT] for key, result in sorted(stores.USED.items())},
            "unit_seconds": round(sum(seconds), 1) if seconds else None,
            "finished": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def save(self, figure: Figure, name: str, numbers: Mapping[str, Any]) -> None:
        """Write `<name>.png`, `<name>.svg`, the numbers and `<name>.passport.json` into `folder`, each atomically.

        Args:
            figure: the picture.
            name: stem of the files.
            numbers: what is drawn, by name: arrays, tensors, numbers, or containers of them. Equal-length vectors make
                `<name>.csv`, anything else `<name>.json`. Names that begin with `published` are the authors' data,
                which are not ours to copy: the passport names them as `not_ours`, and they are not written.

        Raises:
            TypeError: numbers that are neither numbers, text nor containers of them.
            ValueError: no figure, no numbers, a name that would leave the folder or is that of another result.
            OSError: the disk is full or the folder read-only.
        """
        paths.plain_name(name, "figure name")
        if name.lower() in RESERVED or name.endswith(".passport"):
            raise ValueError(f"expected another figure name than {name!r}: that file holds something else here")
        if not isinstance(figure, Figure):
            raise ValueError(f"expected a matplotlib Figure, got {checks.described(figure)}; an Axes has its .figure")
        if not isinstance(numbers, Mapping):
            raise ValueError(
                f"expected the numbers behind figure {name!r} by name, such as {{'accuracy': values}}, got "
                f"{checks.described(numbers)}"
            )
        others = [str(key) for key in numbers if str(key).startswith(PUBLISHED)]
        numbers = {key: value for key, value in numbers.items() if str(key) not in others}
        if not numbers:
            raise ValueError(f"expected the numbers behind figure {name!r}, got none of our own")
        table = _as_csv(numbers)
        stored = f"{name}.csv" if table is not None else f"{name}.json"
        other = self.folder / (f"{name}.json" if table is not None else f"{name}.csv")
        with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):  # equal figures, equal files
            for suffix in ("png", "svg"):
                files.write(self.folder / f"{name}.{suffix}", _render(figure, suffix))
        if table is not None:
            files.write(self.folder / stored, table)
        else:
            files.write_json(self.folder / stored, numbers)
        other.unlink(missing_ok=True)  # from an earlier run whose numbers had another shape
        files.write_json(
            self.folder / f"{name}.passport.json",
            {"figure": name, "numbers": stored, "not_ours": others, **self.passport()},
        )

    def save_claims(self, table: Table) -> None:
        """Write the checked claims with their passport as `claims.json` into `folder`.

        Raises:
            ValueError: no table.
            OSError: the disk is full or the folder read-only.
        """
        if not isinstance(table, Table):
            raise ValueError(f"expected a claims.Table([...]), got {checks.described(table)}")
        files.write_json(self.folder / "claims.json", {"claims": table.records(), **self.passport()})


def _render(figure: Figure, suffix: str) -> bytes:
    stream = io.BytesIO()
    metadata = {"Date": None} if suffix == "svg" else {"Software": None}
    figure.savefig(stream, format=suffix, metadata=metadata)
    return stream.getvalue()


def _as_csv(numbers: Mapping[str, Any]) -> str | None:
    """Equal-length vectors as CSV with a header, or None where they are not."""
    columns = {str(k): files.plain(v) for k, v in numbers.items()}
    if not all(isinstance(v, list) and v and not any(isinstance(x, (list, dict)) for x in v) for v in columns.values()):
        return None
    if len({len(v) for v in columns.values()}) != 1:
        return None
    rows = [columns.keys(), *zip(*columns.values(), strict=True)]
    return "".join(",".join(_csv_field(x) for x in row) + "\n" for row in rows)


def _csv_field(value: Any) -> str:
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text


def read_numbers(path: Path) -> dict[str, np.ndarray]:
    """Columns of a `<name>.csv` as arrays; numbers where every field is one, text otherwise."""
    import csv

    with open(path, newline="", encoding="utf-8") as stream:
        head, *rows = list(csv.reader(stream))
    columns = {name: [row[i] for row in rows] for i, name in enumerate(head)}
    found = {}
    for name, values in columns.items():
        try:
            found[name] = np.array([float(v) for v in values])
        except ValueError:
            found[name] = np.array(values)
    return found


def outdated(folder: Path, code: str, parameters: Mapping[str, Any]) -> list[str]:
    """Why figures that were committed are no longer those that their notebook draws; empty where they are.

    New lines of the record change nothing; a line that was taken back or altered, or other code or parameters, do.

    Args:
        folder: of the figures, with `run.json` and the passports.
        code: fingerprint of the notebook's code, see `declarations.Notebook`.
        parameters: of the notebook.
    """
    made = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    found = ["the notebook's code has changed"] if made["inputs"]["notebook"] != code else []
    found += ["its parameters have changed"] if made["parameters"] != provenance.neutral(dict(parameters)) else []
    lines: dict[str, str] = {}
    for path in sorted(folder.glob("*.passport.json")):
        lines |= json.loads(path.read_text(encoding="utf-8"))["lines"]
    known = {key[:SHORT]: stores.digest(result)[:SHORT] for key, result in record.every().items()}
    found += [f"line {key} is not in the record" for key in sorted(lines.keys() - known.keys())]
    altered = [key for key in sorted(lines.keys() & known.keys()) if lines[key] != known[key]]
    return found + [f"line {key} has changed" for key in altered]
