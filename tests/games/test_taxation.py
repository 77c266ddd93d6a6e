"""The tax economy against grid search, closed forms, a conic solver and finite differences."""

from __future__ import annotations

import cvxpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.taxation import (
    CurvedEconomy,
    TaxEconomy,
    TaxSchedule,
    best_response,
    curved_economy,
    curved_incomes,
    curved_outcome,
    economy_of,
    effort_cost,
    flat,
    income_weighted,
    log_normal_economy,
    log_normal_types,
    mechanism,
    mechanism_bound,
    optimal_flat_rate,
    optimal_rates,
    outcome,
    pareto_top,
    saez_rate,
    two_point_ascent,
    welfare,
)
from theory.errors import InputError

rates = st.lists(st.floats(-0.5, 0.95), min_size=3, max_size=3).map(np.array)


@settings(max_examples=50, deadline=None)
@given(rates=rates, elasticity=st.floats(0.1, 3))
def test_best_responses_against_a_grid(rates: np.ndarray, elasticity: float) -> None:
    economy = economy_of(elasticity=elasticity)
    schedule = TaxSchedule(rates, np.array([0.7, 2.0]))
    grid = np.concatenate([np.linspace(0, 40, 4001), [0.7, 2.0]])
    chosen = best_response(economy, schedule)
    for k, income in enumerate(chosen):
        alone = TaxEconomy(economy.skills[[k]], elasticity)
        utility = grid - schedule.tax(grid) - effort_cost(alone, grid[:, None])[:, 0]
        here = income - schedule.tax(np.array([income]))[0] - effort_cost(alone, [income])[0]
        assert here >= utility.max() - 1e-9 * max(1, abs(here))
        assert here - utility.max() < 0.05


def test_tax_and_outcome_by_hand() -> None:
    schedule = TaxSchedule(np.array([0.1, 0.5]), np.array([2.0]))
    assert schedule.tax([1.0, 2.0, 5.0]) == pytest.approx([0.1, 0.2, 1.7])
    economy = TaxEconomy(np.array([1.0, 4.0]), 1.0, weights=np.array([3.0, 1.0]), shares=np.array([3.0, 1.0]))
    # the first earns 0.9; the second would earn 3.6 at the low rate, 2.0 at the high one: exactly the threshold
    found = outcome(economy, schedule)
    assert found.incomes == pytest.approx([0.9, 2.0])
    assert found.taxes == pytest.approx([0.09, 0.2])
    assert found.lump_sum == pytest.approx(0.75 * 0.09 + 0.25 * 0.2)
    utilities = np.array([0.81 - 0.405, 1.8 - 0.5]) + found.lump_sum
    assert found.utilities == pytest.approx(utilities)
    assert found.welfare == pytest.approx((3 * 3 * utilities[0] + utilities[1]) / 10)


@settings(max_examples=30, deadline=None)
@given(rates=st.lists(rates, min_size=1, max_size=4), seed=st.integers(0, 10**6))
def test_many_schedules_at_once(rates: list[np.ndarray], seed: int) -> None:
    economy = log_normal_economy(workers=7, weights="random", seed=seed)
    thresholds = np.array([0.5, 1.5])
    together = outcome(economy, TaxSchedule(np.array(rates), thresholds))
    for k, row in enumerate(rates):
        alone = outcome(economy, TaxSchedule(row, thresholds))
        assert together.incomes[k] == pytest.approx(alone.incomes)
        assert together.welfare[k] == pytest.approx(float(alone.welfare))
    scaled = TaxEconomy(3 * economy.skills, economy.elasticity, 5 * economy.weights, 2 * economy.shares)
    stretched = outcome(scaled, TaxSchedule(np.array(rates), 3 * thresholds))
    assert stretched.welfare == pytest.approx(3 * together.welfare)


@settings(max_examples=40, deadline=None)
@given(elasticity=st.floats(0.1, 3), equity=st.floats(-0.05, 2), rate=st.floats(-2, 0.95))
def test_flat_rates_in_closed_form(elasticity: float, equity: float, rate: float) -> None:
    economy = economy_of(elasticity=elasticity, equity=equity)
    g = income_weighted(economy)
    s = 1 - rate
    closed = economy.skills.mean() * s**elasticity * (1 - s * (1 - g / (1 + elasticity)))
    assert welfare(economy, flat(rate)) == pytest.approx(closed)
    if g < 1 + elasticity:
        assert welfare(economy, flat(optimal_flat_rate(economy))) >= closed - 1e-12
    inverse = economy_of(elasticity=elasticity)
    harmonic = 1 / (1 / inverse.skills).mean()
    assert income_weighted(inverse) == pytest.approx(harmonic / inverse.skills.mean())


@pytest.mark.parametrize("economy", [economy_of(), economy_of(elasticity=0.3, equity=0.5), log_normal_types(types=6)])
def test_the_optimal_mechanism_against_a_conic_solver(economy: TaxEconomy) -> None:
    v, e, s, g = economy.skills, economy.elasticity, economy.shares, economy.weights
    power = 1 + 1 / e
    U, z = cvxpy.Variable(v.size), cvxpy.Variable(v.size, nonneg=True)
    k = cvxpy.Variable(v.size)  # at least z^power / power; the incentive constraints are linear in it
    constraints = [cvxpy.power(z, power, approx=False) / power <= k, s @ U <= s @ z - (s * v ** (-1 / e)) @ k]
    for i in range(v.size):
        constraints += [U[i] >= U[j] + (v[j] ** (-1 / e) - v[i] ** (-1 / e)) * k[j] for j in range(v.size) if j != i]
    problem = cvxpy.Problem(cvxpy.Maximize((s * g) @ U), constraints)
    problem.solve(solver=cvxpy.CLARABEL)
    plan = mechanism(economy, optimal_rates(economy))
    assert plan.welfare == pytest.approx(problem.value, rel=1e-5)
    assert plan.incomes == pytest.approx(z.value, rel=1e-3)
    assert mechanism_bound(economy, plan.incomes) == pytest.approx(plan.welfare, rel=1e-8)
    assert mechanism_bound(economy, 1.1 * plan.incomes) >= plan.welfare - 1e-8


def test_no_type_of_a_mechanism_gains_by_posing_as_another() -> None:
    economy = log_normal_types(types=9, elasticity=0.8)
    plan = mechanism(economy, optimal_rates(economy))
    paid = plan.utilities + effort_cost(economy, plan.incomes)  # consumption
    posing = paid[None, :] - effort_cost(TaxEconomy(np.repeat(economy.skills, 9), 0.8), np.tile(plan.incomes, 9)).reshape(9, 9)
    assert (posing <= plan.utilities[:, None] + 1e-12).all()
    assert economy.shares @ paid == pytest.approx(economy.shares @ plan.incomes)
    assert plan.rates == pytest.approx(1 - (plan.incomes / economy.skills) ** (1 / 0.8))
    assert plan.rates[-1] == 0


def test_pareto_skills_give_the_top_rate() -> None:
    """On a fine geometric grid of Pareto skills with no weight above, the general schedule is Saez' constant rate."""
    tail, elasticity = 2.0, 0.5
    v = np.geomspace(1, 1e4, 20_001)
    shares = v**-tail * (1 - (v[0] / v[1]) ** tail)
    economy = TaxEconomy(v, elasticity, weights=np.where(v < 1.5, 1.0, 0.0), shares=shares)
    chosen = optimal_rates(economy)[(v > 2) & (v < 100)]
    assert chosen == pytest.approx(np.full(chosen.size, saez_rate(0.0, tail, elasticity)), abs=2e-3)


@pytest.mark.parametrize("kwargs", [{}, {"curvature": 0.0}, {"curvature": 0.9, "power": 1.5}, {"equity": 0.0}])
def test_curved_economies(kwargs: dict[str, float]) -> None:
    economy = curved_economy(**kwargs)
    for rate in (0.0, 0.3, 0.8):
        found = curved_outcome(economy, rate)
        assert found.lump_sum == pytest.approx(rate * found.incomes.mean())
        labour = found.incomes / economy.skills
        condition = (1 - rate) * economy.skills * found.consumption**-economy.curvature
        assert condition == pytest.approx(labour ** (economy.power - 1))
        grid = found.incomes * np.linspace(0.8, 1.2, 401)[:, None]
        c = (1 - rate) * grid + found.lump_sum
        eta = economy.curvature
        utility = c ** (1 - eta) / (1 - eta) - (grid / economy.skills) ** economy.power / economy.power
        assert (utility.argmax(axis=0) == 200).all()
        if rate:
            h = 1e-5
            up, down = (np.log(curved_outcome(economy, rate + x).incomes.mean()) for x in (-h, h))
            measured = (up - down) / (np.log(1 - rate + h) - np.log(1 - rate - h))
            assert found.elasticity == pytest.approx(measured, rel=1e-5)
    ratio = np.log(curved_incomes(economy, 0.0, 0.0) / curved_incomes(economy, 0.5, 0.0)) / np.log(2)
    assert ratio == pytest.approx(np.full(5, economy.uncompensated_elasticity))


def test_an_ascent_climbs() -> None:
    def hill(x: np.ndarray) -> np.ndarray:
        return np.asarray(-((x - np.array([0.3, 0.6])) ** 2).sum(axis=1))

    found = two_point_ascent(hill, np.full((5, 2), 0.1), 400, 1, step_decay=0.3)
    assert found == pytest.approx(np.tile([0.3, 0.6], (5, 1)), abs=0.02)
    assert np.array_equal(found, two_point_ascent(hill, np.full((5, 2), 0.1), 400, 1, step_decay=0.3))
    assert np.array_equal(two_point_ascent(hill, np.full((1, 2), 0.1), 0, 1), [[0.1, 0.1]])
    limited = two_point_ascent(lambda x: x[:, 0], np.full((3, 1), 0.1), 200, 1)
    assert limited == pytest.approx(0.95)


def test_families() -> None:
    economy = pareto_top(tail=2.0, elasticity=0.5, welfare_weight=0.4, types=400)
    assert economy.shares[0] == pytest.approx(0.9)
    assert economy.shares @ economy.weights == pytest.approx(1)
    top = economy.shares[1:] / 0.1
    # the mean of a Pareto law from 3 with the tail 2 is 6, the share above 6 is a fourth
    assert top @ economy.skills[1:] == pytest.approx(6, rel=1e-3)
    assert top[economy.skills[1:] > 6].sum() == pytest.approx(0.25, abs=2e-3)
    assert np.diff(log_normal_economy(seed=2).skills).min() > 0


TWO = economy_of(skills=(1.0, 2.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TaxEconomy(np.ones((2, 2)), 1.0), r"\(2, 2\)"),
        (lambda: TaxEconomy(np.array([1.0, -1.0]), 1.0), "skill of type 1 is -1.0"),
        (lambda: TaxEconomy(np.ones(2), 0.0), "not 0.0"),
        (lambda: TaxEconomy(np.ones(2), 1.0, weights=np.ones(3)), r"\(3,\)"),
        (lambda: TaxEconomy(np.ones(2), 1.0, weights=np.zeros(2)), "positive welfare weight"),
        (lambda: TaxEconomy(np.ones(2), 1.0, shares=np.array([1.0, 0.0])), "share of type 1"),
        (lambda: TaxSchedule(np.array([0.1, 0.2])), "one fewer"),
        (lambda: flat(1.0), "1.0; it must be finite and below 1"),
        (lambda: TaxSchedule(np.array([0.1, 0.2]), np.array([-1.0])), "increasing"),
        (lambda: outcome(TWO, flat(0.1), [1.0]), "2 types"),
        (lambda: optimal_flat_rate(economy_of(skills=(1.0, 5.0), elasticity=0.1, equity=-3.0)), "not below 1 . e"),
        (lambda: saez_rate(1.0, 2.0, 0.5), "1.0, 2.0, 0.5"),
        (lambda: mechanism(TWO, [0.1]), "2 types"),
        (lambda: mechanism(TWO, [0.0, 0.9]), "type 1 would earn less than type 0"),
        (lambda: mechanism(economy_of(skills=(2.0, 1.0)), [0.0, 0.0]), "increasing order"),
        (lambda: optimal_rates(economy_of(skills=(2.0, 1.0))), "increasing order"),
        (lambda: optimal_rates(economy_of(equity=-1.0)), "must not exceed 1"),
        (lambda: mechanism_bound(TWO, [1.0, 0.0]), "positive incomes"),
        (lambda: two_point_ascent(lambda x: x[:, 0], [0.1], 3, 0), r"\(1,\)"),
        (lambda: CurvedEconomy(np.ones(2), curvature=1.0), "1.0 and 3.5"),
        (lambda: curved_outcome(curved_economy(), 1.0), "not at 1.0"),
        (lambda: curved_incomes(curved_economy(), 0.5, -1.0), "-1.0"),
        (lambda: log_normal_economy(weights="equal"), "'equal'"),
        (lambda: pareto_top(tail=1.0), "not 1.0"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
