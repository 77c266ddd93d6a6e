"""The continuous bandit: sums against adaptive quadrature, the branch and bound against a grid, gradients against differences, odds against draws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special

from bandits.continuous import (
    ContinuousBandit,
    GaussianMixture,
    _box_bound,
    best_expert_odds,
    best_gaussian,
    expert_values,
    fit_mixture,
    objective,
    optimal_weight,
    pathwise_gradient,
    quadrature_grid,
    score_gradient,
    soft_optimum,
    two_bumps,
    weight_gradient,
)
from theory.errors import InputError

BANDITS = [two_bumps(separation=m, temperature=a, drop=d) for m, a, d in ((1.0, 0.1, 0.0), (2.0, 0.3, 0.2), (0.0, 1.0, 0.0))]
POLICY = GaussianMixture(np.array([0.2, 0.5, 0.3]), np.array([-1.0, 0.3, 2.0]), np.array([0.4, 0.7, 0.5]))


@pytest.mark.parametrize("bandit", BANDITS)
def test_the_optimum_is_the_integral(bandit: ContinuousBandit) -> None:
    found = soft_optimum(bandit)
    top = float(bandit.reward(np.linspace(-5, 5, 2001)).max())

    def scaled(a: float) -> float:
        return math.exp((float(bandit.reward(a)) - top) / bandit.temperature)

    parts = [integrate.quad(scaled, a, b, epsabs=1e-14, epsrel=1e-13)[0] for a, b in ((-60, -4), (-4, 0), (0, 4), (4, 60))]
    assert found.value == pytest.approx(top + bandit.temperature * math.log(sum(parts)), abs=1e-11)
    assert 0 < found.width < 1e-12


def test_a_plain_parabola_has_a_closed_form() -> None:
    # a bump so low that it is not there
    bandit = ContinuousBandit(np.zeros(1), np.array([1e-300]), 2.0, 0.5, 0.7)
    exact = 0.5 * 0.7 * math.log(math.pi * 0.7 / 0.5)
    assert soft_optimum(bandit).value == pytest.approx(exact, abs=1e-13)
    bracket = best_gaussian(bandit, tolerance=1e-5)
    assert bracket.lower <= exact + 1e-12 <= bracket.upper + 2e-12
    assert bracket.deviation == pytest.approx(math.sqrt(0.7), rel=1e-4)


@pytest.mark.parametrize("bandit", BANDITS)
def test_objective_of_a_mixture(bandit: ContinuousBandit) -> None:
    found, optimum = objective(bandit, POLICY), soft_optimum(bandit)

    def earned(a: float) -> float:
        log_pi = float(POLICY.log_density(a))
        return math.exp(log_pi) * (float(bandit.reward(a)) - bandit.temperature * log_pi)

    assert found.value == pytest.approx(integrate.quad(earned, -9, 9, points=[0.0], epsabs=1e-12, limit=400)[0], abs=1e-9)
    assert optimum.value - found.value == pytest.approx(bandit.temperature * found.divergence, abs=max(found.width, 1e-11))
    alone = GaussianMixture(np.ones(1), np.array([0.4]), np.array([0.6]))
    assert objective(bandit, alone).value == pytest.approx(float(bandit.gaussian_objective(0.4, 0.6)), abs=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.floats(-4, 4), st.floats(0.05, 3))
def test_the_closed_form_of_the_reward(mean: float, deviation: float) -> None:
    for bandit in BANDITS:
        grid = np.linspace(-12, 12, 6001)
        summed = bandit.reward(mean + deviation * grid) @ np.exp(-(grid**2) / 2) * (grid[1] - grid[0]) / math.sqrt(2 * math.pi)
        assert float(bandit.expected_reward(mean, deviation)) == pytest.approx(summed, abs=1e-11)


@pytest.mark.parametrize("bandit", BANDITS)
def test_no_gaussian_of_a_grid_beats_the_bracket(bandit: ContinuousBandit) -> None:
    bracket = best_gaussian(bandit, tolerance=1e-3)
    mean, deviation = np.meshgrid(np.linspace(-6, 6, 601), np.geomspace(1e-3, 30, 400))
    best = float(bandit.gaussian_objective(mean, deviation).max())
    assert best <= bracket.upper
    assert bracket.lower <= bracket.upper <= bracket.lower + 1e-3 + 1e-9
    assert best <= bracket.lower + 1e-9  # the polished start is at least as good as a grid
    assert float(bandit.gaussian_objective(bracket.mean, bracket.deviation)) <= bracket.lower + 1e-12


@pytest.mark.parametrize("bandit", BANDITS)
def test_the_bound_of_a_box_is_above_all_in_it(bandit: ContinuousBandit) -> None:
    rng = np.random.default_rng(0)
    low = np.stack([rng.uniform(-5, 5, 400), rng.uniform(-4, 2, 400)], axis=1)
    size = 10 ** rng.uniform(-3, 0.5, (400, 2))
    boxes = np.stack([low[:, 0], low[:, 0] + size[:, 0], low[:, 1], low[:, 1] + size[:, 1]], axis=1)
    inside = low + size * rng.uniform(size=(300, 400, 2))
    inside[:4] = low + size * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])[:, None]
    best = bandit.gaussian_objective(inside[..., 0], np.exp(inside[..., 1])).max(axis=0)
    bound = _box_bound(bandit, boxes)
    assert (best <= bound + 1e-12).all()
    small = size.max(axis=1) < 0.01
    assert (bound - best)[small].max() < 0.05


def test_the_bracket_shrinks_around_the_same_value() -> None:
    coarse, fine = (best_gaussian(BANDITS[1], tolerance=t) for t in (1e-2, 1e-4))
    assert fine.lower == pytest.approx(coarse.lower, abs=1e-9)
    assert fine.upper < coarse.upper
    assert fine.boxes > coarse.boxes


def test_two_gaussians_for_two_bumps() -> None:
    bandit = BANDITS[0]
    optimum, fit = soft_optimum(bandit), fit_mixture(bandit, 2, starts=2)
    assert fit.weights == pytest.approx([0.5, 0.5], abs=1e-4)
    assert fit.means == pytest.approx(-fit.means[::-1], abs=1e-4)
    two = objective(bandit, fit, optimum).value
    one = objective(bandit, fit_mixture(bandit, 1, starts=4), optimum).value
    assert one == pytest.approx(best_gaussian(bandit).lower, abs=1e-7)
    assert optimum.value - two == pytest.approx(0.0003918, abs=1e-6)
    # a step of any parameter does not improve the fit
    assert np.abs(score_gradient(bandit, fit)).max() < 1e-5


@pytest.mark.parametrize("bandit", BANDITS)
def test_gradients_are_those_of_the_objective(bandit: ContinuousBandit) -> None:
    def value(shift: np.ndarray) -> float:
        weights = special.softmax(np.log(POLICY.weights) + shift[0])
        return objective(bandit, GaussianMixture(weights, POLICY.means + shift[1], POLICY.deviations * np.exp(shift[2]))).value

    step = 1e-5
    exact = np.zeros((3, 3))
    for i in np.ndindex(3, 3):
        moved = np.zeros((3, 3))
        moved[i] = step
        exact[i] = (value(moved) - value(-moved)) / (2 * step)
    assert score_gradient(bandit, POLICY) == pytest.approx(exact, abs=1e-8)
    assert weight_gradient(bandit, POLICY) == pytest.approx(exact[0], abs=1e-8)
    assert pathwise_gradient(bandit, POLICY) == pytest.approx(np.zeros(3), abs=1e-12)
    assert POLICY.weights @ expert_values(bandit, POLICY) == pytest.approx(objective(bandit, POLICY).value, abs=1e-8)


@pytest.mark.parametrize("bandit", BANDITS)
def test_odds_of_the_best_expert(bandit: ContinuousBandit) -> None:
    low, high = best_expert_odds(bandit, POLICY)
    assert (low <= high).all()
    assert (high - low).max() < 5e-3
    assert low.sum() <= 1 <= high.sum()
    rng = np.random.default_rng(0)
    actions = POLICY.means + POLICY.deviations * rng.standard_normal((200_000, 3))
    seen = np.bincount(bandit.reward(actions).argmax(axis=1), minlength=3) / 200_000
    assert (seen > low - 0.006).all()
    assert (seen < high + 0.006).all()
    finer = best_expert_odds(bandit, POLICY, cells=12_000)
    assert (finer[0] >= low - 1e-12).all()
    assert (finer[1] <= high + 1e-12).all()


def test_odds_of_experts_that_fit_parabolas() -> None:
    # at a low temperature the bumps are parabolas: the difference of two chi-squares on one degree of freedom, a Bessel function
    bandit = two_bumps(separation=2.0, temperature=0.002, drop=0.002, curvature=1e-6)
    policy = GaussianMixture(np.full(2, 0.5), bandit.centres, np.full(2, math.sqrt(0.002 / 4)))
    exact = integrate.quad(lambda x: float(special.k0(x)) / math.pi, 1, 60)[0]
    low, high = best_expert_odds(bandit, policy)
    assert low[0] - 2e-3 < exact < high[0] + 2e-3
    assert optimal_weight(bandit, policy) == pytest.approx(1 / (1 + math.e), abs=1e-3)


def test_the_optimal_weight_maximises() -> None:
    bandit, means, deviations = BANDITS[1], np.array([-1.5, 1.0]), np.array([0.8, 0.6])
    best = optimal_weight(bandit, GaussianMixture(np.full(2, 0.5), means, deviations))
    values = {
        w: objective(bandit, GaussianMixture(np.array([w, 1 - w]), means, deviations)).value
        for w in (best - 0.01, best, best + 0.01)
    }
    assert max(values, key=values.__getitem__) == best


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ContinuousBandit(np.zeros(0), np.zeros(0), 1.0, 1.0, 1.0),
        lambda: ContinuousBandit(np.zeros(2), np.ones(1), 1.0, 1.0, 1.0),
        lambda: ContinuousBandit(np.zeros(1), np.zeros(1), 1.0, 1.0, 1.0),
        lambda: ContinuousBandit(np.zeros(1), np.ones(1), 1.0, 0.0, 1.0),
        lambda: two_bumps(temperature=math.nan),
        lambda: soft_optimum(two_bumps(temperature=1e-5)),
        lambda: GaussianMixture(np.array([0.5, 0.6]), np.zeros(2), np.ones(2)),
        lambda: GaussianMixture(np.array([0.5, 0.5]), np.zeros(2), np.array([1.0, 0.0])),
        lambda: GaussianMixture(np.ones(1), np.zeros(2), np.ones(2)),
        lambda: GaussianMixture(np.ones(1), np.array([math.inf]), np.ones(1)),
        lambda: quadrature_grid(GaussianMixture(np.full(2, 0.5), np.zeros(2), np.array([1e-7, 1.0]))),
        lambda: best_gaussian(BANDITS[0], tolerance=0.0),
        lambda: best_gaussian(BANDITS[0], tolerance=1e-6, most=100),
        lambda: fit_mixture(BANDITS[0], 0),
        lambda: best_expert_odds(BANDITS[0], POLICY, cells=1),
        lambda: optimal_weight(BANDITS[0], POLICY),
    ],
)
def test_bad_input_is_refused(wrong) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError) as caught:
        wrong()
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
