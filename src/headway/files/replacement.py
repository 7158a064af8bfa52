"""Replaces a file of a board's directory atomically, and keeps the previous one as NAME.prev.npz.

At every instant one of the two can be read, whichever process is killed, at any moment. A writer fills a temporary file
(`.snapshot.<random>.tmp`), which it keeps locked while it lives and removes last; the names of its other files begin
with the name of this one. So a temporary file that can be locked has no writer, and the next writer removes it.

A program and the recorder of its board may write at the same moment: who comes last must not put an older copy in the
place of a newer one. So the times of the copies are compared, and the file is replaced, under a lock of the folder.
A file may say by its `of` that it belongs to one of this number, and is later: it is compared with, too.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from headway import errors
from headway.files import npz
from headway.system import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headway.files.npz import Buffer

__all__ = ["META", "META_BYTES_MAX", "OF", "Copied", "previous_of", "remove", "replace"]

META = "meta.json"  # the first member of each file: its `synced` says whether the file was forced to the disk
META_BYTES_MAX = 1 << 16
OF = "of"  # in the first member: the number (`sequence`) of the file to which this one belongs
PUBLISH_WAIT_S = 1.0

_TEMPORARY = re.compile(r"\.snapshot\.[0-9a-f]{16}\.tmp\Z")
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class Copied(NamedTuple):
    """Which copy it is that is written: of which board, and when it was taken, by the wall clock."""

    uuid: str
    taken_ns: int


def previous_of(name: str) -> str:
    """The name of the previous version of this file."""
    return f"{name.removesuffix('.npz')}.prev.npz"


def replace(
    directory: str | os.PathLike[str],
    name: str,
    pieces: Sequence[Buffer],
    copied: Copied,
    *,
    sync: bool,
    later: str | None = None,
    on: tuple[str, int] | None = None,
) -> bool:
    """Replace a file of a directory, unless a newer copy of the same board is there. Returns whether it was replaced.

    sync: force it to the disk, so that it survives a crash of the machine; later: a file that may belong to the present
    one and be newer; on: only if this file has this number.
    Raises NoSpace, DamagedSnapshot if there is a folder of that name, and OSError if the directory cannot be written.
    Each error names the file, which is then unchanged.
    """
    try:
        folder = descriptors.open_file(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _remove_abandoned(folder)
            return _replace(folder, name, pieces, copied, sync, later, on)
        finally:
            os.close(folder)
    except IsADirectoryError:
        place = os.path.join(directory, name)
        raise errors.DamagedSnapshot(f"a folder stands at {place}, or at the file before it: remove it") from None
    except OSError as error:
        path = os.path.join(directory, name)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, error.strerror, path) from error
        size = sum(len(piece) for piece in pieces)
        text = f"no room for a file of {size} bytes: free some; the one before was kept"
        raise errors.NoSpace(error.errno, text, path) from None


def remove(directory: str | os.PathLike[str], *names: str) -> None:
    """Remove these files, their previous versions, and temporary files of killed writers. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        folder = descriptors.open_file(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in names:
                _unlink(folder, name, previous_of(name))
            _remove_abandoned(folder)
        finally:
            os.close(folder)


def _replace(
    folder: int,
    name: str,
    pieces: Sequence[Buffer],
    copied: Copied,
    sync: bool,
    later: str | None,
    on: tuple[str, int] | None,
) -> bool:
    temporary, descriptor = _create(folder)
    try:
        descriptors.close_to_others(descriptor, temporary)
        _write_all(descriptor, pieces)
        if sync:
            descriptors.to_disk(descriptor)
        with _publishing(folder):
            stands = on is None or _number(folder, on[0], copied.uuid) == on[1]
            newer = _newer(folder, name, later, copied) if stands else ()
            done = stands and not newer
            for one in newer:
                _force(folder, one, sync)
            if done:
                _publish(folder, temporary, name)
    finally:
        try:
            # The temporary file itself is removed last: its lock shows that this writer is alive.
            _unlink(folder, f"{temporary}.new", f"{temporary}.old", temporary)
        finally:
            os.close(descriptor)  # from here on the next writer removes whatever is left
    if sync:
        descriptors.to_disk(folder)
    return done


def _create(folder: int) -> tuple[str, int]:
    """Make a temporary file. Returns its name and a descriptor that holds its lock."""
    while True:
        name = f".snapshot.{os.urandom(8).hex()}.tmp"
        descriptor = descriptors.open_file(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN, dir_fd=folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lost = os.fstat(descriptor).st_nlink == 0
        except BlockingIOError:
            lost = True
        except OSError:
            lost = False  # the file system has no locks, so no other writer can lock the file and remove it
        if not lost:
            return name, descriptor
        os.close(descriptor)  # another writer locked it first, and removes it as abandoned


def _remove_abandoned(folder: int) -> None:
    for name in os.listdir(folder):
        if not _TEMPORARY.match(name):
            continue
        with contextlib.suppress(OSError):  # its writer is alive, it is gone, or we have no permission
            descriptor = descriptors.open_file(name, os.O_RDWR | os.O_NONBLOCK | _OPEN, dir_fd=folder)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), os.stat(name, dir_fd=folder, follow_symlinks=False)):
                    _unlink(folder, f"{name}.new", f"{name}.old", name)
            finally:
                os.close(descriptor)


def _write_all(descriptor: int, pieces: Sequence[Buffer]) -> None:
    left = [memoryview(piece) for piece in pieces]
    while left:
        written = os.writev(descriptor, left)
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]


def _publish(folder: int, temporary: str, name: str) -> None:
    """Make the temporary file the present one, and the present file the previous one.

    The new file takes its place first. So the previous file is replaced only after the new file is in place, and it
    does not matter whether the file that replaces it is damaged.
    """
    keep, previous = _may_become_previous(folder, name), previous_of(name)
    new, old = f"{temporary}.new", f"{temporary}.old"
    try:
        os.link(temporary, new, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if keep:  # between the two renames readers find the previous one
            os.rename(name, previous, src_dir_fd=folder, dst_dir_fd=folder)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        return
    if keep:
        os.link(name, old, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
    if keep:
        os.rename(old, previous, src_dir_fd=folder, dst_dir_fd=folder)  # has no effect if both are the same file


@contextlib.contextmanager
def _publishing(folder: int) -> Iterator[None]:
    """Hold the lock of the folder. It is held for some renames; who has to wait too long for it goes on without."""
    give_up = time.monotonic() + PUBLISH_WAIT_S
    with contextlib.suppress(OSError):  # the file system has no locks, or none for folders
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= give_up:
                    break
                time.sleep(0.0005)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_UN)  # closing is not enough: a child may still have the descriptor


def _newer(folder: int, name: str, later: str | None, copied: Copied) -> tuple[str, ...]:
    """The files that a later copy of the same board consists of; () if there is none."""
    meta = _meta(folder, name) or {}
    # Without hard links, who is killed between two renames leaves the latest as the previous one.
    for one in () if later is None else (later, previous_of(later)):
        more = _meta(folder, one) or {}
        belongs = OF in more and (more[OF], more.get("uuid")) == (meta.get("sequence"), meta.get("uuid"))
        if belongs and _is_newer(more, copied):
            return name, one
    return (name,) if _is_newer(meta, copied) else ()


def _is_newer(meta: dict[str, Any], copied: Copied) -> bool:
    """Is it a later copy of the same board? One from the future is not: the clock was set back."""
    taken_ns = meta.get("taken_ns")
    if meta.get("uuid") != copied.uuid or not isinstance(taken_ns, int):
        return False
    return copied.taken_ns < taken_ns <= time.time_ns()


def _number(folder: int, name: str, uuid: str) -> Any:
    """The number of this file, if it is of this board."""
    meta = _meta(folder, name) or {}
    return meta.get("sequence") if meta.get("uuid") == uuid else None


def _force(folder: int, name: str, sync: bool) -> None:
    if sync and not _was_synced(folder, name):
        descriptor = descriptors.open_file(name, os.O_RDONLY | os.O_NONBLOCK | _OPEN, dir_fd=folder)
        try:
            descriptors.to_disk(descriptor)
        finally:
            os.close(descriptor)


def _may_become_previous(folder: int, name: str) -> bool:
    """May the present file replace the previous one? Not if only the previous one was forced to the disk: otherwise
    neither might be readable after a power cut."""
    present = _was_synced(folder, name)
    return present is True or (present is False and not _was_synced(folder, previous_of(name)))


def _was_synced(folder: int, name: str) -> bool | None:
    """Was this file forced to the disk? None if there is no such file, or if it is damaged."""
    meta = _meta(folder, name)
    return None if meta is None else meta.get("synced") is True


def _meta(folder: int, name: str) -> dict[str, Any] | None:
    """The first member of this file; None if there is no such file, or if it is damaged."""
    try:
        descriptor = descriptors.open_file(name, os.O_RDONLY | os.O_NONBLOCK | _OPEN, dir_fd=folder)
    except OSError:
        return None
    try:
        head = npz.first_member(descriptor, META, META_BYTES_MAX)
        meta = None if head is None else json.loads(head)
        return meta if isinstance(meta, dict) else None
    except (OSError, ValueError, RecursionError):
        return None
    finally:
        os.close(descriptor)


def _unlink(folder: int, *names: str) -> None:
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
