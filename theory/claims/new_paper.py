"""A check file to begin with: it runs as it is written, and says where one's own statement goes."""

from __future__ import annotations

import datetime
import keyword
import re
from pathlib import Path

from theory.errors import InputError

TEMPLATE = "new_paper.py.j2"


def write_new_paper(key: str, folder: Path, *, title: str, authors: str, theme: str) -> Path:
    """Write ``folder/test_<key>.py`` with one claim and its control, and return its path.

    ``key`` begins the ids of the paper's claims: lower-case letters, digits and hyphens. Raises :class:`InputError` for another
    key, for text that does not fit a line of Python, where the file exists already, and where it cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", key) or keyword.iskeyword(key):
        raise InputError(f"the key of a paper is made of a-z, 0-9 and single hyphens and begins with a letter, not {key!r}.")
    for name, text in (("title", title), ("authors", authors), ("theme", theme)):
        if not text.strip() or re.search(r'["\\\n]', text):
            raise InputError(f"the {name} of a paper is a line of text without quotation marks and backslashes, not {text!r}.")
    path = folder / f"test_{key.replace('-', '_')}.py"
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    year = datetime.date.today().year
    text = environment.get_template(TEMPLATE).render(key=key, title=title, authors=authors, theme=theme, year=year)
    if path.exists():
        raise InputError(f"{path} exists already; it is left as it is.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
    return path
