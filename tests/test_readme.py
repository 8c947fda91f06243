"""The README cannot rot: each command on it is run, or checked by the tool's own dry run where it is expensive."""

import os
import re
import shlex
import subprocess
import sys
import tempfile

import pytest
from anisotropy import declarations, paths, presets, reproduce

ROOT = paths.root()
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "figures" / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    lines = [line.split(" #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    inline = [c for c in re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", README, flags=re.DOTALL)) if " " in c]
    tools = ("make ", "python ", ".venv/bin/", "conda ", "papermill ", "dask ", "pip ")
    return sorted({c for c in lines + inline if c and (c in lines or c.startswith(tools))})


@pytest.mark.parametrize("command", commands())
def test_command(command, monkeypatch):
    """A command of a kind that is unknown here fails: say below how to check it."""
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)
    words = [os.path.basename(w) if w.startswith(".venv/bin/") else w for w in words]
    if words[0] == "make":
        _make(words[1:])
    elif words[0].startswith("python"):
        _python(words[1:])
    elif words[:3] == ["conda", "env", "create"]:
        assert (ROOT / words[words.index("-f") + 1]).is_file()
    elif words[:2] == ["conda", "activate"]:
        assert f"name: {words[2]}\n" in (ROOT / "environment.yml").read_text()
    elif words[0] == "papermill":
        run("-m", "papermill", *words[1:], "--prepare-only")
    elif words[:2] in (["dask", "scheduler"], ["dask", "worker"]):
        shown = run("-m", "dask", words[1], "--help")
        for option in (w.partition("=")[0] for w in words if w.startswith("--")):
            assert option in shown, f"`dask {words[1]}` has no {option}"
    elif words[0] in ("srun", "sbatch"):  # Slurm is nowhere but on a cluster; what it starts is checked
        inner = words[next(i for i, w in enumerate(words) if i and not w.startswith("-")) :]
        test_command(shlex.join(inner), monkeypatch)
    else:
        pytest.fail(f"the README says `{command}`: add how to check it")


def run(*arguments: str, expected: int = 0) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout


def _make(words: list[str]) -> None:
    done = subprocess.run(["make", "-n", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        if "anisotropy.reproduce" in line:
            _reproduce(shlex.split(line)[3:])


def _python(words: list[str]) -> None:
    if words[:2] == ["-m", "anisotropy.reproduce"]:
        _reproduce(words[2:])
    elif words[:2] in (["-m", "venv"], ["-m", "pip"]):
        recipe = (ROOT / "Makefile").read_text().replace("$(VENV)", ".venv").replace(" --quiet", "")
        assert " ".join(words) in recipe, "not what `make setup` does"
    elif words[:2] == ["-m", "pytest"]:
        assert " ".join(words) in (ROOT / "Makefile").read_text(), "not what `make test` does"
        folders = [word for word in words[2:] if not word.startswith("-")]
        assert all((ROOT / folder).is_dir() for folder in folders)
        options = [word for word in words if word not in folders]
        if options[2:]:
            with tempfile.TemporaryDirectory() as empty:
                run(*options, "-p", "no:cacheprovider", "--rootdir", empty, empty, expected=5)  # no tests; 4: usage
    elif words[0].endswith(".py"):
        assert (ROOT / words[0]).is_file()
        run(words[0], "--help")
    else:
        pytest.fail(f"python {' '.join(words)}: add how to check it")


def _reproduce(words: list[str]) -> None:
    if declarations.available():
        assert reproduce.main([*words, "--dry-run"]) == 0


@pytest.mark.parametrize("code", blocks("python"))
def test_python_block_runs(code, tmp_path):
    """As a script in an empty folder."""
    assert len([line for line in code.splitlines() if line]) <= 10  # as the heading says
    script = tmp_path / "block.py"
    script.write_text(code)
    environment = os.environ | {"MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine.safetensors").stat().st_size > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"""(?:src|href)=["']([^"']+)""", text)
    headings = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith(("https://", "mailto:")):
            path = page.parent / target.partition("#")[0]
            assert path.exists(), f"{page.name} links to {target}"
            if (ROOT / ".git").exists():  # there, but ignored, means: not in a reader's clone
                listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", str(path)]
                known = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
                assert known, f"{page.name} links to {target}, which git ignores"


def test_the_table_lists_every_notebook_and_its_presets():
    rows = re.findall(r"^\| \[(\w+)\]\(notebooks/(\w+)\.ipynb\) \|.*\| ([\w, ]*) \|$", README, re.MULTILINE)
    assert [name for name, _, _ in rows] == declarations.available()
    for name, file, others in rows:
        assert name == file
        assert {presets.QUICK, *others.split(", ")} - {""} == set(presets.names(name))


def test_first_screen():
    """Two sentences, the two commands, the table, before anything else."""
    first = README[: README.index("\n## ")]
    assert first.index("make reproduce") < first.index("make test") < first.index("| notebook |")
    assert len(first.splitlines()) < 45


def test_named_functions_exist():
    """What the prose calls by name is there."""
    import importlib

    for module, name in re.findall(
        r"`(?:anisotropy\.)?(nads|claims|architectures|presets|passports|plotting)\.(?!json)(\w+)", README
    ):
        assert hasattr(importlib.import_module(f"anisotropy.{module}"), name), f"{module}.{name}"
    assert presets.QUICK in README
