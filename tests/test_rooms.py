"""The rooms of the house: imports point one way, and opening the door is quick."""

import ast
import functools
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOMS = ("theory", "mdplab", "bandits", "games", "experiments", "figures", "paper_checks")
ALLOWED = {
    "theory": set(),
    "mdplab": {"theory"},
    "bandits": {"theory", "mdplab"},
    "games": {"theory", "mdplab"},
    "experiments": {"theory", "mdplab", "bandits", "games"},
    "figures": {"theory", "mdplab", "bandits", "games", "experiments"},
    "paper_checks": {"theory", "mdplab", "bandits", "games", "experiments"},
}
DOOR = Path("mdplab/cli.py")  # the command line opens every room but the checks, which it finds by name
HOUSE = Path(__file__).parent.parent


@functools.cache
def _imported(path: Path) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module}
    return frozenset(found)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room: str) -> None:
    for path in (HOUSE / room).rglob("*.py"):
        ours = {name.split(".")[0] for name in _imported(path)} & set(ROOMS) - {room}
        allowed = ALLOWED["paper_checks"] if path.relative_to(HOUSE) == DOOR else ALLOWED[room]
        assert ours <= allowed, f"{path.relative_to(HOUSE)} imports {ours - allowed}"


def test_kernels_are_called_only_from_their_own_package() -> None:
    for room in ROOMS:
        for path in (HOUSE / room).rglob("*.py"):
            own = ".".join(path.relative_to(HOUSE).parent.parts)
            for name in _imported(path):
                package, _, module = name.rpartition(".")
                if module.startswith("_kernels"):
                    assert package == own, f"{path.relative_to(HOUSE)} imports {name}"


def test_importing_mdplab_loads_nothing_heavy() -> None:
    code = "import sys, mdplab, theory; print(sorted({'numba', 'scipy', 'matplotlib', 'pandas', 'cvxpy'} & set(sys.modules)))"
    assert importlib.util.find_spec("mdplab") is not None
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HOUSE)
    assert out.stdout.strip() == "[]"
