"""What a dry run says of units, time and memory: measured numbers, scaled where it is known how, or nothing."""

import io
import json

import pytest
import throwaway
from anisotropy import calibration, files, ledger, planning, records, reproduce, stores

HERE = {"cpu": "a processor", "cores": 4, "memory_gib": 8.0, "gpu": None}


@pytest.fixture
def done(tmp_path):
    """A notebook that took 100 s, of which two tables of units took 80; returns (step, store, write the record)."""
    step = records.Step("01_one", tmp_path / "01_one.ipynb", tmp_path / "laptop" / "01_one", {}, ())
    store = stores.Store(tmp_path / "store")
    keys = [stores.digest({"unit": i}) for i in range(5)]

    def write(engine="local:2", seconds=(10.0, 20.0, 30.0, 40.0, 600.0), computed=5, **changes):
        record = {"seconds": 100.0, "memory_gib": 1.5, "hardware": HERE, "inputs": {"parameters": "a"}, **changes}
        files.write_json(step.folder / records.RECORD, record)
        table = {"name": "lenet", "engine": engine, "store": str(store.folder), "computed": computed, "wall": 50.0}
        tables = [
            {**table, "keys": keys[:3], "seconds": seconds[:3]},
            {**table, "keys": keys[2:], "seconds": seconds[2:], "wall": 30.0},  # asks for the third again
            {"name": "lenet", "method": "secant", "networks": 7, "wall": 5.0},
        ]
        files.write_json(step.folder / records.UNITS, {"tables": tables})
        return step

    return write, store


def test_missing_units_cost_what_they_cost_before(done):
    write, store = done
    for i in (1, 4):
        store.write({"unit": i}, {"seconds": 1.0})
    planned = planning.plan(write(), here=HERE)
    assert (planned.units, planned.stored, planned.longest, planned.memory_gib) == (5, 2, 600.0, 1.5)
    assert planned.seconds == pytest.approx(20 + (10 + 30 + 40) / 2)  # around the tables, and two workers
    assert "7 random networks for NADs are part of it" in planned.remarks
    assert planning.plan(write("serial"), here=HERE).seconds == pytest.approx(20 + 10 + 30 + 40)
    assert planning.plan(write("local:64"), here=HERE).seconds == pytest.approx(20 + 80 / 4)  # four cores
    store.path(stores.digest({"unit": 1})).write_text('{"half')  # a damaged unit is computed again
    assert planning.plan(write(), here=HERE).seconds == pytest.approx(20 + 100 / 2)
    said = "\n".join(planning.describe(planned))
    assert "longest unit: 10 min 00 s, more than 8 min 00 s" in said
    assert "1.5 GiB" in said
    unknown = planning.plan(write(seconds=(None, 20.0, 30.0, 40.0, 600.0)), here=HERE)
    assert any("failed in the last run" in remark for remark in unknown.remarks)


def test_a_run_that_found_its_units_foretells_none_that_must_compute_them(done):
    write, store = done
    assert planning.comparable(write())
    assert not planning.comparable(write(computed=0))
    for i in range(5):
        store.write({"unit": i}, {"seconds": 1.0})
    assert planning.comparable(write(computed=0))


def test_times_are_scaled_by_measured_speeds_and_never_to_other_hardware(done):
    write, store = done
    for i in range(5):
        store.write({"unit": i}, {"seconds": 1.0})
    speed = {"matmul_gflops": 100.0, "conv_gflops": 50.0}
    slower = {"matmul_gflops": 50.0, "conv_gflops": 25.0}
    scaled = planning.plan(write(speed=speed), here=HERE, pace=slower)
    assert scaled.seconds == pytest.approx(40.0)
    assert scaled.longest == pytest.approx(1200.0)
    assert any("2.00 times as long" in remark for remark in scaled.remarks)
    same = planning.plan(write(), here=HERE)
    assert same.seconds == pytest.approx(20.0)
    assert any("the same processor" in remark for remark in same.remarks)
    other = planning.plan(write(), here={**HERE, "cpu": "another"})
    assert any("not scaled" in remark for remark in other.remarks)
    gpu = planning.plan(write(speed=speed), here={**HERE, "gpu": ["a GPU"]}, pace=slower)
    assert gpu.seconds == pytest.approx(20.0)
    assert any("another GPU or none: not scaled" in remark for remark in gpu.remarks)
    step = write()
    step.inputs = {"parameters": "b"}
    assert "parameters have changed since it was measured" in planning.plan(step, here=HERE).remarks


def test_nothing_is_invented_where_nothing_was_measured(done, tmp_path, monkeypatch):
    write, _ = done
    monkeypatch.setenv("ANISOTROPY_PARAMS", str(tmp_path / "params"))
    head = "# Purpose: a line. Hardware: any CPU. Minutes: about 3 on 2\n# cores. Expect: nothing.\n"
    throwaway.preset(tmp_path / "params", "01_one", head + "preset: paper\n", "paper")
    write()
    step = records.Step("01_one", tmp_path / "01_one.ipynb", tmp_path / "paper" / "01_one", {}, ())
    planned = planning.plan(step, here=HERE)
    assert (planned.units, planned.seconds, planned.memory_gib) == (None, None, None)
    said = "\n".join(planning.describe(planned))
    assert "expected: not measured yet" in said
    assert "memory: not measured yet" in said
    assert "its preset says: Minutes: about 3 on 2 cores)" in said
    assert "preset laptop took 1 min 40 s on a processor, 4 cores" in said
    assert "run it once to measure it" in said
    # a record from before units were noted says how little it knows
    old = write()
    (old.folder / records.UNITS).unlink()
    planned = planning.plan(old, here=HERE)
    assert planned.units is None
    assert any("units were not noted" in remark for remark in planned.remarks)


SWEEP = """import time
from anisotropy import presets, resumable
parameters = presets.strict("01_one", globals())
class Job:
    store, name = word, "tiny"
    def fields(self, unit): return {"unit": unit}
    def together(self): return False
    def compute(self, units): return [{"seconds": 2.5} for _ in units]
found, failed = resumable.complete(Job(), list(range(count)), engine="serial", progress=False)
print(len(found))"""


def test_a_run_notes_its_units_and_the_next_dry_run_counts_them(tmp_path):
    throwaway.write(tmp_path / "notebooks", "01_one", SWEEP)
    folders = {"folder": tmp_path / "notebooks", "params": tmp_path / "params", "output": tmp_path / "out"}
    store = tmp_path / "store"

    def run(**kwargs):
        stream = io.StringIO()
        reproduce.reproduce(assignments=[f"word={str(store)!r}"], **folders, **kwargs, stream=stream)
        return stream.getvalue()

    assert "expected: not measured yet" in run(dry_run=True)
    run()
    record = json.loads((tmp_path / "out" / "quick" / "01_one" / records.RECORD).read_text())
    assert record["memory_gib"] > 0.02  # a Python kernel with torch
    assert records.UNITS in record["outputs"]
    next(store.glob("??/*.json")).unlink()
    said = run(dry_run=True, force=True)
    assert "units: 3 in the last run, " in said
    assert "longest unit: 2 s" in said or "longest unit: 3 s" in said
    assert "in total: " in said


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path, monkeypatch):
    ledger.note(name="nobody listens")
    monkeypatch.setenv(ledger.VARIABLE, str(ledger.path(tmp_path)))
    ledger.note(name="one", keys=[])
    with open(ledger.path(tmp_path), "a") as stream:
        stream.write('{"name": "tw')
    assert ledger.read(tmp_path) == [{"name": "one", "keys": []}]
    assert ledger.read(tmp_path / "nowhere") == []


def test_a_passport_counts_the_units_behind_it_once(tmp_path, monkeypatch):
    monkeypatch.delenv(ledger.VARIABLE, raising=False)
    assert ledger.unit_seconds() is None
    monkeypatch.setenv(ledger.VARIABLE, str(ledger.path(tmp_path)))
    ledger.note(name="lenet", method="secant", networks=7, wall=5.0)
    ledger.note(name="rehearsed", keys=["a", "d"], standins=["a"])
    assert ledger.unit_seconds() is None
    ledger.note(name="one", keys=["a", "b"], seconds=[1.0, 2.0])
    ledger.note(name="again", keys=["b", "c", "failed"], seconds=[2.0, 4.0, None])
    assert ledger.unit_seconds() == 7.0


def test_the_calibration_is_of_this_machine():
    found = calibration.speed()
    assert set(found) == {"matmul_gflops", "conv_gflops"}
    assert all(value > 0.1 for value in found.values())
    assert calibration.speed() is found  # once per process
