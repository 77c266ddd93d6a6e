"""pytest runs claims: every Claim in a collected module is a test item.

Options: ``--profile quick|full|gpu``, ``--seed N`` (draws every instance afresh), ``--ledger PATH`` (writes the JSON ledger, and
the page beside it). ``-k`` and ``-n`` work as for any test. The plugin is installed with mdplab, so a directory of checks
anywhere produces a ledger.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from theory.claims.declaration import Claim

PROPERTY = "mdplab ledger line"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a run over claims."""
    group = parser.getgroup("mdplab", "claims")
    group.addoption(
        "--profile", default="quick", choices=("quick", "full", "gpu"), help="how many and how large instances to check"
    )
    group.addoption("--seed", type=int, default=0, help="draws every instance afresh from this seed")
    group.addoption("--ledger", type=Path, default=None, metavar="PATH", help="write the ledger to this file")


def pytest_configure(config: pytest.Config) -> None:
    """Start collecting ledger lines."""
    if config.option.seed < 0:
        raise pytest.UsageError(f"the seed of a run is {config.option.seed}; it must not be negative.")
    config.pluginmanager.register(_Ledger(config), "mdplab-ledger")


def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> Any:
    """A Claim defined in the module being collected becomes an item."""
    if type(obj).__name__ != "Claim":
        return None
    from theory.claims.declaration import Claim

    if not isinstance(obj, Claim) or obj.module != getattr(collector.module, "__name__", None):
        return None
    return ClaimItem.from_parent(collector, name=obj.id, claim=obj)


class UnexpectedVerdict(Exception):
    """A claim whose verdict is not the expected one."""


class ClaimItem(pytest.Item):
    """One claim with its controls."""

    def __init__(self, *, claim: Claim, **kwargs: Any):
        super().__init__(**kwargs)
        self.claim = claim
        self.extra_keyword_matches.update({claim.paper.key, claim.paper.theme, claim.name})

    def runtest(self) -> None:
        """Run the claim; fail unless its verdict is the expected one."""
        from theory.claims.engine import run_claim
        from theory.claims.ledger import entry
        from theory.claims.table import complaint

        options = self.config.option
        line = entry(run_claim(self.claim, profile=options.profile, seed=options.seed))
        self.user_properties.append((PROPERTY, json.dumps(line)))
        if not line["as_expected"]:
            raise UnexpectedVerdict(complaint(line))
        if line["verdict"] == "skipped":
            pytest.skip("; ".join(line["skipped"]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The complaint alone: a traceback through the engine says nothing about the claim."""
        if isinstance(excinfo.value, UnexpectedVerdict):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the check stands."""
        return self.path, self.claim.line - 1, self.claim.id


class _Ledger:
    """Gathers the lines of all items (also those run by xdist's workers) and shows them at the end."""

    def __init__(self, config: pytest.Config):
        self.config = config
        self.lines: list[dict[str, Any]] = []
        self.began = time.perf_counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self.lines += [json.loads(str(v)) for k, v in report.user_properties if k == PROPERTY]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.lines:
            return
        from rich.console import Console

        from theory.claims.table import print_table

        terminalreporter.section("claims")
        width = None if terminalreporter.isatty else 140
        print_table(self.lines, Console(file=terminalreporter._tw._file, width=width))
        path = self.config.option.ledger
        if path is not None and not hasattr(self.config, "workerinput"):
            from theory.claims import ledger
            from theory.claims.page import write_page

            options = self.config.option
            seconds = time.perf_counter() - self.began
            book = ledger.ledger(self.lines, profile=options.profile, seed=options.seed, seconds=seconds)
            ledger.write_json(book, path)
            write_page(book, path.with_suffix(".html"))
            terminalreporter.write_line(f"ledger: {path} and {path.with_suffix('.html')}")
