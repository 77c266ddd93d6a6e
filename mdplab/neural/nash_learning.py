r"""Nash learning with networks: Nash-MD, Nash-MP and online IPO on contextual preference games.

In a context x the centred preference matrix is :math:`A_x` and the reference :math:`\mu_x`. The policy is
:math:`\pi_\theta(\cdot|x) = \mathrm{softmax}(\ln \mu_x + f_\theta(x))`, :math:`f_\theta` a perceptron of the context's
features. One *update* is a fixed number of steps of Adam with a learning rate that falls linearly to zero:

* of distillation, on the mean over contexts of :math:`\mathrm{KL}(t_x \| \pi_\theta)`. The target is a proximal step in closed
  form, :math:`t_x = \mathrm{softmax}(\ln \mu_x + k c_x + g A_x q_x)`, from one query of the win rates against the opponent
  :math:`q_x = \mathrm{softmax}(\ln \mu_x + m f_\theta(x))`, with the centre :math:`c_x`. Nash-MD (Munos et al. 2023, arXiv
  2312.00886) and Nash-MP (Tiapkin et al. 2025, arXiv 2505.19731) differ in m, k, g and the centre: :func:`nash_md`,
  :func:`nash_mp`. Nash-MP makes two updates an iteration from one centre: the first leads to the half-step;
* or, for :func:`online_ipo` (Calandriello et al. 2024, arXiv 2403.08635), on the expected loss of IPO over pairs of responses
  drawn from the present policy, for which every step of Adam asks anew.

The settings are hyperparameters of one compiled experiment. The twins without networks are in :mod:`games.mirror_descent` and
:mod:`games.mirror_prox`; equilibria come from :func:`games.regularised.solve_regularised`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import ArrayLike, NDArray

from mdplab.neural.networks import MLP, REAL, adam_state, adam_step, mlp
from mdplab.neural.training import Experiment, Hyper, Measured
from theory.errors import InputError

Array = NDArray[np.float64]
BEST_RESPONSE = 100.0  # an inverse temperature: what is 0.1 worse than the best response has e^-10 of its probability


class ContextualGames(eqx.Module):
    """Preference games by context, in float64; a stack has a leading axis of runs in every field.

    ``matrix`` (C, K, K): centred preference matrices; ``log_reference`` (C, K); ``log_nash`` (C, K): the equilibria regularised
    at ``beta`` (); ``features`` (C, d): what a network sees of a context.
    """

    matrix: Any
    log_reference: Any
    log_nash: Any
    features: Any
    beta: Any


def stack_games(
    matrices: ArrayLike, log_references: ArrayLike, log_nash: ArrayLike, features: ArrayLike, beta: float
) -> ContextualGames:
    """The games of all runs, shapes (R, C, K, K), (R, C, K), (R, C, K) and (R, C, d), at the temperature ``beta`` > 0.

    Raises :class:`InputError` for shapes that do not fit, what is not finite, a matrix that is not skew-symmetric.
    """
    A, mu, nash, seen = (np.asarray(v, dtype=float) for v in (matrices, log_references, log_nash, features))
    if A.ndim != 4 or A.shape[2] != A.shape[3] or A.size == 0:
        raise InputError(f"contextual games have matrices of the shape (runs, contexts, K, K), not {A.shape}.")
    for what, shape in (("references", mu.shape), ("equilibria", nash.shape)):
        if shape != A.shape[:3]:
            raise InputError(f"matrices of the shape {A.shape} need {what} of the shape {A.shape[:3]}, not {shape}.")
    if seen.ndim != 3 or seen.shape[:2] != A.shape[:2]:
        raise InputError(f"matrices of the shape {A.shape} need features of the shape {(*A.shape[:2], 'd')}, not {seen.shape}.")
    if not all(np.isfinite(v).all() for v in (A, mu, nash, seen)):
        raise InputError("matrices, references, equilibria and features of contextual games are finite.")
    if (skew := float(np.abs(A + A.swapaxes(2, 3)).max())) > 1e-9:
        raise InputError(f"centred preference matrices are skew-symmetric; A + A^T has an entry of size {skew:g}.")
    if not 0 < beta < np.inf:
        raise InputError(f"the temperature is positive and finite, not {beta}.")
    return ContextualGames(A, mu, nash, seen, np.full(A.shape[0], float(beta)))


Setting = dict[str, float]


def _setting(rate: float, step: float = 0.0, **flags: float) -> Setting:
    if not 0 < rate < np.inf:
        raise InputError(f"Adam's rate is positive and finite, not {rate}.")
    return {"rate": rate, "step": step, "mixture": 0.0, "two_steps": 0.0, "ipo": 0.0, "own_pairs": 1.0} | flags


def nash_md(step: float, *, rate: float = 0.03) -> Setting:
    """Nash-MD with the constant ``step`` eta > 0 (eta beta is to be at most 1): opponent and centre are the mixture with the
    reference.

    ``rate`` > 0, here and below, is Adam's at the beginning of an update.
    """
    if not 0 < step < np.inf:
        raise InputError(f"Nash-MD's step is positive and finite, not {step}.")
    return _setting(rate, step, mixture=1.0)


def nash_mp(*, rate: float = 0.03) -> Setting:
    """Nash-MP with eta = 2 beta: two updates an iteration, both from the iterate at its beginning."""
    return _setting(rate, two_steps=1.0)


def online_ipo(*, own_pairs: bool = True, rate: float = 0.001) -> Setting:
    """Gradient steps on IPO's expected loss over pairs of the present policy, or (not ``own_pairs``) of the reference."""
    return _setting(rate, ipo=1.0, own_pairs=float(own_pairs))


def best_response(*, rate: float = 0.03) -> Setting:
    """Self-play without regularisation: fit the best response to the present policy (smoothed at a very low temperature)."""
    return _setting(rate, BEST_RESPONSE)


class State(eqx.Module):
    """A network under way with Adam's state, and the number of ``updates`` made.

    ``centre`` (C, K), float64: its logits at the beginning of the iteration; ``target`` (C, K), float64: the log-policy that
    the last update fitted.
    """

    network: MLP
    optimiser: Any
    centre: jax.Array
    target: jax.Array
    updates: jax.Array


@dataclass(frozen=True)
class NashLearning(Experiment):
    """The learner; its hyperparameters are those of :func:`nash_md`, :func:`nash_mp`, :func:`online_ipo`,
    :func:`best_response`.

    ``width`` of the one hidden layer (tanh), ``fit_steps`` of Adam in an update. Networks begin with f = 0, that is at the
    reference.

    Measured, in float64: ``kl`` (C,) from the equilibrium, ``exploitability`` (C,) at the temperature beta, ``fit`` (C,) the
    span of the fitted log-policy less its target; ``ipo_constant`` and ``ipo_residual`` of :func:`ipo_against_self_play`, and
    ``offline_residual``, the same with pairs drawn from the reference.
    """

    width: int = 32
    fit_steps: int = 60

    def init(self, key: jax.Array, problem: ContextualGames, hyper: Hyper) -> State:
        """A network that is the reference."""
        C, d = problem.features.shape
        network = mlp(key, (d, self.width, problem.matrix.shape[-1]), last=0.0)
        zero = jnp.zeros((C, problem.matrix.shape[-1]), dtype=jnp.float64)
        return State(network, adam_state(network), zero, problem.log_reference, jnp.zeros((), dtype=jnp.int32))

    def update(self, state: State, key: jax.Array, problem: ContextualGames, hyper: Hyper) -> State:
        """One query in every context, and the fit to what it says."""
        now = logits(state.network, problem)
        share = hyper["mixture"] * hyper["step"] * problem.beta  # of the reference in Nash-MD's mixture
        opponent = jax.nn.log_softmax(problem.log_reference + (1 - share) * now)
        # in float64, unlike the hyperparameters: bounds on a run take its steps to be the exact ones but for the fits
        prox = 1 / (1 + 2 * problem.beta)
        keep = jnp.where(hyper["two_steps"] > 0, prox, hyper["mixture"] * (1 - share))
        gain = jnp.where(hyper["two_steps"] > 0, 2 * prox, hyper["step"])
        second = (hyper["two_steps"] > 0) & (state.updates % 2 == 1)
        centre = jnp.where(second, state.centre, now)
        target = jax.nn.log_softmax(problem.log_reference + keep * centre + gain * win_rates(problem, jnp.exp(opponent)))
        network, optimiser = self._fit(state.network, state.optimiser, target, problem, hyper)
        return State(network, optimiser, centre, target, state.updates + 1)

    def _fit(self, network: MLP, optimiser: Any, target: jax.Array, problem: ContextualGames, hyper: Hyper) -> tuple[MLP, Any]:
        games = jax.tree.map(lambda leaf: leaf.astype(REAL), problem)
        wanted = jnp.exp(target).astype(REAL)

        def step(i: jax.Array, carry: Any) -> Any:
            network, state = carry
            f, pull_back = jax.vjp(lambda net: net(games.features), network)
            p = jax.nn.softmax(games.log_reference + f)
            pairs = jnp.where(hyper["own_pairs"] > 0, p, jnp.exp(games.log_reference))
            upwards = jnp.where(hyper["ipo"] > 0, ipo_gradient(games, f, pairs), p - wanted)
            (gradient,) = pull_back(upwards / f.shape[0])
            left = 1 - i.astype(REAL) / self.fit_steps
            return adam_step(network, gradient, state, hyper["rate"] * left)

        return jax.lax.fori_loop(0, self.fit_steps, step, (network, optimiser))

    def measure(self, state: State, problem: ContextualGames, hyper: Hyper) -> Measured:
        """Divergences, exploitabilities and fit errors by context; both sides of IPO's identity."""
        network = in_float64(state.network)
        policy = jax.nn.log_softmax(problem.log_reference + logits(network, problem))
        response = jax.nn.log_softmax(problem.log_reference + win_rates(problem, jnp.exp(policy)) / problem.beta)
        error = policy - state.target
        constant, residual = ipo_against_self_play(network, problem)
        _, offline = ipo_against_self_play(network, problem, own_pairs=False)
        return {
            "kl": divergence(problem.log_nash, policy),
            "exploitability": problem.beta * divergence(policy, response),
            "fit": error.max(axis=-1) - error.min(axis=-1),
            "ipo_constant": constant,
            "ipo_residual": residual,
            "offline_residual": offline,
        }


def in_float64(network: MLP) -> MLP:
    """The same network with its weights in float64."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), network)


def logits(network: MLP, games: ContextualGames) -> jax.Array:
    """What the network adds to the reference's log-probabilities, evaluated in float64, (C, K)."""
    return in_float64(network)(games.features)


def win_rates(games: ContextualGames, policy: jax.Array) -> jax.Array:
    """The centred win rates of all actions against ``policy``, (C, K) to (C, K)."""
    return jnp.einsum("cij,cj->ci", games.matrix, policy)


def divergence(log_p: jax.Array, log_q: jax.Array) -> jax.Array:
    """KL(p || q) over the last axis, of normalised log-probabilities, as a sum of terms of at least 0."""
    d = log_q - log_p
    return (jnp.exp(log_p) * (jnp.expm1(d) - d)).sum(axis=-1)


def ipo_gradient(games: ContextualGames, f: jax.Array, pairs: jax.Array) -> jax.Array:
    r"""The gradient of :func:`ipo_loss` (without the mean over contexts) in the logits f, (C, K), with the law p of ``pairs`` held fixed.

    It has the entries :math:`4 p_y (f_y - \langle p, f\rangle - (A p)_y / \beta)`.
    """
    centred = f - (pairs * f).sum(axis=-1, keepdims=True)
    return 4 * pairs * (centred - win_rates(games, pairs) / games.beta)


def ipo_loss(network: MLP, games: ContextualGames, pairs: jax.Array) -> jax.Array:
    r"""IPO's expected loss, averaged over contexts, for pairs of responses drawn from the law ``pairs`` (C, K).

    :math:`\mathbb{E}\,[P(y,z) (h - \tfrac{1}{2\beta})^2 + P(z,y) (h + \tfrac{1}{2\beta})^2]` with :math:`h = f_y - f_z`,
    written out over all pairs; it is :math:`2 \mathrm{Var}_p(f) - \tfrac4\beta \langle p, f \circ A p\rangle` plus a constant.
    Azar et al. (2024), arXiv 2310.12036.
    """
    f = network(games.features)
    h = f[:, :, None] - f[:, None, :]
    first, margin = 0.5 + games.matrix, 1 / (2 * games.beta)
    lost = first * (h - margin) ** 2 + (1 - first) * (h + margin) ** 2
    return jnp.einsum("cy,cz,cyz->c", pairs, pairs, lost).mean()


def self_play_payoff(network: MLP, games: ContextualGames, opponent: jax.Array) -> jax.Array:
    r"""The regularised payoff against ``opponent`` q (C, K), mean over contexts.

    :math:`\langle \pi_\theta, A q\rangle - \beta\,\mathrm{KL}(\pi_\theta\|\mu)`.
    """
    f = network(games.features)
    policy = jax.nn.log_softmax(games.log_reference + f)
    gains = win_rates(games, opponent) - games.beta * (policy - games.log_reference)
    return (jnp.exp(policy) * gains).sum(axis=-1).mean()


def ipo_against_self_play(network: MLP, games: ContextualGames, *, own_pairs: bool = True) -> tuple[jax.Array, jax.Array]:
    r"""How the gradient of IPO's loss stands to that of the self-play payoff: a constant c and a residual.

    IPO's pairs come from the present policy, or from the reference. Both gradients are taken by automatic differentiation in
    the weights, the present policy being the opponent, held fixed. c minimises :math:`\|\nabla \mathrm{IPO} + \tfrac{c}{\beta}
    \nabla \mathrm{payoff}\|`, and the residual is that norm over :math:`\|\nabla \mathrm{IPO}\|`.
    """
    f = network(games.features)
    own = jax.nn.softmax(games.log_reference + f)
    pairs = own if own_pairs else jnp.exp(games.log_reference)
    loss = ravel_pytree(jax.grad(ipo_loss)(network, games, pairs))[0]
    payoff = ravel_pytree(jax.grad(self_play_payoff)(network, games, own))[0]
    ratio = -(loss @ payoff) / (payoff @ payoff)
    return ratio * games.beta, jnp.linalg.norm(loss + ratio * payoff) / jnp.linalg.norm(loss)
