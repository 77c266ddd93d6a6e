r"""Shapley (1953): two-player zero-sum Markov games have a value, and stationary strategies that attain it.

Notation: T is Shapley's operator, (T V)(s) the value of the matrix game r(s, ., .) + gamma P V; V* its fixed point; V^{x, y} the value
of two stationary strategies, x the maximising row player's. |.| is the largest entry in size.

The true V* is known here only up to the bracket that :mod:`games.shapley` certifies by solving both players' best-response
problems; its width is the slack. In small games those problems are also solved by trying every pure stationary reply.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from games.markov import MarkovGame, joint_mdp, markov_game
from games.shapley import (
    ShapleySolution,
    hoffman_karp,
    shapley_iterates,
    shapley_iteration,
    shapley_operator,
    stationary_guarantees,
)
from mdplab.models import ModelError
from mdplab.models.random_mdps import dirichlet_rows
from mdplab.solvers.evaluation import evaluate_policies
from theory.claims import Comparison, Paper, Range, all_of, at_least, at_most, by_profile, claim, equal, family, over

Array = NDArray[np.float64]

PAPER = Paper(
    key="markov-games",
    title="Stochastic games",
    authors="Shapley",
    year=1953,
    theme="multiagent",
    venue="Proceedings of the National Academy of Sciences 39(10)",
)


@family(S=1, K=2)
def pennies(S: int = 2, K: int = 2, gamma: float = 0.9, concentration: float = 0.5, seed: int = 0) -> MarkovGame:
    """Matching pennies of K sides in every state: the row player wins 1 if both show the same, and where the game goes is random."""
    if S < 1 or K < 2:
        raise ModelError(f"matching pennies needs a state and two sides, not S={S} and K={K}.")
    rng = np.random.default_rng(seed)
    reward = np.broadcast_to(np.eye(K), (S, K, K))
    return MarkovGame(dirichlet_rows(rng, S * K * K, S, concentration).reshape(S, K, K, S), np.stack([reward, -reward]), gamma)


@family
def table(
    payoff: tuple[float, ...] = (1.0, 0.0, 0.0, 1.0), stay: tuple[float, ...] = (0.5, 0.5, 0.5, 0.5), gamma: float = 0.9
) -> MarkovGame:
    """Two actions each; a joint action pays ``payoff`` and stays with probability ``stay``, else the game moves on to where nothing pays."""
    reward = np.zeros((2, 2, 2))
    reward[0] = np.reshape(payoff, (2, 2))
    transition = np.zeros((2, 2, 2, 2))
    transition[0, :, :, 0] = np.reshape(stay, (2, 2))
    transition[0, :, :, 1] = 1 - transition[0, :, :, 0]
    transition[1, :, :, 1] = 1.0
    return MarkovGame(transition, np.stack([reward, -reward]), gamma)


RANDOM = markov_game.sweep(
    S=4,
    actions=[(2, 2), (3, 3), (3, 2)],
    gamma=(0.5, 0.95),
    payoff="zero-sum",
    rewards="normal",
    concentration=(0.05, 1.0),
    draws=by_profile(quick=1, full=10),
) | pennies.sweep(S=3, K=(2, 3), gamma=0.9, draws=by_profile(quick=1, full=10))
SEARCHED = table.sweep(payoff=Range(-1.0, 1.0, size=4), stay=Range(0.0, 1.0, size=4), gamma=0.9)


_solved: dict[str, ShapleySolution] = {}


def _solve(game: MarkovGame) -> ShapleySolution:
    """The certified solution of a game that knows its key; remembered for the controls, which see the same games."""
    assert game.key is not None
    if game.key not in _solved:
        _solved[game.key] = hoffman_karp(game, 1e-10)
    return _solved[game.key]


def _start(game: MarkovGame, kind: str, seed: int) -> Array:
    """A V_0: zeros, normal noise, or V* and a constant."""
    if kind == "zeros":
        return np.zeros(game.states)
    if kind == "noise":
        return np.random.default_rng([seed, 1]).standard_normal(game.states) * (1 + np.abs(_solve(game).value).max())
    return _solve(game).value + 1.0


@claim(
    PAPER,
    "contraction",
    r"\|V_k - V^\star\|_\infty \le \gamma^k\, \|V_0 - V^\star\|_\infty, \qquad V_{k+1} = T V_k",
    kind="deterministic rate",
    source="recalled",
    assumes="0 <= gamma < 1",
)
@over(RANDOM, start=("zeros", "noise", "constant"))
@over(SEARCHED, start="noise", budget=by_profile(quick=20, full=300))
def contraction(game: MarkovGame, *, start: str, seed: int, power: float = 1.0, factor: float = 1.0) -> Comparison:
    r"""Shapley's iteration converges geometrically, at the rate of the discount.

    The value of a matrix game moves by at most the largest change of an entry, and entries change by at most
    :math:`\gamma |V - W|`. An error that is the same in every state attains it.
    """
    optimum = _solve(game)
    k = np.arange(1, 13)
    iterates = shapley_iterates(game, 12, initial=_start(game, start, seed))
    errors = np.abs(iterates - optimum.value).max(axis=1)
    return at_most(errors[1:], factor * game.gamma ** (power * k) * errors[0], slack=optimum.width, x=k)


contraction.control("the rate gamma^1.05", because="a constant error shrinks by gamma a step, and no more", power=1.05)
contraction.control("five per cent less", because="a constant error attains the bound", factor=0.95)


def _replies(game: MarkovGame, player: int, own: Array) -> Array:
    """The best value (S,) that the opponent of ``player`` can hold the game to against ``own``, over all pure stationary replies."""
    other = game.actions[1 - player]
    replies = np.eye(other)[list(itertools.product(range(other), repeat=game.states))]  # (replies, S, K)
    joint = own[:, :, None] * replies[:, :, None, :] if player == 0 else replies[..., None] * own[:, None, :]
    values, _, _ = evaluate_policies(joint_mdp(game), joint.reshape(len(replies), -1))
    return np.asarray(values.min(axis=0) if player == 0 else values.max(axis=0))


@claim(
    PAPER,
    "certificate",
    r"T V + \tfrac{\gamma}{1 - \gamma} \min b \le \min_{y'} V^{x, y'} \le V^\star \le \max_{x'} V^{x', y} \le T V + \tfrac{\gamma}{1 -"
    r" \gamma} \max b, \qquad b = T V - V",
    kind="inequality",
    source="recalled",
    assumes="any V; x and y optimal in the matrix games at V, used in every period",
    note="The bracket is MacQueen's (1966) and Porteus's (1971) for one player; it carries over word by word.",
)
@over(RANDOM, start=("zeros", "noise", "constant"), steps=by_profile(quick=(2,), full=(0, 2, 10)))
def certificate(game: MarkovGame, *, start: str, steps: int, seed: int, horizon: float = 1.0, mixed: bool = True) -> Comparison:
    r"""One sweep brackets the value of the game and what its strategies guarantee.

    Against x, whatever y': :math:`T_{x, y'} V \ge T V = V + b \ge V + \min b`. Applied again and again, each step adds another
    :math:`\gamma^k \min b`, so that :math:`V^{x, y'} \ge T V + (\gamma + \gamma^2 + \dots) \min b`; and V* is at least what x guarantees. The
    other side is its mirror image. What x and y guarantee is found by trying all pure stationary replies, of which one is a best
    reply, and must agree with the solver's.
    """
    optimum = _solve(game)
    V = shapley_iterates(game, steps, initial=_start(game, start, seed))[-1]
    step = shapley_operator(game, V)
    change = step.value - V
    if mixed:
        row, column = step.row, step.column
    else:
        row, column = (np.eye(p.shape[1])[p.argmax(axis=1)] for p in (step.row, step.column))
    lower, upper = _replies(game, 0, row), _replies(game, 1, column)
    found = stationary_guarantees(game, row, column)
    factor = horizon * game.gamma / (1 - game.gamma)
    slack = optimum.width + 4 * step.error / (1 - game.gamma) + 1e-12 * (1 + np.abs(optimum.value).max())
    return all_of(
        row_loss=at_most(optimum.value - lower, optimum.value - (step.value + factor * change.min()), slack=slack),
        column_loss=at_most(upper - optimum.value, step.value + factor * change.max() - optimum.value, slack=slack),
        value_above=at_least(optimum.value - lower, 0.0, slack=slack),
        value_below=at_least(upper - optimum.value, 0.0, slack=slack),
        solver=equal(np.append(found.lower, found.upper), np.append(lower, upper), tolerance=1e-9, scale=1 + np.abs(V).max()),
    )


certificate.control("five per cent less of the horizon", because="a constant error attains the bracket", horizon=0.95)
certificate.control(
    "each state's most likely action", because="a pure strategy can be exploited where a mixed one is needed", mixed=False
)


@claim(
    PAPER,
    "value",
    r"\max_x \min_y V^{x, y} = V^\star = \min_y \max_x V^{x, y} \qquad \text{in every state at once, with stationary } x, y",
    kind="identity",
    source="recalled",
    assumes="0 <= gamma < 1; the maxima and minima over stationary strategies that may mix",
)
@over(RANDOM)
@over(pennies.sweep(S=(1, 2), K=2, gamma=(0.0, 0.9), draws=by_profile(quick=2, full=10)))
def value(game: MarkovGame, *, mixed: bool = True) -> Comparison:
    r"""Neither player loses by moving first: what the row player can secure is what the column player can hold it to.

    Two different algorithms from two sides: the row player's guarantee by Hoffman and Karp's iteration in the game, and the column
    player's by Shapley's in the game in which the players have changed places. Each is the exact value of the
    best reply to a strategy, so the first is at most the second; they meet at V*.
    """
    if mixed:
        secured = hoffman_karp(game, 1e-9).lower
        mirrored = MarkovGame(game.transition.swapaxes(1, 2), game.reward[::-1].swapaxes(2, 3), game.gamma)
        held = -shapley_iteration(mirrored, 1e-9).lower
        return equal(secured, held, tolerance=2e-9, scale=1.0)
    return equal(_pure_value(game, first=0), _pure_value(game, first=1), tolerance=2e-9, scale=1.0)


def _pure_value(game: MarkovGame, first: int) -> Array:
    """The fixed point of V = max_a min_b (``first`` = 0) or min_b max_a [r + gamma P V]: who moves first shows a pure action."""
    V = np.zeros(game.states)
    for _ in range(int(np.ceil(np.log(1e-12) / np.log(max(game.gamma, 0.1))))):
        stage = game.reward[0] + game.gamma * (game.transition @ V)
        V = stage.min(axis=2).max(axis=1) if first == 0 else stage.max(axis=1).min(axis=1)
    return V


value.control("without mixing", because="who shows a pure action first loses at matching pennies", mixed=False)


@claim(
    PAPER,
    "greedy-loss",
    r"V^\star - \min_{y} V^{x, y} \le \frac{2 \gamma}{1 - \gamma}\, \|V - V^\star\|_\infty \qquad \text{for } x \text{ optimal in the matrix"
    r" games at } V",
    kind="inequality",
    source="recalled",
    assumes="0 <= gamma < 1",
    note="Known for Markov decision processes from Singh and Yee (1994), where it is attained.",
)
@over(RANDOM, noise=(0.01, 1.0), error="random")
@over(SEARCHED, noise=1.0, error="alternating", budget=by_profile(quick=20, full=300))
@over(
    table.sweep(payoff=[(-1.7998, -1.7998, 0.0, 0.0)], stay=[(1.0, 1.0, 0.0, 0.0)], gamma=0.9), noise=1.0, error="alternating"
)
def greedy_loss(game: MarkovGame, *, noise: float, error: str, seed: int, constant: float = 2.0) -> Comparison:
    r"""A strategy that is optimal at a wrong value loses at most twice that error over the horizon.

    With V^x for what x guarantees and T_x for the operator in which the row player keeps to x,
    :math:`V^\star - V^x = (T V^\star - T V) + (T_x V - T_x V^x)`, as :math:`T_x V = T V`; both operators are contractions, so the size e of
    the left side is at most :math:`\gamma |V - V^\star| + \gamma (|V - V^\star| + e)`. It is attained, as in decision processes, by a
    state in which to stay costs 2 gamma a step, to leave is free, and V is too high by 1 here and too low by 1 there.
    """
    optimum = _solve(game)
    signs = (-1.0) ** np.arange(game.states)
    drawn = np.random.default_rng([seed, 2]).uniform(-1.0, 1.0, game.states)
    V = optimum.value + noise * (signs if error == "alternating" else drawn)
    step = shapley_operator(game, V)
    found = stationary_guarantees(game, step.row, step.column)
    size = np.abs(V - optimum.value).max()
    slack = (2 * optimum.width + 4 * step.error) / (1 - game.gamma) + 1e-10
    return at_most(optimum.value - found.lower, constant * game.gamma / (1 - game.gamma) * size, slack=slack)


greedy_loss.control("0.95 of the bound", because="staying where it costs 2 gamma a step attains it", constant=1.9)
