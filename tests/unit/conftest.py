"""Copies of boards, built record by record with NumPy, and their histories; boards to try things on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import pytest

from headway.engine.board import Board, open_board
from headway.files import history
from headway.native import records
from headway.standin import board as standin
from headway.views.board_view import Raw, TaskView

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

NOW = 1_700_000_000  # seconds
SECOND = 1_000_000_000
SUCCESS, FAILED, LOST = 2, 3, 5  # states

Arrays: TypeAlias = "dict[str, np.ndarray[Any, Any]]"


class MakeRaw(Protocol):
    """A copy of a board with `count` running tasks, taken at NOW.

    Each has 2 stages and 2 workers, of which the second is dead; every other one has a result. The last one was
    created first. `edit` may change the records, of which `results` is an array of bytes.
    """

    def __call__(self, count: int = 3, *, edit: Callable[[Arrays], object] | None = None, sequence: int = 1) -> Raw: ...


def build_raw(count: int = 3, *, edit: Callable[[Arrays], object] | None = None, sequence: int = 1) -> Raw:
    def zeros(name: str, number: int) -> np.ndarray[Any, Any]:
        return np.zeros(number, np.dtype(records.DTYPES[name]))

    tasks, stages, shares = zeros("tasks", count), zeros("stages", 2 * count), zeros("shares", 2 * count)
    for number, task in enumerate(tasks):
        task["id"] = f"task-{number}".encode()
        task["label"] = f"Task {number} é".encode()
        task["unit"], task["stage"], task["message"] = b"bar", b"fit", b"fold 3/5"
        task["metric_name"][0], task["metric"][0] = b"loss", 0.5
        task["rate"], task["count"], task["total"] = 4.0, 20 + number, 100
        task["created_ns"] = task["started_ns"] = (NOW - 10) * SECOND
        task["stage_ns"] = task["beat_ns"] = (NOW - 2) * SECOND
        task["serial"], task["generation"], task["slot"] = count - number, 1, number
        task["owner"], task["owner_pid"], task["owner_alive"], task["state"] = 1, 4242, 1, 1
        for place, (stage, share) in enumerate(
            zip(stages[2 * number : 2 * number + 2], shares[2 * number : 2 * number + 2], strict=True)
        ):
            stage["task"], stage["number"], stage["entered_ns"] = number, place, (NOW - 9 + 7 * place) * SECOND
            stage["stage"] = (b"load", b"fit")[place]
            share["task"], share["worker"], share["pid"] = number, 7 + place, 700 + place
            share["count"], share["known"], share["alive"] = 10 + place, 1 - place, 1 - place
            share["beat_ns"] = (NOW - 2 - place) * SECOND
            if place == 0:
                share["item"], share["item_ns"] = f"item {number}".encode(), (NOW - 5) * SECOND
    workers = zeros("workers", 2)
    for place, worker in enumerate(workers):
        worker["incarnation"], worker["pid"], worker["alive"] = 7 + place, 700 + place, 1 - place
        worker["started_ns"], worker["name"] = (NOW - 20) * SECOND, f"Worker-{place}".encode()
    durations = zeros("durations", count)
    for number, duration in enumerate(durations):
        duration["task"], duration["count"][6], duration["slowest_ns"] = number, 12, 1_500_000_000
        duration["items"] = 12
        duration["slowest"] = b"item 3"
    index, results = zeros("index", (count + 1) // 2), b""
    for place, entry in enumerate(index):
        json = b'{"auc": 0.%d}' % place
        entry["task"], entry["bytes"], entry["offset"] = 2 * place, len(json), len(results)
        results += json
    arrays: Arrays = {
        "tasks": tasks,
        "stages": stages,
        "shares": shares,
        "workers": workers,
        "index": index,
        "results": np.frombuffer(results, np.uint8).copy(),
        "durations": durations,
    }
    if edit is not None:
        edit(arrays)
    meta = {
        "name": "nightly",
        "uuid": "0123456789abcdef" * 2,
        "directory": "/var/lib/headway/nightly",
        "host": "here",
        "boot_id": "fedcba9876543210" * 2,
        "layout_version": records.LAYOUT_VERSION,
        "capacity": 1024,
        "workers": 1024,
        "created_ns": (NOW - 60) * SECOND,
        "taken_ns": NOW * SECOND,
        "sequence": sequence,
        "dropped": 0,
        "retired": False,
    }
    return Raw(meta, *(array.tobytes() for array in arrays.values()))


@pytest.fixture(scope="session")
def make_raw() -> MakeRaw:
    return build_raw


def ended(
    count: int = 3,
    *,
    at: float = NOW,
    taken: float = NOW,
    state: int = SUCCESS,
    generation: int = 1,
    uuid: str = "",
    edit: Callable[[Arrays], object] | None = None,
) -> Raw:
    """A copy of `count` tasks that ended one second after the other, the last one at `at`."""

    def change(arrays: Arrays) -> None:
        tasks = arrays["tasks"]
        tasks["state"], tasks["generation"] = state, generation
        for number, task in enumerate(tasks):
            task["ended_ns"] = int((at - count + 1 + number) * SECOND)
        if edit is not None:
            edit(arrays)

    raw = build_raw(count, edit=change)
    meta = raw.meta | {"taken_ns": int(taken * SECOND)} | ({"uuid": uuid} if uuid else {})
    return raw._replace(meta=meta)


def add(directory: Path, raw: Raw, numbers: Collection[int] | None = None, **more: Any) -> int:
    """Put these tasks of a copy, by default all, into the history in a directory."""
    all_of_them = range(len(raw.tasks) // records.RECORD_BYTES["tasks"])
    with history.Writer(directory) as writer:
        return writer.add(raw, all_of_them if numbers is None else numbers, **more)


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    """A small board of this test."""
    board = open_board(board_name, capacity=16, workers=16, result_bytes=256)
    try:
        yield board
    finally:
        board.remove(files=True)


@pytest.fixture(params=["engine", "stand-in"])
def any_board(request: pytest.FixtureRequest, board_name: str) -> Iterator[Board]:
    """A small board, once of the engine and once without shared memory: what is promised of one holds for the other."""
    opener: Any = open_board if request.param == "engine" else standin.open_board
    board: Board = opener(board_name, capacity=16, workers=16, result_bytes=256)
    try:
        yield board
    finally:
        board.remove(files=True)


@pytest.fixture
def views_made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the records of which views are made from now on."""
    numbers: list[int] = []
    make = TaskView.from_raw

    def counting(raw: Raw, number: int, **values: Any) -> TaskView:
        numbers.append(number)
        return make(raw, number, **values)

    monkeypatch.setattr(TaskView, "from_raw", counting)
    return numbers
