"""Measured numbers are looked up, computed once, kept with what made them, and found where they were altered."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from anisotropy._util import paths, provenance
from anisotropy.experiments import audit, measured
from anisotropy.results import measures, record, stores

CALLS = []


def ours(function):
    """As a function of the package, whose code is in a commit."""
    function.__module__ = "anisotropy.experiments.made_up"
    return function


@measures.kept("test.waves", version=1, bound=0.05)
@ours
def waves(name: str, *, count: int = 3, step: float = 1.0, shape: list[int] = (2, 2)) -> dict[str, list]:
    CALLS.append((name, count, step))
    if count < 1:
        raise ValueError(f"expected a count of at least 1, got {count}")
    return {"sines": [math.sin(step * k) for k in range(1, count + 1)], "table": np.ones(shape), "first": len(name)}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A record of its own, beside a store; all code counts as committed."""
    CALLS.clear()
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(record, "folder", lambda: tmp_path / "results")
    made = provenance.made("cpu")
    monkeypatch.setattr(provenance, "made", lambda device: made | {"clean": True})
    monkeypatch.setattr(measured, "MEASURES", {"test.waves": waves.measure})
    return tmp_path


@pytest.fixture
def line(place):
    """A line of the record, which holds it."""
    waves("a", store=place / "store")
    (row,) = record.from_store(stores.Store(place / "store"))
    record.add("measures", [row])
    return row


def verdict(row):
    return audit.compute(audit.Draw(row, audit.WHOLE, again=measured.WAYS["measures"])).verdict


def test_an_answer_comes_from_the_store_else_from_the_record_else_it_is_computed(place, line):
    first = waves("a", store=place / "store")
    assert CALLS == [("a", 3, 1.0)]
    assert waves("a", store=place / "another") == first  # of the record
    assert not (place / "another").exists()
    record.withdraw("measures", line["key"], "to see")
    assert waves("a", store=place / "store") == first
    assert len(CALLS) == 1
    assert waves("a", store=place / "another") == first  # computed
    assert len(CALLS) == 2
    assert first == {"sines": [0.841471, 0.909297, 0.14112], "table": [[1.0, 1.0], [1.0, 1.0]], "first": 1}


def test_a_fresh_run_looks_at_nothing_that_was_there_and_leaves_it(place, line, monkeypatch):
    store = place / "store"
    monkeypatch.setenv(paths.FRESH_VARIABLE, "1")
    first = waves("a", store=store)
    assert len(CALLS) == 2  # neither the store nor the record was asked
    assert waves("a", store=store) == first
    assert len(CALLS) == 2  # but what was computed since was
    (kept,) = (store / stores.FRESH).glob("??/*.json")
    kept.unlink()
    monkeypatch.delenv(paths.FRESH_VARIABLE)
    assert waves("a", store=store) == first
    assert len(CALLS) == 2
    assert len(record.from_store(stores.Store(store))) == 1


def test_what_a_name_does_not_say_is_computed_each_time(place):
    named = measures.kept("test.waves", version=1, bound=0.05, known={"name": ("a", "b")})(waves.measure.function)
    assert named("mine:net", store=place / "store") == named("mine:net", store=place / "store")
    assert len(CALLS) == 2
    assert not (place / "store").exists()
    named("b", store=place / "store")
    named("b", store=place / "store")
    assert len(CALLS) == 3


def test_every_argument_and_the_version_is_identity_and_how_it_is_written_is_not(place, line):
    store = place / "store"
    waves(name="a", count=np.int64(3), step=1, shape=[2, 2], store=store)
    assert len(CALLS) == 1
    for changed in ({"count": 4}, {"step": 1.5}, {"shape": (1, 2)}):
        waves("a", **changed, store=store)
    waves("b", store=store)
    assert len(CALLS) == 5
    newer = measures.kept("test.waves", version=2, bound=0.05)(waves.measure.function)
    newer("a", store=store)
    assert len(CALLS) == 6


def test_a_line_is_flat_with_identity_outcome_and_what_made_it(line):
    assert {"measure", "arguments.name", "arguments.step", "numerics"} <= set(line)
    assert record.fields_of(line)["arguments"] == {"name": "a", "count": 3, "step": 1.0, "shape": [2, 2]}
    assert stores.digest(record.fields_of(line)) == line["key"]
    assert not any(isinstance(value, dict) for value in line.values())
    assert line["made.commit"]
    assert line["seconds"] >= 0
    assert stores.USED[line["key"]]["seconds"] == line["seconds"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": 3}, "name: expected text, got 3"),
        ({"name": "a", "count": 2.5}, "count: expected a whole number, got 2.5"),
        ({"name": "a", "count": True}, "count: expected a whole number, got True"),
        ({"name": "a", "step": math.nan}, "step: expected numbers"),
        ({"name": "a", "shape": [1, object()]}, "shape: expected a whole number"),
        ({"name": "a", "shape": {1, 2}}, "shape: expected numbers, text, lists or mappings"),
        ({"name": "a", "length": 2}, "length"),
        ({}, "name"),
    ],
)
def test_a_bad_argument_is_an_error_before_anything_is_computed(place, arguments, said):
    with pytest.raises((ValueError, TypeError), match=said):
        waves(**arguments, store=place / "store")
    assert CALLS == []
    assert not (place / "store").exists()


def test_what_the_function_refuses_is_its_own_error_and_leaves_nothing(place):
    with pytest.raises(ValueError, match="a count of at least 1"):
        waves("a", count=0, store=place / "store")
    assert record.from_store(stores.Store(place / "store")) == []


@pytest.mark.parametrize("answer", [{}, [1.0], {"a": math.inf}, {"a": "text"}, {"a": [1.0, math.nan]}, {"a": True}])
def test_an_answer_of_anything_but_finite_numbers_is_refused_and_not_kept(place, answer):
    @measures.kept("test.wrong", version=1, bound=0.0)
    def wrong():
        return answer

    with pytest.raises((TypeError, FloatingPointError)):
        wrong(store=place / "store")
    assert record.from_store(stores.Store(place / "store")) == []


def test_code_outside_of_the_package_is_in_no_commit_and_its_lines_are_refused(place):
    @measures.kept("test.own", version=1, bound=0.0)
    def own():
        return {"one": 1}

    own(store=place / "store")
    with pytest.raises(ValueError, match="not made by committed code"):
        record.add("measures", record.from_store(stores.Store(place / "store")))


DAMAGE = {
    "cut in half": lambda text: text[: len(text) // 2],
    "argument altered": lambda text: text.replace('"arguments.count": 3', '"arguments.count": 4'),
    "version altered": lambda text: text.replace('"numerics": [1]', '"numerics": [2]'),
    "not a number": lambda text: text.replace("0.909297", "NaN"),
    "text": lambda text: text.replace("0.909297", '"much"'),
    "no number left": lambda text: text.replace('"found.', '"early_'),
    "a number of another value": lambda text: text.replace("0.909297", "0.909298"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_line_is_named_with_its_number_and_the_other_stays(place, line, damage):
    path = place / "results" / "measures.jsonl"
    whole = path.read_text()
    path.write_text(whole + damage(whole.strip()) + "\n")
    found = record.read(path)
    assert list(found.rows) == [line["key"]]
    assert len(found.problems) == 1
    assert "measures.jsonl, line 2" in found.problems[0]


def test_a_line_twice_is_a_replicate_and_one_that_contradicts_is_refused(place, line):
    path = place / "results" / "measures.jsonl"
    path.write_text(path.read_text() * 2)
    assert (len(record.read(path).rows), len(record.read(path).replicates)) == (1, 1)
    with pytest.raises(ValueError, match="contradicts the record: found"):
        record.add("measures", [line | {"found.first": 2}])


def test_the_audit_passes_an_honest_line_and_finds_a_number_altered_by_one_percent(line):
    assert verdict(line) == audit.AGREES
    assert verdict(line | {"seconds": 7.0}) == audit.AGREES
    for place in range(3):
        sines = list(line["found.sines"])
        sines[place] *= 1.01
        assert verdict(line | {"found.sines": sines}) == audit.DIFFERS
    assert verdict(line | {"found.sines": line["found.sines"][:2]}) == audit.DIFFERS
    assert verdict({k: v for k, v in line.items() if k != "found.first"}) == audit.DIFFERS


def test_on_another_processor_numbers_may_differ_by_the_bound_of_the_measure_and_not_by_that_of_the_line(line):
    other = line | {"made.on": "another"}
    within, beyond = ([v + share * 0.909297 for v in line["found.sines"]] for share in (0.04, 0.06))
    assert verdict(other | {"found.sines": within}) == audit.AGREES
    assert verdict(other | {"found.sines": beyond}) == audit.DIFFERS
    assert verdict(other | {"found.sines": beyond, "bound": 1.0}) == audit.DIFFERS


def test_what_is_no_measure_of_ours_or_of_another_version_is_said(line, monkeypatch):
    finding = audit.compute(audit.Draw(line | {"measure": "test.other"}, audit.WHOLE, again=measured.WAYS["measures"]))
    assert (finding.verdict, "no measure of ours" in finding.text) == (audit.IMPOSSIBLE, True)
    newer = measures.kept("test.waves", version=2, bound=0.05)(waves.measure.function)
    monkeypatch.setattr(measured, "MEASURES", {"test.waves": newer.measure})
    assert verdict(line) == audit.IMPOSSIBLE


def test_an_audit_draws_every_measure_whole_and_none_that_costs_too_much(line):
    other, long = line | {"measure": "test.other"}, line | {"measure": "test.long", "seconds": 3000.0}
    draws = audit.drawn([line] * 50 + [other, long], 60.0, generator=np.random.default_rng(0))
    assert {draw.row["measure"] for draw in draws} == {"test.waves", "test.other"}
    assert {draw.part for draw in draws} == {audit.WHOLE}
    assert "test.waves, count 3, name a" in audit.label(line)


CHILD = """
import sys, time
from anisotropy.results import measures
@measures.kept("test.slow", version=1, bound=0.0)
def slow(n: int):
    time.sleep(0.05)
    return {"square": n * n}
for n in range(1000):
    slow(n, store=sys.argv[1])
    print(n, flush=True)
"""


def test_a_process_that_is_killed_loses_no_answer_that_it_gave(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    told = [int(child.stdout.readline()) for _ in range(5)]
    time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    told += [int(text) for text in child.stdout.read().split()]
    child.wait()
    kept = record.from_store(stores.Store(tmp_path))
    assert {row["arguments.n"] for row in kept} >= set(told)
    assert all(row["found.square"] == row["arguments.n"] ** 2 for row in kept)


def test_the_committed_measures_are_whole_and_of_measures_that_there_are():
    found = record.read(record.folder() / "measures.jsonl")
    assert found.problems == []
    assert found.rows
    for row in found.rows.values():
        fields, _ = measured.MEASURES[row["measure"]].fields(**record.fields_of(row)["arguments"])
        assert stores.digest(fields) == row["key"], json.dumps(fields)
