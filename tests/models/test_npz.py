"""Models in .npz files: exact there and back, and one sentence for a damaged one."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_strategies import episodic_models, same_tabular, tabular_models

from mdplab.models import EpisodicMDP, ModelError, TabularMDP, garnet, load_npz, save_npz


@settings(deadline=None, max_examples=50)
@given(tabular_models(), st.booleans())
def test_tabular_round_trip(mdp: TabularMDP, compressed: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = save_npz(mdp, Path(folder) / "model", compressed=compressed)
        assert path.name == "model.npz"
        assert same_tabular(mdp, load_npz(path))


@settings(deadline=None, max_examples=30)
@given(episodic_models())
def test_episodic_round_trip(mdp: EpisodicMDP) -> None:
    with tempfile.TemporaryDirectory() as folder:
        read = load_npz(save_npz(mdp.with_key("made(seed=2)"), Path(folder) / "model.npz"))
    assert isinstance(read, EpisodicMDP)
    assert np.array_equal(read.P, mdp.P)
    assert np.array_equal(read.R, mdp.R)
    assert np.array_equal(read.start, mdp.start)
    assert (read.horizon, read.key, read.is_stationary) == (mdp.horizon, "made(seed=2)", mdp.is_stationary)


def test_a_file_cut_anywhere_is_refused_in_one_sentence(tmp_path: Path) -> None:
    whole = save_npz(garnet(S=4, A=2, b=2), tmp_path / "whole.npz").read_bytes()
    cut = tmp_path / "cut.npz"
    for size in range(0, len(whole), 37):
        cut.write_bytes(whole[:size])
        with pytest.raises(ModelError, match=r"cut\.npz is not a whole \.npz file; it may be truncated") as told:
            load_npz(cut)
        assert "\n" not in str(told.value)


def test_a_flipped_bit_is_noticed_or_harmless(tmp_path: Path) -> None:
    mdp = garnet(S=4, A=2, b=2)
    whole = bytearray(save_npz(mdp, tmp_path / "whole.npz").read_bytes())
    bent = tmp_path / "bent.npz"
    for place in range(0, len(whole), 101):
        copy = whole.copy()
        copy[place] ^= 0x10
        bent.write_bytes(copy)
        try:
            read = load_npz(bent)
        except ModelError:
            continue
        assert isinstance(read, TabularMDP)
        assert same_tabular(read, mdp)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be read: No such file"):
        load_npz(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    with pytest.raises(ModelError, match=r"holds no model as mdplab writes them"):
        load_npz(tmp_path / "other.npz")
    np.save(tmp_path / "single.npy", np.ones(3))
    with pytest.raises(ModelError, match=r"is not a whole \.npz file"):
        load_npz(tmp_path / "single.npy")
    np.savez(tmp_path / "pickle.npz", about=np.array([{}], dtype=object))
    with pytest.raises(ModelError, match=r"is not a whole \.npz file"):
        load_npz(tmp_path / "pickle.npz")
    mdp = garnet(S=3, A=1, b=1)
    path = save_npz(mdp, tmp_path / "bad.npz")
    with np.load(path) as file:
        arrays = dict(file)
    arrays["probability"] = arrays["probability"] * 0.9
    np.savez(path, **arrays)
    with pytest.raises(ModelError, match=r"holds no valid model: the probabilities of state 0, action 0 sum to 0\.9"):
        load_npz(path)
