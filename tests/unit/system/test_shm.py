"""The files in /dev/shm: only this user's own are used, and a full one is told with both numbers."""

from __future__ import annotations

import errno
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.engine.board import open_board
from headway.system import shm

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def name() -> Iterator[str]:
    """A name in /dev/shm that no board has."""
    name = f"/headway-test-{os.getpid()}-{secrets.token_hex(4)}"
    yield name
    for path in (shm.SHM / name[1:], shm.SHM / f"sem.{name[1:]}"):
        path.unlink(missing_ok=True)


def made(name: str, mode: int = 0o600) -> int:
    fd = shm.open_file(name, os.O_CREAT | os.O_EXCL)
    os.fchmod(fd, mode)
    return fd


def test_a_file_of_this_user_alone_is_taken_with_its_size(name: str) -> None:
    fd = made(name)
    shm.reserve(fd, 5000)
    assert shm.check_file(fd, name) == 5000
    assert os.fstat(fd).st_blocks * 512 >= 5000, "its pages are there"
    os.close(fd)


@pytest.mark.parametrize("mode", [0o640, 0o606, 0o666])
def test_a_file_that_others_can_open_is_not_trusted(name: str, mode: int) -> None:
    fd = made(name, mode)
    with pytest.raises(errors.CorruptBoard, match=f"open to other users \\(mode {mode:o}\\)"):
        shm.check_file(fd, name)
    os.close(fd)


def test_what_is_no_file_is_no_segment(name: str) -> None:
    reading, writing = os.pipe()
    with pytest.raises(errors.CorruptBoard, match=f"{name} is not a regular file"):
        shm.check_file(reading, name)
    os.close(reading)
    os.close(writing)


def test_a_link_is_not_followed(name: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (shm.SHM / name[1:]).symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        shm.open_file(name)


def test_a_semaphore_without_its_segment_is_not_left_behind(name: str) -> None:
    shm.ensure_semaphore(name)
    assert not (shm.SHM / f"sem.{name[1:]}").exists()


def test_objects_are_removed_with_both_parts_and_as_often_as_one_likes(name: str) -> None:
    os.close(made(name))
    shm.ensure_semaphore(name)
    assert (shm.SHM / f"sem.{name[1:]}").exists()
    shm.remove_objects(name)
    shm.remove_objects(name)
    assert not list(shm.SHM.glob(f"*{name[1:]}"))


@pytest.mark.parametrize("content", [b"", b"?" * 31])
def test_a_truncated_semaphore_is_refused(name: str, content: bytes) -> None:
    path = shm.SHM / f"sem.{name[1:]}"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(errors.CorruptBoard, match="was truncated: remove it"):
        shm.ensure_semaphore(name)


def test_a_full_memory_is_told_with_what_is_needed_and_what_is_free() -> None:
    with (
        pytest.raises(errors.NoSpace, match=r"needs 3\.0 MiB and 2 files, /dev/shm has [\d.]+ MiB and \d+ files free"),
        shm.room_for(3 << 20, "/x"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("number", "kind", "remedy"),
    [
        (errno.ENOSPC, errors.NoSpace, "HEADWAY_DIR"),
        (errno.EMFILE, OSError, "ulimit -n"),
        (errno.ENOMEM, OSError, "ulimit -v"),
        (errno.EACCES, PermissionError, "Permission denied"),
    ],
)
def test_an_error_of_the_system_gets_its_place_and_a_remedy(number: int, kind: type[OSError], remedy: str) -> None:
    error = shm.told(OSError(number, os.strerror(number)), "/some/place")
    assert type(error) is kind
    assert error.filename == "/some/place"
    assert re.search(re.escape(remedy), str(error))
    assert shm.told(OSError(number, "x", "/its/own"), "/some/place").filename == "/its/own"


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EISDIR, errno.EPERM, errno.ENOSYS])
def test_where_files_cannot_be_without_a_name_a_segment_is_made_all_the_same(
    number: int, board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refused)
    board = open_board(board_name, capacity=4, record=False)
    board.task("a").update(2)
    assert board.tasks()[0].count == 2
    board.remove(files=True)


def test_the_directories_of_boards_in_memory_are_those_that_name_their_segments(board_name: str) -> None:
    """Whatever the time of change of /dev/shm says: two changes may come within one tick of its clock."""
    board = open_board(board_name, capacity=4, record=False)
    changed = shm.SHM.stat().st_mtime_ns
    uuid = (board.directory / "segment").read_text()
    (board.directory / "segment").write_text("0" * 32)
    os.utime(shm.SHM, ns=(changed, changed))
    assert board.directory not in shm.directories()
    (board.directory / "segment").write_text(uuid)
    os.utime(shm.SHM, ns=(changed, changed))
    assert board.directory in shm.directories()
    board.remove(files=True)
    os.utime(shm.SHM, ns=(changed, changed))
    assert board.directory not in shm.directories()


@pytest.mark.parametrize("kind", ["bytes", "pipe", "folder", "link"])
def test_a_damaged_file_of_one_board_does_not_keep_others_from_being_found(kind: str, board_name: str) -> None:
    """Opening any board looks through the files of all of them."""
    board = open_board(board_name, capacity=4, record=False)
    file = board.directory / "segment"
    uuid = file.read_text()
    file.unlink()
    if kind == "bytes":
        file.write_bytes(b"\xff\xfe")
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to("/dev/zero")
    assert board.directory not in shm.directories()
    file.rmdir() if kind == "folder" else file.unlink()
    file.write_text(uuid)
    board.remove(files=True)
