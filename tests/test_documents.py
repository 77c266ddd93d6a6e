"""The claims that the documents show do what the documents say."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest_plugins = ["pytester"]
HOUSE = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("document", "ids"),
    [
        ("README.md", ["mine/contraction"]),
        ("docs/writing_claims.md", ["my-theorem/entropy-falls", "notes/last-change", "notes/hoeffding"]),
    ],
)
def test_claims_shown_in_documents_hold_and_are_guarded(pytester: pytest.Pytester, document: str, ids: list[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (HOUSE / document).read_text(encoding="utf-8"), re.DOTALL)
    pytester.makepyfile(test_shown="\n".join(b for b in blocks if "@claim" in b))
    result = pytester.runpytest_subprocess("--ledger", "ledger.json")
    result.assert_outcomes(passed=len(ids))
    for name in ids:
        result.stdout.fnmatch_lines([f"*{name}*holds*"])


def test_the_other_examples_of_the_readme_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (HOUSE / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    shown = [b for b in blocks if "@claim" not in b]
    done = subprocess.run([sys.executable, "-c", "\n".join(shown)], capture_output=True, text=True, check=False, cwd=HOUSE)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= len(shown)


def test_the_example_of_an_experiment_runs() -> None:
    pytest.importorskip("jax", reason="needs the extra neural")
    (block,) = re.findall(r"```python\n(.*?)```", (HOUSE / "docs/neural.md").read_text(encoding="utf-8"), re.DOTALL)
    shown: dict[str, Any] = {"__name__": "shown"}
    exec(block, shown)
    gap = shown["gap"].mean(axis=1)
    assert (gap > 0).all()
    assert (np.diff(gap, axis=1) < 0).all()
    assert gap[1, -1] < 0.1 * gap[1, 0]
