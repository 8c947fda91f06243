"""Formulas as MathML, which browsers draw without a script or a network, and pictures as text within a page.

What formulas and pictures are made from is material from elsewhere: only a few elements of MathML pass.
"""

import base64
import html
import io
import re
from xml.etree import ElementTree

from latex2mathml.converter import convert_to_element
from markupsafe import Markup
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

_TAG = re.compile(r"\\tag\*?\s*\{([^{}]*)\}")


class Unreadable(ValueError):
    """A file that is not what it should be: cut short, altered, or of another kind."""


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
