"""The exceptions and warnings of Headway. Each message names the value, the place and what to do about it."""

from __future__ import annotations

import contextlib
import sys
import warnings

__all__ = [
    "BoardClosed",
    "BoardElsewhere",
    "BoardFull",
    "BoardRecorded",
    "CorruptBoard",
    "DamagedHistory",
    "DamagedSnapshot",
    "HeadwayError",
    "InvalidRecord",
    "InvalidVariable",
    "LayoutMismatch",
    "LockTimeout",
    "MissingExtra",
    "NoSpace",
    "NotOwner",
    "ResultTooLarge",
    "StaleTaskWarning",
    "TaskExists",
    "UnknownBoard",
    "UnknownTask",
    "UnknownTracker",
    "Unsupported",
    "UnusableDirectory",
    "WorkerDied",
]


class HeadwayError(Exception):
    """Base class of all errors that Headway defines."""


class BoardClosed(HeadwayError):
    """The board was closed in this process, or removed by another one."""


class BoardFull(HeadwayError):
    """All slots of the board hold tasks that have not ended: there is no room for one more."""


class BoardRecorded(HeadwayError):
    """Another process records the board already."""


class BoardElsewhere(HeadwayError):
    """The directory of the board is in use by another machine, or by a container with a /dev/shm of its own."""


class CorruptBoard(HeadwayError):
    """The board's shared memory is corrupt: it holds values that Headway never writes."""


class DamagedHistory(HeadwayError):
    """A history file is corrupt."""


class DamagedSnapshot(HeadwayError):
    """A snapshot file is corrupt."""


class InvalidRecord(HeadwayError, ValueError):
    """The data is not a record of an analysis."""


class InvalidVariable(HeadwayError, ValueError):
    """An environment variable, such as HEADWAY_BOARD, holds a value that cannot be used."""


class LayoutMismatch(HeadwayError):
    """A segment or a file was written by a version of Headway with another layout."""


class NotOwner(HeadwayError):
    """A segment, a file or a directory does not belong to this user, or not to this user alone."""


class TaskExists(HeadwayError):
    """A task of this id is running, and the process that owns it is alive."""


class MissingExtra(HeadwayError, ImportError):
    """This part of Headway needs a package that is not installed. The message names the extra to install."""


class NoSpace(HeadwayError, OSError):
    """No space is left in /dev/shm or on the disk, or files may not be that large. Arguments as of OSError."""


class Unsupported(HeadwayError, OSError):
    """The operation is not possible on this platform, or for this kind of view."""


class UnusableDirectory(HeadwayError, OSError):
    """The directory for boards cannot be made, read or written. Arguments as of OSError: errno, text, file name."""


class LockTimeout(HeadwayError, TimeoutError):
    """A lock could not be taken in time: a live process holds it."""


class ResultTooLarge(HeadwayError, ValueError):
    """The result is larger than the board has room for. The previous result was kept."""


class _NotFound(HeadwayError, KeyError):
    """A KeyError whose text is its message; plain KeyError shows the repr of its argument."""

    __str__ = Exception.__str__


class UnknownTask(_NotFound):
    """The board has no task with this id."""


class UnknownBoard(_NotFound):
    """There is no board of this name, or it has no snapshot."""


class UnknownTracker(HeadwayError, ValueError):
    """There is no analysis tracker of this kind."""


class WorkerDied(HeadwayError, RuntimeError):
    """A worker of a pool died. The message names what it had in hand, and how it died."""

    def __init__(self, message: str, item: str = "", exitcode: int | None = None) -> None:
        super().__init__(message)
        self.item = item
        """What it had in hand; "" if that was nothing, or is not known."""
        self.exitcode = exitcode
        """As of multiprocessing.Process: negative for signals; None where nobody can know."""


class StaleTaskWarning(UserWarning):
    """An update was dropped: its task has ended, its slot belongs to another task by now, or its board is gone."""


# ------------------------------------------------------------------------------------------------------------- warning

_TOLD_MOST = 256
_told: set[tuple[type[Warning], str]] = set()  # warnings that were shown although warnings are errors


def stacklevel() -> int:
    """The stacklevel for warnings.warn in the calling function that points at the code outside this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("headway."):
        level, frame = level + 1, frame.f_back
    return level


def tell(text: str, category: type[Warning] = RuntimeWarning) -> None:
    """Warn in the middle of a program's work: in its loops, at a fork, at its end. Never raises.

    Where warnings are errors (`-W error`), it is shown as a warning all the same, once: progress never stops a job.
    """
    # Standard error is closed, the program shows warnings by code that fails, the stack has no room left.
    with contextlib.suppress(Exception):
        level = stacklevel()
        try:
            warnings.warn(text, category, stacklevel=level)
        except category as error:
            if (category, text) not in _told and len(_told) < _TOLD_MOST:
                _told.add((category, text))
                frame = sys._getframe(level - 1)
                warnings.showwarning(error, category, frame.f_code.co_filename, frame.f_lineno)
