"""Exact Pareto fronts of two objectives beside a sweep of linear programs, and beside Storm where it is installed.

    python benchmarks/pareto_front.py                       # random models of 10 .. 300 states; some minutes
    python benchmarks/pareto_front.py --sizes 10 100 --limit 30

A model of S states has 3 actions in each, 5 next states for each, discount 0.95. Every method must return all vertices of the front.

* mdplab: :func:`mdplab.solvers.pareto.pareto_front`, each edge certified to 1e-8.
* LP chords: the same recursion over chords, each weighted sum by HiGHS through scipy on the occupancy program.
* LP grid: HiGHS maximises the first objective for 50 lower bounds on the second; it returns 50 points of the front, no vertices.
* Storm: ``multi(R{"a"}max=? [C], R{"b"}max=? [C])`` of the program of the same model, with stopping probability 1 - gamma; its own
  precision, 1e-6, is a looser one.

The best of three runs counts, one if it takes longer than two seconds. What a method needs for building its own model is left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from report import machine, rewrite_section
from scipy.optimize import linprog

from mdplab.models import garnet
from mdplab.models.multi_objective import MultiObjectiveMDP, prism_objectives
from mdplab.models.storm import PROGRAMS
from mdplab.solvers.hypervolume import upper_hull
from mdplab.solvers.pareto import occupancy_constraints, pareto_front
from theory.errors import Unavailable

GRID = 50


def model(S: int) -> MultiObjectiveMDP:
    """The random model of S states."""
    mdp = garnet(S=S, A=3, b=min(5, S), gamma=0.95, seed=S)
    return MultiObjectiveMDP(mdp, np.random.default_rng(S).random((2, mdp.pairs)))


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """The shortest time and the answer."""
    best, answer, total = float("inf"), None, 0.0
    for _ in range(3):
        begin = time.perf_counter()
        answer = run()
        took = time.perf_counter() - begin
        best, total = min(best, took), total + took
        if total > 2:
            break
    return best, answer


def chords_of_programs(momdp: MultiObjectiveMDP) -> np.ndarray:
    """The vertices by weighted sums, each a linear program."""
    flow, rho = occupancy_constraints(momdp.mdp)

    def solve(w: np.ndarray) -> np.ndarray:
        found = linprog(-(w @ momdp.rewards), A_eq=flow, b_eq=rho, method="highs")
        return np.asarray(momdp.rewards @ found.x)

    def between(p: np.ndarray, q: np.ndarray) -> list[np.ndarray]:
        w = np.array([q[1] - p[1], p[0] - q[0]])
        if not (w > 0).all():
            return []
        r = solve(w / w.sum())
        if (r - p) @ w / w.sum() <= 1e-8:
            return []
        return [*between(p, r), r, *between(r, q)]

    p, q = solve(np.array([1.0, 0.0])), solve(np.array([0.0, 1.0]))
    return upper_hull(np.array([p, *between(p, q), q]))


def grid_of_programs(momdp: MultiObjectiveMDP, low: float, high: float) -> np.ndarray:
    """Points of the front for a grid of thresholds."""
    flow, rho = occupancy_constraints(momdp.mdp)
    found = []
    for b in np.linspace(low, high, GRID + 1)[:-1]:
        program = linprog(-momdp.rewards[0], A_ub=-momdp.rewards[1:], b_ub=[-b], A_eq=flow, b_eq=rho, method="highs")
        found.append((-program.fun, b))
    return np.array(found)


def prism_text(momdp: MultiObjectiveMDP) -> str:
    """The model in the PRISM language, stopping with probability 1 - gamma; a first step draws the start."""
    mdp = momdp.mdp
    S = mdp.states
    lines = ["mdp", "module m", f"  s : [0..{S + 1}] init {S + 1};"]
    lines.append(f"  [] s={S + 1} -> " + " + ".join(f"1/{S} : (s'={s})" for s in range(S)) + ";")
    rewards: list[list[str]] = [[], []]
    for n in range(mdp.pairs):
        entries = slice(mdp.row_pointer[n], mdp.row_pointer[n + 1])
        going = zip(mdp.probability[entries].tolist(), mdp.next_state[entries].tolist())
        moves = " + ".join(f"{mdp.gamma * p!r} : (s'={t})" for p, t in going)
        s = int(mdp.pair_state[n])
        lines.append(f"  [a{n}] s={s} -> {moves} + {1 - mdp.gamma!r} : (s'={S});")
        for i in range(2):
            rewards[i].append(f"  [a{n}] true : {float(momdp.rewards[i, n])!r};")
    lines += [f"  [] s={S} -> true;", "endmodule"]
    for name, rows in zip("ab", rewards):
        lines += [f'rewards "{name}"', *rows, "endrewards"]
    return "\n".join(lines) + "\n"


def storm(text: str, names: tuple[str, str], constants: str = "") -> Callable[[], Any] | None:
    """A run of Storm's Pareto query on a model that is built already; None without stormpy."""
    try:
        import stormpy
    except ImportError:
        return None
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.nm"
        path.write_text(text)
        program = stormpy.parse_prism_program(str(path))
    if constants:
        program, _ = stormpy.instantiate_constants(program, constants)
    formulas = stormpy.parse_properties(f'multi(R{{"{names[0]}"}}max=? [C], R{{"{names[1]}"}}max=? [C])', program)
    built = stormpy.build_model(program, formulas)
    return lambda: stormpy.model_checking(built, formulas[0])


class Table:
    """A row for each model; a method that was too slow is not started again."""

    def __init__(self, limit: float):
        self.limit = limit
        self.last = dict.fromkeys(("chords", "grid", "storm"), 0.0)
        self.rows = ["| model | states | vertices | gap | mdplab | LP chords | LP grid of 50 | Storm |", "| --- " * 8 + "|"]

    def add(self, name: str, momdp: MultiObjectiveMDP, of_storm: Callable[[], Any] | None) -> None:
        """Measure all methods on one model."""
        pareto_front(momdp)  # kernels are compiled
        ours, front = seconds(lambda: pareto_front(momdp))
        k = len(front.vertices)
        cells = [name, f"{momdp.mdp.states}", f"{k}", f"{front.gap:.0e}", f"{ours:.3f} s"]
        took, found = self._measure("chords", lambda: chords_of_programs(momdp))
        same = found is None or (len(found) == k and np.allclose(found, front.vertices, atol=1e-4))
        cells.append(self._cell(took, ours) + ("" if same else f" ({len(found)} vertices)"))
        low, high = front.vertices[-1, 1], front.vertices[0, 1]
        took, found = self._measure("grid", lambda: grid_of_programs(momdp, low, high))
        error = 0.0 if found is None else max(abs(x - front.best(0, b)) for x, b in found)
        cells.append(self._cell(took, ours) + ("" if error < 1e-4 else f" (off by {error:.0e})"))
        took, _ = self._measure("storm", of_storm)
        cells.append(self._cell(took, ours))
        self.rows.append("| " + " | ".join(cells) + " |")
        print(self.rows[-1], file=sys.stderr, flush=True)

    def _measure(self, method: str, run: Callable[[], Any] | None) -> tuple[float | None, Any]:
        """Time and answer, or None if the time of the model before, times ten, is above the limit."""
        if run is None or 10 * self.last[method] > self.limit:
            return None, None
        self.last[method], answer = seconds(run)
        return self.last[method], answer

    def _cell(self, took: float | None, ours: float) -> str:
        return "-" if took is None else f"{took:.3f} s, {took / ours:.1f} x"


def main() -> None:
    """Measure, print, and rewrite the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 30, 100, 300])
    parser.add_argument(
        "--limit", type=float, default=60.0, help="seconds beyond which a method is not started, foretold as ten times its last"
    )
    parser.add_argument("--markdown", type=Path, help="rewrite the section <!-- pareto --> of this file")
    arguments = parser.parse_args()
    table = Table(arguments.limit)
    try:
        courier = prism_objectives(gamma=0.95, constants="stop=0")
    except Unavailable:
        print("(the courier needs stormpy)")
    else:
        text = (PROGRAMS / "courier.nm").read_text()
        table.add("courier", courier, storm(text, ("parcels", "ease"), "stop=0.05"))
    for S in arguments.sizes:
        momdp = model(S)
        table.add("random", momdp, storm(prism_text(momdp), ("a", "b")) if S <= 100 else None)
    lines = [*table.rows, "", f"Machine: {machine()}."]
    print("\n".join(lines))
    if arguments.markdown is not None:
        rewrite_section(arguments.markdown, "pareto", lines)


if __name__ == "__main__":
    main()
