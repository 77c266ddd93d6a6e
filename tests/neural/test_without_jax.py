"""Without JAX everything but the networks works, and what needs them says why it is skipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).parent.parent.parent
ABSENT = "import sys; sys.modules.update(dict.fromkeys(('jax', 'equinox', 'optax')));"


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", ABSENT + code], capture_output=True, text=True, check=True, cwd=HOUSE)


def test_only_the_neural_room_imports_jax() -> None:
    for room in ("theory", "mdplab", "bandits", "games", "experiments", "figures", "paper_checks"):
        for path in (HOUSE / room).rglob("*.py"):
            if path.parent.name != "neural":
                text = path.read_text(encoding="utf-8")
                assert not any(f"import {name}" in text or f"from {name}" in text for name in ("jax", "equinox", "optax")), path


def test_claims_are_found_and_those_of_networks_skipped_with_the_reason() -> None:
    code = """
import paper_checks.test_sac
from theory.claims import registered, run_claim
claims = registered()
found = run_claim(claims["sac/neural-vs-exact"])
print(found.verdict, found.as_expected, sorted(found.evidence.skipped))
print(run_claim(claims["sac/envelope"]).verdict)
from mdplab import neural
try:
    neural.training
except Exception as error:
    print(type(error).__name__, error)
"""
    said = _python(code).stdout.splitlines()
    assert said == [
        "skipped True [\"jax is not installed; pip install 'mdplab[neural]' brings it.\"]",
        "holds",
        "Unavailable jax is not installed; pip install 'mdplab[neural]' brings it.",
    ]
