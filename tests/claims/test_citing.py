"""Citing and exporting a ledger's lines: BibTeX, pins, LaTeX rows, figures."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from theory.claims import citing
from theory.errors import InputError

LINE = {
    "title": "The Importance of Online Data: 100% & more",
    "year": 2024,
    "arxiv": "2406.01462",
    "venue": "",
    "authors": "A. Søng, Swamy",
}


def _line(book: dict[str, Any], name: str) -> dict[str, Any]:
    return next(line for line in book["claims"] if line["id"].endswith(f"/{name}"))


def test_bibtex_names_the_paper() -> None:
    entry = citing.bibtex(LINE)
    assert entry.startswith("@misc{sng2024importance,")
    assert r"{{The Importance of Online Data: 100\% \& more}}" in entry
    assert re.search(r"author\s+= \{A\. Søng and Swamy\}", entry)
    assert re.search(r"eprint\s+= \{2406\.01462\}", entry)
    assert entry.count("{") - entry.count(r"\{") == entry.count("}") - entry.count(r"\}")


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ("Xiao", "Xiao"),
        ("Chang, Zhan et al.", "Chang and Zhan and others"),
        ("Ng and Russell", "Ng and Russell"),
        ("Xu, et al.", "Xu and others"),
    ],
)
def test_authors_are_separated_as_bibtex_wants(names: str, wanted: str) -> None:
    assert f"= {{{wanted}}}" in citing.bibtex({**LINE, "authors": names})


def test_a_venue_is_told_where_there_is_no_preprint() -> None:
    entry = citing.bibtex({**LINE, "arxiv": None, "venue": "ICML 2017"})
    assert "howpublished" in entry
    assert "eprint" not in entry


def test_a_pin_says_what_is_needed_to_find_the_entry_again(toy_ledger: dict[str, Any]) -> None:
    line = _line(toy_ledger, "below")
    said = citing.pin(toy_ledger, line)
    for word in (toy_ledger["version"], line["id"], line["verdict"], f"seed {toy_ledger['seed']}", citing.digest(line)):
        assert word in said
    other = citing.pin({**toy_ledger, "profile": "full", "seed": 7}, line)
    assert other.endswith("--profile full --seed 7")


def test_the_digest_is_of_the_evidence_and_not_of_the_seconds(toy_ledger: dict[str, Any]) -> None:
    line = copy.deepcopy(_line(toy_ledger, "below"))
    before = citing.digest(line)
    line["seconds"] += 1.0
    assert citing.digest(line) == before
    line["lhs"] = 0.123
    assert citing.digest(line) != before


def test_a_table_has_a_row_for_each_claim_with_its_cells_escaped(toy_ledger: dict[str, Any]) -> None:
    lines = toy_ledger["claims"]
    table = citing.latex_table(lines)
    assert table.count(r"\texttt{") == len(lines)
    row = citing.latex_row({**lines[0], "id": "a_b/50%"})
    assert r"\texttt{a\_b/50\%}" in row
    assert len(re.findall(r"(?<!\\)&", row.replace(f"${lines[0]['statement']}$", ""))) == 5


def test_figures_are_written_where_there_is_something_to_plot(toy_ledger: dict[str, Any], tmp_path: Path) -> None:
    plotted = [line for line in toy_ledger["claims"] if citing.write_figure(line, tmp_path)]
    assert plotted
    for line in plotted:
        stem = tmp_path / line["id"].replace("/", "-")
        tikz = stem.with_suffix(".tex").read_text(encoding="utf-8")
        assert tikz.count(r"\begin{") == tikz.count(r"\end{") == 2
        assert "nan" not in tikz
        assert "inf" not in tikz
        assert stem.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    bare = {**plotted[0], "series": None, "points": []}
    assert citing.write_figure(bare, tmp_path) == []


def test_a_curve_that_reaches_zero_is_drawn_without_it(tmp_path: Path, toy_ledger: dict[str, Any]) -> None:
    series = {"label": "k", "x": [1, 2, 4, 8], "lhs": [1.0, 0.1, 0.0, "inf"], "rhs": [1.0, 0.5, 0.02, 0.001]}
    line = {**toy_ledger["claims"][0], "series": series, "measure": "ratio"}
    tikz = citing.write_figure(line, tmp_path)[0].read_text(encoding="utf-8")
    assert "ymode=log" in tikz
    assert "(1,1) (2,0.1)}" in tikz


def test_a_claim_that_the_ledger_lacks_is_told(toy_ledger: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"book\.json has no claim or paper 'nowhere'"):
        citing.entries_of(toy_ledger, "nowhere", Path("book.json"))


def test_text_for_latex_has_no_commands() -> None:
    assert (
        citing.latex_text("a_b & 5% {x} ~ ^ \\") == r"a\_b \& 5\% \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
