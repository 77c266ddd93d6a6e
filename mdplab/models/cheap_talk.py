"""Cheap Talk MDPs (Lu, Willi, Letcher and Foerster 2023, arXiv 2211.11030): a message is appended to what the agent observes.

The adversary fixes a map f from states to M messages. The agent observes (s, f(s)). Dynamics and rewards are those of the model
without messages.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdplab.models.families import require
from mdplab.models.tabular import TabularMDP
from mdplab.models.validation import as_array


@dataclass(frozen=True, eq=False)
class CheapTalkMDP:
    """A tabular MDP with the message ``message[s]`` in state s, one of 0, ..., ``messages`` - 1.

    ``message`` is int64[S], or int64[N, S] for N copies of the model, each with a map of its own. States must have the same
    actions. Raises :class:`ModelError` otherwise.
    """

    mdp: TabularMDP
    message: NDArray[np.int64]
    messages: int

    def __post_init__(self) -> None:
        require(
            self.mdp.is_rectangular,
            "the model is ragged (states differ in their actions); every state must have the same ones.",
        )
        require(self.messages >= 1, f"there are {self.messages} messages; there must be at least one.")
        message = as_array("message", self.message, np.int64)
        require(
            message.ndim in (1, 2) and message.shape[-1] == self.mdp.states,
            f"the messages have shape {message.shape}; they must be ({self.mdp.states},) or (N, {self.mdp.states}).",
        )
        outside = (message < 0) | (message >= self.messages)
        require(not outside.any(), f"a state has message {message[outside][:1]}; there are {self.messages} messages.")
        message.flags.writeable = False
        object.__setattr__(self, "message", message)

    def replace(self, **changes: Any) -> CheapTalkMDP:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    @property
    def observation(self) -> NDArray[np.int64]:
        """The number s M + f(s) of what the agent observes, of the shape of ``message``."""
        return np.asarray(np.arange(self.mdp.states) * self.messages + self.message)
