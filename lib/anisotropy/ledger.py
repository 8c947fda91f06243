"""Which units of work a notebook asked for, and what each of them cost: what the next run is planned from."""

import json
import os
from pathlib import Path
from typing import Any

VARIABLE = "ANISOTROPY_LEDGER"
"""Environment variable that names the file; `reproduce` sets it for its kernels, nobody else need."""


def path(folder: Path) -> Path:
    """Where the ledger of a notebook lies while it runs."""
    return Path(folder) / ".units.jsonl"


def note(**line: Any) -> None:
    """Add one line to the ledger of the running notebook; nothing where there is none.

    Args:
        **line: plain values. Of a table of units: `name`, `engine`, `store`, `keys` of the units in the store,
            `seconds` of each (None where it failed), `computed` (how many were missing) and `wall` seconds. Of NADs:
            `name`, `networks` and `wall`. What a rehearsal notes is in `standins`.
    """
    target = os.environ.get(VARIABLE)
    if not target:
        return
    try:
        with open(target, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
    except OSError:
        pass  # a full disk must not stop the measurement itself


def unit_seconds() -> float | None:
    """Seconds that the units took which the running notebook has asked for so far, trained now or found in a store.

    None where there is no ledger, and where it names no units.
    """
    target = os.environ.get(VARIABLE)
    lines = read(Path(target).parent) if target else []
    tables = [line for line in lines if "keys" in line and "seconds" in line]  # a rehearsal notes keys alone
    units = {key: s for t in tables for key, s in zip(t["keys"], t["seconds"], strict=True)}
    return round(sum(s or 0.0 for s in units.values()), 1) if units else None


def read(folder: Path) -> list[dict[str, Any]]:
    """Lines of a ledger, [] where there is none; a line that a kill cut short is left out."""
    try:
        lines = path(folder).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
