"""Tidying up goes in steps, each of which is bounded, and ends where nothing is left to do."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from headway.files import history, tidying
from tests.unit.conftest import NOW, add, ended

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "STEP_ROWS", 5)


@pytest.mark.parametrize("asked", [{"keep_hours": 1.0}, {"keep_rows": 0}, {"keep_hours": 1.0, "keep_rows": 3}])
def test_a_step_deletes_a_few_rows_whatever_there_is_to_delete(tmp_path: Path, asked: dict[str, float]) -> None:
    add(tmp_path, ended(23, at=NOW))
    with history.Writer(tmp_path) as writer:
        steps = writer.round(**asked)  # type: ignore[arg-type]
        seen = [steps.deleted]
        while writer.tidy(steps):
            seen.append(steps.deleted)
    assert seen == [0, 5, 10, 15, 20, 23]
    assert history.read(tmp_path) == []


def test_what_was_too_much_in_a_file_that_was_replaced_costs_the_new_one_nothing(tmp_path: Path) -> None:
    add(tmp_path, ended(23))
    with history.Writer(tmp_path) as writer:
        steps = writer.round(keep_rows=3)
        assert writer.tidy(steps)
        history.remove(tmp_path)
        add(tmp_path, ended(4))
        while writer.tidy(steps):
            pass
    assert [task.id for task in history.read(tmp_path)] == ["task-3", "task-2", "task-1"]


def test_the_file_shrinks_a_few_pages_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "STEP_ROWS", 1000)
    monkeypatch.setattr(tidying, "FREE_PAGES_MIN", 8)
    add(tmp_path, ended(200))
    with history.Writer(tmp_path) as writer:
        steps = writer.round(keep_rows=0)
        assert writer.tidy(steps)
        sizes = []
        more = True
        while more:
            more = writer.tidy(steps)
            writer.close()  # empties the log, so that the file has its size
            sizes.append((tmp_path / history.HISTORY).stat().st_size)
    assert all(0 <= before - after <= 8 * 4096 for before, after in itertools.pairwise(sizes))
    assert sizes[-1] < sizes[0] / 2
