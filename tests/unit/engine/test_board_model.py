"""Board and Task: any order of calls leaves what a plain model in Python says, live, in files, and after a restart."""

from __future__ import annotations

import itertools
import json
import pickle
import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from headway import errors
from headway.engine.board import Board, open_board
from headway.files import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.engine.task import Task
    from headway.views.board_view import TaskView

CAPACITY = 32
names = st.sampled_from(["a", "b", "c/d", "…"])
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
values = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | texts, lambda inner: st.lists(inner, max_size=2))
rarely = st.sampled_from([True, *[False] * 7])  # it ends all tasks
keys = st.sampled_from(["x", "y", "z"])
ENDINGS: dict[str, tuple[BaseException | None, str, str]] = {
    "well": (None, "success", ""),
    "an error": (ValueError("no prices"), "failed", "ValueError: no prices"),
    "Ctrl-C": (KeyboardInterrupt(), "cancelled", "KeyboardInterrupt"),
    "exit": (SystemExit(0), "success", ""),
    "exit with a code": (SystemExit(3), "failed", "SystemExit: 3"),
}


@dataclass
class Model:
    """A task as it should be."""

    id: str
    parent: str | None = None
    state: str = "pending"
    count: int = 0
    total: int | None = None
    label: str = ""
    stage: str = ""
    message: str = ""
    error: str | None = ""  # None: whatever text an end from outside gives
    metrics: dict[str, float] = field(default_factory=dict)
    result: Any = None
    resumed_from: int | None = None

    @property
    def open(self) -> bool:
        return self.state in ("pending", "running", "lost")


@dataclass
class Handle:
    task: Task
    model: Model
    opened: int  # how often the board was opened before: a closed board's handles write nothing any more
    life: str  # the segment's: what was removed leaves handles that lead nowhere


class BoardMachine(RuleBasedStateMachine):
    """One program that does anything with any handle, closes the board and opens it again, and has its memory swept."""

    handles = Bundle("handles")
    boards: Iterator[str]
    board: Board
    name: str
    tasks: dict[str, Model]
    times_opened: int

    @initialize()
    def begin(self) -> None:
        self.name = next(self.boards)
        self.times_opened = 0
        self.board = self.opened()
        self.tasks = {}

    def opened(self) -> Board:
        self.times_opened += 1
        return open_board(self.name, capacity=CAPACITY, workers=4, result_bytes=128)

    def teardown(self) -> None:
        if hasattr(self, "board"):
            self.opened().remove(files=True)

    def is_lost(self, handle: Handle) -> bool:
        """Counted on, it would run again, but only when the coarse clock has moved on: other tests wait for that."""
        return not self.is_gone(handle) and handle.model.state == "lost"

    def is_gone(self, handle: Handle) -> bool:
        """The board was closed since, or another task has the id by now, in another place."""
        return handle.opened != self.times_opened or self.tasks.get(handle.model.id) is not handle.model

    def handle(self, task: Task, model: Model) -> Handle:
        return Handle(task, model, self.times_opened, self.board._segment.uuid)

    # ------------------------------------------------------------------------------------------------------- begin

    def created(self, id: str, parent: Handle | None, total: int | None, label: str, resume: bool) -> Any:
        now = self.tasks.get(id)

        def create() -> Task:
            if parent is None:
                return self.board.task(id, total=total, label=label or None, resume=resume)
            return parent.task.task(id.rpartition("/")[2], total=total, label=label or None, resume=resume)

        if now is not None and now.state in ("pending", "running"):
            with pytest.raises(errors.TaskExists):
                create()
            return multiple()
        task = create()
        if now is not None and resume and now.state in ("failed", "cancelled", "lost"):
            now.state, now.resumed_from, now.error = "running", now.count, ""
            now.total = now.total if total is None else total
            return self.handle(task, now)
        name = id if parent is None else id.rpartition("/")[2]
        self.tasks[id] = Model(
            id, parent.model.id if parent else None, total=total, label=label or (name if parent else "")
        )
        return self.handle(task, self.tasks[id])

    @rule(target=handles, id=names, total=st.none() | st.integers(0, 9), label=texts, resume=st.booleans())
    def create(self, id: str, total: int | None, label: str, resume: bool) -> Any:
        return self.created(id, None, total, label, resume)

    @rule(target=handles, parent=handles, name=st.sampled_from(["one", "two"]), resume=st.booleans())
    def create_a_part(self, parent: Handle, name: str, resume: bool) -> Any:
        id = f"{parent.model.id}/{name}"
        if parent.life != self.board._segment.uuid:
            with pytest.raises(errors.HeadwayError):
                parent.task.task(name)
        elif id.count("/") < 4:
            return self.created(id, parent, None, "", resume)
        return multiple()

    @rule(target=handles, id=names)
    def attach(self, id: str) -> Any:
        if id in self.tasks:
            return self.handle(self.board.attach(id), self.tasks[id])
        with pytest.raises(errors.UnknownTask, match="has no task"):
            self.board.attach(id)
        return multiple()

    @rule(target=handles, handle=consumes(handles))
    def pickle(self, handle: Handle) -> Any:
        if handle.life != self.board._segment.uuid:
            return handle
        task = pickle.loads(pickle.dumps(handle.task))
        task._attachment()  # now: otherwise it would be a handle of whichever opening there is when it is used
        return replace(handle, task=task, opened=self.times_opened)

    # -------------------------------------------------------------------------------------------------------- write

    @rule(handle=handles, n=st.integers(-3, 20))
    def update(self, handle: Handle, n: int) -> None:
        if self.is_lost(handle):
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", errors.StaleTaskWarning)
            handle.task.update(n)
        if not self.is_gone(handle):
            handle.model.count += n
            if handle.model.state == "pending":
                handle.model.state = "running"

    @rule(handle=handles, length=st.integers(0, 6), broken_off=st.booleans())
    def track(self, handle: Handle, length: int, broken_off: bool) -> None:
        model = handle.model
        if self.is_gone(handle) or self.is_lost(handle):
            return
        seen = 0
        for seen, _ in enumerate(handle.task.track(range(length)), 1):
            if broken_off and seen == 2:
                break
        counted = 1 if broken_off and seen == 2 else length
        if model.total is None and model.open:
            model.total = length
        model.count += counted
        if model.state == "pending" and (counted or length):
            model.state = "running"

    @rule(
        handle=handles,
        stage=st.none() | texts,
        message=st.none() | texts,
        total=st.just(...) | st.none() | st.integers(0, 9),
        metrics=st.dictionaries(keys, st.floats(-9, 9), max_size=2),
    )
    def set(
        self, handle: Handle, stage: str | None, message: str | None, total: Any, metrics: dict[str, float]
    ) -> None:
        model = handle.model
        if self.is_gone(handle):
            with pytest.raises(errors.HeadwayError):
                handle.task.set(stage=stage, message=message, total=total, metrics=metrics)
            return
        with warnings.catch_warnings():
            if not model.open:  # told once a task
                warnings.simplefilter("ignore", errors.StaleTaskWarning)
            assert handle.task.set(stage=stage, message=message, total=total, metrics=metrics) == model.open
        if not model.open:
            return
        model.stage = model.stage if stage is None else stage
        model.message = model.message if message is None else message
        model.total = model.total if total is ... else total
        model.metrics.update(metrics)
        if stage is not None or message is not None or metrics:
            model.state = "running"

    @rule(handle=handles, value=values)
    def give_a_result(self, handle: Handle, value: Any) -> None:
        self.with_result(handle, value, lambda: setattr(handle.task, "result", value))

    @rule(handle=handles, more=st.dictionaries(keys, values, max_size=2))
    def merge_a_result(self, handle: Handle, more: dict[str, Any]) -> None:
        now = handle.model.result
        if self.is_gone(handle):
            with pytest.raises((errors.HeadwayError, TypeError)):  # what is there is read first
                handle.task.merge_result(more)
        elif now is None or isinstance(now, dict):
            self.with_result(handle, (now or {}) | more, lambda: handle.task.merge_result(more))
        else:
            with pytest.raises(TypeError):
                handle.task.merge_result(more)

    def with_result(self, handle: Handle, value: Any, write: Any) -> None:
        if self.is_gone(handle):
            with pytest.raises(errors.HeadwayError):
                write()
        elif len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()) > 100:
            with pytest.raises(errors.ResultTooLarge) if _longest(value) > 128 else _either():
                write()
            handle.model.result = handle.task.result  # near the limit the exact length is JSON's affair
        else:
            write()
            handle.model.result = value

    # ---------------------------------------------------------------------------------------------------------- end

    @rule(handle=handles, how=st.sampled_from(["succeed", "fail", "cancel"]), text=texts)
    def end(self, handle: Handle, how: str, text: str) -> None:
        model = handle.model
        if self.is_gone(handle):
            with pytest.raises(errors.HeadwayError):
                getattr(handle.task, how)(text)
            return
        assert getattr(handle.task, how)(text) == model.open
        if not model.open:
            return
        model.state = {"succeed": "success", "fail": "failed", "cancel": "cancelled"}[how]
        if how == "succeed":
            model.message = text
        else:
            model.error = text

    @rule(handle=handles, how=st.sampled_from(list(ENDINGS)), inside=st.integers(0, 3))
    def enter_and_leave(self, handle: Handle, how: str, inside: int) -> None:
        model = handle.model
        error, state, text = ENDINGS[how]
        if self.is_gone(handle) or not model.open:
            with pytest.raises(errors.HeadwayError), handle.task:
                raise AssertionError("it was entered")
            return
        try:
            with handle.task:
                handle.task.update(inside)
                if error is not None:
                    raise error
        except BaseException as raised:
            if raised is not error:
                raise
        model.count += inside
        model.state, model.error = state, text if how in ("well", "an error", "exit") else None

    # --------------------------------------------------------------------------------------------- the board as a whole

    def leave_open_ones(self, state: str) -> None:
        for model in self.tasks.values():
            if model.state in ("pending", "running"):
                model.state, model.error = state, None

    @rule(now=rarely)
    def close_and_open_again(self, now: bool) -> None:
        if not now:
            return
        self.board.close()
        self.leave_open_ones("cancelled")
        self.board = self.opened()

    @rule(now=rarely)
    def lose_the_memory_and_open_again(self, now: bool) -> None:
        """As a reboot: what the last snapshot has is what there is."""
        if not now:
            return
        self.board.write_snapshot()
        self.board.remove(files=False)
        self.board = self.opened()
        for id, model in list(self.tasks.items()):
            self.tasks[id] = replace(model, metrics=dict(model.metrics))  # in a new place: old handles lead nowhere
        self.leave_open_ones("lost")

    # -------------------------------------------------------------------------------------------------------- compare

    def agree(self, views: list[TaskView]) -> None:
        assert {view.id for view in views} == set(self.tasks)
        for view in views:
            model = self.tasks[view.id]
            assert (view.state, view.count, view.total, view.stage, view.message, view.metrics, view.result) == (
                (model.state, model.count, model.total, model.stage, model.message, model.metrics, model.result)
            )
            assert (view.parent, view.resumed_from) == (model.parent, model.resumed_from)
            assert not model.label or view.label == model.label
            assert model.error is None or view.error == model.error
            assert view.final == (not model.open or model.state == "lost")

    @invariant()
    def live_is_as_the_model_says(self) -> None:
        if not hasattr(self, "board"):
            return
        self.agree(self.board.tasks())
        for id in (*self.tasks, "nobody"):
            view = self.board.get(id)
            assert (view is None) == (id not in self.tasks)
            assert view is None or self.tasks[id].count == view.count
        for state in ("running", "success", "lost"):
            assert {view.id for view in self.board.tasks(state)} == {
                id for id, model in self.tasks.items() if model.state == state
            }

    @rule()
    def the_file_is_as_the_model_says(self) -> None:
        self.agree(list(snapshot.read(self.board.write_snapshot()).tasks))

    @rule(handle=handles)
    def read_by_handle(self, handle: Handle) -> None:
        task, model = handle.task, handle.model
        if handle.opened != self.times_opened:
            return  # what a closed board showed last may still be read
        if self.is_gone(handle):
            with pytest.raises(errors.UnknownTask):
                _ = task.count
            return
        assert (task.state, task.count, task.total, task.stage, task.message) == (
            (model.state, model.count, model.total, model.stage, model.message)
        )
        assert (task.result, task.parent, task.resumed_from) == (model.result, model.parent, model.resumed_from)


def _longest(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def _either() -> Any:
    import contextlib

    return contextlib.suppress(errors.ResultTooLarge)


def test_any_order_of_calls_leaves_what_the_model_says(board_name: str) -> None:
    class Machine(BoardMachine):
        boards = (f"{board_name}-{number}" for number in itertools.count())

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
