"""The look of every figure, and how it is written: SVG and PNG, the same bytes for the same numbers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TypeVar

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by readers with any colour vision and in grey print (with the dashes).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
OUT = Path(__file__).parent / "out"
SVG_DPI = 72  # Matplotlib lays out an SVG for this resolution, whatever it is told
Size = TypeVar("Size")


def is_quick() -> bool:
    """Whether figures are drawn in the quick size, as ``mdplab figures --quick`` asks for."""
    return os.environ.get("MDPLAB_FIGURE_SIZE") == "quick"


def sized(full: Size, quick: Size) -> Size:
    """``full``, or ``quick`` in the quick size, which is the same figure of fewer, smaller runs."""
    return quick if is_quick() else full


def use() -> None:
    """Set the style for all figures that follow, whatever was set before."""
    plt.rcdefaults()
    plt.rcParams.update(
        {
            "figure.figsize": (7.2, 4.2),
            "figure.dpi": 120,
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.prop_cycle": cycler(color=COLOURS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "svg.hashsalt": "mdplab",
            "svg.fonttype": "path",
        }
    )


def table(study: str) -> pd.DataFrame:
    """The finished table of a study that is kept beside the figures, since measuring it takes minutes or a GPU.

    ``mdplab study run NAME`` and ``mdplab study export NAME figures/tables/NAME.parquet`` measure it anew.
    """
    return pd.read_parquet(Path(__file__).parent / "tables" / f"{study}.parquet")


def save(figure: Figure, name: str) -> list[Path]:
    """Write ``name``.svg and ``name``.png to the folder given as the first argument of the script, or to figures/out."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    folder.mkdir(parents=True, exist_ok=True)
    if is_quick():  # one layout for both pictures, in one resolution: laying out is most of the work
        figure.set_dpi(SVG_DPI)
        figure.get_layout_engine().execute(figure)
        plt.rcParams["figure.constrained_layout.use"] = False
        figure.set_layout_engine(None)
    written = []
    for suffix, metadata in ((".svg", {"Date": None, "Creator": None}), (".png", {"Software": None})):
        path = folder / f"{name}{suffix}"
        figure.savefig(path, metadata=metadata | sized({}, {"Description": "quick size"}))
        written.append(path)
    plt.close(figure)
    return written
