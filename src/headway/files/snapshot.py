"""Snapshot files: the last copy of a board as `snapshot.npz`, and the one before it as `snapshot.prev.npz`.

A recorder writes the results of tasks into a separate file, `results.npz`, and only when a result changed: results are
by far the largest part and change least. It writes that file first, so it is never older than `snapshot.npz`. All other
writers put everything into one file. Module `replacement` describes how a file is replaced.

Neither writing nor reading loads NumPy; `numpy.load(path, allow_pickle=False)` reads the files too.

Files of older versions can be read (see `older`); files of newer versions are refused.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import re
import stat
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.files import npz, replacement
from headway.files.replacement import META, META_BYTES_MAX, Copied, previous_of
from headway.system import descriptors, locks
from headway.system.paths import check_name
from headway.views.board_view import BoardView, Raw
from headway.views.numbers import STALL_AFTER_SECONDS, Counts, counts_in, gone_in

if TYPE_CHECKING:
    from headway.files.npz import Buffer
    from headway.files.older import Description

__all__ = ["FILES", "PREVIOUS", "RESULTS", "SNAPSHOT", "glance", "read", "remove", "write", "write_results"]

VERSION = 3  # files of version 1, from before the first release, have no version number; 2 has no items, no durations
SNAPSHOT = "snapshot.npz"
PREVIOUS = previous_of(SNAPSHOT)
RESULTS = "results.npz"
FILES = (SNAPSHOT, PREVIOUS, RESULTS, previous_of(RESULTS))
ABANDONED_AFTER_S = 10.0  # if any process uses the board, a killed recorder is replaced within seconds
ARRAYS = ("tasks", "stages", "shares", "workers", "index", "results", "durations")  # in the order of Raw
OLDER_ARRAYS = ARRAYS[:-1]  # of versions 1 and 2
MEMBERS = (META, *(f"{name}.npy" for name in ARRAYS))

KEPT = "kept"  # the array that says to which slot and generation each result belongs
RESULT_MEMBERS = (META, f"{KEPT}.npy", "results.npy")
_KEPT = struct.Struct("=QQII")  # generation, offset, slot, bytes
_PLACED = struct.Struct("=IIQ")  # hw_result_record: task, bytes, offset
_TEXTS = ("uuid", "directory", "host", "boot_id")
_NUMBERS = (
    "layout_version", "capacity", "workers", "created_ns", "taken_ns", "sequence", "dropped", "retired",
    "shared_counters",
)  # fmt: skip
_OF_THE_READER = ("path", "from_prev")  # set when a snapshot is read; not part of the board
UNTIMED = "untimed"  # true: it is the copy of a file that knew no durations
STANDING = "standing"  # how many tasks of the file are in each state, for who reads only the first member


def write(
    view: Raw | BoardView, directory: str | os.PathLike[str], *, sync: bool = True, results_apart: bool = False
) -> Path:
    """Write a snapshot into a board's directory, atomically. Returns its path.

    view: a copy of a board, or a view of one; sync: force the file to the disk, so that it survives a power cut;
    results_apart: the results are in the file of `write_results`. Without sync, the last snapshot that was forced to
    the disk stays as the previous one. Raises NoSpace, or OSError if the directory cannot be written (the present
    snapshot is then unchanged); CorruptBoard for impossible records; Unsupported for a view without records, or of more
    than 4 GiB.
    """
    raw = view.raw if isinstance(view, BoardView) else view
    if results_apart:
        raw = raw._replace(meta={**raw.meta, "results_apart": True}, result_index=b"", results=b"")
    replacement.replace(directory, SNAPSHOT, _pieces(raw, sync), _copied(raw), sync=sync)
    return Path(directory, SNAPSHOT)


def write_results(raw: Raw, directory: str | os.PathLike[str], *, sync: bool = True) -> None:
    """Write the results of all tasks of a copy into `results.npz`. Raises as `write` does."""
    from headway.native.scans import places

    meta = {name: raw.meta[name] for name in ("name", "uuid", "layout_version", "taken_ns")}
    meta |= {"version": VERSION, "synced": sync}
    of = places(raw.tasks)
    kept = b"".join(
        _KEPT.pack(of[task][1], offset, of[task][0], size)
        for task, size, offset in _PLACED.iter_unpack(raw.result_index)
    )
    members: list[tuple[str, list[Buffer]]] = [
        (META, [json.dumps(meta).encode()]),
        (f"{KEPT}.npy", [npz.npy_header(_description(KEPT), len(kept) // _KEPT.size), kept]),
        ("results.npy", [npz.npy_header(_description("results"), len(raw.results)), raw.results]),
    ]
    replacement.replace(directory, RESULTS, _packed(raw, members), _copied(raw), sync=sync)


def read(where: str | os.PathLike[str], *, results: bool = True) -> BoardView:
    """Read a snapshot: the last one in a board's directory, or a given file.

    If the last snapshot in a directory is damaged, the previous one is read, and the view has `from_prev` set. Tasks
    that were running read as lost if the snapshot is old and no recorder is alive: a recorder outlives its program, so
    all of them have ended. results: also read the file of results, if there is one.

    Raises UnknownBoard if there is none, DamagedSnapshot, LayoutMismatch, NotOwner; OSError if it may not be read.
    """
    path = Path(where)
    if not path.is_dir():
        try:
            return _load(path, False, results)
        except (FileNotFoundError, NotADirectoryError):
            raise errors.UnknownBoard(f"there is no file {path}: give a snapshot, or a board's directory") from None
    damage: errors.DamagedSnapshot | None = None
    for name in (SNAPSHOT, PREVIOUS):
        try:
            return _load(path / name, name == PREVIOUS, results, path)
        except FileNotFoundError:
            continue
        except errors.DamagedSnapshot as error:
            damage = damage or error
    if damage is not None:
        raise damage
    raise errors.UnknownBoard(f"no snapshot is in {path}: has its board written one yet?")


def glance(directory: str | os.PathLike[str]) -> tuple[Counts, float]:
    """The counts of a board, and when its last snapshot was taken: as `read` has them, from the head of the file alone.

    The records are not read, so damage in them is not noticed; a file that was cut short is. A file without these
    numbers, of an older version or damaged, is read whole. Raises as `read` does.
    """
    meta = _head(Path(directory, SNAPSHOT))
    there = counts_in(meta.get(STANDING))
    if there is None or _version(meta) != VERSION:
        view = read(directory, results=False)
        return view.counts, view.taken_at
    if _is_abandoned(meta, Path(directory)):
        there = there.abandoned()
    return there + gone_in(meta), meta["taken_ns"] / 1e9


def remove(directory: str | os.PathLike[str]) -> None:
    """Remove the snapshots of a board, and temporary files of killed writers. Raises OSError."""
    replacement.remove(directory, SNAPSHOT, RESULTS)


# --------------------------------------------------------------------------------------------------------- contents


def _copied(raw: Raw) -> Copied:
    return Copied(raw.meta["uuid"], raw.meta["taken_ns"])


@functools.cache
def _description(name: str) -> str:
    return repr(_fields(name))


def _fields(name: str) -> Description:
    from headway.native.records import DTYPES

    order = "<" if sys.byteorder == "little" else ">"
    own: dict[str, Description] = {
        "results": "|u1",
        KEPT: [("generation", f"{order}u8"), ("offset", f"{order}u8"), ("slot", f"{order}u4"), ("bytes", f"{order}u4")],
    }
    return own[name] if name in own else DTYPES[name]


def _item_bytes(name: str) -> int:
    from headway.native.records import RECORD_BYTES

    return _KEPT.size if name == KEPT else RECORD_BYTES.get(name, 1)


def _pieces(raw: Raw, sync: bool) -> list[Buffer]:
    """The pieces of the file. They are checked first, as when it is read: nothing unreadable is written."""
    from headway.native.scans import counts

    meta = {key: value for key, value in raw.meta.items() if key not in _OF_THE_READER}
    meta |= {"version": VERSION, "synced": sync}
    if raw.durations is None:
        meta[UNTIMED] = True
    try:
        _check_meta(meta)
        _check_records(raw)
        meta[STANDING] = counts(raw.tasks, raw.taken_at, STALL_AFTER_SECONDS)
    except ValueError as error:
        raise raw.damage(error) from None
    encoded = json.dumps(meta).encode()
    members: list[tuple[str, list[Buffer]]] = [(META, [encoded])]
    for name, content in zip(ARRAYS, (*raw[1:-1], raw.durations or b""), strict=True):
        header = npz.npy_header(_description(name), len(content) // _item_bytes(name))
        members.append((f"{name}.npy", [header, content]))
    return _packed(raw, members)


def _packed(raw: Raw, members: list[tuple[str, list[Buffer]]]) -> list[Buffer]:
    try:
        return npz.pack(members)
    except ValueError as error:
        raise errors.Unsupported(f"board {raw.meta['name']!r} is too large for a snapshot: {error}") from None


def _check_meta(meta: Any) -> None:
    """Raise ValueError unless the metadata has every field that a view needs, with the right types."""
    if not isinstance(meta, dict):
        raise ValueError(f"{META} is not an object")
    meta.setdefault("shared_counters", 0)  # files of layout 2 do not count them
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


def _load(path: Path, from_prev: bool, results: bool, directory: Path | None = None) -> BoardView:
    descriptor = _open(path)
    try:
        raw = _decode(path, descriptor, from_prev)
        if results and raw.meta.get("results_apart"):
            raw = _with_results(raw, path.parent)
        return BoardView.from_raw(raw if directory is None else _settled(raw, directory))
    except (ValueError, RecursionError) as error:
        if directory is None:  # any file, as a user named it
            raise errors.DamagedSnapshot(f"{path} is not a snapshot of Headway, or is damaged: {error}") from None
        raise errors.DamagedSnapshot(
            f"{path} is not what was written: {error}. Delete it; the next snapshot of the board takes its place"
        ) from None
    finally:
        os.close(descriptor)


def _settled(raw: Raw, directory: Path) -> Raw:
    """The copy, with its running tasks marked as lost if neither they nor the recorder can still be alive."""
    if not _is_abandoned(raw.meta, directory):
        return raw
    from headway.native.scans import mark_lost

    tasks = bytearray(raw.tasks)
    mark_lost(tasks, raw.meta["taken_ns"])
    return raw._replace(tasks=tasks)


def _is_abandoned(meta: dict[str, Any], directory: Path) -> bool:
    """Is a snapshot old that a recorder wrote, and no recorder alive?"""
    recorded = meta.get("interval_s") is not None
    return recorded and time.time() - meta["taken_ns"] / 1e9 >= ABANDONED_AFTER_S and not locks.lock_holder(directory)


def _head(path: Path) -> dict[str, Any]:
    """The metadata of a snapshot; {} if they cannot be read on their own."""
    try:
        descriptor = _open(path)
        try:
            meta = json.loads(npz.unpack(descriptor, MEMBERS, wanted=(META,))[META])
        finally:
            os.close(descriptor)
        _check_meta(meta)
    except (FileNotFoundError, errors.DamagedSnapshot, ValueError, RecursionError):
        return {}  # reading it whole reports what is wrong
    found: dict[str, Any] = meta
    return found


def _with_results(raw: Raw, directory: Path) -> Raw:
    """The copy with the results from the file beside it, or if that is damaged, from the previous one.

    Raises ValueError if neither can be read."""
    from headway.native.scans import places

    kept, results, damage = b"", b"", None
    for name in (RESULTS, previous_of(RESULTS)):
        try:
            kept, results = _read_results(directory / name, raw.meta["uuid"])
            damage = None
            break
        except FileNotFoundError:
            continue
        except ValueError as error:
            damage = damage or ValueError(f"{name} beside it is not what was written either: {error}")
    if damage is not None:
        raise damage
    where = {(slot, generation): (offset, size) for generation, offset, slot, size in _KEPT.iter_unpack(kept)}
    index = b"".join(
        _PLACED.pack(task, size, offset)
        for task, place in enumerate(places(raw.tasks))
        if (found := where.get(place)) is not None
        for offset, size in (found,)
    )
    raw = raw._replace(result_index=index, results=results)
    _check_records(raw)
    return raw


def _check_records(raw: Raw) -> None:
    """Raise ValueError for the first impossible record."""
    from headway.native.records import check

    arrays = raw.tasks, raw.stages, raw.shares, raw.workers, raw.result_index
    check(*arrays, len(raw.results), raw.durations or b"")


def _read_results(path: Path, uuid: str) -> tuple[bytes, bytes]:
    """(the index of the results, the results). Raises ValueError for a damaged file, FileNotFoundError for none."""
    descriptor = _open(path)
    try:
        members = npz.unpack(descriptor, RESULT_MEMBERS)
    finally:
        os.close(descriptor)
    meta = json.loads(members[META])
    if not isinstance(meta, dict) or meta.get("uuid") != uuid:
        return b"", b""  # they belong to an earlier segment: this one has written no results yet
    return _payload(members, KEPT, meta), _payload(members, "results", meta)


def _payload(members: dict[str, bytes], name: str, meta: dict[str, Any]) -> bytes:
    """The records of an array, converted to this version's layout. Raises ValueError."""
    content = members.pop(f"{name}.npy")
    payload = npz.npy_payload(content, _description(name), _item_bytes(name))
    if payload is not None:
        return payload
    if _version(meta) >= VERSION:
        raise ValueError(f"its {name} do not have the layout of its version")
    from headway.files import older

    return older.records(content, _fields(name))


def _open(path: Path) -> int:
    try:
        descriptor = descriptors.open_file(
            path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW
        )  # O_NONBLOCK: do not wait for a pipe's writer
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
        raise errors.DamagedSnapshot(f"{path} is not a regular file: give the file itself")
    raise errors.NotOwner(f"{path} belongs to user {found.st_uid}, not to you ({os.geteuid()}): read your own copy")


def _decode(path: Path, descriptor: int, from_prev: bool) -> Raw:
    # A newer version may have other members, so the version is checked first.
    head = npz.first_member(descriptor, META, META_BYTES_MAX)
    version = _version_said(head) if head is not None else VERSION
    if version > VERSION:
        raise errors.LayoutMismatch(
            f"{path} was written by a newer version of Headway (its format is {version}, this one reads up to "
            f"{VERSION}): read it with that version"
        )
    there = ARRAYS if version >= 3 else OLDER_ARRAYS
    members = npz.unpack(descriptor, (META, *(f"{name}.npy" for name in there)))
    meta = json.loads(members[META])
    _check_meta(meta)
    meta.pop(STANDING, None)  # the records tell it
    arrays = [_payload(members, name, meta) for name in there]
    raw = Raw({**meta, "version": VERSION, "path": str(path), "from_prev": from_prev}, *arrays)
    if there is not ARRAYS or meta.get(UNTIMED):
        raw = raw._replace(durations=None)
    _check_records(raw)
    return raw


def _version_said(head: bytes) -> int:
    try:
        return _version(json.loads(head))
    except (ValueError, RecursionError):
        return VERSION  # damaged: reading the members reports how


def _version(meta: Any) -> int:
    """The version of a file, from its first member; files from before the first release have no version there."""
    version = meta.get("version", 1) if isinstance(meta, dict) else VERSION
    return version if type(version) is int else VERSION
