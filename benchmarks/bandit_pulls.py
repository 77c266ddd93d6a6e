"""Speed of the compiled bandits: beside NumPy and three packages, and beside the cost of their random numbers alone.

    python benchmarks/bandit_pulls.py                                # some minutes, nearly all of them the peers'
    python benchmarks/bandit_pulls.py --horizon 200 --repeats 1 --markdown benchmarks/README.md

UCB1, EXP3 and Thompson sampling on ``one_good_arm(K=10, gap=0.2)``, and LinUCB on ``linear_bandit(d=5, K=10)``: the same horizon
and number of seeds on all sides, in one process, in CPU seconds, turn by turn; the fastest turn counts. Compiling and the first call of
everything are not timed. What a peer is paid is drawn before its time begins, so that only its choices and updates are timed.

Peers: SMPyBandits (``UCB``, ``Exp3WithHorizon``, ``Thompson``), MABWiser (``UCB1`` with alpha = 1, ``ThompsonSampling``), coba
(``BanditUCBLearner``, which is UCB1-Tuned, and ``LinUCBLearner``), and a NumPy twin in this file, which plays one round of all runs at
a time. A package that is not installed is left out, with the reason.

Random numbers alone: as many entries of the same streams as a run reads, drawn in an empty loop (of Beta numbers the two uniform
ones that each takes at least). Their share of the time is what no simulator that draws them can save.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy.special
from numpy.typing import NDArray
from report import machine, rewrite_section

from bandits.index_policies import UCB1, BetaThompson
from bandits.linear import linear_bandit, oful
from bandits.play import simulate
from bandits.rules import Policy
from bandits.stochastic import one_good_arm
from bandits.weight_policies import EXP3
from theory.random_streams import normal, run_seeds, stream, uniform

Floats = NDArray[np.float64]
Side = Callable[[int, int], tuple[float, Floats]]  # horizon and runs: seconds, and the pseudo-regret of each run

BANDIT = one_good_arm(K=10, gap=0.2)
K = BANDIT.arms
LINEAR = linear_bandit(d=5, K=10, seed=0)
WIDTH = 0.25  # of the intervals of LinUCB


def timed(play: Callable[[], Floats]) -> tuple[float, Floats]:
    """CPU seconds and the result."""
    began = time.process_time()
    found = play()
    return time.process_time() - began, found


def compiled(policy: Policy) -> Side:
    """mdplab's simulate."""
    return lambda T, runs: timed(lambda: simulate(policy, BANDIT, T, run_seeds(0, runs)).pseudo_regret[:, 0])


def compiled_linucb(T: int, runs: int) -> tuple[float, Floats]:
    """mdplab's oful."""
    return timed(lambda: oful(LINEAR, T, run_seeds(0, runs), width=WIDTH).regret[:, 0])


def in_step(choose: Callable[[np.random.Generator, int, Floats, Floats], NDArray[np.intp]]) -> Side:
    """A NumPy twin: ``choose`` tells the arms of all runs in round t from the sums of rewards and the counts, (runs, K) each."""

    def play(T: int, runs: int) -> Floats:
        rng, row = np.random.default_rng(0), np.arange(runs)
        sums, counts = np.zeros((runs, K)), np.zeros((runs, K))
        for t in range(T):
            arms = choose(rng, t, sums, counts)
            sums[row, arms] += rng.random(runs) < BANDIT.means[arms]
            counts[row, arms] += 1
        return np.asarray(counts @ BANDIT.gaps)

    return lambda T, runs: timed(lambda: play(T, runs))


def ucb1_arms(rng: np.random.Generator, t: int, sums: Floats, counts: Floats) -> NDArray[np.intp]:
    """UCB1's."""
    return np.full(len(sums), t) if t < K else (sums / counts + np.sqrt(2 * math.log(t) / counts)).argmax(axis=1)


def thompson_arms(rng: np.random.Generator, t: int, sums: Floats, counts: Floats) -> NDArray[np.intp]:
    """Thompson sampling's."""
    return rng.beta(1 + sums, 1 + counts - sums).argmax(axis=1)


def numpy_exp3(T: int, runs: int) -> tuple[float, Floats]:
    """EXP3 of all runs in step."""

    def play() -> Floats:
        rng, row, rate = np.random.default_rng(0), np.arange(runs), math.sqrt(2 * math.log(K) / (T * K))
        lost, regret = np.zeros((runs, K)), np.zeros(runs)
        for _ in range(T):
            weights = np.exp(-rate * (lost - lost.min(axis=1, keepdims=True)))
            weights /= weights.sum(axis=1, keepdims=True)
            arms = np.minimum((weights.cumsum(axis=1) <= rng.random((runs, 1))).sum(axis=1), K - 1)
            lost[row, arms] += (rng.random(runs) >= BANDIT.means[arms]) / weights[row, arms]
            regret += weights @ BANDIT.gaps
        return regret

    return timed(play)


def numpy_linucb(T: int, runs: int) -> tuple[float, Floats]:
    """OFUL of all runs in step, with mdplab's radius at ridge 1."""

    def play() -> Floats:
        rng, row, d = np.random.default_rng(0), np.arange(runs), LINEAR.dimension
        means, gaps = LINEAR.means[0], LINEAR.gaps[0]
        inverse, b, grown, regret = np.tile(np.eye(d), (runs, 1, 1)), np.zeros((runs, d)), np.zeros(runs), np.zeros(runs)
        for _ in range(T):
            estimate = np.einsum("rij,rj->ri", inverse, b)
            along = LINEAR.actions @ inverse  # (runs, K, d)
            radius = LINEAR.deviation * np.sqrt(2 * math.log(1 / 0.05) + grown) + LINEAR.norm
            wide = np.sqrt(np.einsum("rkd,kd->rk", along, LINEAR.actions))
            arms = (estimate @ LINEAR.actions.T + WIDTH * radius[:, None] * wide).argmax(axis=1)
            seen, moved = 1 + wide[row, arms] ** 2, along[row, arms]
            inverse -= moved[:, :, None] * moved[:, None, :] / seen[:, None, None]
            paid = means[arms] + LINEAR.deviation * rng.standard_normal(runs)
            b += LINEAR.actions[arms] * paid[:, None]
            grown += np.log(seen)
            regret += gaps[arms]
        return regret

    return timed(play)


def one_by_one(play: Callable[[int, Floats, int], list[int]]) -> Side:
    """A peer, run after run: ``play`` gets the horizon, a table of uniform numbers (T, K) for the rewards and a seed, and tells the arms."""

    def side(T: int, runs: int) -> tuple[float, Floats]:
        seconds, regret = 0.0, np.zeros(runs)
        for run in range(runs):
            rewards = (np.random.default_rng(run).random((T, K)) < BANDIT.means).astype(float)
            began = time.process_time()
            arms = play(T, rewards, run)
            seconds += time.process_time() - began
            regret[run] = BANDIT.gaps[arms].sum()
        return seconds, regret

    return side


def smpybandits(name: str, **settings: int) -> Side:
    """A policy of SMPyBandits; it asks scipy for ``btdtri``, which scipy now calls ``betaincinv``."""

    def play(T: int, rewards: Floats, seed: int) -> list[int]:
        if not hasattr(scipy.special, "btdtri"):
            scipy.special.btdtri = scipy.special.betaincinv
        with contextlib.redirect_stdout(io.StringIO()):  # it prints advice when it is imported
            from SMPyBandits import Policies
        np.random.seed(seed)  # noqa: NPY002 - that is where it draws from
        policy = getattr(Policies, name)(K, **({"horizon": T} if name == "Exp3WithHorizon" else {}), **settings)
        policy.startGame()
        arms = []
        for t in range(T):
            arm = int(policy.choice())
            policy.getReward(arm, rewards[t, arm])
            arms.append(arm)
        return arms

    return one_by_one(play)


def mabwiser(name: str, **settings: float) -> Side:
    """A learning policy of MABWiser, which is first fitted to one pull of each arm."""

    def play(T: int, rewards: Floats, seed: int) -> list[int]:
        from mabwiser.mab import MAB, LearningPolicy

        learner = MAB(list(range(K)), getattr(LearningPolicy, name)(**settings), seed=seed)
        arms = list(range(K))
        learner.fit(arms, [rewards[t, t] for t in range(K)])
        for t in range(K, T):
            arm = learner.predict()
            learner.partial_fit([arm], [rewards[t, arm]])
            arms.append(arm)
        return arms

    return one_by_one(play)


def coba_ucb(T: int, rewards: Floats, seed: int) -> list[int]:
    """coba's UCB1-Tuned."""
    from coba.learners import BanditUCBLearner

    learner, every, arms = BanditUCBLearner(seed=seed + 1), list(range(K)), []
    for t in range(T):
        arm, chance = learner.predict(None, every)
        learner.learn(None, arm, rewards[t, arm], chance)
        arms.append(arm)
    return arms


def coba_linucb(T: int, runs: int) -> tuple[float, Floats]:
    """coba's LinUCB on the features of the actions alone; its intervals do not widen with time."""
    from coba.learners import LinUCBLearner

    actions = [tuple(action) for action in LINEAR.actions.tolist()]
    number = {action: a for a, action in enumerate(actions)}
    seconds, regret = 0.0, np.zeros(runs)
    for run in range(runs):
        noise = LINEAR.deviation * np.random.default_rng(run).standard_normal(T)
        learner = LinUCBLearner(
            alpha=WIDTH * (LINEAR.deviation * math.sqrt(2 * math.log(1 / 0.05)) + LINEAR.norm), features=["a"]
        )
        arms = []
        began = time.process_time()
        for t in range(T):
            action, chance = learner.predict(None, actions)
            arms.append(number[action])
            learner.learn(None, action, LINEAR.means[0, arms[-1]] + noise[t], chance)
        seconds += time.process_time() - began
        regret[run] = LINEAR.gaps[0, arms].sum()
    return seconds, regret


ALGORITHMS: dict[str, dict[str, Side]] = {
    "UCB1": {
        "mdplab": compiled(UCB1()),
        "NumPy": in_step(ucb1_arms),
        "SMPyBandits": smpybandits("UCB"),
        "MABWiser": mabwiser("UCB1", alpha=1.0),
        "coba (UCB1-Tuned)": one_by_one(coba_ucb),
    },
    "EXP3": {"mdplab": compiled(EXP3()), "NumPy": numpy_exp3, "SMPyBandits": smpybandits("Exp3WithHorizon")},
    "Thompson": {
        "mdplab": compiled(BetaThompson()),
        "NumPy": in_step(thompson_arms),
        "SMPyBandits": smpybandits("Thompson"),
        "MABWiser": mabwiser("ThompsonSampling"),
    },
    "LinUCB": {"mdplab": compiled_linucb, "NumPy": numpy_linucb, "coba": coba_linucb},
}


def peers(T: int, runs: int, repeats: int) -> list[str]:
    """The lines of the table of peers: pulls a second, mdplab's over theirs, and the mean regret with its standard error."""
    lines = [f"| algorithm | by | pulls/s | mdplab / it | regret after {T:,} rounds |", "| --- " * 5 + "|"]
    print("\n".join(lines), flush=True)
    for name, sides in ALGORITHMS.items():
        least, regrets = {}, {}
        for by, side in sides.items():
            try:
                side(2 * K, 2)
            except ImportError as missing:
                print(f"{name} of {by} is left out: {missing}", file=sys.stderr)
            else:
                least[by] = math.inf
        for _ in range(repeats):  # turn by turn, so that a slow moment of the machine hits all alike
            for by in least:
                seconds, regrets[by] = sides[by](T, runs)
                least[by] = min(least[by], seconds)
        for by in sides:
            if by not in least:
                lines.append(f"| {name} | {by} | - (left out) | - | - |")
            else:
                error = regrets[by].std(ddof=1) / math.sqrt(runs)
                speed, ratio = T * runs / least[by], least[by] / least["mdplab"]
                lines.append(
                    f"| {name} | {by} | {speed:,.0f} | {f'{ratio:,.0f}' if ratio >= 100 else f'{ratio:.3g}'} | {regrets[by].mean():,.1f} ± {error:.1f} |"
                )
            print(lines[-1], flush=True)
    return lines


@numba.njit(cache=True)
def draw(seed: np.uint64, pulls: int, uniforms: int, normals: int) -> float:
    """The sum of the first entries of a stream: so many uniform and normal ones for each pull."""
    luck, gauss = stream(seed, 0), stream(seed, 1)
    total = 0.0
    for n in range(pulls * uniforms):
        total += uniform(luck, n)
    for n in range(pulls * normals):
        total += normal(gauss, n)
    return total


def floors(pulls: int, repeats: int) -> list[str]:
    """The lines of the table of the random numbers' cost, for a run of so many pulls."""
    kinds: dict[str, tuple[Callable[[Any], object], int, int]] = {
        "UCB1": (lambda seeds: simulate(UCB1(), BANDIT, pulls, seeds), 1, 0),
        "EXP3": (lambda seeds: simulate(EXP3(), BANDIT, pulls, seeds), 2, 0),
        "Thompson": (lambda seeds: simulate(BetaThompson(), BANDIT, pulls, seeds), 1 + 2 * K, 0),
        "LinUCB": (lambda seeds: oful(LINEAR, pulls, seeds, width=WIDTH), 0, 1),
    }
    lines = [
        "| algorithm | one run, pulls/s | uniform numbers a pull | normal numbers a pull | random numbers alone, pulls/s | their share |",
        "| --- " * 6 + "|",
    ]
    print("\n".join(lines), flush=True)
    seeds = run_seeds(1, 1)
    for name, (run, uniforms, normals) in kinds.items():
        least = [math.inf, math.inf]
        for turn in range(repeats + 1):
            for i, work in enumerate(
                [
                    lambda run=run: run(seeds),
                    lambda uniforms=uniforms, normals=normals: draw(seeds[0], pulls, uniforms, normals),
                ]
            ):
                began = time.process_time()
                work()
                if turn > 0:  # the first one compiles
                    least[i] = min(least[i], time.process_time() - began)
        speed, alone = pulls / least[0], pulls / least[1]
        lines.append(f"| {name} | {speed:,.0f} | {uniforms} | {normals} | {alone:,.0f} | {speed / alone:.0%} |")
        print(lines[-1], flush=True)
    rng = np.random.default_rng(0)
    won = rng.integers(1, pulls, size=(pulls // 10, K)).astype(float)
    seconds = min(timed(lambda: rng.beta(won, pulls + 1 - won).sum(axis=1))[0] for _ in range(repeats))
    lines += [
        "",
        f"NumPy's `Generator.beta` alone draws the {K} Beta numbers of {pulls // 10 / seconds:,.0f} pulls of Thompson sampling a second.",
    ]
    print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--horizon", type=int, default=1000, help="of a run beside the peers")
    parser.add_argument("--runs", type=int, default=40, help="beside the peers")
    parser.add_argument("--pulls", type=int, default=1_000_000, help="of a run without peers")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    parser.add_argument("--markdown", type=Path, help="rewrite the tables between the markers of this file")
    options = parser.parse_args()
    if options.horizon <= K or options.runs < 2 or options.repeats < 1 or options.pulls < 10:
        parser.error(f"a comparison needs more than {K} rounds, at least 2 runs, 10 pulls and 1 repetition.")
    numba.set_num_threads(1)
    lines = [
        *peers(options.horizon, options.runs, options.repeats),
        "",
        *floors(options.pulls, options.repeats),
        "",
        f"Machine: {machine()}.",
    ]
    print(lines[-1])
    if options.markdown:
        rewrite_section(options.markdown, "bandits", lines)


if __name__ == "__main__":
    main()
