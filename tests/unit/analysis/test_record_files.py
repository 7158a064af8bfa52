"""The files of one analysis: what is there after each step of a write."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
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
    read = storage.reading
    overtaken: list[bool] = []

    @contextmanager
    def slow(path: Any, **options: Any) -> Iterator[Any]:
        with read(path, **options) as found:
            if path == str(one) and not overtaken:
                overtaken.append(True)
                tracker.update_ml_prediction("one", MLPredictionResult("ok", 7))
                tracker.update_stage("one", "market_context")
            yield found

    monkeypatch.setattr(record_files, "reading", slow)
    found = tracker.get_progress("one")
    assert found is not None
    assert overtaken
    assert (found.current_stage, found.ml_prediction.predictions_count) == ("market_context", 7)


@pytest.mark.parametrize("left", [b"", b'{"symbol": "BT'])
def test_a_start_that_was_killed_before_its_record_was_named_is_made_again(
    tracker: FileBasedProgressTracker, left: bytes
) -> None:
    (tracker.progress_dir / ".progress_new.own").write_bytes(left)
    assert tracker.get_progress("new") is None
    assert tracker.get_all_recent() == []
    tracker.start_analysis("BTC", "new")
    assert tracker.get_progress("new").symbol == "BTC"  # type: ignore[union-attr]
    main = tracker.progress_dir / "progress_new.json"
    assert main.stat().st_ino == (tracker.progress_dir / ".progress_new.own").stat().st_ino
    assert sorted(path.name for path in tracker.progress_dir.iterdir() if path.name.endswith(".tmp")) == []


@pytest.mark.parametrize("first", [b'{"symbol": "OLD"}', b"damaged"])
def test_a_start_replaces_the_record_of_another_program(tracker: FileBasedProgressTracker, first: bytes) -> None:
    main = tracker.progress_dir / "progress_new.json"
    main.write_bytes(first)
    tracker.start_analysis("BTC", "new")
    assert tracker.get_progress("new").symbol == "BTC"  # type: ignore[union-attr]
    assert main.stat().st_ino == (tracker.progress_dir / ".progress_new.own").stat().st_ino


def test_a_start_works_without_hard_links(tracker: FileBasedProgressTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    tracker.start_analysis("BTC", "new")
    assert tracker.get_progress("new").symbol == "BTC"  # type: ignore[union-attr]
    assert [path.name for path in tracker.progress_dir.iterdir() if "new" in path.name] == ["progress_new.json"]


def test_between_two_steps_of_a_write_a_reader_sees_the_record_before_or_after_and_no_mixture(
    tracker: FileBasedProgressTracker, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker.update_stage("one", "market_context")
    before = tracker.get_progress("one")
    seen: list[Any] = []

    def watched(call: Any) -> Any:
        def stepping(*arguments: Any, **options: Any) -> Any:
            seen.append(FileBasedProgressTracker(tracker.progress_dir.parent).get_progress("one"))
            return call(*arguments, **options)

        return stepping

    with monkeypatch.context() as patch:
        for name in ("link", "rename"):
            patch.setattr(os, name, watched(getattr(os, name)))
        tracker._change("one", _both)
    after = tracker.get_progress("one")
    assert before != after
    assert len(seen) >= 3
    assert all(found in (before, after) for found in seen)


def _both(record: Any) -> None:
    """One change of stage and result, as `update_...` makes it."""
    record.current_stage = "leverage_decision"
    record.ml_prediction = MLPredictionResult("ok", 7)
