"""PRISM's explicit files: exact there and back, what PRISM itself writes, and one sentence for a bad file."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from model_strategies import same_tabular, tabular_models

from mdplab.models import ModelError, TabularMDP, garnet, read_prism, slippery_grid, write_prism

TRA = """3 4 6
0 0 1 0.5 go
0 0 2 0.5 go
0 1 0 1 wait
1 0 1 0.25 go
1 0 2 0.75 go
2 0 2 1 wait
"""
SREW = "3 1\n1 2\n"
TREW = "3 4 2\n0 0 1 4\n1 0 2 8\n"
LAB = '0="init" 1="deadlock" 2="goal"\n0: 0\n2: 2\n'


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, text in (("m.tra", TRA), ("m.srew", SREW), ("m.trew", TREW), ("m.lab", LAB)):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_what_prism_writes_is_read(files: Path) -> None:
    mdp = read_prism(files / "m.tra", 0.5)
    assert (mdp.states, mdp.pairs, mdp.transitions, mdp.gamma) == (3, 4, 6, 0.5)
    assert mdp.transition_matrix().toarray().tolist() == [[0, 0.5, 0.5], [1, 0, 0], [0, 0.25, 0.75], [0, 0, 1]]
    assert mdp.reward.tolist() == [0.5 * 4, 0, 2 + 0.75 * 8, 0]
    assert mdp.start.tolist() == [1, 0, 0]
    assert mdp.action_names == ("go", "wait")
    assert mdp.action.tolist() == [0, 1, 0, 1]
    assert mdp.state_names is None


def test_a_missing_neighbour_counts_as_nothing(files: Path) -> None:
    for name in ("m.srew", "m.trew", "m.lab"):
        (files / name).unlink()
    mdp = read_prism(files / "m")
    assert mdp.reward.tolist() == [0, 0, 0, 0]
    assert mdp.start.tolist() == [1, 0, 0]
    assert mdp.gamma == 0.99
    (files / "m1.srew").write_text("# Reward structure 'time'\n3 1\n2 7\n")
    assert read_prism(files / "m.tra", state_rewards=files / "m1.srew").reward.tolist() == [0, 0, 0, 7]
    with pytest.raises(ModelError, match=r"m2\.trew cannot be read: No such file"):
        read_prism(files / "m.tra", transition_rewards=files / "m2.trew")


def test_lines_may_come_in_any_order_and_names_of_states_are_read(files: Path) -> None:
    before = read_prism(files / "m.tra")
    head, *rows = TRA.splitlines()
    (files / "m.tra").write_text("\n".join([head, rows[4], rows[2], rows[5], rows[0], rows[3], rows[1]]) + "\n")
    after = read_prism(files / "m.tra")
    assert np.array_equal(after.transition_matrix().toarray(), before.transition_matrix().toarray())
    assert np.array_equal(after.reward, before.reward)
    assert np.array_equal(after.action, before.action)
    (files / "m.sta").write_text("(x,b)\n0:(0,false)\n1:(1,false)\n2:(1,true)\n")
    assert read_prism(files / "m.tra").state_names == ("x=0, b=false", "x=1, b=false", "x=1, b=true")


def test_a_markov_chain(tmp_path: Path) -> None:
    (tmp_path / "c.tra").write_text("2 3\n0 0 0.333333\n0 1 0.666667\n1 1 1\n")
    (tmp_path / "c.trew").write_text("2 1\n0 1 3\n")
    mdp = read_prism(tmp_path / "c.tra")
    assert (mdp.pairs, mdp.max_actions) == (2, 1)
    assert mdp.transition_matrix().toarray().tolist() == [[0.333333, 0.666667], [0, 1]]
    assert mdp.reward.tolist() == [0.666667 * 3, 0]


def test_few_decimals_are_normalised_and_mistakes_are_not(tmp_path: Path) -> None:
    (tmp_path / "c.tra").write_text("2 4\n0 0 0.33333\n0 1 0.33333\n0 1 0.33333\n1 1 1\n")
    third = read_prism(tmp_path / "c.tra").probability[0]
    assert third == 0.33333 / 0.99999
    (tmp_path / "c.tra").write_text("2 3\n0 0 0.3\n0 1 0.6\n1 1 1\n")
    with pytest.raises(ModelError, match=r"c\.tra: the probabilities of state 0, action 0 sum to 0\.9, which is -0\.1 off 1\."):
        read_prism(tmp_path / "c.tra")


@settings(deadline=None, max_examples=80)
@given(tabular_models())
def test_round_trip_is_exact(mdp: TabularMDP) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_prism(mdp, Path(folder) / "model.tra")
        assert same_tabular(mdp, read_prism(path))


@settings(deadline=None, max_examples=40)
@given(tabular_models())
def test_the_files_speak_for_themselves(mdp: TabularMDP) -> None:
    """Without the side file the numbers are still the same; names, labels, discount and a lopsided start are not there."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_prism(mdp, Path(folder) / "model.tra")
        path.with_suffix(".mdplab.json").unlink()
        read = read_prism(path, mdp.gamma)
    for name in ("state_pointer", "row_pointer", "next_state", "probability", "reward"):
        assert np.array_equal(getattr(read, name), getattr(mdp, name))
    assert np.array_equal(read.start > 0, mdp.start_distribution > 0)


def test_names_that_cannot_be_ordered_become_positions(tmp_path: Path) -> None:
    (tmp_path / "m.tra").write_text("2 4 4\n0 0 0 1 a\n0 1 1 1 b\n1 0 0 1 b\n1 1 1 1 a\n")
    assert read_prism(tmp_path / "m.tra").action_names is None
    (tmp_path / "m.tra").write_text("2 4 4\n0 0 0 1 a\n0 1 1 1 a\n1 0 0 1 b\n1 1 1 1 a\n")
    assert read_prism(tmp_path / "m.tra").action.tolist() == [0, 1, 0, 1]
    (tmp_path / "m.tra").write_text("2 4 4\n0 0 0 1 b\n0 1 1 1 c\n1 0 0 1 a\n1 1 1 1 b\n")
    mdp = read_prism(tmp_path / "m.tra")
    assert [mdp.action_name(n).split()[1] for n in range(4)] == ["(b)", "(c)", "(a)", "(b)"]


@pytest.mark.parametrize(
    "build", [lambda: garnet(S=300, A=3, b=5, ragged=True, seed=1), lambda: slippery_grid(rows=9, columns=7)]
)
def test_generated_models_round_trip(build, tmp_path: Path) -> None:
    mdp = build()
    assert same_tabular(mdp, read_prism(write_prism(mdp, tmp_path / "g")))


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("m.tra", TRA[:-1], "m.tra, line 7: the last line does not end; the file seems to be truncated."),
        (
            "m.tra",
            TRA[: TRA.index("2 0 2")],
            "m.tra, line 6: the first line announces 6 transitions, but the file holds 5; it may be truncated.",
        ),
        ("m.tra", "", "m.tra is empty."),
        ("m.tra", "mdp\n" + TRA, "m.tra, line 1: the first line must hold 3 or 2 whole numbers, not 'mdp'."),
        (
            "m.tra",
            TRA.replace("1 0 1 0.25 go", "1 0 1"),
            "m.tra, line 5: a line must read 'state choice next state probability', not '1 0 1'.",
        ),
        ("m.tra", TRA.replace("0.25", "0,25"), "m.tra, line 5: the probability is '0,25', which is no such number."),
        ("m.tra", TRA.replace("0.25", "[0.2,0.3]"), "m.tra, line 5: the probability is '[0.2,0.3]', which is no such number."),
        ("m.tra", TRA.replace("0.25", "nan"), "m.tra, line 5: the probability is nan."),
        ("m.tra", TRA.replace("0.25", "-0.25"), "m.tra, line 5: the probability is -0.25."),
        (
            "m.tra",
            TRA.replace("0.25", "0.15"),
            "m.tra: the probabilities of state 1, action 0 (go) sum to 0.9, which is -0.1 off 1.",
        ),
        ("m.tra", TRA.replace("1 0 2 0.75", "1 0 3 0.75"), "m.tra, line 6: the next state is 3, but there are only 3."),
        ("m.tra", TRA.replace("1 0 2 0.75", "1.5 0 2 0.75"), "m.tra, line 6: the state is '1.5', which is no such number."),
        (
            "m.tra",
            TRA.replace("1 0 2 0.75 go", "1 0 2 0.75 stop"),
            "m.tra, line 6: the action of state 1, choice 0 is 'stop' here and 'go' before.",
        ),
        ("m.tra", TRA.replace("0 1 0 1 wait", "0 2 0 1 wait"), "m.tra, line 4: state 0 has a choice 2 but no choice 1."),
        ("m.tra", TRA.replace("3 4 6", "3 5 6"), "m.tra: the first line announces 5 choices, but the file holds 4."),
        ("m.tra", TRA.replace("3 4 6", "4 4 6"), "m.tra: state 3 has no transitions."),
        (
            "m.srew",
            "3 2\n1 2\n",
            "m.srew, line 2: the first line announces 2 rewards, but the file holds 1; it may be truncated.",
        ),
        ("m.srew", "4 1\n1 2\n", "m.srew, line 1: the file is for 4 states, but the model has 3."),
        ("m.srew", "3 1\n1 inf\n", "m.srew, line 2: the reward is inf."),
        ("m.srew", "3 2\n1 2\n1 3\n", "m.srew, line 3: this reward is given a second time."),
        ("m.srew", "3 1\n1 2", "m.srew, line 2: the last line does not end"),
        ("m.trew", "3 4 1\n0 0 0 4\n", "m.trew, line 2: state 0, choice 0 has no transition to state 0."),
        ("m.trew", "3 4 1\n1 1 0 4\n", "m.trew, line 2: state 1 has no choice 1."),
        ("m.trew", "3 5 1\n0 0 1 4\n", "m.trew, line 1: the file is for 5 choices, but the model has 4."),
        ("m.trew", "3 4 2\n0 0 1 4\n0 0 1 5\n", "m.trew, line 3: this reward is given a second time."),
        ("m.lab", '0="goal"\n2: 0\n', "m.lab, line 1: no label 'init' is declared."),
        ("m.lab", '0="init"\n', "m.lab: no state is labelled 'init'; the file may be truncated."),
        ("m.lab", '0="init"\n3: 0\n', "m.lab, line 2: the state is 3, but there are only 3."),
        ("m.lab", '0="init"\n0 init\n', "m.lab, line 2: a line must read 'state: label label ...', not '0 init'."),
        ("m.sta", "(x)\n0:(0)\n2:(1)\n", "m.sta: state 1 is missing; the file may be truncated."),
        ("m.sta", "(x)\n0:(0,1)\n", "m.sta, line 2: a line must read 'state:(x)', not '0:(0,1)'."),
        ("m.mdplab.json", '{"gamma": 0.5,\n', "m.mdplab.json cannot be read"),
        ("m.mdplab.json", '{"gamma": 0.5}\n', "m.mdplab.json cannot be read"),
    ],
)
def test_a_bad_file_gets_one_sentence(files: Path, name: str, text: str, sentence: str) -> None:
    (files / name).write_text(text)
    with pytest.raises(ModelError, match=re.escape(sentence)) as told:
        read_prism(files / "m.tra")
    assert "\n" not in str(told.value)


def test_a_file_cut_anywhere_is_refused(files: Path) -> None:
    """Whatever prefix of a file is left, no model comes out of it."""
    for name, text in (("m.tra", TRA), ("m.srew", SREW), ("m.trew", TREW)):
        for size in range(len(text)):
            (files / name).write_text(text[:size])
            with pytest.raises(ModelError, match=re.escape(name)):
                read_prism(files / "m.tra")
        (files / name).write_text(text)
    read_prism(files / "m.tra")


def test_binary_files_are_refused(files: Path) -> None:
    (files / "m.tra").write_bytes(bytes(range(256)))
    with pytest.raises(ModelError, match=r"m\.tra is not a text file\."):
        read_prism(files / "m.tra")
    with pytest.raises(ModelError, match=r"none\.tra cannot be read: No such file"):
        read_prism(files / "none.tra")
