"""The ledger: its schema, what a line says, and files that are no ledger."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest

import theory.claims.ledger as module
from theory.claims import Paper, at_most, claim, run_claim
from theory.claims.declaration import Kind
from theory.claims.ledger import FORMAT, effort_text, entry, read_json, real, tightness_text, unexpected, write_json
from theory.errors import InputError

jsonschema = pytest.importorskip("jsonschema", reason="the schema is tested with jsonschema")
SCHEMA = json.loads((Path(module.__file__).parent / "ledger.schema.json").read_text(encoding="utf-8"))


def _complaints(book: Any) -> list[str]:
    return [e.message for e in jsonschema.Draft202012Validator(SCHEMA).iter_errors(book)]


def _lines(book: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {line["id"]: line for line in book["claims"]}


def test_the_schema_is_a_schema_and_a_ledger_fits_it(toy_ledger: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert _complaints(json.loads(json.dumps(toy_ledger, allow_nan=False))) == []


def test_the_schema_has_the_format_and_the_kinds_of_the_code() -> None:
    assert SCHEMA["properties"]["format"]["const"] == FORMAT
    assert SCHEMA["$defs"]["claim"]["properties"]["kind"]["enum"] == list(Kind.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda b: b.pop("seed"),
        lambda b: b.update(profile="slow"),
        lambda b: b.update(more=1),
        lambda b: b["claims"][0].update(more=1),
        lambda b: b["claims"][0].update(verdict="true"),
        lambda b: b["claims"][0].pop("worst_instance"),
        lambda b: b["claims"][0].update(tightness="nan"),
        lambda b: b["claims"][0]["controls"][0].update(more=1),
        lambda b: b["claims"][0]["controls"][0].pop("verdict"),
    ],
)
def test_the_schema_refuses_what_is_no_ledger(toy_ledger: dict[str, Any], spoil: Any) -> None:
    book = copy.deepcopy(toy_ledger)
    spoil(book)
    assert _complaints(book)


def test_verdicts_of_the_toys(toy_ledger: dict[str, Any]) -> None:
    verdicts = {name: line["verdict"] for name, line in _lines(toy_ledger).items()}
    assert verdicts == {
        "dice/last": "holds",
        "dice/lighter": "inconclusive",
        "dice/mean": "holds",
        "dice/six": "holds",
        "dice/walk": "holds",
        "toy/absent": "skipped",
        "toy/below": "holds",
        "toy/order": "refuted",
        "toy/rate": "holds",
        "toy/same": "holds",
        "wrong/error": "error",
        "wrong/refuted": "refuted",
        "wrong/unguarded": "unguarded",
    }
    assert sorted(line["id"] for line in unexpected(toy_ledger["claims"])) == [
        "wrong/error",
        "wrong/refuted",
        "wrong/unguarded",
    ]


def test_what_a_line_says(toy_ledger: dict[str, Any]) -> None:
    lines = _lines(toy_ledger)
    below, refuted = lines["toy/below"], lines["wrong/refuted"]
    assert below["tightness"] == pytest.approx(below["lhs"] / (below["rhs"] + below["slack"]))
    assert below["margin"] == pytest.approx(below["rhs"] - below["lhs"])
    assert below["instances"] == 10 + below["searched"] == len(below["points"])
    assert [c["verdict"] for c in below["controls"]] == ["refuted", "refuted"]
    assert (refuted["lhs"], refuted["rhs"], refuted["worst_instance"]) == (4.0, 1.0, "at(x=4.0)")
    assert len(lines["toy/rate"]["series"]["x"]) == 30
    assert lines["dice/mean"]["tests"][0]["samples"] == lines["dice/mean"]["seeds"] == 20_000
    assert "ZeroDivisionError" in lines["wrong/error"]["error"]
    assert lines["toy/absent"]["skipped"] == {"needs a package that is not there": 2}


@pytest.mark.parametrize(
    ("name", "text"),
    [("toy/rate", "1.000"), ("dice/last", "0.500"), ("toy/absent", "-"), ("wrong/refuted", "4.000"), ("wrong/error", "-")],
)
def test_tightness_in_a_few_characters(toy_ledger: dict[str, Any], name: str, text: str) -> None:
    assert tightness_text(_lines(toy_ledger)[name]) == text


def test_effort_names_the_seeds(toy_ledger: dict[str, Any]) -> None:
    assert effort_text(_lines(toy_ledger)["dice/walk"]) == "1 x 500 seeds"


def test_infinities_survive_and_stay_json(tmp_path: Path) -> None:
    paper = Paper(key="ledger-tests", title="x", authors="x", year=2026, theme="x")

    @claim(paper, "infinite", "x", kind="inequality", source="derived", expected="refuted")
    def infinite(*, x=math.inf):
        """Infinity is at most one: false."""
        return at_most(x, 1.0)

    line = entry(run_claim(infinite.repair("a half", x=0.5)))
    assert (line["lhs"], line["tightness"]) == ("inf", "inf")
    assert real(line["lhs"]) == math.inf
    book = {**module.ledger([line], profile="full", seed=3, seconds=0.1)}
    assert _complaints(book) == []
    write_json(book, tmp_path / "deep" / "ledger.json")
    assert read_json(tmp_path / "deep" / "ledger.json") == book
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["ledger.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"format": 1, "cl', "line 1 is not JSON"),
        (b"[]", "no ledger of format"),
        (b'{"format": 9, "claims": []}', "format 1"),
        (b"\xff", "UTF-8"),
    ],
)
def test_files_that_are_no_ledger(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "ledger.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_json(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / "nothing.json")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_json({}, tmp_path / "file" / "ledger.json")
