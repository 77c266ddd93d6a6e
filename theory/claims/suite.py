"""A run over many claims: find them, run them side by side, keep what is finished when the run is killed."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import json
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from theory.claims.declaration import Claim, registered
from theory.claims.engine import run_claim
from theory.claims.families import PROFILES
from theory.claims.ledger import Entry, entry, write_whole
from theory.errors import InputError, nearest


def discover(package: str) -> dict[str, Claim]:
    """Import every module of ``package`` named ``test_*`` and return the claims defined there, by id."""
    try:
        room = importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise InputError(f"the package {package}, which holds the claims, is not installed.") from error
    for module in pkgutil.iter_modules(room.__path__):
        if module.name.startswith("test_"):
            importlib.import_module(f"{package}.{module.name}")
    found = {k: c for k, c in registered().items() if c.module.startswith(f"{package}.")}
    for made in found.values():
        if made.corrected is not None and made.corrected not in found:
            raise InputError(f"the claim {made.id} names {made.corrected} as corrected, which does not exist.")
    return found


def discover_files(place: Path) -> dict[str, Claim]:
    """Import the file ``place``, or the files ``test_*.py`` below that folder, and return the claims defined there, by id.

    Raises :class:`InputError` if there is no such file, or one that cannot be imported.
    """
    files = sorted(place.rglob("test_*.py")) if place.is_dir() else [place]
    if not files or not all(path.is_file() and path.suffix == ".py" for path in files):
        raise InputError(f"{place} is neither a file of checks nor a folder of files test_*.py.")
    for path in files:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.path.insert(0, str(path.parent.resolve()))  # a check may import what stands beside it
        try:
            spec.loader.exec_module(module)
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{path} cannot be imported: {type(error).__name__}: {error}.") from error
        finally:
            sys.path.pop(0)
    ours = {path.resolve() for path in files}
    return {k: c for k, c in registered().items() if Path(c.check.__code__.co_filename).resolve() in ours}


def select(claims: dict[str, Claim], names: Sequence[str], theme: str | None = None) -> list[Claim]:
    """The claims that ``names`` (ids of claims or keys of papers) stand for; all of them if there are none.

    Raises :class:`InputError` for a name that fits nothing, with the nearest ones.
    """
    chosen: dict[str, Claim] = {}
    for name in names:
        fitting = {k: c for k, c in claims.items() if name in (k, c.paper.key)}
        if not fitting:
            known = {*claims, *(c.paper.key for c in claims.values())}
            raise InputError(f"there is no claim or paper {name!r}{nearest(name, known)}.")
        chosen.update(fitting)
    if not names:
        chosen = dict(claims)
    if theme is not None:
        themes = sorted({c.paper.theme for c in claims.values()})
        if theme not in themes:
            raise InputError(f"there is no theme {theme!r}; there are {', '.join(themes)}.")
        chosen = {k: c for k, c in chosen.items() if c.paper.theme == theme}
    return list(chosen.values())


def fingerprint(packages: Sequence[str]) -> str:
    """A hash of the source of ``packages``: results of other code are not mixed into a run."""
    digest = hashlib.sha256()
    for package in packages:
        try:
            room = importlib.import_module(package)
        except ImportError:
            continue
        for place in sorted(room.__path__):
            for path in sorted(Path(place).rglob("*.py")):
                digest.update(path.name.encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


class Journal:
    """Finished ledger lines on disk, so that a killed run goes on where it was.

    The first line says what the run is (profile, seed, fingerprint of the code); the journal of another run is dropped, so
    that its lines are not mixed in. A last line cut off by the kill is ignored.
    """

    def __init__(self, path: Path, *, profile: str, seed: int, code: str, fresh: bool = False):
        self.path = path
        self.header = {"profile": profile, "seed": seed, "code": code}
        self.finished: dict[str, Entry] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() and not fresh else []
            parsed = []
            for line in lines:
                with contextlib.suppress(json.JSONDecodeError):
                    parsed.append(json.loads(line))
            if parsed and parsed[0] == self.header:
                self.finished = {e["id"]: e for e in parsed[1:] if isinstance(e, dict) and "id" in e}
            text = [self.header, *self.finished.values()]
            write_whole(path, "".join(json.dumps(t, allow_nan=False) + "\n" for t in text))
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}.") from error

    def add(self, line: Entry) -> None:
        """Keep one finished line."""
        self.finished[line["id"]] = line
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")

    def keep(self, lines: Iterable[Entry]) -> Iterator[Entry]:
        """``lines``, each of them kept before it is passed on."""
        for line in lines:
            self.add(line)
            yield line

    def close(self) -> None:
        """The run is complete and its ledger written: the journal is no longer needed."""
        self.path.unlink(missing_ok=True)


def _several(package: str, ids: Sequence[str], profile: str, seed: int) -> list[Entry]:
    """Run the claims ``ids`` in a worker process, one after the other, and return their ledger lines."""
    claims = registered()
    if not claims.keys() >= set(ids):
        claims = discover(package)
    return [entry(run_claim(claims[i], profile=profile, seed=seed)) for i in ids]


def _together(claims: Sequence[Claim]) -> list[list[str]]:
    """The ids of ``claims``, those that share a computation in one list; the longest lists first, which no worker is left with alone."""
    groups: dict[str, list[str]] = {}
    for made in claims:
        groups.setdefault(f"{made.module} {made.shares}" if made.shares else made.id, []).append(made.id)
    return sorted(groups.values(), key=len, reverse=True)


def check_settings(profile: str, seed: int) -> None:
    """Raise :class:`InputError` unless a run can be made with this profile and seed."""
    if profile not in PROFILES:
        raise InputError(f"there is no profile {profile!r}; there are {', '.join(PROFILES[:-1])} and {PROFILES[-1]}.")
    if seed < 0:
        raise InputError(f"the seed of a run is {seed}; it must not be negative.")


def run(claims: Sequence[Claim], *, package: str, profile: str = "quick", seed: int = 0, jobs: int = 1) -> Iterator[Entry]:
    """Run ``claims`` and yield their ledger lines as they finish; the number of jobs never changes a number.

    A worker uses one thread, so that jobs x threads stays within the cores.
    """
    check_settings(profile, seed)
    if jobs == 1 or len(claims) == 1:
        for made in claims:
            yield entry(run_claim(made, profile=profile, seed=seed))
        return
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        for lines in Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(
            delayed(_several)(package, ids, profile, seed) for ids in _together(claims)
        ):
            yield from lines
