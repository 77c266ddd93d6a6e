"""The checker is checked: false theorems planted on purpose are refuted, true ones survive a thousand fresh seeds."""

import numpy as np
import pytest

from theory.claims import (
    Claim,
    Paper,
    Range,
    at_most,
    by_profile,
    claim,
    equal,
    family,
    less_on_average,
    mean_at_most,
    over,
    run_claim,
    slope,
    violation_rate,
)

PAPER = Paper(key="planted", title="Theorems planted to test the checker", authors="nobody", year=2026, theme="tests")


@family(d=1)
def vectors(d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=d), rng.normal(size=d)


@family
def contraction_map(modulus: float, start: float) -> tuple[float, float]:
    return modulus, start


@family
def coin(bias: float, seed: int) -> tuple[float, np.random.Generator]:
    return bias, np.random.default_rng(seed)


@claim(PAPER, "cauchy-schwarz", r"|\langle x, y\rangle| \le \|x\| \|y\|", kind="inequality", source="paper")
@over(vectors.sweep(d=(1, 2, 3), draws=6))
def cauchy_schwarz(pair, *, constant=1.0):
    """The inner product is at most the product of the norms."""
    x, y = pair
    return at_most(abs(x @ y), constant * np.linalg.norm(x) * np.linalg.norm(y))


cauchy_schwarz.control("constant 5% too small", constant=0.95)


@claim(PAPER, "linear-rate", r"|x_k| \le \gamma^k |x_0|", kind="deterministic rate", source="paper")
@over(contraction_map.sweep(modulus=(0.5, 0.9, 0.99), start=(1.0, -3.0)))
def linear_rate(setting, *, shift=0, power=1.0, modulus_scale=1.0):
    """A linear contraction converges at its modulus."""
    modulus, start = setting
    k = np.arange(1, 60)
    iterates = abs(start) * np.cumprod(np.full(k.size, modulus * modulus_scale))
    return at_most(iterates, modulus ** (power * (k + shift)) * abs(start), x=k)


linear_rate.control("off by one in k", shift=1)
linear_rate.control("exponent 5% too large", power=1.05)


@claim(PAPER, "mean-inequality", r"\sqrt{ab} \le (a+b)/2", kind="inequality", source="paper", assumes="a, b >= 0")
@over(a=(0.0, 0.5, 2.0), b=(0.1, 2.0))
def mean_inequality(a, b, *, sign=1.0):
    """The geometric mean is at most the arithmetic one."""
    return at_most(np.sqrt(abs(a * b)), sign * (a + b) / 2)


mean_inequality.control("negative numbers", because="the assumption is dropped", sign=-1.0)


# On random p the power is far below .9; only a search that climbs finds the corner where it is 1.
@claim(PAPER, "corner", r"p^{40} q^{40} \le 1", kind="inequality", source="paper")
@over(p=Range(0.0, 1.0), q=Range(0.0, 1.0), r=Range(0.0, 1.0), budget=150)
@over(p=tuple(np.random.default_rng(0).uniform(size=20).tolist()), q=0.5, r=0.5)
def corner(p, q, r, *, bound=1.0):
    """A bound that random instances do not test."""
    return at_most(p**40 * (1 - q) ** 40 * (1 - (r - 0.3) ** 2), bound)


corner.control("a bound that only an adversarial instance breaks", bound=0.9)


@claim(PAPER, "coin-tail", r"P(X = 1) \le \delta", kind="high-probability bound", source="paper", tests=1)
@over(coin.sweep(bias=0.05, draws=4))
def coin_tail(toss, *, delta=0.05, trials=3000):
    """A coin of bias exactly delta violates with probability at most delta."""
    bias, rng = toss
    return violation_rate(rng.random(trials) < bias, delta)


coin_tail.control("half the probability", delta=0.025)


@claim(PAPER, "coin-mean", r"E[X] \le \mu", kind="bound in expectation", source="paper")
@over(coin.sweep(bias=0.5, draws=2))
def coin_mean(toss, *, bound=0.55, trials=20000):
    """The mean of a coin is at most its bias (with a tenth to spare)."""
    bias, rng = toss
    return mean_at_most((rng.random(trials) < bias).astype(float), bound, support=(0.0, 1.0))


coin_mean.control("bound 5% too small", bound=0.475)


@claim(PAPER, "exponent", r"E[Y_n] \asymp n^{1/2}", kind="regret exponent", source="paper")
@over(coin.sweep(bias=0.5, draws=1))
def exponent(toss, *, between=(0.42, 0.58)):
    """Noisy square-root growth has slope one half."""
    _, rng = toss
    n = 2.0 ** np.arange(8, 15)
    return slope(n, np.sqrt(n) * rng.lognormal(sigma=0.1, size=(24, n.size)), between=between)


exponent.control("slope 2/3", between=(0.6, 0.73))


@claim(PAPER, "paired", r"E[X] < E[Y]", kind="separation", source="paper")
@over(coin.sweep(bias=0.5, draws=1))
def paired(toss, *, sign=1.0):
    """A paired difference of one standard deviation is seen."""
    _, rng = toss
    first = rng.normal(size=150)
    return less_on_average(sign * first, sign * (first + 1 + rng.normal(size=150)))


paired.control("the other way round", sign=-1.0)


@claim(PAPER, "identity", r"\sum_{i \le n} i = n(n+1)/2", kind="identity", source="paper")
@over(n=(1, 10, 1000))
def identity(n, *, shift=0):
    """The sum of the first n numbers."""
    return equal(float(np.arange(1, n + 1).sum()), (n + shift) * (n + 1) / 2)


identity.control("off by one", shift=1)

PLANTED = [cauchy_schwarz, linear_rate, mean_inequality, corner, coin_tail, coin_mean, exponent, paired, identity]


@pytest.mark.parametrize("planted", PLANTED, ids=lambda c: c.name)
def test_a_true_theorem_holds_and_every_false_one_is_refuted(planted: Claim) -> None:
    result = run_claim(planted, seed=1)
    assert result.evidence.error is None
    assert {c.name: e.outcome for c, e in result.controls} == {c.name: "refuted" for c in planted.controls}
    assert result.verdict == "holds"


@pytest.mark.parametrize("planted", PLANTED, ids=lambda c: c.name)
def test_the_false_theorem_itself_is_refuted(planted: Claim) -> None:
    """The control's statement, published as a claim, gets the verdict refuted and a counterexample that replays."""
    for control in planted.controls:
        made = Claim(planted.check, PAPER, f"false-{planted.name}", "x", "inequality", "paper", "", "holds", None, "", 1)
        made.domains = control.domains or planted.domains
        overrides = dict(control.overrides)
        made.check = _with(planted.check, overrides)
        result = run_claim(made, seed=2)
        assert result.verdict == "refuted", control.name
        assert result.evidence.worst is not None
        assert result.evidence.worst.outcome == "refuted"


def _with(check, overrides):
    import functools

    changed = functools.partial(check, **overrides)
    functools.update_wrapper(changed, check)
    changed.__signature__ = __import__("inspect").signature(check)  # type: ignore[attr-defined]
    return changed


@pytest.mark.parametrize("planted", [cauchy_schwarz, linear_rate, coin_tail, paired], ids=lambda c: c.name)
def test_a_true_theorem_survives_a_thousand_fresh_seeds(planted: Claim) -> None:
    alone = Claim(planted.check, PAPER, f"alone-{planted.name}", "x", "inequality", "paper", "", "holds", None, "", 1)
    outcomes = {run_claim(alone, seed=seed).evidence.outcome for seed in range(10, 1010)}
    assert outcomes == {"holds"}


def test_sizes_follow_the_profile() -> None:
    @over(vectors.sweep(d=2, draws=by_profile(quick=2, full=5)))
    def check(pair, *, count=by_profile(quick=1, full=3)):
        """Counts what it is given."""
        return at_most(np.zeros(count), np.ones(count))

    made = Claim(check, PAPER, "sizes", "x", "inequality", "paper", "", "holds", None, "", 1)
    quick, full = run_claim(made, profile="quick"), run_claim(made, profile="full")
    assert (quick.evidence.instances, quick.evidence.entries) == (2, 2)
    assert (full.evidence.instances, full.evidence.entries) == (5, 15)
