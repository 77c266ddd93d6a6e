r"""Adversarial policies with partial control (Liu et al. 2024): the modified game, what a share of control costs, and how to train.

Notation: rewards in [0, 1] go to the victim, whose policy is x; the other player normally plays :math:`\alpha_0`, and an attacker with
control :math:`\epsilon` makes it :math:`\alpha = (1-\epsilon) \alpha_0 + \epsilon y`. V is discounted and unnormalised, d the normalised
occupancy of states, D that of states with both actions. Everything is computed exactly, up to rounding and solvers' brackets.
"""

import functools
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from games.adversarial_training import guaranteed_returns, two_timescale_training
from games.markov import MarkovGame, evaluate_joint, joint_mdp, joint_policy
from games.partial_control import (
    PartialControl,
    attacked_occupancy,
    attacked_value,
    best_attack,
    modified_game,
    most_robust_victim,
    random_control,
    trap,
)
from games.shapley import ShapleySolution, hoffman_karp
from mdplab.models.random_mdps import dirichlet_rows
from mdplab.solvers.evaluation import evaluate_policies
from theory.claims import Comparison, Paper, all_of, at_most, by_profile, claim, equal, family, less_on_average, over
from theory.claims.families import derive_seed

PAPER = Paper(
    key="adversarial-policies",
    title="Rethinking Adversarial Policies: A Generalized Attack Formulation and Provable Defense in RL",
    authors="Liu, Chakraborty, Sun, Huang",
    year=2024,
    theme="safety",
    arxiv="2305.17342",
    venue="ICLR 2024",
)

Floats = NDArray[np.float64]
CONTROLS = (0.05, 0.2, 0.5, 1.0)


@family
def lure(gamma: float = 0.99, control: float = 0.3) -> PartialControl:
    """A good state pays 1: action 1 pays 1, too, and opens a pit, where another 1 ends all rewards; action 2 pays nothing, and stays.

    With full control 2 is the best attack, since every turn pays nothing. With little the pit is, which ends what cannot be attacked.
    """
    transition = np.zeros((3, 1, 3, 3))
    transition[0, 0, [0, 1, 2], [0, 1, 0]] = 1.0
    transition[1, 0, [0, 1, 2], [0, 2, 0]] = 1.0
    transition[2, 0, :, 2] = 1.0
    reward = np.zeros((3, 1, 3))
    reward[0, 0, :2] = reward[1, 0, [0, 2]] = 1.0
    game = MarkovGame(transition, np.stack([reward, -reward]), gamma, np.array([1.0, 0.0, 0.0]))
    return PartialControl(game, np.eye(3)[[0, 0, 0]], control)


_robust: dict[tuple[str | None, float], ShapleySolution] = {}


def _policies(model: PartialControl, seed: int) -> tuple[Floats, Floats]:
    """A random victim and a random attack."""
    rng = np.random.default_rng([seed, 2])
    victim, attack = (dirichlet_rows(rng, model.game.states, k, 1.0) for k in model.game.actions)
    return victim, attack


def _most_robust(model: PartialControl, control: float) -> ShapleySolution:
    """The victim most robust to ``control``; remembered for the controls, which see the same games."""
    key = (model.key, control)
    if key not in _robust:
        _robust[key] = most_robust_victim(model.with_control(control))
    return _robust[key]


def _every_attack(model: PartialControl, victim: Floats) -> Floats:
    """The values (S,) of the worst of all pure stationary attacks, each deployed in the game itself."""
    states, columns = model.game.states, model.game.actions[1]
    attacks = np.eye(columns)[list(itertools.product(range(columns), repeat=states))]
    deployed = (1 - model.control) * model.normal + model.control * attacks
    joint = victim[:, :, None] * deployed[:, :, None, :]
    values, _, _ = evaluate_policies(joint_mdp(model.game), joint.reshape(len(attacks), -1))
    return np.asarray(values.min(axis=0))


@dataclass(frozen=True)
class _Attack:
    """What an attack does to a random victim: the largest loss of value, shifts in L1, the values (K, S) at ever more control."""

    loss: float
    states: float
    pairs: float
    values: Floats
    value_error: float
    shift_error: float


_attacks: dict[tuple[str | None, int, bool], _Attack] = {}


def _attack(model: PartialControl, seed: int, best: bool) -> _Attack:
    """The best attack or the kindest, which leaves the victim most; remembered for the controls."""
    key = (model.key, seed, best)
    if key not in _attacks:
        victim, _ = _policies(model, seed)
        game = model.game
        kind = MarkovGame(game.transition, -game.reward, game.gamma, game.start_distribution)
        aim = model if best else PartialControl(kind, model.normal, model.control)
        attack = best_attack(aim, victim, 1e-10).policy
        normal = model.with_control(0.0)
        ladder = [attacked_value(normal, victim, attack)]
        for control in np.linspace(0, model.control, 5)[1:]:
            stage = model.with_control(control)
            ladder.append(attacked_value(stage, victim, best_attack(stage, victim, 1e-10).policy if best else attack))
        first, second = (attacked_occupancy(m, victim, attack) for m in (normal, model))
        _attacks[key] = _Attack(
            float((ladder[0].value - ladder[-1].value).max()),
            float(np.abs(first.state - second.state).sum()),
            float(np.abs(first.pair - second.pair).sum()),
            np.array([stage.value for stage in ladder]),
            2e-10 * best + ladder[0].error + ladder[-1].error,
            first.error + second.error,
        )
    return _attacks[key]


@claim(
    PAPER,
    "partial-control-equivalence",
    r"V^{x, (1-\epsilon) \alpha_0 + \epsilon y}_{r, P} = V^{x, y}_{r', P'}, \qquad \min_y V^{x, \alpha_y} \text{ is an MDP's}, \qquad "
    r"\max_x \min_y V^{x, \alpha_y} = V^\star_{r', P'}",
    kind="identity",
    source="derived",
    assumes="0 <= epsilon <= 1; the attacker's turns are drawn afresh in each step; stationary policies",
)
@over(
    random_control.sweep(
        S=by_profile(quick=3, full=(1, 2, 4)),
        actions=[(3, 2), (2, 3)],
        gamma=(0.5, 0.95),
        control=(0.0, 0.3, 1.0),
        draws=by_profile(quick=1, full=8),
    )
    | trap.sweep(gamma=0.99, control=(0.1, 1.0))
    | lure.sweep()
)
def partial_control_equivalence(
    model: PartialControl,
    *,
    seed: int,
    power: float = 1.0,
    rewards: bool = True,
    once: bool = False,
    attack_for: str = "own",
    insured_for: str = "own",
) -> Comparison:
    r"""A game with partial control is a zero-sum Markov game, whose maximin policy is the most robust victim.

    r and P enter values linearly in the deployed mixture, state by state; averaging them over :math:`\alpha` or over y in r', P' is
    the same. The best attack found by the solver is compared with all pure stationary attacks, each deployed in the game itself.
    Against the most robust victim none of them gets below the bracket of V*; against another victim the worst of them stays below it.
    """
    victim, attack = _policies(model, seed)
    used = model.with_control(model.control**power)
    modified = modified_game(used)
    if not rewards:
        modified = MarkovGame(modified.transition, model.game.reward, model.game.gamma, model.game.start_distribution)
    found = attacked_value(model, victim, attack)
    if once:
        normally, attacked = (attacked_value(model.with_control(c), victim, attack).value for c in (0.0, 1.0))
        predicted = (1 - model.control) * normally + model.control * attacked
    else:
        predicted = evaluate_joint(modified, joint_policy(modified, (victim, attack))).value
    size = 1 / (1 - model.game.gamma)
    best = best_attack(used, victim)
    aimed = best_attack(model.with_control(1.0), victim) if attack_for == "full" else best
    solved = _most_robust(model, model.control)
    robust = _most_robust(model, 1.0 if insured_for == "full" else model.control).row
    worst = _every_attack(model, victim)
    slack = solved.width + 1e-11 * size
    return all_of(
        value=equal(found.value, predicted, scale=size),
        best=equal(best.value, worst, scale=size),
        attack=equal(attacked_value(model, victim, aimed.policy).value, worst, scale=size),
        robust=at_most(solved.value, _every_attack(model, robust), slack=slack),
        others=at_most(worst, solved.value, slack=slack),
    )


partial_control_equivalence.control("the rewards unmixed", because="the normal action is rewarded, too", rewards=False)
partial_control_equivalence.control("the turn drawn once for all", because="values are not linear in the mixture", once=True)
partial_control_equivalence.control("control to the power 1.01", because="the weight is the control", power=1.01)
partial_control_equivalence.control(
    "the attack of full control", because="a lure is worth more to those who seldom act", attack_for="full"
)
partial_control_equivalence.control(
    "the victim robust to full control", because="it insures against attacks that are too rare", insured_for="full"
)


@claim(
    PAPER,
    "budget-bounds",
    r"V^{x, \alpha_0} - \min_y V^{x, \alpha_y} \le \frac{\epsilon}{(1-\gamma)(1-\gamma+\gamma\epsilon)}, \qquad "
    r"\|d^{\alpha} - d^{\alpha_0}\|_1 \le \frac{2 \gamma \epsilon}{1-\gamma+\gamma\epsilon}, \qquad "
    r"\|D^{\alpha} - D^{\alpha_0}\|_1 \le \frac{2 \epsilon}{1-\gamma+\gamma\epsilon}, \qquad \min_y V^{x, \alpha_y} \downarrow \text{ in } \epsilon",
    kind="inequality",
    source="derived",
    assumes="rewards in [0, 1]; d and D for any attack, here the best",
    note="The usual bounds have 1 - gamma in place of 1 - gamma + gamma epsilon: 10 times as much at gamma = 0.9 and epsilon = 1.",
)
@over(
    random_control.sweep(
        S=by_profile(quick=3, full=(2, 4)),
        actions=by_profile(quick=[(2, 3)], full=[(2, 2), (3, 2), (2, 3)]),
        gamma=(0.5, 0.9, 0.99),
        control=CONTROLS,
        draws=by_profile(quick=1, full=8),
    )
    | trap.sweep(gamma=(0.5, 0.9, 0.99), control=CONTROLS)
)
def budget_bounds(
    model: PartialControl,
    *,
    seed: int,
    less: float = 1.0,
    exposure: str = "all",
    joint: bool = True,
    horizon: int = 1,
    best: bool = True,
) -> Comparison:
    r"""What an attacker can do grows with its control, and stays below what one undiscovered turn could do.

    Play the normal and the attacked run with the same draws until the attacker's first turn. It comes in step t with probability
    :math:`\epsilon (1-\epsilon)^t`, and everything from then on may differ: the states after t, the rewards from t on. Sums of
    geometric series give the three bounds. A good state that one wrong action ends (`trap`) attains all of them, for every
    :math:`\epsilon`. With more control the attacker can do what it did with less, by playing :math:`\alpha_0` in part of its turns.
    """
    g, e = model.game.gamma, model.control
    found = _attack(model, seed, best)
    exposed = {"all": 1 - g + g * e, "no survivors": 1 - g + e, "one step": 1.0}[exposure]
    return all_of(
        loss=at_most(found.loss, less * e / ((1 - g) ** horizon * exposed), slack=found.value_error),
        states=at_most(found.states, less * 2 * g * e / exposed, slack=found.shift_error),
        pairs=at_most(found.pairs, less * 2 * e * (1 if joint else g) / exposed, slack=found.shift_error),
        monotone=at_most(found.values[1:], found.values[:-1], slack=found.value_error),
    )


budget_bounds.control("0.99 of the bounds", because="a trap attains them", less=0.99)
budget_bounds.control("no factor 1 / (1 - gamma)", because="a trap ends all later rewards", horizon=0)
budget_bounds.control("1 - gamma + epsilon below", because="a trap attains 1 - gamma + gamma epsilon", exposure="no survivors")
budget_bounds.control("one step's share of the attacker", because="what a turn does lasts", exposure="one step")
budget_bounds.control("the states' bound for joint actions", because="the first turn shows in the action at once", joint=False)
budget_bounds.control("the kindest attack", because="the more of it, the better for the victim", best=False)


@claim(
    PAPER,
    "disagreement-bounds",
    r"\|V^{x, \alpha_0} - V^{x, \alpha}\|_\infty \le \frac{\delta}{(1-\gamma)(1-\gamma+\gamma\delta)}, \qquad \delta = \epsilon \max_s "
    r"\mathrm{TV}(\alpha_0(s), y(s)) \le \epsilon \, (1 - \min \alpha_0)",
    kind="inequality",
    source="derived",
    assumes="rewards in [0, 1]; any attack y",
    note="Sharper than the bound in epsilon where the normal policy mixes: all of the attack's turns that look normal are free.",
)
@over(
    random_control.sweep(
        S=3,
        actions=[(2, 2), (2, 4)],
        gamma=(0.5, 0.95),
        control=(0.2, 1.0),
        concentration=by_profile(quick=0.5, full=(0.3, 3.0)),
        draws=by_profile(quick=1, full=10),
    ),
    kind=("best", "random"),
    share=1.0,
)
@over(trap.sweep(gamma=(0.5, 0.99), control=(0.1, 1.0)), kind="best", share=(0.01, 0.5, 1.0))
def disagreement_bounds(
    model: PartialControl,
    *,
    kind: str,
    share: float,
    seed: int,
    less: float = 1.0,
    over_states: str = "max",
    half: bool = False,
) -> Comparison:
    r"""Only turns in which the attacker moves as the normal policy would not do harm.

    Draw the normal and the deployed action so that they differ with probability :math:`\mathrm{TV}(\alpha_0, \alpha) = \epsilon\,
    \mathrm{TV}(\alpha_0, y)`, the least possible, and proceed as in `adversarial-policies/budget-bounds`. An attack on a trap that
    uses a ``share`` of its turns attains the bound.
    """
    g = model.game.gamma
    victim, random_attack = _policies(model, seed)
    attack = best_attack(model, victim).policy if kind == "best" else random_attack
    attack = share * attack + (1 - share) * model.normal
    distances = model.control * np.abs(attack - model.normal).sum(axis=1) / 2
    delta = less * float(distances.max() if over_states == "max" else distances.mean()) * (0.5 if half else 1.0)
    first = attacked_value(model.with_control(0.0), victim, attack)
    second = attacked_value(model, victim, attack)
    slack = first.error + second.error
    return all_of(
        loss=at_most(np.abs(first.value - second.value).max(), delta / ((1 - g) * (1 - g + g * delta)), slack=slack),
        floor=at_most(distances.max(), model.control * (1 - model.normal.min()), slack=1e-12),
    )


disagreement_bounds.control("0.99 of delta", because="a trap attains the bound", less=0.99)
disagreement_bounds.control(
    "the mean over states", because="an attack may be on the state where the run is", over_states="mean"
)
disagreement_bounds.control("half of delta", because="total variation is half the L1 distance already", half=True)


SCHEDULES = {
    "slow": (0.002, 0.2),
    "equal": (0.2, 0.2),
    "swapped": (0.2, 0.002),
    "both slow": (0.002, 0.002),
    "fixed": (0.2, 0.0),
}


@dataclass(frozen=True)
class _Training:
    """Exploitability (count,) of one schedule in random games: ``late``, the mean over the later half, and the ``best`` of two spans."""

    late: Floats
    best: tuple[Floats, Floats]


@functools.lru_cache(maxsize=4)
def _train(control: float, seed: int, count: int, steps: int, every: int = 10) -> dict[str, _Training]:
    """Each schedule in ``count`` random games; the oracle, whose steps cost more, makes half as many."""
    models = [random_control(S=3, actions=(3, 3), control=control, seed=derive_seed(seed, k)) for k in range(count)]
    games = [modified_game(model) for model in models]
    maximin = np.array([hoffman_karp(game, 1e-9).value @ game.start_distribution for game in games])
    victim, attacker = np.repeat(np.array(list(SCHEDULES.values())).T, count, axis=1)[:, None]
    oracle = 0.1 / np.sqrt(np.arange(1, steps // 2 + 1))
    runs = (
        two_timescale_training(games * len(SCHEDULES), steps, victim_step=victim, attacker_step=attacker, every=every),
        two_timescale_training(games, steps // 2, victim_step=oracle, attacker_step=None, every=every),
    )
    found: dict[str, _Training] = {}
    for names, run in zip((tuple(SCHEDULES), ("oracle",)), runs):
        gaps = np.tile(maximin, len(names)) - guaranteed_returns(games * len(names), run.victims)
        by_schedule = gaps.reshape(-1, len(names), count)
        for k, name in enumerate(names):
            gap = by_schedule[:, k]
            spans = tuple(gap[run.steps <= span].min(axis=0) for span in (steps // 32, steps // 2))
            found[name] = _Training(gap[2 * run.steps >= run.steps[-1]].mean(axis=0), (spans[0], spans[1]))
    return found


@claim(
    PAPER,
    "timescale-separation",
    r"\overline{\mathrm{gap}}(\text{oracle}) < \overline{\mathrm{gap}}(\eta^x \ll \eta^y) < \overline{\mathrm{gap}}(\eta^x = \eta^y),\ "
    r"\overline{\mathrm{gap}}(\eta^x \gg \eta^y), \qquad \min_{j \le 16 k} \mathrm{gap}(x_j) < \tfrac14 \min_{j \le k} \mathrm{gap}(x_j) \text{ with the oracle}",
    kind="mechanism",
    source="derived",
    assumes="random games of 3 states and 3 by 3 actions, gamma = 0.9, modified for the control; exact gradients from uniform"
    " policies; gap = maximin - min_y J(x, y), averaged over the later half of the steps",
    note="The ratio does it: small steps for both stay far behind a slow victim. Equal steps and the swapped ratio are not ordered"
    " (adversarial-policies/equal-before-swapped), and no number of steps gives the oracle a gap of 0.005 in all games"
    " (adversarial-policies/oracle-reach).",
    tests=6,
)
@over(control=by_profile(quick=1.0, full=(0.5, 1.0)))
def timescale_separation(
    *,
    control: float,
    seed: int,
    swap: tuple[str, str] = ("slow", "slow"),
    count: int = by_profile(quick=50, full=150),
    steps: int = by_profile(quick=1000, full=4000),
) -> Comparison:
    r"""Adversarial training comes near the most robust victim if the attacker learns on the faster time-scale.

    A fast attacker is near a best response, so that a slow victim climbs the function :math:`\min_y J(x, y)` that it is judged by.
    With equal steps the two circle, and with the ratio swapped the victim chases a lagging attacker. Against a fixed attacker it
    learns what the attacker of tomorrow exploits. The last iterate of a slow victim still moves; gaps are averages.
    """
    runs = dict(_train(control, seed, count, steps))
    first, second = swap
    runs[first], runs[second] = runs[second], runs[first]
    early, late = runs["oracle"].best
    behind = {name: less_on_average(runs["slow"].late, runs[name].late) for name in ("equal", "swapped", "both slow", "fixed")}
    return all_of(
        oracle=less_on_average(runs["oracle"].late, runs["slow"].late),
        rate=less_on_average(late, early / 4),
        **{name.replace(" ", "_"): comparison for name, comparison in behind.items()},
    )


timescale_separation.control("the swapped ratio", because="the attacker lags behind", swap=("slow", "swapped"))
timescale_separation.control("equal steps", because="the players circle", swap=("slow", "equal"))
timescale_separation.control("both slow", because="it is the ratio, not the small step", swap=("slow", "both slow"))
timescale_separation.control("a fixed attacker", because="it is not the attacker to be met", swap=("slow", "fixed"))
timescale_separation.control(
    "a fixed attacker for the oracle", because="the victim is judged by its best response", swap=("oracle", "fixed")
)
timescale_separation.control(
    "a slow victim in the oracle's place", because="its attacker is near a best response only", swap=("slow", "oracle")
)


@functools.lru_cache(maxsize=8)
def _gaps(draw: int, schedule: str, steps: int) -> Floats:
    """The exploitability of the victim in one random game of control 1, every 10 steps."""
    game = modified_game(random_control(S=3, actions=(3, 3), control=1.0, seed=draw))
    victim, attacker = (0.1 / np.sqrt(np.arange(1, steps + 1))[:, None], None) if schedule == "oracle" else SCHEDULES[schedule]
    run = two_timescale_training([game], steps, victim_step=victim, attacker_step=attacker, every=10)
    maximin = hoffman_karp(game, 1e-9).value @ game.start_distribution
    return np.asarray(maximin - guaranteed_returns([game], run.victims)[:, 0])


@claim(
    PAPER,
    "equal-before-swapped",
    r"\overline{\mathrm{gap}}(\eta^x = \eta^y) \le \overline{\mathrm{gap}}(\eta^x \gg \eta^y)",
    kind="mechanism",
    source="derived",
    assumes="any game of 3 states and 3 by 3 actions, gamma = 0.9, control 1; steps 0.2 and 0.2 against 0.2 and 0.002, means over the later half",
    expected="refuted",
    corrected="adversarial-policies/timescale-separation",
    note="Of 40 games at control 1 and 2000 steps the mean gaps were 0.81 and 0.71; at control 1/2 they were 0.19 and 0.21. In the game here"
    " they are 2.24 and 1.74, after 1000 steps, and 0.09 with a slow victim.",
)
@over(draw=32)
def equal_before_swapped(*, draw: int, first: str = "equal", steps: int = 1000) -> Comparison:
    """Equal steps were expected between a slow victim and the swapped ratio. They circle, and may be the worst of all."""
    late = [_gaps(draw, name, steps)[-steps // 20 :].mean() for name in (first, "swapped")]
    return at_most(late[0], late[1])


equal_before_swapped.repair("a slow victim", because="it climbs the function that it is judged by", first="slow")


@claim(
    PAPER,
    "oracle-reach",
    r"\min_{k \le 4000} \mathrm{gap}(x_k) \le 0.005 \text{ with the oracle and steps } 0.1 / \sqrt k",
    kind="mechanism",
    source="derived",
    assumes="any game of 3 states and 3 by 3 actions, gamma = 0.9, control 1",
    expected="refuted",
    corrected="adversarial-policies/timescale-separation",
    note="4 of 40 random games miss it, with gaps of up to 0.0104 (the game here). The rate is what holds in all of them.",
)
@over(draw=31)
def oracle_reach(*, draw: int, reach: float = 0.005, steps: int = 4000) -> Comparison:
    """A best-response oracle was expected to bring every game of this size to 0.005 in 4000 steps; the number depends on the game."""
    return at_most(_gaps(draw, "oracle", steps).min(), reach)


oracle_reach.repair("0.011 in place of 0.005", because="this game comes as near as that", reach=0.011)
