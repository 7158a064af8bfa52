"""The segments that this process is attached to, by uuid. This module uses neither Board nor Task."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway import errors
from headway.engine import segments
from headway.native import core
from headway.native.rates import Rates
from headway.system import machine
from headway.tasks import checks
from headway.tasks.states import FINAL_STATES, STATES
from headway.views.task_view import Raw, TaskView

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Attachment", "add", "all_of_them", "attached", "board_gone", "forget", "guard", "known"]

COPIES_MOST = 4  # how often one snapshot is copied again because tasks gave up their slots meanwhile

_by_uuid: dict[str, Attachment] = {}
guard = threading.RLock()  # held while boards are opened and closed


class Attachment:
    """A segment that this process is attached to, and what goes with it."""

    __slots__ = ("directory", "hand_on", "meta", "rates", "segment")

    def __init__(self, segment: core.Segment, directory: Path) -> None:
        self.segment = segment
        self.directory = directory
        self.rates = Rates()
        # Called for each task that this process owns when it ends normally: may the task stay open for others?
        self.hand_on: Callable[[core.Slot, core.Segment], bool] | None = None
        self.meta: dict[str, Any] = {
            "name": segment.name,
            "uuid": segment.uuid,
            "directory": str(directory),
            "host": machine.host(),
            "boot_id": segment.boot_id,
            "layout_version": core.LAYOUT_VERSION,
            "capacity": segment.capacity,
            "workers": segment.workers,
            "created_ns": segment.created_ns,
        }

    def opened(self) -> core.Segment:
        """The segment. Raises BoardClosed if this process has closed it, or removed the board."""
        if self.segment.closed:
            if self.segment.retired:
                raise board_gone(self.segment.name)
            raise checks.board_closed(self.segment.name)
        return self.segment

    def copy(self, *, results: bool = True) -> Raw:
        """One consistent copy of the board, with rates."""
        segment = self.opened()
        gone, raw = segment.gone, segment.copy(results)
        for _ in range(COPIES_MOST - 1):
            # A task freed during the copy would count twice: it is in the copy and in the totals of freed tasks.
            if segment.gone == gone:
                break
            gone, raw = segment.gone, segment.copy(results)
        self.rates.update(raw[1], raw[0], time.monotonic_ns())
        told = {state: gone[STATES.index(state)] for state in FINAL_STATES}
        return Raw({**self.copy_meta(), "gone": told, "taken_ns": raw[0]}, *raw[1:])

    def copy_meta(self) -> dict[str, Any]:
        """The metadata of the board that goes with a copy of its tasks."""
        segment = self.segment
        failed, error = segment.recorder_errors
        return {
            **self.meta,
            "sequence": segment.sequence,
            "dropped": segment.dropped,
            "shared_counters": segment.shared_counters,
            "stall_after_ns": segment.stall_after_ns,
            "retired": segment.retired,
            "recorder_pid": segment.recorder_pid if segment.recorder_alive else None,
            "recorder_errors": failed,
            "recorder_error": os.strerror(error) if error else None,
        }

    def view_of(self, copied: tuple[Any, ...]) -> TaskView:
        """The view of a task that was copied alone."""
        self.rates.update(copied[1], copied[0], time.monotonic_ns())
        meta = {"name": self.meta["name"], "taken_ns": copied[0]}
        return TaskView.from_raw(tuple.__new__(Raw, (meta, *copied[1:])))  # Raw() itself takes three times as long


def add(attachment: Attachment) -> None:
    """Register an attachment: from now on handles of its board find it."""
    _by_uuid[attachment.segment.uuid] = attachment


def forget(attachment: Attachment) -> None:
    """Undo `add`, if this attachment is still registered."""
    uuid = attachment.segment.uuid
    if _by_uuid.get(uuid) is attachment:
        del _by_uuid[uuid]


def known(uuid: str) -> Attachment | None:
    """The attachment of this process to a segment, if there is one."""
    return _by_uuid.get(uuid)


def all_of_them() -> list[Attachment]:
    """Every attachment of this process."""
    return list(_by_uuid.values())


def board_gone(board: str) -> errors.BoardClosed:
    """The error for a handle whose board was removed."""
    return errors.BoardClosed(f"board {board!r} of this handle was removed: open it anew with headway.open({board!r})")


def _elsewhere(board: str, host: str) -> errors.BoardElsewhere:
    return errors.BoardElsewhere(
        f"board {board!r} of this handle lives on host {host!r}, and this is {machine.host()!r}: a board is shared by "
        f"the processes of one machine or container; have this one open a board of its own"
    )


def attached(board: str, uuid: str, host: str = "") -> Attachment:
    """The attachment to the segment of a handle; it is created from the names alone if there is none yet.

    host: where the handle comes from, "" if from here. Raises BoardElsewhere for one of another host, BoardClosed if
    the segment was removed.
    """
    with guard:
        found = _by_uuid.get(uuid)
        if found is None:
            try:
                segment = segments.attach(segments.object_name(board, uuid))
            except FileNotFoundError:
                raise (_elsewhere(board, host) if host not in ("", machine.host()) else board_gone(board)) from None
            found = _by_uuid[uuid] = Attachment(segment, Path(segment.directory))
        return found


def _after_fork_in_child() -> None:
    global guard
    guard = threading.RLock()  # a new one: another thread of the parent may have held it at the fork


os.register_at_fork(after_in_child=_after_fork_in_child)
