"""What a command of any language says of its progress, a line at a time: the little language of HEADWAY_FD.

    12/500 reading      12 of 500 are done, and a message
    12                  12 are done
    +1                  one more is done
    45%                 45 of a hundred are done, or of the total there is
    total 500           there are 500
    stage fit           the next stage
    message reading     a message for people

Whatever else a line says is ignored. What comes in is never trusted: lines may be long, binary, or without an end.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

from headway.tasks import checks

if TYPE_CHECKING:
    from headway.bars.loop import AnyTask

__all__ = ["LINE_BYTES", "Lines", "Told", "of_line", "together", "write"]

LINE_BYTES = 4096  # of a line; a longer one is ignored
HUNDRED = 100  # the total of a percentage where no other is known
NEARLY = 1e-9  # 29 % of 100 are 29

_END = re.compile(rb"[\r\n]")
_COUNT = re.compile(
    rb"(?:(?P<count>\d{1,15})(?:/(?P<total>\d{1,19}))?|\+(?P<more>\d{1,15})|(?P<percent>\d{1,3}(?:\.\d{1,9})?)%)"
    rb"(?:\s+(?P<text>.*))?\Z",
    re.DOTALL,
)
_WORD = re.compile(rb"(?P<word>total|stage|message)(?:\s+(?P<text>.*))?\Z", re.DOTALL)
_WHOLE = re.compile(rb"\d{1,19}\Z")


class Told(NamedTuple):
    """What one line says, or some together. percent: 0 to 100, of the total; more: beyond what done or percent say."""

    done: int | None = None
    percent: float | None = None
    more: int = 0
    total: int | None = None
    stage: str | None = None
    message: str | None = None

    def then(self, later: Told) -> Told:
        """The two together. later: said after this."""
        done, percent, more = self.done, self.percent, self.more + later.more
        if later.done is not None or later.percent is not None:
            done, percent, more = later.done, later.percent, later.more
        return Told(
            done,
            percent,
            more,
            self.total if later.total is None else later.total,
            self.stage if later.stage is None else later.stage,
            self.message if later.message is None else later.message,
        )


def of_line(line: bytes) -> Told | None:
    """What a line says; None for one that is not of the language, or has a number that is out of range."""
    line = line.strip()
    if found := _COUNT.match(line):
        return _of_count(found)
    found = _WORD.match(line)
    if found is None:
        return None
    text = found["text"] or b""
    if found["word"] == b"total":
        return _in_range(Told(total=int(text))) if _WHOLE.match(text) else None
    return Told(stage=_text(text)) if found["word"] == b"stage" else Told(message=_text(text))


def _of_count(found: re.Match[bytes]) -> Told | None:
    count, total, more, percent, text = found.group("count", "total", "more", "percent", "text")
    return _in_range(
        Told(
            None if count is None else int(count),
            None if percent is None else float(percent),
            int(more or 0),
            None if total is None else int(total),
            message=None if text is None else _text(text),
        )
    )


def _in_range(told: Told) -> Told | None:
    """The same; None where a number has no place on a board."""
    fits = max(told.done or 0, told.more) < checks.COUNT_LIMIT and (told.total or 0) <= checks.TOTAL_MOST
    return told if fits and (told.percent or 0.0) <= HUNDRED else None


def _text(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def together(told: list[Told]) -> Told | None:
    """What some lines say together, in their order; None where there are none."""
    if not told:
        return None
    whole, *others = told
    for later in others:
        whole = whole.then(later)
    return whole


class Lines:
    """Cuts pieces of a stream into lines, which end with a line feed or a carriage return. Keeps LINE_BYTES at most."""

    def __init__(self) -> None:
        self.rest = b""
        """What of the last line has come."""
        self._too_long = False  # its line, which is being skipped

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that a piece ends, without those that are empty or too long."""
        first, *others = _END.split(piece)
        lines = [b"" if self._too_long else self.rest + first, *others]
        self.rest = lines.pop()
        self._too_long = len(self.rest) > LINE_BYTES or (self._too_long and not others)
        if self._too_long:
            self.rest = b""
        return [line for line in lines if 0 < len(line) <= LINE_BYTES]


def write(told: Told, task: AnyTask) -> bool:
    """Write to a task what was told. Returns False if the task has ended: it shows no more."""
    total, count = told.total, told.done
    if told.percent is not None:
        whole = task.total if total is None else total
        if not whole:
            whole = total = HUNDRED
        count = min(math.floor(whole * told.percent / HUNDRED + NEARLY), checks.COUNT_LIMIT - 1)
    changes: dict[str, str | int] = {}
    if total is not None:
        changes["total"] = total
    if told.stage:
        changes["stage"] = told.stage
    if told.message is not None:
        changes["message"] = told.message
    if changes and not task.set(**changes):  # type: ignore[arg-type] # by name, of several types
        return False
    more = told.more if count is None else count + told.more - task.count
    if more:
        try:
            task.update(more)
        except OverflowError:  # what was told adds up to more than there is room for
            return True
    return True
