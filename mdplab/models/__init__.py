"""Models: what an MDP is, generators of families, readers and writers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mdplab.models.errors import ModelError
    from mdplab.models.tabular import TabularMDP

_ROOMS = {"errors": ("ModelError",), "tabular": ("TabularMDP",)}
_WHERE = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = ["ModelError", "TabularMDP"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
