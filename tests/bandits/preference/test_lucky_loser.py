"""The lucky loser: its law by enumeration, and its grouped fits against fits of all responses."""

import itertools

import numpy as np
import pytest
from scipy.special import expit

from bandits.preference.adversarial_reward import RewardGame, adversarial_reward
from bandits.preference.box_likelihood import fit_in_box
from bandits.preference.lucky_loser import learnt_policies, lucky_loser, outcome_law, sample_lucky_loser
from theory.errors import InputError
from theory.tilts import log_tilt


def test_the_law_of_outcomes_by_enumeration() -> None:
    instance = lucky_loser(N=5, losers=2, scale=1.0)
    assert instance.upset == pytest.approx(expit(-0.6))
    assert instance.win == pytest.approx(expit(0.2))
    law: dict[tuple[int, int], float] = {}
    for upsets in itertools.product((0, 1), repeat=2):
        for wins in itertools.product((0, 1), repeat=3):
            chance = np.prod([instance.upset if u else 1 - instance.upset for u in upsets])
            chance *= np.prod([instance.win if w else 1 - instance.win for w in wins])
            key = sum(upsets), sum(wins)
            law[key] = law.get(key, 0.0) + float(chance)
    upsets, wins, found = outcome_law(instance)
    assert {(int(u), int(w)) for u, w in zip(upsets, wins)} == set(law)
    np.testing.assert_allclose(found, [law[int(u), int(w)] for u, w in zip(upsets, wins)], rtol=1e-12)


@pytest.mark.parametrize("N", [20, 400, 6400])
def test_hardly_anything_is_left_out(N: int) -> None:
    law = outcome_law(lucky_loser(N=N))[2]
    assert 1 - 1e-12 * (law.size + 1) < law.sum() < 1 + 1e-12


def test_samples_have_the_law() -> None:
    instance, rng = lucky_loser(N=50, losers=5), np.random.default_rng(0)
    samples = np.array([sample_lucky_loser(instance, rng) for _ in range(4000)])
    assert (samples.sum(axis=(1, 2)) == 50).all()
    upsets, wins = samples[:, 2:, 1].sum(axis=1), samples[:, 0, 1]
    for seen, n, p in ((upsets, 5, instance.upset), (wins, 45, instance.win)):
        assert abs(seen.mean() - n * p) < 6 * np.sqrt(n * p * (1 - p) / 4000)
        assert seen.var() == pytest.approx(n * p * (1 - p), rel=0.2)
    assert (samples[:, 2:, 1] + samples[:, 1, 2:] == 1).all()


@pytest.mark.parametrize("eta", [None, 3.0, 12.0])
def test_grouped_fits_are_fits_of_all_responses(eta: float | None) -> None:
    instance = lucky_loser(N=40, losers=4)
    upsets, wins, _ = outcome_law(instance)
    learnt = learnt_policies(instance, eta)
    assert learnt.certificate < 1e-12
    np.testing.assert_allclose(learnt.reward, [2.4, 1.8, 0.0, 0.0])
    for k in range(0, upsets.size, 29):
        u = int(upsets[k])
        counts = np.zeros((6, 6))
        counts[0, 1], counts[1, 0] = wins[k], 36 - wins[k]
        counts[2 : 2 + u, 1], counts[1, 2 + u :] = 1, 1
        bandit = instance.bandit
        if eta is None:
            policy = log_tilt(bandit.log_reference, fit_in_box(counts, 0.0, 3.0).reward, bandit.beta)
        else:
            policy = adversarial_reward(
                RewardGame(counts, bandit.log_reference, instance.base, bandit.beta, eta, 0.0, 3.0)
            ).log_policy
        p = np.exp(policy)
        np.testing.assert_allclose(
            np.exp(learnt.log_policies[k]), [p[0], p[1], p[2 : 2 + u].sum(), p[2 + u :].sum()], atol=1e-6
        )
        best = np.exp(bandit.log_optimum)
        np.testing.assert_allclose(np.exp(learnt.log_optimum[k]), [*best[:2], u * best[-1], (4 - u) * best[-1]], atol=1e-12)


def test_a_lucky_loser_inside_the_box_is_played_with_the_probability_that_its_label_allows() -> None:
    """pi(y) = (eta/N) sigma(r(1) - r(y)): the derivative of the adversary's objective is 0 there."""
    instance = lucky_loser(N=400, losers=3)
    counts = sample_lucky_loser(instance, np.random.default_rng(1))
    counts[2, 1], counts[1, 2] = 1, 0
    game = RewardGame(counts, instance.bandit.log_reference, instance.base, 0.05, 20.0, 0.0, 3.0)
    found = adversarial_reward(game)
    assert 0.0 < found.reward[2] < 3.0
    assert np.exp(found.log_policy[2]) == pytest.approx(20 / 400 * expit(found.reward[1] - found.reward[2]), rel=1e-8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lucky_loser(N=3, losers=4), "not 3"),
        (lambda: lucky_loser(losers=0), "at least 1"),
        (lambda: learnt_policies(lucky_loser(N=30), -1.0), "weight eta"),
        (lambda: learnt_policies(lucky_loser(N=30), np.inf), "weight eta"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
