"""Models in NumPy's .npz files: exact, compact, and free of pickles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdplab.models.episodic import EpisodicMDP
from mdplab.models.errors import ModelError
from mdplab.models.tabular import TabularMDP

_TABULAR = ("state_pointer", "row_pointer", "next_state", "probability", "reward", "action")
_EPISODIC = ("P", "R")


def save_npz(model: TabularMDP | EpisodicMDP, path: str | Path, *, compressed: bool = False) -> Path:
    """Write the model's arrays, and its discount or horizon, start, names and key; returns the path.

    :func:`load_npz` gives back the same numbers, bit for bit. The suffix .npz is added where it is missing.
    """
    target = Path(path)
    if target.suffix != ".npz":
        target = target.with_name(target.name + ".npz")
    arrays: dict[str, Any]
    if isinstance(model, TabularMDP):
        about: dict[str, Any] = {"type": "TabularMDP", "key": model.key}
        about |= {"state_names": model.state_names, "action_names": model.action_names}
        arrays = {name: getattr(model, name) for name in _TABULAR} | {"gamma": np.float64(model.gamma)}
    else:
        about = {"type": "EpisodicMDP", "key": model.key, "horizon": model.horizon}
        # what is the same at every step is stored once
        arrays = {name: a[0] if a.strides[0] == 0 else a for name, a in (("P", model.P), ("R", model.R))}
    if model.start is not None:
        arrays["start"] = model.start
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    try:
        with target.open("wb") as file:
            (np.savez_compressed if compressed else np.savez)(file, **arrays)
    except OSError as error:
        raise ModelError(f"{target} cannot be written: {error.strerror or error}.") from error
    return target


def load_npz(path: str | Path) -> TabularMDP | EpisodicMDP:
    """The model that :func:`save_npz` wrote to ``path``; ModelError, in one sentence, for any other or a damaged file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, NDArray[Any]] = {name: file[name] for name in file.files}
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # a damaged archive may raise almost anything, from BadZipFile to NotImplementedError
        raise ModelError(f"{path} is not a whole .npz file; it may be truncated ({type(error).__name__}).") from error
    try:
        about = json.loads(arrays.pop("about").tobytes())
        kind, key, start = about["type"], about["key"], arrays.get("start")
        if kind == "TabularMDP":
            names = {n: None if about[n] is None else tuple(about[n]) for n in ("state_names", "action_names")}
            fields = {name: arrays[name] for name in _TABULAR}
            return TabularMDP(**fields, gamma=float(arrays["gamma"]), start=start, key=key, **names)  # type: ignore[arg-type]
        if kind == "EpisodicMDP":
            return EpisodicMDP(arrays["P"], arrays["R"], start=start, horizon=about["horizon"], key=key)
    except ModelError as error:
        raise ModelError(f"{path} holds no valid model: {error}") from error
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} holds no model as mdplab writes them; something is missing ({error}).") from error
    raise ModelError(f"{path} holds a model of the unknown type {kind!r}.")
