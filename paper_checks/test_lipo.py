r"""LiPO (T. Liu et al. 2024): preference optimisation as learning to rank lists.

Notation: K responses with labels psi_i in [0, 1] and scores s_i = beta ln (pi/mu)(y_i), gains G_i = 2^psi_i - 1, ranks tau_i from 1
for the highest score, places weighted by 1/D(tau) = 1/ln(1 + tau), and

    Delta_ij = |G_i - G_j| |1/D(tau_i) - 1/D(tau_j)|,   lambda loss = sum over psi_i > psi_j of Delta_ij ln(1 + e^-(s_i - s_j)).
"""

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from bandits.preference.listwise import (
    Discount,
    dcg,
    dcg_regret,
    lambda_loss,
    lambda_weights,
    list_mle,
    logarithmic,
    pairwise_loss,
    ranks,
)
from theory.claims import Comparison, Paper, Range, all_of, at_most, by_profile, claim, domain, equal, family, over
from theory.links import plackett_luce
from theory.pair_losses import expected_pair_loss, hinge, logistic

Array = NDArray[np.float64]
ROUNDING = 1e-13  # of sums of at most 400 terms of at most 1.5

PAPER = Paper(
    key="lipo",
    title="LiPO: Listwise Preference Optimization through Learning-to-Rank",
    authors="T. Liu, Qin, Wu, Shen, Khalman, Joshi, Zhao, Saleh, Baumgartner, J. Liu, P. J. Liu, Wang",
    year=2024,
    theme="alignment",
    arxiv="2402.01878",
)


@family(K=2)
def drawn_list(K: int = 5, spread: float = 1.0, grades: int = 0, seed: int = 0) -> tuple[Array, Array]:
    """Scores (K,) normal with deviation ``spread``, and labels uniform in [0, 1], or on ``grades`` equally spaced values of it."""
    rng = np.random.default_rng(seed)
    labels = rng.uniform(size=K) if grades == 0 else rng.integers(grades, size=K) / max(grades - 1, 1)
    return spread * rng.standard_normal(K), labels


@family
def list_of(scores: tuple[float, ...] = (0.0, 1.0), labels: tuple[float, ...] = (1.0, 0.0)) -> tuple[Array, Array]:
    """The list with these scores and labels."""
    return np.array(scores), np.array(labels)


DRAWN = drawn_list.sweep(K=(2, 3, 6, 20), spread=(0.1, 5.0), grades=(0, 2, 4), draws=by_profile(quick=3, full=30))


@claim(
    PAPER,
    "reductions",
    r"K = 2: \quad L_{\text{pairwise logistic}} = L_{\mathrm{DPO}}, \quad L_{\text{pairwise hinge}} = L_{\mathrm{SLiC}}, \quad L_\lambda"
    r" = |G_1 - G_2| \Bigl(\frac{1}{D(1)} - \frac{1}{D(2)}\Bigr) L_{\mathrm{DPO}}, \quad L_{\mathrm{ListMLE}} = L_{\mathrm{DPO}}",
    kind="identity",
    source="paper",
    assumes="different labels",
    note="The factor is the same in either order of the scores.",
)
@over(drawn_list.sweep(K=2, spread=(0.1, 5.0), draws=by_profile(quick=20, full=200)))
def reductions(lists: tuple[Array, Array], *, margin: float = 1.0, second: int = 2, winner: str = "label") -> Comparison:
    """With two responses the losses of lists are those of pairs.

    The one pair (w, l) has the ranks 1 and 2, in one order or the other, and Plackett-Luce is Bradley-Terry.
    """
    scores, labels = lists
    w = int(np.argmax(labels if winner == "label" else scores))
    h = scores[w] - scores[1 - w]
    dpo = float(np.log1p(np.exp(-h))) if h > 0 else float(-h + np.log1p(np.exp(h)))
    factor = abs(2 ** labels[0] - 2 ** labels[1]) * (1 / np.log(2) - 1 / np.log(1 + second))
    return all_of(
        logistic=equal(pairwise_loss(scores, labels), dpo, scale=1 + abs(h)),
        hinge=equal(pairwise_loss(scores, labels, hinge(margin)), max(0.0, 1 - h), scale=1 + abs(h)),
        weighted=equal(lambda_loss(scores, labels), factor * dpo, scale=1 + abs(h)),
        likelihood=equal(list_mle(scores, labels), dpo, scale=1 + abs(h)),
    )


reductions.control("another margin of the hinge", because="SLiC's margin is 1", margin=1.01)
reductions.control("the discount of the third place", because="two responses have the places 1 and 2", second=3)
reductions.control("the response with the higher score as winner", because="labels decide who wins", winner="score")


@claim(
    PAPER,
    "swap",
    r"\Delta_{ij} = |\mathrm{DCG}(s) - \mathrm{DCG}(s \text{ with } s_i, s_j \text{ exchanged})|",
    kind="identity",
    source="paper",
    assumes="different scores",
)
@over(DRAWN)
def swap(lists: tuple[Array, Array], *, weighted_by: str = "rank", base: float = 2.0) -> Comparison:
    """The weight of a pair is what exchanging its two responses changes the DCG by.

    Exchanging puts G_i/D(tau_j) + G_j/D(tau_i) in place of G_i/D(tau_i) + G_j/D(tau_j); the rest stays.
    """
    scores, labels = lists
    K = len(scores)
    exchanged = np.tile(scores, (K, K, 1))
    for i, j in itertools.product(range(K), repeat=2):
        exchanged[i, j, [i, j]] = scores[[j, i]]
    change = np.abs(dcg(exchanged, np.broadcast_to(labels, exchanged.shape)) - dcg(scores, labels))
    place = 1 / np.log1p(ranks(scores if weighted_by == "rank" else labels))
    G = base**labels
    delta = np.abs(np.subtract.outer(G, G)) * np.abs(np.subtract.outer(place, place))
    weights = lambda_weights(scores, labels)
    return all_of(
        formula=equal(delta, change, scale=K),
        library=equal(weights + weights.T, change, scale=K),
    )


swap.control("places in the order of the labels", because="the places are those of the scores", weighted_by="label")
swap.control("gains to the base 2.01", because="the gains are 2^psi - 1", base=2.01)

DISCOUNTS: dict[str, Discount] = {
    "logarithm": logarithmic,
    "concave": lambda rank: 1 - (rank / 21) ** 3,
    "first three": lambda rank: (rank <= 3).astype(float),
    "staircase": lambda rank: 1.0 * (rank <= 1) + 0.3 * (rank <= 4) + 0.01 * (rank <= 9),
    "rising": lambda rank: np.where(rank == 3, 1.0, 1 / np.log1p(rank)),
}


def _permutations(K: int, labels: Array) -> tuple[Array, Array]:
    """All orders of K scores 0 .. K - 1, shape (K!, K), and the labels beside each."""
    scores = np.array(list(itertools.permutations(np.arange(float(K)))))
    return scores, np.broadcast_to(labels, scores.shape)


@claim(
    PAPER,
    "dcg-bound",
    r"\max_{s'} \mathrm{DCG}(s') - \mathrm{DCG}(s) \le \sum_{\psi_i > \psi_j,\; s_i \le s_j} \Delta_{ij} \le \frac{1}{\ln 2} L_\lambda(s),"
    r" \quad \text{for every nonincreasing weight } 1/D \text{ of places and all gains}",
    kind="inequality",
    source="derived",
    assumes="1/D nonincreasing; gains increasing in the labels",
    note="The discount need not be convex. Attained by every exchange of two neighbours in the best order.",
)
@over(
    drawn_list.sweep(K=by_profile(quick=(2, 3, 4), full=(2, 3, 4, 5, 6)), grades=(0, 2, 4), draws=by_profile(quick=2, full=10)),
    discount=("logarithm", "concave", "first three", "staircase"),
    scores="all orders",
)
@over(
    drawn_list.sweep(K=(2, 6, 20), spread=(0.01, 1.0, 10.0), grades=(0, 2, 4), draws=by_profile(quick=2, full=50)),
    discount=("logarithm", "concave", "first three", "staircase"),
    scores="drawn",
)
@over(
    list_of.sweep(scores=Range(-1.0, 1.0, size=4), labels=Range(0.0, 1.0, size=4)),
    discount="logarithm",
    scores="drawn",
    budget=by_profile(quick=60, full=1000),
)
@over(list_of.sweep(scores=[(0.0, 1e-6), (0.0, 1.0)], labels=[(1.0, 0.0)]), discount="logarithm", scores="drawn")
def dcg_bound(
    lists: tuple[Array, Array], *, discount: str, scores: str, share: float = 1.0, base: float = 2.0, nearest: int = 100
) -> Comparison:
    r"""The lambda loss bounds what the ranking lacks to the best one, whatever the discount.

    Both the regret and the sum are linear in the steps of the gains (as a function of the label) and in the steps of 1/D (as a
    function of the place), with coefficients at least 0: it is enough to prove the first inequality for R relevant responses of gain 1,
    the others 0, and the first m places of weight 1, the others 0. If t of the relevant ones are in the first m places, the regret
    is min(m, R) - t = min(m - t, R - t), and the discordant pairs with Delta = 1 are the m - t irrelevant responses in the first m places
    times the R - t relevant ones below. A product of whole numbers is at least their minimum, unless that is 0, when the regret is.

    The second: log_2(1 + e^-h) >= 1 for h <= 0. All orders of small lists are tried, and scores that nearly tie.
    """
    weight = DISCOUNTS[discount]
    s, labels = (lists[0][None], lists[1][None]) if scores == "drawn" else _permutations(len(lists[1]), lists[1])
    delta = lambda_weights(s, labels, weight)
    place = ranks(s)
    apart = place[..., :, None] - place[..., None, :]  # above 0 where the pair is in the wrong order
    discordant = (delta * ((apart > 0) & (apart <= nearest))).sum(axis=(-2, -1))
    losses = [expected_pair_loss(row, pairs, logistic()) / np.log(base) for row, pairs in zip(s, delta)]
    return all_of(
        pairs=at_most(dcg_regret(s, labels, weight), share * discordant, slack=ROUNDING),
        loss=at_most(share * discordant, losses, slack=ROUNDING),
    )


dcg_bound.control("half of each weight", because="two exchanged neighbours attain the bound", share=0.5)
dcg_bound.control("5 % less", because="two exchanged neighbours attain the bound", share=0.95)
dcg_bound.control("the natural logarithm", because="scores that nearly tie have the loss ln 2 < 1", base=math.e)
dcg_bound.control("only pairs of neighbours", because="a response may be several places off", nearest=1)
dcg_bound.control(
    "a discount that rises once",
    because="the order of the labels is then not the best, and the weights no longer add up",
    on=domain(drawn_list.sweep(K=5, grades=(0, 2), draws=3), discount="rising", scores="all orders"),
    check=lambda lists, *, discount, scores: _against_the_best(lists, DISCOUNTS[discount]),
)


def _against_the_best(lists: tuple[Array, Array], weight: Discount) -> Comparison:
    """The bound for a discount of any shape: the regret to the best of all orders."""
    s, labels = _permutations(len(lists[1]), lists[1])
    values, delta, place = dcg(s, labels, weight), lambda_weights(s, labels, weight), ranks(s)
    discordant = (delta * (place[..., :, None] > place[..., None, :])).sum(axis=(-2, -1))
    return at_most(values.max() - values, discordant, slack=ROUNDING)


def _newton(order_weights: Array, orders: NDArray[np.int64], K: int, neighbours: bool) -> Array:
    """The scores of mean 0 that minimise the weighted loss of rankings, by Newton's method from 0 with halved steps."""
    step = np.eye(K)

    def objective(s: Array) -> float:
        if neighbours:
            h = s[orders[:, :-1]] - s[orders[:, 1:]]
            return float(order_weights @ np.logaddexp(0, -h).sum(axis=1))
        return -float(order_weights @ plackett_luce(s, orders))

    def derivatives(s: Array) -> tuple[Array, Array]:
        gradient, hessian = np.zeros(K), np.zeros((K, K))
        for w, order in zip(order_weights, orders):
            for k in range(K - 1):
                rest = order[k : k + 2] if neighbours else order[k:]
                p = np.zeros(K)
                p[rest] = np.exp(s[rest] - np.logaddexp.reduce(s[rest]))
                gradient += w * (p - step[order[k]])
                hessian += w * (np.diag(p) - np.outer(p, p))
        return gradient, hessian

    s = np.zeros(K)
    for _ in range(100):
        gradient, hessian = derivatives(s)
        if np.abs(gradient).max() < 1e-14:
            break
        direction = -np.linalg.solve(hessian + 1 / K, gradient)
        length = 1.0
        while objective(s + length * direction) > objective(s) + 1e-15 and length > 1e-6:
            length /= 2
        s = s + length * direction
    return s - s.mean()


@family(K=2)
def drawn_rewards(K: int = 4, spread: float = 1.0, seed: int = 0) -> Array:
    """Normal rewards (K,) of deviation ``spread``."""
    return spread * np.random.default_rng(seed).standard_normal(K)


@claim(
    PAPER,
    "listmle",
    r"\arg\min_s \mathbb{E}_{\tau \sim \mathrm{PL}(r)} [-\ln \mathrm{PL}_s(\tau)] = \{r + c\}",
    kind="identity",
    source="recalled",
    assumes="rankings of all K responses from a Plackett-Luce model with the scores r; their law, not a sample",
)
@over(drawn_rewards.sweep(K=(2, 3, 4), spread=(0.3, 1.0), draws=by_profile(quick=3, full=20)))
@over(drawn_rewards.sweep(K=5, spread=1.0, draws=by_profile(quick=1, full=5)))
def listmle(r: Array, *, turned: bool = False, neighbours: bool = False) -> Comparison:
    """ListMLE is consistent: with the law of Plackett-Luce rankings its minimiser is the reward, up to a constant.

    The expectation exceeds the entropy by KL(PL_r||PL_s), which is 0 only if the first choices agree, e^s proportional to e^r. All K!
    rankings are enumerated, and the convex loss is minimised by Newton's method from 0.

    Turned round, rankings of a Plackett-Luce model are in general those of no such model, so that not even -r is found.
    """
    K = len(r)
    orders = np.array(list(itertools.permutations(range(K))), dtype=np.int64)
    law = np.exp(plackett_luce(r, orders))
    found = _newton(law, orders[:, ::-1] if turned else orders, K, neighbours)
    return equal((-1 if turned else 1) * found, r - r.mean(), tolerance=1e-8, scale=1 + np.abs(r).max())


listmle.control(
    "rankings turned round", because="the last choice of a Plackett-Luce model is no Plackett-Luce choice", turned=True
)
listmle.control(
    "Bradley-Terry losses of neighbours", because="neighbours in a ranking are no pair drawn beforehand", neighbours=True
)
