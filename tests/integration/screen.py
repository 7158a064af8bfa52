"""A program on a pseudo-terminal, and what its user sees: the screen, and what scrolled off it, shown by pyte."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyte

from tests.terminals import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WAIT_S = 30.0
COLUMNS, ROWS = 80, 24
HELPERS = (b"headway.bars.board_process", b"headway.bars.loops_process")
LIKE_A_SHELL = """
import fcntl, subprocess, sys, termios, signal
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, lambda *_: None)
sys.exit(subprocess.run([sys.executable, "-W", "always", *sys.argv[1:]]).returncode)
"""


class Screen:
    """The program on a terminal of 80 columns and 24 rows. stderr: its standard error, default the terminal."""

    def __init__(
        self, program: Path, *arguments: str, stderr: int | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        inherited = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONUNBUFFERED", "COLUMNS", "LINES")
        }
        own = {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1", **(env or {})}
        self.process = subprocess.Popen(
            [sys.executable, "-c", LIKE_A_SHELL, str(program), *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave if stderr is None else stderr,
            env={**inherited, **own},
            start_new_session=True,
        )
        os.close(slave)
        self.screen = Terminal(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.written = b""

    def read(self, timeout_s: float) -> bool:
        """Show what was written meanwhile. False: no process has the terminal any more."""
        if select.select([self.master], [], [], timeout_s)[0]:
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:
                return False
            self.written += data
            self.stream.feed(data)
        return True

    def until(self, seen: Callable[[], object]) -> None:
        """Show what is written until the screen is as wanted."""
        deadline = time.monotonic() + WAIT_S
        while not seen():
            assert time.monotonic() < deadline, "\n".join(self.lines())
            assert self.read(0.1), "\n".join(self.lines())

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def program(self) -> int:
        """The pid of the program, not of what stands for the shell."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.until(children.read_text)
        (program,) = children.read_text().split()
        return int(program)

    def kill(self) -> None:
        os.kill(self.program(), signal.SIGKILL)

    def end(self) -> int:
        deadline = time.monotonic() + WAIT_S
        while self.read(0.1):
            assert time.monotonic() < deadline, "\n".join(self.lines())
        return self.process.wait(WAIT_S)

    def lines(self) -> list[str]:
        """All lines from the first one on, those that scrolled off included."""
        return self.screen.all_lines()

    def said(self) -> list[str]:
        return [line for line in self.lines() if line]

    def bars(self) -> list[str]:
        """The lines of the screen that hold a bar."""
        return [line for line in self.screen.display if "▕" in line]

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.master)


def drawers(program: int | None = None, board: str | None = None) -> list[int]:
    """The helpers that draw: for a program, by its pid, or the live bars of a board."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = place.read_bytes().split(b"\0")
            if not any(helper in words for helper in HELPERS) or (board is not None and board.encode() not in words):
                continue
            notes = (place.parent / "fdinfo/4").read_text()  # the program's pidfd
            if program is None or f"Pid:\t{program}\n" in notes:
                found.append(int(place.parent.name))
    return found


def gone(program: int | None = None, board: str | None = None) -> bool:
    """Has the helper ended, within the time that a busy machine takes?"""
    deadline = time.monotonic() + WAIT_S
    while (left := drawers(program, board)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not left
