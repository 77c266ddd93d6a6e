"""Games: preference games and matrix games, their certified solutions, and the dynamics that learn them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from games.dynamics import average_policy as average_policy
    from games.generators import additive as additive
    from games.generators import bradley_terry as bradley_terry
    from games.generators import clone as clone
    from games.generators import cloned as cloned
    from games.generators import cyclic as cyclic
    from games.generators import low_rank as low_rank
    from games.generators import rock_paper_scissors as rock_paper_scissors
    from games.generators import tight_pair as tight_pair
    from games.generators import tilted as tilted
    from games.generators import tournament as tournament
    from games.generators import uniform as uniform
    from games.generators import with_condorcet_winner as with_condorcet_winner
    from games.linear_programming import MatrixGameSolution as MatrixGameSolution
    from games.linear_programming import solve_nash_lp as solve_nash_lp
    from games.mirror_descent import hedge as hedge
    from games.mirror_descent import magnetic_mirror_descent as magnetic_mirror_descent
    from games.mirror_descent import nash_mirror_descent as nash_mirror_descent
    from games.mirror_prox import MirrorProxRun as MirrorProxRun
    from games.mirror_prox import nash_mirror_prox as nash_mirror_prox
    from games.oracle import Oracle as Oracle
    from games.oracle import exact_oracle as exact_oracle
    from games.oracle import sampled_oracle as sampled_oracle
    from games.preference import PreferenceGame as PreferenceGame
    from games.prox import natural_gradient_prox as natural_gradient_prox
    from games.prox import prox as prox
    from games.regularised import RegularisedNash as RegularisedNash
    from games.regularised import exploitability as exploitability
    from games.regularised import smoothed_best_response as smoothed_best_response
    from games.regularised import solve_regularised as solve_regularised

_ROOMS = {
    "dynamics": ("average_policy",),
    "generators": (
        "additive",
        "bradley_terry",
        "clone",
        "cloned",
        "cyclic",
        "low_rank",
        "rock_paper_scissors",
        "tight_pair",
        "tilted",
        "tournament",
        "uniform",
        "with_condorcet_winner",
    ),
    "linear_programming": ("MatrixGameSolution", "solve_nash_lp"),
    "mirror_descent": ("hedge", "magnetic_mirror_descent", "nash_mirror_descent"),
    "mirror_prox": ("MirrorProxRun", "nash_mirror_prox"),
    "oracle": ("Oracle", "exact_oracle", "sampled_oracle"),
    "preference": ("PreferenceGame",),
    "prox": ("natural_gradient_prox", "prox"),
    "regularised": ("RegularisedNash", "exploitability", "smoothed_best_response", "solve_regularised"),
}
_WHERE = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
