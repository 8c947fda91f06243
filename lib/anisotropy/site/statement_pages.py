"""Pages of the statements: an index by section, one page for each statement, and one for each figure of the paper.

Everything on them comes from the judged statements (`results/statements.json` with `paper/statements.yaml`).
"""

import functools
import re
from pathlib import Path

from anisotropy._util import paths
from anisotropy.notebooks import declarations, figure_index
from anisotropy.paper import judging, statements_page
from anisotropy.paper.judging import Found, Report
from anisotropy.paper.statements import FAILS, HOLDS, Statement

KINDS = {
    judging.FULL: "holds",
    judging.REDUCED: "holds",
    judging.BORNE_OUT: "holds",
    judging.CONTRADICTED: "fails",
    judging.THEIRS: "fails",
    judging.MIXED: "mixed",
    HOLDS: "holds",
    FAILS: "fails",
}
"""Status of a statement, or verdict of a check -> class of its chip; all others are "undecided"."""

FIGURES = {
    1: "Accuracy on D(v) along the Fourier basis, five networks",
    2: "Training loss along the Fourier basis, with little noise",
    3: "Accuracy without pooling",
    4: "What pooling does to the best accuracy (a) and to training (b)",
    5: "NADs of the networks, in pixels and frequencies",
    6: "Accuracy along the NADs, beside the spectrum",
    7: "Accuracy with a shortcut written into one NAD",
    8: "Accuracy on images flipped along the NADs",
}
"""What each figure of the paper shows, in our words."""


@functools.cache
def judged() -> Report:
    """The committed statements, each with its checks and its status."""
    return judging.judge(None, judging.committed())


def pages() -> dict[str, str]:
    """Name of a page -> its Markdown."""
    report = judged()
    found = {"docs/statements.md": _index(report), "docs/paper.md": _figures(report)}
    found |= {f"docs/statements/{s.id}.md": _statement(s, checks, status) for s, checks, status in report.statements}
    return found | {f"docs/paper/fig{number}.md": _figure(number, report) for number in FIGURES}


def chip(words: str) -> str:
    """A status or verdict as a coloured word."""
    return f"[{words}]{{.chip .{KINDS.get(words, 'undecided')}}}"


def of_figure(number: int, report: Report) -> list[tuple[Statement, list[Found], str]]:
    """Statements whose place in the paper is this figure."""
    return [entry for entry in report.statements if number in numbers_in(entry[0].place)]


def numbers_in(place: str) -> set[int]:
    """Numbers of the figures that a place in the paper, or a heading, names.

    Example:
        >>> numbers_in("Sec. 3.1, Fig. 5 and 1"), numbers_in("Figure 4b: what is learnt first"), numbers_in("Sec. 2")
        ({1, 5}, {4}, set())
    """
    named = re.findall(r"Fig(?:\.|ures?|s\.?) ?(\d[ab]?(?:(?:, | and | to )\d[ab]?)*)", place)
    return {int(number) for text in named for number in re.findall(r"\d", text)}


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _table(entries: list[tuple[Statement, list[Found], str]], folder: str) -> list[str]:
    """Statements as a table; their pages lie in `folder`."""
    rows = [f"| [{_cell(s.says)}]({folder}{s.id}.md) | {_cell(s.place)} | {chip(status)} |" for s, _, status in entries]
    return ["| statement | place | status |", "|---|---|---|", *rows, ""]


def _index(report: Report) -> str:
    intro = statements_page.introduction(report)
    lines = [intro, ""]
    sections = dict.fromkeys(s.section for s, _, _ in report.statements)
    for section in sections:
        lines += [
            f"## {section}",
            "",
            *_table([e for e in report.statements if e[0].section == section], "statements/"),
        ]
    lines += ["## Not statements of the paper", ""]
    lines += [
        "Our corrections of its formulas, controls, and identities that hold by construction: not counted above.",
        "",
    ]
    lines += ["| kind | what | measured | verdict |", "|---|---|---|---|"]
    for kind, says, one in report.apart:
        measured, verdict = (_cell(statements_page.measured(one)), chip(one.verdict)) if one else ("-", "-")
        lines.append(f"| {kind} | {_cell(one.check.label if one else says)} | {measured} | {verdict} |")
    files = [f"- {name}: {digest}" for name, digest in report.made["published"].items()]
    lines += ["", "## The authors' files", "", "First 16 digits of the SHA-256 of each that was read:", "", *files, ""]
    names = "\n".join(f"{s.id} <statements/{s.id}>" for s, _, _ in report.statements)
    return "\n".join([*lines, "```{toctree}", ":hidden:", "", names, "```", ""])


def _statement(statement: Statement, found: list[Found], status: str) -> str:
    """One statement: what was measured, against which bound, with which networks, and how to measure it again."""
    lines = [f"# {statement.says}", "", f"*{statement.place}* · {chip(status)}", ""]
    figures = ", ".join(f"[Fig. {n}](../paper/fig{n}.md)" for n in sorted(numbers_in(statement.place) & set(FIGURES)))
    lines += [f"All statements of {figures}." if figures else "", ""]
    if not found:
        return "\n".join([*lines, f"Untested: {statement.why}", ""])
    lines += ["| checked with | measured | verdict |", "|---|---|---|"]
    for one in found:
        label = one.check.label + (", the authors' data" if one.check.authors else "")
        bounds = "<br>".join(f"*holds: {part.text}*" for part in one.check.parts)
        cells = (label, f"{statements_page.measured(one)}<br>{bounds}", chip(one.verdict))
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    lines += ["", *_bounds(found), *_sizes(found), *_again(found)]
    return "\n".join(lines) + "\n"


def _bounds(found: list[Found]) -> list[str]:
    reasons = dict.fromkeys(f.check.why for f in found if f.check.why and not f.check.why.startswith("as "))
    fixed = [f.check.label for f in found if f.fixed]
    when = f"Fixed before the rows were computed: {', '.join(fixed)}." if fixed else "All bounds are post hoc."
    return ["## Why these bounds", "", *(f"{reason[0].upper()}{reason[1:]}.\n" for reason in reasons), when, ""]


def _sizes(found: list[Found]) -> list[str]:
    known = [(f.check.label, f.known["size"], f.known["commits"]) for f in found if f.known]
    missing = [f"- {f.check.label}: {f.missing}" for f in found if f.missing]
    lines = [f"- {label}: {size}{_rows_of(commits)}" for label, size, commits in known]
    return ["## Sizes", "", *lines, *missing, ""] if lines or missing else []


def _rows_of(commits: list[str]) -> str:
    return f"; rows of the record made by {', '.join(f'`{c[:7]}`' for c in commits)}" if commits else ""


def _again(found: list[Found]) -> list[str]:
    """Each measure once: what it is, its function, and what it takes to compute it."""
    lines, said = ["## Measure it again", ""], set()
    for one in (f for f in found if f.known):
        key = (tuple(part.by for part in one.check.parts), one.known["command"], tuple(one.known["files"]))
        if key in said:
            continue
        said.add(key)
        for part in one.check.parts:
            what = " ".join(part.measure.__doc__.split("\n\n")[0].split())
            lines += [f"**{what}** {{py:func}}`~anisotropy.paper.verdicts_{part.by}`", ""]
        files = ", ".join(f"`{name}`" for name in one.known["files"]) or "nothing but code"
        minutes = max(1, round(one.known["minutes"]))
        lines += [f"`{one.known['command']}`, {minutes} min on two cores; computed from {files}.", ""]
    return lines if said else []


def _figures(report: Report) -> str:
    lines = ["# Figures of the paper", "", "Each with the statements it stands for, and where it is drawn again.", ""]
    lines += ["| figure | what it shows | statements |", "|---|---|---|"]
    for number, shows in FIGURES.items():
        states = [status for _, _, status in of_figure(number, report)]
        counted = " ".join(f"{states.count(s)} {chip(s)}" for s in judging.STATUSES if s in states)
        lines.append(f"| [Fig. {number}](paper/fig{number}.md) | {shows} | {counted or '-'} |")
    names = "\n".join(f"paper/fig{number}" for number in FIGURES)
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", ":titlesonly:", "", names, "```", ""])


def _figure(number: int, report: Report) -> str:
    """A figure of the paper: its statements, and the figures of ours under a heading that names it."""
    lines = [f"# Fig. {number}", "", f"{FIGURES[number]}.", ""]
    lines += ["## What it is said to show", "", *_table(of_figure(number, report), "../statements/")]
    drawn = [f for name in declarations.available() for f in _drawn(name) if number in numbers_in(f.section)]
    if drawn:
        lines += ["## Drawn again", ""]
    for figure in drawn:
        link = f"[{figure.notebook}](../../notebooks/{figure.notebook}.ipynb)"
        functions = ", ".join(f"{{py:obj}}`{m.rpartition('.')[2]}.{n} <{m}.{n}>`" for m, n in figure.functions)
        lines += [f"**{figure.section}**, in {link}. Its numbers come from {functions or 'the notebook itself'}.", ""]
        lines += _picture(figure)
    return "\n".join(lines)


@functools.cache
def _drawn(notebook: str) -> tuple[figure_index.Figure, ...]:
    return tuple(figure_index.figures(declarations.source(notebook)))


def _picture(figure: figure_index.Figure) -> list[str]:
    """The committed picture of the largest preset that has one."""
    for preset in ("paper", paths.READING, "laptop"):
        path = paths.of_preset(Path("figures"), preset) / figure.notebook / f"{figure.name}.png"
        if (paths.root() / path).is_file():
            alt = f"{figure.name} of {figure.notebook}, preset {preset}: {figure.section}"
            return [f"```{{image}} /{path.as_posix()}", f":alt: {alt}", "```", f"*Preset {preset}.*", ""]
    return []
