"""Replacements for the file tracker, its class and its instance, if HEADWAY_ANALYSIS_TRACKER says so.

A program uses the tracker that it was written for by class or by instance; both have to give the same analyses.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from headway import errors
from headway.analysis import files, memory, shared
from headway.analysis.contract import LOG, ProgressTracker
from headway.analysis.values import path_of
from headway.system import support

__all__ = ["CLASSES", "KINDS", "MemoryInPlaceOfFiles", "SharedInPlaceOfFiles", "chosen", "instance"]

SWITCH = "HEADWAY_ANALYSIS_TRACKER"
KINDS = ("shared", "file", "memory")
BOARD = "analysis"
_told: set[str] = set()


class _InPlaceOfFiles(ProgressTracker):
    """What a file tracker has besides the calls of the contract."""

    _base: str | None

    @classmethod
    def _called(cls) -> str:
        own = cls in (SharedInPlaceOfFiles, MemoryInPlaceOfFiles)  # not a subclass that a program made
        return files.FileBasedProgressTracker.__name__ if own else cls.__name__

    @property
    def _place(self) -> str:
        """The folder that the file tracker would use, the same for all names of one directory; "" for the default."""
        if self._base is None:
            return ""
        place = _resolved(self._base)
        return "" if place == _resolved(None) else place

    def __getattr__(self, name: str) -> Any:
        if name != "progress_dir" or "_base" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return files.folder_of(self._base)

    def _get_progress_file_path(self, execution_id: Any) -> Path:
        """The path at which a file tracker would keep an analysis."""
        return files.file_in(self.progress_dir, execution_id)


class SharedInPlaceOfFiles(_InPlaceOfFiles, shared.SharedMemoryProgressTracker):
    """A tracker in shared memory, on a board that belongs to base_dir; default: on the board "analysis"."""

    def __init__(self, base_dir: Any = None, *, strict: bool = False) -> None:
        self._base = path_of(base_dir)
        place = self._place
        own = hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
        super().__init__(f"{BOARD}-{own}" if place else BOARD, strict=strict)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self._base, self.strict)


class MemoryInPlaceOfFiles(_InPlaceOfFiles, memory.AnalysisProgressTracker):
    """A tracker within this process. Each base_dir has its own analyses; the default has progress_tracker's."""

    def __new__(cls, *_: Any, **__: Any) -> MemoryInPlaceOfFiles:
        return object.__new__(cls)

    def __init__(self, base_dir: Any = None, *, strict: bool = False) -> None:
        self._base = path_of(base_dir)
        self.strict = strict
        self._entries = memory.entries_of(self._place)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self._base, self.strict)


def _resolved(base: str | None) -> str:
    """The folder of a base directory with its links resolved, or as it is if the path is not possible."""
    folder = os.fspath(files.folder_of(base))
    with suppress(OSError, ValueError):
        return os.path.realpath(folder)
    return folder


def _again(kind: Any, base: str | None, strict: bool) -> Any:
    return kind(base, strict=strict)


CLASSES: dict[str, Any] = {
    "shared": SharedInPlaceOfFiles,
    "file": files.FileBasedProgressTracker,
    "memory": MemoryInPlaceOfFiles,
}
for _kind in (SharedInPlaceOfFiles, MemoryInPlaceOfFiles):  # isinstance() holds whichever name a program uses
    files.FileBasedProgressTracker.register(_kind)
_instances: dict[str, Any] = {}


def chosen(written_for: str) -> str:
    """The kind of tracker that a program gets by an old name. An unknown value is reported and ignored."""
    kind = os.environ.get(SWITCH) or written_for
    if kind not in KINDS:
        text = f"{SWITCH} {kind!r} is unknown, {written_for} is used: choose one of {', '.join(KINDS)}"
        if text not in _told:
            _told.add(text)
            LOG.warning("%s", text)
            errors.tell(text)
        return written_for
    if kind == "shared" and support.disabled():
        return "memory"  # HEADWAY_DISABLE: no other process sees anything then
    return kind


def instance(kind: str) -> Any:
    """The object to use as file_progress_tracker for this kind."""
    if kind == "file":
        return files.file_progress_tracker
    if kind not in _instances:
        _instances[kind] = CLASSES[kind]()
    return _instances[kind]
