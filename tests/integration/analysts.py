"""Processes that follow analyses together. Run as a script, so that spawned ones can import it. Prints JSON.

python analysts.py WHAT KIND WHERE [ARGUMENT...]    WHAT: a function below; KIND: file or shared; WHERE: folder or board
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from headway.analysis import (
    AnalysisProgress,
    FileBasedProgressTracker,
    LeverageDecisionResult,
    MarketContextResult,
    MLPredictionResult,
    ProgressTracker,
    SharedMemoryProgressTracker,
    SupportResistanceResult,
)

STAGES = ("data_fetch", "support_resistance", "ml_prediction", "market_context", "leverage_decision")
LEVELS = (500, 1, 2, 3, 4, 5, 6, 7, 8, 9)  # every tenth result is too large for a slot
RESULTS: dict[str, Callable[[int], Any]] = {
    "support_resistance": lambda n: SupportResistanceResult(f"{n}", n, n, [{"price": n}] * LEVELS[n % 10], []),
    "ml_prediction": lambda n: MLPredictionResult(f"{n}", n, float(n)),
    "market_context": lambda n: MarketContextResult(f"{n}", f"{n}", f"{n}"),
    "leverage_decision": lambda n: LeverageDecisionResult(f"{n}", float(n), float(n), float(n)),
}
BOUND_S = 100.0


def tracker_of(kind: str, where: str) -> ProgressTracker:
    return FileBasedProgressTracker(where) if kind == "file" else SharedMemoryProgressTracker(where)


def store(tracker: ProgressTracker, execution_id: str, name: str, number: int) -> None:
    assert getattr(tracker, f"update_{name}")(execution_id, RESULTS[name](number))


def number_of(record: AnalysisProgress, name: str) -> int:
    """The number that a result was made of; everything in it has to tell the same one."""
    result = getattr(record, name)
    if result.status == "pending":
        return 0
    number = int(result.status)
    assert result == RESULTS[name](number), f"torn: {result}"
    return number


def seen(tracker: ProgressTracker, execution_id: str) -> AnalysisProgress:
    record = tracker.get_progress(execution_id)
    assert record is not None, f"{execution_id!r} is missing"
    return record


def run(context: BaseContext, target: Callable[..., None], *arguments: tuple[Any, ...]) -> list[int | None]:
    """Run the target in one process for each tuple of arguments; their exit codes."""
    workers = [context.Process(daemon=True, target=target, args=args) for args in arguments]  # type: ignore[attr-defined]
    for worker in workers:
        worker.start()
    return ended(workers)


def ended(workers: list[BaseProcess]) -> list[int | None]:
    give_up = time.monotonic() + BOUND_S
    for worker in workers:
        worker.join(max(0.0, give_up - time.monotonic()))
    return [worker.exitcode for worker in workers]


# --- begun here, carried on elsewhere


def one_stage(tracker: ProgressTracker, execution_id: str, stage: str, number: int) -> None:
    assert seen(tracker, execution_id).overall_status == "running"
    assert tracker.update_stage(execution_id, stage)
    if stage in RESULTS:
        store(tracker, execution_id, stage, number)


def finish(tracker: ProgressTracker, execution_id: str) -> None:
    assert tracker.complete_analysis(execution_id, "signal_detected", "by another process")


def elsewhere(tracker: ProgressTracker, method: str) -> dict[str, Any]:
    """Each stage in a process of its own, which leaves in good order before the next one begins."""
    context = multiprocessing.get_context(method)
    begun = tracker.start_analysis("BTC", "one")
    exits, statuses = [], []
    for number, stage in enumerate(STAGES, 1):
        exits += run(context, one_stage, (tracker, "one", stage, number))
        record = seen(tracker, "one")
        statuses.append([record.current_stage, record.overall_status])
        assert tracker.get_active_executions() == ["one"]
    record = seen(tracker, "one")
    numbers = [number_of(record, name) for name in RESULTS]
    exits += run(context, finish, (tracker, "one"))
    record = seen(tracker, "one")
    assert record.start_time == begun.start_time
    return {
        "exits": exits,
        "statuses": statuses,
        "numbers": numbers,
        "end": [record.overall_status, record.current_stage, record.final_signal, record.final_message],
    }


# --- four processes, four results, one execution


def count_up(tracker: ProgressTracker, name: str, rounds: int) -> None:
    for number in range(1, rounds + 1):
        store(tracker, "one", name, number)
        if number % 16 == 0:
            assert tracker.update_stage("one", f"{name} {number}")


def watch_counts(tracker: ProgressTracker, rounds: int) -> None:
    """No result ever goes back, none is torn, and the record is never missing."""
    last = dict.fromkeys(RESULTS, 0)
    give_up = time.monotonic() + BOUND_S
    while any(number < rounds for number in last.values()):
        assert time.monotonic() < give_up, last
        record = seen(tracker, "one")
        for name, before in last.items():
            last[name] = number_of(record, name)
            assert last[name] >= before, f"{name} went back from {before} to {last[name]}"
        assert record.overall_status == "running"
        time.sleep(0.0005)


def counts(tracker: ProgressTracker, rounds: str) -> dict[str, Any]:
    context = multiprocessing.get_context("fork")
    tracker.start_analysis("BTC", "one")
    watcher = context.Process(daemon=True, target=watch_counts, args=(tracker, int(rounds)))
    watcher.start()
    exits = run(context, count_up, *((tracker, name, int(rounds)) for name in RESULTS))
    record = seen(tracker, "one")
    return {"exits": exits + ended([watcher]), "numbers": [number_of(record, name) for name in RESULTS]}


# --- an end that races with updates


def keep_updating(tracker: ProgressTracker, execution_id: str, until: Any) -> None:
    number = 0
    while not until.is_set():
        number += 1
        assert tracker.update_stage(execution_id, random.choice(STAGES))
        store(tracker, execution_id, "ml_prediction", number)
    for _ in range(5):  # and a few more, in any case after the end
        assert tracker.update_stage(execution_id, "late")
        store(tracker, execution_id, "ml_prediction", 77)


def follow_end(tracker: ProgressTracker, execution_id: str, until: Any) -> None:
    """Once ended it stays so, and status, stage, signal and message changed together."""
    over = None
    while not (until.is_set() and over):
        record = seen(tracker, execution_id)
        now = (record.overall_status, record.final_signal, record.final_message, record.failure_stage)
        if record.overall_status == "running":
            assert over is None, f"turned back: {now} after {over}"
            assert now[1:] == ("analyzing", "", "")
        else:
            assert now in (
                ("success", "signal_detected", "well", ""),
                ("failed", "no_signal", "badly", "ml_prediction"),
            ), now
            assert record.current_stage == "completed" if now[0] == "success" else record.current_stage != "late"
            assert over in (None, (*now, record.current_stage)), f"changed: {now} after {over}"
            over = (*now, record.current_stage)


def end_races(tracker: ProgressTracker, rounds: str) -> dict[str, Any]:
    context = multiprocessing.get_context("fork")
    exits: list[int | None] = []
    ends = []
    for number in range(int(rounds)):
        execution_id = f"race-{number}"
        tracker.start_analysis("BTC", execution_id)
        until = context.Event()
        workers: list[BaseProcess] = [
            context.Process(daemon=True, target=keep_updating, args=(tracker, execution_id, until)) for _ in range(2)
        ]
        workers.append(context.Process(daemon=True, target=follow_end, args=(tracker, execution_id, until)))
        for worker in workers:
            worker.start()
        while seen(tracker, execution_id).ml_prediction.status == "pending":
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.02))
        if number % 2:
            assert tracker.complete_analysis(execution_id, "signal_detected", "well")
        else:
            assert tracker.fail_analysis(execution_id, "ml_prediction", "badly")
        until.set()
        exits += ended(workers)
        record = seen(tracker, execution_id)
        assert record.ml_prediction.status == "77", "results are stored after the end"
        ends.append(record.overall_status)
    return {"exits": exits, "ends": ends, "active": tracker.get_active_executions()}


# --- a reader through starts, updates, ends


def live_again(tracker: ProgressTracker, until: Any) -> None:
    number = 0
    while not until.is_set():
        number += 1
        tracker.start_analysis(f"S{number}", "one")
        for stage in STAGES:
            assert tracker.update_stage("one", f"{stage} {number}")
            if stage in RESULTS:
                store(tracker, "one", stage, number)
        assert tracker.complete_analysis("one", f"signal {number}", f"message {number}")


def reader(tracker: ProgressTracker, seconds: str) -> dict[str, Any]:
    """All that is seen at one moment belongs to one life of the analysis, in the order in which it was lived."""
    context = multiprocessing.get_context("fork")
    tracker.start_analysis("S0", "one")
    until = context.Event()
    worker = context.Process(daemon=True, target=live_again, args=(tracker, until))
    worker.start()
    reads = lives = 0
    begun = time.monotonic()
    last = (0, 0)
    while time.monotonic() < begun + float(seconds) or (lives < 10 and time.monotonic() < begun + BOUND_S / 2):
        record = seen(tracker, "one")
        listed = tracker.get_all_recent()
        assert [one.execution_id for one in listed] == ["one"], listed
        life = int(record.symbol[1:])
        assert int(listed[0].symbol[1:]) >= life
        done = [number_of(record, name) for name in RESULTS]
        assert set(done) <= {0, life}, (life, done)
        assert done == sorted(done, reverse=True), "results come in their order"
        stage, _, number = record.current_stage.partition(" ")
        steps = 0
        if record.overall_status == "success":
            steps = 10
            assert record.current_stage == "completed"
            assert (record.final_signal, record.final_message) == (f"signal {life}", f"message {life}")
            assert done == [life] * 4 or life == 0
        elif stage != "initializing":
            assert int(number) == life
            assert record.final_signal == "analyzing"
            steps = 1 + STAGES.index(stage)
            assert sum(map(bool, done)) in (steps - 2, steps - 1) or steps == 1, (stage, done)
        assert (life, steps) >= last, f"went back from {last} to {(life, steps)}"
        last = (life, steps)
        reads += 1
        lives = life
    until.set()
    return {"exits": ended([worker]), "reads": reads, "lives": lives}


# --- lists and cleanup while others write


def come_and_go(tracker: ProgressTracker, number: int, until: Any) -> None:
    """One analysis goes on all the time, others begin and end beside it."""
    tracker.start_analysis("BTC", f"steady-{number}")
    step = 0
    due = 0.0
    while not until.is_set():
        step += 1
        assert tracker.update_stage(f"steady-{number}", f"{step}"), "it was removed while it was written"
        store(tracker, f"steady-{number}", "ml_prediction", step)
        if step % 4 == 0 and time.monotonic() > due:  # no faster than the board is tidied up: else it makes room itself
            due = time.monotonic() + 0.01
            tracker.start_analysis("ETH", f"short-{number}-{step}")
            assert tracker.complete_analysis(f"short-{number}-{step}", "signal", "soon gone")


def cleaning(tracker: ProgressTracker, seconds: str) -> dict[str, Any]:
    context = multiprocessing.get_context("fork")
    until = context.Event()
    workers: list[BaseProcess] = [
        context.Process(daemon=True, target=come_and_go, args=(tracker, n, until)) for n in range(3)
    ]
    for worker in workers:
        worker.start()
    steady = {f"steady-{n}" for n in range(3)}
    while set(tracker.get_active_executions()) & steady != steady:
        time.sleep(0.005)
    removed = rounds = 0
    stop = time.monotonic() + float(seconds)
    while time.monotonic() < stop:
        removed += tracker.cleanup_old(hours=1.0 / 3600)
        recent = tracker.get_all_recent()
        assert steady <= {record.execution_id for record in recent}, "a live one is missing"
        assert steady <= set(tracker.get_active_executions())
        starts = [record.start_time for record in recent]
        assert starts == sorted(starts, reverse=True)
        for record in recent:
            assert number_of(record, "ml_prediction") >= 0
            assert record.overall_status in ("running", "success")
        rounds += 1
    until.set()
    exits = ended(workers)
    time.sleep(1.2)
    last = tracker.cleanup_old(hours=1.0 / 3600)
    return {"exits": exits, "removed": removed, "rounds": rounds, "last": last, "left": len(tracker.get_all_recent())}


# --- 200 executions by 8 workers


def analyse(job: tuple[ProgressTracker, str]) -> int:
    tracker, execution_id = job
    tracker.start_analysis(execution_id.upper(), execution_id)
    for number, stage in enumerate(STAGES, 1):
        assert tracker.update_stage(execution_id, stage)
        time.sleep(random.uniform(0, 0.004))
        if stage in RESULTS:
            store(tracker, execution_id, stage, number)
    assert tracker.complete_analysis(execution_id, "signal", "done")
    return os.getpid()


def watch_orders(tracker: ProgressTracker, executions: int, report: Any) -> None:
    order = {stage: number for number, stage in enumerate(("initializing", *STAGES, "completed"))}
    last: dict[str, int] = {}
    midway: set[str] = set()
    give_up = time.monotonic() + BOUND_S
    while sum(step == len(order) - 1 for step in last.values()) < executions:
        assert time.monotonic() < give_up, last
        for record in tracker.get_all_recent():
            step = order[record.current_stage]
            before = last.get(record.execution_id, 0)
            assert step >= before, f"{record.execution_id} went back from {before} to {step}"
            assert record.symbol == record.execution_id.upper()
            for name in RESULTS:
                assert number_of(record, name) in (0, order[name]), record
                assert step >= order[name] or not number_of(record, name), record
            last[record.execution_id] = step
            if 0 < step < len(order) - 1:
                midway.add(record.execution_id)
        time.sleep(0.002)
    report.put(len(midway))


def crowd(tracker: ProgressTracker, executions: str, workers: str) -> dict[str, Any]:
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context("spawn")
    report = context.SimpleQueue()
    watcher = context.Process(daemon=True, target=watch_orders, args=(tracker, int(executions), report))
    watcher.start()
    with ProcessPoolExecutor(int(workers), mp_context=context) as pool:
        pids = set(pool.map(analyse, [(tracker, f"e{number}") for number in range(int(executions))]))
    exits = ended([watcher])
    done = tracker.get_all_recent()
    return {
        "exits": exits,
        "workers": len(pids),
        "midway": report.get() if exits == [0] else 0,
        "done": sum(record.overall_status == "success" for record in done),
        "active": len(tracker.get_active_executions()),
    }


# --- kills at random


def count_on(tracker: ProgressTracker, first: int, acknowledged: Any) -> None:
    number = first
    while True:
        number += 1
        store(tracker, "one", "support_resistance", number)
        acknowledged.value = number


def kills(tracker: ProgressTracker, times: str) -> dict[str, Any]:
    """A writer is killed at a random moment, again and again: what it was told is stored is stored, and whole."""
    context = multiprocessing.get_context("fork")
    acknowledged = context.Value("q", 0, lock=False)
    tracker.start_analysis("BTC", "one")
    wrong = []
    for _ in range(int(times)):
        before = acknowledged.value
        child = context.Process(daemon=True, target=count_on, args=(tracker, before, acknowledged))
        child.start()
        give_up = time.monotonic() + BOUND_S
        while acknowledged.value == before:
            assert child.is_alive(), "it ended by itself"
            assert time.monotonic() < give_up
            time.sleep(0.0005)
        time.sleep(random.uniform(0, 0.01))
        child.kill()
        ended([child])
        found = number_of(seen(tracker, "one"), "support_resistance")
        if not acknowledged.value <= found <= acknowledged.value + 1:
            wrong.append((acknowledged.value, found))
        acknowledged.value = found
    assert tracker.update_stage("one", "after all")
    return {"wrong": wrong, "written": acknowledged.value, "stage": seen(tracker, "one").current_stage}


# --- death


def die_midway(tracker: ProgressTracker, execution_id: str, how: str) -> None:
    tracker.update_stage(execution_id, "data_fetch")
    tracker.update_stage(execution_id, "ml_prediction")
    store(tracker, execution_id, "support_resistance", 3)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raised":
        raise ArithmeticError("no model")


def summary(tracker: ProgressTracker, execution_id: str) -> dict[str, Any]:
    record = seen(tracker, execution_id)
    return {
        "status": record.overall_status,
        "stage": record.current_stage,
        "failure_stage": record.failure_stage,
        "signal": record.final_signal,
        "message": record.final_message,
        "supports": number_of(record, "support_resistance"),
        "active": execution_id in tracker.get_active_executions(),
    }


def deaths(tracker: ProgressTracker, how: str) -> dict[str, Any]:
    """The parent begins, a child carries on and is gone; then the parent goes on."""
    context = multiprocessing.get_context("fork")
    tracker.start_analysis("BTC", "one")
    child = context.Process(daemon=True, target=die_midway, args=(tracker, "one", how))
    child.start()
    exits = ended([child])
    found = {"exits": exits, "pid": child.pid, "parent": os.getpid(), "after": summary(tracker, "one")}
    tracker.update_stage("one", "market_context")
    found["carried on"] = summary(tracker, "one")
    tracker.complete_analysis("one", "signal", "after all")
    found["end"] = summary(tracker, "one")
    return found


def begin_and_leave(tracker: ProgressTracker) -> None:
    tracker.start_analysis("BTC", "one")
    die_midway(tracker, "one", "left")


def orphans(tracker: ProgressTracker) -> dict[str, Any]:
    """Who began it leaves in good order, and leaves it open; then somebody else goes on with it."""
    context = multiprocessing.get_context("fork")
    exits = run(context, begin_and_leave, (tracker,))
    found = {"exits": exits, "after": summary(tracker, "one")}
    store(tracker, "one", "ml_prediction", 2)
    found["carried on"] = summary(tracker, "one")
    tracker.fail_analysis("one", "ml_prediction", "gave up")
    found["end"] = summary(tracker, "one")
    return found


def register(tracker: ProgressTracker) -> None:
    for execution_id in ("first", "second"):
        tracker.start_analysis("BTC", execution_id)
        tracker.update_stage(execution_id, "data_fetch")
        store(tracker, execution_id, "support_resistance", 3)


def registered(tracker: ProgressTracker) -> dict[str, Any]:
    """A program registers analyses and ends; others need the room; then somebody works on the first of them."""
    found: dict[str, Any] = {"exits": run(multiprocessing.get_context("fork"), register, (tracker,))}
    found["active"] = sorted(tracker.get_active_executions())
    found["after"] = summary(tracker, "first")
    begun = seen(tracker, "first").start_time
    for number in range(6):
        tracker.start_analysis("ETH", f"other-{number}")
        tracker.complete_analysis(f"other-{number}", "signal")
    found["crowded"] = sorted(tracker.get_active_executions())
    found["made room"] = summary(tracker, "first")
    assert tracker.update_stage("first", "market_context")
    found["carried on"] = summary(tracker, "first")
    found["same start"] = seen(tracker, "first").start_time == begun
    tracker.complete_analysis("first", "signal", "after all")
    found["end"] = summary(tracker, "first")
    return found


def look(tracker: ProgressTracker) -> dict[str, Any]:
    """What a process sees that comes later."""
    recent = tracker.get_all_recent()
    return {
        "records": [record.to_dict() for record in recent],
        "one by one": [seen(tracker, record.execution_id) == record for record in recent],
        "active": tracker.get_active_executions(),
        "unknown": tracker.get_progress("unknown"),
        "late": tracker.update_stage("ended", "late"),
    }


def resume(tracker: ProgressTracker) -> dict[str, Any]:
    """A process goes on with what another one, that is gone with its shared memory, had begun."""
    before = seen(tracker, "running")
    found: dict[str, Any] = {"before": summary(tracker, "running")}
    assert tracker.update_stage("running", "market_context")
    found["carried on"] = summary(tracker, "running")
    assert seen(tracker, "running").start_time == before.start_time
    store(tracker, "running", "market_context", 4)
    tracker.complete_analysis("running", "signal", "after all")
    found["end"] = summary(tracker, "running")
    found["all"] = sorted(record.execution_id for record in tracker.get_all_recent())
    return found


def churn(tracker: ProgressTracker, executions: str) -> dict[str, Any]:
    """More analyses than the board has room for: what has ended makes room, and is known still."""
    for number in range(int(executions)):
        tracker.start_analysis("BTC", f"e{number}")
        store(tracker, f"e{number}", "support_resistance", number)
        tracker.complete_analysis(f"e{number}", "signal", f"{number}")
    known = [seen(tracker, f"e{number}") for number in range(int(executions))]
    recent = tracker.get_all_recent()
    found = {
        "numbers": [number_of(record, "support_resistance") for record in known],
        "ends": [[record.overall_status, record.final_signal, record.final_message] for record in known],
        "recent": [record.execution_id for record in recent],
        "late": [tracker.update_stage("e0", "late"), tracker.complete_analysis("e0", "late")],
        "unchanged": seen(tracker, "e0") == known[0],
    }
    time.sleep(0.2)
    found["removed"] = tracker.cleanup_old(0.1 / 3600)
    found["left"] = len(tracker.get_all_recent())
    found["gone"] = [tracker.get_progress(f"e{number}") for number in range(int(executions))]
    found["unknown"] = tracker.update_stage("e0", "late")
    return found


def main() -> None:
    what, kind, where, *arguments = sys.argv[1:]
    print(json.dumps(globals()[what](tracker_of(kind, where), *arguments)))


if __name__ == "__main__":
    main()
