"""Executed notebooks as parts of an HTML page that asks no network for anything: formulas as MathML, pictures inline.

Notebooks are material from elsewhere. Raw HTML in them is shown as text, HTML outputs give way to their plain text,
pictures from other places to their description, and only a few elements of MathML pass.
"""

import base64
import binascii
import html
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from latex2mathml.converter import convert_to_element
from markupsafe import Markup, escape
from nbconvert.filters import ansi2html, highlight
from nbconvert.filters.markdown_mistune import InvalidNotebook, IPythonRenderer, MarkdownWithMath
from PIL import Image

MATHML = {
    "math", "mrow", "mi", "mo", "mn", "mtext", "mspace", "msub", "msup", "msubsup", "munder", "mover", "munderover",
    "mfrac", "msqrt", "mroot", "mtable", "mtr", "mtd", "mstyle", "mpadded", "mphantom", "menclose", "mlabeledtr",
}  # fmt: skip
"""Elements of MathML that formulas may consist of; none of them loads or runs anything."""

ATTRIBUTES = {
    "accent", "accentunder", "columnalign", "depth", "display", "displaystyle", "fence", "form", "height",
    "largeop", "linethickness", "lspace", "mathvariant", "maxsize", "minsize", "movablelimits", "notation", "rspace",
    "scriptlevel", "separator", "stretchy", "symmetric", "voffset", "width",
}  # fmt: skip
"""Attributes that they may have."""


def _alphabet(first: dict[str, int], elsewhere: str = "") -> dict[int, int]:
    """Letters -> mathematical letters of a style, which browsers draw where they ignore `mathvariant`.

    Args:
        first: for "A", "a", "α" and "0", the code point of the first of their letters.
        elsewhere: pairs of a letter and its symbol, where Unicode had it before the others.
    """
    lengths = {"A": 26, "a": 26, "α": 25, "0": 10}
    table = {ord(start) + i: code + i for start, code in first.items() for i in range(lengths[start])}
    return table | {ord(letter): ord(symbol) for letter, symbol in zip(elsewhere[::2], elsewhere[1::2], strict=True)}


_ALPHABETS = {
    "bold": _alphabet({"A": 0x1D400, "a": 0x1D41A, "α": 0x1D6C2, "0": 0x1D7CE}),
    "bold-italic": _alphabet({"A": 0x1D468, "a": 0x1D482, "α": 0x1D736}),
    "script": _alphabet({"A": 0x1D49C, "a": 0x1D4B6}, "BℬEℰFℱHℋIℐLℒMℳRℛeℯgℊoℴ"),
    "double-struck": _alphabet({"A": 0x1D538, "a": 0x1D552, "0": 0x1D7D8}, "CℂHℍNℕPℙQℚRℝZℤ"),
}

_PLAIN = re.compile(r'<span class="(?!(?:k|kn|kc|kd|ow|s1|s2|sa|sd|se|si|mi|mf|c1|ch)")[a-z0-9]+">([^<]*)</span>')
"""Pieces of code that the style sheet gives no colour: a third of the notebooks' text would be their mark-up."""

_TAG = re.compile(r"\\tag\*?\s*\{([^{}]*)\}")
_SAVED = re.compile(r"""\.save\(\s*[^,()]+,\s*(["'])([A-Za-z0-9][A-Za-z0-9_.-]*)\1""")


class Unreadable(ValueError):
    """A file that is not what it should be: cut short, altered, or of another kind."""


@dataclass
class Notebook:
    """A notebook ready for the page.

    Attributes:
        title: its first heading, without markup.
        body: cells as HTML; ids begin with the notebook's prefix.
        check: id of the heading under which claims are checked, or of the notebook itself.
        places: name of a saved figure -> (id of the cell that saves it, the heading above).
    """

    title: str
    body: Markup
    check: str
    places: dict[str, tuple[str, str]] = field(default_factory=dict)


def math(latex: str, *, display: bool = False) -> Markup:
    r"""Formula as MathML, or its LaTeX source in `<code>` where that cannot be converted.

    The converter unescapes what it was given, so that ``\text{<script>}`` would become an element; the tree is
    therefore checked and written out here.

    Args:
        latex: source between the dollars.
        display: a formula on a line of its own; ``\tag{n}`` then becomes a number at its right.
    """
    tag = _TAG.search(latex)
    try:
        tree = convert_to_element(_TAG.sub("", latex).strip(), display="block" if display else "inline")
        for element in tree.iter():
            if element.tag not in MATHML:
                raise ValueError(f"unexpected element {element.tag!r}")
            element.text = html.unescape(element.text) if element.text else element.text
            element.tail = html.unescape(element.tail) if element.tail else element.tail
            element.attrib = {k: v for k, v in element.attrib.items() if k in ATTRIBUTES}
            if element.text and element.attrib.get("mathvariant") in _ALPHABETS:
                element.text = element.text.translate(_ALPHABETS[element.attrib.pop("mathvariant")])
        written = Markup(ElementTree.tostring(tree, encoding="unicode"))
    except Exception:  # whatever the converter raises, a formula that it does not know must not lose the page
        return Markup('<code class="latex">{}</code>').format(latex.strip())
    if not display:
        return written
    number = Markup('<span class="eq-number">({})</span>').format(tag[1]) if tag else ""
    return Markup('<span class="formula" tabindex="0">{}{}</span>').format(written, number)


class _Renderer(IPythonRenderer):
    """Markdown with ids that begin with a prefix, formulas as MathML, and links only to places that are safe."""

    def __init__(self, prefix: str, attachments: dict | None = None):
        super().__init__(escape=True, allow_harmful_protocols=False, attachments=attachments)
        self.prefix = prefix
        self.ids: dict[str, int] = {}
        self.headings: list[tuple[int, str, str]] = []  # of the last cell: level, id, text

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        """A heading, two levels down, since the page has its own above it."""
        plain = re.sub(r"<[^>]*>", "", text)
        slug = re.sub(r"[^a-z0-9]+", "-", html.unescape(plain).lower()).strip("-") or "section"
        count = self.ids[slug] = self.ids.get(slug, 0) + 1
        name = f"{self.prefix}-{slug}" + (f"-{count}" if count > 1 else "")
        self.headings.append((level, name, html.unescape(plain)))
        shown = min(level + 2, 6)
        return f'<h{shown} id="{escape(name)}">{text}</h{shown}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """A link to the web, to another notebook of the page, or, where it leads elsewhere, its text."""
        if re.match(r"(https?://|mailto:)", url, re.IGNORECASE):
            return f'<a href="{escape(url)}" rel="noopener noreferrer">{text}</a>'
        other = re.fullmatch(r"(?:[\w.-]+/)*([A-Za-z0-9][\w.-]*)\.ipynb(?:#.*)?", url)
        return f'<a href="#nb-{escape(other[1])}">{text}</a>' if other else f"<span>{text}</span>"

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """An attached picture; one from elsewhere would ask the network for it, and gives its description."""
        if url.startswith("attachment:"):
            url = self._embed_image_or_attachment(url)
        found = re.fullmatch(r"data:image/(png|jpeg);base64,([A-Za-z0-9+/=\s]+)", url)
        if found:
            try:
                source, width, height = picture(base64.b64decode(found[2]))
                return f'<img src="{source}" width="{width}" height="{height}" alt="{escape(html.unescape(text))}">'
            except (Unreadable, binascii.Error):
                pass
        return f"<em>[picture: {text}]</em>"

    def block_math(self, body: str) -> str:
        """A formula between double dollars."""
        return str(math(body, display=True))

    def multiline_math(self, text: str) -> str:
        """The same, in an older version of the parser."""
        return str(math(text.strip("$"), display=True))

    def latex_environment(self, name: str, body: str) -> str:
        """A formula in an environment of its own, such as align."""
        return str(math(f"\\begin{{{name}}}{body}\\end{{{name}}}", display=True))

    def inline_math(self, body: str) -> str:
        """A formula between dollars."""
        return str(math(body))


def markdown(source: str, renderer: _Renderer | None = None) -> Markup:
    """Markdown with formulas as HTML; what cannot be rendered is shown as it was written."""
    renderer = renderer or _Renderer("text")
    try:
        written = MarkdownWithMath(renderer=renderer).render(source)
    except InvalidNotebook:
        return Markup("<pre>{}</pre>").format(source)
    tables = '<div class="scroll" tabindex="0" role="group" aria-label="table"><table>'
    return Markup(written.replace("<table>", tables).replace("</table>", "</table></div>"))


def picture(data: bytes) -> tuple[str, int, int]:
    """A picture as data URI, without loss and as small as can be, with its width and height in pixels.

    Args:
        data: PNG or JPEG file.

    Raises:
        Unreadable: it is no such file, or cut short.
    """
    try:
        opened = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
        kind = opened.format.lower()
        opened.load()
        candidates = [(len(data), kind, data)]
        if kind == "png":
            stream = io.BytesIO()
            opened.save(stream, "WEBP", lossless=True, quality=80, method=4)
            candidates.append((len(stream.getvalue()), "webp", stream.getvalue()))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Unreadable(f"no picture that can be read: {error}") from error
    _, kind, smallest = min(candidates)
    return f"data:image/{kind};base64,{base64.b64encode(smallest).decode()}", *opened.size


def notebook(path: Path, name: str) -> Notebook:
    """Render an executed notebook.

    Args:
        path: the file.
        name: of the notebook, without suffix: ids begin with `nb-<name>`.

    Raises:
        Unreadable: the file is not a notebook.
    """
    cells = _cells(path)
    prefix = f"nb-{name}"
    renderer = _Renderer(prefix)
    title, check, heading, parts, places = "", prefix, name, [], {}
    for number, cell in enumerate(cells):
        anchor = f"{prefix}-cell-{number}"
        source = _text(cell.get("source", ""))
        if cell.get("cell_type") == "markdown":
            attached = cell.get("attachments")
            renderer.attachments = attached if isinstance(attached, dict) else {}
            renderer.headings = []
            body = markdown(source, renderer)
            for level, identity, text in renderer.headings:
                if not title and level == 1:
                    title = text
                    body = Markup(re.sub(r"\s*<h3[^>]*>.*?</h3>", "", body, count=1, flags=re.DOTALL))
                elif re.match(r"check\b", text, re.IGNORECASE):
                    check = identity
                heading = text if level > 1 else heading
            parts.append(Markup('<div class="cell prose" id="{}">{}</div>').format(anchor, body))
        elif cell.get("cell_type") == "code":
            for found in _SAVED.finditer(source):
                places.setdefault(found[2], (anchor, heading))
            parts.append(_code(cell, source, anchor, heading))
    return Notebook(title or name, Markup("\n").join(parts), check, places)


def _cells(path: Path) -> list[dict]:
    try:
        read = json.loads(Path(path).read_text(encoding="utf-8"))
        cells = read["cells"]
        if not isinstance(cells, list) or not all(isinstance(c, dict) for c in cells):
            raise TypeError("its cells are no list of cells")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unreadable(f"{Path(path).name} is not a notebook that can be read: {error}") from error
    return cells


def _text(value: Any) -> str:
    """Text of a notebook's field, which may be in lines."""
    if isinstance(value, list):
        return "".join(v for v in value if isinstance(v, str))
    return value if isinstance(value, str) else ""


def _code(cell: dict, source: str, anchor: str, heading: str) -> Markup:
    count = cell.get("execution_count")
    label = f"In [{count if isinstance(count, int) else ' '}]"
    outputs = cell.get("outputs")
    shown = [_output(o, heading) for o in outputs if isinstance(o, dict)] if isinstance(outputs, list) else []
    if not source.strip() and not shown:
        return Markup("")
    coloured = Markup(_PLAIN.sub(r"\1", highlight.Highlight2HTML(pygments_lexer="ipython3")(source)))
    return Markup(
        '<div class="cell code" id="{}"><div class="input" tabindex="0" role="group" aria-label="code {}">'
        "{}</div>{}</div>"
    ).format(anchor, label, coloured, Markup("").join(shown))


def _output(output: dict, heading: str) -> Markup:
    kind = output.get("output_type")
    if kind == "stream":
        stream = "stderr" if output.get("name") == "stderr" else "stdout"
        return _pre(_text(output.get("text")), stream)
    if kind == "error":
        lines = output.get("traceback")
        text = "\n".join(v for v in lines if isinstance(v, str)) if isinstance(lines, list) else ""
        return _pre(text or f"{output.get('ename')}: {output.get('evalue')}", "error")
    data = output.get("data")
    if not isinstance(data, dict):
        return Markup("")
    for mime in ("image/png", "image/jpeg"):
        if mime in data:
            try:
                source, width, height = picture(base64.b64decode(_text(data[mime])))
            except (Unreadable, binascii.Error) as error:
                return _pre(str(error), "error")
            alt = f"Figure of the section “{heading}”; its numbers are beside its file in the figures above"
            return Markup(
                '<div class="output"><img src="{}" width="{}" height="{}" alt="{}" loading="lazy"></div>'
            ).format(Markup(source), width, height, alt)
    if "text/latex" in data:
        latex = _text(data["text/latex"]).strip()
        latex = re.sub(r"^\\displaystyle\b", "", latex.strip("$").strip())
        return Markup('<div class="output">{}</div>').format(math(latex, display=True))
    if "text/markdown" in data:
        return Markup('<div class="output prose">{}</div>').format(markdown(_text(data["text/markdown"])))
    return _pre(_text(data.get("text/plain")), "stdout")


def _pre(text: str, kind: str) -> Markup:
    if not text.strip():
        return Markup("")
    return Markup('<pre class="output {}" tabindex="0">{}</pre>').format(kind, Markup(ansi2html(text.rstrip())))
