"""Tasks of rich's Progress mirrored as tasks on a board: in the class of all of them."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from rich import progress as library

from headway.bars.loop import running
from headway.integrations.home import begun, give_up
from headway.integrations.mirror import Mirror, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.engine.board import Board

__all__ = ["install", "uninstall"]

ID = "rich"
TOLD = "bars of rich are not mirrored to the end"

_chosen: str | Board | None = None
_originals: dict[str, Any] = {}  # methods of Progress, while ours are in their place


def install(board: str | Board | None = None) -> None:
    """Mirror every task of rich.progress that this process adds from now on, also by `track`. Again: changes the board.

    board: a board, or its name, for bars that are in no task's block and in no loop; default: what `headway.track`
    would take. Raises nothing: where no board can be had, the first bar warns.
    """
    global _chosen
    _chosen = board
    if not _originals:
        for name, hook in HOOKS.items():
            original = _originals[name] = getattr(library.Progress, name)
            setattr(library.Progress, name, _method(hook, original))


def uninstall() -> None:
    """Mirror no more bars of rich; tasks of those that are open are cancelled."""
    for name, original in _originals.items():
        setattr(library.Progress, name, original)
    _originals.clear()
    for loop in running():
        if isinstance(loop, _Bar):
            loop.finish("cancelled", "no longer mirrored")


def _method(hook: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return hook(original, self, *args, **kwargs)

    return method


class _Bar(Mirror):
    """A task of rich."""

    seen = 0
    """How many of its items are counted."""
    is_complete = False
    """Whether it was ended because it reached its total."""

    def follow(self, progress: Any, shown: Any) -> None:
        """Count and write what the task of rich shows. shown: that task."""
        if self._pid != os.getpid() or (self.ended and not self.is_complete):
            return
        done = shown.total is not None and shown.completed >= shown.total
        if self.ended and not (done or self._revived()):
            return
        with vars(progress)["_lock"]:  # of two threads that come here, each counts what the other one has not
            items = whole(shown.completed)
            missing, self.seen = (0, self.seen) if items is None else (items - self.seen, items)
        if missing:
            self.task.update(missing)
        self.measure({name: value for name, value in shown.fields.items() if isinstance(value, int | float)}, None)
        self.show(shown.total, _label(shown.description) or "", None)
        if done and not self.ended:
            self.is_complete = True
            self.finish("success", None)

    def _revived(self) -> bool:
        """It was complete, and goes on: it was reset, or its total has grown."""
        if not self.task._again():
            return False
        self.seen, self.is_complete, self._ended = 0, False, False
        self.begin(self._label)
        return True


def _label(description: Any) -> str | None:
    """A description without its colours."""
    from rich.errors import MarkupError
    from rich.text import Text

    try:
        plain = Text.from_markup(str(description)).plain
    except MarkupError:
        plain = str(description)
    return plain.strip().removesuffix("...").rstrip(":").rstrip() or None


def _bars(progress: Any) -> dict[Any, _Bar]:
    """The mirrors of its tasks, by their number there."""
    found: dict[Any, _Bar] = vars(progress).setdefault("_headway", {})
    return found


def _follow(progress: Any, number: Any) -> None:
    try:
        bar, shown = _bars(progress).get(number), progress._tasks.get(number)
        if bar is not None and shown is not None:
            bar.follow(progress, shown)
    except Exception as error:
        give_up(error, TOLD)


# ------------------------------------------------------------------------------------------- in place of its methods


def _add_task(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
    number = original(self, *args, **kwargs)
    try:
        if not self.disable:
            bar = begun(_Bar, ID, _label(self._tasks[number].description), "it", _chosen)
            if bar is not None:
                _bars(self)[number] = bar
                _follow(self, number)
    except Exception as error:
        give_up(error, TOLD)
    return number


def _change(original: Any, self: Any, task_id: Any, *args: Any, **kwargs: Any) -> Any:
    answer = original(self, task_id, *args, **kwargs)
    _follow(self, task_id)
    return answer


def _remove_task(original: Any, self: Any, task_id: Any) -> Any:
    shown = self._tasks.get(task_id)
    answer = original(self, task_id)
    _close(_bars(self).pop(task_id, None), shown)
    return answer


def _stop(original: Any, self: Any) -> Any:
    try:
        return original(self)
    finally:
        for number, bar in list(_bars(self).items()):
            _close(bar, self._tasks.get(number))


def _close(bar: _Bar | None, shown: Any) -> None:
    try:
        if bar is not None and not bar.ended and bar._pid == os.getpid():
            bar.close(None if shown is None else shown.total)
    except Exception as error:
        give_up(error, TOLD)


HOOKS: dict[str, Callable[..., Any]] = {
    "add_task": _add_task,
    "update": _change,
    "advance": _change,
    "reset": _change,
    "remove_task": _remove_task,
    "stop": _stop,
}
