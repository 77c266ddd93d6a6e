"""The explicit-state files of the model checker PRISM (Kwiatkowska, Norman and Parker 2011): reader and writer.

A model NAME is a handful of text files. ``NAME.tra`` begins with the numbers of states, choices and transitions, then lists
``state choice next probability [action]``, one transition a line (a Markov chain has no choices: ``states transitions``, then
``state next probability``). ``NAME.srew`` lists ``state reward`` after ``states entries``, ``NAME.trew`` lists
``state choice next reward`` after ``states choices entries``, ``NAME.lab`` tells the labels of states, ``init`` among them, and
``NAME.sta`` the values of the variables in each state. Lines that begin with # are comments. What the format has no
place for (the discount, a start that is not uniform over states, names, the key) :func:`write_prism` puts beside them in
``NAME.mdplab.json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdplab.models.action_names import label_choices
from mdplab.models.errors import ModelError
from mdplab.models.tabular import TabularMDP, positions
from mdplab.models.validation import normalise_rows

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_prism(
    path: str | Path,
    gamma: float | None = None,
    *,
    state_rewards: str | Path | None = None,
    transition_rewards: str | Path | None = None,
) -> TabularMDP:
    """The model of ``NAME.tra`` and of what stands beside it; a Markov chain has one action in each state.

    The reward of a pair is the state reward plus the expected transition reward; a file that is missing counts as zeros, and the
    two keywords name others than ``NAME.srew`` and ``NAME.trew``. The start is uniform over the states labelled ``init`` in
    ``NAME.lab``, or state 0 without that file. ``gamma`` defaults to what ``NAME.mdplab.json`` says, else 0.99. Rows that miss 1
    because the file has few decimals (by at most 1e-5, as PRISM itself allows) are divided by their sums.

    Raises :class:`ModelError`, one sentence with file and line, for a malformed or truncated file. A file whose last line does
    not end counts as truncated: its last number may have lost digits.
    """
    tra = Path(path)
    if tra.suffix != ".tra":
        tra = tra.with_name(tra.name + ".tra")
    side = _read_side(tra.with_suffix(".mdplab.json"))
    moves = _read_transitions(tra)
    reward = np.zeros(moves.pairs)
    named = Path(state_rewards) if state_rewards is not None else None
    if (file := named or tra.with_suffix(".srew")).exists() or named:
        reward += _read_state_rewards(file, moves)
    named = Path(transition_rewards) if transition_rewards is not None else None
    if (file := named or tra.with_suffix(".trew")).exists() or named:
        reward += _read_transition_rewards(file, moves)
    fields: dict[str, Any] = {"gamma": 0.99, "start": _read_start(tra.with_suffix(".lab"), moves.states)}
    fields["action"], fields["action_names"] = label_choices(moves.names, moves.state_pointer)
    fields["state_names"] = _read_state_names(tra.with_suffix(".sta"), moves.states)
    fields |= side
    if gamma is not None:
        fields["gamma"] = gamma
    try:
        return TabularMDP(
            state_pointer=moves.state_pointer,
            row_pointer=moves.row_pointer,
            next_state=moves.next_state.astype(np.int32),
            probability=normalise_rows(moves.probability, moves.row_pointer),
            reward=reward,
            **fields,
        )
    except ModelError as error:
        raise ModelError(f"{tra}: {error}") from error


def write_prism(mdp: TabularMDP, path: str | Path) -> Path:
    """Write ``NAME.tra``, ``.srew`` (empty), ``.trew``, ``.lab`` and ``.mdplab.json``; returns the path of the first.

    Numbers are written with the digits (at most 17) that give them back exactly: :func:`read_prism` returns the same model. The
    reward of a pair stands at each of its transitions. ``init`` labels the states of positive start probability. A model with
    one action in each state is written as a Markov chain.
    """
    tra = Path(path)
    if tra.suffix != ".tra":
        tra = tra.with_name(tra.name + ".tra")
    assert mdp.action is not None
    S, N, nnz = mdp.states, mdp.pairs, mdp.transitions
    is_chain = mdp.max_actions == 1
    pair = np.repeat(np.arange(N), np.diff(mdp.row_pointer))
    state = mdp.pair_state[pair].tolist()
    choice = positions(np.diff(mdp.state_pointer))[pair].tolist()
    where = [f"{s} {t}" for s, t in zip(state, mdp.next_state.tolist())]
    if not is_chain:
        where = [f"{s} {c} {t}" for s, c, t in zip(state, choice, mdp.next_state.tolist())]
    positional = np.array_equal(mdp.action, positions(np.diff(mdp.state_pointer)))
    labels = [""] * N
    if not is_chain and (mdp.action_names is not None or not positional):
        labels = [" " + _word(mdp, label) for label in mdp.action.tolist()]
    names = [labels[n] for n in pair.tolist()]
    sizes = f"{S} {nnz}" if is_chain else f"{S} {N} {nnz}"
    transitions = (f"{w} {p!r}{name}" for w, p, name in zip(where, mdp.probability.tolist(), names))
    paid = mdp.reward[pair]
    first = _first_of_equal(pair, mdp.next_state)  # a next state that stands twice in a row is paid for once
    listed = [f"{where[k]} {paid[k].item()!r}" for k in np.flatnonzero((paid != 0) & first).tolist()]
    counts = f"{S} {len(listed)}" if is_chain else f"{S} {N} {len(listed)}"
    initial = np.flatnonzero(mdp.start_distribution > 0).tolist()
    about = {
        "gamma": mdp.gamma,
        "start": None if mdp.start is None else mdp.start.tolist(),
        "state_names": mdp.state_names,
        "action_names": mdp.action_names,
        "action": None if positional else mdp.action.tolist(),
        "key": mdp.key,
    }
    _write(tra, [sizes, *transitions])
    _write(tra.with_suffix(".srew"), [f"{S} 0"])
    _write(tra.with_suffix(".trew"), [counts, *listed])
    _write(tra.with_suffix(".lab"), ['0="init" 1="deadlock"', *(f"{s}: 0" for s in initial)])
    _write(tra.with_suffix(".mdplab.json"), [json.dumps(about)])
    return tra


@dataclass(frozen=True)
class _Table:
    """The numbers of a file of rows: its header, its integer columns, its real column, and what stands after it."""

    path: Path
    header: tuple[int, ...]
    integers: NDArray[np.int64]  # (rows, columns - 1)
    reals: NDArray[np.float64]
    trailing: list[str]
    lines: list[int]  # the number of each row's line in the file

    def fault(self, row: int, sentence: str) -> ModelError:
        return ModelError(f"{self.path}, line {self.lines[row]}: {sentence}.")


@dataclass(frozen=True)
class _Moves:
    """The transitions of a model in PRISM's files, sorted by state and choice."""

    is_chain: bool
    state_pointer: NDArray[np.int64]
    row_pointer: NDArray[np.int64]
    next_state: NDArray[np.int64]
    probability: NDArray[np.float64]
    names: list[str]  # of each pair; empty where the file gives none

    @property
    def states(self) -> int:
        return self.state_pointer.size - 1

    @property
    def pairs(self) -> int:
        return self.row_pointer.size - 1

    @property
    def pair(self) -> NDArray[np.int64]:
        """The pair of each transition."""
        return np.repeat(np.arange(self.pairs), np.diff(self.row_pointer))


def _lines_of(path: Path) -> list[tuple[int, str]]:
    """The numbered lines of a file that are neither blank nor comments; at least one."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is not a text file.") from error
    lines = text.splitlines()
    content = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    if not content:
        raise ModelError(f"{path} is empty.")
    if not text.endswith("\n"):
        raise ModelError(f"{path}, line {len(lines)}: the last line does not end; the file seems to be truncated.")
    return content


def _read_table(path: Path, headers: dict[int, tuple[str, ...]], extra: bool, what: str) -> _Table:
    """Read a file of rows; ``headers`` says, for each number of sizes in the first line, what the columns below it are."""
    content = _lines_of(path)
    number, first = content[0]
    try:
        header = tuple(int(token) for token in first.split())
    except ValueError:
        header = ()
    if len(header) not in headers or min(header) < 0:
        forms = " or ".join(str(n) for n in headers)
        raise ModelError(f"{path}, line {number}: the first line must hold {forms} whole numbers, not {first.strip()!r}.")
    columns = headers[len(header)]
    body = content[1:]
    if len(body) != header[-1]:
        raise ModelError(
            f"{path}, line {content[-1][0]}: the first line announces {header[-1]} {what}, but the file holds {len(body)}; "
            f"it may be truncated."
        )
    tokens = [line.split() for _, line in body]
    lines = [n for n, _ in body]
    width = len(columns)
    for n, row in zip(lines, tokens):
        if len(row) != width and not (extra and len(row) == width + 1):
            raise ModelError(f"{path}, line {n}: a line must read '{' '.join(columns)}', not {' '.join(row)!r}.")
    integers = np.empty((len(tokens), width - 1), dtype=np.int64)
    for k in range(width - 1):
        integers[:, k] = _column(path, lines, tokens, k, columns[k], int, np.int64)
    reals = _column(path, lines, tokens, width - 1, columns[-1], float, np.float64)
    table = _Table(path, header, integers, reals, [row[width] if len(row) > width else "" for row in tokens], lines)
    unreal = ~np.isfinite(reals)
    if unreal.any():
        where = int(np.argmax(unreal))
        raise table.fault(where, f"the {columns[-1]} is {reals[where]}")
    for k, name in enumerate(columns[:-1]):
        limit = header[1] if name == "choice" else header[0]
        outside = (integers[:, k] < 0) | (integers[:, k] >= limit)
        if outside.any():
            where = int(np.argmax(outside))
            raise table.fault(where, f"the {name} is {integers[where, k]}, but there are only {limit}")
    return table


def _column(
    path: Path, lines: list[int], tokens: list[list[str]], k: int, name: str, parse: Callable[[str], Any], dtype: Any
) -> NDArray[Any]:
    try:
        return np.fromiter((parse(row[k]) for row in tokens), dtype=dtype, count=len(tokens))
    except (ValueError, OverflowError):
        faulty = next(i for i, row in enumerate(tokens) if not _parses(row[k], parse, dtype))
        raise ModelError(
            f"{path}, line {lines[faulty]}: the {name} is {tokens[faulty][k]!r}, which is no such number."
        ) from None


def _parses(token: str, parse: Callable[[str], Any], dtype: Any) -> bool:
    try:
        np.fromiter((parse(token),), dtype=dtype, count=1)
    except (ValueError, OverflowError):
        return False
    return True


def _read_transitions(path: Path) -> _Moves:
    columns = ("state", "choice", "next state", "probability")
    table = _read_table(path, {3: columns, 2: (columns[0], *columns[2:])}, True, "transitions")
    is_chain = len(table.header) == 2
    S = table.header[0]
    state, to = table.integers[:, 0], table.integers[:, -1]
    choice = np.zeros_like(state) if is_chain else table.integers[:, 1]
    wrong = table.reals < 0
    if wrong.any():
        row = int(np.argmax(wrong))
        raise table.fault(row, f"the probability is {table.reals[row]}")
    order = np.lexsort((choice, state))  # stable: the order within a pair stays
    state, choice, to = state[order], choice[order], to[order]
    opens = np.ones(state.size, dtype=bool)
    opens[1:] = (np.diff(state) != 0) | (np.diff(choice) != 0)
    firsts = np.flatnonzero(opens)
    counts = np.bincount(state[firsts], minlength=S)
    if (counts == 0).any():
        raise ModelError(f"{path}: state {int(np.argmin(counts))} has no transitions.")
    gap = choice[firsts] != positions(counts)
    if gap.any():
        row = int(firsts[np.argmax(gap)])
        raise table.fault(
            int(order[row]), f"state {state[row]} has a choice {choice[row]} but no choice {positions(counts)[np.argmax(gap)]}"
        )
    if not is_chain and firsts.size != table.header[1]:
        raise ModelError(f"{path}: the first line announces {table.header[1]} choices, but the file holds {firsts.size}.")
    names = [table.trailing[k] for k in order.tolist()]
    row_pointer = np.append(firsts, state.size)
    pair_names = [names[k] for k in firsts.tolist()]
    for k, n in enumerate(np.repeat(np.arange(firsts.size), np.diff(row_pointer)).tolist() if any(names) else ()):
        if names[k] != pair_names[n]:
            raise table.fault(
                int(order[k]),
                f"the action of state {state[k]}, choice {choice[k]} is {names[k]!r} here and {pair_names[n]!r} before",
            )
    return _Moves(
        is_chain,
        np.concatenate(([0], np.cumsum(counts))),
        row_pointer,
        to,
        table.reals[order],
        [] if is_chain else pair_names,
    )


def _read_state_rewards(path: Path, moves: _Moves) -> NDArray[np.float64]:
    table = _read_table(path, {2: ("state", "reward")}, False, "rewards")
    _same_size(path, "states", table.header[0], moves.states)
    state = table.integers[:, 0]
    _no_repetition(table, state)
    reward = np.zeros(moves.states)
    reward[state] = table.reals
    return np.repeat(reward, np.diff(moves.state_pointer))


def _read_transition_rewards(path: Path, moves: _Moves) -> NDArray[np.float64]:
    columns = ("state", "choice", "next state", "reward")
    form: dict[int, tuple[str, ...]] = {2: (columns[0], *columns[2:])} if moves.is_chain else {3: columns}
    table = _read_table(path, form, False, "rewards")
    _same_size(path, "states", table.header[0], moves.states)
    if not moves.is_chain:
        _same_size(path, "choices", table.header[1], moves.pairs)
    state, to = table.integers[:, 0], table.integers[:, -1]
    choice = np.zeros_like(state) if moves.is_chain else table.integers[:, 1]
    S = moves.states
    few = choice >= np.diff(moves.state_pointer)[state]
    if few.any():
        row = int(np.argmax(few))
        raise table.fault(row, f"state {state[row]} has no choice {choice[row]}")
    pair = moves.state_pointer[state] + choice
    code = pair * S + to
    _no_repetition(table, code)
    known, place = np.unique(moves.pair * S + moves.next_state, return_inverse=True)
    chance = np.bincount(place, moves.probability)
    found = np.searchsorted(known, code)
    unknown = (found >= known.size) | (known[np.minimum(found, known.size - 1)] != code)
    if unknown.any():
        row = int(np.argmax(unknown))
        raise table.fault(row, f"state {state[row]}, choice {choice[row]} has no transition to state {to[row]}")
    reward = np.bincount(pair, chance[found] * table.reals, minlength=moves.pairs).astype(np.float64)  # integers if empty
    # where every transition of a pair pays the same, that is the mean, exactly
    low, high = np.full(moves.pairs, np.inf), np.full(moves.pairs, -np.inf)
    np.minimum.at(low, pair, table.reals)
    np.maximum.at(high, pair, table.reals)
    complete = np.bincount(pair, minlength=moves.pairs) == np.bincount(known // S, minlength=moves.pairs)
    constant = complete & (low == high)
    reward[constant] = low[constant]
    return reward


def _same_size(path: Path, what: str, told: int, size: int) -> None:
    if told != size:
        raise ModelError(f"{path}, line 1: the file is for {told} {what}, but the model has {size}.")


def _no_repetition(table: _Table, code: NDArray[np.int64]) -> None:
    _, first = np.unique(code, return_index=True)
    if first.size < code.size:
        again = np.ones(code.size, dtype=bool)
        again[first] = False
        raise table.fault(int(np.argmax(again)), "this reward is given a second time")


def _read_start(path: Path, S: int) -> NDArray[np.float64]:
    start = np.zeros(S)
    if not path.exists():
        start[0] = 1.0
        return start
    (number, declared), *body = _lines_of(path)
    labels = {name: int(k) for k, name in re.findall(r'(\d+)="([^"]*)"', declared)}
    if "init" not in labels:
        raise ModelError(f"{path}, line {number}: no label 'init' is declared.")
    for n, line in body:
        try:
            state, numbers = line.split(":")
            if labels["init"] in [int(k) for k in numbers.split()]:
                start[_index(int(state), S)] = 1.0
        except ValueError:
            raise ModelError(f"{path}, line {n}: a line must read 'state: label label ...', not {line.strip()!r}.") from None
        except IndexError:
            raise ModelError(f"{path}, line {n}: the state is {state.strip()}, but there are only {S}.") from None
    if not start.any():
        raise ModelError(f"{path}: no state is labelled 'init'; the file may be truncated.")
    return start / start.sum()


def _read_state_names(path: Path, S: int) -> tuple[str, ...] | None:
    if not path.exists():
        return None
    (_, header), *body = _lines_of(path)
    variables = header.strip().strip("()").split(",")
    names: list[str | None] = [None] * S
    for n, line in body:
        match = re.fullmatch(r"(\d+):\((.*)\)", line.strip())
        values = match.group(2).split(",") if match else []
        if match is None or int(match.group(1)) >= S or len(values) != len(variables):
            raise ModelError(f"{path}, line {n}: a line must read 'state:({','.join(variables)})', not {line.strip()!r}.")
        names[int(match.group(1))] = ", ".join(f"{v}={x}" for v, x in zip(variables, values))
    if None in names:
        raise ModelError(f"{path}: state {names.index(None)} is missing; the file may be truncated.")
    return tuple(str(name) for name in names)


def _read_side(path: Path) -> dict[str, Any]:
    """The fields that ``NAME.mdplab.json`` decides; none without that file."""
    if not path.exists():
        return {}
    try:
        told = json.loads("".join(line for _, line in _lines_of(path)))
        return {name: told[name] for name in ("gamma", "start", "state_names", "action_names", "action", "key")}
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ModelError(f"{path} cannot be read ({error!r}); it may be truncated.") from error


def _index(state: int, S: int) -> int:
    if not 0 <= state < S:
        raise IndexError(state)
    return state


def _word(mdp: TabularMDP, label: int) -> str:
    """The name of an action as PRISM would allow it: an identifier."""
    name = f"a{label}" if mdp.action_names is None else re.sub(r"\W+", "_", mdp.action_names[label])
    return name if _WORD.fullmatch(name) else f"a{label}"


def _first_of_equal(pair: NDArray[np.int64], to: NDArray[np.int32]) -> NDArray[np.bool_]:
    first = np.zeros(pair.size, dtype=bool)
    first[np.unique(np.stack((pair, to.astype(np.int64))), axis=1, return_index=True)[1]] = True
    return first


def _write(path: Path, lines: list[str]) -> None:
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise ModelError(f"{path} cannot be written: {error.strerror or error}.") from error
