"""QUARANTINES.md lists every test that may be skipped and no other; GitHub runs what `.ci/run` runs."""

import ast
import inspect
import json
import re
from pathlib import Path

import yaml
from anisotropy._util import paths
from anisotropy.site import building

ROOT = paths.root()
SKIPS = {f"pytest.{word}" for word in ("skip", "importorskip", "xfail", "mark.skip", "mark.skipif", "mark.xfail")}


def skips(tree: ast.Module) -> set[str]:
    """Names of the top-level functions and classes that can skip; "the module" where all of its tests do."""
    found = set()
    for node in tree.body:
        called = {ast.unparse(part) for part in ast.walk(node) if isinstance(part, ast.Attribute)} & SKIPS
        if called:
            found.add(getattr(node, "name", "the module"))
    return found


def in_code() -> set[tuple[str, str]]:
    tests = ROOT / "tests"
    return {
        (path.relative_to(tests).as_posix(), name)
        for path in tests.rglob("*.py")
        for name in skips(ast.parse(path.read_text(encoding="utf-8")))
        if path != Path(__file__)
    }


def test_every_test_that_may_be_skipped_is_listed_with_a_reason():
    text = (ROOT / "QUARANTINES.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| `([^`]+)` \| `?([^`|]+?)`? \| (.+?) \|$", text, re.MULTILINE)
    assert {(path, name) for path, name, _ in lines} == in_code()
    assert all(len(reason) > 20 for _, _, reason in lines)


def test_skips_of_every_kind_are_found():
    code = """
import pytest
pytestmark = pytest.mark.skipif(True, reason="")
@pytest.mark.xfail
def test_one(): pass
class Many:
    def test_two(self): pytest.skip("")
def test_three(): skipped = "skip"
"""
    assert skips(ast.parse(code)) == {"the module", "test_one", "Many"}


def test_no_other_cell_of_a_notebook_is_kept_from_its_check():
    kept = []
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            marks = " ".join(cell["metadata"].get("tags", [])) + "".join(cell["source"])
            if re.search(r"nbval.(skip|ignore)|raises-exception", marks, re.IGNORECASE):
                kept.append((path.stem, cell["id"]))
    assert kept == [("08_where_nads_come_from", "own-trained")]
    assert "of which cells the campaign has trained" in (ROOT / "QUARANTINES.md").read_text(encoding="utf-8")


def test_the_workflow_runs_what_ci_runs_on_every_python():
    flow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    (job,) = flow["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert job["strategy"]["fail-fast"] is False
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs == ["sh .ci/run"]  # environment from the lock, lint, tests, notebooks against their outputs
    assert job["env"] == {"PYTHON": "python${{ matrix.python }}"}  # which the Makefile makes the environment with
    assert "PYTHON ?=" in (ROOT / "Makefile").read_text()
    checkout = next(step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout"))
    assert checkout["with"]["fetch-depth"] == 0  # rows of the record name their commits


def test_the_workflow_publishes_what_make_site_builds():
    flow = yaml.safe_load((ROOT / ".github" / "workflows" / "site.yml").read_text())
    assert flow[True] == {"push": {"branches": ["main"]}}  # YAML reads `on` as true
    build, publish = flow["jobs"]["build"], flow["jobs"]["publish"]
    assert [step["run"] for step in build["steps"] if "run" in step] == ["make site"]
    (upload,) = (s for s in build["steps"] if s.get("uses", "").startswith("actions/upload-pages-artifact"))
    assert f"/{upload['with']['path']}/" in (ROOT / ".gitignore").read_text().split()
    assert inspect.signature(building.build).parameters["output"].default is None  # `site/` of the repository
    assert publish["needs"] == "build"
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}
    assert any(step.get("uses", "").startswith("actions/deploy-pages") for step in publish["steps"])
