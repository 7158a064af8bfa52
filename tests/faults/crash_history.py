"""A process killed at each system call of what it does to a history.

    python crash_history.py SCENARIO DIRECTORY          with PYTHONPATH leading to this tree

See test_history_crashes.py.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from headway.files import history, tidying
from headway.views.board_view import Raw
from tests.faults.syscalls import calls, killed_at
from tests.unit.conftest import NOW, ended

BATCH = 8
STEADY = 99  # the generation of tasks that were archived before, and have to stay
SPARE = 60  # after a kill an operation may take so many more or fewer calls than without

kept_open: list[history.Writer] = []


def copy(generation: int, taken: int = 0) -> Raw:
    """A batch of tasks that ended."""
    return ended(BATCH, generation=generation, taken=NOW + taken)


def archive(directory: Path, *raws: Raw) -> history.Writer:
    """What a recorder does. The series tells of which copy it is."""
    with history.Writer(directory) as writer:
        for raw in raws:
            grown = {number: [(float(NOW), number), (raw.taken_at, number)] for number in range(BATCH)}
            writer.add(raw, range(BATCH), grown)
    return writer


def whole(directory: Path, generation: int) -> int:
    """How many tasks of a batch are there: each once, with all that belongs to it, and all from one copy."""
    found = [task for task in history.read(directory) if task.generation == generation]
    assert len({task.slot for task in found}) == len(found), f"a task is there twice: {found}"
    for task in found:
        assert (task.id, task.count) == (f"task-{task.slot}", 20 + task.slot), task
        assert [stage.name for stage in task.stages] == ["load", "fit"], task.stages
        assert task.series == ((float(NOW), task.slot), (task.taken_at, task.slot)), task.series
    assert len({task.taken_at for task in found}) <= 1, "half of one copy, half of another"
    assert len(found) in (0, BATCH), f"{len(found)} tasks of {BATCH} are there"
    return len(found)


def tidy(directory: Path) -> None:
    """The history is whole, and nothing was left beside it."""
    with history.Writer(directory) as writer:
        assert writer.check(), "the history is damaged"
    left = {path.name for path in history.files(directory) if "damaged" not in path.name}
    assert left - {"history.sqlite3-wal", "history.sqlite3-shm"} == {"history.sqlite3", "history.lock"}, left


def each(
    directory: Path,
    before: Callable[[], object],
    operation: Callable[[], object],
    after: Callable[[], object],
    stride: int = 1,
) -> int:
    """Kill the operation at each of its system calls, or at each `stride`th, and look what there is after each kill.

    Returns how many calls it makes.
    """
    before()
    made = len(calls(operation))
    for number in range(1, made + SPARE, stride):
        history.remove(directory)
        before()
        if not killed_at(number, operation):
            assert number > made - SPARE, (number, made)
            return made
        after()
        tidy(directory)
    raise AssertionError(f"more than {made + SPARE} system calls, where there were {made}")


def adding(directory: Path, before: Callable[[], object]) -> int:
    """Kill the archiving of a batch: it is there or not, what was there before is there, and everything goes on."""
    seen = set()

    def after() -> None:
        seen.add(whole(directory, 3))
        steady = whole(directory, STEADY)
        archive(directory, copy(3), copy(5))
        assert (whole(directory, 3), whole(directory, 5), whole(directory, STEADY)) == (BATCH, BATCH, steady)
        assert steady == expected

    before()
    expected = whole(directory, STEADY)
    made = each(directory, before, lambda: archive(directory, copy(3)), after)
    assert seen == {0, BATCH}, "no kill came before the batch was there, or none after"
    return made


def begin(directory: Path) -> int:
    """The first tasks that a board archives: the database is made."""
    return adding(directory, lambda: None)


def add(directory: Path) -> int:
    """Tasks go into a history that is there."""
    return adding(directory, lambda: archive(directory, copy(STEADY)))


def after_a_kill(directory: Path) -> int:
    """Tasks go into a history whose last writer was killed: what it wrote stands in the log alone."""

    def write_and_die() -> None:
        kept_open.append(history.Writer(directory))
        grown = {number: [(float(NOW), number), (float(NOW), number)] for number in range(BATCH)}
        kept_open[0].add(copy(STEADY), range(BATCH), grown)

    return adding(directory, lambda: calls(write_and_die))


def replace(directory: Path) -> int:
    """Later copies of tasks that are there: all are in their old state, or all in their new one."""
    later = copy(3, taken=60)
    seen = set()

    def after() -> None:
        assert whole(directory, 3) == BATCH
        seen.add(history.read(directory)[0].taken_at)
        archive(directory, later)
        assert whole(directory, 3) == BATCH
        assert history.read(directory)[0].taken_at == later.taken_at

    made = each(directory, lambda: archive(directory, copy(3)), lambda: archive(directory, later), after)
    assert seen == {NOW, NOW + 60}
    return made


def prune(directory: Path) -> int:
    """Old tasks are deleted, and the room that they took is given back."""
    seen = set()
    tidying.FREE_PAGES_MIN, history.LOG_BYTES_MAX, tidying.STEP_ROWS = 4, 1 << 14, 4 * BATCH

    def delete() -> None:
        with history.Writer(directory) as writer:
            writer.prune(keep_rows=BATCH)

    def after() -> None:
        tasks = history.read(directory)
        seen.add(len(tasks))
        assert [task.generation for task in tasks[:BATCH]] == [3] * BATCH
        delete()
        assert len(history.read(directory)) == whole(directory, 3) == BATCH

    older = [ended(BATCH, generation=generation, at=NOW - 60) for generation in range(201, 241, 2)]
    made = each(directory, lambda: archive(directory, *older, copy(3)), delete, after, stride=5)
    assert {BATCH, 21 * BATCH} < seen, seen
    return made


def move_aside(directory: Path) -> int:
    """A damaged history is moved aside, and a new one begun."""
    warnings.simplefilter("ignore", RuntimeWarning)

    def before() -> None:
        archive(directory, copy(STEADY))
        (directory / "history.sqlite3").write_text("nonsense")

    def after() -> None:
        archive(directory, copy(3))
        assert whole(directory, 3) == BATCH
        kept = [path.read_text() for path in directory.glob("history.damaged-*.sqlite3")]
        assert kept == ["nonsense"], kept

    return each(directory, before, lambda: archive(directory, copy(3)), after, stride=3)


SCENARIOS = {one.__name__: one for one in (begin, add, after_a_kill, replace, prune, move_aside)}

if __name__ == "__main__":
    place = Path(sys.argv[2])
    place.mkdir()
    assert sqlite3.sqlite_version_info  # loaded here, once, and not in each child
    print(SCENARIOS[sys.argv[1]](place))
    history.remove(place)
    assert not os.listdir(place), os.listdir(place)
