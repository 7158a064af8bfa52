"""Boards on a terminal. Here: what needs nothing but the standard library.

`Painter` shows views on a stream again and again; `lines` and `bar` are the pure functions under it: a view, a width
and a `Style` give text. The others make single texts safe to show, and numbers and times fit for people.
"""

from headway.terminal._row import detail
from headway.terminal._text import counted, cut, duration, number, pad, plural, rate, safe, width
from headway.terminal.painter import Painter
from headway.terminal.plain import Style, bar, lines

__all__ = [
    "Painter",
    "Style",
    "bar",
    "counted",
    "cut",
    "detail",
    "duration",
    "lines",
    "number",
    "pad",
    "plural",
    "rate",
    "safe",
    "width",
]
