"""Draws the terminal pictures of the README from real runs: docs/watch.svg, docs/top.svg, docs/live.svg.

ci/screenshots runs it. Programs run on a pseudo-terminal, pyte is the terminal, Rich draws its screen; of `headway top`
Textual draws its own.
"""

from __future__ import annotations

import asyncio
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

from headway.top.app import TopApp
from headway.upkeep import listing, removal

HERE = Path(__file__).resolve().parent
COLUMNS = 118
LIMIT_S = 120.0
HEADWAY = [sys.executable, "-m", "headway"]
NIGHTLY = [sys.executable, str(HERE / "nightly.py"), "nightly"]
FRAME_END = b"\x1b[?7h"

# pyte knows no faint text: here it stands in the place of blinking text, which nothing here uses.
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
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HEADWAY_DIR": folder, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        os.environ.pop("NO_COLOR", None)
        for draw in (watch, live, top):
            draw()
    for picture in sorted(HERE.glob("*.svg")):
        print(f"{picture.relative_to(HERE.parent)}: {picture.stat().st_size // 1024} KiB")


# ------------------------------------------------------------------------------------------------------- the pictures


def watch() -> None:
    """`headway watch` beside the demo, at the moment at which a worker is killed."""
    screen = pyte.Screen(COLUMNS, 16)
    with (
        running([*HEADWAY, "demo", "--workers", "4"]) as demo,
        on_terminal([*HEADWAY, "watch", "demo", "--wait"], screen) as master,
    ):
        show(screen, master, lambda lines: bool(re.search(r" [3-9]\d succeeded", lines[0])))
        demo.send_signal(signal.SIGSTOP)  # it would end the whole pool at once, and go on with a new one
        os.kill(busy_worker("demo"), signal.SIGKILL)
        show(screen, master, lambda lines: " 1 lost" in lines[0])
        demo.send_signal(signal.SIGCONT)
    save("watch", "headway watch demo", screen)


def live() -> None:
    """Live bars of nightly.py below what its workers print, after one of them was killed."""
    screen = pyte.Screen(COLUMNS, 22)
    with on_terminal([*NIGHTLY, "--live"], screen) as master:
        show(screen, master, lambda lines: any(" 1 lost" in line for line in lines) and "more (" in lines[-1])
        until = time.monotonic() + 8  # the others go on
        show(screen, master, lambda lines: time.monotonic() > until and "more (" in lines[-1])
    removal.remove("nightly", force=True)
    save("live", "python nightly.py --live", screen)


def top() -> None:
    """`headway top` beside nightly.py, after a worker was killed."""
    with running(NIGHTLY):
        wait_for(lambda: "lost" in states())
        time.sleep(6)
        picture = asyncio.run(picture_of_top())
    removal.remove("nightly", force=True)
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)  # no font from elsewhere
    picture = re.sub(r"terminal-\d+", "top", picture).replace("Fira Code", "DejaVu Sans Mono")
    (HERE / "top.svg").write_text(tidy(picture))


async def picture_of_top() -> str:
    """What it shows by urgency, with the cursor on a running task."""
    app = TopApp("nightly")
    async with app.run_test(size=(COLUMNS, 34)) as pilot:
        await pilot.pause(1.5)
        await pilot.press("s", "j", "j", "j")
        await pilot.pause(1.5)
        return app.export_screenshot(title="headway top nightly")


# --------------------------------------------------------------------------------------------------------- the boards


def states() -> set[str]:
    """In which states tasks of nightly.py are."""
    board = listing.attach("nightly")
    if board is None:
        return set()
    with contextlib.closing(board):
        return {task.state for task in board.tasks()}


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen")
        time.sleep(0.1)


def busy_worker(name: str) -> int:
    """The pid of a worker that is in the middle of its package."""
    board = listing.attach(name)
    assert board is not None
    with contextlib.closing(board):
        tasks = [task for task in board.tasks("running") if task.parent is not None]
    return max(tasks, key=lambda task: min(task.count, (task.total or 0) - task.count)).owner_pid


# ------------------------------------------------------------------------------------------------------- the terminal


def show(screen: pyte.Screen, master: int, is_it: Callable[[list[str]], bool]) -> None:
    """Feed the screen until its lines are as wanted and the frame is complete. Raises TimeoutError."""
    stream = pyte.ByteStream(screen)
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            read = os.read(master, 1 << 16)
            stream.feed(read)
            if read.endswith(FRAME_END) and is_it(screen.display):
                return
    raise TimeoutError("it was not shown:\n" + "\n".join(screen.display))


@contextlib.contextmanager
def running(command: list[str], stream: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[bytes]]:
    """The command in the background; ended with all its processes when the block is left."""
    process = subprocess.Popen(command, stdin=stream, stdout=stream, stderr=stream, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def on_terminal(command: list[str], screen: pyte.Screen) -> Iterator[int]:
    """The command on a pseudo-terminal of the size of the screen; gives the other end of it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", screen.lines, screen.columns, 0, 0))
    with running(command, slave):
        os.close(slave)
        yield master
    os.close(master)


def save(name: str, title: str, screen: pyte.Screen) -> None:
    """Draw a screen."""
    console = Console(width=screen.columns, record=True, file=io.StringIO(), force_terminal=True)
    console.print(text_of(screen), no_wrap=True, overflow="crop", crop=False)
    page = console.export_svg(title=title, theme=THEME, code_format=PAGE, unique_id=name)
    (HERE / f"{name}.svg").write_text(tidy(page))


def text_of(screen: pyte.Screen) -> Text:
    """The screen as text in runs of one style."""
    text = Text()
    for row in range(screen.lines):
        if row:
            text.append("\n")
        chars = [screen.buffer[row][column] for column in range(screen.columns)]
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
