"""The last lines of a terminal: who has them, and what is drawn there and when."""

from __future__ import annotations

import fcntl
import os
import resource
import struct
import termios
import time
from typing import TYPE_CHECKING

import pytest

from headway.bars.last_lines import REDRAW_S, Place, Terminal, wait
from headway.process.drawing import RELEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Pty:
    """A pseudo-terminal of 40 columns and 10 rows."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)
        self.resize(40, 10)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def written(self) -> str:
        """What was written since the last time; what a process writes to a terminal can be read at once."""
        try:
            return os.read(self.master, 1 << 16).decode()
        except BlockingIOError:
            return ""


@pytest.fixture
def pty() -> Iterator[Pty]:
    made = Pty()
    yield made
    os.close(made.master)
    os.close(made.slave)


def showing(line: str) -> Callable[[int, int], list[str]]:
    """Draws this line, whatever the room."""
    return lambda *_room: [line]


def test_of_two_programs_one_has_the_place_until_it_lets_go(pty: Pty) -> None:
    one, two = (Terminal(pty.slave, lambda: True) for _ in range(2))
    assert one.place() == Place.OURS
    assert two.place() == Place.OTHERS
    assert one.place() == Place.OURS
    one.hide()
    assert two.place() == Place.OURS
    assert one.place() == Place.OTHERS


def test_in_the_background_the_bars_go_and_the_place_is_free(pty: Pty) -> None:
    in_front = True
    one, two = Terminal(pty.slave, lambda: in_front), Terminal(pty.slave, lambda: True)
    assert one.place() == Place.OURS
    one.draw(showing("bar"), 0.0)
    assert one.drawn
    in_front = False
    assert one.place() == Place.HIDDEN
    assert two.place() == Place.OURS


def test_the_same_lines_are_written_again_only_after_a_while(pty: Pty) -> None:
    terminal = Terminal(pty.slave, lambda: True)
    terminal.draw(showing("bar 1"), 100.0)
    assert "bar 1" in pty.written()
    terminal.draw(showing("bar 1"), 100.0 + REDRAW_S / 2)
    assert pty.written() == ""
    terminal.draw(showing("bar 2"), 100.0 + REDRAW_S / 2)
    assert "bar 2" in pty.written()
    terminal.draw(showing("bar 2"), 100.0 + 2 * REDRAW_S)
    assert "bar 2" in pty.written()


def test_lines_are_made_for_half_of_the_rows_and_less_than_all_columns(pty: Pty) -> None:
    asked = []

    def lines_of(columns: int, rows: int) -> list[str]:
        asked.append((columns, rows))
        return ["bar"]

    Terminal(pty.slave, lambda: True).draw(lines_of, 0.0)
    assert asked == [(39, 5)]


@pytest.mark.parametrize("size", [(0, 0), (9, 10), (40, 3)])
def test_where_there_is_no_room_nothing_is_drawn(size: tuple[int, int], pty: Pty) -> None:
    pty.resize(*size)
    terminal = Terminal(pty.slave, lambda: True)
    terminal.draw(showing("bar"), 0.0)
    assert pty.written() == ""
    assert not terminal.drawn


def test_a_stopped_terminal_keeps_nobody_waiting(pty: Pty) -> None:
    termios.tcflow(pty.slave, termios.TCOOFF)  # as Ctrl-S does
    try:
        terminal = Terminal(pty.slave, lambda: True)
        terminal.draw(showing("bar"), 0.0)
        assert not terminal.drawn
    finally:
        termios.tcflow(pty.slave, termios.TCOON)


def test_a_terminal_that_takes_no_frame_is_not_asked_again_and_again(pty: Pty) -> None:
    terminal = Terminal(pty.slave, lambda: True)
    terminal.draw(showing("bar"), 0.0)
    termios.tcflow(pty.slave, termios.TCOOFF)
    try:
        pty.resize(50, 10)
        assert terminal.resized()
        terminal.draw(showing("bar"), 0.0)
        assert terminal.drawn
        assert not terminal.resized()
    finally:
        termios.tcflow(pty.slave, termios.TCOON)
    pty.written()
    terminal.draw(showing("bar"), 0.0)
    assert "bar" in pty.written()


def test_a_terminal_that_has_no_room_any_more_has_all_lines_scroll(pty: Pty) -> None:
    terminal = Terminal(pty.slave, lambda: True)
    terminal.draw(showing("bar"), 0.0)
    pty.written()
    pty.resize(40, 3)
    terminal.draw(showing("bar"), 0.0)
    assert pty.written() == RELEASE
    assert not terminal.drawn
    assert not terminal.resized()
    pty.resize(40, 10)
    terminal.draw(showing("bar"), 0.0)
    assert "bar" in pty.written()


def test_descriptors_above_a_thousand_are_waited_for_and_drawn_on(pty: Pty) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2000), hard), hard))
    high = fcntl.fcntl(pty.slave, fcntl.F_DUPFD_CLOEXEC, 1100)
    try:
        terminal = Terminal(high, lambda: True)
        terminal.draw(showing("bar"), 0.0)
        assert "bar" in pty.written()
        os.write(pty.master, b"\n")
        assert wait([high], time.monotonic() + 3600, terminal) == [high]
    finally:
        os.close(high)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_another_size_ends_the_wait(pty: Pty) -> None:
    terminal = Terminal(pty.slave, lambda: True)
    terminal.draw(showing("bar"), 0.0)
    assert not terminal.resized()
    pty.resize(50, 10)
    assert terminal.resized()
    assert wait([], time.monotonic() + 3600, terminal) == []


def test_what_can_be_read_ends_the_wait() -> None:
    reader, writer = os.pipe()
    try:
        assert wait([reader], time.monotonic(), None) == []
        os.write(writer, b"x")
        assert wait([reader], time.monotonic() + 3600, None) == [reader]
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("in_front", [True, False])
def test_the_last_lines_stay_where_the_program_has_the_terminal(in_front: bool, pty: Pty) -> None:
    terminal = Terminal(pty.slave, lambda: in_front)
    terminal.leave(showing("the end"))
    assert ("the end" in pty.written()) == in_front
