"""A bar of another library, mirrored as a task: what it counts, shows, and how it ends."""

from __future__ import annotations

import math
import sys
import threading
from typing import TYPE_CHECKING, Any

from headway.bars.loop import AnyBoard, AnyTask, Loop
from headway.integrations.home import begun
from headway.tasks import checks
from headway.tasks import current as context
from headway.tasks.ending import ending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.engine.board import Board

__all__ = ["Mirror", "mirror", "use_board", "whole"]

NEARLY = 1e-9  # ten times 0.1 is one item

_chosen: str | Board | None = None  # where bars go that are in nothing else


class Mirror(Loop):
    """A bar as a task. The bar has it as its attribute `_headway`, and as `_headway_add` what counts."""

    def __init__(self, home: AnyBoard, task: AnyTask, parts: dict[str | None, Loop] | None = None) -> None:
        super().__init__(home, task, parts)
        self.iterates = False
        """Whether a tracker counts its items."""
        self.dropped = False
        """Whether nobody has the bar any more: what is being handled then has nothing to do with it."""
        self.left_by: BaseException | None = None
        """The exception that left its `with` block."""
        self.bar: Any = None
        """A weak reference to the bar: in a forked child it is a copy, of which nobody shall be told."""
        self._handled = sys.exception()  # was being handled when it began
        self._thread = threading.get_ident()
        self._fraction = 0.0
        self._label = ""
        self._shown: tuple[int | None, str] | None = None  # total and message; None: not written yet
        self._postfix: tuple[Any, str] = "", ""  # one that was measured, and what of it is no metric
        self._metrics = [] if parts is None else list(task.metrics)  # names

    def begin(self, label: str | None) -> None:
        self._label = label or ""
        super().begin(label)

    def was_forked(self) -> None:
        bar = None if self.bar is None else self.bar()
        if bar is not None:
            bar._headway = bar._headway_add = None

    # --------------------------------------------------------------------------------------------------- counting

    def add(self, n: Any) -> None:
        """Count n more, which may have a fraction: that is carried on to the next one."""
        number = _number(n)
        if number is None:  # the library has something to say about it
            return
        exact = self._fraction + number
        if math.isfinite(exact):
            items = math.floor(exact + NEARLY)
            self._fraction = exact - items
            self.task.update(items)

    def count_to(self, n: Any) -> None:
        """Count what is missing to n. For what was assigned; only by the thread that made the bar.

        Another one could come between an update here and there.
        """
        items = whole(n)
        if items is None or threading.get_ident() != self._thread:
            return
        if missing := items - self.task.count:
            self.task.update(missing)
        self._fraction = float(n) - items

    # ----------------------------------------------------------------------------------------------- what it shows

    def show(self, total: Any, label: str, postfix: Any) -> None:
        """Write what the bar shows, if it is something else than before.

        A label that was changed comes first in the message: that of a task stays.
        """
        items = whole(total)
        if items is not None and not 0 <= items <= checks.TOTAL_MOST:
            items = None
        measured, rest = self._postfix
        words = (label if label != self._label else "", rest if postfix is measured else str(postfix or ""))
        shown = items, ", ".join(word for word in words if word)
        if shown != self._shown:
            self._shown = shown
            self.task._set(total=shown[0], message=shown[1])

    def measure(self, values: Mapping[str, Any], postfix: Any) -> None:
        """Write the numbers among these values as metrics; the rest comes with `show`. postfix: the text of all."""
        metrics: dict[str, float] = {}
        words = []
        for key, value in values.items():
            name = checks.cut(str(key), checks.METRIC_BYTES) or "-"
            number = _number(value)
            if number is not None and (name in self._metrics or len(self._metrics) < checks.METRICS):
                if name not in self._metrics:
                    self._metrics.append(name)
                metrics[name] = number
            else:
                words.append(f"{key}={value}".strip())
        self._postfix = postfix, ", ".join(words)
        if metrics:
            self.task._set(metrics=metrics)

    def start_anew(self) -> None:
        """Count from zero."""
        self._fraction = 0.0
        self.task.update(-self.task.count)

    # ------------------------------------------------------------------------------------------------------ its end

    def close(self, total: Any) -> None:
        """The bar was closed, or dropped: how its task ends is seen from its count, and from what is being handled."""
        error = None if self.dropped else self.left_by or sys.exception()
        if error is self._handled or isinstance(error, StopIteration | StopAsyncIteration):
            error = None
        if self.iterates and isinstance(error, GeneratorExit):
            self.end(error)
            return
        most = whole(total)
        count = self.task.count
        is_complete = most is None or count >= most
        if error is not None and (error is self.left_by or most is None or not is_complete):
            self.finish(*ending(error))
        elif is_complete:
            self.finish("success", None)
        else:
            self.finish("cancelled", f"closed at {count} of {most}")


def mirror(id: str, label: str | None, unit: str) -> Mirror | None:
    """A mirror for a bar that begins now, or None where nobody could see it; then one warning says so, and why."""
    return begun(Mirror, id, label, unit, _chosen)


def use_board(board: str | Board | None) -> None:
    """Have bars that are in nothing else go to this board; None: to that of `headway.track`."""
    global _chosen
    _chosen = board
    if board is not None:
        context.hand_down_board(board if isinstance(board, str) else board.name)


def whole(number: Any) -> int | None:
    """What of a number is whole; None for what is no number, or has no end."""
    try:
        items: int = math.floor(number + NEARLY)
    except (TypeError, ValueError, OverflowError):
        return None
    return items


def _number(value: Any) -> float | None:
    """A value as a metric. A text is none, whatever it says."""
    if isinstance(value, str | bytes | bool):
        return None
    try:
        return float(value)
    except Exception:
        return None
