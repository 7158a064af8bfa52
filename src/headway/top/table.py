"""The tasks of a board as a list. Only the visible lines are made, however many tasks there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from headway.terminal.row import Piece, Style, line_of, row_of, widths_of
from headway.terminal.text import cut, width
from headway.top.order import Order
from headway.views.board_view import TaskView

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual import events

    from headway.views.board_view import BoardView

__all__ = ["COLOURS", "TaskTable", "strip_of"]

COLOURS = {
    "pending": RichStyle(dim=True),
    "running": RichStyle(color="#50bec8"),  # not by name: in Textual's theme lost and failed would look the same
    "stalled": RichStyle(color="#ebbe6e"),
    "success": RichStyle(color="#73b276"),
    "failed": RichStyle(color="#f07178", bold=True),
    "cancelled": RichStyle(color="#ebbe6e"),
    "lost": RichStyle(color="#d08aec", bold=True),
    "bold": RichStyle(bold=True),
    "dim": RichStyle(dim=True),
    "": RichStyle(),
}
_CHOSEN = RichStyle(bgcolor="#3a4654", bold=True)


def strip_of(pieces: Iterable[Piece], columns: int, style: Style | None = None, *, chosen: bool = False) -> Strip:
    """Pieces as one line of exactly this number of columns."""
    segments = []
    ellipsis = (style or Style()).ellipsis
    left = columns
    for text, colour in pieces:
        shown = cut(text, left, ellipsis)
        left -= width(shown)
        tone = COLOURS.get(colour, RichStyle())
        segments.append(Segment(shown, tone + _CHOSEN if chosen else tone))
        if left <= 0:
            break
    segments.append(Segment(" " * max(left, 0), _CHOSEN if chosen else RichStyle()))
    return Strip(segments, columns)


class TaskTable(ScrollView, can_focus=True, inherit_bindings=False):
    """One line a task. The chosen task stays chosen when others come, go, or change places."""

    class Chosen(Message):
        """Another task was chosen."""

    def __init__(self, style: Style, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._style = style
        self.order = Order(unicode=style.unicode)
        self.view: BoardView | None = None
        self.chosen = ""
        self._at = 0
        self._moved = False  # until somebody chooses a task, the first line is the chosen one
        self._strips: dict[int, Strip] = {}

    def show(self, view: BoardView) -> None:
        """Show another view. Of its tasks only the visible ones are decoded."""
        self.view = view
        self.order.update(view)
        numbers = self.order.numbers
        if not self._moved:
            self._at = 0
        elif self.chosen and len(numbers) and not self._is_chosen_at(self._at):
            ids = map(self.order.id, numbers.tolist())
            self._at = next((at for at, id in enumerate(ids) if id == self.chosen), self._at)
        self._at = max(0, min(self._at, len(numbers) - 1))
        self._note_chosen()
        size = Size(self.scrollable_content_region.width, len(numbers))
        if size != self.virtual_size:
            self.virtual_size = size
        self._strips = {}
        self.refresh()

    def _is_chosen_at(self, at: int) -> bool:
        numbers = self.order.numbers
        return at < len(numbers) and self.order.id(int(numbers[at])) == self.chosen

    def _note_chosen(self) -> None:
        numbers = self.order.numbers
        before = self.chosen
        self.chosen = self.order.id(int(numbers[self._at])) if len(numbers) else ""
        if self.chosen != before:
            self.post_message(self.Chosen())

    @property
    def task_chosen(self) -> TaskView | None:
        """What the chosen task shows."""
        numbers = self.order.numbers
        return self._decoded(int(numbers[self._at])) if self.view is not None and len(numbers) else None

    def _decoded(self, number: int) -> TaskView:
        assert self.view is not None
        return TaskView.from_raw(self.view.raw, number)

    def render_line(self, y: int) -> Strip:
        """Render one line of the window."""
        columns = self.scrollable_content_region.width
        if not self._strips:
            self._strips = self._window(columns)
        return self._strips.get(y, Strip.blank(columns))

    def _window(self, columns: int) -> dict[int, Strip]:
        first = int(self.scroll_offset.y)
        height = self.scrollable_content_region.height
        if self.view is None or columns <= 0:
            return {}
        style = self._style
        rows = []
        for number in self.order.numbers[first : first + height].tolist():
            row = row_of(self._decoded(number), style)
            indent = "  " * min(self.order.depth(number), 20)
            rows.append(row._replace(label=indent + self.order.mark(number) + row.label))
        widths = widths_of(rows, columns, style)
        return {
            at: strip_of(line_of(row, widths, style), columns, style, chosen=first + at == self._at)
            for at, row in enumerate(rows)
        }

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other lines have become visible."""
        super().watch_scroll_y(old_value, new_value)
        self._strips = {}
        self.refresh()

    def on_resize(self) -> None:
        """Make the lines again for the new width."""
        self._strips = {}
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.order.numbers))

    def on_click(self, event: events.Click) -> None:
        """Choose what was clicked."""
        self.move(int(self.scroll_offset.y) + event.y - self._at)

    def move(self, by: int) -> None:
        """Choose the task this many lines below."""
        self._moved = True
        self._at = max(0, min(self._at + by, len(self.order.numbers) - 1))
        self._note_chosen()
        self._strips = {}
        self.scroll_to_region(Region(0, self._at, 1, 1), animate=False)
        self.refresh()

    def fold(self) -> None:
        """Hide or show the parts of the chosen task."""
        self._moved = True
        self.order.collapsed ^= {self.chosen}
        if self.view is not None:
            self.show(self.view)
