"""The document about an analysis in the result of its task, and the files that hold its large parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headway.analysis import AnalysisProgress, SharedMemoryProgressTracker, SupportResistanceResult, document
from headway.analysis.values import is_digest
from headway.engine.board import open_board


def seen(tracker: SharedMemoryProgressTracker, execution_id: str) -> AnalysisProgress:
    found = tracker.get_progress(execution_id)
    assert found is not None
    return found


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b"1", b"[" * 100_000, b"\xff"])
def test_a_damaged_document_is_an_empty_one(raw: bytes) -> None:
    assert document.loaded(raw) == {}


@pytest.mark.parametrize("id", ["x" * 95, "é" * 47, "a b"])
def test_an_id_that_a_slot_can_hold_is_the_task_s_id(id: str) -> None:
    assert document.key_of(id) == id


@pytest.mark.parametrize("id", ["x" * 96, "é" * 48, "a\0b", document.key_of("x" * 96)])
def test_any_other_id_becomes_a_digest_that_no_other_id_has(id: str) -> None:
    key = document.key_of(id)
    assert key != id
    assert is_digest(key)
    assert key != document.key_of(id + "x")


def test_a_text_is_cut_at_a_character_and_never_empty() -> None:
    assert document.shown("é" * 10, 20) == "é" * 10
    assert document.shown("a" * 20, 19) == "a" * 16 + "…"
    assert document.shown("é" * 10, 19) == "é" * 8 + "…"
    assert document.shown("a\0b", 3) == "a b"
    assert document.shown("", 3) == " "


def test_a_part_is_read_in_place_or_from_its_file(tmp_path: Path) -> None:
    name = f"result-{0:032x}.json"
    (tmp_path / name).write_bytes(b"[1, 2]")
    found = {"here": {"file": "../secret"}, "there": {"file": name}}
    assert document.part(found, "here", tmp_path) == {"file": "../secret"}, "not the name of a part"
    assert document.part(found, "there", tmp_path) == [1, 2]
    assert document.part(found, "nowhere", tmp_path) is None
    (tmp_path / name).write_bytes(b"[1, 2")
    assert document.part(found, "there", tmp_path) is None
    (tmp_path / name).unlink()
    with pytest.raises(document.PartGone):
        document.part(found, "there", tmp_path)


def test_a_file_that_cannot_be_removed_makes_no_change_a_failure(
    board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = SharedMemoryProgressTracker(board_name, strict=True)
    tracker.start_analysis("BTC", "one")
    large = SupportResistanceResult("ok", supports=[{"price": 1.0 * number} for number in range(2000)])
    tracker.update_support_resistance("one", large)

    def refuse(path: Path, **_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as refusing:
        refusing.setattr(Path, "unlink", refuse)
        assert tracker.update_support_resistance("one", SupportResistanceResult("small"))
        assert seen(tracker, "one").support_resistance.status == "small"
        tracker.update_support_resistance("one", large)
        assert tracker.start_analysis("BTC", "one").current_stage == "initializing"
        assert seen(tracker, "one").support_resistance.status == "pending"
    open_board(board_name).remove(files=True)
