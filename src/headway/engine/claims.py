"""Who owns which task: claiming places for new ones, marking those as lost whose processes died, leaving in order.

Knows neither boards nor tasks: places on segments, and who answers for them.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from headway import errors
from headway.engine import attached
from headway.native import core
from headway.process import launch
from headway.process.leaving import at_exit, uncaught
from headway.tasks.ending import failure_text
from headway.tasks.states import LIVE_STATES, OPEN_STATES, RESUMABLE_STATES

if TYPE_CHECKING:
    from pathlib import Path

    from headway.engine.attached import Attachment
    from headway.views.task_view import Raw

__all__ = ["claim", "end_owned", "leave_all", "reap", "restart", "slot_at", "write_snapshot"]


def slot_at(segment: core.Segment, index: int, generation: int, id: str = "") -> core.Slot:
    """The place of a task, to read and write."""
    slot = core.Slot()
    slot._place(segment, index, generation, id)
    return slot


def claim(
    at: Attachment,
    id: str,
    total: int | None,
    unit: str,
    label: str,
    resume: bool,
    join: bool,
    parent: str | None,
) -> tuple[int, int, bool]:
    """Claim a place for a task, and become its owner: (slot, generation, False).

    resume: go on with one that failed, was cancelled or lost. join: where one of this id goes on, do not refuse: its
    place, and True; who owns it does not change. Of processes that claim one id at once, exactly one becomes the owner,
    as everything is decided under the lock of the segment.
    """
    segment = at.opened()
    parent_bytes = len(parent.encode()) if parent else 0
    resumable = RESUMABLE_STATES if resume else ()
    while True:  # each further round means that another process was quicker, and has ended its task since
        try:
            index, generation, found = segment.claim(
                id, label, unit, parent_bytes, total, resumable, lambda place: _make_room(at, place)
            )
        except errors.TaskExists:
            if not join:
                raise
            place = segment.find(id)
            with contextlib.suppress(errors.UnknownTask):  # it has ended since, and its place is another's
                if place is not None and slot_at(segment, *place, id).state in LIVE_STATES:
                    return *place, True
            continue
        if found is None:
            return index, generation, False
        state, owner = found
        slot = slot_at(segment, index, generation, id)
        with contextlib.suppress(errors.UnknownTask):  # started anew by another process meanwhile
            if slot._transition("running", (state,), own=True, resume=True, expected_owner=owner) is not None:
                if total is not None:
                    slot._set(total=total)
                return index, generation, False


def restart(at: Attachment, id: str, label: str) -> tuple[int, int]:
    """Claim a place for a task of this id whatever the old one's state: who carried that one finds it gone."""
    index, generation, _ = at.opened().claim(id, label, "it", archive=lambda place: _make_room(at, place), anew=True)
    return index, generation


def _make_room(at: Attachment, place: tuple[int, int] | None) -> int | None:
    from headway.files import archive  # nearly all workers do without files: importing them takes longer than attaching

    reap(at)
    return archive.make_room(at.segment, at.directory, at.copy_meta(), place)


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

    interval_s: for a recorder, how soon it means to write another one; it writes the results apart.
    """
    from headway.files import snapshot

    meta = {**raw.meta, "sequence": at.segment.next_sequence(), "interval_s": interval_s}
    return snapshot.write(raw._replace(meta=meta), at.directory, sync=sync, results_apart=interval_s is not None)


# ------------------------------------------------------------------------------------------------------------ leaving


def end_owned(at: Attachment, reason: str, error: BaseException | None) -> None:
    """End what this process owns and leaves open, unless live workers still count on it."""
    segment = at.segment
    if segment.retired:
        return  # removed by somebody else: nobody will see it
    for index, generation in segment.owned():
        slot = slot_at(segment, index, generation)
        with contextlib.suppress(errors.HeadwayError):  # ended or started anew by another process meanwhile
            if slot._carried_by_others() or (error is None and at.hand_on is not None and at.hand_on(slot, segment)):
                continue
            state, text = ("cancelled", reason) if error is None else ("failed", failure_text(error))
            slot._transition(state, OPEN_STATES, error=text, expected_owner=segment.incarnation)


def leave_all() -> None:
    """Leave every board in good order: at the end of this process."""
    error = uncaught()
    for at in attached.all_of_them():
        segment = at.segment
        if not segment.closed and segment.incarnation:
            end_owned(at, "left open at exit", error)
            if os.getpid() == 1 and segment.recorder_wanted:  # the kernel takes our recorder along
                with contextlib.suppress(errors.HeadwayError, OSError):  # a full disk, say: it was written before
                    write_snapshot(at, at.copy())
            segment.leave()


core.on_arrival(lambda: at_exit(leave_all))  # this process has become a worker: it leaves in good order
core.on_silence(launch.ensure)
