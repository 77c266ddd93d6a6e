r"""Transfer Q* (Chakraborty et al. 2024): decode from an aligned baseline by the mean rewards of its own completions.

Notation: a token tree of H steps, r in [0, r_max] the reward of a response. The baseline BL is the reference's law of responses
tilted by r at the temperature beta, Q(s, a) = E_BL[r | sa] and V(s) = E_BL[r | s] are its plain means, and the decoder is

    alg(a|s) = BL(a|s) e^{Q(s, a)/alpha} / Z_s.

Since Q(s, a) = V(sa), the exponents telescope along a response, and alpha log Z_s - V(s) = alpha KL(BL_s || alg_s). Hence

    log (alg/BL)(y) = (r(y) - V(root))/alpha - sum_t KL(BL_{y<t} || alg_{y<t}),                                        (1)

from which all else follows. Laws of responses and their divergences are computed exactly, in logarithms.
"""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from mdplab.models.response_trees import bounded_tree, chosen_tree, long_shot, misjudged
from mdplab.models.token_tree import TokenTree, leaf_rewards, path_sums
from mdplab.solvers.decoding import (
    TransferDecoding,
    controlled_decoding,
    decode,
    response_divergence,
    transfer_decoding,
)
from mdplab.solvers.token_tree import leaf_log_probabilities, policy_q, policy_value
from paper_checks.token_trees import bounded_trees
from theory.claims import (
    Comparison,
    Paper,
    Range,
    all_of,
    at_most,
    by_profile,
    claim,
    domain,
    equal,
    family,
    over,
    violation_rate,
)
from theory.claims.families import derive_seed
from theory.divergences import kl
from theory.tilts import log_tilt

Array = NDArray[np.float64]

PAPER = Paper(
    key="transfer-q",
    title="Transfer Q Star: Principled Decoding for LLM Alignment",
    authors="Chakraborty, Ghosal, Yin, Manocha, Wang, Bedi, Huang",
    year=2024,
    theme="alignment",
    arxiv="2405.20495",
)

TREES = bounded_trees((1, 2, 4))
TEMPERATURES = {"beta": (0.2, 1.0), "alpha": (0.03, 0.3)}
SEARCHED = chosen_tree.sweep(leaf=Range(0.0, 1.0, size=4), logits=Range(-30.0, 30.0, size=3))
SEARCHED_TEMPERATURES = {"beta": Range(0.05, 2.0, log=True), "alpha": Range(0.02, 2.0, log=True)}
SEARCH_BUDGET = by_profile(quick=60, full=1000)
# the reference hardly ever writes the one response that pays
SHOTS = long_shot.sweep(H=(1, 2, 3), surprise=(30.0, 100.0, 300.0), scale=(1.0, 2.0))
SHOT_TEMPERATURES = {"beta": (0.02, 1.0), "alpha": (0.0033, 0.013, 0.05)}


@functools.lru_cache(maxsize=8)
def _decoding(tree: TokenTree, beta: float, alpha: float) -> TransferDecoding:
    return transfer_decoding(tree, beta, alpha)


def _log_laws(tree: TokenTree, found: TransferDecoding) -> tuple[Array, Array, Array]:
    """Log-probabilities of responses under the decoder, the baseline and the reference."""
    laws = [leaf_log_probabilities(p) for p in (found.log_policy, found.baseline, tree.log_reference)]
    return laws[0], laws[1], laws[2]


@claim(
    PAPER,
    "kl-bound",
    r"\mathrm{KL}(\rho_{\mathrm{alg}} \| \rho_{\mathrm{ref}}) \le \Bigl(\frac1\beta + \frac H\alpha\Bigr) r_{\max}",
    kind="inequality",
    source="paper",
    assumes=r"r \in [0, r_{\max}]; any H",
    note="True, and attained at H = 1; the factor H is superfluous: see `transfer-q/kl-bound-sharp`.",
)
@over(TREES, **TEMPERATURES)
@over(SHOTS, **SHOT_TEMPERATURES)
@over(SEARCHED, **SEARCHED_TEMPERATURES, budget=SEARCH_BUDGET)
def kl_bound(
    tree: TokenTree, *, beta: float, alpha: float, constant: float = 1.0, first: float = 1.0, second: float = 1.0
) -> Comparison:
    """The decoder stays near the reference.

    Each token's weight is changed by at most a factor of e^{r_max/alpha}, and the baseline's law by at most e^{r_max/beta}.
    """
    alg, _, ref = _log_laws(tree, _decoding(tree, beta, alpha))
    largest = float(leaf_rewards(tree).max())
    return at_most(kl(alg, ref, log=True), constant * (first / beta + second * tree.horizon / alpha) * largest)


kl_bound.control("without the second term", because="the decoder moves on from the baseline", second=0.0)
kl_bound.control("without the first term", because="the baseline has moved already", first=0.0)
kl_bound.control("0.95 of it", because="one token attains it", constant=0.95)


@claim(
    PAPER,
    "kl-bound-sharp",
    r"\ln\frac{\rho_{\mathrm{alg}}}{\rho_{\mathrm{ref}}}(y) \le \frac{r(y) - V(\mathrm{root})}{\alpha} + \frac{r(y) - \beta"
    r" \ln \mathbb{E}_{\mathrm{ref}} e^{r/\beta}}{\beta} \le \Bigl(\frac1\beta + \frac1\alpha\Bigr) r_{\max}, \qquad"
    r" \text{hence also } \mathrm{KL}(\rho_{\mathrm{alg}} \| \rho_{\mathrm{ref}}) \le \Bigl(\frac1\beta + \frac1\alpha\Bigr)"
    r" r_{\max}",
    kind="inequality",
    source="derived",
    assumes=r"r \in [0, r_{\max}]; any H; every response y",
    note="The paper's factor H (`transfer-q/kl-bound`) is superfluous. The pointwise bound is attained for any H.",
)
@over(TREES, **TEMPERATURES)
@over(SHOTS, **SHOT_TEMPERATURES)
@over(SEARCHED, **SEARCHED_TEMPERATURES, budget=SEARCH_BUDGET)
def kl_bound_sharp(
    tree: TokenTree, *, beta: float, alpha: float, constant: float = 1.0, first: float = 1.0, second: float = 1.0
) -> Comparison:
    r"""No response becomes more than e^{(1/alpha + 1/beta) r_max} times as likely, however many tokens it has.

    By (1) the decoder gains at most (r(y) - V(root))/alpha on the baseline, and the baseline's tilt is :math:`r(y)/\beta - \ln
    \mathbb{E}_{\mathrm{ref}} e^{r/\beta}`. Both V and the logarithm are at least 0. A single response that pays, and that the
    reference hardly ever writes, attains it.
    """
    found = _decoding(tree, beta, alpha)
    alg, _, ref = _log_laws(tree, found)
    reward = leaf_rewards(tree)
    log_partition = np.logaddexp.reduce(ref + reward / beta)
    bound = constant * (first / beta + second / alpha) * float(reward.max())
    finer = (reward - found.value[0][0]) / alpha + reward / beta - log_partition
    # sums of logarithms of this size, each rounded to 2^-53
    error = 1e-14 * (bound + float(np.abs(ref).max()) + float(np.abs(alg).max()))
    return all_of(
        pointwise=at_most((alg - ref).max(), bound, slack=error),
        divergence=at_most(kl(alg, ref, log=True), bound, slack=error),
        finer=at_most((alg - ref - finer).max(), 0.0, slack=error),
    )


kl_bound_sharp.control("without 1/alpha", because="the decoder moves on from the baseline", second=0.0)
kl_bound_sharp.control("without 1/beta", because="the baseline has moved already", first=0.0)
kl_bound_sharp.control("0.999 of it", because="a long shot attains it", constant=0.999)


@claim(
    PAPER,
    "log-ratio",
    r"\ln\frac{\rho_{\mathrm{alg}}}{\rho_{\mathrm{BL}}}(y) = \frac{r(y) - V(\mathrm{root})}{\alpha} - \sum_t"
    r" \mathrm{KL}(\mathrm{BL}_{y_{<t}} \| \mathrm{alg}_{y_{<t}})",
    kind="identity",
    source="derived",
    assumes="any rewards; every response y",
)
@over(TREES, **TEMPERATURES)
@over(SHOTS, **SHOT_TEMPERATURES)
def log_ratio(tree: TokenTree, *, beta: float, alpha: float, normalisers: float = 1.0, order: str = "baseline") -> Comparison:
    r"""How much likelier a response becomes: its advantage over alpha, less the divergences met on its way.

    Q(s, a) = V(sa) telescopes. What is left are the normalisers, and :math:`\alpha \ln \mathbb{E}_{\mathrm{BL}_s} e^{Q/\alpha}
    - \mathbb{E}_{\mathrm{BL}_s} Q = \alpha\, \mathrm{KL}(\mathrm{BL}_s \| \mathrm{alg}_s)`, because the mean of Q under the
    baseline is V(s).
    """
    found = _decoding(tree, beta, alpha)
    alg, base, _ = _log_laws(tree, found)
    pairs = [(b, p) if order == "baseline" else (p, b) for b, p in zip(found.baseline, found.log_policy)]
    met = path_sums(tuple(np.repeat(kl(b, p, log=True)[:, None], tree.tokens, axis=1) for b, p in pairs))
    predicted = (leaf_rewards(tree) - found.value[0][0]) / alpha - normalisers * met
    scale = float(np.abs(alg).max() + np.abs(base).max() + np.abs(predicted).max())
    return equal(alg - base, predicted, tolerance=1e-12, scale=scale)


log_ratio.control("without the divergences", because="each token is normalised", normalisers=0.0)
log_ratio.control("the divergences the other way round", because="Jensen's gap is under the baseline", order="decoder")


def _comparator(tree: TokenTree, kind: str, beta: float, seed: int) -> Array:
    """Log-probabilities of responses: the best one alone, the baseline or colder ones, or a random law."""
    reward, ref = leaf_rewards(tree), leaf_log_probabilities(tree.log_reference)
    if kind == "best":
        return np.where(np.arange(reward.size) == np.argmax(reward), 0.0, -np.inf)
    if kind == "random":
        return np.log(np.random.default_rng(seed).dirichlet(np.ones(reward.size)))
    return log_tilt(ref, reward, {"baseline": 1.0, "colder": 0.99, "cold": 0.5}[kind] * beta)


COMPARATORS = ("best", "random", "baseline", "cold")


@claim(
    PAPER,
    "gap",
    r"\mathbb{E}_{\rho'} r - \mathbb{E}_{\rho_{\mathrm{alg}}} r \le \beta \bigl[\mathrm{KL}(\rho' \| \rho_{\mathrm{ref}}) -"
    r" \mathrm{KL}(\rho_{\mathrm{BL}} \| \rho_{\mathrm{ref}})\bigr] - \alpha\, \mathrm{KL}(\rho_{\mathrm{alg}} \|"
    r" \rho_{\mathrm{BL}})",
    kind="inequality",
    source="derived",
    assumes=r"direct transfer; any law \rho' of responses",
    note="The paper's theorem has this shape for the response of largest reward; the last term is `transfer-q/improvement`.",
)
@over(TREES, beta=(0.2, 1.0), alpha=0.1, comparator=COMPARATORS)
@over(TREES, beta=0.2, alpha=1000.0, comparator="colder")
@over(long_shot.sweep(H=(1, 2), surprise=(30.0, 300.0)), beta=1.0, alpha=(0.0034, 0.035), comparator=COMPARATORS)
@over(SEARCHED, **SEARCHED_TEMPERATURES, comparator="best", budget=SEARCH_BUDGET)
def gap(
    tree: TokenTree, *, beta: float, alpha: float, comparator: str, seed: int, first: float = 1.0, last: float = 1.0
) -> Comparison:
    r"""What the decoder lacks to any other law of responses is bounded by divergences.

    The baseline maximises :math:`\mathbb{E} r - \beta\, \mathrm{KL}(\cdot \| \rho_{\mathrm{ref}})`, and the decoder improves on
    it by the last term. What is given away is :math:`\beta\, \mathrm{KL}(\rho' \| \rho_{\mathrm{BL}})`, and :math:`\alpha`
    times the divergences the other way round of `transfer-q/improvement-exact`: little for a comparator near the baseline.
    """
    found = _decoding(tree, beta, alpha)
    alg, base, ref = _log_laws(tree, found)
    other = _comparator(tree, comparator, beta, seed)
    reward = leaf_rewards(tree)
    lacking = float((np.exp(other) - np.exp(alg)) @ reward)
    terms = [beta * kl(other, ref, log=True), beta * kl(base, ref, log=True), alpha * kl(alg, base, log=True)]
    return at_most(lacking, first * terms[0] - terms[1] - last * terms[2], slack=1e-13 * (1 + sum(terms)))


gap.control("0.95 beta in the first term", because="a comparator near the baseline attains it", first=0.95)
gap.control("1.05 alpha in the last term", because="a long shot attains it", last=1.05)


@claim(
    PAPER,
    "improvement",
    r"\mathbb{E}_{\rho_{\mathrm{alg}}} r - \mathbb{E}_{\rho_{\mathrm{BL}}} r \ge \alpha\, \mathrm{KL}(\rho_{\mathrm{alg}} \|"
    r" \rho_{\mathrm{BL}}) \ge 0",
    kind="inequality",
    source="derived",
    assumes="any rewards",
)
@over(TREES, **TEMPERATURES)
@over(long_shot.sweep(H=(1, 2), surprise=(30.0, 300.0)), beta=1.0, alpha=(0.0034, 0.035))
@over(SEARCHED, **SEARCHED_TEMPERATURES, budget=SEARCH_BUDGET)
def improvement(tree: TokenTree, *, beta: float, alpha: float, constant: float = 1.0, sign: float = 1.0) -> Comparison:
    """Decoding improves on the baseline by at least alpha times what it departs from it.

    Average (1) over the decoder's responses and leave the divergences out.
    """
    found = _decoding(tree, beta, alpha)
    policy = found.log_policy if sign > 0 else decode(found.baseline, tuple(-q for q in found.q), alpha)
    gain = policy_value(tree, policy) - policy_value(tree, found.baseline)
    divergence = response_divergence(tree, policy, found.baseline)[0]
    return at_most(constant * alpha * divergence, gain, slack=1e-13 * float(leaf_rewards(tree).max()))


improvement.control("decoding with -alpha", because="the worst tokens are preferred", sign=-1.0)
improvement.control("1.05 alpha", because="a long shot attains it", constant=1.05)


@claim(
    PAPER,
    "improvement-exact",
    r"\mathbb{E}_{\rho_{\mathrm{alg}}} r - \mathbb{E}_{\rho_{\mathrm{BL}}} r = \alpha \Bigl[\mathrm{KL}(\rho_{\mathrm{alg}} \|"
    r" \rho_{\mathrm{BL}}) + \mathbb{E}_{\rho_{\mathrm{alg}}} \sum_t \mathrm{KL}(\mathrm{BL}_{y_{<t}} \|"
    r" \mathrm{alg}_{y_{<t}})\Bigr]",
    kind="identity",
    source="derived",
    assumes="any rewards",
)
@over(TREES, **TEMPERATURES)
@over(SHOTS, **SHOT_TEMPERATURES)
def improvement_exact(tree: TokenTree, *, beta: float, alpha: float, backward: float = 1.0, law: str = "decoder") -> Comparison:
    """What decoding gains, exactly: alpha times the divergences in both directions, along its own responses.

    Average (1) over the decoder's responses.
    """
    found = _decoding(tree, beta, alpha)
    gain = policy_value(tree, found.log_policy) - policy_value(tree, found.baseline)
    ahead, behind = response_divergence(tree, found.log_policy, found.baseline)
    if law == "baseline":
        behind = response_divergence(tree, found.baseline, found.log_policy)[0]
    return equal(gain, alpha * (ahead + backward * behind), tolerance=1e-12, scale=float(leaf_rewards(tree).max()))


improvement_exact.control("one direction", because="it gives away the other", backward=0.0)
improvement_exact.control("the other along the baseline's responses", because="the decoder's prefixes count", law="baseline")


@claim(
    PAPER,
    "indirect",
    r"\rho_{\mathrm{BL}} \propto \rho_{\mathrm{ref}} e^{r_{\mathrm{BL}}/\beta} \implies \rho_r \propto \rho_{\mathrm{BL}}\,"
    r" e^{(r - r_{\mathrm{BL}})/\beta}",
    kind="identity",
    source="paper",
    assumes=r"the baseline was aligned with another reward, at the same \beta",
)
@over(TREES, beta=(0.2, 0.7), alpha=(0.03, 0.3))
def indirect(
    tree: TokenTree, *, beta: float, alpha: float, seed: int, divided: bool = True, temperature: float = 1.0
) -> Comparison:
    """A baseline that was aligned with another reward serves as well, with weights: the decoder is the same.

    The tilts multiply. In the indirect transfer Q is the mean under the reweighted law, so all that is said here of the direct
    one holds for it.
    """
    other = np.random.default_rng(seed).normal(size=tree.leaves)
    ref, reward = leaf_log_probabilities(tree.log_reference), leaf_rewards(tree)
    baseline = log_tilt(ref, other, temperature * beta)
    target = log_tilt(baseline, reward - other, beta if divided else 1.0)
    direct = _decoding(tree, beta, alpha)
    found = transfer_decoding(tree, beta, alpha, baseline_reward=other)
    laws = [leaf_log_probabilities(x.log_policy) for x in (found, direct)]
    # Q has a rounding error of its own size, and is divided by alpha
    size = float(np.abs(laws[1]).max() + reward.max() / alpha)
    return all_of(
        target=equal(target, log_tilt(ref, reward, beta), tolerance=1e-12),
        decoder=equal(laws[0], laws[1], tolerance=1e-12, scale=size),
    )


indirect.control("weights without 1/beta", because="tilts at different temperatures do not multiply", divided=False)
indirect.control("a baseline at 1.05 beta", because="the weights undo a tilt at beta", temperature=1.05)


# --- against controlled decoding ---------------------------------------------------------------------------------------


def _matched_temperature(tree: TokenTree, divergence: float) -> float:
    """The temperature at which controlled decoding departs from the reference by ``divergence``.

    The coldest, 1e-3, if none does. If several do, one of them.
    """
    q = policy_q(tree, tree.log_reference)[0]

    def excess(log_alpha: float) -> float:
        policy = decode(tree.log_reference, q, float(np.exp(log_alpha)))
        return response_divergence(tree, policy, tree.log_reference)[0] - divergence

    low, high = np.log(1e-3), np.log(1e3)
    return float(np.exp(brentq(excess, low, high, xtol=1e-7))) if excess(low) > 0 > excess(high) else 1e-3


def _both(tree: TokenTree, beta: float, alpha: float, match: str) -> tuple[float, float]:
    """The expected rewards of Transfer Q* and of controlled decoding."""
    found = _decoding(tree, beta, alpha)
    if match == "divergence":
        other = _matched_temperature(tree, response_divergence(tree, found.log_policy, tree.log_reference)[0])
    else:
        other = alpha if match == "temperature" else 1 / (1 / alpha + 1 / beta)
    return policy_value(tree, found.log_policy), policy_value(tree, controlled_decoding(tree, other))


@claim(
    PAPER,
    "vs-cd",
    r"\max_y r(y) - \mathbb{E}_{\rho_{\mathrm{alg}}} r \le \max_y r(y) - \mathbb{E}_{\rho_{\mathrm{CD}}} r",
    kind="inequality",
    source="recalled",
    assumes=r"CD \propto \pi_{\mathrm{ref}} e^{Q^{\mathrm{ref}}/\alpha'}, at the same temperature \alpha' = \alpha, or at that"
    r" of the same divergence from the reference",
    expected="refuted",
    corrected="transfer-q/vs-cd-share",
    note="Two tokens and two steps suffice, at the same temperature and at the same divergence: on such a tree Transfer Q*"
    " earns 0.731, controlled decoding 0.996 and 0.997. With one step it is true.",
)
@over(misjudged.sweep(), beta=0.3, alpha=0.05, match=("temperature", "divergence"))
@over(bounded_tree.sweep(A=2, H=(2, 3), draws=by_profile(quick=5, full=100)), beta=0.5, alpha=(0.05, 0.5), match="temperature")
def vs_cd(tree: TokenTree, *, beta: float, alpha: float, match: str) -> Comparison:
    r"""One might read that Transfer Q* always comes nearer to the best response than controlled decoding does: not so.

    Both judge a token by completions of a policy that is not the decoder: the baseline's and the reference's. The decoder tilts
    later tokens too, and which of the two judgements predicts better what it will do depends on the tree. With one step both
    are tilts of the reference, by r at the inverse temperatures :math:`1/\beta + 1/\alpha` and :math:`1/\alpha`.
    """
    transfer, controlled = _both(tree, beta, alpha, match)
    best = float(leaf_rewards(tree).max())
    return at_most(best - transfer, best - controlled, slack=1e-12)


vs_cd.repair(
    "one step",
    because="a colder tilt by the reward earns more",
    on=domain(bounded_tree.sweep(A=(2, 5), H=1, draws=10), beta=(0.1, 0.5), alpha=(0.05, 0.5), match="temperature"),
)


@family
def drawn_decoding(seed: int = 0) -> tuple[TokenTree, float, float]:
    """A random tree of two or three tokens and two to four steps, and temperatures beta and alpha of 0.1, 0.5 or 1."""
    rng = np.random.default_rng(seed)
    A, H = int(rng.integers(2, 4)), int(rng.integers(2, 5))
    beta, alpha = (float(x) for x in rng.choice((0.1, 0.5, 1.0), size=2))
    return bounded_tree(A=A, H=H, seed=int(rng.integers(2**32))), beta, alpha


@functools.lru_cache(maxsize=2)
def _comparison(seed: int, count: int, match: str) -> tuple[Array, Array]:
    """Expected rewards of both decoders on ``count`` random trees."""
    drawn = (drawn_decoding(seed=derive_seed(seed, k)) for k in range(count))
    earned = [_both(tree, beta, alpha, match) for tree, beta, alpha in drawn]
    return np.array(earned)[:, 0], np.array(earned)[:, 1]


@claim(
    PAPER,
    "vs-cd-share",
    r"\Pr\bigl(\mathbb{E}_{\rho_{\mathrm{CD}}} r > \mathbb{E}_{\rho_{\mathrm{alg}}} r\bigr) \le 0.05",
    kind="mechanism",
    source="derived",
    assumes="random trees of 2-3 tokens and 2-4 steps with rewards uniform on [0, 1]; beta and alpha in {0.1, 0.5, 1};"
    " controlled decoding at the same temperature, or at the same divergence from the reference",
    note="Seen: about 2% at the same temperature and at the same divergence. At the inverse temperature 1/alpha + 1/beta, so"
    " that both decoders tilt a last token alike, controlled decoding wins one tree in four.",
)
@over(match=("temperature", "divergence"))
def vs_cd_share(
    *, match: str, seed: int, count: int = by_profile(quick=400, full=2000), swapped: bool = False, other: str = ""
) -> Comparison:
    """What is left of it: on random trees Transfer Q* earns more on at least 19 of 20."""
    transfer, controlled = _comparison(seed, count, other or match)
    worse = controlled > transfer + 1e-6  # the matched temperature is known to 1e-7, relatively
    return violation_rate(~worse if swapped else worse, 0.05, alternative=0.15)


vs_cd_share.control("controlled decoding wins", because="it is the other way round", swapped=True)
vs_cd_share.control("controlled decoding with the whole tilt", because="it wins one tree in four", other="tilt")
