"""Options written on a command line: ``name:key=value,key=value``."""

from __future__ import annotations

import ast
import re
from typing import Any

from mdplab.models.errors import ModelError

_NEXT = re.compile(r",(?=\s*[A-Za-z_]\w*\s*=)")  # a comma that opens a new option, not one inside a tuple
_WORDS = {"true": True, "false": False, "none": None}


def split_options(text: str) -> tuple[str, dict[str, Any]]:
    """The name before the first colon and its options: Python literals where they are, else strings.

    ``"FrozenLake-v1:map_name=8x8,is_slippery=false"`` gives ``("FrozenLake-v1", {"map_name": "8x8", "is_slippery": False})``.
    """
    name, colon, rest = text.partition(":")
    options: dict[str, Any] = {}
    if colon and not rest.strip():
        raise ModelError(f"{text!r} ends where its options should begin; they are written name:key=value,key=value.")
    for part in _NEXT.split(rest) if rest else ():
        key, equals, value = part.partition("=")
        if not equals or not key.strip().isidentifier():
            raise ModelError(f"the option {part.strip()!r} of {text!r} is not of the form key=value.")
        if key.strip() in options:
            raise ModelError(f"the option {key.strip()!r} of {text!r} is given twice.")
        options[key.strip()] = _value(value.strip())
    return name.strip(), options


def _value(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
