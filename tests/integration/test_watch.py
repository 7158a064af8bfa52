"""`headway watch` beside a program that goes on: on a terminal, in a pipe, and at its end."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest

from headway.demo.corpus import standard_library
from headway.engine.board import Board, open_board
from headway.upkeep import listing, removal

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S = 20.0
ON_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches us, and our children
from headway.cli.main import main
sys.exit(main())
"""


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    made = open_board(board_name, capacity=16)
    yield made
    with contextlib.suppress(FileNotFoundError):
        made.remove(files=True)


class OnTerminal:
    """The command `headway` on a terminal of so many columns."""

    def __init__(self, *arguments: str, columns: int = 80, rows: int = 24, **variables: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        command = [sys.executable, "-W", "always", "-c", ON_TERMINAL, *arguments]
        env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
        env |= {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **variables}
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
        )
        os.close(slave)
        self.text = ""

    def until(self, pattern: str) -> str:
        """Read until the pattern is in what was written; returns all of it."""
        deadline = time.monotonic() + WAIT_S
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, f"{pattern} not found in {self.text!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.text += os.read(self.master, 1 << 16).decode(errors="replace")
                except OSError:  # the other side is closed
                    assert re.search(pattern, self.text), f"ended without {pattern}: {self.text!r}"
        return self.text

    def press_ctrl_c(self) -> None:
        os.write(self.master, b"\x03")

    def end(self) -> int:
        """Wait for its end, reading what it writes; returns the exit status."""
        deadline = time.monotonic() + WAIT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still running: {self.text!r}"
            if select.select([self.master], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    self.text += os.read(self.master, 1 << 16).decode(errors="replace")
        return self.process.returncode

    def __enter__(self) -> OnTerminal:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.master)


def test_a_terminal_shows_the_count_rise_and_the_end(board: Board) -> None:
    task = board.task("work", total=100, unit="file", label="\x1b[2Jwork")
    task.update(10)
    with OnTerminal("watch", board.name, "--interval", "0.05", columns=60) as watch:
        assert "\x1b[36m" in watch.until("10/100 file")
        assert "\x1b[2J" not in watch.text
        task.update(32)
        watch.until("42/100 file")
        task.succeed()
        watch.until("succeeded")
        board.remove(files=False)
        assert watch.end() == 0
        assert f"{board.name} has ended" in watch.text
        # The whole of it was drawn in place: going up is all that moves the cursor.
        assert set(re.findall(r"\x1b\[\??[\d;]*([A-Za-z])", watch.text)) <= {"A", "J", "K", "h", "l", "m"}


def test_no_color_leaves_the_colours_out_and_draws_in_place_all_the_same(board: Board) -> None:
    task = board.task("work", total=100)
    task.update(1)
    with OnTerminal("watch", board.name, "--interval", "0.05", NO_COLOR="1") as watch:
        watch.until("1/100")
        task.update(1)
        watch.until("2/100")
        controls = set(re.findall(r"\x1b\[\??[\d;]*([A-Za-z])", watch.text))
        assert controls - {"J"} == {"A", "K", "h", "l"}  # J where a frame was shorter than the one before


def test_a_dumb_terminal_gets_lines(board: Board) -> None:
    board.task("work", total=100).update(1)
    with OnTerminal("watch", board.name, "--once", TERM="dumb") as watch:
        assert watch.end() == 0
        assert "\x1b" not in watch.until("work 1% 1/100 it")


def test_ctrl_c_ends_the_watch_and_nothing_else(board: Board) -> None:
    task = board.task("work", total=100)
    task.update(1)
    with OnTerminal("watch", board.name) as watch:
        watch.until("1/100")
        watch.press_ctrl_c()
        assert watch.end() == 130
        assert "Traceback" not in watch.text
    task.update(1)
    assert task.count == 2


def test_in_a_pipe_there_are_lines(board: Board) -> None:
    task = board.task("work", total=100)
    task.update(1)
    command = [sys.executable, "-m", "headway", "watch", board.name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "work 1% 1/100 it" in process.stdout.readline()
        task.fail("no more")
        assert re.search(r"work: failed 1% 1/100 it in .*: no more", process.stdout.readline())
        board.remove(files=False)
        rest = process.stdout.read()
        assert process.wait(WAIT_S) == 0
    assert rest.endswith(f"{board.name} has ended\n")
    assert "\x1b" not in rest


def test_for_programs_there_is_an_object_a_line(board: Board) -> None:
    task = board.task("work")
    command = [sys.executable, "-m", "headway", "watch", board.name, "--json", "--interval", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        counts = []
        for line in process.stdout:
            counts.append(json.loads(line)["tasks"][0]["count"])
            task.update()
            if len(counts) == 4:
                task.succeed()
                board.remove(files=False)
                break
        last = json.loads(process.stdout.read().splitlines()[-1])
        assert process.wait(WAIT_S) == 0
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]
    assert (last["tasks"][0]["count"], last["tasks"][0]["state"]) == (4, "success")


def test_the_watch_ends_when_nobody_uses_the_board_any_more(board: Board) -> None:
    board.task("work").update(3)
    with OnTerminal("watch", board.name, "--interval", "0.05") as watch:
        watch.until("3 it")
        board.close()  # without unlinking
        assert watch.end() == 0
        assert "cancelled" in watch.text
    open_board(board.name).remove(files=True)


def test_a_board_can_be_waited_for(board_name: str) -> None:
    with OnTerminal("watch", board_name, "--wait", "--interval", "0.05") as watch:
        time.sleep(0.3)
        assert watch.process.poll() is None
        board = open_board(board_name, capacity=8)
        board.task("work").update(7)
        watch.until("7 it")
        board.remove(files=True)
        assert watch.end() == 0


def test_a_board_of_which_only_files_are_left_is_shown_once(board: Board) -> None:
    board.task("work").update(9)
    board.write_snapshot()
    board.remove(files=False)
    with OnTerminal("watch", board.name) as watch:
        assert watch.end() == 0
        watch.until("from the snapshot of")
        assert "9 it" in watch.text
    open_board(board.name, capacity=8).remove(files=True)


def test_once_is_one_look(board: Board) -> None:
    board.task("work").update(5)
    with OnTerminal("watch", board.name, "--once") as watch:
        assert watch.end() == 0
        watch.until("5 it")


def test_ctrl_c_ends_the_demo_and_its_workers_and_keeps_what_is_known(board_name: str) -> None:
    source = str(standard_library() / "email")
    with OnTerminal("demo", "--board", board_name, "--source", source, "--repeat", "100", "--workers", "2") as demo:
        demo.until(r"[1-9]\d*/2,900 file")
        demo.press_ctrl_c()
        assert demo.end() == 130
        assert "Traceback" not in demo.text
        assert "Warning" not in demo.text
    info = listing.find(board_name)
    assert info is not None
    assert info.view is not None
    assert info.state == "snapshot"
    assert {task.state for task in info.view.tasks} == {"cancelled"}
    assert info.view.get("all") is not None
    assert [worker.pid for worker in info.view.workers if worker.alive] == [demo.process.pid]


def test_the_demo_on_a_terminal_ends_with_its_table(board_name: str) -> None:
    source = str(standard_library() / "email")
    with OnTerminal("demo", "--board", board_name, "--source", source, columns=40) as demo:
        assert demo.end() == 0
        text = demo.until("headway export|export")
    assert "\x1b[36m" in text
    table = text.rpartition("\x1b[J")[2]
    assert re.search(r"29 of 29 files indexed", table)
    assert "▕" not in table


def test_waiting_for_a_board_that_has_ended_shows_its_last_state(board: Board) -> None:
    board.task("one", total=3).update(2)
    board.write_snapshot()
    board.remove(files=False)
    with OnTerminal("watch", board.name, "--wait") as watch:
        told = watch.until("waiting for a program that opens")
        assert "2/3" in told
        assert "from the snapshot of " in told
        watch.press_ctrl_c()
        assert watch.end() == 130
    removal.remove(board.name)
