"""The figures' list, drawing and gallery; every script has a caption that names claims which exist."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mdplab import gallery
from mdplab.cli import app
from theory.claims import suite
from theory.errors import InputError, Unavailable

SCRIPTS = gallery.SCRIPTS  # before a test puts others in their place
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


WORD = r"[a-z0-9][a-z0-9-]*"
NAME = rf"{WORD}/[A-Za-z0-9-]*[A-Za-z0-9]"
LIST = re.compile(rf"\bclaims? ({NAME}(?:(?:,| and|, and) (?:{NAME}|{WORD}))*)(?=[).:;])")


def named(caption: str, papers: Collection[str]) -> set[str]:
    """The claims that a caption names, as slug/name, or by their second part alone in a list: claims slug/first, second, third."""
    caption = " ".join(caption.split())
    found = {name for name in re.findall(rf"(?<![\w./-]){NAME}", caption) if name.split("/")[0] in papers}
    for text in LIST.findall(caption):
        paper = ""
        for name in re.split(r",? and |, ", text):
            paper = name.split("/")[0] if "/" in name else paper
            found.add(name if "/" in name else f"{paper}/{name}")
    return found


def test_names_of_claims_are_found_in_a_caption() -> None:
    caption = "A toy (claims a/b, c and a/d-e) with a/f, but not and/or, a/.\n(claim x/y): see (claims\na/g, h; and more)."
    assert named(caption, {"a"}) == {"a/b", "a/c", "a/d-e", "a/f", "x/y", "a/g", "a/h"}


def test_every_figure_has_a_caption_that_names_claims_which_exist() -> None:
    claims = suite.discover("paper_checks")
    papers = {claim.paper.key for claim in claims.values()}
    for figure in gallery.figures().values():
        assert figure.headline.endswith((".", ":")), figure.name
        names = named(figure.caption, papers)
        assert names, f"{figure.name} names no claim"
        assert names <= claims.keys(), (figure.name, names - claims.keys())


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


def test_the_quick_size_is_told_on_the_page_and_in_the_terminal(toys: Path, tmp_path: Path) -> None:
    body = "import os, _style\nassert os.environ['MDPLAB_STUDIES'] == 'kept'\nprint('a study is read', file=sys.stderr)"
    drawing = "import matplotlib.pyplot as plt\n_style.use()\n_style.save(plt.subplots()[0], 'toy')"
    (toys / "_style.py").write_text((SCRIPTS / "_style.py").read_text(encoding="utf-8"), encoding="utf-8")
    (toys / "toy.py").write_text(f'"""A toy."""\nimport sys\n{body}\n{drawing}\n', encoding="utf-8")
    arguments = ["figures", "toy", "--out", str(tmp_path / "out"), "--studies", "kept"]
    pages = []
    for more in ([], ["--quick"]):
        done = CliRunner().invoke(app, [*arguments, *more])
        assert done.exit_code == 0, done.output
        assert ("quick size" in done.stdout) == bool(more)
        assert done.stderr == "a study is read\n"
        pages.append((tmp_path / "out" / "index.html").read_text(encoding="utf-8"))
    assert "quick size" not in pages[0]
    assert "<h2>toy (quick size: fewer and smaller runs than the caption says)</h2>" in pages[1]
