"""The extension under a sanitizer, and faults in it that a sanitizer finds: see sanitized.py."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.sanitized import LIBRARIES, MISTAKES, build, run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("sanitizer", LIBRARIES)
def test_threads_without_the_gil_leave_nothing_to_report(sanitizer: str) -> None:
    done = run(sanitizer, build(sanitizer), 3.0, 1)
    assert done.returncode == 0, done.stderr
    did = json.loads(done.stdout.splitlines()[-1])
    assert all(number > 10 for number in did.values()), did


@pytest.fixture
def left_behind() -> Iterator[None]:
    """What a sanitizer ends leaves its board: it goes with the test."""
    before = set(Path("/dev/shm").iterdir())
    yield
    for path in set(Path("/dev/shm").glob(f"*headway-{os.geteuid()}-sanitized-*")) - before:
        path.unlink()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("left_behind")
@pytest.mark.parametrize("mistake", MISTAKES, ids=[f"{how[0]}: {name}" for name, how in MISTAKES.items()])
def test_a_sanitizer_finds(mistake: str, tmp_path: Path) -> None:
    sanitizer, *_, report = MISTAKES[mistake]
    done = run(sanitizer, build(sanitizer, tmp_path, mistake), 10.0, 1)
    assert done.returncode != 0
    assert report in done.stderr
