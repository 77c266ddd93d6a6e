"""Where the pieces of a study are kept: in memory, or in a folder from which a killed run goes on.

The folder holds ``study.json`` (what the study is), ``pieces/`` (one Parquet file for each finished piece; its name says
which piece it is and the hash of its bytes), ``table.parquet`` (all rows, once every piece is there) and ``lock``. Every
file is written whole, under another name, and then renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from theory.errors import InputError, Unavailable

FORMAT = 1
NAME = re.compile(r"(\d+)-(\d+)-(\d+)-([0-9a-f]{16})\.parquet")


class Piece(NamedTuple):
    """A point and a block of seeds, by their places in the study: seeds ``first`` to ``last`` - 1 of ``point``."""

    point: int
    first: int
    last: int


def missing(done: Iterable[Piece], points: int, seeds: int, block: int) -> list[Piece]:
    """What is not ``done`` yet, in order, in pieces of at most ``block`` seeds."""
    gaps = []
    by_point = {k: list(group) for k, group in itertools.groupby(sorted(done), key=lambda piece: piece.point)}
    for point in range(points):
        at = 0
        for piece in [*by_point.get(point, []), Piece(point, seeds, seeds)]:
            gaps += [Piece(point, k, min(k + block, piece.first)) for k in range(at, piece.first, block)]
            at = piece.last
    return gaps


class InMemory:
    """Pieces of a run that nobody wants to resume."""

    def __init__(self) -> None:
        self.pieces: dict[Piece, pa.Table] = {}

    def add(self, piece: Piece, rows: pa.Table) -> None:
        """Hold the rows of one piece."""
        self.pieces[piece] = rows

    def layout(self) -> pa.Schema | None:
        """Names and types of the columns of the pieces; None as long as there are none."""
        return next(iter(self.pieces.values())).schema if self.pieces else None

    def kept(self) -> str:
        """What is left when the run ends early, in words."""
        return "nothing is kept, for want of a folder"

    def table(self) -> pa.Table:
        """All rows, by point and seed."""
        return pa.concat_tables([self.pieces[piece] for piece in sorted(self.pieces)])


class InFolder:
    """The pieces of one study in its folder ``place``: reading them changes nothing, writing is for the holder of the lock."""

    def __init__(self, place: Path):
        self.place = place
        self.pieces: dict[Piece, Path] = {}
        self.damaged: list[Path] = []
        try:
            for path in sorted((place / "pieces").glob("*.parquet")):
                if name := NAME.fullmatch(path.name):
                    if _hash(path.read_bytes()) == name[4]:
                        self.pieces[Piece(*map(int, name.groups()[:3]))] = path
                    else:
                        self.damaged.append(path)
        except OSError as error:
            raise InputError(f"{error.filename or place} cannot be read: {error.strerror}.") from error

    def declared(self) -> dict[str, Any]:
        """What study the pieces belong to."""
        path = self.place / "study.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:  # not there, not JSON, or not UTF-8
            raise InputError(f"{path}, which says what study was measured, cannot be read; restart the study.") from error
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise InputError(f"{path}, which says what study was measured, is not of format {FORMAT}; restart the study.")
        return found

    def declare(self, declaration: dict[str, Any]) -> None:
        """Write down what study the pieces belong to."""
        with self._whole(self.place / "study.json") as file:
            file.write(json.dumps({"format": FORMAT, **declaration}, indent=1, ensure_ascii=False).encode())

    def add(self, piece: Piece, rows: pa.Table) -> None:
        """Keep the rows of one piece."""
        buffer = io.BytesIO()
        pq.write_table(rows, buffer, compression="zstd")
        data = buffer.getvalue()
        path = self.place / "pieces" / f"{piece.point:05d}-{piece.first:07d}-{piece.last:07d}-{_hash(data)}.parquet"
        with self._whole(path) as file:
            file.write(data)
        self.pieces[piece] = path

    def layout(self) -> pa.Schema | None:
        """Names and types of the columns of the pieces; None as long as there are none."""
        return pq.read_schema(next(iter(self.pieces.values()))) if self.pieces else None

    def kept(self) -> str:
        """What is left when the run ends early, in words."""
        return f"{len(self.pieces)} finished pieces are kept in {self.place}"

    def drop(self, paths: Iterable[Path]) -> None:
        """Delete files of the folder."""
        for path in paths:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise InputError(f"{path} cannot be deleted: {error.strerror}.") from error

    def restart(self) -> None:
        """Delete the table and every piece."""
        self.drop([self.place / "table.parquet", *self.pieces.values(), *self.damaged])
        self.pieces, self.damaged = {}, []

    def table(self) -> pa.Table:
        """Write all rows to ``table.parquet``, and return them."""
        path = self.place / "table.parquet"
        with self._whole(path) as file:
            self.write_table(file)
        return pq.ParquetFile(path).read()

    def write_table(self, file: BinaryIO) -> None:
        """Write all rows to ``file`` as Parquet, one row group a point."""
        with pq.ParquetWriter(file, self.layout(), compression="zstd") as writer:
            for rows in self.rows():
                writer.write_table(rows)

    def rows(self) -> Iterator[pa.Table]:
        """All rows, by point and seed, a table for each point."""
        for _, pieces in itertools.groupby(sorted(self.pieces), key=lambda piece: piece.point):
            rows = pa.concat_tables([pq.ParquetFile(self.pieces[piece]).read() for piece in pieces])
            yield rows.combine_chunks()  # else the bytes would tell where the pieces were cut

    @contextlib.contextmanager
    def _whole(self, path: Path) -> Iterator[BinaryIO]:
        """:func:`whole_file`, which says what is kept if the disk is full."""
        try:
            with whole_file(path) as file:
                yield file
        except InputError as error:
            raise InputError(f"{str(error).rstrip('.')}; {self.kept()}, and the same command goes on from there.") from error


@contextlib.contextmanager
def alone(place: Path) -> Iterator[InFolder]:
    """The study in ``place`` for one process at a time (a lock that ends with the process); InputError for a second one."""
    try:
        import fcntl
    except ImportError as error:
        raise Unavailable("keeping a study in a folder needs the file locks of a POSIX system.") from error
    try:
        (place / "pieces").mkdir(parents=True, exist_ok=True)
        lock = (place / "lock").open("ab")
    except OSError as error:
        raise InputError(f"{error.filename or place} cannot be written: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another process is running the study in {place}; wait for it, or give another folder.") from None
        except OSError as error:
            raise InputError(f"{place} is on a file system that cannot lock files: {error.strerror}.") from error
        here = InFolder(place)
        here.drop(place.rglob("*.new"))  # what a killed run was writing
        yield here


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write ``path`` so that it is either whole or not there; InputError if the place cannot be written."""
    fresh = path.with_name(path.name + ".new")
    try:
        with fresh.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
        raise


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
