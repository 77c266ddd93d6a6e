"""The engine: run a check over its instances, search for the worst one, run its controls, and pass a verdict."""

from __future__ import annotations

import inspect
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from theory import statistics
from theory.claims.comparison import SEVERITY, Comparison, Series, testing_at
from theory.claims.declaration import Check, Claim, Control, knobs
from theory.claims.families import AXES, Call, Domain, Family, Range, derive_seed, listed, read_key, resolve, write_key
from theory.errors import InputError, Unavailable

Verdict = Literal["holds", "refuted", "inconclusive", "unguarded", "skipped", "error"]
MOST_POINTS = 300  # (lhs, rhs) pairs kept for the ledger's scatter plot
GLOBAL_SHARE = 0.6  # of a search's budget goes to the global stage, the rest to climbing from the best point
SHRINKING = 150  # instances that the shrinking of a counterexample may try


@dataclass
class Evidence:
    """What all instances together say about one statement (a claim's, or a control's)."""

    outcome: str = "inconclusive"
    worst: Comparison | None = None
    worst_instance: str = ""
    shrunk: str | None = None
    instances: int = 0
    searched: int = 0
    entries: int = 0
    undecided: int = 0
    seeds: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    points: list[tuple[float, float]] = field(default_factory=list)
    error: str | None = None

    def add(self, key: str, comparison: Comparison) -> None:
        """Take in what one more instance says."""
        self.instances += 1
        self.entries += comparison.entries
        self.undecided += comparison.undecided
        self.seeds = max(self.seeds, comparison.seeds)
        if len(self.points) < MOST_POINTS and np.isfinite([comparison.lhs, comparison.rhs]).all():
            self.points.append((comparison.lhs, comparison.rhs))
        if self.worst is None or comparison.rank > self.worst.rank:
            self.worst, self.worst_instance = comparison, key
        self.outcome = self._outcome(comparison)

    def _outcome(self, latest: Comparison) -> str:
        """Refuted by one instance; an exact claim is inconclusive only if every instance is, a sampled one if any is."""
        if self.instances == 1 or latest.outcome == "refuted":
            return latest.outcome
        if self.outcome == "refuted":
            return "refuted"
        both = {self.outcome, latest.outcome}
        if latest.tests:
            return max(both, key=SEVERITY.__getitem__)
        return "holds" if "holds" in both else "inconclusive"


@dataclass
class Result:
    """The verdict on a claim with all that led to it."""

    claim: Claim
    verdict: Verdict
    evidence: Evidence
    controls: list[tuple[Control, Evidence]]
    profile: str
    seed: int
    seconds: float

    @property
    def as_expected(self) -> bool:
        """Whether the run may call this a success; a skipped claim is one, with its reason shown."""
        return self.verdict in (self.claim.expected, "skipped")


class _Variant:
    """One statement to be checked: the claim's own or a control's."""

    def __init__(self, claim: Claim, control: Control | None, profile: str):
        self.name = control.name if control else ""
        self.check: Check = (control and control.check) or claim.check
        overrides = {k: resolve(v, profile) for k, v in control.overrides.items()} if control else {}
        self.knobs = {**knobs(self.check, profile), **overrides}
        self.domains = (control and control.domains) or claim.domains
        self.own_domains = bool(control and control.domains)
        self.evidence = Evidence()
        self.parameters = inspect.signature(self.check).parameters
        self.level = statistics.CLAIM_LEVEL
        self.tests = claim.tests

    @property
    def done(self) -> bool:
        return self.evidence.error is not None

    def try_instance(self, key: str, args: Sequence[Any], axes: dict[str, Any]) -> Comparison | None:
        """Run the check on a built instance and take in what it says; an exception ends the variant."""
        try:
            with testing_at(self.level):
                comparison = self.check(*args, **{**self.knobs, **axes})
        except Unavailable as reason:
            self.evidence.skipped[str(reason)] = self.evidence.skipped.get(str(reason), 0) + 1
            return None
        except Exception as error:
            self.evidence.error = f"{type(error).__name__} on {key or 'the only instance'}: {error}\n{traceback.format_exc()}"
            return None
        if not isinstance(comparison, Comparison):
            self.evidence.error = f"the check returned {type(comparison).__name__}, not a Comparison."
            return None
        if len(comparison.tests) > self.tests:
            self.evidence.error = (
                f"the check made {len(comparison.tests)} tests on one instance; its claim declares {self.tests}."
            )
            return None
        self.evidence.add(key, comparison)
        return comparison


def run_claim(claim: Claim, *, profile: str = "quick", seed: int = 0) -> Result:
    """Check ``claim`` and its controls on the instances of ``profile``, drawn from ``seed``."""
    began = time.perf_counter()
    main = _Variant(claim, None, profile)
    variants = [main] + [_Variant(claim, c, profile) for c in claim.controls]
    families = claim.families()
    shared = [v for v in variants if not v.own_domains]
    for product in claim.domains:
        _run_domain(claim, product, shared, families, profile, seed)
    for variant in variants:
        if variant.own_domains:
            for product in variant.domains:
                _run_domain(claim, product, [variant], families, profile, seed)
    # A shared computation is a long one, and each simpler instance would begin it anew.
    if main.evidence.outcome == "refuted" and not main.evidence.error and not claim.shares:
        main.evidence.shrunk = _shrink(claim, main, families, profile)
    controls = list(zip(claim.controls, (v.evidence for v in variants[1:])))
    return Result(
        claim,
        _verdict(claim, main.evidence, controls),
        main.evidence,
        controls,
        profile,
        seed,
        time.perf_counter() - began,
    )


def _verdict(claim: Claim, evidence: Evidence, controls: list[tuple[Control, Evidence]]) -> Verdict:
    if evidence.error is not None:
        return "error"
    if evidence.instances == 0:
        return "skipped" if evidence.skipped else "error"
    guarded = bool(controls) and all(e.error is None and e.outcome == c.expected for c, e in controls)
    if evidence.outcome == "refuted" and claim.expected != "refuted":
        return "refuted"
    if evidence.outcome == "inconclusive":
        return "inconclusive"
    if not guarded:
        return "unguarded"
    return "refuted" if evidence.outcome == "refuted" else "holds"


def replay(claim: Claim, key: str, *, control: str | None = None, profile: str = "quick") -> Comparison:
    """Run ``claim`` (or one of its controls) on the one instance that ``key`` stands for."""
    chosen = None
    if control is not None:
        chosen = next((c for c in claim.controls if c.name == control), None)
        if chosen is None:
            names = ", ".join(repr(c.name) for c in claim.controls)
            raise InputError(f"the claim {claim.id} has no control {control!r}; it has {names}.")
    variant = _Variant(claim, chosen, profile)
    calls = read_key(key)
    args, axes = _build(calls, claim.families())
    unknown = [name for name in axes if name not in variant.parameters]
    if unknown:
        raise InputError(f"the check of {claim.id} has no parameter {unknown[0]!r}.")
    variant.level = _level(claim, variant, profile)
    with testing_at(variant.level):
        try:
            return variant.check(*args, **{**variant.knobs, **axes})
        except InputError:
            raise
        except (TypeError, ValueError) as error:
            raise InputError(f"the key {key!r} does not fit the check of {claim.id}: {error}.") from error


def _build(calls: Sequence[Call], families: dict[str, Family[..., Any]]) -> tuple[list[Any], dict[str, Any]]:
    """The positional instances and the keyword axes that a key's calls stand for."""
    args: list[Any] = []
    axes: dict[str, Any] = {}
    for call in calls:
        if call.name == AXES:
            axes.update(call.parameters)
        elif call.name in families:
            try:
                args.append(families[call.name](**call.parameters))
            except TypeError as error:
                raise InputError(f"the family {call.name} cannot be called as {call}: {error}.") from error
        else:
            raise InputError(f"the claim has no instance family {call.name!r}; it has {', '.join(sorted(families)) or 'none'}.")
    return args, axes


def _level(claim: Claim, variant: _Variant, profile: str) -> float:
    """The claim's level, split over its instances and the tests that it makes on each (Bonferroni)."""
    count = 0
    for product in variant.domains:
        for calls in product.templates(0, profile):
            # every instance that a search tries is tested
            count += resolve(product.budget, profile) if any(c.ranges() for c in calls) else 1
    return statistics.CLAIM_LEVEL / max(1, count * claim.tests)


def _seeded(claim: Claim, calls: tuple[Call, ...], wants_seed: bool, seed: int) -> tuple[Call, ...]:
    """``calls`` with a seed for the check itself, if it takes one and the axes do not give it."""
    axes = calls[-1].parameters if calls and calls[-1].name == AXES else {}
    if not wants_seed or "seed" in axes:
        return calls
    drawn = {**axes, "seed": derive_seed(seed, claim.shares or claim.id, write_key(calls))}
    return (*(c for c in calls if c.name != AXES), Call(AXES, drawn))


def _run_domain(
    claim: Claim,
    product: Domain,
    variants: list[_Variant],
    families: dict[str, Family[..., Any]],
    profile: str,
    seed: int,
) -> None:
    for variant in variants:
        variant.level = _level(claim, variant, profile)
    wants_seed = any("seed" in v.parameters for v in variants)
    for calls in product.templates(seed, profile):
        if any(c.ranges() for c in calls):
            for variant in variants:
                if not variant.done:
                    budget = resolve(product.budget, profile)
                    _search(claim, calls, variant, families, budget, seed)
            continue
        full = _seeded(claim, calls, wants_seed, seed)
        key = write_key(full)
        try:
            args, axes = _build(full, families)
        except Unavailable as reason:
            for variant in variants:
                variant.evidence.skipped[str(reason)] = variant.evidence.skipped.get(str(reason), 0) + 1
            continue
        except Exception as error:
            for variant in variants:
                variant.evidence.error = f"{type(error).__name__} while building {key}: {error}"
            return
        for variant in variants:
            if not variant.done:
                variant.try_instance(key, args, axes)


def _search(
    claim: Claim,
    calls: tuple[Call, ...],
    variant: _Variant,
    families: dict[str, Family[..., Any]],
    budget: int,
    seed: int,
) -> None:
    """Drive the ratio up over the ranges in ``calls``: differential evolution, then Nelder-Mead; stops at a refutation.

    The first generation holds corners and the centre of the box beside a Latin hypercube, because tight instances like
    corners. Parameters that a family rejects count as the lowest ratio.
    """
    from scipy.optimize import differential_evolution, minimize
    from scipy.stats import qmc

    slots = [(i, name, r) for i, c in enumerate(calls) for name, r in c.ranges().items()]
    dimension = sum(r.dimension for _, _, r in slots)
    rng = np.random.default_rng(derive_seed(seed, claim.id, variant.name, write_key(_middle(calls))))
    size = int(np.clip(budget // 8, 5, 10 * dimension))
    first = qmc.LatinHypercube(dimension, rng=rng).random(size)
    special = [np.full(dimension, 0.5)]
    special += [
        np.array([(c >> k) & 1 for k in range(dimension)], dtype=float) for c in range(min(2 ** min(dimension, 12), 64))
    ]
    for row, point in zip(range(min(size // 3, len(special))), special):
        first[row] = point
    wants_seed = "seed" in variant.parameters
    tried = 0

    def place(unit: np.ndarray) -> tuple[Call, ...]:
        filled = [dict(c.parameters) for c in calls]
        start = 0
        for i, name, r in slots:
            filled[i][name] = r.at(unit[start : start + r.dimension])
            start += r.dimension
        placed = tuple(Call(c.name, p) for c, p in zip(calls, filled))
        return _seeded(claim, placed, wants_seed, seed)

    def objective(unit: np.ndarray) -> float:
        nonlocal tried
        if variant.done or tried >= budget or variant.evidence.outcome == "refuted":
            return 0.0
        tried += 1
        placed = place(np.clip(unit, 0.0, 1.0))
        try:
            args, axes = _build(placed, families)
        except InputError:
            return 1.0
        except Unavailable as reason:
            variant.evidence.skipped[str(reason)] = variant.evidence.skipped.get(str(reason), 0) + 1
            return 1.0
        except Exception as error:
            variant.evidence.error = f"{type(error).__name__} while building {write_key(placed)}: {error}"
            return 1.0
        comparison = variant.try_instance(write_key(placed), args, axes)
        return 1.0 if comparison is None else -min(comparison.ratio, 1e12)

    def enough(*_: Any, **__: Any) -> bool:
        return variant.done or tried >= budget or variant.evidence.outcome == "refuted"

    bounds = [(0.0, 1.0)] * dimension
    generations = max(1, int(GLOBAL_SHARE * budget) // size - 1)
    found = differential_evolution(
        objective, bounds, init=first, maxiter=generations, tol=0.0, polish=False, rng=rng, callback=enough
    )
    while not enough():
        before = found.fun
        found = minimize(objective, found.x, method="Nelder-Mead", bounds=bounds, options={"maxfev": budget - tried})
        if found.fun >= before:
            break
    variant.evidence.searched += tried


def _middle(calls: tuple[Call, ...]) -> tuple[Call, ...]:
    """``calls`` with every range written as its ends, so that a search has a name to be seeded by."""
    return tuple(
        Call(c.name, {k: (v.low, v.high) if isinstance(v, Range) else v for k, v in c.parameters.items()}) for c in calls
    )


def _shrink(claim: Claim, variant: _Variant, families: dict[str, Family[..., Any]], profile: str) -> str | None:
    """A simpler instance that is refuted as well: smaller sizes, smaller seeds, rounder numbers; None if there is none."""
    current = read_key(variant.evidence.worst_instance)
    limits = _limits(variant.domains, profile)
    tried = 0
    changed = shrunk = False

    def refutes(calls: tuple[Call, ...]) -> bool:
        nonlocal tried
        tried += 1
        try:
            args, axes = _build(calls, families)
            with testing_at(variant.level):
                return variant.check(*args, **{**variant.knobs, **axes}).outcome == "refuted"
        except Exception:
            return False

    while True:
        changed = False
        for i, call in enumerate(current):
            for name, value in list(current[i].parameters.items()):
                minimum = families[call.name].minimum if call.name in families else {}
                for simpler in _simpler(name, value, minimum.get(name), limits.get((call.name, name))):
                    if tried >= SHRINKING:
                        return write_key(current) if shrunk else None
                    candidate = (
                        *current[:i],
                        Call(call.name, {**current[i].parameters, name: simpler}),
                        *current[i + 1 :],
                    )
                    if refutes(candidate):
                        current, changed, shrunk = candidate, True, True
                        break
        if not changed:
            return write_key(current) if shrunk else None


def _limits(domains: Sequence[Domain], profile: str) -> dict[tuple[str, str], tuple[float, float]]:
    """The smallest and largest value that the domains list for each numeric parameter."""
    seen: dict[tuple[str, str], list[float]] = {}
    for product in domains:
        named = [(item.family.name, item.choices) for s in product.sweeps for item in s.items] + [(AXES, product.axes)]
        for family_name, choices in named:
            for parameter, choice in choices.items():
                values = (choice.low, choice.high) if isinstance(choice, Range) else listed(choice, profile)
                numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
                seen.setdefault((family_name, parameter), []).extend(numbers)
    return {place: (min(v), max(v)) for place, v in seen.items() if v}


def _simpler(name: str, value: Any, minimum: int | None, limits: tuple[float, float] | None) -> Iterator[Any]:
    """Simpler values than ``value``, the simplest first."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if name == "seed":
        yield from (s for s in range(5) if s < value)
        return
    if isinstance(value, int):
        floor = minimum if minimum is not None else (int(limits[0]) if limits else value)
        candidates = {floor, floor + (value - floor) // 2, value - 1}
        yield from sorted(c for c in candidates if floor <= c < value)
    elif isinstance(value, float):
        low, high = limits if limits else (value, value)
        for digits in (1, 2, 3):
            rounded = float(f"{value:.{digits}g}")
            if low <= rounded <= high and len(repr(rounded)) < len(repr(value)):
                yield rounded
    elif isinstance(value, tuple):
        for digits in (0, 1, 2):
            rounded_all = tuple(round(v, digits) if isinstance(v, float) else v for v in value)
            if rounded_all != value:
                yield rounded_all


def series_of(evidence: Evidence) -> Series | None:
    """The curve of the worst instance, if its comparison kept one."""
    return evidence.worst.series if evidence.worst else None
