"""Opens, checks, reserves and removes the files in /dev/shm of segments and of their semaphores.

The owner and the mode of a file are checked before it is used: any user can create a file of any name in /dev/shm.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import posix_ipc

from headway import errors
from headway.native import core
from headway.system import descriptors, memory

__all__ = [
    "SHM",
    "check_file",
    "check_owner",
    "check_room",
    "directories",
    "directory_of",
    "ensure_semaphore",
    "new_file",
    "open_file",
    "remove_objects",
    "reserve",
    "room_for",
    "told",
]

SHM = Path("/dev/shm")
RESERVED_AT_ONCE = 1 << 18  # bytes per call: at a signal many kernels undo the whole call, and it has to begin again
FILES = 2  # of a board: segment and semaphore
_seen: dict[str, Path] = {}  # directories that named these segments, whose names are never used again
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def open_file(name: str, flags: int = 0) -> int:
    """Open a segment, as shm_open(3) does; posix_ipc's function crashes when memory runs out. Returns a descriptor."""
    return descriptors.open_file(SHM / name[1:], os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | flags)


def new_file(name: str, size: int) -> int:
    """Make the file of a segment, with all its pages. Returns a descriptor.

    It has no name until its pages are taken: if its maker is killed meanwhile, nothing of it stays. Where a file system
    or a sandbox knows no such files, it has its name at once. Raises FileExistsError, OSError if there is no room.
    """
    try:
        fd = _filled(descriptors.open_file(SHM, os.O_RDWR | os.O_TMPFILE), size)
        try:
            # With a descriptor given, Python has the kernel follow the link; else it would make a name for the link.
            os.link(f"/proc/self/fd/{fd}", SHM / name[1:], src_dir_fd=fd, follow_symlinks=True)
        except BaseException:
            os.close(fd)
            raise
        return fd
    except OSError as error:
        if error.errno in (*_NO_ROOM, errno.EEXIST):
            raise
    return _filled(open_file(name, os.O_CREAT | os.O_EXCL), size)


def _filled(fd: int, size: int) -> int:
    """Give a new file its mode (whatever the umask is), its size and its pages, without which there may be a SIGBUS."""
    try:
        descriptors.close_to_others(fd, SHM)
        os.ftruncate(fd, size)
        reserve(fd, size)
    except BaseException:
        os.close(fd)
        raise
    return fd


def directories() -> list[Path]:
    """The directories of the boards of this user whose segments are in /dev/shm, if their files name these segments.

    One that did is not looked at again: who gets it looks for boards in it. One that did not may be about to: the file
    is written once the segment has its name.
    """
    prefix = f"headway-{os.geteuid()}-"
    try:
        names = sorted(name for name in os.listdir(SHM) if name.startswith(prefix))
    except OSError:
        return []
    for name in set(_seen).difference(names):
        _seen.pop(name, None)
    for name in names:
        if name not in _seen:
            with suppress(OSError):
                directory = directory_of(f"/{name}")
                if directory is not None and _names(directory / "segment", name[-32:]):
                    _seen[name] = directory
    return [directory for name in names if (directory := _seen.get(name)) is not None]


def _names(path: Path, uuid: str) -> bool:
    """Does this file hold this uuid? It may hold, or be, anything: a pipe, for example, is not waited for."""
    fd = descriptors.open_file(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return os.read(fd, 64).strip() == uuid.encode()
    finally:
        os.close(fd)


def directory_of(name: str) -> Path | None:
    """The directory that a segment names; None if it is damaged, or not of this user alone."""
    fd = descriptors.open_file(SHM / name[1:], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        check_file(fd, name)
        directory = core.directory_of(fd)
    except errors.HeadwayError:
        return None
    finally:
        os.close(fd)
    return Path(os.fsdecode(directory)) if directory else None


def check_file(fd: int, name: str) -> int:
    """The size of a segment's file. Raises CorruptBoard or NotOwner unless it is a regular file of this user alone."""
    found = os.fstat(fd)
    check_owner(found, name)
    if not stat.S_ISREG(found.st_mode):
        raise errors.CorruptBoard(f"segment {name} is not a regular file: remove it from {SHM}")
    if found.st_mode & 0o077:
        raise errors.CorruptBoard(
            f"segment {name} is open to other users (mode {stat.S_IMODE(found.st_mode):o}) and cannot be trusted: "
            f"remove it with 'headway rm --force'"
        )
    return found.st_size


def check_owner(found: os.stat_result, name: str) -> None:
    if found.st_uid != os.geteuid():
        raise errors.NotOwner(
            f"segment {name} belongs to user {found.st_uid}, not to you ({os.geteuid()}): use a board of your own"
        )


def ensure_semaphore(name: str) -> None:
    """Make sure that the semaphore of this name exists and is ours. If it was lost, a new one does: it only wakes.

    Without a semaphore, processes that wait for the lock sleep for short times (native/lock.h). They also do if another
    user created a file of the lost semaphore's name: that file is not used.
    """
    path = SHM / f"sem.{name[1:]}"
    try:
        found = path.lstat()
    except FileNotFoundError:
        with suppress(OSError):
            core.make_semaphore(name)
        if not os.path.lexists(SHM / name[1:]):  # the segment was removed meanwhile: remove the semaphore, too
            _unlink_object(posix_ipc.unlink_semaphore, name)
        return
    if found.st_uid != os.geteuid():
        return
    if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
        raise errors.CorruptBoard(f"semaphore {name} is open to other users, or no file: remove it from {SHM}")
    if found.st_size < 32:  # sizeof(sem_t): mapping less would end in SIGBUS
        raise errors.CorruptBoard(f"semaphore {name} was truncated: remove it from {SHM}")


def remove_objects(name: str) -> None:
    """Remove the segment and the semaphore of this name, if they exist and are ours."""
    with ExitStack() as both:  # the second is removed even if removing the first fails
        for unlink_object in (posix_ipc.unlink_semaphore, posix_ipc.unlink_shared_memory):
            both.callback(_unlink_object, unlink_object, name)


def _unlink_object(unlink_object: Callable[[str], object], name: str) -> None:
    with suppress(posix_ipc.ExistentialError, posix_ipc.PermissionsError):
        unlink_object(name)


def told(error: OSError, place: str | Path) -> OSError:
    """The same error, with the place if it names none, and with the remedy."""
    number = error.errno or errno.EIO
    where = error.filename if isinstance(error.filename, str) else str(place)
    if number in (errno.ENOSPC, errno.EDQUOT):
        text = "no room for the files of the board: free some, or choose another place with HEADWAY_DIR"
        return errors.NoSpace(number, text, where)
    if number == errno.EMFILE:
        return OSError(number, "no descriptor is left: close some, or raise the limit (ulimit -n)", where)
    if number == errno.EFBIG:
        text = "the limit on the size of files is too small for a board: raise it (ulimit -f)"
        return errors.NoSpace(number, text, where)
    if number == errno.ENOMEM:
        text = "no memory for the board: raise the limit (ulimit -v), or make it with a smaller capacity"
        return OSError(number, text, where)
    return OSError(number, error.strerror or str(error), where)


def check_room(size: int, name: str) -> None:
    """Raise NoSpace, before a page is taken, if a segment of this size does not fit.

    Reserving it would take all that is left before it fails; or, where memory is limited, end in SIGKILL.
    """
    room = memory.free_room(SHM)
    if room is not None and (
        (room.f_blocks and room.f_bavail * room.f_frsize < size) or (room.f_files and room.f_favail < FILES)
    ):
        raise _no_room(size, name, errno.ENOSPC)
    for limit in memory.limits():
        if limit.free < size:
            raise errors.NoSpace(
                errno.ENOSPC,
                f"board segment {name} needs {size / 2**20:.1f} MiB, {limit.told} leaves "
                f"{max(limit.free, 0) / 2**20:.1f} MiB of memory: open the board with a smaller capacity, or "
                f"{limit.remedy}",
            )


def _no_room(size: int, name: str, number: int) -> errors.NoSpace:
    room = memory.free_room(SHM)
    has = "less free"
    if room is not None:
        has = f"{room.f_bavail * room.f_frsize / 2**20:.1f} MiB and {room.f_favail} files free"
    return errors.NoSpace(
        number,
        f"board segment {name} needs {size / 2**20:.1f} MiB and {FILES} files, {SHM} has {has}: open the board with a "
        f"smaller capacity, remove unused boards with 'headway gc', or enlarge {SHM}",
    )


@contextmanager
def room_for(size: int, name: str) -> Iterator[None]:
    """Turn the errors of a full /dev/shm into NoSpace."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise told(error, name) from None
        raise _no_room(size, name, error.errno) from None


def reserve(fd: int, size: int) -> None:
    """Allocate the file's pages. Raises OSError if there is no room; then nothing stays allocated."""
    try:
        for at in range(0, size, RESERVED_AT_ONCE):
            os.posix_fallocate(fd, at, min(RESERVED_AT_ONCE, size - at))
    except OSError as error:
        os.ftruncate(fd, 0)
        if error.errno == errno.ENOMEM:  # a memory limit, for example of a container, includes these pages
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
        raise
