"""The study of dataset resets: the coverage of its references, and what a run depends on."""

import numpy as np
import pytest

from experiments.dataset_resets import COVERAGE, FADING, lock_reference, resets_study, solving_times
from experiments.study import run_study
from mdplab.models import episodic_lock
from mdplab.solvers import backward_induction, episodic_occupancy
from theory.coverage import single_policy_concentrability


@pytest.mark.parametrize("H", [1, 5, 9])
@pytest.mark.parametrize("chance", [FADING, None])
def test_the_coverage_of_a_reference(H, chance):
    """C_ST is the chance to the power -H, which is 81 for every H where the chance is chosen so."""
    right = COVERAGE ** (-1 / H) if chance is None else chance
    mdp = episodic_lock(A=3, H=H, seed=4)
    best, data = (episodic_occupancy(mdp, p).pair for p in (backward_induction(mdp).policy, lock_reference(mdp, right)))
    coefficient = single_policy_concentrability(data, best, "max")
    assert coefficient == pytest.approx(right**-H)
    assert chance is not None or coefficient == pytest.approx(81)
    missing = episodic_occupancy(mdp, lock_reference(mdp, right, 0.0)).pair
    assert single_policy_concentrability(missing, best, "max") == np.inf


def test_longer_lists_of_runs_begin_with_the_shorter_ones():
    few = solving_times(4, 0.6, 7, 3, most=30_000)
    many = solving_times(4, 0.6, 7, 6, most=30_000)
    np.testing.assert_array_equal(many.roll_outs[:3], few.roll_outs)
    assert many.solved.all()
    assert (many.roll_outs % 1500 == 0).all()


def test_rows_of_the_study_are_those_of_direct_runs():
    table = run_study(resets_study((4,), seed=4, runs=3, most=9000))
    assert len(table) == 5 * 3
    for start, right, first, resets in (("uniform", COVERAGE**-0.25, 0.0, True), ("mu", FADING, FADING, False)):
        found = solving_times(4, right, 4, 3, most=9000, start=start, first=first, resets=resets)
        rows = table[(table["start"] == start) & (table["first"] == first) & (table["resets"] == resets)]
        np.testing.assert_array_equal(rows["roll_outs"], found.roll_outs)
        np.testing.assert_array_equal(rows["solved"], found.solved)
