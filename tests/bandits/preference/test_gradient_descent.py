"""Gradient descent of softmax policies: conserved sums, limits in closed form, derivatives, and bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from scipy.special import log_softmax

from bandits.preference.comparisons import population_weights
from bandits.preference.families import hole_bandit, random_kl_bandit
from bandits.preference.gradient_descent import descend
from theory.errors import InputError
from theory.pair_losses import expected_pair_loss, ipo, logistic
from theory.tilts import log_tilt

HALF = np.log([0.5, 0.5])
ONE_WIN = np.array([[0.0, 1.0], [0.0, 0.0]])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 7.9))
def test_the_loss_falls_and_the_sum_of_logits_stays(seed: int, step: float) -> None:
    bandit = random_kl_bandit(K=4, beta=0.5, seed=seed)
    W = population_weights(bandit)
    losses, theta = [], np.zeros(4)
    for _ in range(20):
        losses.append(float(expected_pair_loss(bandit.beta * theta, W, logistic())))
        theta = descend(bandit.log_reference, W, bandit.beta, step=step / bandit.beta**2, steps=1, start=theta).theta
        assert theta.sum() == pytest.approx(0.0, abs=1e-12)
    assert (np.diff(losses) <= 1e-15).all()


def test_it_is_the_gradient() -> None:
    rng = np.random.default_rng(0)
    bandit = random_kl_bandit(K=5, beta=0.7, seed=1)
    W, features, start = population_weights(bandit), rng.standard_normal((5, 2)), rng.standard_normal(2)

    def value(theta: np.ndarray) -> float:
        return float(expected_pair_loss(0.7 * features @ theta, W, logistic()))

    moved = descend(bandit.log_reference, W, 0.7, step=0.1, steps=1, features=features, start=start)
    np.testing.assert_allclose((start - moved.theta) / 0.1, approx_fprime(start, value, 1e-7), atol=1e-6)
    np.testing.assert_allclose(moved.log_policy, log_softmax(bandit.log_reference + features @ moved.theta))


def test_the_limit_is_the_optimum_where_all_responses_are_compared() -> None:
    bandit = random_kl_bandit(K=4, concentration=20.0, beta=0.5, seed=2)
    run = descend(bandit.log_reference, population_weights(bandit), 0.5, step=16.0, steps=20_000, tolerance=1e-14)
    assert run.steps < 20_000
    assert run.residual <= 1e-14
    np.testing.assert_allclose(run.log_policy, bandit.log_optimum, atol=1e-10)


def test_what_no_pair_shows_keeps_its_logit() -> None:
    bandit = hole_bandit(K=3, delta=1e-3, concentration=20.0, hole=-50.0, seed=3)
    W = population_weights(bandit)
    run = descend(bandit.log_reference, W, bandit.beta, step=4 / bandit.beta**2, steps=20_000, tolerance=1e-14)
    assert run.theta[-1] == 0.0
    learnt = np.append(bandit.reward[:-1], bandit.reward[:-1].mean())
    np.testing.assert_allclose(run.log_policy, log_tilt(bandit.log_reference, learnt, bandit.beta), atol=1e-9)


def test_ipo_has_its_closed_form() -> None:
    """On two responses of which one always wins, the log-ratio tends to 1/(2 tau)."""
    run = descend(HALF, ONE_WIN, 1.0, step=0.2, steps=1000, loss=ipo(0.5), tolerance=1e-15)
    assert run.log_policy[0] - run.log_policy[1] == pytest.approx(1.0)


def test_the_numbers_of_the_extrapolation_example() -> None:
    features = np.array([[1.0], [0.0], [10.0]])
    run = descend(np.log(np.full(3, 1 / 3)), [[0, 1, 0], [0, 0, 0], [0, 0, 0]], 1.0, step=0.1, steps=1, features=features)
    assert run.theta[0] == pytest.approx(0.05)  # half a step: the slope of the loss at 0 is -1/2
    np.testing.assert_allclose(np.exp(run.log_policy), [0.284, 0.270, 0.446], atol=5e-4)


def test_no_steps_and_an_early_end() -> None:
    nothing = descend(HALF, ONE_WIN, 0.5, step=1.0, steps=0)
    assert nothing.steps == 0
    assert nothing.residual == pytest.approx(0.25)
    np.testing.assert_array_equal(nothing.log_policy, HALF)
    assert descend(HALF, ONE_WIN, 0.5, step=1.0, steps=100, tolerance=0.3).steps == 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: descend([HALF], ONE_WIN, 0.5, step=1.0, steps=1), "a reference"),
        (lambda: descend(HALF, np.ones((3, 3)), 0.5, step=1.0, steps=1), "weights"),
        (lambda: descend(HALF, -ONE_WIN, 0.5, step=1.0, steps=1), "at least 0"),
        (lambda: descend(HALF, ONE_WIN, -0.5, step=1.0, steps=1), "temperature"),
        (lambda: descend(HALF, ONE_WIN, 0.5, step=0.0, steps=1), "positive finite size"),
        (lambda: descend(HALF, ONE_WIN, 0.5, step=1.0, steps=-1), "at least 0 of them"),
        (lambda: descend(HALF, ONE_WIN, 0.5, step=1.0, steps=1, features=[[1.0], [np.nan]]), "features"),
        (lambda: descend(HALF, ONE_WIN, 0.5, step=1.0, steps=1, start=[0.0]), "a start has 2"),
    ],
)
def test_bad_input_gets_one_sentence(call, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()
