"""What workers do, and how many they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headway.views.board_view import BoardView, WorkerView
from headway.views.workers import KINDS, Workers, kind_of

if TYPE_CHECKING:
    from tests.unit.conftest import MakeRaw

NOW = 1_700_000_000.0
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
