"""Finite chains: laws by enumeration of paths, soft values, twisting, families, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdplab.models.errors import ModelError
from mdplab.models.finite_chain import (
    FiniteChain,
    counting_chain,
    expected_rewards,
    log_normaliser,
    marginals,
    path_log_probabilities,
    paths,
    scored_chain,
    soft_values,
    tilted_target,
    twisted,
    with_scores,
)

seeds = st.integers(0, 10**6)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 3), st.integers(1, 3), st.sampled_from([0.1, 1.0, 5.0]))
def test_everything_agrees_with_the_sum_over_paths(seed, S, T, strength):
    chain = scored_chain(S=S, T=T, seed=seed)
    route, weight = paths(chain), np.exp(path_log_probabilities(chain))
    assert route.shape == (S ** (T + 1), T + 1)
    assert abs(weight.sum() - 1) < 1e-12
    gain = np.exp(strength * chain.reward[route[:, -1]])
    laws, soft, plain = marginals(chain), np.exp(strength * soft_values(chain, strength)), expected_rewards(chain)
    for t in range(T + 1):
        for x in range(S):
            here = route[:, t] == x
            np.testing.assert_allclose(laws[t, x], weight[here].sum(), atol=1e-13)
            np.testing.assert_allclose(laws[t, x] * soft[t, x], (weight * gain)[here].sum(), rtol=1e-11, atol=1e-13)
            np.testing.assert_allclose(
                laws[t, x] * plain[t, x], (weight * chain.reward[route[:, -1]])[here].sum(), rtol=1e-11, atol=1e-12
            )
    np.testing.assert_allclose(log_normaliser(chain, strength), np.log(weight @ gain), atol=1e-11)
    ends = np.array([(weight * gain)[route[:, -1] == x].sum() for x in range(S)])
    np.testing.assert_allclose(tilted_target(chain, strength), ends / ends.sum(), atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([0.1, 1.0, 5.0]))
def test_the_twisted_chain_is_the_tilt_of_paths(seed, strength):
    chain = scored_chain(S=3, T=2, seed=seed)
    tilted = path_log_probabilities(chain) + strength * chain.reward[paths(chain)[:, -1]] - log_normaliser(chain, strength)
    np.testing.assert_allclose(path_log_probabilities(twisted(chain, strength)), tilted, atol=1e-10)
    np.testing.assert_allclose(marginals(twisted(chain, strength))[-1], tilted_target(chain, strength), atol=1e-12)
    kept = twisted(chain, strength, start=False)
    np.testing.assert_array_equal(kept.start, chain.start)
    np.testing.assert_array_equal(kept.kernels, twisted(chain, strength).kernels)


def test_limits_and_invariances():
    chain = scored_chain(S=4, T=3, seed=5)
    np.testing.assert_allclose(soft_values(chain, 1e-8), expected_rewards(chain), atol=1e-6)
    np.testing.assert_allclose(soft_values(chain, 1e4)[0], chain.reward.max(), atol=1e-2)
    order = np.array([2, 0, 3, 1])
    relabelled = FiniteChain(chain.start[order], chain.kernels[:, order][:, :, order], chain.scores[:, order])
    np.testing.assert_allclose(tilted_target(relabelled, 1.3), tilted_target(chain, 1.3)[order], atol=1e-14)
    shifted = with_scores(chain, chain.scores + 100)
    np.testing.assert_allclose(tilted_target(shifted, 1.3), tilted_target(chain, 1.3), atol=1e-12)
    np.testing.assert_allclose(log_normaliser(shifted, 1.3), log_normaliser(chain, 1.3) + 130, rtol=1e-13)


def test_families():
    tosses = counting_chain(T=4, p=0.25)
    np.testing.assert_allclose(marginals(tosses)[-1] * 256, [81, 108, 54, 12, 1], rtol=1e-14)
    assert tosses.key == "counting_chain(T=4, p=0.25)"
    np.testing.assert_allclose(log_normaliser(tosses, 2.0), 4 * np.log(0.75 + 0.25 * np.exp(2.0)), rtol=1e-13)
    honest, liar = (scored_chain(guess=g, noise=0.0, seed=3) for g in ("informed", "misleading"))
    np.testing.assert_array_equal(honest.kernels, liar.kernels)
    np.testing.assert_array_equal(honest.scores[:-1], expected_rewards(honest)[:-1])
    np.testing.assert_array_equal(liar.scores[:-1], -honest.scores[:-1])
    assert not scored_chain(guess="useless", noise=0.0, seed=3).scores[:-1].any()
    assert scored_chain(point=True, seed=3).start[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        honest.start[0] = 2.0


@pytest.mark.parametrize(
    ("start", "kernels", "scores", "match"),
    [
        (np.ones((1, 2)), np.ones((1, 1, 1)), np.zeros((2, 1)), "start law"),
        ([1.0], np.ones((0, 1, 1)), np.zeros((1, 1)), r"\(T, 1, 1\)"),
        ([1.0], np.ones((1, 1, 1)), np.zeros((1, 1)), r"scores \(T \+ 1, S\)"),
        ([1.0], np.ones((1, 1, 1)), [[0.0], [np.nan]], "state 0 at time 1 is nan"),
        ([0.4, 0.5], np.eye(2)[None], np.zeros((2, 2)), "start law sums to 0.9"),
        ([1.0, 0.0], [[[1.0, 0.0], [1.5, -0.5]]], np.zeros((2, 2)), "state 1 in step 1 gives state 1 the probability -0.5"),
    ],
)
def test_what_is_no_chain_is_refused(start, kernels, scores, match):
    with pytest.raises(ModelError, match=match):
        FiniteChain(np.asarray(start), np.asarray(kernels), np.asarray(scores))


def test_bad_input_gets_one_sentence():
    chain = scored_chain(S=6, T=9)
    for strength in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ModelError, match="strength lambda"):
            soft_values(chain, strength)
    with pytest.raises(ModelError, match="more than 1048576 paths"):
        paths(chain)
