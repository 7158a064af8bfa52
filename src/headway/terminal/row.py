"""One task as one line: its cells, how wide each may be, and what of it an output can show."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from headway.terminal.text import cut, pad, safe, width
from headway.views.words import counted, duration, percent, rate, state, why

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TextIO

    from headway.views.board_view import TaskView

__all__ = ["Piece", "Style", "bar", "detail", "is_terminal", "line_of", "render", "row_of", "widths_of"]

BLOCKS = " ▏▎▍▌▋▊▉█"
COLOURS = {  # SGR codes; what is not here has the terminal's own colour
    "pending": "2",
    "running": "36",
    "stalled": "33",
    "success": "32",
    "failed": "1;31",
    "cancelled": "33",
    "lost": "1;35",
    "bold": "1",
    "dim": "2",
}
BAR_LEAST, BAR_USUAL, BAR_MOST = 8, 22, 40
LABEL_LEAST = 12


@dataclass(frozen=True, slots=True)
class Style:
    """What the output can show. encoding: what is not in it is escaped; unicode: block characters are in it."""

    colour: bool = False
    unicode: bool = True
    encoding: str = "utf-8"

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str] | None = None) -> Style:
        """What a stream can show: colour on a terminal only, and not with NO_COLOR or TERM=dumb."""
        environ = os.environ if environ is None else environ
        encoding = getattr(stream, "encoding", None) or "ascii"
        try:
            (BLOCKS + "▕…·↳").encode(encoding)
        except (UnicodeError, LookupError):
            return cls(is_terminal(stream, environ) and not environ.get("NO_COLOR"), False, "ascii")
        return cls(is_terminal(stream, environ) and not environ.get("NO_COLOR"), True, encoding)

    @property
    def ellipsis(self) -> str:
        return "…" if self.unicode else "..."

    @property
    def dot(self) -> str:
        return " · " if self.unicode else ", "


def is_terminal(stream: TextIO, environ: Mapping[str, str] | None = None) -> bool:
    """Is it a terminal on which the cursor can be moved?"""
    environ = os.environ if environ is None else environ
    return stream.isatty() and environ.get("TERM", "dumb") not in ("dumb", "")


class Piece(NamedTuple):
    """A run of text in one colour."""

    text: str
    colour: str = ""


def render(pieces: Iterable[Piece], columns: int, style: Style) -> str:
    """One line of at most so many columns."""
    shown: list[Piece] = []
    for text, colour in pieces:
        shown.append(Piece(cut(text, columns, style.ellipsis), colour))
        columns -= width(shown[-1].text)
        if columns <= 0 or shown[-1].text != text:
            break
    while shown and not shown[-1].text.strip():
        shown.pop()
    if shown:
        shown[-1] = shown[-1]._replace(text=shown[-1].text.rstrip())
    if not style.colour:
        return "".join(text for text, _ in shown)
    return "".join(_coloured(piece) for piece in shown)


def _coloured(piece: Piece) -> str:
    code = COLOURS.get(piece.colour)
    return f"\x1b[{code}m{piece.text}\x1b[0m" if code and piece.text.strip() else piece.text


class Row(NamedTuple):
    """The cells of a task's line, before their widths are known."""

    task: TaskView
    tone: str
    label: str
    percent: str
    counts: str
    rate: str
    time: str
    state: str
    tail: tuple[str, str]  # stage, message
    counts_widest: int


def row_of(task: TaskView, style: Style, depth: int = 0, *, orphan: bool = False, alone: bool = False) -> Row:
    tone = "stalled" if task.stalled else task.state
    fraction = task.fraction
    name = task.id if orphan else task.label or task.id
    unit = safe(task.unit, style.encoding)
    time = ""
    if task.eta is not None:
        time = f"ETA {duration(task.eta, whole=True)}"
    elif task.started is not None:
        time = duration(task.elapsed, whole=task.state == "running")
    counts = counted(task.count, task.total, unit)
    return Row(
        task,
        tone,
        "  " * depth + safe(name, style.encoding),
        "" if fraction is None else percent(fraction),
        counts,
        rate(task.rate, task.unit) if task.rate is not None and task.state == "running" else "",
        time,
        "" if alone and tone == "running" else state(task.state, stalled=task.stalled),
        (safe(task.stage, style.encoding), safe(task.message, style.encoding)),
        width(counts if fraction is None or task.total is None else counted(task.total, task.total, unit)),
    )


def _blocks(row: Row, columns: int, style: Style) -> str:
    """The bar itself, between two edges; in steps of an eighth of a cell where block characters can be shown."""
    left, right = ("▕", "▏") if style.unicode else ("[", "]")
    cells = columns - 2
    fraction = row.task.fraction
    if fraction is None:
        inner = _without_total(row, cells, style)
    elif style.unicode:
        eighths = int(fraction * cells * 8)
        inner = "█" * (eighths // 8) + (BLOCKS[eighths % 8] if eighths % 8 else "")
    else:
        inner = "#" * int(fraction * cells)
    return left + inner.ljust(cells) + right


def _without_total(row: Row, cells: int, style: Style) -> str:
    """The bar of a task without a total: a block that moves with the view's clock while the task runs."""
    full = "█" if style.unicode else "#"
    if row.task.final:
        return full * cells if row.task.state == "success" else ""
    if row.task.state != "running":
        return ""
    room = max(cells - 3, 1)
    at = int(row.task.taken_at * 4) % (2 * room)
    return " " * min(at, 2 * room - at) + full * min(3, cells)


class Widths(NamedTuple):
    label: int
    bar: int
    percent: int
    counts: int
    rate: int
    time: int
    state: int
    tail: int
    gap: int


def _tail(row: Row, style: Style) -> str:
    return style.dot.join(filter(None, row.tail))


def widths_of(rows: list[Row], columns: int, style: Style) -> Widths:
    """The widths of the columns. Where there is little room, the least needed columns are left out."""

    def widest(texts: Iterable[str], usual: int = 0) -> int:
        needed = max(map(width, texts), default=0)
        return max(needed, usual) if needed else 0

    gap = 2 if columns >= 100 else 1
    size = {
        "percent": widest((row.percent for row in rows), 4),
        "counts": max((row.counts_widest for row in rows), default=0),
        "rate": widest((row.rate for row in rows), 7),
        "time": widest((row.time for row in rows), 9),
        "state": widest((row.state for row in rows), 7),
        "bar": BAR_LEAST,
    }
    label = widest(row.label for row in rows)

    def left() -> int:
        return columns - min(label, LABEL_LEAST) - sum(size.values()) - gap * sum(map(bool, size.values()))

    for column in ("rate", "bar", "counts", "time", "percent"):
        if left() < 0:
            size[column] = 0
    room = left()
    tail = widest(_tail(row, style) for row in rows)
    grown = {"label": min(label, LABEL_LEAST), "tail": 0, "bar": size["bar"]}

    def grow(column: str, target: int) -> None:
        nonlocal room
        more = max(0, min(room, target - grown[column]))
        grown[column] += more
        room -= more

    grow("label", min(label, max(LABEL_LEAST, columns // 4)))
    if tail and room > gap + 8:
        room -= gap
        told = widest(_tail(row, style) for row in rows if row.task.final)  # at the end it counts more than a long bar
        grow("tail", min(tail, max(16, min(told, columns // 3))))
    if grown["bar"]:
        grow("bar", BAR_USUAL)
    if grown["tail"]:
        grow("tail", min(tail, columns // 3))
    grow("label", label)
    if grown["tail"]:
        grow("tail", tail)
    if grown["bar"]:
        grow("bar", BAR_MOST)
    return Widths(**{**size, **grown}, gap=gap)


def line_of(row: Row, sizes: Widths, style: Style) -> list[Piece]:
    gap = " " * sizes.gap
    ended = row.task.final
    quiet = "dim" if ended or row.tone == "pending" else ""  # what counts now stands out
    label_colour = row.tone if row.tone in ("pending", "failed", "lost") else ""
    pieces = [Piece(pad(cut(row.label, sizes.label, style.ellipsis), sizes.label), label_colour)]
    if sizes.bar:
        pieces += Piece(gap), Piece(_blocks(row, sizes.bar, style), row.tone)
    for text, size, colour in (
        (row.percent, sizes.percent, "" if ended else quiet or "bold"),
        (row.counts, sizes.counts, quiet),
        (row.rate, sizes.rate, "dim"),
        (row.time, sizes.time, quiet),
    ):
        if size:
            pieces += Piece(gap), Piece(pad(text, size, right=True), colour)
    if sizes.state:
        pieces += Piece(gap), Piece(pad(row.state, sizes.state), row.tone)
    if sizes.tail:
        stage, message = row.tail
        pieces += (
            Piece(gap),
            Piece(stage, "dim" if ended else "running"),
            Piece(style.dot if stage and message else "", "dim"),
        )
        pieces.append(Piece(message, "dim" if ended else ""))
    return pieces


def bar(task: TaskView, columns: int, style: Style | None = None) -> str:
    """One task as one line of at most so many columns: label, bar, percent, count, rate, ETA, stage and message."""
    style = style or Style()
    row = row_of(task, style, alone=True)
    return render(line_of(row, widths_of([row], columns, style), style), columns, style)


def detail(task: TaskView, encoding: str = "utf-8") -> str:
    """Why a task, or a worker of it, died or ended early. "" if there is nothing to tell."""
    return safe(why(task), encoding)
