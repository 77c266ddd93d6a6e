r"""Many training runs at once: one compiled program, batched over runs and hyperparameters, with checkpoints.

An :class:`Experiment` says how one run begins, how one step changes it and what is measured of it. :func:`train` compiles a stretch
of training (a loop over steps, with the environment, the sampling and the updates inside, and the exact measurements at its end)
and maps it over all pairs of a run and a setting of the hyperparameters, the *lanes*.

Run i has the seed ``seeds[i]`` and the i-th instance of the problems, and meets the same random numbers under every setting of the
hyperparameters: differences between settings are paired. Step t draws from the run's key folded with t, so that a run which is
stopped at a checkpoint and taken up again makes the same numbers. Lanes are computed in chunks of a fixed size; on one device
a lane's numbers do not depend on the others in its chunk.

Networks are float32; the program runs with JAX's 64-bit types switched on, for what is measured.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InputError, Unavailable
from theory.random_streams import read_checkpoints, read_seeds

Array = NDArray[np.float64]
Hyper = Mapping[str, Any]  # the hyperparameters of a lane: float32 scalars
Measured = dict[str, Any]  # float64 scalars, or small arrays, of one lane
Device = Literal["any", "gpu"]
LANES = {"cpu": 64, "gpu": 8192}  # in a chunk, at most


class Experiment(ABC):
    """What one run does. Subclasses are frozen dataclasses, whose fields (widths, batch sizes, variants) decide what is compiled.

    All three functions are pure and written for one run; ``hyper`` holds the hyperparameters that are mapped over, float32
    scalars. A state is a pytree of arrays alone.
    """

    @abstractmethod
    def init(self, key: jax.Array, problem: Any, hyper: Hyper) -> Any:
        """The state before the first step."""

    @abstractmethod
    def update(self, state: Any, key: jax.Array, problem: Any, hyper: Hyper) -> Any:
        """The state after one more step, with a key of this step's own."""

    @abstractmethod
    def measure(self, state: Any, problem: Any, hyper: Hyper) -> Measured:
        """What is recorded of a state, computed exactly."""


@dataclass(frozen=True, eq=False)
class Training:
    """What was measured of all runs.

    ``measured[name]`` has the shape (hypers, runs, records, ...), ``steps`` (records,) tells after how many steps, ``device`` the name of
    what computed it.
    """

    measured: dict[str, Array]
    steps: NDArray[np.int64]
    device: str
    seeds: NDArray[np.uint64]
    hypers: tuple[Mapping[str, float], ...]

    def last(self, name: str) -> Array:
        """The final measurement, shape (hypers, runs, ...)."""
        return self.measured[name][:, :, -1]

    def columns(self) -> dict[str, NDArray[Any]]:
        """The scalars as a tidy table, a row for each seed, setting and step: for the measuring function of a study.

        Columns ``seed``, the hyperparameters, ``step``, what was measured, ``device`` and the version of ``jax``.
        """
        H, R, K = len(self.hypers), self.seeds.size, self.steps.size
        table: dict[str, NDArray[Any]] = {"seed": np.repeat(self.seeds, H * K)}
        for name in self.hypers[0]:
            table[name] = np.tile(np.repeat([float(setting[name]) for setting in self.hypers], K), R)
        table["step"] = np.tile(self.steps, R * H)
        table |= {name: v.transpose(1, 0, 2).ravel() for name, v in self.measured.items() if v.ndim == 3}
        return table | self.origin(R * H * K)

    def origin(self, rows: int) -> dict[str, NDArray[Any]]:
        """The columns ``device`` and ``jax`` (its version) of a table with so many rows."""
        return {"device": np.full(rows, self.device), "jax": np.full(rows, jax.__version__)}


def device_of(device: Device = "any") -> Any:
    """The device that trains: JAX's default one, a GPU if there is one. :class:`Unavailable` if ``"gpu"`` is asked for in vain."""
    found = jax.devices()[0]
    if device == "gpu" and found.platform != "gpu":
        raise Unavailable(f"this needs a GPU that JAX can use; its device here is {found.device_kind}.")
    return found


def train(
    experiment: Experiment,
    problems: Any,
    seeds: ArrayLike,
    steps: int,
    *,
    hypers: Sequence[Mapping[str, float]] = ({},),
    checkpoints: ArrayLike | None = None,
    device: Device = "any",
    lanes: int | None = None,
    folder: Path | str | None = None,
) -> Training:
    """Train every run under every setting of ``hypers``, and measure it at the ``checkpoints`` (the last step alone, unless given).

    ``problems`` is a pytree whose leaves have a leading axis of runs, as long as ``seeds`` (:func:`theory.random_streams.run_seeds`
    makes them); ``hypers`` are settings of the same names. ``lanes`` is how many lanes are computed at once, which decides
    the memory; where it is given, a run's numbers do not depend on how many runs there are. With a ``folder`` each chunk keeps its state there at every checkpoint; the same call goes on from there after a kill.

    Raises :class:`InputError` for problems and seeds of different number, settings of different names, checkpoints that are none,
    a folder that keeps other runs; :class:`FloatingPointError` if something measured is not finite.
    """
    kind = device_of(device)
    each = read_seeds(seeds)
    marks = read_checkpoints(steps, checkpoints, "step")
    settings = _settings(hypers)
    _check_problems(problems, each.size)
    if lanes is not None and lanes < 1:
        raise InputError(f"a chunk has at least one lane, not {lanes}.")
    H, R = len(hypers), each.size
    chunk = lanes or min(LANES.get(kind.platform, LANES["cpu"]), H * R)
    store = None if folder is None else _Store(Path(folder), experiment, each, hypers, marks, problems, chunk)
    found: list[dict[str, Array]] = []
    with jax.enable_x64(True), jax.default_matmul_precision("float32"):  # a GPU would round factors to fewer digits
        for first in range(0, H * R, chunk):
            lane = np.minimum(np.arange(first, first + chunk), H * R - 1)  # the last chunk repeats its last lane
            run = lane % R
            inputs = (
                each[run],
                jax.tree.map(lambda leaf, run=run: np.asarray(leaf)[run], problems),
                {name: values[lane // R] for name, values in settings.items()},
            )
            found.append(_train_chunk(experiment, kind.platform, inputs, marks, store, first // chunk))
    joined = {name: np.concatenate([part[name] for part in found])[: H * R] for name in found[0]}
    for name, values in joined.items():
        if not np.isfinite(values).all():
            bad = int(np.argwhere(~np.isfinite(values))[0][0])
            raise FloatingPointError(f"{name} of the seed {each[bad % R]} under {dict(hypers[bad // R])} is not finite.")
    return Training(
        {name: v.reshape(H, R, *v.shape[1:]) for name, v in joined.items()}, marks, kind.device_kind, each, tuple(hypers)
    )


def _train_chunk(
    experiment: Experiment,
    platform: str,
    inputs: tuple[Any, Any, Any],
    marks: NDArray[np.int64],
    store: _Store | None,
    number: int,
) -> dict[str, Array]:
    """The measurements of one chunk, each of shape (lanes, records, ...)."""
    begin, advance = compiled(experiment, platform)
    state, records = (None, []) if store is None else store.read(number, jax.eval_shape(begin, *inputs))
    if state is None:
        state = begin(*inputs)
    for k in range(len(records), marks.size):
        start = int(marks[k - 1]) if k else 0
        state, measured = advance(state, *inputs, start, int(marks[k]))
        records.append({name: np.asarray(value, dtype=np.float64) for name, value in measured.items()})
        if store is not None:
            store.write(number, state, records)
    return {name: np.stack([record[name] for record in records], axis=1) for name in records[0]}


@functools.lru_cache(maxsize=64)
def compiled(experiment: Experiment, platform: str) -> tuple[Any, Any]:
    """The compiled beginning and stretch of a chunk of lanes.

    (seeds, problems, hypers) to states; and (states, seeds, problems, hypers, start, stop) to states and what is measured of them.
    """

    def begin(seed: jax.Array, problem: Any, hyper: Hyper) -> Any:
        return experiment.init(jax.random.fold_in(_key(seed), 0), problem, hyper)

    def advance(
        state: Any, seed: jax.Array, problem: Any, hyper: Hyper, start: jax.Array, stop: jax.Array
    ) -> tuple[Any, Measured]:
        key = _key(seed)

        def step(t: jax.Array, state: Any) -> Any:
            return experiment.update(state, jax.random.fold_in(key, t + 1), problem, hyper)

        state = jax.lax.fori_loop(start, stop, step, state)
        return state, experiment.measure(state, problem, hyper)

    # On a CPU the compiler would take longer than many of the runs: what runs once is not optimised, the loop moderately.
    options: tuple[dict[str, Any], ...] = ({}, {})
    if platform == "cpu":
        options = ({"xla_backend_optimization_level": 0}, {"xla_backend_optimization_level": 1})
    return (
        jax.jit(jax.vmap(begin), compiler_options=options[0]),
        jax.jit(jax.vmap(advance, in_axes=(0, 0, 0, 0, None, None)), donate_argnums=0, compiler_options=options[1]),
    )


def _key(seed: jax.Array) -> jax.Array:
    """The key of a run: both halves of its seed, a 64-bit word."""
    return jax.random.wrap_key_data(jnp.stack([seed >> 32, seed & 0xFFFFFFFF]).astype(jnp.uint32), impl="threefry2x32")


def _settings(hypers: Sequence[Mapping[str, float]]) -> dict[str, NDArray[np.float32]]:
    if not hypers or any(set(setting) != set(hypers[0]) for setting in hypers):
        raise InputError("training needs one setting of the hyperparameters or more, all of the same names.")
    found = {name: np.array([setting[name] for setting in hypers], dtype=np.float32) for name in hypers[0]}
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise InputError(f"the hyperparameter {name} is {values[~np.isfinite(values)][0]} in a setting.")
    return found


def _check_problems(problems: Any, runs: int) -> None:
    leaves = jax.tree.leaves(problems)
    for leaf in leaves:
        if np.ndim(leaf) == 0 or np.shape(leaf)[0] != runs:
            raise InputError(f"{runs} seeds need as many problems; a field of the problems has the shape {np.shape(leaf)}.")


class _Store:
    """A folder with a file for each chunk: its state and its records so far, replaced as a whole at every checkpoint."""

    def __init__(
        self,
        folder: Path,
        experiment: Experiment,
        seeds: NDArray[np.uint64],
        hypers: Sequence[Mapping[str, float]],
        marks: NDArray[np.int64],
        problems: Any,
        chunk: int,
    ):
        digest = hashlib.sha256(seeds.tobytes())
        for leaf in jax.tree.leaves(problems):
            digest.update(np.ascontiguousarray(leaf).tobytes())
        says = {
            "experiment": repr(experiment),
            "hypers": [dict(setting) for setting in hypers],
            "checkpoints": marks.tolist(),
            "lanes": chunk,
            "instances": digest.hexdigest(),
            "jax": jax.__version__,
        }
        self.folder = folder
        text = json.dumps(says, indent=1, sort_keys=True)
        header = folder / "training.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not header.exists():
                _replace(header, text.encode())
            kept = header.read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"{folder} cannot keep checkpoints: {error.strerror}.") from error
        if kept != text:
            raise InputError(f"{folder} keeps the checkpoints of other runs (another experiment, seeds, settings or JAX).")

    def read(self, number: int, like: Any) -> tuple[Any, list[dict[str, Array]]]:
        """The state and the records of a chunk; (None, []) where there is none, or a damaged one."""
        path = self._path(number)
        if not path.exists():
            return None, []
        try:
            with np.load(path, allow_pickle=False) as kept:
                leaves, tree = jax.tree.flatten(like)
                state = [kept[f"state{i}"] for i in range(len(leaves))]
                names = sorted(name[2:] for name in kept.files if name.startswith("m:"))
                records = [{name: kept[f"m:{name}"][k] for name in names} for k in range(int(kept["records"]))]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None, []
        if any(a.shape != b.shape or a.dtype != b.dtype for a, b in zip(state, leaves)):
            return None, []
        return jax.tree.unflatten(tree, state), records

    def write(self, number: int, state: Any, records: list[dict[str, Array]]) -> None:
        """Replace the chunk's file; a kill leaves the old one or the new one."""
        arrays = {f"state{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
        arrays |= {f"m:{name}": np.stack([record[name] for record in records]) for name in records[0]}
        path = self._path(number)
        part = path.with_suffix(".part.npz")
        try:
            np.savez(part, records=len(records), **arrays)  # type: ignore[arg-type]
            os.replace(part, path)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}; what was kept before is kept.") from error

    def _path(self, number: int) -> Path:
        return self.folder / f"chunk-{number:05d}.npz"


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)
