r"""Smoothed agents under attack: exact laws of the total reward, the worst adaptive shifts, and Gaussian certificates.

The total reward R of a :class:`~mdplab.models.state_adversary.SmoothedAgent` is a whole number. Its clean *tails*
:math:`p_k = P(R \ge k)` come from a forward recursion. The least probability that an adversary with a budget leaves to
:math:`R \ge k`, and the least expectation of R, satisfy

.. math:: V_t(s, y, b) = \min_{e^2 \le b^2} \sum_a \pi(a|s, e) \sum_{s'} P_t(s'|s, a)\,
          V_{t+1}\bigl(s', y - r_t(s, a), \sqrt{b^2 - e^2}\bigr),

y the reward that is still wanted. The squared budget is cut into K parts. An adversary who spends whole parts only is a
feasible one, so that its value is an upper bound of the minimum. One whose spending in each step is rounded down to whole parts
is stronger than any, so that its value is a lower bound; its shifts lie between the roots of j and j + 1 parts, and the
probability of an observation above a cut increases with the shift, so that every term of the value is bounded at the ends. All that
it gains is less than a part of the budget in each step: the two bounds meet as K grows. Rounding apart, both are exact.

The certificate is :math:`\Phi(\Phi^{-1}(p_k) - B/\sigma)` (Kumar, Levine and Feizi 2022, arXiv 2106.11420).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mdplab.models.state_adversary import SmoothedAgent
from theory.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WorstAttack:
    r"""What an adversary with a budget leaves: brackets of the least tails and of the least expected total reward.

    ``tails_low`` and ``tails`` (R_max,) enclose :math:`\min P(R \ge k)`, k = 1 .. R_max, each k with an attack of its own;
    ``reward_low`` and ``reward`` enclose :math:`\min \mathbb{E} R`. The upper ends are attained by an adversary who spends whole
    parts of the budget.
    """

    tails_low: Floats
    tails: Floats
    reward_low: float
    reward: float


def largest_reward(agent: SmoothedAgent) -> int:
    """R_max, the sum over steps of the largest reward; InputError unless rewards are whole numbers, 0 or more."""
    R = agent.mdp.R
    if (R < 0).any() or (np.round(R) != R).any():
        bad = R[(R < 0) | (np.round(R) != R)][0]
        raise InputError(f"the tails of a total reward need whole rewards of 0 or more, not {bad}.")
    return int(R.max(axis=(1, 2)).sum())


def clean_tails(agent: SmoothedAgent, losses: bool = False) -> Floats:
    """P(R >= k), k = 1 .. R_max, without an attack; shape (R_max,). With ``losses`` P(R < k), accurate when it is tiny."""
    top = largest_reward(agent)
    policy = agent.action_probabilities()
    assert agent.mdp.start is not None
    law = np.zeros((agent.mdp.states, top + 1))  # of the state and the reward so far
    law[:, 0] = agent.mdp.start
    for P, R in zip(agent.mdp.P, agent.mdp.R):
        after = np.zeros_like(law)
        for r in np.unique(R).astype(int).tolist():
            s, a = np.nonzero(r == R)
            after[:, r:] += P[s, a].T @ (policy[s, a, None] * law[s, : top + 1 - r])
        law = after
    total = law.sum(axis=0)
    sums = np.cumsum(total)[:-1] if losses else np.cumsum(total[::-1])[::-1][1:]
    return np.minimum(sums, 1.0)


def win_probabilities(agent: SmoothedAgent, losses: bool = False) -> Floats:
    """P(the rewards from step t on add up to at least y | s at step t) without an attack; shape (H + 1, S, R_max + 1).

    With ``losses`` the probability of less than y, accurate when it is tiny.
    """
    top = largest_reward(agent)
    policy = agent.action_probabilities()
    value = np.empty((agent.mdp.horizon + 1, agent.mdp.states, top + 1))
    value[-1] = (np.arange(top + 1) > 0) == losses
    for t in range(agent.mdp.horizon - 1, -1, -1):
        value[t] = np.einsum("sa,say->sy", policy, _tail_values(agent, t, value[t + 1][:, :, None])[..., 0])
    return np.minimum(value, 1.0)


def worst_attack(
    agent: SmoothedAgent,
    budget: float,
    parts: int = 16,
    *,
    bracket: bool = True,
    per_step: bool = False,
    sees_noise: bool = False,
) -> WorstAttack:
    r"""The worst adaptive shifts with :math:`\sum_t e_t^2 \le B^2`, ``budget`` B >= 0 cut into ``parts`` K >= 1.

    Two adversaries that the certificate does not cover, for comparison: with ``per_step`` each shift alone is bounded,
    :math:`|e_t| \le B`; one that ``sees_noise`` knows :math:`z_t` when it chooses :math:`e_t`. For both, and without ``bracket``
    (in a third of the time), the lower ends are 0.

    Raises :class:`InputError` for a budget or a number of parts out of range, and for rewards that are not whole numbers.
    """
    if not (np.isfinite(budget) and budget >= 0):
        raise InputError(f"the budget of an attack is finite and at least 0, not {budget}.")
    if parts < 1:
        raise InputError(f"the budget of an attack is cut into at least one part, not {parts}.")
    if per_step and sees_noise:
        raise InputError("an attack is bounded step by step or sees the noise, not both.")
    top = largest_reward(agent)
    K = 0 if per_step else parts
    ends = np.zeros((2, agent.mdp.states, top + 2, K + 1))  # lower and upper; tails y = 0 .. top, then the expectation
    ends[:, :, 0] = 1.0
    shifts = budget * np.sqrt(np.arange(parts + 1) / parts)
    both = agent.above(np.stack((-shifts, shifts)))  # (sign, parts + 1, S, M), increasing in the shift
    for t in range(agent.mdp.horizon - 1, -1, -1):
        high = _pair_values(agent, t, ends[1])
        if sees_noise:
            ends[1] = _moved(agent, shifts, high[:, agent.choice])
        elif per_step:
            base, jumps = _jumps(agent, high)
            ends[1] = (base[:, None] + _crossed(np.concatenate(both), jumps)).min(axis=1)
        else:
            ends[1] = _spent(*_jumps(agent, high), both)
            if bracket:
                ends[0] = _spent_at_least(*_jumps(agent, _pair_values(agent, t, ends[0])), both)
    assert agent.mdp.start is not None
    ends[0] *= bracket and not (per_step or sees_noise)
    lower, upper = (np.tensordot(agent.mdp.start, end[:, :, -1], axes=1) for end in ends)
    return WorstAttack(lower[1:-1], upper[1:-1], float(lower[-1]), float(upper[-1]))


def certified_tails(agent: SmoothedAgent, budget: float, *, known_start: bool = False) -> Floats:
    r"""The certificates :math:`\Phi(\Phi^{-1}(p_k) - B/\sigma)`, shape (R_max,); their sum certifies the expectation of R.

    With ``known_start`` those of the start states are averaged; that is sharper, and as valid. They are computed from the
    1 - p_k, which double precision resolves where p_k would be 1. Raises :class:`InputError` for a budget out of range.
    """
    if not (np.isfinite(budget) and budget >= 0):
        raise InputError(f"the budget of an attack is finite and at least 0, not {budget}.")
    assert agent.mdp.start is not None
    if known_start:
        lost, weights = win_probabilities(agent, losses=True)[0, :, 1:], agent.mdp.start
    else:
        lost, weights = clean_tails(agent, losses=True)[None], np.ones(1)
    return np.asarray(weights @ special.ndtr(-special.ndtri(lost) - budget / agent.sigma))


def loss_distance(agent: SmoothedAgent) -> Floats:
    """The least Euclidean norm of the shifts with which the agent, without noise, may end with R < k, k = 1 .. R_max.

    A shift to the edge of an interval of observations counts as a shift into it; the randomness of the model is on the
    adversary's side. 0 where R < k is possible without an attack, inf where it is impossible. Shape (R_max,).
    """
    top = largest_reward(agent)
    edges = np.concatenate(([-np.inf], agent.cuts, [np.inf]))
    o = agent.observation[:, None]
    cost = np.maximum(np.maximum(edges[:-1] - o, o - edges[1:]), 0.0) ** 2  # (S, M + 1)
    value = np.where(np.arange(top + 1) > 0, 0.0, np.inf)[None].repeat(agent.mdp.states, axis=0)
    for P, R in zip(agent.mdp.P[::-1], agent.mdp.R[::-1]):
        q = np.empty((*R.shape, top + 1))
        for s, a in np.ndindex(R.shape):
            left = np.maximum(np.arange(top + 1) - int(R[s, a]), 0)
            q[s, a] = value[P[s, a] > 0].min(axis=0)[left]
        value = (cost[:, :, None] + q[:, agent.choice]).min(axis=1)
    assert agent.mdp.start is not None
    return np.sqrt(value[agent.mdp.start > 0].min(axis=0)[1:])


def _tail_values(agent: SmoothedAgent, t: int, value: Floats) -> Floats:
    """Values (S, A, Y, K+1) of pairs at step t, from those (S, Y, K+1) after it, of tails y = 0 .. Y - 1."""
    R = agent.mdp.R[t]
    ahead = np.tensordot(agent.mdp.P[t], value, axes=1)
    left = np.maximum(np.arange(value.shape[1]) - R[:, :, None].astype(np.int64), 0)
    return np.take_along_axis(ahead, left[..., None], axis=2)


def _pair_values(agent: SmoothedAgent, t: int, value: Floats) -> Floats:
    """Like :func:`_tail_values`, with the expected reward in the last place of y."""
    P, R = agent.mdp.P[t], agent.mdp.R[t]
    reward = R[:, :, None] + np.tensordot(P, value[:, -1], axes=1)
    return np.concatenate((_tail_values(agent, t, value[:, :-1]), reward[:, :, None]), axis=2)


def _jumps(agent: SmoothedAgent, q: Floats) -> tuple[Floats, Floats]:
    """Values by the interval of the observation: that of the lowest (S, Y, K+1), and the jumps at the cuts (S, M, Y, K+1)."""
    steps = q[:, agent.choice]
    return steps[:, 0], np.diff(steps, axis=1)


def _spent(base: Floats, jumps: Floats, above: Floats) -> Floats:
    """The least value over shifts that cost whole parts of the budget."""
    best = np.full(base.shape, np.inf)
    K = base.shape[-1] - 1
    for j in range(K + 1):
        value = base[:, None] + _crossed(above[:, j], jumps)
        np.minimum(best[..., j:], value.min(axis=1)[..., : K + 1 - j], out=best[..., j:])
    return best


def _spent_at_least(base: Floats, jumps: Floats, above: Floats) -> Floats:
    """A lower bound over shifts that cost at least j parts and less than j + 1; only the last part left is spent to the end."""
    best = np.full(base.shape, np.inf)
    K = base.shape[-1] - 1
    rise, fall = np.maximum(jumps[..., 1:], 0.0), np.minimum(jumps[..., 1:], 0.0)
    for j in range(K + 1):
        value = base[:, None, :, :1] + _crossed(above[:, j], jumps[..., :1])
        np.minimum(best[..., j], value.min(axis=1)[..., 0], out=best[..., j])
        if j < K:
            low, high = np.minimum(above[:, j], above[:, j + 1]), np.maximum(above[:, j], above[:, j + 1])
            value = base[:, None, :, 1:] + _crossed(low, rise) + _crossed(high, fall)
            np.minimum(best[..., j + 1 :], value.min(axis=1)[..., : K - j], out=best[..., j + 1 :])
    return best


def _crossed(above: Floats, jumps: Floats) -> Floats:
    """The sum over cuts of above * jumps: (S, E, Y, L) from the chances (E, S, M) of E shifts and the jumps (S, M, Y, L)."""
    S, M, Y, L = jumps.shape
    return (above.swapaxes(0, 1) @ jumps.reshape(S, M, Y * L)).reshape(S, -1, Y, L)


def _moved(agent: SmoothedAgent, shifts: Floats, steps: Floats) -> Floats:
    """The expectation over the noise of the least value ``steps`` (S, M+1, Y, K+1) that a shift can move the observation to."""
    K = shifts.size - 1
    points = np.unique(np.concatenate((agent.cuts[:, None] - shifts, agent.cuts[:, None] + shifts)).ravel())
    edges = np.concatenate(([-np.inf], points, [np.inf]))
    mass = np.diff(special.ndtr((edges - agent.observation[:, None]) / agent.sigma), axis=1)
    inner = (points[1:] + points[:-1]) / 2
    middle = np.concatenate((points[:1] - 1, inner, points[-1:] + 1)) if points.size else np.zeros(1)
    bounds = np.concatenate(([-np.inf], agent.cuts, [np.inf]))
    value = np.zeros((*steps.shape[:1], *steps.shape[2:]))
    for place, x in enumerate(middle):
        best = np.full(value.shape, np.inf)
        for i in range(agent.choice.size):
            away = max(bounds[i] - x, x - bounds[i + 1], 0.0)
            j = int(np.searchsorted(shifts, away))
            if j <= K:
                np.minimum(best[..., j:], steps[:, i, :, : K + 1 - j], out=best[..., j:])
        value += mass[:, place, None, None] * best
    return value
