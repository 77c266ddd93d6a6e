"""Every figure, drawn twice in the quick size: the same bytes whatever was drawn before, without dates or versions."""

from __future__ import annotations

import re
import runpy
import struct
import sys
from collections.abc import Callable, Iterator
from functools import partialmethod
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

import experiments.declared
from experiments import measuring
from experiments import study as runner
from experiments.declared import Declared, stored_or_run
from experiments.study import run_study
from experiments.ucb1_regret import ucb1_regret
from mdplab import gallery

Draw = Callable[[gallery.Figure], tuple[bytes, bytes | None]]
LAID_OUT = ("coverage_hole", "iwocs_bounds", "ucb1_regret")  # with panels, legends outside, a study


@pytest.fixture
def draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Draw]:
    """Run a script in this process, in the quick size: the SVG and the PNG that it writes (None if none was written)."""
    monkeypatch.setenv("MDPLAB_FIGURE_SIZE", "quick")
    monkeypatch.setenv("MDPLAB_STUDIES", str(tmp_path / "studies"))
    monkeypatch.syspath_prepend(gallery.SCRIPTS)

    def run(figure: gallery.Figure) -> tuple[bytes, bytes | None]:
        monkeypatch.setattr(sys, "argv", [str(figure.script), str(tmp_path)])
        runpy.run_path(str(figure.script), run_name="__main__")
        png = tmp_path / f"{figure.name}.png"
        assert {path.name for path in tmp_path.glob("*.*")} - {png.name} == {f"{figure.name}.svg"}
        return (tmp_path / f"{figure.name}.svg").read_bytes(), png.read_bytes() if png.exists() else None

    with mpl.rc_context():
        yield run


def _texts(png: bytes) -> list[bytes]:
    """The texts and times in a PNG."""
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] in (b"tEXt", b"iTXt", b"zTXt", b"tIME"):
            found.append(png[at + 8 : at + 8 + length])
        at += 12 + length
    return found


def _save_svg(figure: Figure, path: Path, *, save: Callable[..., None], **options: Any) -> None:
    if path.suffix == ".svg":
        save(figure, path, **options)


@pytest.mark.parametrize("figure", [pytest.param(figure, id=figure.name) for figure in gallery.figures().values()])
def test_a_figure_is_drawn_to_the_same_bytes(figure: gallery.Figure, draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few figures wholly; the others without Matplotlib's layout, a function of what is drawn, and as SVG alone."""
    wholly = figure.name in LAID_OUT
    if not wholly:
        monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda self, figure: None)
        monkeypatch.setattr(Figure, "savefig", partialmethod(_save_svg, save=Figure.savefig))
    svg, png = draw(figure)
    np.random.seed(1)  # noqa: NPY002 - what another script might leave behind
    mpl.rcParams.update({"font.size": 20, "lines.linewidth": 5, "axes.grid": False, "svg.hashsalt": None, "savefig.dpi": 30})
    assert draw(figure) == (svg, png)
    head = svg[: svg.index(b"</metadata>")].decode()
    assert re.findall("<dc:(?!type|format|description)[a-z]+", head) == []
    assert mpl.__version__ not in head
    assert gallery.QUICK in head
    assert (png is not None) == wholly
    if png is not None:
        assert _texts(png) == [b"Description\0" + gallery.QUICK.encode()]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Declared:
    """The study ucb1-regret, of few runs."""
    known = Declared("A small study.", lambda: ucb1_regret(horizon=200, runs=6, checkpoints=5), 1)
    monkeypatch.setitem(experiments.declared.STUDIES, "ucb1-regret", known)
    return known


def test_a_figure_of_a_stored_study_has_the_bytes_of_the_computed_one(
    draw: Draw, small: Declared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MDPLAB_FIGURE_SIZE", "full")
    figure = gallery.figures()["ucb1_regret"]
    computed = draw(figure)
    assert "ucb1-regret is computed (about 1 s): it is not kept in" in capsys.readouterr().err
    run_study(small.make(), tmp_path / "studies")
    monkeypatch.setattr(experiments.declared, "run_study", None)  # nothing is measured again
    assert draw(figure) == computed
    assert capsys.readouterr().err == f"the study ucb1-regret is read from {tmp_path / 'studies' / 'ucb1-regret'}.\n"


@pytest.mark.parametrize("harm", ["incomplete", "damaged", "other points", "other code", "mixed code", "no declaration"])
def test_a_stored_study_that_will_not_do_is_told_and_not_used(
    small: Declared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    study = small.make()
    whole = run_study(study, tmp_path)
    piece = min((tmp_path / study.name / "pieces").iterdir())
    if harm == "incomplete":
        piece.unlink()
    elif harm == "damaged":
        piece.write_bytes(piece.read_bytes()[:-1])
    elif harm == "other points":
        monkeypatch.setitem(
            experiments.declared.STUDIES, study.name, Declared("Another.", lambda: ucb1_regret(horizon=99, runs=6), 1)
        )
    elif harm == "no declaration":
        (tmp_path / study.name / "study.json").write_text("{", encoding="utf-8")
    else:
        for module in (runner, measuring):
            monkeypatch.setattr(module, "code_version", lambda measure: "9.9.9+new")
        if harm == "mixed code":
            piece.unlink()
            run_study(study, tmp_path, mix_versions=True)
    reasons = {
        "incomplete": "is not finished: 6 of 12 runs are kept;",
        "damaged": "6 of 12 runs are kept, 1 of its files is damaged",
        "other points": "holds a study with other points",
        "no declaration": "cannot be read",
        "other code": "was measured by the code",
        "mixed code": f"was measured by the code {whole['code'][0]}, and this is 9.9.9+new",
    }
    found = stored_or_run(study.name, tmp_path)
    said = capsys.readouterr().err
    assert said.startswith("the study ucb1-regret is computed (about 1 s): ")
    assert reasons[harm] in said
    assert said.count("\n") == 1
    if harm != "other points":
        pd.testing.assert_frame_equal(found.drop(columns="code"), whole.drop(columns="code"), check_exact=True)


def test_a_study_of_a_figure_is_declared_once() -> None:
    scripts = [figure.script.read_text(encoding="utf-8") for figure in gallery.figures().values()]
    named = {name for script in scripts for name in re.findall(r'stored_or_run\("([^"]+)"', script)}
    assert named == {name for name, known in experiments.declared.STUDIES.items() if known.quick}
    assert not any("run_study" in script for script in scripts)
