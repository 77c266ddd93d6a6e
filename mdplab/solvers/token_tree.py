r"""Exact answers on token trees: soft values, values of policies, and the laws of responses.

At the temperature :math:`\beta > 0` with the reference :math:`\mu` the soft backup is

.. math:: Q_t(s, a) = r_t(s, a) + V_{t+1}(sa), \qquad V_t(s) = \beta \ln \sum_a \mu(a|s) e^{Q_t(s, a)/\beta}, \qquad V_H = 0,

and :math:`\pi^\star(a|s) = \mu(a|s) e^{(Q_t(s, a) - V_t(s))/\beta}` maximises the expected reward less :math:`\beta` times the divergence
of the law of responses from the reference's.

Policies are tuples of log-probabilities, ``log_policy[t]`` of shape (A^t, A).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models.errors import ModelError
from mdplab.models.token_tree import Levels, TokenTree, path_sums
from theory.tilts import log_partition, log_tilt

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SoftTokenSolution:
    """``q[t]``, ``log_policy[t]`` (A^t, A) for t = 0 .. H-1, and ``value[t]`` (A^t,) for t = 0 .. H (zeros last)."""

    q: Levels
    value: Levels
    log_policy: Levels


def soft_backup(tree: TokenTree, beta: float) -> SoftTokenSolution:
    """The soft values and the optimal policy of the tree at the temperature ``beta`` > 0."""
    q: list[Array] = []
    log_policy: list[Array] = []
    value: list[Array] = [np.zeros(tree.leaves)]
    for reward, reference in zip(reversed(tree.rewards), reversed(tree.log_reference)):
        q.append(reward + value[-1].reshape(reward.shape))
        log_policy.append(log_tilt(reference, q[-1], beta))
        value.append(log_partition(reference, q[-1], beta))
    return SoftTokenSolution(tuple(reversed(q)), tuple(reversed(value)), tuple(reversed(log_policy)))


def policy_q(tree: TokenTree, log_policy: Levels, beta: float = 0.0) -> tuple[Levels, Levels]:
    r"""Q^pi of shape (A^t, A) and V^pi of shape (A^t,) at every prefix: :math:`V_t = \mathbb{E}_\pi Q_t - \beta\,\mathrm{KL}(\pi_t\|\mu_t)`.

    ``beta`` = 0 leaves the divergence out.
    """
    policy = as_token_policy(tree, log_policy)
    q: list[Array] = []
    value: list[Array] = [np.zeros(tree.leaves)]
    for reward, reference, logs in zip(reversed(tree.rewards), reversed(tree.log_reference), reversed(policy)):
        q.append(reward + value[-1].reshape(reward.shape))
        p = np.exp(logs)
        earned = q[-1]
        if beta:
            with np.errstate(invalid="ignore"):
                earned = earned - beta * np.where(p > 0, logs - reference, 0.0)
        value.append((p * earned).sum(axis=1))
    return tuple(reversed(q)), tuple(reversed(value))


def policy_value(tree: TokenTree, log_policy: Levels, beta: float = 0.0) -> float:
    """The policy's expected reward, less ``beta`` times the divergence of its law of responses from the reference's."""
    return float(policy_q(tree, log_policy, beta)[1][0][0])


def leaf_log_probabilities(log_policy: Levels) -> Array:
    """The log-probability of each response, shape (A^H,): the sums of the tokens' log-probabilities."""
    return path_sums(log_policy)


def logit_gradient(log_policy: Levels, by_leaf: ArrayLike) -> Levels:
    r"""The gradient by the logits of every prefix, (A^t, A), of a function of the responses' log-probabilities.

    ``by_leaf`` (A^H,) holds its derivatives by these. With G(s) the sum over the responses that begin with s, the derivative by
    the logit of token a after s is :math:`G(sa) - \pi(a|s) G(s)`. Of an expected reward ``by_leaf`` is :math:`\pi(y) r(y)`, of a
    log-likelihood the law of the data. Raises :class:`ModelError` for another number of derivatives.
    """
    below = np.asarray(by_leaf, dtype=float)
    levels: list[Array] = []
    for logs in reversed(log_policy):
        if below.shape != (logs.size,):
            raise ModelError(f"a policy of {log_policy[-1].size} responses has as many derivatives, which its steps share out.")
        flow = below.reshape(logs.shape)
        below = flow.sum(axis=1)
        levels.append(flow - np.exp(logs) * below[:, None])
    return tuple(reversed(levels))


def prefix_sums(levels: Levels) -> Levels:
    """Sums along the way to every prefix, shapes (A^t,) for t = 0 .. H, of numbers on edges (A^t, A).

    Of log-probabilities: the log-probability of each prefix. Of log-ratios: the prefix's score as DPO ranks it.
    """
    sums = [np.zeros(1)]
    for level in levels:
        sums.append((sums[-1][:, None] + level).ravel())
    return tuple(sums)


def token_policy(log_leaves: ArrayLike, tokens: int) -> Levels:
    """The policy whose responses have the law ``log_leaves`` (A^H,) (log-weights, normalised here): its conditionals, token by token.

    Prefixes of probability 0 get a uniform row.
    """
    weights = np.asarray(log_leaves, dtype=float)
    if tokens < 2:
        raise ModelError(f"a law of responses is factored over at least two tokens, not {tokens}.")
    if weights.ndim != 1 or weights.size < 1 or tokens ** round(np.log(weights.size) / np.log(tokens)) != weights.size:
        raise ModelError(f"a law of responses over {tokens} tokens has a power of {tokens} entries, not {weights.size}.")
    levels: list[Array] = []
    while weights.size > 1:
        rows = weights.reshape(-1, tokens)
        weights = np.logaddexp.reduce(rows, axis=1)
        with np.errstate(invalid="ignore"):
            levels.append(np.where(np.isneginf(weights[:, None]), -np.log(tokens), rows - weights[:, None]))
    return tuple(reversed(levels))


def as_token_policy(tree: TokenTree, log_policy: Levels) -> Levels:
    """The policy's arrays if it has the tree's shape; raises :class:`ModelError` otherwise."""
    levels = tuple(np.asarray(level, dtype=float) for level in log_policy)
    if [level.shape for level in levels] != [level.shape for level in tree.rewards]:
        raise ModelError("a policy of a token tree has the log-probabilities of step t in the shape (A^t, A).")
    return levels
