"""Step sizes of a policy gradient: a plain twin, exact cases, and the equilibrium against linear algebra."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.step_size_curriculum import Environment, environments, minimax, relative_regret, step_size_table
from theory.errors import InputError


def _twin(eta: float, place: Environment, steps: int, rng: np.random.Generator) -> tuple[float, float]:
    """One run in plain Python, with the random numbers of the table's only run."""
    theta, mean, regret, surprise = np.zeros(place.arms), 0.0, 0.0, 0.0
    for t in range(steps):
        policy = np.exp(theta) / np.exp(theta).sum()
        regret += place.gap * (1 - policy[-1])
        arm = int(np.searchsorted(np.cumsum(policy[:-1]), rng.random((1, 1))[0, 0], side="right"))
        reward = place.gap * (arm == place.arms - 1) + place.deviation * rng.standard_normal((1, 1))[0, 0]
        advantage = reward - mean if t > 0 else 0.0
        surprise += abs(advantage)
        mean = (mean * t + reward) / (t + 1)
        theta = theta + eta * advantage * (np.eye(place.arms)[arm] - policy)
    return regret / steps, surprise / steps


@pytest.mark.parametrize("arms", [2, 5])
@pytest.mark.parametrize("eta", [0.3, 5.0])
def test_the_table_equals_its_plain_twin(arms: int, eta: float) -> None:
    place = Environment(arms, 0.7, 0.4)
    table = step_size_table([eta], [place], 30, 1, 7)
    regret, surprise = _twin(eta, place, 30, np.random.default_rng(7))
    assert table.regret[0, 0, 0] == pytest.approx(regret)
    assert table.surprise[0, 0, 0] == pytest.approx(surprise)


def test_without_steps_the_policy_stays_uniform() -> None:
    places = environments((2, 4), (0.5,), (0.0, 1.0))
    table = step_size_table([0.0], places, 5, 3, 0)
    assert table.regret[0] == pytest.approx(np.array([0.25, 0.25, 0.375, 0.375])[:, None] * np.ones(3))


def test_scaling_rewards_is_scaling_the_step_size() -> None:
    small = step_size_table([4.0], [Environment(3, 0.25, 0.5)], 20, 5, 1)
    large = step_size_table([1.0], [Environment(3, 1.0, 2.0)], 20, 5, 1)
    assert 4 * small.regret == pytest.approx(large.regret)
    assert 4 * small.surprise == pytest.approx(large.surprise)


def test_one_step_of_two_arms_without_noise_is_exact() -> None:
    # the second round's reward less the first's is 0, gap or -gap: the policy moves only when the arms differ
    table = step_size_table([2.0], [Environment(2, 1.0, 0.0)], 3, 4000, 2)
    moved = 1 / (1 + np.exp(-2.0))  # theta = (-1, 1) after either order of the two arms
    expected = (0.5 + 0.5 + 0.5 * 0.5 + 0.5 * (1 - moved)) / 3
    assert abs(table.regret.mean() - expected) < 5 * table.regret.std() / np.sqrt(4000)


def test_step_sizes_meet_the_same_random_numbers() -> None:
    place = [Environment(2, 0.3, 0.2)]
    both = step_size_table([0.5, 2.0], place, 10, 4, 3).regret
    assert both[1] == pytest.approx(step_size_table([2.0], place, 10, 4, 3).regret[0])


def test_environments_are_all_combinations() -> None:
    places = environments((2, 8), (0.1, 1.0), (0.1, 0.5))
    assert len(places) == 8
    assert places[0] == Environment(2, 0.1, 0.1)
    assert places[-1] == Environment(8, 1.0, 0.5)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 1000))
def test_the_equilibrium_certifies_itself(rows: int, columns: int, seed: int) -> None:
    table = np.random.default_rng(seed).uniform(-1, 1, (rows, columns))
    found = minimax(table)
    assert found.upper - found.lower < 1e-9
    for law in (found.mixture, found.response):
        assert law.sum() == pytest.approx(1)
        assert law.min() >= 0
    assert minimax(table + 2).upper == pytest.approx(found.upper + 2)


def test_known_equilibria() -> None:
    pennies = minimax([[1.0, -1.0], [-1.0, 1.0]])
    assert pennies.upper == pytest.approx(0, abs=1e-12)
    assert pennies.mixture == pytest.approx([0.5, 0.5])
    assert minimax([[0.0, 1.0], [2.0, 3.0]]).response == pytest.approx([1, 0])


def test_relative_regret_is_0_for_the_best() -> None:
    assert relative_regret([[1.0, 5.0], [3.0, 2.0]]).tolist() == [[0.0, 3.0], [2.0, 0.0]]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Environment(1, 0.5, 0.1), "at least two arms, not 1"),
        (lambda: Environment(2, 0.0, 0.1), "above 0, not 0"),
        (lambda: Environment(2, 0.5, -0.1), "at least 0, not -0.1"),
        (lambda: step_size_table([-1.0], [Environment(2, 0.5, 0.1)], 3, 1, 0), "numbers, 0 or more"),
        (lambda: step_size_table([1.0], [], 3, 1, 0), "needs an environment"),
        (lambda: step_size_table([1.0], [Environment(2, 0.5, 0.1)], 0, 1, 0), "not 0 and 1"),
        (lambda: minimax([1.0, 2.0]), "is a matrix of numbers"),
        (lambda: minimax([[np.nan]]), "is a matrix of numbers"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=says):
        call()
