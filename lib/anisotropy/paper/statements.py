"""The statements of the paper as `statements.yaml` lists them: what it says, where, and how each can be tested.

A check names measures and bounds, nothing else; what is measured and decided is in `judging`.
"""

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from anisotropy.paper.evidence import Bound, Measured
from anisotropy.paper.sources import NAMES

HOLDS, FAILS, OPEN = "holds", "fails", "not decided"

FILE = Path(__file__).with_name("statements.yaml")
KEYS = {
    *("by", "with", "networks", "label", "data", "holds", "fails", "unit", "why", "fixed", "slow", "parts"),
    "unmeasured",
}


@dataclass(frozen=True)
class Part:
    """One number and its bounds; most checks have one."""

    by: str
    arguments: dict[str, Any]
    holds: Bound
    fails: Bound | None
    unit: str
    text: str

    @property
    def measure(self) -> Callable[..., Measured]:
        """The function that measures it."""
        module, _, name = self.by.partition(".")
        return getattr(importlib.import_module(f"anisotropy.paper.verdicts_{module}"), name)

    def verdict(self, low: float, high: float) -> str:
        """What an interval says."""
        if math.isnan(low) or math.isnan(high):
            return OPEN
        if self.holds.holds_all(low, high):
            return HOLDS
        return FAILS if self.fails is not None and self.fails.holds_all(low, high) else OPEN

    def p_value(self, found: Measured) -> float | None:
        """Two-sided p-value of the nearest edge of the bound that the value is in; 1 where it is in none."""
        if found.tail is None:
            return None
        within = next((b for b in (self.holds, self.fails) if b is not None and b.contains(found.value)), None)
        return max(found.tail(edge) for edge in within.edges) if within is not None else 1.0


@dataclass(frozen=True)
class Check:
    """One way to test a statement."""

    id: str
    label: str
    parts: tuple[Part, ...]
    why: str = ""
    authors: bool = False
    fixed: str = ""
    slow: bool = False
    unmeasured: str = ""


@dataclass(frozen=True)
class Statement:
    """One sentence, figure or formula of the paper, in our words."""

    id: str
    section: str
    place: str
    says: str
    every: bool
    checks: tuple[Check, ...]
    why: str = ""


def read(path: Path = FILE) -> tuple[list[Statement], list[dict]]:
    """Read the statements, and what is listed apart.

    Raises:
        ValueError: an entry has a key that is not known, lacks one, or an id comes twice.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    statements = []
    for section in content["sections"]:
        for entry in section["statements"]:
            found = [check for given in entry["checks"] for check in checks_of(entry["id"], given)]
            if unknown := set(entry) - {"id", "place", "says", "rule", "checks", "why"}:
                raise ValueError(f"{entry['id']}: expected no {sorted(unknown)}")
            every, why = entry.get("rule") == "every", entry.get("why", "")
            place, says = entry["place"], entry["says"]
            statements.append(Statement(entry["id"], section["title"], place, says, every, tuple(found), why))
    names = [s.id for s in statements] + [c.id for s in statements for c in s.checks]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"expected every id once, got twice: {sorted(twice)}")
    return statements, content["apart"]


def checks_of(statement: str, given: dict) -> list[Check]:
    """Checks of an entry: one, or one for each network that it names."""
    if unknown := set(given) - KEYS:
        raise ValueError(f"{statement}: expected keys out of {sorted(KEYS)}, got {sorted(unknown)}")
    made = []
    for network in given.get("networks", [None]):
        label = given.get("label", "")
        if network:
            label = f"{NAMES[network]}, {label}" if label else NAMES[network]
        parts = []
        for part in given.get("parts", [given] if "unmeasured" not in given else []):
            arguments = {**part.get("with", {}), **({"network": network} if network else {})}
            fails = Bound.read(part["fails"]) if "fails" in part else None
            text = part["holds"] + (f"; fails: {part['fails']}" if "fails" in part else "")
            parts.append(Part(part["by"], arguments, Bound.read(part["holds"]), fails, part["unit"], text))
        if parts and not any(part.fails for part in parts):
            raise ValueError(f"{statement}: expected a bound for `fails`: what cannot fail is no check")
        first = parts[0].by if parts else ""
        data = given.get("data", "authors" if first.startswith("tables.") else "ours")
        made.append(
            Check(
                id=f"{statement}/{first or 'unmeasured'}/{label}",
                label=label,
                parts=tuple(parts),
                why=given.get("why", ""),
                authors=data == "authors",
                fixed=given.get("fixed", ""),
                slow=given.get("slow", False),
                unmeasured=given.get("unmeasured", ""),
            )
        )
    return made
