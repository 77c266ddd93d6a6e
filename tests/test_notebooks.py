"""Every notebook runs from top to bottom; the assertions in them are part of the lesson."""

import os
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_notebook_runs(path: Path, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="the extra `notebooks` is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the extra `notebooks` is not installed")
    book = nbformat.read(path, as_version=4)
    # nobody moves a slider here: what stands in for it is drawn, as where ipywidgets is not installed
    (tmp_path / "ipywidgets.py").write_text("raise ImportError('no sliders')", encoding="utf-8")
    places = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    client = nbclient.NotebookClient(book, timeout=300, kernel_name="python3")
    client.execute(env={**os.environ, "PYTHONPATH": places})
