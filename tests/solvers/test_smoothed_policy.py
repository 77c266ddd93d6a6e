"""Smoothed agents: enumeration of runs, a plain recursion, closed forms, simulation, and what must hold of any attack."""

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from mdplab.models.state_adversary import decision_chain, noisy_accumulator, one_decision, random_smoothed_agent
from mdplab.solvers import evaluate_episodic_policy
from mdplab.solvers.smoothed_policy import (
    certified_tails,
    clean_tails,
    largest_reward,
    loss_distance,
    win_probabilities,
    worst_attack,
)
from theory.certificates import gaussian_certificate
from theory.errors import InputError

agents = st.builds(
    random_smoothed_agent,
    S=st.integers(1, 3),
    A=st.integers(1, 3),
    H=st.integers(1, 3),
    M=st.integers(0, 3),
    sigma=st.sampled_from([0.3, 1.0, 2.0]),
    mixed=st.sampled_from([0.0, 1.0]),
    start=st.sampled_from(["first", "random"]),
    seed=st.integers(0, 10_000),
)


def _law_of_reward(agent):
    """P(R = k) by listing all runs."""
    policy, mdp = agent.action_probabilities(), agent.mdp
    law = np.zeros(largest_reward(agent) + 1)
    steps = list(itertools.product(range(mdp.actions), range(mdp.states)))
    for start in range(mdp.states):
        for run in itertools.product(steps, repeat=mdp.horizon):
            chance, s, total = mdp.start[start], start, 0.0
            for t, (a, to) in enumerate(run):
                chance *= policy[s, a] * mdp.P[t, s, a, to]
                total += mdp.R[t, s, a]
                s = to
            law[int(total)] += chance
    return law


@pytest.mark.parametrize("seed", range(4))
def test_clean_laws_by_listing_all_runs(seed):
    agent = random_smoothed_agent(S=2, A=3, H=3, M=2, start="random", seed=seed)
    law = _law_of_reward(agent)
    tails = np.cumsum(law[::-1])[::-1][1:]
    np.testing.assert_allclose(clean_tails(agent), tails, atol=1e-12)
    np.testing.assert_allclose(clean_tails(agent, losses=True), 1 - tails, atol=1e-12)
    np.testing.assert_allclose(agent.mdp.start @ win_probabilities(agent)[0], np.append(1.0, tails), atol=1e-12)
    np.testing.assert_allclose(win_probabilities(agent) + win_probabilities(agent, losses=True), 1.0, atol=1e-12)
    value = evaluate_episodic_policy(agent.mdp, agent.action_probabilities()).value[0]
    assert clean_tails(agent).sum() == pytest.approx(agent.mdp.start @ value)


def _plain(agent, budget, parts, wanted, per_step=False):
    """The least P(R >= wanted), or E R if wanted is None, one state at a time."""
    mdp = agent.mdp

    @cache
    def least(t, s, y, k):
        if t == mdp.horizon:
            return 0.0 if y is None else float(y <= 0)
        found = np.inf
        for j in range(k + 1):
            for sign in (-1, 1):
                law = agent.action_probabilities(sign * budget * np.sqrt(j / parts))[s]
                total = 0.0
                for a in range(mdp.actions):
                    r = mdp.R[t, s, a]
                    ahead = [
                        least(t + 1, to, None if y is None else max(y - r, 0), k if per_step else k - j)
                        for to in range(mdp.states)
                    ]
                    total += law[a] * ((r if y is None else 0.0) + mdp.P[t, s, a] @ ahead)
                found = min(found, total)
        return found

    return sum(mdp.start[s] * least(0, s, wanted, parts) for s in range(mdp.states))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("per_step", [False, True])
def test_worst_attacks_by_a_plain_recursion(seed, per_step):
    agent = random_smoothed_agent(S=2, A=2, H=2, M=2, sigma=0.8, largest=1, start="random", seed=seed)
    worst = worst_attack(agent, 1.1, 4, per_step=per_step)
    for k in range(1, largest_reward(agent) + 1):
        assert worst.tails[k - 1] == pytest.approx(_plain(agent, 1.1, 4, k, per_step), abs=1e-12)
    assert worst.reward == pytest.approx(_plain(agent, 1.1, 4, None, per_step), abs=1e-12)


def test_the_bracket_encloses_the_optimum_and_closes():
    """Two decisions that must both be right: min over e of Phi(m - e) Phi(m - sqrt(B^2 - e^2))."""
    agent, B = decision_chain(margins=(1.0, 0.4)), 1.3
    e = np.linspace(-B, B, 200_001)
    rest = np.sqrt(B * B - e * e)
    optimum = (stats.norm.cdf(1.0 - e) * stats.norm.cdf(0.4 - rest)).min()
    widths = []
    for parts in (8, 64, 256):
        worst = worst_attack(agent, B, parts)
        assert worst.tails_low[0] <= optimum + 1e-12
        assert optimum <= worst.tails[0] + 1e-9
        assert worst.reward_low <= optimum + 1e-12
        assert optimum <= worst.reward + 1e-9
        widths.append(worst.tails[0] - worst.tails_low[0])
    assert widths[2] < widths[0] / 20


def test_a_two_sided_choice_by_minimising_over_the_shift():
    agent = random_smoothed_agent(S=1, A=3, H=1, M=3, sigma=0.5, seed=3)
    found = worst_attack(agent, 1.5, 400)
    for k in range(1, largest_reward(agent) + 1):
        paid = (agent.mdp.R[0, 0] >= k).astype(float)
        grid = np.linspace(-1.5, 1.5, 3001)
        values = agent.action_probabilities(grid)[:, 0] @ paid
        near = grid[values.argmin()]
        local = optimize.minimize_scalar(
            lambda e, paid=paid: agent.action_probabilities(np.clip(e, -1.5, 1.5))[0] @ paid,
            bounds=(near - 0.01, near + 0.01),
            method="bounded",
        )
        optimum = min(float(values.min()), float(local.fun))
        assert found.tails_low[k - 1] - 1e-9 <= optimum <= found.tails[k - 1] + 1e-9


def test_an_adversary_who_sees_the_noise():
    """It turns a decision with margin m for the price |m + z|: closed form for one decision, simulation for two."""
    one = decision_chain(margins=(0.6,), sigma=0.5)
    assert worst_attack(one, 0.9, 7, sees_noise=True).tails[0] == pytest.approx(stats.norm.cdf((0.6 - 0.9) / 0.5))
    two = decision_chain(margins=(1.0, 1.0), spare=1)  # both must be turned: (m + z1)^2 + (m + z2)^2 <= B^2 where positive
    z = np.random.default_rng(0).normal(size=(400_000, 2))
    paid = (np.maximum(1 + z, 0) ** 2).sum(axis=1) <= 1.7**2
    simulated, error = 1 - paid.mean(), np.sqrt(0.25 / len(z))
    found = worst_attack(two, 1.7, 300, sees_noise=True).tails[0]
    # the adversary is not told the second noise at the first step; here it need not be, as it turns whatever it can afford
    assert found == pytest.approx(simulated, abs=6 * error + 0.01)
    assert found <= worst_attack(two, 1.7, 300).tails[0]


@settings(deadline=None, max_examples=40)
@given(agents, st.floats(0.01, 2.0), st.integers(1, 6))
def test_properties_of_attacks(agent, budget, parts):
    clean = clean_tails(agent)
    none = worst_attack(agent, 0.0, parts)
    for end in (none.tails, none.tails_low):
        np.testing.assert_allclose(end, clean, atol=1e-12)
    assert none.reward == pytest.approx(clean.sum(), abs=1e-11)
    worst, more = worst_attack(agent, budget, parts), worst_attack(agent, np.sqrt(2) * budget, 2 * parts)
    assert (more.tails <= worst.tails + 1e-12).all()  # the finer grid holds the coarse one
    assert (worst.tails <= clean + 1e-12).all()
    assert (worst.tails_low <= worst.tails + 1e-12).all()
    assert worst.reward_low <= worst.reward + 1e-12
    assert worst.tails.sum() <= worst.reward + 1e-11  # one attack for all tails is weaker than one for each
    seeing = worst_attack(agent, budget, parts, sees_noise=True)
    assert (seeing.tails <= worst.tails + 1e-12).all()
    assert (worst_attack(agent, budget, parts, per_step=True).tails <= worst.tails + 1e-12).all()
    certified = certified_tails(agent, budget)
    assert (certified <= certified_tails(agent, budget, known_start=True) + 1e-12).all()
    assert (certified_tails(agent, budget, known_start=True) <= worst.tails + 1e-12).all()


@settings(deadline=None, max_examples=25)
@given(agents, st.floats(0.1, 2.0), st.sampled_from([0.5, 4.0]), st.floats(-2.0, 2.0))
def test_units_and_origin_of_observations_do_not_matter(agent, budget, unit, origin):
    twin = agent.replace(
        observation=unit * (agent.observation + origin), cuts=unit * (agent.cuts + origin), sigma=unit * agent.sigma
    )
    here, there = worst_attack(agent, budget, 4), worst_attack(twin, unit * budget, 4)
    np.testing.assert_allclose(here.tails, there.tails, atol=1e-9)
    np.testing.assert_allclose(here.tails_low, there.tails_low, atol=1e-9)
    np.testing.assert_allclose(certified_tails(agent, budget), certified_tails(twin, unit * budget), atol=1e-7)
    mirrored = agent.replace(observation=-agent.observation, cuts=-agent.cuts[::-1], choice=agent.choice[::-1])
    np.testing.assert_allclose(worst_attack(mirrored, budget, 4).tails, here.tails, atol=1e-12)


def test_one_decision_attains_its_certificate():
    agent = one_decision(cuts=(-1.0, 0.3, 2.0), observation=0.2, sigma=0.8, first=1)
    worst = worst_attack(agent, 0.9, 3)
    expected = np.append(1.0, stats.norm.cdf((0.2 - 0.9 - np.array([-1.0, 0.3, 2.0])) / 0.8))
    np.testing.assert_allclose(worst.tails, expected, atol=1e-14)
    np.testing.assert_allclose(certified_tails(agent, 0.9), expected, atol=1e-14)
    assert worst.reward == pytest.approx(expected.sum())


def test_certificates_of_events_that_are_nearly_sure():
    """In double precision the clean probability is 1, but 1 - p is not 0."""
    agent = decision_chain(margins=(10.0,))
    assert clean_tails(agent)[0] == 1.0
    assert certified_tails(agent, 9.0)[0] == pytest.approx(stats.norm.cdf(1.0), rel=1e-9)
    plain = random_smoothed_agent(S=3, H=2, seed=2)
    np.testing.assert_allclose(certified_tails(plain, 0.5), gaussian_certificate(clean_tails(plain), 0.5), atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_loss_distances_by_listing_runs(seed):
    agent = random_smoothed_agent(S=2, A=2, H=3, M=2, mixed=0.0, seed=seed)
    edges = np.concatenate(([-np.inf], agent.cuts, [np.inf]))
    cost = np.maximum(np.maximum(edges[:-1] - agent.observation[:, None], agent.observation[:, None] - edges[1:]), 0) ** 2
    best = np.full(largest_reward(agent) + 1, np.inf)
    for run in itertools.product(range(3), repeat=3):
        s, total, paid = 0, 0.0, 0.0
        for t, i in enumerate(run):
            a = agent.choice[i]
            paid, total, s = paid + cost[s, i], total + agent.mdp.R[t, s, a], int(agent.mdp.P[t, s, a].argmax())
        best[int(total)] = min(best[int(total)], paid)
    np.testing.assert_allclose(loss_distance(agent), np.sqrt(np.minimum.accumulate(best)[:-1]), atol=1e-12)


def test_rounded_sums_come_near_the_certificate():
    ratio = []
    for levels in (2, 5, 31):
        agent = noisy_accumulator(H=2, levels=levels)
        ratio.append(float(certified_tails(agent, 1.0)[0] / worst_attack(agent, 1.0, 8).tails[0]))
    assert ratio == sorted(ratio)
    assert 0.995 < ratio[-1] < 1


def test_what_is_refused():
    agent = decision_chain()
    for budget in (-0.1, np.inf, np.nan):
        with pytest.raises(InputError, match="budget of an attack"):
            worst_attack(agent, budget)
        with pytest.raises(InputError, match="budget of an attack"):
            certified_tails(agent, budget)
    with pytest.raises(InputError, match="not 0"):
        worst_attack(agent, 1.0, 0)
    with pytest.raises(InputError, match="not both"):
        worst_attack(agent, 1.0, per_step=True, sees_noise=True)
    half = agent.replace(mdp=agent.mdp.replace(R=agent.mdp.R / 2))
    with pytest.raises(InputError, match=r"not 0\.5"):
        clean_tails(half)
