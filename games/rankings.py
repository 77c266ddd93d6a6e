r"""Preferences that people (or races) expressed: rankings, counted pair by pair, and the preference games they make.

A ranking is read as all the comparisons that it contains: an alternative wins one comparison against every alternative that
stands below it, and two alternatives that tie win half a comparison each. :math:`w_{ij}` is how many comparisons i won against
j, so that :math:`w_{ij} + w_{ji}` is how many there were.

Read from PrefLib files (Mattei and Walsh 2013, https://preflib.org, the format of September 2022) and from tables of counts.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.preference import PreferenceGame
from theory.errors import InputError

Array = NDArray[np.float64]
Order = Sequence[Sequence[int]]  # groups of tied alternatives, the best first
Unranked = Literal["absent", "last"]

COLUMNS = ["winner", "loser", "count"]
COMPLETE = {"soc": True, "toc": True, "soi": False, "toi": False}
STRICT = {"soc": True, "soi": True, "toc": False, "toi": False}
_ORDER = re.compile(r"(?:\d+|\{\s*\d+\s*(?:,\s*\d+\s*)*\})(?:\s*,\s*(?:\d+|\{\s*\d+\s*(?:,\s*\d+\s*)*\}))*")
_GROUP = re.compile(r"\{[^}]*\}|\d+")
_FIELD = re.compile(r"#\s*([A-Z][A-Z ]*?)\s*(\d*)\s*:\s*(.*?)\s*")


@dataclass(frozen=True, eq=False)
class PairwiseCounts:
    """How often each alternative was preferred to each other.

    ``names``, K different texts of one line. ``wins``, shape (K, K): ``wins[i, j]`` comparisons that i won against j, at least 0,
    with a diagonal of 0; a tie counts half for either.

    Raises :class:`InputError` naming a name that is empty or stands twice, or a pair whose count is not a number of at least 0.
    """

    names: tuple[str, ...]
    wins: Array

    def __post_init__(self) -> None:
        names, wins = tuple(self.names), np.array(self.wins, dtype=float)
        K = len(names)
        if K == 0:
            raise InputError("pairwise counts need at least one alternative.")
        for position, name in enumerate(names):
            if not name or name != name.strip() or not name.isprintable():
                raise InputError(
                    f"alternative {position} has the name {name!r}, which is not one line of text without margins."
                )
            if name in names[:position]:
                raise InputError(f"alternatives {names.index(name)} and {position} are both called {name!r}.")
        if wins.shape != (K, K):
            raise InputError(f"the counts of {K} alternatives have the shape ({K}, {K}), not {wins.shape}.")
        bad = ~(wins >= 0) | np.isinf(wins)
        if bad.any():
            i, j = (int(n) for n in np.argwhere(bad)[0])
            raise InputError(f"the count of {names[i]!r} against {names[j]!r} is {wins[i, j]}, not a number of at least 0.")
        if np.diagonal(wins).any():
            i = int(np.flatnonzero(np.diagonal(wins))[0])
            raise InputError(f"{names[i]!r} is counted {wins[i, i]:g} times against itself.")
        wins.setflags(write=False)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "wins", wins)

    @property
    def comparisons(self) -> Array:
        """How often each pair was compared, shape (K, K), symmetric."""
        return self.wins + self.wins.T

    @property
    def condorcet_winner(self) -> str | None:
        """The alternative that won more than half of its comparisons against every other, if there is one."""
        beats = (self.wins > self.wins.T).sum(axis=1) == len(self.names) - 1
        return self.names[int(np.argmax(beats))] if beats.any() else None

    def relabelled(self, order: ArrayLike) -> PairwiseCounts:
        """The same counts in another order: new alternative a is the old one at ``order[a]``, a permutation."""
        new = np.asarray(order)
        K = len(self.names)
        if new.shape != (K,) or not np.array_equal(np.sort(new), np.arange(K)):
            raise InputError(f"an order of {K} alternatives is a permutation of 0 .. {K - 1}, not {order!r}.")
        return PairwiseCounts(tuple(self.names[i] for i in new), self.wins[np.ix_(new, new)])

    def to_game(
        self,
        *,
        smoothing: float = 0.0,
        uncompared: Literal["error", "even"] = "error",
        reference: ArrayLike | None = None,
        key: str | None = None,
    ) -> PreferenceGame:
        r"""The game in which i is preferred to j with probability

        .. math:: P_{ij} = \frac{w_{ij} + a}{w_{ij} + w_{ji} + 2a}, \qquad a = \text{smoothing} \ge 0.

        This is the posterior mean of a probability with the prior Beta(a, a): a = 0 is the frequency, a = 1/2 Jeffreys' prior, a = 1
        Laplace's rule. ``reference``, shape (K,), are positive probabilities (uniform if not given).

        A pair that was never compared has P = 1/2 if ``smoothing`` is positive or ``uncompared`` is ``"even"``; else it is an
        :class:`InputError` that names the pair.
        """
        a = float(smoothing)
        if not 0 <= a < np.inf:
            raise InputError(f"smoothing adds a finite count of at least 0 to both sides, not {smoothing}.")
        if uncompared not in ("error", "even"):
            raise InputError(f"uncompared pairs are an 'error' or 'even', not {uncompared!r}.")
        total = self.comparisons + 2 * a
        never = (total == 0) & ~np.eye(len(self.names), dtype=bool)
        if never.any() and uncompared == "error":
            i, j = (int(n) for n in np.argwhere(never)[0])
            raise InputError(
                f"{self.names[i]!r} and {self.names[j]!r} were never compared; give smoothing > 0 or uncompared='even'."
            )
        A = (self.wins - self.wins.T) / (2 * np.where(total > 0, total, 1.0))  # P - 1/2
        return PreferenceGame.from_win_probabilities(A + 0.5, reference, key)

    def write_csv(self, path: str | Path, *, comment: str = "") -> None:
        """Write the table that :func:`read_pairwise_csv` reads: a row for every ordered pair, names in their order.

        The lines of ``comment`` stand above the header, each after ``# ``. A single alternative has no pair to be written.
        """
        K = len(self.names)
        if K < 2:
            raise InputError(f"a table of pairs needs at least two alternatives, not {K}.")
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.writelines(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            for i in range(K):
                for j in range(K):
                    if i != j:
                        count = float(self.wins[i, j])
                        table.writerow([self.names[i], self.names[j], int(count) if count.is_integer() else repr(count)])


def count_rankings(
    names: Sequence[str], rankings: Iterable[tuple[float, Order]], *, unranked: Unranked = "absent"
) -> PairwiseCounts:
    """The pairwise counts of ``rankings``, pairs of a multiplicity and an order.

    An order is a sequence of groups of alternatives (positions in ``names``), the best first; those of one group tie, which
    counts half a win for each. What an order leaves out is compared with nothing in it (``unranked="absent"``: a driver who
    did not start), or stands below everything in it, in no order of its own and so without comparisons among themselves
    (``"last"``: candidates for whom a voter had no use).
    """
    if unranked not in ("absent", "last"):
        raise InputError(f"unranked alternatives are 'absent' or 'last', not {unranked!r}.")
    K = len(names)
    wins = np.zeros((K, K))
    for position, (count, order) in enumerate(rankings):
        if not 0 <= count < np.inf:
            raise InputError(f"ranking {position} has the count {count}, which must be at least 0 and finite.")
        listed = [i for group in order for i in group]
        for i in listed:
            if not 0 <= i < K:
                raise InputError(f"ranking {position} has the alternative {i}; there are {K}, counted from 0.")
            if listed.count(i) > 1:
                raise InputError(f"ranking {position} has the alternative {i} twice.")
        place = np.full(K, len(order))  # of what is left out: below everything
        for p, group in enumerate(order):
            place[list(group)] = p
        ranked = place < len(order)
        compared = np.logical_or.outer(ranked, ranked) if unranked == "last" else np.logical_and.outer(ranked, ranked)
        above = place[:, None] < place
        tied = (place[:, None] == place) & ~np.eye(K, dtype=bool)
        wins += count * compared * (above + 0.5 * tied)
    return PairwiseCounts(tuple(names), wins)


def read_preflib(path: str | Path, *, unranked: Unranked | None = None) -> PairwiseCounts:
    """The pairwise counts of a PrefLib file of orders: strict or with ties, complete or not (.soc, .soi, .toc, .toi).

    In a file of incomplete orders the alternatives that an order leaves out may be absent from the comparison or stand below
    the rest; the file does not say which, so ``unranked`` must (:func:`count_rankings`).

    Raises :class:`InputError` naming the file and the line for what cannot be read: a line of another form, an alternative
    that the header does not have, a tie or a gap that the type of the file rules out; and for a file whose counts do not add
    up to its NUMBER VOTERS.
    """
    path = Path(path)
    fields: dict[str, str] = {}
    names: dict[int, str] = {}
    rankings: list[tuple[int, list[list[int]]]] = []
    where: list[int] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        place = f"{path}, line {number}"
        if not line.strip():
            continue
        if line.startswith("#"):
            match = _FIELD.fullmatch(line)
            if match and match[1] == "ALTERNATIVE NAME":
                _take_name(names, match[2], _one_line(match[3]), place)
            elif match and not match[2]:
                fields[match[1]] = match[3]
            continue
        if not fields and not names:
            raise InputError(f"{place}: data before a header of '# NAME: value' lines, which PrefLib files have since 2022.")
        count, order = _order(line, place)
        rankings.append((count, order))
        where.append(number)

    kind = _kind(path, fields)
    K, voters = (_whole(path, fields, name) for name in ("NUMBER ALTERNATIVES", "NUMBER VOTERS"))
    if sorted(names) != list(range(1, K + 1)):
        missing = next((n for n in range(1, K + 1) if n not in names), None)
        extra = max(names, default=0)
        detail = f"no ALTERNATIVE NAME {missing}" if missing else f"an ALTERNATIVE NAME {extra}"
        raise InputError(f"{path} announces {K} alternatives but has {detail}.")
    for number, (_, order) in zip(where, rankings):
        _check_order(order, kind, K, f"{path}, line {number}")
    total = sum(count for count, _ in rankings)
    if total != voters:
        raise InputError(f"{path} announces {voters} voters but its counts add up to {total}; it may be truncated.")
    if COMPLETE[kind]:
        unranked = "absent"
    elif unranked is None:
        raise InputError(f"{path} has incomplete orders: say whether what they leave out is unranked='absent' or 'last'.")
    shifted = [(count, [[i - 1 for i in group] for group in order]) for count, order in rankings]
    return count_rankings([names[n] for n in range(1, K + 1)], shifted, unranked=unranked)


def read_pairwise_csv(path: str | Path, *, names: Sequence[str] | None = None) -> PairwiseCounts:
    """The pairwise counts of a CSV table with the header ``winner,loser,count``.

    A row says that ``winner`` was preferred to ``loser`` ``count`` times (0 or more; not necessarily whole: ties count half a
    win each). Rows of one pair add up, pairs without a row have the count 0. Lines that start with ``#`` above the header are
    comments. Alternatives are in the order of ``names``, or in that in which they first stand in the table.

    Raises :class:`InputError` naming the file and the line for what cannot be read, and for an alternative that is not one
    of ``names``.
    """
    path = Path(path)
    lines = _text(path).splitlines()
    start = next((n for n, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    rows = csv.reader(lines[start:])
    header = [cell.strip() for cell in next(rows, [])]
    if header != COLUMNS:
        raise InputError(f"{path}, line {start + 1}: the header is {','.join(COLUMNS)}, not {','.join(header)!r}.")
    found: dict[str, int] = {name: i for i, name in enumerate(names or ())}
    counts: list[tuple[int, int, float]] = []
    for row in _rows(rows, path):
        place = f"{path}, line {start + rows.line_num}"
        if not row:
            continue
        if len(row) != len(COLUMNS):
            raise InputError(f"{place}: a row has a winner, a loser and a count, not {len(row)} cells.")
        winner, loser = _one_line(row[0]), _one_line(row[1])
        for name in (winner, loser):
            if not name:
                raise InputError(f"{place}: a name is empty.")
            if name not in found:
                if names is not None:
                    raise InputError(f"{place}: {name!r} is none of the {len(names)} alternatives.")
                found[name] = len(found)
        if winner == loser:
            raise InputError(f"{place}: {winner!r} is compared with itself.")
        counts.append((found[winner], found[loser], _count(row[2], place)))
    if not found:
        raise InputError(f"{path} has no comparison below its header.")
    wins = np.zeros((len(found), len(found)))
    for i, j, count in counts:
        wins[i, j] += count
    return PairwiseCounts(tuple(found), wins)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text in UTF-8: byte {error.start} cannot be read.") from error


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _rows(rows: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    try:
        yield from rows
    except csv.Error as error:
        raise InputError(f"{path} is not a table in CSV: {error}.") from error


def _count(text: str, place: str) -> float:
    try:
        count = float(text)
    except ValueError:
        raise InputError(f"{place}: the count is a number, not {text!r}.") from None
    if not 0 <= count < np.inf:
        raise InputError(f"{place}: the count is {text.strip()}, which must be at least 0 and finite.")
    return count


def _take_name(names: dict[int, str], digits: str, name: str, place: str) -> None:
    if not digits:
        raise InputError(f"{place}: an ALTERNATIVE NAME needs the number of its alternative.")
    if not name:
        raise InputError(f"{place}: alternative {digits} has no name.")
    if int(digits) in names:
        raise InputError(f"{place}: alternative {digits} has a second name, {name!r}.")
    if name in names.values():
        raise InputError(f"{place}: two alternatives are called {name!r}.")
    names[int(digits)] = name


def _order(line: str, place: str) -> tuple[int, list[list[int]]]:
    """The multiplicity and the groups of a line ``count: 1,2,{3,4}``."""
    count, colon, order = (part.strip() for part in line.partition(":"))
    if not colon:
        raise InputError(f"{place}: a line of data is 'count: order', not {line.strip()!r}.")
    if not re.fullmatch(r"[1-9]\d*", count):
        raise InputError(f"{place}: the count is a positive whole number, not {count!r}.")
    if not _ORDER.fullmatch(order):
        raise InputError(f"{place}: an order is like 1,2,{{3,4}}, not {order!r}.")
    return int(count), [[int(n) for n in re.findall(r"\d+", group)] for group in _GROUP.findall(order)]


def _kind(path: Path, fields: dict[str, str]) -> str:
    """The type of orders that the header, or else the ending of the file's name, announces."""
    kind = (fields.get("DATA TYPE") or path.suffix.lstrip(".")).lower()
    if kind not in COMPLETE:
        raise InputError(f"{path} is of the type {kind or 'unknown'!r}; only {', '.join(COMPLETE)} files hold orders.")
    return kind


def _whole(path: Path, fields: dict[str, str], name: str) -> int:
    if name not in fields:
        raise InputError(f"{path} has no line '# {name}: ...'.")
    if not re.fullmatch(r"[1-9]\d*", fields[name]):
        raise InputError(f"{path}: {name} is a positive whole number, not {fields[name]!r}.")
    return int(fields[name])


def _check_order(order: list[list[int]], kind: str, K: int, place: str) -> None:
    listed: set[int] = set()
    for group in order:
        if STRICT[kind] and len(group) > 1:
            raise InputError(f"{place}: alternatives {group[0]} and {group[1]} tie, which a {kind} file rules out.")
        for i in group:
            if not 1 <= i <= K:
                raise InputError(f"{place}: there is no alternative {i}; they are numbered 1 .. {K}.")
            if i in listed:
                raise InputError(f"{place}: alternative {i} stands twice in the order.")
            listed.add(i)
    if COMPLETE[kind] and len(listed) < K:
        absent = next(i for i in range(1, K + 1) if i not in listed)
        raise InputError(f"{place}: alternative {absent} is missing from the order, which a {kind} file rules out.")
