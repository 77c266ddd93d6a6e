r"""Temporally-aware discovered algorithms (Jackson et al. 2024), on a noisy quadratic whose best schedules are known.

Notation: L(eta_0, .., eta_{N-1}) is the expected loss after N steps of gradient descent with gradient noise, exact
(:mod:`mdplab.learning.noisy_quadratic`): curvatures 1 and 0.01, noise variances 1 and 0.01, second moments 100 at the start. A schedule is stable if its steps lie
in [0, 2]: 2 is 2/h for the largest curvature h. L_const, L_lin and L_free are the least losses of a constant, of a linear decay c (1 - k/N) and of
any stable schedule. The first two are known within 0.1%, by branch and bound; the third is that of a stationary point.

The paper's experiments are with environments of reinforcement learning. What is checked here is its argument, in the miniature of Wu et al. (2018).
"""

import functools
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from experiments.neural_meta import train_schedules
from mdplab.learning.noisy_quadratic import (
    FreeOptimum,
    NoisyQuadratic,
    ScaledOptimum,
    best_scale,
    best_schedule,
    coordinate_bound,
    expected_loss,
    greedy_schedule,
    linear_decay,
    long_steps_schedule,
)
from theory.claims import Comparison, Paper, all_of, at_least, at_most, by_profile, claim, domain, over, violation_rate
from theory.random_streams import run_seeds

Device = Literal["any", "gpu"]

PAPER = Paper(
    key="tarl",
    title="Discovering Temporally-Aware Reinforcement Learning Algorithms",
    authors="Jackson, Lu, Kirsch, Lange, Whiteson, Foerster",
    year=2024,
    theme="neural",
    arxiv="2402.05828",
)


def _quadratic(noise: float = 1.0) -> NoisyQuadratic:
    return NoisyQuadratic(noise=(noise, 0.01 * noise))


@functools.lru_cache(maxsize=64)
def _constant(N: int, noise: float = 1.0, most: float = 2.0) -> ScaledOptimum:
    return best_scale(_quadratic(noise), [np.ones(N)], most=most)


@functools.lru_cache(maxsize=64)
def _linear(N: int, noise: float = 1.0) -> ScaledOptimum:
    return best_scale(_quadratic(noise), [linear_decay(N)], most=2.0)


@functools.lru_cache(maxsize=64)
def _free(N: int, noise: float = 1.0) -> FreeOptimum:
    return best_schedule(_quadratic(noise), N, most=2.0)


@claim(
    PAPER,
    "horizon-aware-wins",
    r"L_{\mathrm{free}} \le 0.79\, L_{\mathrm{lin}}, \qquad L_{\mathrm{lin}} \le 0.68\, L_{\mathrm{const}}",
    kind="separation",
    source="derived",
    assumes="N = 30, 100, 300; steps in [0, 2]",
    note="N = 30: 0.260, 0.334, 0.499. N = 300: 0.0081, 0.0215, 0.168. Without the bound of 2 on the steps the best schedule is another one:"
    " `tarl/beyond-stability`.",
)
@over(N=(30, 100, 300))
def horizon_aware_wins(*, N: int, noise: float = 1.0, of_linear: float = 0.79, of_constant: float = 0.68) -> Comparison:
    r"""A schedule that knows how many steps are left loses several times less than the best constant.

    A constant pays :math:`\eta h n / (2 (2 - \eta h))` for ever, and a small one leaves the flat direction where it is. Who knows the horizon goes as fast as is
    stable first, and anneals in the last steps. The sides compared are the far ends of the brackets.
    """
    constant, linear, free = _constant(N, noise), _linear(N, noise), _free(N, noise)
    return all_of(
        free=at_most(free.loss, of_linear * linear.lower),
        linear=at_most(linear.value, of_constant * constant.lower),
    )


horizon_aware_wins.control("no noise", because="then a decay only slows down: 0.268 against 0.166 at N = 30", noise=0.0)
horizon_aware_wins.control("free at 0.75 of linear", because="at N = 30 it is at 0.779", of_linear=0.75)
horizon_aware_wins.control("linear at 0.65 of constant", because="at N = 30 it is at 0.669", of_constant=0.65)


@claim(
    PAPER,
    "short-horizon-bias",
    r"L_{\mathrm{greedy}}(N) \ge 2.4\, L_{\mathrm{const}}(N), \qquad L_{\mathrm{greedy}}(N) \ge 50\, L_{\mathrm{free}}(N)",
    kind="separation",
    source="derived",
    assumes="N = 300, in full also 600; greedy: each step minimises the loss right after it",
    note="At N = 30 greedy is at 0.476, still below the best constant at 0.499; at N = 300 at 0.416 against 0.168.",
)
@over(N=by_profile(quick=(300,), full=(300, 600)))
def short_horizon_bias(*, N: int, noise: float = 1.0, times: float = 2.4, times_free: float = 50.0) -> Comparison:
    r"""A schedule that looks one step ahead loses more than twice what the best constant does.

    Near the noise's floor of the steep direction, a smaller step lowers the next loss at once, while the flat direction would repay a larger one only later.
    The greedy step is :math:`\sum h^2 e / \sum h (h^2 e + n)`: with :math:`e_1 \approx \eta/2` and a flat direction that has hardly moved it is about
    :math:`2 h_2^2 e_2 = 0.02`, at which the flat direction loses 0.04% a step.
    """
    greedy = float(expected_loss(_quadratic(noise), greedy_schedule(_quadratic(noise), N)))
    return all_of(
        constant=at_least(greedy, times * _constant(N, noise).value),
        free=at_least(greedy, times_free * _free(N, noise).loss),
    )


short_horizon_bias.control(
    "no noise", because="without noise the greedy step is steepest descent, here at 1e-300 against 3.4e-6", noise=0.0
)
short_horizon_bias.control("2.5 times the constant", because="at N = 300 it is 2.477 times", times=2.5)
short_horizon_bias.control("30 steps", because="there the greedy schedule still wins", on=domain(N=(30,)))


@claim(
    PAPER,
    "no-single-constant",
    r"\min_{0 \le c \le 1} \max_N \frac{L(c; N)}{L_{\mathrm{const}}(N)} \ge 1.014",
    kind="separation",
    source="derived",
    assumes="N = 30 and 300, for all constants c up to 1/h; the minimum is known within 0.1%",
    note="The constant tuned for 30 steps is 0.222 at 300 in place of 0.168, the one for 300 steps 0.511 at 30 in place of 0.499.",
)
@over(N=((30, 300),))
def no_single_constant(
    *, N: tuple[int, ...], noise: float = 1.0, at_least_times: float = 1.014, most: float = 1.0
) -> Comparison:
    """No constant step size is within 1.4% of the best one at both horizons.

    The longer one has time to go slowly in the flat direction. By branch and bound over all constants: the left side is a lower bound. The
    references are attained losses, no smaller than the true minima, which again keeps the left side from being too large.
    """
    references = [_constant(n, noise, most).value for n in N]
    shared = best_scale(_quadratic(noise), [np.ones(n) for n in N], most=most, references=references)
    return at_least(shared.lower, at_least_times)


no_single_constant.control("no noise", because="then the longest step, c = 1, is the best at every horizon", noise=0.0)
no_single_constant.control("2% at least", because="c = 0.306 is within 1.6% at both", at_least_times=1.02)
no_single_constant.control("30 and 40 steps", because="one constant serves both within 0.1%", on=domain(N=((30, 40),)))


@claim(
    PAPER,
    "beyond-stability",
    r"L_{\mathrm{long}} \le 0.8\, L_{\mathrm{free}}, \qquad \underline{L} \le L_{\mathrm{long}} \le 2\, \underline{L}, \qquad"
    r" \underline{L} = \sum_i \frac{h_i}{2} \Bigl(\frac{1}{e_i} + \frac{N h_i^2}{n_i}\Bigr)^{-1}",
    kind="separation",
    source="derived",
    assumes="N = 30, 300; long: the best of N/2 - 5 .. N/2 steps of the flat direction's Kalman gains, then 1/h of the steep one, then its own",
    note="A local search without a bound on the steps stops elsewhere, such as at 0.161 for N = 30, where these schedules have"
    " 0.0625. So the best schedule is a statement about a bound on the steps.",
)
@over(N=(30, 300))
def beyond_stability(*, N: int, share: float = 0.8, times: float = 2.0, back: float = 1.0) -> Comparison:
    r"""Without a bound on the steps the best schedule throws the steep direction far out and back in one step: not a schedule to be learned.

    Alone, a direction is best served by the gains :math:`h e/(h^2 e + n)`, after which :math:`1/e` has grown by :math:`h^2/n`; that bounds every schedule from below. The
    step 1/h forgets all of a direction but its noise, however far out it is: so one may serve the flat direction first and the steep one after it.
    In between the second moment of the steep one is above 1e40, which the smallest error of the step back would show.
    """
    problem, longs = _quadratic(), range(N // 2 - 5, N // 2 + 1)
    schedules = [long_steps_schedule(problem, N, long) for long in longs]
    for long, schedule in zip(longs, schedules):
        schedule[long] *= back
    loss = float(np.min([expected_loss(problem, schedule) for schedule in schedules]))
    bound = coordinate_bound(problem, N)
    return all_of(stable=at_most(loss, share * _free(N).loss), above=at_least(loss, bound), near=at_most(loss, times * bound))


beyond_stability.control("a step back that is 1% short", because="it keeps 1e-4 of what was thrown out", back=0.99)
beyond_stability.control("1.9 times the bound", because="the two directions share the N steps: 1.905 at N = 30", times=1.9)
beyond_stability.control("0.76 of the stable one", because="at N = 300 it is 0.786", share=0.76)


@functools.lru_cache(maxsize=2)
def _held_out(
    seed: int, runs: int, generations: int, horizons: tuple[int, ...], held_out: tuple[int, ...], device: Device
) -> NDArray[np.float64]:
    """The losses at the held-out horizons without and with sight of the time, shape (2, runs, horizons)."""
    return train_schedules(run_seeds(seed, runs), generations, horizons, held_out, device=device).last("held_out")


@claim(
    PAPER,
    "neural",
    r"L(\text{net}; N) \le 1.1\, L_{\mathrm{free}}(N) < L_{\mathrm{const}}(N)",
    kind="mechanism",
    source="derived",
    assumes="tolerance claim: 95% of seeds, at every held-out N at once; a net (k/N, log N) -> 16 -> 1 trained by evolution strategies (32 members)"
    " on log L at N = 10, 30, 100, and held out 17, 55; 180 generations, in full 1000",
    tests=2,
    shares="tarl-training",
    note="Trained at up to 300 steps and held out at 170, the median of 12 seeds is 11% above the best schedule after 600 generations (figure"
    " neural_meta): there the tolerance is not met.",
)
def neural_schedule(
    *,
    seed: int,
    runs: int = by_profile(quick=10, full=32, gpu=2048),
    generations: int = by_profile(quick=180, full=1000, gpu=1000),
    horizons: tuple[int, ...] = (10, 30, 100),
    held_out: tuple[int, ...] = (17, 55),
    device: Device = by_profile(quick="any", full="any", gpu="gpu"),
    sees_time: bool = True,
    within: float = 1.1,
) -> Comparison:
    """A learned schedule that sees the time is within 10% of the best schedule at horizons that it has not met.

    Losses of a learned schedule are exact, and so are the references. The control is the same network without k/N, from the same random
    numbers: it can be no better than the best constant (`tarl/neural-blind`).
    """
    losses = _held_out(seed, runs, generations, horizons, held_out, device)[int(sees_time)]
    free = np.array([_free(N).loss for N in held_out])
    constant = np.array([_constant(N).lower for N in held_out])
    return all_of(
        near=violation_rate((losses > within * free).any(axis=1), 0.05, alternative=0.9),
        below_constant=violation_rate((losses >= constant).any(axis=1), 0.05, alternative=0.9),
    )


neural_schedule.control("a network without k/N", because="it is a constant at each horizon, above L_const", sees_time=False)
neural_schedule.control("within 2%", because="a smooth network does not follow the switch of the best schedule", within=1.02)


@claim(
    PAPER,
    "neural-blind",
    r"L(\text{net without } k/N;\, N) \ge L_{\mathrm{const}}(N)",
    kind="inequality",
    source="derived",
    assumes="the training of tarl/neural, for every seed and held-out horizon; L_const is a lower bound over all constants",
    shares="tarl-training",
)
def neural_blind(
    *,
    seed: int,
    runs: int = by_profile(quick=10, full=32, gpu=2048),
    generations: int = by_profile(quick=180, full=1000, gpu=1000),
    horizons: tuple[int, ...] = (10, 30, 100),
    held_out: tuple[int, ...] = (17, 55),
    device: Device = by_profile(quick="any", full="any", gpu="gpu"),
    sees_time: bool = False,
    times: float = 1.0,
) -> Comparison:
    """A learned schedule that does not see the time is no better than the best constant, and finds nearly that.

    Its output is the same at all k of one N. What is left to see is that training reaches the bound.
    """
    losses = _held_out(seed, runs, generations, horizons, held_out, device)[int(sees_time)]
    return at_least(losses, times * np.array([_constant(N).lower for N in held_out]))


neural_blind.control("a network with k/N", because="it anneals", sees_time=True)
neural_blind.control("1.05 times the best constant", because="training comes within 1% of it", times=1.05)
