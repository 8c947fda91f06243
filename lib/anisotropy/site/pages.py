"""Our own pages: the report of one preset as one file, and the bodies of the site's first page and of its results.

What is said of each notebook, claim and figure is gathered here and put into the templates in `web/`.
"""

import base64
import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from anisotropy._util import paths
from anisotropy.notebooks.records import duration
from anisotropy.paper.claims import FAILS, HOLDS, UNDECIDED, Claim
from anisotropy.paper.judging import Report
from anisotropy.site import explorer, gallery, runs, statement_pages
from anisotropy.site.articles import Article
from anisotropy.site.gallery import Link
from anisotropy.site.rendering import Unreadable
from anisotropy.site.runs import FAILED, INTERRUPTED, MISSING, Result

WEB = Path(__file__).with_name("web")
VERDICTS = {HOLDS: "holds", FAILS: "fails", UNDECIDED: "undecided"}
"""Verdict -> class of its chip."""

STATES = {
    FAILED: "The last run failed. Its copy ends where it did; figures and claims are those of an earlier run.",
    INTERRUPTED: "Results without an executed copy: the run did not end, or the notebook was run by hand.",
    MISSING: "Not run yet.",
}


def report(preset: str, shown: dict[str, list[Result]], data: dict[str, Any], folder: Path) -> str:
    """The report as HTML, one file.

    Args:
        preset: whose results come first.
        shown: preset -> results of each notebook, that preset first.
        data: what `explorer.data` returned.
        folder: where the page goes, for links to files beside it.
    """
    copies = {r.notebook: r.executed for found in reversed(shown.values()) for r in found if r.executed}

    def link(name: str, heading: str) -> str | None:
        return gallery.relative(copies[name], folder) if name in copies else None

    scripts = {name: _web(f"static/{name}.js") for name in ("theme", "verdicts", "explorer")}
    return _template("report.html").render(
        **results(preset, shown, folder, link),
        **_explorer(data),
        style=Markup(_web("static/report.css")),
        scripts={name: Markup(text) for name, text in scripts.items()},
        hashes=" ".join(_hash(text) for text in scripts.values()),
    )


def results(preset: str, shown: dict[str, list[Result]], folder: Path, link: Link) -> dict[str, Any]:
    """Claims and figures of some presets, as the templates want them."""
    by_notebook: dict[str, dict[str, Result]] = {}
    for name, found in shown.items():
        for result in found:
            by_notebook.setdefault(result.notebook, {})[name] = result
    return {
        "preset": preset,
        "presets": list(shown),
        "sections": [_section(name, found, preset, folder, link) for name, found in sorted(by_notebook.items())],
        "counts": {name: _counts(found) for name, found in shown.items()},
        "facts": {name: _facts(found) for name, found in shown.items()},
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def results_page(preset: str, shown: dict[str, list[Result]], folder: Path, link: Link) -> Markup:
    """Body of the site's page of results: claims, figures with passports, and how the notebooks were run."""
    return Markup(_template("results.html").render(results(preset, shown, folder, link)))


def first_page(report: Report, data: dict[str, Any], articles: Sequence[Article], link: Callable[[str], str]) -> Markup:
    """Body of the site's first page: every statement with its status, the explorer, and the ways in.

    Args:
        report: the judged statements.
        data: what `explorer.data` returned.
        articles: the notebooks.
        link: name of a page, without suffix -> its address.
    """
    return Markup(
        _template("first.html").render(
            **_explorer(data),
            sections=_by_section(report),
            counts=[(name, n, statement_pages.KINDS.get(name, "undecided")) for name, n in report.count().items()],
            total=len(report.statements),
            articles=articles,
            link=link,
        )
    )


def _by_section(report: Report) -> dict[str, list[dict[str, Any]]]:
    """Section of the paper -> its statements, as rows of a table."""
    sections: dict[str, list[dict[str, Any]]] = {}
    for statement, _, status in report.statements:
        kind = statement_pages.KINDS.get(status, "undecided")
        row = {"id": statement.id, "says": statement.says, "place": statement.place, "status": status, "kind": kind}
        sections.setdefault(statement.section, []).append(row)
    return sections


def _explorer(data: dict[str, Any]) -> dict[str, Any]:
    packed = explorer.dumps({k: data[k] for k in ("networks", "colours")})
    return {"tables": data["tables"], "problems": data["problems"], "data": Markup(packed)}


def _web(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")


@functools.cache
def _template(name: str) -> jinja2.Template:
    """A template; everything put into it is escaped unless it is marked as safe."""
    loader = jinja2.FileSystemLoader(WEB)
    strict = {"autoescape": True, "undefined": jinja2.StrictUndefined}
    environment = jinja2.Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, **strict)
    return environment.get_template(name)


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _section(name: str, found: dict[str, Result], preset: str, folder: Path, link: Link) -> dict[str, Any]:
    """What the page says of one notebook."""
    article, notes = None, []
    copies = [r.executed for r in found.values() if r.executed is not None]
    for path in [*copies, *_as_committed(name)]:  # a larger preset's where the first has none
        try:
            article = Article.read(path)
            break
        except Unreadable as error:
            notes.append(str(error))
    asked = found.get(preset)
    if asked is None or asked.state == MISSING:
        notes.append(f"Not run with the preset {preset}: make reproduce PRESET={preset} ONLY={name}")
    for result in found.values():
        if result.state in (FAILED, INTERRUPTED):
            notes.append(f"{result.preset}: {STATES[result.state]}")
        notes += [f"{result.preset}: {problem}" for problem in result.problems]
    names = gallery.in_order(dict.fromkeys(f for result in found.values() for f in result.figures), article)
    first = next((r for r in found.values() if r.executed is not None), None)
    check = article.check if article else None
    return {
        "name": name,
        "title": article.title if article else name,
        "href": link(name, ""),
        "check": link(name, check) if check else None,
        "source": first.preset if first else None,
        "state": first.state if first else MISSING,
        "took": duration(first.seconds) if first and first.seconds is not None else None,
        "notes": notes,
        "rows": _rows(found),
        "figures": [gallery.figure(figure, found, article, folder, link) for figure in names],
    }


def _as_committed(name: str) -> list[Path]:
    """The notebook itself."""
    try:
        path = paths.notebooks() / f"{name}.ipynb"
    except FileNotFoundError:
        return []
    return [path] if path.is_file() else []


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


def _counts(found: list[Result]) -> dict[str, int]:
    counted = Counter(VERDICTS[claim.verdict] for result in found for claim in result.claims)
    return {kind: counted[kind] for kind in VERDICTS.values()}


def _facts(found: list[Result]) -> dict[str, Any]:
    """Where and when a preset's results were made, as far as their passports say."""
    passports = [r.passport for r in found if r.passport]
    finished = sorted(gallery.text(p.get("finished"))[:10] for p in passports if p.get("finished"))
    hardware = sorted({gallery.hardware(p) for p in passports} - {""})
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
