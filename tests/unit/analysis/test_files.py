"""The file tracker: what its files are, what it makes of damaged ones, and who may write when."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import stat
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from headway import errors
from headway.analysis import FileBasedProgressTracker, MLPredictionResult, files, storage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_S = 24 * 3600


@pytest.fixture
def tracker(tmp_path: Path) -> FileBasedProgressTracker:
    return FileBasedProgressTracker(tmp_path)


@pytest.fixture
def one(tracker: FileBasedProgressTracker) -> Path:
    """The file of an analysis that was changed once."""
    tracker.start_analysis("BTC", "one")
    tracker.update_stage("one", "data_fetch")
    return tracker.directory / "progress_one.json"


def stage_of(tracker: FileBasedProgressTracker, execution_id: str = "one") -> str:
    record = tracker.get_progress(execution_id)
    assert record is not None
    return record.current_stage


def names(tracker: FileBasedProgressTracker) -> set[str]:
    return {path.name for path in tracker.directory.iterdir()}


def make_old(path: Path, hours: float = 25) -> None:
    at = time.time() - hours * 3600
    os.utime(path, (at, at))


# --- what stands where


def test_the_folder_is_in_the_temporary_directory_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tracker = FileBasedProgressTracker()
    assert tracker.directory == tmp_path / "analysis_progress"
    assert stat.S_IMODE(tracker.directory.stat().st_mode) == 0o700
    tracker.start_analysis("BTC", "one")
    assert {stat.S_IMODE(path.stat().st_mode) for path in tracker.directory.iterdir()} == {0o600}


def test_the_file_is_named_after_the_id_and_is_the_record_as_json(tracker: FileBasedProgressTracker, one: Path) -> None:
    record = tracker.get_progress("one")
    assert record is not None
    stored = json.loads(one.read_text())
    assert stored.pop("start_time") == record.start_time.astimezone().isoformat(), "with its offset from UTC"
    expected = record.to_dict()
    del expected["start_time"]
    assert stored == expected


def test_a_start_is_the_same_moment_in_another_time_zone(
    tracker: FileBasedProgressTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        monkeypatch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        tracker.start_analysis("BTC", "one")
        monkeypatch.setenv("TZ", "America/New_York")
        time.tzset()
        (record,) = tracker.get_all_recent(hours=1)
        assert abs(record.start_time.timestamp() - time.time()) < 60
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("execution_id", "name"),
    [
        ("BTC-1h_2.5~", "BTC-1h_2.5~"),
        ("../x", "..%2Fx"),
        ("a%2Fb", "a%252Fb"),
        ("🚀", "%F0%9F%9A%80"),
        ("/" * 95, "%=" + "Ly8v" * 31 + "Ly8="),
    ],
)
def test_an_id_becomes_a_name_from_which_it_can_be_told(
    tracker: FileBasedProgressTracker, execution_id: str, name: str
) -> None:
    tracker.start_analysis("BTC", execution_id)
    assert [path.name for path in tracker.directory.glob("progress_*")] == [f"progress_{name}.json"]
    assert tracker.get_active_executions() == [execution_id]


def test_foreign_files_are_left_alone(tracker: FileBasedProgressTracker, one: Path) -> None:
    foreign = [
        "notes.txt",
        "progress_%zz.json",
        "progress_.json",
        "progress_a b.json",
        "progress_%61.json",
        "progress_%=.json",
    ]
    for name in foreign:
        (tracker.directory / name).write_text("{}")
        make_old(tracker.directory / name)
    (tracker.directory / "progress_folder.json").mkdir()
    make_old(tracker.directory / "progress_folder.json")
    assert tracker.get_active_executions() == ["one"]
    assert tracker.get_progress("folder") is None
    assert tracker.cleanup_old() == 0
    assert names(tracker) >= {*foreign, one.name, "progress_folder.json"}


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
        "gone",
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
        one.write_bytes((tracker.directory / "progress_two.json").read_bytes())
    else:
        one.unlink()
        if damage == "link":
            (tmp_path / "elsewhere").write_bytes(content)
            one.symlink_to(tmp_path / "elsewhere")
        elif damage == "folder":
            one.mkdir()
    assert stage_of(tracker) == "data_fetch"
    if damage == "folder":
        return
    assert tracker.update_ml_prediction("one", MLPredictionResult("ok"))
    record = tracker.get_progress("one")
    assert record is not None
    assert (record.current_stage, record.ml_prediction.status) == ("data_fetch", "ok")
    one.write_bytes(b"damaged again")
    assert stage_of(tracker) == "data_fetch", "a damaged file never becomes the last good one"
    if damage == "link":
        assert (tmp_path / "elsewhere").read_bytes() == content, "nothing is written through a link"


def test_where_nothing_can_be_read_there_is_nothing(tracker: FileBasedProgressTracker, one: Path) -> None:
    for path in tracker.directory.glob("*progress_one*"):
        if not path.name.endswith(".lock"):
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
    assert stage_of(tracker) == "initializing"
    one.unlink()
    with one.open("wb") as file:
        file.truncate(storage.FILE_BYTES_MAX + 1)
    assert stage_of(tracker) == "initializing"


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
    (tracker.directory / "progress_old.json").write_text(json.dumps(old, indent=2))
    record = tracker.get_progress("old")
    assert record is not None
    assert record.start_time.isoformat() == old["start_time"]
    assert record.support_resistance.supports_count == 2
    assert tracker.update_stage("old", "market_context")
    assert stage_of(tracker, "old") == "market_context"


def test_a_folder_that_was_tidied_away_is_made_anew(tracker: FileBasedProgressTracker, one: Path) -> None:
    for path in tracker.directory.iterdir():
        path.unlink()
    tracker.directory.rmdir()
    assert tracker.get_progress("one") is None
    assert tracker.update_stage("one", "late") is False
    assert tracker.get_all_recent() == []
    assert tracker.cleanup_old() == 0
    tracker.start_analysis("BTC", "one")
    assert stage_of(tracker) == "initializing"


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "analysis_progress").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(errors.NotOwner, match="analysis_progress"):
        FileBasedProgressTracker(tmp_path)


def test_a_full_disk_keeps_the_record_and_leaves_nothing(
    tracker: FileBasedProgressTracker, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = names(tracker)
    monkeypatch.setattr(os, "fsync", no_room)
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
        with (tracker.directory / ".progress_one.lock").open("r+") as file:
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
    monkeypatch.setattr(files, "WRITER_PATIENCE_S", 0.2)
    monkeypatch.setattr(files, "READER_PATIENCE_S", 0.2)
    with held(tracker):
        pid: Any = held.pid  # type: ignore[attr-defined]
        for write in (lambda: tracker.update_stage("one", "late"), lambda: tracker.start_analysis("ETH", "one")):
            with pytest.raises(errors.LockTimeout, match=rf"\.progress_one\.lock.*by pid {pid}:"):
                write()
        assert stage_of(tracker) == "data_fetch", "the file is whole, whoever holds the lock"
    with held(tracker, fcntl.LOCK_SH), pytest.raises(errors.LockTimeout):
        tracker.update_stage("one", "late")
    assert tracker.update_stage("one", "now") is True


def test_readers_share_the_lock(tracker: FileBasedProgressTracker, one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unread(_self: object, path: Path) -> None:
        raise AssertionError(f"{path} was read without the lock")

    monkeypatch.setattr(files, "READER_PATIENCE_S", 0.1)
    with held(tracker, fcntl.LOCK_SH):
        assert stage_of(tracker) == "data_fetch"
    reading = [0]
    real = files._Files.read_one

    def read_one(self: files._Files, path: Path) -> Any:
        with pytest.raises(errors.LockTimeout), storage.lock_file(self.lock, 0.0):
            pass
        with storage.lock_file(self.lock, 0.0, shared=True):
            reading[0] += 1
        return real(self, path)

    monkeypatch.setattr(files._Files, "read_one", read_one)
    assert stage_of(tracker) == "data_fetch"
    assert reading == [1]


def test_a_lock_file_that_was_removed_while_one_waited_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with storage.lock_file(path, 1.0):
        path.unlink()
        with storage.lock_file(path, 0.0):  # of the file that is there now
            pass
        with storage.lock_file(path, 0.0), pytest.raises(errors.LockTimeout), storage.lock_file(path, 0.0):
            pass


# --- cleanup


def test_what_is_older_than_a_day_goes_when_the_tracker_is_made(tracker: FileBasedProgressTracker, one: Path) -> None:
    tracker.start_analysis("BTC", "young")
    make_old(one)
    make_old(tracker.directory / "progress_young.json", hours=23)
    assert FileBasedProgressTracker(tracker.directory.parent).get_active_executions() == ["young"]
    assert names(tracker) == {"progress_young.json", ".progress_young.lock"}


def test_what_is_being_written_is_not_removed(tracker: FileBasedProgressTracker, one: Path) -> None:
    make_old(one)
    with held(tracker):
        assert tracker.cleanup_old() == 0
    assert stage_of(tracker) == "data_fetch"
    assert tracker.cleanup_old() == 1
    assert names(tracker) == set()


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
    old = {".progress_one.0123456789abcdef.tmp", ".progress_one.0123456789abcdef.old"}
    gone = {".progress_gone.lock", ".progress_gone.prev"}
    for name in old | gone:
        (tracker.directory / name).write_text("{}")
        make_old(tracker.directory / name)
    make_old(tracker.directory / ".progress_one.lock")
    make_old(tracker.directory / ".progress_one.prev")
    young = ".progress_one.fedcba9876543210.tmp"
    (tracker.directory / young).write_text("{}")
    assert tracker.cleanup_old() == 0
    assert names(tracker) == {one.name, ".progress_one.lock", ".progress_one.prev", young}
    assert tracker.cleanup_old(0) == 1
    assert names(tracker) == {young}, "its writer may be about to publish it"
