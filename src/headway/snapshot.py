"""Snapshot files: one copy of a board as `snapshot.npz`, and the one before it as `snapshot.prev.npz`.

Written so that at every instant, whoever is killed and whenever, one of the two loads. A writer fills a file of its own
(`.snapshot.<random>.tmp`), which it keeps locked as long as it lives and removes last; what it needs besides is named
after it. So a file of that name that can be locked belongs to nobody, and the next writer removes it.

Neither writing nor reading loads NumPy; `numpy.load(path, allow_pickle=False)` reads the files too.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import json
import os
import re
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway import _locks, _npz, errors
from headway._paths import check_name
from headway.model import BoardView, Raw

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LARGE_RESULT", "PREVIOUS", "SNAPSHOT", "read", "remove", "write"]

SNAPSHOT = "snapshot.npz"
PREVIOUS = "snapshot.prev.npz"
META = "meta.json"
META_BYTES_MAX = 1 << 16
ABANDONED_AFTER_S = 10.0  # a recorder that was killed is started again within seconds, if anybody is there
ARRAYS = ("tasks", "stages", "shares", "workers", "index", "results")  # in the order of Raw
MEMBERS = (META, *(f"{name}.npy" for name in ARRAYS))

LARGE_RESULT = re.compile(r"result-[0-9a-f]{32}\.json")  # that of a task whose slot has no room for it

_TEMPORARY = re.compile(r"\.snapshot\.[0-9a-f]{16}\.tmp\Z")
_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_TEXTS = ("uuid", "directory", "host", "boot_id")
_NUMBERS = ("layout_version", "capacity", "workers", "created_ns", "taken_ns", "sequence", "dropped", "retired")
_OF_THE_READER = ("path", "from_prev")  # said of a view, not of a board


def write(view: Raw | BoardView, directory: str | os.PathLike[str], *, sync: bool = True) -> Path:
    """Write a snapshot into a board's directory, atomically. Returns its path.

    view: the copy of a board, or a view of one; sync: force it to the disk, so that it survives the machine too.
    Without sync the last snapshot that was forced there stays as the previous one. Raises NoSpace, and OSError where
    the directory cannot be written, each with the present snapshot untouched; CorruptBoard for records that cannot
    be; Unsupported for a view without records, or of more than 4 GiB.
    """
    raw = view.raw if isinstance(view, BoardView) else view
    pieces = _pieces(raw, sync)
    path = Path(directory, SNAPSHOT)
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _remove_abandoned(folder)
        _replace(folder, pieces, sync)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        size = sum(len(piece) for piece in pieces)
        text = f"no room for a snapshot of {size} bytes: free some; the one before was kept"
        raise errors.NoSpace(error.errno, text, str(path)) from None
    finally:
        os.close(folder)
    return path


def read(where: str | os.PathLike[str]) -> BoardView:
    """Read a snapshot: of a board's directory, or one file.

    In a directory the snapshot before the last one is taken where the last one is damaged; `from_prev` of the view
    tells. Tasks that ran are lost there if the recorder is gone and has written nothing for a while: it outlives the
    program, unless everything was killed at once.

    Raises UnknownBoard if there is none, DamagedSnapshot, LayoutMismatch, NotOwner; OSError if it may not be read.
    """
    path = Path(where)
    if not path.is_dir():
        try:
            return _load(path, False)
        except (FileNotFoundError, NotADirectoryError):
            raise errors.UnknownBoard(f"there is no file {path}: give a snapshot, or a board's directory") from None
    damage: errors.DamagedSnapshot | None = None
    for name in (SNAPSHOT, PREVIOUS):
        try:
            return _load(path / name, name == PREVIOUS, path)
        except FileNotFoundError:
            continue
        except errors.DamagedSnapshot as error:
            damage = damage or error
    if damage is not None:
        raise damage
    raise errors.UnknownBoard(f"no snapshot is in {path}: has its board written one yet?")


def remove(directory: str | os.PathLike[str]) -> None:
    """Remove the snapshots of a board, the large results beside them, and what killed writers left. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _unlink(folder, SNAPSHOT, PREVIOUS, *filter(LARGE_RESULT.fullmatch, os.listdir(folder)))
            _remove_abandoned(folder)
        finally:
            os.close(folder)


# --------------------------------------------------------------------------------------------------------- contents


@functools.cache
def _description(name: str) -> str:
    from headway._records import DTYPES

    return repr("|u1" if name == "results" else DTYPES[name])


def _item_bytes(name: str) -> int:
    from headway._records import RECORD_BYTES

    return RECORD_BYTES.get(name, 1)


def _pieces(raw: Raw, sync: bool) -> list[bytes | bytearray | memoryview]:
    """The whole file. What could not be read again is not written."""
    from headway._records import check

    meta = {key: value for key, value in raw.meta.items() if key not in _OF_THE_READER} | {"synced": sync}
    encoded = json.dumps(meta).encode()
    try:
        _check_meta(meta)
        check(raw.tasks, raw.stages, raw.shares, raw.workers, raw.result_index, len(raw.results))
    except ValueError as error:
        raise raw.damage(error) from None
    members: list[tuple[str, list[bytes | bytearray | memoryview]]] = [(META, [encoded])]
    for name, content in zip(ARRAYS, raw[1:], strict=True):
        header = _npz.npy_header(_description(name), len(content) // _item_bytes(name))
        members.append((f"{name}.npy", [header, content]))
    try:
        return _npz.pack(members)
    except ValueError as error:
        raise errors.Unsupported(f"board {raw.meta['name']!r} is too large for a snapshot: {error}") from None


def _check_meta(meta: Any) -> None:
    """ValueError unless it says all of a board that a view needs, in the types that it needs."""
    if not isinstance(meta, dict):
        raise ValueError(f"{META} is no object")
    for names, kind in ((("name", *_TEXTS), str), (_NUMBERS, int)):
        for name in names:
            if not isinstance(meta.get(name), kind):
                raise ValueError(f"{META} says {meta.get(name)!r:.60} as {name}")
    check_name(meta["name"])
    if not re.fullmatch(r"[0-9a-f]{32}", meta["uuid"]):
        raise ValueError(f"{META} says {meta['uuid']!r:.60} as uuid")
    for name in _NUMBERS:
        if not 0 <= meta[name] < 1 << 63:
            raise ValueError(f"{META} says {meta[name]} as {name}")


def _load(path: Path, from_prev: bool, directory: Path | None = None) -> BoardView:
    descriptor = _open(path)
    try:
        raw = _decode(path, descriptor, from_prev)
        return BoardView.from_raw(raw if directory is None else _settled(raw, directory))
    except (ValueError, RecursionError) as error:
        raise errors.DamagedSnapshot(
            f"{path} is not what was written: {error}. Delete it; the next snapshot of the board takes its place"
        ) from None
    finally:
        os.close(descriptor)


def _settled(raw: Raw, directory: Path) -> Raw:
    """The copy, with the tasks that ran marked as lost where neither they nor their recorder can be alive any more."""
    recorded = raw.meta.get("interval_s") is not None
    if not recorded or time.time() - raw.taken_at < ABANDONED_AFTER_S or _locks.lock_holder(directory) is not None:
        return raw
    from headway._scans import mark_lost

    tasks = bytearray(raw.tasks)
    mark_lost(tasks, raw.meta["taken_ns"])
    return raw._replace(tasks=tasks)


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _OPEN)  # O_NONBLOCK: do not wait for a pipe's writer
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        found = None
    else:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
            return descriptor
        os.close(descriptor)
    if found is None or not stat.S_ISREG(found.st_mode):
        raise errors.DamagedSnapshot(f"{path} is no regular file: delete it, or give the file itself")
    raise errors.NotOwner(f"{path} belongs to user {found.st_uid}, not to you ({os.geteuid()}): read your own copy")


def _decode(path: Path, descriptor: int, from_prev: bool) -> Raw:
    from headway._records import LAYOUT_VERSION, check

    # Of another layout the members may be others: it is asked for before they are.
    head = _npz.first_member(descriptor, META, META_BYTES_MAX)
    version = _layout_version(head) if head is not None else None
    if version is not None and version != LAYOUT_VERSION:
        raise errors.LayoutMismatch(
            f"{path} has layout {version}, and this version of Headway reads layout {LAYOUT_VERSION}: read it with the "
            f"version that wrote it, or delete it"
        )
    members = _npz.unpack(descriptor, MEMBERS)
    meta = json.loads(members[META])
    _check_meta(meta)
    arrays = []
    for name in ARRAYS:
        content = members.pop(f"{name}.npy")
        payload = _npz.npy_payload(content, _description(name), _item_bytes(name))
        if payload is None:
            raise errors.LayoutMismatch(
                f"{path} holds other {name} than layout {LAYOUT_VERSION} has, though it is whole: read it with the "
                f"version of Headway that wrote it, or delete it"
            )
        arrays.append(payload)
    raw = Raw({**meta, "path": str(path), "from_prev": from_prev}, *arrays)
    check(raw.tasks, raw.stages, raw.shares, raw.workers, raw.result_index, len(raw.results))
    return raw


def _layout_version(head: bytes) -> int | None:
    try:
        version = json.loads(head)["layout_version"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None  # damaged: what follows tells how
    return version if isinstance(version, int) else None


# ------------------------------------------------------------------------------------------------------- replacing


def _replace(folder: int, pieces: Sequence[bytes | bytearray | memoryview], sync: bool) -> None:
    temporary, descriptor = _create(folder)
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask took away
        _write_all(descriptor, pieces)
        if sync:
            os.fsync(descriptor)
        _publish(folder, temporary)
    finally:
        _unlink(folder, f"{temporary}.new", f"{temporary}.old", temporary)  # the one that shows the owner last
        os.close(descriptor)
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


def _write_all(descriptor: int, pieces: Sequence[bytes | bytearray | memoryview]) -> None:
    left = [memoryview(piece) for piece in pieces]
    while left:
        written = os.writev(descriptor, left)
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]


def _publish(folder: int, temporary: str) -> None:
    """Make this file the snapshot, and the present one the previous one.

    The new one takes its place first. So the previous one is given up only when two others are there, and one of them
    was just written: it does not matter whether the present one is whole.
    """
    keep = _may_become_previous(folder)
    new, old = f"{temporary}.new", f"{temporary}.old"
    try:
        os.link(temporary, new, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if keep:  # between the two renames only the previous one is there: readers look for it next
            os.rename(SNAPSHOT, PREVIOUS, src_dir_fd=folder, dst_dir_fd=folder)
        os.rename(temporary, SNAPSHOT, src_dir_fd=folder, dst_dir_fd=folder)
        return
    if keep:
        os.link(SNAPSHOT, old, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    os.rename(new, SNAPSHOT, src_dir_fd=folder, dst_dir_fd=folder)
    if keep:
        os.rename(old, PREVIOUS, src_dir_fd=folder, dst_dir_fd=folder)  # does nothing where both are one file already


def _may_become_previous(folder: int) -> bool:
    """A snapshot that was not forced to the disk does not replace one that was: a power cut would take both."""
    present = _was_synced(folder, SNAPSHOT)
    return present is True or (present is False and not _was_synced(folder, PREVIOUS))


def _was_synced(folder: int, name: str) -> bool | None:
    """Was this snapshot forced to the disk? None: there is none, or it is damaged."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _OPEN, dir_fd=folder)
    except OSError:
        return None
    try:
        head = _npz.first_member(descriptor, META, META_BYTES_MAX)
        return None if head is None else json.loads(head).get("synced") is True
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    finally:
        os.close(descriptor)


def _unlink(folder: int, *names: str) -> None:
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
