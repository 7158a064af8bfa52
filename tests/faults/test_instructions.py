"""A process killed at every instruction of the native calls. The calls stand in crash_instructions.py, a program.

It also has to find what is planted: builds of the native module with mistakes that somebody could make.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.planted import Edit
from tests.faults.variants import build, c_code

if TYPE_CHECKING:
    from tests.conftest import Finished, RunPython

__all__ = ["c_code"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def killed_everywhere(run_python: RunPython, *words: str, path: str = str(ROOT), check: bool = True) -> Finished:
    script = HERE / "crash_instructions.py"
    return run_python(script, *words, env={"PYTHONPATH": path}, timeout_s=600, check=check)


@pytest.mark.parametrize("call", ["update", "a status", "free", "a first update that links a block", "lock and unlock"])
def test_a_kill_at_any_instruction_leaves_a_board_as_before_or_after(call: str, run_python: RunPython) -> None:
    said = json.loads(killed_everywhere(run_python, call).stdout)
    assert said["tried"] > 100
    assert said["failed"] == 0


MISTAKES: dict[str, tuple[str, tuple[str, ...], tuple[Edit, ...]]] = {
    "a count is written in two steps": (
        "update",
        (),
        (
            (
                "include/headway.h",
                "int answer = hw_count(task->stripe, task->tag, n);",
                "hw_count(task->stripe, task->tag, n + 5);\n    int answer = hw_count(task->stripe, task->tag, -5);",
            ),
        ),
    ),
    "a record is written where it is read": (
        "a status",
        (),
        (
            (
                "native/status.h",
                "    hw_latch_flip(&control->status_seq);\n    hw_apply(copy0",
                "    hw_apply(copy0",
            ),
            (
                "native/status.h",
                "    hw_latch_flip(&control->status_seq);\n    hw_apply(copy1",
                "    hw_apply(copy1",
            ),
        ),
    ),
    "who mends a record shows it before it is whole": (
        "a status",
        ("--long",),
        (
            (
                "include/headway.h",
                "        hw_store_words(copy0, copy1, bytes);\n        hw_latch_flip(seq);",
                "        hw_latch_flip(seq);\n        hw_store_words(copy0, copy1, bytes);",
            ),
        ),
    ),
    "a dead holder's lock is not followed by a repair": (
        "claim",
        (),
        (("native/lock.h", "            if (seen) hw_repair(board);\n", ""),),
    ),
    "a task is published before it is whole": (
        "claim",
        (),
        (
            (
                "native/claim.h",
                "    hw_store(&board->header->next_serial, serial);\n",
                "    hw_store(&board->header->next_serial, serial);\n    hw_store(&control->generation, generation);\n",
            ),
        ),
    ),
    "a block that is being linked is not noted": (
        "a first update that links a block",
        (),
        (("native/pool.h", "        hw_store(&control->linking, link);", "        (void)link;"),),
    ),
    "the old task is freed before the new one is published": (
        "claim of an id that has ended",
        (),
        (
            (
                "native/claim.h",
                "        hw_fill(board, room.index,",
                "        if (replaced) hw_free_locked(board, old), replaced = NULL;\n hw_fill(board, room.index,",
            ),
        ),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_kill_at_every_instruction_finds(mistake: str, run_python: RunPython, c_code: Path, tmp_path: Path) -> None:
    call, options, edits = MISTAKES[mistake]
    path = os.pathsep.join((str(build(tmp_path, c_code, edits)), str(ROOT)))
    done = killed_everywhere(run_python, call, *options, path=path, check=False)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["failed"] > 0
