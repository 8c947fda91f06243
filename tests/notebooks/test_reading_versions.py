"""What is committed was drawn by the notebook as it is, from lines that the record holds as they were."""

import json
import shutil

import pytest
from anisotropy._util import paths
from anisotropy.notebooks import declarations
from anisotropy.paper import passports
from anisotropy.results import record

PUBLISHED = [name for name in declarations.available() if declarations.declared(name).own == paths.READING]


def outdated(folder, name):
    notebook = declarations.declared(name)
    return passports.outdated(folder, notebook.code, notebook.defaults)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_figures_are_those_of_the_notebook_and_the_record(name):
    assert outdated(paths.committed() / name, name) == []


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(paths.committed() / "03_nads", tmp_path / "03_nads")


def test_a_line_that_is_altered_or_gone_makes_figures_stale_and_a_new_one_does_not(copy, monkeypatch):
    every = record.every()
    used = json.loads((copy / "claims.json").read_text())["lines"]
    first, second = (next(key for key in every if key.startswith(short)) for short in list(used)[:2])
    altered = {k: v for k, v in every.items() if k != second}
    altered[first] = {name: 2 * value if name == "seconds" else value for name, value in every[first].items()}
    monkeypatch.setattr(record, "every", lambda: altered | {"f" * 32: {"seconds": 1.0}})
    expected = {f"line {first[:12]} has changed", f"line {second[:12]} is not in the record"}
    assert set(outdated(copy, "03_nads")) == expected


def test_other_code_or_parameters_make_figures_stale(copy):
    notebook = declarations.declared("03_nads")
    found = passports.outdated(copy, "other", notebook.defaults | {"seed": 7})
    assert found == ["the notebook's code has changed", "its parameters have changed"]
