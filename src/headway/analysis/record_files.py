"""The files of one analysis of the file tracker: the record, the one before it, and what Headway wrote last."""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from headway import errors
from headway.analysis.model import PENDING, RESULTS, AnalysisProgress
from headway.analysis.storage import lock_file, read_file, read_with_number, reading, write_new
from headway.analysis.values import digest_of

__all__ = ["BEGIN", "END", "RecordFiles", "chosen_mode", "name_of", "record_in", "stem_of"]

TRIES = 64  # of a reader; each further one means that Headway has just written
LOCKS = 16  # for all analyses of a folder; writers of analyses that share a lock wait for each other
MODE = "HEADWAY_ANALYSIS_MODE"  # of a new folder, and of the files in it
BEGIN, END = "progress_", ".json"
_NAME_BYTES_MAX = 255 - len(BEGIN + END)  # a file's name has at most 255 bytes
_STEM_BYTES_MAX = 200  # of an id, as the files beside it have longer names around the id


class RecordFiles:
    """The files of one analysis."""

    def __init__(self, folder: str, name: str) -> None:
        stem = f"{folder}/.{BEGIN}{stem_of(name)}"
        self.main = f"{folder}/{BEGIN}{name}{END}"
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
                with reading(self.main, anyone=True) as (content, number):
                    own = None if number == own_number else self._own_beside(number, id)
                    if own is None or not number or self._is_main(number):
                        return self._whole(content, own, id)
            except FileNotFoundError:
                return None
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
        """What Headway wrote last, if another program has written since: the file with this inode."""
        own = None
        with suppress(OSError):
            if os.stat(self.own).st_ino == number:
                return None
            own = record_in(read_file(self.own, anyone=True), id)
        with suppress(OSError):  # not there: Headway has not written here, or only once
            # After the other file: Headway, which is about to replace this one (see `write`) or was killed over it, has
            # made it the previous one before it wrote the other. Together they would be a mixture of two moments.
            if os.stat(self.previous).st_ino == number:
                return None
            if own is None:  # a writer is between two steps, or was killed there
                return record_in(read_file(self.previous, anyone=True), id)
        return own

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
        record = record_in(content, id)
        if own is not None:
            record = own if record is None else _together(record, own)
        if record is None:
            with suppress(FileNotFoundError):
                record = record_in(read_file(self.previous, anyone=True), id)
        return record

    def write(self, record: AnalysisProgress, good: bytes | None) -> None:
        """Replace the record, with the lock held. good: the present one if intact; it becomes the previous one."""
        content = json.dumps(record.to_dict()).encode()
        if content == good:
            with suppress(OSError):  # another user's file; on a read-only disk the write below raises, with its path
                os.utime(self.main)
                return
        mode = chosen_mode()
        permissions = 0o666 if mode is None else mode & 0o666
        if good is None and self._begin(content, permissions, exactly=mode is not None):
            return
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
            linked = _link(temporary, name := f"{temporary}.tmp")
            os.rename(temporary, self.main)
            if linked:  # by a rename: until then, only the old link has what was undone
                os.rename(name, self.own)
        except BaseException:
            for name in (temporary, f"{temporary}.tmp"):
                with suppress(FileNotFoundError):
                    os.unlink(name)
            raise

    def _begin(self, content: bytes, permissions: int, *, exactly: bool) -> bool:
        """Write the first record, by one change of the folder; False, and nothing is changed, if this is not the first.

        What Headway wrote last is there before the record is: nobody looks at it until then, so it need not be whole.
        """
        try:
            write_new(self.own, content, permissions, exactly=exactly)
        except FileExistsError:
            return False
        try:
            os.link(self.own, self.main)
        except OSError:  # there is a record, of the old tracker or a damaged one; or hard links cannot be made here
            os.unlink(self.own)
            return False
        return True

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


def name_of(id: str) -> str:
    """An id as part of a file's name: unchanged if the old tracker could store it, else a digest of it."""
    if "/" in id or "\0" in id or len(id.encode()) > _NAME_BYTES_MAX:
        return digest_of(id)
    return id


def stem_of(name: str) -> str:
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


def record_in(content: bytes | None, id: str | None = None) -> AnalysisProgress | None:
    """The record in a file; None if it is damaged or has another id."""
    try:
        record = AnalysisProgress.from_dict(json.loads(content or b""))
    except (ValueError, RecursionError):
        return None
    return record if id is None or record.execution_id == id else None


def chosen_mode() -> int | None:
    """The value of HEADWAY_ANALYSIS_MODE, which has octal digits; None if it is not set."""
    chosen = os.environ.get(MODE)
    if not chosen:
        return None
    try:
        return int(chosen, 8) & 0o777 | 0o700
    except ValueError:
        raise ValueError(f"{MODE} {chosen!r} is not a folder mode: give octal digits such as 0755") from None
