"""The classical anchors of linear bandits: OFUL's ellipsoid and regret, and the elliptical potential lemma with its sharp constant."""

import numpy as np
from numpy.typing import NDArray

from bandits.linear import LinearBandit, linear_bandit, oful, unit_vectors
from theory.bounds.linear_bandits import elliptical_potential_bound, log_volume, oful_regret
from theory.claims import Comparison, Paper, Range, all_of, at_least, at_most, by_profile, claim, domain, over, violation_rate
from theory.claims.families import family
from theory.coverage import elliptical_potential
from theory.random_streams import run_seeds

Floats = NDArray[np.float64]

ABBASI = Paper(
    key="anchor",
    title="Improved Algorithms for Linear Stochastic Bandits",
    authors="Abbasi-Yadkori, Pal, Szepesvari",
    year=2011,
    theme="bandits",
    venue="NeurIPS 2011",
)
ONE_ACTION = unit_vectors.sweep(d=1, size=1.0, norm=0.0)


@claim(
    ABBASI,
    "oful",
    r"\mathbb{P}\bigl(\exists t: \|\hat\theta_t - \theta\|_{V_t} > \beta_t\bigr) \le \delta, \quad"
    r"\mathbb{P}\Bigl(R_T > 4\sqrt{T d \ln(\lambda + \tfrac{TL}{d})}\bigl(\sqrt\lambda S + \sigma\sqrt{2\ln\tfrac1\delta +"
    r" d\ln(1 + \tfrac{TL}{\lambda d})}\bigr)\Bigr) \le \delta",
    kind="high-probability bound",
    source="recalled",
    assumes="beta_t = sigma sqrt(2 ln(1/delta) + ln det(V_t/lambda)) + sqrt(lambda) S; lambda = L = 1; S = ||theta||",
)
@over(linear_bandit.sweep(d=2, K=5, X=by_profile(quick=3, full=(1, 3, 20)), deviation=0.5), T=200)
@over(linear_bandit.sweep(d=4, K=10, deviation=(0.02, 1.0)), T=200)
@over(ONE_ACTION, T=1000, sample=by_profile(quick=2000, full=20_000))
def oful_ellipsoid(
    bandit: LinearBandit,
    *,
    T: int,
    seed: int,
    sample: int = by_profile(quick=500, full=5000),
    delta: float = 0.05,
    told: float = 1.0,
    shrunk: float = 1.0,
    share: float = 1.0,
) -> Comparison:
    r"""OFUL's ellipsoid holds the parameter at all times at once, and its regret is of the order d sqrt(T).

    The ellipsoid is the method of mixtures: for one action and theta = 0, :math:`e^{S_t^2/(2\sigma^2 V_t)} \sqrt{\lambda/V_t}` is a martingale
    and the radius is where it passes 1/delta. Of Ville's inequality only the overshoot is lost, and what comes after T: there about 0.6 delta of the runs leave the ellipsoid. On
    bandits that have something to choose it is far too large, and the bound on the regret as well (1 to 5 % of it is reached).
    """
    found = oful(bandit, T, run_seeds(seed, sample), ridge=1.0, norm=told * bandit.norm, delta=delta)
    bound = oful_regret(
        T, bandit.dimension, deviation=bandit.deviation, ridge=1.0, norm=bandit.norm, largest=bandit.largest_action, delta=delta
    )
    left = (found.worst_error[:, 0] > shrunk) | (found.regret[:, 0] > share * bound)
    return violation_rate(left, delta)


oful_ellipsoid.control(
    "a radius 15 per cent smaller",
    because="for one action the radius is nearly exact",
    on=domain(ONE_ACTION, T=1000, sample=by_profile(quick=2000, full=20_000)),
    shrunk=0.85,
)
oful_ellipsoid.control("a radius without sqrt(lambda) S", because="the ridge shrinks the estimate", told=0.0)
oful_ellipsoid.control("a fiftieth of the regret", because="learning costs more than that", share=0.02)


@family(d=1, T=1)
def feature_sequence(T: int = 100, d: int = 3, largest: float = 1.0, kind: str = "gaussian", seed: int = 0) -> Floats:
    """T vectors in R^d of norm at most ``largest``: "gaussian" directions and sizes, unit vectors in "turns", or one "repeated"."""
    rng = np.random.default_rng(seed)
    if kind == "turns":
        return largest * np.eye(d)[np.arange(T) % d]
    drawn = rng.standard_normal((T, d))
    if kind == "repeated":
        drawn = np.repeat(drawn[:1], T, axis=0)
    size = 1.0 if kind == "repeated" else rng.random((T, 1)) ** (1 / d)
    return np.asarray(largest * size * drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


FEATURES = feature_sequence.sweep(
    T=by_profile(quick=(1, 12, 60), full=(1, 12, 60, 1000)),
    d=(1, 4),
    largest=(0.1, 1.0, 10.0),
    kind=("gaussian", "turns", "repeated"),
    draws=by_profile(quick=1, full=5),
)


def _potential(phi: Floats, ridge: float, capped: bool) -> tuple[float, float]:
    """The sum of the (capped) squared widths, and ln det(V/lambda)."""
    total, twice = elliptical_potential(phi, ridge)
    if not capped:
        V = ridge * np.eye(phi.shape[1])
        total = 0.0
        for x in phi:
            total += float(x @ np.linalg.solve(V, x))
            V += np.outer(x, x)
    return total, twice / 2


@claim(
    ABBASI,
    "elliptical",
    r"\sum_t \min(1, \|x_t\|^2_{V_{t-1}^{-1}}) \le 2 \ln\det(V_T/\lambda I) \le 2 d \ln\Bigl(1 + \frac{T L^2}{\lambda d}\Bigr)",
    kind="inequality",
    source="recalled",
    assumes="||x_t|| <= L; lambda > 0",
)
@over(FEATURES, ridge=(0.01, 1.0))
def elliptical(phi: Floats, *, ridge: float, largest_power: float = 2.0, capped: bool = True, share: float = 1.0) -> Comparison:
    r"""The widths of a sequence of features add up to a logarithm of the volume that they fill.

    :math:`\det V_t = \det V_{t-1} (1 + \|x_t\|^2_{V_{t-1}^{-1}})` and :math:`\min(1, u) \le 2\ln(1 + u)`. The ratio of the first two sides is at most
    :math:`1/(2 \ln 2) = .721` (`anchor/elliptical-sharp`); where no width passes 1 it is at least 1/2. Orthogonal vectors of norm L that take turns attain the second inequality.
    """
    total, volume = _potential(phi, ridge, capped)
    L = float(np.linalg.norm(phi, axis=1).max())
    last = float(log_volume(phi.shape[0], phi.shape[1], ridge, L ** (largest_power / 2)))
    small = ridge >= L**2  # then no width passes 1
    return all_of(
        potential=at_most(total, 2 * volume),
        volume=at_most(volume, share * last),
        below=at_least(total, volume) if small else at_most(0.0, total),
    )


elliptical.control("without the minimum with 1", because="a first vector of norm 1 has the width 1/lambda = 100", capped=False)
elliptical.control("L in place of its square", because="V grows with the squares", largest_power=1.0)
elliptical.control("two per cent less volume", because="orthogonal vectors fill all of it", share=0.98)


@claim(
    ABBASI,
    "elliptical-sharp",
    r"\sum_t \min(1, \|x_t\|^2_{V_{t-1}^{-1}}) \le \frac{1}{\ln 2} \ln\det(V_T/\lambda I)",
    kind="inequality",
    source="derived",
    assumes="lambda > 0; any vectors",
)
@over(FEATURES, ridge=(0.01, 1.0))
@over(feature_sequence.sweep(T=4, d=4, kind="turns", largest=Range(0.3, 3.0)), ridge=1.0, budget=by_profile(quick=20, full=100))
def elliptical_sharp(phi: Floats, *, ridge: float, constant: float = 1.0) -> Comparison:
    r"""The textbook's factor 2 is 1/ln 2 = 1.443, and no less: the potential is at most the base-2 logarithm of the volume.

    :math:`\ln(1 + u)` is concave and equals :math:`u \ln 2` at 0 and 1, so :math:`\min(1, u) \ln 2 \le \ln(1 + u)` for all u >= 0. Up to d
    orthogonal vectors of squared norm lambda have equality.
    """
    total, volume = _potential(phi, ridge, capped=True)
    return at_most(total, constant * float(elliptical_potential_bound(volume)))


elliptical_sharp.control("two per cent less", because="orthogonal vectors of squared norm lambda attain it", constant=0.98)
