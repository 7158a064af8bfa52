"""Programs that print at random below bars: the screen, and what scrolled off it, are as without any bars."""

from __future__ import annotations

import os
import random
import re
import signal
from pathlib import Path

import pyte
import pytest

from tests.integration.screen import COLUMNS, ROWS, Screen, drawers, gone
from tests.terminals import Terminal

PROGRAM = Path(__file__).with_name("printing_at_random.py")
STEPS = 25
SIZES = ((80, 24), (60, 20), (100, 30), (72, 14), (120, 40), (90, 10))
STEADY = """
import time
import headway
for number in headway.track(range(1000), "rows", leave=False):
    print(f"printed {number}|", flush=True)
    time.sleep(0.01)
    if number == 20:
        input()
    if number == 150:
        break
print("end")
"""
DEBUGGED = """
import headway
answer = 41
for number in headway.track(range(3), "rows"):
    print("at", number, flush=True)
    breakpoint()
print("end")
"""
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


@pytest.mark.parametrize("seed", range(3))
def test_a_terminal_that_changes_its_size_at_random_shows_each_line_once(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    program = tmp_path / "steady.py"
    program.write_text(STEADY)
    with Screen(program) as shown:
        shown.until(lambda: "rows" in shown.screen.display[-1])
        shown.type("\n")
        for _ in range(8):
            shown.until(lambda: not shown.read(0.0) or "rows" in shown.screen.display[-1])
            shown.resize(*dice.choice(SIZES))
            for _ in range(dice.randrange(4)):
                shown.read(0.05)
        assert shown.end() == 0, "\n".join(shown.lines())
    said = shown.said()
    printed = [int(found[1]) for line in said if (found := re.match(r"printed (\d+)\|", line))]
    assert printed == list(range(151)), "\n".join(said)
    assert said[-1] == "end"
    assert not any("▕" in line for line in said if not line.startswith("printed")), "a bar was left"
    assert shown.screen.margins is None


@pytest.mark.parametrize("seed", range(3))
def test_what_is_typed_to_the_debugger_and_what_it_answers_stay_whole_while_bars_are_drawn(
    seed: int, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    program = tmp_path / "debugged.py"
    program.write_text(DEBUGGED)
    asked = []
    with Screen(program) as shown:
        shown.until(lambda: "rows" in shown.screen.display[-1])
        for stop in range(3):
            for number in range(3):
                prompts = 4 * stop + number + 1  # what is typed before is echoed among what is printed
                shown.until(lambda prompts=prompts: shown.written.count(b"(Pdb) ") >= prompts)  # type: ignore[misc]
                marks = "".join(dice.choice("abcdefgh") for _ in range(dice.randrange(1, 50)))
                command = f"p answer + {number}, '{marks}'"
                asked += [f"(Pdb) {command}", f"({41 + number}, '{marks}')"]
                for piece in re.findall(f".{{1,{dice.randrange(1, 30)}}}", command):
                    shown.type(piece)
                    shown.read(dice.choice((0.0, 0.02, 0.15)))
                if stop == number == 0:  # half a line stands there while bars are drawn anew
                    frames = len(FRAME.findall(shown.written))
                    shown.until(lambda frames=frames: len(FRAME.findall(shown.written)) > frames)  # type: ignore[misc]
                shown.type("\n")
                shown.until(lambda answer=asked[-1]: answer in shown.said())  # type: ignore[misc]
            shown.until(lambda stop=stop: shown.written.count(b"(Pdb) ") >= 4 * stop + 4)  # type: ignore[misc]
            shown.type("c\n")
            asked.append("(Pdb) c")
        assert shown.end() == 0, "\n".join(shown.lines())
    said = [line for line in shown.said() if line.startswith(("(Pdb)", "(4", "at"))]
    want = [line for at in range(3) for line in (f"at {at}", *asked[7 * at : 7 * at + 7])]
    assert said == want, "\n".join(shown.lines())
    assert shown.said()[-1] == "end"
    assert sum("▕" in line for line in shown.said()) == 1
    assert shown.screen.margins is None
