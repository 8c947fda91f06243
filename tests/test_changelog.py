"""CHANGELOG.md says what became of every old name, and what it calls new is there."""

import importlib.util
import re
from pathlib import Path

import anisotropy as an
from anisotropy._util import paths
from anisotropy.nads import estimation, loading, naming

TEXT = (paths.root() / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_new_module_is_there_and_no_old_one():
    moved = dict(re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \|$", TEXT, re.MULTILINE))
    assert len(moved) > 60
    lib = Path(an.__file__).parent
    for old, new in moved.items():
        assert importlib.util.find_spec(f"anisotropy.{new}"), new
        assert not (lib / f"{old}.py").exists(), old


def test_every_argument_that_was_renamed_is_named():
    table = TEXT[TEXT.index("### Arguments") : TEXT.index("### Modules")]
    for old in estimation.RENAMED:
        assert re.search(rf"\b{old}\b", table), old


def test_files_of_the_first_version_load_and_keep_their_names():
    """The NADs that the package carries were written by 0.1.0; results name their rows by these digests."""
    made = {name: naming.made(loading.load(name)) for name in loading.available()}
    assert made == {
        "densenet121": "9fcf2a7c8aac",
        "lenet": "78d89d38d1f6",
        "logreg": "55a5cd9bd3b0",
        "resnet18": "2667bba13556",
        "vgg11": "90ac37c1996c",
    }


def test_what_is_measured_now_is_filed_under_the_settings_of_the_first_version():
    for name in ("logreg", "lenet"):
        then, now = loading.load(name).settings, an.estimate(an.factory(name), networks=2).settings
        same = [{k: v for k, v in settings.items() if k not in naming.MADE_BY} for settings in (then, now)]
        assert same[0] == same[1]
