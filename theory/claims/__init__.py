"""The claim engine: write a theorem as a check, and learn whether it holds, how tightly, and on what evidence.

Everything that a check file needs::

    from theory.claims import Paper, Range, all_of, always, at_least, at_most, by_profile, claim, domain, equal, family
    from theory.claims import less_on_average, mean_at_most, over, slope, violation_rate
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theory.claims.comparison import (
        RELATIVE_ROUNDING,
        Comparison,
        EvidenceError,
        all_of,
        always,
        at_least,
        at_most,
        equal,
        less_on_average,
        mean_at_most,
        slope,
        violation_rate,
    )
    from theory.claims.declaration import Claim, Control, Paper, claim, domain, over, registered
    from theory.claims.engine import Evidence, Result, replay, run_claim
    from theory.claims.families import Call, Family, Range, Sweep, by_profile, family

__all__ = [
    "RELATIVE_ROUNDING",
    "Call",
    "Claim",
    "Comparison",
    "Control",
    "Evidence",
    "EvidenceError",
    "Family",
    "Paper",
    "Range",
    "Result",
    "Sweep",
    "all_of",
    "always",
    "at_least",
    "at_most",
    "by_profile",
    "claim",
    "domain",
    "equal",
    "family",
    "less_on_average",
    "mean_at_most",
    "over",
    "registered",
    "replay",
    "run_claim",
    "slope",
    "violation_rate",
]

_ROOMS = {
    "families": {"Call", "Family", "Range", "Sweep", "by_profile", "family"},
    "declaration": {"Claim", "Control", "Paper", "claim", "domain", "over", "registered"},
    "engine": {"Evidence", "Result", "replay", "run_claim"},
}


# Instance families are imported with the models, which must not pay for the statistical tests' scipy.
def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = next((room for room, names in _ROOMS.items() if name in names), "comparison")
    return getattr(importlib.import_module(f"{__name__}.{room}"), name)
