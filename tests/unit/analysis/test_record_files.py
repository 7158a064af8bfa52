"""The files of one analysis: what is there after each step of a write."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from headway.analysis import FileBasedProgressTracker, MLPredictionResult, record_files, storage


@pytest.mark.parametrize("undone", ["never", "before", "after"])
@pytest.mark.parametrize("step", range(6))
def test_a_kill_between_two_steps_of_a_write_loses_nothing(
    tracker: FileBasedProgressTracker, one: Path, step: int, undone: str
) -> None:
    """Headway is killed at some step of a write; the old tracker undoes a result before it, after it, or never."""
    before = one.read_bytes()
    tracker.update_ml_prediction("one", MLPredictionResult("ok", 7))

    def undo() -> None:
        by_old = tracker.progress_dir / "progress_one.tmp"
        by_old.write_bytes(before)
        by_old.rename(one)

    if undone == "before":
        undo()
    child = os.fork()
    if child == 0:
        left = step

        def counted(call: Any) -> Any:
            def stepping(*arguments: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os._exit(9)
                return call(*arguments, **options)

            return stepping

        for name in ("link", "unlink", "rename", "replace"):
            setattr(os, name, counted(getattr(os, name)))
        tracker.update_stage("one", "market_context")
        os._exit(0)
    os.waitpid(child, 0)
    if undone == "after":
        undo()
    found = tracker.get_progress("one")
    assert found is not None
    assert found.ml_prediction.predictions_count == 7
    for stage in ("leverage_decision", "completed"):
        assert tracker.update_stage("one", stage)
        found = tracker.get_progress("one")
        assert found is not None
        assert (found.current_stage, found.ml_prediction.predictions_count) == (stage, 7)
    assert one.stat().st_ino == (tracker.progress_dir / ".progress_one.own").stat().st_ino
    assert (
        json.loads((tracker.progress_dir / ".progress_one.prev").read_bytes())["current_stage"] == "leverage_decision"
    )


def test_a_reader_who_is_overtaken_sees_no_mixture(
    tracker: FileBasedProgressTracker, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = storage.read_with_number
    overtaken: list[bool] = []

    def slow(path: Any, **options: Any) -> Any:
        found = read(path, **options)
        if path == str(one) and not overtaken:
            overtaken.append(True)
            tracker.update_ml_prediction("one", MLPredictionResult("ok", 7))
            tracker.update_stage("one", "market_context")
        return found

    monkeypatch.setattr(record_files, "read_with_number", slow)
    found = tracker.get_progress("one")
    assert found is not None
    assert overtaken
    assert (found.current_stage, found.ml_prediction.predictions_count) == ("market_context", 7)
