"""Speed of constrained solvers beside a straightforward formulation in cvxpy, at the same accuracy, in one process.

    python benchmarks/constrained.py                       # S up to 1e5, some minutes
    python benchmarks/constrained.py --sizes 100 1000 --markdown benchmarks/README.md

The model is a garnet with two costs, whose thresholds lie halfway between those of a frugal and of a greedy policy. Every answer is
certified: the policy is evaluated by linear solves, and the dual function at the answer's multipliers is bounded by a certified
solver of MDPs. cvxpy is given the occupancy program in matrix form and the same solver, HiGHS; its time includes the
translation. A method that takes longer than the limit is not started on larger models. One function makes one comparison.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from report import machine, rewrite_section

from mdplab.models import ConstrainedMDP, TabularMDP, random_costs
from mdplab.solvers.constrained import between_thresholds, constrained_returns, dual_function, solve_constrained
from mdplab.solvers.occupancy import policy_from_occupancy

RELATIVE = 1e-6  # the accuracy asked for: this share of 1 / (1 - gamma), for the bracket and for each constraint
Answer = tuple[np.ndarray, np.ndarray]  # a policy (N,) and multipliers (m,)


def by_cvxpy(cmdp: ConstrainedMDP) -> Answer:
    """The occupancy program, as one writes it down in cvxpy."""
    import cvxpy
    from scipy.sparse import csr_array

    mdp = cmdp.mdp
    assert isinstance(mdp, TabularMDP)
    owner = csr_array((np.ones(mdp.pairs), mdp.pair_state, np.arange(mdp.pairs + 1)), shape=(mdp.pairs, mdp.states))
    d = cvxpy.Variable(mdp.pairs, nonneg=True)
    budgets = cmdp.cost @ d <= cmdp.threshold
    flow = (owner - mdp.gamma * mdp.transition_matrix()).T @ d == mdp.start_distribution
    cvxpy.Problem(cvxpy.Maximize(mdp.reward @ d), [flow, budgets]).solve(solver=cvxpy.HIGHS)
    return policy_from_occupancy(mdp, np.maximum(d.value, 0.0)), np.maximum(budgets.dual_value, 0.0)


def by_mdplab(method: str) -> Callable[[ConstrainedMDP], Answer]:
    """mdplab with one of its methods."""

    def run(cmdp: ConstrainedMDP) -> Answer:
        found = solve_constrained(cmdp, RELATIVE, method)
        return found.policy, found.multipliers

    return run


def off(cmdp: ConstrainedMDP, answer: Answer) -> float:
    """How far an answer is from optimal and feasible, as a share of 1 / (1 - gamma)."""
    policy, multipliers = answer
    returns, _ = constrained_returns(cmdp, policy)
    gap = dual_function(cmdp, multipliers, 1e-8).upper - returns[0]
    return float(max(abs(gap), (returns[1:] - cmdp.threshold).max())) / cmdp.steps


def constrained(sizes: list[int], discount: float, limit: float) -> list[str]:
    """Two costs: the occupancy program and column generation beside cvxpy, as rows of a table."""
    methods = {"HiGHS": by_mdplab("linear-programming"), "columns": by_mdplab("column-generation"), "cvxpy": by_cvxpy}
    late: set[str] = set()
    rows = [
        "| S | pairs | mdplab, program, s | mdplab, columns, s | cvxpy, s | cvxpy / best of mdplab |",
        "| --- |" + " --- |" * 5,
    ]
    small = between_thresholds(random_costs(S=20, A=4, b=3, m=2), 0.5)
    for method in methods.values():  # imports and compilation
        method(small)
    for S in sizes:
        cmdp = between_thresholds(random_costs(S=S, A=4, b=3, m=2, gamma=discount, concentration=1.0, seed=1), 0.5)
        times, cells = {}, []
        for name, method in methods.items():
            if name in late:
                cells.append("not tried (limit)")
                continue
            seconds = []
            while len(seconds) < 3 and sum(seconds) < min(2.0, limit):
                began = time.perf_counter()
                answer = method(cmdp)
                seconds.append(time.perf_counter() - began)
            error = off(cmdp, answer)
            times[name] = min(seconds)
            cells.append(f"{times[name]:.3g}" + (f" (off by {error:.1g})" if error > RELATIVE else ""))
            if times[name] > limit:
                late.add(name)
        mine = min(times[k] for k in ("HiGHS", "columns") if k in times)
        ratio = f"{times['cvxpy'] / mine:.1f}" if "cvxpy" in times else "-"
        rows.append(f"| {S:,} | {cmdp.mdp.pairs:,} | {' | '.join(cells)} | {ratio} |")
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Time, certify, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 3000, 10_000, 100_000])
    parser.add_argument("--discount", type=float, default=0.95)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds after which a method is not tried on larger models")
    parser.add_argument("--markdown", type=Path, help="rewrite the section <!-- constrained --> of this file")
    arguments = parser.parse_args()
    lines = [*constrained(arguments.sizes, arguments.discount, arguments.limit), "", f"Machine: {machine()}."]
    print("\n".join(lines))
    if arguments.markdown is not None:
        rewrite_section(arguments.markdown, "constrained", lines)


if __name__ == "__main__":
    main()
