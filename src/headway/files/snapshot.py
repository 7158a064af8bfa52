"""Snapshot files: the last copy of a board as `snapshot.npz`, and the one before it as `snapshot.prev.npz`.

A recorder writes the whole board now and then, and in between what has changed since, into `changes.npz` (see
`changes`); `read` puts them together. The results of tasks it writes into a separate file, `results.npz`: results are
by far the largest part and change least. It writes that file first, so it is never older than `snapshot.npz`. All other
writers put everything into one file. Module `replacement` describes how a file is replaced.

Neither writing nor reading loads NumPy; `numpy.load(path, allow_pickle=False)` reads the files too.

Files of older versions can be read (see `older`); files of newer versions are refused.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.files import changes, members, npz, replacement
from headway.files.changes import CHANGES
from headway.files.members import (
    ARRAYS,
    KEPT,
    OF_THE_READER,
    STANDING,
    UNTIMED,
    VERSION,
    kept_record,
    placed_record,
)
from headway.files.replacement import META, META_BYTES_MAX, Copied, previous_of
from headway.system import locks
from headway.views.board_view import BoardView, Raw
from headway.views.numbers import Counts, counts_in, gone_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.files.npz import Buffer

__all__ = [
    "FILES",
    "MAY_HAVE_CHANGES",
    "PREVIOUS",
    "RESULTS",
    "SNAPSHOT",
    "glance",
    "read",
    "remove",
    "write",
    "write_results",
]

SNAPSHOT = "snapshot.npz"
PREVIOUS = previous_of(SNAPSHOT)
RESULTS = "results.npz"
FILES = (SNAPSHOT, PREVIOUS, RESULTS, previous_of(RESULTS), CHANGES, previous_of(CHANGES))
MAY_HAVE_CHANGES = "may_have_changes"  # in the metadata: a recorder wrote it, and will write what changes since
ABANDONED_AFTER_S = 10.0  # if any process uses the board, a killed recorder is replaced within seconds
MEMBERS = (META, *(f"{name}.npy" for name in ARRAYS))
RESULT_MEMBERS = (META, f"{KEPT}.npy", "results.npy")


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
    replacement.replace(directory, SNAPSHOT, _pieces(raw, sync), _copied(raw), sync=sync, later=CHANGES)
    return Path(directory, SNAPSHOT)


def write_results(raw: Raw, directory: str | os.PathLike[str], *, sync: bool = True) -> None:
    """Write the results of all tasks of a copy into `results.npz`. Raises as `write` does."""
    from headway.native.scans import places

    meta = {name: raw.meta[name] for name in ("name", "uuid", "layout_version", "taken_ns")}
    meta |= {"version": VERSION, "synced": sync}
    of = places(raw.tasks)
    kept = b"".join(
        kept_record.pack(of[task][1], offset, of[task][0], size)
        for task, size, offset in placed_record.iter_unpack(raw.result_index)
    )
    pieces = members.packed(meta, [(KEPT, kept), ("results", raw.results)])
    replacement.replace(directory, RESULTS, pieces, _copied(raw), sync=sync)


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
            with _beside(path) as found:
                return _load(path, found, False, results)
        except (FileNotFoundError, NotADirectoryError):
            raise errors.UnknownBoard(f"there is no file {path}: give a snapshot, or a board's directory") from None
    damage: errors.DamagedSnapshot | None = None
    with changes.held(path) as found:
        for name in (SNAPSHOT, PREVIOUS):
            try:
                return _load(path / name, found, name == PREVIOUS, results, path)
            except FileNotFoundError:
                continue
            except errors.DamagedSnapshot as error:
                damage = damage or error
    if damage is not None:
        raise damage
    raise errors.UnknownBoard(f"no snapshot is in {path}: has its board written one yet?")


def glance(directory: str | os.PathLike[str]) -> tuple[Counts, float]:
    """The counts of a board, and when its last snapshot was taken: as `read` has them, from the heads of files alone.

    The records are not read, so damage in them is not noticed; a file that was cut short is. A file without these
    numbers, of an older version or damaged, is read whole. Raises as `read` does.
    """
    with changes.held(Path(directory)) as found:
        meta = changes.latest(_head(Path(directory, SNAPSHOT)), found)
    there = counts_in(meta.get(STANDING))
    if there is None or members.version_of(meta) != VERSION:
        view = read(directory, results=False)
        return view.counts, view.taken_at
    if _is_abandoned(meta, Path(directory)):
        there = there.abandoned()
    return there + gone_in(meta), meta["taken_ns"] / 1e9


def remove(directory: str | os.PathLike[str]) -> None:
    """Remove the snapshots of a board, and temporary files of killed writers. Raises OSError."""
    replacement.remove(directory, SNAPSHOT, CHANGES, RESULTS)


# --------------------------------------------------------------------------------------------------------- contents


def _copied(raw: Raw) -> Copied:
    return Copied(raw.meta["uuid"], raw.meta["taken_ns"])


def _pieces(raw: Raw, sync: bool) -> list[Buffer]:
    """The pieces of the file. They are checked first, as when it is read: nothing unreadable is written."""
    from headway.native.scans import counts

    meta = {key: value for key, value in raw.meta.items() if key not in OF_THE_READER}
    meta |= {"version": VERSION, "synced": sync}
    if raw.durations is None:
        meta[UNTIMED] = True
    try:
        members.check_meta(meta)
        members.check_records(raw)
        meta[STANDING] = counts(raw.tasks, raw.taken_at)
    except ValueError as error:
        raise raw.damage(error) from None
    return members.packed(meta, zip(ARRAYS, (*raw[1:-1], raw.durations or b""), strict=True))


def _load(
    path: Path, found: list[int | None], from_prev: bool, results: bool, directory: Path | None = None
) -> BoardView:
    """Read a snapshot. found: the changes beside it (`changes.held`); directory: it is the snapshot of that board."""
    descriptor = members.open_file(path)
    try:
        raw, newer = changes.on(_decode(path, descriptor, from_prev), found)
        if results and raw.meta.get("results_apart"):
            raw = _with_results(raw, path.parent, newer)
        return BoardView.from_raw(raw if directory is None else _settled(raw, directory))
    except (ValueError, RecursionError) as error:
        if directory is None:  # any file, as a user named it
            raise errors.DamagedSnapshot(f"{path} is not a snapshot of Headway, or is damaged: {error}") from None
        raise errors.DamagedSnapshot(
            f"{path} is not what was written: {error}. Delete it; the next snapshot of the board takes its place"
        ) from None
    finally:
        os.close(descriptor)


@contextmanager
def _beside(path: Path) -> Iterator[list[int | None]]:
    """The changes beside a file that a user gave: such as it may have by its name."""
    if path.name in (SNAPSHOT, PREVIOUS):
        with changes.held(path.parent, given=True) as found:
            yield found
    else:
        yield []


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
        descriptor = members.open_file(path)
        try:
            meta = json.loads(npz.unpack(descriptor, MEMBERS, wanted=(META,))[META])
        finally:
            os.close(descriptor)
        members.check_meta(meta)
    except (FileNotFoundError, errors.DamagedSnapshot, ValueError, RecursionError):
        return {}  # reading it whole reports what is wrong
    found: dict[str, Any] = meta
    return found


def _with_results(raw: Raw, directory: Path, newer: changes.Results) -> Raw:
    """The copy with the results from the file beside it, or if that is damaged, from the previous one.

    newer: those that take the place of what is there. Raises ValueError if neither can be read."""
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
    where = {(slot, generation): (offset, size) for generation, offset, slot, size in kept_record.iter_unpack(kept)}
    end = len(results)
    for place, text in newer.items():
        where[place] = end, len(text)
        end += len(text)
    index = b"".join(
        placed_record.pack(task, size, offset)
        for task, place in enumerate(places(raw.tasks))
        if (found := where.get(place)) is not None
        for offset, size in (found,)
    )
    raw = raw._replace(result_index=index, results=b"".join((results, *newer.values())))
    members.check_records(raw)
    return raw


def _read_results(path: Path, uuid: str) -> tuple[bytes, bytes]:
    """(the index of the results, the results). Raises ValueError for a damaged file, FileNotFoundError for none."""
    descriptor = members.open_file(path)
    try:
        found = npz.unpack(descriptor, RESULT_MEMBERS)
    finally:
        os.close(descriptor)
    meta = json.loads(found[META])
    if not isinstance(meta, dict) or meta.get("uuid") != uuid:
        return b"", b""  # they belong to an earlier segment: this one has written no results yet
    return members.payload(found, KEPT, meta), members.payload(found, "results", meta)


def _decode(path: Path, descriptor: int, from_prev: bool) -> Raw:
    # A newer version may have other members, so the version is checked first.
    head = npz.first_member(descriptor, META, META_BYTES_MAX)
    members.refuse_newer(path, members.version_in(head))
    if changes.is_head(head):
        raise errors.DamagedSnapshot(f"{path} has only what changed since the snapshot beside it: give that one")
    there = members.arrays_of(members.version_of(json.loads(head)) if head is not None else VERSION)
    found = npz.unpack(descriptor, (META, *(f"{name}.npy" for name in there)))
    meta = json.loads(found[META])
    members.check_meta(meta)
    meta.pop(STANDING, None)  # the records tell it
    arrays = [members.payload(found, name, meta) for name in there]
    raw = Raw({**meta, "version": VERSION, "path": str(path), "from_prev": from_prev}, *arrays)
    if there is not ARRAYS or meta.get(UNTIMED):
        raw = raw._replace(durations=None)
    members.check_records(raw)
    return raw
