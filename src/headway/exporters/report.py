"""A run as one self-contained page of HTML: timeline, throughput, what died and where, what was slow.

A pure function of a view of the board and tasks of its history. The page has no script, and every text of the program
is escaped; pictures are SVG, their tooltips are <title> elements.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from html import escape
from typing import TYPE_CHECKING

from headway.exporters._plots import Lane, area, colour_class, gantt, spread
from headway.tasks.states import STATES
from headway.terminal.row import detail
from headway.terminal.text import safe
from headway.views.numbers import Counts
from headway.views.words import counted, duration, number, plural, rate, state, tally
from headway.views.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headway.files.history import PastTask
    from headway.views.board_view import BoardView, TaskView

__all__ = ["report"]

SLOWEST = 20
DEAD_MOST = 500
KINDS_MOST = 100
BARS_MOST = 4000
UNITS_MOST = 3

_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+", re.IGNORECASE)  # errors that differ only in these are of one kind

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --quiet: #5c6670; --paper: #fff; --edge: #d9dee3; --soft: #f4f6f8;
  --pending: #66707a; --running: #0a6d94; --stalled: #87600a; --success: #24764a; --failed: #c62f2f;
  --cancelled: #5b6570; --lost: #a02bb0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --quiet: #98a3ad; --paper: #14181c; --edge: #333b43;
  --soft: #1c2228; --pending: #8f99a3; --running: #3fb0dd; --stalled: #d9a634; --success: #4fb57d;
  --failed: #f06a6a; --cancelled: #939eab; --lost: #d777e6; } }
body { margin: 0 auto; max-width: 1160px; padding: 24px; background: var(--paper); color: var(--ink);
  font: 14px/1.45 Inter, system-ui, sans-serif; }
h1 { margin: 0; font-size: 24px; overflow-wrap: anywhere; } h2 { margin: 32px 0 8px; font-size: 17px; }
h3 { margin: 12px 0 4px; color: var(--quiet); font-size: 14px; font-weight: 400; }
p { margin: 4px 0; color: var(--quiet); }
.tiles { display: flex; flex-wrap: wrap; gap: 8px; margin: 16px 0; padding: 0; list-style: none; }
.tiles li { padding: 6px 14px; border: 1px solid var(--edge); border-radius: 8px; background: var(--soft); }
.tiles b { display: block; font-size: 20px; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; border: 1px solid var(--edge); border-radius: 8px; padding: 8px; }
svg { display: block; } rect.success { fill-opacity: .72; }
svg text { fill: var(--quiet); font: 11px Inter, system-ui, sans-serif; }
.grid { stroke: var(--edge); stroke-width: 1; } .lane { fill: var(--soft); }
.area { fill: var(--running); fill-opacity: .18; stroke: var(--running); stroke-width: 1.5; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px 4px 0; border-bottom: 1px solid var(--edge); text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }
th { color: var(--quiet); font-weight: 500; } .n { text-align: right; white-space: nowrap; }
summary { cursor: pointer; } td ul { margin: 4px 0; padding-left: 18px; columns: 220px; }
.word { font-weight: 600; white-space: nowrap; }
""" + "".join(f".{state} {{ fill: var(--{state}); color: var(--{state}); }}\n" for state in (*STATES, "stalled"))


def report(view: BoardView, past: Iterable[PastTask] = ()) -> str:
    """The page. past: runs of the history; those that are also on the board are shown once, with their series."""
    archived = {(task.uuid, task.serial, task.started): task for task in past}
    tasks: list[TaskView] = [archived.pop((view.uuid, task.serial, task.started), task) for task in view.tasks]
    tasks += archived.values()
    tasks.sort(key=lambda task: (task.started or task.created or 0.0, task.serial))
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    body = "\n".join(
        part
        for part in (_head(view, tasks), _dead(tasks), _timeline(view, tasks), _throughput(tasks), _slow(tasks))
        if part
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{_text(view.name)} · Headway</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _text(text: str) -> str:
    return escape(safe(text))


def _named(task: TaskView) -> str:
    return _text(task.label or task.id)


def _clock(at: float | None) -> str:
    return "" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _word(task: TaskView) -> str:
    return f'<span class="word {_tone(task)}">{_text(state(task.state, stalled=task.stalled))}</span>'


def _tone(task: TaskView) -> str:
    """The class of its colour: a stalled task has one of its own."""
    return "stalled" if task.stalled else colour_class(task.state)


def _head(view: BoardView, tasks: Sequence[TaskView]) -> str:
    counts = Counts.of(tasks)
    tiles = "".join(
        f'<li class="{name}"><b>{number(counts[name])}</b>{told.partition(" ")[2]}</li>'
        for name, told in tally(counts).items()
    )
    begun = min((task.started for task in tasks if task.started is not None), default=None)
    last = max((_end(task, view.taken_at) for task in tasks if task.started is not None), default=view.taken_at)
    took = "" if begun is None else f", {duration(last - begun)} from {_clock(begun)}"
    workers = plural(Workers.of(view).alive, "worker")
    where = f" on {_text(str(view.meta['host']))}" if view.meta.get("host") else ""
    return (
        f"<header><h1>{_text(view.name)}</h1><p>{plural(len(tasks), 'task')}{took}{where}; "
        f'seen {_clock(view.taken_at)} with {workers} alive</p></header>\n<ul class="tiles">{tiles}</ul>'
    )


def _end(task: TaskView, now: float) -> float:
    """When a task ended; for a lost one, its last sign of life."""
    if task.ended is not None:
        return task.ended
    return now if not task.final else task.beat or task.started or now


def _dead(tasks: Sequence[TaskView]) -> str:
    """What died: of many that died of one kind of error, one line with their number, which opens."""
    kinds: dict[tuple[str, str], list[tuple[TaskView, str]]] = {}
    for task in tasks:
        if task.state in ("lost", "failed") or task.workers_lost:
            why = detail(task)
            kinds.setdefault((task.state, _NUMBERS.sub("#", why)), []).append((task, why))
    if not kinds:
        return ""
    groups = sorted(kinds.values(), key=lambda group: (group[0][0].state != "lost", -len(group)))
    rows = "".join(_kind(group) for group in groups[:KINDS_MOST])
    left = sum(map(len, groups[KINDS_MOST:]))
    more = f"<p>and {number(left)} more</p>" if left else ""
    head = '<tr><th>task</th><th>state</th><th>why</th><th class="n">got to</th><th class="n">when</th></tr>'
    return f"<section><h2>What died, and where</h2><table>{head}{rows}</table>{more}</section>"


def _kind(group: Sequence[tuple[TaskView, str]]) -> str:
    task, why = group[0]
    last = _clock(max((task.ended or task.beat or 0.0 for task, _ in group), default=0.0) or None)
    if len(group) == 1:
        got_to = counted(task.count, task.total, _text(task.unit))
        name, reason = _named(task), _text(why)
    else:
        alike = all(one == why for _, one in group)
        told = "".join(
            f"<li>{_named(task)}{'' if alike else f': {_text(one)}'}</li>" for task, one in group[:DEAD_MOST]
        )
        if len(group) > DEAD_MOST:
            told += f"<li>and {number(len(group) - DEAD_MOST)} more</li>"
        got_to, name = "", f"<b>{plural(len(group), 'task')}</b>"
        summary = _text(why) + ("" if alike else " <small>and the like</small>")
        reason = f"<details><summary>{summary}</summary><ul>{told}</ul></details>"
    return (
        f"<tr><td>{name}</td><td>{_word(task)}</td><td>{reason}</td>"
        f'<td class="n">{got_to}</td><td class="n">{last}</td></tr>'
    )


def _worker(task: TaskView) -> int:
    """The process that counted most of the task, else its owner."""
    shares = [share for share in (*task.workers, *task.workers_lost) if share.count]
    return max(shares, key=lambda share: share.count or 0).pid if shares else task.owner_pid


def _tip(task: TaskView, now: float) -> str:
    spent = ", ".join(
        f"{stage.name} {duration((stage.left or _end(task, now)) - stage.entered)}"
        for stage in task.stages
        if stage.entered is not None
    )
    parts = (
        task.label or task.id,
        state(task.state, stalled=task.stalled),
        counted(task.count, task.total, task.unit),
        duration(task.elapsed),
        spent,
    )
    return _text(" · ".join(filter(None, parts)))


def _timeline(view: BoardView, tasks: Sequence[TaskView]) -> str:
    begun = [task for task in tasks if task.started is not None]
    if not begun:
        return ""
    now = view.taken_at
    # If there are too many for one picture, show failed, lost and running ones first, then the longest.
    kept = sorted(begun, key=lambda task: (task.state in ("success", "cancelled"), -task.elapsed))[:BARS_MOST]
    lanes: dict[int, Lane] = {}
    for task in sorted(kept, key=lambda task: (task.started or 0.0, task.serial)):
        start = task.started or 0.0
        inner = [stage.entered for stage in task.stages[1:] if stage.entered is not None]
        lane = lanes.setdefault(_worker(task), Lane())
        lane.add(start, max(_end(task, now), start), inner, _tone(task), _tip(task, now), _named(task))
    names = {worker.pid: worker.name for worker in view.workers}
    told = [(f"pid {pid} {_text(names.get(pid, ''))}".rstrip(), lane) for pid, lane in sorted(lanes.items())]
    left = len(begun) - len(kept)
    more = f"<p>{number(left)} shorter ones are left out.</p>" if left else ""
    return (
        "<section><h2>Timeline</h2><p>One lane per worker: each task is shown with the worker that did most of it. "
        "Thin lines show where a stage began; point at a bar for more."
        f"</p>{more}{_wide('timeline', gantt(told))}</section>"
    )


def _wide(label: str, picture: str) -> str:
    """A picture that scrolls if it does not fit, also with the keyboard."""
    return f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">{picture}</div>'


def _throughput(tasks: Sequence[TaskView]) -> str:
    """The counts over time, by unit. The count of a task without a series is spread evenly over its run.

    A task with children of the same unit counts the same items as they do: these are not added twice.
    """
    wholes = {(task.parent, task.unit) for task in tasks if task.count}
    counted_in: dict[str, list[list[tuple[float, float]]]] = {}
    for task in tasks:
        if task.started is None or task.count - task.base <= 0 or (task.id, task.unit) in wholes:
            continue
        series: Sequence[tuple[float, int]] = getattr(task, "series", ())
        points = [(float(at), float(count)) for at, count in series]
        end = _end(task, task.taken_at)
        if not points:
            points = [(task.started, float(task.base)), (end, float(task.count))]
        counted_in.setdefault(task.unit, []).append(sorted(points))
    pictures = []
    for unit, lines in sorted(counted_in.items(), key=lambda item: -len(item[1]))[:UNITS_MOST]:
        begin, end, rates = spread(lines)
        if rates:
            name = _text(unit) or "items"
            picture = _wide(f"{name} a second", area(begin, end, rates, rate(max(rates))))
            pictures.append(f"<h3>{name} a second</h3>{picture}")
    return f"<section><h2>Throughput</h2>{''.join(pictures)}</section>" if pictures else ""


def _slow(tasks: Sequence[TaskView]) -> str:
    slow = sorted((task for task in tasks if task.started is not None), key=lambda task: -task.elapsed)[:SLOWEST]
    if not slow:
        return ""
    rows = "".join(
        f'<tr><td>{_named(task)}</td><td>{_word(task)}</td><td class="n">{duration(task.elapsed)}</td>'
        f'<td class="n">{counted(task.count, task.total, _text(task.unit))}</td><td>{_longest_stage(task)}</td></tr>'
        for task in slow
    )
    head = '<tr><th>task</th><th>state</th><th class="n">took</th><th class="n">count</th><th>longest stage</th></tr>'
    return f"<section><h2>The slowest tasks</h2><table>{head}{rows}</table></section>"


def _longest_stage(task: TaskView) -> str:
    spent = [
        ((stage.left or _end(task, task.taken_at)) - stage.entered, stage.name)
        for stage in task.stages
        if stage.entered is not None
    ]
    if not spent:
        return ""
    seconds, name = max(spent)
    return f"{_text(name)}, {duration(seconds)}"
