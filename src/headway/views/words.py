"""Numbers, times and counts in words for people: the same in the terminal, in notebooks and in reports.

The dashboard's page has the same forms in TypeScript (web/src/format.ts); a table of examples, generated from this
module, holds the two equal.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from headway.tasks.states import URGENCY
from headway.views.numbers import RATE_LEAST, total_shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.views.numbers import Counts, TimeLeft

__all__ = [
    "UNKNOWN",
    "counted",
    "duration",
    "error_told",
    "held",
    "in_hand",
    "measured",
    "number",
    "percent",
    "plural",
    "rate",
    "size",
    "state",
    "tally",
    "time_left",
    "who_died",
    "why",
]

UNKNOWN = "–"
RATE_MOST = 999e18  # the prefixes end there
NAMED = 4  # workers in one line
YEARS_MOST = 1000  # a longer duration comes from a wrong clock

STATE_WORDS = {"success": "succeeded"}  # what people read where it is not the state's name

_PREFIXES = ("", "k", "M", "G", "T", "P", "E")
_BYTES = {  # units in which bytes are counted: the step from one name to the next, and the names
    "B": (1000, ("B", "kB", "MB", "GB", "TB", "PB", "EB")),
    "iB": (1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")),
}
_DAY_S = 86_400
_YEAR_DAYS = 365


def _short(value: float, step: int = 1000, names: tuple[str, ...] = _PREFIXES, gap: str = "") -> str:
    """Three significant digits: 0.50, 95.2, 1.23k, 45.6M."""
    at = 0
    while abs(value) >= 999.5 and at < len(names) - 1:
        value /= step
        at += 1
    size = abs(value)
    if not at and value == int(value):
        return f"{value:.0f}{gap}{names[0]}"
    return f"{value:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f}{gap}{names[at]}"


def _amount(value: float, unit: str) -> str:
    """An amount in short: 1.23k; of bytes 1.23 MB, or 1.17 MiB."""
    return _short(value, *_BYTES[unit], " ") if unit in _BYTES else _short(value)


def number(value: int) -> str:
    """1,234,567 in full; shortened from ten million on."""
    return f"{value:,}" if abs(value) < 10_000_000 else _short(value)


def plural(count: int, noun: str) -> str:
    """1 worker, 2 workers."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def counted(count: int, total: int | None, unit: str = "") -> str:
    """2,100/5,000 bar; without the total if the count is above it.

    Bytes (unit "B", or "iB" for powers of two) have units of bytes: 2.10 kB/5.00 MB, 2.05 KiB/4.77 MiB.
    """
    total = total_shown(count, total)
    if unit in _BYTES:
        return _amount(count, unit) if total is None else f"{_amount(count, unit)}/{_amount(total, unit)}"
    text = number(count) if total is None else f"{number(count)}/{number(total)}"
    return f"{text} {unit}" if unit else text


def rate(value: float, unit: str = "") -> str:
    """1.23k/s; a slow rate per minute, hour or day, so that it is easy to read; a dash for one that cannot be.

    unit: as for `counted`.
    """
    if not value < RATE_MOST:
        return UNKNOWN
    if value < RATE_LEAST:
        value = 0.0
    for seconds, time in ((1, "s"), (60, "min"), (3600, "h")):
        if value * seconds >= 1 or value <= 0:
            return f"{_amount(value * seconds, unit)}/{time}"
    days = value * _DAY_S
    of = " B" if unit in _BYTES else ""
    return f"{days:.2g}{of}/d" if days >= 1e-4 else f"{days:.6f}{of}/d"


def duration(seconds: float, *, whole: bool = False) -> str:
    """3.2 s, 42 s, 12:34, 1:02:03, 2 d 5 h, 1 y 40 d; a dash for more than a thousand years.

    whole: no tenths of a second, for estimates.
    """
    if seconds < 9.95 and not whole:
        return f"{max(0.0, seconds):.1f} s"  # this order: -0.0 is 0.0, too
    if not seconds < YEARS_MOST * _YEAR_DAYS * _DAY_S:
        return UNKNOWN
    total = int(max(seconds, 0.0) + 0.5)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60}:{total % 60:02}"
    if total < _DAY_S:
        return f"{total // 3600}:{total // 60 % 60:02}:{total % 60:02}"
    days = total // _DAY_S
    if days < 100:
        return f"{days} d {total // 3600 % 24} h"
    if days < _YEAR_DAYS:
        return f"{days} d"
    return f"{days // _YEAR_DAYS} y {days % _YEAR_DAYS} d"


def percent(fraction: float) -> str:
    """42%; 100% only if everything is counted, and 0% only if nothing is: else <1%."""
    value = fraction * 100
    return "<1%" if 0 < value < 1 else f"{min(int(value), 99) if value < 100 else 100}%"


def size(count: int) -> str:
    """Bytes of memory or of a file: 512 B, 8.4 MiB."""
    return _amount(count, "iB")


def measured(value: float | None) -> str:
    """A value that a program measured: five significant digits without needless zeros, whole numbers in full.

    Powers of ten only from 1e7 on and below 1e-6, where digits could not be counted at a glance. Unknown: a dash.
    """
    if value is None:
        return UNKNOWN
    if math.isfinite(value) and value == int(value) and abs(value) < 10_000_000:
        return number(int(value))
    if not math.isfinite(value):
        return str(value)
    digits = f"{value:.4e}"
    exponent = int(digits.partition("e")[2])
    if not -6 <= exponent < 7:
        return f"{digits.partition('e')[0].rstrip('0').rstrip('.')}e{exponent}"
    text = f"{float(digits):.{max(4 - exponent, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def state(state: str, *, stalled: bool = False) -> str:
    """A state as people read it: running, stalled, succeeded. Programs read its name."""
    return "stalled" if stalled else STATE_WORDS.get(state, state)


def tally(counts: Counts) -> dict[str, str]:
    """Each state that occurs, the most urgent first, with its words: {"running": "25 running (3 stalled)"}.

    A stalled task is also running, so it is shown with the running ones and counted once.
    """
    told = {one: f"{number(counts[one])} {state(one)}" for one in URGENCY if counts[one]}
    if counts.stalled and "running" in told:
        told["running"] += f" ({number(counts.stalled)} stalled)"
    return told


def time_left(left: TimeLeft, *, at_least: str = "≥") -> str:
    """1:48; ≥ 1:48, 1 stalled not counted; "" if no running task has a time left."""
    if left.seconds is None:
        return ""
    text = duration(left.seconds, whole=True)
    if left.at_least:
        text = f"{at_least} {text}"
    return f"{text}, {number(left.stalled)} stalled not counted" if left.stalled else text


class _Share(Protocol):
    @property
    def pid(self) -> int: ...
    @property
    def count(self) -> int | None: ...
    @property
    def beat(self) -> float | None: ...
    @property
    def alive(self) -> bool: ...
    @property
    def item(self) -> str: ...
    @property
    def item_seconds(self) -> float | None: ...


class _Task(Protocol):
    """The fields of a task that tell how it came to its end."""

    @property
    def state(self) -> str: ...
    @property
    def error(self) -> str: ...
    @property
    def owner_pid(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def total(self) -> int | None: ...
    @property
    def unit(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def taken_at(self) -> float: ...
    @property
    def stalled(self) -> bool: ...
    @property
    def workers(self) -> Sequence[_Share]: ...
    @property
    def workers_lost(self) -> Sequence[_Share]: ...
    @property
    def lost_left_out(self) -> int: ...


def why(task: _Task) -> str:
    """Why a task, or a worker of it, died, hangs or ended early. "" if there is nothing to tell.

    Its texts are those of the program, as they are: whoever shows them escapes them.
    """
    if task.state == "lost":
        return f"pid {task.owner_pid} died {_last_item(task)}{_where(task)}"
    if task.state in ("failed", "cancelled"):
        return task.error
    if task.state == "running" and task.workers_lost:
        lost = task.workers_lost
        if len(lost) > 1:
            pids = ", ".join(map(_with_item, lost[:NAMED])) + (", ..." if len(lost) > NAMED else "")
            return f"{number(len(lost) + task.lost_left_out)} workers died here: pid {pids}"
        share = lost[0]
        known = share.count is not None
        counts = (
            f"it counted {counted(share.count or 0, None, task.unit)}"
            if known
            else "its share of the count is not known"
        )
        seen = "" if share.beat is None else f", last {duration(max(0.0, task.taken_at - share.beat))} ago"
        return f"worker pid {_with_item(share, since=True)} died here: {counts}{seen}"
    return in_hand(task.workers) if task.stalled else ""


def in_hand(workers: Sequence[_Share]) -> str:
    """What those that are alive have in hand, the longest first: "pid 12 has had BTC-1h in hand for 3:12"."""
    having = [share for share in workers if share.alive and share.item and share.item_seconds is not None]
    if not having:
        return ""
    having.sort(key=lambda share: -(share.item_seconds or 0.0))
    first = having[0]
    more = f", {plural(len(having) - 1, 'other')} have theirs for less" if len(having) > 1 else ""
    return f"pid {first.pid} has had {first.item} in hand for {duration(first.item_seconds or 0.0)}{more}"


def held(item: str, seconds: float | None) -> str:
    """What a worker has in hand, or had, and for how long: "BTC-1h for 3.2 s"; "" if it is not known."""
    return item if not item or seconds is None else f"{item} for {duration(seconds)}"


def who_died(task: _Task) -> str:
    """The workers that died on a task, with what they had in hand: "pid 12 (BTC-1h, taken up 3.2 s ago), pid 13"."""
    named = [f"pid {_with_item(share, since=True)}" for share in task.workers_lost[:8]]
    more = len(task.workers_lost) - len(named) + task.lost_left_out
    return ", ".join(named) + (f" and {plural(more, 'other')}" if more and named else "")


def _with_item(share: _Share, *, since: bool = False) -> str:
    """A process that died, with what it had in hand: "12 (BTC-1h)", "12 (BTC-1h, taken up 3.2 s ago)"."""
    if not share.item:
        return str(share.pid)
    ago = f", taken up {duration(share.item_seconds)} ago" if since and share.item_seconds is not None else ""
    return f"{share.pid} ({share.item}{ago})"


def _last_item(task: _Task) -> str:
    """What those had in hand that died on a lost task, its owner first, and of the others who was seen last:
    "with BTC-1h in hand for 12 s, "; "with BTC-1h in hand for 12 s, and pid 13 (ETH-1h), 14 (SOL-1h), ".
    """
    having = [share for share in task.workers_lost if share.item]
    having.sort(key=lambda share: (share.pid != task.owner_pid, -(share.beat or 0.0)))
    if not having:
        return ""
    first, *others = having
    took = "" if first.item_seconds is None else f" for {duration(first.item_seconds)}"
    if first.pid == task.owner_pid:
        told = f"with {first.item} in hand{took}, "
    else:
        told = f"and pid {first.pid}, which had {first.item} in hand{took}, "
    if not others:
        return told
    more = f" and {plural(len(others) - NAMED, 'other')}" if len(others) > NAMED else ""
    return f"{told}and pid {', '.join(map(_with_item, others[:NAMED]))}{more}, "


def error_told(task: _Task) -> str:
    """The error of a task for other programs: what it recorded itself, or where it was lost; "" for all others."""
    return task.error or (why(task) if task.state == "lost" else "")


def _where(task: _Task) -> str:
    """Where a lost task stood: "in stage parse at 12/40 file: decoder.py"."""
    stage = f"in stage {task.stage} " if task.stage else ""
    message = f": {task.message}" if task.message else ""
    return f"{stage}at {counted(task.count, task.total, task.unit)}{message}"
