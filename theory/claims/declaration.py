"""Papers, claims and controls: what is stated, and the check that decides it.

A claim is written as a decorated function::

    @claim(PAPER, "contraction", r"\\|TU - TV\\|_\\infty \\le \\gamma \\|U - V\\|_\\infty",
           kind="inequality", source="paper", assumes="0 <= gamma < 1")
    @over(garnet.sweep(S=(3, 10), draws=20))
    def contraction(mdp, *, factor=1.0):
        \"\"\"The Bellman operator contracts in the sup norm.\"\"\"
        ...
        return at_most(lhs, factor * mdp.gamma * rhs)

    contraction.control("half the modulus", factor=0.5)

The function's positional parameters receive the instances, its keyword parameters the axes; the other keyword parameters are
knobs that controls turn. A parameter named ``seed`` receives a seed of its own for each instance. The docstring's first line
is the claim's headline, the rest its derivation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from theory.claims.comparison import Comparison
from theory.claims.families import ByProfile, Domain, Family, Range, Sweep, resolve
from theory.errors import InputError

Kind = Literal[
    "identity",
    "inequality",
    "deterministic rate",
    "high-probability bound",
    "bound in expectation",
    "regret exponent",
    "complexity",
    "separation",
    "necessity",
    "lower bound",
    "mechanism",
]
Source = Literal["paper", "recalled", "derived"]
Expected = Literal["holds", "refuted", "inconclusive"]
Check = Callable[..., Comparison]

_registry: dict[str, Claim] = {}


@dataclass(frozen=True)
class Paper:
    """A paper whose statements are checked; ``key`` begins the ids of its claims."""

    key: str
    title: str
    authors: str
    year: int
    theme: str
    arxiv: str | None = None
    venue: str = ""


@dataclass(frozen=True)
class Control:
    """The same check on another statement: a false one that must be refuted, or (a repair) a true one that must hold."""

    name: str
    expected: Literal["refuted", "holds"]
    because: str = ""
    check: Check | None = None
    domains: tuple[Domain, ...] | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


class Claim:
    """A statement of a paper with the check that decides it and the controls that guard the check."""

    def __init__(
        self,
        check: Check,
        paper: Paper,
        name: str,
        statement: str,
        kind: Kind,
        source: Source,
        assumes: str,
        expected: Expected,
        corrected: str | None,
        note: str,
        tests: int,
        shares: str = "",
    ):
        for value, allowed, what in (
            (kind, Kind, "kind"),
            (source, Source, "source"),
            (expected, Expected, "expected verdict"),
        ):
            if value not in get_args(allowed):
                raise InputError(
                    f"the claim {paper.key}/{name} has the {what} {value!r}, which is none of {get_args(allowed)}."
                )
        if not check.__doc__:
            raise InputError(f"the claim {paper.key}/{name} needs a docstring: its first line is the claim's headline.")
        self.check = check
        self.paper = paper
        self.name = name
        self.statement = statement
        self.kind: Kind = kind
        self.source: Source = source
        self.assumes = assumes
        self.expected: Expected = expected
        self.corrected = corrected
        self.note = note
        self.tests = tests
        self.shares = shares
        self.controls: list[Control] = []
        self.domains: tuple[Domain, ...] = tuple(getattr(check, "domains", ())) or (Domain(()),)
        self.module = check.__module__
        self.line = check.__code__.co_firstlineno
        self.__doc__ = check.__doc__

    @property
    def id(self) -> str:
        """``paper/name``, as the ledger and the command line know the claim."""
        return f"{self.paper.key}/{self.name}"

    @property
    def place(self) -> str:
        """Where the check stands: ``module:line``, or ``path:line`` for a file in no package, seen from the working folder."""
        path = Path(self.check.__code__.co_filename)
        if "." in self.module or not path.is_file():  # a notebook's cell is in no file
            return f"{self.module}:{self.line}"
        here = Path.cwd()
        return f"{path.relative_to(here).as_posix() if path.is_relative_to(here) else path.name}:{self.line}"

    @property
    def headline(self) -> str:
        """The first line of the check's docstring."""
        return inspect.cleandoc(self.check.__doc__ or "").split("\n\n")[0].replace("\n", " ")

    @property
    def derivation(self) -> str:
        """The rest of the check's docstring: why the claim is true, or what was found."""
        return "\n\n".join(inspect.cleandoc(self.check.__doc__ or "").split("\n\n")[1:])

    def __repr__(self) -> str:
        return f"<claim {self.id}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Comparison:
        return self.check(*args, **kwargs)

    def control(
        self,
        name: str,
        *,
        because: str = "",
        on: Domain | Sweep | None = None,
        check: Check | None = None,
        **overrides: Any,
    ) -> Claim:
        """Add a false statement that this check must refute.

        ``overrides`` turn the check's knobs; ``check`` replaces it by another function of the same parameters; ``on``
        replaces the instances, for a control that drops an assumption which every instance of the claim satisfies.
        ``because`` says why it is false.
        """
        return self._add(name, "refuted", because, on, check, overrides)

    def repair(
        self,
        name: str,
        *,
        because: str = "",
        on: Domain | Sweep | None = None,
        check: Check | None = None,
        **overrides: Any,
    ) -> Claim:
        """Add a true statement that must hold: the guard of a claim that is expected to be refuted."""
        return self._add(name, "holds", because, on, check, overrides)

    def _add(
        self,
        name: str,
        expected: Literal["refuted", "holds"],
        because: str,
        on: Domain | Sweep | None,
        check: Check | None,
        overrides: Mapping[str, Any],
    ) -> Claim:
        parameters = inspect.signature(check or self.check).parameters
        for knob in overrides:
            if knob not in parameters:
                raise InputError(f"the control {name!r} of {self.id} turns {knob!r}, which its check does not have.")
        if not overrides and check is None and on is None:
            raise InputError(f"the control {name!r} of {self.id} changes nothing.")
        if any(c.name == name for c in self.controls):
            raise InputError(f"the claim {self.id} has two controls named {name!r}.")
        domains = None if on is None else ((Domain((on,)) if isinstance(on, Sweep) else on),)
        self.controls.append(Control(name, expected, because, check, domains, dict(overrides)))
        return self

    def families(self) -> dict[str, Family[..., Any]]:
        """The families that occur in the claim or its controls, by name."""
        domains = [*self.domains, *(d for c in self.controls for d in c.domains or ())]
        return {name: f for d in domains for name, f in d.families().items()}


def claim(
    paper: Paper,
    name: str,
    statement: str,
    *,
    kind: Kind,
    source: Source,
    assumes: str = "",
    expected: Expected = "holds",
    corrected: str | None = None,
    note: str = "",
    tests: int = 1,
    shares: str = "",
) -> Callable[[Check], Claim]:
    r"""Make a check function a :class:`Claim` and register it under ``paper.key/name``.

    ``statement`` is LaTeX without dollar signs. ``source`` says whose the constants are: the ``paper``'s, ``recalled`` from
    memory of it, or ``derived`` by us. A claim that is false as stated has ``expected="refuted"`` and names the id of the
    ``corrected`` claim if there is one; ``note`` says what was found. ``tests`` is the largest number of statistical tests
    that the check makes on one instance; the level of the claim is split over them. Claims that name the same computation in
    ``shares`` draw the same seeds and are checked one after the other in one process, so that what one of them has computed and
    remembered serves the others; the sampled ones among them are then not independent, which no level assumes.
    """

    def register(check: Check) -> Claim:
        made = Claim(check, paper, name, statement, kind, source, assumes, expected, corrected, note, tests, shares)
        known = _registry.get(made.id)
        if known is not None and (known.module, known.line) != (made.module, made.line):
            raise InputError(f"two claims are called {made.id}: one in {known.module}, one in {made.module}.")
        _registry[made.id] = made
        return made

    return register


def over(*sweeps: Sweep, budget: Any = None, **axes: Any) -> Callable[[Check], Check]:
    """Quantify a check over the product of instance families (positional) and plain axes (keywords).

    An axis is a tuple of values, one value, or a :class:`~theory.claims.families.Range`. Where a Range occurs the engine
    searches, with at most ``budget`` instances for each combination of the other values, for the instance that violates the
    statement or comes nearest to it. Several ``over`` on one check add up.
    """

    def attach(check: Check) -> Check:
        domain = Domain(tuple(sweeps), dict(axes), budget)
        if budget is None and _searched(domain):
            raise InputError(f"the check {check.__name__} searches a Range and needs a budget of instances.")
        check.domains = (domain, *getattr(check, "domains", ()))  # type: ignore[attr-defined]
        return check

    return attach


def domain(*sweeps: Sweep, budget: Any = None, **axes: Any) -> Domain:
    """The product that :func:`over` attaches, as a value: for the ``on`` of a control."""
    return Domain(tuple(sweeps), dict(axes), budget)


def _searched(product: Domain) -> bool:
    values = [v for s in product.sweeps for item in s.items for v in item.choices.values()] + list(product.axes.values())
    return any(isinstance(v, Range) for v in values)


def knobs(check: Check, profile: str) -> dict[str, Any]:
    """Default values of the check's parameters that depend on the profile, resolved."""
    return {
        name: resolve(p.default, profile)
        for name, p in inspect.signature(check).parameters.items()
        if isinstance(p.default, ByProfile)
    }


def registered() -> dict[str, Claim]:
    """All claims defined so far, by id, in the order of their definition."""
    return dict(_registry)
