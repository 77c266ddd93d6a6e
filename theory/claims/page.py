"""The ledger as one page of HTML that needs nothing but itself; made from the ledger's data alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theory.claims.ledger import controls_text, effort_text, real, replay_command, tightness_text, unexpected, write_whole

if TYPE_CHECKING:
    from jinja2 import Environment

VERDICTS = ("holds", "refuted", "inconclusive", "unguarded", "skipped", "error")
FINDINGS = ("refuted", "inconclusive")
SOURCES = {
    "paper": "the paper's: its statement and its constants",
    "recalled": "recalled: the paper's, from memory of it",
    "derived": "derived: proved here, not the paper's",
}
MEASURES = {
    "ratio": "left side over right side, at its largest",
    "residual": "largest difference of the sides over what rounding is allowed",
    "failures": "conditions that fail",
    "slope": "distance of the fitted exponent from the middle of its window, over half the window",
    "violations": "share of violations seen over the share that is allowed",
    "mean": "mean seen over its bound",
    "difference": "mean of the one over the mean of the other",
}
TIGHT, LOOSE = 0.995, 0.05  # ratios from which on a bound is called tight, and up to which it is called loose
TEMPLATE = "ledger.html.j2"


def write_page(book: Mapping[str, Any], path: Path) -> None:
    """Write ``book`` (a ledger as :func:`theory.claims.ledger.ledger` makes it) to ``path`` as a page of HTML.

    The page holds everything it needs: statements as MathML, plots as SVG, a style sheet and a few lines of script without
    which all claims are shown. Raises :class:`InputError` if the file cannot be written.
    """
    write_whole(path, page(book))


def page(book: Mapping[str, Any]) -> str:
    """The text of the page; the same ledger gives the same text."""
    from theory.claims.plots import overview

    claims: Sequence[Mapping[str, Any]] = book["claims"]
    ids = {line["id"] for line in claims}
    themes = sorted({line["theme"] for line in claims})
    views = {theme: [view_of(line, ids, book["profile"]) for line in claims if line["theme"] == theme] for theme in themes}
    seen = [v for v in VERDICTS if any(line["verdict"] == v for line in claims)]
    everything = [view for theme in themes for view in views[theme]]
    text = (
        templates()
        .get_template(TEMPLATE)
        .render(
            book=book,
            themes=views,
            verdicts=seen,
            counts={theme: {v: sum(c["verdict"] == v for c in views[theme]) for v in seen} for theme in themes},
            papers=len({(line["paper"], line["title"]) for line in claims}),
            unexpected=unexpected(claims),
            alarms=[view for view in everything if not view["as_expected"]],
            findings=[view for view in everything if view["as_expected"] and view["verdict"] in FINDINGS],
            overview=overview(claims, TIGHT),
            kinds=sorted({line["kind"] for line in claims}),
            sources={source: SOURCES[source] for source in SOURCES if any(line["source"] == source for line in claims)},
        )
    )
    return re.sub(r"\n\s*\n+", "\n", text)


def templates() -> Environment:
    """The templates beside this module, with the filters ``mathml`` and ``number``."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from theory.claims.typesetting import mathml

    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["mathml"] = mathml
    found.filters["number"] = _number
    return found


def view_of(line: Mapping[str, Any], ids: set[str], profile: str) -> dict[str, Any]:
    """A ledger line with what the template shows of it."""
    from theory.claims.plots import BOUNDS, interval, plot
    from theory.claims.table import complaint
    from theory.claims.typesetting import paragraphs, prose

    ratio = real(line["tightness"])
    bound = line["measure"] in BOUNDS and line["verdict"] == "holds"
    words = ("id", "title", "authors", "headline", "assumes", "note", "arxiv")
    return {
        **line,
        "headline_html": prose(line["headline"], ids),
        "assumes_html": prose(line["assumes"], ids),
        "note_html": prose(line["note"], ids),
        "derivation_html": paragraphs(line["derivation"], ids),
        "source_text": SOURCES[line["source"]],
        "measure_text": MEASURES.get(line["measure"] or "", ""),
        "tightness_text": tightness_text(line),
        "gauge": min(ratio, 1.0) if bound else None,
        "word": "tight" if bound and ratio >= TIGHT else "loose" if bound and ratio <= LOOSE else "",
        "effort": _effort(line),
        "guards": controls_text(line),
        "sides": _sides(line),
        "bad": not line["as_expected"],
        "complaint": "" if line["as_expected"] else complaint(line),
        "plot": plot(line),
        "interval": interval(line),
        "replay": _again(line, line["worst_instance"], profile),
        "replay_shrunk": _again(line, line["shrunk_instance"], profile),
        "controls": [
            {
                **control,
                "name_html": prose(control["name"], ids),
                "because_html": prose(control["because"], ids),
                "bad": control["verdict"] != control["expected"],
                "tightness_text": tightness_text(control),
                "effort": effort_text(control),
                "sides": _sides(control),
                "replay": _again(line, control["worst_instance"], profile, control["name"]),
            }
            for control in line["controls"]
        ],
        "words": " ".join(str(line[w] or "") for w in words).lower(),
    }


def _number(value: float | str | None, digits: int = 6) -> str:
    return "none" if value is None else f"{real(value):.{digits}g}"


def _sides(line: Mapping[str, Any]) -> tuple[str, str]:
    """Both sides with six digits, or twelve if they agree in six."""
    digits = 6 if _number(line["lhs"]) != _number(line["rhs"]) else 12
    return _number(line["lhs"], digits), _number(line["rhs"], digits)


def _effort(line: Mapping[str, Any]) -> str:
    text = f"{line['instances']} instances"
    text += f", {line['searched']} of them by search" if line["searched"] else ""
    return text + (f", {line['seeds']} seeds each" if line["seeds"] else "")


def _again(line: Mapping[str, Any], key: str | None, profile: str, control: str | None = None) -> str:
    """The command that runs the instance again; empty if there is none."""
    return "" if key is None else replay_command(line, key, control=control, profile=profile)
