"""The result of a task as a document about an analysis: its parts are inline, or in files beside the snapshot.

A document is replaced as a whole by compare-and-swap, so no part of it is lost to another writer. A part in a file is
{"file": name}; the file is written before the document names it, and removed after the document names another one.

Its parts: the four results; "by", the process that began it; "start", when, in seconds since 1970; "end", once it has
ended; "symbol", "stage" and "id", in full, where the slot had no room for them.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from headway import errors
from headway.analysis.model import RESULTS, AnalysisProgress, taken_result
from headway.analysis.storage import read_file, sync_folder, write_new
from headway.analysis.values import digest_of, encode, is_digest
from headway.engine.task import Task
from headway.tasks.ending import LEFT_OPEN
from headway.tasks.results import LARGE_RESULT

__all__ = [
    "LABEL_BYTES",
    "STAGE_BYTES",
    "Document",
    "PartGone",
    "Parts",
    "Written",
    "document_of",
    "files_of",
    "key_of",
    "loaded",
    "part",
    "part_of",
    "progress",
    "read_parts",
    "record_of",
    "remove_files",
    "replace",
    "shown",
    "whole_stage",
]

Document: TypeAlias = dict[str, Any]
Parts: TypeAlias = Mapping[str, bytes]  # a document as it is written: the JSON of each part
Written: TypeAlias = tuple[int, Parts, bool]  # the sequence number of a result; its parts; whether some are in files

LABEL_BYTES, STAGE_BYTES, ID_BYTES = 95, 47, 95  # the room for each text in a slot
WRITE_SECONDS = 5.0  # how long to try again while other writers come first
_REFERENCE_BYTES = len('{"file":"result-0123456789abcdef0123456789abcdef.json"}')
_FILE = b'{"file":"'
_KEYS = {name: encode(name) + b":" for name in (*RESULTS, "by", "start", "end", "symbol", "stage", "id")}
_REFERENCE = re.compile(rb'\{"file":"(result-[0-9a-f]{32}\.json)"\}')


class PartGone(Exception):
    """The file of a part was removed, as the document that named it was replaced. Read the document again."""


class View(Protocol):
    """What is read of a task: of a TaskView, or of a row of the history."""

    @property
    def id(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def error(self) -> str: ...
    @property
    def created(self) -> float | None: ...
    @property
    def owner_pid(self) -> int: ...
    @property
    def result(self) -> Any: ...


def document_of(view: View) -> Document:
    """The document of a task; an empty one if it has none, or a damaged one."""
    try:
        result = view.result
    except (errors.CorruptBoard, errors.DamagedSnapshot, ValueError, RecursionError):
        return {}
    return result if isinstance(result, dict) else {}


def key_of(id: str) -> str:
    """The id of the task of an analysis: the execution id if a slot can hold it, else a digest of it."""
    if len(id) <= ID_BYTES and "\0" not in id and (id.isascii() or len(id.encode()) <= ID_BYTES) and not is_digest(id):
        return id
    return digest_of(id)


def shown(text: str, room: int) -> str:
    """A text as a slot with that many bytes shows it: cut with an ellipsis, without NUL, and not empty."""
    if text and len(text) <= room and text.isascii() and "\0" not in text:
        return text
    encoded = (text or " ").replace("\0", " ").encode()
    return encoded.decode() if len(encoded) <= room else encoded[: room - 3].decode(errors="ignore") + "…"


# ----------------------------------------------------------------------------------------------------------- writing


def replace(
    task: Task, directory: Path, room: int, change: Callable[[Parts], Parts], known: Written | None
) -> Written | None:
    """Replace the parts of a document by change(parts), which is called again if another process wrote meanwhile.

    known: what this process wrote last, used if nobody has written since. room: bytes of JSON in the slot; what is
    larger goes into files in `directory`. Returns what is written there now, as far as that is known. Raises
    UnknownTask, LockTimeout, OSError; ResultTooLarge if there is not even room for the names of the files.
    """
    files: dict[bytes, bytes] = {}  # content: reference; one file serves all attempts
    before: Parts = {}
    after: Parts = {}
    in_files = False
    give_up = 0.0
    try:
        while True:
            seq, before, in_files = known if known is not None else read_parts(task)
            after = change(before)
            if after is before:
                return seq, before, in_files
            encoded = _joined(after)
            if len(encoded) > room:
                after = _fitting(task, dict(after), room, directory, files)
                encoded = _joined(after)
            if task._write_result(encoded, seq):
                found, seq = task._read_result()
                return (seq, after, _FILE in encoded) if found == encoded else None
            known = None
            give_up = give_up or time.monotonic() + WRITE_SECONDS
            if time.monotonic() > give_up:
                raise errors.LockTimeout(f"analysis {task.id!r} is written by others all the time: write it less often")
    except BaseException:
        after = before
        raise
    finally:
        if files or in_files:
            kept = set(_named(after.values()))
            remove_files({*_named(files.values()), *_named(before.values())} - kept, directory)


def remove_files(names: Iterable[str], directory: Path) -> None:
    """Remove files of parts. Leftover files do no harm: cleanup_old removes those that no document names."""
    for name in names:
        with suppress(OSError):
            (directory / name).unlink()


def read_parts(task: Task) -> Written:
    """The parts of a task's document as they are now; none if it is damaged."""
    raw, seq = task._read_result()
    if not raw:
        return seq, {}, False
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError):
        values = {}
    if not isinstance(values, dict):
        values = {}
    return seq, {name: encode(value) for name, value in values.items()}, _FILE in raw


def _joined(parts: Parts) -> bytes:
    return b"{%b}" % b",".join([(_KEYS.get(name) or encode(name) + b":") + one for name, one in parts.items()])


def _fitting(task: Task, parts: dict[str, bytes], room: int, directory: Path, files: dict[bytes, bytes]) -> Parts:
    """Move the largest part into a file, until the document fits."""
    while len(_joined(parts)) > room:
        largest = max(parts, key=lambda name: len(parts[name]))
        content = parts[largest]
        if len(content) <= _REFERENCE_BYTES:
            raise errors.ResultTooLarge(
                f"analysis {task.id!r} does not fit into {room} bytes, even with its results in files: remove the board"
                f" ('headway rm') and open it with a larger result_bytes"
            )
        if content not in files:
            name = f"result-{os.urandom(16).hex()}.json"
            write_new(directory / name, content)
            files[content] = b'{"file":"%b"}' % name.encode()
            sync_folder(directory)
        parts[largest] = files[content]
    return parts


def _named(parts: Iterable[bytes]) -> Iterator[str]:
    """The names of the files that hold parts."""
    for one in parts:
        if found := _REFERENCE.fullmatch(one):
            yield found[1].decode()


# ----------------------------------------------------------------------------------------------------------- reading


def loaded(raw: bytes) -> Document:
    """The document in a result; an empty one if it is damaged, or something else."""
    try:
        document = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def part_of(name: str, written: bytes) -> Any:
    """A part that this process wrote, decoded: a result as an object of its class, unless it is in a file."""
    value = json.loads(written.decode())
    return taken_result(name, value) if name in RESULTS and not written.startswith(_FILE) else value


def files_of(document: Document) -> Iterator[str]:
    """The names of the files that hold parts of a document."""
    for value in document.values():
        if isinstance(value, dict) and len(value) == 1 and value.keys() == {"file"}:
            name = value["file"]
            if isinstance(name, str) and LARGE_RESULT.fullmatch(name):
                yield name


def part(document: Document, name: str, directory: Path) -> Any:
    """One part of a document, inline or in a file; None if it is missing or damaged. Raises PartGone."""
    value = document.get(name)
    for file in files_of({name: value}):
        try:
            return json.loads(read_file(directory / file) or b"null")
        except FileNotFoundError:
            raise PartGone(file) from None
        except (ValueError, RecursionError):
            return None
    return value


def whole_stage(stage: str, long: Any) -> str:
    """The stage of a task, in full where its slot had no room for it. long: the part "stage"."""
    if isinstance(long, str) and shown(long, STAGE_BYTES) == stage:
        return long
    return stage or "initializing"


def progress(view: View, directory: Path, *, gone: bool = False, partial: bool = False) -> AnalysisProgress | None:
    """The analysis of a task; None if it is damaged.

    partial: a part whose file is gone is pending, instead of raising PartGone. gone: nothing is left but this view,
    from a file: so it is partial, and an analysis that was running has failed.
    """
    document = document_of(view)
    end = _part(document, "end", directory, gone or partial)
    ended: Mapping[str, Any] = end if isinstance(end, dict) else {}
    if not ended:
        ended = _ending(view, whole_stage(view.stage, _part(document, "stage", directory, gone or partial)), gone)
    return record_of(view.id, view.label, view.stage, view.created, document, ended, directory, gone or partial)


def record_of(
    key: str,
    label: str,
    stage: str,
    created: float | None,
    document: Document,
    ended: Mapping[str, Any],
    directory: Path,
    partial: bool = False,
) -> AnalysisProgress | None:
    """The analysis of a task with these fields; None if it is damaged. ended: how it ended, {} while it runs.

    Do not change the document afterwards: its values become those of the record. Raises PartGone.
    """
    try:
        start = document.get("start")
        record = AnalysisProgress.__new__(AnalysisProgress)
        own = record.__dict__
        symbol, id, long = label, key, None
        if "symbol" in document:
            symbol = _text(_part(document, "symbol", directory, partial), label)
        if "id" in document:
            id = _text(_part(document, "id", directory, partial), key)
            if key_of(id) != key:
                return None
        if "stage" in document:
            long = _part(document, "stage", directory, partial)
        own["symbol"] = symbol
        own["execution_id"] = id
        own["start_time"] = datetime.fromtimestamp(start if isinstance(start, float) else created or 0.0)  # noqa: DTZ006 - local time, as the others'
        own["current_stage"] = whole_stage(stage, long)
        own["overall_status"] = "running"
        for name, kind in RESULTS.items():
            value = document.get(name)
            if type(value) is kind:
                own[name] = value  # see part_of
                continue
            if value is not None and len(value) == 1:
                value = _part(document, name, directory, partial)
            own[name] = taken_result(name, value)
        own["final_signal"] = "analyzing"
        own["failure_stage"] = own["final_message"] = ""
        if ended:
            own["overall_status"] = _text(ended.get("status"), "failed")
            own["current_stage"] = _text(ended.get("stage"), own["current_stage"])
            own["final_signal"] = _text(ended.get("signal"), "analyzing")
            own["failure_stage"] = _text(ended.get("failure_stage"), "")
            own["final_message"] = _text(ended.get("message"), "")
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return record


def _part(document: Document, name: str, directory: Path, partial: bool) -> Any:
    try:
        return part(document, name, directory)
    except PartGone:
        if partial:
            return None
        raise


def _text(value: Any, default: str) -> str:
    return value if isinstance(value, str) else default


def _ending(view: View, stage: str, gone: bool) -> Mapping[str, Any]:
    """The end of an analysis whose document has none: its process is gone, or its task was ended by other means."""
    state = view.state
    if state == "success":
        return {"status": "success", "message": view.message, "stage": stage}
    if state in ("pending", "running"):
        if not gone:
            return {}
        reason = f"its process (pid {view.owner_pid}) is gone, and so is the memory that it wrote to"
    elif state == "cancelled" and view.error in LEFT_OPEN:
        return {}  # its process ended in good order: another one may go on with it later
    elif state == "lost":
        reason = f"its process (pid {view.owner_pid}) died"
    else:
        reason = f"{view.error or 'cancelled'} (pid {view.owner_pid})"
    return {"status": "failed", "stage": stage, "signal": "no_signal", "failure_stage": stage, "message": reason}
