r"""DPO offline and online, and HyPO, with a network on contextual problems; exact gradients of the population losses.

The policy is :math:`\pi(\cdot|x) \propto \mu(\cdot|x)\, e^{s(x, \cdot)/\beta}` with the scores :math:`s(x, y) = \langle
\phi_y, g(x)\rangle`, its implicit rewards. g is a network (or a table, a row for each context) that begins as 0: every run
begins at the reference. One experiment has all methods as settings. With :math:`P = \sigma(r_i - r_j)` the chance that i is
preferred to j, each step is one of Adam, down the gradient of

.. math:: \mathbb{E}_x \sum_{ij} w_x(i, j) \bigl[-P \ln \sigma(s_i - s_j) - (1 - P) \ln \sigma(s_j - s_i)\bigr]
          + \lambda\, \mathbb{E}_x \mathrm{KL}(\pi \| \mu), \qquad w = (1 - o)\, q q^\top + o\, \bar\pi \mu^\top

for a law q of the responses in offline pairs and the policy :math:`\bar\pi` of the moment, through whose law no gradient
goes. o = 0 and :math:`\lambda = 0`: DPO on infinitely many offline pairs (Rafailov et al. 2023, arXiv 2305.18290). o = 1:
pairs of the policy and of the reference with labels on the fly. :math:`\lambda > 0`: HyPO, whose second term is an
expectation under the policy (Song et al. 2024, arXiv 2406.01462). Nothing is sampled: all expectations are sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.neural.networks import REAL, adam_state, adam_step, mlp
from mdplab.neural.training import Experiment, Hyper, Measured
from theory.errors import InputError

Array = NDArray[np.float64]


class PreferenceProblem(eqx.Module):
    """V variants of a contextual preference problem, in float64; a stack of them has a leading axis of runs in every field.

    ``reward``, ``log_reference``, ``log_pairs`` and ``log_optimum`` (V, X, K): rewards, the reference, the law q of responses
    in offline pairs (-inf allowed), the optimal policy. ``weights`` (V, X): the law of contexts. ``beta`` (V,). ``contexts``
    (V, X, d), ``features`` (V, K, K), ``holes`` (V, K): 1 for the responses whose mass is measured.
    """

    reward: Any
    log_reference: Any
    log_pairs: Any
    log_optimum: Any
    weights: Any
    beta: Any
    contexts: Any
    features: Any
    holes: Any


def stack_preferences(variants: Sequence[Sequence[dict[str, ArrayLike]]]) -> PreferenceProblem:
    """The stack of the problems of several runs, each a sequence of variants: mappings from the fields' names to arrays
    without the axis V.

    Raises :class:`InputError` for variants or runs of different shapes, a reference with a probability of 0, or a temperature
    that is not positive.
    """
    fields = tuple(PreferenceProblem.__annotations__)
    if not variants or not variants[0]:
        raise InputError("a stack of preference problems has at least one run and one variant.")
    found: dict[str, Array] = {}
    for name in fields:
        arrays = [[np.asarray(variant[name], dtype=float) for variant in run] for run in variants]
        if len({(len(run), *(a.shape for a in run)) for run in arrays}) > 1 or len({a.shape for a in arrays[0]}) > 1:
            raise InputError(f"the variants of a stack are as many in every run and of one shape; {name} differs.")
        found[name] = np.array(arrays)
    if not np.isfinite(found["log_reference"]).all():
        raise InputError("a network's implicit rewards need a reference that gives every response a probability.")
    if not (found["beta"] > 0).all():
        raise InputError(f"the temperature is positive, not {found['beta'].min():g}.")
    return PreferenceProblem(**found)


class _Variant(eqx.Module):
    """One variant, its arrays in one precision."""

    reward: jax.Array
    log_reference: jax.Array
    pairs: jax.Array
    weights: jax.Array
    beta: jax.Array


@dataclass(frozen=True)
class PreferenceOptimisation(Experiment):
    """One run of a preference method; see the module.

    ``width``: of the network's single hidden layer (tanh). Hyperparameters: ``variant`` (the index of the problem's),
    ``online`` (o, in [0, 1]), ``coefficient`` (lambda), ``table`` (1: a table in place of the network), ``plain`` (1:
    gradient descent in place of Adam), ``learning_rate``.

    Measured, exactly: ``gap`` = J(pi*) - J(pi) = beta E KL(pi || pi*), ``mass`` E pi(holes), ``divergence`` E KL(pi || mu),
    ``excess`` the loss on offline pairs less that of pi*, ``unseen`` the largest entry of |g(x)| among the coordinates of
    responses outside of offline pairs, ``drift`` the largest |sum| of the others', and of the problem ``start_gap`` the
    reference's gap, ``best_mass`` and ``best_divergence`` those of pi*.
    """

    width: int = 48

    def init(self, key: jax.Array, problem: PreferenceProblem, hyper: Hyper) -> Any:
        _, X, d = problem.contexts.shape
        K = problem.features.shape[-1]
        network = mlp(key, (d, self.width, K), last=0.0)
        parameters = (network, jnp.zeros((X, K), dtype=REAL))
        return parameters, adam_state(parameters)

    def update(self, state: Any, key: jax.Array, problem: PreferenceProblem, hyper: Hyper) -> Any:
        parameters, optimiser = state
        variant = _variant(problem, hyper, REAL)

        def loss(parameters: Any) -> jax.Array:
            _, scores = _rows_and_scores(parameters, problem, hyper)
            log_policy = jax.nn.log_softmax(variant.log_reference + scores / variant.beta, axis=-1)
            policy, reference = jax.lax.stop_gradient(jnp.exp(log_policy)), jnp.exp(variant.log_reference)
            offline = variant.pairs[:, :, None] * variant.pairs[:, None, :]
            law = offline + hyper["online"] * (policy[:, :, None] * reference[:, None, :] - offline)
            return _pair_loss(scores, law, variant) + hyper["coefficient"] * _divergence(log_policy, variant)

        gradient = jax.grad(loss)(parameters)
        rate, plain = hyper["learning_rate"], hyper["plain"] > 0.5
        moved, optimiser = adam_step(parameters, gradient, optimiser, rate)
        parameters = jax.tree.map(lambda w, g, m: jnp.where(plain, w - rate * g, m), parameters, gradient, moved)
        return parameters, optimiser

    def measure(self, state: Any, problem: PreferenceProblem, hyper: Hyper) -> Measured:
        index = hyper["variant"].astype(jnp.int32)
        variant = _variant(problem, hyper, jnp.float64)
        best, holes = problem.log_optimum[index], problem.holes[index]
        rows, scores = (values.astype(jnp.float64) for values in _rows_and_scores(state[0], problem, hyper))
        log_policy = jax.nn.log_softmax(variant.log_reference + scores / variant.beta, axis=-1)
        law = variant.pairs[:, :, None] * variant.pairs[:, None, :]
        seen = variant.pairs > 0
        lost = (jnp.exp(variant.log_reference) * (variant.log_reference - best)).sum(axis=-1)
        return {
            "gap": variant.beta * (variant.weights @ (jnp.exp(log_policy) * (log_policy - best)).sum(axis=-1)),
            "mass": variant.weights @ (jnp.exp(log_policy) @ holes),
            "divergence": _divergence(log_policy, variant),
            "excess": _pair_loss(scores, law, variant) - _pair_loss(variant.reward, law, variant),
            "unseen": jnp.abs(jnp.where(seen, 0.0, rows)).max(),
            "drift": jnp.abs(jnp.where(seen, rows, 0.0).sum(axis=-1)).max(),
            "start_gap": variant.beta * (variant.weights @ lost),
            "best_mass": variant.weights @ (jnp.exp(best) @ holes),
            "best_divergence": _divergence(best, variant),
        }


def _variant(problem: PreferenceProblem, hyper: Hyper, dtype: Any) -> _Variant:
    index = hyper["variant"].astype(jnp.int32)
    return _Variant(
        reward=problem.reward[index].astype(dtype),
        log_reference=problem.log_reference[index].astype(dtype),
        pairs=jnp.exp(problem.log_pairs[index]).astype(dtype),
        weights=problem.weights[index].astype(dtype),
        beta=problem.beta[index].astype(dtype),
    )


def _rows_and_scores(parameters: Any, problem: PreferenceProblem, hyper: Hyper) -> tuple[jax.Array, jax.Array]:
    """g(x) of every context, the network's or the table's, and the scores: (X, K) both."""
    network, table = parameters
    index = hyper["variant"].astype(jnp.int32)
    rows = jnp.where(hyper["table"] > 0.5, table, network(problem.contexts[index].astype(REAL)))
    return rows, rows @ problem.features[index].astype(REAL).T


def _pair_loss(scores: jax.Array, law: jax.Array, variant: _Variant) -> jax.Array:
    """The expected DPO loss of scores (X, K) on pairs of the law (X, K, K) with Bradley-Terry labels."""
    margins = scores[:, :, None] - scores[:, None, :]
    chance = jax.nn.sigmoid(variant.reward[:, :, None] - variant.reward[:, None, :])
    return variant.weights @ (law * (jax.nn.softplus(margins) - chance * margins)).sum(axis=(1, 2))


def _divergence(log_policy: jax.Array, variant: _Variant) -> jax.Array:
    """E KL(policy || reference)."""
    return variant.weights @ (jnp.exp(log_policy) * (log_policy - variant.log_reference)).sum(axis=-1)
