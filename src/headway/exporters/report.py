"""A run as one self-contained page of HTML: timeline, throughput, what died and where, what was slow.

A pure function of a view of the board and tasks of its history. The page has no script, and every text of the program
is escaped; pictures are SVG, their tooltips are <title> elements.
"""

from __future__ import annotations

import base64
import hashlib
import time
from html import escape
from typing import TYPE_CHECKING

from headway.exporters._gathered import BARS_MOST, BINS, Gathered, end_of
from headway.exporters._plots import Lane, area, colour_class, gantt
from headway.tasks.states import STATES
from headway.terminal.text import safe
from headway.views.words import counted, duration, number, plural, rate, state, tally
from headway.views.workers import Workers

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from headway.exporters._gathered import Kind
    from headway.files.history import PastTask
    from headway.files.query import Query
    from headway.views.board_view import BoardView, TaskView

__all__ = ["report", "report_of"]

KINDS_MOST = 100
UNITS_MOST = 3

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
    """The page. past: runs of the history; of those that are also on the board, their series."""
    runs = list(past)
    wholes = {(task.parent, task.unit) for task in (*runs, *view) if task.count}
    gathered = Gathered(view.taken_at, wholes)
    for run in runs:
        gathered.add(run, former=run.uuid != view.uuid)
    known = {(run.serial, run.started) for run in runs if run.uuid == view.uuid}
    for task in view:
        if (task.serial, task.started) not in known:
            gathered.add(task)
    return _page(view, gathered)


def report_of(view: BoardView, directory: str | os.PathLike[str], asked: Query) -> str:
    """The page of a board and of the runs of its history that fit, of which there may be any number.

    Raises as `headway.files.history.read` does.
    """
    from headway.files import sums

    begun = [(task.started, end_of(task, view.taken_at)) for task in view if task.started is not None]
    begin = min((began for began, _ in begun), default=None)
    board = sums.Board(view.uuid, view, begin, max((ended for _, ended in begun), default=None))
    found = sums.summed(directory, asked, board, longest=BARS_MOST, intervals=BINS)
    gathered = Gathered(view.taken_at, found.wholes)
    for run in sums.whole(directory, found.rest):
        gathered.add(run, former=run.uuid != view.uuid)
    for task in view:
        if (task.serial, task.started) not in found.known:
            gathered.add(task)
    gathered.add_sums(found)
    return _page(view, gathered)


def _page(view: BoardView, gathered: Gathered) -> str:
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    parts = (
        _head(view, gathered),
        _dead(gathered),
        _timeline(view, gathered),
        _throughput(gathered),
        _slow(gathered),
    )
    body = "\n".join(filter(None, parts))
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


def _head(view: BoardView, gathered: Gathered) -> str:
    counts = view.counts + gathered.former
    tiles = "".join(
        f'<li class="{name}"><b>{number(counts[name])}</b>{told.partition(" ")[2]}</li>'
        for name, told in tally(counts).items()
    )
    begin, end = gathered.begin, gathered.end
    took = "" if begin is None or end is None else f", {duration(end - begin)} from {_clock(begin)}"
    workers = plural(Workers.of(view).alive, "worker")
    where = f" on {_text(str(view.meta['host']))}" if view.meta.get("host") else ""
    return (
        f"<header><h1>{_text(view.name)}</h1><p>{plural(counts.total, 'task')}{took}{where}; "
        f'seen {_clock(view.taken_at)} with {workers} alive</p></header>\n<ul class="tiles">{tiles}</ul>'
    )


def _dead(gathered: Gathered) -> str:
    """What died: of many that died of one kind of error, one line with their number, which opens."""
    if not gathered.kinds:
        return ""
    kinds = sorted(gathered.kinds.values(), key=lambda kind: (kind.first.state != "lost", -kind.count))
    rows = "".join(map(_kind, kinds[:KINDS_MOST]))
    left = sum(kind.count for kind in kinds[KINDS_MOST:]) + gathered.dead_of_more_kinds
    more = f"<p>and {number(left)} more</p>" if left else ""
    head = '<tr><th>task</th><th>state</th><th>why</th><th class="n">got to</th><th class="n">when</th></tr>'
    return f"<section><h2>What died, and where</h2><table>{head}{rows}</table>{more}</section>"


def _kind(kind: Kind) -> str:
    task, why = kind.first, kind.why
    if kind.count == 1:
        got_to = counted(task.count, task.total, _text(task.unit))
        name, reason = _named(task), _text(why)
    else:
        told = "".join(
            f"<li>{_text(one.name)}{'' if kind.alike else f': {_text(one.why)}'}</li>" for one in sorted(kind.named)
        )
        if kind.count > len(kind.named):
            told += f"<li>and {number(kind.count - len(kind.named))} more</li>"
        got_to, name = "", f"<b>{plural(kind.count, 'task')}</b>"
        summary = _text(why) + ("" if kind.alike else " <small>and the like</small>")
        reason = f"<details><summary>{summary}</summary><ul>{told}</ul></details>"
    return (
        f"<tr><td>{name}</td><td>{_word(task)}</td><td>{reason}</td>"
        f'<td class="n">{got_to}</td><td class="n">{_clock(kind.last or None)}</td></tr>'
    )


def _worker(task: TaskView) -> int:
    """The process that counted most of the task, else its owner."""
    shares = [share for share in (*task.workers, *task.workers_lost) if share.count]
    return max(shares, key=lambda share: share.count or 0).pid if shares else task.owner_pid


def _tip(task: TaskView, now: float) -> str:
    spent = ", ".join(
        f"{stage.name} {duration((stage.left or end_of(task, now)) - stage.entered)}"
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


def _timeline(view: BoardView, gathered: Gathered) -> str:
    if not gathered.begun:
        return ""
    now = view.taken_at
    kept = gathered.bars.tasks()  # if there are too many for one picture, those that went wrong, then the longest
    lanes: dict[int, Lane] = {}
    for task in sorted(kept, key=lambda task: (task.started or 0.0, task.serial)):
        start = task.started or 0.0
        inner = [stage.entered for stage in task.stages[1:] if stage.entered is not None]
        lane = lanes.setdefault(_worker(task), Lane())
        lane.add(start, max(end_of(task, now), start), inner, _tone(task), _tip(task, now), _named(task))
    names = {worker.pid: worker.name for worker in view.workers}
    told = [(f"pid {pid} {_text(names.get(pid, ''))}".rstrip(), lane) for pid, lane in sorted(lanes.items())]
    left = gathered.begun - len(kept)
    more = f"<p>{number(left)} shorter ones are left out.</p>" if left else ""
    return (
        "<section><h2>Timeline</h2><p>One lane per worker: each task is shown with the worker that did most of it. "
        "Thin lines show where a stage began; point at a bar for more."
        f"</p>{more}{_wide('timeline', gantt(told))}</section>"
    )


def _wide(label: str, picture: str) -> str:
    """A picture that scrolls if it does not fit, also with the keyboard."""
    return f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">{picture}</div>'


def _throughput(gathered: Gathered) -> str:
    """The counts over time, by unit."""
    pictures = []
    begin, end = gathered.axis or (gathered.begin or 0.0, gathered.end or 0.0)
    for unit, grown in sorted(gathered.throughput.items(), key=lambda item: -item[1].tasks)[:UNITS_MOST]:
        rates = grown.spread(begin, end)
        if rates:
            name = _text(unit) or "items"
            picture = _wide(f"{name} a second", area(begin, end, rates, rate(max(rates))))
            pictures.append(f"<h3>{name} a second</h3>{picture}")
    return f"<section><h2>Throughput</h2>{''.join(pictures)}</section>" if pictures else ""


def _slow(gathered: Gathered) -> str:
    slow = gathered.slow.tasks()
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
        ((stage.left or end_of(task, task.taken_at)) - stage.entered, stage.name)
        for stage in task.stages
        if stage.entered is not None
    ]
    if not spent:
        return ""
    seconds, name = max(spent)
    return f"{_text(name)}, {duration(seconds)}"
