"""Figures as the pages show them: each preset's picture, what it shows in words, its numbers and its passport."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from anisotropy.notebooks.records import duration
from anisotropy.site import rendering, runs
from anisotropy.site.articles import Article
from anisotropy.site.rendering import Unreadable
from anisotropy.site.runs import Figure, Result

Link = Callable[[str, str], str | None]
"""(name of a notebook, heading or "") -> address to link to, None where there is none."""


def in_order(names: dict[str, None], article: Article | None) -> list[str]:
    """Figures in the order in which the notebook draws them."""
    order = list(article.headings) if article else []
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))


def figure(name: str, found: dict[str, Result], article: Article | None, folder: Path, link: Link) -> dict[str, Any]:
    """A figure with its caption, the place that draws it, and at most two of its presets."""
    caption = article.headings.get(name, "") if article else ""
    having = [result for result in found.values() if name in result.figures]
    few = having if len(having) < 3 else [having[0], having[-1]]  # the preset asked for, and the largest
    variants = [_variant(result.figures[name], result, caption, folder) for result in few]
    href = link(article.name, caption) if article and caption else None
    return {"name": name, "caption": caption or name.replace("_", " "), "href": href, "variants": variants}


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
        "href": relative(numbers, folder) if numbers else None,
        "passport": _passport(figure.passport),
        "problems": problems,
    }


def relative(path: Path, folder: Path) -> str | None:
    """Relative link from the page, None where the file lies in another tree."""
    if not path.resolve().is_relative_to(folder.resolve().parent):
        return None
    return quote(os.path.relpath(path.resolve(), folder.resolve()).replace(os.sep, "/"))


def _passport(passport: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of a passport; what is not there or of another type is left out."""
    if not passport:
        return []
    commit = mapping(passport, "commit")
    state = ", with changes that were not committed" if commit.get("clean") is False else ""
    seconds = runs.finite(passport.get("wall_seconds"))
    spent = f", {duration(seconds)} after the notebook began" if seconds is not None else ""
    trained = runs.finite(passport.get("unit_seconds"))
    not_ours = passport.get("not_ours")
    lines = {
        "preset": text(passport.get("preset")),
        "seed": text(passport.get("seed")),
        "finished": text(passport.get("finished")) + spent,
        "trainings": f"{duration(trained)}, each on one core or GPU, now or before" if trained is not None else "",
        "hardware": hardware(passport),
        "commit": f"{text(commit.get('hash'))[:12]}{state}" if commit.get("hash") else "",
        "library": text(passport.get("library"))[:12],
        "not ours": ", ".join(map(text, not_ours)) if isinstance(not_ours, list) else "",
        "parameters": _pairs(mapping(passport, "parameters")),
        "versions": _pairs(mapping(passport, "versions")),
    }
    return [(name, line) for name, line in lines.items() if line]


def hardware(passport: dict[str, Any]) -> str:
    """The machine, as far as a passport says."""
    known = mapping(passport, "hardware")
    parts = [text(known.get("cpu"))]
    parts += [f"{known['cores']} cores"] if type(known.get("cores")) is int else []
    memory = runs.finite(known.get("memory_gib"))
    parts += [f"{memory:g} GiB"] if memory is not None else []
    gpus = known.get("gpu")
    parts += [text(gpu) for gpu in gpus] if isinstance(gpus, list) else []
    return ", ".join(p for p in parts if p)


def mapping(passport: dict[str, Any], name: str) -> dict[str, Any]:
    """A mapping within a passport; empty where it is none."""
    found = passport.get(name)
    return found if isinstance(found, dict) else {}


def _pairs(values: dict[str, Any]) -> str:
    return "\n".join(f"{name} = {text(value)}" for name, value in values.items())[:4000]


def text(value: Any) -> str:
    """A value of a passport as text, cut at 500 characters."""
    return "" if value is None else str(value)[:500]
