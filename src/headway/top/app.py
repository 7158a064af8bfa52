"""`headway top`: one board, full screen. Needs the extra `terminal`; `headway watch` is the plain variant."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Footer, Input, Static
from textual.widgets._footer import FooterKey

from headway.terminal.plain import summary
from headway.terminal.row import Style
from headway.terminal.text import safe, width
from headway.top import chosen
from headway.top.follow import Follow, Seen
from headway.top.help import HelpScreen
from headway.top.order import SORTS
from headway.top.table import COLOURS, TaskTable
from headway.views.words import number

if TYPE_CHECKING:
    from textual import events
    from textual.geometry import Size

    from headway.views.board_view import BoardView


class Keys(Footer):
    """The keys, as many as fit whole."""

    def compose(self) -> ComposeResult:
        """What the last key needs, and the space before it."""
        left = self.app.size.width
        for key in super().compose():
            if isinstance(key, FooterKey):
                left -= width(key.key_display) + width(key.description) + 3
                if left < -1:  # a space at the end of the line may be cut
                    return
            yield key


class Look(Protocol):
    """What shows a board again and again: see headway.top.follow."""

    name: str

    def look(self) -> Seen:
        """The board as it is now."""

    def close(self) -> None:
        """Close the board."""


__all__ = ["TopApp"]

INTERVAL_S = 0.2
WORKERS_S = 1.0
# What a small terminal leaves out, and how much of a large one the lower half gets.
BELOW_ROWS_LEAST, WORKERS_COLUMNS_LEAST = 16, 80
BELOW_SHARE, BELOW_LEAST, BELOW_MOST = 0.4, 6, 16
HEAD_AND_KEYS = 2  # rows


class TopApp(App[None]):
    """One board: its tasks as a tree, its workers, and the stages of the chosen task."""

    TITLE = "headway top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { height: 1; }
    #head, #crowd { text-wrap: nowrap; text-overflow: ellipsis; }
    #needle { display: none; height: 1; border: none; }
    #needle.asked { display: block; }
    #tasks { height: 1fr; overflow-x: hidden; }
    #below { border-top: solid $secondary; }
    #detail { width: 3fr; padding: 0 1 0 0; }
    #workers { width: 2fr; border-left: solid $secondary; padding: 0 0 0 1; }
    .ascii #head, .ascii #crowd { text-overflow: clip; }
    .ascii #below { border-top: ascii $secondary; }
    .ascii #workers { border-left: ascii $secondary; }
    .ascii * { scrollbar-size: 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "quit", "Quit"),  # these two first: a narrow terminal leaves out the rest
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("slash", "ask", "Filter"),
        Binding("escape", "clear", "Clear", show=False),
        Binding("s", "sort", "Sort"),
        Binding("a", "ended", "Ended on/off"),
        Binding("p,space", "pause", "Pause"),
        Binding("enter", "fold", "Fold", key_display="enter"),
        Binding("w", "workers", "Workers on/off"),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "move(-1000000000)", "First", show=False),
        Binding("end,G", "move(1000000000)", "Last", show=False),
    ]

    def __init__(self, name: str, *, style: Style | None = None, follow: Look | None = None) -> None:
        super().__init__()
        self._follow = follow or Follow(name)
        self._style = style or Style(colour=True)
        self._workers_wanted = True
        self._crowd_of = ""
        self._needed = 0  # rows of the lower half
        self._look = Seen(None, "waiting")
        self._paused = False
        self._looks = 0
        self.tasks = TaskTable(self._style, id="tasks")
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
        yield Keys()

    def on_mount(self) -> None:
        """Start looking at the board."""
        self.set_class(not self._style.unicode, "ascii")
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
                self._draw_crowd(view)
            self._looks += 1
        self._draw_head()
        self._draw_chosen()

    def _draw_head(self) -> None:
        look, tasks = self._look, self.tasks
        head = Text(no_wrap=True, overflow="ellipsis" if self._style.unicode else "crop")
        told = [] if look.state == "live" else [f"{look.state.upper()}: {safe(look.told)}" if look.told else look.state]
        told += ["PAUSED"] if self._paused else []
        for text in told:
            head.append(f"{text}  ", COLOURS["stalled"])
        if look.view is None:
            head.append(safe(self._follow.name), COLOURS["bold"])
        else:
            for text, colour in summary(look.view, self._style):
                head.append(text, COLOURS.get(colour, ""))
        order = tasks.order
        shown = [f"sort: {order.sort}"] + (["ended left out"] if order.open_only else [])
        shown += [f"filter: {safe(order.needle)} ({number(len(order.numbers))})"] if order.needle else []
        head.append("  " + ", ".join(shown), COLOURS["dim"])
        self._head.update(head)

    def _draw_chosen(self) -> None:
        task, view = self.tasks.task_chosen, self._look.view
        if task is None or view is None:
            self._stages.update(_nothing(view, self.tasks.order.needle))
            return
        told = chosen.told(task, self._style).append_text(chosen.wrong(view, self._style))
        self._stages.update(told)
        columns = self._stages.size.width or self.size.width
        self._need(sum(max(1, -(-width(line) // columns)) for line in told.plain.splitlines()))
        if self._crowd_of != task.id:
            self._draw_crowd(view)

    def _draw_crowd(self, view: BoardView) -> None:
        self._crowd_of = self.tasks.chosen
        told = chosen.crowd(view, self._style, self._crowd_of)
        self._crowd.update(told)
        if self._workers_wanted:
            self._need(len(told.plain.splitlines()))

    def _need(self, rows: int) -> None:
        """Have the lower half as large as the longest text so far: it does not jump when another task is chosen."""
        self._needed = max(self._needed, 1 + rows)  # and the line above it
        self._share_room(self.size)

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
        self._workers_wanted ^= True
        self._share_room(self.size)

    async def action_help(self) -> None:
        """Say what the keys do."""
        await self.push_screen(HelpScreen())

    def on_resize(self, event: events.Resize) -> None:
        """Share the room anew."""
        if not self.query("#workers"):  # the first size may be told before all parts are there
            self.call_after_refresh(self.on_resize, event)
            return
        self._needed = 0
        self._share_room(event.size)
        self.query_one(Keys).refresh(recompose=True)

    def _share_room(self, size: Size) -> None:
        """What is shown below the tasks, in a terminal of this size."""
        if not self.query("#workers"):
            return  # not all parts are there yet: on_resize comes again when they are
        below = self.query_one("#below")
        below.display = size.height >= BELOW_ROWS_LEAST
        most = max(BELOW_LEAST, min(int(size.height * BELOW_SHARE), BELOW_MOST))
        spare = size.height - HEAD_AND_KEYS - len(self.tasks.order.numbers)  # what the tasks leave
        below.styles.height = max(BELOW_LEAST, min(self._needed, max(most, spare)))
        self.query_one("#workers").display = self._workers_wanted and size.width >= WORKERS_COLUMNS_LEAST

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


def _nothing(view: BoardView | None, needle: str) -> Text:
    """What to say where there is no task to tell of."""
    if view is None:
        return Text("nothing to show yet")
    return Text(f"no task has {safe(needle)} in its id or label" if needle else "no task on this board", COLOURS["dim"])
