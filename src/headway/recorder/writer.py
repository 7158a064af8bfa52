"""What a recorder writes of a board, and when: all of it, or what has changed since.

A board of a thousand tasks is more than a megabyte, and four times a second somebody has counted. So the whole of it is
written once, and then the tasks that differ from it, as long as that pays: until what was written more, as ended tasks
add up among those that differ, is as much as the board itself. Where half of the tasks differ, or the board is small,
the whole is written each time.

Should the snapshot be damaged, all that changed since is of no use. So none gets older than a minute; one of many
megabytes gets as old as keeps what is written of it at some gigabytes a day.

What is forced to the disk has to be of use there alone: so changes are forced only where the snapshot was that they
belong to. The whole is due together with what is forced, so it costs no more waits for the disk.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from headway import errors
from headway.files import changes, snapshot
from headway.native.changes import Base
from headway.native.records import RECORD_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from headway.engine.board import Board
    from headway.views.board_view import Raw

__all__ = ["Writer"]

SYNC_S = 5.0
REFRESH_S = 5.0  # a board with open tasks is written even if unchanged: rates fade, tasks stall
SMALL = 16 << 10  # bytes of a file: changes would be a third of it
AGE_S = 60.0  # of a whole snapshot, at most
PACE = 32 << 10  # bytes a second: a large one gets older, so that no more is written for its age


def _identity(path: Path) -> tuple[int, int, int] | None:
    """What changes if somebody replaces, cuts or writes a file."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class _Standing:
    """The whole snapshot that changes belong to."""

    def __init__(self, raw: Raw, path: Path, more_bytes: int, synced: bool) -> None:
        self._path, self._file = path, _identity(path)
        size = path.stat().st_size + more_bytes
        self.base = Base(raw.tasks, raw.shares)
        self.bytes = size  # of all that is written with it
        self.number: int = raw.meta["sequence"]
        self.synced = synced
        self.more = 0  # bytes of changes beyond the least that was needed
        self.least = size
        self.made_at = time.monotonic()
        self.old_at = self.made_at + max(AGE_S, size / PACE)

    @property
    def stands(self) -> bool:
        """Is the file as it was written? Changes to one that was cut or overwritten are of no use."""
        return _identity(self._path) == self._file

    @property
    def is_spent(self) -> bool:
        """Is it time for another one?"""
        return self.more >= self.bytes or time.monotonic() >= self.old_at

    def add(self, size: int) -> None:
        """Count what was written as changes."""
        self.least = min(self.least, size)
        self.more += size - self.least


class Writer:
    """Writes the files of one board."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._segment = board._segment
        self._standing: _Standing | None = None
        self._seen: tuple[int, int] | None = None  # pulse and states of what was written last
        self._synced_states = 0
        self._results_filed: int | None = None  # version of those in `results.npz`
        self._results_synced = True
        self._results_seen: int | None = None  # version of the newer ones
        self._newer: changes.Results = {}
        self._written_at = self._synced_at = -1e9

    def begin_anew(self) -> None:
        """The directory was removed or replaced: all files are written again."""
        self._standing = None
        self._seen = self._results_filed = None
        self._synced_states = -1

    def write(self, raw: Raw, *, last: bool, interval_s: float) -> None:
        """Write a copy, the last one that was taken, if anything has changed. last: all of it, once more.

        Raises as `snapshot.write` does.
        """
        now = time.monotonic()
        stale = self._segment.open_tasks and now - self._written_at >= REFRESH_S
        if self._versions() == self._seen and not stale and not last:
            return
        whole = self._segment.results_version not in (self._results_filed, self._results_seen)
        if whole:  # results are in a copy if they are asked for: those of one moment with the tasks
            raw = self._board._copy()
        seen = self._versions()
        sync = last or seen[1] != self._synced_states or now - self._synced_at >= SYNC_S
        problem = None
        try:
            done = not last and self._changes(raw, whole, sync, interval_s)
        except errors.NoSpace:
            raise
        except (errors.DamagedSnapshot, OSError) as refused:  # something stands in the place of the changes
            done, problem = False, refused
        if not done:
            self._all(raw, whole, sync, interval_s, last=last)
        self._seen, self._written_at = seen, now
        if sync:
            self._synced_states, self._synced_at = seen[1], now
        if problem is not None:
            raise problem

    def _versions(self) -> tuple[int, int]:
        """Those of the last copy."""
        return self._segment.content_version, self._segment.states_version

    def _all(self, raw: Raw, whole: bool, sync: bool, interval_s: float, *, last: bool) -> None:
        """Write all of it: the results first, so that their file is never older. whole: they are in the copy."""
        self._standing = None
        if self._segment.results_version != self._results_filed or (sync and not self._results_synced):
            with_results = raw if whole else self._board._copy()
            snapshot.write_results(with_results, self._board.directory, sync=sync)
            self._results_filed, self._results_synced = self._segment.results_version, sync
        raw = self._numbered(raw, interval_s)
        raw.meta[snapshot.MAY_HAVE_CHANGES] = not last
        path = snapshot.write(raw, self._board.directory, sync=sync, results_apart=True)
        if path.stat().st_size > SMALL:
            self._standing = _Standing(raw, path, (path.parent / snapshot.RESULTS).stat().st_size, sync)
        self._results_seen, self._newer = None, {}

    def _changes(self, raw: Raw, whole: bool, sync: bool, interval_s: float) -> bool:
        """Write what has changed. False: all of it is to be written."""
        standing = self._standing
        if standing is None or not standing.stands or (sync and (standing.is_spent or not standing.synced)):
            return False
        runs, kept = standing.base.runs(raw.tasks, raw.shares)
        if 2 * kept * RECORD_BYTES["tasks"] >= len(raw.tasks):
            return False
        if whole:
            self._results_seen, self._newer = self._segment.results_version, changes.results_in(raw, runs)
        elif self._segment.results_version == self._results_filed:
            self._results_seen, self._newer = None, {}
        written = changes.write(
            self._numbered(raw, interval_s),
            runs,
            (snapshot.SNAPSHOT, standing.number),
            self._newer,
            self._board.directory,
            sync=sync,
        )
        if written is None:  # a program has written a snapshot
            return False
        standing.add(written)
        return True

    def _numbered(self, raw: Raw, interval_s: float) -> Raw:
        return raw._replace(meta={**raw.meta, "sequence": self._segment.next_sequence(), "interval_s": interval_s})
