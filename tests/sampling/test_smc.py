"""Particle steering: the kernel against a plain twin, exact moments against enumeration and closed forms, what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.models.finite_chain import (
    FiniteChain,
    counting_chain,
    log_normaliser,
    marginals,
    scored_chain,
    soft_values,
    tilted_target,
    twisted,
    with_scores,
)
from mdplab.sampling.smc import POTENTIALS, steer
from mdplab.sampling.smc_moments import asymptotic_variance, enumerate_particles, second_moment
from theory.errors import InputError
from theory.random_streams import run_seeds, stream, uniform

seeds = st.integers(0, 10**6)
potentials = st.sampled_from(POTENTIALS)


def twin(chain, potential, strength, N, seed, resampled, proposal=None, corrected=True):
    """One run in plain Python, from the same random numbers: (states at the end, ln Z_hat). Particles carry their whole paths."""
    mover = chain if proposal is None else proposal
    moves, ancestors = (np.uint64(stream(np.uint64(seed), k)) for k in (0, 1))
    scores, T = strength * chain.scores, chain.steps
    routes, weights, log_z = [[] for _ in range(N)], np.zeros(N), 0.0
    for t in range(T + 1):
        for i, route in enumerate(routes):
            row = mover.start if t == 0 else mover.kernels[t - 1, route[-1]]
            true = chain.start if t == 0 else chain.kernels[t - 1, route[-1]]
            cumulative = np.cumsum(row) / np.cumsum(row)[-1]
            x = int(np.searchsorted(cumulative, float(uniform(moves, t * N + i)), side="right"))
            routes[i] = [*route, x]
            weights[i] += log_potential(potential, routes[i], scores, corrected) + math.log(true[x]) - math.log(row[x])
        if resampled[t]:
            w = np.exp(weights - weights.max())
            log_z += weights.max() + math.log(w.mean())
            u = np.array([float(uniform(ancestors, t * N + i)) for i in range(N)])
            parents = np.searchsorted(np.cumsum(w), u * w.sum(), side="right")
            routes, weights = [list(routes[k]) for k in parents], np.zeros(N)
    return [route[-1] for route in routes], log_z


def log_potential(potential, route, scores, corrected=True):
    """ln G_t of a path up to t, by the definition."""
    T, t = scores.shape[0] - 1, len(route) - 1
    r = [scores[s, x] for s, x in enumerate(route)]
    if t == T and corrected:
        return r[-1] - sum(log_potential(potential, route[: s + 1], scores) for s in range(T))
    return {"none": 0.0, "difference": r[-1] - (r[-2] if t else 0.0), "max": max(r), "sum": sum(r) / (T + 1)}[potential]


@pytest.mark.parametrize("potential", POTENTIALS)
@pytest.mark.parametrize(("proposed", "corrected", "every"), [(False, True, 1), (True, True, 2), (False, False, 1)])
def test_kernel_equals_its_twin(potential, proposed, corrected, every):
    chain = scored_chain(S=4, T=3, seed=11)
    proposal = twisted(chain, 0.7) if proposed else None
    resampled = (np.arange(4) % every == every - 1) | (np.arange(4) == 3)
    for N in (1, 2, 7, 40):
        each = run_seeds(N, 5)
        runs = steer(chain, potential, 1.3, N, each, proposal=proposal, resampled=resampled, corrected=corrected)
        for k, seed in enumerate(each):
            states, log_z = twin(chain, potential, 1.3, N, seed, resampled, proposal, corrected)
            np.testing.assert_array_equal(runs.counts[k], np.bincount(states, minlength=4))
            assert abs(runs.log_normaliser[k] - log_z) < 1e-11


def test_none_is_importance_sampling_with_one_resampling():
    chain = scored_chain(seed=1)
    late = np.arange(chain.steps + 1) == chain.steps
    by_default = steer(chain, "none", 1.0, 30, run_seeds(0, 4))
    told = steer(chain, "none", 1.0, 30, run_seeds(0, 4), resampled=late)
    np.testing.assert_array_equal(by_default.counts, told.counts)
    # a run depends on its seed alone
    np.testing.assert_array_equal(steer(chain, "none", 1.0, 30, run_seeds(0, 4)[2:]).counts, told.counts[2:])
    # all admissible potentials without resampling are the same estimate
    for potential in POTENTIALS:
        other = steer(chain, potential, 1.0, 30, run_seeds(0, 4), resampled=late)
        np.testing.assert_allclose(other.log_normaliser, told.log_normaliser, rtol=1e-12)
        np.testing.assert_array_equal(other.counts, told.counts)


@settings(max_examples=30, deadline=None)
@given(
    seeds, potentials, st.sampled_from([(2, 2, 2), (3, 1, 2), (2, 1, 3), (3, 2, 1)]), st.booleans(), st.sampled_from([0.3, 2.0])
)
def test_moments_are_those_of_the_enumeration(seed, potential, sizes, proposed, strength):
    S, T, N = sizes
    chain = scored_chain(S=S, T=T, seed=seed, guess=("informed", "useless", "misleading")[seed % 3])
    rng = np.random.default_rng(seed)
    other = scored_chain(S=S, T=T, seed=seed + 1)
    proposal = with_scores(other, chain.scores) if proposed else None
    resampled = np.append(rng.random(T) < 0.5, True)
    corrected = bool(seed % 2)
    seen = enumerate_particles(chain, potential, strength, N, proposal=proposal, resampled=resampled, corrected=corrected)
    options = {"proposal": proposal, "resampled": resampled, "corrected": corrected}
    assert abs(seen.probability.sum() - 1) < 1e-12
    f = rng.standard_normal((S, 3))
    np.testing.assert_allclose(
        second_moment(chain, potential, strength, N, f, **options), seen.second @ (seen.law @ f) ** 2, rtol=1e-10
    )
    np.testing.assert_allclose(second_moment(chain, potential, strength, N, **options), seen.second.sum(), rtol=1e-10)
    if corrected or potential == "difference":
        target = np.exp(log_normaliser(chain, strength)) * tilted_target(chain, strength)
        np.testing.assert_allclose(seen.first @ seen.law, target, rtol=1e-10)


def test_enumeration_by_hand():
    """One step, two states, two particles: weights 1 and w; the outcomes are those of a binomial draw and a binomial resampling."""
    p, w = 0.3, 2.0
    chain = FiniteChain(np.eye(2)[0], np.array([[[1 - p, p], [1 - p, p]]]), np.array([[0.0, 0.0], [0.0, math.log(w)]]))
    seen = enumerate_particles(chain, "difference", 1.0, 2)
    chance = w / (1 + w)  # of one of two different particles
    mixed = 2 * p * (1 - p)
    ends = {tuple(c): (a, b, d) for c, a, b, d in zip(seen.counts.tolist(), seen.probability, seen.first, seen.second)}
    mean = (1 + w) / 2
    for counts, law in (((2, 0), (1 - chance) ** 2), ((1, 1), 2 * chance * (1 - chance)), ((0, 2), chance**2)):
        alone = {(2, 0): (1 - p) ** 2, (0, 2): p**2}.get(counts, 0.0)
        unit = w if counts == (0, 2) else 1.0
        for k in range(3):
            assert abs(ends[counts][k] - alone * unit**k - mixed * law * mean**k) < 1e-14


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 1000), st.sampled_from([0.2, 1.0, 3.0]))
def test_importance_sampling_has_the_variance_of_a_mean(seed, N, strength):
    chain = scored_chain(S=4, T=3, seed=seed)
    law, gain = marginals(chain)[-1], np.exp(strength * chain.reward)
    z, squared = law @ gain, law @ gain**2
    np.testing.assert_allclose(second_moment(chain, "none", strength, N), z**2 + (squared - z**2) / N, rtol=1e-11)
    np.testing.assert_allclose(asymptotic_variance(chain, "none", strength), squared - z**2, rtol=1e-9, atol=1e-9 * z**2)


@settings(max_examples=20, deadline=None)
@given(seeds, potentials)
def test_the_asymptotic_variance_is_the_limit(seed, potential):
    chain = scored_chain(S=3, T=2, seed=seed)
    f = np.random.default_rng(seed).standard_normal((3, 2))
    gamma = (marginals(chain)[-1] * np.exp(chain.reward)) @ f
    # N Var = V + c/N + ...: Richardson's extrapolation removes c
    scaled = [N * (second_moment(chain, potential, 1.0, N, f) - gamma**2) for N in (10**4, 2 * 10**4)]
    limit = asymptotic_variance(chain, potential, 1.0, f)
    np.testing.assert_allclose(2 * scaled[1] - scaled[0], limit, rtol=1e-6, atol=1e-6)


def test_compiled_runs_have_the_exact_moments():
    chain, N, runs = scored_chain(seed=4), 12, 20_000
    z = math.exp(log_normaliser(chain, 1.0))
    for potential in POTENTIALS:
        found = np.exp(steer(chain, potential, 1.0, N, run_seeds(9, runs)).log_normaliser) / z
        spread = math.sqrt(second_moment(chain, potential, 1.0, N) / z**2 - 1)
        assert abs(found.mean() - 1) < 5 * spread / math.sqrt(runs)
        assert abs(found.std() / spread - 1) < 0.15


def test_ideal_weights_do_not_vary():
    chain = counting_chain(T=30, p=0.2)
    ideal = with_scores(chain, soft_values(chain, 2.0))
    found = steer(ideal, "difference", 2.0, 5, run_seeds(1, 10), proposal=twisted(chain, 2.0))
    np.testing.assert_allclose(found.log_normaliser, log_normaliser(chain, 2.0), rtol=1e-12)


def test_memories_left_behind_are_another_algorithm():
    chain = scored_chain(S=2, T=2, seed=3)
    for potential in ("difference", "max", "sum"):
        right, wrong = (enumerate_particles(chain, potential, 1.0, 2, carried=c) for c in (True, False))
        assert abs(wrong.probability.sum() - 1) < 1e-12
        assert abs(wrong.first.sum() - right.first.sum()) > 1e-4
    alone = [enumerate_particles(chain, "max", 1.0, 1, carried=c).first.sum() for c in (True, False)]
    assert alone[0] == alone[1]


def test_bad_input_gets_one_sentence():
    chain = scored_chain(S=3, T=2)
    each = run_seeds(0, 2)
    with pytest.raises(InputError, match="at least one particle"):
        steer(chain, "none", 1.0, 0, each)
    with pytest.raises(InputError, match="one of none, difference, max, sum"):
        steer(chain, "mean", 1.0, 2, each)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="strength"):
        steer(chain, "none", 0.0, 2, each)
    with pytest.raises(InputError, match="3 booleans"):
        steer(chain, "max", 1.0, 2, each, resampled=[True, True, False])
    with pytest.raises(InputError, match="shape"):
        steer(chain, "none", 1.0, 2, each, proposal=scored_chain(S=2, T=2))
    blind = FiniteChain(np.eye(3)[0], chain.kernels, chain.scores)
    with pytest.raises(InputError, match="probability 0 to entry"):
        steer(chain, "none", 1.0, 2, each, proposal=blind)
    with pytest.raises(InputError, match="seeds"):
        steer(chain, "none", 1.0, 2, [0.5])
    with pytest.raises(InputError, match="finite values"):
        second_moment(chain, "none", 1.0, 2, np.ones(2))
    with pytest.raises(InputError, match="nodes"):
        second_moment(scored_chain(S=40, T=4), "sum", 1.0, 2)
