"""Boards on a terminal. Here: what needs nothing but the standard library."""

from headway.terminal.painter import Painter
from headway.terminal.plain import Style, bar, lines

__all__ = ["Painter", "Style", "bar", "lines"]
