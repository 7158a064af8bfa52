"""Draws docs/watch.svg: the screen of a real `headway watch`, at the moment at which a worker of the demo is killed.

ci/picture runs it. A watch runs on a pseudo-terminal, the demo beside it; pyte is the terminal, Rich draws its screen.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import itertools
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pyte.graphics
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from headway import maintenance

COLUMNS, ROWS = 118, 16
LIMIT_S = 60.0
TARGET = Path(__file__).resolve().parent / "watch.svg"
HEADWAY = [sys.executable, "-m", "headway"]
DEMO, WATCH = [*HEADWAY, "demo", "--workers", "4"], [*HEADWAY, "watch", "demo", "--wait"]
FRAME_END = b"\x1b[?7h"
COMMAND = "headway watch demo"

# pyte knows no faint text: here it stands in the place of blinking text, which a watch does not use.
pyte.graphics.TEXT.update({2: "+blink", 22: "-blink"})

THEME = TerminalTheme(
    (24, 27, 33),
    (205, 209, 217),
    [
        *((60, 64, 72), (240, 113, 120), (140, 200, 120), (235, 190, 110)),
        *((97, 160, 235), (200, 130, 230), (80, 190, 200), (205, 209, 217)),
    ],
)
PAGE = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: {char_height}px }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 16px }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    screen = pyte.Screen(COLUMNS, ROWS)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HEADWAY_DIR": folder, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
        os.environ.pop("NO_COLOR", None)
        with (
            running([*HEADWAY, "demo", "--workers", "4"]) as demo,
            on_terminal([*HEADWAY, "watch", "--wait"]) as master,
        ):
            show(screen, master, lambda head: bool(re.search(r" [3-9]\d done", head)))
            demo.send_signal(signal.SIGSTOP)  # it would end the whole pool at once, and go on with a new one
            os.kill(busy_worker(), signal.SIGKILL)
            show(screen, master, lambda head: " 1 lost" in head)
            demo.send_signal(signal.SIGCONT)
    console = Console(width=COLUMNS, record=True, file=io.StringIO(), force_terminal=True)
    console.print(text_of(screen), no_wrap=True, overflow="crop", crop=False)
    TARGET.write_text(tidy(console.export_svg(title=COMMAND, theme=THEME, code_format=PAGE, unique_id="watch")))
    print(TARGET)


def busy_worker() -> int:
    """The pid of a worker that is in the middle of its package."""
    board = maintenance.attach("demo")
    assert board is not None
    with contextlib.closing(board):
        tasks = [task for task in board.tasks("running") if task.parent is not None]
    return max(tasks, key=lambda task: min(task.count, (task.total or 0) - task.count)).owner_pid


def show(screen: pyte.Screen, master: int, is_it: Callable[[str], bool]) -> None:
    """Feed the screen until its first line is as wanted and the frame is complete. Raises TimeoutError."""
    stream = pyte.ByteStream(screen)
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            read = os.read(master, 1 << 16)
            stream.feed(read)
            if read.endswith(FRAME_END) and is_it(screen.display[0]):
                return
    raise TimeoutError("the watch did not show it:\n" + "\n".join(screen.display))


@contextlib.contextmanager
def running(command: list[str], stream: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[bytes]]:
    """The command in the background; ended, in good order if it can, when the block is left."""
    process = subprocess.Popen(command, stdin=stream, stdout=stream, stderr=stream)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def on_terminal(command: list[str]) -> Iterator[int]:
    """The command on a pseudo-terminal; gives the other end of it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    with running(command, slave):
        os.close(slave)
        yield master
    os.close(master)


def text_of(screen: pyte.Screen) -> Text:
    """The screen as text in runs of one style."""
    text = Text()
    for row in range(ROWS):
        if row:
            text.append("\n")
        chars = [screen.buffer[row][column] for column in range(COLUMNS)]
        for style, run in itertools.groupby(chars, style_of):
            text.append("".join(char.data for char in run), style)
    return text


def style_of(char: pyte.screens.Char) -> Style:
    colour = None if char.fg == "default" else {"brown": "yellow"}.get(char.fg, char.fg)
    return Style(color=colour, bold=char.bold, dim=char.blink)


def tidy(page: str) -> str:
    """Without the ends of lines and empty lines that nobody sees."""
    return "\n".join(line.rstrip() for line in page.splitlines() if line.strip()) + "\n"


if __name__ == "__main__":
    main()
