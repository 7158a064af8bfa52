"""A board as a whole: any order of operations leaves what a plain model of it says, and hostile memory is borne."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from headway import errors
from headway.engine import segments
from headway.errors import StaleTaskWarning
from headway.native import core, records

if TYPE_CHECKING:
    from tests.conftest import RunPython

STATES = ("success", "failed", "cancelled")
LIMIT = 2**47
CAPACITY = 24
ids = st.sampled_from(["a", "b", "a/b", "é"])
counts = st.one_of(st.integers(-5, 5), st.integers(-LIMIT - 1, LIMIT + 1))
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.one_of(st.text(characters, max_size=8), st.builds(str.__mul__, characters, st.integers(1, 200)))
names = st.sampled_from(["loss", "auc", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"])
numbers = st.floats(allow_nan=False)


@dataclass
class Model:
    """A task as it should be."""

    id: str
    state: str = "pending"
    count: int = 0
    total: int | None = None
    stages: list[str] = field(default_factory=list)
    message: str = ""
    error: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    result: bytes = b""
    base: int = 0
    resumed: bool = False

    @property
    def open(self) -> bool:
        return self.state in ("pending", "running")


@dataclass
class Handle:
    slot: core.Slot
    model: Model


def cut(text: str, room: int) -> str:
    whole = text.encode()
    if len(whole) < room:
        return text
    kept = whole[: room - 4]
    while True:
        with contextlib.suppress(UnicodeDecodeError):
            return kept.decode() + "…"
        kept = kept[:-1]


class BoardMachine(RuleBasedStateMachine):
    """One process does anything with any handle, old ones included."""

    handles = Bundle("handles")
    boards: Iterator[str]
    segment: core.Segment
    directory: Path
    tasks: dict[str, Model]

    @initialize()
    def begin(self) -> None:
        self.segment, self.directory, _ = segments.open_or_create(
            next(self.boards), capacity=CAPACITY, workers=2, result_bytes=16
        )
        self.tasks = {}
        self.left = False

    def teardown(self) -> None:
        if hasattr(self, "segment"):
            segments.unlink(self.directory, self.segment)
            self.segment.close()

    def handle(self, model: Model, where: tuple[int, int]) -> Handle:
        slot = core.Slot()
        slot._place(self.segment, *where, model.id)
        return Handle(slot, model)

    def is_gone(self, handle: Handle) -> bool:
        return self.tasks.get(handle.model.id) is not handle.model

    @rule(target=handles, id=ids, total=st.none() | st.integers(0, 100), resumable=st.sampled_from([(), ("failed",)]))
    def claim(self, id: str, total: int | None, resumable: tuple[str, ...]) -> Any:
        now = self.tasks.get(id)
        if now is not None and now.open:
            with pytest.raises(errors.TaskExists):
                self.segment.claim(id, "", "it", 0, total, resumable)
            return multiple()
        slot, generation, found = self.segment.claim(id, "", "it", 0, total, resumable)
        if now is not None and now.state in resumable:
            assert found is not None
            assert found[0] == now.state
            return self.handle(now, (slot, generation))
        assert found is None
        self.tasks[id] = Model(id, total=total)
        return self.handle(self.tasks[id], (slot, generation))

    @rule(target=handles, id=ids)
    def find(self, id: str) -> Any:
        where = self.segment.find(id)
        assert (where is None) == (id not in self.tasks)
        return multiple() if where is None else self.handle(self.tasks[id], where)

    @rule(handle=handles, n=counts)
    def update(self, handle: Handle, n: int) -> None:
        model = handle.model
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StaleTaskWarning)
            if self.is_gone(handle):
                with contextlib.suppress(OverflowError):  # looked at before the tag is
                    handle.slot.update(n)
                return
            if not -LIMIT < n < LIMIT:
                with pytest.raises(OverflowError):
                    handle.slot.update(n)
                return
            fits = -LIMIT <= model.count + n < LIMIT
            try:
                handle.slot.update(n)
            except OverflowError:
                assert not fits
            else:
                assert fits or self.left  # who left counts on another stripe: the limit is that of a stripe
                model.count += n
        if model.state == "pending":
            model.state = "running"

    @rule(
        handle=handles,
        stage=st.none() | texts,
        message=st.none() | texts,
        total=st.just(...) | st.none() | st.integers(0, 9),
        metrics=st.dictionaries(names, numbers, max_size=4),
    )
    def set(
        self, handle: Handle, stage: str | None, message: str | None, total: Any, metrics: dict[str, float]
    ) -> None:
        model, change = handle.model, {"stage": stage, "message": message, "total": total, "metrics": metrics}
        if self.is_gone(handle):
            with pytest.raises(errors.UnknownTask):
                handle.slot._set(**change)
            return
        if model.open and len({*model.metrics, *metrics}) > 8:
            with pytest.raises(ValueError, match="8 metrics already"):
                handle.slot._set(**change)
            return
        assert handle.slot._set(**change) == model.open
        if not model.open:
            return
        if stage is not None and (not model.stages or model.stages[-1] != cut(stage, 48)):
            model.stages.append(cut(stage, 48))
        if message is not None:
            model.message = cut(message, 192)
        if total is not ...:
            model.total = total
        model.metrics.update(metrics)
        if model.state == "pending" and (stage is not None or message is not None or metrics):
            model.state = "running"

    @rule(handle=handles, times=st.integers(2, 20))
    def go_through_stages(self, handle: Handle, times: int) -> None:
        for number in range(times):
            self.set(handle, f"stage {number}", None, ..., {})

    @rule(handle=handles, state=st.sampled_from(STATES), error=texts)
    def end(self, handle: Handle, state: str, error: str) -> None:
        model, change = handle.model, (state, ("pending", "running", "lost"), error)
        if self.is_gone(handle):
            with pytest.raises(errors.UnknownTask):
                handle.slot._transition(*change)
            return
        assert handle.slot._transition(*change) == (model.state if model.open else None)
        if model.open:
            model.state, model.error = state, cut(error, 192)

    @rule(handle=handles)
    def resume(self, handle: Handle) -> None:
        model = handle.model
        if self.is_gone(handle):
            return
        was = handle.slot._transition("running", ("failed", "cancelled"), own=True, resume=True)
        assert was == (model.state if model.state in ("failed", "cancelled") else None)
        if was is not None:
            model.state, model.error, model.base, model.resumed = "running", "", model.count, True

    @rule(handle=handles, json=st.binary(max_size=20))
    def put(self, handle: Handle, json: bytes) -> None:
        if len(json) > 16:
            with pytest.raises(errors.ResultTooLarge):
                handle.slot._write_result(json)
        elif self.is_gone(handle):
            with pytest.raises(errors.UnknownTask):
                handle.slot._write_result(json)
        else:
            assert handle.slot._write_result(json)
            handle.model.result = json

    @rule()
    def leave(self) -> None:
        """In good order, as at the end of a program; what it left open is lost, unless it goes on with it."""
        for model in self.tasks.values():
            if model.open:
                where = self.segment.find(model.id)
                assert where is not None
                self.handle(model, where).slot._transition("cancelled", ("pending", "running"))
                model.state = "cancelled"
        self.segment.leave()
        self.left = True

    @rule(handle=handles)
    def read(self, handle: Handle) -> None:
        task, model = handle.slot, handle.model
        if self.is_gone(handle):
            with pytest.raises(errors.UnknownTask):
                _ = task.count
            assert self.segment.copy_task(*task._where) is None
            return
        assert (task.state, task.count, task.total, task.message, task._metrics, task._read_result()[0]) == (
            (model.state, model.count, model.total, model.message, model.metrics, model.result)
        )
        assert task.stage == (model.stages[-1] if model.stages else "")
        assert task._run[:2] == (model.base, model.resumed)

    @invariant()
    def is_as_the_model_says(self) -> None:
        if not hasattr(self, "segment"):
            return
        _, tasks, stages, _, _, index, results, _ = self.segment.copy()
        found = {
            bytes(record["id"]).decode(): (i, record)
            for i, record in enumerate(np.frombuffer(tasks, np.dtype(records.DTYPES["tasks"])))
        }
        assert set(found) == set(self.tasks)
        for id, model in self.tasks.items():
            number, record = found[id]
            assert records.STATES[record["state"]] == model.state
            assert record["count"] == model.count
            assert record["total"] == (-1 if model.total is None else model.total)
            assert bytes(record["message"]).decode() == model.message
            assert bytes(record["error"]).decode() == model.error
            assert [name for name, _ in records.stage_rows(stages, number)] == model.stages[-15:]
            assert record["stages_left_out"] == max(0, len(model.stages) - 15)
            place = records.result_place(index, number, len(results))
            assert (results[slice(*place)] if place else b"") == model.result
        open_ones = {self.segment.find(id) for id, model in self.tasks.items() if model.open}
        assert set(self.segment.owned()) == open_ones
        assert self.segment.abandoned() == []
        records.check(tasks, stages, b"", b"", index, len(results))


def test_any_order_of_operations_leaves_what_the_model_says(board_name: str) -> None:
    class Machine(BoardMachine):
        boards = (f"{board_name}-{number}" for number in itertools.count())

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


# --- hostile memory

HOSTILE = """
import random, struct, sys, mmap, time, warnings
from headway import errors
from headway.engine import segments
from headway.native import core
from headway.engine.board import open_board
warnings.simplefilter("ignore")
name, seed = sys.argv[1], int(sys.argv[2])
chance = random.Random(seed)
core.LOCK_SECONDS = 0.02
board = open_board(name, capacity=4, workers=3, result_bytes=32)
segment = board._segment
for id in ("a", "a/b", "c"):
    task = board.task(id, total=5)
    task.update(2)
    task.set(stage="one", message="two", metrics={"three": 3})
    task.result = {"four": 4}
task.succeed()
tasks = [board.attach(id) for id in ("a", "a/b", "c")]
native = tasks[0].native()
file = open("/dev/shm" + segments.object_name(name, segment.uuid), "r+b")
memory = mmap.mmap(file.fileno(), 0)
sound = memory[:]
words = [0, 1, 2, 3, 7, 2**16, 2**31, 2**32 - 1, 2**48 - 1, 2**48, 2**61, 2**63 - 1, 2**63, 2**64 - 1]
operations = [
    board.snapshot, board.tasks, board.reap, segment.owned, segment.abandoned, segment.copy,
    lambda: [view.to_dict() for view in board.snapshot().tasks], lambda: board.snapshot().array,
    lambda: [board.get(id) for id in ("a", "a/b", "c", "d")],
    lambda: [segment.copy_task(i, g) for i in range(5) for g in (0, 1, 2, 3, 2**64 - 1)],
    lambda: [segment.dead(i) for i in words],
    lambda: board.task("new").update(), lambda: board.task("a"), lambda: board.task("c").succeed(),
    *(lambda task=task: (task.update(), task.count) for task in tasks),
    *(lambda task=task: (task.stage, task.state, task._metrics, task.parent, task._run, task.total) for task in tasks),
    *(lambda task=task: task.set(stage="x", message="y", metrics={"z": 1}) for task in tasks),
    *(lambda task=task: task._read_result() for task in tasks),
    *(lambda task=task: task._write_result(b"5") for task in tasks),
    lambda: segments.attach(segments.object_name(name, segment.uuid)).close(),
]
rounds = refused = 0
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    memory[:] = sound
    begin = 256 if chance.random() < 0.9 else 0  # what does not change is checked once, when one attaches
    for _ in range(chance.choice((1, 3, 30, 300))):
        at = 8 * chance.randrange(begin // 8, len(sound) // 8)
        word = chance.choice((chance.choice(words), chance.getrandbits(64), struct.unpack_from("<Q", sound, at)[0] + 1))
        struct.pack_into("<Q", memory, at, word % 2**64)
    for operation in chance.sample(operations, 6):
        try:
            operation()
        except (errors.HeadwayError, OverflowError):
            refused += 1
    rounds += 1
memory[:] = sound
assert board.attach("a").count == 2
board.remove(files=True)
print(rounds, refused)
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_words_overwritten_at_random_are_read_or_refused_but_never_a_crash(
    seed: int, run_python: RunPython, board_name: str
) -> None:
    done = run_python(HOSTILE, board_name, str(seed), "1.5")
    rounds, refused = map(int, done.stdout.split())
    assert rounds > 20
    assert refused > 0
