"""Many processes and threads count on one task: nothing is lost, nothing is counted twice. See crowd.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunPython

CROWD = Path(__file__).parent / "crowd.py"
UPDATES = 1_000_000  # of each process: that they overlap has to be sure
METHODS = ("fork", "spawn", "forkserver")


def crowd(run_python: RunPython, *args: object) -> dict[str, Any]:
    done = run_python(CROWD, *map(str, args))
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("method", "processes"), [(method, processes) for method in METHODS for processes in (8, 16)])
def test_the_count_of_many_processes_and_threads_is_exact(
    method: str, processes: int, run_python: RunPython, board_name: str
) -> None:
    found = crowd(run_python, "count", method, processes, UPDATES, board_name)
    assert found["exits"] == [0] * processes
    assert found["count"] == found["viewed"] == processes * UPDATES
    assert found["state"] == "running"
    assert found["lost"] == 0, "workers that left in good order are not lost"
    assert found["alive"] == 1, "their rows are given back"


@pytest.mark.parametrize(
    ("method", "processes"),
    [("fork", 24), ("fork", 64), ("spawn", 24), pytest.param("spawn", 64, marks=pytest.mark.slow)],
)
def test_each_share_of_many_workers_is_exact_and_who_is_killed_is_named_with_it(
    method: str, processes: int, run_python: RunPython, board_name: str
) -> None:
    """All of them count for the first time at the same moment."""
    done = run_python(CROWD, "shares", method, str(processes), board_name, timeout_s=100)
    found = json.loads(done.stdout)
    assert found["count"] == found["viewed"] == sum(range(1, processes + 1))
    assert found["told"] == [[n, n] for n in range(1, processes + 1)]
    assert found["lost"] == [[n, n] for n in found["killed"]]
    assert (len(found["lost"]), found["sharing"]) == (3, 0)


@pytest.mark.parametrize(("method", "kills"), [("fork", 60), ("spawn", 12), ("forkserver", 24)])
def test_workers_killed_at_random_lose_nothing_that_was_acknowledged(
    method: str, kills: int, run_python: RunPython, board_name: str
) -> None:
    found = crowd(run_python, "kill", method, kills, board_name)
    assert found["acknowledged"] <= found["count"] <= found["issued"] <= found["acknowledged"] + kills, found
    assert found["acknowledged"] > 20 * kills, found
    assert found["viewed"] == found["count"], found
    assert 0 < found["shares"] <= found["count"], found
    assert set(found["exits"]) == {0}, found


def test_after_kills_at_random_no_slot_and_no_row_is_lost(run_python: RunPython, board_name: str) -> None:
    found = crowd(run_python, "kill", "fork", 40, board_name)  # more kills than rows, stripes and slots
    assert found["alive"] == 1, found
    assert found["claimed"] > 0, found
    assert found["full"] == 32, found
