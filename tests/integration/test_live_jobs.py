"""Live bars and a real shell's job control, in a real terminal emulator: bash in tmux."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway.upkeep import removal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAM = Path(__file__).with_name("jobs.py")
WAIT_S = 30.0
COLUMNS, ROWS = 80, 24
PROMPT = "ready> "


class Tmux:
    """A shell in a terminal emulator of its own."""

    def __init__(self, place: Path) -> None:
        self._command = ["tmux", "-S", str(place), "-f", "/dev/null"]
        shell = f"env PS1={shlex.quote(PROMPT)} NO_COLOR=1 bash --norc --noprofile"
        self("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), shell)

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run([*self._command, *arguments], capture_output=True, text=True, check=True, timeout=WAIT_S)
        return done.stdout

    def type(self, text: str) -> None:
        self("send-keys", "-l", text)
        self("send-keys", "Enter")

    def press(self, key: str) -> None:
        self("send-keys", key)

    def resize(self, columns: int, rows: int) -> None:
        self("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self) -> list[str]:
        return [line.rstrip() for line in self("capture-pane", "-p").splitlines()]

    def said(self) -> list[str]:
        """All that is on the screen and scrolled off it, without empty lines."""
        lines = self("capture-pane", "-p", "-J", "-S", "-").splitlines()
        return [line.rstrip() for line in lines if line.strip()]

    def margins(self) -> tuple[int, int]:
        """The first and the last line that scrolls."""
        upper, lower = self("display-message", "-p", "#{scroll_region_upper} #{scroll_region_lower}").split()
        return int(upper), int(lower)

    def until(self, what: str, holds: Callable[[list[str]], object]) -> list[str]:
        give_up = time.monotonic() + WAIT_S
        while not holds(screen := self.screen()):
            assert time.monotonic() < give_up, "\n".join([f"not seen: {what}", *screen])
            time.sleep(0.05)
        return screen

    def until_clean(self, rows: int = ROWS) -> list[str]:
        """Until the shell has the terminal, all lines scroll, and no bar is left at its end."""
        self.until("a prompt", lambda screen: any(line.startswith(PROMPT.strip()) for line in screen))
        return self.until("all lines scroll", lambda screen: self.margins() == (0, rows - 1) and not at_end(screen))


def at_end(screen: list[str]) -> bool:
    """Are there bars in the last lines?"""
    return screen[-1].startswith("part ")


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    tmux = Tmux(tmp_path / "tmux")
    yield tmux
    with contextlib.suppress(subprocess.CalledProcessError):  # its shell was killed
        tmux("kill-server")


@pytest.fixture
def names(board_name: str) -> Iterator[list[str]]:
    """The boards of a test, which are removed after it."""
    names = [board_name, f"{board_name}-2"]
    yield names
    for name in names:
        with contextlib.suppress(KeyError):
            removal.remove(name, force=True)


def command(board: str, seconds: float = 60.0, how: str = "") -> str:
    return shlex.join([sys.executable, str(PROGRAM), board, str(seconds), how])


def pids(board: str, script: str) -> list[int]:
    """The processes that run this script for a board."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = place.read_bytes().decode().split("\0")
            if any(word.endswith(script) for word in words) and board in words:
                found.append(int(place.parent.name))
    return found


def test_stopped_and_in_the_background_it_leaves_the_terminal_to_the_shell(tmux: Tmux, names: list[str]) -> None:
    tmux.type(command(names[0]))
    tmux.until("bars", at_end)
    assert tmux.margins() == (0, ROWS - 3)
    assert sum(line.startswith("part ") for line in tmux.said()) == 1
    tmux.press("C-z")
    tmux.until("the shell's word", lambda screen: any("Stopped" in line for line in screen))
    tmux.until_clean()
    tmux.type("echo free $((6 * 7))")
    tmux.until("its answer", lambda screen: "free 42" in screen)

    tmux.type("fg")
    tmux.until("bars again", at_end)
    assert tmux.margins() == (0, ROWS - 3)
    tmux.press("C-z")
    tmux.until_clean()

    tmux.type("stty tostop; bg")  # from now on it is stopped by what it prints; its helper is not
    tmux.until("stopped by its own output", lambda screen: "Stopped" in "".join(screen[-6:]) or not at_end(screen))
    time.sleep(1)
    tmux.until_clean()
    tmux.type("stty -tostop; fg")
    tmux.until("bars once more", at_end)
    tmux.press("C-c")
    tmux.until_clean()
    assert not any(re.search(r"line \d+\|.", line) for line in tmux.said())


def test_a_loop_that_is_stopped_or_killed_leaves_the_terminal_to_the_shell(tmux: Tmux, names: list[str]) -> None:
    tmux.type(command(names[0], how="loop"))
    tmux.until("a bar", at_end)
    assert tmux.margins() == (0, ROWS - 2)
    tmux.press("C-z")
    tmux.until("the shell's word", lambda screen: any("Stopped" in line for line in screen))
    tmux.until_clean()
    tmux.type("echo free $((6 * 7))")
    tmux.until("its answer", lambda screen: "free 42" in screen)
    tmux.type("fg")
    tmux.until("a bar again", at_end)
    for columns, rows in ((60, 14), (100, 30), (80, 24)):
        tmux.resize(columns, rows)
        tmux.until(
            f"a bar at the end of {columns} x {rows}",
            lambda screen, rows=rows: (at_end(screen), len(screen), tmux.margins()) == (True, rows, (0, rows - 2)),  # type: ignore[misc]
        )
    for pid in pids(names[0], "jobs.py"):
        os.kill(pid, signal.SIGKILL)
    tmux.until_clean()
    # In the moment of a change of size a terminal has all lines scroll: what is printed then stands on what was a bar.
    printed = [int(found[1]) for line in tmux.said() if (found := re.match(r"(?:\^Z)?line (\d+)\|", line))]
    assert printed == list(range(len(printed))), "\n".join(tmux.said())
    assert not any(line.startswith("part ") for line in tmux.said())


def test_begun_in_the_background_it_draws_nothing(tmux: Tmux, names: list[str]) -> None:
    tmux.type(command(names[0], 2) + " >/dev/null & wait; echo waited $((6 * 7))")
    tmux.until("its end", lambda screen: "waited 42" in screen)
    assert not any(line.startswith("part ") for line in tmux.said())
    assert tmux.margins() == (0, ROWS - 1)


def test_bars_stay_at_the_end_of_a_terminal_that_changes_its_size(tmux: Tmux, names: list[str]) -> None:
    tmux.type(command(names[0]))
    tmux.until("bars", at_end)
    for columns, rows in ((60, 14), (100, 30), (50, 10), (80, 24)):
        tmux.resize(columns, rows)
        placed = rows, (0, rows - 3)
        tmux.until(
            f"bars at the end of {columns} x {rows}",
            lambda screen, placed=placed: at_end(screen) and (len(screen), tmux.margins()) == placed,  # type: ignore[misc]
        )
        tmux.until("lines above them", lambda screen: any(re.fullmatch(r"line \d+\|", line) for line in screen[:-2]))
    tmux.press("C-c")
    tmux.until_clean()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_program_leaves_a_clean_terminal(tmux: Tmux, names: list[str], number: signal.Signals) -> None:
    tmux.type(command(names[0]))
    tmux.until("bars", at_end)
    for pid in pids(names[0], "jobs.py"):
        os.kill(pid, number)
    tmux.until_clean()
    tmux.type("echo free $((6 * 7))")
    tmux.until("its answer", lambda screen: "free 42" in screen)


def test_a_killed_helper_leaves_a_clean_terminal_when_the_program_ends(tmux: Tmux, names: list[str]) -> None:
    tmux.type(command(names[0]))
    tmux.until("bars", at_end)
    (helper,) = pids(names[0], "board_process")
    os.kill(helper, signal.SIGKILL)
    tmux.press("C-c")
    tmux.until_clean()


def test_of_two_programs_on_one_terminal_one_has_bars_and_the_other_lines(tmux: Tmux, names: list[str]) -> None:
    first, second = names
    tmux.type(f"{command(first, 60)} | {command(second, 60)} >/dev/null")
    one_line = re.compile(rf"\d\d:\d\d:\d\d ({first}|{second})  .*running")
    screen = tmux.until("bars, and a line", lambda screen: at_end(screen) and any(map(one_line.match, screen)))
    held = first if screen[-2].startswith(f"{first} ") else second
    other = second if held == first else first
    assert next(found[1] for line in screen if (found := one_line.match(line))) == other
    assert sum(line.startswith("part ") for line in screen) == 1
    for pid in pids(held, "jobs.py"):
        os.kill(pid, signal.SIGKILL)
    if other == second:  # the first one of a pipe ends when nobody reads any more
        tmux.until("the bars of the other one", lambda screen: at_end(screen) and screen[-2].startswith(f"{other} "))
        tmux.press("C-c")
    tmux.until_clean()
