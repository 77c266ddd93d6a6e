r"""Evolving a critic in self-play (Chen et al. 2025), in miniature: what the mixture of a self-played critic guarantees.

M[c, e] is the probability that the critic c detects an error of the type e. The generator of errors minimises detection, the
critic maximises it, both by Hedge against each other; v* is the value of this matrix game. Nothing here is about language models:
the paper's game is reduced to its matrix, and the bounds are those of Hedge.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from games.dynamics import average_policy
from games.linear_programming import solve_nash_lp
from games.zero_sum import (
    ZeroSumGame,
    detection,
    detection_table,
    hedge_self_play,
    row_guarantee,
    specialists,
)
from theory.claims import Comparison, Paper, Range, all_of, always, at_most, by_profile, claim, less_on_average, over

Array = NDArray[np.float64]

PAPER = Paper(
    key="spc",
    title="SPC: Evolving Self-Play Critic via Adversarial Games for LLM Reasoning",
    authors="Chen, Zhang, Ma, Wang, Liang, Tu, Li, Wong",
    year=2025,
    theme="games",
    arxiv="2504.19162",
)

Critic = Literal["average", "last", "fixed generator"]
EPS = float(np.finfo(float).eps)


def _critic(game: ZeroSumGame, critic: Critic, rounds: int) -> Array:
    """Log-probabilities of the averaged or the last self-played critic, or the best critic of uniformly drawn errors."""
    if critic == "fixed generator":
        best = int(np.argmax(game.payoff.mean(axis=1)))
        return np.where(np.arange(game.payoff.shape[0]) == best, 0.0, -np.inf)
    run = hedge_self_play(game, rounds)
    return run.log_rows[-1] if critic == "last" else average_policy(run.log_rows[:-1])


@claim(
    PAPER,
    "worst-case-critic",
    r"\min_e (\bar x^\top M)_e \ge v^\star - \sqrt{\frac{\ln m}{2T}} - \sqrt{\frac{\ln n}{2T}}, \qquad"
    r" \min_e M_{c e} \le v^\star \text{ for } c = \arg\max_{c} \operatorname{mean}_e M_{c e}",
    kind="mechanism",
    source="derived",
    assumes=r"m critics, n types of error, detection probabilities in [0, 1]; T rounds of Hedge, steps \sqrt{8 \ln m / T}, \sqrt{8 \ln n / T}",
    note="The first display is Hedge's guarantee; the paper's claim, that a critic is more robust for self-play, is its mechanism.",
)
@over(detection.sweep(critics=6, errors=8, draws=by_profile(quick=100, full=1000)), rounds=2000)
@over(detection.sweep(critics=(2, 12), errors=(3, 20), draws=by_profile(quick=5, full=50)), rounds=(1, 10, 100, 2000))
@over(specialists.sweep(errors=(2, 4, 10), noise=(0.0, 0.3), draws=by_profile(quick=3, full=20)), rounds=(10, 100, 2000))
@over(
    detection_table.sweep(payoff=Range(0.0, 1.0, size=4), critics=2),
    rounds=(2, 10, 100),
    budget=by_profile(quick=80, full=1000),
)
@over(
    detection_table.sweep(payoff=Range(0.0, 1.0, size=9), critics=3),
    rounds=(10, 100),
    budget=by_profile(quick=80, full=1500),
)
def worst_case_critic(
    game: ZeroSumGame, *, rounds: int, critic: Critic = "average", constant: float = 1.0, rate: float = 0.5
) -> Comparison:
    r"""The average of a self-played critic detects even the worst error nearly as often as any mixture can.

    Hedge's regret over T rounds of gains in [0, 1] is at most sqrt(T ln m/2) with the step sqrt(8 ln m/T), from the uniform
    policy. For both players, with the averages x and y:

    min_e (x^T M)_e >= (1/T) sum_t x_t^T M y_t - sqrt(ln n/(2T)) >= max_c (M y)_c - sqrt(ln m/(2T)) - sqrt(ln n/(2T)),

    and max_c (M y)_c >= v*. A critic trained against a fixed distribution of errors is a single row of M, and no strategy, pure or
    mixed, guarantees more than v*.
    """
    m, n = game.payoff.shape
    value = solve_nash_lp(game.payoff)
    radius = constant * (np.sqrt(np.log(m) / 2) + np.sqrt(np.log(n) / 2)) * rounds**-rate
    deficit = value.value - row_guarantee(game, _critic(game, critic, rounds))
    fixed = row_guarantee(game, _critic(game, "fixed generator", rounds))
    # rounds of Hedge, each of which rounds log-probabilities, and the width of the value's interval
    error = value.gap + EPS * (rounds + m + n)
    return all_of(
        self_play=at_most(deficit, radius, slack=error),
        fixed_generator=always(fixed <= value.upper),
    )


worst_case_critic.control(
    "the last iterate of self-play", because="the players chase each other round the equilibrium", critic="last"
)
worst_case_critic.control(
    "the critic of a fixed generator", because="it is blind to errors that were rare in training", critic="fixed generator"
)
worst_case_critic.control("a guarantee that improves as 1/T", because="Hedge with these steps keeps 1/sqrt(T)", rate=1.0)


@claim(
    PAPER,
    "fixed-generator",
    r"\mathbb{E} \min_e M_{c e} \le \mathbb{E} \min_e (\bar x^\top M)_e - 0.15 \quad \text{on random } 6 \times 8 \text{ games},\ T = 2000",
    kind="separation",
    source="derived",
    assumes="entries independent and uniform in [0, 1]; c is the best critic of uniformly drawn errors",
    note="The margin 0.15 belongs to this family of games; where one critic is the best against every error there is none.",
)
def fixed_generator(*, seed: int, games: int = by_profile(quick=150, full=1000), dominant: bool = False) -> Comparison:
    """Against the worst error, the critic that was trained on a fixed distribution of errors does much worse on average.

    It maximises the mean of a row of M, which says little of the row's least entry. The two critics are compared on the same
    games, drawn independently.
    """
    pairs = []
    for draw in np.random.default_rng(seed).integers(2**31, size=games).tolist():
        game = detection(critics=6, errors=8, seed=draw)
        if dominant:  # a seventh critic that detects every error as often as the best of the others, and more
            game = ZeroSumGame(np.vstack([game.payoff, (1 + game.payoff.max(axis=0)) / 2]))
        pairs.append([float(row_guarantee(game, _critic(game, c, 2000))) for c in ("fixed generator", "average")])
    fixed, average = np.array(pairs).T
    return less_on_average(fixed, average, margin=0.15)


fixed_generator.control(
    "one critic is the best against every error", because="then it is the fixed generator's choice as well", dominant=True
)
