"""Models: what an MDP is, generators of families, readers and writers.

Models are frozen dataclasses (:class:`TabularMDP`, :class:`EpisodicMDP`, :class:`LinearMDP`) that are checked when they are made.
The names below are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mdplab.models.chains import chain as chain
    from mdplab.models.chains import combination_lock as combination_lock
    from mdplab.models.chains import deep_sea as deep_sea
    from mdplab.models.chains import delayed_reward_chain as delayed_reward_chain
    from mdplab.models.chains import river_swim as river_swim
    from mdplab.models.cheap_talk import CheapTalkMDP as CheapTalkMDP
    from mdplab.models.constrained import ConstrainedMDP as ConstrainedMDP
    from mdplab.models.constrained import random_costs as random_costs
    from mdplab.models.episodic import EpisodicMDP as EpisodicMDP
    from mdplab.models.episodic import to_episodic as to_episodic
    from mdplab.models.episodic import to_tabular as to_tabular
    from mdplab.models.episodic_families import episodic_cliff_walking as episodic_cliff_walking
    from mdplab.models.episodic_families import episodic_deep_sea as episodic_deep_sea
    from mdplab.models.episodic_families import episodic_frozen_lake as episodic_frozen_lake
    from mdplab.models.episodic_families import episodic_garnet as episodic_garnet
    from mdplab.models.episodic_families import episodic_lock as episodic_lock
    from mdplab.models.episodic_families import episodic_river_swim as episodic_river_swim
    from mdplab.models.episodic_families import episodic_taxi as episodic_taxi
    from mdplab.models.episodic_families import hard_contexts as hard_contexts
    from mdplab.models.episodic_families import unit_rewards as unit_rewards
    from mdplab.models.errors import ModelError as ModelError
    from mdplab.models.families import model_family as model_family
    from mdplab.models.grids import grid_world as grid_world
    from mdplab.models.grids import slippery_grid as slippery_grid
    from mdplab.models.gymnasium_tables import cliff_walking as cliff_walking
    from mdplab.models.gymnasium_tables import from_gymnasium as from_gymnasium
    from mdplab.models.gymnasium_tables import frozen_lake as frozen_lake
    from mdplab.models.gymnasium_tables import taxi as taxi
    from mdplab.models.learned import LearnedModel as LearnedModel
    from mdplab.models.linear import LinearMDP as LinearMDP
    from mdplab.models.linear import to_linear as to_linear
    from mdplab.models.linear_families import hypercube_linear as hypercube_linear
    from mdplab.models.linear_families import linear_simplex as linear_simplex
    from mdplab.models.multi_objective import MultiObjectiveMDP as MultiObjectiveMDP
    from mdplab.models.multi_objective import deep_sea_treasure as deep_sea_treasure
    from mdplab.models.multi_objective import prism_objectives as prism_objectives
    from mdplab.models.multi_objective import random_objectives as random_objectives
    from mdplab.models.npz import load_npz as load_npz
    from mdplab.models.npz import save_npz as save_npz
    from mdplab.models.operations import inventory as inventory
    from mdplab.models.operations import queue_admission as queue_admission
    from mdplab.models.prism import read_prism as read_prism
    from mdplab.models.prism import write_prism as write_prism
    from mdplab.models.random_mdps import dirichlet_mdp as dirichlet_mdp
    from mdplab.models.random_mdps import garnet as garnet
    from mdplab.models.random_mdps import tied_optima as tied_optima
    from mdplab.models.read import read_model as read_model
    from mdplab.models.robust import RobustBallMDP as RobustBallMDP
    from mdplab.models.robust import RobustKernelSet as RobustKernelSet
    from mdplab.models.robust import RobustPolytopeMDP as RobustPolytopeMDP
    from mdplab.models.robust import RobustStatePolytopeMDP as RobustStatePolytopeMDP
    from mdplab.models.robust_families import random_kernels as random_kernels
    from mdplab.models.robust_families import random_polytope as random_polytope
    from mdplab.models.robust_families import random_state_polytope as random_state_polytope
    from mdplab.models.robust_families import rarely_slippery_lake as rarely_slippery_lake
    from mdplab.models.scenario_tree import StorageTree as StorageTree
    from mdplab.models.small_models import debt as debt
    from mdplab.models.small_models import doubling_chain as doubling_chain
    from mdplab.models.small_models import fork as fork
    from mdplab.models.small_models import two_state as two_state
    from mdplab.models.state_adversary import SmoothedAgent as SmoothedAgent
    from mdplab.models.state_adversary import StateAdversary as StateAdversary
    from mdplab.models.storm import from_prism_program as from_prism_program
    from mdplab.models.storm import prism_model as prism_model
    from mdplab.models.tabular import TabularMDP as TabularMDP

_ROOMS = {
    "errors": ("ModelError",),
    "tabular": ("TabularMDP",),
    "episodic": (
        "EpisodicMDP",
        "to_episodic",
        "to_tabular",
    ),
    "constrained": (
        "ConstrainedMDP",
        "random_costs",
    ),
    "families": ("model_family",),
    "random_mdps": (
        "garnet",
        "dirichlet_mdp",
        "tied_optima",
    ),
    "small_models": (
        "two_state",
        "fork",
        "doubling_chain",
        "debt",
    ),
    "chains": (
        "river_swim",
        "chain",
        "delayed_reward_chain",
        "deep_sea",
        "combination_lock",
    ),
    "operations": (
        "inventory",
        "queue_admission",
    ),
    "grids": (
        "grid_world",
        "slippery_grid",
    ),
    "episodic_families": (
        "hard_contexts",
        "episodic_lock",
        "episodic_river_swim",
        "episodic_deep_sea",
        "episodic_garnet",
        "episodic_frozen_lake",
        "episodic_cliff_walking",
        "episodic_taxi",
        "unit_rewards",
    ),
    "linear": (
        "LinearMDP",
        "to_linear",
    ),
    "linear_families": (
        "hypercube_linear",
        "linear_simplex",
    ),
    "gymnasium_tables": (
        "from_gymnasium",
        "frozen_lake",
        "taxi",
        "cliff_walking",
    ),
    "prism": (
        "read_prism",
        "write_prism",
    ),
    "storm": (
        "from_prism_program",
        "prism_model",
    ),
    "multi_objective": (
        "MultiObjectiveMDP",
        "random_objectives",
        "deep_sea_treasure",
        "prism_objectives",
    ),
    "npz": (
        "save_npz",
        "load_npz",
    ),
    "read": ("read_model",),
    "learned": ("LearnedModel",),
    "scenario_tree": ("StorageTree",),
    "robust": (
        "RobustBallMDP",
        "RobustKernelSet",
        "RobustPolytopeMDP",
        "RobustStatePolytopeMDP",
    ),
    "robust_families": (
        "random_kernels",
        "random_polytope",
        "random_state_polytope",
        "rarely_slippery_lake",
    ),
    "cheap_talk": ("CheapTalkMDP",),
    "state_adversary": (
        "SmoothedAgent",
        "StateAdversary",
    ),
}
_WHERE = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
