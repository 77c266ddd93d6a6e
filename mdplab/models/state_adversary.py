r"""Agents whose observations are disturbed: by Gaussian noise and an adversary's shift, or by an adversary who shows another state.

A *smoothed agent* meets an episodic MDP. In state s at step t it sees the number

.. math:: x_t = o(s_t) + z_t + e_t, \qquad z_t \sim N(0, \sigma^2) \text{ independently},

and acts by a step function of it. The adversary chooses the shift :math:`e_t` from all that happened before, but not from
:math:`z_t`, and spends at most a budget B on an episode, :math:`\sum_t e_t^2 \le B^2` (Kumar, Levine and Feizi 2022, arXiv
2106.11420). :mod:`mdplab.solvers.smoothed_policy` computes what it can do.

A *state adversary* shows the agent any state of a given neighbourhood of the true one (Zhang et al. 2020, arXiv 2003.08938).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from mdplab.models.episodic import EpisodicMDP
from mdplab.models.families import require, require_probability
from mdplab.models.random_mdps import dirichlet_rows
from mdplab.models.tabular import TabularMDP
from mdplab.models.validation import as_array
from theory.claims.families import family

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SmoothedAgent:
    """An episodic MDP and an agent that acts by a step function of a noisy observation.

    In state s the agent sees ``observation[s]`` (float64[S]) plus normal noise of standard deviation ``sigma`` > 0 plus a shift.
    It takes action ``choice[i]`` (int64[M+1]) where exactly i of the ``cuts`` (float64[M], increasing, M >= 0) lie below what it
    sees. ``key`` rebuilds a generated agent. The arrays are read-only.

    Raises :class:`ModelError` for shapes that do not fit, numbers that are not finite, cuts that do not increase, an action out
    of range, and a sigma that is not positive.
    """

    mdp: EpisodicMDP
    observation: Floats
    cuts: Floats
    choice: NDArray[np.int64]
    sigma: float
    key: str | None = None

    def __post_init__(self) -> None:
        S, A = self.mdp.states, self.mdp.actions
        for name, dtype in (("observation", np.float64), ("cuts", np.float64), ("choice", np.int64)):
            object.__setattr__(self, name, as_array(name, getattr(self, name), dtype))
        require(
            self.observation.shape == (S,),
            f"the observations have shape {self.observation.shape}; there must be {S} of them, one for each state.",
        )
        require(self.cuts.ndim == 1, f"the cuts have shape {self.cuts.shape}; they must be a list of numbers.")
        require(
            self.choice.shape == (self.cuts.size + 1,),
            f"{self.cuts.size} cuts need {self.cuts.size + 1} choices of an action, not an array of shape {self.choice.shape}.",
        )
        for name in ("observation", "cuts"):
            bad = ~np.isfinite(getattr(self, name))
            if bad.any():
                where = int(np.argmax(bad))
                require(False, f"entry {where} of {name} is {getattr(self, name)[where]}; it must be finite.")
        falls = np.diff(self.cuts) <= 0
        if falls.any():
            where = int(np.argmax(falls))
            require(False, f"the cuts must increase; {self.cuts[where + 1]} follows {self.cuts[where]}.")
        outside = (self.choice < 0) | (self.choice >= A)
        require(not outside.any(), f"the agent chooses action {self.choice[np.argmax(outside)]}; there are {A} actions.")
        sigma = float(self.sigma)
        require(np.isfinite(sigma) and sigma > 0, f"the noise has standard deviation {sigma}; it must be positive and finite.")
        object.__setattr__(self, "sigma", sigma)
        for name in ("observation", "cuts", "choice"):
            getattr(self, name).flags.writeable = False

    def replace(self, **changes: Any) -> SmoothedAgent:
        """A copy with some fields changed; the key is dropped unless a new one is given, since it no longer rebuilds it."""
        changes.setdefault("key", None)
        return dataclasses.replace(self, **changes)

    def above(self, shift: ArrayLike = 0.0) -> Floats:
        """The probability that the observation lies above each cut, shape (..., S, M), for shifts of shape (...)."""
        e = np.asarray(shift, dtype=float)[..., None, None]
        return np.asarray(special.ndtr((self.observation[:, None] + e - self.cuts) / self.sigma))

    def action_probabilities(self, shift: ArrayLike = 0.0) -> Floats:
        """pi(a|s) under a shift of the observation, shape (..., S, A), for shifts of shape (...); accurate when it is tiny."""
        e = np.asarray(shift, dtype=float)[..., None, None]
        edges = (np.concatenate(([-np.inf], self.cuts, [np.inf])) - self.observation[:, None] - e) / self.sigma
        low, high = edges[..., :-1], edges[..., 1:]
        upper = low > 0
        inside = np.where(upper, special.ndtr(-low) - special.ndtr(-high), special.ndtr(high) - special.ndtr(low))
        return np.asarray(inside @ np.eye(self.mdp.actions)[self.choice])


@dataclass(frozen=True, eq=False)
class StateAdversary:
    """A tabular MDP whose agent is shown state s' in place of the true state s, for any s' with ``shown[s, s']`` (bool[S, S]).

    Every state must be shown as something. States must have the same actions, as the agent does not know in which one it is.
    ``key`` rebuilds a generated model. Raises :class:`ModelError` otherwise.
    """

    mdp: TabularMDP
    shown: NDArray[np.bool_]
    key: str | None = None

    def __post_init__(self) -> None:
        S = self.mdp.states
        require(
            self.mdp.is_rectangular,
            "the model is ragged (states differ in their actions); every state must have the same ones.",
        )
        shown = np.array(self.shown, dtype=bool)
        require(shown.shape == (S, S), f"the states shown have shape {shown.shape}; they must be {(S, S)}, true state first.")
        blank = ~shown.any(axis=1)
        require(not blank.any(), f"state {int(np.argmax(blank))} is shown as no state; it must be shown as one at least.")
        shown.flags.writeable = False
        object.__setattr__(self, "shown", shown)

    def attack(self, policy: ArrayLike) -> TabularMDP:
        r"""The adversary's MDP against a ``policy`` (float64[S, A]): it is paid what the agent loses.

        In state s its actions are the states s' that may be shown, by their numbers; they earn
        :math:`-\sum_a \pi(a|s') r(s, a)` and lead on by :math:`\sum_a \pi(a|s') P(\cdot|s, a)`. Its optimal values are minus the
        values of ``policy`` under the worst attack.

        Raises :class:`ModelError` for a policy that is not a law of actions in every state.
        """
        P, R = self.mdp.dense()
        pi = as_array("the policy", policy, np.float64)
        require(pi.shape == R.shape, f"the policy has shape {pi.shape}; it must be {R.shape}.")
        fair = (pi >= 0).all(axis=1) & (np.abs(pi.sum(axis=1) - 1) <= 1e-9)
        require(bool(fair.all()), f"the policy in state {int(np.argmin(fair))} is not a law of actions.")
        true, to = np.nonzero(self.shown)
        rows = np.einsum("na,nas->ns", pi[to], P[true])
        rows /= rows.sum(axis=1, keepdims=True)
        counts = np.count_nonzero(rows, axis=1)
        return TabularMDP(
            state_pointer=np.concatenate(([0], np.cumsum(self.shown.sum(axis=1)))),
            row_pointer=np.concatenate(([0], np.cumsum(counts))),
            next_state=np.nonzero(rows)[1].astype(np.int32),
            probability=rows[rows != 0],
            reward=-np.einsum("na,na->n", pi[to], R[true]),
            gamma=self.mdp.gamma,
            start=self.mdp.start,
            action=to.astype(np.int32),
        )


@family(S=1, A=1, H=1, M=0)
def random_smoothed_agent(
    S: int = 3,
    A: int = 2,
    H: int = 3,
    M: int = 1,
    sigma: float = 1.0,
    largest: int = 2,
    mixed: float = 1.0,
    start: str = "first",
    seed: int = 0,
) -> SmoothedAgent:
    """Standard normal observations and cuts, random choices, rewards uniform on 0, 1, ..., ``largest``; one pair earns that.

    Rows are Dirichlet(``mixed``); at 0 every pair leads to one state. The agent chooses action i between the i-th cut and the
    next if it has enough of them, else any actions. It starts in the "first" state or in a "random" one.
    """
    require(
        S >= 1 and A >= 1 and H >= 1 and M >= 0,
        f"an agent needs S >= 1, A >= 1, H >= 1 and M >= 0, not S={S}, A={A}, H={H}, M={M}.",
    )
    require(largest >= 0 and mixed >= 0, f"the largest reward and the mixing must be 0 or more, not {largest} and {mixed}.")
    require(start in ("first", "random"), f"the start is 'first' or 'random', not {start!r}.")
    rng = np.random.default_rng(seed)
    P = dirichlet_rows(rng, S * A, S, mixed).reshape(S, A, S) if mixed else np.eye(S)[rng.integers(S, size=(S, A))]
    R = rng.integers(largest + 1, size=(S, A)).astype(float)
    R[rng.integers(S), rng.integers(A)] = largest
    mdp = EpisodicMDP(P, R, start=np.eye(S)[0] if start == "first" else None, horizon=H)
    choice = rng.permutation(A)[: M + 1] if M + 1 <= A else rng.integers(A, size=M + 1)
    return SmoothedAgent(mdp, rng.normal(size=S), np.sort(rng.normal(size=M)), choice, sigma)


@family
def decision_chain(margins: tuple[float, ...] = (1.0, 1.0), spare: int = 0, sigma: float = 1.0) -> SmoothedAgent:
    """A run of decisions, of which at most ``spare`` may be wrong: then it earns 1 at the end, otherwise nothing.

    Decision t is right if the observation is above 0, and the observation without noise is ``margins[t]``. The state is the
    number of the decision and of the wrong ones so far.
    """
    H = len(margins)
    require(H >= 1 and 0 <= spare < H, f"a chain needs 0 <= spare < decisions, not {spare} and {H}.")
    state = np.arange(H * (spare + 2)).reshape(H, spare + 2)  # the last column: lost
    P, R = np.zeros((state.size, 2, state.size)), np.zeros((H, state.size, 2))
    for t in range(H):
        for wrong in range(spare + 2):
            for action in range(2):
                after = min(wrong + 1 - action, spare + 1)
                P[state[t, wrong], action, state[min(t + 1, H - 1), after]] = 1.0
                R[t, state[t, wrong], action] = float(t == H - 1 and after <= spare)
    mdp = EpisodicMDP(P, R, start=np.eye(state.size)[0])
    return SmoothedAgent(mdp, np.repeat(np.array(margins, dtype=float), spare + 2), np.zeros(1), np.array([0, 1]), sigma)


@family(H=1, levels=2)
def noisy_accumulator(H: int = 2, levels: int = 9, reach: float = 3.0, share: float = 0.5, sigma: float = 1.0) -> SmoothedAgent:
    """An agent that rounds its noise to one of ``levels`` and adds it up; a total that is not too large earns 1.

    The observation without noise is 0, and the cuts lie evenly between -``reach`` and ``reach`` (in standard deviations, without
    the ends). Level i is action i and adds i; the run is won if the total is at most ``share`` of the largest, H (levels - 1),
    rounded down. With many levels the event is nearly that the sum of the noise is below a number, a half-space.
    """
    require(H >= 1 and levels >= 2, f"an accumulator needs H >= 1 and at least two levels, not H={H}, levels={levels}.")
    require(reach > 0, f"the reach of the cuts is {reach}; it must be positive.")
    require_probability("the share of the largest total", share)
    top = H * (levels - 1)
    S = top + 1
    total = np.minimum(np.arange(S)[:, None] + np.arange(levels), top)
    R = np.zeros((H, S, levels))
    R[H - 1] = total <= int(np.floor(share * top + 1e-9))
    mdp = EpisodicMDP(np.eye(S)[total], R, start=np.eye(S)[0])
    cuts = sigma * np.linspace(-reach, reach, levels + 1)[1:-1]
    return SmoothedAgent(mdp, np.zeros(S), cuts, np.arange(levels), sigma)


@family
def one_decision(
    cuts: tuple[float, ...] = (-1.0, 0.0, 1.0), observation: float = 0.0, sigma: float = 1.0, first: int = 0
) -> SmoothedAgent:
    """One step and one state; an observation above i of the ``cuts`` earns ``first`` + i."""
    A = len(cuts) + 1
    require(first >= 0, f"the least reward is {first}; it must be 0 or more.")
    mdp = EpisodicMDP(np.ones((1, A, 1)), first + np.arange(A, dtype=float)[None], horizon=1)
    return SmoothedAgent(mdp, np.array([observation]), np.sort(np.array(cuts, dtype=float)), np.arange(A), sigma)
