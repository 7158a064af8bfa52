"""A process killed at each system call of making, joining and removing a board. See crash_segment.py, a program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunPython

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["create", "attach", "unlink", "start a recorder"])
def test_a_kill_at_any_system_call_leaves_a_board_that_opens_and_nothing_else(
    scenario: str, run_python: RunPython
) -> None:
    root = str(HERE.parent.parent)
    done = run_python(HERE / "crash_segment.py", scenario, env={"PYTHONPATH": root, "HEADWAY_RECORD": None})
    said = json.loads(done.stdout)
    assert said["failed"] == 0
    assert said["tried"] > 5
