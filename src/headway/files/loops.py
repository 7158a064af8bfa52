"""Boards that nobody named: a plain loop of `headway.track` opened them. They go some days after their last use.

A file in the directory of such a board says so. Whoever opens the board by its name takes it away, and the board stays.
A segment that is made for loops alone is small: forty programs with a loop each fit into the 64 MiB of a container.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Protocol, TypeVar

from headway import errors
from headway.files.directory import LOOPS, last_sign_of_life
from headway.system import locks, paths
from headway.tasks import checks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["DAYS", "VARIABLE", "goes_at", "kept_days", "mark", "opened", "unmark"]


class _Placed(Protocol):
    @property
    def directory(self) -> Path: ...


B = TypeVar("B", bound=_Placed, covariant=True)


class _Opener(Protocol[B]):
    def __call__(
        self, name: str, *, capacity: int | None = None, workers: int | None = None, result_bytes: int | None = None
    ) -> B: ...


DAYS = 7.0
VARIABLE = "HEADWAY_LOOP_DAYS"
DAY_S = 86400.0


def kept_days(environ: Mapping[str, str] | None = None) -> float | None:
    """For how many days such a board stays; None: for ever. Raises InvalidVariable."""
    text = (os.environ if environ is None else environ).get(VARIABLE, "")
    try:
        days = float(text) if text else DAYS
    except ValueError:
        days = -1.0
    if not days >= 0:
        raise errors.InvalidVariable(f"{VARIABLE}={text!r} is not a number of days: set it to 30, say, or 0 for ever")
    return days or None


def mark(name: str) -> None:
    """Note that a loop opens this board, if it is a new one. Raises nothing: what is wrong, opening the board tells.

    Call it before the board is opened: under the lock of the directory, whoever names the board comes later.
    """
    with contextlib.suppress(errors.HeadwayError, OSError):
        directory = paths.board_directory(name, create=True)
        with locks.locked(directory):
            if last_sign_of_life(directory) is None:
                (directory / LOOPS).touch(mode=0o600)


def is_of_loops(name: str) -> bool:
    """Do loops alone use this board? Else it has the default sizes, also where a loop makes its segment anew."""
    with contextlib.suppress(errors.HeadwayError, OSError):
        return os.path.lexists(paths.board_directory(name) / LOOPS)
    return False


def opened(opener: _Opener[B], name: str | None) -> B:
    """The board that a loop opens. name: None if nobody named it."""
    if name is None and paths.chosen_name() is None:
        chosen = paths.default_name()
        mark(chosen)
        return opener(chosen, **(checks.LOOPS if is_of_loops(chosen) else {}))
    board = opener(paths.default_name() if name is None else paths.check_name(name))
    unmark(board.directory)
    return board


def unmark(directory: Path) -> None:
    """Somebody named this board, which is open: it stays."""
    with contextlib.suppress(OSError):  # nearly always it is not there
        (directory / LOOPS).unlink()


def goes_at(directory: Path, days: float | None) -> float | None:
    """When this board goes, in seconds since 1970, if nobody uses it until then; None: never. days: of `kept_days`."""
    if days is None or not os.path.lexists(directory / LOOPS):
        return None
    last = last_sign_of_life(directory)
    return None if last is None else last + days * DAY_S
