"""The tasks of boards of one process, as records: plain objects where the engine has slots of a segment."""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
from collections import Counter

from headway.tasks import checks
from headway.tasks.ending import LEFT_AT_CLOSE
from headway.tasks.metrics import Metrics
from headway.tasks.results import load_result
from headway.tasks.states import LIVE_STATES, RESUMABLE_STATES
from headway.views.numbers import STALL_AFTER_SECONDS
from headway.views.task_view import StageView, TaskView

__all__ = ["Record", "Register", "guard", "register_of", "registers"]

guard = threading.RLock()
os.register_at_fork(after_in_child=guard._at_fork_reinit)  # type: ignore[attr-defined]  # a thread may have held it


_numbers = itertools.count(1)


class Record:
    """The numbers and texts of one task."""

    __slots__ = (
        *("base", "beat", "board", "count", "created", "ended", "error", "gone", "id", "label", "message", "metrics"),
        *(
            "number",
            "parent",
            "register",
            "result",
            "result_version",
            "resumed",
            "seen",
            "serial",
            "stage_count",
            "stages",
            "stall_after_ns",
            "started",
            "state",
        ),
        *("total", "unit"),
    )

    def __init__(
        self,
        board: str,
        id: str,
        total: int | None,
        unit: str,
        label: str,
        parent: str | None,
        stall_after_ns: int = 0,
    ) -> None:
        self.board = board
        self.id = id
        self.number = next(_numbers)  # no other record of this process has it
        self.label = checks.cut(label, checks.LABEL_BYTES)
        self.unit = checks.cut(unit, checks.UNIT_BYTES)
        self.parent = parent
        self.total = total
        self.state = "pending"
        self.message = self.error = ""
        self.metrics: dict[str, float] = {}
        self.result = b""
        self.result_version = 0
        self.stages: list[tuple[str, float]] = []  # the last ones; replaced, never changed
        self.stage_count = 0  # of all that it entered
        self.count = self.base = self.serial = 0
        self.stall_after_ns = stall_after_ns  # given for this task; 0 = none was
        self.resumed = self.gone = False
        self.register: Register | None = None  # None: the task belongs to another process
        self.created = time.time()
        self.started: float | None = None
        self.ended: float | None = None
        self.seen = 0  # the count when it was last looked at,
        self.beat: float | None = None  # and when it was first seen to be that

    def resume(self) -> None:
        """Begin a new run at the present count."""
        self.base, self.resumed = self.count, True
        self.started, self.ended, self.error = time.time(), None, ""

    def enter_stage(self, stage: str) -> None:
        """Enter the next stage of the timeline, unless it is in that stage already. The guard is held."""
        stage = checks.cut(stage, checks.STAGE_BYTES)
        if not self.stages or self.stages[-1][0] != stage:
            self.stages = [*self.stages[1 - checks.STAGES :], (stage, time.time())]
            self.stage_count += 1

    def view(self, now: float) -> TaskView:
        """The view of the task at this moment."""
        count = self.count
        if count != self.seen:
            self.seen, self.beat = count, now
        elapsed = (self.ended or now) - (self.started or now)
        with guard:
            stages, entered = self.stages, self.stage_count
        left = [*(began for _, began in stages[1:]), self.ended]
        return TaskView(
            id=self.id,
            label=self.label,
            unit=self.unit,
            parent=self.parent,
            state=self.state,
            count=count,
            total=self.total,
            base=self.base,
            stage=stages[-1][0] if stages else "",
            message=self.message,
            error=self.error,
            metrics=Metrics(self.metrics),
            rate=(count - self.base) / elapsed if elapsed > 0 else None,
            created=self.created,
            started=self.started,
            ended=self.ended,
            stage_entered=stages[-1][1] if stages else None,
            beat=self.beat,
            serial=self.serial,
            owner_pid=os.getpid(),
            owner_alive=True,
            resumed_from=self.base if self.resumed else None,
            taken_at=now,
            stages=tuple(StageView(*stage, until) for stage, until in zip(stages, left, strict=False)),
            stages_left_out=entered - len(stages),
            stall_after=self._stall_after(),
            result=load_result(self.result),
        )

    def _stall_after(self) -> float:
        """As native/stall.h, without durations: here no item is timed."""
        ns = self.stall_after_ns or (self.register.stall_after_ns if self.register is not None else 0)
        return STALL_AFTER_SECONDS if not ns else ns / 1e9 if ns < checks.NEVER_NS else math.inf


class Register:
    """The tasks of one board."""

    __slots__ = ("closed", "geometry", "gone", "name", "serial", "stall_after_ns", "tasks")

    def __init__(self, name: str, geometry: dict[str, int]) -> None:
        self.name = name
        self.geometry = geometry
        self.tasks: dict[str, Record] = {}  # in the order of their creation
        self.serial = 0
        self.stall_after_ns = 0
        self.gone: Counter[str] = Counter()  # tasks that gave up their place, by state
        self.closed = False

    def opened(self) -> dict[str, Record]:
        """The tasks. Raises BoardClosed."""
        if self.closed:
            raise checks.board_closed(self.name)
        return self.tasks

    def claim(
        self,
        id: str,
        total: int | None,
        unit: str,
        label: str,
        stall_after: float | None,
        *,
        resume: bool,
        join: bool,
        parent: str | None = None,
    ) -> tuple[Record, bool]:
        """As `claims.claim` of the engine: the record, and whether it was joined."""
        total = checks.check_task(id, total, unit, label)
        stall_after_ns = checks.check_stall_after(stall_after)
        with guard:
            old = self.opened().get(id)
            if old is not None and old.state in LIVE_STATES:
                if not join:
                    raise checks.task_exists(id, self.name)
                return old, True
            if old is not None and resume and old.state in RESUMABLE_STATES:
                old.resume()
                old.state = "running"
                if total is not None:
                    old.total = total
                old.stall_after_ns = stall_after_ns or old.stall_after_ns
                return old, False
            if old is not None:
                self._drop(old)
            elif len(self.tasks) >= self.geometry["capacity"]:
                self._make_room()
            record = self.tasks[id] = Record(self.name, id, total, unit, label, parent, stall_after_ns)
            self.serial += 1
            record.serial, record.register = self.serial, self
            return record, False

    def _drop(self, record: Record) -> None:
        del self.tasks[record.id]
        record.gone = True
        self.gone[record.state] += 1

    def _make_room(self) -> None:
        ended = [record for record in self.tasks.values() if record.ended is not None]
        if not ended:
            raise checks.board_full(self.name, self.geometry["capacity"])
        self._drop(min(ended, key=lambda record: record.ended or 0.0))

    def close(self) -> None:
        """Cancel all open tasks; from now on nothing is written or counted."""
        with guard:
            for record in self.tasks.values():
                if record.state in LIVE_STATES:
                    record.state, record.error, record.ended = "cancelled", LEFT_AT_CLOSE, time.time()
            self.closed = True
            if registers.get(self.name) is self:
                del registers[self.name]


registers: dict[str, Register] = {}  # of the boards that are open, by name


def register_of(name: str, **geometry: int | None) -> Register:
    """The register of a board; it is created if it does not exist."""
    with guard:
        found = registers.get(name)
        if found is None:
            found = registers[name] = Register(name, checks.board_geometry(**geometry))
        return found
