"""Families of instances: what a claim is quantified over.

A *family* is a seeded generator with a name: ``garnet(S=10, A=2, seed=7)`` builds one model. ``garnet.sweep(S=(3, 10),
A=2, draws=20)`` stands for a set of instances: every combination of the listed values, each drawn 20 times. A value may
also be a :class:`Range`; the engine then searches the range for the instance on which a claim is tightest or breaks.

Every instance has a key, written as the Python call that builds it::

    garnet(A=2, S=10, gamma=0.9, seed=3907361112) * at(beta=0.1)

A key alone rebuilds its instance, whatever seed the run was started with.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

from theory.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")
PROFILES = ("quick", "full", "gpu")
AXES = "at"  # the name under which plain axes stand in a key


@dataclass(frozen=True)
class ByProfile:
    """A number (or any value) that depends on how long the user is willing to wait, and on what."""

    quick: Any
    full: Any
    gpu: Any


def by_profile(*, quick: Any, full: Any, gpu: Any = None) -> Any:
    """A value that is ``quick`` in the quick profile, ``full`` in the full one and ``gpu`` (``full`` unless given) in that of the GPU."""
    return ByProfile(quick, full, full if gpu is None else gpu)


def resolve(value: Any, profile: str) -> Any:
    """``value`` itself, or what a :class:`ByProfile` stands for in ``profile``."""
    return getattr(value, profile) if isinstance(value, ByProfile) else value


@dataclass(frozen=True)
class Range:
    """A closed interval of parameter values to be searched, on a linear or logarithmic scale.

    ``size`` asks for a tuple of that many independent numbers in the interval instead of one number.
    """

    low: float
    high: float
    log: bool = False
    size: int | None = None

    def __post_init__(self) -> None:
        if not (self.low < self.high) or (self.log and self.low <= 0):
            raise InputError(f"a search range needs low < high (and low > 0 on a log scale), not {self}.")

    @property
    def dimension(self) -> int:
        """How many numbers in [0, 1] decide a value."""
        return 1 if self.size is None else self.size

    def at(self, unit: np.ndarray) -> float | tuple[float, ...]:
        """The value for coordinates ``unit`` in [0, 1], shape (dimension,); rounded to 6 digits so that keys stay short."""
        if self.log:
            raw = np.exp(np.log(self.low) + unit * (np.log(self.high) - np.log(self.low)))
        else:
            raw = self.low + unit * (self.high - self.low)
        values = tuple(min(max(float(f"{x:.6g}"), self.low), self.high) for x in raw)
        return values[0] if self.size is None else values


@dataclass(frozen=True)
class Call:
    """One factor of an instance key: a family's name and the parameters it is called with."""

    name: str
    parameters: Mapping[str, Any]

    def __str__(self) -> str:
        inner = ", ".join(f"{k}={_plain(v)!r}" for k, v in self.parameters.items())
        return f"{self.name}({inner})"

    def ranges(self) -> dict[str, Range]:
        """The parameters that are still to be searched."""
        return {k: v for k, v in self.parameters.items() if isinstance(v, Range)}


def _plain(value: Any) -> Any:
    """``value`` with NumPy scalars and lists turned into Python literals, so that its repr can be parsed back."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(_plain(v) for v in value)
    return value


def write_key(calls: Iterable[Call]) -> str:
    """The key of an instance: its calls joined by `` * ``."""
    return " * ".join(str(c) for c in calls)


def instance_key(name: str, parameters: Mapping[str, Any]) -> str:
    """The key of one call, its parameters in alphabetical order, the seed last."""
    return str(Call(name, {k: parameters[k] for k in sorted(parameters, key=lambda k: (k == "seed", k))}))


def read_key(key: str) -> tuple[Call, ...]:
    """Parse a key as :func:`write_key` writes it; only literals are accepted as values, nothing is evaluated."""
    try:
        node: ast.expr = ast.parse(key.strip(), mode="eval").body
        factors: list[ast.expr] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            factors.append(node.right)
            node = node.left
        factors.append(node)
        calls = []
        for factor in reversed(factors):
            if not (isinstance(factor, ast.Call) and isinstance(factor.func, ast.Name)) or factor.args:
                raise ValueError(key)
            calls.append(Call(factor.func.id, {k.arg: ast.literal_eval(k.value) for k in factor.keywords if k.arg}))
    except (SyntaxError, ValueError) as error:
        raise InputError(
            f"the instance key {key!r} is not of the form 'family(name=value, ...) * at(name=value, ...)'."
        ) from error
    return tuple(calls)


def derive_seed(*parts: int | str) -> int:
    """A 32-bit seed that depends on every part and on nothing else (not on the platform, nor on the order of runs)."""
    numbers = [zlib.crc32(p.encode()) if isinstance(p, str) else int(p) for p in parts]
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


class Family(Generic[P, T]):
    """A named, seeded generator of instances; calling it builds one.

    The generator's parameters must be Python literals (numbers, strings, booleans, tuples of them). A parameter called
    ``seed`` makes the family random. ``minimum`` gives the smallest sensible values, for shrinking a counterexample.
    An instance with an attribute ``key`` that is None gets its own there, all parameters written out.
    """

    def __init__(self, generate: Callable[P, T], minimum: Mapping[str, int]):
        self.generate = generate
        self.name: str = getattr(generate, "__name__", "family")
        self.minimum = dict(minimum)
        self.signature = inspect.signature(generate)
        functools.update_wrapper(self, generate)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        instance = self.generate(*args, **kwargs)
        if getattr(instance, "key", self) is None:
            bound = self.signature.bind(*args, **kwargs)
            bound.apply_defaults()
            # instances are frozen, but nobody has seen this one yet
            object.__setattr__(instance, "key", instance_key(self.name, bound.arguments))
        return instance

    def __repr__(self) -> str:
        return f"<family {self.name}{self.signature}>"

    @property
    def random(self) -> bool:
        """Whether the generator draws anything."""
        return "seed" in self.signature.parameters

    def sweep(self, *, draws: Any = 1, **choices: Any) -> Sweep:
        """Instances for every combination of ``choices`` (a tuple or list lists values; a Range is searched).

        ``draws`` (an int, or :func:`by_profile`) is the number of seeds tried for each combination of a random family.
        A parameter whose value is itself a tuple is given as a list of tuples.
        """
        unknown = [k for k in choices if k not in self.signature.parameters]
        if unknown:
            raise InputError(f"the family {self.name} has no parameter {unknown[0]!r}.")
        return Sweep((_Item(self, draws, choices),))


def family(generate: Callable[P, T] | None = None, /, **minimum: int) -> Any:
    """Make a generator function a :class:`Family`; keywords give the smallest sensible value of its integer parameters."""
    if generate is not None:
        return Family(generate, minimum)
    return lambda g: Family(g, minimum)


@dataclass(frozen=True)
class _Item:
    family: Family[..., Any]
    draws: Any
    choices: Mapping[str, Any]

    def calls(self, seed: int, profile: str) -> Iterator[Call]:
        draws = resolve(self.draws, profile) if self.family.random and "seed" not in self.choices else 1
        names = sorted(self.choices)
        for values in itertools.product(*(listed(self.choices[n], profile) for n in names)):
            parameters = dict(zip(names, values))
            text = str(Call(self.family.name, parameters))
            for draw in range(draws):
                drawn = dict(parameters)
                if self.family.random and "seed" not in drawn:
                    drawn["seed"] = derive_seed(seed, text, draw)
                yield Call(self.family.name, drawn)


def listed(choice: Any, profile: str) -> tuple[Any, ...]:
    """The values that a choice stands for: the members of a tuple or list, or the value alone."""
    choice = resolve(choice, profile)
    return tuple(choice) if isinstance(choice, (tuple, list)) else (choice,)


@dataclass(frozen=True)
class Sweep:
    """A set of instances of one or several families; ``a | b`` is the union."""

    items: tuple[_Item, ...]

    def __or__(self, other: Sweep) -> Sweep:
        return Sweep(self.items + other.items)

    def calls(self, seed: int, profile: str) -> Iterator[Call]:
        """The calls of all members, seeded from ``seed``."""
        for item in self.items:
            yield from item.calls(seed, profile)

    def families(self) -> dict[str, Family[..., Any]]:
        """The families by name."""
        return {item.family.name: item.family for item in self.items}


@dataclass(frozen=True)
class Domain:
    """A product of sweeps (positional arguments of a check) and axes (its keyword arguments).

    ``budget`` is the number of instances that a search may try where some parameter is a Range.
    """

    sweeps: tuple[Sweep, ...]
    axes: Mapping[str, Any] = field(default_factory=dict)
    budget: Any = None

    def templates(self, seed: int, profile: str) -> Iterator[tuple[Call, ...]]:
        """Every combination, as calls whose parameters may still hold a Range."""
        names = list(self.axes)
        for calls in itertools.product(*(list(s.calls(seed, profile)) for s in self.sweeps)):
            for values in itertools.product(*(listed(self.axes[n], profile) for n in names)):
                yield (*calls, Call(AXES, dict(zip(names, values)))) if names or not calls else calls

    def families(self) -> dict[str, Family[..., Any]]:
        """The families by name."""
        return {name: f for s in self.sweeps for name, f in s.families().items()}
