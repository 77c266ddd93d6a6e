"""Token trees: what a language model with A tokens can write in H steps, with a reference policy and rewards.

The state before step t is the prefix of t tokens: prefix s continued by token a is number s A + a of the next level, so that the
append is deterministic and the leaves, all A^H of them, come in lexicographic order. That the append is deterministic is
essential to what is claimed about token trees: with random transitions a policy cannot tilt trajectories freely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models.episodic import EpisodicMDP
from mdplab.models.errors import ModelError
from theory.claims.families import family
from theory.divergences import NORMALISATION

Array = NDArray[np.float64]
Levels = tuple[Array, ...]
MOST_LEAVES = 1 << 20


@dataclass(frozen=True, eq=False)
class TokenTree:
    """``rewards[t]`` and ``log_reference[t]``, each of shape (A^t, A) for t = 0 .. H-1.

    ``rewards[t][s, a]`` is paid for token a after prefix s, and a response earns their sum. ``log_reference[t][s]`` holds the
    log-probabilities of the next token under the reference policy: -inf allowed, sums 1. ``key`` is the call that rebuilds the tree.

    Raises :class:`ModelError` for other shapes, rewards that are not finite, and rows that are not probabilities.
    """

    rewards: Levels
    log_reference: Levels
    key: str | None = None

    def __post_init__(self) -> None:
        rewards = tuple(np.array(level, dtype=float) for level in self.rewards)
        reference = tuple(np.array(level, dtype=float) for level in self.log_reference)
        if not rewards or rewards[0].ndim != 2 or rewards[0].shape[0] != 1 or rewards[0].shape[1] < 1:
            raise ModelError("a token tree has at least one step and one token: rewards[0] has the shape (1, A).")
        A = rewards[0].shape[1]
        if A ** len(rewards) > MOST_LEAVES:
            raise ModelError(f"a token tree of {A} tokens and {len(rewards)} steps has more than {MOST_LEAVES} leaves.")
        for levels, what in ((rewards, "rewards"), (reference, "the reference")):
            if [level.shape for level in levels] != [(A**t, A) for t in range(len(rewards))]:
                raise ModelError(f"step t of {what} has the shape (A^t, A), here (1, {A}), ({A}, {A}), ... for every step.")
        for t, (reward, log_policy) in enumerate(zip(rewards, reference)):
            if not np.isfinite(reward).all():
                s, a = (int(i) for i in np.argwhere(~np.isfinite(reward))[0])
                raise ModelError(f"the reward of token {a} after prefix {s} of {t} tokens is {reward[s, a]}.")
            with np.errstate(over="ignore"):
                total = np.exp(log_policy).sum(axis=1)
            off = ~(np.abs(total - 1) <= NORMALISATION)
            if off.any():
                s = int(np.argmax(off))
                raise ModelError(f"the reference after prefix {s} of {t} tokens sums to {total[s]:.12g}, not to 1.")
        for levels, name in ((rewards, "rewards"), (reference, "log_reference")):
            for level in levels:
                level.setflags(write=False)
            object.__setattr__(self, name, levels)

    @property
    def tokens(self) -> int:
        """The number of tokens A."""
        return self.rewards[0].shape[1]

    @property
    def horizon(self) -> int:
        """The number of steps H."""
        return len(self.rewards)

    @property
    def leaves(self) -> int:
        """The number of responses A^H."""
        return self.tokens**self.horizon

    def __repr__(self) -> str:
        return f"TokenTree({self.key or f'{self.tokens} tokens, {self.horizon} steps'})"


def path_sums(levels: Levels) -> Array:
    """For arrays (A^t, A) of numbers on edges, their sums along each response, shape (A^H,) in lexicographic order."""
    total = np.zeros(1)
    for level in levels:
        total = (total[:, None] + level).ravel()
    return total


def leaf_rewards(tree: TokenTree) -> Array:
    """The reward of each response, shape (A^H,)."""
    return path_sums(tree.rewards)


def with_rewards(tree: TokenTree, rewards: Levels) -> TokenTree:
    """The tree with other rewards and the same reference."""
    return TokenTree(rewards, tree.log_reference)


def terminal_rewards(tree: TokenTree, leaf: ArrayLike) -> Levels:
    """Rewards that pay ``leaf`` (A^H,) with the last token and nothing before."""
    values = np.asarray(leaf, dtype=float)
    if values.shape != (tree.leaves,):
        raise ModelError(f"a tree with {tree.leaves} responses has as many leaf rewards, not the shape {values.shape}.")
    A = tree.tokens
    return (*(np.zeros((A**t, A)) for t in range(tree.horizon - 1)), values.reshape(-1, A))


def shaped(tree: TokenTree, potential: Levels) -> TokenTree:
    r"""The tree with the rewards r + Phi(s') - Phi(s).

    ``potential[t]``, shape (A^t,), for t = 0 .. H: the potential of every prefix, leaves included. Every response then earns
    Phi(leaf) - Phi(root) more.
    """
    levels = tuple(np.asarray(level, dtype=float) for level in potential)
    if [level.shape for level in levels] != [(tree.tokens**t,) for t in range(tree.horizon + 1)]:
        raise ModelError("a potential has a number for every prefix: step t has the shape (A^t,), t = 0 .. H.")
    moved = (r + levels[t + 1].reshape(r.shape) - levels[t][:, None] for t, r in enumerate(tree.rewards))
    return with_rewards(tree, tuple(moved))


def episodic_model(tree: TokenTree) -> EpisodicMDP:
    """The tree as an episodic MDP whose states are the prefixes of up to H - 1 tokens, numbered level by level."""
    A, H = tree.tokens, tree.horizon
    first = np.concatenate(([0], np.cumsum([A**t for t in range(H)])))
    S = int(first[-1])
    P, R = np.zeros((S, A, S)), np.zeros((S, A))
    for t in range(H):
        here = slice(first[t], first[t + 1])
        R[here] = tree.rewards[t]
        for a in range(A):
            children = first[t + 1] + np.arange(A**t) * A + a if t + 1 < H else np.zeros(A**t, dtype=int)
            P[np.arange(first[t], first[t + 1]), a, children] = 1.0
    return EpisodicMDP(P, R, np.eye(S)[0], H)


@family(A=2, H=1)
def random_token_tree(
    A: int = 2,
    H: int = 3,
    spread: float = 1.0,
    concentration: float = 1.0,
    terminal: bool = False,
    seed: int = 0,
) -> TokenTree:
    """Reference rows from Dirichlet(``concentration``), floored at 1e-12; rewards normal with standard deviation ``spread``.

    Rewards are on every token, or with ``terminal`` on the last one alone.
    """
    rng = np.random.default_rng(seed)
    reference, rewards = [], []
    for t in range(H):
        rows = np.maximum(rng.dirichlet(np.full(A, concentration), size=A**t), 1e-12)
        reference.append(np.log(rows / rows.sum(axis=1, keepdims=True)))
        drawn = spread * rng.standard_normal((A**t, A))
        rewards.append(np.zeros_like(drawn) if terminal and t + 1 < H else drawn)
    return TokenTree(tuple(rewards), tuple(reference))
