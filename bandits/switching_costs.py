r"""Learners that pay for every switch of arms: Cheng, Zhou and Ji (2023, arXiv 2306.09588), on oblivious losses in [0, 1].

The cost of T rounds is the sum of the losses plus the number of switches, the first play counted as one; the regret is its
expectation less the loss of the best fixed arm. Rounds come in N batches of the same length tau = T / N.

- *Batched shrinking dartboard*: exponential weights on one full observation a batch, l_{t_b} with t_b uniform in batch b. The
  arm is kept with probability exp(-eta l_{t_b}[A_b]), and otherwise drawn from the new weights. Given the observations its
  probabilities are the weights, so that its expected cost is a formula.
- *Batched EXP3* sees the arm that it plays alone, and draws anew in every batch.
- *Commit by the likelihood ratio*: against a multi-scale random walk (:mod:`bandits.multi_scale_walk`), a fixed pattern of
  plays followed by the likelier arm for ever. The ratio is Gaussian, so that the expected cost is a formula again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bandits import _kernels_switching as kernels
from bandits.adversarial import LossSequence
from bandits.multi_scale_walk import looks, read_parents, walk_divergence
from bandits.rules import require_at_least
from theory.errors import InputError
from theory.random_streams import read_seeds

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cost:
    """What learners pay, in expectation given what they saw: ``loss`` over all rounds, and ``switches``; (...) each.

    ``best`` is the loss of the best fixed arm.
    """

    loss: Floats
    switches: Floats
    best: Floats

    @property
    def regret(self) -> Floats:
        """Loss and switches, less the loss of the best arm."""
        return self.loss + self.switches - self.best


def batch_length(rounds: int, batches: int) -> int:
    """tau = T / N; InputError unless N divides T."""
    if batches < 1 or rounds % batches:
        raise InputError(f"the number of batches divides the {rounds} rounds, which {batches} does not.")
    return rounds // batches


def batch_losses(sequence: LossSequence, batches: int) -> Floats:
    """The mean loss of each arm in each batch, shape (N, K)."""
    tau = batch_length(sequence.rounds, batches)
    return sequence.losses.reshape(batches, tau, sequence.arms).mean(axis=1)


def observed_losses(sequence: LossSequence, batches: int, draws: int, seed: int | np.random.Generator) -> Floats:
    """The losses of all arms at one round of each batch, uniform in the batch; ``draws`` times, shape (draws, N, K)."""
    tau = batch_length(sequence.rounds, batches)
    times = np.random.default_rng(seed).integers(tau, size=(draws, batches))
    return sequence.losses.reshape(batches, tau, sequence.arms)[np.arange(batches), times]


def exponential_weights(observed: ArrayLike, eta: float) -> Floats:
    """Weights before each batch and after the last one, proportional to exp(-eta sum of the losses so far).

    ``observed`` has the shape (..., N, K), the result (..., N + 1, K).
    """
    losses = _read_losses(observed)
    require_at_least(0, eta, "the step of exponential weights")
    sums = np.zeros((*losses.shape[:-2], losses.shape[-2] + 1, losses.shape[-1]))
    np.cumsum(losses, axis=-2, out=sums[..., 1:, :])
    return np.asarray(special.softmax(-eta * sums, axis=-1))


def lazy_marginals(observed: ArrayLike, eta: float) -> Floats:
    """The law of the shrinking dartboard's arm, batch by batch: the keep-or-redraw kernel applied to the uniform law.

    The losses ``observed``, shape (..., N, K), do not depend on the arms played. The result has the shape (..., N + 1, K).
    """
    losses = _read_losses(observed)
    weights = exponential_weights(losses, eta)
    law = np.empty_like(weights)
    law[..., 0, :] = 1 / losses.shape[-1]
    for b in range(losses.shape[-2]):
        kept = law[..., b, :] * np.exp(-eta * losses[..., b, :])
        law[..., b + 1, :] = kept + (1 - kept.sum(axis=-1, keepdims=True)) * weights[..., b + 1, :]
    return law


def dartboard_cost(observed: ArrayLike, charged: ArrayLike, tau: int, eta: float) -> Cost:
    r"""The exact expected cost of the batched shrinking dartboard, given the losses ``observed`` once in each batch.

    .. math:: \tau \sum_b \langle w_b, \bar l_b \rangle + 1
              + \sum_{b < N} \sum_k w_b[k] (1 - e^{-\eta \hat l_b[k]}) (1 - w_{b+1}[k])

    for the observed losses hat l and the ``charged`` means bar l of the batches, both of shape (..., N, K) with entries >= 0.
    After the last batch there is nothing left to switch for.
    """
    seen, means = _read_losses(observed), _read_losses(charged)
    if tau < 1:
        raise InputError(f"a batch has at least one round, not {tau}.")
    weights = exponential_weights(seen, eta)
    left = weights[..., :-2, :] * -np.expm1(-eta * seen[..., :-1, :]) * (1 - weights[..., 1:-1, :])
    return Cost(
        loss=np.asarray(tau * (weights[..., :-1, :] * means).sum(axis=(-2, -1))),
        switches=np.asarray(1 + left.sum(axis=(-2, -1))),
        best=np.asarray(tau * means.sum(axis=-2).min(axis=-1)),
    )


def shrinking_dartboard(
    sequence: LossSequence, batches: int, eta: float, draws: int, seed: int | np.random.Generator = 0
) -> Cost:
    """The batched shrinking dartboard for ``draws`` independent choices of the rounds of observation; (draws,) each."""
    observed = observed_losses(sequence, batches, draws, seed)
    return dartboard_cost(observed, batch_losses(sequence, batches), batch_length(sequence.rounds, batches), eta)


def worst_dartboard_regret(batches: int, tau: int, eta: float) -> float:
    """The largest regret of the dartboard on two arms over all losses of 0 or 1 that are constant within batches.

    Exact, by dynamic programming: weights and switches depend on the past through the difference of the two arms' losses
    alone, and so does the regret against either arm. Takes time of the order N^2.
    """
    if batches < 1 or tau < 1:
        raise InputError(f"there is at least one batch of at least one round, not {batches} and {tau}.")
    require_at_least(0, eta, "the step of exponential weights")
    difference = np.arange(-batches, batches + 1)  # losses of arm 0 less those of arm 1
    first, fall = special.expit(-eta * difference), -np.expm1(-eta)
    raised, lowered = special.expit(-eta * (difference + 1)), special.expit(-eta * (difference - 1))
    # regret against arm 0 and switches, by the losses (1, 0), (0, 1) and (1, 1); against arm 1 it is larger by the last difference
    up, down, both = first * (1 - raised), (1 - first) * lowered, 2 * first * (1 - first)
    value = tau * np.maximum(difference, 0).astype(float)
    for b in range(batches, 0, -1):
        here = slice(batches - b + 1, batches + b)  # the differences before batch b are less than b
        cost = fall if b < batches else 0.0  # after the last batch there is nothing left to switch for
        value = np.maximum.reduce(
            [
                value[1:-1] + cost * both[here],
                value[2:] - tau * (1 - first[here]) + cost * up[here],
                value[:-2] + tau * (1 - first[here]) + cost * down[here],
            ]
        )
    return float(1 + value[0])


def two_armed_dartboard(means: ArrayLike, batches: int, tau: int, eta: float) -> Cost:
    """The exact expected cost of the dartboard on independent losses of 0 or 1 with the two ``means``.

    The law of the difference of the two arms' observed losses is followed from batch to batch, in time of the order N^2.
    ``best`` is the smaller expected loss.
    """
    mu = np.asarray(means, dtype=float)
    if mu.shape != (2,) or not ((mu >= 0) & (mu <= 1)).all():
        raise InputError(f"two means between 0 and 1 are needed, not {mu.tolist()}.")
    if batches < 1 or tau < 1:
        raise InputError(f"there is at least one batch of at least one round, not {batches} and {tau}.")
    require_at_least(0, eta, "the step of exponential weights")
    up, down, both = mu[0] * (1 - mu[1]), mu[1] * (1 - mu[0]), mu[0] * mu[1]
    stay = 1 - up - down
    law, visits = np.zeros(2 * batches + 1), np.zeros(2 * batches + 1)
    law[batches] = 1.0
    last = law
    for b in range(batches):
        low, high = batches - b, batches + b + 1
        visits[low:high] += law[low:high]
        last = law.copy()
        law[low - 1 : high + 1] = stay * last[low - 1 : high + 1]
        law[low : high + 1] += up * last[low - 1 : high]
        law[low - 1 : high] += down * last[low : high + 1]
    difference = np.arange(-batches, batches + 1)
    first = special.expit(-eta * difference)
    raised, lowered = special.expit(-eta * (difference + 1)), special.expit(-eta * (difference - 1))
    switch = up * first * (1 - raised) + down * (1 - first) * lowered + both * 2 * first * (1 - first)
    return Cost(
        loss=np.asarray(tau * (visits @ (first * mu[0] + (1 - first) * mu[1]))),
        switches=np.asarray(1 - np.expm1(-eta) * ((visits - last) @ switch)),
        best=np.asarray(tau * batches * mu.min()),
    )


def batched_exp3(losses: ArrayLike, tau: int, eta: float, seeds: ArrayLike, *, coins: bool = False) -> Cost:
    """Batched EXP3 on given mean losses of the batches, one run for each seed; (runs,) each.

    ``losses`` has the shape (N, K), or (n, N, K) for n sequences that the runs take in turn. With ``coins`` the learner sees
    the mean of ``tau`` independent losses of 0 or 1 with these means. Expectations are over the arm of a batch given the past.
    """
    each = _read_losses(losses, least=-np.inf)
    if each.ndim not in (2, 3):
        raise InputError(f"the losses of batches have the shape (N, K) or (sequences, N, K), not {each.shape}.")
    if tau < 1:
        raise InputError(f"a batch has at least one round, not {tau}.")
    if coins and not ((each >= 0) & (each <= 1)).all():
        raise InputError("the means of losses of 0 or 1 lie in [0, 1].")
    require_at_least(0, eta, "the step of exponential weights")
    table = np.array(each[None] if each.ndim == 2 else each, order="C")
    words = read_seeds(seeds)
    loss, switches = kernels.batched_exp3(table, tau if coins else 0, float(eta), words)
    best = tau * table.sum(axis=1).min(axis=1)
    return Cost(loss=tau * loss, switches=switches, best=best[np.arange(words.size) % best.size])


def expected_batched_exp3(losses: ArrayLike, tau: int, eta: float) -> Cost:
    """The exact expected cost of batched EXP3 on given mean losses, shape (N, K), by going through all K^N choices of arms.

    Raises :class:`InputError` for more than a million of them.
    """
    each = _read_losses(losses, least=-np.inf)
    if each.ndim != 2:
        raise InputError(f"the losses of batches have the shape (N, K), not {each.shape}.")
    batches, arms = each.shape
    if arms**batches > 10**6:
        raise InputError(f"{arms} arms in {batches} batches can be chosen in more than a million ways.")
    if tau < 1:
        raise InputError(f"a batch has at least one round, not {tau}.")
    require_at_least(0, eta, "the step of exponential weights")
    total, chance, before = np.zeros((1, arms)), np.ones(1), np.full(1, -1)
    loss, switches = 0.0, 1.0
    for b in range(batches):
        weights = special.softmax(-eta * total, axis=1)
        loss += float(chance @ weights @ each[b])
        if b:
            switches += float(chance @ (1 - weights[np.arange(chance.size), before]))
        before = np.tile(np.arange(arms), chance.size)
        chance = (chance[:, None] * weights).ravel()
        total = np.repeat(total, arms, axis=0)
        total[np.arange(before.size), before] += each[b, before] / np.maximum(weights.ravel(), np.finfo(float).tiny)
    return Cost(np.asarray(tau * loss), np.asarray(switches), np.asarray(tau * each.sum(axis=0).min()))


@dataclass(frozen=True)
class WalkPlay:
    """A learner on the walk of two arms: regret on average over the better arm, and the smaller expected switches of the two."""

    regret: float
    switches: float


def commit_by_likelihood(
    parents: ArrayLike, pattern: ArrayLike, gap: float, *, extra: int = 0, noise: float = np.inf
) -> WalkPlay:
    r"""Play ``pattern``, then the likelier arm to the end: exact expected regret under bandit feedback, unit steps.

    ``pattern`` holds the arms 0 and 1 of the first n <= T rounds. The log-likelihood ratio of what they show is
    N(+-KL, 2 KL), with KL of :func:`bandits.multi_scale_walk.walk_divergence`, so that the wrong arm is chosen with
    probability Phi(-sqrt(KL / 2)).

    With ``extra`` = B > 0 both arms are seen in the first B rounds of the pattern, with per-arm noise of standard deviation
    ``noise`` s: the learner then uses the differences of the two alone, KL = eps^2 B / s^2, which is infinite for s = 0.
    """
    tree, arms = read_parents(parents), np.asarray(pattern)
    n = arms.size
    if arms.ndim != 1 or not 1 <= n <= tree.size - 1:
        raise InputError(f"a pattern fills between 1 and {tree.size - 1} rounds, not {n}.")
    if not 0 <= extra <= n:
        raise InputError(f"both arms are seen in between 0 and {n} rounds of the pattern, not {extra}.")
    for value, what in ((gap, "the gap"), (0.0 if np.isinf(noise) else noise, "the noise of an arm")):
        require_at_least(0, value, what)
    if extra:
        divergence = np.inf if noise == 0 and gap > 0 else gap**2 * extra / noise**2 if gap else 0.0
    else:
        divergence = float(walk_divergence(tree[: n + 1], looks(arms), gap))
    wrong = float(special.ndtr(-np.sqrt(divergence / 2)))
    remaining = tree.size - 1 - n
    before = 1 + int(np.count_nonzero(np.diff(arms)))
    # arm 0 is the better one, then arm 1; the last switch is to the other arm than the pattern's last
    worse = (np.count_nonzero(arms == 1) + np.count_nonzero(arms == 0)) / 2 + remaining * wrong
    changes = [0.0, 0.0] if remaining == 0 else [1 - wrong if arms[-1] == 1 else wrong, 1 - wrong if arms[-1] == 0 else wrong]
    return WalkPlay(regret=gap * worse + before + sum(changes) / 2, switches=before + min(changes))


@dataclass(frozen=True, eq=False)
class WalkRuns:
    """Runs on the walk of two arms, with arm 0 and then arm 1 the better one: ``regret`` and ``switches``, shape (2, runs)."""

    regret: Floats
    switches: Floats


def sequential_test(parents: ArrayLike, gap: float, seeds: ArrayLike, *, block: int = 1, threshold: float = 3.0) -> WalkRuns:
    """Alternate in blocks until the absolute log-likelihood ratio reaches ``threshold``, then play the likelier arm for ever.

    Bandit feedback, unit steps, no per-arm noise. The two games of a seed have the same walk.
    """
    tree, words = read_parents(parents), read_seeds(seeds)
    require_at_least(0, gap, "the gap")
    require_at_least(1, block, "the length of a block")
    require_at_least(0, threshold, "the threshold of a test")
    games = [kernels.sequential_test(tree, best, float(gap), int(block), float(threshold), words) for best in (0, 1)]
    worse, switches = (np.stack([game[i] for game in games]).astype(float) for i in (0, 1))
    return WalkRuns(regret=gap * worse + switches, switches=switches)


def _read_losses(losses: ArrayLike, least: float = 0.0) -> Floats:
    each = np.asarray(losses, dtype=float)
    if each.ndim < 2 or each.size == 0:
        raise InputError(f"losses have a batch and an arm as their last two axes, not the shape {each.shape}.")
    if not (np.isfinite(each) & (each >= least)).all():
        raise InputError("the losses are finite" + (", and not negative here." if least == 0 else "."))
    return each
