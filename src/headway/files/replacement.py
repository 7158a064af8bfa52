"""Files of a board's directory that are replaced as a whole, with the one before kept as NAME.prev.npz.

Written so that at every instant, whoever is killed and whenever, one of the two loads. A writer fills a file of its own
(`.snapshot.<random>.tmp`), which it keeps locked as long as it lives and removes last; what it needs besides is named
after it. So a file of that name that can be locked belongs to nobody, and the next writer removes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
from typing import TYPE_CHECKING

from headway import errors
from headway.files import npz

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.files.npz import Buffer

__all__ = ["META", "META_BYTES_MAX", "previous_of", "remove", "replace"]

META = "meta.json"  # the first member of each: `synced` in it says whether it was forced to the disk
META_BYTES_MAX = 1 << 16

_TEMPORARY = re.compile(r"\.snapshot\.[0-9a-f]{16}\.tmp\Z")
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def previous_of(name: str) -> str:
    """What the file before the one of this name is called."""
    return f"{name.removesuffix('.npz')}.prev.npz"


def replace(directory: str | os.PathLike[str], name: str, pieces: Sequence[Buffer], *, sync: bool) -> None:
    """Replace a file of a directory. sync: force it to the disk, so that it survives the machine too.

    Raises NoSpace, DamagedSnapshot for a folder in its place, and OSError where the directory cannot be written, each
    naming the file, which is whole or untouched.
    """
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _remove_abandoned(folder)
            _replace(folder, name, pieces, sync)
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
    """Remove files of these names, and what killed writers left. Raises OSError if that is not allowed."""
    with contextlib.suppress(FileNotFoundError):
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in names:
                _unlink(folder, name, previous_of(name))
            _remove_abandoned(folder)
        finally:
            os.close(folder)


def _replace(folder: int, name: str, pieces: Sequence[Buffer], sync: bool) -> None:
    temporary, descriptor = _create(folder)
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask took away
        _write_all(descriptor, pieces)
        if sync:
            os.fsync(descriptor)
        _publish(folder, temporary, name)
    finally:
        try:
            _unlink(folder, f"{temporary}.new", f"{temporary}.old", temporary)  # the one that shows the owner last
        finally:
            os.close(descriptor)  # what is still there is nobody's then, and the next writer removes it
    if sync:
        os.fsync(folder)


def _create(folder: int) -> tuple[str, int]:
    """A new file of one's own: its name and a descriptor that holds its lock."""
    while True:
        name = f".snapshot.{os.urandom(8).hex()}.tmp"
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN, 0o600, dir_fd=folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lost = os.fstat(descriptor).st_nlink == 0
        except BlockingIOError:
            lost = True
        except OSError:
            lost = False  # locks are not to be had here: then nobody takes it for abandoned either
        if not lost:
            return name, descriptor
        os.close(descriptor)  # before it was locked, another writer took it for abandoned and removes it


def _remove_abandoned(folder: int) -> None:
    for name in os.listdir(folder):
        if not _TEMPORARY.match(name):
            continue
        with contextlib.suppress(OSError):  # a living writer's, gone, or not ours to touch: none of it matters here
            descriptor = os.open(name, os.O_RDWR | os.O_NONBLOCK | _OPEN, dir_fd=folder)
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
    """Make this file the one in force, and the present one the previous one.

    The new one takes its place first. So the previous one is given up only when two others are there, and one of them
    was just written: it does not matter whether the present one is whole.
    """
    keep, previous = _may_become_previous(folder, name), previous_of(name)
    new, old = f"{temporary}.new", f"{temporary}.old"
    try:
        os.link(temporary, new, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if keep:  # between the two renames only the previous one is there: readers look for it next
            os.rename(name, previous, src_dir_fd=folder, dst_dir_fd=folder)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        return
    if keep:
        os.link(name, old, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
    if keep:
        os.rename(old, previous, src_dir_fd=folder, dst_dir_fd=folder)  # does nothing where both are one file already


def _may_become_previous(folder: int, name: str) -> bool:
    """A file that was not forced to the disk does not replace one that was: a power cut would take both."""
    present = _was_synced(folder, name)
    return present is True or (present is False and not _was_synced(folder, previous_of(name)))


def _was_synced(folder: int, name: str) -> bool | None:
    """Was this file forced to the disk? None: there is none, or it is damaged."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _OPEN, dir_fd=folder)
    except OSError:
        return None
    try:
        head = npz.first_member(descriptor, META, META_BYTES_MAX)
        return None if head is None else json.loads(head).get("synced") is True
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    finally:
        os.close(descriptor)


def _unlink(folder: int, *names: str) -> None:
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
