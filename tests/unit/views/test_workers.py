"""What workers do, and how many they are."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest

from headway.views.board_view import BoardView, WorkerView
from headway.views.workers import KINDS, Workers, kind_of

if TYPE_CHECKING:
    from headway.engine.board import Board
    from tests.unit.conftest import Arrays, MakeRaw

NOW = 1_700_000_000
RUNNING, SUCCESS, LOST = 1, 2, 5
ALL = {
    "lost": WorkerView(incarnation=1, pid=1, alive=False, tasks=("a",)),
    "stalled": WorkerView(incarnation=2, pid=2, tasks=("a",), beat=NOW - 60, taken_at=NOW),
    "working": WorkerView(incarnation=3, pid=3, tasks=("a",), beat=NOW - 1, taken_at=NOW),
    "idle": WorkerView(incarnation=4, pid=4),
    "gone": WorkerView(incarnation=5, pid=5, alive=False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_is_of_one_kind(kind: str) -> None:
    assert kind_of(ALL[kind]) == kind


def test_only_those_alive_are_counted_as_workers_and_those_that_died_at_work_are_told_apart() -> None:
    assert Workers.of(BoardView.of("board", (), workers=ALL.values(), taken_at=NOW)) == (3, 1)
    assert Workers.of(BoardView.of("board", (), taken_at=NOW)) == (0, 0)


@pytest.mark.parametrize("tasks", [0, 3])
def test_they_are_counted_alike_from_records_and_from_views(tasks: int, make_raw: MakeRaw) -> None:
    raw = make_raw(tasks)
    counted, seen = BoardView.from_raw(raw), BoardView.from_raw(raw)
    kinds = [kind_of(worker) for worker in seen.workers]
    assert (
        Workers.of(counted)
        == Workers.of(seen)
        == (len(kinds) - kinds.count("lost") - kinds.count("gone"), kinds.count("lost"))
    )


def test_a_worker_tells_what_it_took_up_last_on_a_task_that_goes_on_or_was_lost(make_raw: MakeRaw) -> None:
    def edit(arrays: Arrays) -> None:
        shares, tasks = arrays["shares"], arrays["tasks"]
        shares["item_ns"][shares["worker"] == 7] = np.array([NOW - 40, NOW - 30, NOW - 20]) * 10**9
        tasks["state"] = [RUNNING, LOST, SUCCESS]
        tasks["ended_ns"] = np.array([0, NOW - 10, NOW - 5]) * 10**9

    live, dead = BoardView.from_raw(make_raw(3, edit=edit)).workers
    assert (live.item, live.item_since, live.item_until, live.item_seconds) == ("item 1", NOW - 30, NOW - 10, 20.0)
    assert (dead.item, dead.item_since, dead.item_until, dead.item_seconds) == ("", None, None, None)
    told = live.to_dict()
    assert (told["item"], told["item_seconds"], told["tasks"]) == ("item 1", 20.0, ["task-0", "task-1"])
    assert json.loads(json.dumps(told)) == told


def test_what_is_in_hand_on_a_task_that_goes_on_is_so_until_the_copy(make_raw: MakeRaw) -> None:
    live, _ = BoardView.from_raw(make_raw(1)).workers
    assert (live.item, live.item_until, live.item_seconds) == ("item 0", None, 5.0)


@pytest.mark.parametrize("since", [-(2**63), -1, 0, 1, (NOW + 10**6) * 10**9, 2**63 - 1])
def test_whatever_time_a_file_gives_an_item_is_none_or_not_negative(since: int, make_raw: MakeRaw) -> None:
    def edit(arrays: Arrays) -> None:
        arrays["shares"]["item_ns"] = since

    live, _ = BoardView.from_raw(make_raw(1, edit=edit)).workers
    assert (live.item_seconds is None) == (since <= 0) == (live.item == "")
    assert live.item_seconds is None or live.item_seconds >= 0


def test_an_item_of_a_worker_is_text_whatever_bytes_it_is_made_of(make_raw: MakeRaw) -> None:
    def edit(arrays: Arrays) -> None:
        arrays["shares"]["item"] = b"\xff<b>\x1b[31m"

    live, _ = BoardView.from_raw(make_raw(1, edit=edit)).workers
    assert live.item == "\ufffd<b>\x1b[31m"


def test_a_killed_worker_is_told_with_its_item_and_one_at_work_with_its_own(board: Board) -> None:
    task = board.task("bars", total=10)

    def die() -> None:
        for symbol in task.track(["BTC", "ETH"]):
            if symbol == "ETH":
                os.kill(os.getpid(), signal.SIGKILL)

    pid = os.fork()
    if pid == 0:
        die()
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    with task.item("SOL"):
        found = {worker.pid: worker for worker in board.snapshot().workers}
        assert (found[pid].item, found[pid].alive) == ("ETH", False)
        assert (found[os.getpid()].item, found[os.getpid()].alive) == ("SOL", True)
        assert found[pid].item_seconds is not None
    assert {worker.pid: worker.item for worker in board.snapshot().workers}[os.getpid()] == ""
