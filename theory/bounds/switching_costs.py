r"""Bounds for online learning with switching costs: losses in [0, 1], and every switch costs 1 (Cheng, Zhou and Ji 2023,
arXiv 2306.09588, for the rates; the constants are derived here).

Upper bounds, for T rounds in N batches of the same length and K arms:

.. math:: \text{batched shrinking dartboard: } T \sqrt{\frac{2 \ln K}{N}} + \sqrt{2 N \ln K} + 1, \qquad
          \text{batched EXP3: } T \sqrt{\frac{2 K \ln K}{N}} + N .

Lower bounds, for two arms whose losses share a multi-scale random walk of unit steps (:mod:`bandits.multi_scale_walk`), one of
them lower by eps: a learner that switches S times, the first play counted, learns at most so much that its regret is at least
:func:`walk_lower_bound`.
"""

from __future__ import annotations

import numpy as np

from theory.errors import InputError


def walk_width(rounds: int) -> int:
    """The width of the multi-scale random walk of ``rounds`` T >= 1 rounds: floor(log2 T) + 1."""
    if rounds < 1:
        raise InputError(f"a walk has at least one round, not {rounds}.")
    return int(rounds).bit_length()


def dartboard_bound(rounds: int, arms: int, batches: int) -> float:
    """T sqrt(2 log K / N) + sqrt(2 N log K) + 1: the regret of the shrinking dartboard with step sqrt(2 log K / N)."""
    _require(rounds, arms, batches)
    size = np.log(arms)
    return float(rounds * np.sqrt(2 * size / batches) + np.sqrt(2 * batches * size) + 1)


def sharp_dartboard_bound(rounds: int, arms: int, batches: int) -> float:
    """(5/4) T sqrt(log K / (2 N)) + sqrt(2 N log K) + 1: what the proof of :func:`dartboard_bound` gives."""
    _require(rounds, arms, batches)
    size = np.log(arms)
    return float(1.25 * rounds * np.sqrt(size / (2 * batches)) + np.sqrt(2 * batches * size) + 1)


def dartboard_budget_bound(rounds: int, arms: int, budget: float) -> float:
    """T sqrt(2 K log K / B) + sqrt(2 (B/K) log K) + 1: :func:`dartboard_bound` where B = N K observations are paid for."""
    _require(rounds, arms, 1)
    if not arms <= budget <= arms * rounds:
        raise InputError(f"a budget of observations lies between K = {arms} and K T = {arms * rounds}, not {budget}.")
    size = np.log(arms)
    return float(rounds * np.sqrt(2 * arms * size / budget) + np.sqrt(2 * budget / arms * size) + 1)


def balanced_dartboard_step(rounds: int, arms: int, batches: int) -> float:
    """sqrt(8 T log K / (N (T + 8 N))), the step that minimises T log K / (N eta) + eta (T/8 + N)."""
    _require(rounds, arms, batches)
    return float(np.sqrt(8 * rounds * np.log(arms) / (batches * (rounds + 8 * batches))))


def balanced_dartboard_bound(rounds: int, arms: int, batches: int) -> float:
    """sqrt(T (T + 8 N) log K / (2 N)) + 1: the regret of the shrinking dartboard with :func:`balanced_dartboard_step`."""
    _require(rounds, arms, batches)
    return float(np.sqrt(rounds * (rounds + 8 * batches) * np.log(arms) / (2 * batches)) + 1)


def batched_exp3_bound(rounds: int, arms: int, batches: int) -> float:
    """T sqrt(2 K log K / N) + N: the regret of batched EXP3 with step sqrt(2 log K / (N K))."""
    _require(rounds, arms, batches)
    return float(rounds * np.sqrt(2 * arms * np.log(arms) / batches) + batches)


def best_batches(rounds: int, arms: int) -> float:
    """(K log K / 2)^(1/3) T^(2/3): the number of batches, not rounded, that minimises :func:`batched_exp3_bound`."""
    _require(rounds, arms, 1)
    return float((arms * np.log(arms) / 2) ** (1 / 3) * rounds ** (2 / 3))


def divergence_budget(
    rounds: int, gap: float, switches: float, extra: float = 0.0, noise: float = 1.0, per_extra_noise: float = 1.0
) -> float:
    r"""What a learner can know about which of two arms is better, as a Kullback-Leibler divergence.

    .. math:: \varepsilon^2 \bigl(2 w S + \tfrac12 w B\bigr) + \varepsilon^2 \frac{B}{s^2} + \tfrac12 \varepsilon^2 w,
              \qquad w = \lfloor \log_2 T \rfloor + 1,

    for S ``switches``, ``extra`` rounds B at which both arms are seen, and per-arm ``noise`` of standard deviation s, which is
    positive if B is. ``per_extra_noise`` multiplies the term B / s^2 (in checks of smaller constants).
    """
    _require_walk(rounds, gap, extra, noise)
    w = walk_width(rounds)
    seen = per_extra_noise * extra / noise**2 if extra and per_extra_noise else 0.0
    return float(gap**2 * (2 * w * switches + w * extra / 2 + seen + w / 2))


def sharp_divergence_budget(rounds: int, gap: float, switches: float, extra: float = 0.0, noise: float = 1.0) -> float:
    """:func:`divergence_budget` with 2 (w - 1)(S - 1) in place of 2 w S: the first play and the root cost nothing."""
    w = walk_width(rounds)
    return divergence_budget(rounds, gap, 0.0, extra, noise) + float(2 * gap**2 * (w - 1) * (switches - 1))


def walk_lower_bound(rounds: int, gap: float, switches: float, information: float = 1.0) -> float:
    r"""The least regret with S ``switches`` under bandit feedback, on average over the better arm:

    .. math:: \frac{\varepsilon T}{2}
              \Bigl(1 - \sqrt{\varepsilon^2 w S + \tfrac14 \varepsilon^2 w}\Bigr) + S.

    ``information`` multiplies the term w S (in checks of larger lower bounds).
    """
    _require_walk(rounds, gap)
    w = walk_width(rounds)
    return float(gap * rounds / 2 * (1 - gap * np.sqrt(information * w * switches + w / 4)) + switches)


def sharp_walk_lower_bound(
    rounds: int, gap: float, switches: float, extra: float = 0.0, noise: float = np.inf, information: float = 1.0
) -> float:
    r"""The least regret with S ``switches`` and ``extra`` rounds B at which both arms are seen:

    .. math:: \frac{\varepsilon T}{2} \Bigl(1 - \varepsilon
              \sqrt{(w - 1)(S - 1) + \tfrac w4 (1 + B) + \tfrac{B}{2 s^2}}\Bigr) + S.

    The ``noise`` s of infinity leaves its term out. ``information`` multiplies the term (w - 1)(S - 1).
    """
    _require_walk(rounds, gap, extra, noise)
    known = information * (walk_width(rounds) - 1) * (switches - 1) + information_of_looks(rounds, extra, noise)
    return float(gap * rounds / 2 * (1 - gap * np.sqrt(known)) + switches)


def best_gap(rounds: int) -> float:
    """(2 / (T (w - 1)))^(1/3), at which :func:`learner_free_lower_bound` is taken. For T >= 2."""
    if rounds < 2:
        raise InputError(f"the gap is chosen for at least two rounds, not {rounds}.")
    return float((2 / (rounds * (walk_width(rounds) - 1))) ** (1 / 3))


def learner_free_lower_bound(rounds: int, extra: float = 0.0, noise: float = np.inf) -> float:
    r"""The least regret at the gap :func:`best_gap`, whatever the number of switches: with v = w - 1,

    .. math:: \frac38 2^{1/3} \frac{T^{2/3}}{v^{1/3}} + 1 - \frac{1}{v} \Bigl(\frac w4 (1 + B) + \frac{B}{2 s^2}\Bigr),

    the minimum of :func:`sharp_walk_lower_bound` over all real S.
    """
    v = walk_width(rounds) - 1
    if v < 1:
        raise InputError(f"the gap is chosen for at least two rounds, not {rounds}.")
    return float(3 / 8 * 2 ** (1 / 3) * rounds ** (2 / 3) / v ** (1 / 3) + 1 - information_of_looks(rounds, extra, noise) / v)


def information_of_looks(rounds: int, extra: float, noise: float) -> float:
    r"""w (1 + B) / 4 + B / (2 s^2): half the divergence, in units of the squared gap, that a learner gets without a switch."""
    _require_walk(rounds, 0.0, extra, noise)
    return float(walk_width(rounds) / 4 * (1 + extra) + (extra / (2 * noise**2) if extra else 0.0))


def many_looks_lower_bound(rounds: int, extra: float, noise: float) -> float:
    r"""T / (8 sqrt(A)) + 1 with A of :func:`information_of_looks`: the least regret at the gap 1 / (2 sqrt(A)).

    For so many extra observations that :math:`A \ge (T (w - 1) / 16)^{2/3}`; raises :class:`InputError` for fewer.
    """
    known, enough = information_of_looks(rounds, extra, noise), (rounds * (walk_width(rounds) - 1) / 16) ** (2 / 3)
    if known < enough:
        raise InputError(f"with {extra} extra looks A is {known:.6g}, less than {enough:.6g}.")
    return float(rounds / (8 * np.sqrt(known)) + 1)


def _require(rounds: int, arms: int, batches: int) -> None:
    if arms < 2:
        raise InputError(f"the bounds are for at least two arms, not {arms}.")
    if not 1 <= batches <= rounds:
        raise InputError(f"the number of batches lies between 1 and the {rounds} rounds, not at {batches}.")


def _require_walk(rounds: int, gap: float, extra: float = 0.0, noise: float = np.inf) -> None:
    if rounds < 1:
        raise InputError(f"a walk has at least one round, not {rounds}.")
    if not gap >= 0:
        raise InputError(f"a gap is at least 0, not {gap}.")
    if not 0 <= extra <= rounds:
        raise InputError(f"both arms are seen in between 0 and {rounds} rounds, not {extra}.")
    if extra and not noise > 0:
        raise InputError(f"where both arms are seen, the per-arm noise is positive, not {noise}.")
