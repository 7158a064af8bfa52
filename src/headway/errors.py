"""What can go wrong, by name. Every message names the value that was wrong and what to do about it."""

from __future__ import annotations

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
]


class HeadwayError(Exception):
    """The parent of every error that Headway raises on its own account."""


class BoardClosed(HeadwayError):
    """The board was closed in this process, or unlinked by another one."""


class BoardFull(HeadwayError):
    """Every slot of the board holds a task that has not ended."""


class BoardRecorded(HeadwayError):
    """The board has a recorder, and its process is alive."""


class BoardElsewhere(HeadwayError):
    """Another machine, or another /dev/shm, is using the board's directory."""


class CorruptBoard(HeadwayError):
    """What stands in the board's shared memory cannot be."""


class DamagedHistory(HeadwayError):
    """A history file is not what was written."""


class DamagedSnapshot(HeadwayError):
    """A snapshot file is not what was written."""


class InvalidRecord(HeadwayError, ValueError):
    """What should be the record of an analysis is none."""


class LayoutMismatch(HeadwayError):
    """A segment or a file is whole, but of another layout version than this one."""


class NotOwner(HeadwayError):
    """A segment or a file belongs to another user."""


class TaskExists(HeadwayError):
    """The id runs already, and its owner is alive."""


class MissingExtra(HeadwayError, ImportError):
    """A part of Headway needs packages that are not installed; the message names the extra that brings them."""


class NoSpace(HeadwayError, OSError):
    """No room is left in /dev/shm or on the disk. Arguments as of OSError: errno, text, file name."""


class Unsupported(HeadwayError, OSError):
    """This platform, or this kind of view, cannot do it."""


class LockTimeout(HeadwayError, TimeoutError):
    """A live process held a lock for longer than the wait was allowed to be."""


class ResultTooLarge(HeadwayError, ValueError):
    """A result does not fit into its place on the board; the old one was kept."""


class _NotFound(HeadwayError, KeyError):
    """A KeyError that reads as a sentence: KeyError itself shows the repr of its argument."""

    __str__ = Exception.__str__


class UnknownTask(_NotFound):
    """The board has no task of this id."""


class UnknownBoard(_NotFound):
    """There is no board of this name, or no snapshot of it."""


class UnknownTracker(HeadwayError, ValueError):
    """There is no tracker of analyses of this kind."""


class StaleTaskWarning(UserWarning):
    """An update came after its task's place was given to another one; it was dropped."""
