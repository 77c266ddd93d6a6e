"""The ledger's plots as inline SVG of a few kilobytes: curves, scatters of both sides, and intervals of tests.

Colours and line styles are classes that the page's style sheet defines, so that one drawing serves light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from theory.claims.ledger import real

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 40
BOUNDS = ("ratio", "mean", "violations")  # what is measured where a claim has a left and a right side
WIDE = 20.0  # a quotient of largest to smallest from which on a logarithmic axis reads better


@dataclass(frozen=True)
class Axis:
    """Numbers from ``low`` to ``high``, on a linear or logarithmic scale, placed on pixels ``start`` to ``end``."""

    low: float
    high: float
    log: bool
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of ``value``; values outside lie on the nearer end."""
        value = min(max(value, self.low), self.high)
        share = (self._scaled(value) - self._scaled(self.low)) / (self._scaled(self.high) - self._scaled(self.low))
        return self.start + share * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def ticks(self) -> list[tuple[float, str]]:
        """Values to be marked, with their labels."""
        if self.log:
            bottom, top = math.log10(self.low), math.log10(self.high)
            decades = list(range(math.ceil(bottom - 1e-9), math.floor(top + 1e-9) + 1))
            if len(decades) >= 3:
                every = math.ceil(len(decades) / 6)
                return [(10.0**e, _power(e)) for e in decades if e % every == 0]
            marks = [m * 10.0**e for e in range(math.floor(bottom), math.ceil(top) + 1) for m in (1, 2, 5)]
            marks = [m for m in marks if self.low * (1 - 1e-9) <= m <= self.high * (1 + 1e-9)]
            if len(marks) >= 2:
                return [(m, _short(m)) for m in marks]
        unit = 10.0 ** math.floor(math.log10((self.high - self.low) / 4))
        step = unit * next((m for m in (1, 2, 5, 10) if (self.high - self.low) / (m * unit) <= 5), 10)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [(k * step, _short(k * step)) for k in range(first, last + 1)]


def _power(exponent: int) -> str:
    if exponent in (0, 1, 2):
        return str(10**exponent)
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _short(value: float) -> str:
    return f"{value:.4g}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")


def _axis(values: Iterable[float], log: bool, start: float, end: float) -> Axis:
    """An axis that holds ``values`` (finite; positive where it is logarithmic) with a little room."""
    low, high = min(values := list(values)), max(values)
    if log:
        if low == high:
            low, high = low / 2, high * 2
        room = (high / low) ** 0.04
        return Axis(max(low / room, 1e-300), min(high * room, 1e300), True, start, end)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        width = abs(low) or 1.0
        low, high = low - width / 2, high + width / 2
    room = 0.04 * (high - low)
    return Axis(low - room, high + room, False, start, end)


def _prefers_log(values: Sequence[float]) -> bool:
    positive = [v for v in values if v > 0]
    return len(positive) >= 2 and 2 * len(positive) >= len(values) and max(positive) > WIDE * min(positive)


def _even_in_logarithm(x: Sequence[float]) -> bool:
    """Whether an axis was laid out geometrically: its last steps are much longer than its first."""
    return len(x) > 3 and min(x) > 0 and (x[-1] - x[-2]) > 3 * (x[1] - x[0])


@dataclass(frozen=True)
class Curves:
    """Both sides against x: rows (x, left, right), which axes read better on a logarithmic scale, and the names of the sides."""

    rows: tuple[tuple[float, float, float], ...]
    log_x: bool
    log_y: bool
    names: tuple[str, str]
    label: str


@dataclass(frozen=True)
class Scatter:
    """Both sides on every instance: pairs (left, right), and whether the axes read better on a logarithmic scale."""

    pairs: tuple[tuple[float, float], ...]
    log: bool


def picture(line: Mapping[str, Any]) -> Curves | Scatter | None:
    """What the plot of a ledger line shows: its curve, or both sides on all instances; None where there is nothing to see."""
    drawn = curves(line["series"], fitted=line["measure"] == "slope") if line.get("series") else None
    return drawn or pairs_of(line.get("points") or [])


def curves(series: Mapping[str, Any], *, fitted: bool = False) -> Curves | None:
    """Left and right side against x; ``fitted`` says that the right side is a power law fitted to the left one."""
    rows = [(real(x), real(a), real(b)) for x, a, b in zip(series["x"], series["lhs"], series["rhs"])]
    rows = [row for row in rows if math.isfinite(row[0])]
    x = [row[0] for row in rows]
    y = [v for row in rows for v in row[1:] if math.isfinite(v)]
    if len(set(x)) < 2 or not y:
        return None
    log_y = (fitted and min(y) > 0) or _prefers_log(y)
    log_x = _even_in_logarithm(x) or (fitted and min(x) > 0)
    names = ("mean curve", "fitted power law") if fitted else ("left side", "right side")
    return Curves(tuple(rows), log_x, log_y, names, str(series["label"]))


def pairs_of(points: Sequence[Sequence[float | str | None]]) -> Scatter | None:
    """Left and right side of every instance. 0 against 0 says nothing and is left out."""
    pairs = [(real(a), real(b)) for a, b in points]
    pairs = [p for p in pairs if math.isfinite(p[0]) and math.isfinite(p[1]) and p != (0.0, 0.0)]
    if len(set(pairs)) < 2:
        return None
    both = [p for p in pairs if min(p) > 0]
    log = 2 * len(both) >= len(pairs) and _prefers_log([v for p in both for v in p])
    return Scatter(tuple(pairs), log)


def plot(line: Mapping[str, Any]) -> Markup:
    """The plot of a ledger line as SVG; empty where there is nothing to see."""
    match picture(line):
        case Curves() as drawn:
            return _curve_svg(drawn)
        case Scatter() as drawn:
            return _scatter_svg(drawn, worst=(real(line["lhs"]), real(line["rhs"])))
        case _:
            return Markup("")


def _curve_svg(drawn: Curves) -> Markup:
    rows, log_y = drawn.rows, drawn.log_y
    y = [v for row in rows for v in row[1:] if math.isfinite(v)]
    across = _axis([row[0] for row in rows], drawn.log_x, LEFT, WIDTH - RIGHT)
    up = _axis([v for v in y if v > 0] if log_y else y, log_y, HEIGHT - BOTTOM, TOP + 14)  # below the legend
    body = [_frame(across, up, "", "")]
    for kind, column in (("rhs", 2), ("lhs", 1)):
        points = [
            (across(r[0]), up(r[column])) if math.isfinite(r[column]) and (r[column] > 0 or not log_y) else None for r in rows
        ]
        body.append(f'<path class="{kind}" d="{_polyline(points)}"/>')
        if kind == "lhs" and len(rows) <= 40:
            body.append(f'<path class="dots" d="{_dots(p for p in points if p)}"/>')
    body.append(_legend(drawn.names))
    body.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, drawn.label, "label", "middle"))
    return _svg(HEIGHT, f"{drawn.names[0]} and {drawn.names[1]} {drawn.label}".rstrip(), body)


def _scatter_svg(drawn: Scatter, worst: tuple[float, float]) -> Markup:
    """What is above the diagonal violates the statement; on logarithmic axes values that are not positive lie on the edge."""
    pairs, log = drawn.pairs, drawn.log
    shown = [v for p in pairs if min(p) > 0 for v in p] if log else [v for p in pairs for v in p]
    across, up = _axis(shown, log, LEFT, WIDTH - RIGHT), _axis(shown, log, HEIGHT - BOTTOM, TOP)
    x0, x1, y0, y1 = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM, TOP
    body = [
        f'<path class="violated" d="M{x0} {y0}L{x1} {y1}H{x0}Z"/>',
        _frame(across, up, "right side", "left side"),
        f'<path class="diagonal" d="M{x0} {y0}L{x1} {y1}"/>',
        _text(x0 + 8, y1 + 15, "violated", "zone", "start"),
        f'<path class="dots" d="{_dots((across(b), up(a)) for a, b in pairs)}"/>',
    ]
    if math.isfinite(worst[0]) and math.isfinite(worst[1]):
        body.append(f'<circle class="worst" cx="{across(worst[1]):.1f}" cy="{up(worst[0]):.1f}" r="5"/>')
    return _svg(HEIGHT, f"left against right side on {len(pairs)} instances", body)


def interval(line: Mapping[str, Any]) -> Markup:
    """The interval of the one test of a sampled claim beside what the statement allows; empty for other claims."""
    if len(line["tests"]) != 1 or line["measure"] not in ("slope", "violations", "mean"):
        return Markup("")
    test = line["tests"][0]
    estimate, low, high = real(line["lhs"]), real(test["low"]), real(test["high"])
    slope = line["measure"] == "slope"
    middle, half = real(line["rhs"]), real(line["slack"])
    ends = (middle - half, middle + half) if slope else (-math.inf, middle)
    marks = [v for v in (estimate, low, high, *ends) if math.isfinite(v)]
    if not marks or not math.isfinite(estimate):
        return Markup("")
    height = 74
    axis = _axis(marks, False, 14, WIDTH - 14)
    left, right = axis(max(ends[0], axis.low)), axis(min(ends[1], axis.high))
    a, b = (axis(v if math.isfinite(v) else w) for v, w in ((low, axis.low), (high, axis.high)))
    body = [
        f'<rect class="allowed" x="{left:.1f}" y="12" width="{max(right - left, 0.5):.1f}" height="34"/>',
        _text((left + right) / 2, 10, "allowed", "zone", "middle"),
        f'<path class="grid" d="M14 46H{WIDTH - 14}"/>',
        f'<path class="bar" d="M{a:.1f} 29H{b:.1f}M{a:.1f} 23V35M{b:.1f} 23V35"/>',
        f'<circle class="estimate" cx="{axis(estimate):.1f}" cy="29" r="4.5"/>',
        *(_text(axis(v), 62, label, "tick", "middle") for v, label in axis.ticks()),
    ]
    what = {"slope": "exponent", "violations": "share of violations", "mean": "mean"}[line["measure"]]
    return _svg(height, f"{what} {estimate:.4g}, interval from {low:.4g} to {high:.4g}", body)


def overview(lines: Sequence[Mapping[str, Any]], tight: float) -> Markup:
    """One dot a claim with a bound, placed at its tightness, in a row for its theme; those above ``tight`` in a field of
    their own at the right. Every dot links to its claim."""
    shown = [e for e in lines if e["verdict"] == "holds" and e["measure"] in BOUNDS and real(e["tightness"]) > 0]
    if not shown:
        return Markup("")
    left, field, width, step = 96, 600, 760, 8.0
    columns = int((width - field) / step)
    axis = Axis(0.001, tight, True, left + 12, field - 24)
    body, y = [], 2.0
    for theme in sorted({e["theme"] for e in shown}):
        members = sorted((e for e in shown if e["theme"] == theme), key=lambda e: (real(e["tightness"]), e["id"]))
        stacks: dict[float, int] = {}
        places = []
        for e in members:
            if real(e["tightness"]) >= tight:
                count = stacks[math.inf] = stacks.get(math.inf, 0) + 1
                places.append((field + ((count - 1) % columns + 0.5) * step, (count - 1) // columns))
            else:
                x = round(axis(real(e["tightness"])) / step) * step
                stacks[x] = stacks.get(x, 0) + 1
                places.append((x, stacks[x] - 1))
        y += step * max(3, max(row for _, row in places) + 1) + 6
        body.append(f'<path class="grid" d="M{left} {y:.1f}H{width}"/>')
        body.append(_text(left - 8, y - 4, theme, "tick", "end"))
        for e, (x, row) in zip(members, places):
            body.append(
                f'<a href="#{escape(e["id"])}"><circle class="dot" cx="{x:.1f}" cy="{y - 5 - row * step:.1f}" r="3.5">'
                f"<title>{escape(e['id'])}: {real(e['tightness']):.3g}</title></circle></a>"
            )
    for value, label in ((0.001, "≤ 0.001"), (0.01, "0.01"), (0.05, "0.05"), (0.2, "0.2"), (0.5, "0.5")):
        body.append(_text(axis(value), y + 15, label, "tick", "middle"))
        body.append(f'<path class="grid faint" d="M{axis(value):.1f} 4V{y:.1f}"/>')
    body.append(f'<path class="grid faint" d="M{field} 4V{y:.1f}"/>')
    body.append(_text((field + width) / 2, y + 15, f"tight: {tight:g} to 1", "tick", "middle"))
    return _svg(y + 22, f"tightness of {len(shown)} claims", body, width=width)


def _svg(height: float, title: str, body: Iterable[str], width: float = WIDTH) -> Markup:
    inner = "".join(body)
    return Markup(f'<svg viewBox="0 0 {width:g} {height:g}" role="img"><title>{escape(title)}</title>{inner}</svg>')


def _frame(across: Axis, up: Axis, x_name: str, y_name: str) -> str:
    body = [f'<path class="grid" d="M{LEFT} {up.end:g}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>']
    for value, label in across.ticks():
        body.append(f'<path class="grid faint" d="M{across(value):.1f} {up.end:g}V{HEIGHT - BOTTOM}"/>')
        body.append(_text(across(value), HEIGHT - BOTTOM + 14, label, "tick", "middle"))
    for value, label in up.ticks():
        body.append(f'<path class="grid faint" d="M{LEFT} {up(value):.1f}H{WIDTH - RIGHT}"/>')
        body.append(_text(LEFT - 5, up(value) + 3.5, label, "tick", "end"))
    if x_name:
        body.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_name, "label", "middle"))
    if y_name:
        middle = (TOP + HEIGHT - BOTTOM) / 2
        body.append(
            f'<text class="label" text-anchor="middle" transform="translate(11 {middle:g}) rotate(-90)">{y_name}</text>'
        )
    return "".join(body)


def _legend(names: Sequence[str]) -> str:
    """The two line styles with their names, in a row above the frame."""
    return "".join(
        f'<path class="{kind}" d="M{x} {TOP}h24"/>' + _text(x + 30, TOP + 3.5, name, "tick", "start")
        for name, kind, x in ((names[0], "lhs", LEFT), (names[1], "rhs", LEFT + 130))
    )


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _polyline(points: Iterable[tuple[float, float] | None]) -> str:
    """A path through the points; None breaks it."""
    steps, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        steps.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
        pen = "L"
    return "".join(steps)


def _dots(points: Iterable[tuple[float, float]]) -> str:
    """A path of strokes without length, which round caps make dots; points on the same pixel are drawn once."""
    return "".join(dict.fromkeys(f"M{x:.0f} {y:.0f}h0" for x, y in points))
