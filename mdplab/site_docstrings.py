"""Docstrings as the site shows them: their mathematics typeset, references by name."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

from theory.claims.typesetting import mathml


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
        lambda m: f"\n{mathml(' '.join(m[1].split()))}\n",
        text,
        flags=re.MULTILINE,
    )
    text = re.sub(r":math:`([^`]+)`", lambda m: str(mathml(" ".join(m[1].split()), display=False)), text)
    return re.sub(r":\w+:`~?(?:[\w.]*\.)?([^`]+)`", r"`\1`", text)
