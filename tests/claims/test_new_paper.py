"""The file that `mdplab new-paper` writes: it verifies as it is, in a directory of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from theory.claims.new_paper import write_new_paper
from theory.errors import InputError

TEXT = {"title": "Notes", "authors": "A. Author", "theme": "own"}


def test_the_file_verifies_in_an_empty_directory(tmp_path: Path) -> None:
    path = write_new_paper("my-notes", tmp_path / "checks", **TEXT)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        path.parent,
        "--ledger",
        tmp_path / "ledger.json",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (line,) = json.loads((tmp_path / "ledger.json").read_text(encoding="utf-8"))["claims"]
    assert (line["id"], line["verdict"], line["title"]) == ("my-notes/first-claim", "holds", "Notes")
    assert line["tightness"] == pytest.approx(1.0)
    assert [control["verdict"] for control in line["controls"]] == ["refuted"]


def test_a_file_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    path = write_new_paper("notes", tmp_path, **TEXT)
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="exists already"):
        write_new_paper("notes", tmp_path, **TEXT)
    assert path.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("key", ["", "My", "my_key", "2nd", "a--b", "a-", "class"])
def test_a_key_that_is_no_key_is_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="key of a paper"):
        write_new_paper(key, tmp_path, **TEXT)


@pytest.mark.parametrize("field", [*TEXT])
@pytest.mark.parametrize("text", ["", 'a "word"', "two\nlines", "back\\slash"])
def test_text_that_would_break_the_file_is_refused(field: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=field):
        write_new_paper("notes", tmp_path, **{**TEXT, field: text})


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        write_new_paper("notes", tmp_path / "file", **TEXT)
