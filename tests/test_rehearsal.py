"""What a rehearsal finds out: the units of a real run, none of them computed, nothing written, times that hold."""

import io
import json
from dataclasses import replace

import pytest
import throwaway
import torch
from anisotropy import (
    architectures,
    checks,
    cifar,
    directions,
    files,
    forecast,
    ledger,
    nads,
    records,
    rehearsal,
    rehearsing,
    reproduce,
    standins,
    stores,
    trials,
    units,
    workloads,
)
from anisotropy.training import Recipe

HERE = {"cpu": "a processor", "cores": 2, "memory_gib": 8.0, "gpu": None}

SETUP = """import matplotlib.pyplot as plt
from anisotropy import architectures, arms, cifar, directions, image_sweeps, nads, passports, presets, sweeps
from anisotropy.training import Recipe
parameters = presets.strict("01_one", globals())
run = passports.Run("01_one", parameters)
basis = directions.fourier(8, 8).vectors[:4][:, None]"""
SWEEPS = """two = architectures.factory("logreg", num_outputs=2, image_size=8)
amounts = {"train_samples": 96, "test_samples": 64, "store": word, "progress": False}
first = sweeps.run(two, basis[:3], recipe=Recipe(epochs=2, batch_size=32), seeds=(0, 1), **amounts)
again = sweeps.run(two, basis, recipe=Recipe(epochs=2, batch_size=32), **amounts)"""
IMAGES = """ten = architectures.factory("logreg", in_channels=3, num_outputs=10)
source = cifar.Source("digits", train=100, test=50)
some = [arms.clean(), arms.flipped(directions.fourier(32, 32).vectors[:, None].float())]
found = image_sweeps.run(ten, source, some, recipe=Recipe.cifar(epochs=1, learning_rate=0.1), store=word)"""
NADS = """one = architectures.factory("logreg", image_size=8)
basis = nads.estimate(one, networks=count, progress=False)
basis.save(run.folder / "mine.safetensors")
print(nads.load(run.folder / "mine.safetensors").overlap_range(2), first.test_accuracy.values)
run.save(plt.figure(), "accuracy", {"accuracy": found.test_accuracy.values})"""
TROUBLE = """import time
from pathlib import Path
from anisotropy import architectures, directions, sweeps
from anisotropy.training import Recipe
rows = directions.fourier(8, 8).vectors[:5][:, None]"""


def tree(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def project(tmp_path):
    def steps(*assignments):
        folders = {"folder": tmp_path / "notebooks", "params": tmp_path / "params", "output": tmp_path / "out"}
        (step,), _ = records.select("quick", [], list(assignments), **folders)
        return step

    def rehearse(*assignments, seconds=20):
        step = steps(*assignments)
        environment = reproduce._environment(tmp_path / "out", tmp_path / "notebooks", tmp_path / "params", 1)
        before = tree(tmp_path)
        found = rehearsal.rehearse(step, environment, cell_seconds=seconds)
        assert tree(tmp_path) == before  # nothing written anywhere
        return found, forecast.forecast(step, found, here=HERE)

    return tmp_path, rehearse


def test_a_rehearsal_counts_the_units_of_the_real_run_and_writes_nothing(project):
    folder, rehearse = project
    throwaway.write(folder / "notebooks", "01_one", SETUP, SWEEPS, IMAGES, NADS)
    store, word = folder / "store", f"word={str(folder / 'store')!r}"
    found, cast = rehearse(word)
    assert found.remarks == []
    assert (cast.units, cast.stored, cast.whole) == (9, 0, True)  # 3 x 2, one more, and 2 on images
    assert [line["networks"] for line in found.lines if "networks" in line] == [3]
    assert cast.seconds > 0
    assert cast.memory_gib > 0.05
    asked = {key for line in found.lines for key in line.get("keys", [])}

    folders = {"folder": folder / "notebooks", "params": folder / "params", "output": folder / "out"}
    outcome = reproduce.reproduce(assignments=[word], **folders, stream=io.StringIO())
    assert outcome == {"01_one": "done"}
    assert asked == {path.stem for path in store.glob("??/*.json")}
    noted = json.loads((folder / "out" / "quick" / "01_one" / records.UNITS).read_text())["tables"]
    assert asked == {key for table in noted for key in table.get("keys", [])}

    next(store.glob("??/*.json")).unlink()
    _, cast = rehearse(word)
    assert (cast.units, cast.stored) == (9, 8)
    # measured with these parameters: no rehearsal
    stream = io.StringIO()
    reproduce.reproduce(assignments=[word], **folders, dry_run=True, rehearse=True, force=True, stream=stream)
    assert "units: 9 in the last run, " in stream.getvalue()


def test_cells_that_fail_are_slow_or_write_are_named_and_the_others_counted(project):
    """Also: a preset for a GPU on a machine that has none, as told by --dry-run."""
    folder, rehearse = project
    sweep = """two = architectures.factory("logreg", num_outputs=2, image_size=8)
sweeps.run(two, rows, train_samples=96, test_samples=64, store=word, device="cuda:3")"""
    throwaway.write(
        folder / "notebooks", "01_one", TROUBLE, "1 / 0", "time.sleep(60)", "Path(word).write_text('x')",
        "try:\n    Path(word).mkdir()\nexcept OSError as error:\n    raise ValueError(error.strerror) from None", sweep,
    )  # fmt: skip
    found, cast = rehearse(f"word={str(folder / 'store')!r}", seconds=4)
    said = "\n".join(found.remarks)
    assert "cell 4 was not rehearsed: ZeroDivisionError" in said  # as an executed copy counts
    assert "cell 5 was not rehearsed: computes for more than 4 s" in said
    assert "cell 6 was not rehearsed: PermissionError: [Errno 13] a rehearsal changes no files" in said
    assert "cell 7 was not rehearsed: ValueError: a rehearsal changes no files" in said
    assert (cast.units, cast.stored, cast.whole) == (5, 0, False)
    assert cast.operations == {"cuda:3": 5 * (20 * 96 * 4 + (96 + 64) * 2) * 64 * 2}
    lines = "\n".join(forecast.describe(cast))
    assert "expected: about " in lines
    assert " and more, and 5.1e6 floating-point operations on cuda:3, which is not here" in lines
    stated = "\n".join(forecast.describe(replace(cast, operations={"cuda": 10**17}, largest=10**17, tflops=50.0)))
    assert "1.0e17 floating-point operations on cuda, which is not here: 33 min 20 s at 50 TFLOP/s, as stated" in stated
    assert "more than 8 min 00 s below 2.1e+02 TFLOP/s" in stated


def test_a_list_starts_no_kernel_and_a_dry_run_ends_in_a_total(project, monkeypatch, capsys):
    folder, _ = project
    throwaway.write(folder / "notebooks", "01_one", "print(1)")
    monkeypatch.setenv("ANISOTROPY_NOTEBOOKS", str(folder / "notebooks"))
    here = ["--output", str(folder / "out")]
    assert reproduce.main([*here, "--dry-run", "--tflops", "-1"]) == 2
    assert "--tflops -1: expected a positive number" in capsys.readouterr().err
    made = rehearsal.Rehearsed([], 3.0, 1.0)
    monkeypatch.setattr(reproduce.rehearsal, "rehearse", lambda *_, **__: made)
    assert reproduce.main([*here, "--dry-run"]) == 0
    assert "expected: about 3 s" in capsys.readouterr().out
    monkeypatch.setattr(reproduce.rehearsal, "rehearse", lambda *_, **__: pytest.fail("a kernel was started"))
    assert reproduce.main([*here, "--list"]) == 0
    said = capsys.readouterr().out
    assert "expected: not measured yet" in said
    assert "--dry-run rehearses it" in said


@pytest.fixture
def rehearses(tmp_path, monkeypatch):
    """This process rehearses; returns what it noted."""
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv(rehearsing.VARIABLE, str(own))
    monkeypatch.setenv(ledger.VARIABLE, str(ledger.path(own)))
    monkeypatch.setattr(standins, "_asked", [])
    monkeypatch.setattr(standins, "_measured_here", [])
    return lambda: ledger.read(own)


def test_no_result_can_be_written_in_a_rehearsal(tmp_path, rehearses):
    files.write(tmp_path / "own" / "a", "in its own folder")
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    for place in (tmp_path / "b", tmp_path / "own" / ".." / "b", tmp_path / "link" / "own" / ".." / "b"):
        with pytest.raises(PermissionError, match="a rehearsal writes no results"):
            files.write(place, "elsewhere")
    with pytest.raises(PermissionError, match="a rehearsal writes no results"):
        stores.Store(tmp_path / "store").write({"unit": 1}, {"test_accuracy": 0.5})
    with pytest.raises(PermissionError, match="a rehearsal writes no results"):
        nads.load("lenet").save(tmp_path / "mine.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "own"]


def test_nothing_is_computed_where_nothing_stands_in(tmp_path, rehearses, monkeypatch):
    monkeypatch.setattr(rehearsing, "_stand_ins", {})
    with pytest.raises(RuntimeError, match="a rehearsal computes no nads, and nothing stands in"):
        nads.estimate(architectures.factory("logreg", image_size=8), networks=2, progress=False)
    monkeypatch.delenv(rehearsing.VARIABLE)
    assert rehearsing.stand_in("nads") is None


def test_nads_are_counted_from_what_a_state_holds_and_their_stand_ins_differ(tmp_path, rehearses, monkeypatch):
    one, state = architectures.factory("logreg", image_size=8), tmp_path / "state.safetensors"
    with monkeypatch.context() as earnest:
        earnest.delenv(rehearsing.VARIABLE)
        real = nads.estimate(one, networks=2, state=state, progress=False)
    content = state.read_bytes()
    found = [nads.estimate(one, networks=5, state=state, seed=seed) for seed in (0, 1)]
    auto = nads.estimate(one, networks="auto", max_networks=16, method="gradient", device="cuda")
    lines = rehearses()
    assert [line["networks"] for line in lines if "part" in line] == [3, 5, 16]
    assert any("a saved state of another estimate" in line.get("remark", "") for line in lines)
    assert state.read_bytes() == content
    assert real.settings.keys() >= {"architecture", "seed"}
    for basis in (*found, auto):
        assert basis.settings["stand_in"]
        assert torch.allclose(basis.rows @ basis.rows.T, torch.eye(64), atol=1e-4)
    assert not torch.equal(found[0].directions, found[1].directions)
    assert [count for count, _, _ in auto.curve] == [4, 6, 8, 12, 16]
    standins.attempts()
    costs = {line["of"]: line for line in rehearses() if "of" in line}
    assert costs[0]["seconds"] > 0
    assert ("operations" in costs[2]) is not torch.cuda.is_available()


def test_what_is_not_here_is_planned_for(tmp_path, rehearses):
    assert checks.device("cuda:1") == "cuda:1"
    with pytest.raises(ValueError, match="expected a device"):
        checks.device("cudaa")
    source = cifar.Source(root=str(tmp_path / "nowhere"), train=200, test=100)
    images, labels = source.load("train")
    assert images.shape == (200, 3, 32, 32)
    assert labels.bincount().tolist() == [20] * 10
    assert any("CIFAR-10 is not there" in line["remark"] for line in rehearses())
    cifar._whole.cache_clear()
    cifar._subset.cache_clear()


def job(name, side, samples, epochs):
    factory = architectures.factory(name, num_outputs=2, image_size=side)
    recipe = Recipe(epochs=epochs, batch_size=64)
    return units.Job(factory, factory.spec, recipe, 1.0, 1.0, "text", samples, samples, "nowhere", "cpu")


def test_operations_of_logistic_regression_are_those_of_its_matrix_products():
    work = job("logreg", 8, 100, 3).workload((0, torch.zeros(1, 8, 8), 0))
    forward = 2 * 64 * 2  # a multiply-add for each pixel and class; the weights' gradient is another; x needs none
    assert workloads.operations(work) == 3 * 100 * 2 * forward + (100 + 100) * forward
    assert work.steps == 3 * 2
    assert work.data_bytes == 200 * 64 * 4
    assert forecast.scientific(workloads.operations(work)) == "2.0e5"


def test_a_trial_foretells_the_time_of_a_unit():
    """Within a factor of 3, on a machine that may be busy with something else in between."""
    training = job("lenet", 32, 640, 6)
    row = directions.fourier(32, 32).vectors[5][None]
    unit = (0, units.rounded(row[None])[0], 0)
    ratios = []
    for _ in range(3):
        trial = trials.training(training.workload(unit))
        ratios.append(trial.seconds(training.workload(unit)) / training.compute([unit])[0]["seconds"])
        if 1 / 3 < ratios[-1] < 3:
            return
    pytest.fail(f"foretold / taken: {ratios}")


def test_a_stack_is_lost_as_a_whole_and_a_state_keeps_nads(tmp_path):
    step = records.Step("01_one", tmp_path / "01_one.ipynb", tmp_path / "paper" / "01_one", {}, ())
    table = {"part": 0, "name": "lenet", "device": "cpu", "engine": "local:4", "steps": 10, "early": True,
             "keys": ["a", "b", "c"], "stored": [True, False, False], "together": 2, "data_bytes": 2**30}  # fmt: skip
    same = table | {"part": 1, "keys": ["c", "d"], "stored": [False, False], "engine": "serial"}
    kept = {"part": 2, "name": "vgg11", "device": "cpu", "method": "secant", "networks": 100, "most": False,
            "workers": 1, "kept": True}  # fmt: skip
    costs = [{"of": 0, "seconds": 300.0}, {"of": 1, "seconds": 10.0}, {"of": 2, "seconds": 9.0, "after": 1.0}]
    made = rehearsal.Rehearsed([table, same, kept, *costs], 5.0, 1.5)
    cast = forecast.forecast(step, made, here=HERE)
    assert (cast.units, cast.stored, cast.longest) == (4, 1, 600.0)
    assert cast.seconds == pytest.approx(5 + 2 * 300 / 2 + 10 + 901)  # two cores; c is computed once
    assert cast.memory_gib == pytest.approx(2.5)
    said = "\n".join(forecast.describe(cast))
    assert "longest unit or stack: 10 min 00 s, more than 8 min 00 s" in said
    assert "trainings that stop once their loss is small take less" in said
    assert "that keep no state" not in said
    made.lines[2]["kept"] = False
    assert "that keep no state, so that a kill loses them: vgg11" in "\n".join(
        forecast.describe(forecast.forecast(step, made, here=HERE))
    )
    made.lines.pop()  # the rehearsal ended before it was tried
    assert not forecast.forecast(step, made, here=HERE).whole
