"""A small transformer that writes tokens on trees whose soft-optimal policy is known, trained by several learners."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.study import Study, grid
from mdplab import neural
from mdplab.solvers.token_tree import soft_backup
from theory.random_streams import run_seeds

TOKENS, LENGTH, WIDTH, BATCH, BETA, RATE = 3, 4, 16, 32, 0.3, 0.005
SHOWN = 1 + TOKENS + TOKENS**2  # prefixes of up to two tokens, whose policies are kept
VARIANTS: dict[str, tuple[str, dict[str, float]]] = {
    "exact": ("exact", {}),
    "reinforce": ("reinforce", {}),
    "online dpo": ("online_dpo", {}),
    "offline dpo": ("offline_dpo", {}),
    "soft-q": ("soft_q", {}),
    "path": ("path", {}),
    "no penalty": ("exact", {"penalty": 0.0}),
    "grpo pairs": ("grpo_pairs", {}),
    "grpo batch": ("grpo_batch", {}),
    "grpo batch, no deviation": ("grpo_batch", {"deviation": 0.0}),
    "reference": ("exact", {"rate": 0.0}),
}


def neural_tokens_study(runs: int = 24, steps: int = 1000, checkpoints: int = 20, seed: int = 0) -> Study:
    """The study: for each learner of :data:`VARIANTS`, run and checkpoint (evenly spaced in log time) what
    :func:`measure_learning` says."""
    points = grid(learner=tuple(VARIANTS), steps=steps, checkpoints=checkpoints)
    return Study("neural-tokens", measure_learning, points, run_seeds(seed, runs))


def measure_learning(*, seeds: NDArray[np.uint64], learner: str, steps: int, checkpoints: int) -> dict[str, ArrayLike]:
    """Runs of one learner: ``seed, step, what, index, value``, one row for each number.

    ``what`` is "kl", the divergence of the law of responses from the soft-optimal one; "kl pairs", that from the fixed point of
    groups of two; and at the last step "token", the probability of token ``index`` % 3 after prefix ``index`` // 3 of the heap.
    Of the learner "reference", which stays where it begins, also "optimum": these probabilities under the soft-optimal policy.
    """
    name, changed = VARIANTS[learner]
    marks = np.unique(np.geomspace(1, steps, checkpoints).astype(np.int64))
    problems = neural.token_learners.token_problems(seeds, tokens=TOKENS, length=LENGTH, width=WIDTH, beta=BETA)
    found = neural.training.train(
        neural.token_learners.TokenLearning(TOKENS, LENGTH, WIDTH, batch=BATCH, policies=True),
        problems,
        seeds,
        steps,
        hypers=[neural.token_learners.setting(name, **({"rate": RATE, "width": WIDTH} | changed))],  # type: ignore[arg-type]
        checkpoints=marks,
        lanes=24,
    )
    shown = np.exp(found.last("policy")[0, :, :SHOWN].reshape(seeds.size, -1))
    parts: list[tuple[str, Any, Any, Any]] = [
        ("kl", marks, np.zeros_like(marks), found.measured["gap"][0] / BETA),
        ("kl pairs", marks, np.zeros_like(marks), found.measured["kl_pairs"][0]),
        ("token", np.full(SHOWN * TOKENS, steps), np.arange(SHOWN * TOKENS), shown),
    ]
    if learner == "reference":
        trees = neural.token_learners.token_trees(problems.log_reference, problems.reward)
        optimum = [np.exp(np.concatenate(soft_backup(tree, BETA).log_policy)[:SHOWN]).ravel() for tree in trees]
        parts.append(("optimum", *parts[2][1:3], np.stack(optimum)))
    rows = sum(step.size for _, step, _, _ in parts)
    every = found.columns()
    return {
        "seed": np.repeat(seeds, rows),
        "step": np.tile(np.concatenate([step for _, step, _, _ in parts]), seeds.size),
        "what": np.tile(np.concatenate([np.full(step.size, what) for what, step, _, _ in parts]), seeds.size),
        "index": np.tile(np.concatenate([index for _, _, index, _ in parts]), seeds.size),
        "value": np.concatenate([value for _, _, _, value in parts], axis=1).astype(np.float32).astype(float).ravel(),
        "device": np.full(rows * seeds.size, every["device"][0]),
        "jax": np.full(rows * seeds.size, every["jax"][0]),
    }
