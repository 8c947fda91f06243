"""A notebook as other pages refer to it: its title, and the headings under which its figures and checks stand."""

import re
from dataclasses import dataclass
from pathlib import Path

from anisotropy.notebooks import declarations, figure_index
from anisotropy.site.rendering import Unreadable


@dataclass(frozen=True)
class Article:
    """A notebook as other pages refer to it.

    Attributes:
        name: without suffix.
        title: its first heading.
        headings: name of a figure -> heading of the section that draws it, in the order of the notebook.
        check: heading under which claims are checked, None where there is none.
    """

    name: str
    title: str
    headings: dict[str, str]
    check: str | None

    @classmethod
    def read(cls, path: Path) -> "Article":
        """Read a notebook.

        Raises:
            Unreadable: it is none.
        """
        try:
            cells = declarations.read(path)["cells"]
            found = figure_index.figures(path)
        except (OSError, ValueError, KeyError, TypeError, SyntaxError, IndexError, RecursionError) as error:
            raise Unreadable(f"{path.name} is not a notebook that can be read: {error}") from error
        text = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
        titles = re.findall(r"^# +(.+)$", text, re.MULTILINE)
        checks = re.findall(r"^##+ +(Check\b.*)$", text, re.MULTILINE)
        headings = {figure.name: figure.section for figure in found}
        return cls(path.stem, titles[0] if titles else path.stem, headings, checks[0] if checks else None)
