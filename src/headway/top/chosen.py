"""The lower half of the screen: all about the chosen task, and the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from headway.tasks.states import STATES, WRONG_STATES
from headway.terminal.row import detail
from headway.terminal.text import cut, pad, safe
from headway.top.table import COLOURS
from headway.views.task_view import TaskView
from headway.views.words import counted, duration, measured, number, plural, state
from headway.views.workers import KINDS, Workers, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from headway.terminal.row import Style
    from headway.views.board_view import BoardView

__all__ = ["crowd", "told"]

WORKERS_MOST = 200
STAGE_CELLS = 24
WRONG_MOST = 1000  # tasks that are looked at for what went wrong
KINDS_MOST = 8
_TONES = {"working": "running", "idle": "pending"}
_WRONG = [STATES.index(state) for state in WRONG_STATES]


def told(task: TaskView, style: Style) -> Text:
    """All about one task: its numbers, its stages with the time that each took, its error."""
    tone = "stalled" if task.stalled else task.state
    shown = _shower(style)
    text = Text(no_wrap=True, overflow="crop")
    text.append(shown(task.id), COLOURS["bold"]).append("  ").append(
        state(task.state, stalled=task.stalled), COLOURS[tone]
    )
    text.append(f"  {counted(task.count, task.total, shown(task.unit))}  pid {task.owner_pid}")
    if task.started is not None:
        text.append(f"  {duration(task.elapsed)}")
    if why := detail(task, style.encoding):
        text.append(f"\n{hook(style)}{why}", COLOURS[tone])
    if task.message:
        text.append(f"\n{shown(task.message)}")
    if task.metrics:
        text.append(
            "\n" + "  ".join(f"{shown(name)} {measured(value)}" for name, value in task.metrics.items()), COLOURS["dim"]
        )
    for line in _stages(task, style):
        text.append_text(line)
    return text


def hook(style: Style) -> str:
    """What comes before the reason of an end."""
    return "↳ " if style.unicode else "-> "


def _shower(style: Style) -> Callable[[str], str]:
    return lambda text: safe(text, style.encoding)


def _stages(task: TaskView, style: Style) -> Iterable[Text]:
    """A line for each stage, the present one first: the pane may be small."""
    shown = _shower(style)
    spent = [
        (shown(stage.name), (stage.left if stage.left is not None else task.taken_at) - stage.entered)
        for stage in task.stages
        if stage.entered is not None
    ]
    whole = sum(max(seconds, 0.0) for _, seconds in spent) or 1.0
    full = "█" if style.unicode else "#"
    lines, begun = [], 0.0
    for name, seconds in spent:
        start = min(int(begun / whole * STAGE_CELLS), STAGE_CELLS - 1)
        cells = max(1, min(round(seconds / whole * STAGE_CELLS), STAGE_CELLS - start))
        line = Text(f"\n{pad(cut(name, 16, style.ellipsis), 16)} ", COLOURS["running"])
        line.append((" " * start + full * cells).ljust(STAGE_CELLS)).append(f" {duration(seconds)}", COLOURS["dim"])
        lines.append(line)
        begun += max(seconds, 0.0)
    return reversed(lines)


def wrong(view: BoardView, style: Style) -> Text:
    """What went wrong on the board: each reason once, with the number of its tasks, the most frequent first."""
    array = view.array
    numbers = np.flatnonzero(np.isin(array["state"], _WRONG))
    text = Text(no_wrap=True, overflow="crop")
    if not len(numbers):
        return text
    reasons: dict[str, int] = {}
    for record in numbers[-WRONG_MOST:].tolist():
        why = detail(TaskView.from_raw(view.raw, record), style.encoding)
        reasons[why] = reasons.get(why, 0) + 1
    text.append(f"\n{plural(len(numbers), 'task')} went wrong", COLOURS["failed"])
    ordered = sorted(reasons, key=lambda why: -reasons[why])
    for why in ordered[:KINDS_MOST]:
        text.append(f"\n{number(reasons[why]):>6} × " if style.unicode else f"\n{number(reasons[why]):>6} x ")
        text.append(why or "no reason given")
    if len(ordered) > KINDS_MOST:
        text.append(f"\nand {number(len(ordered) - KINDS_MOST)} more reasons", COLOURS["dim"])
    return text


def crowd(view: BoardView, style: Style, chosen: str = "") -> Text:
    """The workers: first those of the chosen task, then those that died, then those that hang."""
    shown = _shower(style)
    kinds = {one.incarnation: kind_of(one) for one in view.workers}
    workers = sorted(
        (one for one in view.workers if kinds[one.incarnation] != "gone"),
        key=lambda one: (chosen not in one.tasks, KINDS.index(kinds[one.incarnation]), one.pid),
    )
    text = Text(no_wrap=True, overflow="crop")
    counts = Workers.of(view)
    text.append(plural(counts.alive, "worker"), COLOURS["bold"])
    if counts.died:
        text.append(f", {number(counts.died)} died", COLOURS["lost"])
    for one in workers[:WORKERS_MOST]:
        word = kinds[one.incarnation]
        tone = _TONES.get(word, word)
        spent = (
            one.idle if one.item_seconds is None else one.item_seconds
        )  # since it counted, or at what it has in hand
        seen = "" if spent is None else duration(spent, whole=True)
        text.append(f"\n{one.pid:>8} ", COLOURS["bold" if chosen in one.tasks else ""])
        text.append(f"{word:8}", COLOURS[tone]).append(f"{seen:>8} ", COLOURS["dim"])
        if one.item:  # before the tasks: the pane may be narrow
            text.append(f"{shown(one.item)}  ")
        text.append(shown(", ".join(one.tasks[:3]) or one.name), COLOURS["dim" if one.item else ""])
    if len(workers) > WORKERS_MOST:
        text.append(f"\nand {number(len(workers) - WORKERS_MOST)} more", COLOURS["dim"])
    return text
