"""Models from Gymnasium environments that carry a transition table, such as FrozenLake, Taxi and CliffWalking."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from mdplab.models.errors import ModelError
from mdplab.models.families import model_family
from mdplab.models.options import split_options
from mdplab.models.tabular import TabularMDP
from mdplab.models.validation import FEW_DECIMALS


def from_gymnasium(environment: Any, gamma: float = 0.99, **options: Any) -> TabularMDP:
    """The exact model of ``environment``, an instance or an id with its options, from its table ``env.unwrapped.P``.

    An id may carry options itself (``"FrozenLake-v1:map_name=8x8"``); keywords are handed to ``gymnasium.make`` too.
    ``P[s][a]`` lists (probability, next state, reward, terminated). A transition that terminates leads to an absorbing state of
    reward 0: the state that it names if no action leaves that state or earns anything in it, else one that is added as the last
    state, since nothing is earned after the end. Time limits are not part of the model. The start law is
    ``initial_state_distrib`` where the environment has one, else uniform. Probabilities that miss 1 by the rounding of a few
    decimals (at most 1e-5) are divided by their sum.

    Raises :class:`ModelError` for an unknown id or option, an environment without a table, or a table that is not an MDP.
    """
    made = _make(environment, options) if isinstance(environment, str) else environment
    core = getattr(made, "unwrapped", made)
    table = getattr(core, "P", None)
    start = getattr(core, "initial_state_distrib", None)
    if made is not environment and hasattr(made, "close"):
        made.close()
    if table is None:
        raise ModelError(f"the environment {_name(environment)} has no transition table `P`; its model cannot be read exactly.")
    try:
        return _from_table(table, start, gamma)
    except ModelError as error:
        raise ModelError(f"the table of {_name(environment)} is no model: {error}") from error
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise ModelError(
            f"the table of {_name(environment)} does not list (probability, next state, reward, terminated) "
            f"for each state and action: {error!r}."
        ) from error


def _name(environment: Any) -> str:
    return environment if isinstance(environment, str) else str(getattr(getattr(environment, "spec", None), "id", environment))


def _make(text: str, options: dict[str, Any]) -> Any:
    import gymnasium

    name, written = split_options(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return gymnasium.make(name, **(written | options))
    except Exception as error:  # an environment's constructor may raise anything
        first = str(error).strip().split("\n")[0].rstrip(".")
        raise ModelError(f"Gymnasium cannot make {text!r}: {type(error).__name__}: {first}.") from error


def _from_table(table: Any, start: Any, gamma: float) -> TabularMDP:
    S = len(table)
    lists = [
        [rows[a] for a in (sorted(rows) if isinstance(rows, dict) else range(len(rows)))]
        for rows in map(table.__getitem__, range(S))
    ]
    counts = [len(rows) for rows in lists]
    lengths = [len(ways) for rows in lists for ways in rows]
    flat = [way for rows in lists for ways in rows for way in ways]
    if not flat:
        raise ModelError("it has no transitions.")
    numbers = np.array([[p, to, r, bool(done)] for p, to, r, done in flat], dtype=float)
    chance, to, earned, done = numbers[:, 0], numbers[:, 1].astype(np.int64), numbers[:, 2], numbers[:, 3] != 0
    state = np.repeat(np.arange(S), counts)
    pair = np.repeat(np.arange(state.size), lengths)
    origin = state[pair]
    totals = np.bincount(pair, chance, minlength=state.size)
    if (np.abs(totals - 1) > FEW_DECIMALS).any():
        worst = int(np.argmax(np.abs(totals - 1)))
        action = worst - int(np.searchsorted(state, state[worst]))
        raise ModelError(
            f"the probabilities of state {state[worst]}, action {action} sum to {totals[worst]:.12g}, "
            f"which is {totals[worst] - 1:+.3g} off 1."
        )
    chance = chance / totals[pair]
    possible = chance > 0
    if ((to < 0) | (to >= S)).any():
        where = int(np.argmax((to < 0) | (to >= S)))
        raise ModelError(f"state {origin[where]} leads to state {to[where]}, but the states are 0 to {S - 1}.")
    absorbing = np.ones(S, dtype=bool)
    absorbing[origin[possible & ((to != origin) | (earned != 0))]] = False
    ending = done & ~absorbing[to] & possible
    to[ending] = S
    ends = bool(ending.any())
    reward = np.bincount(pair, chance * earned, minlength=state.size)
    if ends:  # with as many actions as the others have, so that a rectangular table stays one
        extra = max(counts)
        pair = np.concatenate((pair, state.size + np.arange(extra)))
        to, chance = np.concatenate((to, np.full(extra, S))), np.concatenate((chance, np.ones(extra)))
        reward, state = np.concatenate((reward, np.zeros(extra))), np.concatenate((state, np.full(extra, S)))
    from scipy.sparse import coo_array

    law = None
    if start is not None:
        law = np.zeros(S + ends)
        law[:S] = np.asarray(start, dtype=float) / np.sum(start)
    matrix = coo_array((chance, (pair, to)), shape=(state.size, S + ends))
    return TabularMDP.from_sparse(matrix, reward, gamma, state_of_pair=state, start=law)


@model_family
def frozen_lake(map_name: str = "4x4", is_slippery: bool = True, gamma: float = 0.99) -> TabularMDP:
    """Gymnasium's FrozenLake-v1 on its map "4x4" (16 states) or "8x8" (64); holes and goal absorb."""
    model = from_gymnasium("FrozenLake-v1", gamma, map_name=map_name, is_slippery=is_slippery)
    return model.replace(action_names=("left", "down", "right", "up"))


@model_family
def taxi(gamma: float = 0.99) -> TabularMDP:
    """Gymnasium's Taxi (Dietterich 2000): 500 states, and the end."""
    model = from_gymnasium(_newest("Taxi"), gamma)
    return model.replace(action_names=("south", "north", "east", "west", "pick up", "drop off"))


@model_family
def cliff_walking(is_slippery: bool = False, gamma: float = 0.99) -> TabularMDP:
    """Gymnasium's CliffWalking (Sutton and Barto, example 6.6): 48 states, and the end."""
    model = from_gymnasium(_newest("CliffWalking"), gamma, **({"is_slippery": True} if is_slippery else {}))
    return model.replace(action_names=("up", "right", "down", "left"))


def _newest(name: str) -> str:
    """The id of the newest version of an environment: releases of Gymnasium differ in which they still make."""
    import gymnasium

    versions = [spec.version for spec in gymnasium.registry.values() if spec.name == name and spec.version is not None]
    if not versions:
        raise ModelError(f"this release of Gymnasium has no environment {name}.")
    return f"{name}-v{max(versions)}"
