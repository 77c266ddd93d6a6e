"""Numba kernels that play K-armed bandits: one round's choice and update, and whole runs of many seeds.

The round-by-round :class:`bandits.play.Player` calls the same functions as the compiled loop, so that both make the same
numbers to the last bit. The codes of rules and environments are those of the constants below; ``numbers`` holds a rule's scalars.

Rewards come from one counter-based stream for each pair (run seed, arm): the n-th pull of an arm pays what entry n of its
stream says (the reward-stack model). So a run depends on its seed alone, not on the batch or the thread that it runs in,
and two algorithms with the same seed see the same rewards, which makes their comparison a paired one. What a rule draws for
itself comes from stream K of the run.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from theory.random_streams import normal, stream, uniform

UPPER_CONFIDENCE, KL_UCB, BETA_THOMPSON, GAUSSIAN_THOMPSON, EPSILON_GREEDY, COMMIT, EXPONENTIAL, TSALLIS = range(8)
BERNOULLI, GAUSSIAN, PARETO, LOSSES = range(4)
COUNT, TOTAL, AVERAGE, WIDTH, ESTIMATE, WEIGHT = range(6)  # rows of a run's state, one column for each arm
ROWS = 6
# parts of a round: put into the loop, and without counting references to arrays, which would take longer than the arithmetic
INLINED: dict[str, Any] = {"cache": True, "error_model": "numpy", "forceinline": True, "_nrt": False}
BELOW_ONE = 1.0 - 2.0**-53


@numba.njit(**INLINED)
def reward(kind, means, numbers, losses, start, arm, n, t):
    """What the n-th pull of ``arm`` pays in round t (both from 0); ``start`` is the arm's stream."""
    if kind == BERNOULLI:
        return 1.0 if uniform(start, n) < means[arm] else 0.0
    if kind == GAUSSIAN:
        return means[arm] + numbers[0] * normal(start, n)
    if kind == PARETO:
        u = 2.0 * uniform(start, n)
        if u < 1.0:
            return means[arm] + numbers[0] * (1.0 - u) ** (-1.0 / numbers[1])
        return means[arm] - numbers[0] * (2.0 - u) ** (-1.0 / numbers[1])
    return 1.0 - losses[t, arm]


@numba.njit(cache=True, error_model="numpy")
def kl_upper(mean, level):
    """max{q : kl(mean, q) <= level} by Newton's iteration from the right of the root, where it falls monotonically."""
    if mean >= 1.0:
        return 1.0
    if mean <= 0.0:
        return -math.expm1(-level)
    own = mean * math.log(mean) + (1.0 - mean) * math.log1p(-mean)
    # Pinsker's inequality and kl >= own - (1 - mean) ln(1 - q) both give a point beyond the root
    q = min(mean + math.sqrt(0.5 * level), -math.expm1((own - level) / (1.0 - mean)), BELOW_ONE)
    if q == BELOW_ONE and own - mean * math.log(q) - (1.0 - mean) * math.log1p(-q) <= level:
        return 1.0
    for _ in range(64):
        if q <= mean:
            return mean
        gap = own - mean * math.log(q) - (1.0 - mean) * math.log1p(-q) - level
        step = gap * q * (1.0 - q) / (q - mean)
        q -= step
        if step <= 1e-15:
            break
    return q


@numba.njit(cache=True, error_model="numpy")
def bernoulli_kl(p, q):
    """kl(p, q) of Bernoulli laws for p in [0, 1] and q in (0, 1]; inf where q = 1 > p."""
    if q >= 1.0:
        return 0.0 if p >= 1.0 else math.inf
    divergence = 0.0
    if p > 0.0:
        divergence += p * math.log(p / q)
    if p < 1.0:
        divergence += (1.0 - p) * math.log((1.0 - p) / (1.0 - q))
    return divergence


@numba.njit(cache=True, error_model="numpy")
def beta_variate(a, b, start, draws):
    """A Beta(a, b) number for a, b >= 1 by Cheng's algorithm BB (1978), in closed form where min(a, b) = 1."""
    if a == 1.0 or b == 1.0:
        u = uniform(start, draws[0])
        draws[0] += 1
        return 1.0 - (1.0 - u) ** (1.0 / b) if a == 1.0 else (1.0 - u) ** (1.0 / a)
    low, high = min(a, b), max(a, b)
    total = a + b
    scale = math.sqrt((total - 2.0) / (2.0 * a * b - total))
    shift = low + 1.0 / scale
    while True:
        u = 1.0 - uniform(start, draws[0])
        z = u * u * (1.0 - uniform(start, draws[0] + 1))
        draws[0] += 2
        v = scale * math.log(u / (1.0 - u)) if u < 1.0 else math.inf
        w = low * math.exp(v)
        if math.isinf(w):
            continue
        r = shift * v - 1.3862943611198906  # ln 4
        if r + low - w + 2.6094379124341003 < 5.0 * z and r + total * math.log(total / (high + w)) < math.log(z):
            continue
        return w / (high + w) if a == low else high / (high + w)


@numba.njit(cache=True, error_model="numpy")
def tsallis_weights(state, rate):
    """Weights 4 / (rate (estimate - x))^2, x chosen so that they sum to 1."""
    arms = state.shape[1]
    x = state[ESTIMATE, 0]
    for a in range(1, arms):
        x = min(x, state[ESTIMATE, a])
    x -= 2.0 / rate  # here the sum is at least 1; Newton's iteration falls to the root from there
    for _ in range(100):
        total, slope = -1.0, 0.0
        for a in range(arms):
            inverse = 1.0 / (state[ESTIMATE, a] - x)
            weight = (2.0 * inverse / rate) ** 2
            state[WEIGHT, a] = weight
            total += weight
            slope += 2.0 * weight * inverse
        x -= total / slope
        if total <= 1e-14:
            break
    for a in range(arms):
        state[WEIGHT, a] /= 1.0 + total


@numba.njit(cache=True, error_model="numpy")
def exponential_weights(state, rate, mixing):
    """Weights (1 - mixing) softmax(-rate estimate) + mixing / K."""
    arms = state.shape[1]
    least = state[ESTIMATE, 0]
    for a in range(1, arms):
        least = min(least, state[ESTIMATE, a])
    total = 0.0
    for a in range(arms):
        state[WEIGHT, a] = math.exp(-rate * (state[ESTIMATE, a] - least))
        total += state[WEIGHT, a]
    for a in range(arms):
        state[WEIGHT, a] = (1.0 - mixing) * (state[WEIGHT, a] / total) + mixing / arms


@numba.njit(**INLINED)
def drawn_arm(state, own, draws):
    """An arm drawn from the weights."""
    u = uniform(own, draws[0])
    draws[0] += 1
    chosen, reached = 0, state[WEIGHT, 0]
    while u >= reached and chosen < state.shape[1] - 1:
        chosen += 1
        reached += state[WEIGHT, chosen]
    return chosen


@numba.njit(**INLINED)
def best_average(state):
    """The lowest-numbered arm of those with the largest average."""
    chosen = 0
    for a in range(1, state.shape[1]):
        if state[AVERAGE, a] > state[AVERAGE, chosen]:
            chosen = a
    return chosen


@numba.njit(**INLINED)
def upper_confidence_arm(state, factor):
    """The arm of the largest average + factor * width."""
    chosen = 0
    best = state[AVERAGE, 0] + factor * state[WIDTH, 0]
    for a in range(1, state.shape[1]):
        index = state[AVERAGE, a] + factor * state[WIDTH, a]
        if index > best:
            best = index
            chosen = a
    return chosen


@numba.njit(cache=True, error_model="numpy")
def kl_arm(state, level, first):
    """The arm of the largest KL index; the one of ``first``, which is likely to be it, is computed first."""
    chosen = first
    best = kl_upper(state[AVERAGE, chosen], level / state[COUNT, chosen])
    for a in range(state.shape[1]):
        average, share = state[AVERAGE, a], level / state[COUNT, a]
        if a == chosen or average + math.sqrt(0.5 * share) < best:  # Pinsker: no smaller than the index
            continue
        if average < best and bernoulli_kl(average, best) > share * (1.0 + 1e-12):  # the index is below the best
            continue
        index = kl_upper(average, share)
        if index > best or (index == best and a < chosen):
            best, chosen = index, a
    return chosen


@numba.njit(cache=True, error_model="numpy")
def thompson_arm(state, numbers, own, draws, normal_rewards):
    """The arm of the largest draw from the posteriors."""
    chosen, best = 0, -math.inf
    for a in range(state.shape[1]):
        if normal_rewards:
            index = state[AVERAGE, a] + state[WIDTH, a] * normal(own, draws[0])
            draws[0] += 1
        else:
            wins = state[TOTAL, a]
            index = beta_variate(numbers[0] + wins, numbers[1] + state[COUNT, a] - wins, own, draws)
        if index > best:
            best, chosen = index, a
    return chosen


@numba.njit(**INLINED)
def choose(rule, t, last, numbers, by_round, state, own, draws):
    """The arm of round t (from 0); for the rules that weigh, the law that it is drawn from is put into the state.

    ``last`` is the arm of the round before, ``own`` the rule's stream and ``draws[0]`` its next entry; ``draws[1]`` is the
    number of arms whose rewards have been seen.
    """
    arms = state.shape[1]
    if rule in (EXPONENTIAL, TSALLIS):
        if rule == EXPONENTIAL:
            exponential_weights(state, by_round[t], numbers[0])
        else:
            tsallis_weights(state, by_round[t])
        return drawn_arm(state, own, draws)
    if rule == BETA_THOMPSON:
        return thompson_arm(state, numbers, own, draws, False)
    if rule == COMMIT:
        if t > numbers[0] * arms:
            return last
        return best_average(state) if t == numbers[0] * arms else t % arms
    if draws[1] < arms:  # some arm was not pulled yet, or its feedback is still on its way
        return t % arms
    if rule == UPPER_CONFIDENCE:
        return upper_confidence_arm(state, by_round[t])
    if rule == KL_UCB:
        return kl_arm(state, by_round[t], last)
    if rule == GAUSSIAN_THOMPSON:
        return thompson_arm(state, numbers, own, draws, True)
    u = uniform(own, draws[0])
    draws[0] += 1
    if u < by_round[t]:
        return min(int(u / by_round[t] * arms), arms - 1)
    return best_average(state)


@numba.njit(**INLINED)
def played(rule, numbers, state):
    """What a rule books when it has chosen: the bonus of EXP3.P, beta / p for every arm."""
    if rule == EXPONENTIAL and numbers[2] > 0.0:
        for a in range(state.shape[1]):
            state[ESTIMATE, a] -= numbers[2] / state[WEIGHT, a]


@numba.njit(**INLINED)
def update(rule, arm, paid, weight, numbers, by_count, state, draws):
    """Book that a pull of ``arm``, chosen with probability ``weight``, paid ``paid``."""
    if state[COUNT, arm] == 0.0:
        draws[1] += 1
    state[COUNT, arm] += 1.0
    state[TOTAL, arm] += paid
    state[AVERAGE, arm] = state[TOTAL, arm] / state[COUNT, arm]
    state[WIDTH, arm] = by_count[int(state[COUNT, arm])]
    if rule in (EXPONENTIAL, TSALLIS):
        if numbers[2] > 0.0:  # EXP3.P estimates gains
            state[ESTIMATE, arm] -= paid / weight
        else:
            state[ESTIMATE, arm] += (1.0 - paid) / (weight + numbers[1])


@numba.njit(**INLINED)
def incurred(weighs, kind, gaps, adversary, state, arm, t):
    """What round t adds to the pseudo-regret (or, against a sequence, to the expected loss), given the past."""
    if not weighs:
        return adversary[t, arm] if kind == LOSSES else gaps[arm]
    expected = 0.0
    for a in range(state.shape[1]):
        expected += state[WEIGHT, a] * (adversary[t, a] if kind == LOSSES else gaps[a])
    return expected


@numba.njit(cache=True, error_model="numpy")
def one_run(
    rule,
    numbers,
    by_round,
    by_count,
    kind,
    means,
    gaps,
    noise,
    adversary,
    seed,
    checkpoints,
    delay,
    batch,
    pulls,
    cost,
    earned,
    switches,
):
    """Fill ``pulls`` (checkpoints, K), cumulative ``cost`` (what is incurred), rewards and switches (checkpoints,) of one seed."""
    arms, horizon = gaps.size, checkpoints[-1]
    late = delay > 0 or batch > 1
    weighs = rule in (EXPONENTIAL, TSALLIS)
    state = np.zeros((ROWS, arms))
    taken = np.zeros(arms, dtype=np.int64)
    draws = np.zeros(2, dtype=np.int64)
    start = np.empty(arms, dtype=np.uint64)
    for a in range(arms):
        start[a] = stream(seed, a)
    own = stream(seed, arms)
    pending_arm = np.zeros(horizon if late else 1, dtype=np.int64)
    pending_paid, pending_weight = np.zeros(pending_arm.size), np.zeros(pending_arm.size)
    seen, t, last, changes, lost, won = 0, 0, -1, 0, 0.0, 0.0
    for mark in range(checkpoints.size):
        while t < checkpoints[mark]:
            arm = choose(rule, t, last, numbers, by_round, state, own, draws)
            lost += incurred(weighs, kind, gaps, adversary, state, arm, t)
            played(rule, numbers, state)
            paid = reward(kind, means, noise, adversary, start[arm], arm, taken[arm], t)
            won += paid
            taken[arm] += 1
            changes += arm != last
            last = arm
            if late:
                pending_arm[t], pending_paid[t], pending_weight[t] = arm, paid, state[WEIGHT, arm]
                while seen <= t and (seen // batch + 1) * batch - 1 + delay <= t:
                    told = pending_arm[seen]
                    update(rule, told, pending_paid[seen], pending_weight[seen], numbers, by_count, state, draws)
                    seen += 1
            else:
                update(rule, arm, paid, state[WEIGHT, arm], numbers, by_count, state, draws)
            t += 1
        pulls[mark] = taken
        cost[mark], earned[mark] = lost, won
        switches[mark] = changes


@numba.njit(cache=True, parallel=True)
def runs(rule, numbers, by_round, by_count, kind, means, gaps, noise, adversary, seeds, checkpoints, delay, batch):
    """``pulls``, ``cost``, ``earned`` and ``switches`` of all the seeds, with their axis first.

    The reward of round t is seen at the end of round ``(t // batch + 1) * batch - 1 + delay``.
    """
    each = seeds.size
    pulls = np.zeros((each, checkpoints.size, gaps.size), dtype=np.int64)
    cost = np.zeros((each, checkpoints.size))
    earned = np.zeros((each, checkpoints.size))
    switches = np.zeros((each, checkpoints.size), dtype=np.int64)
    for run in numba.prange(each):
        one_run(
            rule,
            numbers,
            by_round,
            by_count,
            kind,
            means,
            gaps,
            noise,
            adversary,
            seeds[run],
            checkpoints,
            delay,
            batch,
            pulls[run],
            cost[run],
            earned[run],
            switches[run],
        )
    return pulls, cost, earned, switches
