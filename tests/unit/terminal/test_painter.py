"""What the painter leaves on a screen, and in a log."""

from __future__ import annotations

import fcntl
import io
import os
import re
import select
import struct
import termios
from typing import TYPE_CHECKING, Any

import pytest

from headway.terminal.painter import Pace, Painter, chosen_pace_s, put
from headway.terminal.plain import lines
from headway.views.board_view import BoardView, TaskView
from tests.unit.conftest import build_raw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

    from tests.unit.conftest import Arrays

NOW = 1_700_000_000.0


def view(count: int, *states: str, at: float = NOW) -> BoardView:
    def task(number: int, state: str) -> TaskView:
        ended = None if state in ("pending", "running") else at
        return TaskView(
            id=f"task-{number}",
            state=state,
            count=count,
            total=100,
            serial=number,
            started=NOW,
            ended=ended,
            taken_at=at,
        )

    return BoardView.of("nightly", [task(number, state) for number, state in enumerate(states)], taken_at=at)


class Screen:
    """A terminal of a few rows that knows what the painter uses: enough to see what a person would."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.cells: list[str] = [""]
        self.row = self.column = 0

    def feed(self, text: str) -> None:
        for part in re.findall(r"\x1b\[\??[\d;]*[A-Za-z]|[^\x1b]|\x1b", text):
            if len(part) == 1:
                self._put(part)
            elif part.endswith("A"):
                self.row = max(0, self.row - int(part[2:-1]))
            elif part.endswith("K"):
                self.cells[self.row] = self.cells[self.row][: self.column]
            elif part.endswith("J"):
                self.cells[self.row] = self.cells[self.row][: self.column]
                del self.cells[self.row + 1 :]
            else:
                assert re.fullmatch(r"\x1b\[(\?7[lh]|[\d;]*m)", part), part

    def _put(self, char: str) -> None:
        assert char != "\x1b"
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.row += 1
            self.column = 0
            if self.row == len(self.cells):
                self.cells.append("")
            assert self.row >= len(self.cells) - self.rows, "the cursor left the screen"
        else:
            line = self.cells[self.row].ljust(self.column)
            assert self.column < self.columns, "a line is wider than the screen"
            self.cells[self.row] = line[: self.column] + char + line[self.column + 1 :]
            self.column += 1

    @property
    def shown(self) -> list[str]:
        return [line.rstrip() for line in self.cells if line.strip()]


class Pty:
    """A pseudo-terminal to draw on, and what stands on its screen."""

    def __init__(self, columns: int = 60, rows: int = 8) -> None:
        self.master, slave = os.openpty()
        attributes = termios.tcgetattr(slave)
        attributes[1] &= ~termios.OPOST  # "\n" reaches the screen as it is
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        self.stream: TextIO = os.fdopen(slave, "w", encoding="utf-8")
        self.screen = Screen(columns, rows)
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.stream.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def written(self) -> str:
        """What was written since the last time. The kernel hands it over in pieces: a mark tells where it ends."""
        os.write(self.stream.fileno(), b"\0")
        found = b""
        while not found.endswith(b"\0"):
            assert select.select([self.master], [], [], 10)[0], "the terminal is silent"
            found += os.read(self.master, 1 << 16)
        return found[:-1].decode()

    def look(self) -> list[str]:
        self.screen.feed(self.written())
        return self.screen.shown


@pytest.fixture
def pty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pty]:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    made = Pty()
    yield made
    made.stream.close()
    os.close(made.master)


def test_each_frame_takes_the_place_of_the_one_before(pty: Pty) -> None:
    painter = Painter(pty.stream)
    assert painter.live
    for count, states in ((1, ("running",) * 3), (2, ("running",) * 20), (3, ("success",)), (99, ("lost", "running"))):
        shown = view(count, *states)
        painter.draw(shown)
        assert pty.look() == lines(shown, 59, 7)


def test_a_frame_that_is_the_same_is_not_written_again(pty: Pty) -> None:
    painter = Painter(pty.stream)
    painter.draw(view(1, "running"))
    assert pty.written()
    painter.draw(view(1, "running"))
    assert not pty.written()


def test_what_is_said_stays_above_the_frame(pty: Pty) -> None:
    painter = Painter(pty.stream)
    painter.draw(view(1, "running", "running"))
    painter.say("hello \x1b[2J\nthere")
    shown = view(2, "running", "success")
    painter.draw(shown)
    assert pty.look() == [r"hello \x1b[2J", "there", *lines(shown, 59, 7)]


def test_saying_nothing_takes_the_frame_away(pty: Pty) -> None:
    painter = Painter(pty.stream)
    painter.draw(view(1, "running", "running"))
    painter.say("")
    assert pty.look() == []


def test_a_limit_of_rows_is_kept(pty: Pty) -> None:
    Painter(pty.stream, rows=4).draw(view(1, *("running",) * 10))
    assert len(pty.look()) == 4


def test_a_frame_fits_a_screen_that_has_changed(pty: Pty) -> None:
    painter = Painter(pty.stream)
    painter.draw(view(1, "running"))
    pty.look()
    pty.resize(30, 5)
    painter.draw(view(2, *("running",) * 9))
    shown = pty.look()
    assert len(shown) <= 4
    assert max(map(len, shown)) <= 29


# --- as a log


def logged(*views: BoardView, every_s: float | None = 5.0) -> list[str]:
    stream = io.StringIO()
    painter = Painter(stream, every_s=every_s)
    assert not painter.live
    for number, one in enumerate(views):
        painter.draw(one, last=number == len(views) - 1)
    text = stream.getvalue()
    assert "\x1b" not in text
    return [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in text.splitlines()]


def test_a_log_gets_a_line_now_and_then() -> None:
    views = [view(n, "running", at=NOW + n) for n in range(11)]
    assert [re.search(r"(\d+)/100", line)[1] for line in logged(*views)] == ["0", "5", "10"]  # type: ignore[index]


def test_lines_of_a_log_come_at_growing_distances_up_to_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADWAY_LINES_S", raising=False)
    pace = Pace()
    told = []
    for now in range(400):
        if pace.is_due(now):
            pace.told(now)
            told.append(now)
    assert told == [0, 5, 15, 35, 75, 135, 195, 255, 315, 375]
    night = logged(*(view(n, "running", at=NOW + n) for n in range(0, 8 * 3600, 5)), every_s=None)
    assert 480 <= len(night) <= 490


def test_the_user_says_how_often_a_log_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWAY_LINES_S", "2.5")
    views = [view(n, "running", at=NOW + n) for n in range(11)]
    told = [re.search(r"(\d+)/100", line)[1] for line in logged(*views, every_s=None)]  # type: ignore[index]
    assert told == ["0", "3", "6", "9", "10"]


@pytest.mark.parametrize("text", ["soon", "0", "-3", "nan"])
def test_an_odd_wish_for_lines_is_told_once_and_ignored(text: str) -> None:
    with pytest.warns(RuntimeWarning, match=f"HEADWAY_LINES_S='{text}' is not a positive number of seconds") as said:
        assert [chosen_pace_s({"HEADWAY_LINES_S": text}) for _ in range(2)] == [None, None]
    assert len(said) == 1


def test_a_log_tells_at_once_who_has_ended() -> None:
    told = logged(
        view(1, "running", "running"), view(2, "success", "failed", at=NOW + 1), view(3, "success", at=NOW + 9)
    )
    assert [line for line in told if "task-1: failed" in line]
    assert [line for line in told if "task-0: succeeded" in line]


def test_a_log_does_not_repeat_itself() -> None:
    told = logged(*(view(7, "pending", at=NOW + n) for n in range(0, 50, 10)), view(7, "pending", at=NOW + 55))
    assert len(told) == 2  # the first, and the last


def test_many_ends_at_once_are_counted() -> None:
    told = logged(view(1, *("running",) * 40), view(2, *("failed",) * 40, at=NOW + 1))
    assert sum(": failed" in line for line in told) == 10
    assert any("and 30 more have ended (30 failed)" in line for line in told)


def test_a_board_whose_tasks_end_all_the_time_has_some_lines_for_each_of_the_usual_ones() -> None:
    stream = io.StringIO()
    painter = Painter(stream, every_s=60.0)
    for second in range(600):
        painter.draw(view(1, *("success",) * second, *("running",) * (600 - second), at=NOW + second))
    painter.draw(view(1, *("success",) * 600, at=NOW + 600), last=True)
    told = stream.getvalue().splitlines()
    named = sum(": succeeded" in line for line in told)
    counted = sum(int(found[1]) for line in told if (found := re.search(r"and (\d+) more have ended", line)))
    assert named + counted == 600
    assert len(told) <= 11 * (1 + 1 + 10)
    assert sum(": succeeded" in line for line in told[:11]) == 10, "the first ones are named at once"


def test_a_log_in_ascii_is_ascii(tmp_path: Any) -> None:
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        painter = Painter(stream)
        painter.draw(BoardView.of("x", [TaskView(id="全 🎉", state="running", taken_at=NOW)], taken_at=NOW), last=True)
        painter.say("é")
    assert (tmp_path / "log").read_text("ascii").splitlines()[-1] == r"\xe9"


def test_what_cannot_be_written_is_dropped_and_what_came_before_keeps_its_place(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w", encoding="ascii", errors="replace") as stream:
        stream.write("printed; ")
        put(stream, "ours: ä\n")
        stream.write("printed again\n")
    assert path.read_text() == "printed; ours: ?\nprinted again\n"
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream, pytest.raises(BrokenPipeError):
        put(stream, "nobody reads this\n")  # closing the stream raises nothing more
    text = io.StringIO()
    put(text, "no descriptor")
    assert text.getvalue() == "no descriptor"


def test_a_log_of_many_tasks_makes_views_of_those_that_it_names(views_made: list[int]) -> None:
    out = io.StringIO()
    painter = Painter(out, every_s=5)
    for ended in (1000, 1003):

        def edit(arrays: Arrays, ended: int = ended) -> None:
            arrays["tasks"]["state"][:ended] = 2

        painter.draw(BoardView.from_raw(build_raw(2000, edit=edit)), last=True)
    assert [line.split()[2] for line in out.getvalue().splitlines()] == [
        "1,000",
        "task-1000:",
        "task-1001:",
        "task-1002:",
        "997",
    ]
    assert len(views_made) < 20


def test_a_log_has_dates_from_a_day_after_its_first_line_on() -> None:
    out = io.StringIO()
    painter = Painter(out, every_s=5)
    for days in (0, 0.99, 1, 2):
        painter.tell(NOW + days * 86_400, "on")
    assert [len(line) for line in out.getvalue().splitlines()] == [len("HH:MM:SS on")] * 2 + [
        len("YYYY-MM-DD HH:MM:SS on")
    ] * 2
