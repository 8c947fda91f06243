"""The front door: `import anisotropy as an` offers the names of the map, and loads each when it is used."""

import ast
import inspect
import pydoc
import subprocess
import sys
import tomllib
from pathlib import Path

import anisotropy as an
import pytest
import yaml
from anisotropy._util import paths
from anisotropy.paper import citation

DESIGNED = [
    "estimate", "Secant", "Gradient", "Mixed", "Nads", "load", "available", "load_published",
    "factory",
    "fourier", "random_directions", "sample",
    "Recipe", "train", "sweep", "image_sweep",
    "flip", "poison", "random_signs", "rotate", "class_energy",
    "overlap", "compare", "energies",
    "bayes_accuracy", "infinite_width",
    "cite",
]  # fmt: skip
"""What the design promises."""

BESIDE = [
    "Dipole", "Until", "follow",
    "graph_network", "sequence_network", "graph_modes", "harmonics", "ring_graph", "grid_graph",
]  # fmt: skip
"""Settings of `energies` and `estimate`; graphs and sequences."""


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_names_are_those_of_the_design_and_tab_completion_shows_no_more():
    assert sorted(DESIGNED + BESIDE) == an.__all__
    assert sorted(dir(an)) == sorted([*DESIGNED, *BESIDE, "__version__"])
    assert all(callable(getattr(an, name)) for name in an.__all__)
    with pytest.raises(AttributeError, match=r"no attribute 'estimates'; it has Dipole, .* estimate"):
        an.estimates  # noqa: B018


def test_importing_loads_no_torch_and_no_room():
    loaded = python("import sys, anisotropy; print(*sys.modules)").split()
    assert "anisotropy" in loaded
    assert not [name for name in loaded if name.split(".")[0] in ("torch", "numpy") or name.startswith("anisotropy.")]
    assert "torch" in python("import sys, anisotropy; anisotropy.estimate; print(*sys.modules)").split()


def test_type_checkers_see_what_runs():
    (block,) = [node for node in ast.parse(Path(an.__file__).read_text()).body if isinstance(node, ast.If)]
    seen = {alias.asname or alias.name: (line.module, alias.name) for line in block.body for alias in line.names}
    assert {name: (f"anisotropy.{module}", attribute) for name, (module, attribute) in an._WHERE.items()} == seen
    assert (Path(an.__file__).parent / "py.typed").is_file()


def test_help_begins_with_the_map_under_headings():
    text = pydoc.plain(pydoc.render_doc(an))
    shown = text[: text.index("PACKAGE CONTENTS")]
    at = [shown.index(f"    {heading}\n") for heading in ("Networks", "Directions and D(v)", "Training", "Images")]
    assert at == sorted(at)
    for name in an.__all__:
        assert f" {name}" in shown, f"the map does not say what {name} is"


def test_no_function_of_the_front_takes_more_than_ten_arguments_to_estimate():
    known = [p for p in inspect.signature(an.estimate).parameters.values() if p.kind is not p.VAR_KEYWORD]
    assert len(known) <= 10


def test_one_version():
    assert an.__version__ == tomllib.loads((paths.root() / "pyproject.toml").read_text())["project"]["version"]


def test_citations_are_those_of_the_citation_file(capsys):
    cff = yaml.safe_load((paths.root() / "CITATION.cff").read_text())
    paper = cff["preferred-citation"]
    an.cite()
    shown = capsys.readouterr().out
    assert shown == f"{citation.PAPER}\n\n{citation.SOFTWARE}\n"
    names = " and ".join(f"{a['family-names']}, {a['given-names']}" for a in paper["authors"])
    preprint = paper["identifiers"][0]["value"]
    for text in (paper["title"], names, paper["collection-title"], paper["volume"], str(paper["year"]), preprint):
        assert f"{{{text}}}" in citation.PAPER
    for text in (cff["title"], f"{{{cff['authors'][0]['name']}}}", cff["version"], cff["license"]):
        assert f"{{{text}}}" in citation.SOFTWARE
