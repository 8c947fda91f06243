"""The site: Sphinx over the staged sources, into one folder that opens from disk without a network."""

import io
import shutil
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from anisotropy._util import paths
from anisotropy.site import staging
from anisotropy.site.runs import PASSPORT


class NotBuilt(ValueError):
    """Sphinx refused a page, or warned of one."""


def build(output: Path | None = None, *, strict: bool = True) -> Path:
    """Build the site.

    Args:
        output: folder that it goes to, `site/` of the repository if None; files of an earlier build are replaced.
        strict: whether a warning is an error.

    Returns:
        Path of its first page.

    Raises:
        NotBuilt: Sphinx's warnings.
        FileNotFoundError: there is no checkout.
    """
    from sphinx.cmd.build import main  # an extra, and slow to load

    target = Path(output).absolute() if output else paths.root() / "site"
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder, "sources")
        staging.stage(sources)
        options = ["-b", "html", "-q", "-j", "2", "-c", str(paths.root() / "docs"), "-d", str(Path(folder, "doctrees"))]
        options += ["-W", "--keep-going"] if strict else []
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            status = main([*options, str(sources), str(target)])
        if status:
            complaints = said.getvalue().replace(f"{sources}/", "")
            raise NotBuilt(f"the site could not be built; Sphinx says:\n{complaints}")
    _numbers(paths.root() / "figures", target / "figures")
    return target / "index.html"


def _numbers(figures: Path, target: Path) -> None:
    """Lay the numbers behind the committed figures where the pages of results link to them."""
    for passport in (*figures.glob(f"*/*{PASSPORT}"), *figures.glob(f"*/*/*{PASSPORT}")):
        for suffix in ("json", "csv"):
            path = passport.with_name(passport.name.removesuffix(PASSPORT) + f".{suffix}")
            if path.is_file():
                goes_to = target / path.relative_to(figures)
                goes_to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, goes_to)
