"""A history between processes: many write at once, many read, and nobody sees half of anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway.files import history

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
BATCH, BATCHES, WRITERS, READERS = 16, 30, 4, 2

WRITER = f"""
import sys, time
from pathlib import Path
from headway.files import history
from tests.unit.conftest import ended

place, shift = Path(sys.argv[1]), int(sys.argv[2])
series = {{n: [(float(t), t) for t in range(n + 1)] for n in range({BATCH})}}
raws = [ended({BATCH}, generation=2 * number + 1) for number in range({BATCHES})]
print("ready", flush=True)
sys.stdin.readline()
added = 0
keep = history.Writer(place)
for number, raw in enumerate(raws[shift:] + raws[:shift]):
    while number == {BATCHES // 2} and not all((place / f"looked-{{reader}}").exists() for reader in range({READERS})):
        time.sleep(0.001)
    if shift % 2:
        added += keep.add(raw, range({BATCH}), series)
    else:  # as a program does that opens it anew for each batch
        with history.Writer(place) as writer:
            added += writer.add(raw, range({BATCH}), series)
keep.close()
print(added)
"""

READER = f"""
import sys
from pathlib import Path
from headway.files import history

place, reader, most = Path(sys.argv[1]), sys.argv[2], 0
print("ready", flush=True)
sys.stdin.readline()
while not (place / "over").exists():
    tasks = history.read(place)
    batches = {{}}
    for task in tasks:
        batches.setdefault(task.generation, []).append(task)
        assert task.series == tuple((float(t), t) for t in range(task.slot + 1)), task.series
        assert [stage.name for stage in task.stages] == ["load", "fit"], task.stages
    assert all(len(batch) == {BATCH} for batch in batches.values()), {{k: len(v) for k, v in batches.items()}}
    assert len(tasks) >= most, (len(tasks), most)
    most = len(tasks)
    if tasks:
        (place / f"looked-{{reader}}").touch()
print(most)
"""


class Crowd:
    """Processes that begin at once. Each says "ready", then waits for a line."""

    def __init__(self, tmp_path: Path) -> None:
        self._tmp_path = tmp_path
        self.processes: list[subprocess.Popen[str]] = []

    def add(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        path = self._tmp_path / f"script_{len(self.processes)}.py"
        path.write_text(script)
        process = subprocess.Popen(
            [sys.executable, "-W", "error", str(path), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.processes.append(process)
        return process

    def begin(self) -> None:
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate(timeout=30)
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()

    @staticmethod
    def told(process: subprocess.Popen[str]) -> str:
        stdout, stderr = process.communicate(timeout=100)
        assert process.returncode == 0, stderr
        return stdout


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    made = Crowd(tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_many_processes_that_archive_the_same_tasks_at_once_archive_each_once(crowd: Crowd, tmp_path: Path) -> None:
    """And who reads meanwhile without pause sees whole batches, never fewer than before, and no error."""
    place = tmp_path / "board"
    place.mkdir()
    writers = [crowd.add(WRITER, str(place), str(7 * number)) for number in range(WRITERS)]
    readers = [crowd.add(READER, str(place), str(number)) for number in range(READERS)]
    crowd.begin()
    added = [int(crowd.told(writer)) for writer in writers]
    (place / "over").touch()
    seen = [int(crowd.told(reader)) for reader in readers]
    assert sum(added) == BATCH * BATCHES, added
    assert 0 < min(seen) <= max(seen) <= BATCH * BATCHES, seen
    found = [(task.slot, task.generation) for task in history.read(place)]
    assert sorted(found) == [(slot, 2 * number + 1) for slot in range(BATCH) for number in range(BATCHES)]
    with history.Writer(place) as writer:
        assert writer.check()
        assert not writer.aside


ROUNDS = 4

FINDER = f"""
import json, sys, warnings
from pathlib import Path
from headway.files import history
from tests.unit.conftest import ended

warnings.simplefilter("ignore", RuntimeWarning)
places, number = [Path(place) for place in sys.argv[2:]], int(sys.argv[1])
raw = ended({BATCH}, generation=2 * number + 1)
print("ready", flush=True)
sys.stdin.readline()
aside = 0
for place in places:
    with history.Writer(place) as writer:
        assert writer.add(raw, range({BATCH})) == {BATCH}
    aside += len(writer.aside)
print(aside)
"""


@pytest.mark.slow
def test_of_many_writers_that_find_it_damaged_one_moves_it_aside_and_all_go_on_in_the_new_one(
    crowd: Crowd, tmp_path: Path
) -> None:
    places = [tmp_path / f"board-{number}" for number in range(ROUNDS)]
    for place in places:
        place.mkdir()
        (place / "history.sqlite3").write_text("nonsense")
    writers = [crowd.add(FINDER, str(number), *map(str, places)) for number in range(WRITERS)]
    crowd.begin()
    assert sum(int(crowd.told(writer)) for writer in writers) == ROUNDS
    for place in places:
        assert [path.read_text() for path in place.glob("history.damaged-*.sqlite3")] == ["nonsense"]
        assert len(history.read(place)) == WRITERS * BATCH
