"""Evidence that can be cited: BibTeX of a paper, a line that pins a ledger entry, a table row and a figure for an appendix."""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from theory.claims.ledger import controls_text, effort_text, file_of, is_shipped, tightness_text, write_whole
from theory.claims.plots import Curves, Scatter, picture
from theory.errors import InputError, nearest

Line = Mapping[str, Any]

# What LaTeX would take for a command, in running text.
_ESCAPES = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{c: "\\" + c for c in "&%$#_{}"},
}  # fmt: skip
_STOP_WORDS = frozenset(("a", "an", "the", "on", "is", "for", "of", "in", "to", "with", "and", "from", "as", "your"))


def entries_of(book: Mapping[str, Any], name: str, where: Path) -> list[Line]:
    """The lines of a ledger that ``name`` (a claim's id or a paper's key) stands for.

    Raises :class:`InputError` if the ledger, which was read from ``where``, has none.
    """
    found = [line for line in book["claims"] if name in (line["id"], line["paper"])]
    if not found:
        known = {word for line in book["claims"] for word in (line["id"], line["paper"])}
        raise InputError(f"the ledger {where} has no claim or paper {name!r}{nearest(name, known)}.")
    return found


def bibtex(line: Line) -> str:
    """The BibTeX entry of the paper that a ledger line belongs to."""
    fields = {
        "title": "{" + latex_text(line["title"]) + "}",
        "author": latex_text(_authors(line["authors"])),
        "year": str(line["year"]),
    }
    if line["arxiv"]:
        fields |= {"eprint": line["arxiv"], "archivePrefix": "arXiv"}
    if line["venue"]:
        fields["howpublished"] = latex_text(line["venue"])
    width = max(map(len, fields))
    body = ",\n".join(f"  {name:{width}} = {{{value}}}" for name, value in fields.items())
    return f"@misc{{{citation_key(line)},\n{body}\n}}"


def citation_key(line: Line) -> str:
    """First author, year and first word of the title: ``song2024importance``."""
    author = re.split(r",| and ", line["authors"])[0].split()[-1]
    words = [w for w in re.findall(r"\w+", line["title"]) if w.lower() not in _STOP_WORDS]
    return "".join(re.sub(r"[^a-z0-9]", "", _plain(part).lower()) for part in (author, str(line["year"]), words[0]))


def pin(book: Mapping[str, Any], line: Line) -> str:
    """A line that says which entry of which ledger is meant, with what it found and the command that finds it again.

    The digest is of the entry without the seconds that it took: two runs of the same code, seed and profile agree in it.
    """
    options = "".join(f" --{name} {book[name]}" for name, usual in (("profile", "quick"), ("seed", 0)) if book[name] != usual)
    effort = effort_text(line) + ("" if line["seeds"] else " instances")
    again = f"mdplab verify {line['id']}" if is_shipped(line) else f"pytest {file_of(line)}"
    return (
        f"mdplab {book['version']}, {line['id']}: {line['verdict']} ({tightness_text(line)}) on {effort}, "
        f"{controls_text(line)} controls; profile {book['profile']}, seed {book['seed']}, {book['created'][:10]}, "
        f"entry {digest(line)}; {again}{options}"
    )


def digest(line: Line) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of a ledger line without its seconds."""
    kept = {k: v for k, v in line.items() if k != "seconds"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]


def latex_row(line: Line) -> str:
    """A row of a LaTeX table: claim, statement, verdict, tightness, effort, controls. Needs amsmath and amssymb."""
    cells = (
        r"\texttt{" + latex_text(line["id"]) + "}",
        f"${line['statement']}$",
        latex_text(line["verdict"]),
        latex_text(tightness_text(line)),
        latex_text(effort_text(line)).replace(" x ", r" $\times$ "),
        latex_text(controls_text(line)),
    )
    return " & ".join(cells) + r" \\"


def latex_table(lines: Iterable[Line]) -> str:
    """The rows of ``lines`` as a whole table."""
    head = r"claim & statement & verdict & tightness & instances & controls \\"
    rows = "\n".join(latex_row(line) for line in lines)
    return f"\\begin{{tabular}}{{lllrrr}}\n\\hline\n{head}\n\\hline\n{rows}\n\\hline\n\\end{{tabular}}"


def write_figure(line: Line, folder: Path) -> list[Path]:
    """Write the plot of a ledger line to ``folder``: a TikZ picture (for the package pgfplots) and a PNG; the paths written.

    Nothing is written, and the list is empty, for a claim whose line has nothing to plot.
    """
    drawn = picture(line)
    if drawn is None:
        return []
    stem = line["id"].replace("/", "-")
    tikz, png = folder / f"{stem}.tex", folder / f"{stem}.png"
    write_whole(tikz, _tikz(drawn, line))
    _write_png(drawn, line, png)
    return [tikz, png]


def latex_text(text: str) -> str:
    """``text`` with what LaTeX would take for a command escaped."""
    return "".join(_ESCAPES.get(c, c) for c in text)


def _authors(names: str) -> str:
    listed = [name.strip() for name in re.split(r",| and ", names) if name.strip()]
    last = re.sub(r"\s*\bet al\.?", "", listed[-1]).strip()
    others = ["others"] if last != listed[-1] else []
    return " and ".join([*listed[:-1], *([last] if last else []), *others])


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _series(drawn: Curves | Scatter) -> list[tuple[str, str, list[tuple[float, float]]]]:
    """Name, pgfplots style and points of each curve."""
    if isinstance(drawn, Scatter):
        return [("", "only marks, mark size=1.2pt", [(b, a) for a, b in drawn.pairs if not drawn.log or min(a, b) > 0])]
    found = []
    for name, column, style in ((drawn.names[1], 2, "dashed"), (drawn.names[0], 1, "thick")):
        points = [(row[0], row[column]) for row in drawn.rows]
        found.append((name, style, [p for p in points if math.isfinite(p[1]) and (p[1] > 0 or not drawn.log_y)]))
    return found


def _labels(drawn: Curves | Scatter) -> tuple[str, str]:
    return ("right side", "left side") if isinstance(drawn, Scatter) else (drawn.label, "")


def _tikz(drawn: Curves | Scatter, line: Line) -> str:
    x_name, y_name = _labels(drawn)
    logs = (drawn.log, drawn.log) if isinstance(drawn, Scatter) else (drawn.log_x, drawn.log_y)
    options = [f"{axis}mode=log" for axis, log in zip("xy", logs) if log]
    options += [f"{axis}label={{{latex_text(name)}}}" for axis, name in (("x", x_name), ("y", y_name)) if name]
    body = [f"% {line['id']}: needs \\usepackage{{pgfplots}}", r"\begin{tikzpicture}"]
    body.append(r"\begin{axis}[" + ", ".join([*options, "legend pos=outer north east"]) + "]")
    for name, style, points in _series(drawn):
        body.append(f"\\addplot[{style}] coordinates {{" + " ".join(f"({x:.6g},{y:.6g})" for x, y in points) + "};")
        if name:
            body.append(f"\\addlegendentry{{{latex_text(name)}}}")
    if isinstance(drawn, Scatter):
        values = [v for _, _, points in _series(drawn) for p in points for v in p]
        body.append(
            f"\\addplot[gray] coordinates {{({min(values):.6g},{min(values):.6g}) ({max(values):.6g},{max(values):.6g})}};"
        )
    return "\n".join([*body, r"\end{axis}", r"\end{tikzpicture}", ""])


def _write_png(drawn: Curves | Scatter, line: Line, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.4), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, style, points in _series(drawn):
        x, y = [p[0] for p in points], [p[1] for p in points]
        if style.startswith("only marks"):
            axes.plot(x, y, ls="none", marker=".", color="#0072B2")
        else:
            axes.plot(
                x, y, ls="--" if style == "dashed" else "-", color="#D55E00" if style == "dashed" else "#0072B2", label=name
            )
    if isinstance(drawn, Scatter):
        values = [v for _, _, points in _series(drawn) for p in points for v in p]
        axes.plot([min(values), max(values)], [min(values), max(values)], color="0.6", lw=1)
    else:
        axes.legend(frameon=False)
    x_name, y_name = _labels(drawn)
    logs = (drawn.log, drawn.log) if isinstance(drawn, Scatter) else (drawn.log_x, drawn.log_y)
    axes.set(xlabel=x_name, ylabel=y_name, xscale="log" if logs[0] else "linear", yscale="log" if logs[1] else "linear")
    axes.set_title(line["id"], fontsize=10)
    try:
        figure.savefig(path, metadata={"Software": None})
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
