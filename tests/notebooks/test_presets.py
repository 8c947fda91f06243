"""Parameters: what is declared is what can be given, in its type, once; everything else is refused with its place."""

import json
import re

import numpy as np
import pytest
import throwaway
import yaml
from anisotropy._util import paths
from anisotropy.notebooks import declarations, presets, scheduling
from anisotropy.notebooks.presets import ParameterError

DEFAULTS = {
    "preset": "quick",
    "seed": 0,
    "rate": 0.1,
    "count": 3,
    "exact": True,
    "word": "a",
    "names": ["lenet"],
}

BOUNDS = {"seed": "0..", "count": "1..64"}


@pytest.fixture
def folders(tmp_path):
    throwaway.write(tmp_path / "notebooks", "01_one", "print(1)", bounds=BOUNDS)
    throwaway.write(tmp_path / "notebooks", "02_two", "print(2)")
    return {"folder": tmp_path / "notebooks", "params": tmp_path / "params"}


def test_quick_is_what_the_notebook_declares(folders):
    assert presets.load("01_one", **folders) == DEFAULTS
    assert declarations.declared("01_one", folders["folder"]).defaults == DEFAULTS
    assert declarations.available(folders["folder"]) == ["01_one", "02_two"]


def test_preset_file_changes_some_values_and_keeps_types(folders):
    throwaway.preset(folders["params"], "01_one", "# purpose\npreset: laptop\nrate: 1\nnames: [vgg11, lenet]\n")
    values = presets.load("01_one", "laptop", **folders)
    assert values == DEFAULTS | {"preset": "laptop", "rate": 1.0, "names": ["vgg11", "lenet"]}
    assert type(values["rate"]) is float
    assert presets.names("01_one", folders["params"], folders["folder"]) == ["quick", "laptop"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("ratee: 0.2", "line 2: ratee: unknown parameter, did you mean 'rate'"),
        ("rate: 1e-3", "line 2: rate: expected a number (like 0.1), got '1e-3', which is text here: write 0.001"),
        ("rate: 1e-10", "write 1.0e-10"),
        ("rate: .nan", "line 2: rate: expected a finite number"),
        ("rate: true", "line 2: rate: expected a number"),
        ("count: 3.0", "line 2: count: expected an integer (like 3), got 3.0"),
        ("count: '3'", "line 2: count: expected an integer"),
        ("count: true", "line 2: count: expected an integer"),
        ("exact: 1", "line 2: exact: expected True or False"),
        ("word: 3", "line 2: word: expected text (like 'a'), got 3: put it in quotes, '3'"),
        ("word: 2020-12-06", "line 2: word: expected a number, text, true, false or a list of them, got timestamp"),
        ("word: {a: 1}", "line 2: word: expected a number, text, true, false or a list of them, got map"),
        ("seed: 010", "line 2: seed: 010 is another number in YAML 1.1, octal or in base 60"),
        ("count: 12:30:45", "line 2: count: 12:30:45 is another number"),
        ("rate: 1:30.5", "line 2: rate: 1:30.5 is another number"),
        ("names: [a, 0o7, 07]", "line 2: names: 07 is another number"),
        ("seed: -1", "line 2: seed: expected at least 0, got -1"),
        ("count: 100000", "line 2: count: expected at least 1 and at most 64, got 100000"),
        ("count: !!int lenet", "line 2: count: 'lenet' is no int"),
        ("names: lenet", "line 2: names: expected a list"),
        ("names: [3]", "line 2: names, element 0: expected text"),
        ("rate: 0.2\nseed: 1\nrate: 0.3", "line 4: 'rate' is given twice (first in line 2)"),
        ("rate:\t0.2", "line 2: a tab"),
        ("names:\n\t- lenet", "line 3: a tab"),
        ("names: [a", "params/01_one/laptop.yaml, line"),
        ("- rate", "params/01_one/laptop.yaml, line"),
        ("3: 4", "line 2: expected a parameter name, got '3'"),
        ("word: !!python/object/apply:os.system ['true']", "line 2: word: expected a number"),
        ("names: &a [*a]", "line 2: names: write the value itself"),
        ("names: &a [b]\nrates: *a", "line 3: rates: write the value itself"),
        ("<<: {rate: 1}", "line 2: expected a parameter name, got '<<'"),
        ("count:", "line 2: count: expected an integer (like 3), got None"),
    ],
)
def test_preset_file_at_fault_is_refused_with_its_line(folders, lines, expected):
    throwaway.preset(folders["params"], "01_one", f"preset: laptop\n{lines}\n")
    with pytest.raises(ParameterError) as error:
        presets.load("01_one", "laptop", **folders)
    assert "params/01_one/laptop.yaml" in str(error.value)
    assert expected in str(error.value)


def test_the_advice_for_1e_3_is_right():
    assert yaml.safe_load("1e-3") == "1e-3"  # the reason for the advice
    notebook = declarations.Notebook(None, "", DEFAULTS)
    for number in (1e-3, 1e-10, 2.5e-7, 3e20):
        with pytest.raises(ParameterError) as error:
            notebook.checked("rate", str(number), "here:")
        assert yaml.safe_load(re.search(r"write (\S+)", str(error.value))[1]) == number


def test_preset_file_names_its_own_preset(folders):
    throwaway.preset(folders["params"], "01_one", "preset: paper\n")
    with pytest.raises(ParameterError, match="expected `preset: laptop`, got `preset: paper`"):
        presets.load("01_one", "laptop", **folders)
    throwaway.preset(folders["params"], "01_one", "rate: 0.2\n")  # would write into the folder of quick
    with pytest.raises(ParameterError, match="expected `preset: laptop`, got `preset: quick`"):
        presets.load("01_one", "laptop", **folders)


def test_unknown_names_suggest_the_nearest(folders):
    with pytest.raises(ParameterError, match="unknown notebook '01_onn': did you mean '01_one'"):
        presets.load("01_onn", **folders)
    throwaway.preset(folders["params"], "01_one", "preset: laptop\n")
    with pytest.raises(ParameterError, match=r"no preset 'laptopp'.* did you mean 'laptop'"):
        presets.load("01_one", "laptopp", **folders)


@pytest.mark.parametrize("name", ["../secret", "a/b", "..", "", ".hidden", "/etc/passwd", "a\nb", "a b"])
def test_no_name_leaves_its_folder(name):
    for call in (
        lambda: paths.figures("quick", name),
        lambda: paths.figures(name, "03_nads"),
        lambda: paths.params(name),
        lambda: declarations.declared(name),
    ):
        with pytest.raises(ValueError, match=r"expected|unknown notebook"):
            call()


def override(*assignments):
    notebook = declarations.Notebook(paths.notebooks() / "01_one.ipynb", "", DEFAULTS, bounds={"count": (1, 64)})
    return presets.override(notebook, DEFAULTS, presets.parse(assignments))


def test_override_reads_python_literals_in_the_declared_type():
    changed = override("rate=1e-3", "count=5", "word=hello world", "names=['a', 'b']", "exact=False", "other=1")
    assert changed == DEFAULTS | {
        "rate": 0.001, "count": 5, "word": "hello world", "names": ["a", "b"], "exact": False
    }  # fmt: skip
    assert DEFAULTS["count"] == 3
    assert override("word=a=b")["word"] == "a=b"
    assert type(override("rate=2")["rate"]) is float


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rate", "--set rate: expected name=value"),
        ("=3", "--set =3: expected name=value"),
        ("a-b=3", "expected name=value"),
        ("count=1e-3", "--set count: expected an integer (like 3), got 0.001"),
        ("count=010", "--set count: expected an integer (like 3), got '010'"),
        ("count=100000", "--set count: expected at least 1 and at most 64, got 100000"),
        ("count=0", "--set count: expected at least 1"),
        ("word=1e-3", "--set word: expected text"),
        ("rate=fast", "--set rate: expected a number (like 0.1), got 'fast'"),
        ("rate=1e999", "--set rate: expected a finite number"),
        ("exact=yes", "--set exact: expected True or False"),
        ("preset=paper", "a preset is chosen with --preset"),
        ("rate=__import__('os').system('true')", "--set rate: expected a number"),
    ],
)
def test_override_at_fault_is_refused(text, expected):
    with pytest.raises(ParameterError) as error:
        override(text)
    assert expected in str(error.value)


def test_override_twice_is_refused():
    with pytest.raises(ParameterError, match="--set rate=2: 'rate' is given twice"):
        override("rate=1", "rate=2")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("a = 1\nb = a", "line 2: expected `name = literal`, got `b = a`"),
        ("import os", "line 1: expected `name = literal`"),
        ("a = 1\na = 2", "line 2: 'a' is declared twice"),
        ("a, b = 1, 2", "line 1: expected `name = literal`"),
        ("a = (", "line 1"),
    ],
)
def test_parameters_cell_holds_flat_literals(tmp_path, cell, expected):
    throwaway.write(tmp_path, "01_one", parameters=cell)
    with pytest.raises(ParameterError) as error:
        declarations.declared("01_one", tmp_path)
    assert expected in str(error.value)


def test_notebook_without_parameters_or_that_is_none(tmp_path):
    path = throwaway.write(tmp_path, "01_one")
    path.write_text(path.read_text().replace('"parameters"', '"other"'))
    with pytest.raises(ParameterError, match="expected one code cell tagged 'parameters', found 0"):
        declarations.declared("01_one", tmp_path)
    path.write_text("{")
    with pytest.raises(ParameterError, match="not a readable notebook"):
        declarations.declared("01_one", tmp_path)


def test_strict_returns_what_the_namespace_holds(folders):
    namespace = DEFAULTS | {"rate": 2, "In": ["", "# Parameters\nrate = 2\n"], "np": np}
    assert presets.strict("01_one", namespace, folder=folders["folder"]) == DEFAULTS | {"rate": 2.0}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"In": ["", "# Parameters\nratee = 2\n"], "ratee": 2}, "ratee: unknown parameter, did you mean 'rate'"),
        ({"In": ["", "# Parameters\nzzz = 2\n"], "zzz": 2}, "zzz: unknown parameter, known: preset"),
        ({"In": [], "rate": "1e-3"}, "parameter rate: expected a number (like 0.1), got '1e-3'"),
        ({"In": [], "count": 2.5}, "parameter count: expected an integer"),
        ({"In": [], "count": 65}, "parameter count: expected at least 1 and at most 64, got 65"),
        ({"ratee": 2}, "ratee: unknown parameter, did you mean 'rate'"),  # no kernel: an exported script
    ],
)
def test_strict_refuses_what_papermill_lets_through(folders, change, expected):
    with pytest.raises(ParameterError) as error:
        presets.strict("01_one", DEFAULTS | change, folder=folders["folder"])
    assert expected in str(error.value)


LISTS = 'preset = "quick"\nnames = ["lenet", "vgg11"]\nwidths = [1.0, 0.5]\nother = [1]\n'


def test_lists_that_go_together_are_equally_long_or_refused(tmp_path):
    folders = {"folder": tmp_path / "notebooks", "params": tmp_path / "params"}
    throwaway.write(folders["folder"], "01_one", parameters=LISTS, together=[["names", "widths"]])
    wrong = "expected these lists to be equally long, one element for each: names has {}, widths has {}"
    throwaway.preset(folders["params"], "01_one", "preset: laptop\nnames: [lenet]\nwidths: [0.5]\nother: [1, 2, 3]\n")
    assert presets.load("01_one", "laptop", **folders)["widths"] == [0.5]
    throwaway.preset(folders["params"], "01_one", "preset: laptop\nnames: [lenet]\n")
    with pytest.raises(ParameterError, match="params/01_one/laptop.yaml: " + wrong.format(1, 2)):
        presets.load("01_one", "laptop", **folders)
    namespace = presets.load("01_one", **folders) | {"widths": [1.0, 1.0, 1.0]}
    with pytest.raises(ParameterError, match="01_one: " + wrong.format(2, 3)):
        presets.strict("01_one", namespace, folder=folders["folder"])
    selected = {"folder": folders["folder"], "params": folders["params"], "output": tmp_path}
    with pytest.raises(ParameterError, match="01_one: --set names: " + wrong.format(1, 2)):
        scheduling.select("quick", [], ["names=['lenet']"], **selected)
    both = ["names=['lenet']", "widths=[2.0]"]
    assert scheduling.select("quick", [], both, **selected)[0]["01_one"].parameters["widths"] == [2.0]


@pytest.mark.parametrize(
    "metadata",
    [
        None, [], "together", {"together": [["names", "wids"]]}, {"together": [["names", "preset"]]},
        {"together": ["names"]}, {"together": [[["names"]]]}, {"bounds": []}, {"bounds": {"widths": "0"}},
        {"bounds": {"names": "0..1"}}, {"bounds": {"width": "0..1"}}, {"bounds": {"widths": "a.."}},
        {"bounds": {"widths": [0, 1]}},
    ],
)  # fmt: skip
def test_metadata_of_another_kind_are_refused(tmp_path, metadata):
    path = throwaway.write(tmp_path, "01_one", parameters=LISTS)
    content = json.loads(path.read_text())
    content["metadata"]["anisotropy"] = metadata
    path.write_text(json.dumps(content))
    with pytest.raises(ParameterError, match=r"expected metadata anisotropy .*names, widths, other.*, got"):
        declarations.declared("01_one", tmp_path)


@pytest.mark.parametrize(("value", "right"), [([0.0, 2.0], True), ([0.5, -1.0], False), ([2.5], False), ([], True)])
def test_bounds_of_a_list_are_those_of_its_elements(value, right):
    notebook = declarations.Notebook(None, "", {"widths": [1.0]}, bounds={"widths": (0, 2)})
    if right:
        assert notebook.checked("widths", value, "here:") == value
    else:
        with pytest.raises(ParameterError, match="here: widths: expected at least 0 and at most 2, got"):
            notebook.checked("widths", value, "here:")


def test_a_notebook_s_own_values_are_within_its_bounds(tmp_path):
    throwaway.write(tmp_path, "01_one", bounds={"rate": "1.."})
    with pytest.raises(ParameterError, match=r"01_one.ipynb, cell 'parameters': rate: expected at least 1, got 0.1"):
        declarations.declared("01_one", tmp_path)


def test_a_notebooks_own_lists_are_compared_too(tmp_path):
    throwaway.write(tmp_path, "01_one", parameters=LISTS, together=[["names", "other"]])
    with pytest.raises(ParameterError, match="01_one: expected these lists to be equally long"):
        presets.load("01_one", folder=tmp_path)


def test_strict_leaves_a_readers_own_names_alone(folders):
    namespace = DEFAULTS | {"In": ["", "x = 3", "rates = [1]"], "x": 3, "rates": [1]}
    assert presets.strict("01_one", namespace, folder=folders["folder"]) == DEFAULTS


def test_strict_wants_the_parameters_cell_run(folders):
    with pytest.raises(ParameterError, match="parameter 'preset' has no value: run the parameters cell first"):
        presets.strict("01_one", {"In": []}, folder=folders["folder"])


@pytest.mark.parametrize(
    ("notebook", "text"),
    [("01_fourier_bias", "sigma=-1"), ("00_quickstart", "size=100000"), ("05_poisoning", "seeds=0")],
)
def test_the_notebooks_declare_bounds(notebook, text):
    known = declarations.declared(notebook)
    with pytest.raises(ParameterError, match="expected at least"):
        presets.override(known, known.defaults, presets.parse([text]))


def test_every_preset_file_of_the_repository_is_accepted():
    """Loaded by folder, never by a hand list; the head states purpose, hardware, minutes, number, deviations."""
    for file in sorted(paths.root().glob("params/*/*.yaml")):
        values = presets.load(file.parent.name, file.stem)
        assert values["preset"] == file.stem
        head = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        assert len(head) >= 3, f"{file.name}: expected comments: purpose, hardware and minutes, number, deviations"
        assert any("minute" in line.lower() or "hour" in line for line in head), f"{file}: how long does it take?"


@pytest.mark.parametrize(
    ("assignments", "folder"),
    [
        ([], ""),
        (["device=cuda", "engine=local:16", "workers=8", "store=elsewhere"], ""),
        (["seed=1"], "seed=1"),
        (["sigma=0.5", "device=cuda", "seed=1"], "seed=1,sigma=0.5"),
        (["seed = 1"], "seed=1"),
        (["rate=1e-3"], "rate=0.001"),
    ],
)
def test_results_under_changed_parameters_have_a_folder_that_says_so(assignments, folder):
    assert presets.folder_of(assignments) == folder


def test_folders_of_different_changes_differ_and_stay_inside():
    texts = [
        "networks=['lenet']",
        "networks=['lenet', 'vgg11']",
        "word=../../x",
        "word=x",
        "word=X",
        "word=" + 99 * "a",
        "word='a,rate=1'",
    ]
    found = [presets.folder_of([text]) for text in [*texts, "word=" + 98 * "a"]]
    assert len(set(found)) == len(found)
    assert presets.folder_of(["word=a", "rate=1"]) not in found
    assert all("/" not in name and name[:1].isalpha() and len(name) < 80 for name in found)
    with pytest.raises(ParameterError, match="expected name=value"):
        presets.folder_of(["seed"])
