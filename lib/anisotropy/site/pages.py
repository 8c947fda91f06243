"""The report as a page: what is said of each notebook, claim and figure, and put into the template."""

import base64
import functools
import hashlib
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from anisotropy._util import paths
from anisotropy.notebooks import presets
from anisotropy.notebooks.records import duration
from anisotropy.paper.claims import FAILS, HOLDS, UNDECIDED, Claim
from anisotropy.site import explorer, rendering, runs
from anisotropy.site.rendering import Notebook, Unreadable
from anisotropy.site.runs import DONE, FAILED, INTERRUPTED, MISSING, Figure, Result

WEB = Path(__file__).with_name("web")
VERDICTS = {HOLDS: "holds", FAILS: "fails", UNDECIDED: "undecided"}
"""Verdict -> class of its chip."""

STATES = {
    FAILED: "The last run failed. Its copy ends where it did; figures and claims are those of an earlier run.",
    INTERRUPTED: "Results without an executed copy: the run did not end, or the notebook was run by hand.",
    MISSING: "Not run yet.",
}


def page(preset: str, shown: dict[str, list[Result]], data: dict[str, Any], folder: Path) -> str:
    """The report as HTML.

    Args:
        preset: whose results come first.
        shown: preset -> results of each notebook, that preset first.
        data: what `explorer.data` returned.
        folder: where the page goes, for links to files beside it.
    """
    by_notebook: dict[str, dict[str, Result]] = {}
    for name, found in shown.items():
        for result in found:
            by_notebook.setdefault(result.notebook, {})[name] = result
    sections = [_section(name, found, preset, folder) for name, found in sorted(by_notebook.items())]
    scripts = {name: (WEB / f"{name}.js").read_text(encoding="utf-8") for name in ("theme", "explorer")}
    return _template().render(
        preset=preset,
        presets=list(shown),
        sections=sections,
        counts={name: _counts(found) for name, found in shown.items()},
        facts={name: _facts(found) for name, found in shown.items()},
        verdicts=VERDICTS,
        tables=data["tables"],
        problems=data["problems"],
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        style=Markup((WEB / "report.css").read_text(encoding="utf-8")),
        scripts={name: Markup(text) for name, text in scripts.items()},
        hashes=" ".join(_hash(text) for text in scripts.values()),
        data=Markup(explorer.dumps({k: data[k] for k in ("networks", "colours")})),
    )


@functools.cache
def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(WEB)
    strict = {"autoescape": True, "undefined": jinja2.StrictUndefined}
    environment = jinja2.Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, **strict)
    return environment.get_template("template.html")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _section(name: str, found: dict[str, Result], preset: str, folder: Path) -> dict[str, Any]:
    """What the page says of one notebook."""
    rendered, source, notes = None, None, []
    copies = [(r.executed, r.preset, r) for r in found.values() if r.executed is not None]
    for path, label, result in [*copies, *_as_committed(name, found)]:  # a larger preset's where the first has none
        try:
            rendered, source, shown = rendering.notebook(path, name), label, result
            break
        except Unreadable as error:
            notes.append(f"{label}: {error}")
    else:
        shown = None
    asked = found.get(preset)
    if asked is None or asked.state == MISSING:
        notes.append(f"Not run with the preset {preset}: make reproduce PRESET={preset} ONLY={name}")
    for result in found.values():
        if result.state in (FAILED, INTERRUPTED):
            notes.append(f"{result.preset}: {STATES[result.state]}")
        notes += [f"{result.preset}: {problem}" for problem in result.problems]
    names = dict.fromkeys(figure for result in found.values() for figure in result.figures)
    return {
        "name": name,
        "title": rendered.title if rendered else name,
        "anchor": f"nb-{name}" if rendered else None,
        "check": rendered.check if rendered else None,
        "body": rendered.body if rendered else None,
        "source": source,
        "state": shown.state if shown else (DONE if rendered else MISSING),
        "took": duration(shown.seconds) if shown and shown.seconds is not None else None,
        "notes": notes,
        "rows": _rows(found),
        "figures": [_figure(figure, found, rendered, folder) for figure in _in_order(names, rendered)],
    }


def _as_committed(name: str, found: dict[str, Result]) -> list[tuple[Path, str, None]]:
    """The notebook itself, committed with the outputs of the preset quick, where that is one of those shown."""
    try:
        path = paths.notebooks() / f"{name}.ipynb"
    except FileNotFoundError:
        return []
    return [(path, f"{presets.QUICK}, as committed", None)] if presets.QUICK in found and path.is_file() else []


def _in_order(names: dict[str, None], rendered: Notebook | None) -> list[str]:
    """Figures in the order in which the notebook draws them."""
    order = list(rendered.places) if rendered else []
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))


def _rows(found: dict[str, Result]) -> list[dict[str, Any]]:
    """One row for each statement, with what each preset says of it."""
    rows: dict[str, dict[str, Any]] = {}
    for preset, result in found.items():
        for claim in result.claims:
            row = rows.setdefault(claim.statement, {"claim": claim, "cells": {}})
            row["cells"][preset] = _cell(claim, row["claim"])
    return [
        {"statement": s, "reference": r["claim"].reference, "needed": r["claim"].needed, "cells": r["cells"]}
        for s, r in rows.items()
    ]


def _cell(claim: Claim, first: Claim) -> dict[str, Any]:
    return {
        "value": claim.value if claim.measured is not None else "",
        "verdict": claim.verdict,
        "kind": VERDICTS[claim.verdict],
        "why": claim.why,
        "needed": claim.needed if claim.needed != first.needed else "",
    }


def _figure(name: str, found: dict[str, Result], rendered: Notebook | None, folder: Path) -> dict[str, Any]:
    anchor, caption = (rendered.places.get(name) if rendered else None) or (None, "")
    having = [result for result in found.values() if name in result.figures]
    few = having if len(having) < 3 else [having[0], having[-1]]  # the preset asked for, and the largest
    variants = [_variant(result.figures[name], result, caption, folder) for result in few]
    return {"name": name, "caption": caption or name.replace("_", " "), "anchor": anchor, "variants": variants}


def _variant(figure: Figure, result: Result, caption: str, folder: Path) -> dict[str, Any]:
    """A figure of one preset: picture, description, passport, and what is wrong with them."""
    problems = [figure.problem] if figure.problem else []
    source, width, height, drawn = None, 0, 0, ""
    try:
        source, width, height = rendering.picture(figure.picture.read_bytes())
    except (OSError, Unreadable) as error:
        problems.append(f"{figure.name}.png cannot be shown: {error}")
    try:
        drawn = ", ".join(figure.values)
    except Unreadable as error:
        problems.append(str(error))
    said = f"{caption}: figure" if caption else "Figure"
    alt = f"{said} {figure.name} of {result.notebook}, preset {result.preset}"
    numbers = figure.numbers
    return {
        "preset": result.preset,
        "source": Markup(source) if source else None,
        "width": width,
        "height": height,
        "alt": f"{alt}. Drawn: {drawn[:300]}." if drawn else f"{alt}.",
        "numbers": numbers.name if numbers else None,
        "href": _link(numbers, folder) if numbers else None,
        "passport": _passport(figure.passport),
        "problems": problems,
    }


def _link(path: Path, folder: Path) -> str | None:
    """Relative link from the page, None where the file lies in another tree."""
    if not path.resolve().is_relative_to(folder.resolve().parent):
        return None
    return quote(os.path.relpath(path.resolve(), folder.resolve()).replace(os.sep, "/"))


def _passport(passport: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of a passport; what is not there or of another type is left out."""
    if not passport:
        return []
    commit, hardware = _mapping(passport, "commit"), _mapping(passport, "hardware")
    state = ", with changes that were not committed" if commit.get("clean") is False else ""
    seconds = runs.finite(passport.get("wall_seconds"))
    spent = f", {duration(seconds)} after the notebook began" if seconds is not None else ""
    trained = runs.finite(passport.get("unit_seconds"))
    not_ours = passport.get("not_ours")
    lines = {
        "preset": _text(passport.get("preset")),
        "seed": _text(passport.get("seed")),
        "finished": _text(passport.get("finished")) + spent,
        "trainings": f"{duration(trained)}, each on one core or GPU, now or before" if trained is not None else "",
        "hardware": _hardware(hardware),
        "commit": f"{_text(commit.get('hash'))[:12]}{state}" if commit.get("hash") else "",
        "library": _text(passport.get("library"))[:12],
        "not ours": ", ".join(map(_text, not_ours)) if isinstance(not_ours, list) else "",
        "parameters": _pairs(_mapping(passport, "parameters")),
        "versions": _pairs(_mapping(passport, "versions")),
    }
    return [(name, text) for name, text in lines.items() if text]


def _hardware(hardware: dict[str, Any]) -> str:
    parts = [_text(hardware.get("cpu"))]
    parts += [f"{hardware['cores']} cores"] if type(hardware.get("cores")) is int else []
    memory = runs.finite(hardware.get("memory_gib"))
    parts += [f"{memory:g} GiB"] if memory is not None else []
    gpus = hardware.get("gpu")
    parts += [_text(gpu) for gpu in gpus] if isinstance(gpus, list) else []
    return ", ".join(p for p in parts if p)


def _mapping(passport: dict[str, Any], name: str) -> dict[str, Any]:
    found = passport.get(name)
    return found if isinstance(found, dict) else {}


def _pairs(values: dict[str, Any]) -> str:
    return "\n".join(f"{name} = {_text(value)}" for name, value in values.items())[:4000]


def _text(value: Any) -> str:
    return "" if value is None else str(value)[:500]


def _counts(found: list[Result]) -> dict[str, int]:
    counted = Counter(VERDICTS[claim.verdict] for result in found for claim in result.claims)
    return {kind: counted[kind] for kind in VERDICTS.values()}


def _facts(found: list[Result]) -> dict[str, Any]:
    """Where and when a preset's results were made, as far as their passports say."""
    passports = [r.passport for r in found if r.passport]
    finished = sorted(_text(p.get("finished"))[:10] for p in passports if p.get("finished"))
    hardware = sorted({_hardware(_mapping(p, "hardware")) for p in passports} - {""})
    spent = [r.seconds for r in found if r.seconds is not None]
    trained = sum(runs.finite(p.get("unit_seconds")) or 0.0 for p in passports)
    return {
        "there": sum(r.state != MISSING for r in found),
        "all": len(found),
        "dates": " to ".join(dict.fromkeys([finished[0], finished[-1]])) if finished else "",
        "hardware": "; ".join(hardware),
        "took": duration(sum(spent)) if spent else "",
        "trained": duration(trained) if trained else "",
    }
