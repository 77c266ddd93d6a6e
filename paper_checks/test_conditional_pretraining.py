r"""Pretraining with human preferences (Korbak et al. 2023): conditional training, filtering and reward-weighted likelihood.

Notation: p0 the law of texts, b the share of bad ones, R their reward; tags say good or bad and are wrong with the probability e. The
models are tabular. What the paper reports on the price in capabilities is empirical, and is not tested here.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from bandits.preference.conditional_training import TaggedText, conditioned_bad_rate, given_tag, joint_law, tagged_text
from bandits.preference.kl_bandit import KLBandit, kl_gap
from theory.claims import Comparison, Paper, Range, all_of, at_least, at_most, by_profile, claim, equal, over
from theory.tilts import log_tilt

Array = NDArray[np.float64]

PAPER = Paper(
    key="conditional-pretraining",
    title="Pretraining Language Models with Human Preferences",
    authors="Korbak, Shi, Chen, Bhalerao, Buckley, Phang, Bowman, Perez",
    year=2023,
    theme="alignment",
    arxiv="2302.08582",
)

TEXTS = tagged_text.sweep(K=8, bad=(1, 3, 7), concentration=(0.1, 1.0), draws=by_profile(quick=3, full=30))
ERRORS = (0.0, 0.01, 0.1, 0.3, 0.49)


def _cross_entropy(law: Array, log_model: Array) -> Array:
    """The mean loss of models (..., 2, K) on data of this law."""
    return np.asarray(-(law * np.where(law > 0, log_model, 0.0)).sum(axis=(-2, -1)))


@claim(
    PAPER,
    "conditional",
    r"\text{maximum likelihood on (tag, text), then the good tag: } p_0(\cdot \mid \text{good tag}), \quad"
    r" b \mapsto \frac{b e}{b e + (1-b)(1-e)}, \quad 0 \text{ for clean tags}; \qquad \sum_{\text{tag}} \text{model} = p_0",
    kind="identity",
    source="derived",
    assumes="tabular model, population",
)
@over(TEXTS, error=ERRORS)
def conditional(
    text: TaggedText, *, error: float, seed: int, made_with: float | None = None, normalised: bool = True
) -> Comparison:
    r"""Conditional training samples good text, as far as the tags are right, and forgets nothing.

    By Gibbs' inequality the cross-entropy of (tag, text) is least for the law of the data. Given the good tag Bayes' rule multiplies
    good texts by 1 - e and bad ones by e: the odds of bad text by e / (1 - e), and nothing else changes. Averaged over its tags the
    model is p0 itself.
    """
    law = joint_law(text, error if made_with is None else made_with)
    K = text.reward.size
    others = log_softmax(np.random.default_rng(seed).standard_normal((20, 2 * K)), axis=-1).reshape(20, 2, K)
    with np.errstate(divide="ignore"):
        loss = _cross_entropy(law, np.log(law))
    sampled = given_tag(law, 1)
    b = text.bad_rate
    predicted = float(conditioned_bad_rate(b, error)) if normalised else b * error
    p0 = np.exp(text.log_law)
    within = [p0[side] / p0[side].sum() for side in (text.good, ~text.good)]
    parts = [
        equal(sampled[~text.good].sum(), predicted, tolerance=1e-12, scale=1.0),
        equal(law.sum(axis=0), p0, tolerance=1e-12, scale=1.0),
        equal(sampled[text.good] / sampled[text.good].sum(), within[0], tolerance=1e-12, scale=1.0),
    ]
    if error > 0:
        parts.append(equal(sampled[~text.good] / sampled[~text.good].sum(), within[1], tolerance=1e-12, scale=1.0))
    return all_of(*parts, likelihood=at_most(loss, _cross_entropy(law, others)))


conditional.control("tags at random", because="then the good tag says nothing, and the bad rate stays b", made_with=0.5)
conditional.control("one tag in 50 wrong", because="the formula is exact in e", made_with=0.02)
conditional.control("the bad rate b e", because="that is the share of bad text under good tags, of all text", normalised=False)


@claim(
    PAPER,
    "filtering",
    r"\text{on every data set: conditional model} \mid \text{good tag} = \text{model of the texts tagged good}; \qquad"
    r" \text{averaged over tags it is the model of all texts}",
    kind="identity",
    source="derived",
    assumes="tabular models, maximum likelihood, some text is tagged good",
    note="In the table filtering loses nothing on good text. What conditional training adds is the model of the rest, so that its"
    " advantage in the paper must come from what networks share between tags.",
)
@over(TEXTS, error=(0.0, 0.1, 0.49), n=(20, 1000))
def filtering(text: TaggedText, *, error: float, n: int, seed: int, by_tag: bool = True, all_texts: bool = True) -> Comparison:
    """Conditional training and filtering learn the same law of good text from the same data, sample by sample.

    Counts of (tag, text) over n maximise the likelihood. Their row of the good tag, normalised, is what filtering counts.
    """
    rng = np.random.default_rng(seed)
    texts = rng.choice(text.reward.size, size=n, p=np.exp(text.log_law))
    wrong = rng.random(n) < error
    tags = np.where(wrong, ~text.good[texts], text.good[texts]).astype(int)
    tags[0] = 1  # the identity holds on every data set in which some text is tagged good
    counts = np.zeros((2, text.reward.size))
    np.add.at(counts, (tags, texts), 1.0)
    chosen = tags == 1 if by_tag else text.good[texts] | (np.arange(n) == 0)
    kept = np.bincount(texts[chosen], minlength=text.reward.size)
    everything = np.bincount(texts if all_texts else texts[tags == 1], minlength=text.reward.size)
    return all_of(
        good=equal(given_tag(counts, 1), kept / kept.sum(), tolerance=1e-13, scale=1.0),
        all=equal(counts.sum(axis=0) / n, everything / everything.sum(), tolerance=1e-13, scale=1.0),
    )


filtering.control("filtering by the truth", because="tags are wrong now and then", by_tag=False)
filtering.control("the filtered texts as a model of all", because="filtering forgets bad text", all_texts=False)


@claim(
    PAPER,
    "tag-noise-is-temperature",
    r"p_0(\cdot \mid \text{good tag}) = \arg\max_\pi\; \Pr_\pi(\text{good}) - \beta\, \mathrm{KL}(\pi \| p_0), \qquad"
    r" \beta = \frac{1}{\ln \frac{1 - e}{e}}",
    kind="identity",
    source="derived",
    assumes=r"0 < e < 1/2",
    note="Conditional training is KL-regularised reinforcement learning of a yes-or-no reward; how reliable the tags are sets the"
    " temperature: 0.22 at e = 0.01, 0.46 at e = 0.1.",
)
@over(TEXTS, error=(1e-4, 0.01, 0.1, 0.3, 0.49))
@over(TEXTS, error=Range(1e-6, 0.499, log=True), budget=by_profile(quick=4, full=30))
def tag_noise_is_temperature(text: TaggedText, *, error: float, seed: int, odds: bool = True) -> Comparison:
    r"""Noisy tags are a temperature: conditioning on a good tag is the optimum of KL-regularised reinforcement learning.

    The posterior multiplies good texts by 1 - e and bad ones by e, that is by :math:`e^{1\{\text{good}\}/\beta}` and a constant.
    """
    beta = 1 / np.log((1 - error) / error if odds else 1 / error)
    bandit = KLBandit(text.good.astype(float), text.log_law, float(beta))
    sampled = np.log(given_tag(joint_law(text, error), 1))
    others = log_softmax(sampled + 0.1 * np.random.default_rng(seed).standard_normal((20, sampled.size)), axis=-1)
    return all_of(
        law=equal(sampled, bandit.log_optimum, tolerance=1e-11, scale=1 + np.abs(sampled).max()),
        gap=equal(kl_gap(bandit, sampled), 0.0, tolerance=1e-12, scale=1.0),
        best=at_least(kl_gap(bandit, others), kl_gap(bandit, sampled), slack=1e-12),
    )


tag_noise_is_temperature.control("the temperature 1 / ln(1/e)", because="good texts are tagged wrongly, too", odds=False)


@claim(
    PAPER,
    "reward-weighted",
    r"\arg\max_\pi \mathbb{E}_{y \sim p_0}[e^{R(y)/\beta} \ln \pi(y)] = \frac{p_0 e^{R/\beta}}{Z}"
    r" = \arg\max_\pi \mathbb{E}_\pi R - \beta\, \mathrm{KL}(\pi\|p_0)",
    kind="identity",
    source="derived",
    assumes="tabular model, population",
)
@over(TEXTS, beta=(0.1, 0.5, 2.0))
def reward_weighted(text: TaggedText, *, beta: float, seed: int, hotter: float = 1.0) -> Comparison:
    """Reward-weighted likelihood has the optimum of KL-regularised reinforcement learning.

    The weighted likelihood is the cross-entropy of the normalised weights, which is least for themselves, by Gibbs' inequality. It
    is checked by the gradient in the logits, weights less policy, and against other policies.
    """
    weights = np.exp(log_tilt(text.log_law, text.reward, beta * hotter))
    bandit = KLBandit(text.reward, text.log_law, beta)
    optimum = bandit.log_optimum
    others = log_softmax(optimum + 0.1 * np.random.default_rng(seed).standard_normal((20, optimum.size)), axis=-1)
    return all_of(
        gradient=equal(weights, np.exp(optimum), tolerance=1e-12, scale=1.0),
        likelihood=at_most(-(weights @ optimum), -(others @ weights), slack=1e-14 * np.abs(optimum).max()),
    )


reward_weighted.control("weights of a temperature 1% higher", because="the likelihood then has another optimum", hotter=1.01)
