r"""REFUEL (Gao et al. 2024): regressing differences of rewards to go, turn by turn, on histories of the learner's own.

Notation: a token tree of A actions and H turns with rewards whose sum is in [0, 1]; pi_0 the first policy, eta the step, pi_t
the policy of round t = 0 .. T-1, Q_t = Q^{pi_t}. The exact regression is Hedge with the gains Q_t at every prefix. For every
policy pi' (d'_h its law of prefixes of h tokens) the performance difference lemma reads

    V' - V^{pi_t} = sum_h E_{s ~ d'_h} <pi'(.|s) - pi_t(.|s), Q_t(s, .)>.

The paper states its theorem up to constants; those here are proved in the docstrings.
"""

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mdplab.learning.relative_future import Histories, RelativeFutureRun, chain_value, refuel, refuel_on_chain
from mdplab.models.response_trees import bounded_tree, chosen_tree, long_shot
from mdplab.models.token_tree import Levels, TokenTree, leaf_rewards
from mdplab.solvers.token_tree import policy_q, policy_value, prefix_sums
from theory.claims import (
    Comparison,
    Paper,
    Range,
    all_of,
    always,
    at_most,
    by_profile,
    claim,
    less_on_average,
    mean_at_most,
    over,
)

Array = NDArray[np.float64]

PAPER = Paper(
    key="refuel",
    title="Regressing the Relative Future: Efficient Policy Optimization for Multi-turn RLHF",
    authors="Gao, Zhan, Chang, Swamy, Brantley, Lee, Sun",
    year=2024,
    theme="alignment",
    arxiv="2410.04612",
)

TREES = bounded_tree.sweep(A=(2, 3), H=(1, 2, 3, 4), rare=(0.0, 0.1), draws=by_profile(quick=1, full=10))
BANDITS = bounded_tree.sweep(A=(2, 4), H=1, rare=1e-9)  # one response pays
SEARCHED = chosen_tree.sweep(leaf=Range(0.0, 1.0, size=4), logits=[(0.0, 0.0, 0.0)])
SEARCH_BUDGET = by_profile(quick=60, full=600)


@functools.lru_cache(maxsize=8)
def _exact_run(tree: TokenTree, step: float, T: int, sign: float = 1.0) -> RelativeFutureRun:
    """REFUEL with exact regression, or with the negative of what it should be."""
    return refuel(tree, step, T, error=None if sign > 0 else lambda _, policy: tuple(-2 * q for q in policy_q(tree, policy)[0]))


def _rounding(run: RelativeFutureRun) -> float:
    """Of a value in [0, 1]: log-probabilities lose 2^-52 of their size in each of a few operations a turn."""
    return 8 * len(run.q[0]) * float(np.finfo(float).eps)


@claim(
    PAPER,
    "exact-rate",
    r"\frac1T \sum_{t<T} V^\star - V^{\pi_t} \le H \sqrt{\frac{\ln A}{2T}}, \qquad V^{\pi_{t+1}} \ge V^{\pi_t}, \qquad V^\star"
    r" - V^{\pi_{T-1}} \le H \sqrt{\frac{\ln A}{2T}}",
    kind="deterministic rate",
    source="derived",
    assumes=r"exact regression; \eta = \sqrt{8 \ln A / T}; \pi_0 uniform; the rewards of a response sum to a number in [0, 1]",
    note="Half of it is superfluous: see `refuel/exact-fast-rate`, which at this step gives H (sqrt(log A / 8T) + 1/T).",
)
@over(TREES, T=60)
@over(BANDITS, T=(1, 2, 8, 60, 4000))
@over(SEARCHED, T=(1, 8), budget=SEARCH_BUDGET)
def exact_rate(
    tree: TokenTree, *, T: int, power: float = 0.5, constant: float = 1.0, log_power: float = 0.5, sign: float = 1.0
) -> Comparison:
    r"""With exact regression REFUEL learns the best response at the rate H sqrt(log A / 2T), and never falls back.

    Along the prefixes of the best response Hedge's regret is at most :math:`\ln A/\eta + \eta T/8`, as the Q_t lie in an
    interval of length 1; sum over the H turns. The step from pi_t raises :math:`\langle \pi, Q_t \rangle` at every prefix,
    hence V, so that the last iterate is at least as good as the mean.
    """
    run = _exact_run(tree, float(np.sqrt(8 * np.log(tree.tokens) / T)), T, sign)
    gaps = leaf_rewards(tree).max() - run.values[:T]
    size = np.log(tree.tokens) / 2
    bound = constant * tree.horizon * size**log_power * T**-power
    return all_of(
        mean=at_most(gaps.mean(), bound, slack=_rounding(run)),
        monotone=always(np.diff(run.values) >= -_rounding(run), "the value falls"),
        last=at_most(gaps[-1], bound, slack=_rounding(run)),
    )


exact_rate.control("H log A / 2T", because="the step is of the order T^(-1/2)", log_power=1.0, power=1.0)
exact_rate.control("T^(-0.6)", because="finding the best action costs log A / eta", power=0.6)
exact_rate.control("0.85 of the constant", because="one round and four actions need 0.9 of it", constant=0.85)
exact_rate.control("the step -eta", because="the worst response is found instead", sign=-1.0)


@claim(
    PAPER,
    "exact-fast-rate",
    r"\frac1T \sum_{t<T} V^\star - V^{\pi_t} \le \frac1T \Bigl[\frac{H \ln A}{\eta} + \sum_{h<H} V^\star -"
    r" V_h^{\pi_0}(y^\star_{<h})\Bigr] \le \frac{H}{T} \Bigl(\frac{\ln A}{\eta} + 1\Bigr)",
    kind="deterministic rate",
    source="derived",
    assumes=r"exact regression; any \eta > 0; \pi_0 uniform; the rewards of a response sum to a number in [0, 1]; y^\star the"
    r" best one",
    note="A finding: with exact regression the rate is 1/T for any fixed step, and policy iteration in the limit. The order"
    " T^(-1/2) is that of the step, not of the algorithm.",
)
@over(TREES, eta=(0.3, 3.0, 100.0), T=60)
@over(BANDITS, eta=(0.1, 1.0, 1000.0), T=60)
@over(BANDITS, eta=0.01, T=4000)
@over(SEARCHED, eta=Range(0.1, 100.0, log=True), T=60, budget=SEARCH_BUDGET)
def exact_fast_rate(
    tree: TokenTree, *, eta: float, T: int, constant: float = 1.0, entropy: float = 1.0, start: float = 1.0
) -> Comparison:
    r"""With exact regression the gap falls like 1/T, whatever the step.

    At every prefix :math:`\eta\langle \pi^\star - \pi_{t+1}, Q_t\rangle \le \mathrm{KL}(\pi^\star\|\pi_t) -
    \mathrm{KL}(\pi^\star\|\pi_{t+1})`, which telescopes to log A. What is left of the performance difference, :math:`\langle
    \pi_{t+1} - \pi_t, Q_t \rangle \ge 0`, is at most the rise :math:`V_h^{\pi_{t+1}} - V_h^{\pi_t}` at that prefix, for it is
    the rise if only the next token is chosen anew, and the later turns rise too. That telescopes to at most :math:`V^\star -
    V_h^{\pi_0}` at the prefixes of the best response. A bandit attains it for small and for large steps.
    """
    run = _exact_run(tree, eta, T)
    leaf = leaf_rewards(tree)
    best = int(np.argmax(leaf))
    first = policy_q(tree, run.log_policies[0])[1]
    missing = sum(leaf[best] - first[h][best // tree.tokens ** (tree.horizon - h)] for h in range(tree.horizon))
    total = np.cumsum(leaf[best] - run.values[:T])
    t = np.arange(1, T + 1)
    bound = constant * (entropy * tree.horizon * np.log(tree.tokens) / eta + start * missing)
    return at_most(total / t, bound / t, slack=_rounding(run), x=t)


exact_fast_rate.control("0.95 of the bound", because="a bandit attains it", constant=0.95)
exact_fast_rate.control("without log A / eta", because="small steps take long", entropy=0.0)
exact_fast_rate.control("without the second term", because="the first round costs what its policy lacks", start=0.0)


# --- regression errors -------------------------------------------------------------------------------------------------


def _error(kind: str, size: float, tree: TokenTree, comparator: Levels, seed: int) -> Callable[[int, Levels], Levels]:
    """Errors of the regression: random ones, new in every round; against the comparator's actions; or nothing learnt at all."""

    def noise(t: int, policy: Levels) -> Levels:
        rng = np.random.default_rng([seed, t])
        return tuple(size * rng.standard_normal(level.shape) for level in tree.rewards)

    def adverse(t: int, policy: Levels) -> Levels:
        return tuple(-size * np.exp(level) for level in comparator)

    def blind(t: int, policy: Levels) -> Levels:
        return tuple(-level for level in policy_q(tree, policy)[0])

    return {"noise": noise, "adverse": adverse, "blind": blind}[kind]


def _comparator(tree: TokenTree, kind: str, seed: int) -> Levels:
    """The best response, written with certainty (uniform off its prefixes), or a random policy."""
    A, best = tree.tokens, int(np.argmax(leaf_rewards(tree)))
    rng = np.random.default_rng([seed, 99])
    levels = []
    for t in range(tree.horizon):
        if kind == "random":
            rows = np.log(rng.dirichlet(np.ones(A), size=A**t))
        else:
            rows = np.full((A**t, A), -np.log(A))
            prefix, token = divmod(best // A ** (tree.horizon - t - 1), A)
            rows[prefix] = np.where(np.arange(A) == token, 0.0, -np.inf)
        levels.append(rows)
    return tuple(levels)


@functools.lru_cache(maxsize=4)
def _comparator_terms(
    tree: TokenTree, comparator: str, errors: str, size: float, eta: float, T: int, seed: int
) -> tuple[float, float, float, Array, Array, Array]:
    r"""The mean gap to the comparator, and what bounds it.

    The two terms of Hedge (its divergence, and the sum of squared ranges), and for each round and turn the error's variance
    under pi_t and two concentrabilities of the comparator, the largest ratio and the mean one, shape (T, H).
    """
    other = _comparator(tree, comparator, seed)
    run = refuel(tree, eta, T, start=tree.log_reference, error=_error(errors, size, tree, other, seed))
    visits = [np.exp(level) for level in prefix_sums(other)]
    divergence = spread = 0.0
    for d, logs, first in zip(visits, other, tree.log_reference):
        p = np.exp(logs)
        divergence += float(d @ np.where(p > 0, p * (np.where(p > 0, logs, 0.0) - first), 0.0).sum(axis=1))
    variance, most, mean = (np.zeros((T, tree.horizon)) for _ in range(3))
    for t in range(T):
        reach = [np.exp(level) for level in prefix_sums(run.log_policies[t])]
        for h in range(tree.horizon):
            p, wanted = np.exp(run.log_policies[t][h]), np.exp(other[h])
            error = run.regressed[t][h] - run.q[t][h]
            centred = error - (p * error).sum(axis=1, keepdims=True)
            variance[t, h] = reach[h] @ (p * centred**2).sum(axis=1)
            goal = visits[h][:, None] * wanted
            ratio = np.where(goal > 0, goal / (reach[h][:, None] * p), 0.0)
            most[t, h], mean[t, h] = ratio.max(), (goal * ratio).sum()
            spread += float(visits[h] @ np.ptp(run.regressed[t][h], axis=1) ** 2)
    gap = policy_value(tree, other) - float(run.values[:T].mean())
    return gap, divergence, spread, variance, most, mean


COVERED = bounded_tree.sweep(A=(2, 3), H=(1, 2, 3), rare=(0.0, 0.1), draws=by_profile(quick=1, full=6))
ERRORS = ("noise", "adverse", "blind")
# nothing is learnt, and the comparator's response is rare: the errors are all there is
RARE = long_shot.sweep(H=(1, 2, 3), surprise=(2.0, 8.0, 30.0))


@claim(
    PAPER,
    "covered-comparator",
    r"\frac1T \sum_{t<T} V' - V^{\pi_t} \le \frac1T \Bigl[\frac1\eta \sum_h \mathbb{E}_{d'_h} \mathrm{KL}(\pi' \| \pi_0) +"
    r" \frac\eta8 \sum_{t,h} \mathbb{E}_{d'_h}[\operatorname{range}(\hat Q_t)^2] + \sum_{t,h} \sqrt{C_{t,h}\, e_{t,h}}\Bigr]",
    kind="inequality",
    source="derived",
    assumes=r"any functions \hat Q_t in place of Q_t; e_{t,h} the mean squared error of \hat Q_t(s,a) - \hat Q_t(s,a') with s,"
    r" a, a' from \pi_t; C_{t,h} = \max d'_h \pi' / (d_h^{\pi_t} \pi_t)",
    note="The shape is the paper's, H sqrt(1/T) + H sqrt(C eps); the constants are ours. `refuel/covered-comparator-sharp`"
    " halves e.",
)
@over(COVERED, comparator=("best", "random"), errors=ERRORS, size=0.3, eta=(0.3, 2.0), T=20)
@over(RARE, comparator="best", errors="blind", size=0.0, eta=1000.0, T=2)
@over(chosen_tree.sweep(leaf=[(0.0, 1.0)], logits=[(-1.0,)]), comparator="best", errors="noise", size=0.0, eta=3.2, T=1)
@over(
    chosen_tree.sweep(leaf=Range(0.0, 1.0, size=4), logits=Range(-3.0, 3.0, size=3)),
    comparator="best",
    errors="adverse",
    size=Range(0.0, 1.0),
    eta=Range(0.1, 10.0, log=True),
    T=(1, 5),
    budget=SEARCH_BUDGET,
)
def covered_comparator(
    tree: TokenTree,
    *,
    comparator: str,
    errors: str,
    size: float,
    eta: float,
    T: int,
    seed: int,
    coverage: bool = True,
    divergence: float = 1.0,
    ranges: float = 1.0,
    error: float = 1.0,
) -> Comparison:
    r"""What regression errors cost: their size under the learner's own roll-ins, times how badly these cover the comparator.

    With :math:`\hat Q_t = Q_t + \epsilon_t` the performance difference is Hedge's regret for the gains :math:`\hat Q_t`,
    bounded by Hoeffding's lemma at every prefix, plus :math:`\sum_h \mathbb{E}_{d'_h} \mathbb{E}_{a \sim \pi', a' \sim
    \pi_t}[\epsilon_t(s, a') - \epsilon_t(s, a)]`. Jensen, and a change of measure for (s, a) alone, bound that by
    :math:`\sqrt{C e}`.
    """
    gap, kl, spread, variance, most, _ = _comparator_terms(tree, comparator, errors, size, eta, T, seed)
    # two independent draws: their difference has twice the variance
    cost = np.sqrt((most if coverage else 1.0) * 2 * variance).sum()
    return at_most(gap, (divergence * kl / eta + ranges * eta / 8 * spread + error * cost) / T, slack=1e-13)


covered_comparator.control("C = 1", because="what pi_t seldom writes it regresses badly", coverage=False)
covered_comparator.control("0.7 of the errors' term", because="1/sqrt(2) of it is attained", error=0.7)
covered_comparator.control("half the divergence", because="few rounds do not find what pi_0 seldom does", divergence=0.5)
covered_comparator.control("without ranges", because="large steps overshoot", ranges=0.0)


@claim(
    PAPER,
    "covered-comparator-sharp",
    r"\frac1T \sum_{t<T} V' - V^{\pi_t} \le \frac1T \Bigl[\frac1\eta \sum_h \mathbb{E}_{d'_h} \mathrm{KL}(\pi' \| \pi_0) +"
    r" \frac\eta8 \sum_{t,h} \mathbb{E}_{d'_h}[\operatorname{range}(\hat Q_t)^2] + \sum_{t,h} \sqrt{\tfrac12 \bar C_{t,h}\,"
    r" e_{t,h}}\Bigr], \quad \bar C_{t,h} = \mathbb{E}_{d'_h \pi'}\Bigl[\frac{d'_h \pi'}{d_h^{\pi_t} \pi_t}\Bigr] \le C_{t,h}",
    kind="inequality",
    source="derived",
    assumes="as in `refuel/covered-comparator`",
)
@over(COVERED, comparator=("best", "random"), errors=ERRORS, size=0.3, eta=(0.3, 2.0), T=20)
@over(RARE, comparator="best", errors="blind", size=0.0, eta=1000.0, T=2)
@over(
    chosen_tree.sweep(leaf=Range(0.0, 1.0, size=4), logits=Range(-3.0, 3.0, size=3)),
    comparator="best",
    errors="adverse",
    size=Range(0.0, 1.0),
    eta=Range(0.1, 10.0, log=True),
    T=(1, 5),
    budget=SEARCH_BUDGET,
)
def covered_comparator_sharp(
    tree: TokenTree,
    *,
    comparator: str,
    errors: str,
    size: float,
    eta: float,
    T: int,
    seed: int,
    error: float = 1.0,
    power: float = 1.0,
) -> Comparison:
    r"""Half of the pair error, and the mean of the density ratio in place of its maximum.

    Centre the error under pi_t at every prefix. The term of the errors is then :math:`-\mathbb{E}_{d'_h \pi'}` of the centred
    error, whose second moment under pi_t is the variance, e/2; change measure by Cauchy-Schwarz. A learner that regresses
    nothing and seldom writes the comparator's response attains it.
    """
    gap, kl, spread, variance, _, mean = _comparator_terms(tree, comparator, errors, size, eta, T, seed)
    cost = np.sqrt(mean**power * variance).sum()
    return at_most(gap, (kl / eta + eta / 8 * spread + error * cost) / T, slack=1e-13)


covered_comparator_sharp.control("0.95 of the errors' term", because="it is attained", error=0.95)
covered_comparator_sharp.control("the coverage to the power 0.9", because="errors weigh with its full square root", power=0.9)


# --- histories of the data ---------------------------------------------------------------------------------------------


def _chain_values(H: int, reference: float, histories: Histories, runs: int, seed: int) -> Array:
    return chain_value(refuel_on_chain(H, reference, histories=histories, runs=runs, seed=np.random.default_rng([seed, H])))


@claim(
    PAPER,
    "covariate-shift",
    r"\mathbb{E}[V(A)] > \mathbb{E}[V(B)] \text{ at } H = 4, \qquad \mathbb{E}[V(A)] \ge \mathbb{E}[V(B)] + \tfrac14 \text{ at"
    r" } H = 8, 12",
    kind="separation",
    source="derived",
    assumes=r"a chain of H right actions, c of them in a row earn c/H; \pi_0 = \mathrm{ref} is right with probability 0.3; A"
    r" rolls in with \pi_t, B takes histories from ref, both complete with \pi_t; 40 iterations of 50 comparisons, \eta = 3",
    note="A reaches 0.998, 0.991 and 0.904 at H = 4, 8 and 12, B 0.967, 0.478 and 0.268.",
)
@over(H=(4, 8, 12))
def covariate_shift(
    *, H: int, seed: int, reference: float = 0.3, roll_in: Histories = "learner", runs: int = by_profile(quick=100, full=400)
) -> Comparison:
    """Histories from the data do not teach the late turns of a long dialogue; the learner's own do.

    The reference reaches turn h with probability 0.3^h (see `refuel/reference-histories`), the learner ever more often.
    """
    own = _chain_values(H, reference, roll_in, runs, seed)
    data = _chain_values(H, reference, "reference", runs, seed + 1)
    return less_on_average(data, own, margin=0.25 if H >= 8 else 0.0)


covariate_shift.control("a reference that is right with 0.9", because="its histories reach every turn", reference=0.9)
covariate_shift.control("both from the reference", because="they are the same algorithm", roll_in="reference")


@claim(
    PAPER,
    "reference-histories",
    r"\mathbb{E}[V(B)] \le \min_{k \le H} \Bigl[\frac kH + \frac{\rho - \rho^{H-k+1}}{H (1-\rho)} + \frac{H-k}{H} \min\Bigl(1,"
    r" \frac{2 n T}{H} (\rho^{k+1} - \rho^{H+1})\Bigr)\Bigr]",
    kind="bound in expectation",
    source="derived",
    assumes=r"the chain of `refuel/covariate-shift` with histories from a reference that is right with probability \rho; n"
    r" comparisons in each of T iterations",
    note="To leading order B masters log(nT)/log(1/rho) turns: the number of comparisons has to grow like rho^(-H).",
)
@over(H=by_profile(quick=(12,), full=(8, 12, 20)))
def reference_histories(
    *,
    H: int,
    seed: int,
    histories: Histories = "reference",
    reference: float = 0.3,
    runs: int = by_profile(quick=500, full=2000),
) -> Comparison:
    r"""A learner that sees only the data's histories masters a number of turns that is logarithmic in its comparisons.

    A comparison at turn h moves its logit only if its history is right so far and its actions differ, which as long as the
    logit has not moved has the probability :math:`\rho^h \cdot 2 \rho (1-\rho)`, and the turn is drawn with 1/H. By the union
    bound some logit from turn k on moves with probability at most the last factor. If none does, the first c actions are right
    with probability at most :math:`\rho^{c-k}` for c > k; otherwise the turns from k on earn at most (H - k)/H.
    """
    rho, comparisons = 0.3, 50 * 40
    k = np.arange(H + 1)
    moved = np.minimum(1.0, 2 * comparisons / H * (rho ** (k + 1) - rho ** (H + 1)))
    bound = float((k / H + (rho - rho ** (H - k + 1)) / (H * (1 - rho)) + (H - k) / H * moved).min())
    return mean_at_most(_chain_values(H, reference, histories, runs, seed), bound, support=(0.0, 1.0))


reference_histories.control("histories of the learner", because="it masters ten turns of twelve", histories="learner")
reference_histories.control("a reference that is right with 0.6", because="twice as often right is far deeper", reference=0.6)
