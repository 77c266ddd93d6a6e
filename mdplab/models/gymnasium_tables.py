"""Models from Gymnasium environments that carry a transition table, such as FrozenLake, Taxi and CliffWalking."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from mdplab.models.errors import ModelError
from mdplab.models.tabular import TabularMDP
from theory.claims.families import Call, family


def from_gymnasium(environment: Any, gamma: float = 0.99, key: str | None = None, **options: Any) -> TabularMDP:
    """The exact model of ``environment`` (an instance, or an id with its options) from its table ``env.unwrapped.P``.

    ``P[s][a]`` lists (probability, next state, reward, terminated). A transition that terminates leads to an added absorbing
    state of reward 0, whatever the table says about the state it names: nothing is earned after the end. The start law is
    ``initial_state_distrib`` where the environment has one. Probabilities are scaled to sum to 1 exactly (the tables hold
    rounded thirds); a row that is off by more than a millionth is an error.
    """
    if isinstance(environment, str):
        import gymnasium

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                environment = gymnasium.make(environment, **options)
        except Exception as error:
            first = str(error).strip().split("\n")[0].rstrip(".")
            raise ModelError(f"Gymnasium cannot make {environment!r}: {first}.") from error
    table = getattr(environment.unwrapped, "P", None)
    if table is None:
        raise ModelError(f"the environment {environment} has no transition table `P`; its model cannot be read exactly.")
    S = len(table)
    ends = any(done for actions in table.values() for rows in actions.values() for *_, done in rows)
    pointer, rows, nexts, chances, rewards = [0], [0], [], [], []
    for s in range(S):
        for a in sorted(table[s]):
            law: dict[int, float] = {}
            earned = 0.0
            total = sum(p for p, *_ in table[s][a])
            if abs(total - 1) > 1e-6:
                raise ModelError(
                    f"the probabilities of state {s}, action {a} sum to {total:.12g}, which is {total - 1:+.3g} off 1."
                )
            for p, to, r, done in table[s][a]:
                if p > 0:
                    target = S if done else int(to)
                    law[target] = law.get(target, 0.0) + p / total
                    earned += p / total * float(r)
            nexts += list(law)
            chances += list(law.values())
            rows.append(len(nexts))
            rewards.append(earned)
        pointer.append(len(rewards))
    if ends:  # with as many actions as the others have, so that a rectangular table stays one
        for _ in range(max(len(actions) for actions in table.values())):
            rewards.append(0.0)
            nexts.append(S)
            chances.append(1.0)
            rows.append(len(nexts))
        pointer.append(len(rewards))
    start = getattr(environment.unwrapped, "initial_state_distrib", None)
    law_of_start = None
    if start is not None:
        law_of_start = np.zeros(S + ends)
        law_of_start[:S] = np.asarray(start, dtype=float) / np.sum(start)
    return TabularMDP(
        state_pointer=np.array(pointer),
        row_pointer=np.array(rows),
        next_state=np.array(nexts),
        probability=np.array(chances),
        reward=np.array(rewards),
        gamma=gamma,
        start=law_of_start,
        key=key,
    )


@family
def frozen_lake(map_name: str = "4x4", is_slippery: bool = True, gamma: float = 0.99) -> TabularMDP:
    """Gymnasium's FrozenLake-v1, map "4x4" or "8x8"."""
    parameters = {"map_name": map_name, "is_slippery": is_slippery, "gamma": gamma}
    key = str(Call("frozen_lake", parameters))
    return from_gymnasium("FrozenLake-v1", gamma, key, map_name=map_name, is_slippery=is_slippery)


@family
def taxi(gamma: float = 0.99) -> TabularMDP:
    """Gymnasium's Taxi: 500 states, and the end."""
    return from_gymnasium("Taxi-v4", gamma, str(Call("taxi", {"gamma": gamma})))


@family
def cliff_walking(is_slippery: bool = False, gamma: float = 0.99) -> TabularMDP:
    """Gymnasium's CliffWalking: 48 states, and the end."""
    parameters = {"is_slippery": is_slippery, "gamma": gamma}
    return from_gymnasium("CliffWalking-v1", gamma, str(Call("cliff_walking", parameters)), is_slippery=is_slippery)
