"""Figures with passports: complete, atomic, repeatable, and without a path of the machine."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from anisotropy._util import files, paths, provenance
from anisotropy.notebooks import records
from anisotropy.paper import claims, passports
from anisotropy.results import resumable, stores


@pytest.fixture
def figure():
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    yield figure
    plt.close(figure)


def run(**parameters):
    return passports.Run("03_nads", {"preset": "quick", "seed": 7, **parameters})


def test_a_figure_comes_with_its_numbers_and_passport(figure):
    made = run(published="data/published")
    made.save(figure, "spectra", {"lenet": torch.tensor([1.0, 0.1]), "index": np.arange(2)})
    assert sorted(p.name for p in made.folder.iterdir()) == [
        "spectra.csv", "spectra.passport.json", "spectra.png", "spectra.svg"
    ]  # fmt: skip
    assert (made.folder / "spectra.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (made.folder / "spectra.svg").read_text()
    assert (made.folder / "spectra.csv").read_text() == "lenet,index\n1.0,0\n0.1,1\n"
    passport = json.loads((made.folder / "spectra.passport.json").read_text())
    assert passport["parameters"] == {"preset": "quick", "seed": 7, "published": "data/published"}
    assert passport["seed"] == 7
    assert passport["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert passport["numbers"] == "spectra.csv"
    assert passport["wall_seconds"] >= 0
    assert passport["hardware"]["cores"] >= 1
    assert set(passport["commit"]) == {"hash", "clean"}


def test_numbers_survive_reading(figure):
    made = run()
    values = np.random.default_rng(0).normal(size=(3, 5))
    made.save(figure, "a", dict(zip("xyz", values, strict=True)))
    for name, column in zip("xyz", values, strict=True):
        np.testing.assert_array_equal(passports.read_numbers(made.folder / "a.csv")[name], column)
    made.save(figure, "a", {"matrix": values, "odd": [1.0, float("nan"), -np.inf], "name": "x,y"})
    assert not (made.folder / "a.csv").exists()  # no numbers of an earlier figure beside the new one
    read = json.loads((made.folder / "a.json").read_text(), parse_constant=pytest.fail)
    np.testing.assert_array_equal(read["matrix"], values)
    assert read["odd"] == [1.0, "NaN", "-Infinity"]


def test_the_authors_data_are_not_copied(figure):
    made = run()
    made.save(figure, "a", {"ours": [1, 2], "published_lenet": [3, 4]})
    assert (made.folder / "a.csv").read_text() == "ours\n1\n2\n"
    assert json.loads((made.folder / "a.passport.json").read_text())["not_ours"] == ["published_lenet"]
    with pytest.raises(ValueError, match="got none of our own"):
        made.save(figure, "a", {"published_lenet": [3, 4]})


def test_equal_figures_make_equal_files(figure):
    made = run()
    contents = []
    for _ in range(2):
        made.save(figure, "a", {"x": [1, 2]})
        contents.append([(made.folder / f"a.{s}").read_bytes() for s in ("png", "svg", "csv")])
    assert contents[0] == contents[1]


def test_text_columns_are_quoted(figure):
    made = run()
    made.save(figure, "a", {"name": ["a,b", 'say "x"'], "x": [1, 2]})
    read = passports.read_numbers(made.folder / "a.csv")
    assert list(read["name"]) == ["a,b", 'say "x"']
    assert list(read["x"]) == [1, 2]


def test_refusals(figure):
    with pytest.raises(ValueError, match="numbers behind figure 'a', got none of our own"):
        run().save(figure, "a", {})
    with pytest.raises(ValueError, match="expected a figure name"):
        run().save(figure, "../a", {"x": 1})
    for reserved in ("claims", Path(records.RECORD).stem):
        with pytest.raises(ValueError, match="expected another figure name"):
            run().save(figure, reserved, {"x": 1})
    with pytest.raises(TypeError, match="expected numbers, text"):
        run().save(figure, "a", {"x": object()})
    with pytest.raises(ValueError, match="expected a parameter 'preset'"):
        passports.Run("03_nads", {})
    with pytest.raises(ValueError, match="expected a preset name"):
        passports.Run("03_nads", {"preset": "../.."})


def test_no_path_of_this_machine_is_written(figure, tmp_path):
    home = os.path.expanduser("~")
    made = run(
        published=str(tmp_path / "reference"),
        inside=str(paths.root() / "data" / "published"),
        windows="C:\\Users\\me\\net.pt",
        home="~/nets/a.pt",
        inner=[f"{home}/b.pt"],
        sentence=f"see {paths.root()}/x",
        word="lenet",
    )
    made.save(figure, "a", {"x": 1})
    made.save_claims(claims.Table([claims.at_least("s", "r", 1, 0)]))
    for name in ("a.passport.json", "claims.json"):
        text = (made.folder / name).read_text()
        assert str(tmp_path) not in text
        assert str(paths.root()) not in text
        assert home not in text
        assert sys.prefix not in text
        assert json.loads(text)["parameters"] == {
            "preset": "quick",
            "seed": 7,
            "published": "<path>/reference",
            "inside": "data/published",
            "windows": "<path>/net.pt",
            "home": "<path>/a.pt",
            "inner": ["<path>/b.pt"],
            "sentence": "see ./x",
            "word": "lenet",
        }


def test_scrubbing_keeps_longer_names():
    root = str(paths.root())
    assert provenance.scrub(f'File "{root}/lib/a.py"') == 'File "./lib/a.py"'
    assert provenance.scrub(f"{root}-other/a.py").endswith("-other/a.py")


def test_full_disk_keeps_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    files.write(path, "old")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"could not write .*a\.json: No space left on device; what was there"):
        files.write(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_files_that_may_not_grow(tmp_path):
    """A real refusal by the system (a limit on file size), in the middle of saving a figure anew."""
    code = """
import resource, signal
import matplotlib.pyplot as plt
from anisotropy.paper import passports
run = passports.Run("03_nads", {"preset": "quick"})
run.save(plt.figure(figsize=(1, 1)), "a", {"x": [1, 2]})
resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))
run.save(plt.figure(figsize=(1, 1)), "a", {"x": list(range(100000))})
"""
    environment = os.environ | {"ANISOTROPY_OUTPUT": str(tmp_path / "out"), "MPLBACKEND": "Agg"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "a.csv: File too large; what was there before is unchanged. Free some space" in done.stderr
    folder = tmp_path / "out" / "quick" / "03_nads"
    assert (folder / "a.csv").read_text() == "x\n1\n2\n"
    assert sorted(p.name for p in folder.iterdir()) == ["a.csv", "a.passport.json", "a.png", "a.svg"]


def test_killed_while_writing_leaves_the_old_file(tmp_path):
    """A process killed between write and rename: the reader still sees the old content."""
    path = tmp_path / "a.json"
    files.write(path, "old")
    code = f"""
import os, signal
from pathlib import Path
from anisotropy._util import files
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
files.write(Path({str(path)!r}), "new" * 10000)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert path.read_text() == "old"


def test_commit_knows_a_dirty_tree(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    assert provenance.commit() == {"hash": None, "clean": None}
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "a"]):
        (tmp_path / "code.py").write_text("1")
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    made = provenance.commit()
    assert made["clean"] is True
    assert len(made["hash"]) == 40
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").write_text("a run's own output")
    assert provenance.commit()["clean"] is True
    (tmp_path / "code.py").write_text("2")
    assert provenance.commit()["clean"] is False


def test_library_fingerprint_sees_names_and_contents(tmp_path):
    (tmp_path / "a.py").write_text("1")
    before = provenance.library(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("compiled")
    assert provenance.library(tmp_path) == before
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    renamed = provenance.library(tmp_path)
    (tmp_path / "b.py").write_text("2")
    assert len({before, renamed, provenance.library(tmp_path)}) == 3
    assert provenance.fingerprint("ab", "c") != provenance.fingerprint("a", "bc")


def test_a_passport_counts_the_units_behind_it_once(tmp_path, monkeypatch):
    class Job:
        store, name = str(tmp_path / "store"), "tiny"

        def fields(self, unit):
            return {"unit": unit}

        def together(self):
            return False

        def compute(self, units):
            return [{"seconds": 2.5} if unit else {} for unit in units]

    monkeypatch.setattr(stores, "USED", {})
    assert run().passport()["unit_seconds"] is None
    resumable.complete(Job(), [1, 2], engine="serial", progress=False)
    assert run().passport()["unit_seconds"] == 5.0
    resumable.complete(Job(), [0, 1, 2, 3], engine="serial", progress=False)  # 1 and 2 are found
    assert run().passport()["unit_seconds"] == 7.5
