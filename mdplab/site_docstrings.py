"""Docstrings and notebooks as the site shows them: their mathematics typeset, references by name."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

from theory.claims.typesetting import formula, mathml


class Typeset(Extension):
    """An extension of griffe that rewrites every docstring to Markdown with MathML."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """A docstring with ``:math:`` roles and ``.. math::`` blocks as MathML, and other roles as code."""
    text = re.sub(
        r"^\.\. math::(.*(?:\n(?:[ \t]+.*|(?=\n[ \t])))*)",
        lambda m: f"\n{formula(m[1])}\n",
        text,
        flags=re.MULTILINE,
    )
    text = re.sub(r":math:`([^`]+)`", lambda m: str(mathml(" ".join(m[1].split()), display=False)), text)
    return re.sub(r":\w+:`~?(?:[\w.]*\.)?([^`]+)`", r"`\1`", text)


# What is no mathematics in a notebook's Markdown: fenced blocks, code, indented blocks; then displays and inline formulae.
_NOTEBOOK = re.compile(
    r"(?P<code>^```.*?^```|`[^`\n]+`|^ {4}[^\n]*$)|\$\$(?P<display>.+?)\$\$|\$(?P<inline>[^$\n]+?)\$", re.DOTALL | re.MULTILINE
)


def typeset_notebook(text: str) -> str:
    """A notebook's Markdown with what stands between dollar signs, outside code, as MathML."""
    return _NOTEBOOK.sub(_typeset, text)


def _typeset(found: re.Match[str]) -> str:
    if found["code"] is not None:
        return found[0]
    if found["display"] is not None:
        return str(formula(found["display"]))
    made = str(mathml(" ".join(found["inline"].split()), display=False))
    return re.sub(r"[*_\[\]|]", lambda m: f"&#{ord(m[0])};", made)  # which Markdown would take for its own
