"""One contract, two boards: the engine and its stand-in refuse, cut and answer to the letter alike."""

from __future__ import annotations

import warnings
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import headway
from headway.engine.board import open_board
from headway.native import core
from headway.standin import board as standin
from headway.tasks import checks, states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


@pytest.fixture
def both(board_name: str) -> Iterator[tuple[Any, Any]]:
    """A board of the engine and one of the stand-in, of one name and size."""
    sizes: dict[str, Any] = {"capacity": 16, "workers": 16, "result_bytes": 64}
    engine, other = open_board(board_name, **sizes), standin.open_board(board_name, **sizes)
    try:
        yield engine, other
    finally:
        open_board(board_name).remove(files=True)
        other.close()


def outcome(call: Callable[[Any], object], board: Any) -> str:
    """What a call gives: its value, or the type and the words of its error."""
    try:
        return repr(call(board))
    except Exception as error:  # noqa: BLE001 - which one it is, is what is compared
        return f"{type(error).__name__}: {error}"


def after(board: Any, *steps: Callable[[Any], object]) -> Any:
    """What the last step gives, of steps on one new task."""
    task = board.task("one")
    found: object = None
    for step in steps:
        found = step(task)
    return found


def assign(name: str, value: object) -> Callable[[Any], object]:
    return lambda task: setattr(task, name, value)


def shown(board: Any) -> dict[str, Any]:
    """All that the task shows but for its times and its processes."""
    view = board.get("one").to_dict()
    times = {"created", "started", "ended", "beat", "elapsed", "idle", "rate", "eta", "taken_at", "stage_entered"}
    processes = {"durations", "workers", "workers_lost", "owner", "owner_pid", "owner_alive", "stages"}
    names = [stage["name"] for stage in view["stages"]]
    return {name: value for name, value in view.items() if name not in times | processes} | {"stage names": names}


def entered_twice(task: Any) -> None:
    with task:
        task.__enter__()


def each(text: str, values: Iterable[Any], call: Callable[[Any, Any], object]) -> dict[str, Callable[[Any], object]]:
    """A call with a board and each value; `text` names them, with the value in place of {}."""
    return {text.format(repr(value)[:30]): partial(call, value) for value in values}


def update(n: Any, board: Any) -> object:
    task = board.task("one")
    task.update(n)
    return task.count


def put(name: str, value: Any, board: Any) -> object:
    task = board.task("one")
    setattr(task, name, value)
    return getattr(task, name)


def change(name: str, value: Any, board: Any) -> object:
    task = board.task("one")
    return task.set(**{name: value}), task.stage, task.message, task.count, task.metrics


def after_close(use: Callable[[Any], object], board: Any) -> object:
    task = board.task("one")
    board.close()
    return use(task)


def closed(use: Callable[[Any], object], board: Any) -> object:
    board.close()
    return use(board)


LONG = "é" * 300
ILLEGAL_IDS = ["", "x" * 96, "é" * 48, "a\0b", "\ud800", 5, None, b"one", ["one"]]
TOTALS = [
    -1,
    1.5,
    2.0,
    "7",
    1 << 47,
    1 << 70,
    (1 << 63) - 1,
    1 << 63,
    float("nan"),
    np.float64(3),
    np.int8(4),
    True,
    np.float32(3),
    np.float16(0.5),
    float,
]
STALLS: list[Any] = [
    *(None, 0.5, 3, 1e-12, 1e300, float("inf"), 1 << 5000, np.float64(7.5), np.int8(4), Fraction(1, 3)),
    *(
        0,
        -1,
        -0.0,
        float("nan"),
        float("-inf"),
        -(1 << 5000),
        True,
        False,
        "7",
        b"7",
        [],
        1j,
        np.arange(3),
        float,
        object,
    ),
]
UPDATES = [
    1.5,
    2.0,
    "1",
    None,
    float("inf"),
    np.float64(2),
    np.int64(-3),
    True,
    1 << 47,
    (1 << 47) - 1,
    1 << 63,
    1 << 70,
    -(1 << 70),
    1e30,
    np.float32(2),
    np.float32(2.5),
    np.uint64(1 << 63),
    float,
]
VALUES = [None, 5, b"x", LONG, "a\0b", "\ud800", "", 1.5, [1], {"a": 1}, object]
SETTINGS = [5, -1, LONG, 2.0, 1.5, b"x", []]
METRICS = [
    *({"loss": "low"}, {"loss": None}, {"loss": 1 << 2000}, {"": 1}, {"a\0b": 1}, {5: 1}, {"x" * 24: 1}, {"x" * 23: 1}),
    *({str(n): n for n in range(9)}, {"loss": np.float32(0.5)}, [("loss", 1)], 5, {}, "loss"),
]
USES: list[Callable[[Any], object]] = [
    lambda task: task.succeed(),
    lambda task: task.set(stage="x"),
    lambda task: task.set(count=5),
    assign("message", "x"),
    assign("result", 1),
    lambda task: task.merge_result({"a": 1}),
    lambda task: task.adopt(),
    lambda task: task.task("part"),
    lambda task: task.view(),
    lambda task: (task.update(), task.count)[1],
    lambda task: (task.state, task.stage, task.total, task.metrics, task.result, task.resumed_from),
]
LOOKS: list[Callable[[Any], object]] = [
    lambda board: board.task("one"),
    lambda board: board.task("one", join=True),
    lambda board: board.attach("one"),
    lambda board: board.get("one"),
    lambda board: board.snapshot(),
    lambda board: "one" in board,
    len,
    list,
]
CALLS: dict[str, Callable[[Any], object]] = {
    **each("task({})", ILLEGAL_IDS, lambda id, board: board.task(id)),
    **each("attach({})", ILLEGAL_IDS, lambda id, board: board.attach(id)),
    **each("get({})", ILLEGAL_IDS, lambda id, board: board.get(id)),
    **each("{} in board", ILLEGAL_IDS, lambda id, board: id in board),
    **each("total {}", TOTALS, lambda total, board: board.task("one", total=total).total),
    **each("stall_after {}", STALLS, lambda after, board: board.task("one", stall_after=after).view().stall_after),
    **each(
        "stall_after of a part {}",
        STALLS,
        lambda after, board: board.task("one").task("part", stall_after=after).view().stall_after,
    ),
    **each("update {}", UPDATES, update),
    **each("stage = {}", VALUES, partial(put, "stage")),
    **each("message = {}", VALUES, partial(put, "message")),
    **each("total = {}", VALUES, partial(put, "total")),
    **each("result = {}", VALUES, partial(put, "result")),
    **each("set(stage={})", SETTINGS, partial(change, "stage")),
    **each("set(message={})", SETTINGS, partial(change, "message")),
    **each("set(count={})", SETTINGS, partial(change, "count")),
    **each("set(metrics={})", METRICS, partial(change, "metrics")),
    **{f"after close: use {number}": partial(after_close, use) for number, use in enumerate(USES)},
    **{f"closed: look {number}": partial(closed, look) for number, look in enumerate(LOOKS)},
    "a part without a name": lambda board: board.task("one").task(5),
    "a part too long": lambda board: board.task("one").task("x" * 95),
    "label 5": lambda board: board.task("one", label=5),
    "unit 5": lambda board: board.task("one", unit=5),
    "too many metrics in two steps": lambda board: after(
        board,
        lambda task: task.set(metrics={str(number): 1 for number in range(7)}),
        lambda task: task.set(metrics={"a": 1, "b": 2}),
    ),
    "a result too large": lambda board: after(board, assign("result", "x" * 99)),
    "a merge too large": lambda board: after(board, lambda task: task.merge_result({"a": "x" * 99})),
    "a merge into a list": lambda board: after(board, assign("result", [1]), lambda task: task.merge_result({"a": 1})),
    "fail(5)": lambda board: board.task("one").fail(5),
    "cancel(5)": lambda board: board.task("one").cancel(5),
    "succeed(5)": lambda board: board.task("one").succeed(5),
    "counts(5)": lambda board: board.task("one").counts(5),
    "track(5)": lambda board: board.task("one").track(5),
    "track with a total": lambda board: board.task("one").track([], total=-1),
    "runs already": lambda board: after(board, lambda _: board.task("one")),
    "runs already, resume": lambda board: after(board, lambda _: board.task("one", resume=True)),
    "adopt after the end": lambda board: after(board, lambda task: task.succeed(), lambda task: task.adopt()),
    "with after the end": lambda board: after(board, lambda task: task.fail("why"), lambda task: task.__enter__()),
    "entered twice": lambda board: after(board, entered_twice),
    "tasks('done')": lambda board: board.tasks("done"),
    "watch(0)": lambda board: next(board.watch(0)),
    "full": lambda board: [board.task(str(number)) for number in range(17)],
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_gives_the_same_value_or_the_same_words(name: str, both: tuple[Any, Any]) -> None:
    engine, other = (outcome(CALLS[name], board) for board in both)
    assert engine == other


@pytest.mark.parametrize("number", range(len(USES)))
def test_a_handle_whose_place_was_given_away_says_so_in_the_same_words(number: int, both: tuple[Any, Any]) -> None:
    def use(board: Any) -> object:
        old = board.task("one")
        old.succeed()
        board.task("one")
        return USES[number](old)

    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        engine, other = (outcome(use, board) for board in both)
    assert engine.replace(", of this process alone", "") == other.replace(", of this process alone", "")
    assert engine.startswith(("UnknownTask: task 'one' is no longer on board", "<headway.Task 'one/part'"))


LIVES: dict[str, Callable[[Any], object]] = {
    "nothing": repr,
    "texts that are cut": lambda task: task.set(stage=LONG, message=LONG, metrics={"a": 1}),
    "failed": lambda task: task.fail(LONG),
    "cancelled": lambda task: (task.update(3), task.cancel(LONG)),
    "counted and set": lambda task: (task.update(3), task.set(count=9), task.update(-1)),
    "again": lambda task: (task.update(3), task.succeed("well"), task._again(), task.update()),
    "a result": lambda task: (task.merge_result({"a": 1}), task.merge_result({"b": [1, 2]})),
    "an end in a block": lambda task: task.__enter__().__exit__(None, None, None),
    "a total by a loop": lambda task: list(task.track([1, 2, 3])),
}


@pytest.mark.parametrize("name", LIVES)
def test_a_task_shows_the_same_afterwards(name: str, both: tuple[Any, Any]) -> None:
    found = []
    for board in both:
        task = board.task("one", total=9, unit=LONG, label=LONG)
        with suppress(TypeError):
            LIVES[name](task)
        if task.state in states.RESUMABLE_STATES:
            board.task("one", resume=True, total=5).update()
        found.append(shown(board))
    engine, other = found
    assert engine == other


WRONG_SIZES: list[tuple[str, Any]] = [
    *(("capacity", 0), ("capacity", 1 << 21), ("capacity", 1.5), ("capacity", True), ("capacity", "5")),
    *(("workers", 0), ("workers", 1 << 17), ("result_bytes", -1), ("result_bytes", 1 << 21)),
]


@pytest.mark.parametrize(("what", "size"), WRONG_SIZES)
def test_sizes_that_cannot_be_are_refused_in_the_same_words(
    what: str, size: Any, board_name: str, headway_dir: Path
) -> None:
    openers: list[Any] = [open_board, standin.open_board]
    engine, other = (outcome(lambda opener: opener(board_name, **{what: size}), opener) for opener in openers)
    assert engine == other
    assert f"{what} {size!r} is out of range" in engine
    assert not headway_dir.exists()


def test_other_sizes_of_a_board_that_is_open_are_told_once_in_the_same_words(
    both: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    for board, disable in zip(both, ("0", "1"), strict=True):
        monkeypatch.setenv("HEADWAY_DISABLE", disable)
        assert headway.open(board.name) is board
        assert headway.open(board.name, capacity=16) is board
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(2):
                assert headway.open(board.name, capacity=5, workers=16, result_bytes=1) is board
        told.append([str(one.message) for one in caught])
        assert caught[0].filename == __file__
    assert told[0] == told[1]
    (text,) = told[0]
    for part in ("capacity 16", "result_bytes 64", "capacity=5", "result_bytes=1"):
        assert part in text
    assert "workers" not in text


# --- the limits stand in headway.h, too


def test_limits_are_those_of_the_native_code() -> None:
    text = Path(headway.get_include(), "headway_layout.h").read_text()

    def value(name: str) -> int:
        line = next(line for line in text.splitlines() if line.startswith(f"#define {name} "))
        return int(line.split()[2].rstrip("u"))

    for name in ("ID", "LABEL", "UNIT", "STAGE", "MESSAGE", "ERROR", "METRIC"):
        assert getattr(checks, f"{name}_BYTES") == value(f"HW_{name}_BYTES") - 1, name
    assert value("HW_METRICS") == checks.METRICS
    assert value("HW_STAGES") - 1 == checks.STAGES
    assert (core.CAPACITY_MAX, core.WORKERS_MAX) == (checks.CAPACITY_MAX, checks.WORKERS_MAX)
    assert core.RESULT_BYTES_MAX == checks.RESULT_BYTES_MAX
    assert core.ID_BYTES == checks.ID_BYTES


TEXTS = st.text(max_size=220) | st.text("aé🦊\0\ud800", max_size=220)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXTS)
@example(text="x" * 191)
@example(text="x" * 192)
@example(text="🦊" * 48)
def test_a_text_is_cut_alike(text: str, board: Any) -> None:
    task = board.task("one", join=True)
    task.set(message=text, stage=text)
    assert task.message == checks.cut(text, checks.MESSAGE_BYTES)
    assert task.stage == checks.cut(text, checks.STAGE_BYTES)
    assert len(checks.cut(text, 47).encode()) <= 47
