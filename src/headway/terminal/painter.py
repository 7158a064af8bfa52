"""Puts views on a stream: redrawn in place on a terminal, elsewhere a line now and then, as a log wants it."""

from __future__ import annotations

import contextlib
import io
import math
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING

from headway import errors
from headway.terminal.plain import lines, summary, tally
from headway.terminal.row import Style, detail, is_terminal, render
from headway.terminal.text import safe, width
from headway.views import words
from headway.views.chosen import ends, first_running, numbered
from headway.views.numbers import Counts

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence
    from typing import TextIO

    from headway.views.board_view import BoardView, TaskView

__all__ = ["Pace", "Painter", "chosen_pace_s", "put"]

FIRST_S, MOST_S = 5.0, 60.0  # between two lines of a log, at first and in the end

_refused: set[str] = set()  # values of HEADWAY_LINES_S that were warned about
ENDS_MOST = 10  # ended tasks that are named between two lines
DAY_S = 86_400.0
UNCHANGED_S = 60.0  # a log is told this often that nothing has changed


def chosen_pace_s(environ: Mapping[str, str] | None = None) -> float | None:
    """Seconds between two lines, as the user wants them (HEADWAY_LINES_S); None if that does not say."""
    text = (os.environ if environ is None else environ).get("HEADWAY_LINES_S", "")
    if not text:
        return None
    with contextlib.suppress(ValueError):
        if (seconds := float(text)) > 0:
            return seconds
    if text in _refused:
        return None
    _refused.add(text)
    errors.tell(
        f"HEADWAY_LINES_S={text!r} is not a positive number of seconds, and is ignored: set it to 30, say, or unset it"
    )
    return None


def put(stream: TextIO, text: str) -> None:
    """Write a text to a stream, after all that was written to it before. Raises OSError or ValueError if it is gone.

    What cannot be written is dropped. In the buffer of standard error it would be written again as the program exits,
    and the interpreter would make the failure the program's exit status.
    """
    buffer = stream.buffer if type(stream) is io.TextIOWrapper else None
    file = buffer.raw if isinstance(buffer, io.BufferedWriter) else buffer
    if not isinstance(file, io.FileIO):
        stream.write(text)
        stream.flush()
        return
    with contextlib.suppress(OSError):  # the program's own text, whose fate is not ours to decide
        stream.flush()
    data = text.encode(stream.encoding, stream.errors or "strict")
    while data:
        data = data[os.write(file.fileno(), data) :]


class Pace:
    """When a log gets its next line: after 5 s, then twice as late each time, up to a minute; or every so many seconds.

    Of a night that is 500 lines, of a minute four.
    """

    def __init__(self, every_s: float | None = None) -> None:
        self._gap_s = FIRST_S if every_s is None else every_s
        self._most_s = MOST_S if every_s is None else every_s
        self._due = -math.inf

    def is_due(self, now: float) -> bool:
        """Is it time? now: seconds of any clock, the same one each time."""
        return now >= self._due

    def told(self, now: float) -> None:
        """A line was written."""
        self._due = now + self._gap_s
        self._gap_s = min(2 * self._gap_s, self._most_s)


class Painter:
    """Draws one board, or some tasks, again and again. It starts no thread: draw() is called when there is time for it.

    stream: default standard error; every_s: seconds between two lines if it is not a terminal, default
    HEADWAY_LINES_S, else growing intervals; rows: the most rows to draw.
    """

    def __init__(self, stream: TextIO | None = None, *, every_s: float | None = None, rows: int | None = None) -> None:
        self.stream: TextIO = sys.stderr if stream is None else stream
        self.style = Style.of(self.stream)
        self.live: bool = is_terminal(self.stream)
        """Whether the board is redrawn in place."""
        self._pace = Pace(chosen_pace_s() if every_s is None else every_s)
        self._rows = rows
        self._frame: list[str] = []
        self._told = ""
        self._told_at = 0.0
        self._began: float | None = None  # the time of the first line
        self._counts: Counts | None = None
        self._ended: dict[Hashable, str] | None = None  # the state in which each was told to have ended
        self._ends_left = ENDS_MOST

    def draw(self, view: BoardView, *, last: bool = False) -> None:
        """Show the board as it is now. last: no other will follow, so a log gets its line whether it is time or not."""
        if self.live:
            columns, rows = self._size()
            rows = rows if self._rows is None else min(rows, self._rows)
            self._paint(lines(view, columns, rows, self.style))
        else:
            self._log(view, last)

    def tell(self, now: float, text: str) -> None:
        """Write one line, as a log wants it. now: in seconds of the epoch.

        Lines a day after the first one have the date, as times of the day are no longer enough.
        """
        self._began = now if self._began is None else self._began
        form = "%H:%M:%S" if now < self._began + DAY_S else "%Y-%m-%d %H:%M:%S"
        put(self.stream, f"{time.strftime(form, time.localtime(now))} {text}\n")

    def tell_tasks(self, tasks: Sequence[TaskView]) -> None:
        """Write one line that tells how far these tasks are, as a log wants it."""
        now = max((task.taken_at for task in tasks), default=0.0)
        self.tell(now, "; ".join(self._named(task) for task in tasks))

    def say(self, text: str) -> None:
        """Print a text of one or more lines above what is drawn."""
        self._leave([safe(line, self.style.encoding) for line in text.splitlines()])

    def _leave(self, lines: list[str]) -> None:
        """Print lines that stay, in place of what is drawn."""
        shown = "".join(f"{line}\n" for line in lines)
        put(self.stream, self._back() + shown if self._frame else shown)
        self._frame = []

    # ---------------------------------------------------------------------------------------------------- in place

    def _size(self) -> tuple[int, int]:
        """Columns and rows of a frame. The last column stays free, where terminals disagree about wrapping; so does the
        last row, where the cursor waits."""
        try:
            columns, rows = os.get_terminal_size(self.stream.fileno())
        except (OSError, ValueError):
            columns = rows = 0
        if columns <= 0 or rows <= 0:
            columns, rows = shutil.get_terminal_size()
        return max(columns - 1, 1), max(rows - 1, 1)

    def _back(self) -> str:
        """To the beginning of the last frame, and erase what is below. Where the terminal became narrower meanwhile, it
        has broken the frame's lines, and there are more of them."""
        columns = self._size()[0] + 1
        rows = sum(max(1, -(-width(_without_colour(line)) // columns)) for line in self._frame)
        return f"\r\x1b[{rows}A\x1b[J" if rows else "\r"

    def _paint(self, frame: list[str]) -> None:
        if frame == self._frame:
            return
        columns = self._size()[0]
        if any(width(_without_colour(line)) > columns for line in self._frame):
            start = self._back()
        else:
            start = f"\r\x1b[{len(self._frame)}A" if self._frame else "\r"
        # Written over and in one piece, it does not flicker. No wrapping meanwhile: should the terminal think that a
        # character is wider than we do, the line loses its end, and the frame keeps its shape.
        body = "".join(f"{line}\x1b[K\n" for line in frame)
        rest = "\x1b[J" if len(frame) < len(self._frame) else ""  # not else: live bars may stand at the end
        put(self.stream, f"{start}\x1b[?7l{body}{rest}\x1b[?7h")
        self._frame = frame

    # ---------------------------------------------------------------------------------------------------- as a log

    def _log(self, view: BoardView, last: bool) -> None:
        now = view.taken_at
        due = last or self._pace.is_due(now)
        counts = view.counts
        if not due and counts == self._counts:
            return  # nobody has ended: the tasks need not even be looked at
        self._counts = counts
        self._tell_ends(view, due)
        if due:
            self._pace.told(now)
            text = self._board_text(view)
            if last or text != self._told or now >= self._told_at + UNCHANGED_S:
                self._told, self._told_at = text, now
                self.tell(now, text)

    def _tell_ends(self, view: BoardView, due: bool) -> None:
        """Name those that have ended since the last time. Parts of a task that went well are left to the count.

        Where many end, some are named at once, and the others are named or counted when the next line is due.
        """
        before, ended = self._ended, ends(view)
        self._ended = {key: state for key, (state, _) in ended.items()}
        if due:
            self._ends_left = ENDS_MOST
        if before is None:
            return
        fresh = [(key, numbered(view, at)) for key, (state, at) in ended.items() if before.get(key) != state]
        news = [(key, task) for key, task in fresh if task.parent is None or task.state != "success"]
        news.sort(key=lambda one: (one[1].state == "success", one[1].ended or 0.0))
        left, self._ends_left = self._ends_left, max(self._ends_left - len(news), 0)
        for _, task in news[:left]:
            name = safe(task.id, self.style.encoding)
            self.tell(view.taken_at, f"{safe(view.name)}: {name}: {self._task_text(task)}")
        more = news[left:]
        if not due:
            for key, _ in more:
                del self._ended[key]
        elif more:
            text = f"{safe(view.name)}: and {words.number(len(more))} more have ended"
            self.tell(view.taken_at, f"{text} ({tally(Counts.of(task for _, task in more))})")

    def _board_text(self, view: BoardView) -> str:
        plain = Style(colour=False, unicode=self.style.unicode, encoding=self.style.encoding)
        parts = [render(summary(view, plain), 1000, plain)]
        parts += [self._named(task, "") for task in first_running(view, 3)]
        return "; ".join(parts)

    def _named(self, task: TaskView, colon: str = ":") -> str:
        return f"{safe(task.label or task.id, self.style.encoding)}{colon} {self._task_text(task)}"

    def _task_text(self, task: TaskView) -> str:
        """ "42% 2,100/5,000 bar 95.2/s ETA 0:31 fit, fold 3/5", or "failed 42% 2,100/5,000 bar in 0:40: disk full" """
        parts = [] if task.state == "running" else [words.state(task.state)]
        if task.fraction is not None:
            parts.append(words.percent(task.fraction))
        parts.append(words.counted(task.count, task.total, safe(task.unit, self.style.encoding)))
        if task.state == "running":
            parts += [words.rate(task.rate, task.unit)] if task.rate else []
            parts += [f"ETA {words.duration(task.eta, whole=True)}"] if task.eta is not None else []
            parts += ["stalled"] if task.stalled else []
            parts.append(safe(", ".join(filter(None, (task.stage, task.message))), self.style.encoding))
        elif task.started is not None:
            parts.append(f"in {words.duration(task.elapsed)}")
        text = " ".join(filter(None, parts))
        why = detail(task, self.style.encoding) if task.final else ""
        return f"{text}: {why}" if why else text


def _without_colour(line: str) -> str:
    """The line as it is measured: colours take no columns."""
    if "\x1b" not in line:
        return line
    first, *others = line.split("\x1b[")
    return first + "".join(other.partition("m")[2] for other in others)
