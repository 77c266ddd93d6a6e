r"""DPO offline and online, and HyPO, with networks on contextual preference problems, beside what tables do exactly.

Notation: contexts x of a law, responses y, the reference mu, J(pi) = E r - beta E KL(pi || mu) with the optimum pi*. A policy
is pi ~ mu exp(s/beta) with the scores s(x, y) = <phi_y, g(x)>, g a network (a hidden layer of tanh units, a last layer that
begins as 0) or a table. Labelled pairs are drawn from a law q of responses; the *holes* are responses outside of its support,
of the probability delta under mu. All losses are population losses with exact gradients: nothing is sampled but the instances
and the weights at the start.
"""

import functools
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax

from bandits.preference.comparisons import labelled
from bandits.preference.contextual import ContextualBandit, contextual_hole_bandit, descended_policy, hypo_policy
from bandits.preference.dpo import dpo_gradient, fit_dpo
from bandits.preference.kl_bandit import average, kl_gap, kl_objective
from experiments.neural_dpo import COEFFICIENT, instance, setting, stacked
from mdplab import neural
from theory.claims import Comparison, Paper, all_of, by_profile, claim, equal, over, violation_rate
from theory.divergences import kl
from theory.links import bradley_terry, flipped
from theory.pair_losses import expected_pair_loss, logistic
from theory.random_streams import run_seeds
from theory.tilts import implicit_reward

if TYPE_CHECKING:
    from mdplab.neural.training import Training

Array = NDArray[np.float64]

PAPER = Paper(
    key="ndpo",
    title="DPO, online preference optimisation and HyPO with networks (companion of the claims on tables)",
    authors="mdplab",
    year=2026,
    theme="neural",
)

# --- exact -------------------------------------------------------------------------------------------------------------


def _networks(made: ContextualBandit, seed: int) -> Array:
    """Log-probabilities of random networks on top of the reference, from near to it to far from it, shape (8, X, K)."""
    rng = np.random.default_rng(seed)
    d, K = made.contexts.shape[1], made.bandit.responses
    hidden = np.tanh(made.contexts @ rng.standard_normal((8, d, 16)))
    scores = np.geomspace(0.01, 30, 8)[:, None, None] * (hidden @ rng.standard_normal((8, 16, K)) / 4)
    return np.asarray(log_softmax(made.bandit.log_reference + scores @ made.features.T, axis=-1))


@claim(
    PAPER,
    "gap-identity",
    r"J(\pi^\star) - J(\pi) = \beta\, \mathbb{E}_x \mathrm{KL}\bigl(\pi(\cdot|x) \,\|\, \pi^\star(\cdot|x)\bigr), \qquad J(\pi^\star) = \beta\,"
    r" \mathbb{E}_x \ln \sum_y \mu(y|x)\, e^{r(x, y)/\beta}",
    kind="identity",
    source="paper",
    assumes="contexts of any law; policies of networks, and those that never give some response",
    note="The identity of `dpo/gap-identity`, where contexts have a law of their own; what is measured of every trained policy here.",
)
@over(
    contextual_hole_bandit.sweep(
        X=(1, 16),
        K=(3, 8),
        holes=1,
        hole=(2.0, -2.0),
        delta=(1e-3, 0.25),
        beta=(0.05, 0.2, 1.0),
        shared=3.0,
        concentration=1.0,
        draws=by_profile(quick=1, full=10),
    )
)
def gap_identity(
    made: ContextualBandit, *, seed: int, reverse: bool = False, factor: float = 1.0, even: bool = False
) -> Comparison:
    r"""What a policy loses against the optimum is beta times its divergence from it, averaged over the contexts.

    :math:`\ln\pi^\star = \ln\mu + r/\beta - \ln Z` in each context turns :math:`\mathbb{E}_\pi[r - \beta\ln(\pi/\mu)]` into
    :math:`\beta\ln Z - \beta\,\mathrm{KL}(\pi\|\pi^\star)`; contexts are averaged in the end.
    """
    bandit = made.bandit
    policies = [*_networks(made, seed), descended_policy(made), bandit.log_reference]
    if not reverse:  # the divergence of the optimum from a policy that never gives a response is infinite
        with np.errstate(divide="ignore"):
            policies.append(log_softmax(np.where(made.holes, -np.inf, bandit.log_reference), axis=-1))
    each = np.array(policies)
    first, second = (bandit.log_optimum, each) if reverse else (each, bandit.log_optimum)
    divergence = kl(first, second, log=True)
    gap = bandit.beta * (divergence.mean(axis=-1) if even else average(bandit, divergence))
    size = 1 + np.abs(bandit.reward).max() + bandit.beta * np.abs(each[np.isfinite(each)]).max()
    return all_of(
        gap=equal(bandit.optimal_value - kl_objective(bandit, each), factor * gap, tolerance=1e-12, scale=float(size)),
        value=equal(kl_objective(bandit, bandit.log_optimum), bandit.optimal_value, tolerance=1e-12, scale=float(size)),
    )


gap_identity.control("the divergence the other way round", because="KL is not symmetric", reverse=True)
gap_identity.control("one per cent more", because="it is an identity", factor=1.01)
gap_identity.control("contexts of equal weight", because="the law of contexts is another one", even=True)


@claim(
    PAPER,
    "population",
    r"\arg\min_\pi L(\pi) = \pi^\star, \qquad L(\pi) - L(\pi^\star) = \mathbb{E}_x \sum_{ij} w_x(i, j)\, \mathrm{kl}\bigl(\sigma(r_i - r_j)"
    r" \,\|\, \sigma(s_i - s_j)\bigr), \quad s = \beta \ln\tfrac{\pi}{\mu}",
    kind="identity",
    source="derived",
    assumes="Bradley-Terry labels; in every context a law w_x of pairs, of full support, not uniform and no product; all policies",
)
@over(
    contextual_hole_bandit.sweep(
        X=4,
        K=(3, 8),
        holes=1,
        hole=(2.0, -2.0),
        delta=(1e-3, 0.25),
        beta=(0.05, 0.2, 1.0),
        draws=by_profile(quick=1, full=10),
    )
)
def population(made: ContextualBandit, *, seed: int, stretch: float = 1.0, flip: float = 0.0, seen: bool = True) -> Comparison:
    r"""With pairs of full support DPO's population loss has one minimiser over all policies, the optimum, whatever the law of
    pairs.

    A pair costs the cross-entropy of its label's law and of :math:`\sigma(s_i - s_j)`, at least the former's entropy. All
    pairs attain that at once iff s - r is constant in every context, and the only policy of these scores is pi*.

    Checked are the certified fit of every context, the gradient at pi*, and the excess of the loss of random networks.
    """
    bandit, rng = made.bandit, np.random.default_rng(seed)
    X, K = bandit.reward.shape
    law = 0.9 * rng.dirichlet(np.full(K * K, 0.5), X).reshape(X, K, K) + 0.1 / K**2
    if not seen:
        law[:, made.holes] = law[:, :, made.holes] = 0
        law /= law.sum(axis=(1, 2), keepdims=True)
    wins = bradley_terry(bandit.reward)
    weights = labelled(law, flipped(wins, flip))
    reference, beta, best = bandit.log_reference, bandit.beta, bandit.log_optimum
    if seen:
        fits = [fit_dpo(reference[x], weights[x], stretch * beta) for x in range(X)]
        if not max(fit.error for fit in fits) < 1e-9:
            raise ArithmeticError("a fit is not certified.")
        found = np.array([fit.log_policy for fit in fits])
    else:  # what descent finds
        found = descended_policy(made)
    scores = implicit_reward(_networks(made, seed), reference, beta)
    loss = np.mean(
        [
            expected_pair_loss(scores[:, x], weights[x], logistic())
            - expected_pair_loss(bandit.reward[x], weights[x], logistic())
            for x in range(X)
        ],
        axis=0,
    )
    gradient = [dpo_gradient(best[x], reference[x], weights[x], beta) for x in range(X)]
    margins = scores[..., :, None] - scores[..., None, :]
    coins = kl(np.stack((wins, 1 - wins), -1), np.stack((expit(margins), expit(-margins)), -1))
    return all_of(
        minimiser=equal(found, best, tolerance=1e-8, scale=1.0),
        gradient=equal(gradient, 0.0, tolerance=1e-12, scale=1.0),
        excess=equal(
            loss, (law * coins).sum(axis=(-2, -1)).mean(axis=-1), tolerance=1e-10, scale=1 + float(np.abs(scores).max())
        ),
    )


population.control("beta wrong by two per cent", because="the tilt is sharper or flatter than pi*", stretch=1.02)
population.control("labels flipped with probability 0.01", because="they are no Bradley-Terry labels of r then", flip=0.01)
population.control(
    "no pair shows the first response", because="its score is free, and descent gives it the mean of the others", seen=False
)

# --- trained -----------------------------------------------------------------------------------------------------------

ARMS: dict[str, dict[str, float]] = {
    "good, offline": setting("good"),
    "good, seen": setting("good, seen"),
    "good, online": setting("good", online=1.0),
    "good, HyPO": setting("good", coefficient=COEFFICIENT),
    "bad, offline": setting("bad"),
    "bad, seen": setting("bad, seen"),
    "bad, online": setting("bad", online=1.0),
    "bad, HyPO": setting("bad", coefficient=COEFFICIENT),
    "rare, offline": setting("rare"),
    "rare, HyPO": setting("rare", coefficient=COEFFICIENT),
    "shared, offline": setting("shared"),
    "shared, HyPO": setting("shared", coefficient=COEFFICIENT),
    "descent": setting("good", plain=1.0, learning_rate=1.0),
    "shared, descent": setting("shared", plain=1.0, learning_rate=1.0),
}
RECORDS = (20, 500)
USUAL = (
    "16 contexts with 6 normal features, 8 responses, two of them holes; rewards 2 tanh of a random network; beta = 0.2; a network of 48 tanh "
    "units, 500 steps of Adam at the rate 0.003 on population losses"
)
RUNS = by_profile(quick=16, full=96, gpu=2048)
DEVICE = by_profile(quick="any", full="any", gpu="gpu")


@functools.lru_cache(maxsize=2)
def _trained(seed: int, runs: int, device: Literal["any", "gpu"]) -> "Training":
    """All arms, trained in one program."""
    seeds = run_seeds(seed, runs)
    experiment = neural.preference_optimisation.PreferenceOptimisation()
    hypers = list(ARMS.values())
    return neural.training.train(
        experiment, stacked(seeds), seeds, RECORDS[-1], hypers=hypers, checkpoints=RECORDS, device=device
    )


@functools.lru_cache(maxsize=16)
def _exact_gaps(seed: int, runs: int, variant: str, which: str) -> Array:
    """The gaps of what the exact theory says that a method ends with on the runs' instances, shape (runs,)."""
    if which == "optimum":
        return np.zeros(runs)
    made = [instance(int(s), variant) for s in run_seeds(seed, runs)]
    policies = [descended_policy(m) if which == "limit" else hypo_policy(m, COEFFICIENT) for m in made]
    return np.array([kl_gap(m.bandit, p) for m, p in zip(made, policies)])


class _Arms:
    """What was measured of the arms at one record (or some), by name: arrays of a number for each run."""

    def __init__(self, seed: int, runs: int, device: Literal["any", "gpu"], record: int | slice = -1):
        self.measured, self.record = _trained(seed, runs, device).measured, record

    def __call__(self, name: str, arm: str) -> Array:
        return self.measured[name][list(ARMS).index(arm), :, self.record]

    def share(self, arm: str) -> Array:
        """The gap as a share of the reference's."""
        return self("gap", arm) / self("start_gap", arm)


def _seldom(violations: NDArray[np.bool_]) -> Comparison:
    """At most one run in twenty; a test that would have seen nine in ten."""
    return violation_rate(violations, 0.05, alternative=0.9)


@claim(
    PAPER,
    "implicit-bias",
    r"g_{\theta_t}(x)_u = 0 \;\forall u \in U, \qquad \sum_{y \notin U} g_{\theta_t}(x)_y = 0 \qquad \text{for all } x, t",
    kind="identity",
    source="derived",
    assumes="gradient descent of DPO's loss on pairs outside of U; a network with a linear last layer that "
    "begins as 0; features of responses outside of U are unit vectors",
    note="So `coverage/gd-implicit-bias` is no matter of tables: where the loss is fitted, the network's policy is the table's. Adam keeps the first "
    "identity and breaks the second.",
    shares="ndpo-training",
)
def implicit_bias(
    *,
    seed: int,
    runs: int = RUNS,
    device: Literal["any", "gpu"] = DEVICE,
    first: str = "descent",
    second: str = "shared, descent",
) -> Comparison:
    """Gradient descent of a network on offline pairs keeps what gradient descent of a table keeps: unseen responses get the
    mean score.

    The loss depends on g through differences of scores of seen responses, so that its derivative in g(x) is 0 at U and sums
    to 0. Rows and biases of the last layer change by sums of hidden units times these derivatives: they too stay 0 at U and
    keep the sum 0, whatever the layers below do. Checked after 20 and after 500 steps, in float32.
    """
    arms = _Arms(seed, runs, device, slice(None))
    unseen = np.array([arms("unseen", arm) for arm in (first, second)])
    drift = np.array([arms("drift", arm) for arm in (first, second)])
    return all_of(unseen=equal(unseen, 0.0, scale=1.0), sum=equal(drift, 0.0, tolerance=2e-5, scale=1.0))


implicit_bias.control("Adam", because="it divides every coordinate by a scale of its own", first="good, offline")
implicit_bias.control("HyPO", because="the divergence moves unseen responses as well", second="shared, HyPO")


@claim(
    PAPER,
    "neural-vs-exact",
    r"\Pr\bigl(|\mathrm{gap}(\pi_\theta) - \mathrm{gap}(\pi)| > \tau\, \mathrm{gap}(\mu)\bigr) \le 0.05,"
    r" \quad \tau = \tfrac1{20} \text{ for DPO from offline pairs (of full support or not) and online, } \tau = \tfrac3{20} \text{ for HyPO}",
    kind="mechanism",
    source="derived",
    assumes=USUAL + "; pi the exact result: descent's limit on a table, pi*, or HyPO's minimiser at lambda = 0.01",
    note="A tolerance claim. HyPO's objective is flat where mass is moved between holes and the rest, and not convex; hence its larger tau.",
    tests=6,
    shares="ndpo-training",
)
def neural_vs_exact(
    *,
    seed: int,
    runs: int = RUNS,
    device: Literal["any", "gpu"] = DEVICE,
    offline: str = "limit",
    hypo: str = "minimiser",
    record: int = -1,
) -> Comparison:
    """Networks end where the exact theory of tables says, method by method: also where that is a bad place.

    Adam in place of descent, 8 outputs of one hidden layer in place of 128 numbers, and 500 steps in place of infinitely many
    make little difference here.
    """
    arms = _Arms(seed, runs, device, record)
    exact = functools.partial(_exact_gaps, seed, runs)
    pairs = {
        "offline": ("good, offline", exact("good", offline)),
        "seen": ("good, seen", exact("good, seen", "limit")),
        "online": ("good, online", exact("good", "optimum")),
        "HyPO": ("good, HyPO", exact("good", hypo)),
        "rare HyPO": ("shared, HyPO", exact("shared", hypo)),
        "bad": ("bad, offline", exact("bad", "limit")),
    }
    return all_of(
        **{
            name: _seldom(np.abs(arms("gap", arm) - gap) > (0.15 if "HyPO" in arm else 0.05) * arms("start_gap", arm))
            for name, (arm, gap) in pairs.items()
        }
    )


neural_vs_exact.control("offline DPO ends at pi*", because="the pairs do not show the best responses", offline="optimum")
neural_vs_exact.control("HyPO ends where DPO does", because="its second term moves the unseen responses", hypo="limit")
neural_vs_exact.control("after 20 steps", because="the networks are still on their way", record=0)


@claim(
    PAPER,
    "coverage-separation",
    r"r(u) = 2:\; \mathrm{gap}(\text{offline}) \ge \tfrac13 \mathrm{gap}(\mu),\; \mathrm{gap}(\text{full support}), \mathrm{gap}(\text{online}) \le \tfrac1{100}"
    r" \mathrm{gap}(\mu); \qquad r(u) = -2:\; \mathrm{gap}(\text{offline}) - \mathrm{gap}(\text{online}) \le 0.1,\; \mathrm{gap}(\text{full support}), \mathrm{gap}(\text{online}) \le"
    r" \tfrac1{100} \mathrm{gap}(\mu) \qquad \text{for } 95\% \text{ of seeds each}",
    kind="separation",
    source="derived",
    assumes=USUAL + "; offline pairs without the holes, of probability 1/4 under the reference, whose features are their own",
    note="A tolerance claim. Coverage of pi* is what counts as long as unseen responses have scores of their own: without, `ndpo/hypo-repairs`.",
    tests=6,
    shares="ndpo-training",
)
def coverage_separation(
    *,
    seed: int,
    runs: int = RUNS,
    device: Literal["any", "gpu"] = DEVICE,
    poor: str = "good, offline",
    full: str = "good, seen",
    record: int = -1,
) -> Comparison:
    """Offline DPO does not find good responses that no pair shows; pairs of full support and pairs of the policy itself do.

    The three losses have the same form and differ in the law of pairs alone. Unseen responses keep the score 0 or so
    (`ndpo/implicit-bias`), the mean of the others: that costs much if they are the best, and next to nothing if they are the
    worst, since the policy goes to the best of the others.
    """
    arms = _Arms(seed, runs, device, record)
    return all_of(
        offline=_seldom(arms.share(poor) < 1 / 3),
        full=_seldom(arms.share(full) > 0.01),
        online=_seldom(arms.share("good, online") > 0.01),
        bad=_seldom(arms("gap", "bad, offline") - arms("gap", "bad, online") > 0.1),
        **{f"bad {name}": _seldom(arms.share(f"bad, {name}") > 0.01) for name in ("seen", "online")},
    )


coverage_separation.control("pairs show the good responses", because="then offline DPO finds them", poor="good, seen")
coverage_separation.control("the holes are bad", because="missing them costs nothing", poor="bad, offline")
coverage_separation.control("full support without the holes", because="coverage was what closed the gap", full="good, offline")
coverage_separation.control("HyPO for full support", because="a divergence knows nothing of rewards", full="good, HyPO")
coverage_separation.control("after 20 steps", because="the gap is not closed yet", record=0)


@claim(
    PAPER,
    "hypo-repairs",
    r"L(\pi_{\mathrm{DPO}}) - \min L \le 10^{-3}, \text{ and yet } \pi_{\mathrm{DPO}}(U) \ge 20\, \delta,\; \mathrm{KL}(\pi_{\mathrm{DPO}}\|\mu) >"
    r" \mathrm{KL}(\pi^\star\|\mu); \qquad \pi_{\mathrm{HyPO}}(U) \le 10\, \delta,\; \mathrm{KL}(\pi_{\mathrm{HyPO}}\|\mu) \le \mathrm{KL}(\pi^\star\|\mu),\;"
    r" \mathrm{gap}(\mathrm{HyPO}) < \mathrm{gap}(\mathrm{DPO}) \qquad \text{for } 95\% \text{ of seeds each}",
    kind="mechanism",
    source="derived",
    assumes=USUAL + "; delta = 0.001, holes of reward -2 whose features are those of the other responses with "
    "weights of variance 1.5, and a part of their own; lambda = 0.01",
    note="A tolerance claim. Unseen responses with features of their own need no repair: there HyPO's bias makes it the worse one (the control).",
    tests=6,
    shares="ndpo-training",
)
def hypo_repairs(
    *,
    seed: int,
    runs: int = RUNS,
    device: Literal["any", "gpu"] = DEVICE,
    dpo: str = "shared, offline",
    hypo: str = "shared, HyPO",
) -> Comparison:
    r"""Where unseen responses share features, a network with a perfect DPO loss goes to them; the on-policy term brings it
    back.

    What the exact theory says. Mass on holes is invisible to the loss (`coverage/necessity-perfect-loss`): that takes global
    coverage. Descent from the reference does not fall for it with scores of their own (`ndpo/implicit-bias`), and does with
    shared features (`coverage/extrapolation`): here :math:`s(x, u) = \sum_y c_{uy} (r(x, y) - \bar r(x))`, with standard
    deviation 3 times that of rewards. The minimiser of HyPO keeps :math:`\pi(u) \le \mu(u)\, e^{k}`, k the divergence of the
    seen part (`coverage/hypo-selects`), and every policy whose objective is not above that of pi* has
    :math:`\mathrm{KL}(\pi\|\mu) \le \mathrm{KL}(\pi^\star\|\mu)`, because L is smallest at pi*. So local coverage, that of a
    ball about the reference, is enough (`coverage/hypo-gap`). The networks can represent all of this; the question is where
    training leads.
    """
    arms = _Arms(seed, runs, device)
    delta = 1e-3
    return all_of(
        fitted=_seldom(arms("excess", dpo) > 1e-3),
        moved=_seldom(arms("mass", dpo) < 20 * delta),
        far=_seldom(arms("divergence", dpo) <= arms("best_divergence", dpo)),
        kept=_seldom(arms("mass", hypo) > 10 * delta),
        near=_seldom(arms("divergence", hypo) > arms("best_divergence", hypo)),
        better=_seldom(arms("gap", hypo) >= arms("gap", dpo)),
    )


hypo_repairs.control(
    "features of their own",
    because="then nothing draws the scores of unseen responses up",
    dpo="rare, offline",
    hypo="rare, HyPO",
)
hypo_repairs.control("no on-policy term", because="the loss sees no mass outside of the pairs", hypo="shared, offline")
hypo_repairs.control(
    "holes that the reference often takes",
    because="then the ball about the reference does not keep the policy from them",
    hypo="bad, HyPO",
)


@claim(
    PAPER,
    "hypo-blind",
    r"\pi_{\mathrm{HyPO}} \text{ does not depend on } r(u); \qquad r(u) = 2:\; \mathrm{gap}(\mathrm{HyPO}) \le \tfrac34\,"
    r" \mathrm{gap}(\mathrm{DPO}); \qquad r(u) = -2:\;"
    r" \mathrm{gap}(\mathrm{HyPO}) \ge \tfrac12\, \mathrm{gap}(\mu),\; \mathrm{gap}(\mathrm{DPO}) \le \tfrac1{10}\,"
    r" \mathrm{gap}(\mu) \qquad \text{for } 95\% \text{ of seeds each}",
    kind="separation",
    source="derived",
    assumes=USUAL + "; offline pairs without the holes, of probability 1/4 under the reference; lambda = 0.01",
    note="A tolerance claim, found here: the on-policy term is no substitute for pairs. It moves mass to what the reference takes, good or bad.",
    tests=4,
    shares="ndpo-training",
)
def hypo_blind(
    *, seed: int, runs: int = RUNS, device: Literal["any", "gpu"] = DEVICE, bad: str = "bad, HyPO", good: str = "good, HyPO"
) -> Comparison:
    r"""Where the reference often takes what no pair shows, HyPO gives that about half of the mass, whether it is the best or
    the worst.

    Neither term of the objective contains r(u). In the limit of a small coefficient the odds of the holes are
    :math:`\frac{\delta}{1 - \delta} e^{k}` with the divergence k of the seen part from the reference
    (`coverage/hypo-selects`): a large k, which is a reward that tells responses apart, makes it cheap to put mass elsewhere.
    DPO gives the holes the mean score, hence nearly nothing.
    """
    arms = _Arms(seed, runs, device)
    return all_of(
        same=equal(arms("mass", bad), arms("mass", good), tolerance=1e-12, scale=1.0),
        good=_seldom(arms("gap", good) > 0.75 * arms("gap", "good, offline")),
        bad=_seldom(arms.share(bad) < 0.5),
        dpo=_seldom(arms.share("bad, offline") > 0.1),
    )


hypo_blind.control("online DPO", because="labels on the fly tell what the rewards are", bad="bad, online", good="good, online")
hypo_blind.control("offline DPO", because="it leaves the holes alone, in both cases", bad="bad, offline", good="good, offline")
hypo_blind.control("holes of probability 0.001", because="then HyPO keeps them rare", bad="rare, HyPO")
