"""All tasks of a board are looked through in stretches; the kernel is asked about few processes at a time."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from headway.engine import segments
from headway.native import core, records
from tests.unit.native.handles import beside, claim, end

STRETCH, ASKS = 4096, 16  # of walk.h and lost.h


def test_tasks_are_found_in_every_stretch(board_name: str) -> None:
    segment, directory, _ = segments.open_or_create(board_name, capacity=STRETCH + 2, workers=2, result_bytes=0)
    try:
        tasks = [claim(segment, str(number)) for number in range(STRETCH + 2)]
        assert segment.owned() == [task._where for task in tasks]
        for number in (STRETCH + 1, 0, STRETCH - 1):
            end(tasks[number])
        assert segment.finished(8) == [tasks[number]._where for number in (STRETCH + 1, 0, STRETCH - 1)]
        assert segment.finished(2) == [tasks[number]._where for number in (STRETCH + 1, 0)]
        assert segment.finished(0) == []
    finally:
        segments.unlink(directory, segment)
        segment.close()


@pytest.mark.parametrize("many", [ASKS // 2, 2 * ASKS])
def test_a_death_is_seen_by_who_copies_the_board(board_name: str, many: int) -> None:
    """At once beside few processes; beside many after a second, as then not every process is asked about each time."""
    segment, directory, _ = segments.open_or_create(board_name, capacity=1, workers=64, result_bytes=0)
    try:
        with beside(*[segment.register] * many) as pids:
            for _ in range(3):  # so that the answers are known
                assert alive(segment) == set(pids)
            os.kill(pids[-1], signal.SIGKILL)
            os.waitid(os.P_PID, pids[-1], os.WEXITED | os.WNOWAIT)
            if many > ASKS:
                until = time.monotonic() + 30
                while alive(segment) != set(pids[:-1]) and time.monotonic() < until:
                    time.sleep(0.05)
            assert alive(segment) == set(pids[:-1])
    finally:
        segments.unlink(directory, segment)
        segment.close()


def alive(segment: core.Segment) -> set[int]:
    """The pids of the processes that a copy of the board shows as alive."""
    workers = np.frombuffer(segment.copy()[4], np.dtype(records.DTYPES["workers"]))
    return {int(worker["pid"]) for worker in workers if worker["alive"]}
