"""The site: `python -m anisotropy site [--output DIR]`, what `make site` calls."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from anisotropy._util import files
from anisotropy.site import building


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 built, 1 refused by Sphinx, 2 not written."""
    parser = argparse.ArgumentParser(
        prog="python -m anisotropy site",
        description="Build the site: verdicts, explorer, articles, guides and API, in one folder that opens from disk.",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="where it goes (default site/)")
    chosen = parser.parse_args(arguments)
    begun = time.monotonic()
    try:
        written = building.build(chosen.output)
    except building.NotBuilt as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.strerror or error}: {error.filename or ''}{files.advice(error)}", file=sys.stderr)
        return 2
    size = sum(path.stat().st_size for path in written.parent.rglob("*") if path.is_file())
    print(f"{written} ({size / 1e6:.0f} MB, {time.monotonic() - begun:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
