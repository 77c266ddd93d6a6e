"""The shipped tables, and the games of OpenSpiel against brute force and OpenSpiel's own answers."""

from __future__ import annotations

import builtins
import functools
import itertools

import numpy as np
import pytest

from games.datasets import (
    DATA,
    DATASETS,
    _game_tree,
    load_counts,
    open_spiel_matrix,
    open_spiel_metagame,
    random_behaviour,
    ranked,
)
from games.linear_programming import solve_nash_lp
from games.preference import PreferenceGame
from games.regularised import exploitability, solve_regularised
from theory.claims.families import read_key
from theory.errors import InputError, Unavailable

FAMILIES = {f.name: f for f in (ranked, open_spiel_matrix, open_spiel_metagame)}
BLOTTO = "blotto(coins=5,fields=3,players=2)"


def assert_replayable(game: PreferenceGame) -> None:
    assert game.key is not None
    (call,) = read_key(game.key)
    again = FAMILIES[call.name](**call.parameters)
    assert again.key == game.key
    assert np.array_equal(again.A, game.A)
    assert np.array_equal(again.log_reference, game.log_reference)


def majority_cycles(wins: np.ndarray) -> int:
    beats = wins > wins.T
    return sum(beats[a, b] & beats[b, c] & beats[c, a] for a, b, c in itertools.permutations(range(len(wins)), 3)) // 3


def test_burlington_has_a_condorcet_winner() -> None:
    counts = load_counts("burlington_2009")
    assert counts.condorcet_winner == "Andy Montroll"
    assert majority_cycles(counts.wins) == 0
    kiss, montroll, wright = (counts.names.index(n) for n in ("Bob Kiss", "Andy Montroll", "Kurt Wright"))
    # as published, up to the ballots with ties
    assert counts.wins[[montroll, kiss], [kiss, montroll]] == pytest.approx([4067, 3477], abs=0.5)
    assert counts.wins[[montroll, wright], [wright, montroll]] == pytest.approx([4597, 3668])
    assert counts.wins[[kiss, wright], [wright, kiss]] == pytest.approx([4314, 4064])
    game = ranked(dataset="burlington_2009", scale=0.0)
    assert solve_nash_lp(game.A).row == pytest.approx(np.eye(6)[montroll], abs=1e-9)


def test_minneapolis_is_a_cycle() -> None:
    counts = load_counts("minneapolis_2021")
    assert counts.condorcet_winner is None
    assert majority_cycles(counts.wins) == 1
    game = ranked(dataset="minneapolis_2021", smoothing=0.0)
    a, b, c = game.A[0, 1], game.A[2, 0], game.A[1, 2]  # rock-paper-scissors with these weights
    assert min(a, b, c) > 0
    assert solve_nash_lp(game.A).row == pytest.approx(np.array([c, b, a]) / (a + b + c), abs=1e-7)


def test_formula_one_is_a_season_of_twenty_races() -> None:
    counts = load_counts("formula_one_2012")
    assert len(counts.names) == 25
    assert counts.condorcet_winner is None
    assert majority_cycles(counts.wins) == 41
    met = counts.comparisons
    regulars = [i for i, name in enumerate(counts.names) if name not in ("grosjean", "ambrosio")]
    assert (met[np.ix_(regulars, regulars)][~np.eye(23, dtype=bool)] == 20).all()
    grosjean, substitute = counts.names.index("grosjean"), counts.names.index("ambrosio")
    assert met[grosjean, substitute] == 0
    assert set(met[grosjean, regulars]) == {19}
    assert set(met[substitute, regulars]) == {1}
    assert counts.wins.sum() == 20 * 24 * 23 / 2


def test_every_table_is_shipped_with_its_source() -> None:
    assert {path.stem for path in DATA.glob("*.csv")} == set(DATASETS)
    sources = (DATA / "README.md").read_text(encoding="utf-8")
    for name in DATASETS:
        assert f"## {name}.csv" in sources
        game = ranked(dataset=name, smoothing=0.5, scale=2.0, seed=3)
        assert_replayable(game)
        assert np.array_equal(game.A, load_counts(name).to_game(smoothing=0.5).A)
        assert not np.array_equal(game.log_reference, ranked(dataset=name, seed=4).log_reference)


def test_bad_input() -> None:
    with pytest.raises(InputError, match="no data set 'sushi'; there are burlington_2009"):
        load_counts("sushi")
    with pytest.raises(InputError, match="scale"):
        ranked(scale=-1.0)
    with pytest.raises(InputError, match="at least one action"):
        open_spiel_metagame(K=0)


def test_without_open_spiel(monkeypatch) -> None:
    def without(name, *args, **kwargs):
        if name == "pyspiel":
            raise ImportError(name)
        return ordinary(name, *args, **kwargs)

    ordinary = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Unavailable, match="need the package open-spiel"):
        open_spiel_matrix()
    _game_tree.cache_clear()
    with pytest.raises(Unavailable, match="need the package open-spiel"):
        open_spiel_metagame()


@pytest.fixture(scope="module")
def pyspiel():
    return pytest.importorskip("pyspiel", reason="games of OpenSpiel need the package open-spiel")


def test_matrices_of_open_spiel(pyspiel) -> None:
    water = open_spiel_matrix(game="matrix_rpsw", scale=0.0)
    beats = {(1, 0), (2, 1), (0, 2)}  # rock, paper, scissors; water draws with all
    for i, j in itertools.product(range(4), repeat=2):
        assert water.A[i, j] == (((i, j) in beats) - ((j, i) in beats)) / 2
    for name in ("matrix_rps", "matrix_brps", "matrix_rpsw", BLOTTO):
        game = open_spiel_matrix(game=name, seed=5)
        assert_replayable(game)
        assert np.abs(game.A).max() == 0.5
        assert abs(solve_nash_lp(game.A).value) <= 1e-9


def test_blotto_by_hand(pyspiel) -> None:
    """Five coins on three fields; who has more on more fields wins."""
    splits = [s for s in itertools.product(range(6), repeat=3) if sum(s) == 5]
    A = np.array([[np.sign(np.sign(np.subtract(s, t)).sum()) / 2 for t in splits] for s in splits])
    state = pyspiel.load_game(BLOTTO).new_initial_state()
    names = [state.action_to_string(0, a).strip("[] ") for a in state.legal_actions(0)]
    order = [splits.index(tuple(int(n) for n in name.split(","))) for name in names]
    assert np.array_equal(open_spiel_matrix(game=BLOTTO).A, A[np.ix_(order, order)])


def _policies(pyspiel, name: str, K: int, mixed: bool, seed: int):
    """The policies of the family as OpenSpiel's own, one for each action."""
    tree = _game_tree(name)
    rng = np.random.default_rng(seed)
    rng.standard_normal(K)  # the reference
    behaviour = random_behaviour(tree, K, mixed, rng)
    legal = {}

    def visit(state) -> None:
        if state.is_terminal():
            return
        if not state.is_chance_node():
            legal[f"{state.current_player()} {state.information_state_string()}"] = state.legal_actions()
        for action in state.legal_actions():
            visit(state.child(action))

    visit(pyspiel.load_game(name).new_initial_state())
    assert sorted(legal) == list(tree.information_states)
    for k in range(K):
        by_state = {}
        for where, first, n in zip(tree.information_states, tree.offset, tree.choices):
            by_state[where[2:]] = list(zip(legal[where], behaviour[k, first : first + n].tolist()))
        yield by_state


@pytest.mark.parametrize("mixed", [False, True])
def test_kuhn_poker_against_open_spiel(pyspiel, mixed: bool) -> None:
    """Kuhn's information states tell the seat, so one table serves both seats in OpenSpiel's own evaluation."""
    score = pytest.importorskip("open_spiel.python.algorithms.expected_game_score", reason="OpenSpiel's Python part")
    loaded = pyspiel.load_game("kuhn_poker")
    K = 5
    policies = [pyspiel.TabularPolicy(table) for table in _policies(pyspiel, "kuhn_poker", K, mixed, 7)]
    root = loaded.new_initial_state()

    class Policy:
        def __init__(self, table):
            self.table = table

        def action_probabilities(self, state, player_id=None):
            return dict(self.table.get_state_policy(state.information_state_string()))

    both = [Policy(p) for p in policies]
    u = np.array([[score.policy_value(root, [a, b])[0] for b in both] for a in both])
    expected = (u - u.T) / 2
    game = open_spiel_metagame(game="kuhn_poker", K=K, mixed=mixed, seed=7)
    np.testing.assert_allclose(game.A, expected / (2 * np.abs(expected).max()), atol=1e-12)
    assert_replayable(game)
    assert abs(solve_nash_lp(game.A).value) <= 1e-9


def test_the_tree_of_leduc_poker(pyspiel) -> None:
    """Uniform policies of both seats, evaluated by OpenSpiel; and the numbers of information states that are known."""
    policy = pytest.importorskip("open_spiel.python.policy", reason="OpenSpiel's Python part")
    score = pytest.importorskip("open_spiel.python.algorithms.expected_game_score", reason="OpenSpiel's Python part")
    tree = _game_tree("leduc_poker")
    assert len(tree.information_states) == 936
    assert len(_game_tree("kuhn_poker").information_states) == 12
    assert len(_game_tree("kuhn_poker").weight) == 30
    uniform = np.concatenate([np.full(n, 1 / n) for n in tree.choices])[None, :]
    loaded = pyspiel.load_game("leduc_poker")
    both = [policy.UniformRandomPolicy(loaded)] * 2
    value = score.policy_value(loaded.new_initial_state(), both)[0]
    assert tree.payoffs(uniform)[0, 0] == pytest.approx(value, abs=1e-12)
    game = open_spiel_metagame(game="leduc_poker", K=6, seed=1)
    assert np.abs(game.A).max() == pytest.approx(0.5)
    assert_replayable(game)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: open_spiel_matrix(game="matrix_mp"), "not a symmetric zero-sum game"),
        (lambda: open_spiel_matrix(game="matrix_pd"), "not a symmetric zero-sum game"),
        (lambda: open_spiel_matrix(game="kuhn_poker"), "who move at once"),
        (lambda: open_spiel_matrix(game="goofspiel(num_cards=3)"), "goes on after one move"),
        (lambda: open_spiel_matrix(game="no_such_game"), "no game 'no_such_game'"),
        (lambda: open_spiel_metagame(game="matrix_rps"), "not a sequential zero-sum game"),
        (lambda: open_spiel_metagame(game="kuhn_poker(players=3)"), "not a sequential zero-sum game"),
    ],
)
def test_games_of_open_spiel_that_do_not_serve(pyspiel, call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_matrix_games_against_open_spiels_solver(pyspiel, monkeypatch) -> None:
    """OpenSpiel's linear programmes, handed to an interior-point method that cvxpy ships (its own choice may be missing)."""
    solver = pytest.importorskip("open_spiel.python.algorithms.lp_solver", reason="OpenSpiel's Python part")
    there = functools.partialmethod(solver.LinearProgram.solve, solver="CLARABEL", solver_kwargs={})
    monkeypatch.setattr(solver.LinearProgram, "solve", there)
    rng = np.random.default_rng(4)
    drawn = [rng.uniform(-1, 1, size=tuple(rng.integers(1, 7, size=2))) for _ in range(12)]
    shipped = [ranked(dataset=name).A for name in DATASETS] + [open_spiel_matrix(game=BLOTTO).A]
    for M in drawn + shipped:
        row, column, value, opposite = solver.solve_zero_sum_matrix_game(pyspiel.create_matrix_game(M, -M))
        assert solve_nash_lp(M).value == pytest.approx(value, abs=1e-7)
        assert value == pytest.approx(-opposite, abs=1e-7)
        assert np.asarray(row).ravel() @ M @ np.asarray(column).ravel() == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("beta", [0.01, 0.1])
def test_regularised_equilibria_are_nearly_those_of_linear_programming(pyspiel, beta: float) -> None:
    """An equilibrium at beta can be exploited in the game itself by at most beta times the largest KL from the reference."""
    for game in (
        *(ranked(dataset=name, seed=2) for name in DATASETS),
        open_spiel_matrix(game=BLOTTO, seed=2),
        open_spiel_metagame(game="kuhn_poker", K=10, seed=2),
    ):
        policy = solve_regularised(game, beta).log_policy
        # V_0(pi*) <= V_beta(pi*) + beta max_q KL(q || mu) = beta max(-ln mu)
        assert exploitability(game, 0.0, policy) <= beta * (-game.log_reference).max() + 1e-12
        assert solve_nash_lp(game.A).gap <= 1e-9
