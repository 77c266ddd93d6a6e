r"""Decoders on token trees: policies that tilt a frozen one, token by token, by what the rest of the response will bring.

Every decoder has the form :math:`\pi(a|s) \propto \pi_0(a|s) e^{Q(s, a)/\alpha}`. They differ in the base and in Q:

* *value augmented sampling* (Han, Shenfeld, Srivastava, Kim and Agrawal 2024, arXiv 2405.06639): the reference, and the mean
  reward :math:`\mathbb{E}_\mu[R | sa]` that temporal differences learn, or the soft one
  :math:`\beta \ln \mathbb{E}_\mu[e^{R/\beta} | sa]`, with which the decoder is the optimum at the temperature beta;
* *controlled decoding* (Mudgal et al. 2023, arXiv 2310.17022): the reference and the mean, at any temperature;
* *transfer Q\** (Chakraborty, Ghosal, Yin, Manocha, Wang, Bedi and Huang 2024, arXiv 2405.20495): a baseline that is aligned
  already, and the mean reward of its own completions.

Policies and values are tuples of arrays (A^t, A), t = 0 .. H-1, policies as log-probabilities. What is out of its stated range
raises InputError, arrays that do not fit the tree ModelError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models.token_tree import Levels, TokenTree, leaf_rewards
from mdplab.solvers.token_tree import as_token_policy, leaf_log_probabilities, policy_q, soft_backup, token_policy
from theory.errors import InputError
from theory.tilts import log_tilt, require_temperature

Array = NDArray[np.float64]
Values = Literal["mean", "soft"]


@dataclass(frozen=True, eq=False)
class TransferDecoding:
    """The aligned ``baseline``, the decoder ``log_policy``, and the baseline's mean rewards to go ``q``, ``value`` (A^t,)."""

    baseline: Levels
    q: Levels
    value: Levels
    log_policy: Levels


def decode(log_policy: Levels, q: Levels, alpha: float) -> Levels:
    r""":math:`\pi(a|s) \propto \pi_0(a|s) e^{Q(s, a)/\alpha}` at every prefix, for a temperature ``alpha`` > 0."""
    return tuple(log_tilt(base, gains, alpha) for base, gains in zip(log_policy, q, strict=True))


def controlled_decoding(tree: TokenTree, alpha: float) -> Levels:
    """The reference tilted by its own mean rewards to go, at the temperature ``alpha`` > 0."""
    return decode(tree.log_reference, policy_q(tree, tree.log_reference)[0], alpha)


def value_augmented_sampling(tree: TokenTree, beta: float, values: Values = "soft") -> Levels:
    """The reference tilted by its mean rewards to go, or by the soft ones, at the temperature ``beta`` > 0.

    The soft ones come from the conditional laws of whole responses, by :func:`completion_values`, not from a backup.
    """
    if values not in ("mean", "soft"):
        raise InputError(f"values are 'mean' or 'soft', not {values!r}.")
    return (
        controlled_decoding(tree, beta) if values == "mean" else decode(tree.log_reference, completion_values(tree, beta), beta)
    )


def completion_values(tree: TokenTree, beta: float) -> Levels:
    r""":math:`\beta \ln \mathbb{E}_\mu[e^{R/\beta} | sa]` for every prefix and token, R being the reward of the whole response.

    Expectations are sums over the responses that begin with the prefix, weighed by the reference's law of responses. Where the
    reference never goes the weights are uniform; no decoder goes there either.
    """
    temperature = require_temperature(beta)
    A = tree.tokens
    logs, reward = leaf_log_probabilities(tree.log_reference), leaf_rewards(tree)
    found = []
    for t in range(tree.horizon):
        rows, gains = _completions(logs, A ** (t + 1)), reward.reshape(A ** (t + 1), -1)
        mass = np.logaddexp.reduce(rows, axis=1)
        found.append((temperature * (np.logaddexp.reduce(rows + gains / temperature, axis=1) - mass)).reshape(-1, A))
    return tuple(found)


def plug_in_values(
    tree: TokenTree, beta: float, samples: int, seed: int | np.random.Generator, *, runs: int | None = None
) -> Levels:
    r""":math:`\beta \ln \frac1n \sum_i e^{R_i/\beta}` from ``samples`` completions by the reference of every prefix and token.

    R_i are rewards of whole responses, and the completions of different prefixes are independent. ``runs`` asks for as many
    independent estimates, with the shapes (runs, A^t, A).
    """
    temperature = require_temperature(beta)
    if samples < 1 or (runs is not None and runs < 1):
        raise InputError("the numbers of samples and of runs are at least 1.")
    rng = np.random.default_rng(seed)
    A = tree.tokens
    logs, reward = leaf_log_probabilities(tree.log_reference), leaf_rewards(tree)
    found = []
    for t in range(tree.horizon):
        rows, gains = _completions(logs, A ** (t + 1)), reward.reshape(A ** (t + 1), -1)
        law = np.exp(rows - np.logaddexp.reduce(rows, axis=1)[:, None])
        size = None if runs is None else (runs, A ** (t + 1))
        counts = rng.multinomial(samples, law / law.sum(axis=1, keepdims=True), size=size)
        with np.errstate(divide="ignore"):
            sums = np.logaddexp.reduce(np.log(counts) + gains / temperature, axis=-1)
        found.append((temperature * (sums - np.log(samples))).reshape(*counts.shape[:-2], -1, A))
    return tuple(found)


def _completions(log_leaves: Array, prefixes: int) -> Array:
    """Log-weights of the responses that begin with each prefix, one row a prefix; uniform where the reference never goes."""
    rows = log_leaves.reshape(prefixes, -1)
    return np.where(np.isneginf(rows).all(axis=1, keepdims=True), 0.0, rows)


def transfer_decoding(
    tree: TokenTree, beta: float, alpha: float, *, baseline_reward: ArrayLike | None = None
) -> TransferDecoding:
    r"""Transfer Q*: decode from an aligned baseline with the mean rewards of its completions, at the temperature ``alpha`` > 0.

    The baseline is the reference's law of responses tilted at the temperature ``beta`` > 0: by the tree's rewards (direct
    transfer, the default), or by ``baseline_reward`` (A^H,), another reward of responses. In that case (indirect transfer) the
    weights :math:`e^{(r - r_{BL})/\beta}` turn its law into that of the direct baseline, which is what its completions are
    averaged over, and decoded from: the answer is that of the direct transfer.
    """
    if baseline_reward is None:
        baseline = soft_backup(tree, beta).log_policy
    else:
        gains = np.asarray(baseline_reward, dtype=float)
        if gains.shape != (tree.leaves,):
            raise InputError(f"a reward of {tree.leaves} responses has as many entries, not the shape {gains.shape}.")
        other = log_tilt(leaf_log_probabilities(tree.log_reference), gains, beta)
        baseline = token_policy(log_tilt(other, leaf_rewards(tree) - gains, beta), tree.tokens)
    q, value = policy_q(tree, baseline)
    return TransferDecoding(baseline, q, value, decode(baseline, q, alpha))


def response_divergence(tree: TokenTree, log_policy: Levels, log_base: Levels) -> tuple[float, float]:
    r"""The divergences of the responses' laws, forward and backward along the policy's own prefixes.

    The first is KL(policy || base) of whole responses, the sum over tokens of :math:`\mathbb{E}_\pi \mathrm{KL}(\pi_s \|
    \pi_{0, s})`. The second is :math:`\mathbb{E}_\pi \sum_t \mathrm{KL}(\pi_{0, s_t} \| \pi_{s_t})`: prefixes from the policy,
    the next token from the base. It is not KL(base || policy).
    """
    policy, base = as_token_policy(tree, log_policy), as_token_policy(tree, log_base)
    reach = np.ones(1)
    forward = backward = 0.0
    for logs, other in zip(policy, base):
        p, p0 = np.exp(logs), np.exp(other)
        with np.errstate(invalid="ignore"):
            ahead = np.where(p > 0, p * (logs - other), 0.0).sum(axis=1)
            behind = np.where(p0 > 0, p0 * (other - logs), 0.0).sum(axis=1)
        forward += float((reach * ahead).sum())
        backward += float(np.where(reach > 0, reach * behind, 0.0).sum())
        reach = (reach[:, None] * p).ravel()
    return forward, backward
