"""Lists: values by hand, loops, brute force over permutations, and the bound on the regret in whole numbers."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.preference.listwise import (
    dcg,
    dcg_regret,
    gains,
    lambda_loss,
    lambda_weights,
    list_mle,
    logarithmic,
    pairwise_loss,
    ranks,
)
from theory.errors import InputError
from theory.pair_losses import hinge

seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    K = int(rng.integers(1, 6))
    return rng.standard_normal(K), rng.integers(0, 4, K) / 3


def test_ranks() -> None:
    assert ranks([0.3, 2.0, -1.0]).tolist() == [2, 1, 3]
    assert ranks([1.0, 2.0, 1.0]).tolist() == [2, 1, 3]
    assert ranks([[1, 2], [2, 1]]).tolist() == [[2, 1], [1, 2]]


def test_dcg_by_hand() -> None:
    labels = [1.0, 0.0, 1.0]
    assert dcg([3.0, 2.0, 1.0], labels) == pytest.approx(1 / np.log(2) + 1 / np.log(4))
    assert dcg_regret([3.0, 2.0, 1.0], labels) == pytest.approx(1 / np.log(3) - 1 / np.log(4))
    np.testing.assert_allclose(gains([0.0, 0.5, 1.0]), [0.0, np.sqrt(2) - 1, 1.0])


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_no_ranking_beats_that_of_the_labels(seed: int) -> None:
    scores, labels = drawn(seed)
    best = max(dcg(np.array(order, dtype=float), labels) for order in itertools.permutations(range(len(labels))))
    assert dcg(labels, labels) == pytest.approx(best, abs=1e-12)
    assert dcg_regret(scores, labels) >= -1e-12


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_the_lambda_loss_by_loops(seed: int) -> None:
    scores, labels = drawn(seed)
    place, total = ranks(scores), 0.0
    for i, j in itertools.permutations(range(len(labels)), 2):
        if labels[i] > labels[j]:
            change = abs(2 ** labels[i] - 2 ** labels[j]) * abs(1 / np.log1p(place[i]) - 1 / np.log1p(place[j]))
            assert lambda_weights(scores, labels)[i, j] == pytest.approx(change, abs=1e-12)
            total += change * np.log1p(np.exp(scores[j] - scores[i]))
        else:
            assert lambda_weights(scores, labels)[i, j] == 0
    assert lambda_loss(scores, labels) == pytest.approx(total, abs=1e-12)


def test_the_reduction_of_the_bound_in_whole_numbers() -> None:
    """min(m, R) - t <= (m - t)(R - t), and the regret and the sum are those, for gains 0, 1 and weights 0, 1 of places."""
    K = 5
    for m, relevant in itertools.product(range(K + 1), itertools.product((0, 1), repeat=K)):
        weight = np.array([Fraction(int(k < m)) for k in range(K)])
        gain = np.array([Fraction(g) for g in relevant])  # in the order of the ranking
        regret = sum(sorted(gain, reverse=True) * weight) - sum(gain * weight)
        pairs = sum(
            abs(gain[i] - gain[j]) * abs(weight[i] - weight[j]) for j in range(K) for i in range(j + 1, K) if gain[i] > gain[j]
        )
        t, R = sum(relevant[:m]), sum(relevant)
        assert regret == min(m, R) - t
        assert pairs == (m - t) * (R - t) >= regret


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_list_mle_is_the_product_of_choices(seed: int) -> None:
    scores, labels = drawn(seed)
    order, left, chance = sorted(range(len(labels)), key=lambda i: (-labels[i], i)), list(range(len(labels))), 1.0
    for i in order:
        chance *= np.exp(scores[i]) / sum(np.exp(scores[j]) for j in left)
        left.remove(i)
    assert list_mle(scores, labels) == pytest.approx(-np.log(chance), abs=1e-10)


def test_pairwise_losses_by_hand() -> None:
    scores, labels = np.array([0.2, 1.0, -0.5]), np.array([1.0, 0.0, 0.0])
    assert pairwise_loss(scores, labels) == pytest.approx(np.log1p(np.exp(0.8)) + np.log1p(np.exp(-0.7)))
    assert pairwise_loss(scores, labels, hinge()) == pytest.approx(1.8 + 0.3)
    assert lambda_loss(scores, np.zeros(3)) == 0.0


def test_shifts_and_relabelling() -> None:
    rng = np.random.default_rng(2)
    scores, labels, order = rng.standard_normal(6), rng.uniform(size=6), rng.permutation(6)
    for value in (lambda_loss, pairwise_loss, list_mle, dcg, dcg_regret):
        assert value(scores + 3.0, labels) == pytest.approx(value(scores, labels))
        assert value(scores[order], labels[order]) == pytest.approx(value(scores, labels))
    assert dcg(5 * scores, labels, logarithmic) == dcg(scores, labels)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ranks(1.0), "at least one"),
        (lambda: ranks([np.nan, 1.0]), "finite scores"),
        (lambda: gains([0.5, 1.5]), r"lie in \[0, 1\]"),
        (lambda: lambda_weights([1.0, 2.0], [0.5]), "one shape"),
        (lambda: list_mle([np.inf, 1.0], [0.5, 0.2]), "finite"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
