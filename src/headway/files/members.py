"""What stands in the files of a board's copies: their members, the metadata that a view needs, arrays of records."""

from __future__ import annotations

import errno
import functools
import json
import os
import re
import stat
import struct
import sys
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.files import npz
from headway.files.replacement import META
from headway.system import descriptors
from headway.system.paths import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from headway.files.npz import Buffer
    from headway.files.older import Description
    from headway.views.task_view import Raw

__all__ = [
    "ARRAYS",
    "KEPT",
    "OF_THE_READER",
    "OLDER_ARRAYS",
    "RUNS",
    "STANDING",
    "UNTIMED",
    "VERSION",
    "arrays_of",
    "check_meta",
    "check_records",
    "kept_record",
    "open_file",
    "packed",
    "payload",
    "placed_record",
    "refuse_newer",
    "run_record",
    "version_in",
    "version_of",
]

VERSION = 4  # files of version 1, from before the first release, have no version number; 2 has no items, no durations;
# 3 does not say after how long a task is stalled, which reads as 10 s
ARRAYS = ("tasks", "stages", "shares", "workers", "index", "results", "durations")  # in the order of Raw
OLDER_ARRAYS = ARRAYS[:-1]  # of versions 1 and 2
KEPT = "kept"  # the array that says to which slot and generation each result belongs
RUNS = "runs"  # the array that says which tasks are as they were
UNTIMED = "untimed"  # true: it is the copy of a file that knew no durations
STANDING = "standing"  # how many tasks of the file are in each state, for who reads only the first member
OF_THE_READER = ("path", "from_prev")  # set when a file is read; not part of the board

kept_record = struct.Struct("=QQII")  # generation, offset, slot, bytes
run_record = struct.Struct("=III")  # first, tasks, changed: of a stretch of tasks
placed_record = struct.Struct("=IIQ")  # hw_result_record: task, bytes, offset
_TEXTS = ("uuid", "directory", "host", "boot_id")
_NUMBERS = (
    "layout_version", "capacity", "workers", "created_ns", "taken_ns", "sequence", "dropped", "retired",
    "shared_counters",
)  # fmt: skip


def arrays_of(version: int) -> tuple[str, ...]:
    """The arrays that a file of this version has."""
    return ARRAYS if version >= 3 else OLDER_ARRAYS


def check_records(raw: Raw) -> None:
    """Raise ValueError for the first impossible record of a copy."""
    from headway.native.records import check

    arrays = raw.tasks, raw.stages, raw.shares, raw.workers, raw.result_index
    check(*arrays, len(raw.results), raw.durations or b"")


@functools.cache
def _description(name: str) -> str:
    return repr(_fields(name))


def _fields(name: str) -> Description:
    from headway.native.records import DTYPES

    order = "<" if sys.byteorder == "little" else ">"
    own: dict[str, Description] = {
        "results": "|u1",
        KEPT: [("generation", f"{order}u8"), ("offset", f"{order}u8"), ("slot", f"{order}u4"), ("bytes", f"{order}u4")],
        RUNS: [("first", f"{order}u4"), ("tasks", f"{order}u4"), ("changed", f"{order}u4")],
    }
    return own[name] if name in own else DTYPES[name]


def _item_bytes(name: str) -> int:
    from headway.native.records import RECORD_BYTES

    own = {KEPT: kept_record.size, RUNS: run_record.size}
    return own[name] if name in own else RECORD_BYTES.get(name, 1)


def packed(meta: dict[str, Any], arrays: Iterable[tuple[str, Buffer]]) -> list[Buffer]:
    """The pieces of a file with this metadata and these arrays. Raises Unsupported for more than 4 GiB."""
    members: list[tuple[str, list[Buffer]]] = [(META, [json.dumps(meta).encode()])]
    for name, content in arrays:
        header = npz.npy_header(_description(name), len(content) // _item_bytes(name))
        members.append((f"{name}.npy", [header, content]))
    try:
        return npz.pack(members)
    except ValueError as error:
        raise errors.Unsupported(f"board {meta['name']!r} is too large for a snapshot: {error}") from None


def payload(members: dict[str, bytes], name: str, meta: dict[str, Any]) -> bytes:
    """The records of an array, converted to this version's layout. Raises ValueError."""
    content = members.pop(f"{name}.npy")
    found = npz.npy_payload(content, _description(name), _item_bytes(name))
    if found is not None:
        return found
    if version_of(meta) >= VERSION:
        raise ValueError(f"its {name} do not have the layout of its version")
    from headway.files import older

    return older.records(content, _fields(name))


def check_meta(meta: Any) -> None:
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


def version_of(meta: Any) -> int:
    """The version of a file, from its first member; files from before the first release have no version there."""
    version = meta.get("version", 1) if isinstance(meta, dict) else VERSION
    return version if type(version) is int else VERSION


def version_in(head: bytes | None) -> int:
    """The version that a first member says; that of this one if it is damaged, which is found out later."""
    try:
        return VERSION if head is None else version_of(json.loads(head))
    except (ValueError, RecursionError):
        return VERSION


def refuse_newer(path: Path, version: int) -> None:
    """Raise LayoutMismatch if a newer version wrote this file."""
    if version > VERSION:
        raise errors.LayoutMismatch(
            f"{path} was written by a newer version of Headway (its format is {version}, this one reads up to "
            f"{VERSION}): read it with that version"
        )


def open_file(path: Path) -> int:
    """Open a file for reading. Raises DamagedSnapshot if it is none, NotOwner, OSError."""
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
