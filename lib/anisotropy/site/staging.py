"""The sources of the site: a folder that mirrors the repository, with the pages that are made from code beside them.

Sphinx writes a page for each Markdown file and notebook at its place in the repository, so that links between them need
no translation. Files that are linked but are no pages are laid beside them (`lib/`, `params/`, `results/`).
"""

import shutil
from pathlib import Path

from anisotropy._util import files, paths
from anisotropy.notebooks import declarations
from anisotropy.site import api, statement_pages

PROSE = (
    "README.md",
    "CHANGELOG.md",
    "QUARANTINES.md",
    "figures/*.md",
    "figures/*/README.md",
    "benchmarks/results/*.md",
)
"""Pages as they lie in the repository, besides `docs/*.md` and the notebooks."""

BESIDE = (
    *(".ci/run", "LICENSE", "CITATION.cff", "Makefile", "pyproject.toml", "requirements.lock", "environment.yml"),
    *("lib/**/*.py", "lib/**/*.yaml", "params/**/*.yaml", "results/*", "figures/*/*.png", "figures/*/*/*.png"),
    *("benchmarks/results/*.*", "codemeta.json", ".zenodo.json", "Containerfile"),
)
"""Files that pages link to or show."""

GUIDES = ("reader", "laptop", "cluster", "your_network", "extending")
PLACES = ("artifact", "record", "checks", "differences", "figures")
"""Pages of `docs/`, in the order of the navigation; others that are there come after them."""

INDEX = """# NAD companion

Neural anisotropy directions, measured and checked. This page has a layout of its own; its parts are listed for search
and navigation: the verdict on every statement of the paper, the explorer of two networks side by side, and the ways in.

{toctrees}"""


def stage(target: Path) -> None:
    """Lay the sources into an empty folder.

    Args:
        target: the folder; it is created.

    Raises:
        FileNotFoundError: there is no checkout.
        OSError: the disk is full, or the folder cannot be written.
    """
    root = paths.root()
    for path in sorted({path for pattern in (*PROSE, "docs/*.md", *BESIDE) for path in root.glob(pattern)}):
        if path.is_file():
            _lay(path, target / path.relative_to(root))
    for name in declarations.available():
        _lay(declarations.source(name), target / "notebooks" / f"{name}.ipynb")
    written = {
        **statement_pages.pages(),
        **api.pages(),
        **_tests(root),
        "params.md": _presets(root),
        "index.md": INDEX.format(toctrees=_navigation(root)),
    }
    for name, text in written.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, text)


def _lay(source: Path, target: Path) -> None:
    """Copy a file; of a link Sphinx would see where it leads."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _navigation(root: Path) -> str:
    """Tables of contents of the first page, which become the navigation of all."""
    listed = {"index", "statements", *GUIDES, *PLACES}
    others = [page.stem for page in sorted((root / "docs").glob("*.md")) if page.stem not in listed]
    docs = [f"docs/{name}" for name in (*GUIDES, *PLACES, *others) if (root / "docs" / f"{name}.md").is_file()]
    results = [*sorted((root / "figures").glob("claims.md")), *sorted((root / "figures").glob("*/README.md"))]
    groups = {
        "Articles": [f"notebooks/{name}" for name in declarations.available()],
        "The paper, judged": ["docs/statements", "docs/paper"],
        "Guides": ["README", "docs/index", *docs[: len(GUIDES)]],
        "Results, and how they are checked": [
            *(path.relative_to(root).with_suffix("").as_posix() for path in results),
            *docs[len(GUIDES) :],
            "figures/README",
        ],
        "Reference": ["api/index", "benchmarks/results/README", "params", "CHANGELOG", "QUARANTINES"],
    }
    return "\n".join(
        f"```{{toctree}}\n:caption: {caption}\n:titlesonly:\n\n" + "\n".join(entries) + "\n```\n"
        for caption, entries in groups.items()
    )


def _presets(root: Path) -> str:
    """One page with every file of parameters."""
    parts = ["# Presets", "Each says in its head what it runs and what that was measured to cost."]
    for path in sorted((root / "params").rglob("*.yaml")):
        heading = path.relative_to(root / "params").as_posix()
        parts.append(f"## {heading}\n\n{_listing('/' + path.relative_to(root).as_posix(), 'yaml')}")
    return "\n\n".join(parts) + "\n"


def _tests(root: Path) -> dict[str, str]:
    """A page for each file of tests, so that a figure can be followed to them; the search leaves them out."""
    pages = {}
    for path in sorted((root / "tests").rglob("*.py")):
        name = path.relative_to(root).with_suffix("").as_posix()
        pages[f"{name}.py"] = path.read_text(encoding="utf-8")
        listing = _listing(path.name, "python")
        pages[f"{name}.md"] = f"---\norphan: true\nnosearch: true\n---\n\n# {name}.py\n\n{listing}\n"
    return pages


def _listing(name: str, language: str) -> str:
    return f"```{{literalinclude}} {name}\n:language: {language}\n```"
