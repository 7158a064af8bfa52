"""The recorder of a board: writes its snapshots, says which tasks were lost, archives those that ended, and tidies up.

A process of its own (see `recorder_process`), one a board. It is elected by a word of the segment's header, which a
dead one loses, and holds a lock on the file `recorder.lock` in the board's directory, which no other machine or
container that shares the directory can hold at the same time. The file's modification time is its sign of life for
those who read files only.

It writes nothing when nothing changed, forces snapshots to the disk when a state changed or five seconds have passed,
and stretches its interval so that it takes at most a fiftieth of a core. It outlives the program: when no process has
used the board for a few seconds, it writes the last snapshot, removes the segment, and ends.
"""

from __future__ import annotations

import contextlib
import errno
import time

from headway import errors
from headway.engine import segments
from headway.engine.board import Board
from headway.files import archive, snapshot
from headway.files.history import Writer
from headway.native import scans
from headway.native.series import Series
from headway.system import locks
from headway.views.board_view import Raw

__all__ = ["Recorder"]

INTERVAL_S = 0.25
INTERVAL_MOST_S = 5.0
DUTY = 0.02  # of a core, at most
SYNC_S = 5.0
REFRESH_S = 5.0  # an unchanged board with open tasks: their rates fade, and they stall
QUIET_S = 3.0
BEAT_S = 0.5
RETENTION_S = 24 * 3600.0  # on the board
HISTORY_HOURS = 30 * 24.0
HISTORY_ROWS = 1_000_000
BATCH = 256
LOCK_TRIES = 60  # of 50 ms: the recorder of an earlier segment of this board is about to leave
LEAVE_AGAIN_S = 30.0  # after the last snapshot could not be written


class Recorder:
    """One recorder at work. Made by `Recorder.elected`; `run` returns when it is no longer needed, and says why."""

    def __init__(self, board: Board, lock: locks.FileLock | None) -> None:
        self._board = board
        self._segment = board._segment
        self._lock = lock
        self._history = Writer(board.directory)
        self._series = Series()
        self.problem: Exception | None = None  # of the last attempt
        self._stop = False
        self._interval_s = INTERVAL_S
        self._seen: tuple[int, int] | None = None  # pulse and states of the last snapshot file
        self._synced_states = 0
        self._results_seen: int | None = None  # of the last file of results
        self._results_synced = True
        self._written_at = self._synced_at = self._retained_at = -1e9
        self._leave_at = 0.0

    @classmethod
    def elected(cls, board: Board) -> Recorder:
        """Become the recorder of a board. Raises BoardRecorded naming its pid if there is one; BoardElsewhere.

        A directory that cannot be written just now is no reason to give up: it is tried again at each look.
        """
        segment = board._segment
        if not segment.elect():
            raise errors.BoardRecorded(f"board {board.name!r} is recorded already, by pid {segment.recorder_pid}")
        for _ in range(LOCK_TRIES):
            try:
                lock = locks.recorder_lock(board.directory)
            except (OSError, errors.NotOwner):
                return cls(board, None)
            if lock is not None:
                return cls(board, lock)
            segment.beat()
            time.sleep(0.05)
        segment.resign()
        raise errors.BoardElsewhere(
            f"{board.directory} is recorded by {locks.lock_holder(board.directory)}, which this machine or "
            f"container cannot see: give each a directory of its own with HEADWAY_DIR, or each board another name"
        )

    def stop(self) -> None:
        """Have `run` write once more and return."""
        self._stop = True

    def run(self) -> str:
        """Record until the board is removed, or nobody uses it any more, or `stop`. Returns which of these it was."""
        try:
            return self._run()
        finally:
            self.resign()

    def resign(self) -> None:
        """Let another process be the recorder."""
        self._history.close()
        self._segment.resign()
        self._segment.leave()
        if self._lock is not None:
            self._lock.release()

    def _run(self) -> str:
        quiet_since: float | None = None  # the first look of those in a row at which nobody used the board
        while True:
            self._segment.beat()
            if self._lock is not None:
                self._lock.touch()
            due, began = time.monotonic(), time.thread_time()
            if not self._cycle_if_ours():
                self._segment.want_recorder(False)  # nobody reads what another one would write
                return "the board was removed"
            spent = time.thread_time() - began
            if self._stop:
                return "it was stopped"
            now = time.monotonic()
            if self._segment.in_use:
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            elif now - quiet_since >= QUIET_S and now >= self._leave_at:
                if self.finish():
                    return "nobody uses the board any more"
                self._leave_at = now + LEAVE_AGAIN_S
            self._interval_s = min(max(INTERVAL_S, spent / DUTY), INTERVAL_MOST_S)
            # What the cycle took is part of the interval; a slow disk gets a pause all the same.
            self._sleep(max(due + self._interval_s, now + INTERVAL_S / 2))

    def _sleep(self, until: float) -> None:
        while not self._stop and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, BEAT_S))
            self._segment.beat()

    def _cycle_if_ours(self) -> bool:
        """One cycle, under the lock of the directory: what is removed while it goes on must not be written once more.

        Returns False if the board is no longer ours.
        """
        directory = self._board.directory
        try:
            with locks.locked(directory, wait_s=1.0):
                if self._segment.retired or not self._is_ours():
                    return False
                if self._lock is None:
                    self._lock = locks.recorder_lock(directory)
                if self._lock is not None:  # else another machine's recorder has it by now
                    self._cycle()
        except errors.LockTimeout as problem:  # somebody is stopped in the middle of creating or removing
            self.problem = problem
        except errors.NotOwner as problem:  # something stands in the place of a lock
            self.problem = problem
            self._segment.note(errno.EPERM)
        except OSError as problem:
            if not directory.exists():
                return False
            self.problem = problem
            self._segment.note(problem.errno or errno.EIO)
        return True

    def _is_ours(self) -> bool:
        """Does the directory still name this segment? With a directory that is gone, nobody reads what we write."""
        with contextlib.suppress(errors.HeadwayError):
            return segments.referenced(self._board.directory) == self._segment.uuid
        return False

    # ------------------------------------------------------------------------------------------------------ one cycle

    def _cycle(self, *, last: bool = False) -> bool:
        """Settle, archive, write. Returns whether all of it is safely on disk."""
        raw = self._board._copy(results=False)
        if self._settle(raw):
            raw = self._board._copy(results=False)
        self.problem = None
        for step in (self._archive, self._write):  # a history that cannot be written keeps no snapshot from being
            try:
                step(raw, last)
            except (errors.HeadwayError, OSError) as problem:
                self.problem = problem
        self._segment.note(0 if self.problem is None else getattr(self.problem, "errno", None) or errno.EIO)
        return self.problem is None

    def _settle(self, raw: Raw) -> bool:
        """Write the states that tasks have by themselves: lost, or running again. Returns whether there were any."""
        found = scans.unsettled(raw.tasks)
        for slot, generation, owner, state in found:
            task = self._board._handle(slot, generation, "")
            with contextlib.suppress(errors.HeadwayError):  # ended, started anew, or adopted meanwhile
                if state == "lost":
                    task._transition("lost", ("pending", "running"), expected_owner=owner)
                else:
                    task._transition("running", ("lost",), expected_owner=owner)
        return bool(found)

    def _write(self, raw: Raw, last: bool) -> None:
        now = time.monotonic()
        seen = (self._segment.content_version, self._segment.states_version)
        stale = self._segment.open_tasks and now - self._written_at >= REFRESH_S
        if seen == self._seen and not stale and not last:
            return
        sync = last or seen[1] != self._synced_states or now - self._synced_at >= SYNC_S
        if self._segment.results_version != self._results_seen or (sync and not self._results_synced):
            with_results = self._board._copy()
            seen_results = self._segment.results_version
            snapshot.write_results(with_results, self._board.directory, sync=sync)
            self._results_seen, self._results_synced = seen_results, sync
        self._board._write(raw, sync=sync, interval_s=self._interval_s)
        self._seen, self._written_at = seen, now
        if sync:
            self._synced_states, self._synced_at = seen[1], now

    def _archive(self, raw: Raw, last: bool) -> None:
        """Put what has ended into the history; free what ended a day ago."""
        self._series.look(raw.tasks, raw.taken_at)
        if not self._segment.recorder_wanted:
            return  # its last work on a board that nobody wanted to be recorded
        places = [(slot, generation) for _, slot, generation, _ in scans.unarchived(raw.tasks)]
        for at in range(0, len(places), BATCH):
            archive.add(self._segment, self._history, raw.meta, places[at : at + BATCH], self._series)
        now = time.monotonic()
        if not last and now - self._retained_at >= 60.0:
            self._retained_at = now
            before_ns = raw.meta["taken_ns"] - int(RETENTION_S * 1e9)
            self._segment.free_archived(scans.archived_before(raw.tasks, before_ns))
            self._history.prune(keep_hours=HISTORY_HOURS, keep_rows=HISTORY_ROWS)

    # ------------------------------------------------------------------------------------------------------ the end

    def finish(self) -> bool:
        """Write the last state and remove the segment, unless somebody came. False: it stays."""
        segment, directory = self._segment, self._board.directory
        if self._lock is None:
            return False
        try:
            with locks.locked(directory, wait_s=1.0):
                segment.announce_retirement()
                try:
                    if segment.in_use or not self._is_ours() or not self._cycle(last=True):
                        return False
                    segments.remove(directory, segment)
                    self._lock.release()  # before the directory's: whoever opens the board next finds it free
                    return True
                finally:
                    segment.announce_retirement(False)  # under the lock; of a board that is retired it stays so
        except (errors.HeadwayError, OSError) as problem:
            self.problem = problem
            return False
