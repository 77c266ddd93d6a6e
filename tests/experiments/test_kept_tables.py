"""The tables that are kept beside the figures are those of the studies that are declared."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.declared import STUDIES
from mdplab import gallery

TABLES = Path(gallery.SCRIPTS) / "tables"
KEPT = sorted(path.stem for path in TABLES.glob("*.parquet"))


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_table_is_that_of_its_study(name: str) -> None:
    study = STUDIES[name].make()
    table = pd.read_parquet(TABLES / f"{name}.parquet")
    assert set(table["seed"]) == set(study.seeds)
    parameters = list(study.points[0])
    found = {tuple(row) for row in table[parameters].drop_duplicates().itertuples(index=False)} if parameters else {()}
    assert found == {tuple(point[p] for p in parameters) for point in study.points}
    numbers = table.select_dtypes(include=np.number)
    assert np.isfinite(numbers.to_numpy(dtype=float)).all()
    assert {"device", "jax", "code"} <= set(table.columns)
    assert (TABLES / f"{name}.parquet").stat().st_size < 500_000


def test_every_kept_table_is_drawn_and_no_figure_asks_for_another() -> None:
    scripts = [figure.script.read_text(encoding="utf-8") for figure in gallery.figures().values()]
    named = {name for script in scripts for name in re.findall(r'_style\.table\("([^"]+)"\)', script)}
    assert named == set(KEPT)
