r"""Conditional training: learn the law of tagged text, and sample with the good tag.

Text y of law p0 is good or bad, and carries a tag that is wrong with the probability e. The model of the pair (tag, y) that maximises
the likelihood is the law of the data; given the good tag it samples from p0( . | good tag). A bad rate b becomes

.. math:: \frac{b e}{b e + (1 - b)(1 - e)}: \qquad \text{its odds are multiplied by } \frac{e}{1 - e}.

Korbak et al. (2023), arXiv 2302.08582.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits.preference.families import SMALLEST_PROBABILITY
from theory.claims.families import family
from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TaggedText:
    """The law of texts ``log_law`` (K,), their ``reward`` (K,), and the ``threshold`` from which on a text is good.

    At least one text is good, and one bad.
    """

    log_law: Array
    reward: Array
    threshold: float
    key: str | None = None

    def __post_init__(self) -> None:
        law, reward = np.array(self.log_law, dtype=float), np.array(self.reward, dtype=float)
        if law.ndim != 1 or law.shape != reward.shape or not (np.isfinite(law).all() and np.isfinite(reward).all()):
            raise InputError(
                f"texts have finite log-probabilities and rewards (K,), not shapes {law.shape} and {reward.shape}."
            )
        if not abs(np.exp(law).sum() - 1) <= 1e-8:
            raise InputError(f"the probabilities of texts sum to {np.exp(law).sum():.12g}, not to 1.")
        if not 0 < np.count_nonzero(reward >= self.threshold) < reward.size:
            raise InputError(f"the threshold {self.threshold} leaves no good text, or no bad one.")
        for array, name in ((law, "log_law"), (reward, "reward")):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which texts are good, (K,)."""
        return np.asarray(self.reward >= self.threshold)

    @property
    def bad_rate(self) -> float:
        """The probability of a bad text, in (0, 1)."""
        return float(np.exp(self.log_law)[~self.good].sum())

    def __repr__(self) -> str:
        return f"TaggedText({self.key or f'{self.reward.size} texts'})"


@family(K=2)
def tagged_text(K: int = 8, concentration: float = 1.0, bad: int = 3, seed: int = 0) -> TaggedText:
    """A Dirichlet law of texts with standard normal rewards, of which the ``bad`` lowest, 1 to K - 1, are bad."""
    if not 0 < bad < K:
        raise InputError(f"of {K} texts between 1 and {K - 1} are bad, not {bad}.")
    rng = np.random.default_rng(seed)
    law = np.maximum(rng.dirichlet(np.full(K, concentration)), SMALLEST_PROBABILITY)
    reward = rng.standard_normal(K)
    return TaggedText(np.log(law / law.sum()), reward, float(np.sort(reward)[bad]))


def joint_law(text: TaggedText, error: float) -> Array:
    """The law of (tag, text), shape (2, K), row 0 for the bad tag and row 1 for the good one; tags err with ``error`` in [0, 1]."""
    if not 0 <= error <= 1:
        raise InputError(f"a tag is wrong with a probability in [0, 1], not {error}.")
    tagged_good = np.where(text.good, 1 - error, error)
    return np.exp(text.log_law) * np.array([1 - tagged_good, tagged_good])


def given_tag(joint: ArrayLike, tag: int) -> Array:
    """The law of texts given a tag, (K,), from a law or counts of (tag, text), (2, K); the tag must occur."""
    rows = np.asarray(joint, dtype=float)
    if rows.ndim != 2 or len(rows) != 2 or not (rows >= 0).all() or not np.isfinite(rows).all():
        raise InputError(f"a law of (tag, text) has the shape (2, K) and entries of at least 0, not {rows.shape}.")
    if tag not in (0, 1) or not rows[tag].sum() > 0:
        raise InputError(f"no text has the tag {tag}.")
    return np.asarray(rows[tag] / rows[tag].sum())


def conditioned_bad_rate(bad_rate: ArrayLike, error: ArrayLike) -> Array:
    """The module's b e / (b e + (1 - b)(1 - e)), for b in [0, 1) and e in [0, 1)."""
    b, e = np.asarray(bad_rate, dtype=float), np.asarray(error, dtype=float)
    if not ((b >= 0) & (b < 1)).all() or not ((e >= 0) & (e < 1)).all():
        raise InputError("bad rates and errors of tags lie in [0, 1).")
    return np.asarray(b * e / (b * e + (1 - b) * (1 - e)))[()]
