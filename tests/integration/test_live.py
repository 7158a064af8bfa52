"""Live bars on a terminal: a pseudo-terminal, shown by pyte, with a pool that prints and logs from four processes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway.process.drawing import RELEASE
from headway.upkeep import listing, removal
from tests.integration.screen import ROWS, WAIT_S, Screen, drawers, gone

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(__file__).with_name("printing_pool.py")
LINES = 60


def go(shown: Screen) -> None:
    """Have the pool begin once there are bars: all that it prints goes by above them."""
    shown.until(lambda: len(shown.bars()) == 4)
    shown.type("\n")


def printed() -> set[str]:
    texts = {f"worker {number} line {line} {'x' * (line % 40)}|" for number in range(4) for line in range(LINES)}
    return texts | {f"log worker {number} line {line}|" for number in range(4) for line in range(0, LINES, 10)}


@pytest.fixture
def tidy(board_name: str) -> Iterator[None]:
    yield
    with contextlib.suppress(KeyError):
        removal.remove(board_name, force=True)


def test_not_one_line_of_four_processes_is_garbled(board_name: str) -> None:
    with Screen(PROGRAM, board_name, str(LINES)) as shown:
        go(shown)
        top = ROWS - 5
        assert all("▕" not in line for line in shown.screen.display[:top])
        assert board_name in shown.screen.display[top]
        assert shown.end() == 0
        lines = shown.lines()
    assert printed() <= set(lines)
    rest = [line for line in lines if line and line not in printed()]
    assert rest[:2] == ["threads 1|", "half a line"]
    assert board_name in rest[2]
    assert [re.sub(r" ▕.*▏", "", line)[:22] for line in rest[3:7]] == [f"part {n} 100% 60/60 line" for n in range(4)]
    assert rest[7:] == ["after|"]
    assert b"Warning" not in shown.written
    assert gone(board=board_name)


LOOP_BESIDE = """
import sys, time
import headway

shown, other = sys.argv[1:]
board = headway.open(shown, capacity=8, record=False)
with board.live():
    for number in headway.track(range(20), label="loop", board=other or None):
        print(f"printed {number}|", flush=True)
        time.sleep(0.02)
board.remove(files=True)
"""


@pytest.mark.parametrize("elsewhere", [False, True], ids=["on the board that is shown", "on another board"])
def test_a_loop_draws_no_bar_between_live_bars_and_what_is_printed(
    board_name: str, tmp_path: Path, elsewhere: bool
) -> None:
    program = tmp_path / "loop_beside.py"
    program.write_text(LOOP_BESIDE)
    with Screen(program, board_name, f"{board_name}-2" if elsewhere else "") as shown:
        assert shown.end() == 0
        lines = [line for line in shown.lines() if line]
    assert lines[:20] == [f"printed {number}|" for number in range(20)]
    assert board_name in lines[20]
    assert [line[:4] for line in lines[21:]] == ([] if elsewhere else ["loop"])
    if elsewhere:
        removal.remove(f"{board_name}-2", force=True)


BESIDE = """
import os, sys, time
import headway

shown, how = sys.argv[1:]
board = headway.open(shown, capacity=8 if how != "full" else 2, record=False)


def loop(label, name=None):
    for number in headway.track(range(8), label=label, board=name):
        print(f"printed {number}|", flush=True)
        time.sleep(0.05)
        if how == "that closes standard error":
            sys.stderr.close()


if how == "in a forked child":
    with board.live():
        pid = os.fork()
        if pid == 0:
            loop("child", shown)
            os._exit(0)
        os.waitpid(pid, 0)
elif how == "inside one that began before":
    for _ in headway.track(range(1), label="outer", board=f"{shown}-2"):
        time.sleep(1.5)  # its bar is drawn, by a helper of its own
        with board.live():
            time.sleep(1.0)  # no item is asked for, so it is not the loop that notices
            loop("inner")
elif how == "on a board that was closed":
    with board.live():
        board.close()
        loop("late")
elif how == "that closes standard error":
    with board.live():
        loop("late", f"{shown}-2")
elif how == "full":
    tasks = [board.task(f"t{number}") for number in range(2)]
    with board.live():
        loop("late")
headway.open(shown, record=False).remove(files=True)
"""


@pytest.mark.parametrize(
    "how",
    [
        "in a forked child",
        "inside one that began before",
        "on a board that was closed",
        "full",
        "that closes standard error",
    ],
)
def test_no_loop_draws_over_what_is_printed_above_live_bars(board_name: str, tmp_path: Path, how: str) -> None:
    program = tmp_path / f"{board_name}-3.py"  # the script's board is called so
    program.write_text(BESIDE)
    with Screen(program, board_name, how) as shown:
        assert shown.end() == 0
        lines = [line for line in shown.lines() if line]
    assert [line for line in lines if line.startswith("printed")] == [f"printed {number}|" for number in range(8)]
    assert any(line.startswith(f"{board_name} ") for line in lines), lines
    assert not any(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines), lines
    bars = [line for line in lines if line.startswith(("child ", "late "))]
    assert len(bars) == (how == "in a forked child"), bars
    left = [name for name in (f"{board_name}-2", f"{board_name}-3") if name in {info.name for info in listing.boards()}]
    for name in left:
        removal.remove(name, force=True)


def test_without_a_terminal_a_loop_on_another_board_has_its_lines(board_name: str, tmp_path: Path) -> None:
    program = tmp_path / "loop_beside.py"
    program.write_text(LOOP_BESIDE)
    command = [sys.executable, str(program), board_name, f"{board_name}-2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=WAIT_S, stdin=subprocess.DEVNULL)
    assert re.search(r"^\d\d:\d\d:\d\d loop: succeeded 100% 20/20 it", done.stderr, re.MULTILINE), done.stderr
    removal.remove(f"{board_name}-2", force=True)


def test_an_exception_is_told_below_the_last_bars(board_name: str) -> None:
    with Screen(PROGRAM, board_name, "20", "raise") as shown:
        go(shown)
        assert shown.end() == 1
        lines = [line for line in shown.lines() if line]
    assert lines[-1] == "RuntimeError: it had to be"
    assert sum("▕" in line for line in lines) == 4
    assert shown.screen.margins is None


@pytest.mark.usefixtures("tidy")
@pytest.mark.parametrize("end", ["hang", "hold"])
def test_a_killed_program_leaves_a_terminal_that_scrolls(board_name: str, end: str) -> None:
    with Screen(PROGRAM, board_name, "20", end) as shown:
        go(shown)
        shown.until(lambda: any("half a line" in line for line in shown.screen.display))
        shown.kill()
        assert gone(board=board_name)
        shown.end()
        assert gone(board=board_name)
    assert shown.screen.margins is None
    assert shown.screen.cursor.x == 0


@pytest.mark.usefixtures("tidy")
def test_a_killed_helper_costs_the_bars_and_nothing_else(board_name: str) -> None:
    with Screen(PROGRAM, board_name, "20", "hang") as shown:
        shown.until(lambda: len(shown.bars()) == 4)
        shown.type("\n")
        shown.until(lambda: any("half a line" in line for line in shown.screen.display))
        for pid in drawers(board=board_name):
            os.kill(pid, signal.SIGKILL)
        assert gone(board=board_name)
        shown.type("\x03")  # Ctrl-C
        shown.end()
        lines = [line for line in shown.lines() if line]
    assert lines[-1] == "KeyboardInterrupt"
    assert shown.screen.margins is None
    assert RELEASE.encode() in shown.written


def test_a_resized_terminal_has_its_bars_at_the_end_again(board_name: str) -> None:
    with Screen(PROGRAM, board_name, "20", "hang") as shown:
        shown.until(lambda: len(shown.bars()) == 4)
        shown.resize(70, 30)
        shown.until(lambda: all("▕" in line for line in shown.screen.display[-4:]))
        shown.type("\x03")
        shown.end()
    assert shown.screen.margins is None


def test_without_a_terminal_there_are_lines_and_nothing_else(board_name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "always", str(PROGRAM), board_name, "20"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=WAIT_S,
    )
    assert "\x1b" not in done.stdout + done.stderr
    told = [line for line in done.stderr.splitlines() if not line.startswith("log ")]
    assert re.fullmatch(rf"\d\d:\d\d:\d\d {board_name}  .*4 succeeded.*", told[-1])
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in told)
    assert gone(board=board_name)
