import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from anisotropy._util import files
from anisotropy.results import engines, stores


def square(x):
    return x * x


@pytest.fixture(scope="module")
def scheduler_file(tmp_path_factory):
    """A Dask cluster of two workers that announces itself in a file, as on a real one."""
    distributed = pytest.importorskip("distributed")
    path = tmp_path_factory.mktemp("dask") / "scheduler.json"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, worker_dashboard_address=None
    ) as cluster:
        with distributed.Client(cluster) as client:
            client.write_scheduler_file(str(path))
        yield path


@pytest.fixture(params=["serial", "local:2", "dask"])
def engine(request):
    if request.param != "dask":
        return request.param
    return f"dask:{request.getfixturevalue('scheduler_file')}"


def test_every_item_comes_back_once_and_an_exception_stops_nothing(engine):
    def function(x):  # a closure: must be carried by value
        if x == 3:
            raise ZeroDivisionError(f"item {x} is bad")
        return x * x, os.getpid()

    results = dict(engines.run(engine, function, list(range(6))))
    assert sorted(results) == list(range(6))
    assert [results[i][0] for i in (0, 1, 2, 4, 5)] == [0, 1, 4, 16, 25]
    assert isinstance(results[3], engines.Failure)
    assert "ZeroDivisionError: item 3 is bad" in results[3].traceback
    assert (results[0][1] == os.getpid()) == (engine == "serial")


def test_a_killed_worker_is_replaced_and_its_item_done(tmp_path):
    def function(x):
        first = tmp_path / str(x)
        if x == 2 and not first.exists():
            first.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    assert dict(engines.run("local:2", function, list(range(6)))) == {i: i for i in range(6)}


def test_the_item_that_always_kills_its_worker_is_found_and_only_it_fails():
    def function(x):
        if x == 1:
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        return x

    results = dict(engines.run("local:3", function, list(range(7))))
    assert sorted(results) == list(range(7))
    assert isinstance(results[1], engines.Failure)
    assert "the worker process died" in results[1].traceback
    assert all(results[i] == i for i in range(7) if i != 1)


def test_workers_have_one_thread():
    def function(_):
        import torch

        return torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]

    assert dict(engines.run("local:1", function, [0])) == {0: (1, "1")}


def test_an_abandoned_run_leaves_no_process_behind():
    def function(x):
        if x:
            time.sleep(60)
        return os.getpid()

    results = engines.run("local:2", function, [0, 1, 2])
    _, worker = next(results)
    start = time.time()
    results.close()
    assert time.time() - start < 30
    assert gone(worker)


def test_a_killed_driver_takes_its_workers_along(tmp_path):
    script = tmp_path / "driver.py"
    script.write_text(
        "import os, pathlib, sys, time\n"
        "from anisotropy.results import engines\n"
        "def function(x):\n"
        "    pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else folder, f'{os.getpid()}.worker').touch()\n"
        "    time.sleep(60)\n"
        "folder = sys.argv[1]\n"
        "dict(engines.run('local:2', function, [0, 1]))\n"
    )
    driver = subprocess.Popen([sys.executable, str(script), str(tmp_path)])
    workers = wait_for(lambda: found if len(found := list(tmp_path.glob("*.worker"))) == 2 else None)
    driver.kill()
    driver.wait()
    wait_for(lambda: all(gone(int(worker.stem)) for worker in workers))


def test_dask_without_a_scheduler_says_how_to_start_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="dask scheduler --scheduler-file"):
        list(engines.run(f"dask:{tmp_path / 'none.json'}", square, [1]))


def test_a_scheduler_file_is_found_from_the_folder_of_the_notebooks(scheduler_file, tmp_path, monkeypatch):
    monkeypatch.setattr(engines.paths, "root", lambda: Path(scheduler_file).parent)
    monkeypatch.chdir(tmp_path)
    assert list(engines.run(f"dask:{Path(scheduler_file).name}", square, [3])) == [(0, 9)]


@pytest.mark.parametrize("name", ["", "parallel", "local", "local:0", "local:two", "dask:", "serial:2"])
def test_unknown_engines_are_refused(name):
    with pytest.raises(ValueError, match="expected the engine 'serial', 'local:N'"):
        engines.parse(name)


def wait_for(condition, seconds=60):
    end = time.time() + seconds
    while time.time() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise TimeoutError(f"not within {seconds} s")


def gone(process):
    """Whether a process has ended (a zombie that nobody has waited for has)."""
    status = Path(f"/proc/{process}/stat")
    if status.parent.parent.exists() and sys.platform == "linux":
        try:
            return status.read_text().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_gone_tells_the_living_from_the_dead():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert not gone(child.pid)
    child.kill()
    wait_for(lambda: gone(child.pid))
    child.wait()


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_user_s_umask_says_who_may_read_a_file(tmp_path, umask):
    path = tmp_path / "file"
    before = os.umask(umask)
    try:
        files.write(path, b"content")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_result_nested_too_deeply_to_be_read_counts_as_missing(tmp_path):
    place = stores.Store(tmp_path)
    key = "ab" * 16
    place.path(key).parent.mkdir()
    place.path(key).write_text('{"fields": ' + "[" * 200_000)
    assert place.read(key) is None
