"""The Open Bandit layout: what is written is read back to the last bit, and what is wrong is told with its line and column."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits import logged_data
from bandits.logged_data import ItemContext, LoggedBanditData, open_bandit_sample, read_open_bandit, write_open_bandit
from bandits.off_policy_evaluation import inverse_propensity, self_normalised
from theory.errors import InputError, Unavailable

HEADER = ",timestamp,item_id,position,click,propensity_score,user_feature_0,user-item_affinity_0,user-item_affinity_1"
ROWS = (
    "0,2019-11-24 00:03:13.442536+00:00,1,3,0,0.5,cef3,0.0,1.5",
    "1,2019-11-24 09:03:14+09:00,0,1,1,0.25,03a5,0.0,-2e-3",
)
ITEMS = (",item_id,item_feature_0,item_feature_1", "0,0,-0.67,ceca", "1,1,0.5,270d")


def small(folder: Path, rows: tuple[str, ...] = (HEADER, *ROWS), items: tuple[str, ...] = ITEMS) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{folder.name}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "item_context.csv").write_text("\n".join(items) + "\n", encoding="utf-8")
    return folder


def random_data(seed: int, n: int) -> LoggedBanditData:
    rng = np.random.default_rng(seed)
    microseconds = rng.integers(0, 2**51, size=n)
    microseconds[::3] -= microseconds[::3] % 1_000_000  # whole seconds are written without a fraction
    texts = np.array(["a,b", 'say "x"', "line\nbreak", "ü", "7"])
    return LoggedBanditData(
        timestamps=microseconds.astype("datetime64[us]"),
        items=rng.integers(4, size=n),
        positions=rng.integers(1, 4, size=n),
        clicks=rng.integers(2, size=n),
        propensities=1 - rng.random(n),
        user_features=rng.choice(texts, size=(n, 2)),
        affinities=rng.standard_normal((n, 3)) * 10.0 ** rng.integers(-300, 300, size=(n, 3)),
        user_feature_names=("user_feature_0", "user_feature_1"),
        affinity_names=tuple(f"user-item_affinity_{j}" for j in range(3)),
        item_context=ItemContext(("item_feature_0", "item_feature_1"), rng.choice(texts, size=(4, 2))),
    )


def assert_same(first: LoggedBanditData, second: LoggedBanditData) -> None:
    for name in ("timestamps", "items", "positions", "clicks", "propensities", "user_features", "affinities"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.user_feature_names == second.user_feature_names
    assert first.affinity_names == second.affinity_names
    assert first.item_context.names == second.item_context.names
    np.testing.assert_array_equal(first.item_context.features, second.item_context.features)


def test_by_hand(tmp_path):
    data = read_open_bandit(small(tmp_path / "all"))
    assert data.size == data.item_count == 2
    np.testing.assert_array_equal(data.items, [1, 0])
    np.testing.assert_array_equal(data.positions, [3, 1])
    np.testing.assert_array_equal(data.clicks, [0, 1])
    np.testing.assert_array_equal(data.propensities, [0.5, 0.25])
    np.testing.assert_array_equal(data.affinities, [[0.0, 1.5], [0.0, -0.002]])
    assert data.timestamps[0] == np.datetime64("2019-11-24T00:03:13.442536")
    assert data.timestamps[1] == np.datetime64("2019-11-24T00:03:14")  # nine hours east of Greenwich
    assert data.user_features.tolist() == [["cef3"], ["03a5"]]
    assert data.item_context.features.tolist() == [["-0.67", "ceca"], ["0.5", "270d"]]
    log = data.log()
    np.testing.assert_array_equal(log.contexts, [2, 0])
    assert inverse_propensity(log, np.full((3, 2), 0.5)).value == pytest.approx(1.0)
    np.testing.assert_array_equal(data.log(np.array([5, 6])).contexts, [5, 6])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40), st.sampled_from([1, 7, 50_000]))
def test_round_trip(tmp_path_factory, seed, n, chunk):
    folder = tmp_path_factory.mktemp("log") / "men"
    data = random_data(seed, n)
    write_open_bandit(data, folder)
    first = (folder / "men.csv").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logged_data, "CHUNK", chunk)
        again = read_open_bandit(folder)
    assert_same(data, again)
    write_open_bandit(again, folder)
    assert (folder / "men.csv").read_bytes() == first


def test_the_index_column_may_be_missing_and_features_too(tmp_path):
    rows = ("timestamp,item_id,position,click,propensity_score", "2019-11-24 00:03:13,1,3,0,0.5")
    data = read_open_bandit(small(tmp_path / "all", rows, ("item_id", "0", "1")))
    assert data.user_features.shape == data.affinities.shape == (1, 0)
    assert data.item_context.features.shape == (2, 0)


def changed(column: int, text: str, line: int = 2) -> tuple[str, ...]:
    """The small log with one field of one line replaced."""
    rows = [HEADER, *ROWS]
    fields = rows[line - 1].split(",")
    fields[column] = text
    rows[line - 1] = ",".join(fields)
    return tuple(rows)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (changed(1, "yesterday", 3), r"all\.csv, line 3, column 'timestamp': 'yesterday' is not a time such as"),
        (changed(2, "two"), r"all\.csv, line 2, column 'item_id': 'two' is not an item of item_context\.csv \(0 to 1\)"),
        (changed(2, "2", 3), r"line 3, column 'item_id': '2' is not an item"),
        (changed(2, "-1"), r"line 2, column 'item_id': '-1' is not an item"),
        (changed(2, "9" * 30), r"line 2, column 'item_id': '9{30}' is not an item"),
        (changed(3, "0"), r"line 2, column 'position': '0' is not a position"),
        (changed(3, "1.5"), r"line 2, column 'position': '1\.5' is not a position"),
        (changed(4, "2", 3), r"line 3, column 'click': '2' is not 0 or 1"),
        (changed(5, "0.0"), r"line 2, column 'propensity_score': '0\.0' is not in \(0, 1\]"),
        (changed(5, "1.01"), r"'1\.01' is not in \(0, 1\]"),
        (changed(5, "nan"), r"'nan' is not in \(0, 1\]"),
        (changed(5, ""), r"column 'propensity_score': '' is not in \(0, 1\]"),
        (changed(6, ""), r"line 2, column 'user_feature_0': '' is not a category"),
        (changed(8, "inf", 3), r"line 3, column 'user-item_affinity_1': 'inf' is not a finite number"),
        (changed(8, "1,2"), r"all\.csv, line 2: it has 10 columns, the first line 9"),
        ((HEADER, *ROWS, "2,2019-11-24"), r"all\.csv, line 4: it has 2 columns, the first line 9"),
        ((HEADER, ROWS[0], ""), r"all\.csv, line 3: it has 0 columns"),
        ((HEADER,), r"all\.csv has no records"),
        ((HEADER.replace("click", "clicks"), *ROWS), r"all\.csv, line 1: there is no column 'click'"),
        ((HEADER.replace("affinity_1", "affinity_0"), *ROWS), r"line 1: there are two columns 'user-item_affinity_0'"),
        ((HEADER, ROWS[0].replace("cef3", '"cef3')), r"all\.csv, line \d+: unexpected end of data"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, rows, sentence):
    with pytest.raises(InputError, match=sentence) as told:
        read_open_bandit(small(tmp_path / "all", rows))
    assert str(told.value).count("\n") == 0


def test_a_line_break_within_quotes_does_not_shift_the_lines(tmp_path):
    rows = (HEADER, ROWS[0].replace("cef3", '"ce\nf3"'), changed(4, "7", 3)[2])
    with pytest.raises(InputError, match=r"all\.csv, line 4, column 'click'"):
        read_open_bandit(small(tmp_path / "all", rows))


def test_other_bad_files(tmp_path):
    folder = small(tmp_path / "all")
    with pytest.raises(InputError, match="there is no file"):
        read_open_bandit(tmp_path / "nowhere")
    (folder / "all.csv").write_bytes(b"")
    with pytest.raises(InputError, match=r"all\.csv is empty"):
        read_open_bandit(folder)
    (folder / "all.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"all\.csv is no text in UTF-8: invalid start byte at byte 0"):
        read_open_bandit(folder)
    with pytest.raises(InputError, match=r"item_context\.csv, line 3, column 'item_id': '3' is not the next item"):
        read_open_bandit(small(folder, items=(*ITEMS[:2], "1,3,0.5,270d")))
    with pytest.raises(InputError, match=r"item_context\.csv has no items"):
        read_open_bandit(small(folder, items=ITEMS[:1]))


def test_the_sample_is_asked_for_by_its_names(monkeypatch):
    with pytest.raises(InputError, match="not greedy/all"):
        open_bandit_sample("greedy")
    monkeypatch.setattr(logged_data.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="shipped by the package obp"):
        open_bandit_sample()


def test_the_sample_of_real_data(tmp_path):
    try:
        folder = open_bandit_sample("random", "men")
    except Unavailable as reason:
        pytest.skip(str(reason))
    data = read_open_bandit(folder)
    assert (data.size, data.item_count) == (10_000, 34)
    assert set(data.positions.tolist()) == {1, 2, 3}
    uniform = np.full((3, 34), 1 / 34)
    assert inverse_propensity(data.log(), uniform).value == pytest.approx(data.clicks.mean())
    assert self_normalised(data.log(), uniform).value == pytest.approx(data.clicks.mean())
    write_open_bandit(data, tmp_path / "men")
    assert (tmp_path / "men" / "men.csv").read_bytes() == (folder / "men.csv").read_bytes()


def test_looking_for_the_sample_imports_nothing_of_the_package(tmp_path):
    (tmp_path / "obp").mkdir()
    (tmp_path / "obp" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "obp" / "dataset" / "obd" / "bts" / "women").mkdir(parents=True)
    code = "from bandits.logged_data import open_bandit_sample; print(open_bandit_sample('bts', 'women'))"
    house = Path(logged_data.__file__).parents[1]
    env = {"PYTHONPATH": f"{tmp_path}:{house}", "PATH": ""}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env, cwd=house)
    assert out.stdout.strip().endswith("obd/bts/women")
