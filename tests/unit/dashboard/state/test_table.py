"""The rows of a board and what changed about them, on real boards."""

from __future__ import annotations

import json
import random
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.dashboard.state.table import Table
from headway.engine.board import Board, open_board
from headway.native.records import DTYPES, RECORD_BYTES
from headway.views.board_view import BoardView
from headway.views.summary import rate_shown
from tests.unit.conftest import SECOND, build_raw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.conftest import Arrays


@pytest.fixture
def board(headway_dir: Path, board_name: str) -> Iterator[Board]:
    made = open_board(board_name, capacity=32)
    yield made
    made.remove(files=True)


class Client:
    """What somebody knows who was brought to a revision."""

    def __init__(self, table: Table, revision: int) -> None:
        self.rows = {row["serial"]: row for row in table.rows()}
        self.workers = dict(table.workers.rows)
        self.revision = revision

    def take(self, table: Table, revision: int) -> None:
        patch = table.patch(self.revision)
        for serial in patch.removed:
            self.rows.pop(serial, None)
        self.rows |= {row["serial"]: row for row in patch.rows}
        moved = patch.moved
        for serial, count, rate, beat in zip(
            moved["serial"], moved["count"], moved["rate"], moved["beat"], strict=True
        ):
            self.rows[serial] = {**self.rows[serial], "count": count, "rate": rate, "beat": beat}
        for incarnation in patch.workers_removed:
            self.workers.pop(incarnation, None)
        self.workers |= {row["incarnation"]: row for row in patch.workers}
        self.revision = revision

    def shows(self, table: Table) -> bool:
        rows = [self.rows[serial] for serial in sorted(self.rows)]
        return same(rows, table.rows()) and same(self.workers, table.workers.rows)


def same(one: object, other: object) -> bool:
    """As JSON, in which they are sent."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


STEPS = ("update", "update", "update", "status", "metrics", "end", "begin", "begin", "remove", "nothing")


def step(board: Board, what: str, chance: random.Random) -> None:
    tasks = [task for task in board.tasks() if not task.final]
    if what == "begin" or not tasks:
        board.task(f"t{chance.randrange(12)}-{chance.random():.6f}", total=chance.choice((None, 0, 50)))
        return
    task = board.attach(chance.choice(tasks).id)
    if what == "update":
        task.update(chance.randrange(100))
    elif what == "status":
        task.set(stage=chance.choice("abc"), message=chance.choice(("", "ü")), total=chance.randrange(100))
    elif what == "metrics":
        task.set(metrics={"x": chance.choice((1.5, float("nan"), float("inf")))})
    elif what == "end":
        chance.choice((task.succeed, task.cancel, lambda: task.fail("so it was")))()
    elif what == "remove":
        board.task(task.id + "x").succeed()
        task.succeed()
        board.task(task.id)  # anew, with another serial


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.lists(st.sampled_from(STEPS), max_size=6), min_size=1, max_size=10),
    late=st.lists(st.booleans(), min_size=10, max_size=10),
    seed=st.integers(0, 1 << 30),
)
def test_patches_from_whatever_revision_lead_to_the_present(
    headway_dir: Path, board_name: str, steps: list[list[str]], late: list[bool], seed: int
) -> None:
    chance = random.Random(seed)
    board = open_board(board_name, capacity=32)
    try:
        table = Table(board.snapshot(), 1)
        clients = [Client(table, 1)]
        for revision, some in enumerate(steps, 2):
            for what in some:
                step(board, what, chance)
            table = table.advanced(board.snapshot(), revision)
            for client, is_late in zip(clients, late, strict=False):
                if not is_late or revision == len(steps) + 1:
                    client.take(table, revision)
                    assert client.shows(table)
            clients.append(Client(table, revision))
    finally:
        board.remove(files=True)


def test_what_has_not_changed_is_not_sent_again(board: Board) -> None:
    tasks = [board.task(f"t{number}") for number in range(10)]
    tasks[5].update()
    table = Table(board.snapshot(), 1)
    tasks[3].succeed()
    tasks[5].message = "x"
    table = table.advanced(board.snapshot(), 2)
    patch = table.patch(1)
    assert [row["id"] for row in patch.rows] == ["t3", "t5"]
    tasks[5].update()
    table = table.advanced(board.snapshot(), 3)
    patch = table.patch(2)
    assert patch.rows == []
    assert patch.moved["count"] == [2]
    assert len(table.patch(1).rows) == 2
    assert not table.patch(3)


def test_what_only_trembles_or_fades_a_little_is_not_sent(board: Board) -> None:
    task = board.task("one", total=100)
    task.update(5)
    raw = board.snapshot().raw

    def shifted(beat_ms: int, rate: float) -> BoardView:
        import numpy as np

        tasks = np.frombuffer(raw.tasks, dtype=np.dtype(DTYPES["tasks"])).copy()
        tasks["beat_ns"] += beat_ms * 1_000_000
        tasks["rate"] = rate
        shares = np.frombuffer(raw.shares, dtype=np.dtype(DTYPES["shares"])).copy()
        shares["beat_ns"] += beat_ms * 1_000_000
        return BoardView.from_raw(raw._replace(tasks=tasks.tobytes(), shares=shares.tobytes()))

    table = Table(shifted(0, 100.0), 1)
    for revision, (beat_ms, rate, is_sent) in enumerate(
        ((3, 100.0, False), (-5, 95.0, False), (6, 85.0, False), (0, 75.0, True), (0, 70.0, False), (40, 70.0, True)), 2
    ):
        table = table.advanced(shifted(beat_ms, rate), revision)
        patch = table.patch(revision - 1)
        assert bool(patch.moved["serial"]) == is_sent, (beat_ms, rate)
        assert bool(patch.workers) == (beat_ms == 40)
        client = Client(table, revision)
        assert client.shows(table)


def test_pages_are_the_rows_in_parts(board: Board) -> None:
    for number in range(10):
        board.task(f"t{number}")
    table = Table(board.snapshot(), 1)
    found: list[dict[str, Any]] = []
    after, more = None, True
    while more:
        rows, more = table.page(after, 3)
        found += rows
        after = rows[-1]["serial"]
    assert found == table.rows()
    assert table.page(after, 3) == ([], False)
    assert Table(open_board_view(board, 0), 1).page(None, 3) == ([], False)


def open_board_view(board: Board, tasks: int) -> BoardView:
    """The view of a board with only the first so many records of its tasks, and nothing that belongs to others."""
    raw = board.snapshot().raw
    size = tasks * RECORD_BYTES["tasks"]
    return BoardView.from_raw(
        raw._replace(tasks=raw.tasks[:size], stages=b"", shares=b"", workers=b"", result_index=b"", results=b"")
    )


def test_of_a_serial_that_stands_there_twice_one_row_is_shown(board: Board) -> None:
    board.task("one")
    board.task("two")
    view = open_board_view(board, 2)
    raw = view.raw
    offset = next(field for field in dtype_offsets() if field[0] == "serial")[1]
    tasks = bytearray(raw.tasks)
    tasks[RECORD_BYTES["tasks"] + offset :][:8] = b""
    struct.pack_into("=Q", tasks, RECORD_BYTES["tasks"] + offset, (1 << 64) - 1)
    struct.pack_into("=Q", tasks, offset, (1 << 64) - 1)
    table = Table(BoardView.from_raw(raw._replace(tasks=tasks)), 1)
    assert [(row["id"], row["serial"]) for row in table.rows()] == [("two", (1 << 64) - 1)]
    assert len(table.advanced(BoardView.from_raw(raw._replace(tasks=tasks)), 2).patch(1).rows) == 0


def dtype_offsets() -> list[tuple[str, int]]:
    import numpy as np

    fields: Any = np.dtype(DTYPES["tasks"]).fields
    return [(name, offset) for name, (_, offset, *_) in fields.items()]


def test_a_fading_rate_comes_to_rest() -> None:
    assert rate_shown(1e-12) == 0.0
    assert rate_shown(float("nan")) is None
    assert rate_shown(float("inf")) is None
    assert rate_shown(12345.678) == 12350.0


def test_a_row_says_after_how_long_it_is_stalled_and_another_time_is_a_change() -> None:
    def edit(arrays: Arrays) -> None:
        arrays["tasks"]["stall_after_ns"] = [0, 25 * SECOND, 2**63 - 1]

    table = Table(BoardView.from_raw(build_raw(3)), 1)
    table = table.advanced(BoardView.from_raw(build_raw(3, edit=edit)), 2)
    assert {row["id"]: row["stall_after"] for row in table.rows()} == {"task-0": 10.0, "task-1": 25.0, "task-2": None}
    assert {row["id"] for row in table.patch(1).rows} == {"task-1", "task-2"}
