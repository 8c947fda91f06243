import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from anisotropy import directions
from anisotropy.directions import separable
from anisotropy.experiments import sweeps, units
from anisotropy.models import architectures
from anisotropy.results import netcdf, resumable, stores
from anisotropy.training import Recipe, train
from torch import nn

BASIS = directions.fourier(8, 8)
ROWS = BASIS.vectors[:6][:, None]
SMALL = {
    "recipe": Recipe(epochs=2, batch_size=32),
    "train_samples": 96,
    "test_samples": 64,
    "sigma": 1.0,
    "progress": False,
}


@pytest.fixture
def logreg():
    return architectures.factory("logreg", num_outputs=2, image_size=8)


def stored(store):
    return sorted(Path(store).glob("*/*.json"))


class Logged:
    """A factory that leaves a line in a file each time it makes a network, and may misbehave on purpose.

    Its spec is that of a network of the paper, which is known by name, so that none is made but for the units.
    """

    def __init__(self, log, before=lambda: None):
        self.log, self.before, self.spec = str(log), before, {"name": "logreg"}

    def __call__(self):
        with open(self.log, "a") as file:
            file.write(f"{os.getpid()}\n")
        self.before()
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))


def test_the_numbers_are_those_of_a_plain_loop(logreg, tmp_path):
    dataset = sweeps.run(logreg, ROWS, seeds=(0, 3), store=tmp_path, **SMALL)
    rows = units.rounded(ROWS)
    for k, seed in ((0, 0), (4, 3)):
        net = architectures.build(logreg, units.seed_of("network", rows[k], seed))
        sets = [
            separable.sample(
                rows[k], n, sigma=1.0, generator=torch.Generator().manual_seed(units.seed_of(role, rows[k], seed))
            )
            for role, n in (("train", 96), ("test", 64))
        ]
        order = torch.Generator().manual_seed(units.seed_of("order", rows[k], seed))
        outcome = train(net, *sets[0], SMALL["recipe"], generator=order, test_inputs=sets[1][0], test_labels=sets[1][1])
        found = dataset.sel(direction=k, seed=seed)
        assert float(found.test_accuracy) == outcome.test_accuracy
        assert float(found.train_loss) == pytest.approx(outcome.train_loss, rel=1e-6)


def test_the_dataset_is_labelled_and_written_with_its_provenance(logreg, tmp_path):
    coordinates = {"ky": BASIS.frequencies[:6, 0], "phase": BASIS.phases[:6]}
    dataset = sweeps.run(logreg, ROWS, seeds=(0, 1), store=tmp_path, coordinates=coordinates, **SMALL)
    assert dict(dataset.sizes) == {"direction": 6, "seed": 2}
    assert dataset.test_accuracy.dims == ("direction", "seed")
    assert (float(dataset.sigma), float(dataset.epsilon), str(dataset.convention.values)) == (1.0, 1.0, "text")
    assert list(dataset.phase.values) == list(BASIS.phases[:6])
    assert json.loads(dataset.attrs["recipe"])["epochs"] == 2
    assert json.loads(dataset.attrs["architecture"]) == logreg.spec
    assert dataset.attrs["complete"] == 1
    assert not bool(dataset.diverged.any())
    with xr.open_dataset(tmp_path / dataset.attrs["file"], engine="scipy") as stored:
        assert stored.attrs["recipe"] == dataset.attrs["recipe"]
        np.testing.assert_array_equal(stored.test_accuracy, dataset.test_accuracy)
        assert list(stored.phase.values.astype(str)) == list(BASIS.phases[:6])


@pytest.mark.parametrize("engine", ["local:2", "dask"])
def test_every_engine_gives_the_same_numbers(logreg, tmp_path, engine):
    serial = sweeps.run(logreg, ROWS[:4], store=tmp_path / "serial", **SMALL)
    if engine == "dask":
        distributed = pytest.importorskip("distributed")
        with distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, worker_dashboard_address=None
        ) as cluster:
            with distributed.Client(cluster) as client:
                client.write_scheduler_file(str(tmp_path / "scheduler.json"))
            engine = f"dask:{tmp_path / 'scheduler.json'}"
            other = sweeps.run(logreg, ROWS[:4], store=tmp_path / "other", engine=engine, **SMALL)
    else:
        other = sweeps.run(logreg, ROWS[:4], store=tmp_path / "other", engine=engine, **SMALL)
    for name in set(units.RESULTS) - {"seconds"}:
        np.testing.assert_array_equal(serial[name], other[name])
    assert [p.name for p in stored(tmp_path / "serial")] == [p.name for p in stored(tmp_path / "other")]


def test_networks_defined_here_are_carried_to_workers(tmp_path):
    class Local(nn.Module):
        def __init__(self):
            super().__init__()
            self.readout = nn.Linear(64, 2)

        def forward(self, x):
            return self.readout(x.flatten(1))

    dataset = sweeps.run(Local, ROWS[:2], store=tmp_path, engine="local:1", name="local", **SMALL)
    assert dataset.test_accuracy.notnull().all()
    with pytest.raises(ValueError, match="give name="):
        sweeps.run(Local, ROWS[:2], store=tmp_path, **SMALL)


def test_a_rerun_computes_only_what_is_missing_or_damaged(tmp_path):
    log = tmp_path / "log"
    arguments = {"store": tmp_path / "store", "name": "logged", **SMALL}
    first = sweeps.run(Logged(log), ROWS[:3], **arguments)
    made = len(log.read_text().split())
    sweeps.run(Logged(log), ROWS[:3], **arguments)
    assert len(log.read_text().split()) == made == 3
    more = sweeps.run(Logged(log), ROWS, **arguments)  # three more directions, in a larger sweep
    assert len(log.read_text().split()) == 6
    damaged = stored(tmp_path / "store")
    damaged[0].write_text(damaged[0].read_text()[:40])  # half written
    damaged[1].write_text(damaged[1].read_text().replace('"seed": 0', '"seed": 1'))  # not what its name says
    record = json.loads(damaged[2].read_text())
    record["result"]["test_accuracy"] += 0.25  # altered
    damaged[2].write_text(json.dumps(record))
    damaged[3].write_bytes(b"\xff\xfe")
    again = sweeps.run(Logged(log), ROWS, **arguments)
    assert len(log.read_text().split()) == 10
    for name in set(units.RESULTS) - {"seconds"}:
        np.testing.assert_array_equal(again[name], more[name])
        np.testing.assert_array_equal(again[name][:3], first[name])


CHANGED = ["epsilon", "sigma", "convention", "train_samples", "test_samples", "seed"]
CHANGED += ["batch_size", "dtype", "direction", "sign", "name"]


@pytest.mark.parametrize(
    "change",
    [
        {"epsilon": 0.5},
        {"sigma": 2.0},
        {"convention": "code"},
        {"train_samples": 97},
        {"test_samples": 65},
        {"seeds": (1,)},
        {"recipe": Recipe(epochs=2, batch_size=33)},
        {"recipe": Recipe(epochs=2, batch_size=32, dtype="float64")},
        {"directions": ROWS[1:2]},
        {"directions": -ROWS[:1]},
        {"name": "another"},
    ],
    ids=CHANGED,
)
def test_the_key_holds_everything_that_changes_the_number(logreg, tmp_path, change):
    arguments = {"store": tmp_path, **SMALL} | change
    sweeps.run(logreg, ROWS[:1], store=tmp_path, **SMALL)
    sweeps.run(logreg, arguments.pop("directions", ROWS[:1]), **arguments)
    assert len(stored(tmp_path)) == 2


def test_rounding_noise_of_a_platform_does_not_change_the_key(logreg, tmp_path):
    sweeps.run(logreg, ROWS, store=tmp_path, **SMALL)
    sweeps.run(logreg, ROWS * (1 + 1e-16) - 1e-17, store=tmp_path, block=4, **SMALL)
    assert len(stored(tmp_path)) == 6


def test_compared_sweeps_share_data_and_initialisation(tmp_path):
    row = units.rounded(ROWS[1:2])[0]
    assert units.seed_of("train", row, 0) != units.seed_of("test", row, 0) != units.seed_of("test", row, 1)
    alone, among = (units.seed_of("train", units.rounded(d)[k], 0) for d, k in ((ROWS[1:2], 0), (ROWS, 1)))
    assert alone == among


def test_a_failing_unit_is_reported_and_the_rest_is_there(tmp_path):
    def sometimes():
        if len((tmp_path / "log").read_text().split()) == 2:
            raise FloatingPointError("the second network is bad")

    with pytest.raises(sweeps.SweepFailed, match="FloatingPointError: the second network is bad") as caught:
        sweeps.run(Logged(tmp_path / "log", sometimes), ROWS[:3], store=tmp_path / "s", name="bad", block=3, **SMALL)
    assert [(k, seed) for k, seed, _ in caught.value.failures] == [(1, 0)]
    accuracy = caught.value.dataset.test_accuracy
    assert list(accuracy.isnull().values[:, 0]) == [False, True, False]
    assert caught.value.dataset.attrs["complete"] == 0
    repaired = sweeps.run(Logged(tmp_path / "log", sometimes), ROWS[:3], store=tmp_path / "s", name="bad", **SMALL)
    assert repaired.test_accuracy.notnull().all()
    assert len((tmp_path / "log").read_text().split()) == 4  # three, and the one that failed


def test_a_killed_worker_loses_nothing(tmp_path):
    log = tmp_path / "log"

    def kill_once():
        if len(log.read_text().split()) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    dataset = sweeps.run(
        Logged(log, kill_once), ROWS, store=tmp_path / "s", engine="local:2", name="killed", block=2, **SMALL
    )
    calm = sweeps.run(Logged(log), ROWS, store=tmp_path / "calm", name="killed", **SMALL)
    np.testing.assert_array_equal(dataset.test_loss, calm.test_loss)
    assert not list((tmp_path / "s").glob("**/*.tmp"))


class HalfWritten:
    """A job of two units: the first kills its worker while the second is writing a file of the store."""

    name = "half-written"

    def __init__(self, store):
        self.store = str(store)

    def fields(self, unit):
        return {"unit": unit}

    def together(self):
        return False

    def compute(self, batch):
        (unit,), folder = batch, Path(self.store)
        tried = folder / f"tried {unit}"
        if not tried.exists():
            tried.touch()
            if unit == 0:
                while not list(folder.glob(".*.tmp")):
                    time.sleep(0.05)
                os.kill(os.getpid(), signal.SIGKILL)
            (folder / f".{stores._me()}.half.tmp").write_text("{")
            time.sleep(60)  # it is killed with its pool
        return [{"value": unit}]


def test_what_was_being_written_when_a_pool_was_killed_is_removed(tmp_path):
    results, failures = resumable.complete(HalfWritten(tmp_path), [0, 1], engine="local:2", progress=False)
    assert (results, failures) == ({0: {"value": 0}, 1: {"value": 1}}, {})
    assert not list(tmp_path.glob("**/*.tmp"))


DRIVER = """
import os, signal, sys, time
import torch
from torch import nn
from anisotropy import directions
from anisotropy.experiments import sweeps
from anisotropy.training import Recipe

folder, engine, behaviour = sys.argv[1:]

def make():
    with open(folder + "/log", "a") as file:
        file.write("made\\n")
    time.sleep(0.2)
    if behaviour == "crash" and torch.initial_seed() == int(open(folder + "/victim").read()):
        os.kill(os.getpid(), signal.SIGKILL)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))

make.spec = {"name": "logreg"}  # known by name: none is made but for the units
rows = directions.fourier(8, 8).vectors[:6][:, None]
arguments = {"recipe": Recipe(epochs=2, batch_size=32), "train_samples": 96, "test_samples": 64, "name": "made"}
sweeps.run(make, rows, store=folder + "/s", engine=engine, **arguments)
"""


def start(tmp_path, engine, behaviour="calm"):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    return subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), engine, behaviour], stderr=subprocess.PIPE, text=True
    )


def computed(tmp_path):
    log = tmp_path / "log"
    return len(log.read_text().split()) if log.exists() else 0


def test_a_killed_driver_is_resumed_where_it_was(tmp_path):
    driver = start(tmp_path, "local:2")
    end = time.time() + 60
    while len(stored(tmp_path / "s")) < 2 and time.time() < end:
        time.sleep(0.01)
    driver.kill()
    driver.communicate()
    time.sleep(1.2)  # workers notice within half a second
    done, begun = len(stored(tmp_path / "s")), computed(tmp_path)
    assert 2 <= done < 6
    for path in stored(tmp_path / "s"):
        assert stores.Store(tmp_path / "s").read(path.stem) is not None
    again = start(tmp_path, "serial")
    _, text = again.communicate(timeout=60)
    assert again.returncode == 0, text
    assert text == ""  # no progress bar where nobody watches
    assert len(stored(tmp_path / "s")) == 6
    assert computed(tmp_path) - begun == 6 - done  # what was finished was not computed twice
    assert not list((tmp_path / "s").glob("**/*.tmp"))


def test_a_unit_that_always_crashes_is_reported_with_a_status(tmp_path):
    row = units.rounded(ROWS)[2]
    state = np.random.SeedSequence([units.seed_of("network", row, 0), 0]).generate_state(1, np.uint64)[0]
    (tmp_path / "victim").write_text(str(int(state >> np.uint64(1))))
    driver = start(tmp_path, "local:1", "crash")
    _, text = driver.communicate(timeout=120)
    assert driver.returncode != 0
    assert "1 of 6 units failed" in text
    assert "direction 2, seed 0" in text
    assert "the worker process died" in text
    assert len(stored(tmp_path / "s")) == 5


def test_two_sweeps_at_once_on_one_store(tmp_path):
    drivers = [start(tmp_path, "serial") for _ in range(2)]
    for driver in drivers:
        _, text = driver.communicate(timeout=120)
        assert driver.returncode == 0, text
    assert len(stored(tmp_path / "s")) == 6
    assert not list((tmp_path / "s").glob("**/*.tmp"))


def test_temporary_files_of_the_dead_are_removed_and_of_the_living_kept(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    host = stores._host()
    names = [f".{host}-{child.pid}.x.tmp", f".{host}-{os.getpid()}.x.tmp", f".elsewhere-{child.pid}.x.tmp"]
    (tmp_path / "ab").mkdir()
    for name in names:
        (tmp_path / "ab" / name).touch()
    assert stores.Store(tmp_path).clean() == 1
    assert sorted(p.name for p in tmp_path.glob("**/*.tmp")) == sorted(names[1:])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    store = stores.Store(tmp_path)
    key = store.write({"a": 1}, {"value": 1.5})
    with pytest.raises(ValueError, match="JSON"):
        store.write({"a": 1}, {"value": float("nan")})
    assert store.read(key) == {"value": 1.5}
    assert len(list(tmp_path.glob("**/*.*"))) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"directions": ROWS[None]}, r"\(K, \*shape\) with K >= 1"),
        ({"directions": ROWS[0]}, r"inputs of shape \(1, 8, 8\), got inputs \(8, 8\)"),
        ({"directions": 2 * ROWS}, "number 0 has norm 2"),
        ({"seeds": ()}, "at least one seed"),
        ({"seeds": (1, 1)}, "none twice"),
        ({"engine": "threads"}, "expected the engine"),
        ({"coordinates": {"ky": [1, 2]}}, "expected 6 values of the coordinate 'ky'"),
        ({"convention": "paper"}, "expected a convention"),
        ({"test_samples": 0}, "test_samples as a whole number of at least 1, got 0"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_computed(logreg, tmp_path, change, message):
    arguments = {"directions": ROWS, "store": tmp_path, **SMALL} | change
    with pytest.raises(ValueError, match=message):
        sweeps.run(logreg, arguments.pop("directions"), **arguments)
    assert not list(tmp_path.iterdir())


def labelled(store, seeds=(0,), **coordinates):
    rows = directions.fourier(4, 4).vectors[:3][:, None]
    factory = architectures.factory("logreg", num_outputs=2, image_size=4)
    sizes = {"train_samples": 40, "test_samples": 20}
    return sweeps.run(factory, rows, seeds=seeds, coordinates=coordinates, store=store, progress=False, **sizes)


@pytest.mark.parametrize("labels", [[1, 2, 2**31], [2**60, 0, -5], [1, "one", None], [True, False, True], [0.5, 1, 2]])
@pytest.mark.filterwarnings("error")
def test_any_label_is_kept_in_the_table_s_file(tmp_path, labels):
    """netCDF 3 has whole numbers of 32 bits, and one kind of value per variable."""
    table = labelled(tmp_path, mine=labels)
    stored = netcdf.read(tmp_path / table.attrs["file"])
    found = stored.mine.values.tolist()
    assert found == labels or [str(v) for v in found] == [str(v) for v in labels]
    assert stored.test_accuracy.equals(table.test_accuracy.assign_coords(mine=stored.mine))


@pytest.mark.filterwarnings("error")
def test_a_seed_beyond_32_bits_is_kept_in_the_table_s_file(tmp_path):
    table = labelled(tmp_path, seeds=(2**31,))
    assert table.seed.values.tolist() == netcdf.read(tmp_path / table.attrs["file"]).seed.values.tolist() == [2**31]


def test_sweeps_that_differ_in_their_labels_have_files_of_their_own(tmp_path):
    labels = [{}, {"a": [0, 1, 2]}, {"b": [0, 1, 2]}, {"a": [0, 1, 3]}, {"a": ["0", "1", "2"]}, {"a": [0.0, 1.0, 2.0]}]
    tables = [labelled(tmp_path, **some) for some in labels]
    assert len({table.attrs["file"] for table in tables}) == len(list(tmp_path.glob("*.nc"))) == len(labels)
    for table, some in zip(tables, labels, strict=True):
        stored = netcdf.read(tmp_path / table.attrs["file"])
        assert {name: stored[name].values.tolist() for name in some} == some
    assert labelled(tmp_path, a=[0, 1, 2]).attrs["file"] == tables[1].attrs["file"]


def test_a_table_with_any_byte_changed_is_refused_and_one_without_a_checksum_is_read(tmp_path):
    table = labelled(tmp_path, a=[0, 1, 2])
    path = tmp_path / table.attrs["file"]
    content = path.read_bytes()
    places = np.random.default_rng(0).integers(0, len(content), 60)
    seal = content.index(b"checksum")
    for place in [*places, seal, seal + 3, content.index(b"sha256:"), content.index(b"sha256:") + 9]:
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"altered or damaged|not a netCDF file"):
            netcdf.read(path)
    path.write_bytes(bytes(table.to_netcdf(engine="scipy")))  # as 0.1.0 wrote it
    assert netcdf.read(path).test_accuracy.equals(table.test_accuracy)


class Own(nn.Module):
    def __init__(self, kernel=3, outputs=2):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, kernel)
        self.readout = nn.Linear(4, outputs)

    def forward(self, x):
        return self.readout(torch.relu(self.conv(x)).mean((2, 3)))


class OwnOtherwise(Own):
    def forward(self, x):
        return self.readout(torch.tanh(self.conv(x)).mean((2, 3)))


def test_results_of_the_user_s_network_follow_its_code_and_not_its_name_alone(tmp_path):
    rows = directions.fourier(8, 8).vectors[:1][:, None]
    arguments = {"train_samples": 60, "test_samples": 40, "name": "mine", "store": tmp_path, "progress": False}
    for count, make in enumerate((Own, OwnOtherwise, lambda: Own(5)), 1):
        sweeps.run(make, rows, **arguments)
        sweeps.run(make, rows, **arguments)  # found again
        assert len(list(tmp_path.glob("*/*.json"))) == count


def test_the_user_s_network_is_tried_before_many_are_trained(tmp_path):
    rows = directions.fourier(8, 8).vectors[:1][:, None]
    arguments = {"train_samples": 60, "test_samples": 40, "store": tmp_path, "progress": False}
    same = Own()
    for make, message, changes in (
        (lambda: same, "the same network", {}),
        (lambda: Own(outputs=1), r"returns \(n, 2\) scores", {}),
        (lambda: Own(9), "refuses inputs of shape", {}),
        (Own, "name as text", {"name": 7}),
        (Own, "name as text", {"name": ""}),
        (Own, "give ky and kx apart", {"coordinates": {"frequency": np.zeros((1, 2))}}),
        (Own, "one per direction", {"coordinates": {"frequency": 3}}),
    ):
        with pytest.raises(ValueError, match=message):
            sweeps.run(make, rows, **{"name": "mine", **arguments, **changes})
    assert not list(tmp_path.glob("*/*.json"))
