"""Bounds as functions: values worked out by hand, and what they do at the edges."""

import numpy as np
import pytest

from theory.bounds.ucb1 import pulls_bound, regret_bound
from theory.errors import InputError


def test_ucb1_bounds_by_hand() -> None:
    gaps = np.array([0.0, 0.1, 0.5])
    pulls = pulls_bound(1000, gaps)
    assert pulls[0] == np.inf
    assert pulls[1:] == pytest.approx([8 * np.log(1000) / 0.01 + 4.289868, 8 * np.log(1000) / 0.25 + 4.289868])
    assert regret_bound(1000, gaps) == pytest.approx(8 * np.log(1000) * (10 + 2) + 4.289868 * 0.6)
    assert regret_bound(1000, gaps) == pytest.approx(gaps[1:] @ pulls[1:])
    assert regret_bound([1, 10, 100], gaps).shape == (3,)
    assert pulls_bound([1, 10], gaps).shape == (2, 3)
    assert pulls_bound(1, gaps)[1:] == pytest.approx(4.289868)
    assert regret_bound(50, np.zeros(3)) == 0
    assert pulls_bound(1000, gaps, logarithmic=2.0, constant=1.0)[2] == pytest.approx(8 * np.log(1000) + 1)


@pytest.mark.parametrize("call", [lambda: pulls_bound(0, [0.1]), lambda: regret_bound(10, [1.5]), lambda: pulls_bound(10, 0.1)])
def test_bad_input(call) -> None:
    with pytest.raises(InputError):
        call()
