r"""Statistical rejection sampling (RSO): samples of the optimal policy from samples of the reference.

For a KL-regularised bandit with the reference :math:`\mu`, accepting a sample y of :math:`\mu` with the probability
:math:`e^{(r(y) - r_{\max})/\beta}` leaves samples of the optimum :math:`\pi_r \propto \mu e^{r/\beta}`, one in :math:`1/a` on average,
:math:`a = Z e^{-r_{\max}/\beta}`. The algorithm does not know the maximum and has N candidates: it sweeps through them, accepts y with
the probability :math:`e^{(r(y) - m)/\beta}` where m is the largest reward among the candidates still there, takes out what it has
accepted after the sweep, and sweeps again until M are accepted.

**The algorithm's law, exactly.** Candidates are exchangeable, also given how many of each reward are left, so that the counts
by reward are all that matters. In a sweep every count is thinned binomially; if more than the m that are wanted come through,
the first m of them are a random m. The recursion on (counts, m) ends after as many sweeps as there are rewards, because every
candidate with the largest reward is accepted.

Liu et al. (2023), arXiv 2309.06657.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from bandits.preference.kl_bandit import KLBandit
from theory.errors import InputError
from theory.tilts import log_tilt, require_temperature

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RejectionLaw:
    """The law of an accepted sample, log-probabilities ``log_law`` (K,), and the probability ``acceptance`` in (0, 1]."""

    log_law: Array
    acceptance: float


def rejection_law(bandit: KLBandit, bound: float | None = None) -> RejectionLaw:
    r"""Accept a sample of the reference with the probability :math:`\min(1, e^{(r(y) - \mathrm{bound})/\beta})`.

    ``bound`` is the largest reward in the reference's support unless given. A larger one leaves the law alone and accepts less
    often; a smaller one flattens the law where rewards exceed it.
    """
    _require_one_prompt(bandit)
    if bound is None:
        bound = float(bandit.reward[np.isfinite(bandit.log_reference)].max())
    capped = np.minimum(bandit.reward - float(bound), 0.0)
    accepted = bandit.log_reference + capped / bandit.beta
    return RejectionLaw(log_tilt(bandit.log_reference, capped, bandit.beta), float(np.exp(accepted).sum()))


def accept_candidates(rewards: ArrayLike, beta: float, accepted: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """One run of the algorithm: the positions of the accepted candidates, shape (accepted,), in the order of acceptance.

    ``rewards`` (N,): of the candidates, in the order in which they are swept. ``accepted`` is M in 1 .. N.
    """
    r = np.asarray(rewards, dtype=float)
    if r.ndim != 1 or not np.isfinite(r).all():
        raise InputError(f"rewards of candidates are a finite vector, not of shape {r.shape}.")
    _require_counts(r.size, accepted)
    temperature = require_temperature(beta)
    left = np.arange(r.size)
    taken: list[int] = []
    while len(taken) < accepted:
        through = rng.random(left.size) < np.exp((r[left] - r[left].max()) / temperature)
        taken += left[through][: accepted - len(taken)].tolist()
        left = left[~through]
    return np.array(taken, dtype=np.int64)


def candidate_law(bandit: KLBandit, candidates: int, accepted: int) -> Array:
    """The law of a random one of the ``accepted`` M of ``candidates`` N, probabilities (K,), exactly.

    Sums over all counts by reward: quick for two different rewards and a thousand candidates, three and fifty, or four and ten.
    """
    _require_one_prompt(bandit)
    _require_counts(candidates, accepted)
    support = np.isfinite(bandit.log_reference)
    levels, place = np.unique(bandit.reward[support], return_inverse=True)
    masses = np.bincount(place, weights=bandit.reference[support])
    sweeps = _Sweeps(levels, bandit.beta, candidates)
    total = np.zeros(levels.size)
    for counts, chance in _multinomial(candidates, masses / masses.sum()):
        total += chance * sweeps.expected(counts, accepted)
    law = np.zeros(bandit.responses)
    law[support] = (total / accepted / masses)[place] * bandit.reference[support]
    return law / law.sum()


class _Sweeps:
    """Expected numbers of accepted candidates by level of reward."""

    def __init__(self, levels: Array, beta: float, candidates: int):
        # log-probabilities that a candidate of level k comes through, or does not, while level t is the largest one left
        self._log_through = np.minimum((levels[:, None] - levels) / beta, 0.0)
        with np.errstate(divide="ignore"):
            self._log_out = np.log(-np.expm1(self._log_through))
        self._number = np.arange(candidates + 1)
        self._log_factorial = gammaln(self._number + 1)
        self._found: dict[tuple[tuple[int, ...], int], Array] = {}

    def expected(self, counts: tuple[int, ...], wanted: int) -> Array:
        """For ``counts`` of candidates by level, at least ``wanted`` of them in all."""
        if sum(counts) == wanted:
            return np.array(counts, dtype=float)
        key = (counts, wanted)
        if key not in self._found:
            self._found[key] = self._sweep(counts, wanted)
        return self._found[key]

    def _sweep(self, counts: tuple[int, ...], wanted: int) -> Array:
        present = [k for k in range(len(counts)) if counts[k]]
        *lower, top = present
        result = np.zeros(len(counts))
        if not lower:
            result[top] = wanted
            return result
        # the laws of how many of each lower level come through, and their sum with the top ones, which all do
        chance, through = self._binomial(counts[lower[0]], lower[0], top), counts[top] + self._number[: counts[lower[0]] + 1]
        for k in lower[1:]:
            chance = chance[..., None] * self._binomial(counts[k], k, top)
            through = through[..., None] + self._number[: counts[k] + 1]
        share = chance * np.minimum(1.0, wanted / through)
        result[top] = counts[top] * share.sum()
        if len(lower) == 1:  # what is still wanted is made up from the one level that is left
            number = self._number[: counts[lower[0]] + 1]
            result[lower[0]] = share @ number + chance @ np.maximum(wanted - through, 0)
            return result
        for axis, k in enumerate(lower):
            others = tuple(other for other in range(len(lower)) if other != axis)
            result[k] = share.sum(axis=others) @ self._number[: counts[k] + 1]
        for place in np.argwhere(through < wanted):
            left = list(counts)
            left[top] = 0
            for k, number in zip(lower, place.tolist()):
                left[k] -= number
            result += chance[tuple(place)] * self.expected(tuple(left), wanted - int(through[tuple(place)]))
        return result

    def _binomial(self, n: int, level: int, top: int) -> Array:
        k, ways = self._number[: n + 1], self._log_factorial[: n + 1]
        exponent = ways[n] - ways - ways[::-1] + k * self._log_through[level, top]
        exponent[:n] += (n - k[:n]) * self._log_out[level, top]
        return np.asarray(np.exp(exponent))


def _multinomial(n: int, masses: Array) -> Iterator[tuple[tuple[int, ...], float]]:
    """All ways to draw n samples of a law, with their probabilities."""

    def draw(left: int, parts: int) -> Iterator[tuple[int, ...]]:
        if parts == 1:
            yield (left,)
            return
        for number in range(left + 1):
            for rest in draw(left - number, parts - 1):
                yield (number, *rest)

    every = list(draw(n, masses.size))
    counts = np.array(every)
    chances = np.exp(gammaln(n + 1) - gammaln(counts + 1).sum(axis=1) + counts @ np.log(masses))
    yield from zip(every, chances.tolist())


def _require_counts(candidates: int, accepted: int) -> None:
    if not 1 <= accepted <= candidates:
        raise InputError(f"between 1 and {candidates} of {candidates} candidates can be accepted, not {accepted}.")


def _require_one_prompt(bandit: KLBandit) -> None:
    if bandit.prompts is not None:
        raise InputError("rejection sampling is computed for one prompt; this bandit has a prompt axis.")
