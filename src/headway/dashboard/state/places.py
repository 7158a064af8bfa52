"""Where the boards are: directories that hold a snapshot, a signature that changes with it, and who records."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headway.files.snapshot import ABANDONED_AFTER_S, PREVIOUS, SNAPSHOT
from headway.system import locks, paths

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Found", "Places"]


@dataclass(frozen=True, slots=True)
class Found:
    """A board's directory. signature: another one means that its snapshot reads in another way.

    recorder: alive, gone, or unknown where there never was one; recorder_seen: its last sign of life.
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

    def roots(self) -> list[Path]:
        """The directories that hold boards; they need not exist."""
        return paths.roots() if self._directory is None else [self._directory]

    def scan(self, names: Collection[str] | None = None) -> dict[str, Found]:
        """What boards there are, or which of these, by name."""
        found: dict[str, Found] = {}
        in_force = set()
        for root in self.roots():
            for name in sorted(filter(_is_legal, _entries(root) if names is None else names)):
                one = _found(root / name, name)
                if one is None:
                    continue
                # Of a board that has several, as everywhere: the one that a segment belongs to, else the first.
                has_segment = (root / name / "segment").exists()
                if name not in found or (has_segment and name not in in_force):
                    found[name] = one
                if has_segment:
                    in_force.add(name)
        return found


def _entries(root: Path) -> list[str]:
    with contextlib.suppress(OSError):  # no such place, or none that we may enter: no boards there
        return os.listdir(root)
    return []


def _is_legal(name: str) -> bool:
    try:
        return bool(paths.check_name(name))
    except ValueError:
        return False


def _found(directory: Path, name: str) -> Found | None:
    for file in (SNAPSHOT, PREVIOUS):
        try:
            status = os.lstat(directory / file)
        except OSError:  # none there, or no directory, or none that we may enter
            continue
        recorder, seen = _recorder(directory)
        # What was recorded reads in another way when its recorder has been gone for a while: its tasks are lost.
        abandoned = recorder == "gone" and time.time() - status.st_mtime > ABANDONED_AFTER_S
        # A rename makes another inode; one that was just freed can be the next one's, so the time counts, too.
        signature = (status.st_mtime_ns, status.st_ino, status.st_dev, status.st_size, abandoned)
        return Found(name, directory, signature, recorder, seen)
    return None


def _recorder(directory: Path) -> tuple[str, float]:
    """The kernel frees the lock at its death, however it comes. The file is touched while it is well."""
    try:
        seen = os.lstat(directory / "recorder.lock").st_mtime
    except OSError:
        return "unknown", 0.0
    return "gone" if locks.lock_holder(directory) is None else "alive", seen
