"""The command line ``mdplab``: claims and their ledger, figures, the site, studies, and solving a model."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from theory.errors import InputError, Unavailable

CHECKS = "paper_checks"  # found by name when a command runs: the library does not import its checks
PACKAGES = ("theory", "mdplab", "bandits", "games", "experiments", CHECKS)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Verify, by computation, what papers on reinforcement learning theory prove and claim.",
    epilog="Example: mdplab verify ucb1. `mdplab COMMAND --help` shows the options of a command, and an example.",
)


def _bad_input_exits_with_2(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (InputError, Unavailable) as error:
            typer.echo(f"mdplab: {error}", err=True)
            raise typer.Exit(2) from None

    return guarded


@app.command(
    short_help="Check claims, print the table, write the ledger.",
    epilog="Example: mdplab verify nash-mp classical/bellman-contraction --profile full --seed 1",
)
@_bad_input_exits_with_2
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PAPER|CLAIM]...", help="claims of mdplab's papers; all if left out; your own are run by pytest"
        ),
    ] = None,
    theme: Annotated[str | None, typer.Option(help="only claims of this theme")] = None,
    profile: Annotated[str, typer.Option(help="quick, full or gpu: how many and how large instances")] = "quick",
    jobs: Annotated[int | None, typer.Option(min=1, help="processes; all cores if left out")] = None,
    seed: Annotated[int, typer.Option(help="draws every instance afresh")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="folder of ledger.json and ledger.html; ledger/, or ledger/selection when not everything is checked"),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="forget what a killed run had finished")] = False,
) -> None:
    """Check claims, print the table and write the ledger; a killed run goes on where it was."""
    from rich.console import Console

    from theory.claims import ledger, suite
    from theory.claims.page import write_page
    from theory.claims.table import print_table

    console = Console(width=None if sys.stdout.isatty() else 120)
    suite.check_settings(profile, seed)
    chosen = suite.select(suite.discover(CHECKS), names or [], theme)
    out = out or Path("ledger/selection" if names or theme else "ledger")  # a selection must not overwrite the whole
    began = time.perf_counter()
    journal = suite.Journal(out / "unfinished.jsonl", profile=profile, seed=seed, code=suite.fingerprint(PACKAGES), fresh=fresh)
    wanted = {c.id for c in chosen}
    lines = [line for k, line in journal.finished.items() if k in wanted]
    left = [c for c in chosen if c.id not in journal.finished]
    if lines:
        console.print(f"{len(lines)} claims were finished by an earlier run and are kept.")
    workers = min(jobs or os.cpu_count() or 1, max(1, len(left)))
    for words in (r"\d+ tasks which were still being processed", "A worker stopped while some jobs"):  # joblib's; harmless here
        warnings.filterwarnings("ignore", message=words)
    try:
        found = journal.keep(suite.run(left, package=CHECKS, profile=profile, seed=seed, jobs=workers))
        lines += _progress(found, len(left), console)
    except KeyboardInterrupt:
        count = len(wanted & journal.finished.keys())
        typer.echo(
            f"\nmdplab: stopped; {count} of {len(chosen)} claims are kept, the same command goes on from there.", err=True
        )
        raise typer.Exit(130) from None
    seconds = time.perf_counter() - began
    print_table(lines, console, seconds=seconds)
    book = ledger.ledger(lines, profile=profile, seed=seed, seconds=seconds)
    ledger.write_json(book, out / "ledger.json")
    write_page(book, out / "ledger.html")
    journal.close()
    console.print(f"ledger: {out / 'ledger.json'} and {out / 'ledger.html'}")
    if ledger.unexpected(lines):
        raise typer.Exit(1)


def _progress(lines: Any, total: int, console: Any) -> Any:
    """The lines, with a progress bar and the time that is left; plain lines where the output is no terminal."""
    if not console.is_terminal:
        for count, line in enumerate(lines, 1):
            console.print(
                f"[{count}/{total}] {line['id']}: {line['verdict']} ({line['seconds']:.1f} s)", highlight=False, markup=False
            )
            yield line
        return
    from theory.progress import progress_bar

    with progress_bar(console) as bar:
        task = bar.add_task("checking", total=total)
        for line in lines:
            bar.update(task, advance=1, description=line["id"][:40])
            yield line


@app.command(short_help="List the claims: kind, source, expected verdict.", epilog="Example: mdplab claims --theme games")
@_bad_input_exits_with_2
def claims(
    theme: Annotated[str | None, typer.Option(help="only claims of this theme")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """List the claims with their papers, kinds, sources and expected verdicts."""
    from theory.claims import suite

    chosen = suite.select(suite.discover(CHECKS), [], theme)
    if as_json:
        rows = [
            {
                "id": c.id,
                "paper": c.paper.key,
                "title": c.paper.title,
                "arxiv": c.paper.arxiv,
                "theme": c.paper.theme,
                "kind": c.kind,
                "source": c.source,
                "expected": c.expected,
                "headline": c.headline,
                "statement": c.statement,
                "controls": [k.name for k in c.controls],
            }
            for c in chosen
        ]
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("claim", "kind", "source", "expected", "headline"):
        table.add_column(column, overflow="fold")
    for c in sorted(chosen, key=lambda c: (c.paper.theme, c.id)):
        table.add_row(c.id, c.kind, c.source, c.expected, c.headline)
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table)
    console.print(f"{len(chosen)} claims of {len({(c.paper.key, c.paper.title) for c in chosen})} papers.")


@app.command(epilog="Example: mdplab replay ucb1/pulls-exactly 'two_armed(gap=1.0, mean=1.0)'")
@_bad_input_exits_with_2
def replay(
    claim: Annotated[str, typer.Argument(help="the claim's id")],
    key: Annotated[str, typer.Argument(help="an instance, as the ledger writes it")],
    control: Annotated[str | None, typer.Option(help="run this control of the claim instead")] = None,
    profile: Annotated[str, typer.Option(help="quick, full or gpu")] = "quick",
    checks: Annotated[Path | None, typer.Option(help="your file or folder of checks; the papers of mdplab if left out")] = None,
) -> None:
    """Run a claim on one instance again and show both sides."""
    from theory.claims import engine, suite

    known = suite.discover(CHECKS) if checks is None else suite.discover_files(checks)
    (made,) = suite.select(known, [claim])[:1]
    if made.id != claim:
        raise InputError(f"{claim!r} is a paper; replay needs one of its claims, such as {made.id}.")
    suite.check_settings(profile, seed=0)
    found = engine.replay(made, key, control=control, profile=profile)
    typer.echo(f"{made.id}{f' / {control}' if control else ''} on {key}")
    typer.echo(f"  outcome {found.outcome}   ratio {found.ratio:.12g}   {found.where}".rstrip())
    typer.echo(f"  lhs {found.lhs:.12g}   rhs {found.rhs:.12g}   slack {found.slack:.3g}   comparisons {found.entries}")
    for test in found.tests:
        typer.echo(f"  {test.name}: [{test.low:.6g}, {test.high:.6g}] at level {test.level:.2g} from {test.samples} samples")


LEDGER, SELECTION = Path("ledger/ledger.json"), Path("ledger/selection/ledger.json")
LedgerFile = Annotated[
    Path, typer.Option("--ledger", help="the ledger that is read; `mdplab verify` and `pytest --ledger` write one")
]


def _book(path: Path) -> dict[str, Any]:
    """The ledger in a file; a file that is not there is told with where one may be, or how to get one."""
    from theory.claims.ledger import read_json

    if not path.exists():
        there = (
            f"there is {SELECTION}, which --ledger can name"
            if SELECTION.exists()
            else "`mdplab verify` writes ledger/ledger.json"
        )
        raise InputError(f"{path} cannot be read: there is no such file; {there}.")
    return read_json(path)


@app.command(
    short_help="BibTeX of a paper, and lines that pin ledger entries.", epilog="Example: mdplab cite nash-mp/kl-contraction"
)
@_bad_input_exits_with_2
def cite(
    name: Annotated[str, typer.Argument(metavar="CLAIM|PAPER", help="a claim's id or a paper's key")],
    ledger: LedgerFile = LEDGER,
) -> None:
    """Print BibTeX of the paper, and for each claim a line that pins its entry in the ledger."""
    from theory.claims import citing

    book = _book(ledger)
    lines = citing.entries_of(book, name, ledger)
    for entry in dict.fromkeys(map(citing.bibtex, lines)):
        typer.echo(entry)
    for line in lines:
        typer.echo(f"% {citing.pin(book, line)}")


@app.command(
    short_help="A LaTeX table of claims, and their figures.",
    epilog="Example: mdplab export nash-mp/kl-contraction --latex --out appendix",
)
@_bad_input_exits_with_2
def export(
    name: Annotated[str, typer.Argument(metavar="CLAIM|PAPER", help="a claim's id or a paper's key")],
    ledger: LedgerFile = LEDGER,
    latex: Annotated[bool, typer.Option("--latex/--json", help="a table for LaTeX, or the ledger's lines")] = True,
    out: Annotated[Path | None, typer.Option(help="write each claim's figure to this folder, as TikZ and as PNG")] = None,
) -> None:
    """Print a table of the claims for an appendix, with the lines that pin them as comments; write their figures."""
    from theory.claims import citing

    book = _book(ledger)
    lines = citing.entries_of(book, name, ledger)
    typer.echo(citing.latex_table(lines) if latex else json.dumps(lines, indent=1, ensure_ascii=False))
    if latex:
        typer.echo(r"% needs \usepackage{amsmath,amssymb}")
    for line in lines:
        if latex:
            typer.echo(f"% {citing.pin(book, line)}")
        if out is not None:
            written = citing.write_figure(line, out)
            told = " and ".join(map(str, written)) or "none, there is nothing to plot"
            typer.echo(f"% figure of {line['id']}: {told}", err=not latex)


@app.command(
    name="new-paper",
    short_help="Write a check file that runs, to begin with.",
    epilog="Example: mdplab new-paper my-theorem --title 'My theorem' && pytest my_checks/",
)
@_bad_input_exits_with_2
def new_paper(
    key: Annotated[str, typer.Argument(help="begins the ids of the paper's claims, such as my-theorem")],
    folder: Annotated[Path, typer.Option(help="where the file is written")] = Path("my_checks"),
    title: Annotated[str, typer.Option(help="the paper's title")] = "A new paper",
    authors: Annotated[str, typer.Option(help="family names, with commas between them")] = "A. Author",
    theme: Annotated[str, typer.Option(help="the group of the ledger that it belongs to")] = "own",
) -> None:
    """Write a check file that runs, with one claim and its control, to begin with."""
    from theory.claims.new_paper import write_new_paper

    path = write_new_paper(key, folder, title=title, authors=authors, theme=theme)
    typer.echo(f"{path} is written; run it: pytest {path} --ledger ledger.json")


@app.command(
    short_help="List the figures, or draw them, with a gallery page.",
    epilog="Example: mdplab figures policy_cliff --out pictures",
)
@_bad_input_exits_with_2
def figures(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="what to draw; without names they are listed")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="draw every figure")] = False,
    out: Annotated[Path, typer.Option(help="folder of the SVG and PNG files and the gallery")] = Path("figures/out"),
    jobs: Annotated[int, typer.Option(min=1, help="processes")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="the quick size: fewer and smaller runs than the captions say, a second or two each")
    ] = False,
    studies: Annotated[
        Path, typer.Option(help="where `mdplab study run` keeps studies; a figure reads its study there if it is finished")
    ] = Path("studies"),
) -> None:
    """List the figures, or draw some of them or all, with a gallery page."""
    from mdplab import gallery

    known = gallery.figures()
    chosen = gallery.select(known, names or [])
    if not names and not everything:
        for figure in chosen:
            typer.echo(f"{figure.name:28} {figure.headline}")
        typer.echo(f"{len(chosen)} figures; name those to be drawn, or draw --all, perhaps in the --quick size.")
        return
    began, count = time.perf_counter(), 0
    try:
        for figure, said in gallery.draw_all(chosen, out, jobs, quick=quick, studies=studies):
            count += 1
            size = f", {gallery.QUICK}" if quick else ""
            typer.echo(f"[{count}/{len(chosen)}] {out / figure.name}.svg ({time.perf_counter() - began:.0f} s{size})")
            if said:
                typer.echo(said, err=True)
    except gallery.FigureError as error:
        typer.echo(f"mdplab: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"gallery: {gallery.write_gallery(known, out)}")


@app.command(
    short_help="Build a static site: ledger, papers, figures, guides.", epilog="Example: mdplab site public --no-notebooks"
)
@_bad_input_exits_with_2
def site(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="folder of the site")],
    ledger: LedgerFile = LEDGER,
    drawn: Annotated[Path, typer.Option("--figures", help="folder of drawn figures; those in it are shown")] = Path(
        "figures/out"
    ),
    notebooks: Annotated[bool, typer.Option(help="run the notebooks and show them")] = True,
) -> None:
    """Build a static site: the ledger, a page for each paper, figures, notebooks, guides and the reference."""
    from mdplab.site import SiteError, build_site

    book = _book(ledger)
    try:
        build_site(book, out, drawn=drawn, notebooks=notebooks)
    except SiteError as error:
        typer.echo(f"mdplab: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"site: {out / 'index.html'}")


study = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Long sampled studies: run them, see how far they are, take the table.",
    short_help="Long sampled studies: run, resume, export them.",
    epilog="Example: mdplab study run ucb1-regret --workers 2",
)
app.add_typer(study, name="study")
StudyName = Annotated[str, typer.Argument(metavar="NAME", help="a declared study; `mdplab study list` shows them")]
StudyFolder = Annotated[Path, typer.Option(help="where studies are kept")]
MixVersions = Annotated[
    bool, typer.Option("--mix-versions", help="go on where other code began; each row tells the version that measured it")
]


@study.command(name="list", short_help="List the declared studies, with what they cost.", epilog="Example: mdplab study list")
@_bad_input_exits_with_2
def list_studies() -> None:
    """List the declared studies: what they measure, how many runs they make, what they cost."""
    from experiments.declared import STUDIES

    for name, known in STUDIES.items():
        runs = known.make().runs
        typer.echo(f"{name:22} {runs:7} runs, about {_duration(known.seconds)} on one core. {known.what}")


@study.command(short_help="Run a study, or what is missing of it.", epilog="Example: mdplab study run ucb1-regret --workers 2")
@_bad_input_exits_with_2
def run(
    name: StudyName,
    folder: StudyFolder = Path("studies"),
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 1,
    backend: Annotated[str, typer.Option(help="loky (this machine) or dask (a cluster)")] = "loky",
    scheduler: Annotated[str | None, typer.Option(help="address of a Dask scheduler; a local cluster if left out")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="forget what is there")] = False,
    mix_versions: MixVersions = False,
) -> None:
    """Run a study, or what is missing of it, and write its table; a killed run goes on where it was."""
    from experiments.declared import declared
    from experiments.study import StudyError, run_study

    known = declared(name)
    typer.echo(f"{name}: about {_duration(known.seconds / workers)} for all of it on {workers} core(s).", err=True)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: typer.echo(f"mdplab: {message}", err=True)  # a damaged piece
            table = run_study(
                known.make(), folder, workers=workers, backend=backend, scheduler=scheduler, progress=True,  # type: ignore[arg-type]
                restart=restart, mix_versions=mix_versions,
            )  # fmt: skip
    except StudyError as error:
        typer.echo(f"mdplab: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt as stop:
        typer.echo(f"\nmdplab: {stop or 'stopped.'}", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"{folder / name / 'table.parquet'}: {len(table)} rows")


@study.command(short_help="Go on with a study that was begun.", epilog="Example: mdplab study resume ucb1-regret")
@_bad_input_exits_with_2
def resume(
    name: StudyName,
    folder: StudyFolder = Path("studies"),
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 1,
    mix_versions: MixVersions = False,
) -> None:
    """Go on with a study that was begun; a sentence if there is nothing to go on with."""
    from experiments.declared import declared
    from experiments.study import study_status

    found = study_status(declared(name).make(), folder)
    if found.done == 0 and found.refusal is None and not found.damaged:
        raise InputError(f"nothing of the study {name} is kept in {folder}; `mdplab study run {name}` begins it.")
    run(name, folder, workers, "loky", None, False, mix_versions)


@study.command(epilog="Example: mdplab study status ucb1-regret")
@_bad_input_exits_with_2
def status(name: StudyName, folder: StudyFolder = Path("studies")) -> None:
    """Say how far a study is, what is left to do, and what is damaged."""
    from experiments.declared import declared
    from experiments.study import study_status

    known = declared(name)
    found = study_status(known.make(), folder)
    left = f"about {_duration(known.seconds * (1 - found.done / found.runs))} of one core are left"
    told = left if found.done < found.runs else "it is finished"
    typer.echo(f"{name}: {found.done} of {found.runs} runs are kept; {told}.")
    for path in found.damaged:
        typer.echo(f"damaged: {path} (it is measured again)")
    if found.refusal is not None:
        raise InputError(found.refusal)


@study.command(name="export", epilog="Example: mdplab study export ucb1-regret ucb1.csv")
@_bad_input_exits_with_2
def export_study(
    name: StudyName,
    path: Annotated[Path, typer.Argument(help="a file .csv or .parquet")],
    folder: StudyFolder = Path("studies"),
) -> None:
    """Write the table of a finished study to a file, CSV or Parquet."""
    from experiments import study as studies
    from experiments.declared import declared

    studies.export_study(declared(name).make(), folder, path)
    typer.echo(f"{path} is written")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


MODEL_HELP = "a Gymnasium id (FrozenLake-v1:map_name=8x8), a file (.npz, .tra, .prism), or garnet:S=1000,A=10,b=5,seed=0"
Model = Annotated[str, typer.Argument(help=MODEL_HELP)]
Gamma = Annotated[float | None, typer.Option(help="discount; the model's own (0.99 where it has none) if left out")]


@app.command(
    short_help="Solve a model, with a certified bracket.",
    epilog="Example: mdplab solve FrozenLake-v1:map_name=8x8 --gamma 0.99 --json",
)
@_bad_input_exits_with_2
def solve(
    model: Model,
    gamma: Gamma = None,
    method: Annotated[
        str,
        typer.Option(
            help="auto, value-iteration, gauss-seidel, policy-iteration, modified-policy-iteration, linear-programming"
        ),
    ] = "auto",
    tol: Annotated[float, typer.Option(help="width of the certified bracket, sup norm")] = 1e-6,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON and nothing else")] = False,
    out: Annotated[Path | None, typer.Option(help="write the arrays V, lower, upper, policy to this .npz file")] = None,
) -> None:
    """Solve a model; the answer carries a bracket that surely holds the optimal value."""
    import numpy as np

    from mdplab import solvers
    from mdplab.models import read_model

    mdp = read_model(model, gamma=gamma)
    if out is not None and not out.parent.is_dir():  # told before the work, not after it
        raise InputError(f"{out} cannot be written: there is no folder {out.parent}.")
    began = time.perf_counter()
    solution = solvers.solve(mdp, tol, method)  # type: ignore[arg-type]
    seconds = time.perf_counter() - began
    start = mdp.start_distribution
    found = {
        "states": mdp.states,
        "pairs": mdp.pairs,
        "gamma": mdp.gamma,
        "method": solution.method,
        "value_start": float(start @ solution.value),
        "lower_start": float(start @ solution.lower),
        "upper_start": float(start @ solution.upper),
        "iterations": solution.iterations,
        "seconds": seconds,
    }
    if out is not None:
        try:
            with out.open("wb") as file:
                np.savez_compressed(file, V=solution.value, lower=solution.lower, upper=solution.upper, policy=solution.policy)
        except OSError as error:
            raise InputError(f"{out} cannot be written: {error.strerror}.") from error
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, value in found.items():
        typer.echo(f"{name.replace('_', ' '):12} {f'{value:.12g}' if isinstance(value, float) else value}")
    typer.echo(f"{'width':12} {solution.width:.3g}")


@app.command(
    short_help="Describe a model: size, rewards, communication.", epilog="Example: mdplab info garnet:S=1000,A=10,b=5,seed=0"
)
@_bad_input_exits_with_2
def info(model: Model, gamma: Gamma = None) -> None:
    """Describe a model: its size, its rewards, and how its states communicate."""
    import numpy as np
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    from mdplab.models import read_model

    mdp = read_model(model, gamma=gamma)
    owner = np.repeat(mdp.pair_state, np.diff(mdp.row_pointer))
    moves = csr_array((mdp.probability > 0, (owner, mdp.next_state)), shape=(mdp.states, mdp.states))
    count, label = connected_components(moves, connection="strong")
    coo = moves.tocoo()
    leaving = np.zeros(count, dtype=bool)
    leaving[label[coo.row[label[coo.row] != label[coo.col]]]] = True
    actions, branches = np.diff(mdp.state_pointer), np.diff(mdp.row_pointer)
    facts = {
        "states": mdp.states,
        "pairs": mdp.pairs,
        "actions": f"{actions.min()} to {actions.max()} in a state",
        "transitions": f"{mdp.transitions}, {branches.min()} to {branches.max()} for a pair",
        "discount": mdp.gamma,
        "rewards": f"{mdp.reward.min():.6g} to {mdp.reward.max():.6g}",
        "start": "uniform (none given)" if mdp.start is None else f"{int((mdp.start > 0).sum())} states",
        "classes": f"{count} communicating, {int((~leaving).sum())} of them closed",
    }
    if mdp.key:
        facts["key"] = mdp.key
    for name, value in facts.items():
        typer.echo(f"{name:12} {value}")


if __name__ == "__main__":
    app()
