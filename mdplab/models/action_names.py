"""From the names that choices carry in a file to the action labels of a model, which must increase within each state."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

import numpy as np
from numpy.typing import NDArray


def label_choices(
    names: Sequence[str], state_pointer: NDArray[np.int64]
) -> tuple[NDArray[np.int32] | None, tuple[str, ...] | None]:
    """``(action, action_names)`` for choices that are called ``names``, in their order.

    An order of the names is sought in which every state's choices increase, first the order of appearance. There is none when a name occurs twice in a state
    or two states list names in opposite orders, and an unnamed choice cannot be told apart: then ``(None, None)``, which makes
    the labels positions.
    """
    if not names or "" in names:
        return None, None
    distinct = list(dict.fromkeys(names))
    number = {name: i for i, name in enumerate(distinct)}
    label = np.fromiter((number[name] for name in names), dtype=np.int64, count=len(names))
    inside = np.ones(label.size, dtype=bool)  # whether a choice has a predecessor in its own state
    inside[state_pointer[:-1][state_pointer[:-1] < label.size]] = False
    later = np.flatnonzero(inside)
    if (label[later] > label[later - 1]).all():  # the order of first appearance will do
        return label.astype(np.int32), tuple(distinct)
    before: dict[int, set[int]] = {i: set() for i in range(len(distinct))}
    for earlier, late in np.unique(np.stack((label[later - 1], label[later]), axis=1), axis=0).tolist():
        before[late].add(earlier)
    try:
        order = list(TopologicalSorter(before).static_order())
    except CycleError:
        return None, None
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return rank[label], tuple(distinct[i] for i in order)
