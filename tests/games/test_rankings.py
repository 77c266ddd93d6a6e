"""Rankings and tables of counts: what is read from them, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.rankings import PairwiseCounts, count_rankings, read_pairwise_csv, read_preflib
from theory.errors import InputError

NAMES = ("tea", "coffee", "milk, hot", 'so-called "juice"')


def preflib(kind: str, voters: int, *orders: str, names: tuple[str, ...] = NAMES) -> str:
    header = [
        f"# FILE NAME: drinks.{kind}",
        "# TITLE: What to drink: a vote",
        "# DESCRIPTION: ",
        f"# DATA TYPE: {kind}",
        "# MODIFICATION TYPE: original",
        f"# NUMBER ALTERNATIVES: {len(names)}",
        f"# NUMBER VOTERS: {voters}",
        f"# NUMBER UNIQUE ORDERS: {len(orders)}",
        *(f"# ALTERNATIVE NAME {i}: {name}" for i, name in enumerate(names, 1)),
    ]
    return "\n".join([*header, *orders]) + "\n"


def write(folder: Path, text: str, name: str = "drinks.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


FILES = {
    "soc": (preflib("soc", 6, "3: 1,2,3,4", "2: 4,3,2,1", "1: 2,1,4,3"), [(3, "1234"), (2, "4321"), (1, "2143")]),
    "soi": (preflib("soi", 6, "3: 1,2", "2: 4", "1: 2,1,4"), [(3, "12"), (2, "4"), (1, "214")]),
    "toc": (preflib("toc", 6, "3: 1,{2,3},4", "3: {1, 4},{3,2}"), [(3, "1(23)4"), (3, "(14)(32)")]),
    "toi": (preflib("toi", 6, "3: 1,{2,3}", "2: {1,4}", "1: 2"), [(3, "1(23)"), (2, "(14)"), (1, "2")]),
}


def by_hand(ballots: list[tuple[int, str]], unranked: str) -> np.ndarray:
    """Every ballot, every pair: who stands before whom in the text."""
    wins = np.zeros((4, 4))
    for count, text in ballots:
        place, level, inside = {}, 0, False
        for character in text:
            if character in "()":
                inside = character == "("
                level += 1
            else:
                place[int(character) - 1] = level
                level += not inside
        for i, j in itertools.permutations(range(4), 2):
            if i in place and j in place:
                wins[i, j] += count * (1.0 if place[i] < place[j] else 0.5 if place[i] == place[j] else 0.0)
            elif i in place and unranked == "last":
                wins[i, j] += count
    return wins


@pytest.mark.parametrize("kind", sorted(FILES))
@pytest.mark.parametrize("unranked", ["absent", "last"])
def test_preflib_files_of_every_kind(tmp_path: Path, kind: str, unranked: str) -> None:
    text, ballots = FILES[kind]
    counts = read_preflib(write(tmp_path, text), unranked=unranked)
    assert counts.names == NAMES
    assert np.array_equal(counts.wins, by_hand(ballots, unranked))
    assert not counts.wins.flags.writeable


def test_a_file_of_ties_by_hand(tmp_path: Path) -> None:
    counts = read_preflib(write(tmp_path, FILES["toi"][0]), unranked="last")
    assert counts.wins.tolist() == [[0, 5, 5, 4], [1, 0, 2.5, 4], [0, 1.5, 0, 3], [1, 2, 2, 0]]
    assert counts.condorcet_winner == "tea"
    assert counts.comparisons[2, 3] == 5  # the two ballots {1,4} put 4 above 3; the ballot 2 does not compare them


def test_a_complete_file_needs_no_word_on_gaps_and_the_ending_may_tell_the_kind(tmp_path: Path) -> None:
    text = FILES["soc"][0].replace("# DATA TYPE: soc\n", "").replace("\n", "\r\n")
    counts = read_preflib(write(tmp_path, "\ufeff" + text, "drinks.SOC"))
    assert counts.wins[0, 1] == 3
    assert counts.wins[1, 0] == 3
    assert counts.condorcet_winner is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (preflib("soc", 1, "1: 1,2,3,4").replace("\n1: ", "\n1; "), "line 13: a line of data"),
        (preflib("soc", 1, "1: 1,2,,4"), r"line 13: an order is like .* not '1,2,,4'"),
        (preflib("toc", 1, "1: 1,{2,{3,4}}"), "line 13: an order is like"),
        (preflib("toc", 1, "1: 1,2,{},3,4"), "line 13: an order is like"),
        (preflib("soc", 1, "1:"), "line 13: an order is like"),
        (preflib("soc", 0, "1: 1,2,3,4", "-1: 4,3,2,1"), "line 14: the count .* '-1'"),
        (preflib("soc", 1, "1.5: 1,2,3,4"), "line 13: the count .* '1.5'"),
        (preflib("soi", 1, "1: 1,5"), "line 13: there is no alternative 5"),
        (preflib("soi", 1, "1: 0,1"), "line 13: there is no alternative 0"),
        (preflib("soi", 1, "1: 1,2,1"), "line 13: alternative 1 stands twice"),
        (preflib("soc", 1, "1: 1,2,4"), "line 13: alternative 3 is missing .* soc"),
        (preflib("toc", 1, "1: 1,{2,4}"), "line 13: alternative 3 is missing .* toc"),
        (preflib("soi", 1, "1: 1,{2,4}"), "line 13: alternatives 2 and 4 tie, which a soi"),
        (preflib("soc", 7, "3: 1,2,3,4", "2: 4,3,2,1"), "7 voters .* add up to 5; it may be truncated"),
        (preflib("soc", 1, "1: 1,2,3,4").replace("# ALTERNATIVE NAME 3: milk, hot\n", ""), "no ALTERNATIVE NAME 3"),
        (preflib("soc", 1, "1: 1,2,3,4").replace("ALTERNATIVES: 4", "ALTERNATIVES: 3"), "3 alternatives .* ALTERNATIVE NAME 4"),
        (preflib("soc", 1, "1: 1,2,3,4").replace("coffee", "tea"), "line 10: two alternatives are called 'tea'"),
        (preflib("soc", 1, "1: 1,2,3,4").replace("NAME 2:", "NAME 1:"), "line 10: alternative 1 has a second name"),
        (preflib("soc", 1, "1: 1,2,3,4").replace("coffee", ""), "line 10: alternative 2 has no name"),
        (preflib("soc", 1, "1: 1,2,3,4").replace("# NUMBER VOTERS: 1\n", ""), "no line '# NUMBER VOTERS"),
        (preflib("soc", 1, "1: 1,2,3,4").replace("VOTERS: 1", "VOTERS: one"), "NUMBER VOTERS is a positive whole number"),
        (preflib("cat", 1, "1: 1,2,3,4"), "of the type 'cat'"),
        (FILES["soi"][0], "incomplete orders: say whether"),
        ("4\n1,tea\n2,coffee\n", "line 1: data before a header"),
        ("", "of the type 'txt'"),
    ],
)
def test_a_preflib_file_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_preflib(write(tmp_path, text))


def test_files_that_are_no_texts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_preflib(tmp_path / "missing.soc")
    (tmp_path / "bytes.csv").write_bytes(b"winner,loser,count\n\xff,b,1\n")
    with pytest.raises(InputError, match="not a text in UTF-8: byte 19"):
        read_pairwise_csv(tmp_path / "bytes.csv")


def test_a_table_of_counts(tmp_path: Path) -> None:
    text = "# a comment\n\nwinner, loser, count\nb,a,2\n\na,b,1\nc , a ,0.5\nb,a,3\n"
    counts = read_pairwise_csv(write(tmp_path, text))
    assert counts.names == ("b", "a", "c")
    assert counts.wins.tolist() == [[0, 5, 0], [1, 0, 0], [0, 0.5, 0]]
    ordered = read_pairwise_csv(write(tmp_path, text), names=("a", "b", "c", "d"))
    assert ordered.names == ("a", "b", "c", "d")
    assert ordered.wins[1, 0] == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,1\n", "line 1: the header is winner,loser,count, not 'a,b,1'"),
        ("# only a comment\n", "the header"),
        ("winner,loser,count\n", "no comparison"),
        ("winner,loser,count\na,b\n", "line 2: .* not 2 cells"),
        ("# comment\nwinner,loser,count\na,b,1\na,b,-2\n", "line 4: the count is -2"),
        ("winner,loser,count\na,b,nan\n", "line 2: the count is nan"),
        ("winner,loser,count\na,b,inf\n", "line 2: the count is inf"),
        ("winner,loser,count\na,b,many\n", "line 2: the count is a number, not 'many'"),
        ("winner,loser,count\na,a,1\n", "line 2: 'a' is compared with itself"),
        ("winner,loser,count\na,,1\n", "line 2: a name is empty"),
        ("winner,loser,count\na,B,1\n", "line 2: 'B' is none of the 2 alternatives"),
        ('winner,loser,count\na,"' + 200_000 * "b", "not a table in CSV"),
    ],
)
def test_a_table_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    names = ("a", "b") if ",B," in text else None
    with pytest.raises(InputError, match=message):
        read_pairwise_csv(write(tmp_path, text), names=names)


def test_smoothing() -> None:
    counts = PairwiseCounts(("a", "b", "c"), np.array([[0, 3, 0], [1, 0, 5], [0, 0, 0]]))
    assert counts.to_game(uncompared="even").A.tolist() == [[0, 0.25, 0], [-0.25, 0, 0.5], [0, -0.5, 0]]
    laplace = counts.to_game(smoothing=1.0, reference=[0.5, 0.3, 0.2], key="three")
    assert laplace.A[0, 1] + 0.5 == pytest.approx(4 / 6)
    assert laplace.A[2, 1] + 0.5 == pytest.approx(1 / 7)
    assert laplace.A[0, 2] == 0
    assert np.exp(laplace.log_reference) == pytest.approx([0.5, 0.3, 0.2])
    assert laplace.key == "three"
    assert counts.to_game(smoothing=0.5).A[1, 2] + 0.5 == pytest.approx(5.5 / 6)
    with pytest.raises(InputError, match="'a' and 'c' were never compared"):
        counts.to_game()
    with pytest.raises(InputError, match="smoothing"):
        counts.to_game(smoothing=-1.0)
    with pytest.raises(InputError, match="'never'"):
        counts.to_game(uncompared="never")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PairwiseCounts((), np.zeros((0, 0))), "at least one alternative"),
        (lambda: PairwiseCounts(("a", "b", "a"), np.zeros((3, 3))), "alternatives 0 and 2 are both called 'a'"),
        (lambda: PairwiseCounts(("a", " b"), np.zeros((2, 2))), "alternative 1 has the name ' b'"),
        (lambda: PairwiseCounts(("a", "b\nc"), np.zeros((2, 2))), "alternative 1"),
        (lambda: PairwiseCounts(("a", "b"), np.zeros((3, 3))), r"the shape \(2, 2\), not \(3, 3\)"),
        (lambda: PairwiseCounts(("a", "b"), np.array([[0, -1], [0, 0]])), "'a' against 'b' is -1"),
        (lambda: PairwiseCounts(("a", "b"), np.array([[0, 0], [np.nan, 0]])), "'b' against 'a' is nan"),
        (lambda: PairwiseCounts(("a", "b"), np.eye(2)), "'a' is counted 1 times against itself"),
        (lambda: PairwiseCounts(("a", "b"), np.zeros((2, 2))).relabelled([0, 0]), "permutation"),
        (lambda: PairwiseCounts(("a",), np.zeros((1, 1))).write_csv("never.csv"), "at least two"),
        (lambda: count_rankings(("a", "b"), [(1, [[0], [2]])]), "ranking 0 has the alternative 2"),
        (lambda: count_rankings(("a", "b"), [(1, [[0]]), (1, [[0, 0]])]), "ranking 1 has the alternative 0 twice"),
        (lambda: count_rankings(("a", "b"), [(-1, [[0]])]), "ranking 0 has the count -1"),
        (lambda: count_rankings(("a", "b"), [], unranked="first"), "'first'"),
    ],
)
def test_bad_counts(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@st.composite
def elections(draw: st.DrawFn) -> tuple[list[str], list[tuple[int, list[list[int]]]]]:
    letters = st.characters(codec="utf-8", exclude_categories=("C", "Z"))
    names = draw(st.lists(st.text(letters, min_size=1, max_size=4), min_size=2, max_size=5, unique=True))
    ballots = []
    for _ in range(draw(st.integers(1, 6))):
        order = draw(st.permutations(range(len(names))))[: draw(st.integers(1, len(names)))]
        breaks = draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
        groups: list[list[int]] = []
        for alternative, new in zip(order, breaks):
            if new or not groups:
                groups.append([])
            groups[-1].append(alternative)
        ballots.append((draw(st.integers(1, 9)), groups))
    return names, ballots


@settings(max_examples=60, deadline=None)
@given(election=elections(), unranked=st.sampled_from(["absent", "last"]), data=st.data())
def test_rankings_to_counts_to_a_table_and_back(tmp_path_factory, election, unranked, data) -> None:
    names, ballots = election
    counts = count_rankings(names, ballots, unranked=unranked)
    path = tmp_path_factory.mktemp("table") / "counts.csv"
    counts.write_csv(path, comment="# of a test\nwinner,loser,count")
    again = read_pairwise_csv(path)
    assert again.names == counts.names
    assert np.array_equal(again.wins, counts.wins)

    voters = sum(count for count, _ in ballots)
    lines = [
        f"{count}: " + ",".join("{" + ",".join(str(i + 1) for i in g) + "}" if len(g) > 1 else str(g[0] + 1) for g in groups)
        for count, groups in ballots
    ]
    read = read_preflib(write(path.parent, preflib("toi", voters, *lines, names=tuple(names))), unranked=unranked)
    assert read.names == counts.names
    assert np.array_equal(read.wins, counts.wins)

    order = data.draw(st.permutations(range(len(names))))
    place = np.argsort(order)
    moved = count_rankings(
        [names[i] for i in order],
        [(c, [[int(place[i]) for i in g] for g in groups]) for c, groups in ballots],
        unranked=unranked,
    )
    assert moved.names == counts.relabelled(order).names
    assert np.array_equal(moved.wins, counts.relabelled(order).wins)
    game = counts.to_game(smoothing=0.5)
    assert np.array_equal(game.relabelled(order).A, moved.to_game(smoothing=0.5).A)
    assert moved.condorcet_winner == counts.condorcet_winner
