"""One contract, three trackers: every test runs over the one in memory, the one over files, the one over a board."""

from __future__ import annotations

import dataclasses
import enum
import functools
import itertools
import json
import math
import pickle
import threading
import time
import types
import uuid
import warnings
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.analysis import (
    AnalysisProgress,
    AnalysisProgressTracker,
    FileBasedProgressTracker,
    LeverageDecisionResult,
    MarketContextResult,
    MLPredictionResult,
    ProgressTracker,
    SharedMemoryProgressTracker,
    SupportResistanceResult,
    contract,
)
from headway.analysis.model import RESULTS, result_of
from headway.analysis.values import text_of
from headway.engine.board import open_board

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import RunPython


class Unprintable:
    """An object whose text cannot be told."""

    def __str__(self) -> str:
        raise ArithmeticError("no text")


class Lazy:
    """An object that stands for another one, which cannot be had: not even its class."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise LookupError("outside of a request")

    def __str__(self) -> str:
        raise LookupError("outside of a request")


class Broken(Exception):
    """An exception that cannot be told."""

    errno = property(lambda _: ["no number"])

    def __str__(self) -> str:
        raise self


class Failing:
    """A result whose fields cannot be read."""

    @property
    def status(self) -> str:
        raise Broken


class Endless(list[Any]):
    """A collection that says that it has three values, and never ends."""

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[int]:
        return itertools.count()


KINDS = ("memory", "file", "shared")
STAGES = ("data_fetch", "support_resistance", "ml_prediction", "market_context", "leverage_decision")
ODD_IDS = [
    "../../etc/x",
    "a/b",
    "..",
    ".",
    "/",
    "🚀",
    "x.lock",
    "-",
    "a b\n\t%2F",
    "\x7f",
    "/" * 95,
    "é" * 47,
    "🚀" * 23,
    "a\0b",
    "\0",
    "x" * 96,
    "é" * 48,
    "x" * 241,
    "x" * 5000,
    f"x~{'0' * 32}",
]
OTHER_IDS: list[tuple[Any, str]] = [
    (5, "5"),
    (True, "True"),
    (b"a", "b'a'"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (PurePosixPath("a/b"), "a/b"),
    ("\ud800", "\\ud800"),
    (Unprintable(), "<Unprintable>"),
]
LEVELS: list[dict[str, Any]] = [{"price": 101.5, "strength": 0.8}, {"price": 99.0, "strength": 0.5, "touches": [1, 2]}]

RESULT_OF: dict[str, Any] = {
    "support_resistance": SupportResistanceResult("completed", 2, 1, LEVELS, LEVELS[:1]),
    "ml_prediction": MLPredictionResult("completed", 7, 0.75),
    "market_context": MarketContextResult("completed", "bullish", "expansion", "no news"),
    "leverage_decision": LeverageDecisionResult("completed", 3.5, 0.6, 2.1),
}


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "_told", set())


@pytest.fixture(params=KINDS)
def tracker(request: pytest.FixtureRequest, tmp_path: Path, board_name: str) -> Iterator[ProgressTracker]:
    if request.param == "memory":
        memory = AnalysisProgressTracker()
        yield memory
        time.sleep(0.001)
        memory.cleanup_old(0)
    elif request.param == "file":
        yield FileBasedProgressTracker(tmp_path)
    else:
        yield SharedMemoryProgressTracker(board_name)
        open_board(board_name).remove(files=True)


def seen(tracker: ProgressTracker, execution_id: str) -> AnalysisProgress:
    found = tracker.get_progress(execution_id)
    assert found is not None
    return found


def hours_since(moment: float) -> float:
    """And a tenth of a second, by which clocks may differ."""
    return (time.time() - moment + 0.1) / 3600


def updates(tracker: ProgressTracker) -> dict[str, Callable[[str, Any], bool]]:
    return {name: getattr(tracker, f"update_{name}") for name in RESULTS}


# --- one life


def test_a_new_analysis_has_the_defaults(tracker: ProgressTracker) -> None:
    before = datetime.now()  # noqa: DTZ005 - as programs do
    begun = tracker.start_analysis("BTC", "one")
    assert isinstance(begun, AnalysisProgress)
    assert before - timedelta(milliseconds=1) <= begun.start_time <= datetime.now()  # noqa: DTZ005
    assert begun == seen(tracker, "one") == AnalysisProgress("BTC", "one", begun.start_time)
    assert begun.current_stage == "initializing"
    assert begun.overall_status == "running"
    assert begun.final_signal == "analyzing"
    assert [getattr(begun, name).status for name in RESULTS] == ["pending"] * 4


def test_a_whole_analysis_reads_back_as_it_was_written(tracker: ProgressTracker) -> None:
    begun = tracker.start_analysis("BTC", "one")
    for stage in STAGES:
        assert tracker.update_stage("one", stage) is True
        assert seen(tracker, "one").current_stage == stage
        if stage in RESULT_OF:
            assert updates(tracker)[stage]("one", RESULT_OF[stage]) is True
    assert tracker.complete_analysis("one", "signal_detected", "3.5x long") is True
    expected = AnalysisProgress(
        "BTC",
        "one",
        begun.start_time,
        current_stage="completed",
        overall_status="success",
        final_signal="signal_detected",
        final_message="3.5x long",
        **RESULT_OF,
    )
    found = seen(tracker, "one")
    assert found == expected
    assert found.to_dict() == expected.to_dict()


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_stored_and_leaves_the_others(tracker: ProgressTracker, name: str) -> None:
    tracker.start_analysis("BTC", "one")
    others = [other for other in RESULTS if other != name]
    for other in others:
        updates(tracker)[other]("one", RESULT_OF[other])
    assert updates(tracker)[name]("one", RESULT_OF[name]) is True
    found = seen(tracker, "one")
    assert {one: getattr(found, one) for one in RESULTS} == RESULT_OF
    again = RESULTS[name]("error", error_message="no data")
    updates(tracker)[name]("one", again)
    assert getattr(seen(tracker, "one"), name) == again
    assert found.overall_status == seen(tracker, "one").overall_status == "running"


def test_a_failure_tells_stage_and_message(tracker: ProgressTracker) -> None:
    tracker.start_analysis("BTC", "one")
    tracker.update_stage("one", "ml_prediction")
    assert tracker.fail_analysis("one", "ml_prediction", "no model") is True
    found = seen(tracker, "one")
    assert (found.overall_status, found.failure_stage, found.final_signal) == ("failed", "ml_prediction", "no_signal")
    assert found.final_message == "no model"
    assert found.current_stage == "ml_prediction"


def test_the_message_of_a_completion_may_be_left_out(tracker: ProgressTracker) -> None:
    tracker.start_analysis("BTC", "one")
    assert tracker.complete_analysis("one", "no_signal")
    assert seen(tracker, "one").final_message == ""


# --- unknown and ended


def test_what_is_unknown_is_false_or_none(tracker: ProgressTracker) -> None:
    for _ in range(2):  # also when there is something else
        assert tracker.get_progress("two") is None
        assert tracker.update_stage("two", "data_fetch") is False
        assert [update("two", RESULT_OF[name]) for name, update in updates(tracker).items()] == [False] * 4
        assert tracker.complete_analysis("two", "signal") is False
        assert tracker.fail_analysis("two", "data_fetch", "why") is False
        assert tracker.get_progress("two") is None
        tracker.start_analysis("BTC", "one")


@pytest.mark.parametrize("end", ["complete", "fail"])
def test_after_the_end_only_results_are_stored(tracker: ProgressTracker, end: str) -> None:
    tracker.start_analysis("BTC", "one")
    tracker.update_stage("one", "market_context")
    if end == "complete":
        tracker.complete_analysis("one", "signal_detected", "yes")
    else:
        tracker.fail_analysis("one", "market_context", "no")
    ended = seen(tracker, "one")
    assert tracker.update_stage("one", "data_fetch") is True
    assert tracker.complete_analysis("one", "late", "late") is True
    assert tracker.fail_analysis("one", "late", "late") is True
    assert seen(tracker, "one") == ended
    for name, update in updates(tracker).items():
        assert update("one", RESULT_OF[name]) is True
    found = seen(tracker, "one")
    assert {name: getattr(found, name) for name in RESULTS} == RESULT_OF
    for name in RESULTS:
        setattr(found, name, getattr(ended, name))
    assert found == ended
    assert tracker.get_active_executions() == []


@pytest.mark.parametrize("state", ["running", "success", "failed"])
def test_an_id_that_exists_starts_over(tracker: ProgressTracker, state: str) -> None:
    first = tracker.start_analysis("BTC", "one")
    tracker.update_stage("one", "ml_prediction")
    for name, update in updates(tracker).items():
        update("one", RESULT_OF[name])
    if state == "success":
        tracker.complete_analysis("one", "signal_detected", "yes")
    elif state == "failed":
        tracker.fail_analysis("one", "ml_prediction", "no")
    second = tracker.start_analysis("ETH", "one")
    assert second.start_time > first.start_time
    assert seen(tracker, "one") == second == AnalysisProgress("ETH", "one", second.start_time)
    assert tracker.update_stage("one", "data_fetch")
    assert seen(tracker, "one").current_stage == "data_fetch"
    assert [record.symbol for record in tracker.get_all_recent()] == ["ETH"]


# --- ids, texts, values


@pytest.mark.parametrize("execution_id", ODD_IDS)
def test_an_odd_id_is_legal_and_leaves_no_file_outside(
    tracker: ProgressTracker, execution_id: str, tmp_path: Path
) -> None:
    beside = {path for path in tmp_path.iterdir() if path.name not in ("analysis_progress", "headway")}
    tracker.start_analysis("BTC", execution_id)
    assert tracker.update_stage(execution_id, "data_fetch") is True
    assert tracker.update_market_context(execution_id, RESULT_OF["market_context"]) is True
    found = seen(tracker, execution_id)
    assert (found.execution_id, found.current_stage) == (execution_id, "data_fetch")
    assert tracker.get_active_executions() == [execution_id]
    assert [record.execution_id for record in tracker.get_all_recent()] == [execution_id]
    assert tracker.complete_analysis(execution_id, "signal") is True
    assert {path for path in tmp_path.iterdir() if path.name not in ("analysis_progress", "headway")} == beside
    for folder in tmp_path.iterdir():
        assert all(path.is_file() for path in folder.rglob("*") if path.parent.parent != tmp_path), "no deeper folder"


def test_odd_ids_do_not_meet_each_other(tracker: ProgressTracker) -> None:
    for number, execution_id in enumerate(ODD_IDS):
        tracker.start_analysis(str(number), execution_id)
    assert [seen(tracker, execution_id).symbol for execution_id in ODD_IDS] == [str(n) for n in range(len(ODD_IDS))]
    assert sorted(tracker.get_active_executions()) == sorted(ODD_IDS)


@pytest.mark.parametrize(("execution_id", "text"), OTHER_IDS)
def test_an_id_of_another_type_is_its_text(tracker: ProgressTracker, execution_id: Any, text: str) -> None:
    assert tracker.start_analysis("BTC", execution_id).execution_id == text
    assert tracker.update_stage(execution_id, "data_fetch") is True
    assert tracker.update_market_context(execution_id, RESULT_OF["market_context"]) is True
    for one in (execution_id, text):
        found = seen(tracker, one)
        assert (found.execution_id, found.current_stage) == (text, "data_fetch")
    assert tracker.get_active_executions() == [text]
    assert tracker.complete_analysis(execution_id, "signal") is True


def calls_with(tracker: ProgressTracker, execution_id: Any) -> dict[str, Callable[[], object]]:
    calls: dict[str, Callable[[], object]] = {
        "get_progress": lambda: tracker.get_progress(execution_id),
        "update_stage": lambda: tracker.update_stage(execution_id, "data_fetch"),
        "complete_analysis": lambda: tracker.complete_analysis(execution_id, "signal"),
        "fail_analysis": lambda: tracker.fail_analysis(execution_id, "data_fetch", "why"),
    }
    for name, update in updates(tracker).items():
        calls[f"update_{name}"] = functools.partial(update, execution_id, RESULT_OF[name])
    return calls


@pytest.mark.parametrize("execution_id", [None, ""])
def test_without_an_id_nothing_is_done_and_that_is_told_once(
    tracker: ProgressTracker, execution_id: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            begun = tracker.start_analysis("BTC", execution_id)
            assert (begun.symbol, begun.execution_id, begun.overall_status) == ("BTC", "", "running")
            found = {name: call() for name, call in calls_with(tracker, execution_id).items()}
        assert found.pop("get_progress") is None
        assert set(found.values()) == {False}
        told = [record.getMessage() for record in caplog.records if record.name == "headway.analysis"]
        assert len(told) == len(found) + 2
        assert all(f"({execution_id!r}) did nothing: ValueError" in one for one in told)
        assert len(warned) in (0, len(told))
        assert all(Path(str(one.filename)) == Path(__file__) for one in warned), "it points at the caller"
    assert tracker.get_all_recent() == []


@pytest.mark.parametrize("execution_id", [None, ""])
def test_a_strict_tracker_raises_what_it_could_not_do(tracker: ProgressTracker, execution_id: Any) -> None:
    tracker.strict = True
    try:
        calls = [lambda: tracker.start_analysis("BTC", execution_id), *calls_with(tracker, execution_id).values()]
        for call in calls:
            with pytest.raises(ValueError, match="execution id"):
                call()
        tracker.start_analysis("BTC", "one")
        with pytest.raises(TypeError, match="ml_prediction is 5"):
            tracker.update_ml_prediction("one", 5)
        for hours in (-1, math.nan, "many"):
            with pytest.raises(ValueError, match=r"hours|float"):
                tracker.cleanup_old(hours)
    finally:
        tracker.strict = False


def test_where_warnings_are_errors_no_call_raises_either(tracker: ProgressTracker) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tracker.update_stage(None, "data_fetch") is False


@pytest.mark.parametrize("kind", [Lazy, Failing, Broken, Endless])
def test_no_object_of_a_program_raises_whatever_its_methods_do(tracker: ProgressTracker, kind: type[Any]) -> None:
    value = kind()
    assert isinstance(tracker.start_analysis(value, value), AnalysisProgress)
    tracker.start_analysis("BTC", "one")
    for call, many in CALLS.items():
        getattr(tracker, call)(*[value] * many)
        if many > 1:
            getattr(tracker, call)("one", *[value] * (many - 1))
    for store in updates(tracker).values():
        store("one", {"status": value, "supports": value, "extra": [value]})
        store("one", value)
    assert tracker.get_progress("one") is not None


INTERRUPTED = """
import signal
from headway.analysis import AnalysisProgress, progress_tracker as tracker

signal.signal(signal.SIGUSR1, lambda *_: print(tracker.fail_analysis("one", "here", "terminated")))
copy = AnalysisProgress.copy

def interrupted(record):  # while the tracker holds its lock
    signal.raise_signal(signal.SIGUSR1)
    return copy(record)

tracker.start_analysis("BTC", "one")
AnalysisProgress.copy = interrupted
print(tracker.get_progress("one").final_message)
"""


def test_a_signal_handler_may_call_the_tracker_that_it_interrupts(
    run_python: RunPython,
) -> None:
    done = run_python(INTERRUPTED, timeout_s=20)
    assert done.stdout.split() == ["True", "terminated"]


def test_what_is_no_result_is_not_stored(tracker: ProgressTracker) -> None:
    tracker.start_analysis("BTC", "one")
    before = seen(tracker, "one")
    no_results: list[Any] = [None, 5, "text", {}, {"of": "something else"}, [], object(), MLPredictionResult]
    for result in no_results:
        assert tracker.update_ml_prediction("one", result) is False, result
    assert seen(tracker, "one") == before


@pytest.mark.parametrize(
    "text",
    ["", "any other stage", "é" * 40, "x" * 47, "x" * 48, "x" * 5000, "ends…", "with\0NUL", "two\nlines", "🚀" * 500],
)
def test_any_text_is_kept_whole(tracker: ProgressTracker, text: str) -> None:
    tracker.start_analysis(text, "one")
    assert tracker.update_stage("one", text)
    found = seen(tracker, "one")
    assert found.symbol == text
    assert found.current_stage == text
    tracker.start_analysis("BTC", "two")
    assert tracker.complete_analysis("two", text, text)
    found = seen(tracker, "two")
    assert (found.final_signal, found.final_message) == (text, text)
    assert tracker.fail_analysis("one", text, text)
    found = seen(tracker, "one")
    assert (found.failure_stage, found.final_message) == (text, text)
    assert found.current_stage == text


def test_an_enumeration_of_texts_counts_as_text(tracker: ProgressTracker) -> None:
    class Stage(enum.StrEnum):
        FETCH = "data_fetch"

    class Old(str, enum.Enum):  # noqa: UP042 - older programs have such
        FETCH = "data_fetch"

    tracker.start_analysis("BTC", "data_fetch")
    for stage in (Stage.FETCH, Old.FETCH):
        assert tracker.update_stage(stage, stage)
        found = seen(tracker, stage)
        assert found.current_stage == "data_fetch"
        assert type(found.current_stage) is str


def test_numbers_of_numpy_and_numbers_that_are_none(tracker: ProgressTracker) -> None:
    tracker.start_analysis("BTC", "one")
    levels: Any = [{"price": np.float32(1.5), "touches": np.arange(3), "strength": float("nan")}]
    counted: Any = np.int64(1)
    assert tracker.update_support_resistance("one", SupportResistanceResult("ok", counted, 0, levels))
    assert tracker.update_ml_prediction("one", MLPredictionResult("ok", 3, math.nan))
    assert tracker.update_leverage_decision("one", LeverageDecisionResult("ok", math.inf, np.float64(0.5), 1))
    found = seen(tracker, "one")
    assert found.support_resistance.supports == [{"price": 1.5, "touches": [0, 1, 2], "strength": None}]
    assert type(found.support_resistance.supports_count) is int
    assert math.isnan(found.ml_prediction.confidence)
    assert math.isnan(found.leverage_decision.recommended_leverage)
    assert found.leverage_decision.confidence_level == 0.5
    assert type(found.leverage_decision.risk_reward_ratio) is float
    assert found.to_dict()["ml_prediction"]["confidence"] is None


@pytest.mark.parametrize("levels", [20, 300, 20_000])
def test_a_result_of_any_size_is_kept_whole(tracker: ProgressTracker, levels: int) -> None:
    many = [{"price": float(number), "strength": number / levels} for number in range(levels)]
    begun = tracker.start_analysis("BTC", "one")
    tracker.update_ml_prediction("one", RESULT_OF["ml_prediction"])
    large = SupportResistanceResult("ok", levels, 1, many, many[:1])
    for _ in range(2):
        assert tracker.update_support_resistance("one", large)
        begun.support_resistance, begun.ml_prediction = large, RESULT_OF["ml_prediction"]
        assert seen(tracker, "one") == begun
    assert tracker.get_all_recent() == [begun]
    small = RESULT_OF["support_resistance"]
    assert tracker.update_support_resistance("one", small)
    assert seen(tracker, "one").support_resistance == small


def test_nothing_that_is_handed_out_or_in_leads_back(tracker: ProgressTracker) -> None:
    begun = tracker.start_analysis("BTC", "one")
    begun.current_stage = "changed"
    mine = SupportResistanceResult("ok", 1, 0, [{"price": 1.0, "of": [1]}])
    tracker.update_support_resistance("one", mine)
    mine.supports[0]["of"].append(2)
    found = seen(tracker, "one")
    found.support_resistance.supports[0]["of"].append(3)
    found.market_context.status = "changed"
    for record in tracker.get_all_recent():
        record.overall_status = "changed"
    found = seen(tracker, "one")
    assert found.current_stage == "initializing"
    assert found.support_resistance.supports == [{"price": 1.0, "of": [1]}]
    assert found.market_context.status == "pending"
    assert found.overall_status == "running"


# --- lists and cleanup


def test_recent_ones_come_newest_first(tracker: ProgressTracker) -> None:
    for name in ("a", "c", "b"):
        tracker.start_analysis("BTC", name)
        time.sleep(0.002)
    tracker.start_analysis("BTC", "c")
    tracker.complete_analysis("b", "signal")
    recent = tracker.get_all_recent(hours=1)
    assert [record.execution_id for record in recent] == ["c", "b", "a"]
    assert recent[1] == seen(tracker, "b")
    assert [record.execution_id for record in tracker.get_all_recent()] == ["c", "b", "a"]


def test_recent_goes_by_the_start(tracker: ProgressTracker) -> None:
    tracker.start_analysis("BTC", "old")
    time.sleep(0.25)
    began = time.time()
    tracker.start_analysis("BTC", "new")
    tracker.update_stage("old", "data_fetch")
    assert [record.execution_id for record in tracker.get_all_recent(hours_since(began))] == ["new"]
    assert [record.execution_id for record in tracker.get_all_recent(math.inf)] == ["new", "old"]


def test_active_are_those_that_run(tracker: ProgressTracker) -> None:
    for name in ("running", "well", "badly"):
        tracker.start_analysis("BTC", name)
    tracker.update_stage("running", "data_fetch")
    tracker.complete_analysis("well", "signal")
    tracker.fail_analysis("badly", "data_fetch", "why")
    assert tracker.get_active_executions() == ["running"]


def test_cleanup_removes_what_nothing_touched_for_so_long(tracker: ProgressTracker) -> None:
    for name in ("old", "ended", "touched"):
        tracker.start_analysis("BTC", name)
    tracker.complete_analysis("ended", "signal")
    assert tracker.cleanup_old() == tracker.cleanup_old(hours=24) == 0
    time.sleep(0.25)
    began = time.time()
    tracker.update_stage("touched", "data_fetch")
    assert tracker.cleanup_old(hours_since(began)) == 2
    assert tracker.get_progress("old") is None
    assert tracker.get_progress("ended") is None
    assert tracker.update_stage("old", "data_fetch") is False
    assert seen(tracker, "touched").current_stage == "data_fetch"
    assert [record.execution_id for record in tracker.get_all_recent()] == ["touched"]
    time.sleep(0.02)
    assert tracker.cleanup_old(0) == 1
    assert tracker.get_all_recent() == []
    tracker.start_analysis("BTC", "old")
    assert tracker.get_active_executions() == ["old"]


@pytest.mark.parametrize("touch", ["stage after the end", "result", "large result"])
def test_every_update_is_a_touch(tracker: ProgressTracker, touch: str) -> None:
    tracker.start_analysis("BTC", "one")
    tracker.complete_analysis("one", "signal")
    time.sleep(0.25)
    began = time.time()
    if touch == "stage after the end":
        tracker.update_stage("one", "data_fetch")
        if isinstance(tracker, SharedMemoryProgressTracker):
            return  # it changes nothing there, and leaves no trace
    else:
        many = [{"price": 1.0}] * (1000 if touch == "large result" else 1)
        tracker.update_support_resistance("one", SupportResistanceResult("ok", supports=many))
    assert tracker.cleanup_old(hours_since(began)) == 0
    assert tracker.get_progress("one") is not None


@pytest.mark.parametrize("hours", [0, -1, math.nan, -math.inf, None, "many"])
def test_of_hours_that_are_none_nothing_is_listed(tracker: ProgressTracker, hours: Any) -> None:
    tracker.start_analysis("BTC", "one")
    assert tracker.get_all_recent(hours) == []
    if hours != 0:
        assert tracker.cleanup_old(hours) == 0
    assert tracker.get_progress("one") is not None


# --- threads and pickles


def test_threads_lose_no_update(tracker: ProgressTracker) -> None:
    rounds = 20
    tracker.start_analysis("BTC", "one")
    failures: list[BaseException] = []
    names = list(RESULTS)

    def write(number: int) -> None:
        try:
            for count in range(1, rounds + 1):
                name = names[number % 4]
                assert updates(tracker)[name]("one", RESULTS[name](f"{count}"))
                assert tracker.update_stage("one", f"{number}-{count}")
                tracker.start_analysis("ETH", f"{number}-{count}")
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    found = seen(tracker, "one")
    assert [getattr(found, name).status for name in RESULTS] == [str(rounds)] * 4
    assert len(tracker.get_active_executions()) == 4 * rounds + 1


def test_of_two_ends_at_once_one_counts_whole(tracker: ProgressTracker) -> None:
    for attempt in range(20):
        execution_id = f"one-{attempt}"
        tracker.start_analysis("BTC", execution_id)
        ready = threading.Barrier(3, timeout=10)

        def end(number: int, execution_id: str = execution_id, ready: threading.Barrier = ready) -> None:
            ready.wait()
            if number == 2:
                tracker.fail_analysis(execution_id, "stage 2", "message 2")
            else:
                tracker.complete_analysis(execution_id, f"signal {number}", f"message {number}")

        threads = [threading.Thread(target=end, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = seen(tracker, execution_id)
        number = found.final_message[-1]
        if number == "2":
            assert (found.overall_status, found.final_signal, found.failure_stage) == ("failed", "no_signal", "stage 2")
            assert found.current_stage == "initializing"
        else:
            assert (found.overall_status, found.final_signal) == ("success", f"signal {number}")
            assert (found.failure_stage, found.current_stage) == ("", "completed")


def test_a_tracker_pickles(tracker: ProgressTracker) -> None:
    tracker.start_analysis("BTC", "one")
    copy = pickle.loads(pickle.dumps(tracker))
    assert type(copy) is type(tracker)
    assert copy.update_stage("one", "data_fetch")
    assert seen(tracker, "one").current_stage == "data_fetch"


def test_the_calls_of_all_trackers_have_the_same_signature(tracker: ProgressTracker) -> None:
    import inspect

    for name, value in vars(ProgressTracker).items():
        if callable(value) and not name.startswith("_"):
            expected = inspect.signature(getattr(ProgressTracker, name))
            assert inspect.signature(getattr(type(tracker), name)) == expected, name


def test_a_tracker_can_be_patched_and_holds_attributes(tracker: ProgressTracker) -> None:
    tracker.start_analysis("BTC", "one")
    with mock.patch.object(tracker, "update_stage", return_value="patched"):
        answer: Any = tracker.update_stage("one", "data_fetch")
        assert answer == "patched"
    assert tracker.update_stage("one", "data_fetch") is True
    tracker.mine = 1  # type: ignore[attr-defined]
    del tracker.mine  # type: ignore[attr-defined]


# --- results of any class


@dataclasses.dataclass
class OwnResult:
    status: str
    supports: Any = None
    confidence: Any = 0.0
    sigma: float = 0.5


class Named(NamedTuple):
    status: str
    supports: Any = None
    confidence: Any = 0.0
    sigma: float = 0.5


def of(kind: str, **values: Any) -> Any:
    if kind == "data class":
        return OwnResult(**values)
    if kind == "named tuple":
        return Named(**values)
    values = {"sigma": 0.5, **values}
    return values if kind == "mapping" else types.SimpleNamespace(**values)


@pytest.mark.parametrize("kind", ["data class", "named tuple", "mapping", "object"])
def test_a_result_may_be_of_any_class_and_keeps_its_further_fields(tracker: ProgressTracker, kind: str) -> None:
    tracker.start_analysis("BTC", "one")
    assert tracker.update_support_resistance("one", of(kind, status="ok", supports=[(1.0, 0.8), 2.5, {"price": 3}]))
    assert tracker.update_ml_prediction("one", of(kind, status="ok", confidence="0.75"))
    found = seen(tracker, "one")
    assert type(found.support_resistance) is SupportResistanceResult
    assert found.support_resistance.supports == [[1.0, 0.8], 2.5, {"price": 3}]
    assert found.support_resistance.resistances == []
    assert found.ml_prediction.confidence == 0.75
    for one in (found, tracker.get_all_recent()[0], pickle.loads(pickle.dumps(found)), found.copy()):
        assert one.to_dict()["ml_prediction"]["sigma"] == 0.5
        assert one.ml_prediction.sigma == 0.5
    assert tracker.update_ml_prediction("one", found.ml_prediction), "what was read is stored again"
    assert seen(tracker, "one").to_dict() == found.to_dict()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (ValueError("boom"), "ValueError: boom"),
        (Unprintable(), "<Unprintable>"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (7, "7"),
        ("a\ud800b", "a\\ud800b"),
        (enum.Enum("Signal", {"BUY": "buy"}).BUY, "buy"),  # type: ignore[attr-defined]
        (enum.Enum("Signal", {"BUY": 1}).BUY, "1"),  # type: ignore[attr-defined]
    ],
)
def test_a_text_of_another_type_is_told_as_text(tracker: ProgressTracker, value: Any, text: str) -> None:
    assert tracker.start_analysis(value, "one").symbol == text
    tracker.update_stage("one", value)
    tracker.update_ml_prediction("one", {"status": value, "error_message": value})
    found = seen(tracker, "one")
    assert (found.symbol, found.current_stage) == (text, text)
    assert (found.ml_prediction.status, found.ml_prediction.error_message) == (text, text)
    tracker.fail_analysis("one", value, value)
    assert (seen(tracker, "one").failure_stage, seen(tracker, "one").final_message) == (text, text)
    tracker.start_analysis("BTC", "two")
    tracker.complete_analysis("two", value, value)
    assert (seen(tracker, "two").final_signal, seen(tracker, "two").final_message) == (text, text)


# --- any value at all

NAN_FREE = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**4000)]),
    st.floats(),
    st.text(),
    st.binary(max_size=8),
    st.uuids(),
    st.decimals(),
    st.fractions(),
    st.complex_numbers(),
    st.datetimes(),
    st.dates(),
    st.timedeltas(),
    st.builds(np.float32, st.floats(width=32)),
    st.builds(np.int64, st.integers(-(2**63), 2**63 - 1)),
    st.builds(lambda text: np.datetime64(text, "s"), st.datetimes()),
    st.builds(pd.Timestamp, st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))),  # noqa: DTZ001
    st.just(pd.NaT),
    st.just(pd.NA),
    st.builds(ValueError, st.text()),
    st.sampled_from(
        [
            object,
            Unprintable(),
            Failing(),
            Broken(),
            Endless([1]),
            enum.Enum("E", {"A": "a"}).A,  # type: ignore[attr-defined]
            print,
            ...,
            "\ud800",
            "\0",
        ]
    ),
)


def circle() -> list[Any]:
    one: list[Any] = []
    one.append(one)
    return one


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.text(max_size=3), st.none(), st.integers(), st.booleans()), inner, max_size=3),
        st.builds(OwnResult, inner, inner, inner),
        st.builds(Named, inner, inner, inner),
        st.builds(types.SimpleNamespace, status=inner, supports=inner, extra=inner),
        st.builds(lambda one: pd.DataFrame({"price": [1.0], "of": [repr(one)[:5]]}), inner),
        st.lists(NAN_FREE, max_size=3).map(np.array),
        st.lists(NAN_FREE, max_size=3).map(pd.Series),
        st.builds(iter, st.lists(inner, max_size=2)),
        st.sets(st.integers(), max_size=3),
        st.builds(circle),
    ),
    max_leaves=6,
)
CALLS = {
    "start_analysis": 2,
    "get_progress": 1,
    "update_stage": 2,
    **{f"update_{name}": 2 for name in RESULTS},
    "complete_analysis": 3,
    "fail_analysis": 3,
    "get_all_recent": 1,
    "cleanup_old": 1,
}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=st.sampled_from(sorted(CALLS)), data=st.data())
def test_no_value_for_any_argument_of_any_call_raises(tracker: ProgressTracker, call: str, data: st.DataObject) -> None:
    tracker.start_analysis("BTC", "one")
    arguments = [data.draw(VALUES) for _ in range(CALLS[call])]
    if call not in ("start_analysis", "get_all_recent", "cleanup_old") and data.draw(st.booleans()):
        arguments[0] = "one"
    answer = getattr(tracker, call)(*arguments)
    kind = {"start_analysis": AnalysisProgress, "get_all_recent": list, "cleanup_old": int}.get(call, bool)
    assert isinstance(answer, kind) or (call == "get_progress" and (answer is None or answer.execution_id))
    for record in tracker.get_all_recent(1):
        json.dumps(record.to_dict(), allow_nan=False).encode()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(symbol=VALUES, execution_id=VALUES, stage=VALUES, message=VALUES)
def test_what_is_stored_comes_back_by_the_rules(
    tracker: ProgressTracker, symbol: Any, execution_id: Any, stage: Any, message: Any
) -> None:
    begun = tracker.start_analysis(symbol, execution_id)
    if not begun.execution_id:
        return
    assert (
        begun.execution_id
        == (execution_id if isinstance(execution_id, str) else begun.execution_id)
        .encode("utf-8", "backslashreplace")
        .decode()
    )
    assert tracker.update_stage(execution_id, stage) is True
    found = seen(tracker, execution_id)
    assert (found.symbol, found.current_stage) == (text_of(symbol), text_of(stage) or found.current_stage)
    assert tracker.complete_analysis(execution_id, symbol, message) is True
    found = seen(tracker, execution_id)
    assert (found.final_signal, found.final_message) == (text_of(symbol), text_of(message))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(RESULTS)),
    values=st.dictionaries(
        st.sampled_from(["status", "supports", "supports_count", "confidence", "trend_direction", "extra", "to_dict"]),
        VALUES,
    ),
)
def test_a_result_comes_back_as_all_trackers_understand_it(
    tracker: ProgressTracker, name: str, values: dict[str, Any]
) -> None:
    tracker.start_analysis("BTC", "one")
    stored = updates(tracker)[name]("one", values)
    fields = {field.name for field in dataclasses.fields(RESULTS[name])}
    if fields.isdisjoint(values):
        assert stored is False
        return
    assert stored is True
    found = getattr(seen(tracker, "one"), name).to_dict()
    assert found == result_of(name, values).to_dict()
    assert found.keys() == fields | values.keys()


# --- making one


@pytest.mark.parametrize("board", [b"board", Path("board")], ids=ascii)
def test_a_board_of_another_type_is_its_text(board: Any) -> None:
    assert SharedMemoryProgressTracker(board, strict=True).name == "board"


@pytest.mark.parametrize("board", [None, "", "a/b", "../x", "a\0b", "x" * 65, [1]], ids=ascii)
def test_a_board_that_cannot_be_is_told_and_raised_where_that_is_asked_for(board: Any, tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning, match=r"SharedMemoryProgressTracker.__init__\(.* did nothing: ValueError"):
        tracker = SharedMemoryProgressTracker(board)
    assert tracker.start_analysis("BTC", "one").symbol == "BTC"
    assert tracker.update_stage("one", "late") is False
    assert tracker.get_progress("one") is None
    assert tracker.get_all_recent() == []
    assert tracker.get_active_executions() == []
    assert tracker.cleanup_old() == 0
    assert not list(tmp_path.rglob("segment"))
    with pytest.raises(ValueError, match="is not legal: use 1 to 64"):
        SharedMemoryProgressTracker(board, strict=True)
