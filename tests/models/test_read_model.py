"""What MODEL may be on the command line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdplab
from mdplab.models import garnet, hard_contexts, read_model, save_npz, to_tabular, write_prism
from mdplab.models.options import split_options
from theory.errors import InputError


@pytest.mark.parametrize(
    ("text", "states", "gamma"),
    [
        ("FrozenLake-v1:map_name=8x8", 64, 0.99),
        ("FrozenLake-v1:is_slippery=false,gamma=0.5", 16, 0.5),
        ("frozen_lake:map_name=8x8", 64, 0.99),
        ("garnet:S=100,A=4,b=3,seed=7", 100, 0.9),
        ("garnet", 10, 0.9),
        ("  garnet(A=2, S=20, gamma=0.5, seed=2) ", 20, 0.5),
        ("two_state:stay=(1,0.5,0.5,0),gamma=0.25", 2, 0.25),
        ("grid_world:map=S.\\n.G,slip=0", 5, 0.95),
        ("episodic_lock:H=3", 7, 1.0),
    ],
)
def test_models_by_text(text: str, states: int, gamma: float) -> None:
    mdp = read_model(text)
    assert (mdp.states, mdp.gamma) == (states, gamma)
    assert read_model(text, 0.125).gamma == 0.125
    if mdp.key is not None:
        assert read_model(mdp.key).key == mdp.key


def test_a_new_discount_keeps_the_key_of_a_family() -> None:
    mdp = read_model("garnet:S=5,seed=3", gamma=0.5)
    assert mdp.key == garnet(S=5, gamma=0.5, seed=3).key
    assert np.array_equal(mdp.reward, garnet(S=5, seed=3).reward)


def test_files(tmp_path: Path) -> None:
    mdp = garnet(S=7, A=2, b=2, gamma=0.8)
    odd = tmp_path / "a:b=c"  # a path may hold what options are made of
    odd.mkdir()
    for path in (save_npz(mdp, odd / "m.npz"), write_prism(mdp, odd / "m.tra")):
        assert np.array_equal(read_model(str(path)).probability, mdp.probability)
        assert read_model(str(path)).gamma == 0.8
        assert read_model(str(path), 0.5).gamma == 0.5
    contexts = hard_contexts(C=2, H=3)
    flat = read_model(str(save_npz(contexts, tmp_path / "e.npz")), 0.9)
    assert np.array_equal(flat.probability, to_tabular(contexts, 0.9).probability)


def test_prism_programs(tmp_path: Path) -> None:
    pytest.importorskip("stormpy", reason="reading PRISM programs needs stormpy")
    path = tmp_path / "walk.nm"
    path.write_text(
        "mdp\nconst int N;\nmodule m\n  x : [0..N] init 0;\n  [go] x<N -> (x'=x+1);\n  [rest] x=N -> true;\nendmodule\n"
    )
    assert read_model(f"{path}:constants=N=3").states == 4
    assert read_model(f"{path}:constants=N=3", 0.5).gamma == 0.5
    assert read_model("prism_model:name=robot").states == 528


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("garnt:S=4", "'garnt' names no model (did you mean garnet"),
        (
            "",
            "'' names no model; a model is a Gymnasium id (FrozenLake-v1:map_name=8x8), a file (.npz, .tra, .prism, .nm, .pm) or",
        ),
        ("FrozenLak-v1", "Gymnasium has no environment 'FrozenLak-v1' (did you mean FrozenLake-v1"),
        ("CartPole-v1", "the environment CartPole-v1 has no transition table"),
        ("garnet:S=x", "the parameter S of garnet must be a whole number, not 'x'."),
        ("garnet:S=2.5", "the parameter S of garnet must be a whole number, not 2.5."),
        ("garnet:ragged=3", "the parameter ragged of garnet must be true or false, not 3."),
        ("garnet:gamma=true", "the parameter gamma of garnet must be a number, not True."),
        ("two_state:stay=1", "the parameter stay of two_state must be numbers in parentheses, not 1."),
        ("garnet:sparse=1", "the family garnet has no parameter 'sparse' (did you mean sparsity?); it has S, A, b"),
        ("garnet:S=4,S=5", "the option 'S' of 'garnet:S=4,S=5' is given twice."),
        ("garnet:", "'garnet:' ends where its options should begin"),
        ("garnet:gamma=1.5", "the discount is 1.5; it must lie between 0 and 1."),
        ("garnet:seed=-1", "the seed is -1; it must be a whole number, 0 or more, or a numpy Generator."),
        ("garnet(S=__import__('os'))", "the instance key \"garnet(S=__import__('os'))\" is not of the form"),
        ("garnet(S=2, b=1) * garnet(S=2, b=1)", "'garnet(S=2, b=1) * garnet(S=2, b=1)' is 2 calls; a model is one."),
        ("none.npz", "there is no file none.npz."),
        ("none/none.prism", "there is no file none/none.prism."),
        ("none.npz:gamma=1", "there is no file none.npz."),
    ],
)
def test_anything_else_gets_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match="^" + re.escape(sentence)) as told:
        read_model(text)
    assert "\n" not in str(told.value)


@given(st.text(max_size=30))
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(InputError):
        read_model(text + "?")


def test_options() -> None:
    assert split_options("name") == ("name", {})
    assert split_options("n:a=(1, 2),b=x y,c=None") == ("n", {"a": (1, 2), "b": "x y", "c": None})


def test_every_name_of_the_room_is_there() -> None:
    assert mdplab.models.__all__ == sorted(set(mdplab.models.__all__))
    for name in mdplab.models.__all__:
        assert getattr(mdplab.models, name) is not None
        assert name in dir(mdplab.models)
    for name in mdplab.__all__:
        assert getattr(mdplab, name) is not None
    assert mdplab.TabularMDP is mdplab.models.TabularMDP
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mdplab.nothing
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mdplab.models.nothing
