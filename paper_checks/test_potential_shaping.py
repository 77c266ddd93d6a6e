"""Policy invariance under reward transformations (Ng, Harada and Russell 1999): what potential-based shaping may change."""

import dataclasses
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mdplab.models import TabularMDP, combination_lock, deep_sea, grid_world, tied_optima, two_state
from mdplab.solvers import evaluate_policy, exact_policy_iteration, policy_iteration, rational_twin
from mdplab.solvers.rational import RationalMDP
from paper_checks.instances import (
    Floats,
    certifiable,
    gym_models,
    optimum,
    random_models,
    random_policy,
    random_value,
    real_models,
    structured_models,
    sweep_rounding,
)
from theory.claims import Comparison, Paper, all_of, always, at_least, by_profile, claim, equal, family, over

PAPER = Paper(
    key="potential-shaping",
    title="Policy Invariance Under Reward Transformations: Theory and Application to Reward Shaping",
    authors="Ng, Harada, Russell",
    year=1999,
    theme="classical",
    venue="ICML 1999",
)


@dataclass(frozen=True, eq=False)
class Shaping:
    """A bonus F(s, s'), float64[S, S], for a model with the discount ``gamma``."""

    bonus: Floats
    gamma: float


def _shaped(mdp: TabularMDP, phi: Floats, discount: float, ended: NDArray[np.bool_] | None = None) -> TabularMDP:
    """The model with the reward R + discount P phi - phi; pairs of states in ``ended`` (bool[S]) are left as they are."""
    bonus = discount * (mdp.transition_matrix() @ phi) - phi[mdp.pair_state]
    if ended is not None:
        bonus = np.where(ended[mdp.pair_state], 0.0, bonus)
    return mdp.replace(reward=mdp.reward + bonus)


def _potential(mdp: TabularMDP, phi: str | tuple[float, ...], rng: np.random.Generator) -> Floats:
    if isinstance(phi, tuple):
        return np.array(phi)
    return optimum(mdp).value if phi == "optimal" else random_value(mdp, rng)


@claim(
    PAPER,
    "values",
    r"R' = R + \gamma P \phi - \phi \implies V'^\star = V^\star - \phi, \quad V'^\pi = V^\pi - \phi, \quad Q'^\pi = Q^\pi - \phi",
    kind="identity",
    source="recalled",
    assumes="gamma < 1; every transition is shaped, also those within absorbing states; phi is any function of states",
)
@over(real_models() | structured_models() | random_models(), phi=("random", "optimal"))
def values(mdp: TabularMDP, *, phi: str, seed: int, discounted: bool = True, sign: float = -1.0) -> Comparison:
    r"""Potential-based shaping lowers every value by the potential, whatever the policy.

    The bonuses telescope: :math:`\sum_t \gamma^t (\gamma\phi(s_{t+1}) - \phi(s_t)) = -\phi(s_0)`. The potential V* leaves nothing
    to look ahead for: all optimal values become 0. Residuals are measured against what the solvers certify.
    """
    rng = np.random.default_rng(seed)
    potential = _potential(mdp, phi, rng)
    shaped = _shaped(mdp, potential, mdp.gamma if discounted else 1.0)
    policy = random_policy(mdp, rng)
    old, new, best = evaluate_policy(mdp, policy), evaluate_policy(shaped, policy), optimum(mdp)
    other = policy_iteration(
        shaped, certifiable(shaped), start=best.policy
    )  # the start saves time, the bracket proves the result
    # the bonus is computed with the rounding of a sweep, which counts in every step
    rounding = 2 * (sweep_rounding(mdp, potential, best.value) + sweep_rounding(shaped, potential)) / (1 - mdp.gamma)
    moved, error = sign * potential, old.error + new.error + rounding
    return all_of(
        optimal=equal(other.value, best.value + moved, tolerance=1.0, scale=best.width + other.width + rounding),
        policy=equal(new.value, old.value + moved, tolerance=1.0, scale=error),
        action=equal(new.q, old.q + moved[mdp.pair_state], tolerance=1.0, scale=error),
    )


values.control("phi(s') - phi(s)", because="without gamma the bonuses do not telescope", discounted=False)
values.control("V' = V + phi", because="what is paid on arrival was taken at the start", sign=1.0)


def _exactly_shaped(twin: RationalMDP, phi: list[Fraction], discount: Fraction) -> RationalMDP:
    pair_state = np.repeat(np.arange(twin.states), np.diff(twin.state_pointer)).tolist()
    rewards = tuple(
        r + discount * sum((p * phi[t] for t, p in row), Fraction(0)) - phi[s]
        for r, row, s in zip(twin.reward, twin.rows, pair_state)
    )
    return dataclasses.replace(twin, reward=rewards)


@claim(
    PAPER,
    "optimal-actions",
    r"R' = R + \gamma P \phi - \phi \implies \arg\max_a Q'^\star(s, \cdot) = \arg\max_a Q^\star(s, \cdot) \text{ for all } s",
    kind="identity",
    source="recalled",
    assumes="gamma < 1; every transition is shaped",
)
@over(
    tied_optima.sweep(S=4, A=3, draws=by_profile(quick=6, full=40))
    | combination_lock.sweep(A=3, H=3)
    | grid_world.sweep(slip=(0.0, 0.2))
    | deep_sea.sweep(N=3)
    | two_state.sweep(stay=[(0.5, 0.5, 0.5, 0.5)], reward=[(1.0, 1.0, 0.0, 0.0)])
)
def optimal_actions(mdp: TabularMDP, *, seed: int, discounted: bool = True) -> Comparison:
    """Potential-based shaping keeps exactly the optimal actions, ties included (in rational arithmetic).

    Q' - V' = Q - V in every pair. Nothing is rounded: the shaped rewards are fractions too.
    """
    twin = rational_twin(mdp)
    phi = [Fraction(int(n), 16) for n in np.random.default_rng(seed).integers(-64, 65, size=mdp.states)]
    shaped = _exactly_shaped(twin, phi, twin.gamma if discounted else Fraction(1))
    before, after = exact_policy_iteration(twin), exact_policy_iteration(shaped)
    return always(before.optimal == after.optimal, "an action gains or loses optimality")


optimal_actions.control(
    "phi(s') - phi(s)", because="without gamma a state of high potential is worth staying near", discounted=False
)


@family(S=3)
def shaping_function(S: int = 4, curl: float = 1.0, gamma: float = 0.9, seed: int = 0) -> Shaping:
    """A bonus F(s, s') on the transitions of S states: that of a random potential plus ``curl`` times noise.

    The noise leaves staying where one is (the diagonal) alone; the potential of state 0 is 0.
    """
    rng = np.random.default_rng(seed)
    phi, noise = rng.standard_normal(S), rng.standard_normal((S, S))
    phi[0] = 0.0
    np.fill_diagonal(noise, 0.0)
    return Shaping(gamma * phi[None, :] - phi[:, None] + curl * noise, gamma)


def _detour(through: float, back: float, direct: float, pay: float, gamma: float) -> TabularMDP:
    """State 1 goes to the absorbing state 0 at once, for ``direct`` + ``pay``, or by way of 2, for ``through`` and ``back``."""
    return TabularMDP(
        state_pointer=np.array([0, 1, 3, 4]),
        row_pointer=np.arange(5),
        next_state=np.array([0, 0, 2, 0], dtype=np.int32),
        probability=np.ones(4),
        reward=np.array([0.0, direct + pay, through, back]),
        gamma=gamma,
    )


@claim(
    PAPER,
    "necessity",
    r"F \ne \gamma\phi(s') - \phi(s) \text{ for every } \phi \implies "
    r"\exists\, (P, R): \text{ no policy that is optimal for } R + F \text{ is optimal for } R",
    kind="necessity",
    source="recalled",
    assumes="F depends on s and s'; F(0, 0) = 0 in an absorbing state 0; gamma < 1",
)
@over(shaping_function.sweep(S=(3, 6), curl=(0.01, 1.0), gamma=(0.5, 0.9), draws=by_profile(quick=10, full=100)))
def necessity(shaping: Shaping, *, curled: bool = True, loss_of: float = 0.5) -> Comparison:
    r"""Any other bonus misleads in some model; this is the one.

    If F is no potential's then it is not that of :math:`\phi(s) = -F(s, 0)`, so some s and s' have :math:`D = F(s, s') + \gamma
    F(s', 0) - F(s, 0) \ne 0`. Let s choose between going to 0 at once, for the reward D / 2, and by way of s' for nothing. At
    once is better by D / 2; with F the way through s' is better by D / 2. The shaped optimum loses |D| / 2.
    """
    F, gamma = shaping.bonus, shaping.gamma
    if not curled:  # the nearest bonus that is a potential's
        phi = -F[:, 0]
        F = gamma * phi[None, :] - phi[:, None]
    defect = F + gamma * F[:, 0][None, :] - F[:, :1]
    np.fill_diagonal(defect, 0.0)
    s, to = np.unravel_index(int(np.argmax(np.abs(defect[1:]))), defect[1:].shape)
    s += 1
    D = float(defect[s, to])
    plain = _detour(0.0, 0.0, 0.0, D / 2, gamma)
    shaped = _detour(float(F[s, to]), float(F[to, 0]), float(F[s, 0]), D / 2, gamma)
    best, misled = optimum(plain), evaluate_policy(plain, optimum(shaped).policy)
    loss = float(best.value[1] - misled.value[1])
    error = best.width + misled.error
    return all_of(
        at_least(loss, loss_of * abs(D), slack=error + sweep_rounding(shaped, best.value)),
        loses=always(loss > error, "the shaped optimum is optimal without shaping"),
    )


necessity.control("a potential's bonus", because="it changes no optimum", curled=False)
necessity.control("a loss of 0.6 D", because="both detours differ by D / 2", loss_of=0.6)


def _ended(mdp: TabularMDP) -> NDArray[np.bool_]:
    """The states that no action leaves and in which nothing is earned."""
    matrix = mdp.transition_matrix()
    still = matrix[np.arange(mdp.pairs), mdp.pair_state] == 1.0
    return np.logical_and.reduceat(still & (mdp.reward == 0), mdp.state_pointer[:-1])


ENDING = gym_models() | combination_lock.sweep(A=3, H=(3, 6)) | deep_sea.sweep(N=5) | grid_world.sweep(slip=(0.0, 0.2))


def _episodes(mdp: TabularMDP, seed: int, at_end: float, discounted: bool = True) -> Comparison:
    """Shape all but the ended states, and compare the optima; the potential there is multiplied by ``at_end``."""
    rng, ended = np.random.default_rng(seed), _ended(mdp)
    phi = random_value(mdp, rng)
    phi[ended] *= at_end
    shaped = _shaped(mdp, phi, mdp.gamma if discounted else 1.0, ended)
    best = optimum(mdp)
    other = policy_iteration(
        shaped, certifiable(shaped), start=best.policy
    )  # the start saves time, the bracket proves the result
    misled = evaluate_policy(mdp, other.policy)
    rounding = 4 * (sweep_rounding(mdp, phi, best.value) + sweep_rounding(shaped, phi)) / (1 - mdp.gamma)
    error = best.width + other.width + misled.error + rounding
    return all_of(
        value=equal(other.value, best.value - phi, tolerance=1.0, scale=error),
        loss=equal(misled.value, best.value, tolerance=1.0, scale=error),
    )


@claim(
    PAPER,
    "episodes-any-potential",
    r"F = \gamma\phi(s') - \phi(s) \text{ until the episode ends} \implies V'^\star = V^\star - \phi,"
    r"\text{ and shaped optima are optimal}",
    kind="identity",
    source="derived",
    assumes="episodes end in states after which nothing is paid, shaping included; phi is any function of states",
    expected="refuted",
    corrected="potential-shaping/episodes",
    note="The theorem shapes every transition. If shaping stops with the episode, gamma^T phi(end) is left over and changes the optimum.",
)
@over(ENDING)
def episodes_any_potential(mdp: TabularMDP, *, seed: int, at_end: float = 1.0) -> Comparison:
    r"""In episodes, as shaping is usually programmed, any potential will do: false.

    The bonuses of an episode that ends at time T add up to :math:`\gamma^T \phi(s_T) - \phi(s_0)`. The first term is a reward for
    ending, soon or late, here or there. It vanishes for every policy only if the potential of ended states is 0.
    """
    return _episodes(mdp, seed, at_end)


episodes_any_potential.repair("0 where episodes end", because="then the bonuses telescope to -phi(s_0)", at_end=0.0)


@claim(
    PAPER,
    "episodes",
    r"F = \gamma\phi(s') - \phi(s) \text{ until the episode ends},\; \phi(\text{end}) = 0 \implies V'^\star = V^\star - \phi,"
    r"\text{ and shaped optima are optimal}",
    kind="identity",
    source="recalled",
    assumes="episodes end in states after which nothing is paid, shaping included",
)
@over(ENDING)
def episodes(mdp: TabularMDP, *, seed: int, at_end: float = 0.0, discounted: bool = True) -> Comparison:
    """In episodes, a potential that is 0 where they end leaves the optimum alone.

    An ended state with potential 0 is paid 0 by shaping anyway, so that every transition is shaped.
    """
    return _episodes(mdp, seed, at_end, discounted)


episodes.control("any potential at the end", because="what is left over rewards one end, or an early one", at_end=1.0)
episodes.control("phi(s') - phi(s)", because="without gamma the bonuses do not telescope", discounted=False)
