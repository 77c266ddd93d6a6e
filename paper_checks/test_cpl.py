r"""Contrastive preference learning (Hejna et al. 2023): preferences by regret give the policy away without a reward.

Notation: :math:`Q^\star = R + \gamma P V^\star`, :math:`V^\star = \alpha \ln \sum_a e^{Q^\star/\alpha}`, :math:`A^\star = Q^\star - V^\star` and
:math:`\pi^\star` belong to the entropy-regularised problem at the temperature alpha. A segment has the score :math:`\sum_t \gamma^t f(s_t, a_t)`
under f: regret preferences compare segments by :math:`A^\star`, partial-return preferences by R, and the learner's model by
:math:`\alpha \ln \pi`.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from mdplab.learning.contrastive_preference import all_segments, contrastive_loss, discounted_counts, fit_contrastive
from mdplab.models import TabularMDP, chain, dirichlet_mdp, garnet, grid_world, river_swim
from mdplab.solvers import soft_evaluate, soft_policy_iteration
from mdplab.solvers.policy import log_softmax_policy, state_sum
from mdplab.solvers.soft import SoftSolution
from theory.claims import Comparison, Paper, all_of, at_least, at_most, by_profile, claim, equal, over
from theory.links import bradley_terry

Array = NDArray[np.float64]

PAPER = Paper(
    key="cpl",
    title="Contrastive Preference Learning: Learning from Human Feedback without RL",
    authors="Hejna, Rafailov, Sikchi, Finn, Niekum, Knox, Sadigh",
    year=2023,
    theme="alignment",
    arxiv="2310.13639",
)

SMALL = garnet.sweep(S=3, A=2, b=(1, 2, 3), rewards="normal", gamma=0.9, draws=by_profile(quick=1, full=10))
VARIED = (
    garnet.sweep(S=5, A=3, b=(1, 3), rewards="normal", gamma=(0.5, 0.95), draws=by_profile(quick=1, full=10))
    | dirichlet_mdp.sweep(S=6, A=4, concentration=0.3, draws=by_profile(quick=1, full=10))
    | garnet.sweep(S=6, A=3, b=2, ragged=True, draws=by_profile(quick=1, full=10))
    | river_swim.sweep(S=6)
    | chain.sweep(S=5, slip=0.2)
    | grid_world.sweep(slip=0.2)
)


@functools.lru_cache(maxsize=32)
def _optimum(mdp: TabularMDP, alpha: float) -> SoftSolution:
    return soft_policy_iteration(mdp, alpha, tol=1e-12)


def _advantage(mdp: TabularMDP, solution: SoftSolution) -> Array:
    return np.asarray(solution.q - solution.value[mdp.pair_state])


@claim(
    PAPER,
    "advantage-is-logpolicy",
    r"A^\star = \alpha \ln \pi^\star; \qquad R' = A^\star \implies V'^\star \equiv 0, \; \pi'^\star = \pi^\star \quad \text{for every discount and"
    r" all transitions}",
    kind="identity",
    source="paper",
    assumes="entropy regularisation, gamma < 1; that the discount and the transitions may be changed is derived",
)
@over(VARIED, alpha=(0.1, 1.0, 10.0), discount=(0.0, 0.9, 0.99))
def advantage_is_logpolicy(
    mdp: TabularMDP, *, alpha: float, discount: float, seed: int, reward: str = "advantage", heat: float = 1.0
) -> Comparison:
    r"""The optimal advantage is the logarithm of the optimal policy, and a reward that makes planning unnecessary.

    :math:`\pi^\star = e^{(Q^\star - V^\star)/\alpha}`. With the reward :math:`A^\star` the soft Bellman operator maps V = 0 to
    :math:`\alpha \ln \sum_a e^{A^\star/\alpha} = 0`: the future is worth nothing wherever it lies and however it is discounted. So, unlike
    for token trees (`r-to-q`), transitions may be stochastic.

    The optimum is certified twice, by the bracket of the soft Bellman equation and by the regularised value of the policy. The second model
    has the discount ``discount``, and random next states in place of the true ones.
    """
    solution = _optimum(mdp, alpha)
    own = soft_evaluate(mdp, solution.log_policy, alpha, log=True)
    advantage = _advantage(mdp, solution)
    size = 1 + float(np.abs(solution.value).max())
    given = {"advantage": advantage, "q": solution.q, "reward": mdp.reward}[reward]
    elsewhere = np.random.default_rng(seed).integers(mdp.states, size=mdp.transitions).astype(np.int32)
    other = soft_policy_iteration(mdp.replace(reward=given, gamma=discount, next_state=elsewhere), heat * alpha, tol=1e-12)
    known = (solution.error + own.error) / size
    far = (other.error + 2 * solution.error / (1 - discount)) / size  # an error of the reward adds up over the horizon
    return all_of(
        logarithm=equal(advantage, alpha * solution.log_policy, tolerance=1e-12 + 2 * known, scale=size),
        optimal=equal(own.value, solution.value, tolerance=1e-12 + known, scale=size),
        value=equal(other.value, 0.0, tolerance=1e-12 + far, scale=size),
        policy=equal(alpha * other.log_policy, alpha * solution.log_policy, tolerance=1e-12 + 4 * far, scale=size),
    )


advantage_is_logpolicy.control("Q* as the reward", because="then the future counts once more", reward="q")
advantage_is_logpolicy.control(
    "the old reward in the new model", because="its optimum depends on the transitions", reward="reward"
)
advantage_is_logpolicy.control(
    "one per cent more temperature", because="then entropy is worth more than the advantage", heat=1.01
)


def _scores(mdp: TabularMDP, counts: Array, alpha: float, model: str) -> Array:
    """The scores by which segments are compared."""
    return counts @ (_advantage(mdp, _optimum(mdp, alpha)) if model == "regret" else mdp.reward)


@claim(
    PAPER,
    "consistency",
    r"\arg\min_\pi\, \mathbb{E}\Bigl[-\ln \sigma\Bigl(\sum_t \gamma^t \alpha \ln\pi(a_t^+|s_t^+) - \sum_t \gamma^t \alpha \ln"
    r" \pi(a_t^-|s_t^-)\Bigr)\Bigr] = \pi^\star",
    kind="identity",
    source="paper",
    assumes="regret preferences; all segments of one length are compared with each other",
)
@over(SMALL, alpha=(0.3, 1.0), length=(1, 2))
@over(garnet.sweep(S=4, A=3, b=2, rewards="normal", gamma=0.7), alpha=0.5, length=2)
def consistency(
    mdp: TabularMDP, *, alpha: float, length: int, seed: int, model: str = "regret", heat: float = 1.0, discounted: bool = True
) -> Comparison:
    r"""Where people compare by regret, the best explanation of all their comparisons is the optimal policy, and no other policy.

    The loss is the mean cross-entropy of true and modelled preferences, least where all differences of scores agree. So let
    :math:`\delta = \alpha\ln\pi - \alpha\ln\pi^\star` have the same score c on all segments. Of two segments that differ in their last action
    only it follows that :math:`\delta(s, \cdot)` is constant, hence 0 as both policies are normalised, in every state that a segment can end
    in. A segment from any state then scores :math:`\delta(s_0, a_0) = c`, and one from such a state 0, so c = 0.

    Exact probabilities of all pairs; descent from the uniform policy and from a random one.
    """
    segments = all_segments(mdp, length)
    counts = discounted_counts(mdp, segments)
    weights = bradley_terry(_scores(mdp, counts, alpha, model)) / len(segments) ** 2
    learner = mdp if discounted else mdp.replace(gamma=1.0)
    rng = np.random.default_rng(seed)
    truth = _optimum(mdp, alpha).log_policy
    fits = [
        fit_contrastive(learner, segments, weights, heat * alpha, start=start)
        for start in (np.zeros(mdp.pairs), 2 * rng.standard_normal(mdp.pairs))
    ]
    least = contrastive_loss(mdp, segments, weights, truth, alpha)
    others = [log_softmax_policy(mdp, truth + size * rng.standard_normal(mdp.pairs)) for size in (0.01, 0.1, 1.0)]
    return all_of(
        policy=equal(np.exp([fit.log_policy for fit in fits]), np.exp(truth), tolerance=1e-6, scale=1.0),
        least=at_least([contrastive_loss(mdp, segments, weights, other, alpha) for other in others], least, slack=1e-12),
    )


consistency.control("partial-return preferences", because="they leave out what comes after the segment", model="return")
consistency.control("one per cent more temperature", because="scores are then too large for a policy's logarithms", heat=1.01)
consistency.control("a learner that does not discount", because="the later steps count too much then", discounted=False)


@claim(
    PAPER,
    "shaping",
    r"R' = R + \gamma P \Phi - \Phi \implies A'^\star = A^\star: \text{ every regret preference stays as it was}",
    kind="identity",
    source="paper",
    assumes="any potential, any transitions",
)
@over(VARIED, alpha=(0.1, 1.0), length=(1, 3), size=(1.0, 100.0))
def shaping(
    mdp: TabularMDP, *, alpha: float, length: int, size: float, seed: int, model: str = "regret", late: bool = False
) -> Comparison:
    r"""Regret preferences do not see a potential; preferences by partial return do.

    :math:`Q' = Q^\star - \Phi` and :math:`V' = V^\star - \Phi` solve the shaped equations. A partial return changes by
    :math:`\gamma^k \Phi(s_k) - \Phi(s_0)` along deterministic transitions.

    Compared are the differences of the scores of up to 200 random segments.
    """
    rng = np.random.default_rng(seed)
    potential = size * rng.standard_normal(mdp.states)
    discount = 1.0 if late else mdp.gamma
    shaped = mdp.replace(reward=mdp.reward + discount * (mdp.transition_matrix() @ potential) - potential[mdp.pair_state])
    segments = all_segments(mdp, length)
    counts = discounted_counts(mdp, segments[rng.permutation(len(segments))[:200]])
    before, after = _scores(mdp, counts, alpha, model), _scores(shaped, counts, alpha, model)
    error = 2 * length * (_optimum(mdp, alpha).error + _optimum(shaped, alpha).error)
    largest = 1 + size + float(np.abs(_optimum(shaped, alpha).value).max())
    return equal(before - before[0], after - after[0], tolerance=1e-12 + 2 * error / largest, scale=largest)


shaping.control("partial returns", because="the potentials of both ends of a segment remain", model="return")
shaping.control("P Phi - Phi without the discount", because="that is no potential-based shaping", late=True)


@claim(
    PAPER,
    "too-few-comparisons",
    r"m < S(A - 1) \text{ comparisons} \implies \exists \pi \ne \pi^\star: \text{ all } m \text{ preference probabilities agree}",
    kind="necessity",
    source="derived",
    assumes="the differences of the m scores have independent gradients at the optimum, over the S (A - 1) coordinates of policies",
    note="One pair of segments never identifies a policy of two states. What is found is 1 per cent away at least, in sup norm.",
)
@over(SMALL, length=(2, 4), short=(1, 2))
@over(garnet.sweep(S=5, A=3, b=2, rewards="normal", gamma=0.9, draws=by_profile(quick=1, full=10)), length=3, short=(1, 5, 9))
def too_few_comparisons(mdp: TabularMDP, *, length: int, short: int, seed: int, missing: int | None = None) -> Comparison:
    r"""A policy has S(A - 1) degrees of freedom, and each compared pair of segments takes away one.

    The differences of scores map policies to :math:`\mathbb{R}^m`. Where their gradients are independent the policies with the same
    differences form a surface of dimension S(A - 1) - m through :math:`\pi^\star` (implicit functions), of the same, least loss.

    From :math:`\pi^\star` one walks along the surface: steps along the null space of the gradients, each corrected by Newton's method.
    """
    alpha = 3.0
    rng = np.random.default_rng(seed)
    truth = _optimum(mdp, alpha).log_policy
    segments = all_segments(mdp, length)
    m = mdp.pairs - mdp.states - (short if missing is None else missing)
    counts = discounted_counts(mdp, segments[rng.integers(len(segments), size=2 * m)])
    z = counts[:m] - counts[m:]
    goal = alpha * z @ truth

    def gradients(log_policy: Array) -> Array:
        # d ln pi(a|s) = dl(s, a) - sum_b pi(b|s) dl(s, b)
        means = np.exp(log_policy)[:, None] * (np.arange(mdp.states) == mdp.pair_state[:, None])
        return alpha * (z - z @ (np.arange(mdp.states) == mdp.pair_state[:, None]) @ means.T)

    within = np.eye(mdp.pairs) - (mdp.pair_state[:, None] == mdp.pair_state) / np.bincount(mdp.pair_state)[mdp.pair_state]
    basis = np.linalg.svd(within)[0][:, : mdp.pairs - mdp.states]  # logits that sum to 0 in each state
    log_policy, heading = truth, np.zeros(basis.shape[1])
    for _ in range(10):
        null = np.linalg.svd(gradients(log_policy) @ basis)[2][-1]
        heading = null if heading @ null >= 0 else -null
        log_policy = log_softmax_policy(mdp, log_policy + 0.1 * basis @ heading)
        for _ in range(20):
            misfit = alpha * z @ log_policy - goal
            step = np.linalg.lstsq(gradients(log_policy) @ basis, -misfit, rcond=1e-10)[0]
            log_policy = log_softmax_policy(mdp, log_policy + basis @ step)
    return all_of(
        same=at_most(np.abs(alpha * z @ log_policy - goal).max(), 1e-9),
        different=at_least(np.abs(np.exp(log_policy) - np.exp(truth)).max(), 0.01),
        policy=equal(state_sum(mdp, np.exp(log_policy)), 1.0, tolerance=1e-12),
    )


too_few_comparisons.control("S(A - 1) comparisons", because="then the optimum is alone, at least nearby", missing=0)
