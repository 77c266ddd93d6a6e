"""Contextual bandits: values and gaps by hand, families, and what is refused."""

import numpy as np
import pytest

from bandits.contextual import (
    ContextualBandit,
    RegressionProblem,
    contextual_bandit,
    fixed_gap,
    outvoted,
    random_class,
    read_policy,
)
from theory.errors import InputError


def test_value_and_gaps_by_hand() -> None:
    bandit = ContextualBandit(np.array([[0.2, 0.6], [1.0, 0.0]]), np.array([0.25, 0.75]))
    assert bandit.contexts == bandit.actions == 2
    np.testing.assert_allclose(bandit.gaps, [[0.4, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(bandit.variances, [[0.16, 0.24], [0.0, 0.0]])
    policies = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [1.0, 0.0]]])
    np.testing.assert_allclose(bandit.value(policies), [0.25 * 0.2 + 0.75 * 0.5, 0.25 * 0.6 + 0.75])
    gaussian = ContextualBandit(np.array([[-3.0, 5.0]]), deviation=2.0)
    np.testing.assert_allclose(gaussian.variances, 4.0)


def test_families_contain_their_truth() -> None:
    assert random_class(seed=1).realizable
    assert not random_class(seed=1, dropped=True).realizable
    assert outvoted(size=4).size == 4
    assert outvoted().realizable
    assert not outvoted(truth=0.45, actual=0.7).realizable
    problem = fixed_gap(X=3, K=4, size=7, gap=0.2, seed=5)
    assert problem.realizable
    np.testing.assert_allclose(np.sort(problem.functions, axis=2)[..., [0, -1]], np.broadcast_to([0.4, 0.6], (7, 3, 2)))
    assert set(np.unique(random_class(low=0.2, high=0.8, two_valued=True, seed=2).functions)) == {0.2, 0.8}
    assert contextual_bandit(X=4, skewed=True, seed=3).law.std() > 0


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ContextualBandit(np.zeros(3)), r"contexts by actions, not an array of shape \(3,\)"),
        (lambda: ContextualBandit(np.array([[0.5, 1.5]])), r"action 1 in context 0 has the mean reward 1\.5, outside \[0, 1\]"),
        (lambda: ContextualBandit(np.array([[np.nan]]), deviation=1.0), r"action 0 in context 0 .* outside the real numbers"),
        (lambda: ContextualBandit(np.zeros((2, 2)), np.array([0.5, 0.6])), "the law of 2 contexts"),
        (lambda: ContextualBandit(np.zeros((2, 2)), deviation=-1.0), r"finite and at least 0, not -1\.0"),
        (lambda: read_policy(np.ones((2, 2)), (2, 2)), r"row \[1\.0, 1\.0\] in context 0"),
        (lambda: read_policy(np.ones((2, 3)), (2, 2)), r"shape \(2, 2\), contexts by actions, not \(2, 3\)"),
        (lambda: RegressionProblem(ContextualBandit(np.zeros((2, 2))), np.zeros((1, 3, 2))), r"shape \(F, 2, 2\)"),
        (lambda: RegressionProblem(ContextualBandit(np.zeros((1, 1))), np.full((1, 1, 1), 2.0)), r"function 0 predicts 2\.0"),
        (lambda: random_class(size=1, dropped=True), "none left"),
        (lambda: outvoted(size=1), "at least 2 functions, not 1"),
        (lambda: fixed_gap(gap=2.0), r"lies in \[0, 1\], not at 2\.0"),
    ],
)
def test_bad_input(make, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        make()
