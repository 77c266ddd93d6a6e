"""The table at the end of a run: one line a claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from theory.claims.ledger import controls_text, effort_text, replay_command, tightness_text, unexpected

COLOURS = {
    "holds": "green",
    "refuted": "magenta",
    "inconclusive": "yellow",
    "unguarded": "bold red",
    "skipped": "dim",
    "error": "bold red",
}


def print_table(entries: Sequence[Mapping[str, Any]], console: Console, *, seconds: float | None = None) -> None:
    """Print the claims with verdict, tightness, effort, controls and seconds, then what went wrong, then the counts."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("claim", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for column in ("tightness", "instances", "controls", "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    for line in sorted(entries, key=lambda e: (e["theme"], e["id"])):
        verdict = Text(line["verdict"], style=COLOURS[line["verdict"]])
        if not line["as_expected"]:
            verdict = Text(f"{line['verdict']} (expected {line['expected']})", style="bold red")
        elif line["expected"] != "holds":
            verdict.append(" (as expected)", style="dim")
        table.add_row(
            line["id"],
            verdict,
            tightness_text(line),
            effort_text(line),
            controls_text(line),
            f"{line['seconds']:.1f}",
        )
    console.print(table)
    for line in unexpected(entries):
        console.print(Text(complaint(line), style="red"))
    counts = {v: sum(e["verdict"] == v for e in entries) for v in COLOURS}
    parts = [f"{count} {verdict}" for verdict, count in counts.items() if count]
    bad = len(unexpected(entries))
    tail = f", {seconds:.0f} s" if seconds is not None else ""
    console.print(
        f"{len(entries)} claim{'' if len(entries) == 1 else 's'}: {', '.join(parts)}; {bad or 'none'} not as expected{tail}."
    )


def complaint(line: Mapping[str, Any]) -> str:
    """What is wrong with a claim whose verdict is not the expected one, with what is needed to see it again."""
    said = [f"{line['id']}: expected {line['expected']}, found {line['verdict']}."]
    if line["error"]:
        said.append(line["error"].rstrip())
    elif line["verdict"] == "unguarded":
        if not line["controls"]:
            said.append("It has no control.")
        for control in line["controls"]:
            if control["verdict"] != control["expected"]:
                detail = control["error"] or f"ratio {control['tightness']} on {control['worst_instance']}"
                said.append(f"Control {control['name']!r} must be {control['expected']}, is {control['verdict']}: {detail}.")
    elif line["worst_instance"]:
        said.append(f"lhs = {line['lhs']}, rhs = {line['rhs']}, ratio {line['tightness']} {line['where']}.")
        key = line["shrunk_instance"] or line["worst_instance"]
        said.append(f"See it again: {replay_command(line, key)}")
    return "\n  ".join(said)
