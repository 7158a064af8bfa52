"""A task of the history as it is read."""

from __future__ import annotations

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


def test_a_result_that_is_no_json_is_left_out_and_keeps_no_task_back(tmp_path: Path) -> None:
    assert add(tmp_path, ended(3, edit=lambda arrays: arrays["results"].fill(0xFF))) == 3
    assert [task.result for task in history.read(tmp_path)] == [None, None, None]


def test_a_result_that_is_nested_beyond_reading_is_left_out(tmp_path: Path) -> None:
    raw = ended(1)
    deep = b"[" * 5000 + b"]" * 5000
    index = raw.result_index[:4] + len(deep).to_bytes(4, sys.byteorder) + bytes(8)
    add(tmp_path, raw._replace(results=deep, result_index=index))
    assert history.read(tmp_path)[0].result is None
