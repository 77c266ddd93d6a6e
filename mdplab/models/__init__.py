"""Models: what an MDP is, generators of families, readers and writers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mdplab.models.episodic import EpisodicMDP as EpisodicMDP
    from mdplab.models.episodic import to_episodic as to_episodic
    from mdplab.models.episodic import to_tabular as to_tabular
    from mdplab.models.errors import ModelError as ModelError
    from mdplab.models.generators import chain as chain
    from mdplab.models.generators import combination_lock as combination_lock
    from mdplab.models.generators import deep_sea as deep_sea
    from mdplab.models.generators import delayed_reward_chain as delayed_reward_chain
    from mdplab.models.generators import dirichlet_mdp as dirichlet_mdp
    from mdplab.models.generators import garnet as garnet
    from mdplab.models.generators import inventory as inventory
    from mdplab.models.generators import queue_admission as queue_admission
    from mdplab.models.generators import river_swim as river_swim
    from mdplab.models.generators import tied_optima as tied_optima
    from mdplab.models.generators import two_state as two_state
    from mdplab.models.grids import grid_world as grid_world
    from mdplab.models.grids import slippery_grid as slippery_grid
    from mdplab.models.gymnasium_tables import cliff_walking as cliff_walking
    from mdplab.models.gymnasium_tables import from_gymnasium as from_gymnasium
    from mdplab.models.gymnasium_tables import frozen_lake as frozen_lake
    from mdplab.models.gymnasium_tables import taxi as taxi
    from mdplab.models.tabular import TabularMDP as TabularMDP

_ROOMS = {
    "errors": ("ModelError",),
    "tabular": ("TabularMDP",),
    "episodic": ("EpisodicMDP", "to_episodic", "to_tabular"),
    "generators": (
        "chain",
        "combination_lock",
        "deep_sea",
        "delayed_reward_chain",
        "dirichlet_mdp",
        "garnet",
        "inventory",
        "queue_admission",
        "river_swim",
        "tied_optima",
        "two_state",
    ),
    "grids": ("grid_world", "slippery_grid"),
    "gymnasium_tables": ("cliff_walking", "from_gymnasium", "frozen_lake", "taxi"),
}
_WHERE = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
