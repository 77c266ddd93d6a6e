"""What must be true of a model's arrays; the first thing that is not is told in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mdplab.models.errors import ModelError

if TYPE_CHECKING:
    from mdplab.models.tabular import TabularMDP

# A row of b probabilities, each rounded to float64, sums to 1 within about b units of rounding; the factor leaves room for
# rows that were themselves computed as quotients or products. Files with few decimals are normalised by their readers.
ROUNDING_UNITS = 16 * float(np.finfo(float).eps)

# Files and tables with few decimals: what the model checker PRISM itself lets pass, and enough for 20 rounded sixth decimals.
FEW_DECIMALS = 1e-5


def row_tolerance(terms: Any) -> Any:
    """How far from 1 a row of so many float64 probabilities may sum; see :data:`ROUNDING_UNITS`."""
    return ROUNDING_UNITS * (terms + 1)


def as_array(name: str, value: Any, dtype: Any) -> NDArray[Any]:
    """``value`` as a contiguous array of ``dtype``, not copied if it is one already (a view is returned, so that its flags can be set).

    ModelError when it holds no real numbers, or when integers would have to be rounded.
    """
    try:
        given = np.asarray(value)
        if given.dtype.kind not in "biufO":
            raise ModelError(f"{name} must hold real numbers, not {given.dtype}.")
        with np.errstate(invalid="ignore"):
            array = np.ascontiguousarray(given, dtype=dtype)
    except ModelError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{name} is not an array of numbers: {error}.") from error
    if np.issubdtype(dtype, np.integer) and given.dtype != array.dtype:
        with np.errstate(invalid="ignore"):
            differs = np.ravel(given != array)
        if differs.any():
            raise ModelError(f"{name} holds {np.ravel(given)[np.argmax(differs)]}, which is no {np.dtype(dtype).name}.")
    return array.view()


def check_discount(gamma: Any) -> float:
    """``gamma`` as a float; ModelError unless 0 <= gamma <= 1."""
    try:
        number = float(gamma)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the discount is {gamma!r}; it must be a number between 0 and 1.") from error
    if not 0.0 <= number <= 1.0:
        raise ModelError(f"the discount is {number}; it must lie between 0 and 1.")
    return number


def check_distribution(name: str, values: NDArray[np.float64], size: int) -> None:
    """ModelError unless ``values`` is a probability vector of ``size`` entries."""
    if values.shape != (size,):
        raise ModelError(f"{name} has shape {values.shape}; it must have {size} entries, one for each state.")
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        where = int(np.argmax(bad))
        raise ModelError(f"{name} gives state {where} the probability {values[where]}.")
    total = float(values.sum())
    if abs(total - 1) > row_tolerance(size):
        raise ModelError(f"{name} sums to {total:.12g}, which is {total - 1:+.3g} off 1.")


def check_pointers(mdp: TabularMDP) -> None:
    """ModelError unless the two pointer arrays cut the pairs and the transitions into rows; linear in their length."""
    for name in ("state_pointer", "row_pointer", "next_state", "probability", "reward"):
        array = getattr(mdp, name)
        if array is None or array.ndim != 1:
            raise ModelError(f"{name} has {'no' if array is None else array.ndim} dimensions; it must have one.")
    pointers, rows, nnz = mdp.state_pointer, mdp.row_pointer, mdp.next_state.size
    if pointers.size < 2:
        raise ModelError("the model has no state.")
    if rows.size < 2:
        raise ModelError("the model has no state-action pair.")
    N = rows.size - 1
    for name, array, end, what in (
        ("state_pointer", pointers, N, "state-action pairs"),
        ("row_pointer", rows, nnz, "transitions"),
    ):
        if array[0] != 0 or array[-1] != end:
            raise ModelError(f"{name} must rise from 0 to the number of {what}, {end}; it runs from {array[0]} to {array[-1]}.")
        steps = np.diff(array)
        if (steps < 0).any():
            where = int(np.argmax(steps < 0))
            raise ModelError(f"{name} falls from {array[where]} to {array[where + 1]} at position {where + 1}; it must rise.")


def validate_tabular(mdp: TabularMDP) -> None:
    """ModelError for the first fault of a :class:`~mdplab.models.tabular.TabularMDP`, after :func:`check_pointers`."""
    pointers, rows, nexts, chances, rewards = mdp.state_pointer, mdp.row_pointer, mdp.next_state, mdp.probability, mdp.reward
    S, N = pointers.size - 1, rows.size - 1
    if mdp.state_names is not None and len(mdp.state_names) != S:
        raise ModelError(f"there are {S} states but {len(mdp.state_names)} state names.")
    counts = np.diff(pointers)
    if (counts == 0).any():
        raise ModelError(f"state {mdp.state_name(int(np.argmin(counts)))} has no action.")
    if chances.shape != nexts.shape:
        raise ModelError(f"there are {nexts.size} next states but {chances.size} probabilities.")
    if rewards.shape != (N,):
        raise ModelError(f"there are {N} state-action pairs but {rewards.size} rewards.")
    _check_actions(mdp)
    bad = ~np.isfinite(rewards)
    if bad.any():
        pair = int(np.argmax(bad))
        raise ModelError(f"the reward of {_pair(mdp, pair)} is {rewards[pair]}.")
    outside = (nexts < 0) | (nexts >= S)
    if outside.any():
        where = int(np.argmax(outside))
        raise ModelError(f"{_row(mdp, where)} leads to state {nexts[where]}, but the states are 0 to {S - 1}.")
    wrong = ~(np.isfinite(chances) & (chances >= 0))
    if wrong.any():
        where = int(np.argmax(wrong))
        raise ModelError(
            f"{_row(mdp, where)} leads to state {mdp.state_name(int(nexts[where]))} with probability {chances[where]}."
        )
    lengths = np.diff(rows)
    sums = np.zeros(N)
    filled = lengths > 0
    if filled.any():
        sums[filled] = np.add.reduceat(chances, rows[:-1][filled])
    error = np.abs(sums - 1)
    off = error > row_tolerance(lengths)
    if off.any():
        pair = int(np.argmax(np.where(off, error, 0)))
        raise ModelError(
            f"the probabilities of {_pair(mdp, pair)} sum to {sums[pair]:.12g}, which is {sums[pair] - 1:+.3g} off 1."
        )
    if mdp.start is not None:
        check_distribution("the start distribution", mdp.start, S)


def _check_actions(mdp: TabularMDP) -> None:
    N = mdp.row_pointer.size - 1
    labels = mdp.action
    assert labels is not None
    if labels.shape != (N,):
        raise ModelError(f"there are {N} state-action pairs but {labels.size} action labels.")
    falls = np.zeros(N, dtype=bool)
    falls[1:] = np.diff(labels) <= 0
    falls[mdp.state_pointer[:-1]] = False
    falls |= labels < 0
    if falls.any():
        pair = int(np.argmax(falls))
        raise ModelError(
            f"the action labels of state {_owner(mdp, pair)} must rise from 0 upwards; {labels[pair]} is out of order."
        )
    if mdp.action_names is not None and labels.max() >= len(mdp.action_names):
        pair = int(np.argmax(labels))
        raise ModelError(
            f"there are {len(mdp.action_names)} action names, but state {_owner(mdp, pair)} has an action labelled {labels[pair]}."
        )


def _owner(mdp: TabularMDP, pair: int) -> str:
    return mdp.state_name(int(np.searchsorted(mdp.state_pointer, pair, side="right")) - 1)


def _pair(mdp: TabularMDP, pair: int) -> str:
    return f"state {_owner(mdp, pair)}, action {mdp.action_name(pair)}"


def _row(mdp: TabularMDP, transition: int) -> str:
    return _pair(mdp, int(np.searchsorted(mdp.row_pointer, transition, side="right")) - 1)


def normalise_rows(probability: NDArray[np.float64], row_pointer: NDArray[np.int64]) -> NDArray[np.float64]:
    """Divide by their sums the rows that miss 1 by more than float64 rounding but by at most :data:`FEW_DECIMALS`.

    Other rows stay as they are, bit for bit, so that the model's own check names those that are further off.
    """
    lengths = np.diff(row_pointer)
    if probability.size == 0 or (lengths <= 0).any():
        return probability
    sums = np.add.reduceat(probability, row_pointer[:-1])
    error = np.abs(sums - 1)
    rounded = (error > row_tolerance(lengths)) & (error <= FEW_DECIMALS)
    if not rounded.any():
        return probability
    return probability / np.repeat(np.where(rounded, sums, 1.0), lengths)
