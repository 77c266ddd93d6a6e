r"""Direct preference optimisation of whole responses on a token tree, and beam search by its scores.

Rafailov et al. (2023), arXiv 2305.18290; Rafailov et al. (2024), arXiv 2404.12358.

DPO scores a response y by its implicit reward, a sum over its tokens,

.. math:: s_\pi(y) = \beta \ln\frac{\pi(y)}{\mu(y)} = \sum_t \beta \ln\frac{\pi(y_t|y_{<t})}{\mu(y_t|y_{<t})},

and minimises :math:`\sum w(y, y')\, \ln(1 + e^{s_\pi(y') - s_\pi(y)})`, where w(y, y') says how often y was preferred to y'. A
policy of a token tree can give any law to the responses that the reference writes. So the minimiser is the tilt of the
reference by the Bradley-Terry fit to w, whatever the tree looks like.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models.token_tree import Levels, TokenTree, leaf_rewards, path_sums
from mdplab.solvers.token_tree import as_token_policy, leaf_log_probabilities, logit_gradient, prefix_sums, token_policy
from theory.bradley_terry_fit import fit_bradley_terry
from theory.divergences import NORMALISATION
from theory.errors import InputError
from theory.links import bradley_terry
from theory.pair_losses import expected_pair_gradient, expected_pair_loss, logistic
from theory.tilts import implicit_reward, log_tilt, require_temperature

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TokenDPO:
    """``log_policy[t]`` (A^t, A); ``scores`` (A^H,), the fitted rewards, of mean 0, each within ``error_bound`` of the
    truth."""

    log_policy: Levels
    scores: Array
    error_bound: float


@dataclass(frozen=True, eq=False)
class DPOPath:
    """What gradient descent went through, entry k after k steps, each of shape (steps + 1,), and where it ended.

    ``loss``: the expected loss. ``chosen``, ``rejected``: the mean implicit rewards of preferred and of other responses.
    ``log_policy[t]`` (A^t, A): the last policy.
    """

    loss: Array
    chosen: Array
    rejected: Array
    log_policy: Levels


@dataclass(frozen=True, eq=False)
class Beam:
    """``prefixes[t]``: the numbers of the prefixes of t tokens that were kept, best first, t = 0 .. H. The last are
    responses."""

    prefixes: tuple[NDArray[np.int64], ...]

    @property
    def response(self) -> int:
        """The number of the best response found."""
        return int(self.prefixes[-1][0])


def preference_law(tree: TokenTree, log_pairs: ArrayLike | None = None) -> Array:
    """The law of (winner, loser), shape (A^H, A^H): Bradley-Terry labels, by the responses' rewards, of independent pairs.

    ``log_pairs`` (A^H,): log-probabilities of the law that both responses are drawn from, by default the reference.
    """
    logs = leaf_log_probabilities(tree.log_reference) if log_pairs is None else np.asarray(log_pairs, dtype=float)
    if logs.shape != (tree.leaves,) or not abs(np.exp(logs).sum() - 1) <= NORMALISATION:
        raise InputError(f"pairs are drawn from log-probabilities of the {tree.leaves} responses, which sum to 1.")
    p = np.exp(logs)
    return 2 * np.outer(p, p) * bradley_terry(leaf_rewards(tree))


def population_dpo(tree: TokenTree, weights: ArrayLike, beta: float) -> TokenDPO:
    """The policy that minimises the expected DPO loss at the temperature ``beta`` > 0 over all policies of the tree.

    ``weights`` (A^H, A^H), at least 0: how often a response was preferred to another, as a law or as counts. Raises
    :class:`InputError` for counts that have no minimiser (:func:`theory.bradley_terry_fit.fit_bradley_terry`), and where a
    response that the reference never writes was compared.
    """
    table = _comparisons(tree, weights)
    log_leaves = leaf_log_probabilities(tree.log_reference)
    written = np.flatnonzero(~np.isneginf(log_leaves))
    fit = fit_bradley_terry(table[np.ix_(written, written)])
    scores = np.zeros(tree.leaves)
    scores[written] = fit.theta
    return TokenDPO(token_policy(log_tilt(log_leaves, scores, beta), tree.tokens), scores, fit.error_bound)


def dpo_gradient_descent(tree: TokenTree, weights: ArrayLike, beta: float, *, step: float, steps: int) -> DPOPath:
    r"""Gradient descent on the expected DPO loss over the logits of every prefix, from the reference policy.

    The gradient is beta times :func:`mdplab.solvers.token_tree.logit_gradient` of the loss's derivatives by the scores. ``weights`` as
    in :func:`population_dpo`, normalised here; ``step`` > 0. The reference must give every token a positive probability.
    """
    table, scale = _comparisons(tree, weights), require_temperature(beta)
    if any(np.isneginf(level).any() for level in tree.log_reference):
        raise InputError("gradient descent on logits needs a reference that gives every token a positive probability.")
    if not (0 < step < np.inf and steps >= 0):
        raise InputError(f"gradient descent takes a step above 0 and steps >= 0, not {step} and {steps}.")
    table = table / table.sum()
    loss = logistic()
    log_reference = leaf_log_probabilities(tree.log_reference)
    logits = [np.array(level) for level in tree.log_reference]
    curves = np.empty((3, steps + 1))
    for k in range(steps + 1):
        log_policy = tuple(level - np.logaddexp.reduce(level, axis=1, keepdims=True) for level in logits)
        scores = scale * (leaf_log_probabilities(log_policy) - log_reference)
        curves[:, k] = expected_pair_loss(scores, table, loss), table.sum(axis=1) @ scores, table.sum(axis=0) @ scores
        if k == steps:
            break
        gradient = logit_gradient(log_policy, expected_pair_gradient(scores, table, loss))
        for level, change in zip(logits, gradient):
            level -= step * scale * change
    return DPOPath(curves[0], curves[1], curves[2], log_policy)


def token_credit(tree: TokenTree, log_policy: Levels, beta: float) -> Levels:
    r"""The implicit reward of every token, :math:`\beta \ln(\pi(a|s) / \mu(a|s))`, of shape (A^t, A) for t = 0 .. H-1."""
    policy = as_token_policy(tree, log_policy)
    return tuple(implicit_reward(logs, reference, beta) for logs, reference in zip(policy, tree.log_reference))


def beam_search(scores: Levels, width: int) -> Beam:
    """Keep the ``width`` >= 1 prefixes of the largest total score at every step; equal ones in lexicographic order.

    ``scores[t]`` (A^t, A) are added along a prefix: log-probabilities, log-ratios, or anything else that a token is worth.
    """
    if width < 1:
        raise InputError(f"a beam is at least one prefix wide, not {width}.")
    return prefix_beam(prefix_sums(scores), width)


def prefix_beam(scores: Levels, width: int) -> Beam:
    """Beam search by scores of whole prefixes, ``scores[t]`` (A^t,) for t = 0 .. H: what value-guided decoding ranks by."""
    kept = [np.zeros(1, dtype=np.int64)]
    for level, longer in itertools.pairwise(scores):
        tokens = longer.size // level.size
        candidates = np.sort((kept[-1][:, None] * tokens + np.arange(tokens)).ravel())
        kept.append(candidates[np.argsort(-longer[candidates], kind="stable")[:width]])
    return Beam(tuple(kept))


def response_scores(tree: TokenTree, log_policy: Levels, beta: float) -> Array:
    """The implicit reward of every response, shape (A^H,): the sum of its tokens' credit."""
    return path_sums(token_credit(tree, log_policy, beta))


def _comparisons(tree: TokenTree, weights: ArrayLike) -> Array:
    table = np.asarray(weights, dtype=float)
    if table.shape != (tree.leaves, tree.leaves):
        raise InputError(f"comparisons of {tree.leaves} responses form a square matrix of that size, not {table.shape}.")
    if not (np.isfinite(table).all() and (table >= 0).all() and table.sum() > 0):
        raise InputError("how often a response was preferred to another is finite and at least 0, and not always 0.")
    never = np.isneginf(leaf_log_probabilities(tree.log_reference))
    if (table[never] > 0).any() or (table[:, never] > 0).any():
        raise InputError(
            f"a response that the reference never writes was compared (response {int(np.argmax(never))} or a later one)."
        )
    return table
