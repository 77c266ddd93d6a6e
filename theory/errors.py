"""The errors that a user of the library is meant to read."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input, told in one sentence that names what is wrong and where; the command line exits with status 2."""


class Unavailable(RuntimeError):
    """Something optional is missing (a package, a GPU): what needs it is skipped, with this reason."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The tail of a sentence about a ``name`` that is not ``known``: ``; the nearest are ...``, empty where none is near."""
    close = difflib.get_close_matches(name, sorted(set(known)), n=3, cutoff=0.5)
    return f"; the nearest are {', '.join(close)}" if close else ""
