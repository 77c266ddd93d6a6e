"""PRISM programs through Storm: the programs that come with mdplab, and the agreement with Storm's own answers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from mdplab.models import ModelError, TabularMDP, from_prism_program, prism_model, read_prism, write_prism
from mdplab.models.storm import PROGRAMS

stormpy = pytest.importorskip("stormpy", reason="reading PRISM programs needs stormpy")

SMALL = """mdp
const int N;
module walk
  x : [0..N] init 0;
  [try] x<N -> 0.5 : (x'=x+1) + 0.5 : (x'=x);
  [back] x<N & x>0 -> (x'=0);
  [rest] x=N -> true;
endmodule
rewards "pay"
  x=1 : 2.5;
  [try] true : 1;
endrewards
"""

CONTINUOUS = "ctmc\nmodule m\n  x : [0..1] init 0;\n  <> x<1 -> 2 : (x'=1);\n  <> x=1 -> 1 : (x'=0);\nendmodule\n"


def solve(mdp: TabularMDP, sweeps: int = 3000) -> np.ndarray:
    """Value iteration in plain NumPy, far past its contraction."""
    matrix, value = mdp.transition_matrix(), np.zeros(mdp.states)
    for _ in range(sweeps):
        value = np.maximum.reduceat(mdp.reward + mdp.gamma * (matrix @ value), mdp.state_pointer[:-1])
    return value


def test_every_part_of_a_program_arrives(tmp_path: Path) -> None:
    path = tmp_path / "walk.prism"
    path.write_text(SMALL)
    mdp = from_prism_program(path, constants="N=2", gamma=0.5)
    assert (mdp.states, mdp.pairs, mdp.gamma) == (3, 4, 0.5)
    names = {name: s for s, name in enumerate(mdp.state_names)}
    at = [names[f"x={x}"] for x in range(3)]
    assert mdp.action_names == ("try", "back", "rest")
    first = mdp.state_pointer[at]
    assert mdp.reward[first].tolist() == [1, 3.5, 0]
    assert mdp.reward[first[1] + 1] == 2.5
    rows = mdp.transition_matrix().toarray()
    assert rows[first[0]][at].tolist() == [0.5, 0.5, 0]
    assert rows[first[1]][at].tolist() == [0, 0.5, 0.5]
    assert rows[first[1] + 1][at].tolist() == [1, 0, 0]
    assert rows[first[2]][at].tolist() == [0, 0, 1]
    assert mdp.start[at].tolist() == [1, 0, 0]


@pytest.mark.parametrize("name", ["coin", "robot", "scheduler", "zeroconf"])
def test_shipped_programs_build_and_round_trip(name: str, tmp_path: Path) -> None:
    mdp = prism_model(name=name, gamma=0.9)
    assert mdp.key == f"prism_model(constants='', gamma=0.9, name='{name}')"
    assert mdp.states == len(set(mdp.state_names))
    assert mdp.action_names is not None
    again = read_prism(write_prism(mdp, tmp_path / name))
    assert np.array_equal(again.reward, mdp.reward)
    assert np.array_equal(again.probability, mdp.probability)


def test_the_coin_has_the_size_published_for_the_shared_coin_protocol() -> None:
    """Two processes and K = 2: 272 states, 400 choices, 492 transitions in the PRISM benchmark suite."""
    mdp = prism_model(name="coin")
    assert (mdp.states, mdp.pairs, mdp.transitions) == (272, 400, 492)


@pytest.mark.parametrize(
    ("name", "formula"), [("coin", 'R{"steps"}max=? [ F "decided" ]'), ("scheduler", 'R{"flow"}min=? [ F "done" ]')]
)
def test_undiscounted_answers_agree_with_storm(name: str, formula: str, tmp_path: Path) -> None:
    """Total reward until the end: Storm's model checker on the program, plain value iteration with discount 1 on our model.

    Storm wants rewards that are not negative, so it minimises the flow time whose negative we maximise.
    """
    text = (PROGRAMS / f"{name}.prism").read_text().replace("true : -waiting", "true : waiting")
    path = tmp_path / "program.prism"
    path.write_text(text)
    program = stormpy.parse_prism_program(str(path))
    formulas = stormpy.parse_properties(formula, program)
    built = stormpy.build_model(program, formulas)
    answer = stormpy.model_checking(built, formulas[0]).get_value(built.initial_states[0])
    mdp = prism_model(name=name, gamma=1.0)
    ours = abs(float(mdp.start_distribution @ solve(mdp)))
    assert ours == pytest.approx(answer, rel=1e-4)  # Storm stops its own iteration at a relative precision of 1e-6


def test_scheduling_by_hand() -> None:
    """With one job left the flow time is geometric: 1 / p steps."""
    mdp = prism_model(name="scheduler", gamma=1.0)
    value = solve(mdp)
    for job, p in (("j1", 0.8), ("j2", 0.5), ("j3", 0.2)):
        alone = ", ".join(f"{j}={str(j == job).lower()}" for j in ("j1", "j2", "j3"))
        assert value[mdp.state_names.index(alone)] == pytest.approx(-1 / p, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        (SMALL, {}, "the constants N have no value; give them as constants='NAME=VALUE,...'."),
        (SMALL, {"constants": "M=2"}, "Illegal constant definition string: unknown undefined constant 'M'."),
        (SMALL, {"constants": "N=2", "reward_model": "cost"}, "has no reward model 'cost'; it has 'pay'."),
        (SMALL.replace("0.5 : (x'=x)", "0.4 : (x'=x)"), {"constants": "N=2"}, "sum to 0.9, which is -0.1 off 1."),
        (SMALL[:60], {}, "Storm cannot build"),
        (CONTINUOUS, {}, "describes a CTMC; only an MDP or a DTMC can be read."),
        (
            SMALL + 'rewards "more"\n  true : 1;\nendrewards\n',
            {"constants": "N=2"},
            "has the reward models pay, more; say which one.",
        ),
    ],
)
def test_a_bad_program_gets_one_sentence(
    text: str, options: dict, sentence: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.prism"
    path.write_text(text)
    with pytest.raises(ModelError, match=re.escape(sentence)) as told:
        from_prism_program(path, **options)
    assert "\n" not in str(told.value)
    assert "ERROR" not in capfd.readouterr().out


def test_a_markov_chain_and_a_program_without_rewards(tmp_path: Path) -> None:
    path = tmp_path / "chain.prism"
    path.write_text("dtmc\nmodule m\n x : [0..1] init 0;\n [] x=0 -> 0.3:(x'=1) + 0.7:(x'=0);\n [] x=1 -> true;\nendmodule\n")
    mdp = from_prism_program(path)
    assert (mdp.pairs, mdp.reward.tolist(), mdp.probability.tolist()) == (2, [0, 0], [0.7, 0.3, 1.0])


def test_missing_files_and_programs() -> None:
    with pytest.raises(ModelError, match=r"there is no file none\.prism\."):
        from_prism_program("none.prism")
    with pytest.raises(ModelError, match="there is no PRISM program 'wlan' here; there are coin, robot, scheduler, zeroconf"):
        prism_model(name="wlan")
