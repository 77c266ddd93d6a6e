r"""Preference games: what they are.

A *preference matrix* has the entries :math:`P_{ij} = \Pr(i \text{ is preferred to } j)`, with :math:`P + P^\top = 1`. The
game is played with the centred matrix :math:`A = P - 1/2`, which is skew-symmetric with entries in [-1/2, 1/2]: a policy
:math:`\pi` scores :math:`\langle \pi, A q\rangle` against q, and :math:`\langle \pi, A \pi\rangle = 0`.

*Regularised* at the temperature :math:`\beta` with the reference :math:`\mu`, its payoff is

.. math:: \langle \pi, A q \rangle - \beta\,\mathrm{KL}(\pi\|\mu) + \beta\,\mathrm{KL}(q\|\mu),

and it has exactly one equilibrium, which is symmetric: :math:`\ln \pi^\star = \ln \mu + A \pi^\star / \beta + \text{const}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.divergences import NORMALISATION
from theory.errors import InputError
from theory.tilts import require_temperature

Array = NDArray[np.float64]

# P and 1 - P are each rounded to a few units in the last place before 1/2 is taken off; matrices read from a text with ten
# digits are rounded to 1e-10. What passes is made skew exactly.
SKEWNESS = 1e-9


@dataclass(frozen=True, eq=False)
class PreferenceGame:
    """A centred preference matrix with a reference policy.

    ``A``, shape (K, K): skew-symmetric, entries in [-1/2, 1/2]; ``A[i, j]`` is the probability that i is preferred to j, less
    1/2. ``log_reference``, shape (K,): log-probabilities of the reference policy, all finite (uniform if not given). ``key``
    is the call that rebuilds the instance, ``beta`` the temperature that it was made for, if it was made for one.

    Raises :class:`InputError` naming the entry that is out of range, not finite or not skew, or the sum of the reference.
    """

    A: Array
    log_reference: Array = None  # type: ignore[assignment]  # __post_init__ fills it in
    key: str | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        A = _matrix(self.A)
        reference = np.zeros(A.shape[0]) if self.log_reference is None else np.array(self.log_reference, dtype=float)
        if reference.shape != (A.shape[0],):
            raise InputError(
                f"the reference of a game with {A.shape[0]} actions has {A.shape[0]} log-probabilities, "
                f"not the shape {reference.shape}."
            )
        if not np.isfinite(reference).all():
            action = int(np.argmin(np.isfinite(reference)))
            raise InputError(
                f"action {action} has the log-probability {reference[action]} under the reference, which must be finite: "
                "the reference gives every action a positive probability."
            )
        total = float(np.logaddexp.reduce(reference))
        if self.log_reference is not None and abs(total) > NORMALISATION:
            raise InputError(f"the reference policy sums to {np.exp(total):.12g}, not to 1.")
        if self.beta is not None:
            require_temperature(self.beta)
        reference = reference - total
        for array, name in ((A, "A"), (reference, "log_reference")):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @classmethod
    def from_win_probabilities(cls, P: ArrayLike, reference: ArrayLike | None = None, key: str | None = None) -> PreferenceGame:
        """The game with the preference matrix ``P``, shape (K, K), and the probabilities ``reference``, shape (K,)."""
        log_reference: Any = None
        if reference is not None:
            weights = np.asarray(reference, dtype=float)
            if not (weights > 0).all():
                action = int(np.argmin(weights > 0))
                raise InputError(
                    f"action {action} has the probability {weights.flat[action]} under the reference, which must be positive."
                )
            log_reference = np.log(weights)
        return cls(np.asarray(P, dtype=float) - 0.5, log_reference, key)

    @property
    def actions(self) -> int:
        """The number of actions K."""
        return self.A.shape[0]

    def relabelled(self, order: ArrayLike) -> PreferenceGame:
        """The same game with its actions renamed: new action a is the old action ``order[a]``."""
        new = np.asarray(order)
        if new.shape != (self.actions,) or not np.array_equal(np.sort(new), np.arange(self.actions)):
            raise InputError(f"an order of {self.actions} actions is a permutation of 0 .. {self.actions - 1}, not {order!r}.")
        return PreferenceGame(self.A[np.ix_(new, new)], self.log_reference[new], None, self.beta)

    def __repr__(self) -> str:
        return f"PreferenceGame({self.key or f'{self.actions} actions'})"


def _matrix(values: ArrayLike) -> Array:
    A = np.array(values, dtype=float)
    if A.ndim != 2 or A.shape[0] != A.shape[1] or A.size == 0:
        raise InputError(f"a preference game has a square matrix with at least one action, not an array of shape {A.shape}.")
    bad = ~(np.abs(A) <= 0.5 + SKEWNESS)  # a nan is bad too
    if bad.any():
        i, j = (int(n) for n in np.argwhere(bad)[0])
        raise InputError(f"entry ({i}, {j}) of a centred preference matrix is {A[i, j]}, outside [-1/2, 1/2].")
    unequal = np.abs(A + A.T) > SKEWNESS
    if unequal.any():
        i, j = (int(n) for n in np.argwhere(unequal)[0])
        raise InputError(
            f"a centred preference matrix is skew-symmetric, but entries ({i}, {j}) and ({j}, {i}) are {A[i, j]} and {A[j, i]}."
        )
    return np.ascontiguousarray(np.clip((A - A.T) / 2, -0.5, 0.5))
