"""The result of a task as a document about an analysis: its parts stand in place, or in files beside the snapshot.

A document is replaced as a whole and under compare-and-swap, so no part of it is lost to another writer. A part in a
file is {"file": name}; the file is written before the document names it, and removed after another one is named.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from headway import errors
from headway.analysis.model import RESULTS, AnalysisProgress
from headway.analysis.storage import read_file, sync_folder, write_new
from headway.engine.task import Task
from headway.tasks.results import LARGE_RESULT, changed, dump_result
from headway.views.board_view import TaskView

__all__ = [
    "LABEL_BYTES",
    "STAGE_BYTES",
    "Document",
    "PartGone",
    "as_document",
    "document_of",
    "files_of",
    "part",
    "progress",
    "rewrite",
    "shown",
    "whole_stage",
]

Document: TypeAlias = dict[str, Any]

LABEL_BYTES, STAGE_BYTES = 95, 47  # what a slot has room for
_REFERENCE_BYTES = len('{"file":"result-0123456789abcdef0123456789abcdef.json"}')


class PartGone(Exception):
    """The file of a part was removed: the document that named it was replaced meanwhile. It is to be read again."""


def as_document(result: Any) -> Document:
    """The document that a task has as its result; an empty one where it has none yet, or something else."""
    return result if isinstance(result, dict) else {}


def document_of(view: TaskView) -> Document:
    """The document of a task that a board or a snapshot shows; an empty one if it is damaged."""
    try:
        return as_document(view.result)
    except (errors.CorruptBoard, errors.DamagedSnapshot):
        return {}


def shown(text: str, room: int) -> str:
    """A text as a slot of so many bytes shows it: cut with an ellipsis, without NUL, and not empty."""
    encoded = (text or " ").replace("\0", " ").encode()
    return encoded.decode() if len(encoded) <= room else encoded[: room - 3].decode(errors="ignore") + "…"


# ----------------------------------------------------------------------------------------------------------- writing


def rewrite(task: Task, directory: Path, room: int, change: Callable[[Document], Document]) -> Document:
    """Replace the document of a task by change(document), which is called again if somebody else wrote meanwhile.

    room: bytes of JSON in the slot; what is larger goes into files in `directory`. Returns the new document. Raises
    UnknownTask, LockTimeout, OSError; ResultTooLarge, if there is not even room for the names of the files.
    """
    written: dict[bytes, str] = {}  # a file serves all tries
    before: Document = {}
    after: Document = {}

    def fit(result: Any) -> Document:
        nonlocal before, after
        before = as_document(result)
        after = change(before)
        if after is not before:
            after = dict(after)
            _make_fit(task, after, room, lambda content: _to_file(directory, content, written))
        return after

    try:
        changed(task, fit)
    except BaseException:
        after = before
        raise
    finally:
        kept = set(files_of(after))
        for name in {*written.values(), *files_of(before)} - kept:
            (directory / name).unlink(missing_ok=True)
    return after


def _make_fit(task: Task, document: Document, room: int, to_file: Callable[[bytes], str]) -> None:
    """Move the largest part into a file, until the document fits."""
    while len(dump_result(document)) > room:
        encoded = {name: dump_result(value) for name, value in document.items()}
        largest = max(encoded, key=lambda name: len(encoded[name]))
        if len(encoded[largest]) <= _REFERENCE_BYTES:
            raise errors.ResultTooLarge(
                f"analysis {task.id!r} does not fit into {room} bytes, even with its results in files: remove the board"
                f" ('headway rm') and open it with a larger result_bytes"
            )
        document[largest] = {"file": to_file(encoded[largest])}


def _to_file(directory: Path, content: bytes, written: dict[bytes, str]) -> str:
    if content not in written:
        name = f"result-{os.urandom(16).hex()}.json"
        write_new(directory / name, content)
        written[content] = name
        sync_folder(directory)
    return written[content]


# ----------------------------------------------------------------------------------------------------------- reading


def files_of(document: Document) -> Iterator[str]:
    """The names of the files that hold parts of a document."""
    for value in document.values():
        if isinstance(value, dict) and value.keys() == {"file"}:
            name = value["file"]
            if isinstance(name, str) and LARGE_RESULT.fullmatch(name):
                yield name


def part(document: Document, name: str, directory: Path) -> Any:
    """One part of a document, wherever it stands; None if it is missing or damaged.

    Raises PartGone.
    """
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


def progress(view: TaskView, directory: Path, *, gone: bool = False, partial: bool = False) -> AnalysisProgress | None:
    """The analysis that a task shows; None if it is damaged.

    partial: a part whose file is gone is pending; without it that raises PartGone. gone: there is nothing left but this
    view, from a file: so it is partial, and what ran has failed.
    """
    document = document_of(view)

    def one(name: str) -> Any:
        try:
            return part(document, name, directory)
        except PartGone:
            if gone or partial:
                return None
            raise

    try:
        symbol = one("symbol")
        whole = {
            "symbol": view.label if symbol is None else symbol,
            "execution_id": view.id,
            "start_time": datetime.fromtimestamp(view.created or 0.0),  # noqa: DTZ006 - local time, as the others'
            "current_stage": whole_stage(view.stage, one("stage")),
            **{name: one(name) for name in RESULTS},
        }
        whole.update(_ending(view, whole["current_stage"], one("end"), gone))
        return AnalysisProgress.from_dict(whole)
    except (ValueError, OverflowError, OSError):
        return None


def _ending(view: TaskView, stage: str, end: Any, gone: bool) -> dict[str, Any]:
    """How an analysis has ended: by a call, or because nobody carries it on. Empty while it runs."""
    if isinstance(end, dict):
        return {
            "overall_status": end.get("status"),
            "current_stage": end.get("stage"),
            "final_signal": end.get("signal"),
            "failure_stage": end.get("failure_stage"),
            "final_message": end.get("message"),
        }
    if view.state == "success":  # by somebody who knows of the task, but not of the analysis
        return {"overall_status": "success", "final_message": view.message}
    if view.state in ("pending", "running") and not gone:
        return {}
    if view.state in ("pending", "running"):
        reason = f"its process (pid {view.owner_pid}) is gone, and so is the memory that it wrote to"
    elif view.state == "lost":
        reason = f"its process (pid {view.owner_pid}) died"
    else:
        reason = f"{view.error or 'cancelled'} (pid {view.owner_pid})"
    return {
        "overall_status": "failed",
        "final_signal": "no_signal",
        "failure_stage": stage,
        "final_message": reason,
    }
