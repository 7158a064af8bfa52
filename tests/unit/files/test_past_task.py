"""A task of the history as it is read."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from typing import TYPE_CHECKING

from headway.files import history
from tests.unit.conftest import NOW, add, ended

if TYPE_CHECKING:
    from pathlib import Path


def test_a_past_task_says_what_it_is(tmp_path: Path) -> None:
    add(tmp_path, ended(1), series={0: [(NOW - 1.0, 0), (float(NOW), 20)]})
    (task,) = history.read(tmp_path)
    assert repr(task) == "<PastTask 'task-0' success 20/100 bar>"
    assert task == history.read(tmp_path)[0]
    assert hash(task) == hash(history.read(tmp_path)[0])
    told = task.to_dict()
    assert (told["series"], told["slot"], told["generation"]) == ([[NOW - 1.0, 0], [float(NOW), 20]], 0, 1)
    assert (told["stages"][1]["name"], told["result"], told["elapsed"]) == ("fit", {"auc": 0.0}, 10.0)


def test_what_workers_had_in_hand_and_how_long_items_took_is_kept(tmp_path: Path) -> None:
    add(tmp_path, ended(2))
    for number, task in enumerate(sorted(history.read(tmp_path), key=lambda task: task.id)):
        assert [(share.item, share.item_seconds) for share in task.workers] == [
            (f"item {number}", 4.0 + number),
            ("", None),
        ]
        assert task.durations is not None
        assert (task.durations.timed, task.durations.slowest, task.durations.item) == (12, 1.5, "item 3")
        assert task.durations.counts[6] == 12


def test_rows_of_before_have_neither_items_nor_durations(tmp_path: Path) -> None:
    add(tmp_path, ended(1))
    with contextlib.closing(sqlite3.connect(tmp_path / history.HISTORY)) as database:
        database.execute("UPDATE runs SET durations = '', workers = '[[700, 7, 10, 1.0, true]]'")
        database.commit()
    (task,) = history.read(tmp_path)
    assert (task.durations, task.workers[0].item, task.workers[0].item_seconds) == (None, "", None)


def test_a_result_that_is_no_json_is_left_out_and_keeps_no_task_back(tmp_path: Path) -> None:
    assert add(tmp_path, ended(3, edit=lambda arrays: arrays["results"].fill(0xFF))) == 3
    assert [task.result for task in history.read(tmp_path)] == [None, None, None]


def test_a_result_that_is_nested_beyond_reading_is_left_out(tmp_path: Path) -> None:
    raw = ended(1)
    deep = b"[" * 5000 + b"]" * 5000
    index = raw.result_index[:4] + len(deep).to_bytes(4, sys.byteorder) + bytes(8)
    add(tmp_path, raw._replace(results=deep, result_index=index))
    assert history.read(tmp_path)[0].result is None
