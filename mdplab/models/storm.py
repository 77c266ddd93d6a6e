"""Models written in the PRISM language, built by the model checker Storm (Hensel, Junges, Katoen, Quatmann and Volk 2022).

Needs the optional package ``stormpy``. Some programs of our own stand in ``programs/`` beside this file.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdplab.models.action_names import label_choices
from mdplab.models.errors import ModelError
from mdplab.models.families import model_family
from mdplab.models.tabular import TabularMDP
from mdplab.models.validation import normalise_rows
from theory.errors import Unavailable

PROGRAMS = Path(__file__).parent / "programs"


def from_prism_program(
    path: str | Path, *, reward_model: str | None = None, gamma: float = 0.99, constants: str = ""
) -> TabularMDP:
    """The reachable part of the MDP (or Markov chain) that a PRISM-language file describes.

    The reward of a pair is the state reward plus the action reward plus the expected transition reward of ``reward_model``; it
    may be left out if the program has exactly one, and is 0 throughout if it has none. ``constants`` sets undefined constants,
    as ``"N=3,p=0.5"``. The start is uniform over the initial states. Actions carry the program's names where they are different
    within each state and can be ordered, else their positions; state names are the values of the program's variables.

    Raises :class:`ModelError` for a program that cannot be read or built, and :class:`~theory.errors.Unavailable` without
    stormpy.
    """
    with _storm(path) as stormpy:
        program = _program(stormpy, path, constants)
        names = [r.name for r in program.reward_models]
        if reward_model is None and len(names) > 1:
            raise ModelError(f"{path} has the reward models {', '.join(names)}; say which one.")
        if reward_model is not None and reward_model not in names:
            raise ModelError(f"{path} has no reward model {reward_model!r}; it has {', '.join(map(repr, names)) or 'none'}.")
        built = stormpy.build_model(program, options=stormpy.BuilderOptions(build_full=True))
    if built.model_type.name not in ("MDP", "DTMC"):
        raise ModelError(f"{path} describes a {built.model_type.name}; only an MDP or a DTMC can be read.")
    chosen = reward_model if reward_model is not None else (names[0] if names else None)
    return _from_storm(built, chosen, gamma, str(path))


def storm_constrained_total(path: str | Path, objective: str, floors: Mapping[str, float], *, constants: str = "") -> float:
    """Storm's own answer to max E[total of ``objective``] subject to E[total of f] >= floors[f] for each f, to its precision of 1e-6.

    Objectives are reward structures of the program; totals are not discounted, and must be finite under every policy. Raises what
    :func:`from_prism_program` raises, :class:`ModelError` also where no policy meets the floors.
    """
    bounds = "".join(f', R{{"{name}"}}>={floor!r} [C]' for name, floor in floors.items())
    with _storm(path) as stormpy:
        program = _program(stormpy, path, constants)
        formulas = stormpy.parse_properties(f'multi(R{{"{objective}"}}max=? [C]{bounds})', program)
        built = stormpy.build_model(program, formulas)
        found = stormpy.model_checking(built, formulas[0])
        if not hasattr(found, "get_value"):  # the answer is "false", no number
            told = ", ".join(f"{v:g} ({k})" for k, v in floors.items())
            raise ModelError(f"{path}: no policy has totals of at least {told}.")
        return float(found.get_value(built.initial_states[0]))


def _program(stormpy: Any, path: str | Path, constants: str) -> Any:
    program = stormpy.parse_prism_program(str(path))
    if constants:
        program, _ = stormpy.instantiate_constants(program, constants)
    if program.has_undefined_constants:
        missing = ", ".join(c.name for c in program.constants if not c.defined)
        raise ModelError(f"{path}: the constants {missing} have no value; give them as constants='NAME=VALUE,...'.")
    return program


@contextlib.contextmanager
def _storm(path: str | Path) -> Iterator[Any]:
    """The package stormpy, silent, its errors told in one sentence."""
    try:
        import stormpy
    except ImportError as error:
        raise Unavailable("reading PRISM-language files needs stormpy: pip install mdplab[storm]") from error
    if not Path(path).is_file():
        raise ModelError(f"there is no file {path}.")
    try:
        with _silent():
            yield stormpy
    except ModelError:
        raise
    except Exception as error:  # Storm's own errors share no base class across its releases
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ModelError(f"Storm cannot build {path}: {' '.join(lines[:2]).rstrip('.') or type(error).__name__}.") from error


def _from_storm(built: Any, reward_model: str | None, gamma: float, path: str) -> TabularMDP:
    matrix, S = built.transition_matrix, built.nr_states
    N = matrix.nr_rows
    if matrix.has_trivial_row_grouping:
        pointer = np.arange(S + 1)
    else:
        pointer = np.array([*(matrix.get_row_group_start(s) for s in range(S)), N])
    rows, nexts, probability = _entries(matrix)
    reward = np.zeros(N)
    if reward_model is not None:
        given = built.reward_models[reward_model]
        if given.has_state_rewards:
            reward += np.repeat(np.array(list(given.state_rewards), dtype=float), np.diff(pointer))
        if given.has_state_action_rewards:
            reward += np.array(list(given.state_action_rewards), dtype=float)
        if given.has_transition_rewards:  # listed for some of the transitions only
            at, to, value = _entries(given.transition_rewards)
            row_of = np.repeat(np.arange(N), np.diff(rows))
            chance = {(n, s): p for n, s, p in zip(row_of.tolist(), nexts.tolist(), probability.tolist())}
            for n, s, r in zip(np.repeat(np.arange(N), np.diff(at)).tolist(), to.tolist(), value.tolist()):
                reward[n] += chance[n, s] * r
    start = np.zeros(S)
    start[list(built.initial_states)] = 1.0 / len(built.initial_states)
    action, action_names = label_choices([_label(built, n) for n in range(N)], pointer)
    try:
        return TabularMDP(
            state_pointer=pointer,
            row_pointer=rows,
            next_state=nexts,
            probability=normalise_rows(probability, rows),
            reward=reward,
            gamma=gamma,
            start=start,
            state_names=_valuations(built),
            action_names=action_names,
            action=action,
        )
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _entries(matrix: Any) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """Row pointer, columns and values of one of Storm's sparse matrices."""
    lengths, columns, values = [], [], []
    for row in range(matrix.nr_rows):
        entries = list(matrix.row_iter(row, row))
        lengths.append(len(entries))
        columns += [e.column for e in entries]
        values += [e.value for e in entries]
    pointer = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    return pointer, np.array(columns, dtype=np.int32), np.array(values, dtype=np.float64)


def _label(built: Any, choice: int) -> str:
    return "+".join(sorted(built.choice_labeling.get_labels_of_choice(choice)))


def _valuations(built: Any) -> tuple[str, ...]:
    """The values of the program's variables in each state, as "at=1, sent=0, taken=true"."""
    told = (json.loads(str(built.state_valuations.to_json(s))) for s in range(built.nr_states))
    return tuple(", ".join(f"{name}={json.dumps(value)}" for name, value in state.items()) for state in told)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Storm without its own log, which goes to the standard output and says what the exceptions say."""
    from stormpy import developer

    level = developer.get_log_level()
    developer.set_log_level(developer.LogLevel.OFF)
    try:
        yield
    finally:
        developer.set_log_level(level)


@model_family
def prism_model(name: str = "coin", gamma: float = 0.99, constants: str = "") -> TabularMDP:
    """One of the PRISM programs that come with mdplab, built by Storm.

    "coin" (a shared coin for consensus), "zeroconf" (choosing a network address), "scheduler" (three jobs on two machines) and
    "robot" (a floor with a janitor); each file says what it models and after whom. ``constants`` is for programs that leave
    some open.
    """
    known = sorted(p.stem for p in PROGRAMS.glob("*.prism"))
    if name not in known:
        raise ModelError(f"there is no PRISM program {name!r} here; there are {', '.join(known)}.")
    return from_prism_program(PROGRAMS / f"{name}.prism", gamma=gamma, constants=constants)
