"""The pictures of a report as SVG: bars in lanes over time, and an area. Text arguments are already escaped."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple

from headway.tasks.states import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Lane", "area", "colour_class", "gantt"]

WIDTH, LEFT = 1080, 150
BAR, GAP = 13, 3
AREA_HEIGHT = 120
ROWS_MOST = 60  # of one lane; further overlapping bars are drawn over others
TICKS_MOST = 10
LABEL_HALF = 40  # half the width of the widest label
DAY_S = 86_400
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800)


class _Bar(NamedTuple):
    begin: float
    end: float
    row: int
    inner: Sequence[float]
    state: str
    tip: str
    name: str


class Lane:
    """The bars of one worker. Overlapping bars are below each other. Add them in the order in which they begin."""

    def __init__(self) -> None:
        self.bars: list[_Bar] = []
        self._free: list[float] = []  # when each row becomes free

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self._free)

    def add(self, begin: float, end: float, inner: Sequence[float], state: str, tip: str, name: str) -> None:
        """Add a bar: its begin and end, the times at which stages began, and its texts."""
        row = next((row for row, free in enumerate(self._free) if free <= begin), len(self._free))
        row = min(row, ROWS_MOST - 1)
        self._free[row : row + 1] = [end]
        self.bars.append(_Bar(begin, end, row, inner, state, tip, name))


def colour_class(state: str) -> str:
    """The CSS class of a state; a file may name an unknown state."""
    return state if state in (*STATES, "stalled") else "pending"


def _ticks(begin: float, end: float) -> list[tuple[float, str]]:
    """Where a time axis has a label, and which: with dates if it goes over more than one day."""
    span = max(end - begin, 1e-3)
    if span <= 2:
        return [(begin, _label(begin, "%H:%M:%S")), (end, f"+{span:.2f} s")]
    step = next((step for step in _STEPS_S if span / step <= TICKS_MOST), 0)
    if not step:
        return _day_ticks(begin, end, math.ceil(span / TICKS_MOST / DAY_S))
    first = int((begin - _midnight(begin)) / step + 1) * step + _midnight(begin)
    clock = "%H:%M" if step % 60 == 0 else "%H:%M:%S"
    dated = _label(begin, "%x") != _label(end, "%x")
    ticks: list[tuple[float, str]] = []
    day = ""
    for at in (first + n * step for n in range(int((end - first) / step) + 1)):
        before, day = day, _label(at, "%x")
        ticks.append((at, _label(at, f"%-d %b {clock}" if dated and day != before else clock)))
    return ticks


def _day_ticks(begin: float, end: float, days: int) -> list[tuple[float, str]]:
    """Every so many days, at midnight, whatever hours a day of summer time has."""
    year = _label(begin, "%Y") != _label(end, "%Y")
    there = time.localtime(begin)
    midnights = (
        time.mktime((there.tm_year, there.tm_mon, there.tm_mday + n * days, 0, 0, 0, 0, 0, -1))
        for n in range(1, int((end - begin) / DAY_S / days) + 2)
    )
    return [(at, _label(at, "%-d %b %Y" if year else "%-d %b")) for at in midnights if at <= end]


def _midnight(at: float) -> float:
    there = time.localtime(at)
    return time.mktime((there.tm_year, there.tm_mon, there.tm_mday, 0, 0, 0, 0, 0, -1))


def _label(at: float, form: str) -> str:
    return time.strftime(form, time.localtime(at))


def _frame(height: int, begin: float, end: float, label: str) -> tuple[list[str], float]:
    scale = (WIDTH - LEFT - 20) / max(end - begin, 1e-3)
    parts = [f'<svg width="{WIDTH}" height="{height + 22}" role="img" aria-label="{label}">']
    for at, text in _ticks(begin, end):
        x = LEFT + (at - begin) * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{height}"/>')
        anchor, place = ("middle", x) if x < WIDTH - LABEL_HALF else ("end", WIDTH - 2)
        parts.append(f'<text x="{place:.1f}" y="{height + 15}" text-anchor="{anchor}">{text}</text>')
    return parts, scale


def gantt(lanes: Sequence[tuple[str, Lane]]) -> str:
    """A Gantt chart: lanes, each with its name, over time."""
    bars = [bar for _, lane in lanes for bar in lane.bars]
    begin, end = min(bar.begin for bar in bars), max(bar.end for bar in bars)
    height = sum(lane.rows * (BAR + GAP) + 8 for _, lane in lanes)
    parts, scale = _frame(height, begin, end, "timeline of tasks by worker")
    top = 0
    for at, (name, lane) in enumerate(lanes):
        tall = lane.rows * (BAR + GAP) + 8
        if at % 2 == 0:
            parts.append(f'<rect class="lane" x="0" y="{top}" width="{WIDTH}" height="{tall}" fill-opacity="0.6"/>')
        parts.append(f'<text x="4" y="{top + 15}">{name}</text>')
        for bar in lane.bars:
            x, y = LEFT + (bar.begin - begin) * scale, top + 4 + bar.row * (BAR + GAP)
            wide = max((bar.end - bar.begin) * scale, 1.5)
            parts.append(f"<g><title>{bar.tip}</title>")
            place = f'x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{BAR}" rx="2"'
            parts.append(f'<rect class="{colour_class(bar.state)}" {place}/>')
            for entered in bar.inner:
                if bar.begin < entered < bar.end:
                    line = LEFT + (entered - begin) * scale
                    parts.append(f'<path d="M{line:.1f} {y}v{BAR}" stroke="Canvas" stroke-width="1"/>')
            parts.append("</g>")
        top += tall
    return "".join((*parts, "</svg>"))


def area(begin: float, end: float, values: Sequence[float], most_text: str) -> str:
    """An area chart of values in equal intervals of time. most_text: the label of the largest value."""
    parts, _ = _frame(AREA_HEIGHT, begin, end, "throughput over time")
    parts += [
        f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{WIDTH - 20}" y2="{y}"/>'
        f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{text}</text>'
        for y, text in ((8, most_text), (AREA_HEIGHT, "0"))
    ]
    most = max(values) or 1.0
    wide = (WIDTH - LEFT - 20) / len(values)
    steps = [
        f"L{LEFT + at * wide:.1f} {y:.1f}H{LEFT + (at + 1) * wide:.1f}"
        for at, y in enumerate(AREA_HEIGHT - value / most * (AREA_HEIGHT - 8) for value in values)
    ]
    path = f"M{LEFT} {AREA_HEIGHT}{''.join(steps)}V{AREA_HEIGHT}Z"
    return "".join((*parts, f'<path class="area" d="{path}"/>', "</svg>"))
