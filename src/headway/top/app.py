"""`headway top`: one board, full screen. Needs the extra `terminal`; `headway watch` is the plain variant."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Footer, Input, Static

from headway.terminal.plain import summary
from headway.terminal.row import Style, detail
from headway.terminal.text import cut, pad, safe
from headway.top.follow import Follow, Seen
from headway.top.order import SORTS
from headway.top.table import COLOURS, TaskTable
from headway.views.words import counted, duration, measured, number, state

if TYPE_CHECKING:
    from headway.views.board_view import BoardView, TaskView

__all__ = ["TopApp"]

INTERVAL_S = 0.2
WORKERS_S = 1.0
WORKERS_MOST = 200
STAGE_CELLS = 24


class TopApp(App[None]):
    """One board: its tasks as a tree, its workers, and the stages of the chosen task."""

    TITLE = "headway top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { height: 1; }
    #needle { display: none; height: 1; border: none; }
    #needle.asked { display: block; }
    #tasks { height: 1fr; overflow-x: hidden; }
    #below { height: 10; border-top: solid $secondary; }
    #detail { width: 3fr; padding: 0 1 0 0; }
    #workers { width: 2fr; border-left: solid $secondary; padding: 0 0 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "ask", "Filter"),
        Binding("escape", "clear", "Clear", show=False),
        Binding("s", "sort", "Sort"),
        Binding("a", "ended", "Ended on/off"),
        Binding("p,space", "pause", "Pause"),
        Binding("enter", "fold", "Fold"),
        Binding("w", "workers", "Workers on/off"),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "move(-1000000000)", "First", show=False),
        Binding("end,G", "move(1000000000)", "Last", show=False),
        Binding("q,ctrl+c", "quit", "Quit"),
    ]

    def __init__(self, name: str) -> None:
        super().__init__()
        self._follow = Follow(name)
        self._look = Seen(None, "waiting")
        self._paused = False
        self._looks = 0
        self.tasks = TaskTable(id="tasks")
        self._head = Static(id="head", markup=False)
        self._stages = Static(id="stages", markup=False)
        self._crowd = Static(id="crowd", markup=False)
        self._needle = Input(placeholder="part of an id or label", id="needle", compact=True)

    def compose(self) -> ComposeResult:
        """The parts of the screen, from top to bottom."""
        yield self._head
        yield self._needle
        yield self.tasks
        with Horizontal(id="below"):
            with VerticalScroll(id="detail", can_focus=False):
                yield self._stages
            with VerticalScroll(id="workers", can_focus=False):
                yield self._crowd
        yield Footer()

    def on_mount(self) -> None:
        """Start looking at the board."""
        self.tasks.focus()
        self._tick()
        self.set_interval(INTERVAL_S, self._tick)

    def on_unmount(self) -> None:
        """Close the board."""
        self._follow.close()

    # ------------------------------------------------------------------------------------------------------- looking

    def _tick(self) -> None:
        if self._paused:
            return
        before, self._look = self._look.view, self._follow.look()
        view = self._look.view
        if view is not None and view is not before:
            self.tasks.show(view)
            if self._looks % round(WORKERS_S / INTERVAL_S) == 0:
                self._crowd.update(_crowd(view))
            self._looks += 1
        self._draw_head()
        self._draw_chosen()

    def _draw_head(self) -> None:
        look, tasks = self._look, self.tasks
        head = Text(no_wrap=True, overflow="ellipsis")
        told = [] if look.state == "live" else [f"{look.state.upper()}: {safe(look.told)}" if look.told else look.state]
        told += ["PAUSED"] if self._paused else []
        for text in told:
            head.append(f"{text}  ", COLOURS["stalled"])
        if look.view is None:
            head.append(safe(self._follow.name), COLOURS["bold"])
        else:
            for text, colour in summary(look.view, Style(colour=True)):
                head.append(text, COLOURS.get(colour, ""))
        order = tasks.order
        shown = [f"sort: {order.sort}"] + (["ended left out"] if order.open_only else [])
        shown += [f"filter: {safe(order.needle)} ({number(len(order.numbers))})"] if order.needle else []
        head.append("  " + ", ".join(shown), COLOURS["dim"])
        self._head.update(head)

    def _draw_chosen(self) -> None:
        task = self.tasks.task_chosen
        self._stages.update(Text("no task") if task is None else _chosen(task))

    def on_task_table_chosen(self) -> None:
        """Another task was chosen."""
        self._draw_chosen()

    def _again(self) -> None:
        """Show the same view with the present sort order and filter."""
        if self._look.view is not None:
            self.tasks.show(self._look.view)
        self._draw_head()
        self._draw_chosen()

    # ---------------------------------------------------------------------------------------------------------- keys

    def action_move(self, by: int) -> None:
        """Choose another task."""
        self.tasks.move(by)

    def action_page(self, by: int) -> None:
        """Choose the task a page up or down."""
        self.tasks.move(by * max(self.tasks.size.height - 1, 1))

    def action_sort(self) -> None:
        """Change to the next sort order."""
        order = self.tasks.order
        order.sort = SORTS[(SORTS.index(order.sort) + 1) % len(SORTS)]
        self._again()

    def action_ended(self) -> None:
        """Hide or show tasks that have ended."""
        self.tasks.order.open_only ^= True
        self._again()

    def action_fold(self) -> None:
        """Hide or show the parts of the chosen task."""
        self.tasks.fold()

    def action_workers(self) -> None:
        """Hide or show the workers."""
        pane = self.query_one("#workers")
        pane.display = not pane.display

    def action_pause(self) -> None:
        """Pause, or go on."""
        self._paused ^= True
        self._draw_head()

    def action_ask(self) -> None:
        """Ask for a filter."""
        self._needle.add_class("asked")
        self._needle.focus()

    def action_clear(self) -> None:
        """Remove the filter."""
        self._needle.value = ""
        self._done_asking()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Apply the filter while it is typed."""
        self.tasks.order.needle = event.value
        self._again()

    def on_input_submitted(self) -> None:
        """Keep the filter."""
        self._done_asking()

    def _done_asking(self) -> None:
        self._needle.remove_class("asked")
        self.tasks.focus()


def _chosen(task: TaskView) -> Text:
    """All about one task: its numbers, its stages with the time that each took, its error."""
    tone = "stalled" if task.stalled else task.state
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(safe(task.id), COLOURS["bold"]).append("  ").append(
        state(task.state, stalled=task.stalled), COLOURS[tone]
    )
    text.append(f"  {counted(task.count, task.total, safe(task.unit))}  pid {task.owner_pid}")
    if task.started is not None:
        text.append(f"  {duration(task.elapsed)}")
    if why := detail(task):
        text.append(f"\n↳ {safe(why)}", COLOURS[tone])
    if task.message:
        text.append(f"\n{safe(task.message)}")
    if task.metrics:
        text.append(
            "\n" + "  ".join(f"{safe(name)} {measured(value)}" for name, value in task.metrics.items()), COLOURS["dim"]
        )
    spent = [
        (safe(stage.name), (stage.left if stage.left is not None else task.taken_at) - stage.entered)
        for stage in task.stages
        if stage.entered is not None
    ]
    whole = sum(max(seconds, 0.0) for _, seconds in spent) or 1.0
    lines, begun = [], 0.0
    for name, seconds in spent:
        start = min(int(begun / whole * STAGE_CELLS), STAGE_CELLS - 1)
        cells = max(1, min(round(seconds / whole * STAGE_CELLS), STAGE_CELLS - start))
        line = Text(f"\n{pad(cut(name, 16), 16)} ", COLOURS["running"])
        line.append((" " * start + "█" * cells).ljust(STAGE_CELLS)).append(f" {duration(seconds)}", COLOURS["dim"])
        lines.append(line)
        begun += max(seconds, 0.0)
    for line in reversed(lines):  # the present one first: the pane may be small
        text.append_text(line)
    return text


def _crowd(view: BoardView) -> Text:
    """The workers: first those that died, then those that hang."""
    workers = sorted(view.workers, key=lambda one: (one.alive, not one.stalled, not one.tasks, one.pid))
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{number(len(workers))} workers", COLOURS["bold"])
    for one in workers[:WORKERS_MOST]:
        state = "lost" if not one.alive else "stalled" if one.stalled else "running" if one.tasks else "pending"
        word = {"pending": "idle"}.get(state, state)
        seen = "" if one.idle is None else duration(one.idle, whole=True)
        text.append(f"\n{one.pid:>8} ").append(f"{word:8}", COLOURS[state]).append(f"{seen:>8} ", COLOURS["dim"])
        text.append(safe(", ".join(one.tasks[:3]) or one.name))
    if len(workers) > WORKERS_MOST:
        text.append(f"\nand {number(len(workers) - WORKERS_MOST)} more", COLOURS["dim"])
    return text
