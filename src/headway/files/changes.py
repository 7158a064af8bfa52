"""What has changed since the last whole snapshot: `changes.npz` beside `snapshot.npz`, and the one before it.

A recorder writes a board several times a second, of which a few tasks have moved: only those are written. The file
names the snapshot that it belongs to by its number. It has the tasks that came or differ, and where in the order of all
tasks they stand, so the two together are the copy of one moment. (Rates that differ by less than a sixteenth are the
same.) A snapshot that is not the one named is a later one, which needs no changes, or the previous one, whose changes
are the previous ones, too. Results that are newer than `results.npz` are in it as well.

Readers open this file first: what they then find as the snapshot is the one it belongs to, or a later one.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from headway import errors
from headway.files import members, npz, replacement
from headway.files.members import ARRAYS, OF_THE_READER, RUNS, STANDING, VERSION
from headway.files.replacement import META, META_BYTES_MAX, OF, Copied, previous_of
from headway.views.task_view import Raw

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["CHANGES", "FILES", "Changed", "Results", "check", "held", "is_head", "latest", "on", "results_in", "write"]

CHANGES = "changes.npz"
FILES = (CHANGES, previous_of(CHANGES))
MEMBERS = (META, f"{RUNS}.npy", *(f"{name}.npy" for name in ARRAYS))

Results = dict[tuple[int, int], bytes]
"""The JSON of results, by slot and generation."""


class Changed(NamedTuple):
    """A snapshot with its changes. results: those that are newer than the file of results."""

    raw: Raw
    results: Results


def results_in(raw: Raw, runs: bytes) -> Results:
    """The results of the tasks that are to be kept of a copy. runs: the copy compared with a snapshot."""
    from headway.native.scans import places

    kept: set[int] = set()
    for first, tasks, changed in members.run_record.iter_unpack(runs):
        kept.update(range(first, first + tasks) if changed else ())
    of = places(raw.tasks)
    return {
        of[task]: raw.results[offset : offset + size]
        for task, size, offset in members.placed_record.iter_unpack(raw.result_index)
        if task in kept
    }


def write(
    raw: Raw,
    runs: bytes,
    on: tuple[str, int],
    results: Results,
    directory: str | os.PathLike[str],
    *,
    sync: bool,
) -> int | None:
    """Write what is new in a copy. Returns how many bytes; None if the snapshot is not in its place any more.

    runs: the copy compared with that snapshot (`native.changes.Base`); on: its file and its number; results: those that
    are newer than their file. Raises as `snapshot.write` does.
    """
    from headway.native import records
    from headway.native.changes import kept
    from headway.native.scans import counts, places

    meta = {key: value for key, value in raw.meta.items() if key not in OF_THE_READER}
    meta |= {"version": VERSION, "synced": sync, "results_apart": True, OF: on[1]}
    numbered, tasks, stages, shares, durations = kept(runs, *raw[1:4], raw.durations or b"")
    index, texts = bytearray(), bytearray()
    for number, place in enumerate(places(tasks) if results else ()):
        if place in results:
            index += members.placed_record.pack(number, len(results[place]), len(texts))
            texts += results[place]
    arrays = (numbered, tasks, stages, shares, raw.workers, bytes(index), bytes(texts), durations)
    try:
        members.check_meta(meta)
        records.check(tasks, stages, shares, raw.workers, bytes(index), len(texts), durations)
        meta[STANDING] = counts(raw.tasks, raw.taken_at)
    except ValueError as error:
        raise raw.damage(error) from None
    pieces = members.packed(meta, zip((RUNS, *ARRAYS), arrays, strict=True))
    copied = Copied(raw.meta["uuid"], raw.meta["taken_ns"])
    done = replacement.replace(directory, CHANGES, pieces, copied, sync=sync, on=on)
    return sum(map(len, pieces)) if done else None


@contextlib.contextmanager
def held(directory: Path, *, given: bool = False) -> Iterator[list[int | None]]:
    """Open the changes of a directory, the later ones first; None: they are there, and cannot be changes.

    given: a user gave a file in there, which need not be the directory of a board: then there are no others than those
    that can be read. Raises NotOwner, OSError, but not for a file that was given.
    """
    with contextlib.ExitStack() as stack:
        found: list[int | None] = []
        for name in FILES:
            try:
                descriptor = members.open_file(directory / name)
            except FileNotFoundError:
                continue
            except errors.DamagedSnapshot:
                found.append(None)
            except (errors.NotOwner, OSError):
                if not given:
                    raise
            else:
                stack.callback(os.close, descriptor)
                found.append(descriptor)
        yield [one for one in found if not given or _head(one) is not None]


def _head(descriptor: int | None) -> dict[str, Any] | None:
    """The metadata of changes; None if they cannot be read, or are no changes."""
    first = None if descriptor is None else npz.first_member(descriptor, META, META_BYTES_MAX)
    meta = _parsed(first)
    return meta if OF in meta else None


def _parsed(first: bytes | None) -> dict[str, Any]:
    try:
        meta = {} if first is None else json.loads(first)
    except (ValueError, RecursionError):
        return {}
    return meta if isinstance(meta, dict) else {}


def is_head(first: bytes | None) -> bool:
    """Is this the first member of a file of changes?"""
    return OF in _parsed(first)


def latest(meta: dict[str, Any], descriptors: list[int | None]) -> dict[str, Any]:
    """The metadata of a snapshot, or of its changes; {} if it takes a whole look at them to tell."""
    for descriptor in descriptors:
        own = _head(descriptor)
        if own is None or descriptor is None:
            return {}
        if _belongs(own, meta):
            try:
                npz.unpack(descriptor, MEMBERS, wanted=(META,))
                members.check_meta(own)
            except ValueError:
                return {}
            return own
    return meta


def check(path: Path) -> None:
    """Raise DamagedSnapshot if there are changes that cannot be read; NotOwner, OSError."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = members.open_file(path)
        try:
            _content(descriptor)
        except (ValueError, RecursionError) as error:
            raise errors.DamagedSnapshot(f"{path} is not what was written: {error}. Delete it") from None
        finally:
            os.close(descriptor)


def _belongs(meta: Mapping[str, Any], to: Mapping[str, Any]) -> bool:
    """Are these the changes of that snapshot?"""
    return meta.get("uuid") == to.get("uuid") and meta.get(OF) == to.get("sequence")


def on(raw: Raw, descriptors: list[int | None]) -> Changed:
    """A snapshot with its changes, if there are any. If the later ones are damaged, the view has `from_prev` set."""
    damaged = False
    for descriptor in descriptors:
        meta = _head(descriptor)
        if meta is None or descriptor is None:
            damaged = True
        elif _belongs(meta, raw.meta):
            members.refuse_newer(Path(raw.meta["path"]).with_name(CHANGES), members.version_of(meta))
            try:
                found = _joined(raw, descriptor)
            except (ValueError, RecursionError):
                damaged = True
            else:
                return _marked(found, damaged)
    return _marked(Changed(raw, {}), damaged)


def _marked(found: Changed, damaged: bool) -> Changed:
    if not damaged:
        return found
    return found._replace(raw=found.raw._replace(meta={**found.raw.meta, "from_prev": True}))


def _content(descriptor: int) -> tuple[dict[str, Any], bytes, Raw]:
    """(metadata, runs, the records). Raises ValueError for damage."""
    first = npz.first_member(descriptor, META, META_BYTES_MAX)
    there = (RUNS, *members.arrays_of(members.version_of(_parsed(first))))
    content = npz.unpack(descriptor, (META, *(f"{name}.npy" for name in there)))
    meta = json.loads(content[META])
    members.check_meta(meta)
    runs, *arrays = (members.payload(content, name, meta) for name in there)
    raw = Raw(meta, *arrays)
    members.check_records(raw)
    return meta, runs, raw


def _joined(raw: Raw, descriptor: int) -> Changed:
    from headway.native.changes import joined
    from headway.native.scans import places

    meta, runs, new = _content(descriptor)
    if not raw.meta.get("results_apart") or not _belongs(meta, raw.meta):
        raise ValueError("they belong to another snapshot")
    of = places(new.tasks)
    results = {
        of[task]: new.results[offset : offset + size]
        for task, size, offset in members.placed_record.iter_unpack(new.result_index)
    }
    tasks, stages, shares, durations = joined(runs, _of_tasks(raw), _of_tasks(new))
    for key in (STANDING, OF):
        meta.pop(key, None)
    own = {key: raw.meta[key] for key in (*OF_THE_READER, "version")}
    timed = None if raw.durations is None else durations
    return Changed(Raw({**meta, **own}, tasks, stages, shares, new.workers, b"", b"", timed), results)


def _of_tasks(raw: Raw) -> tuple[bytes | bytearray, bytes, bytes, bytes]:
    return raw.tasks, raw.stages, raw.shares, raw.durations or b""
