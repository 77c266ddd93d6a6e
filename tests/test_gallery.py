"""The figures' list, drawing and gallery; every script has a caption that names claims which exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mdplab import gallery
from mdplab.cli import app
from theory.claims import suite
from theory.errors import InputError, Unavailable

TOY = '''"""A toy (claim toy/below).

Its second paragraph, with <angles> and :math:`x^2`.
"""
import sys
from pathlib import Path

{body}
for suffix in (".svg", ".png"):
    Path(sys.argv[1], "toy" + suffix).write_text("<svg/>")
'''


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one script, in place of the repository's."""
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "toy.py").write_text(TOY.format(body=""), encoding="utf-8")
    (folder / "_style.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(gallery, "SCRIPTS", folder)
    return folder


def test_every_figure_has_a_caption_and_its_claims_exist() -> None:
    claims = suite.discover("paper_checks")
    known = {*claims, *(c.paper.key for c in claims.values())}
    for figure in gallery.figures().values():
        assert figure.headline.endswith((".", ":")), figure.name
        for name in re.findall(r"(?<![\w./])[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9-]*(?![\w./])", figure.headline):
            assert name in known or name.split("/")[0] not in {k.split("/")[0] for k in known}, (figure.name, name)


def test_figures_are_listed_and_drawn_with_a_gallery(toys: Path, tmp_path: Path) -> None:
    assert "A toy (claim toy/below)." in CliRunner().invoke(app, ["figures"]).stdout
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["figures", "toy", "--out", str(out)])
    assert done.exit_code == 0, done.output
    page = (out / "index.html").read_text(encoding="utf-8")
    assert 'src="toy.svg"' in page
    assert "&lt;angles&gt;" in page
    assert "<math" in page


def test_the_gallery_shows_what_is_drawn_and_nothing_else(toys: Path, tmp_path: Path) -> None:
    assert "<img" not in gallery.write_gallery(gallery.figures(), tmp_path).read_text(encoding="utf-8")


def test_a_script_that_fails_is_told(toys: Path, tmp_path: Path) -> None:
    (toys / "toy.py").write_text(TOY.format(body="raise ValueError('no numbers')"), encoding="utf-8")
    done = CliRunner().invoke(app, ["figures", "--all", "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert "toy could not be drawn: ValueError: no numbers" in done.stderr


def test_a_name_that_is_none_is_told(toys: Path) -> None:
    with pytest.raises(InputError, match="no figure 'toi'; the nearest are toy"):
        gallery.select(gallery.figures(), ["toi"])


def test_an_installation_without_scripts_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gallery, "SCRIPTS", tmp_path / "none")
    with pytest.raises(Unavailable, match="are in the repository"):
        gallery.figures()
