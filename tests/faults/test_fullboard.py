"""A small storm on a full board, and that it finds what is planted. See fullboard.py: ci/faults runs it at length."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.planted import Edit
from tests.faults.variants import build, c_code

if TYPE_CHECKING:
    from tests.conftest import RunPython

__all__ = ["c_code"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def test_a_storm_on_a_full_board_drops_no_task_and_loses_no_count(run_python: RunPython) -> None:
    options = ("--seconds", "4")
    said = json.loads(run_python(HERE / "fullboard.py", *options, env={"PYTHONPATH": str(ROOT)}, timeout_s=600).stdout)
    assert said["failed"] == 0
    assert said["tried"] >= 32


def test_a_storm_in_which_too_little_happened_has_failed(run_python: RunPython) -> None:
    options = ("--seconds", "0")
    done = run_python(HERE / "fullboard.py", *options, env={"PYTHONPATH": str(ROOT)}, timeout_s=600, check=False)
    assert done.returncode == 1
    assert "too little happened: 0 evicted" in done.stderr


MISTAKES: dict[str, tuple[tuple[Edit, ...], str]] = {
    "what has ended goes, whether it is archived or not": (
        (
            (
                "native/slots.h",
                "    if (drop == HW_DROP_FREELY) {",
                "    if (hw_free_oldest(board, &choice.missing, HW_OLDEST, 1, &owed)) return HW_OK;\n    if (0) {",
            ),
        ),
        "tasks were dropped",
    ),
    "counts that came after the archive are not looked for": (
        (("native/slots.h", "return hw_is_archived(board, slot) ? HW_OK", "return hw_is_noted(slot) ? HW_OK"),),
        "and the history has",
    ),
    "tasks that go are not counted as gone": (
        (("native/slots.h", "    hw_count_gone(board, index, slot);\n", ""),),
        "tasks were claimed, and",
    ),
}


@pytest.mark.slow
@pytest.mark.timeout(700)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_storm_on_a_full_board_finds(mistake: str, run_python: RunPython, c_code: Path, tmp_path: Path) -> None:
    edits, told = MISTAKES[mistake]
    path = os.pathsep.join((str(build(tmp_path / "variant", c_code, edits)), str(ROOT)))
    done = run_python(HERE / "fullboard.py", "--seconds", "10", env={"PYTHONPATH": path}, timeout_s=600, check=False)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["failed"] > 0
    assert told in done.stderr
