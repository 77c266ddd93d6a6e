"""What must be true of a model's arrays; the first thing that is not is told in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mdplab.models.errors import ModelError

if TYPE_CHECKING:
    from mdplab.models.tabular import TabularMDP

# A row of b probabilities, each rounded to float64, sums to 1 within about b units of rounding; the factor leaves room for
# rows that were themselves computed as quotients or products. Files with few decimals are normalised by their readers.
ROUNDING_UNITS = 16 * np.finfo(float).eps


def check_discount(gamma: float) -> None:
    """ModelError unless 0 <= gamma <= 1."""
    if not 0.0 <= gamma <= 1.0:
        raise ModelError(f"the discount is {gamma}; it must lie between 0 and 1.")


def check_distribution(name: str, values: NDArray[np.float64], size: int) -> None:
    """ModelError unless ``values`` is a probability vector of ``size`` entries."""
    if values.shape != (size,):
        raise ModelError(f"{name} has shape {values.shape}; it must have {size} entries, one for each state.")
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        where = int(np.argmax(bad))
        raise ModelError(f"{name} gives state {where} the probability {values[where]}.")
    total = float(values.sum())
    if abs(total - 1) > ROUNDING_UNITS * (size + 1):
        raise ModelError(f"{name} sums to {total:.12g}, which is {total - 1:+.3g} off 1.")


def validate_tabular(mdp: TabularMDP) -> None:
    """ModelError for the first fault of a :class:`~mdplab.models.tabular.TabularMDP`; linear in its size."""
    check_discount(mdp.gamma)
    pointers, rows, nexts, chances, rewards = (
        mdp.state_pointer,
        mdp.row_pointer,
        mdp.next_state,
        mdp.probability,
        mdp.reward,
    )
    for name, array in (
        ("state_pointer", pointers),
        ("row_pointer", rows),
        ("next_state", nexts),
        ("probability", chances),
        ("reward", rewards),
    ):
        if array.ndim != 1:
            raise ModelError(f"{name} has {array.ndim} dimensions; it must have one.")
    if pointers.size < 2:
        raise ModelError("the model has no state.")
    S, N = pointers.size - 1, rows.size - 1
    counts = np.diff(pointers)
    if pointers[0] != 0 or pointers[-1] != N or (counts < 0).any():
        raise ModelError(
            f"state_pointer must rise from 0 to the number of pairs, {N}; it runs from {pointers[0]} to {pointers[-1]}."
        )
    if (counts == 0).any():
        raise ModelError(f"state {_state(mdp, int(np.argmin(counts)))} has no action.")
    lengths = np.diff(rows)
    if rows[0] != 0 or rows[-1] != nexts.size or (lengths < 0).any():
        raise ModelError(
            f"row_pointer must rise from 0 to the number of transitions, {nexts.size}; it runs from {rows[0]} to {rows[-1]}."
        )
    if chances.shape != nexts.shape:
        raise ModelError(f"there are {nexts.size} next states but {chances.size} probabilities.")
    if rewards.shape != (N,):
        raise ModelError(f"there are {N} state-action pairs but {rewards.size} rewards.")
    for names, what, size in ((mdp.state_names, "state", S), (mdp.action_names, "action", None)):
        if names is not None and size is not None and len(names) != size:
            raise ModelError(f"there are {size} {what}s but {len(names)} {what} names.")
    assert mdp.action is not None
    if mdp.action.shape != (N,):
        raise ModelError(f"there are {N} state-action pairs but {mdp.action.size} action labels.")
    rising = np.diff(mdp.action) > 0
    inside = np.ones(N - 1, dtype=bool)
    inside[pointers[1:-1] - 1] = False
    if (inside & ~rising).any() or (mdp.action < 0).any():
        pair = int(np.argmax(inside & ~rising)) if (inside & ~rising).any() else int(np.argmin(mdp.action))
        raise ModelError(f"the action labels of state {_owner(mdp, pair)} do not rise from 0 upwards.")
    if mdp.action_names is not None and mdp.action.max() >= len(mdp.action_names):
        raise ModelError(f"there are {len(mdp.action_names)} action names but an action is labelled {mdp.action.max()}.")
    bad = ~np.isfinite(rewards)
    if bad.any():
        pair = int(np.argmax(bad))
        raise ModelError(f"the reward of {_pair(mdp, pair)} is {rewards[pair]}.")
    if nexts.size:
        outside = (nexts < 0) | (nexts >= S)
        if outside.any():
            where = int(np.argmax(outside))
            raise ModelError(f"{_row(mdp, where)} leads to state {nexts[where]}, but there are only {S} states.")
        wrong = ~(np.isfinite(chances) & (chances >= 0))
        if wrong.any():
            where = int(np.argmax(wrong))
            raise ModelError(f"{_row(mdp, where)} leads to state {nexts[where]} with probability {chances[where]}.")
    sums = np.zeros(N)
    filled = lengths > 0
    if filled.any():
        sums[filled] = np.add.reduceat(chances, rows[:-1][filled])
    off = np.abs(sums - 1) > ROUNDING_UNITS * (lengths + 1)
    if off.any():
        pair = int(np.argmax(np.where(off, np.abs(sums - 1), 0)))
        raise ModelError(
            f"the probabilities of {_pair(mdp, pair)} sum to {sums[pair]:.12g}, which is {sums[pair] - 1:+.3g} off 1."
        )
    if mdp.start is not None:
        check_distribution("the start distribution", mdp.start, S)


def _state(mdp: TabularMDP, state: int) -> str:
    names = mdp.state_names
    return f"{state} ({names[state]})" if names is not None and state < len(names) else f"{state}"


def _owner(mdp: TabularMDP, pair: int) -> str:
    return _state(mdp, int(np.searchsorted(mdp.state_pointer, pair, side="right")) - 1)


def _pair(mdp: TabularMDP, pair: int) -> str:
    return f"state {_owner(mdp, pair)}, action {mdp.action_name(pair)}"


def _row(mdp: TabularMDP, transition: int) -> str:
    return _pair(mdp, int(np.searchsorted(mdp.row_pointer, transition, side="right")) - 1)
