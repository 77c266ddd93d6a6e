"""Speed of robust value iteration with L1 balls, beside one linear program for each pair and beside NumPy.

    python benchmarks/robust_iteration.py                     # S up to 1e5
    python benchmarks/robust_iteration.py --sizes 100 1000

Models are garnets of four actions and five next states a pair, every row in an L1 ball of radius 0.2 on its support, discount
0.95. Times are those of the processor, on one core. Ours: seconds until the robust optimum is certified to 1e-6 of the largest
possible value, and milliseconds a sweep of the compiled kernel. Beside it a sweep of the same inner problems by sorting in
NumPy (:func:`worst_l1`), and by the formulation that is written down first, a linear program in (p, |p - q|) for each pair,
solved by HiGHS; of large models only the first pairs are solved, for at most --limit seconds, and the time is scaled up to all
of them. All three must give the same values.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from report import machine, rewrite_section
from scipy.optimize import linprog

from mdplab.models import garnet
from mdplab.models.robust import RobustBallMDP
from mdplab.solvers.inner_problems import worst_l1
from mdplab.solvers.robust import _adversary, robust_value_iteration

RADIUS, GAMMA, NEXT, ACTIONS = 0.2, 0.95, 5, 4


def linear_program(q: np.ndarray, v: np.ndarray) -> float:
    """The least p . v over the ball around q, by HiGHS."""
    b, one = q.size, np.eye(q.size)
    found = linprog(
        np.append(v, np.zeros(b)),
        A_ub=np.block([[one, -one], [-one, -one], [np.zeros(b), np.ones(b)]]),
        b_ub=np.concatenate((q, -q, [RADIUS])),
        A_eq=np.append(np.ones(b), np.zeros(b))[None],
        b_eq=[1.0],
        method="highs",
    )
    return float(found.fun)


def best_of(run, times: int = 3):
    """The least seconds of several runs, and the last answer."""
    seconds = []
    for _ in range(times):
        began = time.process_time()
        answer = run()
        seconds.append(time.process_time() - began)
    return min(seconds), answer


def main() -> None:
    """Measure, print, and rewrite the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    parser.add_argument("--limit", type=float, default=5.0, help="seconds spent on linear programs for each size")
    parser.add_argument("--markdown", type=Path, help="rewrite the section <!-- robust --> of this file")
    options = parser.parse_args()
    robust_value_iteration(RobustBallMDP(garnet(S=20, A=2, b=2), "l1", RADIUS))  # compiles
    rows = [
        "| S | robust optimum, s | sweeps | a sweep, ms | NumPy, ms | HiGHS, ms | NumPy / mdplab | HiGHS / mdplab |",
        "| --- " * 8 + "|",
    ]
    for S in options.sizes:
        mdp = garnet(S=S, A=ACTIONS, b=NEXT, gamma=GAMMA, seed=1)
        ball = RobustBallMDP(mdp, "l1", RADIUS)
        tol = 1e-6 * float(np.abs(mdp.reward).max()) / (1 - GAMMA)
        total, found = best_of(lambda ball=ball, tol=tol: robust_value_iteration(ball, tol))
        value = found.value
        adversary = _adversary(ball)
        sweep, (ours, _, _) = best_of(lambda adversary=adversary, value=value: adversary.improve(value), 5)
        q, nexts = mdp.probability.reshape(-1, NEXT), mdp.next_state.reshape(-1, NEXT)
        radius = np.full(mdp.pairs, RADIUS)
        numpy_sweep, inner = best_of(lambda q=q, v=value[nexts], r=radius: worst_l1(q, v, r))
        least = (inner.lower + inner.upper) / 2
        backed_up = (mdp.reward + GAMMA * least).reshape(S, ACTIONS).max(axis=1)
        assert np.allclose(backed_up, ours, atol=1e-10)
        began, done = time.process_time(), 0
        while done < mdp.pairs and time.process_time() - began < options.limit:
            assert abs(linear_program(q[done], value[nexts[done]]) - least[done]) < 1e-6
            done += 1
        programs = (time.process_time() - began) / done * mdp.pairs
        rows.append(
            f"| {S:,} | {total:.3g} | {found.iterations} | {1e3 * sweep:.3g} | {1e3 * numpy_sweep:.3g} | {1e3 * programs:.3g}"
            f"{'' if done == mdp.pairs else f' (from {done} pairs)'} | {numpy_sweep / sweep:.3g} | {programs / sweep:.3g} |"
        )
        print(rows[-1], file=sys.stderr, flush=True)
    rows += ["", f"Machine: {machine()}."]
    print("\n".join(rows))
    if options.markdown is not None:
        rewrite_section(options.markdown, "robust", rows)


if __name__ == "__main__":
    main()
