"""Debates against a recursion over sequences, commitments against enumeration, trade-offs against plain policy iteration."""

from __future__ import annotations

import functools
import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.debate import (
    Judge,
    JustifiableMDP,
    additive_judge,
    debate_value,
    debate_values,
    debated,
    interacting_judge,
    interacting_scores,
    maximin_evidence,
    myopic_value,
    sets_of_size,
    soon_or_later,
    trade_off,
)
from mdplab.models import fork
from mdplab.solvers import evaluate_policy, policy_iteration
from theory.errors import InputError

judges = st.builds(
    interacting_judge, items=st.integers(2, 5), interaction=st.floats(0, 2), mean=st.floats(-1, 1), seed=st.integers(0, 10**6)
)


def played_out(judge: Judge, length: int) -> float:
    """The value by recursion over ordered disclosures."""

    @functools.cache
    def value(disclosed: frozenset[int]) -> float:
        if len(disclosed) == length:
            return float(judge.score[sum(1 << i for i in disclosed)])
        later = [value(disclosed | {i}) for i in range(judge.items) if i not in disclosed]
        return max(later) if len(disclosed) % 2 == 0 else min(later)

    return value(frozenset())


@settings(max_examples=60, deadline=None)
@given(judge=judges)
def test_backward_induction_against_the_game_tree(judge: Judge) -> None:
    for length in range(judge.items + 1):
        assert debate_value(judge, length) == played_out(judge, length)
    assert debate_value(judge, judge.items) == judge.verdict
    values = debate_values(judge, 1)
    assert np.isnan(values[3])  # two items are no position of a debate about one
    assert myopic_value(judge, 1) == debate_value(judge, 1)


@settings(max_examples=40, deadline=None)
@given(judge=judges, seed=st.integers(0, 10**6))
def test_items_have_no_names_and_sides_may_be_exchanged(judge: Judge, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(judge.items)
    sets = np.arange(2**judge.items)
    renamed = sum(((sets >> i) & 1) << int(k) for i, k in enumerate(order))
    other = Judge(judge.score[renamed])
    for length in range(judge.items + 1):
        assert debate_value(other, length) == debate_value(judge, length)
        assert debate_value(Judge(2 * judge.score + 3), length) == pytest.approx(2 * debate_value(judge, length) + 3)
    # B, who moves second, is A of the debate about the items left with the scores' signs turned
    for first in range(judge.items):
        taken = 1 << first
        rest = sets[(sets & taken) != 0]
        turned = Judge(-judge.score[rest])
        assert -debate_value(turned, judge.items - 1) == debate_values(judge, judge.items)[taken]


def test_many_judges_at_once() -> None:
    rng = np.random.default_rng(0)
    weights, pairs = rng.standard_normal((3, 2, 4)), rng.standard_normal((3, 2, 4, 4))
    judge = Judge(interacting_scores(weights, pairs))
    together = maximin_evidence(judge, 2, 1)
    for place in np.ndindex(3, 2):
        alone = Judge(interacting_scores(weights[place], pairs[place]))
        assert np.allclose(judge.score[place], alone.score)
        assert debate_value(judge, 3)[place] == pytest.approx(float(debate_value(alone, 3)))
        assert myopic_value(judge, 3)[place] == pytest.approx(float(myopic_value(alone, 3)))
        assert together.value[place] == pytest.approx(float(maximin_evidence(alone, 2, 1).value))


@settings(max_examples=40, deadline=None)
@given(judge=judges, committed=st.integers(1, 2), replies=st.integers(0, 2), may_pass=st.booleans())
def test_commitments_against_enumeration(judge: Judge, committed: int, replies: int, may_pass: bool) -> None:
    if committed + replies > judge.items:
        return
    items = range(judge.items)

    def left(chosen: tuple[int, ...]) -> float:
        sizes = range(replies + 1) if may_pass else (replies,)
        others = [i for i in items if i not in chosen]
        answers = [r for size in sizes for r in itertools.combinations(others, size)]
        return min(float(judge.score[sum(1 << i for i in (*chosen, *r))]) for r in answers)

    choices = list(itertools.combinations(items, committed))
    found = maximin_evidence(judge, committed, replies, may_pass=may_pass)
    assert found.value == max(left(c) for c in choices)
    isolated = max(choices, key=lambda c: judge.score[sum(1 << i for i in c)])
    assert found.isolated == sum(1 << i for i in isolated)
    assert found.isolated_value == left(isolated)
    assert left(tuple(i for i in items if int(found.resilient) >> i & 1)) == found.value


def test_sets_and_families() -> None:
    assert sets_of_size(4, 2).tolist() == [3, 5, 6, 9, 10, 12]
    judge = additive_judge(weights=(1.0, -2.0), link="tanh")
    assert judge.score == pytest.approx(np.tanh([0, 1, -2, -1]))
    assert (judge.items, judge.verdict) == (2, np.tanh(-1.0))
    assert interacting_judge(items=3, interaction=0.0, seed=4).score[7] == pytest.approx(
        sum(interacting_judge(items=3, interaction=0.0, seed=4).score[[1, 2, 4]])
    )
    assert np.array_equal(debated(seed=3).justifiability, debated(seed=3).justifiability)
    assert np.abs(debated(seed=3).justifiability).max() < 1


@pytest.mark.parametrize("problem", [debated(S=4, A=3, seed=1), debated(S=2, A=2, interaction=0.0, seed=2), soon_or_later()])
def test_trade_off_against_policy_iteration_in_floats(problem: JustifiableMDP) -> None:
    weights = [Fraction(k, 7) for k in range(8)]
    found = trade_off(problem, weights)
    assert found.environment.shape == (8, problem.mdp.states)
    for k, weight in enumerate(weights):
        share = float(weight)
        mixed = problem.mdp.replace(reward=(1 - share) * problem.mdp.reward + share * problem.justifiability)
        best = policy_iteration(mixed, 1e-9)
        sum_of_returns = (1 - weight) * found.environment[k] + weight * found.justifiability[k]
        assert sum_of_returns.astype(float) == pytest.approx(best.value, abs=1e-8)
        assert found.environment[k].astype(float) == pytest.approx(evaluate_policy(problem.mdp, found.policies[k]).value)
    at_half = trade_off(problem, weights, report_at=0.5)
    assert np.array_equal(at_half.policies, found.policies)
    impatient = evaluate_policy(problem.mdp.replace(gamma=0.5), found.policies[0]).value
    assert at_half.environment[0].astype(float) == pytest.approx(impatient)


JUDGE = additive_judge(weights=(1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Judge(np.zeros(3)), "not 3"),
        (lambda: Judge(np.array(1.0)), "not 0"),
        (lambda: Judge(np.array([0.0, 1.0, np.nan, 2.0])), r"the set \{1\} is not finite"),
        (lambda: interacting_scores(1.0), "1 to 16 items"),
        (lambda: interacting_scores([1.0, 2.0], np.zeros((3, 3))), r"shape \(2, 2\)"),
        (lambda: debate_value(JUDGE, 4), "length in 0..3, not 4"),
        (lambda: myopic_value(JUDGE, -1), "length in 0..3, not -1"),
        (lambda: maximin_evidence(JUDGE, 2, 2), "3 items are too few"),
        (lambda: maximin_evidence(JUDGE, 0, 1), "0 .at least 1. items"),
        (lambda: additive_judge(link="logit"), "'logit'"),
        (lambda: interacting_judge(interaction=-1.0), "-1.0"),
        (lambda: interacting_judge(items=17), "not 17"),
        (lambda: JustifiableMDP(fork(), np.zeros(3)), "each of the 4 decisions"),
        (lambda: trade_off(soon_or_later(), [1.5]), r"\[1.5\]"),
        (lambda: trade_off(soon_or_later(), []), r"\[\]"),
        (lambda: trade_off(soon_or_later(), [0.5], report_at=1.0), "not 1.0"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
