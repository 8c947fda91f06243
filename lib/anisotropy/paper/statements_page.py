"""The page of statements, `docs/statements.md`, and the command that writes it: `make statements`."""

import argparse
import json
import math
import re
import sys

from anisotropy._util import files, paths
from anisotropy.paper import artifact_page, judging
from anisotropy.paper.judging import Found, Report, because
from anisotropy.paper.sources import Sources

MARKS = ("<!-- statements -->", "<!-- /statements -->")
"""Between these the README's count stands."""

PAGE = "docs/statements.md"


def number(value: float) -> str:
    """A number as printed: three digits, thousands set off.

    Example:
        >>> number(0.99512), number(11184066.0), number(-0.0), number(8.951e-16)
        ('0.995', '11,200,000', '0', '9e-16')
    """
    if not math.isfinite(value):
        return "unknown" if value > 0 else "-unknown"
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:.3g}"


def measured(found: Found) -> str:
    """What a check measured, in words: value, interval, number of samples; or what is missing."""
    if not found.numbers:
        return f"missing: {found.missing}"
    cells = []
    for part, n in zip(found.check.parts, found.numbers, strict=True):
        text = f"{number(n['value'])} {part.unit}"
        if n["low"] != n["high"]:
            text += f" [{number(n['low'])}, {number(n['high'])}]"
        if n["n"]:
            text += f", n = {n['n']:,}"
        cells.append(text + (f" ({n['note']})" if n["note"] else ""))
    return "; ".join(cells)


def _again(found: Found, sources: dict[tuple, str]) -> str:
    """Short name of how a check is measured again; the measure, its command and files go into `sources`."""
    if not found.known:
        return ""
    by = tuple(part.by for part in found.check.parts)
    return sources.setdefault((by, found.known["command"], tuple(found.known["files"])), f"R{len(sources) + 1}")


def _source(name: str, source: tuple, report: Report) -> str:
    """Row of the table of measures: what is measured, by which function, command, minutes, files."""
    by, command, used = source
    everything = [f for _, found, _ in report.statements for f in found] + [f for _, _, f in report.apart if f]
    same = [f for f in everything if f.known and tuple(part.by for part in f.check.parts) == by]
    minutes = max(f.known["minutes"] for f in same if f.known["command"] == command)
    parts = {part.by: part.measure for f in same for part in f.check.parts}
    said = {part: " ".join(measure.__doc__.split("\n\n")[0].split()) for part, measure in parts.items()}
    what = "; ".join(f"{text} `verdicts_{part}`" for part, text in said.items())
    return f"| {name} | {_cell(what)} | `{command}` | {max(1, round(minutes))} | {', '.join(used) or '-'} |"


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")


def _row(first: str, found: Found, sources: dict[tuple, str], said: set[str]) -> str:
    """A check's row; `said` are reasons for bounds that the rows above have given."""
    bound = "; ".join(part.text for part in found.check.parts) or "-"
    when = "fixed" if found.fixed else "post hoc"
    verdict = found.verdict + (f": {found.missing}" if found.numbers and found.missing else "")
    size = found.known.get("size", "")
    again, why = _again(found, sources), found.check.why
    new = why and not why.startswith("as ") and why not in said
    said.add(why)
    bound = f"{bound} ({when}{'; ' + why if new else ''})"
    cells = (first, found.check.label, measured(found), bound, verdict, size, again)
    return "| " + " | ".join(_cell(c) for c in cells) + " |"


HEAD = "| statement, place, status | check | measured | bound | verdict | size | again |\n|---|---|---|---|---|---|---|"

INTRO = """# Statements of the paper

{count}

Every statement of Sections 2 to 4 that can be true or false, in our words, with its place in the paper, what was measured, and a verdict that is computed and never typed. A check *holds* (*fails*) where the whole 95 % interval of what was measured lies within the bound for it; numbers without an interval rest on no sample, or on one training, and are compared as they stand. The bounds are *fixed* where they were committed before the rows were computed ([params/campaign.yaml](../params/campaign.yaml)), and *post hoc* otherwise. Of {tested} checks that rest on a sample, verdicts are kept as far as a rate of 5 % false ones over the page allows (Benjamini and Hochberg); {demoted} lost theirs by that; fixed bounds keep theirs.

- *Reproduced at the paper's size*: our networks have its width, images, samples and epochs in at least one check. How many cells or seeds that is stands beside it, and it may be few. *At reduced size*: they never do; the size stands beside it.
- *Borne out* or *contradicted by the authors' own data*: the numbers are theirs ([their repository](https://github.com/LTS4/neural-anisotropy-directions), and values read off the pictures of Fig. 7 and 8), and no network of ours was trained for it.
- *Contradicted*: more than half of the decided checks fail; of a formula, one is enough. *Mixed*: fewer fail. *Not decided*: fewer than half of its checks are decided. *Untested*: no check.

Computed from {rows} of the record. Statements and bounds: [statements.yaml](../lib/anisotropy/paper/statements.yaml); numbers: [statements.json](../results/statements.json). `make statements` writes this page; with the authors' data, `make statements PUBLISHED=data/published`; measures that take more than seconds, with `SLOW=1`. Without these it keeps the committed numbers and compares them with the bounds again.
"""  # noqa: E501


def sentence(report: Report) -> str:
    """The count by status, one sentence."""
    parts = [f"{n} {name}" for name, n in report.count().items()]
    return f"Of {len(report.statements)} statements of the paper: {', '.join(parts)}."


def introduction(report: Report) -> str:
    """The page's head: the count, what a status and a verdict mean, and what they were computed from."""
    made = report.made
    rows = " and ".join(f"{n} rows of results/{name}.jsonl" for name, n in made["record"].items())
    return INTRO.format(count=sentence(report), tested=made["tested"], demoted=made["demoted"], rows=rows)


def page(report: Report) -> str:
    """Return the page of a report as Markdown."""
    made, intro = report.made, introduction(report)
    table = ["| status | statements |", "|---|---|"]
    for name in report.count():
        listed = [s.id for s, _, state in report.statements if state == name]
        table.append(f"| {name} ({len(listed)}) | {', '.join(listed)} |")
    lines, again, section = [intro, *table], {}, ""
    for statement, found, state in report.statements:
        if statement.section != section:
            section = statement.section
            lines += ["", f"## {section}", "", HEAD]
        first = f"**{statement.id}**: {statement.says} *{statement.place}*. **{state}**"
        reason = because(found, sizes=state in (judging.FULL, judging.REDUCED))
        first += f" ({reason})" if reason else ""
        if not found:
            lines.append(f"| {first} | - | {_cell(statement.why)} | - | - | - | - |")
        said: set[str] = set()
        for one in found:
            lines.append(_row("" if one is not found[0] else first, one, again, said))
    apart = "Our corrections of its formulas, controls, and identities that hold by construction: not counted above."
    lines += ["", "## Not statements of the paper", "", apart, "", HEAD.replace("statement, place, status", "kind")]
    for kind, says, one in report.apart:
        lines.append(_row(kind, one, again, set()) if one else f"| {kind} | {says} | - | - | - | - | - |")
    where = "Functions are those of `anisotropy.paper`; tests/paper checks them."
    head = "| | what is measured, and by which function | command | minutes | computed from |\n|---|---|---|---|---|"
    lines += ["", "## Measured again", "", where, "", head]
    lines += [_source(name, source, report) for source, name in again.items()]
    lines += ["", "Minutes are those of two cores. Files of the authors, first 16 digits of their SHA-256:", ""]
    lines += [f"- {name}: {digest}" for name, digest in made["published"].items()]
    return "\n".join(lines) + "\n"


def with_count(readme: str, report: Report) -> str:
    """Return the README with the count between its marks.

    Raises:
        ValueError: it has no marks.
    """
    pattern = re.compile(f"{re.escape(MARKS[0])}.*?{re.escape(MARKS[1])}", re.DOTALL)
    if not pattern.search(readme):
        raise ValueError(f"expected {MARKS[0]} and {MARKS[1]} in the README, to put the count between")
    text = f"**{sentence(report)}** [Each with what was measured]({PAGE})."
    return pattern.sub(lambda _: f"{MARKS[0]}\n{text}\n{MARKS[1]}", readme)


def compact(content: dict) -> str:
    """JSON with one line for each check, so that a change shows where it is."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    text = re.sub(r'\{"(id|kind)":', r'\n{"\1":', text)
    return text.replace(',"apart":[', ',\n"apart":[').replace('"made":', '\n"made":') + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Judge every statement of the paper; write results/statements.json, its pages and the README's count."""
    parser = argparse.ArgumentParser(prog="python -m anisotropy statements", description=main.__doc__)
    parser.add_argument("--published", default="", help="folder of the authors' data; without: kept numbers")
    parser.add_argument("--slow", action="store_true", help="measure what takes minutes too")
    chosen = parser.parse_args(arguments)
    folder = paths.resolve(chosen.published) if chosen.published else None
    if folder is not None and not folder.is_dir():
        parser.error(f"expected a folder of the authors' data, found none at {chosen.published}")
    report = judging.judge(Sources(folder), judging.committed(), slow=chosen.slow)
    root = paths.root()
    readme = (root / "README.md").read_text(encoding="utf-8")
    made = {
        root / "results" / "statements.json": compact(judging.as_json(report)),
        root / PAGE: page(report),
        root / artifact_page.PAGE: artifact_page.page(report),
        root / "README.md": with_count(readme, report),
    }
    print(sentence(report))
    for path, text in made.items():
        files.write(path, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
