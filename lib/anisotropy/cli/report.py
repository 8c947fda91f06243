"""The report: `python -m anisotropy report [--preset P] [--nads FILE ...] [--sweep FILE ...]` writes one HTML file.

`figures/local/<preset>/index.html` holds claims, explorer, figures with passports and the executed notebooks; a page of
Markdown beside it the claims alone. The page needs no other file and asks no network for anything; its own policy
forbids that too. Results of larger presets that are there are shown beside those of the preset asked for, and say which
they are; of figures, those of the largest.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from anisotropy._util import files, paths
from anisotropy.notebooks import declarations
from anisotropy.notebooks.declarations import nearest
from anisotropy.site import explorer, pages, runs
from anisotropy.site.runs import MISSING, Result

NAME = "index.html"
"""The page."""


class NothingToShow(ValueError):
    """There is no result that a report could show."""


def build(
    preset: str | None = None,
    *,
    output: Path | None = None,
    nad_files: Sequence[Path] = (),
    sweep_files: Sequence[Path] = (),
) -> Path:
    """Write the report of a preset, atomically.

    Args:
        preset: whose results come first, the notebooks' own if None; those of larger presets are shown beside them.
        output: folder of figures, see `paths.of_preset`; `figures/local/` of the repository if None. Where it has
            nothing of the preset, what is committed is shown.
        nad_files: NADs of the reader's own networks, for the explorer.
        sweep_files: netCDF files of the reader's own sweeps, for the explorer.

    Returns:
        Path of the file.

    Raises:
        NothingToShow: the preset has no results; the message says what to run.
        FileNotFoundError, ValueError: a file of the reader is missing or not what it should be.
        OSError: the disk is full or the folder read-only; an earlier report is still there.
    """
    base = Path(output).absolute() if output else paths.output()
    preset = smallest() if preset is None else preset
    paths.plain_name(preset, "preset name")
    shown = _first(base, preset)
    if not shown:
        raise NothingToShow(_nothing(base, preset))
    shown |= _larger(base, preset)
    everything = [result for found in shown.values() for result in found]
    data = explorer.data(everything, nad_files, sweep_files)
    target = paths.of_preset(base, preset) / NAME
    text = pages.report(preset, shown, data, target.parent)
    files.write(target, text.encode("utf-8", "replace"))  # JSON can hold characters that no file can
    _write_claims(base, preset, shown[preset])
    return target


def smallest() -> str:
    """The smallest preset that the notebooks' own values are."""
    return min((declarations.declared(name).own for name in declarations.available()), key=runs.rank)


def published() -> str:
    """Write the claims of what is committed, after a run that published some of it, and say where they are."""
    base = paths.committed()
    return f"claims: {_write_claims(base, paths.READING, runs.collect(base, paths.READING))}"


def _write_claims(base: Path, preset: str, found: list[Result]) -> Path:
    path = paths.of_preset(base, preset) / ("claims.md" if preset == paths.READING else "README.md")
    files.write(path, claims_page(preset, found, path.parent).encode("utf-8", "replace"))
    return path


def claims_page(preset: str, found: list[Result], folder: Path) -> str:
    """The claims of a preset as Markdown, for who reads the repository where it lies."""
    reader = Path(os.path.relpath(paths.root() / "docs" / "reader.md", folder)).as_posix()
    beside = "Figures, their numbers and their passports are in the folders beside this file"
    head = f"# Claims, preset `{preset}`\n\n{beside}; [what the verdicts mean]({reader})."
    return f"{head}\n\n{runs.verdicts(found)}"


def _nothing(base: Path, preset: str) -> str:
    there = []
    if base.is_dir():
        found = sorted((p.name for p in base.iterdir() if p.is_dir() and p.name != preset), key=runs.rank)
        found = [name for name in found if not runs.NUMBERED.fullmatch(name)]
        there = [p for p in found if runs.is_plain(p) and any(r.state != MISSING for r in runs.collect(base, p))]
    known = [*runs.PRESETS, *there]
    hint = "" if preset in known else f" ({nearest(preset, known)})"
    choice = f", or show what is there: make report PRESET={there[0]}" if there else ""
    return (
        f"there are no results of the preset {preset!r}{hint}: make them with `make reproduce PRESET={preset}`{choice}"
    )


def _larger(base: Path, preset: str) -> dict[str, list[Result]]:
    """Results of the project's larger presets."""
    larger = [name for name in runs.PRESETS if runs.rank(name) > runs.rank(preset)]
    return {name: some for each in larger for name, some in _first(base, each).items()}


def _first(base: Path, preset: str) -> dict[str, list[Result]]:
    """Results of a preset by its name, from a folder or else from those committed; {} where there are none."""
    for folder in (base, _committed()):
        some = runs.collect(folder, preset) if folder else []
        if any(r.state != MISSING for r in some):
            return {preset: some}
    return {}


def _committed() -> Path | None:
    """The repository's figures; None where the notebooks are others than the repository's, or there is none."""
    try:
        root = paths.root()
        return paths.committed() if paths.notebooks().resolve() == (root / "notebooks").resolve() else None
    except FileNotFoundError:
        return None


def after(preset: str | None, output: Path | None) -> str:
    """Build the report at the end of a run and say in a line what came of it; results are kept in any case."""
    try:
        written = build(preset, output=output)
    except (NothingToShow, OSError, ValueError) as error:
        return f"report: not written: {_said(error)}"
    return f"report: {written}"


def _said(error: Exception) -> str:
    """Message of an error, without the number of the system's."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.strerror}: {error.filename}{files.advice(error)}" if error.filename else error.strerror


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 written, 2 not: nothing to show, or a file at fault."""
    parser = argparse.ArgumentParser(prog="python -m anisotropy report", description="Write the report, one HTML file.")
    add = parser.add_argument
    add("--preset", metavar="P", help="whose results come first; default: the notebooks' own values")
    add("--output", type=Path, metavar="DIR", help="folder of results (default figures/local/)")
    add("--nads", nargs="+", action="extend", default=[], type=Path, metavar="FILE",
        help="your own NADs, written by Nads.save, for the explorer")  # fmt: skip
    add("--sweep", nargs="+", action="extend", default=[], type=Path, metavar="FILE",
        help="your own sweeps, netCDF files of a store, for the explorer")  # fmt: skip
    chosen = parser.parse_args(arguments)
    try:
        written = build(chosen.preset, output=chosen.output, nad_files=chosen.nads, sweep_files=chosen.sweep)
    except (OSError, ValueError) as error:
        print(f"error: {_said(error)}", file=sys.stderr)
        return 2
    print(f"{written} ({written.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
