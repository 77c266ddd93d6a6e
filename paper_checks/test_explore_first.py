"""Explore First, Exploit Next (Garivier, Menard, Stoltz 2019): the inequality behind every lower bound on bandit regret."""

import numpy as np

from bandits.stochastic import BernoulliBandit, bernoulli_arms
from bandits.ucb1 import ucb1_two_armed_law
from theory.claims import Comparison, Paper, Range, at_most, by_profile, claim, over
from theory.concentration import bernoulli_kl

PAPER = Paper(
    key="explore-first",
    title="Explore First, Exploit Next: The True Shape of Regret in Bandit Problems",
    authors="Garivier, Menard, Stoltz",
    year=2019,
    theme="bandits",
    arxiv="1602.07182",
    venue="Mathematics of Operations Research 44",
)


@claim(
    PAPER,
    "fundamental-inequality",
    r"\mathrm{kl}\bigl(P_\nu(E), P_{\nu'}(E)\bigr) \le \sum_a \mathbb{E}_\nu[N_a(T)]\, \mathrm{kl}(\nu_a, \nu'_a)",
    kind="lower bound",
    source="recalled",
    assumes="E is decided by the first T rounds; Bernoulli rewards",
)
@over(
    bernoulli_arms.sweep(means=Range(0.02, 0.98, size=2)),
    bernoulli_arms.sweep(means=Range(0.02, 0.98, size=2)),
    exploration=(0.0, 2.0),
    budget=by_profile(quick=60, full=600),
)
@over(
    bernoulli_arms.sweep(means=[(0.6, 0.5)]),
    bernoulli_arms.sweep(means=[(0.6, 0.7), (0.6, 0.9), (0.2, 0.5)]),
    exploration=(0.0, 0.5, 2.0),
)
def fundamental_inequality(
    bandit: BernoulliBandit, other: BernoulliBandit, *, exploration: float, horizon: int = 60, first_arm: float = 1.0
) -> Comparison:
    """An algorithm can tell two bandits apart only by the information in its pulls (exact, for UCB1 on two arms).

    The left side contracts the divergence between the laws of the history, which is the right side by the chain rule; it
    holds for every algorithm and every horizon, unlike the asymptotic lower bound of Lai and Robbins (1985) that follows
    from it. The events are "arm 0 was pulled at least n times", for every n.
    """
    if np.array_equal(bandit.means, other.means):
        return at_most(0.0, 0.0)  # nothing to tell apart
    here, there = (ucb1_two_armed_law(b, horizon, exploration)[horizon] for b in (bandit, other))
    expected = here @ np.arange(horizon + 1)
    information = first_arm * expected * bernoulli_kl(bandit.means[0], other.means[0])
    information += (horizon - expected) * bernoulli_kl(bandit.means[1], other.means[1])
    events = [np.clip(np.cumsum(law[::-1])[::-1][1:], 0, 1) for law in (here, there)]
    # probabilities are exact to about 1e-13, which the divergence multiplies by at most ln(1 / P)
    sure = (events[1] > 1e-12) & (events[1] < 1 - 1e-12)
    if not sure.any():
        return at_most(0.0, information, slack=1e-12)
    left = bernoulli_kl(events[0][sure], events[1][sure])
    return at_most(left, information, slack=1e-11 * (1 + information), x=1.0 + np.flatnonzero(sure))


fundamental_inequality.control("only one arm informs", because="pulls of either arm tell the two bandits apart", first_arm=0.0)
