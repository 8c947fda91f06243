"""One environment, written down three times: pyproject.toml, requirements.lock and environment.yml say the same."""

import itertools
import json
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from anisotropy._util import paths
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = paths.root()
CONDA_NAMES = {
    "torch": "pytorch",
    "torch-geometric": "pytorch_geometric",
    "playwright": "playwright-python",
}  # those that conda-forge calls otherwise
PYTHONS = ("3.11", "3.12", "3.13")


def direct() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [texts for name, texts in project["optional-dependencies"].items() if name != "timm"]  # not locked
    texts = itertools.chain(project["dependencies"], *extras)
    return {canonicalize_name(r.name): r for r in map(Requirement, texts)}


def locked() -> list[tuple[str, Version, Marker | None, int]]:
    """Name, version, marker and number of hashes of each entry of the lock."""
    entries = []
    for block in re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text().strip()):
        first = block.splitlines()[0].rstrip("\\ ")
        requirement = Requirement(first)
        (pin,) = requirement.specifier
        assert pin.operator == "==", first
        hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}\b", block)
        entries.append((canonicalize_name(requirement.name), Version(pin.version), requirement.marker, len(hashes)))
    return entries


def environment(python: str, system: str = "linux") -> dict[str, str]:
    return {
        "python_version": python,
        "python_full_version": f"{python}.5",
        "sys_platform": system,
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[system],
        "platform_machine": "arm64" if system == "darwin" else "x86_64",
        "os_name": "nt" if system == "win32" else "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }


def test_conda_environment_has_the_same_packages_and_floors():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = [entry for entry in listed if isinstance(entry, dict)]
    assert pip == [{"pip": ["-e ."]}]
    conda = {r.name: str(r.specifier) for r in map(Requirement, (e for e in listed if isinstance(e, str)))}
    assert conda.pop("pip") == ""
    assert set(conda.pop("python").split(",")) == {">=3.11", "<3.14"}
    assert conda == {CONDA_NAMES.get(name, name): str(r.specifier) for name, r in direct().items()}


def test_every_direct_dependency_has_a_floor_and_a_reason():
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    for name, requirement in direct().items():
        assert [s.operator for s in requirement.specifier] == [">="], name
        (line,) = [s for s in lines if re.search(rf'"{re.escape(requirement.name)}>=.*"\]?,? +#', s)][:1] or [None]
        assert line, f"{name}: expected a comment with the reason beside it"


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_lock_satisfies_every_floor(python, system):
    where = environment(python, system)
    chosen = {}
    for name, version, marker, _ in locked():
        if marker is None or marker.evaluate(where):
            assert name not in chosen, f"{name} is locked twice for Python {python} on {system}"
            chosen[name] = version
    for name, requirement in direct().items():
        assert name in chosen, f"{name} is not in requirements.lock for Python {python} on {system}: recompile it"
        assert requirement.specifier.contains(chosen[name], prereleases=True), f"{name} {chosen[name]}"
    assert chosen["torch"].base_version == "2.11.0"
    assert chosen["torchvision"].base_version == "0.26.0"


def test_everything_locked_is_hashed_and_from_no_named_host():
    for name, _, _, hashes in locked():
        assert hashes > 0, f"{name} has no hash"
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--?(i|index|extra-index|find-links|trusted)", text, re.MULTILINE)


def test_what_runs_is_what_is_locked():
    """In the environment that `make setup` builds; elsewhere, such as under conda, the floors are what counts."""
    import importlib.metadata

    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    pins = {n: v for n, v, m, _ in locked() if m is None or m.evaluate(environment(python, sys.platform))}
    made_by_setup = (ROOT / ".venv" / ".ready").exists() and sys.prefix == str(ROOT / ".venv")
    for name, requirement in direct().items():
        installed = Version(importlib.metadata.version(name))
        assert requirement.specifier.contains(installed, prereleases=True), f"{name} {installed}"
        if made_by_setup:
            assert Version(installed.public) == Version(pins[name].public), f"{name}: run `make setup` again"


def test_python_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"].startswith(">=3.11")
    assert "3.11 to 3.13" in (ROOT / "Makefile").read_text()


def test_citation_names_paper_and_software():
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert cff["cff-version"] == "1.2.0"
    assert cff["version"] == project["version"]
    assert cff["license"] == project["license"]
    paper = cff["preferred-citation"]
    assert paper["title"] == "Neural Anisotropy Directions"
    assert paper["year"] == 2020
    assert [a["family-names"] for a in paper["authors"]] == [
        "Ortiz-Jimenez", "Modas", "Moosavi-Dezfooli", "Frossard"
    ]  # fmt: skip


def test_archives_say_what_the_citation_says():
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    zenodo = json.loads((ROOT / ".zenodo.json").read_text())
    codemeta = json.loads((ROOT / "codemeta.json").read_text())
    assert zenodo["title"] == codemeta["name"] == cff["title"]
    assert zenodo["version"] == codemeta["version"] == cff["version"] == project["version"]
    assert zenodo["license"] == cff["license"] == project["license"]
    assert codemeta["license"] == f"https://spdx.org/licenses/{project['license']}"
    names = [author["name"] for author in cff["authors"]]
    assert [c["name"] for c in zenodo["creators"]] == [a["name"] for a in codemeta["author"]] == names
    assert zenodo["keywords"] == codemeta["keywords"] == cff["keywords"]
    assert zenodo["description"] == codemeta["description"] == project["description"]
    paper = cff["preferred-citation"]
    (supplement,) = zenodo["related_identifiers"]
    assert supplement["identifier"] == paper["identifiers"][0]["value"]
    assert codemeta["referencePublication"]["name"] == paper["title"]
    assert codemeta["runtimePlatform"] == "Python 3.11 to 3.13"


def test_the_doi_is_said_to_be_missing_until_there_is_one():
    cff, readme = (ROOT / "CITATION.cff").read_text(), (ROOT / "README.md").read_text()
    if "doi" in yaml.safe_load(cff):
        assert yaml.safe_load(cff)["doi"] in readme
    else:
        assert "# doi: none yet" in cff
        assert "There is no DOI yet" in readme


def test_the_container_is_that_of_the_lock_and_of_make():
    """It is not built here; what it names is there."""
    lines = re.sub(r"\\\n\s*", "", (ROOT / "Containerfile").read_text()).splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    assert [word for word, _ in steps] == ["FROM", "RUN", "WORKDIR", "COPY", "RUN", "CMD"]
    names = ("base", "system", "folder", "files", "setup", "command")
    said = dict(zip(names, (rest for _, rest in steps), strict=True))
    python = re.fullmatch(r"python:(3\.\d+)-slim", said["base"])[1]
    assert python == PYTHONS[0]  # the lock's, and what CI runs first
    assert said["files"] == ". ."
    assert {"git", "make"} <= set(said["system"].split())
    for words in (said["setup"].split(), json.loads(said["command"])):
        assert words[0] == "make"
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "has not been built by us" in (ROOT / "Containerfile").read_text()
    left_out = (ROOT / ".containerignore").read_text().split()
    assert {".venv", "data"} <= set(left_out)
    assert not {"results", "figures", "params", "notebooks", ".git"} & set(left_out)


def test_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text


def test_ci_runs_lint_and_the_readmes_test_command():
    script = (ROOT / ".ci" / "run").read_text()
    assert "make lint" in script
    assert "make test" in script
    assert "make test" in (ROOT / "README.md").read_text()
    assert subprocess.run(["sh", "-n", str(ROOT / ".ci" / "run")]).returncode == 0


@pytest.mark.parametrize("failing", ["setup", "lint", "test", None])
def test_ci_fails_when_any_part_fails_and_prints_the_closing_lines(tmp_path, failing):
    """With a stand-in for make that fails at one target."""
    closing = "==================== 3 passed, 1 skipped in 0.12s ===================="
    make = tmp_path / "make"
    make.write_text(f'#!/bin/sh\n[ "$1" = test ] && echo "{closing}"\n[ "$1" != "{failing}" ]\n')
    make.chmod(0o755)
    done = subprocess.run(
        ["sh", str(ROOT / ".ci" / "run")], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert (done.returncode == 0) is (failing is None)
    assert (closing in done.stdout) is (failing in ("test", None))
