"""Where the boards are: directories that hold a snapshot, a signature that changes with it, and who records."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headway import errors
from headway.dashboard.state.faults import code_of, detail_of
from headway.files.changes import CHANGES
from headway.files.directory import entries
from headway.files.snapshot import ABANDONED_AFTER_S, PREVIOUS, SNAPSHOT
from headway.system import locks, paths

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Found", "Places"]


@dataclass(frozen=True, slots=True)
class Found:
    """A board's directory. signature: changes whenever the content of its snapshot, as shown, may have changed.

    recorder: alive, gone, or unknown if there never was one; recorder_seen: its last sign of life.
    """

    name: str
    directory: Path
    signature: tuple[int, ...]
    recorder: str
    recorder_seen: float


class Places:
    """All boards below the roots."""

    def __init__(self, directory: str | os.PathLike[str] | None) -> None:
        self._directory = None if directory is None else Path(directory).absolute()
        self.problem: dict[str, str] | None = None  # code and detail: why the last scan could not list all boards

    def roots(self) -> list[Path]:
        """The directories that hold boards; they need not exist."""
        return paths.roots() if self._directory is None else [self._directory]

    def scan(self, names: Collection[str] | None = None) -> dict[str, Found]:
        """All boards that exist, or those of these names, by name; also those that this user may not enter."""
        found: dict[str, Found] = {}
        in_force = set()
        problem = None
        for root in self.roots():
            try:
                there = [entry.name for entry in entries(root)] if names is None else names
            except errors.UnusableDirectory as error:
                problem = {"code": code_of(error), "detail": detail_of(error)}
                continue
            for name in sorted(filter(_is_legal, there)):
                one = _found(root / name, name)
                if one is None:
                    continue
                # Of several directories of a board, take the one that a segment belongs to, else the first.
                has_segment = os.path.exists(root / name / "segment")  # False where this user may not look
                if name not in found or (has_segment and name not in in_force):
                    found[name] = one
                if has_segment:
                    in_force.add(name)
        if names is None:
            self.problem = problem
        return found


def _is_legal(name: str) -> bool:
    try:
        return bool(paths.check_name(name))
    except ValueError:
        return False


def _found(directory: Path, name: str) -> Found | None:
    for file in (SNAPSHOT, PREVIOUS):
        try:
            status = os.lstat(directory / file)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:  # we may not enter it: reading it gives the reason
            return Found(name, directory, (-(error.errno or 0),), "unknown", 0.0)
        recorder, seen = _recorder(directory)
        both = [status]
        with contextlib.suppress(OSError):
            both.append(os.lstat(directory / CHANGES))
        # When the recorder has been gone for a while, the same snapshot shows its tasks as lost.
        abandoned = recorder == "gone" and time.time() - max(one.st_mtime for one in both) > ABANDONED_AFTER_S
        # A rename changes the inode; a freed inode may be used again at once, so the time is included, too.
        files = (value for one in both for value in (one.st_mtime_ns, one.st_ino, one.st_dev, one.st_size))
        signature = (*files, abandoned)
        return Found(name, directory, signature, recorder, seen)
    return None


def _recorder(directory: Path) -> tuple[str, float]:
    """The recorder's state. The kernel releases its lock when it dies; it touches the lock file while it works."""
    try:
        seen = os.lstat(directory / "recorder.lock").st_mtime
    except OSError:
        return "unknown", 0.0
    return "gone" if locks.lock_holder(directory) is None else "alive", seen
