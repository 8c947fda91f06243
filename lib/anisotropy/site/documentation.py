"""What the site adds to Sphinx: formulas as MathML, docstrings as they are written here, links to files, alt texts."""

import functools
import posixpath
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from anisotropy._util import paths
from anisotropy.notebooks import declarations
from anisotropy.site import explorer, pages, rendering, runs, statement_pages
from anisotropy.site.articles import Article

FOLDERS = {
    "notebooks": "index", "params": "params", "figures": "figures/README", "figures/laptop": "figures/laptop/README",
    "figures/paper/03_nads": "figures/paper/README", "docs": "docs/index",
}  # fmt: skip
"""Folder of the repository that pages link to -> page of the site that shows what is in it."""

BAR = {
    "Verdicts": "docs/statements", "Articles": "notebooks/00_quickstart", "Results": "figures/laptop/README",
    "Guides": "docs/index", "API": "api/index",
}  # fmt: skip
"""Where the bar of our own pages leads."""

SECTION = re.compile(r"(Args|Attributes|Example|Examples|Raises|Returns|Yields):$")
_CODE = re.compile(r"(``[^`]+``|`[^`]+`)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything with Sphinx."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    app.connect("autodoc-process-docstring", _docstring, priority=400)  # napoleon has 500
    app.connect("doctree-read", _links, priority=400)  # before files to hand out are collected
    app.connect("html-page-context", _own)
    app.add_transform(AltTexts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(str(rendering.math(node.astext())))
    raise nodes.SkipNode


def _display(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math-block">{rendering.math(node.astext(), display=True)}</div>')
    raise nodes.SkipNode


def _docstring(app: Sphinx, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    inline = what in ("attribute", "data", "property")  # of "a: b" napoleon would make a type and a description
    lines[:] = [""] * inline + restructured(lines)


def restructured(lines: list[str]) -> list[str]:
    """A docstring in Google's convention with Markdown's code marks, as reStructuredText that napoleon reads.

    `code` gets two marks, characters that would be mark-up are escaped, and an indented block that belongs to no
    section (a formula, a drawing) stays as it is drawn.

    Example:
        >>> restructured(["Of `x` | y.", "", "    a |b|", "", "Args:", "    x: a*b"])
        ['Of ``x`` \\\\| y.', '', '::', '', '    a |b|', '', 'Args:', '    x: a\\\\*b']
    """
    made: list[str] = []
    section, literal = False, False
    for line in lines:
        indented = line.startswith("    ")
        if line.strip() and not indented:
            section, literal = bool(SECTION.match(line)), False
        if indented and not section:
            if not literal:
                made += ["::", ""] if made and not made[-1].strip() else ["", "::", ""]
                literal = True
            made.append(line)
        elif line.lstrip().startswith((">>>", "...")):
            made.append(line)
        else:
            bullet = line[: len(line) - len(line.lstrip())] + "* " if line.lstrip().startswith("* ") else ""
            made.append(bullet + _escaped(line.removeprefix(bullet)))
    return made


def _escaped(line: str) -> str:
    parts = _CODE.split(line)
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] = f"``{part.strip('`')}``"
        else:
            part = re.sub(r"(?<!\w)\*(\w[^*`]*?\w|\w)\*(?!\w)", "\0\\1\0", part)  # emphasis stays
            part = part.replace("\\", "\\\\").replace("*", "\\*").replace("|", "\\|").replace("\0", "*")
            parts[place] = re.sub(r"(?<=\w)_(?!\w)", r"\\_", part)
    return "".join(parts)


def _links(app: Sphinx, doctree: nodes.document) -> None:
    """Links to folders, modules and tests lead to pages that show them; other files are handed out as they are."""
    here = app.env.docname
    for node in list(doctree.findall(addnodes.pending_xref)):
        if node.get("reftype") == "myst" and (page := FOLDERS.get(_place(here, node["reftarget"]))):
            node["refdomain"], node["reftarget"], node["reftargetid"] = "doc", page, None
    for node in list(doctree.findall(addnodes.download_reference)):
        path = PurePosixPath(_place(here, node["reftarget"]))
        parts = [part for part in path.with_suffix("").parts if part != "__init__"]
        page = "_modules/" + "/".join(parts[1:]) if parts[0] == "lib" else "/".join(parts)
        if path.suffix == ".py" and (parts[0] == "lib" or page in app.env.found_docs):
            link = nodes.reference("", "", internal=True, refuri=app.builder.get_relative_uri(here, page))
            link += node.children
            node.replace_self(link)


def _place(page: str, target: str) -> str:
    """Path in the repository of what a page links to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), target))


def _own(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> str | None:
    """The first page and those of results have bodies of our own, in a frame without a side bar."""
    committed = re.fullmatch(r"figures/(?:([^/]+)/README|claims)", page)
    figures = paths.committed()

    def link(name: str, heading: str = "") -> str:
        anchor = _anchors(app, name).get(heading) if heading else None
        return app.builder.get_relative_uri(page, name) + (f"#{anchor}" if anchor else "")

    if page == app.config.root_doc:
        found = [result for preset in runs.PRESETS[1:] for result in runs.collect(figures, preset)]
        articles = [Article.read(declarations.source(name)) for name in declarations.available()]
        body = pages.first_page(statement_pages.judged(), explorer.data(found), articles, link)
    elif committed:
        preset = committed[1] or paths.READING
        from_here = [name for name in runs.PRESETS if runs.rank(name) >= runs.rank(preset)]
        shown = {name: runs.collect(figures, name) for name in from_here}
        shown = {name: some for name, some in shown.items() if any(r.state != runs.MISSING for r in some)}
        to_article = functools.partial(_to_article, link)
        body = pages.results_page(preset, shown, paths.of_preset(figures, preset), to_article)
    else:
        return None
    context["own_body"], context["bar"] = body, BAR
    return "frame.html"


def _to_article(link: Callable[..., str], name: str, heading: str) -> str:
    return link(f"notebooks/{name}", heading)


def _anchors(app: Sphinx, page: str) -> dict[str, str]:
    """Heading -> id of its section, of a page as it is now: results may be those of an earlier notebook."""
    sections = app.env.get_doctree(page).findall(nodes.section) if page in app.env.found_docs else ()
    return {section.next_node(nodes.title).astext(): section["ids"][0] for section in sections}


class AltTexts(SphinxTransform):
    """A picture that a notebook drew is described by the section that it stands in."""

    default_priority = 900

    def apply(self, **_: Any) -> None:
        """Describe every picture that has no description."""
        for image in self.document.findall(nodes.image):
            if not image.get("alt"):
                image["alt"] = f"Figure of the section “{_heading(image)}”; the text beside it says what it shows"


def _heading(node: nodes.Node) -> str:
    while node is not None and not isinstance(node, nodes.section):
        node = node.parent
    title = node.next_node(nodes.title) if node is not None else None
    return title.astext() if title is not None else "page"
