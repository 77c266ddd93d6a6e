"""Sparse preferences: angles against fresh pairs, named fits against full ones, constants against quadrature and tables."""

import numpy as np
import pytest
from scipy.stats import chi, norm

from bandits.preference.log_linear import fit_log_linear
from bandits.preference.rationales import (
    asymptotic_error,
    expected_chi,
    fit_named,
    label_information,
    ranking_error,
    sparse_preferences,
)
from theory.errors import InputError


def test_the_error_is_the_share_of_misordered_pairs():
    rng = np.random.default_rng(0)
    estimate, parameter = rng.standard_normal((2, 6))
    z = rng.standard_normal((400_000, 6))
    seen = np.mean(np.sign(z @ estimate) != np.sign(z @ parameter))
    assert ranking_error(estimate, parameter) == pytest.approx(seen, abs=0.004)


def test_errors_by_hand():
    assert ranking_error([1.0, 0.0], [3.0, 0.0]) == 0.0
    assert ranking_error([-1.0, 0.0], [3.0, 0.0]) == pytest.approx(1.0)
    assert ranking_error([0.0, 2.0], [1.0, 0.0]) == pytest.approx(0.5)
    assert ranking_error([0.0, 0.0], [1.0, 0.0]) == 0.5
    assert ranking_error([1.0, 1e-9], [1.0, 0.0]) == pytest.approx(1e-9 / np.pi)


def test_named_coordinates():
    data = sparse_preferences(5, 40, 6, 2, 1.5, np.random.default_rng(3))
    assert data.differences.shape == (5, 40, 6)
    for theta, named in zip(data.parameter, data.named):
        np.testing.assert_array_equal(np.flatnonzero(theta), np.sort(named))
        np.testing.assert_array_equal(np.abs(theta[named]), 1.5)
    everything = np.broadcast_to(np.arange(6), (5, 6))
    np.testing.assert_allclose(
        fit_named(data.differences, everything, 0.01), fit_log_linear(data.differences, ridge=0.01).theta, atol=1e-10
    )
    some = fit_named(data.differences, data.named, 0.01)
    assert (some[data.parameter == 0] == 0).all()
    alone = fit_log_linear(data.differences[2][:, data.named[2]], ridge=0.01).theta
    np.testing.assert_allclose(some[2][data.named[2]], alone, atol=1e-10)


def test_labels_agree_with_the_parameter():
    data = sparse_preferences(4, 5000, 3, 1, 20.0, np.random.default_rng(1))
    assert ((data.differences @ data.parameter[..., None]) > 0).mean() > 0.97


@pytest.mark.parametrize("k", [1, 2, 19])
def test_the_mean_of_chi(k):
    assert expected_chi(k) == pytest.approx(chi.mean(k))


@pytest.mark.parametrize("length", [0.0, 0.5, 3.0, 100.0])
def test_the_information_of_a_label(length):
    g = np.linspace(-12, 12, 400_001)
    u = np.exp(-np.abs(length * g))
    expected = np.trapezoid(u / (1 + u) ** 2 * norm.pdf(g), g)
    assert label_information(length) == pytest.approx(expected, rel=1e-7)


def test_the_asymptotic_error_is_approached():
    data = sparse_preferences(400, 600, 2, 2, 1.0, np.random.default_rng(5))
    errors = ranking_error(fit_log_linear(data.differences).theta, data.parameter)
    assert errors.mean() == pytest.approx(asymptotic_error(2, np.sqrt(2), 600), rel=0.15)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: sparse_preferences(1, 1, 3, 4, 1.0, np.random.default_rng(0)), "coordinates matter"),
        (lambda: fit_named(np.zeros((1, 2, 3)), [[3]], 0.1), "named from 0 to 2"),
        (lambda: fit_named(np.zeros((1, 2, 3)), [0], 0.1), "S, k"),
        (lambda: ranking_error([1.0], [0.0]), "not 0"),
        (lambda: expected_chi(0), "degree"),
        (lambda: label_information(-1.0), "length"),
        (lambda: asymptotic_error(1, 1.0, 10), "d >= 2"),
    ],
)
def test_bad_input_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
