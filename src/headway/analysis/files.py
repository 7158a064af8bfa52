"""The tracker over files: one JSON file for each analysis, which any process of this user may read and write.

`progress_<id>.json` is replaced as a whole, by a rename. The one before stays as `.progress_<id>.prev`, and is what is
read where the first is damaged. `.progress_<id>.lock` is locked for the whole of each change, so that of two changes at
once none is lost, and shared by those who read.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote

from headway import errors
from headway.analysis.contract import Change, RecordTracker, age_limit
from headway.analysis.model import AnalysisProgress, check_id, check_text
from headway.analysis.storage import lock_file, read_file, sync_folder, write_new
from headway.system.paths import make_private

__all__ = ["FileBasedProgressTracker", "file_progress_tracker"]

FOLDER = "analysis_progress"
KEPT_HOURS = 24.0
WRITER_PATIENCE_S = 10.0
READER_PATIENCE_S = 1.0  # then it reads without the lock: the file is whole at any time
_QUOTED_BYTES_MAX = 200  # with what stands around it less than the 255 bytes of a file's name
_BEGIN, _END = "progress_", ".json"


class FileBasedProgressTracker(RecordTracker):
    """Follows analyses in the folder analysis_progress of a directory; default: the system's temporary one.

    When it is made, it removes what nothing has touched for 24 hours. Raises NotOwner if the folder is somebody else's,
    OSError if it cannot be made.
    """

    __slots__ = ("_base", "_folder")

    def __init__(self, base_dir: str | os.PathLike[str] | None = None) -> None:
        self._base = None if base_dir is None else Path(base_dir)
        self._folder: Path | None = None
        self._open()

    @classmethod
    def _on_first_use(cls) -> FileBasedProgressTracker:
        """One that touches no disk before it is used."""
        one = cls.__new__(cls)
        one._base = one._folder = None
        return one

    def __reduce__(self) -> tuple[type[FileBasedProgressTracker], tuple[Path | None]]:
        return FileBasedProgressTracker, (self._base,)

    @property
    def directory(self) -> Path:
        """The folder of the files."""
        return self._folder or self._open()

    def _open(self) -> Path:
        folder = (self._base or Path(tempfile.gettempdir())).absolute() / FOLDER
        make_private(folder)
        self._folder = folder
        self.cleanup_old(KEPT_HOURS)
        return folder

    # ------------------------------------------------------------------------------------------------------ changes

    def start_analysis(self, symbol: str, execution_id: str) -> AnalysisProgress:
        """Begin an analysis; one of the same id starts over. Returns what it looks like now.

        This and every other change raises LockTimeout, if a live process does not let go of the analysis, and OSError.
        """
        id = check_id(execution_id)
        text = check_text(symbol, "symbol")
        if not self.directory.is_dir():  # who tidies up temporary files took it
            self._open()
        files = _Files(self.directory, id)
        with lock_file(files.lock, WRITER_PATIENCE_S):
            now = datetime.now()  # noqa: DTZ005 - programs compare start_time with datetime.now()
            record = AnalysisProgress(text, id, now)
            files.write(record, keep=files.read_one(files.main) is not None)
        return record

    def _change(self, execution_id: str, change: Change) -> bool:
        files = _Files(self.directory, execution_id)
        if not files.exist():
            return False
        with lock_file(files.lock, WRITER_PATIENCE_S):
            record = files.read_one(files.main)
            keep = record is not None
            if record is None:
                record = files.read_one(files.previous)
            if record is None:
                return False
            before = record.copy()
            change(record)
            if record != before:
                files.write(record, keep=keep)
            else:
                files.touch()
        return True

    # --------------------------------------------------------------------------------------------------------- reads

    def get_progress(self, execution_id: str) -> AnalysisProgress | None:
        """Return what an analysis looks like now; the last good state if its file is damaged, None without one."""
        return _Files(self.directory, check_id(execution_id)).read()

    def get_all_recent(self, hours: float = 1) -> list[AnalysisProgress]:
        """Return the analyses that were started within the last `hours`, the newest first."""
        limit = age_limit(hours)
        recent = [record for record in self._all(limit) if record.start_time.timestamp() >= limit]
        return sorted(recent, key=lambda record: record.start_time, reverse=True)

    def get_active_executions(self) -> list[str]:
        """Return the ids of the analyses whose status is running."""
        return [record.execution_id for record in self._all(0.0) if record.overall_status == "running"]

    def _all(self, touched_since: float) -> Iterator[AnalysisProgress]:
        for id, touched in self._listed():
            if touched >= touched_since:
                record = _Files(self.directory, id).read()
                if record is not None:
                    yield record

    def _listed(self) -> list[tuple[str, float]]:
        """Every id that has a file, and when the file was written."""
        found = []
        with suppress(FileNotFoundError), os.scandir(self.directory) as entries:
            for entry in entries:
                id = _id_of(entry.name)
                if id is not None:
                    with suppress(FileNotFoundError):  # removed since it was listed
                        found.append((id, entry.stat(follow_symlinks=False).st_mtime))
        return found

    def cleanup_old(self, hours: float = 24) -> int:
        """Remove the analyses that nothing touched for `hours`, but none that is being written. Returns how many."""
        limit = age_limit(hours)
        old = [id for id, touched in self._listed() if touched < limit]
        removed = sum(_Files(self.directory, id).remove(limit) for id in old)
        for stray in self.directory.glob(f".{_BEGIN}*"):  # of writers that were killed, and of files that are gone
            with suppress(FileNotFoundError):
                if stray.lstat().st_mtime >= min(limit, time.time() - WRITER_PATIENCE_S):
                    continue
                if stray.suffix in (".tmp", ".old"):
                    stray.unlink()
                elif (id := _id_of(f"{stray.stem[1:]}{_END}")) is not None:
                    _Files(self.directory, id).remove_rest()
        return removed


class _Files:
    """The files of one analysis."""

    def __init__(self, folder: Path, id: str) -> None:
        self.folder = folder
        self.id = id
        self.name = _name_of(id)
        self.main = folder / f"{_BEGIN}{self.name}{_END}"
        self.previous = folder / f".{_BEGIN}{self.name}.prev"
        self.lock = folder / f".{_BEGIN}{self.name}.lock"

    def exist(self) -> bool:
        return self.main.exists() or self.previous.exists()

    def read(self) -> AnalysisProgress | None:
        if not self.exist():
            return None
        try:
            with lock_file(self.lock, READER_PATIENCE_S, shared=True):
                return self.read_one(self.main) or self.read_one(self.previous)
        except errors.LockTimeout:
            return self.read_one(self.main) or self.read_one(self.previous)

    def read_one(self, path: Path) -> AnalysisProgress | None:
        """The record in a file; None if it is missing or damaged."""
        try:
            record = AnalysisProgress.from_dict(json.loads(read_file(path) or b""))
            # In the file it has its offset from UTC: the next reader may be in another zone.
            record.start_time = datetime.fromtimestamp(record.start_time.timestamp())  # noqa: DTZ006 - as it began
        except (FileNotFoundError, ValueError, RecursionError, OverflowError):
            return None
        return record if record.execution_id == self.id else None

    def write(self, record: AnalysisProgress, *, keep: bool) -> None:
        """Replace the record. keep: the present one is whole, and becomes the previous one. The lock is held."""
        values = record.to_dict() | {"start_time": record.start_time.astimezone().isoformat()}
        temporary = self.folder / f".{_BEGIN}{self.name}.{os.urandom(8).hex()}.tmp"
        write_new(temporary, json.dumps(values).encode())
        try:
            if keep:
                self._keep_previous(temporary.with_suffix(".old"))
            os.replace(temporary, self.main)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(self.folder)

    def _keep_previous(self, link: Path) -> None:
        try:
            os.link(self.main, link)  # so that there is a main file at any time
            os.replace(link, self.previous)
            link.unlink(missing_ok=True)  # the rename of one file onto itself leaves both names
        except OSError:  # where there are no hard links: for a moment there is the previous one alone
            os.replace(self.main, self.previous)

    def touch(self) -> None:
        with suppress(FileNotFoundError):
            os.utime(self.main)

    def remove(self, limit: float) -> bool:
        """Remove them, unless somebody holds the lock or has written since `limit`. The lock file goes last."""
        with suppress(errors.LockTimeout, FileNotFoundError), lock_file(self.lock, 0.0):
            found = self.main.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_mtime < limit:
                for path in (self.main, self.previous, self.lock):
                    path.unlink(missing_ok=True)
                return True
        return False

    def remove_rest(self) -> None:
        """Remove what stands beside a main file that is gone."""
        with suppress(errors.LockTimeout), lock_file(self.lock, 0.0):
            if not self.main.exists():
                self.previous.unlink(missing_ok=True)
                self.lock.unlink()


def _name_of(id: str) -> str:
    """An id as part of a file's name, from which it can be told again: no slash, no control character, not too long."""
    name = quote(id, safe="")
    return name if len(name) <= _QUOTED_BYTES_MAX else "%=" + base64.urlsafe_b64encode(id.encode()).decode()


def _id_of(file_name: str) -> str | None:
    """The id behind the name of a main file; None for any other file."""
    if not file_name.startswith(_BEGIN) or not file_name.endswith(_END):
        return None
    name = file_name[len(_BEGIN) : -len(_END)]
    try:
        id = base64.urlsafe_b64decode(name[2:]).decode() if name.startswith("%=") else unquote(name, errors="strict")
        check_id(id)
    except (ValueError, binascii.Error):
        return None
    return id if _name_of(id) == name else None


file_progress_tracker = FileBasedProgressTracker._on_first_use()
