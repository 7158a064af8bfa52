"""The tracker over files: one JSON file for each analysis, in a folder that older programs may use at the same time.

`progress_<id>.json` is replaced as a whole, by a rename. The previous one stays as `.progress_<id>.prev`, and is read
if the first is damaged. One of 16 lock files, `.lock-0` to `.lock-f`, is locked during each change, so that no change
is lost to another one. Readers need no lock: the file is complete at any time.

The old tracker takes no lock: it writes what it read before, and so undoes what was written in between.
`.progress_<id>.own` is a hard link to the file that Headway wrote last. If that is not the present file, another
program has written since, and Headway's changes that were undone by that are made again: see `_together`.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from headway import errors
from headway.analysis.contract import SECONDS_PER_HOUR, Change, RecordTracker, moment_of, now
from headway.analysis.model import AnalysisProgress
from headway.analysis.record_files import BEGIN, END, RecordFiles, chosen_mode, name_of, record_in, stem_of
from headway.analysis.storage import lock_file
from headway.analysis.values import id_of, path_of
from headway.system import paths

__all__ = ["FOLDER", "FileBasedProgressTracker", "file_in", "file_progress_tracker", "folder_of", "reader_of"]

FOLDER = "analysis_progress"
KEPT_HOURS = 24.0
PATIENCE_S = 2.0  # to wait for a stopped writer that holds the lock


class FileBasedProgressTracker(RecordTracker):
    """Follows analyses in the folder analysis_progress of a directory; default: the system's temporary one.

    Its constructor makes the folder, and removes analyses that were not written for 24 hours.
    base_dir: a path of any type; str() of anything that is not a path.
    strict: raise what goes wrong: NotOwner for another user's folder in the temporary directory, LockTimeout if a live
    process does not release an analysis, OSError.
    """

    progress_dir: Path

    def __init__(self, base_dir: Any = None, *, strict: bool = False) -> None:
        self._base = path_of(base_dir)
        self.strict = strict
        self._open()

    @classmethod
    def _on_first_use(cls) -> FileBasedProgressTracker:
        """A tracker that touches no disk before it is used."""
        one = cls.__new__(cls)
        one._base = None
        return one

    def __getattr__(self, name: str) -> Any:
        if name != "progress_dir" or "_base" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._open()

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self._base, self.strict)

    def _get_progress_file_path(self, execution_id: Any) -> Path:
        """The path of the record of an analysis. Old programs use it."""
        return file_in(self.progress_dir, execution_id)

    def _open(self) -> Path:
        """Make the folder, and clean it up. An error is reported; it occurs again when the folder is used."""
        folder = self.progress_dir = folder_of(self._base)
        try:
            self._clean_up(KEPT_HOURS)
        except Exception as error:  # noqa: BLE001 - as in ProgressTracker
            self._failed("__init__", self._base, error)
        return folder

    def _make(self, folder: str | Path) -> None:
        """Make the folder if it is not there. Raises OSError; NotOwner if it is not safe to write into it."""
        try:
            found = os.lstat(folder)
        except FileNotFoundError:
            mode = chosen_mode()
            try:
                Path(folder).parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileExistsError):
                    os.mkdir(folder, 0o777 if self._base is not None else 0o700)
                    if mode is not None:
                        os.chmod(folder, mode)
            except OSError as error:
                remedy = "give the tracker a base_dir that can be written, or set TMPDIR"
                raise OSError(error.errno, f"{error.strerror}: {remedy}", str(folder)) from None
            found = os.lstat(folder)
        ours = (os.geteuid(), 0)
        if stat.S_ISLNK(found.st_mode):
            if found.st_uid not in ours:
                raise errors.NotOwner(f"{folder} is a link that user {found.st_uid} made: choose another base_dir")
            found = os.stat(folder)
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(20, "it is not a folder: remove it, or choose another base_dir", str(folder))
        if self._base is None and found.st_uid not in ours:
            raise errors.NotOwner(
                f"{folder} belongs to user {found.st_uid}, not to you ({os.geteuid()}): give the tracker a base_dir of "
                f"your own, or set TMPDIR"
            )

    def _files(self, id: str) -> RecordFiles:
        return RecordFiles(os.fspath(self.progress_dir), name_of(id))

    # ------------------------------------------------------------------------------------------------------ changes

    def _start(self, symbol: str, id: str) -> AnalysisProgress:
        self._make(self.progress_dir)  # a cleaner of temporary files may have removed it
        files = self._files(id)
        with lock_file(files.lock, PATIENCE_S):
            record = AnalysisProgress(symbol, id, now())
            before, _ = files.read_main()
            files.write(record, before if record_in(before) is not None else None)
        return record

    def _change(self, id: str, change: Change) -> bool:
        files = self._files(id)
        if not files.exist():
            return False
        self._make(self.progress_dir)
        with lock_file(files.lock, PATIENCE_S):
            content, number = files.read_main()
            good = content if record_in(content, id) is not None else None
            record = files.whole(content, number, id)
            if record is None:
                return False
            change(record)
            files.write(record, good)
        return True

    # --------------------------------------------------------------------------------------------------------- reads

    def _get(self, id: str) -> AnalysisProgress | None:
        return self._files(id).read(id)

    def _recent(self, limit: float) -> list[AnalysisProgress]:
        moment = moment_of(limit)
        recent = [record for record in self._all(limit) if record.start_time >= moment]
        return sorted(recent, key=lambda record: record.start_time, reverse=True)

    def _active(self) -> list[str]:
        return [record.execution_id for record in self._all(0.0) if record.overall_status == "running"]

    def _all(self, touched_since: float) -> Iterator[AnalysisProgress]:
        folder = os.fspath(self.progress_dir)
        listed, beside = self._listed()
        for name, touched in listed:
            if touched >= touched_since:
                record = RecordFiles(folder, name).read(None, beside.get(f".{BEGIN}{stem_of(name)}.own"))
                if record is not None and name_of(record.execution_id) == name:
                    yield record

    def _listed(self) -> tuple[list[tuple[str, float]], dict[str, int]]:
        """Every record, by the part of its file's name that is of the id, and its time; inodes of the other files."""
        found = []
        beside = {}
        with suppress(FileNotFoundError), os.scandir(self.progress_dir) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(BEGIN) and name.endswith(END):
                    with suppress(FileNotFoundError):  # removed since it was listed
                        found.append((name[len(BEGIN) : -len(END)], entry.stat(follow_symlinks=False).st_mtime))
                elif name.startswith(f".{BEGIN}"):
                    beside[name] = entry.inode()
        return found, beside

    def _clean_up(self, hours: float) -> int:
        self._make(self.progress_dir)
        limit = time.time() - hours * SECONDS_PER_HOUR
        folder = os.fspath(self.progress_dir)
        listed, beside = self._listed()
        removed = sum(RecordFiles(folder, name).remove(limit) for name, touched in listed if touched < limit)
        kept = {f"{stem_of(name)}.{kind}" for name, _ in listed for kind in ("prev", "own")}
        before = min(limit, time.time() - 5 * PATIENCE_S)
        for name in beside:  # left by killed writers, or of removed records
            if name.endswith(".tmp") or (name.endswith((".prev", ".own")) and name[1 + len(BEGIN) :] not in kept):
                path = os.path.join(folder, name)
                with suppress(FileNotFoundError):
                    if os.lstat(path).st_mtime < before:
                        os.unlink(path)
        return removed


class _Onlooker(FileBasedProgressTracker):
    """See reader_of."""

    def __init__(self, place: str | os.PathLike[str]) -> None:
        self._place = Path(place).absolute()
        self.strict = True

    @property
    def progress_dir(self) -> Path:  # type: ignore[override]
        inside = self._place / FOLDER  # it may come later
        return inside if inside.is_dir() else self._place


def reader_of(place: str | os.PathLike[str]) -> FileBasedProgressTracker:
    """A tracker that only reads: it makes nothing and removes nothing, and raises what keeps it from reading.

    place: the folder of a tracker, or its base_dir; the folder may appear later.
    """
    return _Onlooker(place)


def folder_of(base_dir: str | None) -> Path:
    """The folder of a base directory; None stands for the system's temporary directory. The folder need not exist."""
    folder = Path(paths.temporary() if base_dir is None else base_dir, FOLDER)
    with suppress(OSError):  # the path is relative, and the current directory was removed
        return folder.absolute()
    return folder


def file_in(folder: Path, execution_id: Any) -> Path:
    """The file of an analysis in a folder. For a value that is not an id, a file that no tracker makes."""
    try:
        name = name_of(id_of(execution_id))
    except ValueError:
        name = ""
    return Path(folder, f"{BEGIN}{name}{END}")


def _again(kind: type[FileBasedProgressTracker], base: str | None, strict: bool) -> FileBasedProgressTracker:
    """Unpickle a tracker: it touches no disk before it is used."""
    one = kind._on_first_use()
    one._base, one.strict = base, strict
    return one


file_progress_tracker = FileBasedProgressTracker._on_first_use()
