"""Off-policy estimators by hand, against enumeration and simulation, and what is refused."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.contextual import ContextualBandit, contextual_bandit
from bandits.off_policy_evaluation import (
    Log,
    Moments,
    all_logs,
    direct_method,
    doubly_robust,
    draw_log,
    exact_direct_method,
    exact_doubly_robust,
    exact_inverse_propensity,
    exact_self_normalised,
    exact_switch_doubly_robust,
    inverse_propensity,
    self_normalised,
    switch_doubly_robust,
)
from theory.errors import InputError

seeds = st.integers(0, 2**31)
LOG = Log(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([1.0, 0.0, 2.0]), np.array([0.5, 0.5, 0.25]))
TARGET = np.array([[0.25, 0.75], [0.5, 0.5]])
MODEL = np.array([[1.0, 2.0], [0.0, 4.0]])


def _policies(bandit: ContextualBandit, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logging, target = rng.dirichlet(np.ones(bandit.actions), size=(2, bandit.contexts))
    return 0.9 * logging + 0.1 / bandit.actions, target, rng.uniform(size=bandit.means.shape)


def test_by_hand():
    """The weights are 1/2, 3/2, 2; the model's values 7/4 in context 0, 2 in context 1; the residuals 0, -2, -2."""
    np.testing.assert_allclose(LOG.weights(TARGET), [0.5, 1.5, 2.0])
    estimate = inverse_propensity(LOG, TARGET)
    np.testing.assert_allclose(estimate.terms, [0.5, 0.0, 4.0])
    assert estimate.value == pytest.approx(1.5)
    assert estimate.standard_error == pytest.approx(np.std([0.5, 0, 4], ddof=1) / np.sqrt(3))
    np.testing.assert_allclose(inverse_propensity(LOG, TARGET, clip=1.0).terms, [0.5, 0.0, 2.0])
    assert self_normalised(LOG, TARGET).value == pytest.approx(4.5 / 4)
    assert self_normalised(LOG, TARGET).terms.mean() == pytest.approx(4.5 / 4)
    np.testing.assert_allclose(direct_method(LOG, TARGET, MODEL).terms, [1.75, 1.75, 2.0])
    np.testing.assert_allclose(doubly_robust(LOG, TARGET, MODEL).terms, [1.75, 1.75 - 3.0, 2.0 - 4.0])
    np.testing.assert_allclose(switch_doubly_robust(LOG, TARGET, MODEL, 1.5).terms, [1.75, -1.25, 2.0])
    assert estimate.interval(0.05).low < 1.5 < estimate.interval(0.05).high
    assert estimate.interval(0.05, support=(0.0, 4.0)).high <= 4.0


def test_one_record_has_no_standard_error():
    assert inverse_propensity(Log([0], [0], [1.0], [0.5]), np.array([[1.0]])).standard_error == np.inf


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([0.5, 1.5, np.inf]))
def test_exact_moments_equal_enumeration(seed, cut):
    bandit = contextual_bandit(X=2, K=2, skewed=True, seed=seed)
    logging, target, model = _policies(bandit, seed)
    pairs = [
        (lambda log: inverse_propensity(log, target, clip=cut), exact_inverse_propensity(bandit, logging, target, clip=cut)),
        (lambda log: direct_method(log, target, model), exact_direct_method(bandit, logging, target, model)),
        (lambda log: doubly_robust(log, target, model), exact_doubly_robust(bandit, logging, target, model)),
        (
            lambda log: switch_doubly_robust(log, target, model, cut),
            exact_switch_doubly_robust(bandit, logging, target, model, cut),
        ),
    ]
    chances, logs = zip(*all_logs(bandit, logging, 2))
    assert sum(chances) == pytest.approx(1.0)
    for estimator, exact in pairs:
        values = np.array([estimator(log).value for log in logs])
        mean = float(np.dot(chances, values))
        assert exact.mean == pytest.approx(mean, abs=1e-12)
        assert exact.bias == pytest.approx(mean - float(bandit.value(target)), abs=1e-12)
        variance = float(np.dot(chances, (values - mean) ** 2))
        assert exact.variance / 2 == pytest.approx(variance, abs=1e-11)
        assert exact.mean_squared_error(2) == pytest.approx(exact.bias**2 + variance, abs=1e-11)
    values = np.array([self_normalised(log, target).value for log in logs])
    mean, variance = exact_self_normalised(bandit, logging, target, 2)
    assert mean == pytest.approx(float(np.dot(chances, values)), abs=1e-12)
    assert variance == pytest.approx(float(np.dot(chances, (values - mean) ** 2)), abs=1e-12)


def test_self_normalised_moments_in_rational_arithmetic():
    """Four records, two actions, one context: every log as a fraction."""
    bandit = ContextualBandit(np.array([[0.25, 0.5]]))
    logging, target = np.array([[0.75, 0.25]]), np.array([[0.5, 0.5]])
    kinds = [(Fraction(3, 4) * p, Fraction(2, 3), r) for p, r in ((Fraction(1, 4), 1), (Fraction(3, 4), 0))] + [
        (Fraction(1, 4) * Fraction(1, 2), Fraction(2), r) for r in (0, 1)
    ]
    first = second = Fraction(0)
    for drawn in itertools.product(kinds, repeat=4):
        chance = Fraction(1)
        for kind in drawn:
            chance *= kind[0]
        value = sum(w * r for _, w, r in drawn) / sum(w for _, w, _ in drawn)
        first += chance * value
        second += chance * value**2
    mean, variance = exact_self_normalised(bandit, logging, target, 4)
    assert mean == pytest.approx(float(first), rel=1e-13)
    assert variance == pytest.approx(float(second - first**2), rel=1e-12)


def test_a_target_that_avoids_the_log():
    bandit = ContextualBandit(np.array([[0.5, 0.5]]))
    never = np.array([[0.0, 1.0]])
    log = Log([0, 0], [0, 0], [1.0, 1.0], [1.0, 1.0])
    assert self_normalised(log, never).value == inverse_propensity(log, never).value == 0.0
    assert exact_self_normalised(bandit, np.array([[1.0, 0.0]]), never, 3) == (0.0, 0.0)
    assert exact_inverse_propensity(bandit, np.array([[1.0, 0.0]]), never) == Moments(0.0, -0.5, 0.0)


@pytest.mark.parametrize("deviation", [None, 0.7])
def test_drawn_logs_have_the_exact_moments(deviation):
    bandit = contextual_bandit(X=3, K=4, deviation=deviation, skewed=True, seed=5)
    logging, target, model = _policies(bandit, 6)
    log = draw_log(bandit, logging, 200_000, np.random.default_rng(7))
    for estimate, exact in (
        (inverse_propensity(log, target), exact_inverse_propensity(bandit, logging, target)),
        (doubly_robust(log, target, model), exact_doubly_robust(bandit, logging, target, model)),
    ):
        assert abs(estimate.value - exact.mean) < 5 * np.sqrt(exact.variance / log.size)
        assert estimate.terms.var() == pytest.approx(exact.variance, rel=0.05)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_renaming_actions_changes_nothing(seed):
    bandit = contextual_bandit(X=2, K=3, seed=seed)
    logging, target, model = _policies(bandit, seed)
    order = np.random.default_rng(seed).permutation(3)
    other = ContextualBandit(bandit.means[:, order], bandit.law)
    first = exact_doubly_robust(bandit, logging, target, model)
    second = exact_doubly_robust(other, logging[:, order], target[:, order], model[:, order])
    assert first.variance == pytest.approx(second.variance)
    assert first.bias == pytest.approx(second.bias, abs=1e-14)
    # a clip, or a threshold, that nothing exceeds is none
    assert exact_inverse_propensity(bandit, logging, target, clip=1e9) == exact_inverse_propensity(bandit, logging, target)
    assert exact_switch_doubly_robust(bandit, logging, target, model, 1e9) == first


BANDIT = ContextualBandit(np.array([[0.5, 0.5]]))
EVEN = np.array([[0.5, 0.5]])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Log([], [], [], []), "of one length, at least 1"),
        (lambda: Log([0], [0, 1], [1.0], [0.5]), "of one length, at least 1"),
        (lambda: Log([0], [-1], [1.0], [0.5]), "every action of a log is a whole number"),
        (lambda: Log([0.5], [1], [1.0], [0.5]), "every context of a log is a whole number"),
        (lambda: Log([0, 0], [0, 0], [1.0, np.nan], [0.5, 0.5]), "record 1 of a log has the reward nan"),
        (lambda: Log([0], [0], [1.0], [0.0]), r"record 0 of a log has the propensity 0\.0, outside \(0, 1\]"),
        (lambda: LOG.weights(np.array([[1.0, 0.0]])), r"at least \(2, 2\), not \(1, 2\)"),
        (lambda: LOG.weights(np.ones((2, 2))), "the target policy has the row"),
        (lambda: doubly_robust(LOG, TARGET, np.ones((1, 2))), "the model of the rewards has a row"),
        (lambda: inverse_propensity(LOG, TARGET, clip=0.0), r"clipped at a positive number, not at 0\.0"),
        (lambda: switch_doubly_robust(LOG, TARGET, MODEL, np.nan), "threshold of a switch estimator is a number"),
        (lambda: exact_inverse_propensity(BANDIT, EVEN, np.array([[1.0, 1.0]])), "the target policy has the row"),
        (lambda: exact_inverse_propensity(BANDIT, EVEN, EVEN, propensities=np.zeros((1, 2))), "stated propensities"),
        (lambda: exact_doubly_robust(BANDIT, EVEN, EVEN, np.ones((2, 2))), "a model of the rewards has finite entries"),
        (lambda: exact_self_normalised(BANDIT, EVEN, EVEN, 0), "at least 1 record, not 0"),
        (
            lambda: exact_self_normalised(ContextualBandit(np.zeros((1, 2)), deviation=1.0), EVEN, EVEN, 2),
            "Bernoulli rewards only",
        ),
        (lambda: list(all_logs(BANDIT, EVEN, 20)), "at most 2000000 are enumerated"),
        (
            lambda: exact_self_normalised(
                contextual_bandit(X=3, K=3, seed=0), *[np.eye(3) * 0.7 + 0.1, np.eye(3)[::-1] * 0.4 + 0.2], 60
            ),
            "tables of counts",
        ),
    ],
)
def test_bad_input(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
