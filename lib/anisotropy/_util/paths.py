"""Every folder the project reads or writes, found from this file: no result depends on the working directory."""

import os
import re
from pathlib import Path

OUTPUT_VARIABLE = "ANISOTROPY_OUTPUT"  # set by `reproduce` for its kernels; otherwise root()/figures/local
NOTEBOOKS_VARIABLE = "ANISOTROPY_NOTEBOOKS"  # set by `reproduce` where it runs another folder of notebooks
PARAMS_VARIABLE = "ANISOTROPY_PARAMS"
FRESH_VARIABLE = "ANISOTROPY_FRESH"  # set by `reproduce --fresh`

READING = "reading"
"""The preset of a notebook's own parameters: what is committed and read. Its figures need no folder of a preset."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def root() -> Path:
    """Root of the repository: the folder that holds `notebooks/`, `params/` and `figures/`.

    Raises:
        FileNotFoundError: neither the package nor the working directory lies in a checkout.
    """
    candidates = [Path(__file__).resolve().parents[3], Path.cwd(), *Path.cwd().parents]
    for folder in candidates:
        if (folder / "pyproject.toml").is_file() and (folder / "lib" / "anisotropy").is_dir():
            return folder
    raise FileNotFoundError(
        "expected to run from a clone of the repository, found the package alone: "
        "clone it and install with `pip install -e .`, or work in the clone's folder"
    )


def plain_name(name: str, what: str = "name") -> str:
    """Return `name` if it is one plain path component, so that no name can leave the folder it is put in.

    Raises:
        ValueError: anything but letters, digits, `_`, `-` and `.`, a leading dot, or more than 100 characters.
    """
    if isinstance(name, str) and len(name) > 100:
        raise ValueError(f"expected a {what} of at most 100 characters, got {len(name)}: {name[:40]}...")
    if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name):
        raise ValueError(
            f"expected a {what} of letters, digits, '_', '-' and '.' that starts with a letter or a digit, got {name!r}"
        )
    return name


def is_file(path: Path) -> bool:
    """Whether there is a file of this name; no where the name is longer than file systems take."""
    try:
        return path.is_file()
    except OSError:
        return False


def notebooks() -> Path:
    """Folder of the notebooks."""
    return Path(os.environ.get(NOTEBOOKS_VARIABLE) or root() / "notebooks")


def params(notebook: str) -> Path:
    """Folder of a notebook's presets, `params/<notebook>/`."""
    return Path(os.environ.get(PARAMS_VARIABLE) or root() / "params") / plain_name(notebook, "notebook name")


def output() -> Path:
    """Folder of the figures that a run here makes; `figures/local/` unless ANISOTROPY_OUTPUT names another."""
    chosen = os.environ.get(OUTPUT_VARIABLE)
    return resolve(chosen) if chosen else committed() / "local"


def fresh() -> bool:
    """Whether everything is computed again, without the record and what was stored before."""
    return bool(os.environ.get(FRESH_VARIABLE))


def committed() -> Path:
    """Folder of the figures that are committed."""
    return root() / "figures"


def of_preset(base: Path, preset: str) -> Path:
    """Folder under `base` that holds one folder of figures for each notebook, under a preset."""
    return base if preset == READING else base / plain_name(preset, "preset name")


def changed(name: str) -> Path:
    """Folder for results under changed parameters; see `presets.folder_of`."""
    return output() / "set" / name


def figures(preset: str, notebook: str) -> Path:
    """Folder of one notebook's pictures, numbers and passports, see `of_preset` (not created)."""
    return of_preset(output(), preset) / plain_name(notebook, "notebook name")


def data() -> Path:
    """Folder for downloads and reference data; never committed."""
    return root() / "data"


def resolve(text: str | os.PathLike) -> Path:
    """A path as a user writes it: `~` is expanded, a relative path is taken from the repository root."""
    path = Path(text).expanduser()
    return path if path.is_absolute() else root() / path
