"""Hypothesis strategies for models: ragged or not, with and without names, labels, start laws and ties."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mdplab.models import EpisodicMDP, TabularMDP

FIELDS = ("state_pointer", "row_pointer", "next_state", "probability", "reward", "action")


def same_tabular(a: TabularMDP, b: TabularMDP) -> bool:
    """Whether two models agree in every field, bit for bit."""
    arrays = all(getattr(a, f).dtype == getattr(b, f).dtype and np.array_equal(getattr(a, f), getattr(b, f)) for f in FIELDS)
    starts = (a.start is None) == (b.start is None) and (a.start is None or np.array_equal(a.start, b.start))
    about = (a.gamma, a.state_names, a.action_names, a.key) == (b.gamma, b.state_names, b.action_names, b.key)
    return arrays and starts and about


@st.composite
def tabular_models(draw: st.DrawFn) -> TabularMDP:
    """A small model with any options a TabularMDP has; next states may repeat within a row."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    S, A = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    labels = draw(st.integers(A, A + 2))
    counts = rng.integers(1, A + 1, size=S) if draw(st.booleans()) else np.full(S, A)
    lengths = rng.integers(1, 5, size=counts.sum())
    probability = np.concatenate([rng.dirichlet(np.full(n, 0.5)) for n in lengths])
    action = np.concatenate([np.sort(rng.choice(labels, size=c, replace=False)) for c in counts])
    text = st.text(st.characters(codec="utf-8"), max_size=6)
    rewards = st.floats(-1e300, 1e300) | st.sampled_from([0.0, 1.0, 1 / 3])
    return TabularMDP(
        state_pointer=np.concatenate(([0], np.cumsum(counts))),
        row_pointer=np.concatenate(([0], np.cumsum(lengths))),
        next_state=rng.integers(S, size=lengths.sum()),
        probability=probability,
        reward=np.array(draw(st.lists(rewards, min_size=int(counts.sum()), max_size=int(counts.sum())))),
        gamma=draw(st.floats(0, 1)),
        start=rng.dirichlet(np.ones(S)) if draw(st.booleans()) else None,
        state_names=tuple(draw(st.lists(text, min_size=S, max_size=S))) if draw(st.booleans()) else None,
        action_names=tuple(draw(st.lists(text, min_size=labels, max_size=labels))) if draw(st.booleans()) else None,
        action=action if draw(st.booleans()) else None,
        key=draw(st.none() | st.just("garnet(A=2, S=3, seed=1)")),
    )


@st.composite
def episodic_models(draw: st.DrawFn) -> EpisodicMDP:
    """A small finite-horizon model; kernel and rewards the same at every step or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    H, S, A = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    P = rng.dirichlet(np.full(S, 0.5), size=(S, A) if draw(st.booleans()) else (H, S, A))
    R = rng.normal(size=(S, A) if draw(st.booleans()) else (H, S, A))
    return EpisodicMDP(P, R, start=rng.dirichlet(np.ones(S)) if draw(st.booleans()) else None, horizon=H)
