"""Programs that print at random below bars: the screen, and what scrolled off it, are as without any bars."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pyte
import pytest

from tests.integration.screen import COLUMNS, ROWS, Screen, drawers, gone
from tests.terminals import Terminal

PROGRAM = Path(__file__).with_name("printing_at_random.py")
STEPS = 25
FRAME = re.compile(rb"(?:\x1bD)*(?:\x1b\[\d+A)?\x1b7.*?\x1b\[\?7h(?:\x1b\[J)?", re.DOTALL)  # what bars write


def shown_by(written: bytes) -> list[str]:
    """All lines, without colours, that a terminal shows and has shown."""
    terminal = Terminal(COLUMNS, ROWS)
    pyte.ByteStream(terminal).feed(written)
    assert terminal.margins is None, "not all lines scroll"
    return terminal.all_lines()


@pytest.fixture(autouse=True)
def own_board(monkeypatch: pytest.MonkeyPatch, board_name: str) -> None:
    monkeypatch.setenv("HEADWAY_BOARD", board_name)


@pytest.mark.parametrize("kills", [False, True], ids=["", "helpers are killed"])
@pytest.mark.parametrize("seed", [pytest.param(seed, marks=pytest.mark.slow if seed else ()) for seed in range(8)])
def test_all_that_is_printed_is_there_once_and_no_dead_bar_is_above_it(seed: int, kills: bool) -> None:
    with Screen(PROGRAM, str(seed), str(STEPS)) as shown:
        shown.until(lambda: "outer" in shown.screen.display[-1])
        program = shown.program()
        shown.type("\n")
        killed: set[int] = set()
        for _ in range(2 if kills else 0):
            shown.until(lambda: set(drawers(program)) - killed or shown.process.poll() is not None)
            for helper in set(drawers(program)) - killed:
                os.kill(helper, signal.SIGKILL)
                killed.add(helper)
        assert shown.end() == 0, "\n".join(shown.lines())
        assert gone(program)
    assert len(FRAME.findall(shown.written)) > 1
    lines = shown_by(shown.written)
    assert lines == shown_by(FRAME.sub(b"", shown.written))
    assert sum("▕" in line for line in lines) == 1
    assert lines[-1] == "end"
