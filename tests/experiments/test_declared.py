"""Declared studies, and `mdplab study` that runs them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

import experiments.declared
from experiments import measuring
from experiments import study as runner
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


def test_another_study_in_the_folder_is_told(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _study("run", small, "--folder", tmp_path).exit_code == 0
    other = Declared("A small study.", lambda: ucb1_regret(horizon=60, runs=2, checkpoints=3), 1)
    monkeypatch.setitem(experiments.declared.STUDIES, small, other)
    for command in (["run"], ["resume"], ["status"], ["export", tmp_path / "table.csv"]):
        _refused(_study(command[0], small, *command[1:], "--folder", tmp_path), "with other points; restart it (--restart)")
    assert "0 of 4 runs are kept" in _study("status", small, "--folder", tmp_path).stdout
    assert not (tmp_path / "table.csv").exists()


def _refused(result: Result, *words: str) -> None:
    """One sentence on standard error, after the line that says what a run costs."""
    *before, sentence = result.stderr.strip().splitlines()
    assert result.exit_code == 2
    assert all("on 1 core" in line or " left" in line for line in before)
    assert sentence.startswith("mdplab: ")
    for word in words:
        assert word in sentence


@pytest.mark.parametrize("harm", ["truncated", "flipped", "empty"])
def test_a_damaged_piece_is_told_and_measured_again(small: str, tmp_path: Path, harm: str) -> None:
    assert _study("run", small, "--folder", tmp_path).exit_code == 0
    table = tmp_path / small / "table.parquet"
    whole, piece = table.read_bytes(), next((tmp_path / small / "pieces").iterdir())
    data = piece.read_bytes()
    piece.write_bytes({"truncated": data[:-5], "flipped": data[:99] + bytes([data[99] ^ 1]) + data[100:], "empty": b""}[harm])
    status = _study("status", small, "--folder", tmp_path).stdout
    assert "2 of 4 runs are kept" in status
    assert f"damaged: {piece} (it is measured again)" in status
    words = "not finished: 2 of 4 runs are kept, 1 of its files is damaged", f"mdplab study run {small}"
    _refused(_study("export", small, tmp_path / "table.csv", "--folder", tmp_path), *words)
    again = _study("resume", small, "--folder", tmp_path)
    assert again.exit_code == 0
    assert f"mdplab: {piece} is damaged and is measured again.\n" in again.stderr
    assert "Warning" not in again.stderr
    assert (piece.read_bytes(), table.read_bytes()) == (data, whole)


def test_a_damaged_table_is_exported_from_the_pieces(small: str, tmp_path: Path) -> None:
    assert _study("run", small, "--folder", tmp_path).exit_code == 0
    table = tmp_path / small / "table.parquet"
    whole = table.read_bytes()
    table.write_bytes(whole[:-9])
    assert _study("export", small, tmp_path / "copy.parquet", "--folder", tmp_path).exit_code == 0
    assert (tmp_path / "copy.parquet").read_bytes() == whole


@pytest.mark.parametrize("files", [0, 1, 2, 3])  # that fit on the disk: study.json, two pieces and the table
def test_a_full_disk_is_told_and_loses_nothing(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    assert _study("run", small, "--folder", tmp_path / "other").exit_code == 0
    written: list[int] = []

    def fsync(file: int) -> None:
        written.append(file)
        if len(written) > files:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        kept = f"{max(files - 1, 0)} finished pieces are kept in {tmp_path / small}, and the same command goes on from there."
        _refused(_study("run", small, "--folder", tmp_path), "cannot be written: No space left on device", kept)
    assert f"{2 * max(files - 1, 0)} of 4 runs" in _study("status", small, "--folder", tmp_path).stdout
    assert not [*tmp_path.rglob("*.new")]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / small / "pieces").iterdir()}
    assert _study("run", small, "--folder", tmp_path).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before  # what was kept is not measured again
    first, second = ((folder / small / "table.parquet").read_bytes() for folder in (tmp_path, tmp_path / "other"))
    assert first == second


def test_an_export_to_a_full_disk_leaves_the_file_that_was_there(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert _study("run", small, "--folder", tmp_path).exit_code == 0
    path = tmp_path / "table.csv"
    path.write_text("mine", encoding="utf-8")
    monkeypatch.setattr(os, "fsync", full)
    _refused(_study("export", small, path, "--folder", tmp_path), "table.csv cannot be written: No space left on device.")
    assert path.read_text(encoding="utf-8") == "mine"


def test_other_code_is_told_mixed_or_restarted(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _study("run", small, "--folder", tmp_path).exit_code == 0
    (old,) = pd.read_parquet(tmp_path / small / "table.parquet")["code"].unique()
    for module in (runner, measuring):
        monkeypatch.setattr(module, "code_version", lambda measure: "9.9.9+new")
    words = f"was measured by the code {old}, and this is 9.9.9+new", "(--restart)", "(--mix-versions)"
    status = _study("status", small, "--folder", tmp_path)
    assert "4 of 4 runs are kept" in status.stdout
    _refused(status, *words)
    assert _study("export", small, tmp_path / "table.csv", "--folder", tmp_path).exit_code == 0  # nothing is measured for that
    next((tmp_path / small / "pieces").iterdir()).unlink()
    for command in ("run", "resume"):
        _refused(_study(command, small, "--folder", tmp_path), *words)
    assert "2 of 4 runs are kept" in _study("status", small, "--folder", tmp_path).stdout
    for arguments, codes in (("resume", "--mix-versions"), {old, "9.9.9+new"}), (("run", "--restart"), {"9.9.9+new"}):
        assert _study(arguments[0], small, *arguments[1:], "--folder", tmp_path).exit_code == 0
        assert {*pd.read_parquet(tmp_path / small / "table.parquet")["code"]} == codes
