"""Pages of the ledger's papers: what a paper says, and each of its claims with statement, verdict, evidence and derivation."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from theory.claims.ledger import file_of
from theory.claims.page import templates, view_of

TEMPLATE = "paper.html.j2"


@dataclass(frozen=True)
class PaperPage:
    """The page of the papers that share a ``key``: its ``theme``, ``title``, the ``verdicts`` of its claims, and its HTML."""

    key: str
    theme: str
    title: str
    verdicts: tuple[str, ...]
    html: str


def paper_pages(book: Mapping[str, Any], sources: Path) -> list[PaperPage]:
    """A page for each paper of a ledger, in the order of themes and keys.

    What a paper says is the docstring of the files that check it, found under ``sources`` (nothing is said where there is no such
    file). Links lead to ``<key>.html#<claim>`` beside the page, and to ``../source/<module>.html`` for the check's source.
    """
    from theory.claims.typesetting import paragraphs

    claims = book["claims"]
    ids = {line["id"] for line in claims}
    keys = sorted({(line["theme"], line["paper"]) for line in claims})
    pages = []
    for theme, key in keys:
        lines = [line for line in claims if (line["theme"], line["paper"]) == (theme, key)]
        said = [_about(sources / file) for file in dict.fromkeys(map(file_of, lines))]
        fields = ("title", "authors", "year", "venue", "arxiv")
        groups = [dict(zip(fields, values)) for values in dict.fromkeys(tuple(line[f] for f in fields) for line in lines)]
        html = templates().get_template(TEMPLATE).render(
            papers=groups, about=paragraphs("\n\n".join(filter(None, said)), ids), views=[view_of(line, ids, book["profile"]) for line in lines]
        )  # fmt: skip
        title = groups[0]["title"] if len(groups) == 1 else f"{key}: {len(groups)} papers"
        pages.append(PaperPage(key, theme, title, tuple(line["verdict"] for line in lines), _linked(html, key)))
    return pages


def _about(path: Path) -> str:
    """The docstring of a file; empty where there is none."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" if path.is_file() else ""


def _linked(html: str, key: str) -> str:
    """Links to claims of other papers lead to their pages, and the name of a check to its source."""
    html = re.sub(r'href="#(([a-z0-9-]+)/[^"]+)"', lambda m: f'href="{"" if m[2] == key else m[2] + ".html"}#{m[1]}"', html)
    html = re.sub(
        r"<code>([a-z_.]+\.test_\w+):(\d+)</code>",
        lambda m: f'<a href="../source/{m[1]}.html#__codelineno-0-{m[2]}"><code>{m[1]}:{m[2]}</code></a>',
        html,
    )
    return re.sub(r"\n\s*\n+", "\n", html)
