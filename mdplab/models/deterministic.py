"""Deterministic MDPs with a violation signal: every action leads to one state, and some states must never be visited."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models.errors import ModelError
from mdplab.models.families import require, require_probability
from mdplab.models.tabular import TabularMDP
from mdplab.models.validation import as_array, check_discount
from theory.claims.families import family


@dataclass(frozen=True, eq=False)
class DeterministicMDP:
    """A finite MDP in which action a leads from s to ``next_state[s, a]`` for sure.

    Arrays, with S states and A actions: ``next_state`` int64[S, A], ``reward`` float64[S, A], ``violation`` float64[S]. A state
    violates the constraint if its ``violation`` is positive; the others are safe. ``gamma`` in [0, 1] discounts the rewards,
    and the feasible value unless that is given its own. ``key`` rebuilds a generated model. The arrays are read-only.

    Raises :class:`ModelError` for shapes that do not fit, a next state out of range, a number that is not finite, a discount
    outside [0, 1].
    """

    next_state: NDArray[np.int64]
    reward: NDArray[np.float64]
    violation: NDArray[np.float64]
    gamma: float
    key: str | None = None

    def __post_init__(self) -> None:
        for name, dtype in (("next_state", np.int64), ("reward", np.float64), ("violation", np.float64)):
            object.__setattr__(self, name, as_array(name, getattr(self, name), dtype))
        object.__setattr__(self, "gamma", check_discount(self.gamma))
        shape = self.next_state.shape
        require(len(shape) == 2 and 0 not in shape, f"next_state has shape {shape}; it must be (S, A) with S >= 1 and A >= 1.")
        require(
            self.reward.shape == shape, f"the rewards have shape {self.reward.shape}; they must be {shape} as next_state is."
        )
        require(
            self.violation.shape == shape[:1],
            f"the violation signal has shape {self.violation.shape}; it must have {shape[0]} entries, one for each state.",
        )
        outside = (self.next_state < 0) | (self.next_state >= shape[0])
        if outside.any():
            s, a = (int(i) for i in np.argwhere(outside)[0])
            raise ModelError(f"action {a} in state {s} leads to state {self.next_state[s, a]}; there are {shape[0]} states.")
        for name, values in (("reward", self.reward), ("violation", self.violation)):
            bad = ~np.isfinite(values)
            if bad.any():
                place = tuple(int(i) for i in np.argwhere(bad)[0])
                raise ModelError(
                    f"the {name} of {place if len(place) > 1 else place[0]} is {values[place]}; it must be finite."
                )
        for name in ("next_state", "reward", "violation"):
            getattr(self, name).flags.writeable = False

    @property
    def states(self) -> int:
        """Number of states S."""
        return int(self.next_state.shape[0])

    @property
    def actions(self) -> int:
        """Number of actions A."""
        return int(self.next_state.shape[1])

    @property
    def violating(self) -> NDArray[np.bool_]:
        """The states that violate the constraint, bool[S]."""
        return np.asarray(self.violation > 0)

    def replace(self, **changes: Any) -> DeterministicMDP:
        """A copy with some fields changed; the key is dropped unless a new one is given, since it no longer rebuilds it."""
        changes.setdefault("key", None)
        return dataclasses.replace(self, **changes)

    def tabular(self) -> TabularMDP:
        """The model with its rewards and without its violation signal; pair (s, a) has the number s A + a."""
        pairs = self.next_state.size
        return TabularMDP(
            state_pointer=np.arange(self.states + 1) * self.actions,
            row_pointer=np.arange(pairs + 1),
            next_state=self.next_state.ravel().astype(np.int32),
            probability=np.ones(pairs),
            reward=self.reward.ravel(),
            gamma=self.gamma,
        )

    @classmethod
    def from_tabular(cls, mdp: TabularMDP, violation: ArrayLike) -> DeterministicMDP:
        """``mdp`` with the signal ``violation`` (S numbers).

        Raises ModelError if states differ in their actions, or if a pair may lead to more than one state: what no run may
        visit would then be a matter of the support of the transition law, which this model does not have.
        """
        require(
            mdp.is_rectangular, "the model is ragged (states differ in their actions); every state must have the same ones."
        )
        rows = mdp.transition_matrix().copy()  # that one shares the model's arrays
        rows.sum_duplicates()
        rows.eliminate_zeros()
        counts = np.diff(rows.indptr)
        if (counts != 1).any():
            pair = int(np.argmax(counts != 1))
            s = int(mdp.pair_state[pair])
            raise ModelError(
                f"action {mdp.action_name(pair)} in state {mdp.state_name(s)} may lead to {counts[pair]} states; it must lead to one."
            )
        shape = (mdp.states, mdp.max_actions)
        return cls(
            rows.indices.reshape(shape), mdp.reward.reshape(shape), as_array("violation", violation, np.float64), mdp.gamma
        )


@family(S=1, A=1)
def random_violations(
    S: int = 8,
    A: int = 2,
    bad: float = 0.4,
    magnitude: float = 1.0,
    reach: int = 0,
    signal: str = "two-valued",
    gamma: float = 0.9,
    seed: int = 0,
) -> DeterministicMDP:
    """Random next states, rewards uniform on [0, 1], and round(``bad`` S) states that violate the constraint.

    ``reach`` 0 draws next states uniformly; otherwise they are at most ``reach`` away on a line of states. The "two-valued"
    signal is -1 on safe states and ``magnitude`` on violating ones; the "graded" one multiplies these by uniform numbers from
    (0, 1].
    """
    require(S >= 1 and A >= 1, f"a model needs S >= 1 and A >= 1, not S={S}, A={A}.")
    require(magnitude > 0, f"the magnitude of a violation is {magnitude}; it must be positive.")
    require(reach >= 0, f"the reach is {reach}; it must be 0 or more.")
    require(signal in ("two-valued", "graded"), f"the signal is 'two-valued' or 'graded', not {signal!r}.")
    require_probability("the fraction of bad states", bad)
    rng = np.random.default_rng(seed)
    if reach:
        steps = rng.integers(-reach, reach + 1, size=(S, A))
        nexts = np.clip(np.arange(S)[:, None] + steps, 0, S - 1)
    else:
        nexts = rng.integers(S, size=(S, A))
    violation = np.full(S, -1.0)
    violation[rng.permutation(S)[: round(bad * S)]] = magnitude
    if signal == "graded":
        violation *= 1.0 - rng.random(S)
    return DeterministicMDP(nexts, rng.random((S, A)), violation, gamma)


@family(S=2)
def violation_chain(S: int = 8, magnitude: float = 1.0, exits: str = "none", gamma: float = 0.9) -> DeterministicMDP:
    """A corridor to a violation: state s leads to s + 1, the last state is absorbing and violates. No rewards.

    There are no choices, and state s is safe for S - 1 - s steps more. With a "gate" as ``exits``, a second action stays in
    state 0 (elsewhere it goes on), which is then the viability kernel; with "trapdoors", it leads to the last state at once.
    """
    require(S >= 2, f"a corridor needs S >= 2, not {S}.")
    require(magnitude > 0, f"the magnitude of a violation is {magnitude}; it must be positive.")
    require(exits in ("none", "gate", "trapdoors"), f"the exits are 'none', 'gate' or 'trapdoors', not {exits!r}.")
    nexts = np.repeat(np.minimum(np.arange(S) + 1, S - 1)[:, None], 1 if exits == "none" else 2, axis=1)
    if exits == "gate":
        nexts[0, 1] = 0
    if exits == "trapdoors":
        nexts[:, 1] = S - 1
    violation = np.full(S, -1.0)
    violation[-1] = magnitude
    return DeterministicMDP(nexts, np.zeros(nexts.shape), violation, gamma)


@family(delay=0)
def forbidden_prize(
    modest: float = 0.5, prize: float = 1.0, delay: int = 0, magnitude: float = 1.0, gamma: float = 0.9
) -> DeterministicMDP:
    """A choice between a modest income and a place next to a forbidden prize.

    From state 0, action 0 leads to state 1 and action 1 to state 2. In state 2 both actions stay and pay ``modest``. In state 1
    action 0 stays and pays nothing; action 1 pays ``prize``, as does every step from then on, and leads through ``delay`` safe
    states without a way back to the last state, which violates and is absorbing.
    """
    require(delay >= 0, f"the delay of the violation is {delay}; it must be 0 or more.")
    require(magnitude > 0, f"the magnitude of a violation is {magnitude}; it must be positive.")
    last = 3 + delay
    after = [[min(s + 1, last)] * 2 for s in range(3, last + 1)]
    violation = np.full(last + 1, -1.0)
    violation[-1] = magnitude
    return DeterministicMDP(
        next_state=np.array([[1, 2], [1, 3], [2, 2], *after]),
        reward=np.array([[0.0, 0.0], [0.0, prize], [modest, modest], *([prize, prize] for _ in after)]),
        violation=violation,
        gamma=gamma,
    )
