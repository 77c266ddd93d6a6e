"""What an installation contains: the declared packages and data, and nothing else of the repository, are enough to work with."""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
DECLARED = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def _packages() -> dict[str, Path]:
    """The packages that setuptools finds, by name: folders whose dotted name matches a declared pattern."""
    rooms = [path for path in HOUSE.iterdir() if path.is_dir() and path.name.isidentifier()]
    folders = [folder for room in rooms for folder in (room, *room.rglob("*")) if folder.is_dir()]
    names = {".".join(folder.relative_to(HOUSE).parts): folder for folder in folders if "__pycache__" not in folder.parts}
    return {
        name: folder
        for name, folder in names.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in DECLARED["packages"]["find"]["include"])
    }


def _shipped() -> set[Path]:
    """The files of an installation: the modules of the packages, and the data that is declared for them."""
    packages = _packages()
    modules = {path for folder in packages.values() for path in folder.glob("*.py")}
    data = {path for name, globs in DECLARED["package-data"].items() for glob in globs for path in packages[name].glob(glob)}
    return modules | {path for path in data if path.is_file()}


def test_every_data_file_of_a_package_is_shipped() -> None:
    caches = (".py", ".pyc", ".nbi", ".nbc")
    there = {
        path for folder in _packages().values() for path in folder.iterdir() if path.is_file() and path.suffix not in caches
    }
    assert there <= _shipped()
    names = {path.name for path in _shipped()}
    assert {"ledger.schema.json", "new_paper.py.j2", "ledger.html.j2", "claim.css", "site.css", "file_worker.js"} <= names


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what an installation contains."""
    place = tmp_path_factory.mktemp("site-packages")
    for path in _shipped():
        target = place / path.relative_to(HOUSE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return place


def _run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed), "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_claim_of_ones_own_is_verified_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    made = _run(installed, tmp_path, "-m", "mdplab", "new-paper", "my-theorem", "--folder", "their_checks")
    assert made.returncode == 0, made.stderr
    with (tmp_path / "their_checks" / "test_my_theorem.py").open("a", encoding="utf-8") as file:
        file.write("\nimport mdplab, theory.claims.pytest_plugin as plugin\nprint('from', mdplab.__file__, plugin.__file__)\n")
    done = _run(
        installed, tmp_path, "-m", "pytest", "-s", "-p", "no:cacheprovider", "their_checks/", "--ledger", "book/ledger.json"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(str(installed)) == 2
    (line,) = json.loads((tmp_path / "book" / "ledger.json").read_text(encoding="utf-8"))["claims"]
    assert (line["id"], line["verdict"]) == ("my-theorem/first-claim", "holds")
    assert line["check"].startswith("their_checks/test_my_theorem.py:")
    assert "--checks their_checks/test_my_theorem.py" in (tmp_path / "book" / "ledger.html").read_text(encoding="utf-8")
    again = _run(installed, tmp_path, "-m", "mdplab", "replay", line["id"], line["worst_instance"], "--checks", "their_checks")
    assert f"lhs {line['lhs']:.12g}" in again.stdout, again.stderr


def test_the_papers_are_verified_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    done = _run(installed, tmp_path, "-m", "mdplab", "verify", "coverage/half-power-needed", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "ledger" / "selection").iterdir()} == {"ledger.json", "ledger.html"}


def test_a_site_is_built_in_the_repository_only(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "ledger.json").write_text('{"format": 1, "claims": []}', encoding="utf-8")
    told = _run(installed, tmp_path, "-m", "mdplab", "site", "public", "--ledger", "ledger.json")
    assert (told.returncode, "Traceback" in told.stderr) == (2, False)
    assert "a site is built " in told.stderr
