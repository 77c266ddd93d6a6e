r"""When to show a suggestion (Mozannar, Bansal, Fourney and Horvitz 2023): thresholds, latent states, and acceptance as a reward.

Notation: x is observed, z is not; a(x, z) is the probability that the suggestion is accepted, worth B then; showing it costs c. A
display rule shows at some x (or pairs x, z) and not at others; its utility is E[shown (B a - c)].
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theory.claims import (
    Comparison,
    Paper,
    Range,
    all_of,
    always,
    at_least,
    at_most,
    by_profile,
    claim,
    domain,
    equal,
    family,
    over,
)

Array = NDArray[np.float64]

PAPER = Paper(
    key="cdhf",
    title="When to Show a Suggestion? Integrating Human Feedback in AI-Assisted Programming",
    authors="Mozannar, Bansal, Fourney, Horvitz",
    year=2023,
    theme="bandits",
    arxiv="2306.04930",
)


@dataclass(frozen=True, eq=False)
class Programmer:
    """The law of (x, z) and the acceptance probabilities, both (X, Z), the benefit B and the cost c."""

    law: Array
    acceptance: Array
    benefit: float
    cost: float

    @property
    def gain(self) -> Array:
        """What showing at (x, z) adds to the expected utility, shape (X, Z)."""
        return self.law * (self.benefit * self.acceptance - self.cost)


@family(X=1, Z=1)
def programmers(
    X: int = 6, Z: int = 3, benefit: float = 1.0, cost: float = 0.4, telling: float = 1.0, seed: int = 0
) -> Programmer:
    """A random law of (x, z); acceptance is uniform in x, plus ``telling`` times a shift by z, clipped to [0, 1]."""
    rng = np.random.default_rng(seed)
    law = rng.dirichlet(np.ones(X * Z)).reshape(X, Z)
    acceptance = np.clip(rng.random((X, 1)) + telling * (rng.random((X, Z)) - 0.5), 0, 1)
    return Programmer(law, acceptance, benefit, cost)


@claim(
    PAPER,
    "threshold",
    r"\mathbb{E}\bigl[1\{\mathbb{E}[a | x] > c/B\}\, (B a - c)\bigr] = \max_{S \subseteq \{1..X\}} \mathbb{E}\bigl[1\{x \in S\}\, (B a - c)\bigr]",
    kind="identity",
    source="derived",
    assumes="rules that see x alone; B > 0",
)
@over(programmers.sweep(cost=(0.1, 0.4, 0.7), benefit=(0.5, 1.0), draws=by_profile(quick=30, full=300)))
@over(programmers.sweep(X=6, Z=1, cost=Range(0.0, 1.0)), budget=by_profile(quick=20, full=200))
def threshold(programmer: Programmer, *, factor: float = 1.0, latent: str = "mean") -> Comparison:
    """Show a suggestion exactly when the chance that it is accepted exceeds cost over benefit.

    The utility is a sum over x of P(x) (B E[a|x] - c) where x is shown: every positive term is taken, and no other. Against all 2^6
    rules.
    """
    law = programmer.law.sum(axis=1)
    chance = {
        "mean": (programmer.law * programmer.acceptance).sum(axis=1) / law,
        "best": programmer.acceptance.max(axis=1),
    }[latent]
    terms = programmer.gain.sum(axis=1)
    every = (np.arange(2**law.size)[:, None] >> np.arange(law.size)) & 1
    shown = chance > factor * programmer.cost / programmer.benefit
    return equal(float(terms @ shown), float((every @ terms).max()), tolerance=1e-13, scale=1.0)


threshold.control("a threshold that is 5% higher", because="some suggestion lies between the two", factor=1.05)
threshold.control("the best case over z", because="what counts is the mean over what is not seen", latent="best")


@claim(
    PAPER,
    "latent",
    r"\mathbb{E} \max(0, B a(x, z) - c) \ge \mathbb{E} \max(0, B\, \mathbb{E}[a | x] - c), \text{ with equality iff}"
    r" \text{ no } x \text{ has } z \text{ on both sides of } c/B",
    kind="inequality",
    source="derived",
    assumes="the rules that see (x, z) on the left, x alone on the right; every (x, z) possible",
    note="With telling = 1 it helps 95% of random programmers, the others are those where no x has z on both sides.",
)
@over(programmers.sweep(cost=(0.1, 0.4, 0.7), telling=(0.01, 0.1, 1.0), draws=by_profile(quick=30, full=300)))
def latent(programmer: Programmer, *, sees: str = "both", of_right: float = 1.0) -> Comparison:
    """Knowing the latent state never hurts, and helps exactly when it would change a decision.

    The maximum with 0 is convex: Jensen's inequality given x. It is strict if and only if B a - c takes both signs given x.
    """
    gain = programmer.gain
    seen = np.maximum(gain if sees == "both" else gain.sum(axis=0), 0).sum()
    unseen = np.maximum(gain.sum(axis=1), 0).sum()
    mixed = ((gain > 0).any(axis=1) & (gain < 0).any(axis=1)).any()
    return all_of(
        better=at_least(seen, of_right * unseen, slack=1e-15),
        strict=always((seen > unseen + 1e-15) == mixed, "strictly better exactly where z changes a decision"),
    )


latent.control("the latent state in place of x", because="what is observed counts as well", sees="latent")
latent.control("5% better", because="a latent state that changes no decision is worth nothing", of_right=1.05)


@dataclass(frozen=True)
class Lengths:
    """Suggestions of length L = 1, 2, ..: acceptance ``most`` e^(-L/``patience``), cost of reading ``slope`` L + ``fixed``."""

    patience: float
    slope: float
    fixed: float
    constant_value: float | None
    most: float = 0.8

    @property
    def length(self) -> Array:
        """The lengths 1 .. 60."""
        return np.arange(1.0, 61.0)

    @property
    def acceptance(self) -> Array:
        """The probabilities of acceptance."""
        return self.most * np.exp(-self.length / self.patience)

    @property
    def utility(self) -> Array:
        """Value times acceptance less the cost; the value is the length unless it is constant."""
        value = self.length if self.constant_value is None else self.constant_value
        return value * self.acceptance - self.slope * self.length - self.fixed


@family
def lengths(patience: float = 8.0, slope: float = 0.1, fixed: float = 0.05, constant_value: float | None = None) -> Lengths:
    """Suggestions whose value is their length, or a constant."""
    return Lengths(patience, slope, fixed, constant_value)


@claim(
    PAPER,
    "acceptance-pitfall",
    r"\arg\max_L a(L) = 1 < \arg\max_L u(L) \le \lceil \lambda \rceil, \qquad u(1) < \max_L u(L)",
    kind="separation",
    source="derived",
    assumes=r"a(L) = 0.8 e^{-L/\lambda}, u(L) = L a(L) - s L - f, with 2 a(2) - a(1) > s \ge 0",
)
@over(lengths.sweep())
@over(lengths.sweep(patience=Range(4.0, 20.0), slope=Range(0.0, 0.2)), budget=by_profile(quick=20, full=200))
def acceptance_pitfall(suggestions: Lengths) -> Comparison:
    r"""Choosing suggestions by whether they are accepted makes them short, and not useful.

    Acceptance falls with the length, and u(2) > u(1) is the assumption. At its maximum over real lengths, (1 - L/lambda) a(L) = s >= 0,
    hence L <= lambda, and beyond lambda both terms of u fall. For lambda = 8, s = 0.1, f = 0.05 the most useful length is 6, with a
    utility of 1.62; the length that is accepted most often has 0.56.
    """
    accepted, useful = int(suggestions.acceptance.argmax()), int(suggestions.utility.argmax())
    u = suggestions.utility
    return all_of(
        accepted=equal(suggestions.length[accepted], 1.0),
        useful=at_least(suggestions.length[useful], 2.0),
        patience=at_most(suggestions.length[useful], math.ceil(suggestions.patience)),
        loss=at_least(u[useful] - u[accepted], 1e-3),
    )


acceptance_pitfall.control(
    "a value that does not depend on the item", because="utility then falls with the length, as acceptance does",
    on=domain(lengths.sweep(constant_value=(1.0, 5.0))),
)  # fmt: skip
acceptance_pitfall.control(
    "hasty readers",
    because="with 2 a(2) - a(1) < s the shortest is the most useful as well",
    on=domain(lengths.sweep(patience=1.5)),
)
