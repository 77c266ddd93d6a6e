r"""A one-step tax economy: workers with skills, a planner with a tax schedule, and what the best schedule is.

Worker i has the skill :math:`v_i` and picks the income z that maximises

.. math:: U_i = z - T(z) + R - \frac{v_i}{1 + 1/e} \Bigl(\frac{z}{v_i}\Bigr)^{1 + 1/e},

so that it earns :math:`v_i (1 - t)^e` where the marginal rate is t: the elasticity e is constant, and there is no income effect. The
revenue is returned as an equal lump sum :math:`R = \sum_i s_i T(z_i)`, where :math:`s_i` is the share of workers of type i. The
planner maximises :math:`W = \sum_i s_i g_i U_i` with welfare weights scaled so that :math:`\sum_i s_i g_i = 1`.

Saez (2001), Review of Economic Studies 68; Mirrlees (1971). The baselines of Zheng, Trott, Srinivasa, Parkes and Socher (2021), arXiv
2108.02755. What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, linprog
from scipy.special import ndtri

from theory.claims.families import family
from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TaxEconomy:
    """Types of workers: ``skills`` (n,) > 0, one ``elasticity`` > 0, welfare ``weights`` (n,) >= 0, ``shares`` (n,) > 0.

    Weights and shares are equal unless given, and need no scale: shares are divided by their sum, weights by their mean over
    workers. ``key`` is the call that rebuilds the instance. Raises :class:`InputError` naming what is out of range.
    """

    skills: Array
    elasticity: float
    weights: Array = field(default_factory=lambda: np.ones(1))
    shares: Array = field(default_factory=lambda: np.ones(1))
    key: str | None = None

    def __post_init__(self) -> None:
        skills = np.array(self.skills, dtype=float)
        if skills.ndim != 1 or skills.size == 0:
            raise InputError(f"an economy has skills of shape (types,), not {skills.shape}.")
        if not (self.elasticity > 0 and np.isfinite(self.elasticity)):
            raise InputError(f"the elasticity of income is positive and finite, not {self.elasticity}.")
        given = {"skill": skills}
        for name, values in (("welfare weight", self.weights), ("share", self.shares)):
            array = np.array(values, dtype=float)
            if array.shape == (1,):
                array = np.repeat(array, skills.size)
            if array.shape != skills.shape:
                raise InputError(f"{skills.size} types of workers need as many values of their {name}, not {array.shape}.")
            given[name] = array
        for name, array in given.items():
            wrong = ~(np.isfinite(array) & ((array > 0) | ((array == 0) & (name == "welfare weight"))))
            if wrong.any():
                k = int(np.argmax(wrong))
                raise InputError(f"the {name} of type {k} is {array[k]}; it must be finite and positive.")
        shares = given["share"] / given["share"].sum()
        mean = float(shares @ given["welfare weight"])
        if mean == 0:
            raise InputError("some type of worker needs a positive welfare weight.")
        for name, array in (("skills", skills), ("weights", given["welfare weight"] / mean), ("shares", shares)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __repr__(self) -> str:
        return f"TaxEconomy({self.key or f'{self.skills.size} types, elasticity {self.elasticity:g}'})"


@dataclass(frozen=True, eq=False)
class TaxSchedule:
    """Marginal ``rates`` (..., B) below 1 in brackets divided by ``thresholds`` (B - 1,), positive and increasing; T(0) = 0.

    Rates may be negative (a subsidy) and need not increase; leading axes hold several schedules with the same brackets. Raises
    :class:`InputError` naming what is out of range.
    """

    rates: Array
    thresholds: Array = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        rates, thresholds = np.array(self.rates, dtype=float), np.array(self.thresholds, dtype=float)
        if rates.ndim == 0 or thresholds.shape != (rates.shape[-1] - 1,):
            raise InputError(f"rates of shape {rates.shape} do not fit thresholds of shape {thresholds.shape}, one fewer.")
        allowed = np.isfinite(rates) & (rates < 1)
        if not allowed.all():
            raise InputError(f"a marginal rate is {rates[~allowed][0]}; it must be finite and below 1.")
        if not (np.isfinite(thresholds).all() and (np.diff(thresholds, prepend=0.0) > 0).all()):
            raise InputError(f"the thresholds between brackets are positive, finite and increasing, not {thresholds.tolist()}.")
        for name, array in (("rates", rates), ("thresholds", thresholds)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def floors(self) -> Array:
        """Where the brackets begin, shape (B,)."""
        return np.append(0.0, self.thresholds)

    @property
    def ceilings(self) -> Array:
        """Where the brackets end, shape (B,), the last at infinity."""
        return np.append(self.thresholds, np.inf)

    def tax(self, incomes: ArrayLike) -> Array:
        """T(z) for incomes (..., workers), at least 0, the leading axes being those of the rates."""
        return self._tax(np.asarray(incomes, dtype=float), self.rates[..., None, :])

    def _tax(self, incomes: Array, rates: Array) -> Array:
        inside = np.clip(incomes[..., None] - self.floors, 0.0, self.ceilings - self.floors)
        return np.asarray((inside * rates).sum(axis=-1))


def flat(rates: ArrayLike) -> TaxSchedule:
    """One marginal rate below 1 for every income; ``rates`` (...) are as many schedules."""
    return TaxSchedule(np.asarray(rates, dtype=float)[..., None])


def effort_cost(economy: TaxEconomy, incomes: ArrayLike) -> Array:
    r""":math:`\frac{v}{1 + 1/e} (z/v)^{1 + 1/e}` of each type at its income; ``incomes`` has the shape (..., types)."""
    power = 1 + 1 / economy.elasticity
    return np.asarray(economy.skills / power * (np.asarray(incomes, dtype=float) / economy.skills) ** power)


def best_response(economy: TaxEconomy, schedule: TaxSchedule) -> Array:
    """The income that each type chooses, shape (..., types), bunching at thresholds included.

    Within a bracket utility is concave, with its maximum at v (1 - t)^e, moved to the nearer end of the bracket if that lies outside;
    the best of the brackets is found by comparing utilities, so that falling rates are allowed. Of several best incomes the
    lowest bracket's is taken.
    """
    wished = (1 - schedule.rates[..., None]) ** economy.elasticity * economy.skills
    candidates = np.clip(wished, schedule.floors[:, None], schedule.ceilings[:, None])  # (..., brackets, types)
    utility = candidates - schedule._tax(candidates, schedule.rates[..., None, None, :]) - effort_cost(economy, candidates)
    best = np.argmax(utility, axis=-2)
    return np.asarray(np.take_along_axis(candidates, best[..., None, :], axis=-2)[..., 0, :])


@dataclass(frozen=True, eq=False)
class Outcome:
    """Incomes, taxes and utilities (lump sum included) by type, float (..., types); the ``lump_sum`` and the ``welfare``, (...)."""

    incomes: Array
    taxes: Array
    utilities: Array
    lump_sum: Array
    welfare: Array


def outcome(economy: TaxEconomy, schedule: TaxSchedule, incomes: ArrayLike | None = None) -> Outcome:
    """What a schedule leads to, with workers at their best responses unless their ``incomes`` (..., types) are given."""
    income = best_response(economy, schedule) if incomes is None else np.asarray(incomes, dtype=float)
    if income.shape[-1:] != economy.skills.shape or not (income >= 0).all():
        raise InputError(f"each of {economy.skills.size} types has an income of at least 0.")
    taxes = schedule.tax(income)
    lump_sum = taxes @ economy.shares
    utilities = income - taxes + lump_sum[..., None] - effort_cost(economy, income)
    return Outcome(income, taxes, utilities, lump_sum, utilities @ (economy.shares * economy.weights))


def welfare(economy: TaxEconomy, schedule: TaxSchedule) -> Array:
    """The welfare W of a schedule at the workers' best responses, shape (...)."""
    return outcome(economy, schedule).welfare


# --- what is optimal ---------------------------------------------------------------------------------------------------


def income_weighted(economy: TaxEconomy) -> float:
    r""":math:`\bar g = \sum_i s_i g_i z_i / \sum_i s_i z_i`, the same under every flat rate, as incomes are proportional to skills."""
    total = economy.shares * economy.skills
    return float(economy.weights @ total / total.sum())


def optimal_flat_rate(economy: TaxEconomy) -> float:
    r"""The flat rate that maximises welfare, :math:`t^\star = (1 - \bar g) / (1 - \bar g + e)`; negative if :math:`\bar g > 1`.

    With s = 1 - t the welfare is :math:`\bar v s^e (1 - s (1 - \bar g / (1 + e)))`, which has one maximum if :math:`\bar g < 1 + e`, and
    none otherwise: every subsidy is then surpassed by a larger one, which raises :class:`InputError`.
    """
    g, e = income_weighted(economy), economy.elasticity
    if not g < 1 + e:
        raise InputError(
            f"no flat rate is optimal: the income-weighted welfare weight is {g:.6g}, not below 1 + e = {1 + e:.6g}."
        )
    return (1 - g) / (1 - g + e)


def saez_rate(welfare_weight: float, tail: float, elasticity: float) -> float:
    r"""The optimal marginal rate :math:`(1 - g) / (1 - g + a e)` where incomes above have the mean welfare weight g < 1.

    ``tail`` is the local Pareto parameter :math:`a = v f(v) / (1 - F(v)) > 0`, ``elasticity`` is e > 0. Saez (2001), equation (9)
    for the top rate.
    """
    if not (tail > 0 and elasticity > 0 and welfare_weight < 1):
        raise InputError(
            f"a top rate needs a welfare weight below 1, a positive tail and elasticity, not {welfare_weight}, {tail}, {elasticity}."
        )
    return (1 - welfare_weight) / (1 - welfare_weight + tail * elasticity)


@dataclass(frozen=True, eq=False)
class Mechanism:
    """For each type, in the order of skills: the marginal ``rates``, the ``incomes`` and the ``utilities``; and the ``welfare``."""

    rates: Array
    incomes: Array
    utilities: Array
    welfare: float


def mechanism(economy: TaxEconomy, rates: ArrayLike) -> Mechanism:
    r"""The mechanism in which type i earns :math:`z_i = v_i (1 - t_i)^e`, at the rates (types,), and no more is left than it must be.

    Skills increase. Each type is left as much as the type below would leave it, :math:`U_{i+1} = U_i + c_i(z_i) - c_{i+1}(z_i)` with
    the cost of effort c, and the budget balances. If incomes do not fall, nobody gains by posing as any other type. Raises
    :class:`InputError` if they do, or if skills do not increase.
    """
    rate = np.asarray(rates, dtype=float)
    v, e = economy.skills, economy.elasticity
    if rate.shape != v.shape or not (rate < 1).all():
        raise InputError(f"{v.size} types need as many marginal rates, all below 1.")
    if not (np.diff(v) > 0).all():
        raise InputError("the types of a mechanism are given in increasing order of skill.")
    incomes = v * (1 - rate) ** e
    if not (np.diff(incomes) >= 0).all():
        k = int(np.argmin(np.diff(incomes) >= 0))
        raise InputError(f"type {k + 1} would earn less than type {k}, which is less skilled: no mechanism can make it.")
    cost = effort_cost(economy, incomes)
    posing = cost[:-1] * (1 - (v[:-1] / v[1:]) ** (1 / e))  # what the next type saves by taking this one's place
    rents = np.append(0.0, np.cumsum(posing))
    surplus = float(economy.shares @ (incomes - cost))
    utilities = rents + surplus - float(economy.shares @ rents)
    return Mechanism(rate, incomes, utilities, float((economy.shares * economy.weights) @ utilities))


def optimal_rates(economy: TaxEconomy) -> Array:
    r"""Marginal rates (types,) of the optimal mechanism among all: the general schedule, for finitely many types.

    .. math:: \frac{t_i}{1 - t_i} = (1 - G_i)\, \frac{1 - F_i}{s_i} \Bigl(1 - \bigl(\tfrac{v_i}{v_{i+1}}\bigr)^{1/e}\Bigr), \qquad t_n = 0,

    where :math:`1 - F_i` is the share, and :math:`G_i` the mean welfare weight, of the types above i. For a fine grid of skills of
    density f it becomes :math:`t/(1-t) = (1 - G) / (\alpha e)`, :math:`\alpha = v f(v) / (1 - F(v))`.

    It is optimal if :math:`G_i \le 1` for all i and the incomes do not fall (:func:`mechanism` refuses if they do); the first raises
    :class:`InputError`.
    """
    v, e, s = economy.skills, economy.elasticity, economy.shares
    if not (np.diff(v) > 0).all():
        raise InputError("the types of a mechanism are given in increasing order of skill.")
    above = np.cumsum(s[::-1])[::-1][1:]
    weighted = np.cumsum((s * economy.weights)[::-1])[::-1][1:]  # (1 - F) G
    if not (weighted <= above * (1 + 1e-12)).all():
        k = int(np.argmin(weighted <= above))
        raise InputError(
            f"the types above {k} have the mean welfare weight {weighted[k] / above[k]:.6g}, which must not exceed 1."
        )
    odds = (above - weighted) / s[:-1] * (1 - (v[:-1] / v[1:]) ** (1 / e))
    return np.append(np.maximum(odds, 0.0) / (1 + np.maximum(odds, 0.0)), 0.0)


def mechanism_bound(economy: TaxEconomy, around: ArrayLike, *, points: int = 41, width: float = 5.0) -> float:
    r"""An upper bound on the welfare of every mechanism, by linear programming; exact if the optimal incomes are among the points.

    In the costs of effort :math:`c_i` at the own income all incentive constraints
    :math:`U_i \ge U_j + c_j (1 - (v_j/v_i)^{1/e})` and the budget are linear, but for the income :math:`z_i`, which is concave in
    :math:`c_i`. It is replaced by its tangents at the incomes ``around`` (types,) > 0 and at ``points`` multiples of them between 1/``width``
    and ``width``, which lie above it. By the optimality conditions of a concave program the bound is attained at ``around`` exactly if
    those incomes are optimal.
    """
    centre = np.asarray(around, dtype=float)
    v, e, s, n = economy.skills, economy.elasticity, economy.shares, economy.skills.size
    if centre.shape != (n,) or not (centre > 0).all():
        raise InputError(f"the tangents for {n} types are laid at as many positive incomes.")
    touch = centre[:, None] * np.append(1.0, np.geomspace(1 / width, width, points))
    slopes = (touch / v[:, None]) ** (-1 / e)
    heights = touch - slopes * effort_cost(economy, touch.T).T
    types = np.arange(n)
    tangents = np.zeros((n, points + 1, 3 * n))  # over the utilities, the costs and the incomes
    tangents[types, :, 2 * n + types] = 1.0
    tangents[types, :, n + types] = -slopes
    steep = np.maximum(slopes, 1.0)  # rows are divided by their largest coefficient
    posed, truthful = np.nonzero(~np.eye(n, dtype=bool))
    ratio = (v[posed] / v[truthful]) ** (1 / e)
    incentives = np.zeros((truthful.size, 3 * n))
    row = np.arange(truthful.size)
    incentives[row, posed] = 1.0
    incentives[row, truthful] = -1.0
    incentives[row, n + posed] = 1 - ratio
    incentives /= np.maximum(ratio, 1.0)[:, None]
    budget = np.concatenate([s, s, -s])
    found = linprog(
        np.concatenate([-s * economy.weights, np.zeros(2 * n)]),
        A_ub=np.vstack([(tangents / steep[..., None]).reshape(-1, 3 * n), incentives, budget]),
        b_ub=np.concatenate([(heights / steep).ravel(), np.zeros(truthful.size + 1)]),
        bounds=[(None, None)] * n + [(0, None)] * (2 * n),
        method="highs",
    )
    if not found.success:
        raise InputError(f"the linear program of the mechanisms was not solved: {found.message}")
    return float(-found.fun)


# --- curved utility ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class CurvedEconomy:
    r"""Workers with :math:`U_i = \frac{c^{1-\eta}}{1-\eta} - \frac{l^d}{d}`, income z = v l and consumption c = (1 - t) z + R.

    ``skills`` (n,) > 0, ``curvature`` eta in [0, 1), ``power`` d > 1, welfare ``weights`` (n,) >= 0 of U_i, equal unless given (they are
    divided by their mean). The lump sum R is the mean tax; see :func:`curved_outcome`. ``key`` is the call that rebuilds the instance.
    """

    skills: Array
    curvature: float = 0.23
    power: float = 3.5
    weights: Array = field(default_factory=lambda: np.ones(1))
    key: str | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.curvature < 1 and self.power > 1 and np.isfinite(self.power)):
            raise InputError(
                f"a curved utility has a curvature in [0, 1) and a power above 1, not {self.curvature} and {self.power}."
            )
        checked = TaxEconomy(self.skills, 1.0, self.weights)
        object.__setattr__(self, "skills", checked.skills)
        object.__setattr__(self, "weights", checked.weights)

    @property
    def uncompensated_elasticity(self) -> float:
        r"""The elasticity of income in 1 - t where nothing is handed out, :math:`(1 - \eta) / (d - 1 + \eta)`."""
        return (1 - self.curvature) / (self.power - 1 + self.curvature)

    def __repr__(self) -> str:
        return f"CurvedEconomy({self.key or f'{self.skills.size} workers'})"


@dataclass(frozen=True, eq=False)
class CurvedOutcome:
    r"""Under a flat rate: ``incomes`` and ``consumption`` (n,), the ``lump_sum`` and the ``welfare``, and what an optimum needs.

    ``elasticity`` is :math:`e_R = d \ln \bar z / d \ln (1 - t)` as the revenue is handed out, ``income_weighted`` is
    :math:`\bar g_R = \sum_i g_i u'(c_i) z_i / (\bar z \sum_i g_i u'(c_i))`.
    """

    incomes: Array
    consumption: Array
    lump_sum: float
    welfare: float
    elasticity: float
    income_weighted: float


def curved_incomes(economy: CurvedEconomy, rate: float, lump_sum: float) -> Array:
    r"""Best incomes (n,) at a flat ``rate`` < 1 with a given lump sum >= 0: :math:`(1 - t) v c^{-\eta} = l^{d-1}`, by Newton's method."""
    if not (rate < 1 and lump_sum >= 0):
        raise InputError(f"workers respond to a rate below 1 and a lump sum of at least 0, not {rate} and {lump_sum}.")
    eta, d = economy.curvature, economy.power
    wage = (1 - rate) * economy.skills
    log_labour = np.zeros_like(wage)
    for _ in range(100):  # the derivative in log l stays between -(d - 1 + eta) and -(d - 1)
        earned = wage * np.exp(log_labour)
        excess = np.log(wage) - eta * np.log(earned + lump_sum) - (d - 1) * log_labour
        change = excess / (d - 1 + eta * earned / (earned + lump_sum))
        log_labour = log_labour + change
        if np.abs(change).max() < 1e-15:
            break
    return np.asarray(economy.skills * np.exp(log_labour))


def curved_outcome(economy: CurvedEconomy, rate: float) -> CurvedOutcome:
    """The equilibrium at a flat ``rate`` in [0, 1): workers respond, and the lump sum is the mean tax they pay."""
    if not 0 <= rate < 1:
        raise InputError(f"the flat rate of a curved economy lies in [0, 1), not at {rate}.")
    eta, d, g = economy.curvature, economy.power, economy.weights
    lump_sum = 0.0
    if rate > 0:
        most = rate * float(curved_incomes(economy, rate, 0.0).mean())  # a lump sum only lowers incomes
        lump_sum = float(
            brentq(lambda r: rate * curved_incomes(economy, rate, r).mean() - r, 0.0, most, xtol=1e-16 * most, rtol=1e-15)
        )
    z = curved_incomes(economy, rate, lump_sum)
    c = (1 - rate) * z + lump_sum
    earned = (1 - rate) * z / c
    # differentiate the condition for l in ln(1 - t), first with a fixed lump sum, then in the lump sum
    stiffness = d - 1 + eta * earned
    own = float((z * (1 - eta * earned) / stiffness).mean())
    through_lump_sum = float((z * eta / c / stiffness).mean())
    change = (own + through_lump_sum * (1 - rate) * z.mean()) / (1 + through_lump_sum * rate)
    marginal = g * c**-eta
    utility = c ** (1 - eta) / (1 - eta) - (z / economy.skills) ** d / d
    return CurvedOutcome(
        z,
        c,
        lump_sum,
        float((g * utility).mean()),
        float(change / z.mean()),
        float((marginal * z).sum() / marginal.sum() / z.mean()),
    )


# --- a planner who learns ------------------------------------------------------------------------------------------------


def two_point_ascent(
    objective: Callable[[Array], Array],
    start: ArrayLike,
    steps: int,
    seed: int,
    *,
    step: float = 0.3,
    step_decay: float = 0.7,
    width: float = 0.1,
    width_decay: float = 0.25,
    bounds: tuple[float, float] = (0.0, 0.95),
) -> Array:
    r"""A planner who sees only a (noisy) welfare and climbs it by two-point differences, in independent runs side by side.

    At step k = 1, 2, ... it tries :math:`x \pm c_k \Delta` with random signs :math:`\Delta` and :math:`c_k` = width k^-width_decay, and
    moves by :math:`a_k \Delta\, (W(x + c_k \Delta) - W(x - c_k \Delta)) / (2 c_k)` with :math:`a_k` = step k^-step_decay. Trials and
    iterates are kept within ``bounds``. ``start`` has the shape (runs, d); ``objective`` maps (runs, d) to (runs,). Returns the last
    iterates, (runs, d). Kiefer and Wolfowitz (1952) for d = 1; Spall (1992).
    """
    now = np.array(start, dtype=float)
    if now.ndim != 2 or steps < 0:
        raise InputError(f"an ascent starts from an array (runs, d) and takes at least 0 steps, not {now.shape} and {steps}.")
    rng = np.random.default_rng(seed)
    for k in range(1, steps + 1):
        shift = width * k**-width_decay * rng.choice((-1.0, 1.0), size=now.shape)
        rise = objective(np.clip(now + shift, *bounds)) - objective(np.clip(now - shift, *bounds))
        now = np.clip(now + step * k**-step_decay * rise[:, None] / (2 * shift), *bounds)
    return now


# --- families ----------------------------------------------------------------------------------------------------------


@family
def economy_of(
    skills: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0), elasticity: float = 0.7, equity: float = 1.0
) -> TaxEconomy:
    """Types of equal shares with those ``skills``; welfare weights v^-equity: 0 counts everybody equally, 1 inversely to income."""
    v = np.asarray(skills, dtype=float)
    return TaxEconomy(v, elasticity, weights=v**-equity if (v > 0).all() else v)


@family(workers=2)
def log_normal_economy(
    workers: int = 20, elasticity: float = 0.5, spread: float = 0.8, weights: str = "inverse", seed: int = 0
) -> TaxEconomy:
    """Workers with log-normal skills, sorted; welfare weights "inverse" to skill, or "random", uniform on [0, 1]."""
    if weights not in ("inverse", "random"):
        raise InputError(f"the welfare weights are 'inverse' or 'random', not {weights!r}.")
    rng = np.random.default_rng(seed)
    v = np.sort(np.exp(spread * rng.standard_normal(workers)))
    return TaxEconomy(v, elasticity, weights=1 / v if weights == "inverse" else rng.uniform(size=workers))


@family
def pareto_top(
    tail: float = 2.0, elasticity: float = 0.5, welfare_weight: float = 0.0, lowest: float = 3.0, types: int = 2000
) -> TaxEconomy:
    r"""A tenth of the workers have Pareto skills, :math:`P(V > v) = (v / v_0)^{-a}` with a = ``tail`` > 1 and v_0 = ``lowest``; the rest 1.

    The ``types`` of the top stand at the quantiles of skill *weighted by skill*, :math:`v = v_0 q^{-1/(a-1)}` for the midpoints q of a
    grid, with shares proportional to 1/v, so that sums over incomes converge however heavy the tail. The top's welfare weight
    is ``welfare_weight`` in [0, 1], the others' such that the mean is 1.
    """
    if not (tail > 1 and lowest > 1 and types >= 1 and 0 <= welfare_weight <= 1):
        raise InputError(
            f"a Pareto top has a tail above 1, skills above 1, a type and a weight in [0, 1], not {tail}, {lowest}, {types} "
            f"and {welfare_weight}."
        )
    quantile = (np.arange(types, 0, -1) - 0.5) / types
    top = lowest * quantile ** (-1 / (tail - 1))
    shares = np.append(0.9, 0.1 / top / (1 / top).sum())
    weights = np.append((1 - 0.1 * welfare_weight) / 0.9, np.full(types, welfare_weight))
    return TaxEconomy(np.append(1.0, top), elasticity, weights, shares)


@family(types=2)
def log_normal_types(types: int = 60, spread: float = 0.8, elasticity: float = 0.5, equity: float = 1.0) -> TaxEconomy:
    """Types of equal shares at the quantiles (i + 1/2)/types of a log-normal law of skills; welfare weights v^-equity."""
    v = np.exp(spread * ndtri((np.arange(types) + 0.5) / types))
    return TaxEconomy(v, elasticity, weights=v**-equity)


@family
def curved_economy(
    skills: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0), curvature: float = 0.23, power: float = 3.5, equity: float = 1.0
) -> CurvedEconomy:
    """Workers with those ``skills`` and welfare weights v^-equity; the curvature and power are those of the AI Economist."""
    v = np.asarray(skills, dtype=float)
    return CurvedEconomy(v, curvature, power, weights=v**-equity if (v > 0).all() else v)
