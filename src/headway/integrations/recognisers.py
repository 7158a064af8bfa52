"""How far a well-known tool is, from what it prints for people: each a function from a line to what it says.

A line ends with a line feed or a carriage return, and the last one may not have ended yet: such tools write over their
last line. What they print goes its way unchanged; this only reads along.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import NamedTuple

from headway.integrations.told import Told, of_line

__all__ = ["KINDS", "Kind", "chosen"]

STDOUT, STDERR = 1, 2
CURL_FIELDS = 12  # of its meter; a time of days has two


class Kind(NamedTuple):
    """A kind of output. streams: descriptors on which it comes; unit: of what it counts; of_line: what a line says."""

    streams: tuple[int, ...]
    unit: str
    of_line: Callable[[bytes], Told | None]


# Not a part of a date, a path, a version or a longer number.
_PERCENT = re.compile(rb"(?<![\w./-])(\d{1,3}(?:\.\d{1,9})?) ?%")
_OF = re.compile(rb"(?<![\w./-])(\d{1,15}) ?/ ?(\d{1,15})(?![\w./-])")

_RSYNC = re.compile(rb"\s*([\d,.]+[KMGTP]?)\s+(\d{1,3})%\s+([\d.,]+[kKMGT]?B/s)\s+[\d:?]+(?:\s|\Z)")
_CURL_BAR = re.compile(rb"[#=O\s-]*\s(\d{1,3}\.\d)%\s*\Z")
_PERCENT_ALONE = re.compile(rb"\d{1,3}\Z")
_DD = re.compile(rb"(\d{1,15}) bytes? (?:\([^)]*\) )?copied, ")
_PV = re.compile(rb"(?:\d+\.\d+ )?(\d{1,3}(?:\.\d+)?)\Z")
_FFMPEG_TIME = re.compile(rb"(?:\A|\s)(?:out_)?time=(\d{1,6}):(\d\d):(\d\d)(?:\.\d*)?(?:\s|\Z)")
_FFMPEG_LENGTH = re.compile(rb"\s*Duration: (\d{1,6}):(\d\d):(\d\d)(?:\.\d*)?,")
_FFMPEG_MICROSECONDS = re.compile(rb"out_time_us=(\d{1,20})\Z")


def of_percent(line: bytes) -> Told | None:
    """The last percentage of a line, or its last "12/500"; the one that comes later."""
    percent = _last(_PERCENT, line)
    part = _last(_OF, line)
    if part is not None and (percent is None or part.start() > percent.start()):
        count, total = int(part[1]), int(part[2])
        return Told(count, total=total) if 0 < total >= count else None
    return None if percent is None else _percentage(percent[1])


def _last(pattern: re.Pattern[bytes], line: bytes) -> re.Match[bytes] | None:
    return next(iter([*pattern.finditer(line)][-1:]), None)


def _percentage(text: bytes, message: str | None = None) -> Told | None:
    percent = float(text)
    return Told(percent=percent, message=message) if percent <= 100 else None


def of_rsync(line: bytes) -> Told | None:
    """A line of `rsync --info=progress2`, or of `--progress`, which is that of a file."""
    found = _RSYNC.match(line)
    return None if found is None else _percentage(found[2], f"{found[1].decode()} bytes, {found[3].decode()}")


def of_curl(line: bytes) -> Told | None:
    """A line of curl's meter, or of its bar (`curl -#`). Where the size is not known, the meter says 100 all along."""
    if bar := _CURL_BAR.match(line):
        return _percentage(bar[1])
    fields = line.split()  # total, received, sent, each as percent and bytes; two speeds, three times, one speed
    percents = fields[0:6:2]
    if len(fields) < CURL_FIELDS or not all(map(_PERCENT_ALONE.match, percents)):
        return None
    if percents == [b"100", b"0", b"0"]:
        return Told(message=fields[3].decode("ascii", "replace"))
    return _percentage(percents[0])


def of_dd(line: bytes) -> Told | None:
    """A line of `dd status=progress`: bytes, without a total."""
    found = _DD.match(line)
    return None if found is None else Told(int(found[1]))


def of_pv(line: bytes) -> Told | None:
    """A line of `pv -n`: a percentage alone, or after the time (`pv -n -t`)."""
    found = _PV.match(line.strip())
    return None if found is None else _percentage(found[1])


def of_ffmpeg(line: bytes) -> Told | None:
    """A line of `ffmpeg -progress`, or of its status: the seconds done; the total from what it says first."""
    if found := _FFMPEG_MICROSECONDS.match(line.strip()):
        return Told(int(found[1]) // 1_000_000)
    if found := _FFMPEG_LENGTH.match(line):
        return Told(total=_seconds(found))
    found = _FFMPEG_TIME.search(line)
    return None if found is None else Told(_seconds(found))


def _seconds(found: re.Match[bytes]) -> int:
    hours, minutes, seconds = map(int, found.groups())
    return 3600 * hours + 60 * minutes + seconds


KINDS = {
    "ffmpeg": Kind((STDERR,), "s", of_ffmpeg),
    "rsync": Kind((STDOUT,), "%", of_rsync),
    "curl": Kind((STDERR,), "%", of_curl),
    "dd": Kind((STDERR,), "B", of_dd),
    "pv": Kind((STDERR,), "%", of_pv),
    "percent": Kind((STDOUT, STDERR), "%", of_percent),
    "none": Kind((), "it", of_line),
}


def chosen(name: str, command: str) -> Kind:
    """The kind of this name; "auto": that of the command, by its name, else "percent"."""
    if name == "auto":
        program = os.path.basename(command)
        name = program if program in KINDS and program != "none" else "percent"
    return KINDS[name]
