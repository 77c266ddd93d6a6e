r"""Sampled studies: a grid of points times seeds in, one tidy table out.

A study names a measuring function, the points (parameters) at which it is called and the seeds of the independent runs. The
work is cut into *pieces*, one point and one block of seeds each, so that a compiled simulator gets a batch of seeds at once.

Since a run depends on its seed and its point alone, how the work is cut, how many workers share it, in which order they finish
and how often the run was killed and resumed do not change a number: rows come by point, then by seed, in the order of the study.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import re
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
from joblib import Parallel, delayed, parallel_config
from numpy.typing import ArrayLike, NDArray

from experiments.measuring import (
    OWN,
    Failure,
    Measure,
    Point,
    Scalar,
    code_version,
    column_of,
    measure_name,
    measure_piece,
    other_columns,
    write_point,
)
from experiments.pieces import InFolder, InMemory, Piece, alone, missing, whole_file
from theory.errors import InputError, Unavailable
from theory.progress import meter

SCHEDULER_SECONDS = 30  # that a cluster's scheduler may take to answer


Backend = Literal["loky", "dask"]


class StudyError(RuntimeError):
    """A study could not be finished: its measuring function failed, or a worker died. What is done is kept."""


@dataclass(frozen=True, eq=False)
class Study:
    """What is measured, where, and with which seeds.

    ``measure(seeds=..., **point)`` gets a block of the seeds, uint64, and the parameters of one point, and returns columns of
    equal length (a mapping or a DataFrame): ``seed``, and what was measured, truth values, finite numbers or text. Each seed
    has one row or more (checkpoints, say). It is a plain function, and the rows of a seed must depend on the seed and the point
    alone, bit for bit: not on the other seeds of the block, nor on the number of threads.

    ``points`` (:func:`grid` makes them; or any list of mappings) all have the same parameters: truth values, numbers or text, such
    as the key of an instance. Every point is measured with the same ``seeds`` (:func:`theory.random_streams.run_seeds` makes
    them), which makes comparisons between points paired ones. ``block`` seeds are one piece of work, a few seconds at best.

    Raises :class:`InputError` for a study without points or seeds, with a point or a seed twice, or with parameters that
    differ in name or kind from point to point.
    """

    name: str
    measure: Measure
    points: Sequence[Point]
    seeds: NDArray[np.uint64]
    block: int = 100

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.name):
            raise InputError(f"the name of a study is made of a-z, 0-9, - and _, as a folder's may be, not {self.name!r}.")
        if self.block < 1:
            raise InputError(f"a piece of the study {self.name} has at least one seed, not {self.block}.")
        measure_name(self.measure)
        object.__setattr__(self, "points", _checked_points(self.name, self.points))
        object.__setattr__(self, "seeds", _checked_seeds(self.name, self.seeds))

    @property
    def runs(self) -> int:
        """The number of runs, points times seeds."""
        return len(self.points) * self.seeds.size

    def declaration(self) -> dict[str, Any]:
        """What the study is, without the size of its pieces, for JSON.

        Raises :class:`InputError` if the measuring function depends on variables of another function, which this would leave out.
        """
        if outer := self.measure.__code__.co_freevars:
            raise InputError(
                f"the study {self.name} cannot be kept: {outer[0]} in its measuring function is no parameter of its points."
            )
        digest = hashlib.sha256(self.seeds.tobytes()).hexdigest()
        return {
            "measure": measure_name(self.measure),
            "points": [dict(point) for point in self.points],
            "seeds": {"count": self.seeds.size, "sha256": digest},
        }


def grid(**choices: Scalar | Iterable[Scalar]) -> tuple[Point, ...]:
    """All combinations of ``choices``, the last parameter changing fastest; a single value stands for itself.

    Grids add up: ``grid(...) + grid(...)``. Raises :class:`InputError` for a parameter without values.
    """
    lists = {k: (v,) if isinstance(v, Scalar | np.generic) else tuple(v) for k, v in choices.items()}
    for name, values in lists.items():
        if not values:
            raise InputError(f"the parameter {name} of a grid has no values.")
    return tuple(dict(zip(lists, values)) for values in itertools.product(*lists.values()))


def joined(name: str, studies: Sequence[Study]) -> Study:
    """One study of the points of all ``studies``. Raises :class:`InputError` if they differ in what measures or in their seeds."""
    first = studies[0]
    for other in studies:
        if other.measure is not first.measure or not np.array_equal(other.seeds, first.seeds):
            raise InputError(f"the studies joined in {name} do not share their measuring function and their seeds.")
    return Study(name, first.measure, [point for study in studies for point in study.points], first.seeds, first.block)


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is: ``done`` of ``runs`` runs are kept, by whatever code; files that are ``damaged``; and ``refusal``, the
    sentence with which :func:`run_study` would decline to go on, or None.
    """

    done: int
    runs: int
    damaged: tuple[Path, ...]
    refusal: str | None


def run_study(
    study: Study,
    folder: Path | str | None = None,
    *,
    workers: int = 1,
    backend: Backend = "loky",
    scheduler: str | None = None,
    progress: bool = False,
    restart: bool = False,
    mix_versions: bool = False,
) -> pd.DataFrame:
    """Measure what is missing of ``study`` and return the table: the parameters, ``seed``, what was measured, ``code``.

    Without a folder nothing is kept. With one, every finished piece is written to ``folder/<name of the study>`` at once, and
    the table to ``table.parquet`` there; a run that was killed goes on from the pieces and ends with the same bytes. A damaged
    piece is measured again, with a warning. ``code`` is the version of the sources that measured the row.

    One worker is this process; more are processes of one thread each. With the backend "dask" they belong to a cluster: the one
    whose ``scheduler`` is at that address, or one of ``workers`` processes that is started here. There the work of a worker that
    dies is done again by another. ``progress`` shows a bar and the time left on standard error.

    Raises :class:`InputError` if the folder cannot be written, is in use by another process, or holds the study with other
    points, seeds or measuring function, or by another code version. ``restart`` then forgets what is there; ``mix_versions``
    goes on with the present code. Raises :class:`StudyError` if the measuring function fails (what else can be measured still
    is, and kept) or a worker dies. KeyboardInterrupt passes, with a sentence that says how much is kept.
    """
    if workers < 1:
        raise InputError(f"a study is run by at least one worker, not {workers}.")
    if backend not in get_args(Backend):
        raise InputError(f"a study is run by the backend {' or '.join(get_args(Backend))}, not {backend!r}.")
    if scheduler is not None and backend != "dask":
        raise InputError("a scheduler's address belongs to the backend 'dask'.")
    code = code_version(study.measure)
    where: AbstractContextManager[InMemory | InFolder] = nullcontext(InMemory())
    if folder is not None:
        where = alone(Path(folder) / study.name)
    with where as store:
        if isinstance(store, InFolder):
            _take_up(study, store, code, restart=restart, mix_versions=mix_versions)
        todo = missing(store.pieces, len(study.points), study.seeds.size, study.block)
        try:
            crew = nullcontext(workers) if backend == "loky" else _cluster(workers, scheduler, len(todo))
            with crew as parallel:
                failures = _measure_all(study, code, store, todo, parallel, progress)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"the study {study.name} was stopped; {store.kept()}.") from None
        except BrokenProcessPool as error:
            raise StudyError(f"a worker of the study {study.name} died, perhaps for lack of memory; {store.kept()}.") from error
        if failures:
            first = failures[min(failures)]
            problem = StudyError(
                f"the study {study.name} failed at {first.where}: {first.reason.rstrip('.')} "
                f"({len(failures)} of {len(todo)} pieces failed; {store.kept()})."
            )
            problem.add_note(first.trace)
            raise problem
        return store.table().to_pandas()


def study_status(study: Study, folder: Path | str) -> StudyStatus:
    """How far ``study`` is in ``folder``; reads every piece and changes nothing, also while the study runs."""
    store = InFolder(Path(folder) / study.name)
    code = code_version(study.measure)
    another = _refusal(study, store, code, mix_versions=True)
    done = 0 if another else sum(piece.last - piece.first for piece in store.pieces)
    refusal = another or _refusal(study, store, code, mix_versions=False)
    return StudyStatus(done, study.runs, tuple(store.damaged), refusal)


def export_study(study: Study, folder: Path | str, path: Path) -> None:
    """Write the table of a finished study to ``path``, as CSV or as Parquet by its suffix; the code that measured it may be older.

    The table is made from the pieces, whose bytes are checked. Raises :class:`InputError` for another suffix, if a run is missing
    or damaged, if the folder holds another study, and if ``path`` cannot be written, which then is as it was before.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"a table is exported to a file .csv or .parquet, not {path.name}.")
    store = _finished(study, folder)
    with whole_file(path) as file:
        if path.suffix == ".csv":
            pa.concat_tables(store.rows()).to_pandas().to_csv(file, index=False)
        else:
            store.write_table(file)


def stored_table(study: Study, folder: Path | str) -> pd.DataFrame:
    """The table of ``study`` from its pieces in ``folder``, whose bytes are checked: that of :func:`run_study`. Changes nothing.

    Raises :class:`InputError` if a run is missing or damaged, or if the folder holds another study or rows of another code version.
    """
    code = code_version(study.measure)
    store = _finished(study, folder)
    table = pa.concat_tables(store.rows()).to_pandas()
    if others := sorted({*table["code"]} - {code}):
        raise InputError(f"{store.place} was measured by the code {', '.join(others)}, and this is {code}.")
    return table


def _finished(study: Study, folder: Path | str) -> InFolder:
    """The pieces of ``study``, by whatever code; :class:`InputError` if a run is missing or damaged, or for another study."""
    store = InFolder(Path(folder) / study.name)
    refusal = _refusal(study, store, code_version(study.measure), mix_versions=True)
    if refusal is not None:
        raise InputError(refusal)
    done = sum(piece.last - piece.first for piece in store.pieces)
    if done < study.runs:
        damaged = (
            f", {len(store.damaged)} of its files {'is' if len(store.damaged) == 1 else 'are'} damaged" if store.damaged else ""
        )
        raise InputError(
            f"the study {study.name} in {folder} is not finished: {done} of {study.runs} runs are kept{damaged}; "
            f"`mdplab study run {study.name}` measures what is missing."
        )
    return store


def _refusal(study: Study, store: InFolder, code: str, *, mix_versions: bool) -> str | None:
    """Why the pieces in ``store`` are not to stand beside those of ``study`` measured by ``code``; None if they may."""
    if not store.pieces:
        return None
    try:
        there = store.declared()
    except InputError as error:
        return str(error)
    for name, value in study.declaration().items():
        if there.get(name) != value:
            return f"{store.place} holds a study with other {name}; restart it (--restart), or give this one another folder."
    if (old := there.get("code")) != code and not mix_versions:
        return (
            f"{store.place} was measured by the code {old}, and this is {code}; restart it (--restart), "
            "or go on and let each row tell its version (--mix-versions)."
        )
    return None


def _take_up(study: Study, store: InFolder, code: str, *, restart: bool, mix_versions: bool) -> None:
    """Make sure that what is in ``store`` belongs to ``study``, and is whole."""
    if restart:
        store.restart()
    refusal = _refusal(study, store, code, mix_versions=mix_versions)
    if refusal is not None:
        raise InputError(refusal)
    store.declare({**study.declaration(), "code": code})
    for path in store.damaged:
        warnings.warn(f"{path} is damaged and is measured again.", stacklevel=3)
    store.drop(store.damaged)


def _measure_all(
    study: Study, code: str, store: InMemory | InFolder, todo: list[Piece], workers: int | Parallel, progress: bool
) -> dict[Piece, Failure]:
    """Measure the pieces ``todo``, put them in ``store`` as they finish, and return those that failed."""
    failures: dict[Piece, Failure] = {}
    layout = store.layout()
    runs = sum(piece.last - piece.first for piece in todo)
    shown = meter(study.name, runs) if progress else nullcontext(lambda more: None)
    with closing(_measured(study, code, todo, workers)) as found, shown as advance, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\d+ tasks which were still being processed")  # joblib's, when interrupted
        for piece, rows in found:
            if isinstance(rows, pa.Table):
                layout = layout or rows.schema
                if rows.schema == layout:
                    store.add(piece, rows)
                else:
                    rows = other_columns(study.points[piece.point], rows.schema, layout)
            if isinstance(rows, Failure):
                failures[piece] = rows
                if isinstance(store, InMemory):
                    break  # nothing would come of the rest
            advance(piece.last - piece.first)
    return failures


def _measured(
    study: Study, code: str, todo: list[Piece], workers: int | Parallel
) -> Generator[tuple[Piece, pa.Table | Failure]]:
    """The pieces ``todo``, as they finish."""
    calls = ((piece, study.measure, study.points[piece.point], study.seeds[piece.first : piece.last], code) for piece in todo)
    if isinstance(workers, int) and (workers == 1 or len(todo) == 1):
        for call in calls:
            yield _one(*call)
        return
    if isinstance(workers, int):
        with parallel_config(backend="loky", inner_max_num_threads=1):
            workers = Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)
    yield from workers(delayed(_one)(*call) for call in calls)


@contextmanager
def _cluster(workers: int, scheduler: str | None, pieces: int) -> Iterator[Parallel | int]:
    """A pool of a Dask cluster's workers: of the one at ``scheduler``, or of one that lives as long as this context."""
    if pieces == 0:
        yield 1
        return
    try:
        import distributed
    except ImportError:
        raise Unavailable("the backend 'dask' needs the extra `cluster`: pip install 'mdplab[cluster]'.") from None
    with ExitStack() as stack:
        if scheduler is None:
            local = distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=logging.ERROR
            )
            scheduler = stack.enter_context(local).scheduler_address
        try:
            client = stack.enter_context(distributed.Client(scheduler, set_as_default=False, timeout=SCHEDULER_SECONDS))
        except (OSError, ValueError) as error:
            raise InputError(f"no Dask scheduler answers at {scheduler}: {error}.") from error
        with parallel_config(backend="dask", client=client):
            yield Parallel(n_jobs=-1, return_as="generator_unordered", batch_size=1)


def _one(
    piece: Piece, measure: Measure, point: Point, seeds: NDArray[np.uint64], code: str
) -> tuple[Piece, pa.Table | Failure]:
    return piece, measure_piece(measure, point, seeds, code)


def _checked_points(study: str, points: Iterable[Point]) -> tuple[Point, ...]:
    listed = [dict(point) for point in points]
    if not listed:
        raise InputError(f"the study {study} has no points.")
    for point in listed:
        if point.keys() != listed[0].keys():
            raise InputError(f"the points of the study {study} have different parameters: {[*listed[0]]} and {[*point]}.")
    columns = {name: _checked_values(study, name, [point[name] for point in listed]) for name in listed[0]}
    checked = [dict(zip(columns, values)) for values in zip(*columns.values())] if columns else listed
    seen = set()
    for point in checked:
        if (values := tuple(point.values())) in seen:
            raise InputError(f"the study {study} has the point {write_point(point)} twice.")
        seen.add(values)
    return tuple(checked)


def _checked_values(study: str, name: str, values: list[Any]) -> list[Scalar]:
    """The values of one parameter at all points, whole numbers beside fractions turned into floating point."""
    if name in (*OWN, "seeds") or not name.isidentifier():
        raise InputError(f"a parameter of the study {study} cannot be called {name!r}.")
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    kinds = {type(value) for value in plain}
    if not (kinds in ({bool}, {str}) or kinds <= {int, float}):
        wrong = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise InputError(
            f"the parameter {name} of the study {study} is a truth value, a number or text everywhere, not {wrong}."
        )
    if any(value != value for value in plain):
        raise InputError(f"the parameter {name} of the study {study} is not a number at some point.")
    return column_of(plain, name).to_pylist()


def _checked_seeds(study: str, seeds: ArrayLike) -> NDArray[np.uint64]:
    listed = np.asarray(seeds, dtype=None if isinstance(seeds, np.ndarray) else object)  # else 0 and 2^64 - 1 become floats
    if listed.ndim != 1 or listed.size == 0 or not all(isinstance(s, int) and 0 <= s < 2**64 for s in listed.tolist()):
        raise InputError(f"the seeds of the study {study} are a vector of whole numbers from 0 to 2^64 - 1, one for each run.")
    each = listed.astype(np.uint64)
    values, counts = np.unique(each, return_counts=True)
    if counts.max() > 1:
        raise InputError(f"the study {study} has the seed {values[np.argmax(counts)]} twice.")
    each.setflags(write=False)
    return each
