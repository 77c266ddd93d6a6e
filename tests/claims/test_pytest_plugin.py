"""pytest's face of the claims: items, options, failures, the table and the ledger, on one core and on two."""

from pathlib import Path

import pytest

from theory.claims.ledger import read_json

pytest_plugins = ["pytester"]


@pytest.fixture
def checks(pytester: pytest.Pytester, toy_checks: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with the two files of toy claims, where pytest does not take a second to load Hypothesis."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:anyio")
    for name in ("test_right", "test_wrong"):
        pytester.makepyfile(**{name: (toy_checks / "toy_checks" / f"{name}.py").read_text()})
    return pytester


def test_claims_pass_skip_and_fill_the_table(checks: pytest.Pytester) -> None:
    result = checks.runpytest_subprocess("test_right.py")
    result.assert_outcomes(passed=9, skipped=1)
    result.stdout.fnmatch_lines(
        ["*= claims =*", "*claim*verdict*tightness*", "*dice/mean*holds*", "*toy/order*refuted (as expected)*"]
    )
    result.stdout.fnmatch_lines(["*10 claims: 7 holds, 1 refuted, 1 inconclusive, 1 skipped; none not as expected*"])
    assert result.ret == 0


def test_wrong_claims_fail_with_what_is_needed_to_see_it_again(checks: pytest.Pytester) -> None:
    result = checks.runpytest_subprocess("test_wrong.py")
    result.assert_outcomes(failed=3)
    text = result.stdout.str()
    assert "lhs = 4.0, rhs = 1.0, ratio" in text
    assert "See it again: mdplab replay wrong/refuted 'at(x=4.0)'" in text
    assert "It has no control." in text
    assert "ZeroDivisionError" in text
    assert "run_claim(" not in text  # no traceback through the engine
    assert result.ret == 1


def test_claims_are_chosen_by_name_paper_and_theme(checks: pytest.Pytester) -> None:
    for word, number in (("below or chance", 6), ("dice and not walk", 4)):
        result = checks.runpytest_subprocess("test_right.py", "--collect-only", "-q", "-k", word)
        assert sum("::" in line for line in result.outlines) == number


def test_the_seed_draws_afresh_and_the_ledger_keeps_it(checks: pytest.Pytester) -> None:
    keys = []
    for seed in (0, 5):
        path = checks.path / str(seed) / "ledger.json"
        checks.runpytest_subprocess("test_right.py", "-k", "same", "--seed", str(seed), "--ledger", str(path))
        book = read_json(path)
        assert (book["seed"], book["profile"]) == (seed, "quick")
        assert path.with_suffix(".html").exists()
        keys.append(book["claims"][0]["worst_instance"])
    assert keys[0] != keys[1]


def test_two_workers_write_the_same_ledger(checks: pytest.Pytester) -> None:
    pytest.importorskip("xdist", reason="workers need pytest-xdist")
    books = []
    for workers in ("0", "2"):
        path = checks.path / workers / "ledger.json"
        result = checks.runpytest_subprocess("-n", workers, "--ledger", str(path), "--profile", "full")
        result.assert_outcomes(passed=9, skipped=1, failed=3)
        book = read_json(path)
        assert book["profile"] == "full"
        for line in book["claims"]:
            del line["seconds"], line["error"], line["controls"]  # errors hold paths and lines
        books.append(book["claims"])
    assert books[0] == books[1]
    assert len(books[0]) == 13


def test_options_that_make_no_sense(checks: pytest.Pytester) -> None:
    assert checks.runpytest_subprocess("--seed", "-1").ret == pytest.ExitCode.USAGE_ERROR
    assert checks.runpytest_subprocess("--profile", "slow").ret == pytest.ExitCode.USAGE_ERROR


def test_imported_claims_are_checked_where_they_are_defined(checks: pytest.Pytester) -> None:
    checks.makepyfile(test_other="from test_right import below, rate")
    result = checks.runpytest_subprocess("test_other.py")
    result.assert_outcomes()
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
