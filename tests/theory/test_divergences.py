"""Divergences against sums in sixty decimal digits, and the inequalities between them."""

from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.divergences import chi_square, kl, span, symmetric_kl, total_variation
from theory.errors import InputError

getcontext().prec = 60
ALL = [kl, symmetric_kl, chi_square, total_variation]
probability_vectors = st.integers(0, 2**32 - 1).map(lambda seed: _pair(seed))


def _pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    p = rng.dirichlet(np.full(n, rng.choice([0.05, 1.0, 20.0])))
    if rng.random() < 0.5:
        q = rng.dirichlet(np.full(n, rng.choice([0.05, 1.0, 20.0])))
    else:  # close to p
        q = p * np.exp(10.0 ** rng.uniform(-12, 0) * rng.normal(size=n))
    p, q = np.maximum(p, 1e-200), np.maximum(q, 1e-200)
    return p / p.sum(), q / q.sum()


def _exact(p: np.ndarray, q: np.ndarray) -> dict[str, float]:
    """The formulas as they stand in a textbook, on the normalised vectors, in 60 digits."""
    a, b = [Decimal(float(v)) for v in p], [Decimal(float(v)) for v in q]
    a, b = [v / sum(a) for v in a], [v / sum(b) for v in b]
    forward = sum(x * (x / y).ln() for x, y in zip(a, b))
    backward = sum(y * (y / x).ln() for x, y in zip(a, b))
    square = sum(x * x / y for x, y in zip(a, b)) - 1
    return {
        "kl": float(forward),
        "symmetric_kl": float(forward + backward),
        "chi_square": float(square),
        "total_variation": float(sum(abs(x - y) for x, y in zip(a, b)) / 2),
    }


@settings(max_examples=150, deadline=None)
@given(probability_vectors)
def test_against_sixty_digits(pair: tuple[np.ndarray, np.ndarray]) -> None:
    p, q = pair
    exact = _exact(p, q)
    # the two vectors are normalised only up to a few rounding errors, whose products with the distance remain
    blur = 4e-16 * max(exact["total_variation"], 1e-16) * p.size
    for divergence in ALL:
        assert divergence(p, q) == pytest.approx(
            exact[divergence.__name__], rel=1e-9, abs=blur if divergence is not total_variation else 1e-15
        )


@settings(max_examples=100, deadline=None)
@given(probability_vectors)
def test_logarithms_give_the_same(pair: tuple[np.ndarray, np.ndarray]) -> None:
    p, q = pair
    for divergence in ALL:
        direct, through_logs = divergence(p, q), divergence(np.log(p), np.log(q), log=True)
        # a logarithm of size L is known to L * 2e-16, which is a relative error of the probability
        error = 1e-15 * np.abs(np.log(np.minimum(p, q))).max()
        # which the distance takes over as it is, and the divergences, being of second order, multiplied by the distance
        blur = error if divergence is total_variation else 10 * error * np.sqrt(direct) + error**2
        assert through_logs == pytest.approx(direct, rel=1e-9 + error, abs=blur)


def test_follows_a_geometric_rate_far_below_machine_precision() -> None:
    p = np.array([0.2, 0.3, 0.5])
    direction = np.array([1.0, -2.0, 1.0])
    for size in 10.0 ** -np.arange(3, 13):
        leading = 0.5 * np.sum((size * direction) ** 2 / p)
        assert kl(p, p + size * direction) == pytest.approx(leading, rel=10 * size + 2e-16 / size)


@settings(max_examples=100, deadline=None)
@given(probability_vectors, st.integers(0, 1000))
def test_inequalities_and_relabelling(pair: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    p, q = pair
    slack = 1 + 1e-9
    tv, divergence, square = total_variation(p, q), kl(p, q), chi_square(p, q)
    assert 0 <= tv <= 1
    assert 2 * tv**2 <= divergence * slack + 1e-30  # Pinsker
    assert tv <= np.sqrt(-np.expm1(-divergence)) * slack + 1e-15  # Bretagnolle and Huber
    assert np.expm1(divergence) <= square * slack + 1e-30 or not np.isfinite(square)
    assert symmetric_kl(p, q) == pytest.approx(divergence + kl(q, p), rel=1e-9, abs=1e-28)
    order = np.random.default_rng(seed).permutation(p.size)
    for function in ALL:
        assert function(p[order], q[order]) == pytest.approx(function(p, q), rel=1e-12)
        assert function(p, p) == 0


def test_conventions_about_zero() -> None:
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])
    with np.errstate(all="raise", under="ignore"):
        for log, a, b in ((False, p, q), (True, _log(p), _log(q))):
            assert kl(a, b, log=log) == pytest.approx(np.log(2))
            assert kl(b, a, log=log) == np.inf
            assert symmetric_kl(a, b, log=log) == np.inf
            assert chi_square(a, b, log=log) == pytest.approx(1.0)
            assert chi_square(b, a, log=log) == np.inf
            assert total_variation(a, b, log=log) == pytest.approx(0.5)
            assert [f(a, a, log=log) for f in ALL] == [0, 0, 0, 0]


def _log(p: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(p)


def test_disjoint_supports_and_underflowing_logarithms() -> None:
    p, q = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert total_variation(p, q) == 1
    assert kl(p, q) == symmetric_kl(p, q) == chi_square(p, q) == np.inf
    # e^-5000 is not a float64, and the divergence is finite all the same
    first = np.array([np.log1p(-0.25), np.log(0.25)])
    second = np.array([0.0, -5000.0])
    assert kl(first, second, log=True) == pytest.approx(0.75 * np.log(0.75) + 0.25 * (np.log(0.25) + 5000))
    assert symmetric_kl(first, second, log=True) == pytest.approx(kl(first, second, log=True) - np.log(0.75))
    assert chi_square(second, first, log=True) == pytest.approx(1 / 0.75 - 1)
    assert kl(second, first, log=True) == pytest.approx(-np.log(0.75))


def test_broadcasting_and_axes() -> None:
    rng = np.random.default_rng(3)
    p, q = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(4), size=(5, 6))
    for function in ALL:
        table = function(p, q)
        assert table.shape == (5, 6)
        assert table[2, 3] == pytest.approx(function(p, q[2, 3]), rel=1e-14)
        assert np.allclose(function(q, np.roll(q, 1, axis=0)), function(q.T, np.roll(q, 1, axis=0).T, axis=0).T)


@pytest.mark.parametrize(
    ("p", "q", "message"),
    [
        ([0.5, 0.4], [0.5, 0.5], "the first argument of a divergence sums to 0.9"),
        ([0.5, 0.5], [1.5, -0.5], r"entry \(1,\) of the second argument of a divergence is -0.5"),
        ([0.5, np.nan], [0.5, 0.5], "first argument of a divergence is nan"),
        ([0.5, 0.5], [0.2, 0.3, 0.5], "2 and 3 entries"),
        (1.0, [1.0], "vector of probabilities"),
    ],
)
def test_bad_input(p: object, q: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        kl(p, q)  # type: ignore[arg-type]


def test_span() -> None:
    assert span([3.0, -1.0, 2.0]) == 4
    assert np.array_equal(span(np.array([[1.0, 5.0], [2.0, 2.0]])), [4, 0])
    assert np.array_equal(span(np.array([[1.0, 5.0], [2.0, 2.0]]), axis=0), [1, 3])
    v, c = np.random.default_rng(0).normal(size=9), 7.25
    assert span(v + c) == pytest.approx(span(v))
    assert span(-2 * v) == pytest.approx(2 * span(v))
    with pytest.raises(InputError, match=r"entry \(1,\)"):
        span([0.0, np.inf])
