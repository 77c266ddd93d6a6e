r"""Preference problems with contexts whose labelled pairs miss some responses, and what descent on a table makes of them.

Networks see contexts x as vectors; a policy is :math:`\pi \propto \mu\, e^{s/\beta}` with scores s(x, y), its implicit
rewards. With responses' features :math:`\phi_y` the scores are :math:`\langle\phi_y, g(x)\rangle`. The identity leaves every
response a score of its own; *shared* features tie the scores of responses that no pair shows, the holes, to those of the
others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from bandits.preference.comparisons import population_weights
from bandits.preference.hypo import minimise_hypo
from bandits.preference.kl_bandit import KLBandit
from theory.claims.families import family
from theory.errors import InputError
from theory.tilts import log_tilt

Array = NDArray[np.float64]
HIDDEN = 16  # units of the random network that the rewards come from


@dataclass(frozen=True, eq=False)
class ContextualBandit:
    """A bandit with a prompt axis, and what a network sees of it.

    ``bandit``: rewards and reference (X, K). ``contexts`` (X, d): the prompts as vectors. ``features`` (K, K): a row for each
    response. ``holes`` (K,): the responses that pairs may fail to show. ``key`` is the call that rebuilds the instance.
    """

    bandit: KLBandit
    contexts: Array
    features: Array
    holes: NDArray[np.bool_]
    key: str | None = None

    def __repr__(self) -> str:
        return f"ContextualBandit({self.key or self.bandit})"


@family(X=1, K=3, d=1, holes=1)
def contextual_hole_bandit(
    X: int = 16,
    K: int = 8,
    d: int = 6,
    holes: int = 2,
    hole: float = 2.0,
    delta: float = 0.25,
    weight: float = 0.0,
    beta: float = 0.2,
    shared: float = 0.0,
    concentration: float = float("inf"),
    seed: int = 0,
) -> ContextualBandit:
    """Normal contexts (X, d); the first ``holes`` of K responses have the reward ``hole``, the others 2 tanh of a random
    network.

    The reference gives the holes ``delta`` together, and both groups softmaxes of normal numbers. The responses of labelled
    pairs have the reference's law within both groups, and are holes with the probability ``weight``, by default 0: no label
    ever tells how good those are. The features of the others are unit vectors; those of a hole are its own unit vector plus
    ``shared`` times normal weights of variance 1/(K - holes) on the others'. The law of contexts is drawn from
    Dirichlet(``concentration``), uniform for infinity. Everything else is the same for all settings of hole, delta, weight,
    beta and shared.
    """
    if not (0 < delta < 1 and 0 <= weight < 1):
        raise InputError(
            f"the holes' probability delta lies in (0, 1) and their weight in [0, 1), not at {delta} and {weight}."
        )
    if not 0 < holes <= K - 2:
        raise InputError(f"between 1 and K - 2 = {K - 2} responses are holes, not {holes}.")
    rng = np.random.default_rng(seed)
    contexts = rng.standard_normal((X, d))
    inner = np.tanh(contexts @ rng.standard_normal((d, HIDDEN)) / np.sqrt(d))
    reward = 2 * np.tanh(inner @ rng.standard_normal((HIDDEN, K)) * np.sqrt(2 / HIDDEN))
    reward[:, :holes] = hole
    logits = rng.standard_normal((X, K))
    features = np.eye(K)
    features[:holes, holes:] = shared * rng.standard_normal((holes, K - holes)) / np.sqrt(K - holes)
    law = np.full(X, 1 / X) if np.isinf(concentration) else rng.dirichlet(np.full(X, concentration))
    groups = np.concatenate((log_softmax(logits[:, :holes], axis=1), log_softmax(logits[:, holes:], axis=1)), axis=1)
    first = np.arange(K) < holes
    masses = np.array([delta, weight])[:, None, None]
    with np.errstate(divide="ignore"):
        reference, pairs = groups + np.where(first, np.log(masses), np.log1p(-masses))
    return ContextualBandit(KLBandit(reward, reference, beta, pairs, law), contexts, features, first)


def descended_scores(made: ContextualBandit) -> Array:
    r"""The implicit rewards (X, K) that gradient descent of DPO's population loss tends to, from the reference.

    The scores are :math:`\langle\phi_y, g(x)\rangle` with a table g of zeros at first. Descent moves g along differences of
    features of responses that occur in pairs. Those features are unit vectors here, so that the coordinates of the others
    stay 0 and the sum of the seen ones stays 0: the limit is :math:`g_y = r(y) - \bar r` on seen responses, with their plain
    mean (claim coverage/gd-implicit-bias). Where pairs show every response, it is r up to constants, as features of full rank
    fit any reward.

    Raises :class:`InputError` where pairs do not show the same responses in all contexts, or show some and not others and the
    features of those that they show are not unit vectors.
    """
    seen = np.isfinite(made.bandit.log_pairs)
    reward = made.bandit.reward
    centred = np.asarray(reward - reward[:, seen[0]].mean(axis=1, keepdims=True))
    if seen.all():
        return centred
    if (seen != seen[0]).any() or (made.features[seen[0]] != np.eye(seen.shape[1])[seen[0]]).any():
        raise InputError("the limit is known where all contexts show the same responses, whose features are unit vectors.")
    return np.asarray(np.where(seen, centred, 0.0) @ made.features.T)


def descended_policy(made: ContextualBandit) -> Array:
    """The log-probabilities (X, K) of the policy of :func:`descended_scores`."""
    return log_tilt(made.bandit.log_reference, descended_scores(made), made.bandit.beta)


def hypo_policy(made: ContextualBandit, coefficient: float) -> Array:
    """The log-probabilities (X, K) of the minimiser of HyPO's population objective over all policies, context by context.

    Raises :class:`ArithmeticError` where Newton's method did not come to rest.
    """
    bandit = made.bandit
    scores = np.eye(bandit.responses)[:, :-1]  # of all responses but one: a common constant is immaterial
    found = minimise_hypo(bandit.log_reference, population_weights(bandit), bandit.beta, coefficient, features=scores)
    if not found.converged.all():
        raise ArithmeticError("HyPO's minimiser was not found in every context.")
    return found.log_policy
