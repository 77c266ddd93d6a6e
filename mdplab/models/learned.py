r"""Models learned from data: right up to a known error where the data are, and possibly wrong by anything elsewhere.

The truth is some model with the same rewards, costs and start, in which the row of a pair is within the total variation ``error``
of the learned one if the data support the pair, and is any distribution otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdplab.models.errors import ModelError
from mdplab.models.families import require, require_probability
from mdplab.models.random_mdps import dirichlet_mdp
from mdplab.models.robust import RobustBallMDP
from mdplab.models.tabular import TabularMDP
from mdplab.models.validation import as_array
from theory.claims.families import family

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LearnedModel:
    """A learned ``mdp`` with one ``cost``, and what is known of its errors.

    ``cost`` and the model's rewards are float64[N] in [0, 1] (the cost may be given as (S, A)), ``supported`` bool[N] marks the
    pairs whose row is within ``error`` in [0, 1] of the truth in total variation. ``key`` rebuilds a generated model.

    Raises :class:`ModelError` for shapes that do not fit, numbers out of their range and a discount of 1.
    """

    mdp: TabularMDP
    cost: Floats
    supported: NDArray[np.bool_]
    error: float
    key: str | None = None

    def __post_init__(self) -> None:
        N = self.mdp.pairs
        for name, dtype in (("cost", np.float64), ("supported", np.bool_)):
            values = as_array(name, getattr(self, name), dtype)
            require(values.size == N, f"{name} has shape {values.shape}; the model has {N} pairs.")
            values = values.reshape(N).copy()
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        for name, numbers in (("cost", self.cost), ("reward", self.mdp.reward)):
            bad = ~((numbers >= 0) & (numbers <= 1))
            if bad.any():
                pair = int(np.argmax(bad))
                raise ModelError(f"the {name} of pair {pair} is {numbers[pair]}; it must lie between 0 and 1.")
        require_probability("the error of the model", self.error)
        require(self.mdp.gamma < 1, f"the discount is {self.mdp.gamma}; it must be below 1.")

    def truths(self, objective: Floats) -> RobustBallMDP:
        """All models that may be the truth, with ``objective`` float64[N] for the reward."""
        return RobustBallMDP(self.mdp.replace(reward=objective), "tv", np.where(self.supported, self.error, 1.0), support="all")


@family(S=2, A=2)
def misjudged_model(
    S: int = 5, A: int = 3, outside: float = 0.3, error: float = 0.01, bonus: float = 0.5, gamma: float = 0.9, seed: int = 0
) -> LearnedModel:
    """A random model that thinks well of what it does not know.

    Rows are Dirichlet(1), rewards and costs uniform. Each action but one in every state is unsupported with probability
    ``outside``; the model believes it to cost nothing, and its reward to be higher by ``bonus`` (at most 1).
    """
    rng = np.random.default_rng(seed)
    mdp = dirichlet_mdp(S, A, gamma, seed=rng)
    supported = rng.random((S, A)) >= outside
    supported[np.arange(S), rng.integers(A, size=S)] = True
    known = supported.ravel()
    reward = np.where(known, rng.random(S * A), np.minimum(rng.random(S * A) + bonus, 1.0))
    return LearnedModel(mdp.replace(reward=reward), np.where(known, rng.random(S * A), 0.0), known, error)


@family
def leaking_loop(error: float = 0.01, entrance: float = 0.0, gamma: float = 0.9) -> LearnedModel:
    """A rewarding loop next to a costly sink, which the model thinks out of reach: the largest error of its returns.

    State 0 loops, with reward 1 and cost 0; the sink, state 1, has reward 0 and cost 1. With probability ``entrance`` the start is
    state 2, unsupported, which leads to the loop according to the model.
    """
    P = np.zeros((3, 1, 3))
    P[0, 0, 0] = P[1, 0, 1] = P[2, 0, 0] = 1.0
    mdp = TabularMDP.from_dense(P, np.array([[1.0], [0.0], [1.0]]), gamma, start=(1 - entrance, 0.0, entrance))
    return LearnedModel(mdp, np.array([0.0, 1.0, 0.0]), np.array([True, True, False]), error)


@family
def tempting_gap(error: float = 0.01, gamma: float = 0.9) -> LearnedModel:
    """One choice: a known loop of reward and cost 1/10, or an unknown one that the model believes to pay 1 and cost nothing.

    The other state, which the model thinks out of reach, has no reward and the cost 1.
    """
    P = np.zeros((2, 2, 2))
    P[0, :, 0] = P[1, :, 1] = 1.0
    mdp = TabularMDP.from_dense(P, np.array([[0.1, 1.0], [0.0, 0.0]]), gamma, start=(1.0, 0.0))
    return LearnedModel(mdp, np.array([0.1, 0.0, 1.0, 1.0]), np.array([True, False, True, True]), error)


@family
def rival_loops(error: float = 0.01, advantage: float = 1e-6, gamma: float = 0.9) -> LearnedModel:
    """Two ways to stay that look alike: one is better than it looks, the other may be worse.

    In state 0 both actions stay. Action 0 pays 1, and the model believes it to slip into the sink, state 1, with probability
    ``error``. Action 1 does not slip in the model, and pays so much less that it looks better by ``advantage``. Nothing costs.
    """
    P = np.zeros((2, 2, 2))
    P[0, 0] = 1 - error, error
    P[0, 1, 0] = P[1, :, 1] = 1.0
    reward = min((1 - gamma) / (1 - gamma * (1 - error)) + advantage, 1.0)
    mdp = TabularMDP.from_dense(P, np.array([[1.0, reward], [0.0, 0.0]]), gamma, start=(1.0, 0.0))
    return LearnedModel(mdp, np.zeros(4), np.ones(4, dtype=bool), error)


@family
def unknown_ditch(error: float = 0.01, gamma: float = 0.9) -> LearnedModel:
    """A good road along a ditch of which nothing is known.

    In state 0 action 0 stays and pays 1, but slips into the ditch, state 1, with probability ``error`` according to the model;
    action 1 stays and pays nothing. No action of the ditch is supported. Nothing costs anything.
    """
    P = np.zeros((2, 2, 2))
    P[0, 0] = 1 - error, error
    P[0, 1, 0] = P[1, :, 1] = 1.0
    mdp = TabularMDP.from_dense(P, np.array([[1.0, 0.0], [0.0, 0.0]]), gamma, start=(1.0, 0.0))
    return LearnedModel(mdp, np.zeros(4), np.array([True, True, False, False]), error)
