"""Declared studies, and `mdplab study` that runs them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

import experiments.declared
from experiments.declared import STUDIES, Declared, declared
from experiments.ucb1_regret import ucb1_regret
from mdplab.cli import app
from theory.errors import InputError


def _study(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["study", *map(str, arguments)])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a study of four runs."""
    known = Declared("A small study.", lambda: ucb1_regret(horizon=50, runs=2, checkpoints=3), 1)
    monkeypatch.setitem(experiments.declared.STUDIES, "ucb1-regret", known)
    return "ucb1-regret"


@pytest.mark.parametrize("name", [*STUDIES])
def test_a_declared_study_can_be_made_under_its_name(name: str) -> None:
    study = declared(name).make()
    assert study.name == name
    assert study.declaration()
    assert STUDIES[name].seconds > 0
    assert STUDIES[name].what.endswith(".")


def test_a_name_that_is_not_declared_is_told() -> None:
    with pytest.raises(InputError, match="there is no study 'nothing'; there are ucb1-regret"):
        declared("nothing")


def test_all_are_listed_with_their_cost() -> None:
    said = _study("list").stdout
    assert all(name in said for name in STUDIES)
    assert "on one core" in said


def test_a_study_is_run_resumed_and_exported(small: str, tmp_path: Path) -> None:
    assert "0 of 4 runs" in _study("status", small, "--folder", tmp_path).stdout
    refused = _study("resume", small, "--folder", tmp_path)
    assert (refused.exit_code, "mdplab study run" in refused.stderr) == (2, True)
    early = _study("export", small, tmp_path / "early.csv", "--folder", tmp_path)
    assert (early.exit_code, "is not finished: 0 of 4" in early.stderr) == (2, True)
    assert _study("run", small, "--folder", tmp_path).exit_code == 0
    assert "4 of 4 runs" in _study("status", small, "--folder", tmp_path).stdout
    assert _study("resume", small, "--folder", tmp_path).exit_code == 0
    table = pd.read_parquet(tmp_path / small / "table.parquet")
    for suffix, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        path = tmp_path / f"table{suffix}"
        assert _study("export", small, path, "--folder", tmp_path).exit_code == 0
        pd.testing.assert_frame_equal(read(path), table, check_dtype=False)
    wrong = _study("export", small, tmp_path / "table.txt", "--folder", tmp_path)
    assert (wrong.exit_code, ".csv or .parquet" in wrong.stderr) == (2, True)


def test_a_damaged_piece_and_another_study_are_told(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _study("run", small, "--folder", tmp_path).exit_code == 0
    piece = next((tmp_path / small / "pieces").iterdir())
    piece.write_bytes(piece.read_bytes()[:-5])
    assert f"damaged: {piece}" in _study("status", small, "--folder", tmp_path).stdout
    other = Declared("A small study.", lambda: ucb1_regret(horizon=60, runs=2, checkpoints=3), 1)
    monkeypatch.setitem(experiments.declared.STUDIES, small, other)
    refused = _study("run", small, "--folder", tmp_path)
    assert refused.exit_code == 2
    assert "other points" in refused.stderr
