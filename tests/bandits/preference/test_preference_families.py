"""Families of KL-regularised bandits: what their docstrings promise, and keys that rebuild them."""

import numpy as np
import pytest

from bandits.preference.families import SMALLEST_PROBABILITY, hole_bandit, kl_bandit, random_kl_bandit
from theory.claims.families import read_key
from theory.errors import InputError


@pytest.mark.parametrize("family", [random_kl_bandit, hole_bandit, kl_bandit])
def test_a_key_rebuilds_its_instance(family) -> None:
    first = family() if family is kl_bandit else family(K=4, beta=0.3, seed=7)
    (call,) = read_key(first.key)
    again = family(**call.parameters)
    np.testing.assert_array_equal(again.reward, first.reward)
    np.testing.assert_array_equal(again.log_reference, first.log_reference)
    np.testing.assert_array_equal(again.log_pairs, first.log_pairs)
    assert again.beta == first.beta
    assert again.key == first.key


def test_random_bandits() -> None:
    bandit = random_kl_bandit(K=50, concentration=0.01, spread=0.0, seed=1)
    assert bandit.reference.min() == pytest.approx(SMALLEST_PROBABILITY, rel=1e-6)
    assert bandit.reference.sum() == pytest.approx(1.0)
    assert not bandit.reward.any()
    prompted = random_kl_bandit(K=3, prompts=4, seed=1)
    assert prompted.reward.shape == (4, 3)
    np.testing.assert_allclose(prompted.prompts, 0.25)
    rewards = np.array([random_kl_bandit(K=2, spread=3.0, seed=s).reward for s in range(400)])
    assert rewards.std() == pytest.approx(3.0, rel=0.15)


def test_bandits_for_searches() -> None:
    bandit = kl_bandit(reward=(1.0, 2.0, 3.0), logits=(0.0, np.log(2.0), 0.0), beta=0.7)
    np.testing.assert_allclose(bandit.reference, [0.25, 0.5, 0.25])
    np.testing.assert_array_equal(bandit.reward, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("delta", [0.0, 1e-30, 0.3])
@pytest.mark.parametrize("weight", [0.0, 0.2])
def test_holes(delta: float, weight: float) -> None:
    bandit = hole_bandit(K=4, delta=delta, weight=weight, hole=-7.0, seed=2)
    pairs = np.exp(bandit.log_pairs)
    assert bandit.responses == 5
    assert bandit.reward[-1] == -7.0
    assert bandit.reference[-1] == pytest.approx(delta)
    assert pairs[-1] == pytest.approx(weight)
    q = hole_bandit(K=4, seed=2).reference[:-1]  # the same law of the covered responses
    np.testing.assert_allclose(bandit.reference[:-1], (1 - delta) * q)
    np.testing.assert_allclose(pairs[:-1], (1 - weight) * q)


def test_an_even_hole_bandit() -> None:
    np.testing.assert_allclose(hole_bandit(K=4, concentration=np.inf).reference, [0.25] * 4 + [0.0])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: kl_bandit(reward=(0.0, 1.0, 2.0)), "as many logits"),
        (lambda: hole_bandit(delta=1.0), r"\[0, 1\)"),
        (lambda: hole_bandit(weight=-0.1), r"\[0, 1\)"),
        (lambda: random_kl_bandit(beta=0.0), "temperature"),
    ],
)
def test_bad_input_gets_one_sentence(call, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()
