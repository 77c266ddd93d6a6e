"""Verdicts, guards, keys, replay, shrinking and errors of the engine."""

from dataclasses import dataclass

import numpy as np
import pytest

from theory import statistics
from theory.claims import Claim, Paper, Range, all_of, always, at_most, claim, domain, family, over, replay, run_claim
from theory.claims.comparison import current_level
from theory.claims.declaration import registered
from theory.claims.families import PROFILES, Call, by_profile, derive_seed, read_key, resolve, write_key
from theory.claims.suite import _together
from theory.errors import InputError, Unavailable

PAPER = Paper(key="engine-tests", title="Toy statements", authors="nobody", year=2026, theme="tests")


@family(n=1)
def numbers(n: int, scale: float, seed: int) -> np.ndarray:
    return scale * np.random.default_rng(seed).uniform(size=n)


def make(check, **options) -> Claim:
    settings = {
        "kind": "inequality",
        "source": "paper",
        "assumes": "",
        "expected": "holds",
        "corrected": None,
        "note": "",
        "tests": 1,
    }
    settings.update(options)
    check.__doc__ = check.__doc__ or "A toy statement."
    return Claim(check, PAPER, check.__name__, "x", **settings)


@over(numbers.sweep(n=(2, 50), scale=1.0, draws=3))
def below(values, *, bound=1.0):
    """Uniform numbers are below one."""
    return at_most(values, bound)


def test_a_claim_without_a_control_is_unguarded() -> None:
    assert run_claim(make(below)).verdict == "unguarded"


def test_a_control_that_is_not_refuted_leaves_the_claim_unguarded() -> None:
    result = run_claim(make(below).control("too generous", bound=2.0))
    assert result.verdict == "unguarded"
    assert not result.as_expected


def test_a_control_that_breaks_down_is_no_refutation() -> None:
    def broken(values, *, bound=1.0):
        raise ZeroDivisionError("an accident")

    result = run_claim(make(below).control("an accident", check=broken))
    assert result.verdict == "unguarded"
    assert "accident" in str(result.controls[0][1].error)


def test_a_nan_is_an_error_and_never_holds() -> None:
    def nan(*, bound=1.0):
        return at_most(float("nan"), bound)

    assert run_claim(make(nan).control("zero", bound=0.0)).verdict == "error"


def test_an_expected_refutation_needs_its_repair_to_hold() -> None:
    @over(numbers.sweep(n=50, scale=1.0, draws=2))
    def half(values, *, bound=0.5):
        return at_most(values, bound)

    assert run_claim(make(half, expected="refuted")).verdict == "unguarded"
    assert run_claim(make(half, expected="refuted").repair("the right bound", bound=1.0)).verdict == "refuted"
    assert run_claim(make(half, expected="refuted").repair("still wrong", bound=0.6)).verdict == "unguarded"
    assert run_claim(make(half)).verdict == "refuted"


def test_missing_packages_skip_with_their_reason() -> None:
    @family
    def absent(seed: int) -> int:
        raise Unavailable("needs a package that is not there")

    @over(absent.sweep(draws=2))
    def check(value):
        return at_most(value, 1)

    result = run_claim(make(check).control("zero", check=lambda value: at_most(1, 0)))
    assert result.verdict == "skipped"
    assert result.as_expected
    assert result.evidence.skipped == {"needs a package that is not there": 2}


def test_the_worst_instance_replays_to_the_same_numbers() -> None:
    made = make(below).control("nine tenths", bound=0.9)
    result = run_claim(made, seed=5)
    again = replay(made, result.evidence.worst_instance)
    assert result.evidence.worst is not None
    assert (again.lhs, again.rhs, again.where) == (
        result.evidence.worst.lhs,
        result.evidence.worst.rhs,
        result.evidence.worst.where,
    )
    control = result.controls[0][1]
    assert replay(made, control.worst_instance, control="nine tenths").ratio == control.worst.ratio  # type: ignore[union-attr]


def test_a_check_that_draws_gets_a_seed_that_the_key_carries() -> None:
    @over(size=(3, 4))
    def draw(size, seed):
        return at_most(np.random.default_rng(seed).uniform(size=size), 1.0)

    made = make(draw)
    first, other = run_claim(made, seed=1).evidence, run_claim(made, seed=2).evidence
    assert first.worst_instance != other.worst_instance
    assert "seed=" in first.worst_instance
    assert replay(made, first.worst_instance).lhs == first.worst.lhs  # type: ignore[union-attr]


def test_claims_that_share_a_computation_meet_the_same_seeds_in_one_process() -> None:
    seen: dict[str, list[int]] = {}

    def check(name: str):
        @over(size=(1, 2))
        def drawn(*, size, seed):
            seen.setdefault(name, []).append(seed)
            return at_most(0.5, 1.0)

        drawn.__name__ = name
        return drawn

    shared = [make(check("one"), shares="runs"), make(check("two"), shares="runs")]
    alone = make(check("three"))
    for made in (*shared, alone):
        run_claim(made, seed=4)
    assert seen["one"] == seen["two"]
    assert len(set(seen["one"])) == 2
    assert not set(seen["three"]) & set(seen["one"])
    assert _together([shared[0], alone, shared[1]]) == [[shared[0].id, shared[1].id], [alone.id]]


def test_what_shares_a_computation_is_not_shrunk() -> None:
    @over(numbers.sweep(n=50, scale=1.0, draws=3))
    def small(values):
        return at_most(values, 0.1)

    assert run_claim(make(small)).evidence.shrunk is not None
    assert run_claim(make(small, shares="numbers")).evidence.shrunk is None


def test_a_counterexample_is_shrunk() -> None:
    @over(numbers.sweep(n=(2, 40), scale=(1.0, 3.14159265), draws=3))
    def small(values):
        return at_most(values, 1.5)

    result = run_claim(make(small), seed=3)
    assert result.verdict == "refuted"
    (call,) = read_key(result.evidence.shrunk or "")
    assert call.parameters["n"] < 40
    assert call.parameters["scale"] == 3.0
    assert call.parameters["seed"] < 5
    assert replay(make(small), result.evidence.shrunk or "").outcome == "refuted"


def test_values_by_profile() -> None:
    assert [resolve(by_profile(quick=1, full=2), profile) for profile in PROFILES] == [1, 2, 2]
    assert [resolve(by_profile(quick=1, full=2, gpu=3), profile) for profile in PROFILES] == [1, 2, 3]
    assert resolve(7, "gpu") == 7


def test_the_search_spends_its_budget_and_no_more() -> None:
    @over(p=Range(0.0, 1.0), q=Range(1e-3, 1.0, log=True), budget=80)
    def flat(p, q):
        return at_most(p * q, 2.0)

    evidence = run_claim(make(flat)).evidence
    assert evidence.searched == evidence.instances
    assert 40 <= evidence.searched <= 80
    assert evidence.worst is not None
    assert evidence.worst.ratio == pytest.approx(0.5)


def test_the_search_over_tuples_and_families() -> None:
    @family
    def points(values: tuple[float, ...]) -> np.ndarray:
        return np.array(values)

    @over(points.sweep(values=Range(-1.0, 1.0, size=4)), budget=400)
    def norm(x):
        return at_most(np.abs(x).sum(), 2.0 * np.linalg.norm(x))

    evidence = run_claim(make(norm)).evidence
    assert evidence.worst is not None
    assert evidence.worst.ratio > 0.99
    assert evidence.outcome == "holds"


def test_levels_are_split_over_instances_and_tests() -> None:
    levels = []

    @over(numbers.sweep(n=2, scale=1.0, draws=5))
    def note(values):
        levels.append(current_level())
        return at_most(values, 1.0)

    run_claim(make(note, tests=2))
    assert set(levels) == {statistics.CLAIM_LEVEL / 10}


def test_an_assumption_is_dropped_on_instances_of_the_controls_own() -> None:
    made = make(below).control("numbers up to two", on=domain(numbers.sweep(n=50, scale=2.0, draws=1)))
    result = run_claim(made)
    assert result.verdict == "holds"
    assert result.controls[0][1].instances == 1


def test_conditions_count_their_failures() -> None:
    comparison = always([True, False, True, False], "order")
    assert (comparison.outcome, comparison.lhs, comparison.where) == ("refuted", 2.0, "order entry (1,)")
    assert always([True]).outcome == "holds"


@pytest.mark.parametrize(
    ("lhs", "rhs", "slack", "outcome"),
    [
        (1.0, 1.0, 0.0, "holds"),
        (1.0 + 1e-6, 1.0, 0.0, "refuted"),
        (1.0 + 1e-6, 1.0, 1e-5, "holds"),
        (-2.0, -1.0, 0.0, "holds"),
        (-1.0, -2.0, 0.0, "refuted"),
        (1.0, 0.0, 0.0, "refuted"),
        (0.0, 0.0, 0.0, "holds"),
        (1e-13, 1e-14, 1e-12, "inconclusive"),
        (0.0, 1.0, 0.0, "holds"),
        (float("inf"), 1.0, 0.0, "refuted"),
    ],
)
def test_at_most_on_single_numbers(lhs: float, rhs: float, slack: float, outcome: str) -> None:
    comparison = at_most(lhs, rhs, slack=slack)
    assert comparison.outcome == outcome
    assert (comparison.ratio > 1) == (outcome == "refuted")


def test_an_instance_that_has_no_key_gets_that_of_its_call() -> None:
    @dataclass(frozen=True)
    class Thing:
        size: int
        key: str | None = None

    @family
    def thing(size: int = 2, seed: int = 0, depth: tuple[float, ...] = (1.0,)) -> Thing:
        return Thing(size + seed)

    @family
    def named(size: int = 2) -> Thing:
        return Thing(size, "its own")

    assert thing(3, depth=[0.5]).key == "thing(depth=(0.5,), size=3, seed=0)"
    assert thing(seed=np.int64(4)).key == "thing(depth=(1.0,), size=2, seed=4)"
    assert named().key == "its own"


def test_keys_round_trip_and_reject_code() -> None:
    calls = (Call("garnet", {"A": 2, "gamma": 0.9, "names": ("a", "b")}), Call("at", {"beta": 0.1}))
    assert read_key(write_key(calls)) == calls
    for bad in ("garnet(", "garnet(2)", "__import__('os').getcwd()", "f(x=open('a'))", "1 * 2"):
        with pytest.raises(InputError, match="instance key"):
            read_key(bad)


def test_replay_refuses_what_does_not_fit() -> None:
    made = make(below)
    for key, message in (
        ("other(n=2)", "no instance family"),
        ("numbers(n=2)", "cannot be called"),
        ("numbers(n=2, scale=1.0, seed=1) * at(nothing=1)", "no parameter"),
        ("at(bound=1.0)", "does not fit"),
    ):
        with pytest.raises(InputError, match=message):
            replay(made, key)
    with pytest.raises(InputError, match="no control"):
        replay(made, "numbers(n=2, scale=1.0, seed=1)", control="nothing")


def test_mistakes_in_a_declaration_are_told() -> None:
    with pytest.raises(InputError, match="needs a docstring"):
        claim(PAPER, "silent", "x", kind="inequality", source="paper")(lambda: at_most(0, 1))
    with pytest.raises(InputError, match="kind"):
        make(below, kind="theorem")
    with pytest.raises(InputError, match="does not have"):
        make(below).control("no such knob", bnd=2)
    with pytest.raises(InputError, match="changes nothing"):
        make(below).control("nothing")
    with pytest.raises(InputError, match="no parameter"):
        numbers.sweep(m=3)
    with pytest.raises(InputError, match="budget"):
        over(p=Range(0, 1))(lambda p: at_most(p, 1))
    with pytest.raises(InputError, match="low < high"):
        Range(1, 0)


def test_two_claims_cannot_share_an_id() -> None:
    @claim(PAPER, "twice", "x", kind="inequality", source="paper")
    def one():
        """The first."""
        return at_most(0, 1)

    with pytest.raises(InputError, match="two claims"):

        @claim(PAPER, "twice", "x", kind="inequality", source="paper")
        def two():
            """The second."""
            return at_most(0, 1)

    assert registered()["engine-tests/twice"] is one


def test_seeds_depend_on_every_part() -> None:
    assert derive_seed(0, "a", 1) == derive_seed(0, "a", 1)
    assert len({derive_seed(0, "a", 1), derive_seed(1, "a", 1), derive_seed(0, "b", 1), derive_seed(0, "a", 2)}) == 4


def test_comparisons_that_rounding_leaves_open_are_counted() -> None:
    found = all_of(at_most([1.0, 1e-12, 0.0], [2.0, 1e-11, 0.0], slack=1e-10), always(True))
    assert found.outcome == "holds"
    assert (found.entries, found.undecided) == (4, 2)
    assert at_most(0.0, 1.0).undecided == 0
