"""Show the tasks and workers of a board, or all that is known about one of its tasks."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from headway import errors
from headway.cli._output import add_json, columns, emit, print_json, say, table
from headway.cli._source import Source, add_board, find
from headway.exporters.tables import object_lines
from headway.terminal.plain import lines
from headway.terminal.row import Style, detail
from headway.views import chosen
from headway.views.words import counted, duration, held, measured, number, percent, rate, state
from headway.views.workers import KINDS, kind_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from headway.views.board_view import BoardView, ShareView, TaskView, WorkerView

__all__ = ["EXAMPLES", "configure", "run"]

EXAMPLES = """\
A board that is no longer in shared memory is shown from its last snapshot. The last line says where the state is from.

examples:
  headway show nightly              its tasks and workers; of many, those that need a look
  headway show nightly --all        every task and every worker
  headway show nightly BTC-1h       one task: stages, workers, metrics, result
  headway show ./snapshot.npz       a file, from another machine perhaps
  headway show nightly -- -odd-id   an id that begins with a dash
"""

SHOWN = 200  # lines of tasks, of a board that has more tasks
WORKERS_SHOWN = 50
COMPARED = 5_000  # ids, with one that is not there


def configure(parser: argparse.ArgumentParser) -> None:
    add_board(parser)
    parser.add_argument("task", metavar="TASK", nargs="?", help="the id of a task")
    parser.add_argument(
        "--all",
        action="store_true",
        help=f"every task and worker, not the {SHOWN} and {WORKERS_SHOWN} most urgent",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    source = find(options.board)
    if options.task is None:
        if options.json:
            emit(object_lines(source.parts()))
            return 0
        rows = None if options.all or len(source.view) <= SHOWN else SHOWN + 2  # the first line, and the last
        for line in lines(source.view, columns(), rows, Style.of(sys.stdout)):
            print(line)
        if rows is not None:
            say("--all shows every task, in the order of their creation")
        _show_workers(source, all=options.all)
    else:
        task = _task(source.view, options.task)
        if options.json:
            print_json({"source": source.state, "board": source.view.name, **task.to_dict()})
            return 0
        facts = list(_facts(task))
        wide = max(len(name) for name, _ in facts) + 2
        for name, text in facts:
            say(f"{name:{wide}}{text}")
    say()
    say(source.told())
    return 0


def _task(view: BoardView, id: str) -> TaskView:
    task = view.get(id)
    if task is not None:
        return task
    import difflib
    import heapq

    ids = chosen.ids(view)
    if len(ids) > COMPARED:  # comparing two takes some 20 µs: only those that begin alike
        ids = heapq.nlargest(COMPARED, ids, key=lambda one: _alike(id, one))
    close = difflib.get_close_matches(id, ids, n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else f": 'headway show {view.name}' lists them"
    raise errors.UnknownTask(f"board {view.name!r} has no task {id!r}{hint}")


def _alike(one: str, other: str) -> int:
    """With how many equal letters two texts begin."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _show_workers(source: Source, *, all: bool) -> None:
    alive = "was alive" if source.state == "snapshot" else "alive"  # what happened since is not known
    rows: list[tuple[str, ...]] = [("PID", "WORKER", "STATE", "COUNTED", "IN HAND", "TASKS")]
    workers = source.view.workers
    shown = workers if all or len(workers) <= WORKERS_SHOWN else sorted(workers, key=_urgency)[:WORKERS_SHOWN]
    for worker in shown:
        kind = kind_of(worker)
        now = alive if kind in ("working", "idle") else kind
        last = "never" if worker.idle is None else f"{duration(worker.idle)} ago"
        more = f" and {len(worker.tasks) - 3} more" if len(worker.tasks) > 3 else ""
        item = held(worker.item, worker.item_seconds)
        rows.append((str(worker.pid), worker.name, now, last, item, ", ".join(worker.tasks[:3]) + more))
    if not any(item for *_, item, _ in rows[1:]):
        rows = [(*first, tasks) for *first, _, tasks in rows]
    if len(rows) > 1:
        say()
        for line in table(rows, right=(0,)):
            say(line, columns())
    if len(shown) < len(workers):
        say(f"and {number(len(workers) - len(shown))} more workers; --all shows them")


def _urgency(worker: WorkerView) -> tuple[int, int]:
    """What died or is stuck with tasks first, then by what it does, then by pid."""
    return KINDS.index(kind_of(worker)), worker.pid


def _moment(at: float | None) -> str:
    return "never" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _facts(task: TaskView) -> Iterator[tuple[str, str]]:
    """All that is known of one task, as names and texts."""
    yield "task", task.id
    if task.label and task.label != task.id:
        yield "label", task.label
    if task.parent:
        yield "part of", task.parent
    yield "state", "running, but stalled" if task.stalled else state(task.state)
    if why := detail(task):
        yield "", why
    fraction = "" if task.fraction is None else f", {percent(task.fraction)}"
    resumed = "" if task.resumed_from is None else f", went on from {counted(task.resumed_from, None, task.unit)}"
    yield "count", counted(task.count, task.total, task.unit) + fraction + resumed
    if task.rate is not None and task.state == "running":
        yield (
            "rate",
            rate(task.rate, task.unit) + ("" if task.eta is None else f", ETA {duration(task.eta, whole=True)}"),
        )
    if task.stage:
        yield "stage", task.stage
    if task.message:
        yield "message", task.message
    yield "created", _moment(task.created)
    if task.started is not None:
        yield "started", _moment(task.started)
        if task.ended is None:
            yield "for", duration(task.elapsed)
        else:
            yield "ended", f"{_moment(task.ended)}, after {duration(task.elapsed)}"
    if task.owner_pid and not task.final:
        yield "owner", f"pid {task.owner_pid}, {'alive' if task.owner_alive else 'dead'}"
    yield from _timeline(task)
    for title, shares in (("workers", task.workers), ("died", task.workers_lost)):
        for share in shares:
            known = "its share is not known" if share.count is None else counted(share.count, None, task.unit)
            yield title, f"pid {share.pid}: {known}{_item(share)}"
            title = ""
    yield from _durations(task)
    for at, (name, value) in enumerate(task.metrics.items()):
        yield "metrics" if at == 0 else "", f"{name} = {measured(value)}"
    if task.result is not None:
        yield "result", json.dumps(task.result, ensure_ascii=False)


def _item(share: ShareView) -> str:
    if not share.item:
        return ""
    since = "" if share.item_seconds is None else f" for {duration(share.item_seconds)}"
    return f", {'has' if share.alive else 'had'} {share.item} in hand{since}"


def _durations(task: TaskView) -> Iterator[tuple[str, str]]:
    told = task.durations
    if told is None or told.max is None or not told.timed:
        return
    p50, p90, p99 = (
        f"{name} {duration(value or 0.0)}"
        for name, value in (("half of them", told.p50), ("9 of 10", told.p90), ("99 of 100", told.p99))
    )
    slowest = f" ({told.item})" if told.item else ""
    yield "items took", f"{p50}, {p90}, {p99} at most; the slowest {duration(told.max)}{slowest}"


def _timeline(task: TaskView) -> Iterator[tuple[str, str]]:
    title = "stages"
    if task.stages_left_out:
        yield title, f"({task.stages_left_out} earlier ones are not kept)"
        title = ""
    for stage in task.stages:
        until = task.taken_at if stage.left is None else stage.left
        took = "" if stage.entered is None else f"  {duration(max(0.0, until - stage.entered))}"
        yield title, f"{stage.name}{took}"
        title = ""
