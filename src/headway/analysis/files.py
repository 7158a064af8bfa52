"""The tracker over files: one JSON file for each analysis, in a folder that older programs may use at the same time.

`progress_<id>.json` is replaced as a whole, by a rename. The previous one stays as `.progress_<id>.prev`, and is read
if the first is damaged. One of 16 lock files, `.lock-0` to `.lock-f`, is locked during each change, so that no change
is lost to another one. Readers need no lock: the file is complete at any time.

The old tracker takes no lock: it writes what it read before, and so undoes what was written in between.
`.progress_<id>.own` is a hard link to the file that Headway wrote last. If that is not the present file, another
program has written since, and Headway's changes that were undone by that are made again: see `_together`.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

from headway import errors
from headway.analysis.contract import SECONDS_PER_HOUR, Change, RecordTracker, moment_of, now
from headway.analysis.model import PENDING, RESULTS, AnalysisProgress
from headway.analysis.storage import lock_file, read_file, read_with_number, write_new
from headway.analysis.values import digest_of, id_of, path_of
from headway.system import paths

__all__ = ["FOLDER", "FileBasedProgressTracker", "file_in", "file_progress_tracker", "folder_of", "reader_of"]

FOLDER = "analysis_progress"
MODE = "HEADWAY_ANALYSIS_MODE"  # of a new folder, and of the files in it
KEPT_HOURS = 24.0
TRIES = 64  # of a reader; each further one means that Headway has just written
LOCKS = 16  # for all analyses of a folder; writers of analyses that share a lock wait for each other
PATIENCE_S = 2.0  # to wait for a stopped writer that holds the lock
_BEGIN, _END = "progress_", ".json"
_NAME_BYTES_MAX = 255 - len(_BEGIN + _END)  # a file's name has at most 255 bytes
_STEM_BYTES_MAX = 200  # of an id, as the files beside it have longer names around the id


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

    def _make(self, folder: Path) -> None:
        """Make the folder if it is not there. Raises OSError; NotOwner if it is not safe to write into it."""
        try:
            found = os.lstat(folder)
        except FileNotFoundError:
            mode = _mode()
            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
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

    def _files(self, id: str) -> _Files:
        return _Files(os.fspath(self.progress_dir), name_of(id))

    # ------------------------------------------------------------------------------------------------------ changes

    def _start(self, symbol: str, id: str) -> AnalysisProgress:
        self._make(Path(self.progress_dir))  # a cleaner of temporary files may have removed it
        files = self._files(id)
        with lock_file(files.lock, PATIENCE_S):
            record = AnalysisProgress(symbol, id, now())
            before, _ = files.read_main()
            files.write(record, before if _record(before) is not None else None)
        return record

    def _change(self, id: str, change: Change) -> bool:
        files = self._files(id)
        if not files.exist():
            return False
        self._make(Path(self.progress_dir))
        with lock_file(files.lock, PATIENCE_S):
            content, number = files.read_main()
            good = content if _record(content, id) is not None else None
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
                record = _Files(folder, name).read(None, beside.get(f".{_BEGIN}{_stem(name)}.own"))
                if record is not None and name_of(record.execution_id) == name:
                    yield record

    def _listed(self) -> tuple[list[tuple[str, float]], dict[str, int]]:
        """Every record, by the part of its file's name that is of the id, and its time; inodes of the other files."""
        found = []
        beside = {}
        with suppress(FileNotFoundError), os.scandir(self.progress_dir) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(_BEGIN) and name.endswith(_END):
                    with suppress(FileNotFoundError):  # removed since it was listed
                        found.append((name[len(_BEGIN) : -len(_END)], entry.stat(follow_symlinks=False).st_mtime))
                elif name.startswith(f".{_BEGIN}"):
                    beside[name] = entry.inode()
        return found, beside

    def _clean_up(self, hours: float) -> int:
        self._make(Path(self.progress_dir))
        limit = time.time() - hours * SECONDS_PER_HOUR
        folder = os.fspath(self.progress_dir)
        listed, beside = self._listed()
        removed = sum(_Files(folder, name).remove(limit) for name, touched in listed if touched < limit)
        kept = {f"{_stem(name)}.{kind}" for name, _ in listed for kind in ("prev", "own")}
        before = min(limit, time.time() - 5 * PATIENCE_S)
        for name in beside:  # left by killed writers, or of removed records
            if name.endswith(".tmp") or (name.endswith((".prev", ".own")) and name[1 + len(_BEGIN) :] not in kept):
                path = os.path.join(folder, name)
                with suppress(FileNotFoundError):
                    if os.lstat(path).st_mtime < before:
                        os.unlink(path)
        return removed


class _Files:
    """The files of one analysis."""

    def __init__(self, folder: str, name: str) -> None:
        stem = f"{folder}/.{_BEGIN}{_stem(name)}"
        self.main = f"{folder}/{_BEGIN}{name}{_END}"
        self.previous = f"{stem}.prev"
        self.own = f"{stem}.own"
        self.lock = Path(f"{folder}/.lock-{crc32(os.fsencode(name)) % LOCKS:x}")
        self._stem = stem

    def exist(self) -> bool:
        return os.path.lexists(self.main)

    def read(self, id: str | None, own_number: int | None = None) -> AnalysisProgress | None:
        """The record, of this id if one is given; the previous one if it is damaged; None if neither can be read.

        own_number: the inode of what Headway wrote last, as a list of the folder had it.
        """
        content = None
        for _ in range(TRIES):
            try:
                content, number = read_with_number(self.main, anyone=True)
            except FileNotFoundError:
                return None
            own = None if number == own_number else self._own_beside(number, id)
            if own is None or not number or self._is_main(number):
                return self._whole(content, own, id)
        return self._whole(content, None, id)  # it is written all the time, and complete

    def read_main(self) -> tuple[bytes | None, int]:
        with suppress(FileNotFoundError):
            return read_with_number(self.main, anyone=True)
        return None, 0

    def whole(self, content: bytes | None, number: int, id: str | None) -> AnalysisProgress | None:
        """The record in this content of the main file, with what another program undid; the previous one, or None.

        The caller holds the lock: otherwise Headway itself may have written since the content was read.
        """
        return self._whole(content, self._own_beside(number, id), id)

    def _own_beside(self, number: int, id: str | None) -> AnalysisProgress | None:
        """What Headway wrote last, if that is not the file with this inode."""
        for path in (self.own, self.previous):  # without the first, the second is it: a writer was killed, see `write`
            with suppress(OSError):  # not there: Headway has written nothing here
                return None if os.stat(path).st_ino == number else _record(read_file(path, anyone=True), id)
        return None

    def _own_is_main(self) -> bool:
        """Is the main file the one that Headway wrote last?"""
        with suppress(OSError):
            return self._is_main(os.stat(self.own).st_ino)
        return False

    def _is_main(self, number: int) -> bool:
        """Is the main file still the one with this inode?"""
        with suppress(OSError):
            return os.lstat(self.main).st_ino == number
        return False

    def _whole(self, content: bytes | None, own: AnalysisProgress | None, id: str | None) -> AnalysisProgress | None:
        record = _record(content, id)
        if own is not None:
            record = own if record is None else _together(record, own)
        if record is None:
            with suppress(FileNotFoundError):
                record = _record(read_file(self.previous, anyone=True), id)
        return record

    def write(self, record: AnalysisProgress, good: bytes | None) -> None:
        """Replace the record, with the lock held. good: the present one if intact; it becomes the previous one."""
        content = json.dumps(record.to_dict()).encode()
        if content == good:
            with suppress(OSError):  # another user's file; on a read-only disk the write below raises, with its path
                os.utime(self.main)
                return
        mode = _mode()
        permissions = 0o666 if mode is None else mode & 0o666
        temporary = f"{self._stem}.{os.urandom(8).hex()}.tmp"
        write_new(temporary, content, permissions, exactly=mode is not None)
        try:
            if good is not None and self._own_is_main():  # nothing was undone: three changes of the folder are enough
                os.rename(self.own, self.previous)
                if not _link(temporary, self.own):  # both were one file, which a rename leaves: a writer was killed
                    os.unlink(self.own)
                    _link(temporary, self.own)
                os.rename(temporary, self.main)
                return
            if good is not None:
                with suppress(FileNotFoundError):
                    os.unlink(self.previous)
                _link(self.main, self.previous)
            linked = _link(temporary, name := f"{temporary}.tmp")
            os.rename(temporary, self.main)
            if linked:  # by a rename: until then, only the old link has what was undone
                os.rename(name, self.own)
        except BaseException:
            for name in (temporary, f"{temporary}.tmp"):
                with suppress(FileNotFoundError):
                    os.unlink(name)
            raise

    def remove(self, limit: float) -> bool:
        """Remove them, unless somebody holds the lock or has written since `limit`."""
        with suppress(errors.LockTimeout, FileNotFoundError), lock_file(self.lock, 0.0):
            found = os.lstat(self.main)
            if stat.S_ISREG(found.st_mode) and found.st_mtime < limit:
                os.unlink(self.main)
                for path in (self.previous, self.own):
                    with suppress(FileNotFoundError):
                        os.unlink(path)
                return True
        return False


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
    return Path(folder, f"{_BEGIN}{name}{_END}")


def name_of(id: str) -> str:
    """An id as part of a file's name: unchanged if the old tracker could store it, else a digest of it."""
    if "/" in id or "\0" in id or len(id.encode()) > _NAME_BYTES_MAX:
        return digest_of(id)
    return id


def _stem(name: str) -> str:
    """The part that names of the files beside a record share."""
    return name if len(os.fsencode(name)) <= _STEM_BYTES_MAX else digest_of(name)


def _link(path: str, other: str) -> bool:
    with suppress(OSError):  # without hard links nothing is kept beside the record
        os.link(path, other, follow_symlinks=False)
        return True
    return False


def _together(record: AnalysisProgress, own: AnalysisProgress) -> AnalysisProgress:
    """Merge a record that another program wrote with the one that Headway wrote before: restore what was undone.

    Within one run of an analysis a stored result never becomes pending again, and an ended one never runs again.
    """
    if record.start_time == own.start_time:
        for name in RESULTS:
            if getattr(record, name).status == PENDING:
                setattr(record, name, getattr(own, name))
        if record.overall_status == "running" and own.overall_status != "running":
            for name in ("overall_status", "current_stage", "final_signal", "failure_stage", "final_message"):
                setattr(record, name, getattr(own, name))
    return record


def _record(content: bytes | None, id: str | None = None) -> AnalysisProgress | None:
    """The record in a file; None if it is damaged or has another id."""
    try:
        record = AnalysisProgress.from_dict(json.loads(content or b""))
    except (ValueError, RecursionError):
        return None
    return record if id is None or record.execution_id == id else None


def _mode() -> int | None:
    """The value of HEADWAY_ANALYSIS_MODE, which has octal digits; None if it is not set."""
    chosen = os.environ.get(MODE)
    if not chosen:
        return None
    try:
        return int(chosen, 8) & 0o777 | 0o700
    except ValueError:
        raise ValueError(f"{MODE} {chosen!r} is not a folder mode: give octal digits such as 0755") from None


def _again(kind: type[FileBasedProgressTracker], base: str | None, strict: bool) -> FileBasedProgressTracker:
    """Unpickle a tracker: it touches no disk before it is used."""
    one = kind._on_first_use()
    one._base, one.strict = base, strict
    return one


file_progress_tracker = FileBasedProgressTracker._on_first_use()
