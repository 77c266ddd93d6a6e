"""Finite-horizon MDPs with dense, possibly time-dependent kernels, and the way to and from tabular models."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdplab.models.errors import ModelError
from mdplab.models.tabular import TabularMDP
from mdplab.models.validation import ROUNDING_UNITS, check_distribution


@dataclass(frozen=True, eq=False)
class EpisodicMDP:
    """An MDP of ``horizon`` H steps, undiscounted.

    ``P`` float64[H, S, A, S] (or [S, A, S] for a kernel that is the same at every step; it is broadcast, not copied), ``R``
    float64[H, S, A] (or [S, A]) expected rewards, ``start`` float64[S] (uniform if None). ``horizon`` may be left out when an
    array tells it. Raises :class:`ModelError` when the arrays do not describe an MDP.
    """

    P: NDArray[np.float64]
    R: NDArray[np.float64]
    start: NDArray[np.float64] | None = None
    horizon: int = 0
    key: str | None = None

    def __post_init__(self) -> None:
        P, R = np.asarray(self.P, dtype=float), np.asarray(self.R, dtype=float)
        told = {a.shape[0] for a, full in ((P, 4), (R, 3)) if a.ndim == full} | ({self.horizon} if self.horizon else set())
        if P.ndim not in (3, 4) or R.ndim not in (2, 3) or P.shape[-3] != P.shape[-1] or R.shape[-2:] != P.shape[-3:-1]:
            raise ModelError(
                f"P has shape {P.shape} and R has {R.shape}; they must be (H, S, A, S) or (S, A, S), and (H, S, A) or (S, A)."
            )
        if len(told) != 1 or min(told) < 1:
            raise ModelError(
                f"the horizon must be one number of steps, 1 or more; the arguments tell {sorted(told) or 'none'}."
            )
        H = told.pop()
        S = P.shape[-1]
        start = np.full(S, 1.0 / S) if self.start is None else np.asarray(self.start, dtype=float)
        check_distribution("the start distribution", start, S)
        for name, array, what in (("P", P, "probability"), ("R", R, "reward")):
            bad = ~np.isfinite(array) | ((array < 0) if name == "P" else False)
            if bad.any():
                where = tuple(int(i) for i in np.argwhere(bad)[0])
                raise ModelError(f"{name}[{', '.join(map(str, where))}] is {array[where]}, which is no {what}.")
        off = np.abs(P.sum(axis=-1) - 1)
        if (off > ROUNDING_UNITS * (S + 1)).any():
            where = tuple(int(i) for i in np.unravel_index(int(off.argmax()), off.shape))
            total = P.sum(axis=-1)[where]
            at = (
                f"step {where[0]}, state {where[1]}, action {where[2]}"
                if P.ndim == 4
                else f"state {where[0]}, action {where[1]}"
            )
            raise ModelError(f"the probabilities of {at} sum to {total:.12g}, which is {total - 1:+.3g} off 1.")
        object.__setattr__(self, "P", np.broadcast_to(P, (H, *P.shape[-3:])))
        object.__setattr__(self, "R", np.broadcast_to(R, (H, *R.shape[-2:])))
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "horizon", H)

    @property
    def states(self) -> int:
        """Number of states S."""
        return self.P.shape[1]

    @property
    def actions(self) -> int:
        """Number of actions A."""
        return self.P.shape[2]

    def replace(self, **changes: Any) -> EpisodicMDP:
        """A copy with some fields changed; the key is dropped unless a new one is given."""
        changes.setdefault("key", None)
        return dataclasses.replace(self, **changes)


def to_episodic(mdp: TabularMDP, horizon: int) -> EpisodicMDP:
    """The first ``horizon`` steps of a rectangular tabular model, undiscounted."""
    P, R = mdp.dense()
    return EpisodicMDP(P, R, start=mdp.start_distribution, horizon=horizon)


def to_tabular(mdp: EpisodicMDP, gamma: float = 1.0) -> TabularMDP:
    """The time-expanded model: state h S + s is s at step h, the last state is the end, absorbing with reward 0.

    With gamma = 1 its values are those of the episodic model; a smaller gamma discounts each step.
    """
    H, S, A = mdp.R.shape
    end = H * S
    flat = mdp.P.reshape(H, S * A, S)
    step, pair, to = np.nonzero(flat[:-1])
    counts = np.concatenate((np.bincount(step * S * A + pair, minlength=(H - 1) * S * A), np.ones(S * A + A, dtype=np.int64)))
    start = np.zeros(end + 1)
    assert mdp.start is not None
    start[:S] = mdp.start
    return TabularMDP(
        state_pointer=np.arange(end + 2) * A,
        row_pointer=np.concatenate(([0], np.cumsum(counts))),
        next_state=np.concatenate(((step + 1) * S + to, np.full(S * A + A, end))),
        probability=np.concatenate((flat[:-1][step, pair, to], np.ones(S * A + A))),
        reward=np.concatenate((mdp.R.ravel(), np.zeros(A))),
        gamma=gamma,
        start=start,
    )
