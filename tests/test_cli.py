"""The command line: what it prints, where it writes, its exit codes, and a run that is killed and goes on."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import mdplab.cli
from theory.claims.ledger import read_json
from theory.claims.suite import Journal
from theory.errors import InputError

RUNNER = CliRunner()
GARNET = "garnet:S=20,A=3,b=2,gamma=0.9,seed=1"


def _run(*arguments: str | Path) -> Result:
    return RUNNER.invoke(mdplab.cli.app, [str(a) for a in arguments])


@pytest.fixture
def toys(toy_checks: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The command line with the toy claims as its papers; an empty folder to write to."""
    monkeypatch.setattr(mdplab.cli, "CHECKS", "toy_checks")
    return tmp_path


def _one_sentence(result: Result, *words: str) -> None:
    assert result.exit_code == 2
    assert result.stdout == ""
    message = result.stderr.strip()
    assert message.startswith("mdplab: ")
    assert "\n" not in message
    assert "Traceback" not in message
    for word in words:
        assert word in message


# --- verify ------------------------------------------------------------------------------------------------------------


def test_verify_writes_the_ledger_and_its_page(toys: Path) -> None:
    result = _run("verify", "toy", "dice/mean", "--jobs", "1", "--out", toys / "book")
    assert result.exit_code == 0
    assert "6 claims: 4 holds, 1 refuted, 1 skipped; none not as expected" in result.stdout
    assert "[6/6]" in result.stdout  # plain lines where the output is no terminal
    book = read_json(toys / "book" / "ledger.json")
    assert {line["paper"] for line in book["claims"]} == {"toy", "dice"}
    assert "<math" in (toys / "book" / "ledger.html").read_text(encoding="utf-8")
    assert sorted(p.name for p in (toys / "book").iterdir()) == ["ledger.html", "ledger.json"]


def test_verify_exits_with_1_when_a_verdict_is_not_the_expected_one(toys: Path) -> None:
    result = _run("verify", "--theme", "errors", "--jobs", "1", "--out", toys)
    assert result.exit_code == 1
    assert "wrong/refuted: expected holds, found refuted" in result.stdout
    assert "mdplab replay wrong/refuted 'at(x=4.0)'" in result.stdout
    assert "It has no control." in result.stdout
    assert "3 not as expected" in result.stdout
    assert len(read_json(toys / "ledger.json")["claims"]) == 3


def test_the_number_of_jobs_changes_no_number(toys: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "import mdplab.cli as c; c.CHECKS = 'toy_checks'; c.app()",
        "verify",
        "dice",
        "--seed",
        "7",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for jobs in ("1", "2"):
        subprocess.run([*command, "--jobs", jobs, "--out", str(toys / jobs)], env=environment, check=True, capture_output=True)
    one, two = (read_json(toys / jobs / "ledger.json")["claims"] for jobs in ("1", "2"))
    for line in one + two:
        del line["seconds"]
    assert one == two


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["toys"], ["'toys'", "nearest", "toy"]),
        (["toy/belo"], ["toy/below"]),
        (["--theme", "sports"], ["'sports'", "chance, errors, toys"]),
        (["--profile", "slow"], ["'slow'", "quick, full and gpu"]),
        (["--seed", "-1"], ["-1", "seed"]),
    ],
)
def test_verify_tells_what_it_does_not_know(toys: Path, arguments: list[str], words: list[str]) -> None:
    (toys / "unfinished.jsonl").write_text("kept\n")
    _one_sentence(_run("verify", *arguments, "--out", toys), *words)
    assert (toys / "unfinished.jsonl").read_text() == "kept\n"  # a typing mistake costs no finished work


def test_verify_cannot_write_into_a_file(toys: Path) -> None:
    (toys / "file").write_text("")
    _one_sentence(_run("verify", "toy/rate", "--out", toys / "file"), "file", "cannot be written")


def test_a_package_without_claims_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdplab.cli, "CHECKS", "no_such_package")
    _one_sentence(_run("claims"), "no_such_package", "not installed")


def test_a_killed_run_goes_on_where_it_was(toys: Path) -> None:
    out = toys / "book"
    command = [sys.executable, "-c", "import mdplab.cli as c; c.CHECKS = 'toy_checks'; c.app()"]
    command += ["verify", "dice", "--jobs", "1", "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run(command, env={**environment, "TOY_STOP": "kill"}, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL
    assert not (out / "ledger.json").exists()
    journal = out / "unfinished.jsonl"
    assert len(journal.read_text().splitlines()) == 1 + 4  # what the run is, and all claims but the last
    with journal.open("a") as file:
        file.write('{"id": "dice/last", "verd')  # a line that the kill cut off

    other = subprocess.run([*command, "--seed", "3"], env={**environment, "TOY_STOP": "kill"}, capture_output=True, text=True)
    assert "finished by an earlier run" not in other.stdout  # another seed is another run
    again = subprocess.run([*command, "--seed", "3"], env=environment, capture_output=True, text=True)
    assert again.returncode == 0
    assert "4 claims were finished by an earlier run" in again.stdout
    assert "[1/1] dice/last" in again.stdout
    assert len(read_json(out / "ledger.json")["claims"]) == 5
    assert not journal.exists()


def test_an_interrupted_run_says_how_to_go_on(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("verify", "dice", "--jobs", "1", "--out", toys)
    monkeypatch.setenv("TOY_STOP", "interrupt")
    stopped = _run(*arguments)
    assert stopped.exit_code == 130
    assert stopped.stderr.strip() == "mdplab: stopped; 4 of 5 claims are kept, the same command goes on from there."
    monkeypatch.delenv("TOY_STOP")
    assert "4 claims were finished by an earlier run" in _run(*arguments).stdout
    monkeypatch.setenv("TOY_STOP", "interrupt")
    _run(*arguments)
    monkeypatch.delenv("TOY_STOP")
    assert "finished by an earlier run" not in _run(*arguments, "--fresh").stdout


def test_a_journal_is_kept_for_its_own_run_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "unfinished.jsonl"
    same = {"profile": "quick", "seed": 0, "code": "abc"}
    Journal(path, **same).add({"id": "a/b", "verdict": "holds"})  # type: ignore[arg-type]
    assert list(Journal(path, **same).finished) == ["a/b"]  # type: ignore[arg-type]
    path.write_bytes(path.read_bytes() + b'\xff\xfe{"id": "c')
    assert list(Journal(path, **same).finished) == ["a/b"]  # type: ignore[arg-type]
    for other in ({"profile": "full"}, {"seed": 1}, {"code": "abd"}):
        assert Journal(tmp_path / "copy", **{**same, **other}).finished == {}  # type: ignore[arg-type]
        (tmp_path / "copy").write_bytes(path.read_bytes())
        assert Journal(tmp_path / "copy", **{**same, **other}).finished == {}  # type: ignore[arg-type]
    assert Journal(path, **same, fresh=True).finished == {}  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot be written"):
        Journal(path / "below-a-file", **same)  # type: ignore[arg-type]


# --- claims and replay -------------------------------------------------------------------------------------------------


def test_claims_are_listed_and_counted(toys: Path) -> None:
    result = _run("claims")
    assert result.exit_code == 0
    assert "toy/below" in result.stdout
    assert "13 claims of 3 papers." in result.stdout
    assert "toy/below" not in _run("claims", "--theme", "chance").stdout


def test_claims_as_json(toys: Path) -> None:
    rows = json.loads(_run("claims", "--theme", "toys", "--json").stdout)
    assert {row["id"] for row in rows} == {f"toy/{n}" for n in ("below", "rate", "same", "order", "absent")}
    below = next(row for row in rows if row["id"] == "toy/below")
    assert (below["title"], below["controls"][0]) == ("Toys & <Games>", "half of the bound")


def test_replay_shows_both_sides(toys: Path, toy_ledger: dict[str, Any]) -> None:
    line = next(line for line in toy_ledger["claims"] if line["id"] == "toy/below")
    result = _run("replay", "toy/below", line["worst_instance"])
    assert result.exit_code == 0
    assert f"lhs {line['lhs']:.12g}" in result.stdout
    control = line["controls"][0]
    result = _run("replay", "toy/below", control["worst_instance"], "--control", control["name"])
    assert "outcome refuted" in result.stdout
    assert f"lhs {control['lhs']:.12g}" in result.stdout
    assert "at level" in _run("replay", "dice/mean", "at(faces=6, seed=1)").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["toy", "numbers(n=2, seed=1)"], ["is a paper", "toy/below"]),
        (["toy/nothing", "numbers(n=2, seed=1)"], ["toy/nothing"]),
        (["toy/below", "numbers("], ["instance key"]),
        (["toy/below", "letters(n=2)"], ["letters", "numbers"]),
        (["toy/below", "numbers(n=2)"], ["numbers", "seed"]),
        (["toy/below", "numbers(n=2, seed=1)", "--control", "none"], ["'none'", "half of the bound"]),
        (["toy/below", "numbers(n=2, seed=1)", "--profile", "slow"], ["'slow'"]),
        (["dice/mean", "at(faces=6)"], ["dice/mean", "seed"]),
        (["dice/mean", "at(faces=6, seed=-1)"], ["dice/mean", "negative"]),
    ],
)
def test_replay_tells_what_does_not_fit(toys: Path, arguments: list[str], words: list[str]) -> None:
    _one_sentence(_run("replay", *arguments), *words)


# --- solve and info ----------------------------------------------------------------------------------------------------


def test_solve_prints_json_alone_and_writes_arrays(tmp_path: Path) -> None:
    result = _run("solve", GARNET, "--tol", "1e-8", "--json", "--out", tmp_path / "answer.npz")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert list(found) == [
        "states",
        "pairs",
        "gamma",
        "method",
        "value_start",
        "lower_start",
        "upper_start",
        "iterations",
        "seconds",
    ]
    assert (found["states"], found["pairs"], found["gamma"]) == (20, 60, 0.9)
    assert found["lower_start"] <= found["value_start"] <= found["upper_start"] <= found["lower_start"] + 1e-8
    with np.load(tmp_path / "answer.npz") as arrays:
        assert sorted(arrays) == ["V", "lower", "policy", "upper"]
        assert ((arrays["lower"] <= arrays["V"]) & (arrays["V"] <= arrays["upper"])).all()
        assert arrays["V"].mean() == pytest.approx(found["value_start"])  # the start is uniform
        assert np.array_equal(arrays["policy"] // 3, np.arange(20))  # the pair that is chosen in each state


@pytest.mark.parametrize("method", ["value-iteration", "gauss-seidel", "policy-iteration", "linear-programming"])
def test_methods_agree(method: str) -> None:
    values = [json.loads(_run("solve", GARNET, "--json", "--method", m).stdout)["value_start"] for m in ("auto", method)]
    assert values[0] == pytest.approx(values[1], abs=2e-6)  # two brackets of the default width


def test_solve_and_info_for_people() -> None:
    solved = _run("solve", "FrozenLake-v1", "--gamma", "0.99")
    assert solved.exit_code == 0
    assert "states       16" in solved.stdout
    described = _run("info", "FrozenLake-v1")
    assert described.exit_code == 0
    for fact in ("states       16", "start        1 states", "rewards      0 to", "communicating"):
        assert fact in described.stdout


@pytest.mark.parametrize(
    ("model", "classes"),
    [
        ("river_swim:S=6", "1 communicating, 1 of them closed"),
        ("combination_lock:H=4,A=2", "5 communicating, 1 of them closed"),
    ],
)
def test_info_counts_the_classes_of_states(model: str, classes: str) -> None:
    assert classes in _run("info", model).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["solve", "nothing.npz"], ["nothing.npz"]),
        (["solve", "Nothing-v1"], ["Nothing-v1"]),
        (["solve", "garnet:S=x"], ["S", "'x'"]),
        (["solve", "garnet:S=10,Q=1"], ["'Q'"]),
        (["solve", GARNET, "--gamma", "1"], ["discount"]),
        (["solve", GARNET, "--gamma", "1.5"], ["1.5"]),
        (["solve", GARNET, "--gamma", "nan"], ["nan"]),
        (["solve", GARNET, "--tol", "0"], ["tolerance"]),
        (["solve", GARNET, "--method", "guess"], ["'guess'", "policy-iteration"]),
        (["solve", GARNET, "--out", "/no/such/folder/a.npz"], ["/no/such/folder"]),
        (["info", "CartPole-v1"], ["CartPole-v1"]),
    ],
)
def test_bad_models_get_one_sentence(arguments: list[str], words: list[str]) -> None:
    _one_sentence(_run(*arguments), *words)


def test_a_truncated_file_gets_one_sentence(tmp_path: Path) -> None:
    from mdplab.models import read_model, save_npz

    path = tmp_path / "model.npz"
    save_npz(read_model(GARNET), path)
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 7):
        path.write_bytes(whole[:length])
        _one_sentence(_run("info", path), "model.npz")


# --- cite, export, new-paper -------------------------------------------------------------------------------------------


@pytest.fixture
def cited(toy_ledger: dict[str, Any], tmp_path: Path) -> Path:
    """The file of a ledger of toys."""
    path = tmp_path / "book.json"
    path.write_text(json.dumps(toy_ledger), encoding="utf-8")
    return path


def test_cite_prints_the_paper_once_and_a_pin_for_each_claim(cited: Path, toy_ledger: dict[str, Any]) -> None:
    said = _run("cite", "toy", "--ledger", cited).stdout
    assert said.count("@misc{") == 1
    assert said.count("% mdplab ") == sum(line["paper"] == "toy" for line in toy_ledger["claims"])


def test_export_prints_a_table_and_writes_figures(cited: Path, tmp_path: Path) -> None:
    said = _run("export", "toy/below", "--latex", "--ledger", cited, "--out", tmp_path / "appendix").stdout
    assert said.startswith(r"\begin{tabular}")
    assert "% figure of toy/below: " in said
    assert {path.suffix for path in (tmp_path / "appendix").iterdir()} == {".tex", ".png"}


def test_export_prints_json_alone(cited: Path, tmp_path: Path) -> None:
    said = _run("export", "toy/below", "--json", "--ledger", cited, "--out", tmp_path / "appendix").stdout
    assert [line["id"] for line in json.loads(said)] == ["toy/below"]


@pytest.mark.parametrize("command", ["cite", "export"])
def test_what_cannot_be_cited_is_told(command: str, cited: Path, tmp_path: Path) -> None:
    _one_sentence(_run(command, "toy/nothing", "--ledger", cited), "toy/nothing")
    _one_sentence(_run(command, "toy/below", "--ledger", tmp_path / "none.json"), "cannot be read")


def test_a_ledger_of_a_selection_is_pointed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _one_sentence(_run("cite", "toy"), "ledger/ledger.json cannot be read", "`mdplab verify` writes")
    (tmp_path / "ledger" / "selection").mkdir(parents=True)
    (tmp_path / "ledger" / "selection" / "ledger.json").write_text("{}", encoding="utf-8")
    _one_sentence(_run("cite", "toy"), "there is ledger/selection/ledger.json, which --ledger can name")


def test_replay_finds_claims_in_files_of_ones_own(tmp_path: Path) -> None:
    assert _run("new-paper", "replayed", "--folder", tmp_path / "checks").exit_code == 0
    key = "at(draw=0, n=2, seed=1, spread=1.0)"
    for place in (tmp_path / "checks", tmp_path / "checks" / "test_replayed.py"):
        assert "outcome holds" in _run("replay", "replayed/first-claim", key, "--checks", place).stdout
    _one_sentence(_run("replay", "replayed/first-clam", key, "--checks", tmp_path / "checks"), "replayed/first-claim")
    _one_sentence(_run("replay", "x/y", key, "--checks", tmp_path / "none"), "neither a file of checks nor a folder")
    (tmp_path / "checks" / "test_broken.py").write_text("import no_such_module", encoding="utf-8")
    _one_sentence(_run("replay", "x/y", key, "--checks", tmp_path / "checks"), "test_broken.py cannot be imported")


def test_new_paper_writes_a_file_once(tmp_path: Path) -> None:
    assert "test_my_theorem.py is written" in _run("new-paper", "my-theorem", "--folder", tmp_path).stdout.replace("\n", "")
    _one_sentence(_run("new-paper", "my-theorem", "--folder", tmp_path), "exists already")


# --- help --------------------------------------------------------------------------------------------------------------

EXAMPLES = {c.callback.__name__: str(c.epilog) for c in mdplab.cli.app.registered_commands if c.callback is not None}


GROUPS = {"": mdplab.cli.app, "study": mdplab.cli.study}
HELPED = [
    (group, c.name or c.callback.__name__) for group, app in GROUPS.items() for c in app.registered_commands if c.callback
]


@pytest.mark.parametrize(("group", "name"), [*HELPED, ("", ""), ("study", "")])
def test_every_help_has_an_example(group: str, name: str) -> None:
    words = [word for word in (group, name) if word]
    said = _run(*words, "--help").stdout
    assert f"Example: {' '.join(['mdplab', *words])} " in " ".join(said.split()) + " "


@pytest.mark.parametrize("name", ["verify", "claims", "replay", "solve", "info"])
def test_the_example_of_the_help_works(name: str) -> None:
    assert "Example: mdplab" in _run(name, "--help").stdout
    arguments = shlex.split(EXAMPLES[name].removeprefix("Example: mdplab "))
    if name == "verify":  # as long as the papers take: only its names are looked up
        from theory.claims import suite

        names = arguments[1 : arguments.index("--profile")]
        assert suite.select(suite.discover("paper_checks"), names)
        return
    assert _run(*arguments).exit_code == 0


def test_the_door_opens_without_the_heavy_rooms() -> None:
    code = (
        "import sys, mdplab.cli; print(sorted({'numba', 'scipy', 'matplotlib', 'pandas', 'cvxpy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
