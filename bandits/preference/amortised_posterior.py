r"""BRAIn: a policy learns a posterior given that the response is good, by self-normalised importance sampling.

The posterior p is the law of a response given that it is good. From n samples :math:`y_i` of a proposal :math:`q'`, let

.. math:: \alpha = \mathrm{softmax}_i \ln\frac{p(y_i)}{q'(y_i)}, \qquad b = \mathrm{softmax}_i \ln\frac{q(y_i)}{q'(y_i)}

for the learner's policy q. BRAIn descends along :math:`-\sum_i (\alpha_i - b_i) \nabla\ln q(y_i)`, the gradient of
:math:`\mathrm{KL}(\alpha \| b)`; p and :math:`q'` need no normalisation. With respect to softmax logits the gradient is the
learner's share of each response less the posterior's, and :math:`\nabla\mathrm{KL}(p \| q) = q - p` is what it estimates.

Its expectation over samples is a finite sum over how often each response is drawn. It is biased: with :math:`w = p/q'` and
:math:`v = q/q'` it is

.. math:: q - p + \tfrac1n \bigl[q\,(\mathbb{E}_q v - v) - p\,(\mathbb{E}_p w - w)\bigr] + O(n^{-2}).

Pandey et al. (2024), arXiv 2402.02479.
"""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, log_softmax, logsumexp, softmax

from theory.errors import InputError

Array = NDArray[np.float64]
MOST_SAMPLES = 2_000_000  # counts (samples of n responses up to their order) that an expectation may sum over


def sample_shares(log_target: ArrayLike, log_proposal: ArrayLike, samples: ArrayLike) -> Array:
    """Self-normalised weights softmax(ln target - ln proposal) of sampled responses, shape (..., n), summing to 1.

    ``log_target``, ``log_proposal`` (K,): finite, up to constants. ``samples`` (..., n): responses 0 .. K-1.
    """
    return np.asarray(softmax(_log_weights(log_target, log_proposal)[_samples(samples, log_target)], axis=-1))


def self_normalised_divergence(
    log_policy: ArrayLike, log_posterior: ArrayLike, log_proposal: ArrayLike, samples: ArrayLike
) -> Array:
    r""":math:`\mathrm{KL}(\alpha \| b)` on each set of samples (..., n), shape (...): at least 0, and 0 if policy = posterior."""
    drawn = _samples(samples, log_policy)
    log_alpha = log_softmax(_log_weights(log_posterior, log_proposal)[drawn], axis=-1)
    log_b = log_softmax(_log_weights(log_policy, log_proposal)[drawn], axis=-1)
    return np.asarray((np.exp(log_alpha) * (log_alpha - log_b)).sum(axis=-1))[()]


def amortised_gradient(
    log_policy: ArrayLike, log_posterior: ArrayLike, log_proposal: ArrayLike, samples: ArrayLike, *, baseline: bool = True
) -> Array:
    r"""BRAIn's gradient :math:`-\sum_i (\alpha_i - b_i) \nabla\ln q(y_i)` for each set of samples (..., n), shape (..., K).

    ``log_policy`` (K,): normalised. Without ``baseline`` the b_i are left out.
    """
    drawn = _samples(samples, log_policy)
    alpha = sample_shares(log_posterior, log_proposal, drawn)
    shares = alpha - sample_shares(log_policy, log_proposal, drawn) if baseline else alpha
    scores = np.eye(np.size(log_policy))[drawn] - np.exp(np.asarray(log_policy, dtype=float))
    return np.asarray(-(shares[..., None] * scores).sum(axis=-2))


def expected_gradient(log_policy: ArrayLike, log_posterior: ArrayLike, log_proposal: ArrayLike, n: int) -> Array:
    """The expectation of :func:`amortised_gradient` over n independent samples of the proposal, shape (K,), exactly.

    ``log_proposal`` is normalised here. The sum has one term for each way to draw K responses n times in all; raises
    :class:`InputError` for more than two million of them.
    """
    proposal = log_softmax(_finite(log_proposal, "a proposal"))
    K = proposal.size
    if n < 1 or comb(n + K - 1, K - 1) > MOST_SAMPLES:
        raise InputError(f"{n} samples of {K} responses are not between 1 and what can be enumerated.")
    counts = _compositions(n, K)
    law = np.exp(gammaln(n + 1) - gammaln(counts + 1).sum(axis=1) + counts @ proposal)
    shares = []
    with np.errstate(divide="ignore"):
        for target in (log_policy, log_posterior):
            exponents = np.log(counts) + _log_weights(target, proposal)
            shares.append(law @ np.exp(exponents - logsumexp(exponents, axis=1, keepdims=True)))
    return np.asarray(shares[0] - shares[1])


def limiting_bias(log_policy: ArrayLike, log_posterior: ArrayLike, log_proposal: ArrayLike) -> Array:
    r"""The limit of n times the bias, :math:`q (\mathbb{E}_q v - v) - p (\mathbb{E}_p w - w)`, shape (K,), of normalised laws.

    The share of a response is a ratio A/B of means with :math:`\mathbb{E}B = 1`, and :math:`\mathbb{E}(A/B) = \mathbb{E}A - \mathrm{Cov}(A, B)
    + \mathbb{E}A\, \mathrm{Var} B + O(n^{-2})`; here :math:`n\,\mathrm{Cov}(A, B) = p w - p` and :math:`n\,\mathrm{Var} B = \mathbb{E}_p w - 1`.
    """
    (q, v), (p, w) = (_law_and_ratio(log, log_proposal) for log in (log_policy, log_posterior))
    return np.asarray(q * (q @ v - v) - p * (p @ w - w))


def bias_bound(log_target: ArrayLike, log_proposal: ArrayLike, n: int) -> Array:
    r"""A bound on how far the expected share of each response is from its probability p under the target, shape (K,).

    :math:`\tfrac1n [\,p\,|\mathbb{E}_p w - w| + (\mathbb{E}_p w - 1) \max(p, 1 - p)\,]` for every :math:`n \ge 1`: with the share S = A/B,
    :math:`S - p = (A - pB) + (S - p)(1 - B)` used twice gives :math:`\mathbb{E}(S - p) = \mathbb{E}(A - pB)(1 - B) + \mathbb{E}(S - p)(1 -
    B)^2`, and :math:`|S - p| \le \max(p, 1 - p)`.
    """
    if n < 1:
        raise InputError(f"a share needs at least one sample, not {n}.")
    p, w = _law_and_ratio(log_target, log_proposal)
    return np.asarray((p * np.abs(p @ w - w) + (p @ w - 1) * np.maximum(p, 1 - p)) / n)


def bias_remainder_bound(log_target: ArrayLike, log_proposal: ArrayLike, n: int) -> Array:
    r"""A bound on :math:`|n(\mathbb{E}S - p) - p(\mathbb{E}_p w - w)|` for the share S of each response, shape (K,), every :math:`n \ge 1`.

    The identity of :func:`bias_bound` used four times: with :math:`u = w(1_y - p)` and :math:`z = 1 - w`, both of mean 0 under the
    proposal, :math:`n\,\mathbb{E}(S - p) = \mathbb{E}uz + \tfrac1n \mathbb{E}uz^2 + \tfrac{1}{n^2}[3(n - 1)\,\mathbb{E}uz\,\mathbb{E}z^2 +
    \mathbb{E}uz^3] + n\,\mathbb{E}(S - p)(1 - B)^4`, and the last term is at most :math:`\max(p, 1 - p)\,[3(n - 1)(\mathbb{E}z^2)^2 +
    \mathbb{E}z^4]/n^2`. It is of the order 1/n.
    """
    if n < 1:
        raise InputError(f"a share needs at least one sample, not {n}.")
    p, w = _law_and_ratio(log_target, log_proposal)
    proposal, z = p / w, 1 - w
    first, second, third = (p * z**k - p * (p @ z**k) for k in (1, 2, 3))  # E u z^k
    square, fourth = proposal @ z**2, proposal @ z**4
    exact = second / n + (3 * (n - 1) * first * square + third) / n**2
    return np.asarray(np.abs(exact) + np.maximum(p, 1 - p) * (3 * (n - 1) * square**2 + fourth) / n**2)


def _law_and_ratio(log_target: ArrayLike, log_proposal: ArrayLike) -> tuple[Array, Array]:
    target = log_softmax(_finite(log_target, "a law"))
    return np.exp(target), np.exp(_log_weights(target, log_softmax(_finite(log_proposal, "a proposal"))))


def _log_weights(log_target: ArrayLike, log_proposal: ArrayLike) -> Array:
    target, proposal = _finite(log_target, "a law"), _finite(log_proposal, "a proposal")
    if target.shape != proposal.shape:
        raise InputError(f"a law over {target.size} responses has a proposal over as many, not {proposal.size}.")
    return target - proposal


def _finite(values: ArrayLike, what: str) -> Array:
    vector = np.asarray(values, dtype=float)
    if vector.ndim != 1 or vector.size == 0 or not np.isfinite(vector).all():
        raise InputError(f"{what} is given by finite log-probabilities, one for each response, not {values!r}.")
    return vector


def _samples(samples: ArrayLike, log_law: ArrayLike) -> NDArray[np.int64]:
    drawn = np.asarray(samples)
    K = np.size(log_law)
    if drawn.ndim == 0 or drawn.size == 0 or not np.issubdtype(drawn.dtype, np.integer):
        raise InputError("samples are responses, given by whole numbers with the samples of a set along the last axis.")
    if drawn.min() < 0 or drawn.max() >= K:
        raise InputError(
            f"sampled responses lie in 0 .. {K - 1}; one is {int(drawn.max() if drawn.max() >= K else drawn.min())}."
        )
    return drawn.astype(np.int64)


def _compositions(n: int, parts: int) -> Array:
    """All vectors of ``parts`` whole numbers of at least 0 with the sum n, one a row."""
    rows = np.zeros((1, 0), dtype=np.int64)
    left = np.array([n])
    for _ in range(parts - 1):
        repeats = left + 1
        index = np.repeat(np.arange(len(left)), repeats)
        taken = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        rows = np.column_stack((rows[index], taken))
        left = left[index] - taken
    return np.column_stack((rows, left)).astype(float)
