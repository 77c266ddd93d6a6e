r"""D3PO: a preference between two responses is copied to each of their steps (Yang et al. 2023, arXiv 2311.13231).

A diffusion model's T denoising steps are a token tree whose reward is paid for the last one. With
:math:`u(s, a) = \beta \ln(\pi(a|s) / \mu(a|s))`, step t of the winner w is preferred to step t of the loser l:

.. math:: L_t(\pi) = \mathbb{E} \ln\bigl(1 + e^{u(s^l_t, a^l_t) - u(s^w_t, a^w_t)}\bigr).

Each step has parameters and a loss of its own. What the loss of step t sees of the preferences is how often one prefix of t + 1
tokens won against another, on average over how both went on (:func:`step_weights`). At the root all pairs share the state, and
the minimiser is the Bradley-Terry fit to these averages. At later steps the normalisation of u in every state binds, and the
loss may have several local minima; as it grows without bound when any probability falls to 0, a minimiser exists.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from mdplab.models.token_tree import Levels, TokenTree
from theory.bradley_terry_fit import fit_bradley_terry
from theory.errors import InputError
from theory.pair_losses import expected_pair_gradient, expected_pair_loss, logistic
from theory.tilts import log_tilt, require_temperature

Array = NDArray[np.float64]
GRADIENT_TOLERANCE = 1e-9  # of BFGS, on a loss of order 1
SPREAD = 3.0  # of the logits of random starts


@dataclass(frozen=True, eq=False)
class StepwiseFit:
    """What minimises the loss of every step.

    ``log_policy[t]`` (A^t, A). ``residual`` (H,): the largest entry of the gradient by the logits of each step; ``loss`` (H,):
    the losses. ``root_error``: a bound on the error of differences of the root's u.
    """

    log_policy: Levels
    loss: Array
    residual: Array
    root_error: float


def step_weights(weights: ArrayLike, tokens: int, step: int) -> Array:
    """How often each prefix of ``step`` + 1 tokens won against each other one, shape (A^(step+1), A^(step+1)).

    ``weights`` (A^H, A^H), at least 0: how often one response was preferred to another.
    """
    table = np.asarray(weights, dtype=float)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not (np.isfinite(table).all() and (table >= 0).all()):
        raise InputError(f"comparisons form a square matrix of finite numbers of at least 0, not of shape {table.shape}.")
    prefixes = tokens ** (step + 1)
    if step < 0 or tokens < 1 or table.shape[0] % prefixes:
        raise InputError(f"{table.shape[0]} responses have no step {step} of {tokens} tokens (steps are counted from 0).")
    below = table.shape[0] // prefixes
    return np.asarray(table.reshape(prefixes, below, prefixes, below).sum(axis=(1, 3)))


def step_loss(logits: ArrayLike, log_reference: ArrayLike, weights: ArrayLike, beta: float) -> tuple[float, Array]:
    """The loss of one step, and its gradient by the logits, shape (S, A).

    ``logits`` and ``log_reference`` (S, A), a row for each state; ``weights`` (S A, S A) from :func:`step_weights`.
    """
    reference, scale, loss = np.asarray(log_reference, dtype=float), require_temperature(beta), logistic()
    log_policy = log_softmax(np.asarray(logits, dtype=float), axis=1)
    scores = scale * (log_policy - reference).ravel()
    flow = expected_pair_gradient(scores, weights, loss).reshape(reference.shape)
    gradient = scale * (flow - np.exp(log_policy) * flow.sum(axis=1, keepdims=True))
    return float(expected_pair_loss(scores, weights, loss)), gradient


def fit_stepwise(tree: TokenTree, weights: ArrayLike, beta: float, *, starts: int = 4) -> StepwiseFit:
    """Minimise D3PO's loss of every step at the temperature ``beta`` > 0.

    ``weights`` (A^H, A^H): how often one response was preferred to another, as a law or as counts. The root is the
    Bradley-Terry fit, certified. A later step is the best that BFGS finds from the reference policy, from the uniform one and
    from ``starts`` >= 0 random ones (always the same): a stationary point, down to the residual reported, which need not be the
    minimum. The reference must give every token a positive probability.
    """
    if any(np.isneginf(level).any() for level in tree.log_reference):
        raise InputError("D3PO's minimiser needs a reference that gives every token a positive probability.")
    table = np.asarray(weights, dtype=float)
    if table.shape != (tree.leaves, tree.leaves):
        raise InputError(f"comparisons of {tree.leaves} responses form a square matrix of that size, not {table.shape}.")
    if starts < 0:
        raise InputError(f"the number of random starts is at least 0, not {starts}.")
    laws = [step_weights(table / table.sum(), tree.tokens, t) for t in range(tree.horizon)]
    root = fit_bradley_terry(laws[0])
    policies = [log_tilt(tree.log_reference[0], root.theta, beta)]
    for reference, law in zip(tree.log_reference[1:], laws[1:]):
        rng = np.random.default_rng(0)
        firsts = [reference, np.zeros_like(reference), *(SPREAD * rng.standard_normal((starts, *reference.shape)))]
        found = [_descend(first, reference, law, beta) for first in firsts]
        policies.append(min(found, key=lambda end: end[0])[1])
    ends = [step_loss(*step, beta) for step in zip(policies, tree.log_reference, laws)]
    residual = np.array([np.abs(gradient).max() for _, gradient in ends])
    return StepwiseFit(tuple(policies), np.array([value for value, _ in ends]), residual, root.error_bound)


def _descend(logits: Array, log_reference: Array, weights: Array, beta: float) -> tuple[float, Array]:
    """The loss and the log-policy where BFGS ends."""

    def loss(flat: Array) -> tuple[float, Array]:
        value, gradient = step_loss(flat.reshape(log_reference.shape), log_reference, weights, beta)
        return value, gradient.ravel()

    found = minimize(loss, logits.ravel(), jac=True, method="BFGS", options={"gtol": GRADIENT_TOLERANCE, "maxiter": 2000})
    return float(found.fun), np.asarray(log_softmax(found.x.reshape(log_reference.shape), axis=1))
