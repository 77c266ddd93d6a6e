"""What tests share: a package of toy claims, one of each sort (for the ledger, its page, the command line, the plugin); quantecon."""

import fcntl
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The same examples each time. `pytest --hypothesis-profile=default tests` looks for new ones.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")


@pytest.fixture(scope="session")
def quantecon() -> Any:
    """quantecon, which compiles when it is imported: two workers that do so at once spoil Numba's files for each other."""
    with (Path(tempfile.gettempdir()) / "mdplab-quantecon.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return pytest.importorskip("quantecon", reason="quantecon (extra `peers`) is not installed")


RIGHT = r'''
"""Claims whose verdicts are the expected ones."""

import os
import signal

import numpy as np

from theory.claims import (
    Paper, Range, always, at_most, claim, equal, family, less_on_average, mean_at_most, over, slope, violation_rate
)
from theory.errors import Unavailable

PAPER = Paper(key="toy", title="Toys & <Games>", authors="Nobody", year=2026, theme="toys", arxiv="0000.00000", venue="Attic 1")
DICE = Paper(key="dice", title="Dice", authors="Pascal, Fermat", year=1654, theme="chance")


@family(n=1)
def numbers(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=n)


@claim(PAPER, "below", r"\|x\|_\infty \le \max_i x_i < 1", kind="inequality", source="paper", assumes=r"x_i \in [0, \beta^2]; n < 9")
@over(numbers.sweep(n=(2, 50), draws=5))
@over(numbers.sweep(n=3, seed=0), scale=Range(0.1, 1.0), budget=20)
def below(x, *, scale=1.0, bound=1.0):
    r"""Uniform numbers are below one, if 0 < scale <= 1.

    Since :math:`x_i \le 1`, and ``x`` has <b>no</b> other entries; see `toy/rate` and `elsewhere`.

    - one item
    - another, x_1 <= 10^4

    .. math::
        \sum_i x_i \le n
    """
    return at_most(scale * x, bound)


below.control("half of the bound", because="one of 50 numbers exceeds 1/2", bound=0.5)
below.control("nothing is below <zero>", because="numbers are positive", bound=0.0)


@claim(PAPER, "rate", r"2^{-k} \le 0.9^k", kind="deterministic rate", source="derived")
def rate(*, base=0.5):
    """Halving is quick."""
    k = np.arange(30)
    return at_most(base**k, 0.9**k, x=k, label="iteration")


rate.control("growth", base=1.1)


@claim(PAPER, "same", r"\operatorname{sp}(x) = \ln e^{x}", kind="identity", source="recalled")
@over(numbers.sweep(n=4, draws=6))
def same(x, *, factor=1.0):
    """A logarithm undoes an exponential."""
    return equal(np.log(np.exp(x)), factor * x)


same.control("off by a percent", factor=1.01)


@claim(PAPER, "order", r"x_1 \le x_2", kind="inequality", source="derived", expected="refuted", corrected="toy/below",
       note="Sorted numbers are in order; drawn ones are not.")
@over(numbers.sweep(n=5, draws=3))
def order(x, *, sort=False):
    """Numbers come in order: false."""
    return always(np.diff(np.sort(x) if sort else x) >= 0, "order")


order.repair("sorted numbers", sort=True)


@claim(PAPER, "absent", "x = x", kind="identity", source="derived")
@over(missing=(1, 2))
def absent(missing):
    """Needs what is not there."""
    raise Unavailable("needs a package that is not there")


@claim(DICE, "mean", r"\mathbb{E}[X] \le \tfrac72", kind="bound in expectation", source="recalled")
@over(faces=6)
def mean(*, faces, seed, bound=3.6):
    """A die shows at most 3.6 on average."""
    return mean_at_most(np.random.default_rng(seed).integers(1, faces + 1, 20_000), bound, support=(1, faces))


mean.control("three", bound=3.0)


@claim(DICE, "six", r"P(X = 6) \le 0.2", kind="high-probability bound", source="recalled")
@over(faces=6)
def six(*, faces, seed, delta=0.2):
    """A six is rare."""
    return violation_rate(np.random.default_rng(seed).integers(1, faces + 1, 4000) == 6, delta, alternative=0.3)


six.control("rarer still", delta=0.1)


@claim(DICE, "walk", r"\mathbb{E}|S_n| \sim \sqrt{n}", kind="regret exponent", source="recalled")
@over(steps=(2000,))
def walk(*, steps, seed, low=0.3):
    """A walk goes as far as the root of its length."""
    times = np.geomspace(10, steps, 8).astype(int)
    jumps = np.random.default_rng(seed).choice([-1.0, 1.0], size=(500, steps))
    return slope(times, np.abs(jumps.cumsum(axis=1))[:, times - 1], between=(low, low + 0.4))


walk.control("as far as its length", low=0.8)


@claim(DICE, "lighter", r"X < Y", kind="mechanism", source="derived", expected="inconclusive", note="Two fair dice are alike.")
@over(faces=6)
def lighter(*, faces, seed, loaded=0):
    """One of two fair dice shows less: cannot be told."""
    first, second = np.random.default_rng(seed).integers(1, faces + 1, (2, 300))
    return less_on_average(first + loaded, second)


lighter.control("a die with two more", loaded=2)


@claim(DICE, "last", r"1 \le 2", kind="inequality", source="derived")
def last(*, right=2.0):
    """What a run does last; TOY_STOP ends the run here."""
    if os.environ.get("TOY_STOP") == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get("TOY_STOP") == "interrupt":
        raise KeyboardInterrupt
    return at_most(1.0, right, slack=1e-3)


last.control("less than one", right=0.5)
'''

WRONG = r'''
"""Claims whose verdicts are not the expected ones."""

from theory.claims import Paper, at_most, claim, over

PAPER = Paper(key="wrong", title="Errors", authors="Nobody", year=2026, theme="errors")


@claim(PAPER, "refuted", r"x \le 1", kind="inequality", source="paper")
@over(x=(0.5, 2.0, 4.0))
def refuted(*, x, bound=1.0):
    """Every number is at most one."""
    return at_most(x, bound)


refuted.control("at most zero", bound=0.0)


@claim(PAPER, "unguarded", r"x \le 9", kind="inequality", source="paper")
def unguarded(*, x=1.0):
    """A claim without control."""
    return at_most(x, 9)


@claim(PAPER, "error", r"\frac{1}{0}", kind="inequality", source="paper")
def error(*, x=0.0):
    """A check that breaks down."""
    return at_most(1 / x, 9)


error.control("elsewhere", x=0.1)
'''


@pytest.fixture(scope="session")
def toy_checks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder, on the path, with the package ``toy_checks``: papers toy and dice as expected, the paper wrong not."""
    folder = tmp_path_factory.mktemp("toys")
    package = folder / "toy_checks"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "test_right.py").write_text(RIGHT)
    (package / "test_wrong.py").write_text(WRONG)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="session")
def toy_ledger(toy_checks: Path) -> dict[str, Any]:
    """The ledger of all toy claims."""
    from theory.claims import suite
    from theory.claims.ledger import ledger

    claims = list(suite.discover("toy_checks").values())
    return ledger(suite.run(claims, package="toy_checks"), profile="quick", seed=0, seconds=1.0)
