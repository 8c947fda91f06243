"""Bad days: each fault is injected for real, the message says what to do, and what had been computed is used.

`FAULTS` is the table of docs/checks.md; tests in other files that inject a fault are named in it, not repeated here.
"""

import ast
import contextlib
import importlib
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import throwaway
import torch
from anisotropy import directions, nads, training
from anisotropy._util import files, paths
from anisotropy.cli import reproduce
from anisotropy.experiments import sweeps
from anisotropy.models import architectures
from anisotropy.notebooks import declarations, presets
from anisotropy.paper import passports
from anisotropy.training import Recipe, checkpoints
from torch import nn

FAULTS = [
    # fault, injected how, what is seen and what becomes of the results, test
    (
        "full disk, figures",
        "limit on file size in a process",
        "the file is named; the earlier figure, its numbers and its passport stay",
        "paper/test_passports.py::test_files_that_may_not_grow",
    ),
    (
        "full disk, sweep",
        "tmpfs filled while the third network is made",
        "the sweep stops at the first result it cannot keep; after freeing space only the missing units are computed",
        "test_a_disk_that_fills_up_during_a_sweep",
    ),
    (
        "full disk, notebook",
        "tmpfs filled by a cell",
        "the notebook fails and the file is named; results of the others stay; the next run completes",
        "test_a_disk_that_fills_up_during_a_notebook",
    ),
    (
        "full disk, state of NADs, checkpoint",
        "state and checkpoint on a full tmpfs",
        "a warning; measurement and training go on to their results",
        "test_a_full_disk_costs_only_the_chance_to_resume",
    ),
    (
        "read-only output",
        "folders mounted read-only",
        "nothing starts, and the folder is named; what is stored there is read and used",
        "test_read_only_folders",
    ),
    (
        "output is a file",
        "a file in the place of the folder",
        "nothing starts, and the path is named",
        "cli/test_reproduce.py::test_output_that_cannot_be_written",
    ),
    (
        "killed kernel, hung cell",
        "SIGKILL and SIGSTOP from within",
        "each is named with its cell; the other notebooks go on; the next run redoes only these",
        "cli/test_reproduce.py::test_failing_cell_and_killed_kernel_are_reported_and_the_others_go_on",
    ),
    (
        "killed driver, notebooks",
        "SIGKILL",
        "no process is left; the next run skips what is done",
        "cli/test_reproduce.py::test_a_driver_that_is_killed_leaves_no_process_and_the_next_run_goes_on",
    ),
    (
        "killed driver, sweep",
        "SIGKILL",
        "the next call computes only what is missing",
        "experiments/test_sweeps.py::test_a_killed_driver_is_resumed_where_it_was",
    ),
    (
        "killed driver, training on images",
        "SIGKILL",
        "the next call goes on from the last checkpoint",
        "experiments/test_image_sweeps.py::test_a_killed_driver_leaves_a_checkpoint_that_the_next_one_uses",
    ),
    (
        "killed driver, NADs",
        "SIGKILL",
        "the next call goes on from the saved sums, to the same bits",
        "nads/test_nads.py::test_a_killed_run_goes_on_to_the_same_result",
    ),
    (
        "killed estimate with several workers",
        "SIGKILL",
        "its workers end too",
        "nads/test_nads.py::test_a_killed_estimate_leaves_no_workers_behind",
    ),
    (
        "killed while a file is written",
        "SIGKILL before the rename",
        "the old file is intact; the next run removes the half-written one",
        "test_a_kill_in_the_middle_of_a_file",
    ),
    (
        "killed worker",
        "SIGKILL in a unit",
        "the unit is done by a new worker",
        "experiments/test_sweeps.py::test_a_killed_worker_loses_nothing",
    ),
    (
        "a unit that always kills its worker",
        "SIGKILL, as the system does when memory runs out",
        "it is named, status not 0; the others are stored",
        "experiments/test_sweeps.py::test_a_unit_that_always_crashes_is_reported_with_a_status",
    ),
    (
        "out of memory in a unit",
        "limit on address space in a worker",
        "the unit is named, with what to try; the others are stored, and a rerun computes only it",
        "test_out_of_memory_in_one_unit",
    ),
    (
        "a unit that raises",
        "an exception",
        "it is named with its traceback; the others are stored",
        "experiments/test_sweeps.py::test_a_failing_unit_is_reported_and_the_rest_is_there",
    ),
    (
        "corrupt unit result",
        "cut short, altered, renamed",
        "it is computed again, the others are not",
        "experiments/test_sweeps.py::test_a_rerun_computes_only_what_is_missing_or_damaged",
    ),
    (
        "corrupt run.json",
        "cut short, wrong types",
        "the notebook is listed as damaged and runs again",
        "test_damaged_records_make_a_notebook_run_again",
    ),
    (
        "corrupt figure, numbers, claims or passport",
        "one byte changed, emptied, cut short",
        "the file is named as damaged; the notebook runs again",
        "test_damaged_results_make_a_notebook_run_again",
    ),
    (
        "corrupt results, in the report",
        "claims, records, numbers, pictures cut short or of another kind",
        "the file is named on the page; the rest is shown",
        "site/test_report.py::test_a_damaged_file_is_named_and_the_rest_is_shown",
    ),
    (
        "corrupt NADs or sweep of the reader's own, in the report",
        "a pickle, a file cut short, nothing in its place",
        "refused, and the file is named; no page is written",
        "site/test_report.py::test_a_file_of_the_reader_that_is_at_fault_stops_the_report",
    ),
    (
        "a report that cannot be written",
        "the write raises as on a full disk",
        "a line says so; the earlier page and all results stay",
        "site/test_report.py::test_a_page_that_cannot_be_written_leaves_the_earlier_one",
    ),
    (
        "corrupt checkpoint",
        "cut short, one byte changed, noise",
        "training begins anew, with the right numbers",
        "test_a_damaged_checkpoint_is_not_used",
    ),
    (
        "checkpoint of another training",
        "another recipe, another network",
        "refused, with what to do",
        "test_a_checkpoint_of_another_network_is_refused",
    ),
    (
        "checkpoint of a machine that rounds otherwise",
        "last digits of the data changed",
        "a warning; training starts again",
        "training/test_loop.py::test_a_checkpoint_of_data_that_are_rounded_otherwise_is_left_with_a_warning",
    ),
    (
        "corrupt table of a sweep",
        "one bit changed anywhere",
        "refused, and the file is named",
        "experiments/test_sweeps.py::test_a_table_with_any_byte_changed_is_refused_and_one_without_a_checksum_is_read",
    ),
    (
        "corrupt NADs",
        "cut short, altered, NaN",
        "refused, and the file is named",
        "nads/test_nads.py::test_files_that_cannot_be_are_named",
    ),
    (
        "corrupt NADs, corrupt state of an estimate",
        "one bit changed in its numbers",
        "NADs are refused; the estimate starts afresh, with a warning",
        "test_one_altered_byte_of_nads_is_noticed",
    ),
    (
        "corrupt state of an estimate",
        "cut short",
        "a warning; it starts afresh",
        "nads/test_nads.py::test_a_state_of_another_estimate_is_refused_and_a_broken_one_redone",
    ),
    (
        "corrupt CIFAR-10",
        "cut short, altered",
        "refused, with the three ways to provide the data",
        "images/test_cifar.py::test_a_damaged_binary_file_is_refused",
    ),
    (
        "no network",
        "the download raises",
        "the three ways to provide the data",
        "images/test_cifar.py::test_without_data_and_without_network_the_three_ways_are_named",
    ),
    (
        "parameter file with a tab, a key twice, a wrong type or name",
        "YAML files",
        "file, line and the nearest name; nothing starts",
        "notebooks/test_presets.py::test_preset_file_at_fault_is_refused_with_its_line",
    ),
    (
        "a network that returns NaN, NADs",
        "NaN in its weights",
        "number and seed of the network; what was added up is saved",
        "nads/test_nads.py::test_a_failing_network_leaves_the_state",
    ),
    (
        "a network that returns NaN, sweep",
        "NaN in its output",
        "a warning; marked as diverged in the table",
        "test_networks_that_return_nan_are_marked",
    ),
    (
        "two runs on one output",
        "two processes",
        "the second one stops and says so; the first completes",
        "test_two_runs_at_once",
    ),
    (
        "two sweeps on one store",
        "two processes",
        "both complete, and the store is intact",
        "experiments/test_sweeps.py::test_two_sweeps_at_once_on_one_store",
    ),
    (
        "a pickle in place of a result",
        "a pickle that would run a command",
        "refused or ignored; nothing is executed",
        "test_untrusted_files_are_never_unpickled",
    ),
    (
        "a pickle in place of CIFAR-10",
        "a pickle that would end the process",
        "refused by its checksum before it is read",
        "images/test_cifar.py::test_an_altered_python_file_is_refused_and_never_unpickled",
    ),
    (
        "names that would leave the folder",
        "`../x`, absolute, hidden, with line ends",
        "refused, with what a name may hold; nothing is written",
        "test_no_name_leaves_the_folder_of_results",
    ),
    (
        "notebook and preset names that would leave the folder",
        "likewise",
        "refused",
        "notebooks/test_presets.py::test_no_name_leaves_its_folder",
    ),
    (
        "code in parameters",
        "quotes, line ends, escapes, format fields",
        "the text arrives as it is; nothing is executed",
        "test_parameters_are_literals",
    ),
    (
        "code in parameters, with a kernel",
        "a text that would write a file",
        "the text arrives as it is; nothing is executed",
        "cli/test_reproduce.py::test_a_run_leaves_figures_passports_claims_and_the_executed_copy",
    ),
]


def table() -> str:
    """The table of docs/checks.md: `python tests/test_faults.py` prints it."""
    rows = ["| fault | injected how | what is seen |", "|---|---|---|"]
    return "\n".join([*rows, *(f"| {fault} | {how} | {seen} |" for fault, how, seen, _ in FAULTS)])


def test_every_fault_names_a_test_and_the_page_shows_them_all(monkeypatch):
    for fault, _, _, name in FAULTS:
        file, colons, function = name.rpartition("::")
        if colons:
            folder = paths.root() / "tests" / file
            monkeypatch.syspath_prepend(folder.parent)
        module = importlib.import_module(folder.stem) if colons else sys.modules[__name__]
        assert callable(getattr(module, function, None)), f"{fault}: no test {name}"
    here = {name for name, value in globals().items() if name.startswith("test_") and callable(value)}
    assert here - {name for *_, name in FAULTS} == {"test_every_fault_names_a_test_and_the_page_shows_them_all"}
    assert table() in (paths.root() / "docs" / "checks.md").read_text(encoding="utf-8"), "paste what this module prints"


# --- disks -----------------------------------------------------------------------------------------------------------


def on_disk(folder: Path, kind: str, code: str, *arguments: str) -> dict:
    """Run code with a small or read-only disk at `folder`, in a mount namespace that ends with it; what it prints."""
    folder.mkdir(exist_ok=True)
    mounts = {
        "small": 'mount -t tmpfs -o size=1m tmpfs "$0"',
        "read-only": 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"',
    }
    own = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    command = [*own, "sh", "-c", mounts[kind] + ' || exit 77; exec "$@"', str(folder)]
    script = folder.parent / "script.py"
    script.write_text(textwrap.dedent(code))
    try:
        done = subprocess.run(
            [*command, sys.executable, "-W", "always", str(script), str(folder), *arguments],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("needs unshare, of util-linux")
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"this system lets nobody mount a small disk: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1]) | {"stderr": done.stderr}


FILL = '''
import os
def fill(folder, leave=0):
    """Leave no space on the disk but so many bytes."""
    with open(folder + "/filler", "wb", buffering=0) as stream:
        try:
            while True:
                stream.write(b"x" * 4096)
        except OSError:
            stream.truncate(max(0, stream.tell() - leave))
'''

SWEEP = """
import json, sys
import torch
from pathlib import Path
from torch import nn
from anisotropy import directions
from anisotropy.experiments import sweeps
from anisotropy.training import Recipe
rows = directions.fourier(8, 8).vectors[:6][:, None]
made = []
def network():
    made.append(1)
    if during is not None and len(made) == 3:
        during()
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
network.spec = {"name": "logreg"}  # known by name: none is made but for the units
during = None
def sweep(store):
    made.clear()
    return sweeps.run(network, rows, store=store, name="net", recipe=Recipe(epochs=1, batch_size=32),
                      train_samples=96, test_samples=64, progress=False)
def refused(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return str(error)
    return "nothing was refused"
"""


def test_a_disk_that_fills_up_during_a_sweep(tmp_path):
    found = on_disk(tmp_path / "disk", "small", FILL + SWEEP + '''
folder = sys.argv[1]
during = lambda: fill(folder)
store = folder + "/store"
said = refused(sweep, store)
stored = sorted(p.name for p in Path(store).glob("**/*.*"))
again = refused(sweep, store), len(made)  # still full: found before anything is computed
os.unlink(folder + "/filler")
during = None
table = sweep(store)
print(json.dumps({"said": said, "stored": stored, "again": again, "made": len(made),
                  "complete": int(table.attrs["complete"]), "whole": bool(table.test_accuracy.notnull().all())}))
''')  # fmt: skip
    assert "No space left on device" in found["said"]
    assert "2 of 6 units are done and stored; the same call computes only the others" in found["said"]
    assert "Free some space there" in found["said"]
    assert len(found["stored"]) == 2  # and nothing half-written
    assert "cannot keep results in" in found["again"][0]
    assert found["again"][1] == 0
    assert (found["made"], found["complete"], found["whole"]) == (4, 1, True)


RUN = '''
import io, json, os, sys
from pathlib import Path
from anisotropy.cli import reproduce
def run(output, *arguments):
    """The command line; its status and everything that it said."""
    stream = io.StringIO()
    out, err, sys.stdout, sys.stderr = sys.stdout, sys.stderr, stream, stream
    try:
        code = reproduce.main(["--output", output, *arguments])
    finally:
        sys.stdout, sys.stderr = out, err
    return code, stream.getvalue()
'''


def test_a_disk_that_fills_up_during_a_notebook(tmp_path, monkeypatch):
    notebooks, disk = tmp_path / "notebooks", tmp_path / "disk"
    monkeypatch.setenv("ANISOTROPY_NOTEBOOKS", str(notebooks))
    throwaway.write(notebooks, "01_well", "print(1)")
    fill = FILL + f"if not os.path.exists({str(tmp_path / 'freed')!r}):\n    fill({str(disk)!r})"
    throwaway.write(notebooks, "02_fills", fill, "print('computed')")
    found = on_disk(disk, "small", RUN + '''
folder, freed = sys.argv[1:]
first = run(folder)
well = sorted(p.name for p in Path(folder, "quick", "01_well").glob("[!.]*"))
open(freed, "w").close()
os.unlink(folder + "/filler")
second = run(folder, "--no-report")
left = sorted(p.name for p in Path(folder, "quick", "02_fills").iterdir())
print(json.dumps({"first": first, "well": well, "second": second, "left": left}))
''', str(tmp_path / "freed"))  # fmt: skip
    code, said = found["first"]
    assert code == 1
    assert "02_fills: FAILED" in said
    assert "No space left on device" in said
    assert "Free some space there, or name a folder on another disk" in said
    assert "report: not written" in said
    assert found["well"] == ["01_well.ipynb", "run.json"]
    code, said = found["second"]
    assert code == 0, said
    assert "01_well: skipped" in said
    assert "02_fills: done" in said
    assert found["left"] == [".lock", "02_fills.ipynb", "run.json"]


def test_a_full_disk_costs_only_the_chance_to_resume(tmp_path):
    found = on_disk(tmp_path / "disk", "small", FILL + '''
import json, sys, torch
from torch import nn
from anisotropy import nads, training
from anisotropy.models import architectures
from anisotropy.training import checkpoints
checkpoints.SECONDS = 0
folder = sys.argv[1]
fill(folder)
net = architectures.factory("logreg", image_size=8)
found = nads.estimate(net, networks=3, state=folder + "/state.safetensors")
x, y = torch.randn(64, 1, 8, 8), torch.arange(64) % 2
init = checkpoints.Checkpoint.__init__
checkpoints.Checkpoint.__init__ = lambda self, *a, **k: init(self, *a, **{**k, "seconds": 0})
outcome = training.train(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), x, y, training.Recipe(epochs=2),
                         generator=torch.Generator().manual_seed(0), checkpoint=folder + "/a.checkpoint")
print(json.dumps({"networks": found.networks, "epochs": len(outcome.history), "left": os.listdir(folder)}))
''')  # fmt: skip
    assert (found["networks"], found["epochs"], found["left"]) == (3, 2, ["filler"])
    assert "the state could not be saved" in found["stderr"]
    assert "no checkpoint: could not write" in found["stderr"]
    assert "No space left on device" in found["stderr"]


def test_read_only_folders(tmp_path, monkeypatch):
    """A store and a folder of results filled before the disk became read-only, and an empty one."""
    notebooks, disk = tmp_path / "notebooks", tmp_path / "disk"
    monkeypatch.setenv("ANISOTROPY_NOTEBOOKS", str(notebooks))
    throwaway.write(notebooks, "01_well", "print(1)")
    disk.mkdir()
    filled = tmp_path / "fill.py"
    filled.write_text(RUN + SWEEP + "sweep(sys.argv[1] + '/store'); print(run(sys.argv[1] + '/out', '--no-report'))")
    subprocess.run([sys.executable, str(filled), str(disk)], check=True, capture_output=True, timeout=120)
    found = on_disk(disk, "read-only", RUN + SWEEP + '''
from anisotropy import nads
folder = sys.argv[1]
table = sweep(folder + "/store")
used = len(made), bool(table.test_accuracy.notnull().all())
said = [refused(sweep, folder + "/other"), refused(nads.load("logreg").save, folder + "/x.safetensors")]
print(json.dumps({"used": used, "said": said, "made": len(made),
                  "skipped": run(folder + "/out", "--no-report"), "refused": run(folder + "/out", "--force")}))
''')  # fmt: skip
    assert found["used"] == [0, True]
    for said in found["said"]:
        assert "Read-only file system" in said
        assert "Make the folder writable, or name another one" in said
    assert found["made"] == 0
    assert found["skipped"][0] == 0
    assert "01_well: skipped" in found["skipped"][1]
    assert found["refused"][0] == 2
    assert "cannot write into" in found["refused"][1]
    assert "nothing was started" in found["refused"][1]


# --- kills and memory ------------------------------------------------------------------------------------------------


def test_a_kill_in_the_middle_of_a_file(tmp_path):
    code = """
import os, signal, sys
from anisotropy._util import files
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # all is written, but not yet renamed
files.write(sys.argv[1], "new" * 10000)
"""
    folder = tmp_path / "out" / "quick" / "01_one"
    files.write(folder / "line.csv", "old")
    done = subprocess.run([sys.executable, "-c", code, str(folder / "line.csv")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (folder / "line.csv").read_text() == "old"
    assert len(list(folder.glob(".line.csv.*.partial"))) == 1
    throwaway.write(tmp_path / "notebooks", "01_one", "print(1)")
    with open(os.devnull, "w") as nowhere:
        reproduce.reproduce(folder=tmp_path / "notebooks", output=tmp_path / "out", stream=nowhere)
    assert not list(folder.glob("*.partial")) + list(folder.glob(".*.partial"))
    assert (folder / "line.csv").read_text() == "old"


def test_out_of_memory_in_one_unit(tmp_path):
    """The third network wants a terabyte's worth of weights under a limit that the system enforces."""
    rows = directions.fourier(8, 8).vectors[:4][:, None]
    log, cured = tmp_path / "log", tmp_path / "cured"
    small = {"recipe": Recipe(epochs=1, batch_size=32), "train_samples": 64, "test_samples": 32, "progress": False}

    class Greedy(nn.Sequential):
        def __init__(self):
            with open(log, "a") as stream:
                stream.write("made\n")
            if len(log.read_text().split()) == 3 and not cured.exists():
                limits = resource.getrlimit(resource.RLIMIT_AS)
                used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, limits[1]))
                try:
                    nn.Linear(2**16, 2**14)  # 4 GiB
                finally:
                    resource.setrlimit(resource.RLIMIT_AS, limits)
            super().__init__(nn.Flatten(), nn.Linear(64, 2))

    Greedy.spec = {"name": "logreg"}  # known by name: none is made but for the units

    def sweep():
        return sweeps.run(Greedy, rows, store=tmp_path / "s", name="greedy", engine="local:1", **small)

    with pytest.raises(sweeps.SweepFailed) as caught:
        sweep()
    said = str(caught.value)
    assert "1 of 4 units failed; the others are stored" in said
    assert "can't allocate memory" in said
    assert "If memory ran out: fewer workers at a time" in said
    assert int(caught.value.dataset.test_accuracy.notnull().sum()) == 3
    cured.touch()
    before = len(log.read_text().split())
    assert sweep().test_accuracy.notnull().all()
    assert len(log.read_text().split()) == before + 1


def test_networks_that_return_nan_are_marked(tmp_path):
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(64, 2)

        def forward(self, x):
            return self.inner(x.flatten(1)) * float("nan")

    rows = directions.fourier(8, 8).vectors[:2][:, None]
    with pytest.warns(UserWarning, match=r"2 of 2 networks diverged .*their accuracies say nothing"):
        found = sweeps.run(
            Broken, rows, store=tmp_path, name="broken", recipe=Recipe(epochs=3), train_samples=64, progress=False
        )
    assert (found.diverged == 1).all()
    assert found.train_loss.isnull().all()


# --- damaged files ---------------------------------------------------------------------------------------------------

CELLS = """import matplotlib.pyplot as plt
from anisotropy.notebooks import presets
from anisotropy.paper import claims, passports
parameters = presets.strict("01_one", globals())
run = passports.Run("01_one", parameters)
figure, axes = plt.subplots(figsize=(2, 2))
run.save(figure, "line", {"x": [0, 1]})
run.save_claims(claims.Table([claims.at_least("a line rises", "Fig. 0", rate, 0.05)]))"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A notebook with its results, run once."""
    folder = tmp_path_factory.mktemp("finished")
    throwaway.write(folder / "notebooks", "01_one", CELLS)
    with open(os.devnull, "w") as nowhere:
        outcome = reproduce.reproduce(folder=folder / "notebooks", output=folder / "out", stream=nowhere)
    assert outcome == {"01_one": "done"}
    return folder


@pytest.fixture
def command(finished, tmp_path, monkeypatch, capsys):
    """A copy of the results, and the command line on them: status and what it said."""
    import shutil

    shutil.copytree(finished / "out", tmp_path / "out")
    monkeypatch.setenv("ANISOTROPY_NOTEBOOKS", str(finished / "notebooks"))

    def run(*arguments):
        code = reproduce.main(["--no-report", "--output", str(tmp_path / "out"), *arguments])
        return code, capsys.readouterr().out

    return tmp_path / "out" / "quick" / "01_one", run


RECORDS = [
    "", "{", "[]", "null", "7", '"text"', '{"inputs": []}', '{"inputs": {"notebook": 3}}', '{"outputs": "all"}',
    '{"outputs": [3]}', '{"outputs": null}', '{"cells": {}}', '{"seconds": "long"}', '{"hardware": []}',
    '{"sha256": [1]}', "[" * 100_000, "\x00\x01",
]  # fmt: skip


def test_damaged_records_make_a_notebook_run_again(command):
    folder, run = command
    assert "01_one: skipped" in run("--list")[1]
    for content in RECORDS:
        (folder / "run.json").write_text(content)
        code, said = run("--list")
        assert code == 0
        assert "01_one: runs (damaged: run.json)" in said, content[:50]
    code, said = run()
    assert code == 0, said
    assert "01_one: starts (damaged: run.json)" in said
    assert "01_one: skipped" in run()[1]


def flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_damaged_results_make_a_notebook_run_again(command):
    folder, run = command
    names = ["line.png", "line.svg", "line.csv", "line.passport.json", "claims.json", "01_one.ipynb"]
    for name in names:
        whole = (folder / name).read_bytes()
        for damage in (flip_byte, lambda p: p.write_bytes(p.read_bytes()[:-20]), lambda p: p.write_bytes(b"")):
            damage(folder / name)
            code, said = run("--list")
            assert code == 0
            assert f"01_one: runs (damaged: {name}" in said or f"01_one: runs (missing: {name}" in said
        (folder / name).write_bytes(whole)
    assert "01_one: skipped" in run("--list")[1]
    (folder / "line.csv").write_bytes(whole_with_crlf := (folder / "line.csv").read_bytes().replace(b"\n", b"\r\n"))
    assert b"\r\n" in whole_with_crlf
    assert "01_one: skipped" in run("--list")[1]  # git on Windows did that, not a fault
    # a table of claims that is readable JSON and not ours: the summary says so, and does not stop the run
    record = json.loads((folder / "run.json").read_text())
    for content in ('{"claims": [{}]}', '{"claims": 3}', "[]", "{"):
        (folder / "claims.json").write_text(content)
        import hashlib

        record["sha256"]["claims.json"] = hashlib.sha256(content.encode()).hexdigest()
        (folder / "run.json").write_text(json.dumps(record))
        code, said = run()
        assert code == 0
        assert "claims.json is not readable" in said
        assert "--only 01_one --force redoes it" in said


def trained(path: Path | None, width: int = 4):
    x = torch.randn(96, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0, 0, 0] > 0).long()
    network = architectures.build(
        lambda: nn.Sequential(nn.Conv2d(1, width, 3), nn.Flatten(), nn.Linear(36 * width, 2)), 0
    )
    generator = torch.Generator().manual_seed(1)
    return training.train(network, x, y, Recipe(epochs=3), generator=generator, checkpoint=path)


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A checkpoint after the second of three epochs, and the outcome of a run that was never interrupted."""
    path = tmp_path / "unit.checkpoint"
    save = checkpoints.Checkpoint.save

    def often(self, epochs):
        self.seconds = 0
        if epochs < 3:
            save(self, epochs)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.Checkpoint, "save", often)
        whole = trained(path)
    assert path.is_file()
    return path, whole


def test_a_damaged_checkpoint_is_not_used(checkpoint):
    path, whole = checkpoint
    assert trained(path) == whole  # it goes on from the second epoch
    content = path.read_bytes()
    noise = np.random.default_rng(0)
    for damaged in (content[:100], content[:-100], b"", noise.bytes(5000), b"PK\x03\x04" + noise.bytes(5000),
                    pickle.dumps({"epochs": 2}), content.replace(b"generator", b"generatox")):  # fmt: skip
        path.write_bytes(damaged)
        assert trained(path) == whole
    for position in noise.integers(0, len(content), 15):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(noise.integers(8))
        path.write_bytes(flipped)
        with contextlib.suppress(ValueError):  # where the damage is in the identity, it is that of another training
            assert trained(path) == whole


def test_one_altered_byte_of_nads_is_noticed(tmp_path):
    net = architectures.factory("logreg", image_size=4)
    path, state = tmp_path / "mine.safetensors", tmp_path / "state.safetensors"
    whole = nads.estimate(net, networks=3, state=state)
    for file in (whole.save(path), state):
        content = file.read_bytes()
        begin = 8 + int.from_bytes(content[:8], "little")  # of the numbers, behind the header
        for position in np.random.default_rng(0).integers(begin, len(content), 40):
            altered = bytearray(content)
            altered[position] ^= 1
            file.write_bytes(altered)
            if file == path:
                with pytest.raises(ValueError, match="was altered or damaged since"):
                    nads.load(path)
            else:
                with pytest.warns(UserWarning, match="starting afresh"):
                    assert torch.equal(nads.estimate(net, networks=3, state=state).eigenvalues, whole.eigenvalues)


def test_a_checkpoint_of_another_network_is_refused(checkpoint):
    path, _ = checkpoint
    with pytest.raises(ValueError, match=r"(?s)expected a checkpoint of this training.*delete it or name another file"):
        trained(path, width=5)


# --- two at once, strangers, names, code -----------------------------------------------------------------------------


def test_two_runs_at_once(tmp_path):
    notebooks, output, begun = tmp_path / "notebooks", tmp_path / "out", tmp_path / "begun"
    wait = f"import os, time\nopen({str(begun)!r}, 'w').close()\nwhile os.path.exists({str(begun)!r}): time.sleep(0.1)"
    throwaway.write(notebooks, "01_one", wait)
    environment = os.environ | {"ANISOTROPY_NOTEBOOKS": str(notebooks)}
    line = [sys.executable, "-m", "anisotropy", "reproduce", "--no-report", "--output", str(output)]
    first = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 60
        while not begun.exists():
            assert time.monotonic() < end
            assert first.poll() is None
            time.sleep(0.1)
        second = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60)
        assert second.returncode == 2
        assert "another run of 01_one writes into" in second.stderr
        assert "wait for it to end, or choose another folder with --output" in second.stderr
        begun.unlink()
        said, _ = first.communicate(timeout=60)
        assert first.returncode == 0, said
    finally:
        first.kill()


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("way", ["pickle", "torch", "numpy"])
def test_untrusted_files_are_never_unpickled(tmp_path, way):
    fuse, bomb = tmp_path / "exploded", tmp_path / "bomb"

    def plant(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        if way == "pickle":
            path.write_bytes(pickle.dumps(Bomb(fuse)))
        elif way == "torch":
            torch.save({"identity": Bomb(fuse), "epochs": 2}, path)
        else:
            with open(path, "wb") as stream:
                np.save(stream, np.array([Bomb(fuse)], dtype=object), allow_pickle=True)
        return path

    if way == "pickle":
        pickle.loads(plant(bomb).read_bytes())  # the bomb is real
        assert fuse.exists()
        fuse.unlink()
    with pytest.raises(ValueError, match=r"not a file written by Nads\.save"):
        nads.load(plant(tmp_path / "mine.safetensors"))
    plant(tmp_path / "NADs" / "LeNet_NADs.npy")
    np.save(tmp_path / "NADs" / "LeNet_eigenvals.npy", np.ones(4))
    with pytest.raises(ValueError, match=r"LeNet_NADs\.npy: expected an array of numbers .*fetch it again"):
        nads.load_published(tmp_path, "lenet")
    with pytest.warns(UserWarning, match="starting afresh"):
        nads.estimate(architectures.factory("logreg", image_size=4), networks=2, state=plant(tmp_path / "state"))
    path = plant(tmp_path / "unit.checkpoint")
    assert len(trained(path).history) == 3  # from the first epoch on
    store = sweeps.stores.Store(tmp_path / "store")
    key = store.write({"a": 1}, {"value": 1.0})
    plant(store.path(key))
    assert store.read(key) is None
    assert not fuse.exists()


NAMES = [
    "../x", "a/b", "/etc/x", "..", ".", "", ".hidden", "a\nb", "a\x00b", "a b", "~x", "C:\\x", "x/../../y", "naïve",
]  # fmt: skip


def test_no_name_leaves_the_folder_of_results(tmp_path):
    import matplotlib.pyplot as plt

    before = sorted(tmp_path.rglob("*"))
    run, figure = passports.Run("01_one", {"preset": "quick"}), plt.figure(figsize=(1, 1))
    for name in NAMES:
        with pytest.raises(ValueError, match="expected a figure name of letters, digits"):
            run.save(figure, name, {"x": [1]})
        for arguments in ((name, {"preset": "quick"}), ("01_one", {"preset": name})):
            with pytest.raises(ValueError, match=r"expected a (notebook|preset) name of letters, digits"):
                passports.Run(*arguments)
    for name in ("claims", "run", "Claims", "line.passport"):  # files that are there for something else
        with pytest.raises(ValueError, match="expected another figure name"):
            run.save(figure, name, {"x": [1]})
    plt.close(figure)
    assert sorted(tmp_path.rglob("*")) == before
    # the name of an architecture may be any text; the file of its sweep is in the store all the same
    store = tmp_path / "store"
    rows = directions.fourier(4, 4).vectors[:1][:, None]
    small = {"recipe": Recipe(epochs=1), "train_samples": 8, "test_samples": 8, "progress": False}
    for name in (*NAMES[:5], "x" * 400):
        sweeps.run(lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), rows, store=store, name=name, **small)
    assert {p.name for p in tmp_path.iterdir()} == {"store"}
    assert len(list(store.glob("*.nc"))) == 6


CODE = [
    "plain", "", "'", '"', "'''", '"""', "\\", "\\'", '\\"', "a\nimport os", "\r\nx", "\u2028x = 1", "\x00",
    '"; import os; os.abort() #', "'); os.abort() #", "{preset}", "${HOME}", "%s", "\ud7ff\U0001f600", "\\N{BULLET}",
    "# Parameters\nx = 1", "-1", "None", "__import__('os').abort()",
]  # fmt: skip


def test_parameters_are_literals(tmp_path):
    """What papermill writes for a parameter is a literal that reads back equal, whatever the text."""
    from papermill.translators import translate_parameters

    values = {f"p{i}": text for i, text in enumerate(CODE)}
    values |= {"many": CODE, "nested": {text: [text, 1, 0.5, True, None] for text in CODE if text}}
    cell = translate_parameters("python3", "python", values, "Parameters")
    tree = ast.parse(cell)
    assert all(isinstance(node, ast.Assign) for node in tree.body)
    assert {node.targets[0].id: ast.literal_eval(node.value) for node in tree.body} == values
    # from a preset file and from the command line they come to papermill as they were written
    folder, params = tmp_path / "notebooks", tmp_path / "params"
    throwaway.write(folder, "01_one")
    for text in CODE:
        if text.isprintable():
            throwaway.preset(params, "01_one", f"preset: laptop\nword: {json.dumps(text)}\n")
            assert presets.load("01_one", "laptop", folder=folder, params=params)["word"] == text
        notebook = declarations.declared("01_one", folder)
        changed = presets.override(notebook, notebook.defaults, presets.parse([f"word={text!r}"]))
        assert changed == notebook.defaults | {"word": text}


if __name__ == "__main__":
    print(table())
