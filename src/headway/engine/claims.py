"""Ownership of tasks: claims slots for new tasks, marks tasks of dead processes as lost, ends tasks at exit.

This module uses neither Board nor Task, only places (slot, generation) on segments.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from headway import errors
from headway.engine import attached
from headway.native import core, scans
from headway.process import launch
from headway.process.leaving import at_exit, uncaught
from headway.system import workers
from headway.tasks import checks
from headway.tasks.ending import LEFT_AT_EXIT, failure_text
from headway.tasks.states import LIVE_STATES, OPEN_STATES, RESUMABLE_STATES

if TYPE_CHECKING:
    from pathlib import Path

    from headway.engine.attached import Attachment
    from headway.views.task_view import Raw

__all__ = ["claim", "end_owned", "leave_all", "reap", "restart", "slot_at", "write_snapshot"]

# Who may not use SQLite waits for the recorder: for one at work, longer than the longest of its intervals;
RECORDER_WAIT_S = 10.0
# while there is none, until another one is at work: until the silence of the last one is noticed, then, if the one that
# is seen to first does not come, until somebody else may see to one, and for that one's start.
NO_RECORDER_WAIT_S = core.SILENT_SECONDS + core.START_SECONDS + 1.0
CANNOT_WRITE_WAIT_S = 2.0  # for one that is at work or not
RECORDER_NAP_S = 0.05


def slot_at(segment: core.Segment, index: int, generation: int, id: str = "") -> core.Slot:
    """The slot of a task, for reading and writing."""
    slot = core.Slot()
    slot._place(segment, index, generation, id)
    return slot


def claim(
    at: Attachment,
    id: str,
    total: int | None,
    unit: str,
    label: str,
    stall_after: float | None,
    resume: bool,
    join: bool,
    parent: str | None,
) -> tuple[int, int, bool]:
    """Claim a slot for a task, and become its owner. Returns (slot, generation, joined).

    resume: continue a task that failed, was cancelled or was lost. join: if a task of this id is open, return its place
    and joined=True instead of raising; its owner stays the same. If several processes claim one id at the same time,
    exactly one becomes the owner, because claims are made under the lock of the segment.
    """
    segment = at.opened()
    stall_after_ns = checks.check_stall_after(stall_after)
    parent_bytes = len(parent.encode()) if parent else 0
    resumable = RESUMABLE_STATES if resume else ()
    while True:  # another round only if another process claimed the id first, and its task has ended since
        try:
            index, generation, found = segment.claim(
                *(id, label, unit, parent_bytes, total, resumable, lambda place: _make_room(at, place)),
                stall_after_ns=stall_after_ns,
            )
        except errors.TaskExists:
            if not join:
                raise
            place = segment.find(id)
            with contextlib.suppress(errors.UnknownTask):  # it has ended since, and its slot has another task
                if place is not None and slot_at(segment, *place, id).state in LIVE_STATES:
                    return *place, True
            continue
        if found is None:
            return index, generation, False
        state, owner = found
        if segment.recorder_wanted:
            _make_room(at, (index, generation))  # the run that ended has its row in the history, too
        slot = slot_at(segment, index, generation, id)
        with contextlib.suppress(errors.UnknownTask):  # started anew by another process meanwhile
            was = slot._transition(
                "running", (state,), own=True, resume=True, expected_owner=owner, stall_after_ns=stall_after_ns
            )
            if was is not None:
                if total is not None:
                    slot._set(total=total)
                return index, generation, False


def restart(at: Attachment, id: str, label: str) -> tuple[int, int]:
    """Claim a slot for a task of this id, whatever the old task's state: its processes find that it is gone."""
    index, generation, _ = at.opened().claim(id, label, "it", archive=lambda place: _make_room(at, place), anew=True)
    return index, generation


def _make_room(at: Attachment, place: tuple[int, int] | None) -> int | None:
    reap(at)
    try:  # most workers do without files: importing them takes longer than attaching
        from headway.files.archive import BATCH, make_room
        from headway.files.gate import is_closed
    except ImportError:  # no descriptor is left, or a signal handler came during this very import
        return None
    if is_closed():
        return _recorded(at.segment, at.segment.finished(BATCH) if place is None else [place])
    return make_room(at.segment, at.directory, at.copy_meta(), place)


def _recorded(segment: core.Segment, places: list[tuple[int, int]]) -> int | None:
    """Have the recorder archive tasks that ended. Returns how many it has; None if it has none in time.

    For a process that may not use SQLite. As with a full disk, the caller drops tasks, or goes on with one, then.
    """
    began = alive_at = time.monotonic()
    while places:
        launch.ensure(segment)
        try:
            left = len(scans.unarchived(segment.copy_slots(places)[1]))
        except (errors.HeadwayError, OSError):  # a slot whose lock is held for too long, for example
            return None
        if left < len(places):
            return len(places) - left
        now = time.monotonic()
        if segment.recorder_alive:
            alive_at = now
        if (
            now - alive_at >= NO_RECORDER_WAIT_S
            or alive_at - began >= RECORDER_WAIT_S
            or (segment.recorder_errors[1] and now - began >= CANNOT_WRITE_WAIT_S)
        ):
            return None
        time.sleep(RECORDER_NAP_S)
    return 0


def reap(at: Attachment) -> list[str]:
    """Mark tasks as lost whose owner and workers are all dead. Returns their ids."""
    segment = at.opened()
    lost = []
    for index, generation, owner in segment.abandoned():
        with contextlib.suppress(errors.UnknownTask):
            slot = slot_at(segment, index, generation)
            if slot._transition("lost", LIVE_STATES, expected_owner=owner) is not None:
                copied = segment.copy_task(index, generation)
                if copied is not None:
                    lost.append(at.view_of(copied).id)
    return lost


def write_snapshot(at: Attachment, raw: Raw, *, sync: bool = True, interval_s: float | None = None) -> Path:
    """Write a copy as the next snapshot file of the board.

    interval_s: for a recorder: the seconds until its next snapshot; a recorder writes the results to their own file.
    """
    from headway.files import snapshot

    meta = {**raw.meta, "sequence": at.segment.next_sequence(), "interval_s": interval_s}
    return snapshot.write(raw._replace(meta=meta), at.directory, sync=sync, results_apart=interval_s is not None)


# ------------------------------------------------------------------------------------------------------------ leaving


def end_owned(at: Attachment, reason: str, error: BaseException | None) -> None:
    """End the open tasks that this process owns, unless other live processes still count on them."""
    segment = at.segment
    if segment.retired:
        return  # the board was removed: nobody would see the states
    for index, generation in segment.owned():
        slot = slot_at(segment, index, generation)
        with contextlib.suppress(errors.HeadwayError):  # ended or started anew by another process meanwhile
            if slot._carried_by_others() or (error is None and at.hand_on is not None and at.hand_on(slot, segment)):
                continue
            state, text = ("cancelled", reason) if error is None else ("failed", failure_text(error))
            slot._transition(state, OPEN_STATES, error=text, expected_owner=segment.incarnation)


def leave_all() -> None:
    """Leave every board at the end of this process: end its tasks, give up its identity."""
    error, until = uncaught(), time.monotonic() + launch.AT_EXIT_S
    with contextlib.ExitStack() as boards:  # each is left, whatever another one raises
        for at in attached.all_of_them():
            if not at.segment.closed and at.segment.incarnation:
                boards.callback(_leave, at, error, until)


def _leave(at: Attachment, error: BaseException | None, until: float) -> None:
    segment = at.segment
    try:
        with contextlib.suppress(errors.HeadwayError, OSError):  # no descriptors, for example
            end_owned(at, LEFT_AT_EXIT, error)
        with contextlib.suppress(errors.HeadwayError, OSError, ValueError):
            launch.ensure_at_exit(segment, until)
        if os.getpid() == 1 and segment.recorder_wanted:  # the kernel will kill the recorder with process 1
            with contextlib.suppress(errors.HeadwayError, OSError):  # a full disk: the last snapshot stays
                write_snapshot(at, at.copy())
    finally:
        segment.leave()


core.on_arrival(lambda: at_exit(leave_all))  # called when this process registers on a board
core.on_silence(launch.ensure)
core.on_naming(workers.process_name)
