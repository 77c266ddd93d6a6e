"""LaTeX statements and plain docstrings as HTML: MathML made when the page is built, so that no script and no network is needed."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Container
from xml.etree import ElementTree

from latex2mathml.converter import convert
from latex2mathml.symbols_parser import convert_symbol
from markupsafe import Markup, escape

FUNCTIONS = frozenset(
    ("arccos", "arcsin", "arctan", "arg", "cos", "cosh", "det", "dim", "exp", "lg", "ln", "log", "sin", "sinh", "tan", "tanh")
)
LIMITS = frozenset(("max", "min", "sup", "inf", "lim", "arg\u2009max", "arg\u2009min", "lim\u2009sup", "lim\u2009inf", "Pr"))
OPENING = frozenset("([{|\u2016\u27e8\u2308\u230a")
FENCES = OPENING | frozenset(")]}\u27e9\u2309\u230b")
FONTS = r"mathrm|mathbb|mathcal|mathbf|mathsf|operatorname\*?|text|textit|texttt|mathit"
THIN_SPACE = "0.167em"

# Between text and mathematics a docstring knows roles, literals and names in single backquotes.
_MARKED = re.compile(r":math:`(?P<math>[^`]+)`|``(?P<literal>.+?)``|(?:(?::\w+)+:)?`(?P<name>[^`]+)`", re.DOTALL)
# A name such as map_name keeps its underscore: a subscript hangs on one letter, a Greek one spelt out, max or the like.
_SUBSCRIPT = re.compile(
    r"(?<![\w.])([^\W\d_]|pi|mu|nu|eta|tau|rho|phi|psi|KL|TV|max|min|sup|inf|sum|[^\W\d_]+(?=_\{))_(\{[^{}]*\}|[^\W_]+)(?!\w)"
)
_SUPERSCRIPT = re.compile(r"\^(\{[^{}]*\}|\([^()]*\)|[-+]?(?:\d+(?:\.\d+)?|\w+)|\*)")
# Greek letters spelt out in running text (not within a name such as beta-greedy or softmax_tau).
_GREEK = re.compile(
    r"(?<![\w\\-])(?i:(alpha|beta|gamma|delta|eps|epsilon|eta|theta|kappa|lambda|mu|nu|xi|rho|sigma|tau|phi|psi|omega|pi))(?![a-zA-Z-])"
)
_SHORT = {"eps": "epsilon"}


@functools.lru_cache(maxsize=4096)
def mathml(latex: str, *, display: bool = True) -> Markup:
    """``latex`` (without dollar signs) as a MathML element; the LaTeX itself, as code, where it cannot be typeset."""
    latex = latex.replace("{aligned}", "{align*}")  # which the converter knows, and shows the same
    try:
        text = convert(re.sub(r"\\arg\s*\\(max|min)(?![A-Za-z])", r"\\arg\1", latex), display="block" if display else "inline")
        root = ElementTree.fromstring(text.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', ""))
        _mend(root, display)
    except Exception:  # the converter raises errors of many types, from its own to IndexError
        return Markup('<code class="tex">{}</code>').format(latex)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def formula(latex: str) -> Markup:
    """Displayed ``latex`` in a block that scrolls where it is wider than the page."""
    return Markup('<div class="formula">{}</div>').format(mathml(" ".join(latex.split())))


def typeset(latex: str) -> bool:
    """Whether :func:`mathml` can typeset ``latex``."""
    return not mathml(latex).startswith("<code")


def _mend(node: ElementTree.Element, display: bool) -> None:
    """What the converter leaves undone: upright words in one piece, limits below, the space around functions."""
    for child in node:
        _mend(child, display)
    text = node.text or ""
    if text.startswith("\\"):
        symbol = convert_symbol(text)
        if text[1:] in FUNCTIONS:
            node.text = text[1:]
        elif symbol is None:
            raise ValueError(text)
        else:
            node.text = chr(int(symbol, 16))
    if node.tag == "mi" and len(text) == 1 and ("\u2190" <= text <= "\u21ff" or "\u27f0" <= text <= "\u27ff"):
        node.tag = "mo"  # an arrow is a relation
    if node.tag == "mo" and node.text in FENCES:
        node.set("lspace", "0")  # a bar is no relation here, whatever stands beside it
        node.set("rspace", "0")
    if node.tag == "mo" and node.text in LIMITS:
        node.set("lspace", "0.1em")
        node.set("rspace", THIN_SPACE)
    if display and node.tag in ("msub", "msubsup") and node[0].tag == "mo" and node[0].text in LIMITS:
        node.tag = node.tag.replace("sub", "under").replace("sup", "over")
    children = list(node)
    if node.tag in ("mrow", "math", "mstyle", "mtd") and children:
        node[:] = _spaced(_joined(children))


def _joined(children: list[ElementTree.Element]) -> list[ElementTree.Element]:
    """Runs of upright letters as one identifier."""
    kept: list[ElementTree.Element] = []
    for child in children:
        upright = child.tag == "mi" and child.get("mathvariant") == "normal"
        if upright and kept and kept[-1].tag == "mi" and kept[-1].get("upright"):
            kept[-1].text = (kept[-1].text or "") + (child.text or "")
            kept[-1].attrib.pop("mathvariant", None)  # of several letters is upright by itself
            continue
        if upright:
            child.set("upright", "1")
        kept.append(child)
    for child in kept:
        child.attrib.pop("upright", None)
    return kept


def _spaced(children: list[ElementTree.Element]) -> list[ElementTree.Element]:
    """A thin space between a function such as ln and its neighbours, unless they are operators or parentheses."""
    kept: list[ElementTree.Element] = []
    for i, child in enumerate(children):
        function = child.tag == "mi" and child.text in FUNCTIONS
        if function and kept and kept[-1].tag not in ("mo", "mspace"):
            kept.append(ElementTree.Element("mspace", width=THIN_SPACE))
        kept.append(child)
        if function and i + 1 < len(children):
            after = children[i + 1]
            if not (after.tag == "mspace" or (after.tag == "mo" and (after.text or "") in OPENING) or after.tag == "mrow"):
                kept.append(ElementTree.Element("mspace", width=THIN_SPACE))
    return kept


def prose(text: str, known: Container[str] = (), link: Callable[[str], str] = "#{}".format) -> Markup:
    """One run of text as HTML.

    ``:math:`...``` is typeset, double backquotes are code, a name in single backquotes is a link (``link(name)``) if it is
    ``known`` and code if not; a sprinkling of LaTeX (``\\beta \\le 1``), Greek letters spelt out, subscripts and powers are
    written with the characters for them.
    """
    parts: list[Markup] = []
    end = 0
    for found in _MARKED.finditer(text):
        parts.append(_plain(text[end : found.start()]))
        end = found.end()
        if found["math"] is not None:
            parts.append(mathml(" ".join(found["math"].split()), display=False))
        elif found["literal"] is not None:
            parts.append(Markup("<code>{}</code>").format(found["literal"]))
        elif found["name"] in known:
            parts.append(Markup('<a href="{}">{}</a>').format(link(found["name"]), found["name"]))
        else:
            parts.append(Markup("<code>{}</code>").format(found["name"].lstrip("~")))
    parts.append(_plain(text[end:]))
    return Markup("").join(parts)


def _plain(text: str) -> Markup:
    if "\\" in text:
        text = re.sub(rf"\\(?:{FONTS})\s*\{{([^{{}}]*)\}}", r"\1", text)
        text = re.sub(r"\\sqrt\s*\{([^{}]*)\}", r"√(\1)", text)
        text = re.sub(r"\\[,;:!]", " ", text)
        text = re.sub(r"\\([A-Za-z]+)", _symbol, text)
    text = _GREEK.sub(_letter, text)
    html = str(escape(text))
    html = _SUBSCRIPT.sub(lambda m: f"{m[1]}<sub>{_bare(m[2])}</sub>", html)
    html = _SUPERSCRIPT.sub(lambda m: f"<sup>{_bare(m[1])}</sup>", html)
    return Markup(html)


def _symbol(found: re.Match[str]) -> str:
    code = convert_symbol(found[0])
    return found[1] if code is None else chr(int(code, 16))


def _letter(found: re.Match[str]) -> str:
    word = found[1].lower()
    size = "CAPITAL" if found[1][0].isupper() else "SMALL"
    name = {"lambda": "lamda"}.get(word, _SHORT.get(word, word))  # as Unicode spells it
    return unicodedata.lookup(f"GREEK {size} LETTER {name.upper()}")


def _bare(script: str) -> str:
    return script[1:-1] if script[0] in "{(" else script


def paragraphs(text: str, known: Container[str] = ()) -> Markup:
    """A docstring's paragraphs as HTML: text, lists, ``.. math::`` displays and indented blocks."""
    made: list[Markup] = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if not block.strip():
            continue
        lines = block.splitlines()
        if lines[0].startswith(".. math::"):
            made.append(formula(" ".join([lines[0].removeprefix(".. math::"), *lines[1:]])))
        elif all(line.startswith("    ") for line in lines):
            made.append(Markup("<pre>{}</pre>").format("\n".join(line[4:] for line in lines)))
        elif re.match(r"[-*] ", lines[0]):
            items = [" ".join(item.split()) for item in re.split(r"(?m)^[-*] ", block) if item.strip()]
            made.append(
                Markup("<ul>{}</ul>").format(Markup("").join(Markup("<li>{}</li>").format(prose(i, known)) for i in items))
            )
        else:
            made.append(Markup("<p>{}</p>").format(prose(" ".join(block.split()), known)))
    return Markup("\n").join(made)
