"""The figures of the repository: what there is, drawing them, and a page that shows them with their captions.

Each script in ``figures/`` draws one figure; its docstring is the caption and names the claims that the figure shows.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from theory.claims.ledger import write_whole
from theory.claims.typesetting import paragraphs
from theory.errors import InputError, Unavailable, nearest

SCRIPTS = Path(__file__).parent.parent / "figures"
TEMPLATE = "gallery.html.j2"
QUICK = "quick size"  # what _style.save writes into a picture that is drawn in that size


class FigureError(RuntimeError):
    """A script that draws a figure failed; the message ends with its last words."""


@dataclass(frozen=True)
class Figure:
    """A figure by its name, with its caption and the script that draws it."""

    name: str
    caption: str
    script: Path

    @property
    def headline(self) -> str:
        """The first paragraph of the caption, in one line."""
        return " ".join(self.caption.split("\n\n")[0].split())

    def title(self, drawn: Path) -> str:
        """The name, and a warning if the picture in the folder ``drawn`` has the quick size."""
        head = (drawn / f"{self.name}.svg").read_text(encoding="utf-8")[:2000]
        quick = f"<dc:description>{QUICK}</dc:description>" in head
        return f"{self.name} ({QUICK}: fewer and smaller runs than the caption says)" if quick else self.name


def figures(folder: Path | None = None) -> dict[str, Figure]:
    """The figures of the repository by name. Raises :class:`Unavailable` where the scripts are not installed."""
    folder = SCRIPTS if folder is None else folder
    if not folder.is_dir():
        raise Unavailable(f"the scripts of the figures are in the repository; there is no folder {folder}.")
    found = {}
    for script in sorted(folder.glob("[a-z]*.py")):
        caption = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
        found[script.stem] = Figure(script.stem, caption or "", script)
    return found


def select(known: dict[str, Figure], names: Sequence[str]) -> list[Figure]:
    """The figures called ``names``; all of them if there are none. Raises :class:`InputError` for a name that is none."""
    for name in names:
        if name not in known:
            raise InputError(f"there is no figure {name!r}{nearest(name, known)}.")
    return [known[name] for name in dict.fromkeys(names)] or [*known.values()]


def draw(figure: Figure, out: Path, *, quick: bool = False, studies: Path | None = None) -> str:
    """Run the script, which writes ``<name>.svg`` and ``<name>.png`` to ``out``, and return what it says on standard error.

    ``quick`` draws it in the quick size. ``studies`` is the folder of stored studies, ``studies`` if left out; where a figure's
    study is finished there, it is read, and else computed, to the same bytes. Raises :class:`FigureError` if the script fails.
    """
    chosen = {"MDPLAB_FIGURE_SIZE": "quick" if quick else "full"} | (
        {} if studies is None else {"MDPLAB_STUDIES": str(studies)}
    )
    command = [sys.executable, str(figure.script), str(out.resolve())]
    done = subprocess.run(command, env=os.environ | chosen, capture_output=True, text=True, check=False)
    said = done.stderr.strip()
    if done.returncode:
        raise FigureError(f"the figure {figure.name} could not be drawn: {(said or 'it said nothing').splitlines()[-1]}")
    return said


def draw_all(
    chosen: Sequence[Figure], out: Path, jobs: int = 1, *, quick: bool = False, studies: Path | None = None
) -> Iterator[tuple[Figure, str]]:
    """Draw the figures as :func:`draw` does, ``jobs`` at a time, and yield each when it is written, with what its script said."""
    from joblib import Parallel, delayed

    out.mkdir(parents=True, exist_ok=True)

    def one(figure: Figure) -> tuple[Figure, str]:
        return figure, draw(figure, out, quick=quick, studies=studies)

    yield from Parallel(n_jobs=jobs, backend="threading", return_as="generator_unordered")(delayed(one)(f) for f in chosen)


def write_gallery(known: dict[str, Figure], out: Path) -> Path:
    """Write ``out/index.html``, a page with those figures that are drawn in ``out``, and return its path."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = [
        {"name": f.name, "caption": paragraphs(f.caption, set()), "headline": f.headline, "title": f.title(out)}
        for f in known.values()
        if (out / f"{f.name}.svg").exists()
    ]
    page = out / "index.html"
    write_whole(page, environment.get_template(TEMPLATE).render(figures=shown))
    return page
