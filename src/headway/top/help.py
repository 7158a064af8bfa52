"""What the keys of `headway top` do."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

__all__ = ["HelpScreen"]

TEXT = """\
up, down, page up, page down, home, end   choose a task; j k g G, too
/        show only tasks with a text in their id or label
escape   show all again
s        sort: tree, state, progress, rate, newest
a        leave out what has ended, or show it
enter    fold the parts of the chosen task, or unfold them
w        hide the workers, or show them
p space  pause, go on
q        quit

In the tree, tasks stand by urgency: what stalls, what runs, what
was lost or failed, what waits, and in the end what succeeded.

escape or ? closes this."""


class HelpScreen(ModalScreen[None]):
    """A page over the tasks."""

    CSS = """
    HelpScreen { align: center middle; }
    #help { width: 72; max-width: 100%; height: auto; max-height: 100%; padding: 0 1; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss", "Close"),
    ]

    def compose(self) -> ComposeResult:
        """The text."""
        with VerticalScroll(id="help"):
            yield Static(TEXT, markup=False)
