"""Training many runs at once beside a loop over seeds, in one process, on whatever device JAX finds.

    python benchmarks/neural.py                                  # two widths, 8 to 128 runs; some minutes on two cores
    python benchmarks/neural.py --widths 32 1024 --runs 1024     # for a GPU

Both sides train the discrete soft actor-critic of :mod:`mdplab.neural.discrete_sac` on random models of 8 states and 4 actions, with a
batch of 64 transitions a step, by the same compiled functions: once with all runs in one program, once run by run (of which a few
are timed). Compilation is told by itself. An environment step is a sampled transition; an update moves actor, critics and averages once.
What a step computes is counted by XLA, all arithmetic together, and compared with a product of two large float32 matrices on the
same device.

Where ``rejax`` and a ``gymnax`` that it works with are installed (``pip install rejax 'gymnax<0.1' six``), PPO on CartPole is timed as well,
batched and in a loop: another algorithm on another problem, for orientation.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from report import machine, rewrite_section

from mdplab.models import dirichlet_mdp
from mdplab.neural.discrete_sac import DiscreteSAC, SoftProblem, stack_soft
from mdplab.neural.training import device_of, train
from theory.random_streams import run_seeds

SETTING = {"level": 0.0, "pessimism": 1.0, "bonus": 1.0, "automatic": 0.0, "target": 0.5}
SINGLES = 4  # runs that the loop is timed on


def seconds(run: Callable[[], Any], repeats: int = 3) -> float:
    """The shortest time of some, after one that compiles."""
    run()
    best = float("inf")
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begin)
    return best


def problems(runs: int) -> SoftProblem:
    """Random models with their optima at the temperature 0.2."""
    return stack_soft([dirichlet_mdp(S=8, A=4, gamma=0.9, concentration=0.3, seed=i) for i in range(runs)], (0.2,))


def arithmetic(experiment: DiscreteSAC, problem: SoftProblem) -> float:
    """The floating-point operations of one step of one run, as XLA counts them."""
    with jax.enable_x64(True):
        one = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), problem)
        hyper = {name: jnp.float32(value) for name, value in SETTING.items()}
        state = experiment.init(jax.random.key(0), one, hyper)
        counted = jax.jit(experiment.update).lower(state, jax.random.key(1), one, hyper).compile().cost_analysis()
    return float(counted["flops"])


def matrix_rate() -> float:
    """Floating-point operations a second of a product of two square float32 matrices, at the device's default precision."""
    n = 8192 if device_of().platform == "gpu" else 2048
    a = jax.random.normal(jax.random.key(0), (n, n), dtype=jnp.float32)
    product = jax.jit(lambda x: x @ x)
    return 2 * n**3 / seconds(lambda: product(a).block_until_ready())


def soft_actor_critic(widths: list[int], numbers: list[int], steps: int) -> list[str]:
    """The rows of the table."""
    peak = matrix_rate()
    rows = [
        "| width | runs | compilation, s | environment steps a second | updates a second | loop over seeds, steps a second | "
        "batched / loop | of the rate of a matrix product |",
        "| --- " * 8 + "|",
    ]
    every = problems(max(numbers))
    for width in widths:
        experiment = DiscreteSAC(hidden=(width, width))
        flops = arithmetic(experiment, every)

        def one_by_one(experiment: DiscreteSAC = experiment) -> None:
            for i in range(SINGLES):
                alone = jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], every)
                train(experiment, alone, run_seeds(0, SINGLES)[i : i + 1], steps, hypers=(SETTING,), lanes=1)

        loop = SINGLES * steps / seconds(one_by_one)
        for runs in numbers:
            some = jax.tree.map(lambda leaf, runs=runs: leaf[:runs], every)

            def together(experiment: DiscreteSAC = experiment, some: SoftProblem = some, runs: int = runs) -> None:
                train(experiment, some, run_seeds(0, runs), steps, hypers=(SETTING,), lanes=runs)

            begin = time.perf_counter()
            together()
            first = time.perf_counter() - begin
            took = seconds(together)
            rate = runs * steps / took
            cells = (
                f"{width}",
                f"{runs}",
                f"{max(first - took, 0):.1f}",
                f"{rate * experiment.batch:.3g}",
                f"{rate:.3g}",
                f"{loop * experiment.batch:.3g}",
                f"{rate / loop:.1f}",
                f"{rate * flops / peak:.1%}",
            )
            rows.append("| " + " | ".join(cells) + " |")
            print(rows[-1], file=sys.stderr, flush=True)
    return [*rows, "", f"A matrix product makes {peak / 1e9:.3g} GFLOP/s."]


def proximal_policy_optimisation(runs: int = 16, total: int = 65_536) -> list[str]:
    """A line about rejax's PPO, if it runs here."""
    try:
        import rejax

        algorithm = rejax.get_algo("ppo").create(
            env="CartPole-v1", total_timesteps=total, eval_freq=total, num_envs=16, num_steps=64, skip_initial_evaluation=True
        )
    except Exception as error:
        return [f"PPO of rejax is not timed: {type(error).__name__}, {str(error).splitlines()[0]}"]
    keys = jax.random.split(jax.random.PRNGKey(0), runs)
    one = jax.jit(algorithm.train)
    many = jax.jit(jax.vmap(algorithm.train))
    loop = SINGLES * total / seconds(lambda: [jax.block_until_ready(one(key)) for key in keys[:SINGLES]], 1)
    batched = runs * total / seconds(lambda: jax.block_until_ready(many(keys)), 1)
    return [
        f"PPO of rejax on gymnax's CartPole (two layers of 64, a last evaluation included): {batched:.3g} environment steps a second with "
        f"{runs} runs at once, {loop:.3g} in a loop, {batched / loop:.1f} times."
    ]


def main() -> None:
    """Measure, print, and rewrite the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 256])
    parser.add_argument("--runs", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--markdown", type=Path, help="rewrite the section <!-- neural --> of this file")
    arguments = parser.parse_args()
    lines = soft_actor_critic(arguments.widths, arguments.runs, arguments.steps)
    lines += ["", *proximal_policy_optimisation()]
    device = device_of()
    lines += ["", f"Device: {device.device_kind} ({device.platform}), JAX {jax.__version__}. Machine: {machine()}."]
    print("\n".join(lines))
    if arguments.markdown is not None:
        rewrite_section(arguments.markdown, "neural", lines)


if __name__ == "__main__":
    main()
