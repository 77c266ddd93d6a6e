"""Studies: the table does not depend on workers, pieces or interruptions, and what goes wrong is said in one sentence."""

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import measuring
from experiments import study as runner
from experiments.study import Study, StudyError, grid, joined, run_study, stored_table, study_status
from experiments.ucb1_regret import ucb1_regret
from theory.errors import InputError, Unavailable
from theory.random_streams import run_seeds

SEEDS = run_seeds(5, 10)
POINTS = grid(law=("normal", "uniform"), steps=(4, 9), drift=0) + grid(law="normal", steps=30, drift=0.5)


def walk(*, seeds: np.ndarray, law: str, steps: int, drift: float) -> dict[str, np.ndarray]:
    """A random walk at its end and half way, ordered by time and not by seed; seeds below 2^63 have one row more."""
    jumps = [getattr(np.random.default_rng(int(s)), law)(size=steps) + drift for s in seeds]
    half, end = (np.array([j[:n].sum() for j in jumps]) for n in (steps // 2, steps))
    few = seeds < 2**63
    return {
        "seed": np.concatenate([seeds, seeds, seeds[few]]),
        "time": np.repeat([steps, steps // 2, 0], [seeds.size, seeds.size, few.sum()]),
        "place": np.concatenate([end, half, np.zeros(few.sum())]),
        "above": np.concatenate([end > 0, half > 0, few[few]]),
        "word": np.concatenate([np.where(end > 0, "up", "down"), np.where(half > 0, "up", "down"), np.full(few.sum(), "ø")]),
    }


WALK = Study("walk", walk, POINTS, SEEDS, block=4)


def same(first: pd.DataFrame, second: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def table_bytes(folder: Path, name: str = "walk") -> bytes:
    return (folder / name / "table.parquet").read_bytes()


def piece_files(folder: Path, name: str = "walk") -> list[Path]:
    return sorted((folder / name / "pieces").iterdir())


def test_the_table_is_what_a_plain_loop_makes() -> None:
    rows = []
    for point in POINTS:
        for seed in SEEDS:
            one = pd.DataFrame(walk(seeds=np.array([seed]), **point))
            rows.append(one.assign(**{k: float(v) if k == "drift" else v for k, v in point.items()}))
    table = run_study(WALK)
    assert list(table) == ["law", "steps", "drift", "seed", "time", "place", "above", "word", "code"]
    expected = pd.concat(rows, ignore_index=True)[list(table)[:-1]]
    pd.testing.assert_frame_equal(table.drop(columns="code"), expected, check_exact=True, check_dtype=False)
    assert table["seed"].dtype == np.uint64
    assert set(table["code"]) == {measuring.code_version(walk)}
    assert re.fullmatch(r"\d+\.\d+\.\d+\+[0-9a-f]{12}", table["code"][0])
    assert {len(rows) for _, rows in table.groupby(["law", "steps", "seed"])} == {2, 3}


def test_workers_pieces_and_folders_change_nothing(tmp_path: Path) -> None:
    table = run_study(WALK)
    same(table, run_study(replace(WALK, block=100)))
    same(table, run_study(replace(WALK, block=3), workers=2))
    same(table, run_study(WALK, tmp_path / "a"))
    same(table, run_study(replace(WALK, block=1), tmp_path / "b", workers=2, progress=True))
    same(table, run_study(WALK, tmp_path / "a"))
    assert table_bytes(tmp_path / "a") == table_bytes(tmp_path / "b")
    same(table, pd.read_parquet(tmp_path / "a" / "walk" / "table.parquet"))
    assert pq.ParquetFile(tmp_path / "a" / "walk" / "table.parquet").num_row_groups == len(POINTS)


def long_walk(*, seeds: np.ndarray) -> dict[str, np.ndarray]:
    """2000 rows for each seed."""
    path = np.concatenate([np.random.default_rng(int(s)).normal(size=2000).cumsum() for s in seeds])
    return {"seed": np.repeat(seeds, 2000), "place": path}


def test_pieces_leave_no_trace_in_a_table_of_many_pages(tmp_path: Path) -> None:
    long = Study("long", long_walk, grid(), run_seeds(0, 200), block=200)
    same(run_study(long, tmp_path / "a"), run_study(replace(long, block=7), tmp_path / "b"))
    assert table_bytes(tmp_path / "a", "long") == table_bytes(tmp_path / "b", "long")


def test_a_data_frame_may_be_returned() -> None:
    framed = Study("walk", lambda **given: pd.DataFrame(walk(**given)), POINTS, SEEDS)
    same(run_study(WALK), run_study(framed))


@settings(max_examples=8, deadline=None)
@given(st.data(), st.integers(1, 12), st.integers(1, 12))
def test_a_run_goes_on_from_any_pieces(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, first: int, second: int
) -> None:
    folder = tmp_path_factory.mktemp("studies")
    table = run_study(replace(WALK, block=first), folder)
    whole = table_bytes(folder)
    for path in piece_files(folder):
        if data.draw(st.booleans()):
            path.unlink()
    same(table, run_study(replace(WALK, block=second), folder))
    assert table_bytes(folder) == whole


def test_finished_pieces_are_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = run_study(WALK, tmp_path)
    piece_files(tmp_path)[4].unlink()
    asked: list[np.ndarray] = []
    real = runner.measure_piece
    monkeypatch.setattr(runner, "measure_piece", lambda *given: asked.append(given[2]) or real(*given))
    assert study_status(WALK, tmp_path) == runner.StudyStatus(done=46, runs=50, damaged=(), refusal=None)
    same(table, run_study(WALK, tmp_path))
    assert np.array_equal(np.concatenate(asked), SEEDS[4:8])
    assert study_status(WALK, tmp_path).done == 50


KILLED = '''
import os, signal, sys
from pathlib import Path
import numpy as np
from experiments.study import Study, grid, run_study

moment, folder, workers = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in the background without it

def kill(process=None, how=signal.SIGKILL):
    os.kill(process or os.getpid(), how)
    signal.pause()

def measure(*, seeds, scale):
    if scale == 2.0 and 5 in seeds:
        if (folder / "kill-measuring").exists():
            kill()
        if (folder / "kill-parent").exists():
            kill(os.getppid())
        if (folder / "interrupt").exists():
            kill(os.getpid() if workers == 1 else os.getppid(), signal.SIGINT)
    return {"seed": seeds, "value": scale * np.sqrt(seeds.astype(float))}

renamed, rename = [], os.replace

def replace(source, target):
    """Renames, but ends the process instead at the fifth file, or at the table."""
    renamed.append(target)
    if moment == "rename" and len(renamed) == 5 or moment == "rename-table" and "table" in str(target):
        kill()
    rename(source, target)

os.replace = replace
run_study(Study("toy", measure, grid(scale=(1.0, 2.0, 3.0)), np.arange(10), block=2), folder, workers=workers)
'''


Toy = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Runs a study of fifteen pieces in a process of its own, which dies at a given moment: its exit code, its last words."""
    script = tmp_path_factory.mktemp("toy") / "toy.py"
    script.write_text(KILLED)

    def run(moment: str, folder: Path, workers: int = 1) -> tuple[int, str]:
        (folder / moment).touch()
        errors = script.with_name("stderr")
        with errors.open("w") as file:  # not a pipe, which orphaned workers would hold open
            command = [sys.executable, str(script), moment, str(folder), str(workers)]
            done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=file, timeout=120, check=False)
        (folder / moment).unlink()
        return done.returncode, ["", *errors.read_text().splitlines()][-1]

    return run


@pytest.fixture(scope="module")
def undisturbed(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody killed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert toy("nothing", folder) == (0, "")
    return folder


@pytest.mark.parametrize(
    ("moment", "workers", "kept"),
    [("kill-measuring", 1, 7), ("rename", 1, 3), ("rename-table", 1, 15), ("kill-parent", 2, None)],
)
def test_a_killed_run_ends_with_the_same_bytes(
    toy: Toy, undisturbed: Path, tmp_path: Path, moment: str, workers: int, kept: int | None
) -> None:
    assert toy(moment, tmp_path, workers)[0] == -signal.SIGKILL
    assert not (tmp_path / "toy" / "table.parquet").exists()
    finished = [p for p in piece_files(tmp_path, "toy") if p.suffix == ".parquet"]
    assert len(finished) == kept if kept is not None else len(finished) < 15
    before = {path: path.stat().st_mtime_ns for path in finished}
    assert toy("nothing", tmp_path) == (0, "")
    assert table_bytes(tmp_path, "toy") == table_bytes(undisturbed, "toy")
    assert {path: path.stat().st_mtime_ns for path in finished} == before
    assert [p.name for p in piece_files(tmp_path, "toy")] == [p.name for p in piece_files(undisturbed, "toy")]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_says_what_is_kept(toy: Toy, tmp_path: Path, workers: int) -> None:
    code, last = toy("interrupt", tmp_path, workers)
    assert code == -signal.SIGINT
    kept = f"{len(piece_files(tmp_path, 'toy'))} finished pieces are kept in {tmp_path / 'toy'}"
    assert last == f"KeyboardInterrupt: the study toy was stopped; {kept}."


def test_a_worker_that_dies_is_reported(toy: Toy, tmp_path: Path) -> None:
    _, last = toy("kill-measuring", tmp_path, 2)
    kept = f"{len(piece_files(tmp_path, 'toy'))} finished pieces are kept in {tmp_path / 'toy'}"
    assert last.endswith(f"StudyError: a worker of the study toy died, perhaps for lack of memory; {kept}.")


@pytest.mark.parametrize("harm", ["truncated", "empty", "flipped"])
def test_a_damaged_piece_is_measured_again(tmp_path: Path, harm: str) -> None:
    table = run_study(WALK, tmp_path)
    whole = table_bytes(tmp_path)
    victim = piece_files(tmp_path)[3]
    data = victim.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    victim.write_bytes({"truncated": data[:-1], "empty": b"", "flipped": flipped}[harm])
    status = study_status(WALK, tmp_path)
    assert (status.done, status.damaged, status.refusal) == (46, (victim,), None)
    with pytest.warns(UserWarning, match=f"{victim} is damaged and is measured again"):
        same(table, run_study(WALK, tmp_path))
    assert victim.read_bytes() == data
    assert table_bytes(tmp_path) == whole


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"points": POINTS[:-1]}, "points"),
        ({"points": POINTS[::-1]}, "points"),
        ({"seeds": run_seeds(5, 11)}, "seeds"),
        ({"measure": lambda **given: walk(**given)}, "measure"),
    ],
)
def test_a_changed_study_is_refused_until_restarted(tmp_path: Path, change: dict[str, Any], name: str) -> None:
    run_study(WALK, tmp_path)
    whole, other = table_bytes(tmp_path), replace(WALK, **change)
    with pytest.raises(InputError, match=rf"holds a study with other {name}; restart it \(--restart\), or give"):
        run_study(other, tmp_path, mix_versions=True)
    assert table_bytes(tmp_path) == whole
    assert f"other {name}" in (study_status(other, tmp_path).refusal or "")
    same(run_study(other), run_study(other, tmp_path, restart=True))


def test_another_code_version_is_refused_restarted_or_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = measuring.code_version(walk)
    table = run_study(WALK, tmp_path)
    for module in (runner, measuring):
        monkeypatch.setattr(module, "code_version", lambda measure: "9.9.9+new")
    piece_files(tmp_path)[-1].unlink()
    sentence = f"was measured by the code {re.escape(old)}, and this is 9.9.9\\+new; restart it .*, or go on .*mix-versions"
    with pytest.raises(InputError, match=sentence):
        run_study(WALK, tmp_path)
    assert re.search(sentence, study_status(WALK, tmp_path).refusal or "")
    mixed = run_study(WALK, tmp_path, mix_versions=True)
    same(mixed.drop(columns="code"), table.drop(columns="code"))
    assert dict(mixed.groupby("code")["seed"].nunique()) == {old: 10, "9.9.9+new": 2}
    same(mixed, run_study(WALK, tmp_path))
    assert set(run_study(WALK, tmp_path, restart=True)["code"]) == {"9.9.9+new"}


def test_sources_that_change_during_a_run_are_noticed() -> None:
    with pytest.raises(InputError, match="the source files changed while the study was running"):
        measuring.measure_piece(walk, POINTS[0], SEEDS, "0.0.0+other")


def test_a_lost_or_damaged_declaration_is_refused(tmp_path: Path) -> None:
    table = run_study(WALK, tmp_path)
    path = tmp_path / "walk" / "study.json"
    for text in (b'{"format": 1, "poi', b"\xff", b'{"format": 99}', None):
        path.unlink()
        if text is not None:
            path.write_bytes(text)
        with pytest.raises(InputError, match=r"study\.json, which says what study was measured, .*; restart the study"):
            run_study(WALK, tmp_path)
        path.touch()
    same(table, run_study(WALK, tmp_path, restart=True))


def broken(*, seeds: np.ndarray, law: str, steps: int, drift: float) -> Any:
    """Fails in a way of its own at the seed SEEDS[6] where there are nine steps."""
    found = walk(seeds=seeds, law=law, steps=steps, drift=drift)
    bad = found["seed"] == SEEDS[6]
    if steps != 9 or not bad.any():
        return found
    if BROKEN == "raises":
        return {**found, "odd": 1 / 0}
    if BROKEN == "unavailable":
        raise Unavailable("needs what is not there")
    rows: dict[str, Any] = {
        "nan": lambda: {**found, "place": np.where(bad, np.nan, found["place"])},
        "inf": lambda: {**found, "place": np.where(bad, -np.inf, found["place"])},
        "other seed": lambda: {**found, "seed": np.where(bad, np.uint64(7), found["seed"])},
        "no seed": lambda: {k: v for k, v in found.items() if k != "seed"},
        "no row": lambda: {k: v[~bad] for k, v in found.items()},
        "float seeds": lambda: {**found, "seed": found["seed"].astype(float)},
        "short": lambda: {**found, "place": found["place"][1:]},
        "table": lambda: {**found, "place": np.zeros((bad.size, 2))},
        "parameter": lambda: {**found, "steps": found["time"]},
        "code": lambda: {**found, "code": found["time"]},
        "complex": lambda: {**found, "place": found["place"] * 1j},
        "large": lambda: {**found, "time": np.full(bad.size, 2**63, dtype=np.uint64)},
        "objects": lambda: {**found, "word": np.array([None] * bad.size)},
        "list": lambda: [1, 2],
        "another column": lambda: {**found, "new": found["time"]},
        "another kind": lambda: {**found, "time": found["time"] / 2},
    }
    return rows[BROKEN]()


BROKEN = "raises"


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("raises", "ZeroDivisionError: division by zero"),
        ("nan", f"the column place is nan for the seed {SEEDS[6]}; what is measured is finite"),
        ("inf", "the column place is -inf for the seed"),
        ("other seed", "a row has the seed 7, which was not asked for"),
        ("no seed", "returns a column seed, not only time, place, above, word"),
        ("no row", f"there is no row for the seed {SEEDS[6]}"),
        ("float seeds", "the column seed holds the seeds, whole numbers, not float64"),
        ("short", r"the column place has the shape \(\d,\), but there are \d rows"),
        ("table", r"the column place has the shape \(\d, 2\), but there are \d rows"),
        ("parameter", "the column steps is added by the runner"),
        ("code", "the column code is added by the runner"),
        ("complex", "the column place holds complex128; it may hold truth values, 64-bit numbers or text"),
        ("large", "the column time holds uint64"),
        ("objects", "the column word holds object"),
        ("list", "returns a mapping of columns or a DataFrame, not list"),
        ("another column", r"the columns differ from those of other pieces in new \(int64\)"),
        ("another kind", r"the columns differ from those of other pieces in time \(double\), time \(int64\)"),
    ],
)
def test_a_failure_names_the_point_and_the_seed_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, reason: str
) -> None:
    study = replace(WALK, measure=broken)
    monkeypatch.setitem(globals(), "BROKEN", way)
    where = "law='normal', steps=9, drift=0.0" + ("" if way.startswith("another") else f", seed {SEEDS[6]}")
    with pytest.raises(StudyError, match=f"the study walk failed at {where}: .*{reason}") as found:
        run_study(study, tmp_path)
    assert str(found.value).endswith(f"(2 of 15 pieces failed; 13 finished pieces are kept in {tmp_path / 'walk'}).")
    assert "\n" not in str(found.value)
    assert len(piece_files(tmp_path)) == 13
    if way == "raises":
        assert "1 / 0" in found.value.__notes__[0]
    with pytest.raises(StudyError, match=r"\(1 of 15 pieces failed; nothing is kept, for want of a folder\)"):
        run_study(study)


def test_a_failure_in_a_worker_is_reported_and_the_rest_is_kept(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=rf"steps=9, drift=0.0, seed {SEEDS[6]}: ZeroDivisionError") as found:
        run_study(replace(WALK, measure=broken), tmp_path, workers=2)
    assert "13 finished pieces" in str(found.value)
    assert study_status(replace(WALK, measure=broken), tmp_path).done == 42


def test_a_failure_of_many_seeds_together_is_told_as_such() -> None:
    def crowded(*, seeds: np.ndarray) -> dict[str, np.ndarray]:
        if seeds.size > 6:
            raise MemoryError
        return {"seed": seeds}

    with pytest.raises(StudyError, match="failed at the only point, 10 seeds together: MemoryError"):
        run_study(Study("crowd", crowded, grid(), SEEDS))
    assert len(run_study(Study("crowd", crowded, grid(), SEEDS, block=5))) == 10


def test_what_is_not_available_is_said_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "BROKEN", "unavailable")
    with pytest.raises(Unavailable, match="needs what is not there"):
        run_study(replace(WALK, measure=broken))


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def fsync(file: int) -> None:
        written.append(file)
        if len(written) > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        with pytest.raises(InputError, match=r"pieces/00001-0000004-.* cannot be written: No space left on device"):
            run_study(WALK, tmp_path)
    assert len(piece_files(tmp_path)) == 4  # beside study.json
    same(run_study(WALK), run_study(WALK, tmp_path))


def test_a_hidden_parameter_is_not_kept(tmp_path: Path) -> None:
    factor = 2.0
    hidden = Study("hidden", lambda *, seeds: {"seed": seeds, "value": factor * np.ones(seeds.size)}, grid(), SEEDS)
    assert (run_study(hidden)["value"] == 2.0).all()
    with pytest.raises(InputError, match="the study hidden cannot be kept: factor in its measuring function is no parameter"):
        run_study(hidden, tmp_path)


def test_grids_are_products_and_add_up() -> None:
    assert grid(a=(1, 2), b="xy", c=[0.5]) == ({"a": 1, "b": "xy", "c": 0.5}, {"a": 2, "b": "xy", "c": 0.5})
    assert grid() == ({},)
    mixed = Study("mixed", walk, grid(x=(1, 0.5), y=np.array([3, 4]), z=np.True_) + grid(x=7, y=3, z=False), [0, 2**64 - 1])
    assert mixed.points[0] == {"x": 1.0, "y": 3, "z": True}
    assert [type(v) for v in mixed.points[0].values()] == [float, int, bool]
    assert mixed.runs == 10
    assert mixed.seeds.dtype == np.uint64
    assert not mixed.seeds.flags.writeable


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grid(x=()), "the parameter x of a grid has no values"),
        (lambda: replace(WALK, points=()), "the study walk has no points"),
        (lambda: replace(WALK, points=[{"x": 1}, {"y": 1}]), "the points of the study walk have different parameters"),
        (lambda: replace(WALK, points=grid(x=(1, 2, 1.0))), "the study walk has the point x=1.0 twice"),
        (lambda: replace(WALK, points=grid(x=(1, True))), "the parameter x .* not bool, int"),
        (lambda: replace(WALK, points=grid(x=(1, "1"))), "the parameter x .* not int, str"),
        (lambda: replace(WALK, points=[{"x": (1, 2)}]), "the parameter x .* not tuple"),
        (lambda: replace(WALK, points=grid(x=(1.0, np.nan))), "the parameter x .* is not a number at some point"),
        (lambda: replace(WALK, points=grid(x=2**63)), "the column x holds uint64"),
        (lambda: replace(WALK, points=grid(seed=1)), "cannot be called 'seed'"),
        (lambda: replace(WALK, points=[{"a b": 1}]), "cannot be called 'a b'"),
        (lambda: replace(WALK, seeds=[]), "a vector of whole numbers"),
        (lambda: replace(WALK, seeds=[0.5]), "a vector of whole numbers"),
        (lambda: replace(WALK, seeds=[-1]), "a vector of whole numbers"),
        (lambda: replace(WALK, seeds=[3, 4, 3]), "the study walk has the seed 3 twice"),
        (lambda: replace(WALK, name="a/b"), "the name of a study is made of"),
        (lambda: replace(WALK, block=0), "a piece of the study walk has at least one seed, not 0"),
        (lambda: replace(WALK, measure=WALK.declaration), "measured by a plain function"),
        (lambda: replace(WALK, measure=print), "measured by a plain function"),
        (lambda: run_study(WALK, workers=0), "at least one worker, not 0"),
    ],
)
def test_bad_input(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as found:
        call()
    assert "\n" not in str(found.value)


def test_the_study_of_ucb1_does_not_depend_on_its_pieces() -> None:
    study = ucb1_regret(horizon=300, runs=23, checkpoints=5)
    table = run_study(study)
    same(table, run_study(replace(study, block=5)))
    assert len(table) == 2 * 23 * 5
    assert (table["regret"] >= 0).all()
    last = table[table["round"] == 300].groupby("gap")[["regret", "bound"]].mean()
    assert (last["regret"] < last["bound"]).all()


def test_the_guide_shows_what_runs(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")
    (tmp_path / "my_study.py").write_text("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "my_study.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("studies/*/table.parquet"))) == 1


def test_joined_studies_have_the_rows_of_each() -> None:
    halves = [replace(WALK, points=WALK.points[:2]), replace(WALK, points=WALK.points[2:])]
    both = joined("both", halves)
    same(run_study(both), pd.concat([run_study(half) for half in halves], ignore_index=True))
    with pytest.raises(InputError, match="joined in both do not share their measuring function and their seeds"):
        joined("both", [WALK, replace(WALK, seeds=SEEDS[1:])])


def test_a_stored_table_is_that_of_the_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"not finished: 0 of {WALK.runs} runs"):
        stored_table(WALK, tmp_path)
    found = run_study(WALK, tmp_path)
    (tmp_path / "walk" / "table.parquet").unlink()
    same(stored_table(replace(WALK, block=7), tmp_path), found)
    assert not (tmp_path / "walk" / "table.parquet").exists()
