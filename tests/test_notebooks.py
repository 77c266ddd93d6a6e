"""Every notebook runs from top to bottom; the assertions in them are part of the lesson."""

import json
import os
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
BY_JUPYTER = "first_mdp"  # in a kernel of its own; the others in this process, which has imported the library already


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.stem != BY_JUPYTER], ids=lambda p: p.stem)
def test_the_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shells = pytest.importorskip("IPython.core.interactiveshell", reason="the extra `notebooks` is not installed")
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))  # leaves the user's history alone
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # nobody moves a slider here: what stands in for it is drawn
    shell = shells.InteractiveShell()
    with mpl.rc_context():
        mpl.use("Agg")
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                shell.run_cell("".join(cell["source"])).raise_error()
        plt.close("all")


def test_jupyter_runs_a_notebook(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="the extra `notebooks` is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the extra `notebooks` is not installed")
    (path,) = (path for path in NOTEBOOKS if path.stem == BY_JUPYTER)
    book = nbformat.read(path, as_version=4)
    (tmp_path / "ipywidgets.py").write_text("raise ImportError('no sliders')", encoding="utf-8")
    places = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    client = nbclient.NotebookClient(book, timeout=300, kernel_name="python3")
    client.execute(env={**os.environ, "PYTHONPATH": places})
