"""The ledger: what a run found about each claim, as plain data; the table, the JSON file and the page are views of it."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import math
import os
import platform
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from theory.claims.comparison import Comparison
from theory.claims.engine import Evidence, Result, series_of
from theory.errors import InputError

FORMAT = 1
Entry = dict[str, Any]


def entry(result: Result) -> Entry:
    """The ledger's line on one claim; all values are JSON types (infinities are the strings "inf" and "-inf")."""
    made, paper = result.claim, result.claim.paper
    line: Entry = {
        "id": made.id,
        "paper": paper.key,
        "name": made.name,
        "title": paper.title,
        "authors": paper.authors,
        "year": paper.year,
        "arxiv": paper.arxiv,
        "venue": paper.venue,
        "theme": paper.theme,
        "kind": made.kind,
        "headline": made.headline,
        "statement": made.statement,
        "assumes": made.assumes,
        "derivation": made.derivation,
        "source": made.source,
        "expected": made.expected,
        "corrected": made.corrected,
        "note": made.note,
        "verdict": result.verdict,
        "as_expected": result.as_expected,
        **_evidence(result.evidence),
        "controls": [
            {
                "name": control.name,
                "expected": control.expected,
                "because": control.because,
                "verdict": "error" if found.error else found.outcome,
                **_evidence(found, brief=True),
            }
            for control, found in result.controls
        ],
        "check": made.place,
        "seconds": round(result.seconds, 3),
    }
    return line


def _evidence(found: Evidence, *, brief: bool = False) -> Entry:
    worst: Comparison | None = found.worst
    line: Entry = {
        "measure": worst.measure if worst else None,
        "tightness": _number(worst.ratio) if worst else None,
        "lhs": _number(worst.lhs) if worst else None,
        "rhs": _number(worst.rhs) if worst else None,
        "slack": _number(worst.slack) if worst else None,
        "margin": _number(worst.rhs - worst.lhs) if worst else None,
        "where": worst.where if worst else "",
        "worst_instance": found.worst_instance or None,
        "shrunk_instance": found.shrunk,
        "instances": found.instances,
        "searched": found.searched,
        "comparisons": found.entries,
        "undecided": found.undecided,
        "seeds": found.seeds,
        "skipped": dict(found.skipped),
        "error": found.error,
        "tests": [
            {
                "name": t.name,
                "level": t.level,
                "low": _number(t.low),
                "high": _number(t.high),
                "samples": t.samples,
                "p_value": _number(t.p_value),
                "power": _number(t.power),
            }
            for t in (worst.tests if worst else ())
        ],
    }
    if not brief:
        curve = series_of(found)
        line["points"] = [[_number(a), _number(b)] for a, b in found.points]
        line["series"] = curve and {
            "label": curve.label,
            "x": [_number(v) for v in curve.x],
            "lhs": [_number(v) for v in curve.lhs],
            "rhs": [_number(v) for v in curve.rhs],
        }
    return line


def _number(value: float | None) -> float | str | None:
    if value is None or math.isnan(value):
        return None
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return float(f"{value:.12g}")


def real(value: float | str | None) -> float:
    """A number as the ledger writes it, back as a float (null is NaN)."""
    return math.nan if value is None else float(value)


def environment() -> dict[str, str]:
    """The versions that a result may depend on, and the machine in words."""
    packages = ("numpy", "scipy", "numba", "gymnasium", "cvxpy", "stormpy", "python-flint")
    found = {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    found["cores"] = str(os.cpu_count())
    return found


def version() -> str:
    """The installed version of mdplab."""
    try:
        return importlib.metadata.version("mdplab")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def ledger(entries: Iterable[Entry], *, profile: str, seed: int, seconds: float) -> dict[str, Any]:
    """The whole ledger of a run, claims in the order of their ids."""
    return {
        "version": version(),
        "format": FORMAT,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "profile": profile,
        "seed": seed,
        "seconds": round(seconds, 3),
        "environment": environment(),
        "claims": sorted(entries, key=lambda e: (e["theme"], e["id"])),
    }


def write_json(book: Mapping[str, Any], path: Path) -> None:
    """Write the ledger to ``path``; the file appears whole or not at all."""
    write_whole(path, json.dumps(book, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` so that a reader never sees half of it; InputError if the place cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a ledger; InputError if the file is missing, truncated or something else."""
    try:
        book = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is no ledger: line {error.lineno} is not JSON ({error.msg}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no ledger: byte {error.start} is not UTF-8.") from error
    if not isinstance(book, dict) or book.get("format") != FORMAT or not isinstance(book.get("claims"), list):
        raise InputError(f"{path} is no ledger of format {FORMAT}.")
    return book


def tightness_text(line: Mapping[str, Any]) -> str:
    """The tightness of a ledger line in a few characters: a ratio, the residual of an identity, or a fitted slope."""
    ratio, lhs, rhs = real(line["tightness"]), real(line["lhs"]), real(line["rhs"])
    match line["measure"]:
        case None:
            return "-"
        case "residual":
            # lhs and rhs are rounded to 12 digits in the ledger, the ratio is not: the residual is the ratio of what is allowed
            return f"= {ratio * real(line['slack']):.0e}" if ratio else "= exact"
        case "failures":
            return "exact" if lhs == 0 else f"{lhs:g} fail"
        case "slope":
            return f"slope {lhs:.3f}"
        case "violations":
            return f"{lhs:.3g} of {rhs:.3g}"
        case _:
            return f"{ratio:.3f}" if ratio < 1e4 else f"{ratio:.1e}"


def controls_text(line: Mapping[str, Any]) -> str:
    """How many guards did what they must: refuted controls, and repairs that hold."""
    good = sum(c["verdict"] == c["expected"] for c in line["controls"])
    return f"{good}/{len(line['controls'])}"


def effort_text(line: Mapping[str, Any]) -> str:
    """Instances, or seeds where the claim is sampled."""
    return f"{line['instances']}" + (f" x {line['seeds']} seeds" if line["seeds"] else "")


def file_of(line: Mapping[str, Any]) -> str:
    """The file of a line's check: from the working folder of the run, or from the root of the package that it is in."""
    place = str(line["check"]).rsplit(":", 1)[0]
    return place if place.endswith(".py") else place.replace(".", "/") + ".py"


def is_shipped(line: Mapping[str, Any]) -> bool:
    """Whether the line is on a claim that comes with mdplab, which `mdplab verify` and `mdplab replay` know by its id alone."""
    return file_of(line).startswith("paper_checks/")


def replay_command(line: Mapping[str, Any], key: str, *, control: str | None = None, profile: str = "quick") -> str:
    """The command, for a shell, that runs a line's claim (or its ``control``) on the instance ``key`` again."""
    command = ["mdplab", "replay", line["id"], key]
    command += ["--control", control] if control is not None else []
    command += ["--profile", profile] if profile != "quick" else []
    command += [] if is_shipped(line) else ["--checks", file_of(line)]
    return " ".join(map(_quoted, command))


def _quoted(word: str) -> str:
    """``word`` quoted for a shell; in double quotes where it holds single ones and nothing that those would expand."""
    if "'" in word and not re.search(r'["$`\\!]', word):
        return f'"{word}"'
    return shlex.quote(word)


def unexpected(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines whose verdict is not the expected one."""
    return [e for e in entries if not e["as_expected"]]
