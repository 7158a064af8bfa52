"""The file tracker: what its files are, what it makes of damaged ones, and who may write when."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import signal
import stat
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from headway import errors
from headway.analysis import FileBasedProgressTracker, MLPredictionResult, contract, files, storage, switch
from headway.analysis.record_files import RecordFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY_S = 24 * 3600


def stage_of(tracker: FileBasedProgressTracker, execution_id: str = "one") -> str:
    record = tracker.get_progress(execution_id)
    assert record is not None
    return record.current_stage


def lock_of(execution_id: str) -> Path:
    return RecordFiles("", execution_id).lock


def names(tracker: FileBasedProgressTracker) -> set[str]:
    return {path.name for path in tracker.progress_dir.iterdir()}


def make_old(path: Path, hours: float = 25) -> None:
    at = time.time() - hours * 3600
    os.utime(path, (at, at))


# --- what stands where


def test_the_folder_is_in_the_temporary_directory_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tracker = FileBasedProgressTracker()
    assert tracker.progress_dir == tmp_path / "analysis_progress"
    assert stat.S_IMODE(tracker.progress_dir.stat().st_mode) == 0o700
    tracker.start_analysis("BTC", "one")


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_a_new_folder_that_was_asked_for_follows_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        tracker = FileBasedProgressTracker(tmp_path / "new")
        tracker.start_analysis("BTC", "one")
    finally:
        os.umask(before)
    assert stat.S_IMODE(tracker.progress_dir.stat().st_mode) == 0o777 & ~mask
    assert stat.S_IMODE((tracker.progress_dir / "progress_one.json").stat().st_mode) == 0o666 & ~mask


def test_a_folder_in_the_temporary_directory_may_be_opened_to_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("HEADWAY_ANALYSIS_MODE", "0755")
    before = os.umask(0o077)
    try:
        tracker = FileBasedProgressTracker()
        tracker.start_analysis("BTC", "one")
    finally:
        os.umask(before)
    assert stat.S_IMODE(tracker.progress_dir.stat().st_mode) == 0o755
    assert stat.S_IMODE((tracker.progress_dir / "progress_one.json").stat().st_mode) == 0o644
    monkeypatch.setenv("HEADWAY_ANALYSIS_MODE", "rwx")
    with pytest.raises(ValueError, match="HEADWAY_ANALYSIS_MODE 'rwx' is not a folder mode"):
        FileBasedProgressTracker(tmp_path / "new", strict=True)
    assert FileBasedProgressTracker(tmp_path / "new").update_stage("one", "x") is False


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o700])
def test_an_existing_folder_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "analysis_progress"
    folder.mkdir()
    folder.chmod(mode)
    FileBasedProgressTracker(tmp_path).start_analysis("BTC", "one")
    assert stat.S_IMODE(folder.stat().st_mode) == mode


def test_a_folder_that_is_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "analysis_progress").symlink_to(tmp_path / "elsewhere")
    tracker = FileBasedProgressTracker(tmp_path)
    tracker.start_analysis("BTC", "one")
    assert stage_of(tracker) == "initializing"
    assert (tmp_path / "elsewhere" / "progress_one.json").exists()


def test_the_file_is_the_record_as_json_with_local_time(tracker: FileBasedProgressTracker, one: Path) -> None:
    record = tracker.get_progress("one")
    assert record is not None
    stored = json.loads(one.read_text())
    assert stored == record.to_dict()
    assert datetime.fromisoformat(stored["start_time"]).tzinfo is None


@pytest.mark.parametrize("execution_id", ["BTC-1h_2.5~", "a b", "a%2Fb", "..", "🚀", "x" * 241, "é" * 120, "a\nb"])
def test_an_id_that_the_old_tracker_could_store_has_the_same_file(
    tracker: FileBasedProgressTracker, execution_id: str
) -> None:
    tracker.start_analysis("BTC", execution_id)
    assert tracker._get_progress_file_path(execution_id) == tracker.progress_dir / f"progress_{execution_id}.json"
    assert [path.name for path in tracker.progress_dir.glob("progress_*")] == [f"progress_{execution_id}.json"]
    assert tracker.update_stage(execution_id, "data_fetch")
    assert tracker.get_active_executions() == [execution_id]


@pytest.mark.parametrize("execution_id", ["../x", "/" * 95, "a\0b", "x" * 242, "🚀" * 100])
def test_any_other_id_has_a_file_of_its_own_in_the_folder(tracker: FileBasedProgressTracker, execution_id: str) -> None:
    tracker.start_analysis("BTC", execution_id)
    (path,) = tracker.progress_dir.glob("progress_*.json")
    assert path == tracker._get_progress_file_path(execution_id)
    assert tracker.update_stage(execution_id, "data_fetch")
    assert tracker.get_active_executions() == [execution_id]


def test_foreign_files_are_left_alone(tracker: FileBasedProgressTracker, one: Path) -> None:
    for name in ("notes.txt", ".progress", "progress.json", "progress_one.txt"):
        (tracker.progress_dir / name).write_text("{}")
        make_old(tracker.progress_dir / name)
    (tracker.progress_dir / "progress_folder.json").mkdir()
    make_old(tracker.progress_dir / "progress_folder.json")
    before = names(tracker)
    assert tracker.get_active_executions() == ["one"]
    assert tracker.get_progress("folder") is None
    assert tracker.cleanup_old() == 0
    assert names(tracker) >= before


# --- damage


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"symbol": 5}',
        "other",
        "link",
        "folder",
    ],
)
def test_of_a_damaged_file_the_last_good_one_is_read(
    tracker: FileBasedProgressTracker, one: Path, damage: bytes | str, tmp_path: Path
) -> None:
    tracker.update_stage("one", "ml_prediction")
    content = one.read_bytes()
    if isinstance(damage, bytes):
        one.write_bytes(damage)
    elif damage == "other":
        tracker.start_analysis("BTC", "two")
        one.write_bytes((tracker.progress_dir / "progress_two.json").read_bytes())
    else:
        one.unlink()
        if damage == "link":
            (tmp_path / "elsewhere").write_bytes(content)
            one.symlink_to(tmp_path / "elsewhere")
        elif damage == "folder":
            one.mkdir()
    last = "ml_prediction" if damage in ("link", "folder") else "data_fetch"  # it has another name
    assert stage_of(tracker) == last
    if damage == "folder":
        return
    assert tracker.update_ml_prediction("one", MLPredictionResult("ok"))
    record = tracker.get_progress("one")
    assert record is not None
    assert (record.current_stage, record.ml_prediction.status) == (last, "ok")
    one.write_bytes(b"damaged again")
    assert stage_of(tracker) == "data_fetch", "a damaged file never becomes the last good one"
    if damage == "link":
        assert (tmp_path / "elsewhere").read_bytes() == content, "nothing is written through a link"


def test_what_somebody_removed_is_gone(tracker: FileBasedProgressTracker, one: Path) -> None:
    one.unlink()
    assert tracker.get_progress("one") is None
    assert tracker.update_stage("one", "late") is False
    tracker.start_analysis("BTC", "one")
    assert stage_of(tracker) == "initializing"


def test_where_nothing_can_be_read_there_is_nothing(tracker: FileBasedProgressTracker, one: Path) -> None:
    for path in tracker.progress_dir.glob("*progress_one*"):
        path.write_bytes(b"damaged")
    assert tracker.get_progress("one") is None
    assert tracker.update_stage("one", "late") is False
    assert tracker.get_all_recent() == []
    assert tracker.get_active_executions() == []
    assert tracker.start_analysis("BTC", "one").current_stage == "initializing"
    assert stage_of(tracker) == "initializing"


def test_a_pipe_or_a_huge_file_is_not_read(tracker: FileBasedProgressTracker, one: Path) -> None:
    one.unlink()
    os.mkfifo(one)
    assert stage_of(tracker) == "data_fetch"
    one.unlink()
    with one.open("wb") as file:
        file.truncate(storage.FILE_BYTES_MAX + 1)
    assert stage_of(tracker) == "data_fetch"


def test_a_file_that_an_older_program_wrote_is_read_and_changed(tracker: FileBasedProgressTracker) -> None:
    old = {
        "symbol": "BTC",
        "execution_id": "old",
        "start_time": "2024-01-02T03:04:05.678901",
        "current_stage": "ml_prediction",
        "overall_status": "running",
        "support_resistance": {"status": "completed", "supports_count": 2},
        "final_signal": "analyzing",
    }
    (tracker.progress_dir / "progress_old.json").write_text(json.dumps(old, indent=2))
    record = tracker.get_progress("old")
    assert record is not None
    assert record.start_time.isoformat() == old["start_time"]
    assert record.support_resistance.supports_count == 2
    assert tracker.update_stage("old", "market_context")
    assert stage_of(tracker, "old") == "market_context"


def test_a_folder_that_was_tidied_away_is_made_anew(tracker: FileBasedProgressTracker, one: Path) -> None:
    for path in tracker.progress_dir.iterdir():
        path.unlink()
    tracker.progress_dir.rmdir()
    assert tracker.get_progress("one") is None
    assert tracker.update_stage("one", "late") is False
    assert tracker.get_all_recent() == []
    assert tracker.cleanup_old() == 0
    tracker.start_analysis("BTC", "one")
    assert stage_of(tracker) == "initializing"


def test_in_the_temporary_directory_a_folder_of_somebody_else_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    FileBasedProgressTracker().start_analysis("BTC", "one")
    os.chown(tmp_path / "analysis_progress", 1234, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    with pytest.raises(errors.NotOwner, match="analysis_progress belongs to user 1234, not to you"):
        FileBasedProgressTracker(strict=True)
    tracker = FileBasedProgressTracker()
    assert tracker.start_analysis("BTC", "two").symbol == "BTC"
    assert tracker.update_stage("one", "late") is False
    assert names(tracker) == {"progress_one.json", ".progress_one.own", lock_of("one").name}
    assert stage_of(tracker) == "initializing", "a dashboard under another user reads it"


def test_nothing_is_cleaned_up_in_a_folder_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tracker = FileBasedProgressTracker()
    tracker.start_analysis("BTC", "one")
    make_old(tracker.progress_dir / "progress_one.json")
    before = names(tracker)
    os.chown(tracker.progress_dir, 1234, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    assert tracker.cleanup_old() == 0
    tracker.strict = True
    with pytest.raises(errors.NotOwner, match="belongs to user 1234"):
        tracker.cleanup_old()
    assert names(tracker) == before


class Unusable:
    """An object that can only be shown."""

    def _raise(self) -> Any:
        raise LookupError("no")

    def __repr__(self) -> str:
        return "Unusable"

    __bool__ = __str__ = __fspath__ = __len__ = _raise


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("kind", switch.KINDS)
@pytest.mark.parametrize(
    ("base_dir", "path"),
    [
        (b"x", "x"),
        (5, "5"),
        (PurePosixPath("x/y"), "x/y"),
        (os.fsencode("é"), "é"),
        ("\udcff", "\udcff"),
        ("\ud800", "\\ud800"),
        (Unusable(), "<Unusable>"),
        (np.zeros(2), "[0. 0.]"),
    ],
    ids=ascii,
)
def test_a_base_dir_of_any_type_is_a_path(
    base_dir: Any, path: str, kind: str, strict: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tracker = switch.CLASSES[kind](base_dir, strict=strict)
    assert tracker.progress_dir == tmp_path / path / "analysis_progress"
    if kind != "shared":
        assert tracker.start_analysis("BTC", "one").symbol == "BTC"
        assert switch.CLASSES[kind](path).get_active_executions() == ["one"]
    else:
        assert tracker.name == switch.CLASSES[kind](path).name != "analysis"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_base_dir_that_cannot_be_is_told_and_raised_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(contract, "_told", set())
    for _ in range(2):
        tracker = FileBasedProgressTracker("a\0b")
        assert tracker.start_analysis("BTC", "one").symbol == "BTC"
        assert tracker.update_stage("one", "late") is False
        assert tracker.get_progress("one") is None
        assert tracker.get_all_recent() == []
        assert tracker.get_active_executions() == []
    told = [one.getMessage() for one in caplog.records if "__init__" in one.getMessage()]
    assert len(told) == 1, "it is told once"
    assert told[0].startswith("FileBasedProgressTracker.__init__('a\\x00b') did nothing: ValueError: ")
    with pytest.raises(ValueError, match="null byte"):
        FileBasedProgressTracker("a\0b", strict=True)
    for kind in ("shared", "memory"):  # they need no such folder
        assert switch.CLASSES[kind]("a\0b", strict=True).progress_dir.name == "analysis_progress"


@pytest.mark.parametrize("kind", switch.KINDS)
def test_in_a_current_directory_that_was_removed_a_relative_base_dir_raises_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    tracker = switch.CLASSES[kind]("x")
    assert tracker.progress_dir == Path("x", "analysis_progress")
    assert tracker.update_stage("one", "late") is False


@pytest.mark.parametrize("kind", switch.KINDS)
@pytest.mark.parametrize("execution_id", [None, "", Unusable()], ids=ascii)
def test_the_path_of_what_is_no_id_can_be_asked_for(execution_id: Any, kind: str, tmp_path: Path) -> None:
    path = switch.CLASSES[kind](tmp_path)._get_progress_file_path(execution_id)
    assert path.parent == tmp_path / "analysis_progress"
    assert not path.exists()


def test_an_empty_base_dir_is_the_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for kind in switch.CLASSES.values():
        assert kind("").progress_dir == tmp_path / "analysis_progress"


@pytest.mark.parametrize(
    "change",
    [
        {"start_time": "0001-01-01T00:00:00"},
        {"start_time": "9999-12-31T23:59:59.999999"},
        {"start_time": "0001-01-01T00:00:00+14:00"},
        {"execution_id": "\udcff"},
        {"ml_prediction": {"predictions_count": 10**4000}},
        {"ml_prediction": {"confidence": 10**400}},
        {"support_resistance": {"supports": {"price": None}}},
    ],
    ids=str,
)
def test_one_odd_record_hides_no_others(tracker: FileBasedProgressTracker, one: Path, change: dict[str, Any]) -> None:
    odd = json.loads(one.read_text()) | {"execution_id": "odd"} | change
    (tracker.progress_dir / "progress_odd.json").write_text(json.dumps(odd))
    tracker.strict = True  # as a dashboard reads it
    for hours in (1, 24, 1e9, float("inf")):
        assert "one" in [record.execution_id for record in tracker.get_all_recent(hours)]
    assert "one" in tracker.get_active_executions()
    assert tracker.cleanup_old() == 0


def test_a_name_that_is_no_text_hides_no_others(tracker: FileBasedProgressTracker, one: Path) -> None:
    for name in (b"progress_\xff.json", b"progress_" + b"\xff" * 230 + b".json"):
        Path(os.fsdecode(bytes(tracker.progress_dir) + b"/" + name)).write_bytes(one.read_bytes())
    tracker.strict = True
    assert [record.execution_id for record in tracker.get_all_recent()] == ["one"]
    assert tracker.get_active_executions() == ["one"]
    assert tracker.cleanup_old() == 0


def test_a_full_disk_keeps_the_record_and_leaves_nothing(
    tracker: FileBasedProgressTracker, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = names(tracker)
    monkeypatch.setattr(os, "fsync", no_room)
    assert tracker.update_stage("one", "ml_prediction") is False
    tracker.strict = True
    with pytest.raises(OSError, match="No space"):
        tracker.update_stage("one", "ml_prediction")
    monkeypatch.undo()
    assert names(tracker) == before
    assert stage_of(tracker) == "data_fetch"
    assert tracker.update_stage("one", "ml_prediction")


# --- locks


@contextmanager
def held(tracker: FileBasedProgressTracker, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """The lock of the analysis is held by another process."""
    context = multiprocessing.get_context("fork")
    ready, release = context.Event(), context.Event()

    def hold() -> None:
        with (tracker.progress_dir / lock_of("one").name).open("r") as file:
            fcntl.flock(file, how)
            ready.set()
            release.wait(30)

    process = context.Process(target=hold)
    process.start()
    try:
        assert ready.wait(10)
        held.pid = process.pid  # type: ignore[attr-defined]
        yield
    finally:
        release.set()
        process.join(10)
    assert process.exitcode == 0


def test_who_waits_too_long_for_a_lock_is_told_who_holds_it(
    tracker: FileBasedProgressTracker, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PATIENCE_S", 0.2)
    with held(tracker):
        assert tracker.update_stage("one", "late") is False
        tracker.strict = True
        pid: Any = held.pid  # type: ignore[attr-defined]
        for write in (lambda: tracker.update_stage("one", "late"), lambda: tracker.start_analysis("ETH", "one")):
            with pytest.raises(errors.LockTimeout, match=rf"{lock_of('one').name} .*by pid {pid}:"):
                write()
        assert stage_of(tracker) == "data_fetch", "readers do not wait"
    assert tracker.update_stage("one", "now") is True


def test_a_signal_handler_does_not_wait_for_the_change_that_it_interrupts(
    tracker: FileBasedProgressTracker, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    monkeypatch.setattr(files, "PATIENCE_S", 1e6)

    def handle(*_: Any) -> None:
        with pytest.raises(errors.LockTimeout, match="locked by the call that this one interrupts") as raised:
            tracker.update_stage("one", "interrupted")
        told.append(raised.value)

    before = signal.signal(signal.SIGUSR1, handle)
    monkeypatch.setattr(os, "fsync", lambda _: signal.raise_signal(signal.SIGUSR1))
    tracker.strict = True
    try:
        assert tracker.update_stage("one", "ml_prediction")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(told) == 1
    assert stage_of(tracker) == "ml_prediction"


# --- cleanup


def test_what_is_older_than_a_day_goes_when_the_tracker_is_made(tracker: FileBasedProgressTracker, one: Path) -> None:
    tracker.start_analysis("BTC", "young")
    make_old(one)
    make_old(tracker.progress_dir / "progress_young.json", hours=23)
    assert FileBasedProgressTracker(tracker.progress_dir.parent).get_active_executions() == ["young"]
    assert names(tracker) == {"progress_young.json", ".progress_young.own", lock_of("one").name, lock_of("young").name}


def test_what_is_being_written_is_not_removed(tracker: FileBasedProgressTracker, one: Path) -> None:
    make_old(one)
    with held(tracker):
        assert tracker.cleanup_old() == 0
    assert stage_of(tracker) == "data_fetch"
    assert tracker.cleanup_old() == 1
    assert names(tracker) == {lock_of("one").name}


def test_what_was_touched_since_it_was_listed_is_not_removed(
    tracker: FileBasedProgressTracker, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_old(one)
    listed = tracker._listed()
    tracker.update_stage("one", "again")
    monkeypatch.setattr(FileBasedProgressTracker, "_listed", lambda _self: listed)
    assert tracker.cleanup_old() == 0
    assert stage_of(tracker) == "again"


def test_what_killed_writers_left_goes_too(tracker: FileBasedProgressTracker, one: Path) -> None:
    for name in (".progress_one.0123456789abcdef.tmp", ".progress_gone.prev"):
        (tracker.progress_dir / name).write_text("{}")
        make_old(tracker.progress_dir / name)
    make_old(tracker.progress_dir / ".progress_one.prev")
    young = ".progress_one.fedcba9876543210.tmp"
    (tracker.progress_dir / young).write_text("{}")
    assert tracker.cleanup_old() == 0
    assert names(tracker) == {one.name, lock_of("one").name, ".progress_one.prev", ".progress_one.own", young}
    time.sleep(0.02)
    assert tracker.cleanup_old(0) == 1
    assert names(tracker) == {lock_of("one").name, young}, "its writer may be about to publish it"
