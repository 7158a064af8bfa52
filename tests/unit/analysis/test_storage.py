"""Files that several processes write: what is read and written, and who holds a lock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headway import errors
from headway.analysis import storage


def test_a_file_is_written_once_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "file"
    storage.write_new(path, b"content")
    assert storage.read_with_number(path) == (b"content", path.stat().st_ino)
    with pytest.raises(FileExistsError):
        storage.write_new(path, b"other")
    assert storage.read_file(path) == b"content"


def test_only_a_regular_file_of_a_bounded_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError):
        storage.read_file(path)
    os.mkfifo(path)
    assert storage.read_file(path) is None
    path.unlink()
    (tmp_path / "target").write_bytes(b"content")
    path.symlink_to(tmp_path / "target")
    assert storage.read_with_number(path) == (None, 0)
    path.unlink()
    with path.open("wb") as file:
        file.truncate(storage.FILE_BYTES_MAX + 1)
    assert storage.read_file(path) is None


def test_a_content_that_could_not_be_read_again_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "FILE_BYTES_MAX", 3)
    with pytest.raises(OSError, match="4 bytes are more than the 3"):
        storage.write_new(tmp_path / "file", b"four")
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        storage.write_new(tmp_path / "file", b"content")
    assert not list(tmp_path.iterdir())


def test_a_mode_follows_the_umask_unless_it_is_wanted_exactly(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        storage.write_new(tmp_path / "masked", b"", 0o666)
        storage.write_new(tmp_path / "exact", b"", 0o666, exactly=True)
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("masked", "exact")] == [0o600, 0o666]


def test_a_lock_file_that_was_removed_while_one_waited_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with storage.lock_file(path, 1.0):
        path.unlink()
        with storage.lock_file(path, 0.0):  # of the file that is there now
            pass
        with storage.lock_file(path, 0.0), pytest.raises(errors.LockTimeout), storage.lock_file(path, 0.0):
            pass
