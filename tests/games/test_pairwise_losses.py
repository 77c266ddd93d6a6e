"""Losses over pairs: by hand, by enumeration, by simulation; what minimises them, and the gradient of online IPO."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.generators import rock_paper_scissors, uniform
from games.mirror_descent import hedge, inpo, online_ipo
from games.pairwise_losses import (
    dpo_loss,
    expected_pair_loss,
    inpo_log_ratios,
    inpo_loss,
    inpo_regression_loss,
    ipo_loss,
    sppo_loss,
    sppo_regression_loss,
)
from games.prox import normalise
from games.regularised import solve_regularised
from theory.divergences import span
from theory.errors import InputError


def test_pair_losses_by_hand() -> None:
    winner, loser = np.array([0.0, 1.0]), np.array([0.0, -1.0])
    assert dpo_loss(winner, loser, beta=0.5) == pytest.approx([np.log(2), np.log1p(np.exp(-1))], rel=1e-15)
    assert ipo_loss(winner, loser, beta=0.5) == pytest.approx([1.0, 1.0], rel=1e-15)
    assert sppo_loss(winner, loser, step=1.0) == pytest.approx([0.5, 0.5], rel=1e-15)
    assert inpo_loss(winner, loser, step=1.0) == pytest.approx([0.25, 2.25], rel=1e-15)
    assert dpo_loss(-2000.0, 0.0, beta=1.0) == pytest.approx(2000.0, rel=1e-15)  # no overflow


def test_only_sppo_has_absolute_targets() -> None:
    rng = np.random.default_rng(0)
    winner, loser, shift = rng.standard_normal((3, 20))
    for loss in (
        functools.partial(dpo_loss, beta=0.3),
        functools.partial(ipo_loss, beta=0.3),
        functools.partial(inpo_loss, step=0.3),
    ):
        assert loss(winner + shift, loser + shift) == pytest.approx(loss(winner, loser), rel=1e-12)
    assert np.abs(sppo_loss(winner + 1, loser + 1, step=0.3) - sppo_loss(winner, loser, step=0.3)).min() > 1e-3
    assert sppo_loss(0.15, -0.15, step=0.3) == 0.0


@pytest.mark.parametrize("K", [1, 2, 5])
def test_the_expectation_is_the_sum_over_ordered_pairs(K: int) -> None:
    game, rng = uniform(K=K, seed=K), np.random.default_rng(K)
    sampling, ratios = normalise(rng.standard_normal(K)), rng.standard_normal((4, K))
    p, P = np.exp(sampling), game.A + 0.5

    def loss(winner, loser):
        return np.exp(winner) + loser**3  # neither symmetric nor a function of the difference

    by_hand = np.zeros(4)
    for y, other in itertools.product(range(K), repeat=2):
        first, second = loss(ratios[:, y], ratios[:, other]), loss(ratios[:, other], ratios[:, y])
        by_hand += p[y] * p[other] * (P[y, other] * first + P[other, y] * second)
    assert expected_pair_loss(game, ratios, sampling, loss) == pytest.approx(by_hand, rel=1e-13)
    assert expected_pair_loss(game, ratios[0], sampling, loss) == pytest.approx(by_hand[0], rel=1e-13)


def test_the_expectation_is_the_mean_of_sampled_pairs() -> None:
    game, rng, n = uniform(K=4, seed=1), np.random.default_rng(1), 200_000
    sampling, ratios = normalise(rng.standard_normal(4)), rng.standard_normal(4)
    first, second = rng.choice(4, size=(2, n), p=np.exp(sampling))
    wins = rng.uniform(size=n) < 0.5 + game.A[first, second]
    winner, loser = np.where(wins, first, second), np.where(wins, second, first)
    loss = functools.partial(dpo_loss, beta=0.7)
    sampled = loss(ratios[winner], ratios[loser])
    assert abs(sampled.mean() - expected_pair_loss(game, ratios, sampling, loss)) < 6 * sampled.std() / np.sqrt(n)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), K=st.integers(1, 7), step=st.floats(0.01, 3))
def test_labels_replace_win_rates(seed: int, K: int, step: float) -> None:
    """The labelled losses of SPPO and INPO are least squares on win rates, up to constants that are known."""
    game, rng = uniform(K=K, seed=seed), np.random.default_rng(seed)
    current, ratios = normalise(2 * rng.standard_normal(K)), rng.standard_normal((3, K))
    variance = float(np.exp(current) @ (game.A @ np.exp(current)) ** 2)
    sppo = expected_pair_loss(game, ratios, current, functools.partial(sppo_loss, step=step))
    regression = sppo_regression_loss(game, ratios, current, step=step)
    assert sppo == pytest.approx(2 * regression + step**2 * (0.5 - 2 * variance), rel=1e-10, abs=1e-12)
    labelled = expected_pair_loss(game, ratios, current, functools.partial(inpo_loss, step=step))
    regression = inpo_regression_loss(game, ratios, current, step=step)
    assert labelled == pytest.approx(regression + step**2 * (0.25 - 2 * variance), rel=1e-10, abs=1e-12)


def test_the_losses_are_least_at_the_updates() -> None:
    game, beta, step = uniform(K=6, seed=2), 0.3, 0.8
    rng = np.random.default_rng(2)
    current = normalise(rng.standard_normal(6))
    after = inpo(game, beta, 1, step=step, start=current).log_policies[1]
    others = normalise(after + 0.1 * rng.standard_normal((50, 6)))
    for sampling in (current, normalise(rng.standard_normal(6))):  # with win rates any full support will do

        def loss(policies, sampling=sampling):
            f = inpo_log_ratios(policies, current, game.log_reference, beta=beta, step=step)
            return inpo_regression_loss(game, f, current, step=step, log_sampling=sampling)

        assert loss(after) == pytest.approx(0.0, abs=1e-28)
        assert (loss(others) > 1e-5).all()
    # SPPO's minimiser is Hedge's step without the normalisation: its targets are win rates, not shifted ones
    targets = step * game.A @ np.exp(current)
    assert sppo_regression_loss(game, targets, current, step=step) == pytest.approx(0.0, abs=1e-28)
    assert span(normalise(current + targets) - hedge(game, 1, step=step, start=current).log_policies[1]) < 1e-14


def ipo_gradient(game, logits, beta):
    """The gradient of IPO's expected loss in the logits, pairs being drawn from the policy itself, by central differences."""
    sampling = normalise(logits)

    def loss(values):
        ratios = normalise(values) - game.log_reference
        return expected_pair_loss(game, ratios, sampling, functools.partial(ipo_loss, beta=beta))

    h = 1e-5
    return (loss(logits + h * np.eye(game.actions)) - loss(logits - h * np.eye(game.actions))) / (2 * h)


def test_the_gradient_of_online_ipo_is_that_of_self_play() -> None:
    game, beta = uniform(K=5, seed=3), 0.4
    logits = np.random.default_rng(3).standard_normal(5)
    policy = np.exp(normalise(logits))
    gain = game.A @ policy - beta * (normalise(logits) - game.log_reference)
    ascent = policy * (gain - policy @ gain)  # the gradient of <pi, A q> - beta KL(pi||mu) in the logits, at pi = q
    assert ipo_gradient(game, logits, beta) == pytest.approx(-4 / beta * ascent, abs=1e-8)
    star = solve_regularised(game, beta).log_policy
    assert np.abs(ipo_gradient(game, star, beta)).max() < 1e-9

    # a natural-gradient step divides by the policy; normalising takes care of constants
    step = 0.05
    moved = normalise(logits - step * ipo_gradient(game, logits, beta) / policy)
    assert moved == pytest.approx(online_ipo(game, beta, 1, step=step, start=normalise(logits)).log_policies[1], abs=1e-8)


def test_online_ipo_converges_to_the_regularised_equilibrium() -> None:
    game, beta = rock_paper_scissors(logits=(0.5, 0.0, -0.5)), 0.2
    run = online_ipo(game, beta, 2000, step=beta**2)  # an INPO step of 4 beta, slightly beyond the largest that is proved
    assert span(run.log_policies[-1] - solve_regularised(game, beta).log_policy) < 1e-12
    assert online_ipo(game, beta, 3, step=0.25).log_policies.shape == (4, 3)


GAME = rock_paper_scissors()
THIRD = np.log(np.full(3, 1 / 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dpo_loss(0.0, 0.0, beta=0.0), "temperature"),
        (lambda: ipo_loss(0.0, 0.0, beta=-1.0), "temperature"),
        (lambda: sppo_loss(0.0, 0.0, step=0.0), "step size"),
        (lambda: inpo_loss(0.0, 0.0, step=np.inf), "step size"),
        (lambda: inpo_log_ratios(THIRD, THIRD, THIRD, beta=0.5, step=3.0), "not 1.5"),
        (lambda: online_ipo(GAME, 0.1, 3, step=0.3), "not 0.3"),
        (lambda: expected_pair_loss(GAME, [0.0, 0.0], THIRD, inpo_loss), r"shape \(2,\)"),
        (lambda: sppo_regression_loss(GAME, [0.0, np.nan, 0.0], THIRD, step=1.0), "entry .1,. of the log-ratios is nan"),
        (lambda: inpo_regression_loss(GAME, THIRD, [0.0, 0.0, 0.0], step=1.0), "sums to 3"),
        (lambda: inpo_regression_loss(GAME, THIRD, [0.0], step=1.0), r"not \(1,\)"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
