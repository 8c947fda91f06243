"""The statements of the paper: listed once, decided by what was measured, and written down as decided."""

import copy
import csv
import json
import re
import subprocess

import pytest
import yaml
from anisotropy._util import paths
from anisotropy.experiments import campaign
from anisotropy.paper import judging, statements, statements_page, verdicts_record
from anisotropy.paper.evidence import Bound, Measured
from anisotropy.paper.judging import Found
from anisotropy.paper.sources import Sources, energy_at
from anisotropy.paper.statements import FAILS, HOLDS, OPEN, Check, Part, Statement
from anisotropy.results import record

LISTED, APART = statements.read()
COMMITTED = judging.committed()
CHECKS = {check.id: check for statement in LISTED for check in statement.checks}


def as_committed() -> Sources:
    """The record as far as the committed file has read it."""
    return Sources(lines=COMMITTED["made"]["record"])


def test_every_figure_theorem_lemma_and_equation_is_there():
    places = " ".join(statement.place for statement in LISTED)
    wanted = [f"Fig. {k}" for k in range(1, 9)] + [f"Eq. {k}" for k in range(1, 7)]
    for name in [*wanted, "Theorem 1", "Lemma 1", "Lemma 2", "Sec. 2", "Sec. 2.2", "Sec. 3", "Sec. 3.1", "Sec. 4.1"]:
        assert name in places, name
    assert len(LISTED) > 50


def test_the_committed_page_json_and_readme_are_what_the_committed_numbers_make():
    """Verdicts and statuses are computed again from numbers and bounds; nothing of the page is typed."""
    report = judging.judge(None, COMMITTED)
    root = paths.root()
    assert statements_page.page(report) == (root / statements_page.PAGE).read_text(encoding="utf-8")
    again = statements_page.compact(judging.as_json(report))
    assert again == (root / "results" / "statements.json").read_text(encoding="utf-8")
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert statements_page.with_count(readme, report) == readme
    assert sum(report.count().values()) == len(LISTED)


def test_numbers_that_need_no_folder_are_measured_again_as_committed():
    """From the rows that the committed file read, the committed runs, formulas and simulations."""
    entries = {c["id"]: c for s in COMMITTED["statements"] for c in s["checks"]}
    sources, compared = as_committed(), 0
    for name, check in CHECKS.items():
        if check.slow or check.unmeasured or any(part.by.startswith("tables.") for part in check.parts):
            continue
        found = judging.examine(check, sources, {})
        if not found.numbers and "authors' data" in found.missing:
            continue
        assert bool(found.numbers) == bool(entries[name]["numbers"]), name
        for ours, theirs in zip(found.numbers, entries[name]["numbers"], strict=True):
            assert ours["value"] == pytest.approx(float(theirs["value"]), rel=0.02, abs=1e-6), name
        compared += bool(found.numbers)
    assert compared > 40


def part(holds=">= 5", fails="<= 2"):
    return Part("tables.fig8_lost", {}, Bound.read(holds), Bound.read(fails), "points", holds)


def found(verdict, *, authors=False, full=False, unmeasured=""):
    check = Check(f"{verdict}{authors}{full}{unmeasured}", "x", (part(),), authors=authors, unmeasured=unmeasured)
    numbers = [] if unmeasured else [{"value": 1.0, "low": 1.0, "high": 1.0, "n": None, "p": None, "note": ""}]
    return Found(check, numbers, verdict, {} if unmeasured else {"full": full})


@pytest.mark.parametrize(
    ("wanted", "every", "checks"),
    [
        (judging.FULL, False, [found(HOLDS, full=True), found(OPEN)]),
        (judging.REDUCED, False, [found(HOLDS), found(HOLDS, authors=True)]),
        (judging.BORNE_OUT, False, [found(HOLDS, authors=True)]),
        (judging.MIXED, False, [found(HOLDS), found(FAILS, authors=True)]),
        (judging.CONTRADICTED, False, [found(FAILS), found(FAILS, authors=True), found(HOLDS)]),
        (judging.CONTRADICTED, True, [found(HOLDS), found(HOLDS, authors=True), found(FAILS)]),
        (judging.THEIRS, False, [found(FAILS, authors=True), found(OPEN)]),
        (OPEN, False, [found(HOLDS), found(OPEN), found(OPEN)]),
        (judging.UNTESTED, False, [found(OPEN, unmeasured="nobody")]),
        (judging.UNTESTED, False, []),
    ],
)
def test_every_status_can_be_reached(wanted, every, checks):
    statement = Statement("s", "2", "Sec. 2", "says", every, tuple(f.check for f in checks))
    assert judging.status(statement, checks) == wanted


def test_a_wrong_number_changes_verdict_status_and_count():
    wrong = copy.deepcopy(COMMITTED)
    (statement,) = (s for s in wrong["statements"] if s["id"] == "fig6-monotone")
    for check in statement["checks"]:
        for n in check["numbers"]:
            n.update(value=3.0, low=3.0, high=3.0)
    before, after = judging.judge(None, COMMITTED), judging.judge(None, wrong)
    assert before.count() != after.count()
    states = [{s.id: state for s, _, state in report.statements} for report in (before, after)]
    assert {name for name in states[0] if states[0][name] != states[1][name]} == {"fig6-monotone"}


def test_the_authors_table_decides(tmp_path):
    """A table in which flipping costs nothing fails the check; one that is not there leaves what was known."""
    check = next(c for c in CHECKS.values() if c.id.startswith("fig8/tables") and "VGG" in c.label)
    for flipped, verdict in ((53, HOLDS), (87, FAILS), (83, OPEN)):
        with (tmp_path / "fig8_read_off.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerows([["network", "original_percent", "flipped_percent"], ["vgg11", 87, flipped]])
        assert judging.examine(check, Sources(tmp_path), {}).verdict == verdict
    entry = {c["id"]: c for s in COMMITTED["statements"] for c in s["checks"]}[check.id]
    assert judging.examine(check, Sources(), {check.id: entry}).verdict == HOLDS
    assert "authors' data" in judging.examine(check, Sources(), {}).missing


def written(folder, item, accuracy, count):
    """A record with the first rows of an item over directions, trained by nobody."""
    (item,) = (one for one in campaign.plan(paths.root() / campaign.PLAN) if one.name == item)
    lines = []
    for row in list(campaign.rows([item], "", ""))[:count]:
        fields = row.job.fields(row.unit)
        direction = fields["direction"]
        at = (direction["ky"], direction["kx"]) if direction["kind"] == "fourier" else direction["index"]
        result = {"test_accuracy": accuracy(at), "train_accuracy": 1.0, "seconds": 60.0, "steps_to_threshold": 100}
        lines.append(record.line(fields, result, {"commit": "0" * 40, "clean": True}))
    folder.mkdir(exist_ok=True)
    (folder / "directions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Sources(folder=folder)


def test_rows_of_the_record_decide_when_all_are_there(tmp_path):
    check = next(c for c in CHECKS.values() if c.parts and c.parts[0].by == "record.foretold")
    foretold = verdicts_record.FORETOLD

    def right(at):
        return 0.99 if foretold[at] else 0.5

    def wrong(at):
        return 0.5 if foretold[at] else 0.99

    for count, accuracy, verdict in ((0, right, OPEN), (3, right, OPEN), (8, right, HOLDS), (8, wrong, FAILS)):
        sources = written(tmp_path / f"{count}{verdict}", "fig1-resnet18", accuracy, count)
        done = judging.examine(check, sources, {})
        assert done.verdict == verdict
        assert not done.numbers or (done.known["full"] and "8 frequencies" in done.known["size"])
        assert done.numbers or done.missing.startswith(f"{count} of 8 rows")
        assert not (done.numbers and done.fixed)  # that commit does not exist, so that nothing is known to be fixed


def test_what_is_foretold_is_what_the_nads_say():
    for (ky, kx), learnt in verdicts_record.FORETOLD.items():
        if (ky, kx) not in ((0, 3), (-13, 10)):  # sines
            assert (energy_at("resnet18", ky, kx) > 0.14) == learnt


def test_a_curve_that_falls_holds_and_one_that_rises_fails(tmp_path):
    check = next(c for c in CHECKS.values() if c.label == "VGG-11" and c.fixed.startswith("Fig. 6"))
    falling = written(tmp_path / "a", "fig6-vgg11", lambda index: 0.99 - index / 2500, 8)
    assert judging.examine(check, falling, {}).verdict == HOLDS
    boards = written(tmp_path / "b", "fig6-vgg11", lambda index: 0.5 if index in (4, 5) else 0.9 - index / 2500, 8)
    assert judging.examine(check, boards, {}).verdict == FAILS


def test_bounds_of_fixed_checks_are_those_of_the_plan():
    """Every number of a bound stands in the plan's words for holds, fails or measure."""
    plan = {s["statement"]: s for s in yaml.safe_load((paths.root() / campaign.PLAN).read_text())["statements"]}
    words = {"all eight": "8", "six or fewer": "6", "2/3": "0.6667"}
    fixed = [check for check in CHECKS.values() if check.fixed]
    assert len(fixed) >= 6
    for check in fixed:
        entry = plan[check.fixed]
        said = f"{entry['holds']} {entry['fails']}"
        for phrase, figure in words.items():
            said = said.replace(phrase, figure)
        known = {float(x) for x in re.findall(r"-?\d+(?:\.\d+)?", said)}
        for p in check.parts:
            for edge in (edge for bound in (p.holds, p.fails) if bound for edge in bound.edges):
                assert {edge, -edge} & known, (check.id, edge, said)


def test_bounds_that_a_commit_did_not_have_are_post_hoc():
    names = [check.fixed for check in CHECKS.values() if check.fixed]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=paths.root(), capture_output=True, text=True).stdout.strip()
    if not head:
        pytest.skip("no git checkout")
    assert not judging._fixed_before(names[0], ["0" * 40])
    assert not judging._fixed_before(names[0], [])


def test_many_tests_at_once_are_controlled():
    """Benjamini and Hochberg by hand: 0.001 and 0.04 of five; fixed bounds keep their verdict."""

    def sampled(p, fixed=False):
        check = Check(f"p{p}{fixed}", "x", (part(),))
        return Found(check, [{"p": p}], HOLDS if p < 0.05 else OPEN, {}, fixed=fixed)

    five = [sampled(p) for p in (0.001, 0.04, 0.5, 0.7, 0.9)]
    assert judging.controlled(five) == {"p0.04False"}
    assert judging.controlled([five[0], sampled(0.04, True), *five[2:]]) == set()
    assert judging.controlled([five[0], five[1]]) == set()


def test_a_p_value_is_of_the_edge_that_decided():
    measured = Measured(6.0, 4.0, 8.0, 3, lambda bound: abs(6.0 - bound) / 10)
    assert part(">= 5", "<= 2").p_value(measured) == pytest.approx(0.1)
    assert part("5 to 9", "<= 2").p_value(measured) == pytest.approx(0.3)
    assert part(">= 7", "<= 5").p_value(measured) == 1


def test_a_check_that_cannot_fail_or_with_an_unknown_word_is_refused():
    given = {"by": "tables.fig8_lost", "holds": ">= 5", "unit": "points"}
    with pytest.raises(ValueError, match="cannot fail"):
        statements.checks_of("s", given)
    with pytest.raises(ValueError, match="bounds"):
        statements.checks_of("s", given | {"bounds": 3})
