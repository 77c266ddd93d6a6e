"""HyPO: brute force over policies, a general optimiser, closed forms on the hole family, and its two limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

from bandits.preference.comparisons import population_weights, sample_counts
from bandits.preference.families import hole_bandit, random_kl_bandit
from bandits.preference.hypo import minimise_hypo
from bandits.preference.log_linear import fit_log_linear
from theory.divergences import kl
from theory.errors import InputError
from theory.pair_losses import conservative, expected_pair_loss, logistic
from theory.tilts import implicit_reward

HALF = np.log([0.5, 0.5])
ONE_WIN = np.array([[0.0, 1.0], [0.0, 0.0]])


def _objective(log_policy: np.ndarray, reference: np.ndarray, W: np.ndarray, beta: float, coefficient: float) -> float:
    """The objective as it is written."""
    data = expected_pair_loss(implicit_reward(log_policy, reference, beta), W / W.sum(), logistic())
    return float(data + coefficient * kl(log_policy, reference, log=True))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.5, 2.0]), st.sampled_from([1e-3, 0.1, 1.0]))
def test_no_policy_does_better(seed: int, beta: float, coefficient: float) -> None:
    bandit = random_kl_bandit(K=3, beta=beta, seed=seed)
    W = population_weights(bandit)
    found = minimise_hypo(bandit.log_reference, W, beta, coefficient)
    assert found.converged
    assert found.residual < 1e-9
    value = _objective(found.log_policy, bandit.log_reference, W, beta, coefficient)
    assert value == pytest.approx(found.loss + coefficient * found.divergence, rel=1e-10)
    rng = np.random.default_rng(seed)
    away = 10.0 ** rng.uniform(-3, 1.5, (200, 1)) * rng.standard_normal((200, 3))
    others = log_softmax(bandit.log_reference + away, axis=-1)
    assert min(_objective(p, bandit.log_reference, W, beta, coefficient) for p in others) >= value - 1e-12


def test_agrees_with_a_general_optimiser() -> None:
    rng = np.random.default_rng(0)
    bandit = random_kl_bandit(K=6, beta=0.5, seed=3)
    W = sample_counts(population_weights(bandit), 50, rng).astype(float)
    features = rng.standard_normal((6, 2))
    found = minimise_hypo(bandit.log_reference, W, 0.5, 0.05, features=features)

    def value(theta: np.ndarray) -> float:
        return _objective(log_softmax(bandit.log_reference + features @ theta / 0.5), bandit.log_reference, W, 0.5, 0.05)

    other = minimize(value, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-15, "maxfev": 2000})
    np.testing.assert_allclose(found.theta, other.x, atol=1e-6)


def test_several_data_sets_are_fitted_one_by_one() -> None:
    rng = np.random.default_rng(1)
    bandit = random_kl_bandit(K=5, seed=1)
    counts = sample_counts(population_weights(bandit), 100, rng, runs=4).astype(float)
    features = rng.standard_normal((4, 5, 2))
    together = minimise_hypo(bandit.log_reference, counts, 0.5, 0.1, features=features)
    assert together.log_policy.shape == (4, 5)
    assert together.theta.shape == (4, 2)
    assert together.converged.all()
    for run in range(4):
        alone = minimise_hypo(bandit.log_reference, counts[run], 0.5, 0.1, features=features[run])
        np.testing.assert_allclose(together.log_policy[run], alone.log_policy, atol=1e-9)


def test_counts_and_shares_are_the_same() -> None:
    bandit = random_kl_bandit(K=4, seed=2)
    W = population_weights(bandit)
    one, many = (minimise_hypo(bandit.log_reference, scale * W, 0.5, 0.1).log_policy for scale in (1.0, 1000.0))
    np.testing.assert_allclose(one, many, atol=1e-10)


@given(st.permutations(range(4)))
@settings(max_examples=10, deadline=None)
def test_names_do_not_matter(order: list[int]) -> None:
    bandit = random_kl_bandit(K=4, seed=4)
    W = population_weights(bandit)
    plain = minimise_hypo(bandit.log_reference, W, 0.5, 0.1).log_policy
    renamed = minimise_hypo(bandit.log_reference[order], W[np.ix_(order, order)], 0.5, 0.1).log_policy
    np.testing.assert_allclose(renamed, plain[order], atol=1e-9)


@pytest.mark.parametrize("delta", [0.1, 1e-6, 1e-60])
@pytest.mark.parametrize("coefficient", [1.0, 1e-4])
def test_the_hole_gets_its_mass_in_closed_form(delta: float, coefficient: float) -> None:
    bandit = hole_bandit(K=3, delta=delta, seed=1)
    found = minimise_hypo(bandit.log_reference, population_weights(bandit), bandit.beta, coefficient).log_policy
    kept = found[:-1] - np.logaddexp.reduce(found[:-1])
    odds = np.log(delta) - np.log1p(-delta) + kl(kept, bandit.log_pairs[:-1], log=True)
    assert found[-1] - np.log1p(-np.exp(found[-1])) == pytest.approx(odds, rel=1e-10)


def test_coordinates_of_very_different_size_are_kept_apart() -> None:
    """A mass of 1e-30 times a coefficient of 1e-10, beside gradients of the order 1: an eigenbasis would mix them."""
    bandit = hole_bandit(K=6, beta=0.2, delta=1e-30, seed=3425783980)
    found = minimise_hypo(bandit.log_reference, population_weights(bandit), bandit.beta, 1e-10)
    best = bandit.log_optimum[:-1] - np.logaddexp.reduce(bandit.log_optimum[:-1])
    k = kl(best, bandit.log_pairs[:-1], log=True)
    assert found.converged
    assert found.log_policy[-1] - np.log(1e-30) == pytest.approx(k, abs=1e-4)


def test_responses_outside_the_support_stay_outside() -> None:
    bandit = hole_bandit(K=3, delta=0.0, seed=1)
    found = minimise_hypo(bandit.log_reference, population_weights(bandit), bandit.beta, 0.1)
    assert found.log_policy[-1] == -np.inf
    assert np.exp(found.log_policy).sum() == pytest.approx(1.0)


def test_limits_of_the_coefficient() -> None:
    bandit = random_kl_bandit(K=4, concentration=5.0, seed=5)
    W = population_weights(bandit)
    weak, strong = (minimise_hypo(bandit.log_reference, W, bandit.beta, c).log_policy for c in (1e-9, 1e9))
    np.testing.assert_allclose(weak, bandit.log_optimum, atol=1e-5)  # DPO with infinitely many pairs
    np.testing.assert_allclose(strong, bandit.log_reference, atol=1e-5)
    features = np.random.default_rng(0).standard_normal((4, 2))
    i, j = np.nonzero(np.ones((4, 4)))
    fit = fit_log_linear(features[i] - features[j], W[i, j])
    weak = minimise_hypo(bandit.log_reference, W, bandit.beta, 1e-10, features=features).theta
    np.testing.assert_allclose(weak, fit.theta, atol=1e-6)


def test_the_lower_of_two_minima_is_found() -> None:
    """Two responses and a saturated loss; the grid is over log-odds."""
    wins, odds = expit(2.0), np.linspace(-5, 40, 90_001)
    W = np.array([[0.0, wins], [1 - wins, 0.0]])
    loss = wins * np.logaddexp(0, -0.1 * odds) + (1 - wins) * np.logaddexp(0, 0.1 * odds)
    divergence = kl(np.stack((expit(odds), expit(-odds)), axis=-1), [0.5, 0.5])
    for coefficient in (0.05, 0.2, 0.4, 0.45, 0.55, 1.0, 10.0):
        found = minimise_hypo(HALF, W, 0.1, coefficient)
        best = np.argmin(loss + coefficient * divergence)
        assert found.log_policy[0] - found.log_policy[1] == pytest.approx(odds[best], abs=2e-3)


def test_a_smoothed_loss() -> None:
    """Labels that are believed half the time say nothing: the reference is best."""
    found = minimise_hypo(np.log([0.3, 0.7]), ONE_WIN, 0.5, 0.1, loss=conservative(0.5))
    np.testing.assert_allclose(np.exp(found.log_policy), [0.3, 0.7], atol=1e-10)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: minimise_hypo(HALF, ONE_WIN, 0.5, 0.0), "coefficient of the divergence"),
        (lambda: minimise_hypo(HALF, ONE_WIN, 0.5, np.nan), "coefficient of the divergence"),
        (lambda: minimise_hypo(HALF, ONE_WIN, 0.0, 1.0), "temperature"),
        (lambda: minimise_hypo(HALF, np.ones((3, 3)), 0.5, 1.0), r"weights \(..., K, K\)"),
        (lambda: minimise_hypo([0.0, 0.0], ONE_WIN, 0.5, 1.0), "do not sum to 1"),
        (lambda: minimise_hypo(HALF, -ONE_WIN, 0.5, 1.0), "at least 0"),
        (lambda: minimise_hypo(HALF, 0 * ONE_WIN, 0.5, 1.0), "some are positive"),
        (lambda: minimise_hypo([0.0, -np.inf], ONE_WIN, 0.5, 1.0), "probability 0 under the reference"),
        (lambda: minimise_hypo([HALF, [0.0, -np.inf]], ONE_WIN, 0.5, 1.0), "positive everywhere"),
        (lambda: minimise_hypo([HALF, HALF], ONE_WIN, 0.5, 1.0), "need features"),
        (lambda: minimise_hypo(HALF, ONE_WIN, 0.5, 1.0, features=[[1.0]]), "features are finite"),
        (lambda: minimise_hypo(HALF, ONE_WIN, 0.5, 1.0, features=[[1.0], [np.inf]]), "features are finite"),
    ],
)
def test_bad_input_gets_one_sentence(call, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()
