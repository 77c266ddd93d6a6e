"""The bounds of adversarial bandits by hand."""

import math

import numpy as np
import pytest

from theory.bounds import adversarial_bandits as bounds
from theory.errors import InputError


def test_by_hand() -> None:
    assert bounds.exp3(100, 2) == pytest.approx(math.sqrt(400 * math.log(2)))
    assert bounds.tsallis_inf([1, 100], 4).tolist() == [9.0, 81.0]
    assert bounds.exp3p(100, 2, 0.5) == pytest.approx(5.15 * math.sqrt(200 * math.log(4)))
    assert bounds.exp3_ix(50, 2, 0.2) == pytest.approx(
        2 * math.sqrt(200 * math.log(2)) + (math.sqrt(200 / math.log(2)) + 1) * math.log(10)
    )
    assert (np.diff(bounds.exp3(np.arange(1, 50), 3)) > 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bounds.exp3(10, 1), "two arms"),
        (lambda: bounds.tsallis_inf(0, 2), "one round"),
        (lambda: bounds.exp3p(10, 2, 1.0), "between 0 and 1"),
        (lambda: bounds.exp3_ix(10, 2, 0.0), "between 0 and 1"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
