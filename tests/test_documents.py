"""The claims that the documents show do what the documents say."""

import re
from pathlib import Path

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
