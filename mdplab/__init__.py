"""mdplab: verifying the theory of reinforcement learning by computation."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mdplab import models as models
    from mdplab import solvers as solvers
    from mdplab.models import EpisodicMDP as EpisodicMDP
    from mdplab.models import ModelError as ModelError
    from mdplab.models import TabularMDP as TabularMDP
    from mdplab.models import read_model as read_model

__version__ = "0.1.0"

_ROOMS = ("models", "solvers")
_MODELS = ("EpisodicMDP", "ModelError", "TabularMDP", "read_model")

__all__ = ["EpisodicMDP", "ModelError", "TabularMDP", "__version__", "models", "read_model", "solvers"]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _MODELS:
        return getattr(importlib.import_module(f"{__name__}.models"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
