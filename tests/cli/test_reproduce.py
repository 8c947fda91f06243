"""Running notebooks: nothing twice, nothing lost, nothing silent. Throw-away notebooks with real kernels."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import pytest
import throwaway
from anisotropy._util import paths
from anisotropy.cli import reproduce
from anisotropy.notebooks import declarations, records, scheduling
from anisotropy.notebooks.declarations import ParameterError
from anisotropy.notebooks.records import PlanError

SETUP = """import matplotlib.pyplot as plt
from anisotropy.notebooks import presets
from anisotropy.paper import claims, passports
parameters = presets.strict({name!r}, globals())
run = passports.Run({name!r}, parameters)"""
FIGURE = """figure, axes = plt.subplots(figsize=(2, 2))
axes.plot([0, 1])
run.save(figure, "line", {"x": [0, 1]})
run.save_claims(claims.Table([claims.at_least("a line rises", "Fig. 0", rate, 0.05)]))
print(word)"""


@pytest.fixture
def project(tmp_path):
    """A folder of notebooks and a function that runs them; returns outcome and what was printed."""

    class Project:
        notebooks = tmp_path / "notebooks"
        params = tmp_path / "params"
        output = tmp_path / "out"

        def write(self, name, *cells, **kwargs):
            return throwaway.write(self.notebooks, name, *cells, **kwargs)

        def figure(self, name):
            return self.write(name, SETUP.format(name=name), FIGURE)

        def run(self, *args, **kwargs):
            stream = io.StringIO()
            folders = {"folder": self.notebooks, "params": self.params, "output": self.output}
            outcome = reproduce.reproduce(*args, **folders, **kwargs, stream=stream)
            return outcome, stream.getvalue()

        def main(self, *arguments):
            """The command line in a process of its own."""
            environment = os.environ | {
                "ANISOTROPY_NOTEBOOKS": str(self.notebooks),
                "ANISOTROPY_PARAMS": str(self.params),
            }
            command = [sys.executable, "-m", "anisotropy", "reproduce", "--output", str(self.output), "--no-report"]
            return subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=120)

    (tmp_path / "notebooks").mkdir()
    return Project()


def test_a_run_leaves_figures_passports_claims_and_the_executed_copy(project):
    project.figure("01_one")
    nasty = '"""; import pathlib; pathlib.Path("pwned").touch() #\\\' {seed}'
    outside = str(project.output.parent / "elsewhere" / "net.pt")
    outcome, said = project.run(assignments=[f"word={nasty!r}", f"names=[{outside!r}]"])
    assert outcome == {"01_one": "done"}
    folder = project.output / "quick" / "01_one"
    assert {"01_one.ipynb", "line.png", "line.svg", "line.csv", "line.passport.json", "claims.json", "run.json"} == {
        p.name for p in folder.iterdir() if p.name != ".lock"
    }
    assert "holds: a line rises [Fig. 0]" in said
    record = json.loads((folder / "run.json").read_text())
    assert record["cpu_seconds"] > 0
    # parameters are literals: the text came through as it is and nothing in it was executed
    executed = nbformat.read(folder / "01_one.ipynb", as_version=4)
    assert len(executed.cells) == 4  # parameters, injected parameters, set-up, figure
    assert nasty + "\n" in [output.get("text") for output in executed.cells[-1].outputs]
    assert not list(project.output.parent.rglob("pwned"))
    # no path of this machine in anything written
    for path in folder.glob("[!.]*"):
        content = path.read_bytes()
        for secret in (str(project.output.parent), str(paths.root()), sys.prefix):
            assert secret.encode() not in content, f"{secret} in {path.name}"

    # a second time: nothing is done, and it says so
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    same = {"assignments": [f"word={nasty!r}", f"names=[{outside!r}]"]}
    outcome, said = project.run(**same)
    assert outcome == {"01_one": "skipped"}
    assert "01_one: skipped, done with the same inputs" in said
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before

    # what changes an input makes it run again, and the reason is given
    def reason(**kwargs):
        return project.run(listed=True, **kwargs)[1]

    assert "skipped (same inputs" in reason(**same)
    assert "runs (changed: parameters" in reason(assignments=["rate=0.2"])
    assert "runs (--force" in reason(force=True, **same)
    (folder / "line.svg").unlink()
    assert "runs (missing: line.svg" in reason(**same)
    project.write("01_one", SETUP.format(name="01_one"), FIGURE + "\nprint(2)")
    assert "runs (changed: notebook" in reason(**same)
    (folder / "run.json").write_text('{"inp')  # half-written
    assert "runs (damaged: run.json" in reason(**same)


def test_a_list_says_what_a_notebook_needs_and_starts_no_kernel(project, monkeypatch):
    project.write("01_one")
    head = "# Purpose: a line. Hardware: any CPU. Minutes: about 3 on 2\n# cores. Expected headline: nothing.\n"
    throwaway.preset(project.params, "01_one", head + "preset: laptop\n")
    assert project.run("laptop")[0] == {"01_one": "done"}
    monkeypatch.setattr(scheduling, "Execution", lambda *_: pytest.fail("a kernel was started"))
    outcome, said = project.run("laptop", listed=True, force=True)
    assert outcome == {"01_one": "would run"}
    assert "hardware found: " in said
    assert "    needs: any CPU. Minutes: about 3 on 2 cores.\n" in said
    assert "    its last run took " in said
    assert "needs" not in project.run(listed=True)[1]  # quick has no file


def test_a_fresh_run_tells_its_kernels_so_and_is_never_skipped(project, monkeypatch):
    seen = {"line": "import os\nprint(os.environ.get('ANISOTROPY_FRESH'))"}
    project.write("01_one", SETUP.format(name="01_one"), FIGURE, seen["line"])
    same = {"only": ["01_one"]}
    texts = []
    for fresh in (False, True, True):
        assert project.run(fresh=fresh, **same)[0] == {"01_one": "done"}
        (copy,) = project.output.rglob("01_one.ipynb")
        texts.append("".join(json.loads(copy.read_text())["cells"][-1]["outputs"][0]["text"]).strip())
    assert texts == ["None", "1", "1"]
    with pytest.raises(records.PlanError, match="without --preset, --set, --output and --fresh"):
        project.run(fresh=True, publish=True, **same)


def test_a_list_says_what_computing_everything_again_costs(project, tmp_path, monkeypatch):
    project.write("01_one")
    monkeypatch.setattr(reproduce.paths, "committed", lambda: tmp_path / "committed")
    assert "--fresh costs" not in project.run(listed=True)[1]
    (tmp_path / "committed" / "01_one").mkdir(parents=True)
    (tmp_path / "committed" / "01_one" / "claims.json").write_text('{"unit_seconds": 7200}')
    assert "its lines in the record took 2 h 00 min of one core" in project.run(listed=True)[1]


def test_publishing_puts_outputs_into_the_notebook_and_figures_to_the_committed_ones(project, tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce.paths, "committed", lambda: tmp_path / "committed")
    prints = "print('a')\nprint('b', flush=True)\nprint('c')"
    reading = throwaway.PARAMETERS.replace('"quick"', '"reading"')
    path = project.write("01_one", SETUP.format(name="01_one"), FIGURE, prints, parameters=reading)
    stream, folders = io.StringIO(), {"folder": project.notebooks, "params": project.params}
    assert reproduce.reproduce(publish=True, stream=stream, **folders) == {"01_one": "done"}
    assert (tmp_path / "committed" / "01_one" / "line.svg").is_file()
    assert not list((tmp_path / "committed").rglob("*.ipynb"))
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert [output["text"] for output in cells[-1]["outputs"]] == [["a\n", "b\n", "c\n"]]  # in one piece
    project.write("02_two")
    with pytest.raises(PlanError, match="--publish: expected notebooks of the preset reading, got 02_two"):
        reproduce.reproduce(publish=True, only=["02_two"], stream=stream, **folders)


def test_inputs_cover_versions_and_published_data(project, monkeypatch):
    project.write("01_one", parameters=throwaway.PARAMETERS + 'published = ""')
    data = project.output.parent / "published"
    data.mkdir()

    def changed(since):
        folders = {"folder": project.notebooks, "params": project.params, "output": project.output}
        inputs = scheduling.select("quick", [], [f"published={data}"], **folders)[0]["01_one"].inputs
        return inputs, {name for name in inputs if inputs[name] != since.get(name)}

    before, _ = changed({})
    assert changed(before)[1] == set()
    (data / "a.npy").write_text("1")
    assert changed(before)[1] == {"published data"}
    (data / "a.npy").unlink()
    monkeypatch.setattr(records.provenance, "versions", lambda: {"torch": "3.0"})
    assert changed(before)[1] == {"versions"}


MINE = """import sys
sys.path.insert(0, {folder!r})
import mine.parts.net
from anisotropy._util import paths
print(mine.parts.net.SIZE)"""


def test_a_notebook_is_stale_when_a_module_that_it_loaded_changed_and_only_then(project, tmp_path, monkeypatch):
    """The reader's own modules and the library's; a style sheet or a module that the run did not load is no matter."""
    own = tmp_path / "own"
    (own / "mine" / "parts").mkdir(parents=True)
    (own / "mine" / "__init__.py").write_text("")
    (own / "mine" / "parts" / "__init__.py").write_text("import mine.parts.used\n")
    net, unused = own / "mine" / "parts" / "net.py", own / "mine" / "parts" / "unused.py"
    for path in (net, unused, unused.with_name("used.py")):
        path.write_text("SIZE = 3\n")
        os.utime(path, (0, 0))
    monkeypatch.syspath_prepend(str(own))
    project.write("01_one", MINE.format(folder=str(own)))
    same = {"assignments": ["word='mine.parts.net:SIZE'"]}
    assert project.run(**same)[0] == {"01_one": "done"}
    record = json.loads((project.output / "quick" / "01_one" / "run.json").read_text())
    assert {"mine", "mine.parts", "mine.parts.used", "mine.parts.net", "anisotropy._util.paths"} <= set(
        record["modules"]
    )
    assert not {"mine.parts.unused", "json", "torch", "IPython", "anisotropy.cli.reproduce"} & set(record["modules"])

    def said():
        return project.run(listed=True, **same)[1]

    assert "skipped (same inputs" in said()
    unused.write_text("SIZE = 4\n")
    assert "skipped (same inputs" in said()
    net.write_text("SIZE = 4\n")
    assert "runs (changed: mine.parts.net:SIZE)" in said()  # as the parameters call it
    net.write_text("SIZE = 3\n")
    assert "skipped (same inputs" in said()  # what counts is the content
    net.with_name("used.py").unlink()
    assert "runs (changed: mine.parts.used)" in said()
    net.with_name("used.py").write_text("SIZE = 3\n")
    library, checksum = records._source("anisotropy._util.paths", project.notebooks), records._checksum
    assert library == Path(paths.__file__)
    monkeypatch.setattr(records, "_checksum", lambda path: "edited" if path == library else checksum(path))
    assert "runs (changed: anisotropy._util.paths)" in said()


def test_a_module_that_is_edited_while_the_notebook_runs_makes_it_run_again(project, tmp_path):
    (tmp_path / "edited.py").write_text("SIZE = 3\n")
    edit = f"open({str(tmp_path / 'edited.py')!r}, 'w').write('SIZE = 4')"
    project.write("01_one", f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport edited", edit)
    assert project.run()[0] == {"01_one": "done"}
    assert "runs (changed: edited)" in project.run(listed=True)[1]


def test_outputs_counters_and_prose_are_no_inputs(project):
    path = project.write("01_one", "print(1)")
    before = declarations.declared("01_one", project.notebooks).code
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].execution_count = 7
    notebook.cells.append(nbformat.v4.new_markdown_cell("prose"))
    nbformat.write(notebook, path)
    assert declarations.declared("01_one", project.notebooks).code == before
    project.write("01_one", "print(2)")
    assert declarations.declared("01_one", project.notebooks).code != before


def test_failing_cell_and_killed_kernel_are_reported_and_the_others_go_on(project):
    """In parallel: a failure, a kernel that dies, one that hangs, and one that works."""
    project.write("01_fails", "print('so far')", "import anisotropy\nraise RuntimeError('expected 3, got 4')")
    project.write("03_dies", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    project.write("04_hangs", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)")
    project.write("05_well", "print(1)")
    began = time.monotonic()
    outcome, said = project.run(jobs=4, cell_timeout=12)
    assert time.monotonic() - began < 100
    assert outcome == {"01_fails": "failed", "03_dies": "failed", "04_hangs": "failed", "05_well": "done"}
    assert "01_fails: FAILED in cell 4" in said  # as the copy counts, where 2 is what papermill injects
    assert "| raise RuntimeError('expected 3, got 4')" in said
    assert "RuntimeError: expected 3, got 4" in said
    assert "the kernel died" in said
    assert "the cell took longer than 12 s" in said
    copy = nbformat.read(project.output / "quick" / "01_fails" / "01_fails.failed.ipynb", as_version=4)
    assert any("so far" in str(cell.get("outputs")) for cell in copy.cells)
    assert not (project.output / "quick" / "01_fails" / "01_fails.ipynb").exists()

    # the next run redoes what failed and skips what is done; a good copy replaces the failed one
    project.write("01_fails", "print('well')")
    outcome, _ = project.run(only=["01_fails", "05_well"])
    assert outcome == {"01_fails": "done", "05_well": "skipped"}
    assert sorted(p.name for p in (project.output / "quick" / "01_fails").glob("[!.]*")) == [
        "01_fails.ipynb",
        "run.json",
    ]


def test_a_failure_keeps_the_last_good_result(project):
    project.write("01_one", "import sys\nassert rate < 1")
    project.run()
    good = (project.output / "quick" / "01_one" / "01_one.ipynb").read_bytes()
    outcome, _ = project.run(assignments=["rate=2"])
    assert outcome == {"01_one": "failed"}
    assert (project.output / "quick" / "01_one" / "01_one.ipynb").read_bytes() == good
    assert project.run()[0] == {"01_one": "skipped"}


def test_a_trial_with_changed_parameters_leaves_the_presets_results_alone(project, monkeypatch):
    project.figure("01_one")
    monkeypatch.setenv("ANISOTROPY_OUTPUT", str(project.output))
    folders = {"folder": project.notebooks, "params": project.params}

    def run(*assignments):
        stream = io.StringIO()
        return reproduce.reproduce(assignments=assignments, **folders, stream=stream), stream.getvalue()

    run()
    kept = {path: path.read_bytes() for path in project.output.rglob("*") if path.is_file()}
    outcome, said = run("rate=0.01")
    assert outcome == {"01_one": "done"}
    trial = project.output / "set" / "rate=0.01"
    assert f"results go to {trial}" in said
    assert json.loads((trial / "quick" / "01_one" / "claims.json").read_text())["claims"][0]["verdict"] == "fails"
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert run()[0] == run("rate=0.01")[0] == {"01_one": "skipped"}


def test_the_command_line_says_where_a_trial_goes(project, monkeypatch, capsys):
    project.write("01_one")
    for name, folder in (("NOTEBOOKS", project.notebooks), ("PARAMS", project.params), ("OUTPUT", project.output)):
        monkeypatch.setenv(f"ANISOTROPY_{name}", str(folder))
    assert reproduce.main(["--list", "--set", "rate=0.01"]) == 0
    assert f"results go to {project.output / 'set' / 'rate=0.01'}" in capsys.readouterr().out


def test_command_line_codes(project):
    project.write("01_one", "print(1)")
    project.write("02_fails", "1 / 0")
    both = project.main()
    assert both.returncode == 1
    assert "[1/2] 01_one: starts (not done yet)" in both.stdout
    assert "[2/2] 02_fails: FAILED" in both.stdout
    again = project.main("--only", "01_one")
    assert again.returncode == 0, again.stderr
    assert "01_one: skipped" in again.stdout
    listed = project.main("--list", "--set", "rate=1e-3")
    assert listed.returncode == 0
    assert "01_one: runs (changed: parameters" in listed.stdout
    assert "    rate = 0.001" in listed.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--set", "ratee=1"], "--set ratee: no selected notebook has this parameter, did you mean 'rate'"),
        (["--set", "rate"], "--set rate: expected name=value"),
        (["--set", "count=1e-3"], "01_one: --set count: expected an integer"),
        (["--set", "rate=1", "--set", "rate=2"], "'rate' is given twice"),
        (["--only", "01_onn"], "--only 01_onn: unknown notebook, did you mean '01_one'"),
        (["--only", "../01_one"], "unknown notebook"),
        (["--only", "01_one", "01_one"], "a notebook is given twice"),
        (["--preset", "laptopp"], "--preset laptopp: unknown preset, did you mean 'laptop'"),
        (["--preset", "../quick"], "unknown preset"),
        (["--preset", "laptop"], "params/01_one/laptop.yaml, line 2: ratee: unknown parameter, did you mean 'rate'"),
        (["--jobs", "0"], "--jobs 0: expected at least 1"),
        (["--presett", "quick"], "did you mean '--preset'"),
    ],
)
def test_what_is_wrong_stops_everything_before_a_kernel_starts(project, capsys, monkeypatch, arguments, expected):
    project.write("01_one", "print(1)")
    throwaway.preset(project.params, "01_one", "preset: laptop\nratee: 0.2\n")
    monkeypatch.setenv("ANISOTROPY_NOTEBOOKS", str(project.notebooks))
    monkeypatch.setenv("ANISOTROPY_PARAMS", str(project.params))
    monkeypatch.setattr(scheduling, "Execution", lambda *_: pytest.fail("a kernel was started"))
    try:
        code = reproduce.main(["--output", str(project.output), *arguments])
    except SystemExit as error:  # argparse
        code = error.code
    assert code == 2
    assert expected in capsys.readouterr().err
    assert not project.output.exists()


def test_only_what_needs_a_parameter_gets_it(project):
    project.write("01_one")
    project.write("02_two", parameters='preset = "quick"\nother = 1\n')
    said = project.run(listed=True, assignments=["rate=0.2"])[1]
    assert "rate = 0.2" in said
    assert "other = 1" in said
    with pytest.raises(PlanError, match="no selected notebook has this parameter"):
        project.run(only=["02_two"], assignments=["rate=0.2"])


def test_notebooks_are_found_by_folder_even_if_there_are_none(project):
    assert project.run() == ({}, "\n")
    project.write("01_one")
    throwaway.preset(project.params, "01_one", "preset: laptop\n")
    project.write("02_two")
    outcome, said = project.run("laptop", listed=True)
    assert list(outcome) == ["01_one"]
    assert "02_two: left out, it has no preset 'laptop'" in said
    with pytest.raises(ParameterError, match="02_two has no preset 'laptop'"):
        project.run("laptop", only=["02_two"], listed=True)


def test_two_runs_on_the_same_output(project):
    project.write("01_one")
    project.write("02_two", "print(1)")
    with reproduce.lock(project.output / "quick" / "01_one"):
        with pytest.raises(PlanError, match=r"another run of 01_one writes into .*choose another folder with --output"):
            project.run()
        assert not project.notebooks.parent.joinpath("out", "quick", "02_two", "run.json").exists()
        assert project.run(only=["02_two"])[0] == {"02_two": "done"}


def test_output_that_cannot_be_written(project):
    project.write("01_one")
    project.output.write_text("a file where the folder should be")
    done = project.main()
    assert done.returncode == 2
    assert "--output: cannot write into" in done.stderr


def test_a_driver_that_is_killed_leaves_no_process_and_the_next_run_goes_on(project, tmp_path, monkeypatch):
    """SIGKILL of the driver in the middle of the second notebook."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pids = tmp_path / "pids"
    project.write("01_one", "print(1)")
    project.write("02_two", f"import os, time\nopen({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{os.getppid()}}')",
                  f"time.sleep(60 if os.path.exists({str(tmp_path / 'slow')!r}) else 0)")  # fmt: skip
    (tmp_path / "slow").touch()
    environment = os.environ | {"ANISOTROPY_NOTEBOOKS": str(project.notebooks), "TMPDIR": str(tmp_path)}
    driver = subprocess.Popen(
        [sys.executable, "-m", "anisotropy", "reproduce", "--output", str(project.output)],
        env=environment, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _wait(lambda: pids.exists() and pids.read_text().count(" ") == 1)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    for pid in map(int, pids.read_text().split()):
        _wait(lambda pid=pid: not _alive(pid))
    (tmp_path / "slow").unlink()
    outcome, said = project.run()
    assert outcome == {"01_one": "skipped", "02_two": "done"}, said
    assert "02_two: starts (interrupted before" in said
    assert not list(tmp_path.glob("nad-*"))  # the folder of the sockets


def _wait(condition, seconds=40):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_plain_papermill_from_any_folder_is_strict_too(project, tmp_path):
    """papermill only warns about a name that the notebook does not declare; the set-up cell refuses it."""
    path = project.figure("01_one")
    strict = project.write(
        "02_strict", "from anisotropy.notebooks import presets\npresets.strict('02_strict', globals())"
    )
    environment = os.environ | {"ANISOTROPY_NOTEBOOKS": str(project.notebooks)}

    def papermill(path, *arguments):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "papermill", str(path), "out.ipynb", "--no-progress-bar", *arguments]
        return subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)

    file = throwaway.preset(project.params, "01_one", "preset: laptop\nrate: 0.2\n")
    assert papermill(path, "-f", str(file)).returncode == 0
    passport = json.loads((paths.figures("laptop", "01_one") / "line.passport.json").read_text())
    assert passport["parameters"]["rate"] == 0.2
    refused = papermill(strict, "-p", "ratee", "0.2")
    assert refused.returncode != 0
    assert "ratee: unknown parameter, did you mean 'rate'" in refused.stderr


def test_durations_are_said_as_a_reader_says_them():
    assert records.duration(8.4) == "8 s"
    assert records.duration(125) == "2 min 05 s"
    assert records.duration(4320) == "1 h 12 min"


def test_display_on_a_terminal_rewrites_one_line(project):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    project.write("01_one", "import time\ntime.sleep(3)")
    stream = Terminal()
    folders = {"folder": project.notebooks, "params": project.params, "output": project.output}
    reproduce.reproduce(**folders, stream=stream)
    shown = stream.getvalue()
    assert re.search(r"\r01_one: cell [23]/3, \d s", shown)
    assert re.search(r"\n\[1/1\] 01_one: done \(\d+ s\)\n", shown.replace("\r", "\n"))


def test_in_a_log_a_line_now_and_then_says_what_is_running(project, monkeypatch):
    monkeypatch.setattr(scheduling, "EVERY", 1.0)
    project.write("01_one", "import time\ntime.sleep(4)")
    assert re.search(r"^01_one: cell [23]/3, \d s$", project.run()[1], re.MULTILINE)


def test_ctrl_c_ends_kernels_and_what_they_started(project, tmp_path):
    pids = tmp_path / "pids"
    child = "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    project.write("01_one", f"import os, subprocess, sys, time\n{child}\n"
                  f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\ntime.sleep(60)")  # fmt: skip
    environment = os.environ | {"ANISOTROPY_NOTEBOOKS": str(project.notebooks), "TMPDIR": str(tmp_path)}
    driver = subprocess.Popen(
        [sys.executable, "-m", "anisotropy", "reproduce", "--output", str(project.output)],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background inherits "ignored"
    )  # fmt: skip
    _wait(lambda: pids.exists() and pids.read_text().count(" ") == 1)
    driver.send_signal(signal.SIGINT)
    assert "interrupted; what is done is kept" in driver.communicate(timeout=150)[1]
    assert driver.returncode == 130
    for pid in map(int, pids.read_text().split()):
        _wait(lambda pid=pid: not _alive(pid))
    assert not list(tmp_path.glob("nad-*"))  # the folder of the sockets
    assert (project.output / "quick" / "01_one" / "01_one.running.ipynb").exists()
