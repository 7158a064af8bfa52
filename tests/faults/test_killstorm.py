"""A small storm of SIGKILLs, and that it finds what is planted. See killstorm.py, which ci/faults runs at length."""

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


def test_a_storm_of_kills_loses_no_count_and_leaves_nothing(run_python: RunPython) -> None:
    options = ("--method", "fork", "--kills", "40")
    said = json.loads(run_python(HERE / "killstorm.py", *options, env={"PYTHONPATH": str(ROOT)}, timeout_s=600).stdout)
    assert said["failed"] == 0
    assert said["tried"] >= 40


MISTAKES: dict[str, tuple[Edit, ...]] = {
    "a block that is linked hides the one before it": (
        (
            "native/pool.h",
            "hw_store(&block->next, hw_peek(&control->stripes_used) >> HW_LINK_SHIFT);",
            "hw_store(&block->next, 0);",
        ),
    ),
    "the rows of dead workers are not used again": (
        ("native/identity.h", "dead <= 1; dead++) { /* free rows first", "dead < 1; dead++) { /* free rows first"),
    ),
}


@pytest.mark.slow
@pytest.mark.timeout(700)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_storm_of_kills_finds(mistake: str, run_python: RunPython, c_code: Path, tmp_path: Path) -> None:
    path = os.pathsep.join((str(build(tmp_path / "variant", c_code, MISTAKES[mistake])), str(ROOT)))
    options = ("--method", "fork", "--kills", "100")
    done = run_python(HERE / "killstorm.py", *options, env={"PYTHONPATH": path}, timeout_s=600, check=False)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["failed"] > 0
