"""Bounded rewards: the radius of the ball of tilts against brute force, its limits, and clipping."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits.preference.bounded_reward import clipped_reward, tilt_radius
from theory.divergences import kl
from theory.errors import InputError
from theory.tilts import log_tilt


@given(st.integers(0, 10_000), st.floats(1e-3, 40.0))
def test_no_tilt_leaves_the_ball(seed: int, t: float) -> None:
    rng = np.random.default_rng(seed)
    K = int(rng.integers(2, 8))
    reward = rng.uniform(size=K)
    reward = t * (reward - reward.min()) / np.ptp(reward)
    reference = np.log(np.maximum(rng.dirichlet(np.full(K, 0.3)), 1e-12))
    reference -= np.logaddexp.reduce(reference)
    assert kl(log_tilt(reference, reward, 1.0), reference, log=True) <= tilt_radius(t, 1.0) * (1 + 1e-9)


@pytest.mark.parametrize("t", [1e-6, 0.01, 0.0999, 0.1001, 0.3, 1.0, 10.0, 100.0])
def test_two_values_attain_it(t: float) -> None:
    """The best mass of the higher reward, by the formula; and no mass of a grid does better."""
    zeta = t / -np.expm1(-t)
    p = (t - 1 + np.exp(-t)) / (-np.expm1(-t)) / np.expm1(t) if t > 0.1 else (t / 2 + t**2 / 12) / np.expm1(t)
    assert t < 0.1 or p == pytest.approx((zeta - 1) / np.expm1(t))
    masses = np.append(np.logspace(-60, -0.01, 500), p)
    references = np.log(np.stack((1 - masses, masses), axis=-1))
    divergences = kl(log_tilt(references, [0.0, t], 1.0), references, log=True)
    assert divergences[-1] == pytest.approx(tilt_radius(t, 1.0), rel=1e-8)
    assert divergences.max() <= tilt_radius(t, 1.0) * (1 + 1e-9)


def test_limits_of_the_radius() -> None:
    t = 10.0 ** -np.arange(1, 9)
    np.testing.assert_allclose(tilt_radius(t, 1.0) / (t**2 / 8), 1.0, rtol=t[0] ** 2)
    assert tilt_radius(1e3, 1.0) == pytest.approx(1e3 - np.log(1e3) - 1)
    assert tilt_radius(0.0, 1.0) == 0.0
    assert tilt_radius(3.0, 0.5) == tilt_radius(6.0, 1.0)
    ts = np.linspace(0, 5, 200)
    assert (np.diff(tilt_radius(ts, 1.0)) > 0).all()


def test_clipping() -> None:
    reference = np.log([0.5, 0.25, 0.25])
    np.testing.assert_allclose(clipped_reward(reference, [0.0, 0.1, 10.0], 1.0), [-0.5, -0.5, 0.5])
    r = np.array([0.2, -0.1, 0.3])
    np.testing.assert_allclose(clipped_reward(reference, r + 7, 2.0), r - np.exp(reference) @ r)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: clipped_reward([0.0], [1.0], 0.0), "range of a bounded reward"),
        (lambda: clipped_reward([0.0], [np.inf], 1.0), "finite"),
        (lambda: tilt_radius(-1.0, 1.0), "at least 0"),
        (lambda: tilt_radius(np.inf, 1.0), "finite"),
        (lambda: tilt_radius(1.0, 0.0), "temperature"),
    ],
)
def test_bad_input_gets_one_sentence(call, says: str) -> None:
    with pytest.raises(InputError, match=says):
        call()
