"""The page of the ledger: complete, self-contained, escaped, and the same for the same ledger."""

import copy
import json
import math
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from theory.claims import plots, suite
from theory.claims.ledger import file_of
from theory.claims.page import VERDICTS, page, write_page
from theory.claims.plots import Axis
from theory.claims.typesetting import mathml, paragraphs, prose, typeset
from theory.errors import InputError

VOID = {"meta", "input", "br"}


class _Elements(HTMLParser):
    """Every element with its attributes, and whether all that were opened are closed in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def html(toy_ledger: dict[str, Any]) -> str:
    return page(toy_ledger)


@pytest.fixture(scope="module")
def elements(html: str) -> _Elements:
    return _Elements(html)


def test_every_element_is_closed_and_every_id_is_unique(elements: _Elements) -> None:
    assert elements.open == []
    ids = [a["id"] for _, a in elements.found if "id" in a]
    assert len(ids) == len(set(ids))
    links = {a["href"] for t, a in elements.found if t == "a"}
    assert links <= {f"#{i}" for i in ids}


def test_nothing_comes_from_elsewhere(html: str, elements: _Elements) -> None:
    assert not {"link", "img", "iframe", "object", "base"} & {t for t, _ in elements.found}
    assert not [a for _, a in elements.found if "src" in a]
    assert "url(" not in html
    assert "@import" not in html
    assert "http" not in html


def test_every_claim_stands_there_with_what_the_filters_need(toy_ledger: dict[str, Any], elements: _Elements) -> None:
    claims = {a["id"]: a for t, a in elements.found if t == "details" and a.get("class") == "claim"}
    assert set(claims) == {line["id"] for line in toy_ledger["claims"]}
    for line in toy_ledger["claims"]:
        shown = claims[line["id"]]
        assert [shown[f"data-{k}"] for k in ("verdict", "theme", "kind", "source")] == [
            line[k] for k in ("verdict", "theme", "kind", "source")
        ]
        assert line["id"] in str(shown["data-words"])
    filters = {a["data-filter"] for t, a in elements.found if t == "select"}
    assert filters == {"verdict", "theme", "kind", "source"}


def test_without_script_all_is_shown_and_the_filters_are_not(elements: _Elements) -> None:
    assert all("hidden" not in a for t, a in elements.found if t == "details")
    assert ["hidden" in a for t, a in elements.found if t == "form"] == [True]


def test_text_of_the_ledger_is_escaped(html: str) -> None:
    assert "Toys &amp; &lt;Games&gt;" in html
    assert "&lt;b&gt;no&lt;/b&gt;" in html
    assert "<b>no</b>" not in html
    assert "0 &lt; scale &lt;= 1" in html


def test_alarms_come_first_then_findings_then_claims(html: str) -> None:
    places = [html.index(f"<h2>{title}</h2>") for title in ("Not as expected", "Summary", "Findings", "Claims")]
    assert places == sorted(places)
    alarms, findings = html[places[0] : places[1]], html[places[2] : places[3]]
    assert set(re.findall(r'href="#([^"]+)"', alarms)) == {"wrong/error", "wrong/refuted", "wrong/unguarded"}
    assert re.findall(r'href="#([^"]+)"', findings) == ["dice/lighter", "toy/order", "toy/below"]
    assert "Two fair dice are alike." in findings
    assert "3 not as expected" in html


def test_a_run_as_expected_has_no_alarms(toy_ledger: dict[str, Any]) -> None:
    book = {**toy_ledger, "claims": [c for c in toy_ledger["claims"] if c["as_expected"]]}
    text = page(book)
    assert "all as expected" in text
    assert "Not as expected" not in text


def test_the_counts_add_up(toy_ledger: dict[str, Any], html: str) -> None:
    foot = html[html.index("<tfoot>") : html.index("</tfoot>")]
    claims = toy_ledger["claims"]
    counts = [sum(c["verdict"] == v for c in claims) for v in VERDICTS]
    assert [int(n) for n in re.findall(r">(\d+)<", foot)] == [*(n for n in counts if n), len(claims)]


def test_replay_commands_carry_the_keys(toy_ledger: dict[str, Any], html: str) -> None:
    import html as entities

    shown = [entities.unescape(c) for c in re.findall(r"<pre>(mdplab replay .*?)</pre>", html)]
    commands = [shlex.split(c)[2:] for c in shown]
    for line in toy_ledger["claims"]:
        if line["worst_instance"] is not None:
            where = ["--checks", file_of(line)]  # toys are not among the papers that `mdplab replay` knows
            assert [line["id"], line["worst_instance"], *where] in commands
            for control in line["controls"]:
                assert [line["id"], control["worst_instance"], "--control", control["name"], *where] in commands


def test_sides_tests_and_environment_are_shown(html: str) -> None:
    assert "left 4, right 1" in html
    assert "from 20000 samples" in html
    assert "numpy" in html[html.index("<footer>") :]
    assert "profile quick, seed 0" in html
    assert "ZeroDivisionError" in html
    assert "No control guards this claim." in html


def test_the_same_ledger_gives_the_same_page(toy_ledger: dict[str, Any], html: str, tmp_path: Path) -> None:
    again = json.loads(json.dumps(toy_ledger))
    write_page(again, tmp_path / "new" / "ledger.html")
    assert (tmp_path / "new" / "ledger.html").read_text(encoding="utf-8") == html


def test_an_empty_ledger_has_a_page(toy_ledger: dict[str, Any]) -> None:
    assert "0 claims of 0 papers" in page({**toy_ledger, "claims": []})


def test_the_page_of_a_full_profile_replays_in_it(toy_ledger: dict[str, Any]) -> None:
    assert "--profile full" in page({**toy_ledger, "profile": "full"})


def test_a_page_that_cannot_be_written(toy_ledger: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_page(toy_ledger, tmp_path / "file" / "ledger.html")


def test_seven_hundred_claims_stay_light(toy_ledger: dict[str, Any]) -> None:
    few = [c for c in toy_ledger["claims"] if c["as_expected"]]
    many = [copy.deepcopy(few[k % len(few)]) | {"id": f"toy/{k}", "theme": f"theme {k % 9}"} for k in range(700)]
    assert len(page({**toy_ledger, "claims": many})) < 8_000_000


# --- typesetting -------------------------------------------------------------------------------------------------------


def _parts(latex: str, display: bool = True) -> list[tuple[str, str]]:
    return [(e.tag, e.text or "") for e in ElementTree.fromstring(mathml(latex, display=display)).iter() if e.text]


def test_upright_words_are_one_identifier() -> None:
    assert ("mi", "KL") in _parts(r"\mathrm{KL}(\pi \| \rho)")


def test_limits_stand_below_in_displays_and_beside_in_lines() -> None:
    assert "<munder>" in mathml(r"\max_a Q")
    assert "<munder>" not in mathml(r"\max_a Q", display=False)


def test_functions_keep_their_distance() -> None:
    assert [t for t, _ in _parts(r"8 \ln T")] == ["mn", "mi", "mi"]
    assert mathml(r"8 \ln T").count("mspace") == 2
    assert "mspace" not in mathml(r"\ln(T)")
    assert ("mo", "arg\u2009max") in _parts(r"\arg\max_a Q")


def test_large_brackets_are_characters() -> None:
    assert ("mo", "⟨") in _parts(r"\bigl\langle x \bigr\rangle")


@pytest.mark.parametrize("latex", [r"\foo{x}", r"\left( x", r"a & b \begin{aligned}"])
def test_what_cannot_be_typeset_is_shown_as_it_was_written(latex: str) -> None:
    assert not typeset(latex)
    assert mathml(latex).startswith('<code class="tex">')


def test_every_statement_of_the_papers_can_be_typeset() -> None:
    claims = suite.discover("paper_checks")
    assert [name for name, made in claims.items() if not typeset(made.statement)] == []


def test_prose_knows_roles_literals_names_and_a_little_latex() -> None:
    text = prose(
        r"if :math:`x \le 1` or ``a_b``, see `toy/below`, `f_1`; \beta \le 2, v_{k+1} = T_pi v_k, 10^4, <i>", {"toy/below"}
    )
    assert "<math" in text
    assert "<code>a_b</code>" in text
    assert '<a href="#toy/below">toy/below</a>' in text
    assert "<code>f_1</code>" in text
    assert "β ≤ 2, v<sub>k+1</sub> = T<sub>pi</sub> v<sub>k</sub>, 10<sup>4</sup>, &lt;i&gt;" in text


def test_names_with_underscores_stay_names() -> None:
    assert prose("map_name and modified_policy_iteration") == "map_name and modified_policy_iteration"
    assert prose("2 gamma eps / (1 - gamma), Delta, pi_k") == "2 \u03b3 \u03b5 / (1 - \u03b3), \u0394, \u03c0<sub>k</sub>"
    assert prose("alphabet, beta-greedy, pie, etas") == "alphabet, beta-greedy, pie, etas"


def test_paragraphs_lists_displays_and_code() -> None:
    text = paragraphs("one\ntwo\n\n- a\n- b\n\n.. math::\n    x\n    + y\n\n    code <x>\n\n")
    assert re.findall(r"<(p|ul|li|math|pre)\b", text) == ["p", "ul", "li", "li", "math", "pre"]
    assert "<p>one two</p>" in text
    assert "code &lt;x&gt;" in text


# --- plots -------------------------------------------------------------------------------------------------------------


def _paths(svg: str, kind: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [e.get("d", "") for e in root.iter("path") if e.get("class") == kind]


def test_an_axis_places_its_ends_and_clips_what_is_beyond() -> None:
    axis = Axis(1.0, 100.0, True, 0.0, 200.0)
    assert [axis(v) for v in (0.0, 1.0, 10.0, 100.0, 1e9)] == [0.0, 0.0, 100.0, 200.0, 200.0]


@pytest.mark.parametrize(
    ("low", "high", "log"),
    [
        (0, 1, False),
        (-3.7, 12.1, False),
        (1e-9, 2e-9, False),
        (1e-300, 1e300, True),
        (1, 3, True),
        (2.1, 2.2, True),
        (0.3, 70, True),
    ],
)
def test_ticks_lie_on_the_axis_and_are_few(low: float, high: float, log: bool) -> None:
    ticks = Axis(low, high, log, 0, 1).ticks()
    assert 1 <= len(ticks) <= 8
    assert all(low - 1e-9 * abs(low) <= v <= high * (1 + 1e-9) for v, _ in ticks)
    assert len({label for _, label in ticks}) == len(ticks)


def _curve(series: dict[str, Any]) -> str:
    return plots.plot({"series": series, "measure": "ratio"})


def _scatter(points: list[list[Any]], worst: tuple[float, float]) -> str:
    return plots.plot({"points": points, "lhs": worst[0], "rhs": worst[1]})


def test_a_curve_that_reaches_zero_breaks_on_a_logarithmic_axis() -> None:
    series = {"label": "k", "x": [1, 2, 3, 4, 5], "lhs": [1, 0.1, 0.0, 0.001, None], "rhs": [1, 0.5, 0.2, 0.1, "inf"]}
    svg = _curve(series)
    left, _ = _paths(svg, "lhs")  # and the legend's
    assert left.count("M") == 2
    assert left.count("L") == 1


@pytest.mark.parametrize("values", [[0.0, 0.0], [-1.0, 5.0], [1e-310, 1e-5], [1e300, 1e-300], [3.0, 3.0], [5e-324, 1.0]])
def test_curves_and_scatters_of_awkward_numbers(values: list[float]) -> None:
    series = {"label": "", "x": [0, 1], "lhs": values, "rhs": values[::-1]}
    for svg in (_curve(series), _scatter([[values[0], 1.0], [values[1], 2.0]], (values[0], 1.0))):
        assert "nan" not in svg
        ElementTree.fromstring(svg)


def test_nothing_to_see_gives_no_plot() -> None:
    assert _scatter([[1.0, 2.0], [1.0, 2.0]], (1.0, 2.0)) == ""
    assert _scatter([["inf", 1.0], [0.0, 0.0]], (math.inf, 1.0)) == ""
    assert _curve({"label": "", "x": [1], "lhs": [1], "rhs": [1]}) == ""


def test_what_violates_lies_above_the_diagonal() -> None:
    svg = _scatter([[1.0, 2.0], [3.0, 1.0]], (3.0, 1.0))
    (dots,) = _paths(svg, "dots")
    below, above = [(float(x), float(y)) for x, y in re.findall(r"M([\d.]+) ([\d.]+)h0", dots)]
    (x0, y0), (x1, y1) = (float(v) for v in (plots.LEFT, plots.HEIGHT - plots.BOTTOM)), (plots.WIDTH - plots.RIGHT, plots.TOP)
    line = lambda x: y0 + (x - x0) / (x1 - x0) * (y1 - y0)  # noqa: E731
    assert below[1] > line(below[0])  # pixels count downwards
    assert above[1] < line(above[0])


def test_the_interval_of_a_slope_shows_its_window(toy_ledger: dict[str, Any]) -> None:
    lines = {line["id"]: line for line in toy_ledger["claims"]}
    assert "exponent 0.5" in plots.interval(lines["dice/walk"])
    assert plots.interval(lines["toy/below"]) == ""


def test_the_overview_has_a_dot_for_every_bound_that_holds(toy_ledger: dict[str, Any]) -> None:
    svg = plots.overview(toy_ledger["claims"], 0.995)
    dotted = set(re.findall(r'href="#([^"]+)"', svg))
    assert dotted == {"toy/below", "toy/rate", "dice/mean", "dice/six", "dice/last"}
    assert plots.overview([], 0.995) == ""
