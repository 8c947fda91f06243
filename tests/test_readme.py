"""README and docs cannot rot: each command is run, or checked with `--list` where it is expensive."""

import functools
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import anisotropy
import pytest
from anisotropy._util import paths
from anisotropy.cli import reproduce
from anisotropy.notebooks import declarations, presets

ROOT = paths.root()
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "figures" / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


DOCS = {page.name: page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md"))}
TEXTS = {"README.md": README, **DOCS}


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def prose(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def commands() -> list[str]:
    lines = [line for text in TEXTS.values() for block in blocks("sh", text) for line in block.splitlines()]
    lines = [line.split(" #")[0].strip() for line in lines]
    inline = [c for text in TEXTS.values() for c in re.findall(r"`([^`\n]+)`", prose(text)) if " " in c]
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
    elif words == ["pip", "install", "."]:
        assert (ROOT / "pyproject.toml").is_file()
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
        wrapped = [w.removeprefix("--wrap=") for w in words if w.startswith("--wrap=")]
        inner = words[next((i for i, w in enumerate(words) if i and not w.startswith("-")), len(words)) :]
        test_command(wrapped[0] if wrapped else shlex.join(inner), monkeypatch)
    elif words[0] == "timeout":
        assert words[1].isdigit()
        test_command(shlex.join(words[2:]), monkeypatch)
    elif words[:2] == ["git", "clone"]:  # to where the presets look for it; what it fetches is not ours to fetch here
        assert words[2] == "https://github.com/LTS4/neural-anisotropy-directions"
        looked_for = {
            presets.load(name, preset).get("published")
            for name in declarations.available()
            for preset in presets.names(name)
        }
        assert words[3] in looked_for
    elif words[0] == "rsync":  # the options and the store; there is no other machine here
        assert words[1:3] == ["--archive", "--ignore-existing"]
        stores = {presets.load(name).get("store") for name in declarations.available()}
        assert words[-1].rstrip("/") in stores
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
        if "anisotropy reproduce" in line:
            _reproduce(shlex.split(line)[4:])
        elif "anisotropy report" in line:
            _report(shlex.split(line)[4:])


def test_make_hands_lists_of_names_on_as_they_are():
    wanted = ['networks=["mine:network"]', "seed=1"]
    said = subprocess.run(
        ["make", "-n", "reproduce", f"SET={' '.join(wanted)}"], capture_output=True, text=True, cwd=ROOT
    )
    (line,) = (line for line in said.stdout.splitlines() if "--set" in line)
    assert shlex.split(line)[-2:] == wanted


def _python(words: list[str]) -> None:
    if words[:3] == ["-m", "anisotropy", "reproduce"]:
        _reproduce(words[3:])
    elif words[:3] == ["-m", "anisotropy", "report"]:
        _report(words[3:])
    elif words[:2] == ["-m", "anisotropy"]:  # what works for hours: its options are those of its help
        shown = run("-m", "anisotropy", words[2], "--help")
        assert all(word in shown for word in words[3:] if word.startswith("--"))
    elif words[:2] in (["-m", "venv"], ["-m", "pip"]):
        recipe = (ROOT / "Makefile").read_text().replace("$(VENV)", ".venv").replace(" --quiet", "")
        assert " ".join(words) in recipe, "not what `make setup` does"
    elif words[:2] == ["-m", "pytest"]:
        folders = [word for word in words[2:] if not word.startswith("-")]
        assert all((ROOT / folder).exists() for folder in folders)
        if not any(folder.endswith(".py") for folder in folders):
            assert " ".join(words) in (ROOT / "Makefile").read_text(), "not what `make test` does"
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
        assert reproduce.main([*(word for word in words if word != "--list"), "--list"]) == 0  # starts no kernel


@functools.cache
def options_of(command: str) -> str:
    return run("-m", "anisotropy", command, "--help")


def _report(words: list[str]) -> None:
    shown = options_of("report")
    for option in (w for w in words if w.startswith("--")):
        assert option in shown, f"the report has no {option}"


@pytest.mark.parametrize("page", [name for name, text in TEXTS.items() if blocks("python", text)])
def test_python_of_a_page_runs(page, tmp_path):
    """The blocks of a page one after the other, as a script in an empty folder; then the report of what they left."""
    code = blocks("python", TEXTS[page])
    script = tmp_path / "page.py"
    script.write_text("\n".join(code))
    environment = os.environ | {"MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:anisotropy", str(script)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if page != "your_network.md":
        return
    assert len([line for line in code[0].splitlines() if line]) <= 10  # as the heading says
    score, flipped = (float(x) for x in re.findall(r"^(?:score|flipped): ([\d.]+)", done.stdout, re.MULTILINE))
    assert score > 1 > flipped  # digits are smooth, and so is what this network sees
    (table,) = (tmp_path / "my_sweeps").glob("my_network-*.nc")
    assert f"one netCDF file of it all: {table.name}" in done.stdout
    words = next(shlex.split(c)[1:] for c in commands() if "anisotropy report" in c and "--nads" in c)
    words += ["--sweep", str(table.relative_to(tmp_path)), "--output", "figures"]
    results = Path("figures", words[words.index("--preset") + 1])
    shutil.copytree(ROOT / results / "04_accuracy_along_nads", tmp_path / results / "04_accuracy_along_nads")
    made = subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    written = (tmp_path / results / "index.html").read_text(encoding="utf-8")
    assert "mine" in written
    assert "my network" in written


def test_yaml_and_toml_of_the_docs_are_there():
    """No block is of a language that no test looks at."""
    for name, text in TEXTS.items():
        assert set(re.findall(r"^```(\w+)", text, re.MULTILINE)) <= {"sh", "python"}, name


def headings(text: str) -> set[str]:
    """Anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"""(?:src|href)=["']([^"']+)""", text)
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in headings(text), target
        elif not target.startswith(("https://", "mailto:")):
            path = page.parent / target.partition("#")[0]
            assert path.exists(), f"{page.name} links to {target}"
            if anchor := target.partition("#")[2]:
                assert anchor in headings(path.read_text(encoding="utf-8")), f"{page.name} links to {target}"
            if (ROOT / ".git").exists():  # there, but ignored, means: not in a reader's clone
                listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", str(path)]
                known = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
                assert known, f"{page.name} links to {target}, which git ignores"


def test_the_table_lists_every_notebook_and_its_presets():
    rows = re.findall(r"^\| \[(\w+)\]\(notebooks/(\w+)\.ipynb\) \|(.*)\|$", README, re.MULTILINE)
    assert [name for name, _, _ in rows] == declarations.available()
    head = [cell.strip() for cell in re.search(r"^\| notebook \|(.*)\|$", README, re.MULTILINE)[1].split("|")]
    for name, file, cells in rows:
        assert name == file
        costs = dict(zip(head, (cell.strip() for cell in cells.split("|")), strict=True))
        having = {
            preset for preset in ("reading", presets.QUICK, "laptop", "paper") if costs[preset] not in ("", "-", "–")
        }
        assert having == set(presets.names(name)), name


def test_first_screen():
    """Two sentences, the two commands, the table, before anything else."""
    first = README[: README.index("\n## ")]
    assert first.index("make reproduce") < first.index("make test") < first.index("| notebook |")
    assert len(first.splitlines()) < 45


def test_the_index_names_every_page():
    targets = set(re.findall(r"\]\((\w+\.md)\)", DOCS["index.md"]))
    assert targets == set(DOCS) - {"index.md"}
    assert {f"docs/{name}" for name in targets} <= set(re.findall(r"\]\(([\w/]+\.md)\)", README))


def test_named_functions_exist():
    """What the prose calls by name is there."""
    import importlib

    names = [module.name for module in pkgutil.walk_packages(anisotropy.__path__, "anisotropy.")]
    modules = {name.rpartition(".")[2]: name for name in names if not name.endswith("__main__")}
    pattern = rf"`(?:anisotropy\.)?({'|'.join(sorted(modules))})\.(?!json|ipynb|py\b|yaml|md\b)(\w+)"
    found = {pair for text in TEXTS.values() for pair in re.findall(pattern, prose(text))}
    assert len(found) > 5
    for module, name in sorted(found):
        known = f"{modules[module]}.{name}" in names or hasattr(importlib.import_module(modules[module]), name)
        assert known, f"{module}.{name}"


def test_named_options_and_parameters_exist():
    """Options of commands, and arguments of `nads.estimate` and `sweeps.run` that the prose gives values to."""
    import inspect

    from anisotropy import nads
    from anisotropy.experiments import sweeps

    options = "".join(map(options_of, ("reproduce", "report", "discrimination")))
    for text in TEXTS.values():
        for option in re.findall(r"`(--[\w-]+)[^`]*`", prose(text)):
            assert option in options or option == "--nthreads", option
    known = {*inspect.signature(nads.estimate).parameters, *inspect.signature(sweeps.run).parameters}
    used = re.findall(r"`(\w+)=[\"\d(][^`]*`", prose(DOCS["your_network.md"]))
    assert len(used) > 3
    assert set(used) <= known


def test_the_costs_are_those_that_were_measured(monkeypatch):
    """What the README quotes is what the files of results give."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import page

    sentence, _, rows = page.quote().partition("\n\n")
    assert sentence in README
    assert rows in README
