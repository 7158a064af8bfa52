"""A recorder killed at each system call of its work. The scenarios stand in crash_recorder.py, a process of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunPython

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.timeout(590)
@pytest.mark.parametrize("scenario", ["cycle", "changing", "finish"])
def test_a_kill_at_any_system_call_leaves_every_task_on_the_board_or_in_the_history_and_a_snapshot_that_loads(
    scenario: str, run_python: RunPython, board_name: str, record_property: Callable[[str, object], None]
) -> None:
    stride = os.environ.get("HEADWAY_STRIDE", "5")  # 1: every call, which takes minutes
    root = str(HERE.parent.parent)
    done = run_python(HERE / "crash_recorder.py", scenario, board_name, stride, env={"PYTHONPATH": root}, timeout_s=580)
    record_property("kills", int(done.stdout))
    assert int(done.stdout) > 100
