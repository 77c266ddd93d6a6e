"""The ledger as a site: papers, figures, notebooks, guides and the reference of the library, made by MkDocs from what is here.

Everything that a page needs is in the folder that is written; it can be opened from the disk, without a network.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mdplab import gallery
from theory.claims import page as ledger_page
from theory.claims.paper_pages import PaperPage, paper_pages
from theory.errors import InputError, Unavailable

HOUSE = Path(__file__).parent.parent
ROOMS = ("mdplab", "bandits", "games", "theory", "experiments")
# The theme's search runs in a worker, which it would fetch a stand-in for from the network where pages are on the disk.
REMOTE_WORKER, WORKER = "https://unpkg.com/iframe-worker/shim", "file_worker.js"
OWN_THEOREM = "docs/writing_claims.md"
ALONE = "---\nhide:\n  - navigation\n---\n"  # before a page that is the only one of its tab
NEEDED = ("mkdocs", "material", "mkdocstrings", "nbconvert")


class SiteError(RuntimeError):
    """MkDocs or a notebook failed; the message ends with its last words."""


def build_site(
    book: Mapping[str, Any], out: Path, *, drawn: Path | None = None, notebooks: bool = True, house: Path = HOUSE
) -> None:
    """Write the site of a ledger ``book`` to the folder ``out``, which is empty, new, or a site written before.

    ``drawn`` is the folder of the figures (those that are drawn there are shown), ``notebooks`` says whether they are run and shown.
    Raises :class:`Unavailable` without the extra `site` or outside the repository, :class:`InputError` for a folder with
    other things in it, :class:`SiteError` if MkDocs or a notebook fails.
    """
    lacking = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        raise Unavailable(f"a site is built with {lacking[0]}, which is not installed: pip install 'mdplab[site]'.")
    if not (house / "README.md").is_file():
        raise Unavailable(f"a site is built in the repository; there is no README.md in {house}.")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "ledger.html").exists()):
        raise InputError(f"{out} is not empty and holds no site; nothing is written there.")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        pages = work / "pages"
        (pages / "assets").mkdir(parents=True)
        shutil.copytree(house / "docs", pages / "docs")
        (pages / "index.md").write_text(ALONE + (house / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
        for sheet in (house / "theory" / "claims" / "templates" / "claim.css", house / "mdplab" / "templates" / "site.css"):
            shutil.copy(sheet, pages / "assets")
        shutil.copy(Path(__file__).parent / "templates" / WORKER, pages / "assets")
        back = '<p><a href="index.html">mdplab</a> · <a href="papers/index.html">papers</a></p>\n'  # the page is not MkDocs'
        (pages / "ledger.html").write_text(
            ledger_page.page(book).replace("<header>\n", f"<header>\n{back}", 1), encoding="utf-8"
        )
        papers = paper_pages(book, house)
        _write_papers(papers, pages / "papers")
        _write_sources(house / "paper_checks", pages / "source")
        navigation: list[Any] = [{"mdplab": "index.md"}, {"Ledger": "ledger.html"}, {"Papers": "papers/index.md"}]
        if drawn is not None and _write_figures(drawn, pages / "figures"):
            navigation.append({"Figures": "figures/index.md"})
        if notebooks:
            navigation.append({"Notebooks": _write_notebooks(house / "notebooks", pages / "notebooks")})
        guides = sorted(f"docs/{path.name}" for path in (house / "docs").glob("*.md"))
        navigation.append({"Your own theorem": OWN_THEOREM})
        navigation.append({"Guides": [guide for guide in guides if guide != OWN_THEOREM]})
        navigation.append({"Reference": _write_reference(house, pages / "reference")})
        (work / "mkdocs.yml").write_text(json.dumps(_settings(navigation, house), indent=1), encoding="utf-8")  # JSON is YAML
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "mkdocs",
                "build",
                "--quiet",
                "--site-dir",
                out.resolve(),
                "--config-file",
                work / "mkdocs.yml",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SiteError(f"the site could not be built: {(done.stderr.strip() or 'MkDocs said nothing').splitlines()[-1]}")
    for path in out.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        if REMOTE_WORKER in text:
            here = "../" * (len(path.relative_to(out).parts) - 1)
            path.write_text(text.replace(REMOTE_WORKER, f"{here}assets/{WORKER}"), encoding="utf-8")


def _settings(navigation: list[Any], house: Path) -> dict[str, Any]:
    """The settings of MkDocs."""
    palette = [
        {"media": "(prefers-color-scheme: light)", "scheme": "default", "primary": "indigo"},
        {"media": "(prefers-color-scheme: dark)", "scheme": "slate", "primary": "indigo"},
    ]
    options = {
        "docstring_style": "sphinx", "show_source": False, "show_root_heading": True, "members_order": "source",
        "extensions": ["mdplab.site_docstrings:Typeset"], "heading_level": 2, "show_root_full_path": True,
    }  # fmt: skip
    return {
        "site_name": "mdplab",
        "docs_dir": "pages",
        "use_directory_urls": False,  # so that pages open from the disk
        "theme": {"name": "material", "font": False, "palette": palette, "features": ["navigation.tabs", "navigation.prune"]},
        "extra_css": ["assets/claim.css", "assets/site.css"],
        "markdown_extensions": [
            "tables", "attr_list", {"pymdownx.highlight": {"anchor_linenums": True, "line_spans": "__span"}}, "pymdownx.superfences"
        ],
        "plugins": ["search", "offline", {"mkdocstrings": {"handlers": {"python": {"paths": [str(house)], "options": options}}}}],
        "nav": navigation,
        "validation": {"links": {"not_found": "ignore", "unrecognized_links": "ignore"}},
    }  # fmt: skip


def _write_papers(papers: list[PaperPage], folder: Path) -> None:
    folder.mkdir()
    lines = [f"{ALONE}# Papers", ""]
    for theme in sorted({page.theme for page in papers}):
        lines += ["", f"## {theme}", "", "| paper | claims |", "| --- | --- |"]
        for page in papers:
            if page.theme == theme:
                counts = ", ".join(f"{page.verdicts.count(v)} {v}" for v in dict.fromkeys(page.verdicts))
                lines.append(f"| [{page.title}]({page.key}.md) | {counts} |")
    (folder / "index.md").write_text("\n".join(lines), encoding="utf-8")
    for page in papers:
        (folder / f"{page.key}.md").write_text(f"# {page.title}\n\n{page.html}\n", encoding="utf-8")


def _write_sources(checks: Path, folder: Path) -> None:
    """The source of every file of checks, with an anchor at each line."""
    folder.mkdir()
    for path in sorted(checks.glob("*.py")):
        name = f"{checks.name}.{path.stem}"
        code = path.read_text(encoding="utf-8")
        front = "---\nsearch:\n  exclude: true\n---\n"
        (folder / f"{name}.md").write_text(f'{front}# {name}\n\n~~~~python linenums="1"\n{code}~~~~\n', encoding="utf-8")


def _write_figures(drawn: Path, folder: Path) -> bool:
    """The gallery, of those figures that are drawn; whether there are any."""
    from theory.claims.typesetting import paragraphs

    shown = [figure for figure in gallery.figures().values() if (drawn / f"{figure.name}.svg").exists()]
    if not shown:
        return False
    folder.mkdir()
    lines = [f"{ALONE}# Figures", ""]
    for figure in shown:
        shutil.copy(drawn / f"{figure.name}.svg", folder)
        caption = re.sub(r"\n\s*\n+", "\n", str(paragraphs(figure.caption, set())))
        lines += [f"## {figure.title(drawn)}", "", f"![{figure.headline}]({figure.name}.svg)", "", f"<div>{caption}</div>", ""]
    (folder / "index.md").write_text("\n".join(lines), encoding="utf-8")
    return True


def _write_notebooks(source: Path, folder: Path) -> list[str]:
    """The notebooks as they come out when they are run, with pictures in place of sliders; their pages, in the README's order."""
    from mdplab.site_docstrings import typeset_notebook

    folder.mkdir()
    still = folder.parent.parent / "still"
    still.mkdir()
    (still / "ipywidgets.py").write_text("raise ImportError('no sliders on a page')", encoding="utf-8")
    places = os.pathsep.join(filter(None, (str(still), os.environ.get("PYTHONPATH"))))
    found = []
    taught = re.findall(r"^\| `(\w+)` \|", (source.parent / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    for book in sorted(source.glob("*.ipynb"), key=lambda book: [*taught, book.stem].index(book.stem)):
        done = subprocess.run(
            [sys.executable, "-m", "nbconvert", "--to", "markdown", "--execute", "--output-dir", folder, book],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": places},
        )
        if done.returncode:
            raise SiteError(f"the notebook {book.name} failed: {(done.stderr.strip() or 'it said nothing').splitlines()[-1]}")
        path = folder / f"{book.stem}.md"
        path.write_text(typeset_notebook(path.read_text(encoding="utf-8")), encoding="utf-8")
        found.append(f"notebooks/{book.stem}.md")
    return found


def _write_reference(house: Path, folder: Path) -> list[Any]:
    """A page for each package, with all its public modules."""
    folder.mkdir()
    entries: list[Any] = []
    for room in ROOMS:
        packages = sorted({path.parent for path in (house / room).rglob("*.py")})
        for package in packages:
            name = ".".join(package.relative_to(house).parts)
            modules = [path.stem for path in sorted(package.glob("[a-z]*.py"))]
            if not modules:
                continue
            text = "\n\n".join([f"# {name}", *(f"::: {name}.{module}" for module in modules)])
            (folder / f"{name}.md").write_text(text + "\n", encoding="utf-8")
            entries.append({name: f"reference/{name}.md"})
    return entries
