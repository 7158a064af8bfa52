"""The quick forms of what the world does to a program, and that each of them finds what is planted.

The programs stand beside this file, and `ci/faults` runs them for longer; each tells at its head what is promised.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import soak
from tests.faults.planted import Edit, plant

ROOT = Path(__file__).parents[2]


def told(module: str, *arguments: str, source: Path | None = None) -> tuple[dict[str, object], str]:
    """What a program says that it tried, and what it says was wrong. source: with the package from there."""
    path = os.pathsep.join([*([str(source)] if source else []), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", f"tests.faults.{module}", *arguments],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    )
    said: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode != 0) == bool(said["failed"]), done.stderr
    return said, done.stderr


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("failing_calls", ("look", "--errno", "EMFILE", "--stride", "2")),
        ("failing_calls", ("snapshot", "--errno", "EIO", "--stride", "9")),
        ("interrupts", ("block", "--stride", "19")),
        ("memory", ("writes", "--stride", "19")),
        ("descriptors", ()),
    ],
)
def test_nothing_is_lost_and_nothing_stays_locked_when_the_world_fails(module: str, arguments: tuple[str, ...]) -> None:
    said, wrong = told(module, *arguments)
    assert not said["failed"], wrong
    assert isinstance(said["tried"], int)
    assert said["tried"] > 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "arguments"),
    [("clocks", ()), ("vanished", ()), ("signals", ("--seconds", "3")), ("crowds", ()), ("soak", ("--seconds", "9"))],
)
def test_programs_go_on_as_they_should_whatever_happens_around_them(module: str, arguments: tuple[str, ...]) -> None:
    said, wrong = told(module, *arguments)
    assert not said["failed"], wrong
    assert said["tried"]


# --- that they can fail


TAKE = """        self.fd = _open(path)
        try:
            self._file = os.fstat(self.fd)
            fcntl.flock(self.fd, operation | fcntl.LOCK_NB)
"""
TAKE_UNKNOWN = """        fd = _open(path)
        try:
            self._file = os.fstat(fd)
            fcntl.flock(fd, operation | fcntl.LOCK_NB)
            self.fd, _ = fd, [number for number in range(9)]
"""

# (what somebody could have written, the program that has to find it)
MISTAKES: dict[str, tuple[Edit, tuple[str, ...]]] = {
    "a file that cannot be read just now is taken for damaged": (
        ("engine/segments.py", "if error.errno not in (*_NO_SEGMENT, errno.EACCES):", "if error.errno == 0:"),
        ("failing_calls", "look", "--errno", "EIO", "--stride", "3"),
    ),
    "a lock is held before anybody knows of it, when Ctrl-C comes": (
        ("system/locks.py", TAKE, TAKE_UNKNOWN),
        ("interrupts", "unlink", "--stride", "5"),
    ),
    "a lock is held before anybody knows of it, when there is no memory": (
        ("system/locks.py", TAKE, TAKE_UNKNOWN),
        ("memory", "unlink"),
    ),
    "a loop counts as ended before it is": (
        (
            "bars/loop.py",
            "        with contextlib.suppress(errors.HeadwayError, OSError):  # removed",
            "        self._ended = True\n        with contextlib.suppress(errors.HeadwayError, OSError):  # removed",
        ),
        ("interrupts", "loop", "--stride", "7"),
    ),
    "rates go by the wall clock": (
        ("engine/attached.py", "raw[0], time.monotonic_ns())", "raw[0])"),
        ("clocks",),
    ),
    "a snapshot that cannot be restored for want of memory is left out": (
        (
            "engine/segments.py",
            "            fill(segment, directory)",
            "            with suppress(MemoryError):\n                fill(segment, directory)",
        ),
        ("limits", "restore", "--steps", "2"),
    ),
    "a task cannot be begun where no descriptor is left to archive others": (
        ("files/archive.py", "except (errors.HeadwayError, OSError, ImportError):", "except errors.HeadwayError:"),
        ("descriptors",),
    ),
    "a hundredth task is not shown": (
        (
            "engine/board.py",
            "for task in self.snapshot().tasks if state",
            "for task in self.snapshot().tasks[:99] if state",
        ),
        ("crowds",),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_that_somebody_could_make_is_found(mistake: str, tmp_path: Path) -> None:
    edit, (module, *arguments) = MISTAKES[mistake]
    shutil.copytree(
        ROOT / "src" / "headway", tmp_path / "headway", ignore=shutil.ignore_patterns("static", "__pycache__")
    )
    plant(tmp_path / "headway", [edit])
    said, _ = told(module, *arguments, source=tmp_path)
    assert said["failed"], said


@pytest.mark.parametrize(("grows_by", "found"), [(0, 0), (1000, 1000), (-500, -500)])
def test_growth_is_the_slope_after_the_warm_up(grows_by: int, found: int) -> None:
    warm_up = [(float(at), 10_000.0 * at) for at in range(40)]
    steady = [(float(at), 400_000 + grows_by * (at - 40) / 80 + (-1) ** at) for at in range(40, 121)]
    assert soak.growth(warm_up + steady) == pytest.approx(found, abs=10)
