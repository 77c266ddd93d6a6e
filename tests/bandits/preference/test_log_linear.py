"""Log-linear fits: a general optimiser, Bradley-Terry's own fit, equivariance, and data that have no fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from bandits.preference.comparisons import population_weights
from bandits.preference.families import random_kl_bandit
from bandits.preference.log_linear import fit_log_linear
from theory.bradley_terry_fit import fit_bradley_terry
from theory.errors import InputError
from theory.pair_losses import PairLoss, conservative, logistic, robust

LOSSES = [logistic(), robust(0.2), conservative(0.1)]


def _data(seed: int, n: int = 30, d: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.uniform(0.1, 1.0, n)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_agrees_with_a_general_optimiser(loss: PairLoss) -> None:
    z, w = _data(0)
    centre = np.array([0.3, -0.2])

    def value(theta: np.ndarray) -> float:
        return float(w @ loss.value(z @ theta) + 0.05 * ((theta - centre) ** 2).sum())

    found = fit_log_linear(z, w, loss=loss, ridge=0.1, centre=centre)
    assert found.converged
    assert found.residual < 1e-12
    np.testing.assert_allclose(found.theta, minimize(value, np.zeros(2), method="BFGS", tol=1e-10).x, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3]))
def test_the_fit_turns_with_its_features(seed: int, ridge: float) -> None:
    z, w = _data(seed)
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((2, 2)))[0]
    plain, turned = fit_log_linear(z, w, ridge=ridge), fit_log_linear(z @ turn, w, ridge=ridge)
    np.testing.assert_allclose(turned.theta, plain.theta @ turn, atol=1e-9)
    if not ridge:  # and shrinks as they grow
        np.testing.assert_allclose(fit_log_linear(10 * z, w).theta, plain.theta / 10, atol=1e-10)
    np.testing.assert_allclose(fit_log_linear(-z, w, ridge=ridge).theta, -plain.theta, atol=1e-9)


def test_one_hot_features_are_bradley_terry() -> None:
    bandit = random_kl_bandit(K=4, concentration=5.0, seed=1)
    W = population_weights(bandit)
    i, j = np.nonzero(~np.eye(4, dtype=bool))
    features = np.delete(np.eye(4), 0, axis=1)
    fit = fit_log_linear(features[i] - features[j], W[i, j])
    strengths = fit_bradley_terry(W).theta
    np.testing.assert_allclose(fit.theta, strengths[1:] - strengths[0], atol=1e-9)
    np.testing.assert_allclose(fit.theta, bandit.reward[1:] - bandit.reward[0], atol=1e-9)


def test_several_data_sets_and_ridges() -> None:
    rng = np.random.default_rng(2)
    z, ridges = rng.standard_normal((5, 40, 3)), np.array([0.01, 0.1, 1.0, 10.0, 100.0])
    together = fit_log_linear(z, ridge=ridges)
    for k in range(5):
        alone = fit_log_linear(z[k], ridge=ridges[k])
        np.testing.assert_allclose(together.theta[k], alone.theta, atol=1e-12)
    shrunk = fit_log_linear(np.broadcast_to(z[0], z.shape), ridge=ridges).theta
    assert (np.diff(np.linalg.norm(shrunk, axis=1)) < 0).all()


def test_the_mean_is_the_default_and_repeats_are_weights() -> None:
    z, _ = _data(3)
    plain = fit_log_linear(z, ridge=0.1)
    np.testing.assert_allclose(plain.theta, fit_log_linear(z, np.full(30, 1 / 30), ridge=0.1).theta)
    np.testing.assert_allclose(plain.theta, fit_log_linear(np.concatenate((z, z)), ridge=0.1).theta, atol=1e-12)


def test_a_strong_ridge_holds_to_its_centre() -> None:
    z, _ = _data(4)
    np.testing.assert_allclose(fit_log_linear(z, ridge=1e8, centre=[1.0, 2.0]).theta, [1.0, 2.0], atol=1e-7)


def test_separable_data_have_no_fit_without_a_ridge() -> None:
    z = np.abs(_data(5)[0])  # every pair is explained by large enough parameters
    free, held = fit_log_linear(z), fit_log_linear(z, ridge=1e-6)
    assert not (free.converged and free.residual > 1e-12)
    assert np.linalg.norm(free.theta) > 25
    assert held.converged
    assert held.residual < 1e-12


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: fit_log_linear([1.0, 2.0]), "differences of features"),
        (lambda: fit_log_linear(np.zeros((0, 2))), "differences of features"),
        (lambda: fit_log_linear([[np.nan]]), "differences of features"),
        (lambda: fit_log_linear([[1.0]], [-1.0]), "weights of pairs"),
        (lambda: fit_log_linear([[1.0]], ridge=-1.0), "ridge is at least 0"),
        (lambda: fit_log_linear([[1.0]], ridge=np.inf), "ridge is at least 0"),
        (lambda: fit_log_linear([[1.0, 0.0], [-1.0, 0.0]]), "span all directions"),
    ],
)
def test_bad_input_gets_one_sentence(call, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()
