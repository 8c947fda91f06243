"""Verdicts: every check of every statement measured, decided, and added up to a status.

`make statements` writes `results/statements.json`, `docs/statements.md` and the count in the README. A verdict is never
typed: a check holds (fails) where the whole interval of what was measured lies within its bound for `holds` (`fails`),
and is not decided otherwise. Where the authors' tables are not given, or a slow measure is not asked for, the numbers
of the committed file are kept and compared with the bounds again.
"""

import functools
import json
import math
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from scipy.stats import false_discovery_control

from anisotropy._util import checks, paths
from anisotropy.experiments import campaign
from anisotropy.paper import statements
from anisotropy.paper.evidence import Elsewhere, Missing
from anisotropy.paper.sources import Sources
from anisotropy.paper.statements import FAILS, HOLDS, KEYS, OPEN, Check, Statement

FULL = "reproduced at the paper's size"
REDUCED = "reproduced at reduced size"
BORNE_OUT = "borne out by the authors' own data"
CONTRADICTED = "contradicted"
THEIRS = "contradicted by the authors' own data"
MIXED = "mixed"
UNTESTED = "untested"
STATUSES = (FULL, REDUCED, BORNE_OUT, MIXED, CONTRADICTED, THEIRS, OPEN, UNTESTED)
"""What a statement may be, in the order in which they are counted."""

RATE = 0.05
"""False discovery rate over all checks of the page that rest on a sample (Benjamini and Hochberg, 1995)."""


@dataclass
class Found:
    """What a check found.

    Attributes:
        check: which.
        numbers: for each part value, low, high, n, p and note; empty where it is missing.
        verdict: of the check.
        known: size, full, files, command, minutes, commits.
        missing: what is missing, in words.
        fixed: whether the bounds were committed before the rows were computed.
    """

    check: Check
    numbers: list[dict] = field(default_factory=list)
    verdict: str = OPEN
    known: dict[str, Any] = field(default_factory=dict)
    missing: str = ""
    fixed: bool = False

    @property
    def p(self) -> float | None:
        """Largest p-value of the parts; None where nothing was sampled."""
        known = [n["p"] for n in self.numbers if n["p"] is not None]
        return max(known) if known else None


def examine(check: Check, sources: Sources | None, kept: dict[str, dict], slow: bool = False) -> Found:
    """Measure a check, or keep what the committed file has of it.

    Args:
        check: which.
        sources: where numbers come from; None to keep all of them.
        kept: id of a check -> its entry in the committed file.
        slow: measure slow ones too.
    """
    if check.unmeasured:
        return Found(check, missing=check.unmeasured)
    try:
        if sources is None:
            raise Elsewhere("not measured yet")
        if check.slow and not slow:
            raise Elsewhere("a slow measure: `make statements SLOW=1`")
        measured = [part.measure(sources, **part.arguments) for part in check.parts]
    except Elsewhere as reason:
        return _kept(check, kept.get(check.id), str(reason))
    except Missing as reason:
        return Found(check, missing=str(reason), fixed=bool(check.fixed) and _planned(check.fixed) is not None)
    numbers, verdicts = [], []
    for part, found in zip(check.parts, measured, strict=True):
        value, low, high = (_rounded(x) for x in (found.value, found.low, found.high))
        p = part.p_value(found)
        numbers.append(
            {"value": value, "low": low, "high": high, "n": found.n, "p": p and _rounded(p), "note": found.note}
        )
        verdicts.append(part.verdict(found.low, found.high))
    last = measured[-1]
    commits = sorted({commit for found in measured for commit in found.commits})
    known = {
        "size": measured[0].size,
        "full": all(m.full for m in measured),
        "files": list(last.files),
        "command": last.command + (" SLOW=1" if check.slow else ""),
        "minutes": _rounded(max(m.minutes for m in measured)),
        "commits": commits,
    }
    return Found(check, numbers, _joined(verdicts), known, fixed=_fixed_before(check.fixed, commits))


def _kept(check: Check, entry: dict | None, reason: str) -> Found:
    if not entry or not entry["numbers"]:
        return Found(check, missing=(entry or {}).get("missing") or reason, fixed=bool((entry or {}).get("fixed")))
    numbers = [_long(n) for n in entry["numbers"]]
    verdicts = [p.verdict(n["low"], n["high"]) for p, n in zip(check.parts, numbers, strict=True)]
    return Found(check, numbers, _joined(verdicts), entry["known"], "", entry.get("fixed", False))


def _joined(verdicts: list[str]) -> str:
    """Verdict of several parts: all must hold, one that fails is enough."""
    if FAILS in verdicts:
        return FAILS
    return HOLDS if all(v == HOLDS for v in verdicts) else OPEN


def _rounded(value: float) -> float:
    """Four digits: what another processor leaves unchanged, nearly."""
    return float(f"{value:.4g}")


def _planned(name: str, text: str | None = None) -> dict | None:
    """The entry of a statement in the campaign's plan, or in another version of that file."""
    text = text if text is not None else (paths.root() / campaign.PLAN).read_text(encoding="utf-8")
    return next((s for s in yaml.safe_load(text).get("statements", []) if s["statement"] == name), None)


@functools.cache
def _plan_at(commit: str) -> str | None:
    done = subprocess.run(
        ["git", "show", f"{commit}:{campaign.PLAN}"], cwd=paths.root(), capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else None


def _fixed_before(name: str, commits: list[str]) -> bool:
    """Whether measure and bounds stood in the plan, as they do now, at every commit that made a row."""
    if not name or not commits:
        return False
    now = _planned(name)
    if now is None:
        raise ValueError(f"{campaign.PLAN} has no statement {name!r}")
    return all((then := _plan_at(commit)) is not None and _planned(name, then) == now for commit in commits)


def controlled(found: list[Found]) -> set[str]:
    """Ids of post hoc checks whose verdict does not survive control of the rate of false discoveries over the page."""
    sampled = [f for f in found if f.p is not None]
    if not sampled:
        return set()
    adjusted = false_discovery_control([min(1.0, f.p) for f in sampled])
    return {
        f.check.id for f, q in zip(sampled, adjusted, strict=True) if q > RATE and f.verdict != OPEN and not f.fixed
    }


def status(statement: Statement, found: list[Found]) -> str:
    """Status of a statement from its checks.

    It is contradicted where more than half of the decided checks fail, or one of them for a statement about every case
    (`rule: every`); by the authors' own data alone where no check of ours fails; mixed where fewer fail. It is borne
    out or reproduced where none fails and at least half of all its checks are decided.
    """
    if not statement.checks:
        return UNTESTED
    decided = [f for f in found if f.verdict != OPEN]
    failed = [f for f in decided if f.verdict == FAILS]
    if failed and (statement.every or 2 * len(failed) > len(decided)):
        return THEIRS if all(f.check.authors for f in failed) else CONTRADICTED
    if failed:
        return MIXED
    if not decided and all(not f.numbers for f in found) and all(f.check.unmeasured for f in found):
        return UNTESTED
    if not decided or 2 * len(decided) < len(found):
        return OPEN
    ours = [f for f in decided if not f.check.authors]
    if not ours:
        return BORNE_OUT
    return FULL if any(f.known["full"] for f in ours) else REDUCED


def because(found: list[Found], sizes: bool = True) -> str:
    """What holds and what fails, ours and the authors'; empty where nothing is decided.

    Args:
        found: checks of one statement.
        sizes: name the sizes of what holds of ours: a statement that counts as reproduced must carry them.
    """
    said = []
    for verdict in (HOLDS, FAILS):
        decided = [f for f in found if f.verdict == verdict]
        labels = [(f.check.label, f.known["size"]) for f in decided if not f.check.authors]
        named = [size if size.startswith(label) else f"{label} ({size})" for label, size in labels]
        ours = dict.fromkeys(named if sizes else (label for label, _ in labels))
        theirs = dict.fromkeys(f.check.label for f in decided if f.check.authors)
        said += [f"{verdict}, ours: {'; '.join(ours)}"] if ours else []
        said += [f"{verdict}, the authors': {'; '.join(theirs)}"] if theirs else []
    return ". ".join(said)


@dataclass
class Report:
    """All statements with what was found, and what is listed apart.

    Attributes:
        statements: (statement, its checks, its status).
        apart: (kind, words, check or None for an identity).
        made: lines of each file of the record, checksums of the authors' files, number of demoted checks.
    """

    statements: list[tuple[Statement, list[Found], str]]
    apart: list[tuple[str, str, Found | None]]
    made: dict[str, Any]

    def count(self) -> dict[str, int]:
        """Status -> number of statements, in the order of `STATUSES`, those that occur."""
        states = [state for _, _, state in self.statements]
        return {name: states.count(name) for name in STATUSES if name in states}


def judge(sources: Sources | None, committed: dict, *, slow: bool = False, path: Path = statements.FILE) -> Report:
    """Examine every statement.

    Args:
        sources: where numbers come from; None to keep all those of the committed file, and decide again.
        committed: content of `results/statements.json`, or {}.
        slow: measure slow ones too.
        path: the statements.
    """
    listed, apart = statements.read(path)
    entries = [c for s in committed.get("statements", []) for c in s["checks"]] + committed.get("apart", [])
    kept = {entry["id"]: entry for entry in entries if "id" in entry}
    found = {c.id: examine(c, sources, kept, slow) for s in listed for c in s.checks}
    others: list[tuple[str, str, Found | None]] = []
    for entry in apart:
        if entry["kind"] not in ("correction", "control", "identity"):
            raise ValueError(f"expected a correction, a control or an identity, got {entry['kind']!r}")
        given = {k: v for k, v in entry.items() if k in KEYS} | {"label": entry["says"]}
        check = statements.checks_of("apart", given)[0] if "by" in entry else None
        others.append((entry["kind"], entry["says"], check and examine(check, sources, kept, slow)))
    everything = [*found.values(), *(f for _, _, f in others if f)]
    demoted = controlled(everything)
    for one in everything:
        if one.check.id in demoted:
            one.verdict, one.missing = OPEN, "decided alone, not among all checks of this page"
    judged = [(s, [found[c.id] for c in s.checks]) for s in listed]
    made = committed.get("made", {"record": {}, "published": {}})
    lines, published = made["record"], made["published"]
    if sources is not None:
        lines = {name: len(sources.rows(name)) for name in ("directions", "images")}
        published = sources.checksums() if sources.published is not None else published
    tested = sum(f.p is not None for f in everything)
    made = {"record": lines, "published": published, "tested": tested, "demoted": len(demoted)}
    return Report([(s, f, status(s, f)) for s, f in judged], others, made)


def _short(numbers: dict) -> dict:
    """Numbers of a part without what is empty, and without an interval that is a point; infinity as text."""
    point = numbers["low"] == numbers["high"]
    kept = {k: v for k, v in sorted(numbers.items()) if v not in (None, "") and not (point and k in ("low", "high"))}
    return {k: "inf" if v == math.inf else v for k, v in kept.items()}


def _long(numbers: dict) -> dict:
    """What `_short` was given."""
    whole = {"low": numbers["value"], "high": numbers["value"], "n": None, "p": None, "note": ""} | numbers
    return whole | {k: float(whole[k]) for k in ("value", "low", "high")}


def as_json(report: Report) -> dict:
    """Return a report as plain values; what many checks share is listed once, under `again`."""
    again: dict[str, dict] = {}

    def shared(known: dict) -> dict:
        if not known:
            return {}
        source = {"command": known["command"], "files": known["files"]}
        name = next((k for k, v in again.items() if v == source), f"R{len(again) + 1}")
        again[name] = source
        return {k: v for k, v in known.items() if k not in source} | {"again": name}

    def entry(found: Found) -> dict:
        parts = [{"by": p.by, "bound": p.text, "unit": p.unit} for p in found.check.parts]
        numbers = [_short(n) for n in found.numbers]
        known = {
            "id": found.check.id, "label": found.check.label, "verdict": found.verdict, "missing": found.missing,
            "authors": found.check.authors, "fixed": found.fixed, "parts": parts,
            "numbers": numbers,
            "known": shared(found.known),
        }  # fmt: skip
        return {k: v for k, v in known.items() if v not in ("", False)}

    content = {
        "count": report.count(),
        "made": report.made,
        "statements": [
            {
                "id": s.id,
                "place": s.place,
                "says": s.says,
                "status": state,
                "checks": [entry(f) for f in found],
            }
            for s, found, state in report.statements
        ],
        "apart": [{"kind": kind, "says": says, **(entry(f) if f else {})} for kind, says, f in report.apart],
    }
    return content | {"again": again}


def committed(path: Path | None = None) -> dict:
    """Content of `results/statements.json`, each check with command and files of its own; {} where it is not there.

    Raises:
        ValueError: it is no such file.
    """
    path = path or paths.root() / "results" / "statements.json"
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or "statements" not in content:
        raise ValueError(f"{path.name}: expected what `make statements` writes, got {checks.described(content)}")
    for entry in [c for s in content["statements"] for c in s["checks"]] + content["apart"]:
        known = entry.get("known")
        if known:
            entry["known"] = {k: v for k, v in known.items() if k != "again"} | content["again"][known["again"]]
    return content
