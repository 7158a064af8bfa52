"""Planted mistakes can be planted: a quick look, because the slow tests that plant them do not run at every change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults import sanitized, test_fullboard, test_instructions, test_killstorm, test_storm, test_world
from tests.faults.planted import Edit, plant
from tests.fuzz import native

PACKAGE = Path(__file__).parents[2] / "src" / "headway"
EDITS: dict[str, tuple[Edit, ...]] = {
    **{f"sanitizers: {name}": (edit,) for name, (_, edit, _) in sanitized.MISTAKES.items()},
    **{f"fuzzing: {name}": (edit,) for name, edit in native.MISTAKES.items()},
    **{f"instructions: {name}": edits for name, (_, _, edits) in test_instructions.MISTAKES.items()},
    **{f"full board: {name}": edits for name, (edits, _) in test_fullboard.MISTAKES.items()},
    **{f"kill storm: {name}": edits for name, edits in test_killstorm.MISTAKES.items()},
    **{f"storm: {name}": edits for name, (_, edits) in test_storm.MISTAKES.items()},
    **{f"environment: {name}": (edit,) for name, (edit, _) in test_world.MISTAKES.items()},
}


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
def test_what_a_planted_mistake_changes_stands_in_the_package_once(edits: tuple[Edit, ...], tmp_path: Path) -> None:
    for file, _, _ in edits:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PACKAGE / file, tmp_path / file)
    plant(tmp_path, edits)
