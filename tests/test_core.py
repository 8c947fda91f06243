"""The core needs six packages, and what these need: NADs are measured and D(v) is trained on without any other."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib

import pytest
from anisotropy._util import extras, paths
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CORE = {"torch", "numpy", "scipy", "safetensors", "xarray", "tqdm"}
PROJECT = tomllib.loads((paths.root() / "pyproject.toml").read_text())["project"]
TEN_LINES = re.search(r"^```python\n(.*?)^```", (paths.root() / "README.md").read_text(), re.DOTALL | re.MULTILINE)[1]
GUARD = """
import json, sys
refused = set(json.loads(sys.argv[1]))
class Without:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in refused else self.finder.find_spec(name, path, target)
sys.meta_path[:] = map(Without, sys.meta_path)
"""
"""As if these packages were not installed."""


def needed(names) -> set[str]:
    """Distributions that these need, and so on, themselves among them."""
    found, todo = set(), [canonicalize_name(name) for name in names]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        try:
            requirements = map(Requirement, importlib.metadata.requires(name) or [])
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform
        wanted = [r for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
        todo += [canonicalize_name(r.name) for r in wanted]
    return found


def foreign() -> list[str]:
    """Importable packages of this environment that the core does not bring."""
    allowed = needed(CORE) | {"anisotropy"}
    owners = importlib.metadata.packages_distributions()
    return sorted(name for name, by in owners.items() if not {canonicalize_name(one) for one in by} & allowed)


def run(code, folder):
    return subprocess.run(
        [sys.executable, "-c", GUARD + code, json.dumps(foreign())],
        cwd=folder, env=os.environ, capture_output=True, text=True, timeout=200,
    )  # fmt: skip


def test_the_core_is_these_six():
    assert {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]} == CORE
    assert set(PROJECT["optional-dependencies"]) == {"notebooks", "images", "cluster", "graphs", "site", "dev", "timm"}


def test_the_guard_refuses_what_is_not_of_the_core(tmp_path):
    assert {"matplotlib", "joblib", "yaml", "sklearn", "torchvision"} <= set(foreign())
    assert "No module named 'joblib'" in run("import joblib", tmp_path).stderr


def test_the_ten_lines_of_the_readme_need_the_core_alone(tmp_path):
    assert len([line for line in TEN_LINES.splitlines() if line]) <= 10
    done = run(TEN_LINES, tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"leading 5 with the truth: 0\.\d\d to 0\.\d\d", done.stdout)
    assert (tmp_path / "mine.safetensors").is_file()


def test_training_along_nads_needs_the_core_alone(tmp_path):
    done = run(
        """
import anisotropy as an
found = an.load("lenet")
table = an.sweep(an.factory("logreg", num_outputs=2), found.directions[:2], recipe=an.Recipe(epochs=1),
                 train_samples=64, test_samples=64, store="store")
print(table.test_accuracy.shape, an.infinite_width(an.factory("logreg", image_size=4)).networks)
x, y = an.sample(found.directions[0], 8, generator=__import__("torch").Generator())
print(an.compare({"a": found, "b": an.load("vgg11")}, k=5))
for name in an.__all__:
    getattr(an, name)
""",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(2, 1) 0")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ('an.load("lenet").plot()', "drawing needs matplotlib: pip install 'anisotropy[notebooks]'"),
        ('an.estimate(an.factory("lenet"), networks=2, workers=2)', "needs joblib: pip install 'anisotropy[cluster]'"),
        ('an.graph_network("gcn", an.ring_graph(4))', "needs torch_geometric: pip install 'anisotropy[graphs]'"),
        ('an.factory("torchvision:resnet18")', "needs torchvision: pip install 'anisotropy[images]'"),
        (
            'an.sweep(an.factory("logreg", num_outputs=2), an.load("lenet"), engine="local:2", store="s")',
            "needs joblib: pip install 'anisotropy[cluster]'",
        ),
    ],
)
def test_what_needs_an_extra_names_it(code, said, tmp_path):
    done = run(f"import anisotropy as an\n{code}", tmp_path)
    assert done.stderr.strip().splitlines()[-1].endswith(said), done.stderr


def test_every_package_of_an_extra_is_in_it():
    names = {"sklearn": "scikit-learn", "torch_geometric": "torch-geometric"}
    for package, extra in extras.EXTRAS.items():
        brought = {Requirement(text).name for text in PROJECT["optional-dependencies"][extra]}
        assert names.get(package, package) in brought
