"""A handle on a record: what a slot of the native code is in shared memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import SupportsIndex

from headway import errors
from headway.standin.records import Record, guard
from headway.tasks import checks
from headway.tasks.states import ENDED_STATES, OPEN_STATES

__all__ = ["PlainSlot"]


class PlainSlot:
    """A handle on one record: what Slot of the native code is in shared memory."""

    __slots__ = ("_record",)

    _record: Record

    @property
    def id(self) -> str:
        """As Task.id."""
        return self._record.id

    def _readable(self) -> Record:
        """The record. Raises UnknownTask if its place was given to another one."""
        record = self._record
        if record.gone:
            raise checks.task_gone(record.id, record.board)
        return record

    def _writable(self) -> Record:
        """The record. Raises BoardClosed, UnknownTask. The guard is held."""
        register = self._record.register
        if register is not None and register.closed:
            raise checks.board_closed(register.name)
        return self._readable()

    def _tell_ended(self) -> None:
        """Called when an assignment was dropped; the subclass overrides it."""

    # Counting

    def update(self, n: SupportsIndex = 1) -> None:
        """As Task.update."""
        if type(n) is not int:
            n = checks.whole(n, "n", "items are counted whole, choose a smaller unit")
        record = self._record
        if record.state != "running" and not self._may_count(record):
            return
        # Exact in threads, too: Python changes threads at calls and jumps, not between load and store.
        record.count += n
        if not -checks.COUNT_LIMIT < record.count < checks.COUNT_LIMIT:
            record.count -= n
            raise checks.count_out_of_range(record.id, n)

    def _may_count(self, record: Record) -> bool:
        """The rare paths of `update`: the first one, and those after the end."""
        if record.register is not None and record.register.closed:
            return False
        if record.gone:
            _tell_stale(record.id)
            return False
        self._transition("running", ("pending",))
        return True

    @property
    def count(self) -> int:
        """As Task.count, of this process."""
        return self._readable().count

    def item(self, item: object) -> PlainBlock:
        """As Task.item. Nobody sees which item it is."""
        return PlainBlock(self)

    def _called(self, function: str, arguments: tuple[object, ...]) -> PlainBlock:
        return PlainBlock(self)

    # What it shows

    def _set(
        self,
        stage: str | None = None,
        message: str | None = None,
        total: int | object | None = ...,
        metrics: Mapping[str, float] | None = None,
    ) -> bool:
        if total is not ...:
            total = checks.check_total(total)
        if stage is not None:
            checks.check_text(stage, "stage")
        if message is not None:
            checks.check_text(message, "message")
        given = checks.check_metrics(metrics) if metrics else {}
        with guard:
            record = self._writable()
            if record.state not in OPEN_STATES:
                return False
            more = record.metrics | given
            if len(more) > checks.METRICS:
                raise checks.too_many_metrics(record.id)
            if stage is not None or message is not None or given:
                self._run_from_here(record)
            if stage is not None:
                record.enter_stage(stage)
            if message is not None:
                record.message = checks.cut(message, checks.MESSAGE_BYTES)
            if total is not ...:
                record.total = total
            record.metrics = more
            return True

    @staticmethod
    def _run_from_here(record: Record) -> None:
        record.state = "running"
        if record.started is None:
            record.started = time.time()

    def _transition(
        self,
        state: str,
        allowed: Iterable[str],
        error: str | None = None,
        message: str | None = None,
        stage: str | None = None,
        own: bool = False,
        resume: bool = False,
        expected_owner: int = 0,
    ) -> str | None:
        with guard:
            record = self._writable()
            was = record.state
            if was not in allowed:
                return None
            if resume:
                record.resume()
            if message is not None:
                record.message = checks.cut(message, checks.MESSAGE_BYTES)
            if error is not None:
                record.error = checks.cut(error, checks.ERROR_BYTES)
            if state == "running":
                self._run_from_here(record)
            record.ended = time.time() if state in ENDED_STATES else None
            record.state = state
            return was

    def _own(self) -> bool:
        with guard:
            record = self._writable()
            if record.state not in OPEN_STATES:
                return False
            self._run_from_here(record)
            return True

    @property
    def _run(self) -> tuple[int, bool, int, int]:
        record = self._readable()
        return record.base, record.resumed, 1, os.getpid()

    @property
    def stage(self) -> str:
        """As Task.stage."""
        stages = self._readable().stages
        return stages[-1][0] if stages else ""

    @stage.setter
    def stage(self, stage: str) -> None:
        if not self._set(stage=checks.check_text(stage, "stage")):
            self._tell_ended()

    @property
    def message(self) -> str:
        """As Task.message."""
        return self._readable().message

    @message.setter
    def message(self, message: str) -> None:
        if not self._set(message=checks.check_text(message, "message")):
            self._tell_ended()

    @property
    def total(self) -> int | None:
        """As Task.total."""
        return self._readable().total

    @total.setter
    def total(self, total: int | None) -> None:
        if not self._set(total=total):
            self._tell_ended()

    @property
    def _metrics(self) -> dict[str, float]:
        return self._readable().metrics

    @property
    def state(self) -> str:
        """As Task.state."""
        return self._readable().state

    @property
    def parent(self) -> str | None:
        """As Task.parent."""
        return self._readable().parent

    # Result

    def _read_result(self) -> tuple[bytes, int]:
        with guard:
            record = self._readable()
            return record.result, record.result_version

    def _write_result(self, json: bytes, expected: int | None = None) -> bool:
        with guard:
            record = self._writable()
            # Of a task on no board: what any board has room for, as each is bounded.
            room = checks.RESULT_BYTES_MAX if record.register is None else record.register.geometry["result_bytes"]
            if len(json) > room:
                raise checks.result_too_large(record.id, len(json), room)
            if expected is not None and expected != record.result_version:
                return False
            record.result = json
            record.result_version += 1
            return True


class PlainBlock:
    """What ItemBlock of the native code is: its end counts one."""

    __slots__ = ("_slot", "counts")

    def __init__(self, slot: PlainSlot) -> None:
        self._slot = slot
        self.counts = True

    def __enter__(self) -> PlainBlock:
        self._slot.update(0)  # it runs from here on
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self.counts:
            self._slot.update()


_told_stale = False


def _tell_stale(id: str) -> None:
    global _told_stale
    if not _told_stale:
        _told_stale = True
        errors.tell(
            f"updates of task {id!r} are not counted: it ended and its slot was given to another task",
            errors.StaleTaskWarning,
        )
