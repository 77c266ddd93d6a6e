"""A study on a Dask cluster of two processes, one of which is killed on the way: the table is that of one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.study import run_study
from experiments.ucb1_regret import ucb1_regret
from theory.errors import InputError

pytest.importorskip("distributed", reason="the extra `cluster` is not installed")

# The first worker that measures the point gap = 0.3 kills itself; its work is done again by the other.
SCRIPT = """
import os, signal, sys
from pathlib import Path
import experiments.ucb1_regret as module
from experiments.study import Study, run_study

folder, backend = Path(sys.argv[1]), sys.argv[2]

def measure(*, seeds, **point):
    mark = folder / "killed"
    if backend == "dask" and point["gap"] == 0.3 and not mark.exists():
        mark.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return module.measure_regret(seeds=seeds, **point)

if __name__ == "__main__":
    whole = module.ucb1_regret(horizon=200, runs=40, checkpoints=3)
    study = Study("toy", measure, whole.points, whole.seeds, block=10)
    run_study(study, folder, workers=2 if backend == "dask" else 1, backend=backend)
"""


def _table(tmp_path: Path, backend: str) -> tuple[bytes, Path]:
    script, folder = tmp_path / "toy.py", tmp_path / backend
    script.write_text(SCRIPT, encoding="utf-8")
    folder.mkdir()
    done = subprocess.run([sys.executable, script, folder, backend], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return (folder / "toy" / "table.parquet").read_bytes(), folder


def test_a_killed_worker_of_a_cluster_changes_nothing(tmp_path: Path) -> None:
    serial, _ = _table(tmp_path, "loky")
    parallel, folder = _table(tmp_path, "dask")
    assert parallel == serial
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "killed").read_text()), signal.SIG_DFL)


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.study.SCHEDULER_SECONDS", 1)
    with pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run_study(ucb1_regret(horizon=20, runs=2), backend="dask", scheduler="tcp://127.0.0.1:9")


def test_bad_backends_are_refused() -> None:
    study = ucb1_regret(horizon=20, runs=2)
    with pytest.raises(InputError, match="loky or dask, not 'threads'"):
        run_study(study, backend="threads")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="belongs to the backend 'dask'"):
        run_study(study, scheduler="tcp://127.0.0.1:9")
