"""The neural counterpart: networks trained in JAX on the problems of the other rooms, measured against exact answers.

Needs the optional extra ``neural`` (JAX, Equinox, Optax): ``pip install 'mdplab[neural]'``. Nothing else of the library imports it.
The modules of the room are imported when they are first used::

    from mdplab import neural

    neural.training.train(neural.discrete_sac.DiscreteSAC(), ...)

and without the extra that raises :class:`~theory.errors.Unavailable`, so that a check which needs it is skipped with the reason.

An *experiment* is three pure functions of one run: begin, update, measure (:class:`mdplab.neural.training.Experiment`). Training is
in float32, what is measured is exact and in float64: a linear solve, a dynamic program or an enumeration, never a roll-out.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from theory.errors import Unavailable

if TYPE_CHECKING:
    from mdplab.neural import discrete_sac as discrete_sac
    from mdplab.neural import distributional_sac as distributional_sac
    from mdplab.neural import evolution as evolution
    from mdplab.neural import learned_schedules as learned_schedules
    from mdplab.neural import learned_updates as learned_updates
    from mdplab.neural import mirror_descent as mirror_descent
    from mdplab.neural import mixture_policies as mixture_policies
    from mdplab.neural import nash_learning as nash_learning
    from mdplab.neural import networks as networks
    from mdplab.neural import preference_optimisation as preference_optimisation
    from mdplab.neural import problems as problems
    from mdplab.neural import replay as replay
    from mdplab.neural import token_learners as token_learners
    from mdplab.neural import training as training
    from mdplab.neural import transformer as transformer

__all__ = [
    "discrete_sac",
    "distributional_sac",
    "evolution",
    "learned_schedules",
    "learned_updates",
    "mirror_descent",
    "mixture_policies",
    "nash_learning",
    "networks",
    "preference_optimisation",
    "problems",
    "replay",
    "token_learners",
    "training",
    "transformer",
]

_LIBRARIES = ("jax", "jaxlib", "equinox", "optax")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in _LIBRARIES:
            raise
        raise Unavailable(f"{error.name} is not installed; pip install 'mdplab[neural]' brings it.") from error


def __dir__() -> list[str]:
    return sorted(__all__)
