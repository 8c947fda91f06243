"""The report: `python -m anisotropy report [--preset P] [--nads FILE ...] [--sweep FILE ...]` writes one HTML file.

`figures/<preset>/index.html` holds claims, explorer, figures with passports and the executed notebooks; README.md
beside it the claims alone. The page needs no other file and asks no network for anything; its own policy forbids that
too. Results of larger presets that are there are shown beside those of the preset asked for, and say which they are;
of figures, those of the largest.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from anisotropy._util import files, paths
from anisotropy.notebooks import presets
from anisotropy.notebooks.declarations import nearest
from anisotropy.site import explorer, pages, runs
from anisotropy.site.runs import MISSING, Result

NAME, CLAIMS = "index.html", "README.md"
"""The page, and the claims alone as Markdown beside it."""


class NothingToShow(ValueError):
    """There is no result that a report could show."""


def build(
    preset: str = presets.QUICK,
    *,
    output: Path | None = None,
    nad_files: Sequence[Path] = (),
    sweep_files: Sequence[Path] = (),
) -> Path:
    """Write the report of a preset, atomically.

    Args:
        preset: whose results come first; those of larger presets are shown beside them where they are there.
        output: folder that holds one folder per preset; `figures/` of the repository if None.
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
    paths.plain_name(preset, "preset name")
    shown = {preset: runs.collect(base, preset)}
    if all(r.state == MISSING for r in shown[preset]):
        raise NothingToShow(_nothing(base, preset))
    shown |= _larger(base, preset)
    everything = [result for found in shown.values() for result in found]
    data = explorer.data(everything, nad_files, sweep_files)
    target = base / preset / NAME
    text = pages.report(preset, shown, data, target.parent)
    files.write(target, text.encode("utf-8", "replace"))  # JSON can hold characters that no file can
    files.write(target.with_name(CLAIMS), claims_page(preset, shown[preset]).encode("utf-8", "replace"))
    return target


def claims_page(preset: str, found: list[Result]) -> str:
    """The claims of a preset as Markdown, for who reads the repository where it lies."""
    head = (
        f"# Claims, preset `{preset}`\n\nFigures, their numbers and their passports are in the folders beside this file"
    )
    return f"{head}; [what the verdicts mean](../../docs/reader.md).\n\n{runs.verdicts(found)}"


def _nothing(base: Path, preset: str) -> str:
    there = []
    if base.is_dir():
        found = sorted((p.name for p in base.iterdir() if p.is_dir() and p.name != preset), key=runs.rank)
        there = [p for p in found if runs.is_plain(p) and any(r.state != MISSING for r in runs.collect(base, p))]
    known = [*runs.PRESETS, *there]
    hint = "" if preset in known else f" ({nearest(preset, known)})"
    choice = f", or show what is there: make report PRESET={there[0]}" if there else ""
    return (
        f"there are no results of the preset {preset!r}{hint}: make them with `make reproduce PRESET={preset}`{choice}"
    )


def _larger(base: Path, preset: str) -> dict[str, list[Result]]:
    """Results of the project's larger presets, from the same folder or else from those committed."""
    found = {}
    for name in runs.PRESETS:
        if runs.rank(name) <= runs.rank(preset):
            continue
        for folder in (base, _committed()):
            some = runs.collect(folder, name) if folder else []
            if any(r.state != MISSING for r in some):
                found[name] = some
                break
    return found


def _committed() -> Path | None:
    """The repository's figures; None where the notebooks are others than the repository's, or there is none."""
    try:
        root = paths.root()
        return root / "figures" if paths.notebooks().resolve() == (root / "notebooks").resolve() else None
    except FileNotFoundError:
        return None


def after(preset: str, output: Path | None) -> str:
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
    add("--preset", default=presets.QUICK, metavar="P", help="whose results come first: quick (default), laptop, paper")
    add("--output", type=Path, metavar="DIR", help="folder of <preset>/<notebook>/ (default figures/)")
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
