r"""Logged bandit data in the layout of the Open Bandit Dataset (Saito, Aihara, Matsutani and Narita 2021, arXiv:2008.07146).

A folder, such as ``random/all``, holds the log of one policy in one campaign: ``all.csv``, named like the folder, with a record a line,

    timestamp, item_id, position, click, propensity_score, user_feature_0, ..., user-item_affinity_0, ...

and ``item_context.csv`` with a line for each item: item_id, item_feature_0 (a number), item_feature_1, ... (categories). Both
files may begin with a column without a name, the number of the line. User features are categories (hashes); positions are the slots
of a page, numbered from 1; the propensity is the probability of the item given its position.

A file that is not of this layout is refused with one sentence that names the file, the line and the column.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandits.off_policy_evaluation import Log
from theory.errors import InputError, Unavailable

Array = NDArray[np.float64]
REQUIRED = ("timestamp", "item_id", "position", "click", "propensity_score")
ITEM_FILE = "item_context.csv"
CHUNK = 50_000  # lines that are held as text at a time


@dataclass(frozen=True, eq=False)
class ItemContext:
    """The items of a campaign: ``features[i, j]`` is the text of feature j of item i, shape (items, features)."""

    names: tuple[str, ...]
    features: NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class LoggedBanditData:
    """n records: times in UTC (datetime64[us]), items, positions (from 1), clicks (0 or 1) and propensities in (0, 1], shape (n,).

    ``user_features``, shape (n, u), are texts and ``affinities``, shape (n, v), numbers; their columns' names are kept.
    """

    timestamps: NDArray[np.datetime64]
    items: NDArray[np.int64]
    positions: NDArray[np.int64]
    clicks: NDArray[np.int64]
    propensities: Array
    user_features: NDArray[np.str_]
    affinities: Array
    user_feature_names: tuple[str, ...]
    affinity_names: tuple[str, ...]
    item_context: ItemContext

    @property
    def size(self) -> int:
        """The number of records n."""
        return self.items.size

    @property
    def item_count(self) -> int:
        """The number of items of the campaign, logged or not."""
        return self.item_context.features.shape[0]

    def log(self, contexts: ArrayLike | None = None) -> Log:
        """The records for :mod:`bandits.off_policy_evaluation`: clicks as rewards, items as actions.

        ``contexts``, shape (n,), tells the context of each record; the position (from 0) if not given.
        """
        where = self.positions - 1 if contexts is None else np.asarray(contexts)
        return Log(where, self.items, self.clicks.astype(float), self.propensities)


def open_bandit_sample(behaviour: str = "random", campaign: str = "all") -> Path:
    """The folder of the sample (10000 records) of the Open Bandit Dataset that the package obp ships.

    ``behaviour`` is ``random`` or ``bts`` (Bernoulli Thompson sampling), ``campaign`` ``all``, ``men`` or ``women``. The package is looked
    for and not imported, so that nothing that it depends on is needed: ``pip install --no-deps obp==0.4.1``. Raises
    :class:`~theory.errors.Unavailable` without it.
    """
    if behaviour not in ("random", "bts") or campaign not in ("all", "men", "women"):
        raise InputError(
            f"the sample has the policies random, bts and the campaigns all, men, women, not {behaviour}/{campaign}."
        )
    found = importlib.util.find_spec("obp")
    for place in (found.submodule_search_locations or ()) if found else ():
        folder = Path(place) / "dataset" / "obd" / behaviour / campaign
        if folder.is_dir():
            return folder
    raise Unavailable("the Open Bandit sample is shipped by the package obp: pip install --no-deps obp==0.4.1")


def read_open_bandit(folder: str | Path) -> LoggedBanditData:
    """Read a folder of the layout above.

    Raises :class:`InputError` naming the file, line and column of the first thing that is wrong: a missing file or column, a line of
    another length, a time, number or category that is none, an item that item_context.csv does not have, a position below 1, a click
    other than 0 and 1, a propensity outside (0, 1].
    """
    folder = Path(folder)
    item_context = _read_items(folder / ITEM_FILE)
    known = item_context.features.shape[0]
    path = folder / f"{folder.resolve().name}.csv"
    parts: list[dict[str, Any]] = []
    names: list[str] = []
    users: list[int] = []
    affinities: list[int] = []
    for names, numbers, lines in _chunks(path, REQUIRED):
        users = [j for j, name in enumerate(names) if name.startswith("user_feature_")]
        affinities = [j for j, name in enumerate(names) if name.startswith("user-item_affinity_")]
        reader = _Columns(path, names, numbers, lines)
        parts.append(
            {
                "timestamps": reader.times("timestamp"),
                "items": reader.whole(
                    "item_id", lambda v: (v >= 0) & (v < known), f"an item of {ITEM_FILE} (0 to {known - 1})"
                ),
                "positions": reader.whole("position", lambda v: v >= 1, "a position (1, 2, ...)"),
                "clicks": reader.whole("click", lambda v: (v == 0) | (v == 1), "0 or 1"),
                "propensities": reader.real("propensity_score", lambda v: (v > 0) & (v <= 1), "in (0, 1]"),
                "user_features": reader.texts(users),
                "affinities": np.stack([reader.real(names[j], np.isfinite, "a finite number") for j in affinities], axis=1)
                if affinities
                else np.empty((len(lines), 0)),
            }
        )
    if not parts:
        raise InputError(f"{path.name} has no records.")
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return LoggedBanditData(
        **columns,
        user_feature_names=tuple(names[j] for j in users),
        affinity_names=tuple(names[j] for j in affinities),
        item_context=item_context,
    )


def write_open_bandit(data: LoggedBanditData, folder: str | Path) -> None:
    """Write ``data`` as the two files of the layout, so that :func:`read_open_bandit` gives it back to the last bit.

    The folder is made if need be; its name is that of the log.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{folder.resolve().name}.csv"
    with log.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["", *REQUIRED, *data.user_feature_names, *data.affinity_names])
        for i in range(data.size):
            when = data.timestamps[i].astype("datetime64[us]").item().isoformat(sep=" ") + "+00:00"
            record = (int(data.items[i]), int(data.positions[i]), int(data.clicks[i]), repr(float(data.propensities[i])))
            writer.writerow([i, when, *record, *data.user_features[i], *(repr(float(v)) for v in data.affinities[i])])
    with (folder / ITEM_FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["", "item_id", *data.item_context.names])
        for i, features in enumerate(data.item_context.features):
            writer.writerow([i, i, *features])


def _read_items(path: Path) -> ItemContext:
    chunks = list(_chunks(path, ("item_id",)))
    if not chunks:
        raise InputError(f"{path.name} has no items.")
    names = chunks[0][0]
    numbers = [number for _, some, _ in chunks for number in some]
    lines = [line for _, _, some in chunks for line in some]
    reader = _Columns(path, names, numbers, lines)
    reader.whole("item_id", lambda v: v == np.arange(len(lines)), "the next item (they are numbered 0, 1, ...)")
    features = [j for j, name in enumerate(names) if name not in ("", "item_id")]
    return ItemContext(tuple(names[j] for j in features), reader.texts(features))


def _chunks(path: Path, required: Sequence[str]) -> Iterator[tuple[list[str], list[int], list[list[str]]]]:
    """The column names, and some of the lines with their numbers in the file, until it ends."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.reader(file, strict=True)
            names = next(rows, None)
            if names is None:
                raise InputError(f"{path.name} is empty.")
            for name in required:
                if name not in names:
                    raise InputError(f"{path.name}, line 1: there is no column {name!r}.")
            for j, name in enumerate(names):
                if name in names[:j]:
                    raise InputError(f"{path.name}, line 1: there are two columns {name!r}.")
            numbers: list[int] = []
            lines: list[list[str]] = []
            for row in rows:
                if len(row) != len(names):
                    raise InputError(
                        f"{path.name}, line {rows.line_num}: it has {len(row)} columns, the first line {len(names)}."
                    )
                numbers.append(rows.line_num)
                lines.append(row)
                if len(lines) == CHUNK:
                    yield names, numbers, lines
                    numbers, lines = [], []
            if lines:
                yield names, numbers, lines
    except FileNotFoundError:
        raise InputError(f"there is no file {path}.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is no text in UTF-8: {error.reason} at byte {error.start}.") from None
    except csv.Error as error:
        raise InputError(f"{path.name}, line {rows.line_num}: {error}.") from None


class _Columns:
    """Some lines of a file, by column; what is wrong is told with its line and column."""

    def __init__(self, path: Path, names: list[str], numbers: list[int], lines: list[list[str]]):
        self.path, self.names, self.numbers, self.lines = path, names, numbers, lines

    def _column(self, name: str) -> list[str]:
        j = self.names.index(name)
        return [line[j] for line in self.lines]

    def _refuse(self, i: int, name: str, text: str, wanted: str) -> InputError:
        return InputError(f"{self.path.name}, line {self.numbers[i]}, column {name!r}: {text!r} is not {wanted}.")

    def _parse(self, name: str, read: Callable[[str], Any], wanted: str) -> list[Any]:
        column = self._column(name)
        try:
            return [read(text) for text in column]
        except (ValueError, OverflowError):
            wrong = next(i for i, text in enumerate(column) if not _reads(read, text))
            raise self._refuse(wrong, name, column[wrong], wanted) from None

    def _checked(self, values: Any, name: str, right: Callable[[Any], Any], wanted: str) -> Any:
        bad = ~np.asarray(right(values))
        if bad.any():
            i = int(np.argmax(bad))
            raise self._refuse(i, name, self._column(name)[i], wanted)
        return values

    def real(self, name: str, right: Callable[[Any], Any], wanted: str) -> Array:
        return self._checked(np.array(self._parse(name, float, wanted)), name, right, wanted)

    def whole(self, name: str, right: Callable[[Any], Any], wanted: str) -> NDArray[np.int64]:
        values = self._parse(name, _small_whole, wanted)
        return self._checked(np.array(values, dtype=np.int64), name, right, wanted)

    def times(self, name: str) -> NDArray[np.datetime64]:
        return np.array(self._parse(name, _utc, "a time such as 2019-11-24 00:00:01+00:00"), dtype="datetime64[us]")

    def texts(self, columns: Sequence[int]) -> NDArray[np.str_]:
        for j in columns:
            for i, line in enumerate(self.lines):
                if not line[j]:
                    raise self._refuse(i, self.names[j], "", "a category")
        return np.array([[line[j] for j in columns] for line in self.lines], dtype=np.str_).reshape(
            len(self.lines), len(columns)
        )


def _reads(read: Callable[[str], Any], text: str) -> bool:
    try:
        read(text)
    except (ValueError, OverflowError):
        return False
    return True


def _small_whole(text: str) -> int:
    number = int(text)
    if abs(number) >= 2**62:
        raise OverflowError
    return number


def _utc(text: str) -> datetime:
    """A time without an offset is taken as UTC."""
    time = datetime.fromisoformat(text)
    return (time.astimezone(UTC) if time.tzinfo else time).replace(tzinfo=None)
