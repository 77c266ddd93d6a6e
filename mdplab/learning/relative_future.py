r"""REFUEL: policy optimisation for dialogues of several turns by regressing differences of rewards to go.

Gao, Zhan, Chang, Swamy, Brantley, Lee and Sun (2024, arXiv 2410.04612). An iteration draws a turn h at random, rolls in with
:math:`\pi_t` to a history :math:`x_h`, draws two actions and a completion of each, and fits

.. math:: \frac1\eta \Bigl(\ln\frac{\pi_{t+1}(a|x_h)}{\pi_t(a|x_h)} - \ln\frac{\pi_{t+1}(a'|x_h)}{\pi_t(a'|x_h)}\Bigr)
          \quad\text{to the difference of the two rewards to go.}

The exact regression is :math:`\pi_{t+1} \propto \pi_t e^{\eta Q^{\pi_t}}` at every history, an error of it adds to Q.
:func:`refuel` runs that on a token tree, whose prefixes are the histories. :func:`refuel_on_chain` runs the sampled algorithm
on the smallest problem that tells histories of the learner from histories of the data.

What is out of its stated range raises InputError (ModelError for policies that do not fit the tree).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.models.token_tree import Levels, TokenTree
from mdplab.solvers.episodic_policy_gradient import episodic_mirror_step
from mdplab.solvers.token_tree import as_token_policy, policy_q
from theory.errors import InputError

Array = NDArray[np.float64]
Histories = Literal["learner", "reference"]
Error = Callable[[int, Levels], Levels]


@dataclass(frozen=True, eq=False)
class RelativeFutureRun:
    """T iterations: ``log_policies`` (pi_0, ..., pi_T, each a tuple of levels) and their ``values`` (T+1,).

    ``q`` and ``regressed``, T tuples of levels, are :math:`Q^{\\pi_t}` and what the regression made of it.
    """

    log_policies: tuple[Levels, ...]
    values: Array
    q: tuple[Levels, ...]
    regressed: tuple[Levels, ...]


def refuel(
    tree: TokenTree, step: float, iterations: int, *, start: Levels | None = None, error: Error | None = None
) -> RelativeFutureRun:
    r""":math:`\pi_{t+1}(a|s) \propto \pi_t(a|s) e^{\eta \hat Q_t(s, a)}` for ``iterations`` rounds, at every prefix.

    ``step`` is eta > 0. ``start`` holds log-probabilities, uniform if not given.
    ``error(t, log_policy)`` is added to :math:`Q^{\pi_t}`, level by level, t = 0 .. T-1; without it the regression is exact.
    """
    if iterations < 1:
        raise InputError(f"at least one iteration is needed, not {iterations}.")
    uniform = tuple(np.full(level.shape, -np.log(tree.tokens)) for level in tree.rewards)
    policy = uniform if start is None else as_token_policy(tree, start)
    policies, values, qs, regressed = [policy], [], [], []
    for t in range(iterations):
        q, value = policy_q(tree, policy)
        fitted = q if error is None else tuple(a + b for a, b in zip(q, error(t, policy)))
        values.append(value[0][0])
        qs.append(q)
        regressed.append(fitted)
        policy = tuple(episodic_mirror_step(logs, gains, step) for logs, gains in zip(policy, fitted))
        policies.append(policy)
    values.append(policy_q(tree, policy)[1][0][0])
    return RelativeFutureRun(tuple(policies), np.array(values), tuple(qs), tuple(regressed))


def chain_value(right: ArrayLike) -> Array:
    """What a policy earns on the chain on average: the share of its H actions before the first wrong one, shape (...).

    ``right`` (..., H) holds the probabilities of the right action at each turn.
    """
    chances = np.asarray(right, dtype=float)
    return np.asarray(np.cumprod(chances, axis=-1).mean(axis=-1))


def refuel_on_chain(
    horizon: int,
    reference: float,
    *,
    histories: Histories,
    step: float = 3.0,
    iterations: int = 40,
    draws: int = 50,
    runs: int = 1,
    seed: int | np.random.Generator = 0,
) -> Array:
    r"""The probabilities of the right action at each turn after sampled REFUEL on a chain, shape (``runs``, ``horizon``).

    A dialogue goes on while its actions are right and is lost with the first wrong one; c right actions in a row earn c/H. Each
    iteration makes ``draws`` comparisons. One draws a turn h uniformly, a history of h actions (by the policy itself, or, with
    ``histories="reference"``, by the reference), two actions and a completion of each by the policy. Histories that are lost,
    and equal actions, say nothing. The logit of turn h moves by eta times the mean difference, right less wrong, of the rewards
    to go in the comparisons that say something: the least-squares fit for a tabular policy.

    ``reference`` in (0, 1) is the probability with which reference and first policy choose right, at every turn.
    """
    if horizon < 1 or iterations < 1 or draws < 1 or runs < 1:
        raise InputError("the horizon and the numbers of iterations, draws and runs are at least 1.")
    if not 0 < reference < 1:
        raise InputError(f"the reference is right with a probability in (0, 1), not {reference}.")
    if histories not in ("learner", "reference"):
        raise InputError(f"histories come from the 'learner' or the 'reference', not from {histories!r}.")
    rng = np.random.default_rng(seed)
    logits = np.full((runs, horizon), np.log(reference / (1 - reference)))
    away = reference ** np.arange(horizon)
    row = np.arange(runs)[:, None]
    for _ in range(iterations):
        right = 1 / (1 + np.exp(-logits))
        # reach[:, k]: the probability that the first k actions of the policy are right
        reach = np.concatenate((np.ones((runs, 1)), np.cumprod(right, axis=1)), axis=1)
        turn = rng.integers(horizon, size=(runs, draws))
        alive = rng.random((runs, draws)) < (reach[row, turn] if histories == "learner" else away[turn])
        first, second = (rng.random((runs, draws)) < right[row, turn] for _ in range(2))
        # after a right action at turn h the first k actions are right with probability reach[k] / reach[h + 1]
        lasting = rng.random((runs, draws)) * reach[row, turn + 1]
        later = (reach[:, None, 1:] > lasting[:, :, None]).sum(axis=2) - turn
        telling = alive & (first != second)
        # right less wrong: the wrong action ends the dialogue and keeps what was earned before
        place = (row, turn)
        count, total = np.zeros((runs, horizon)), np.zeros((runs, horizon))
        np.add.at(count, place, telling)
        np.add.at(total, place, np.where(telling, later / horizon, 0.0))
        logits = logits + step * total / np.maximum(count, 1)
    return np.asarray(1 / (1 + np.exp(-logits)))
