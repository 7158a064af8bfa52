"""A process killed, or stopped, at each step of the native code: everybody else goes on, and nobody sees half a thing.

The scenarios stand in crash_lock.py, crash_slot.py and crash_meanwhile.py, which run as processes of their own on a
build with hooks. What is checked after each kill, by processes that come fresh to the board, stands in look.py.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunPython

    Record = Callable[[str, object], None]


HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PUBLISHING = {"stripe zeroed", "word", "filled", "hashed", "published"}
FREEING = {"free", "freed", "frees"}
WRITING = {"slot lock", "flip", "word", "slot unlock"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "steps"),
    [
        ("lock.claim_new", {"token", "owner", "unlock", "unlocked", *PUBLISHING}),
        ("lock.claim_again", {"token", "owner", "unlock", "unlocked", *PUBLISHING, *FREEING}),
        ("lock.restart", {"token", "owner", "slot lock", "unlock", "unlocked", *PUBLISHING, *FREEING}),
        ("lock.free", {"token", "owner", "slot lock", "unlock", "unlocked", *FREEING}),
        ("lock.gone", {"token", "owner", "slot lock", "gone before", "gone note", "gone", *FREEING}),
        ("lock.evict", {"token", "owner", "unlock", "unlocked", *FREEING}),
        ("lock.repair", {"token", "owner", "repair"}),
        ("slot.status", WRITING),
        ("slot.mend", WRITING),
        ("slot.result", WRITING),
        ("slot.merge", WRITING),
        ("slot.join", {"drawn", "alive", "row taken", "word", "row filled", "stripe", "lost"}),
        ("slot.link", {"block noted", "block claimed", "block stripe", "block filled", "block linked", "stripe"}),
        ("slot.leave", WRITING),
    ],
)
def test_a_kill_at_any_step_stops_nobody_and_leaves_no_half_of_anything(
    scenario: str,
    steps: set[str],
    run_python: RunPython,
    hooks_build: Path,
    board_name: str,
    record_property: Record,
) -> None:
    assert tried(run_python, hooks_build, scenario, board_name, record_property) >= steps


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "steps"), [("lock.stop", PUBLISHING | FREEING), ("slot.stopped_writer", WRITING - {"slot lock"})]
)
def test_a_stopped_holder_is_not_robbed_and_whoever_waits_is_told_its_pid(
    scenario: str,
    steps: set[str],
    run_python: RunPython,
    hooks_build: Path,
    board_name: str,
    record_property: Record,
) -> None:
    assert tried(run_python, hooks_build, scenario, board_name, record_property) >= steps


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario", ["renew", "keep", "move", "remember", "count", "anew", "fork", "close", "leave", "hold", "together"]
)
def test_nobody_loses_what_is_theirs_while_somebody_stands_at_a_step(
    scenario: str, run_python: RunPython, hooks_build: Path, board_name: str, record_property: Record
) -> None:
    assert tried(run_python, hooks_build, f"meanwhile.{scenario}", board_name, record_property)


def tried(run_python: RunPython, hooks_build: Path, scenario: str, board: str, record_property: Record) -> set[str]:
    """The kinds of steps at which processes were killed or stopped."""
    file, _, name = scenario.partition(".")
    path = os.pathsep.join((str(hooks_build), str(ROOT)))
    done = run_python(HERE / f"crash_{file}.py", name, board, env={"PYTHONPATH": path}, timeout_s=600)
    times, steps = done.stdout.splitlines()
    record_property("kills and stops", int(times))
    assert int(times) >= len(steps.split(","))
    return set(steps.split(","))
