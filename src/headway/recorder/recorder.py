"""The recorder of a board: it writes snapshots, marks lost tasks, archives tasks that ended, and removes the board.

Each board has one; one process is the recorder of many boards (see `recorder_process`), each of them a `Recorder` that
knows nothing of the others. It is elected by a word of the segment's header, which is taken from a recorder that died.
It also locks the file `recorder.lock` in the board's directory, which keeps out recorders on other machines or in other
containers that share the directory. The modification time of that file is the recorder's sign of life for those who
read only files.

It writes nothing when nothing changed, forces snapshots to the disk when a state changed or five seconds have passed,
and stretches its interval so that all boards of a process take at most a fiftieth of a core. It outlives the program:
when no process has used the board for a few seconds, it writes the last snapshot, removes the segment, and ends.

Each look is bounded, whatever the history holds: the snapshot is written first, tasks are archived for a second at
most, and what the history needs else (old rows deleted, older versions moved) goes in small steps, without the lock of
the directory. A recorder that cannot finish ends after a bound, too: it notes why in the header and in `recorder.log`,
and the segment stays in shared memory, so that nothing is lost.
"""

from __future__ import annotations

import contextlib
import errno
import time

from headway import errors
from headway.engine import segments
from headway.engine.board import Board
from headway.files import archive, retention
from headway.files.history import Writer
from headway.files.tidying import STEP_ROWS, Round
from headway.native import scans
from headway.native.series import Series
from headway.recorder.room import Room
from headway.recorder.writer import Writer as FilesWriter
from headway.system import locks, paths
from headway.views.board_view import Raw

__all__ = ["Recorder"]

INTERVAL_S = 0.25
INTERVAL_MOST_S = 5.0
DUTY = 0.02  # of a core, at most: what all boards of one process part among them
LOOKS = 10  # so many make the mean of what a look costs
QUIET_S = 3.0
BEAT_S = 0.5
BATCH = 256
ARCHIVE_S = 1.0  # a look archives for so long at most
TIDY_S = 60.0  # between two rounds of tidying the history up
TIDY_DUTY = 0.05  # of a core, while there is something to tidy up: for all boards of one process, too
LOCK_TRIES, LOCK_NAP_S = 60, 0.05  # the recorder of an earlier segment of this board may be about to leave
LEAVE_AGAIN_S = 30.0  # between two tries to leave, where the last snapshot cannot be written
LEAVE_SOON_S = 5.0  # the same, where another program has the history locked: for as long others may have the directory
GIVE_UP_S = 600.0  # nobody uses the board, and its last snapshot could not be written for so long
HOPELESS_S = 10.0  # it is used, and nothing could be written for so long, for a reason that does not go by itself
HOPELESS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENAMETOOLONG)
REMADE_S = 5.0  # the header says for so long that the directory was gone: programs look once a second

REMOVED = "the board was removed"
REPLACED = "another board of this name has its directory"


class Recorder:
    """A recorder at work. `Recorder.elected` makes one; `run` returns when it is no longer needed, with the reason."""

    def __init__(self, board: Board, lock: locks.FileLock | None, keep: retention.Retention | None = None) -> None:
        self._board = board
        self._segment = board._segment
        self._lock = lock
        self._history = Writer(board.directory)
        self._series = Series()
        self.problem: Exception | None = None  # of the last attempt
        self.gave_up = False
        self._failing_since: float | None = None
        self._remade_until = -1e9
        self._behind = False  # are there tasks that the last look had no time to archive?
        self._retention = keep or retention.kept()
        self._tidying: Round | None = None
        self._added = 0  # tasks that were archived since the last step of tidying up
        self._stop, self._interval_s = False, INTERVAL_S
        self._files = FilesWriter(board)
        self._leave_at = self._tidy_at = 0.0
        self._kept_out = False  # did others have the lock of the directory, the last time?
        self._quiet_since: float | None = None  # since when nobody has used the board
        self._room = Room(board._segment)
        self._whole, self._whole_at = True, 0.0  # is this look one at the whole board, and when is the next one due?
        self.share = DUTY  # of a core: how much it may take, in the mean
        self.cost = self.due = 0.0  # seconds of a core that a look takes, in the mean; when the next look is due

    @classmethod
    def elected(cls, board: Board) -> Recorder:
        """Become the recorder of a board. Raises BoardRecorded with the pid of the one it has; BoardElsewhere.

        If the directory cannot be written now, it does not give up: each cycle tries again.
        """
        for _ in range(LOCK_TRIES):
            recorder = cls.tried(board)
            if recorder is not None:
                return recorder
            time.sleep(LOCK_NAP_S)
        raise cls.refused(board)

    @classmethod
    def tried(cls, board: Board, keep: retention.Retention | None = None) -> Recorder | None:
        """As `elected`, without a wait. None while another process holds `recorder.lock`: then try again."""
        segment = board._segment
        if not segment.elect():
            raise errors.BoardRecorded(f"board {board.name!r} is recorded already, by pid {segment.recorder_pid}")
        try:
            lock = locks.recorder_lock(board.directory)
        except (OSError, errors.NotOwner):
            return cls(board, None, keep)
        if lock is not None:
            return cls(board, lock, keep)
        segment.beat()
        return None

    @staticmethod
    def refused(board: Board) -> errors.BoardElsewhere:
        """The error for one whose tries were in vain. It is not the board's recorder any more."""
        board._segment.resign()
        return errors.BoardElsewhere(
            f"{board.directory} is recorded by {locks.lock_holder(board.directory)}, which this machine or "
            f"container cannot see: give each a directory of its own with HEADWAY_DIR, or each board another name"
        )

    @property
    def is_behind(self) -> bool:
        """Had the last look no time for all that is to be archived?"""
        return self._behind

    def stop(self) -> None:
        """Have `run` write once more and return."""
        self._stop = True

    def run(self) -> str:
        """Record until the board is removed, no process uses it any more, or `stop` is called. Returns which it was."""
        try:
            while (reason := self.step()) is None:
                self._sleep(self.due)
            return reason
        finally:
            self.resign()

    def resign(self) -> None:
        """Let another process be the recorder."""
        self._history.close()
        self._segment.resign()
        self._segment.leave()
        self._unlock()

    def step(self) -> str | None:
        """One look, and what is due beside it. Returns why it is no longer needed; None: look again at `due`."""
        stopping = self._stop  # one that comes during a look is followed by another look: it may have copied before
        due, began = time.monotonic(), time.thread_time()
        self._whole = stopping or due >= self._whole_at
        self._segment.beat()
        if self._lock is not None:
            self._lock.touch()
        reason = self._look()
        spent = time.thread_time() - began
        now = time.monotonic()
        if self._segment.in_use:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
        quiet_since = self._quiet_since
        reason = reason or self._given_up(quiet_since, now)
        if reason is not None:
            self._segment.want_recorder(False)  # another recorder could not start either
            return reason
        if stopping:
            return "it was stopped"
        if quiet_since is not None and now - quiet_since >= QUIET_S and now >= self._leave_at and not self._behind:
            # What this look could not write, the last one could not either: others want the lock of the directory.
            if self.problem is None and self.finish():
                return "nobody uses the board any more"
            self._leave_at = time.monotonic() + self._rest_s()
        if self._whole:
            self._tidy()
            self.cost += (spent - self.cost) / LOOKS
            self._interval_s = min(max(INTERVAL_S, spent / DUTY, self.cost / self.share), INTERVAL_MOST_S)
            # The interval includes the time of the cycle; a slow disk gets a pause all the same.
            self._whole_at = max(due + self._interval_s, time.monotonic() + INTERVAL_S / 2)
        lasts_until = self._room.lasts_until(spent) if self.problem is None else self._whole_at
        self.due = min(self._whole_at, lasts_until)
        return None

    def _rest_s(self) -> float:
        """How long to wait until it tries to leave again."""
        if self.is_behind or self.problem is None or self._kept_out:  # a process came, or had the lock of the directory
            return 0.0
        return LEAVE_SOON_S if isinstance(self.problem, errors.LockTimeout) else LEAVE_AGAIN_S

    def _sleep(self, until: float) -> None:
        while not self._stop and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, BEAT_S))
            self._segment.beat()

    def _given_up(self, quiet_since: float | None, now: float) -> str | None:
        """Why it is of no use to go on, if it has not been for long enough."""
        if self.problem is None:
            self._failing_since = None
            return None
        if self._failing_since is None:
            self._failing_since = now
        failing_s = now - max(self._failing_since, quiet_since or -1e9)
        hopeless = getattr(self.problem, "errno", None) in HOPELESS
        if failing_s < (GIVE_UP_S if quiet_since is not None and not hopeless else HOPELESS_S):
            return None
        if quiet_since is None and not hopeless:
            return None
        self.gave_up = True
        return f"it could not be recorded for {failing_s:.0f} s: {self.problem}"

    # ------------------------------------------------------------------------------------------------------- one look

    def _look(self) -> str | None:
        """One cycle, under the lock of the directory: files of a board that is removed meanwhile must not come back.

        Returns why this recorder has to leave, or None.
        """
        self._kept_out = False
        try:
            return self._looked()
        except errors.LockTimeout as problem:  # a process was stopped while it was creating or removing the segment
            self.problem, self._kept_out = problem, True
        except (errors.HeadwayError, OSError) as problem:  # a lock file that is not this user's alone, for example
            self.problem = problem
            self._segment.note(getattr(problem, "errno", None) or errno.EPERM)
        return None

    def _looked(self) -> str | None:
        directory, segment = self._board.directory, self._segment
        gone = not directory.exists()
        if gone and not segment.retired:  # who removes a board retires its segment first: this was somebody else
            paths.make_private(directory)
        elif gone:
            return REMOVED
        with locks.locked(directory, wait_s=1.0):
            if segment.retired:
                return REMOVED
            uuid = segments.referenced(directory)
            if uuid not in (None, segment.uuid):
                segment.note(errno.ESTALE)
                return REPLACED
            if uuid is None:
                segments.publish(directory, segment)
                self._begin_anew()
            elif self._lock is not None and not self._lock.stands(directory):
                self._unlock()  # readers would take its recorder for dead
            if self._lock is None:
                self._lock = locks.recorder_lock(directory)
            if self._lock is None:
                holder = locks.lock_holder(directory)
                raise errors.BoardElsewhere(f"{directory} is recorded by {holder}, in another /dev/shm")
            if self._whole:
                self._cycle()
                self._room.look()
            else:
                self._added += self._room.more(self._history, self._board._at.copy_meta(), self._series)
        return None

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def _begin_anew(self) -> None:
        """The directory was removed or replaced while the board was in use: all of its files are written again."""
        self._history.close()
        self._unlock()
        self._files.begin_anew()
        self._remade_until = time.monotonic() + REMADE_S

    def _cycle(self, *, last: bool = False) -> bool:
        """Settle, write, archive. Returns whether all of it is safely on disk."""
        raw = self._board._copy(results=False)
        if self._settle(raw):
            raw = self._board._copy(results=False)
        self.problem = None
        for step in (self._write, self._archive):  # the snapshot first, which takes a bounded time
            try:
                step(raw, last)
            except (errors.HeadwayError, OSError) as problem:
                self.problem = problem
        if self.problem is not None:
            self._segment.note(getattr(self.problem, "errno", None) or errno.EIO)
        elif time.monotonic() >= self._remade_until:
            self._segment.note(0)
        elif not self._segment.recorder_errors[1]:
            self._segment.note(errno.ENOENT)
        return self.problem is None and not self._behind

    def _settle(self, raw: Raw) -> bool:
        """Write the states that nobody else writes: lost, and running again. Returns whether there were any."""
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
        self._files.write(raw, last=last, interval_s=self._interval_s)

    def _archive(self, raw: Raw, last: bool) -> None:
        """Put tasks that ended into the history; free the slots of those that ended a day ago."""
        self._series.look(raw.tasks, raw.taken_at)
        if not self._segment.recorder_wanted:
            return  # a board without a recorder has no history: only its last snapshot is written
        places = [(slot, generation) for _, slot, generation, *_ in scans.unarchived(raw.tasks)]
        until = time.monotonic() + ARCHIVE_S
        self._behind = False
        for at in range(0, len(places), BATCH):
            if at and time.monotonic() >= until:  # also the last time: others wait for the lock of the directory
                self._behind = True
                return
            self._added += archive.add(self._segment, self._history, raw.meta, places[at : at + BATCH], self._series)
            self._segment.beat()
        if not last:
            self._room.free_old(raw)

    def _tidy(self) -> None:
        """A step of tidying the history up, or as many as what was archived meanwhile asks for."""
        if self.problem is not None or self._stop or not self._segment.recorder_wanted:
            return
        if time.monotonic() < self._tidy_at and (self._tidying is None or self._added < STEP_ROWS):
            return
        began, more = time.thread_time(), False
        try:
            if self._tidying is None:
                self._tidying = self._history.round(keep_hours=self._retention.hours, keep_rows=self._retention.rows)
            for _ in range(1 + self._added // STEP_ROWS):
                more = self._history.tidy(self._tidying)
                if not more:
                    break
        except (errors.HeadwayError, OSError):
            more = False  # the next look meets the same trouble, and notes it
        self._added = 0
        if not more:
            self._tidying = None
        pause_s = (time.thread_time() - began) / (TIDY_DUTY * self.share / DUTY) if more else TIDY_S
        self._tidy_at = time.monotonic() + pause_s

    # ------------------------------------------------------------------------------------------------------ the end

    def _is_ours(self) -> bool:
        """Does the directory still name this segment? Otherwise nobody reads what we write."""
        return segments.referenced(self._board.directory) == self._segment.uuid

    def finish(self) -> bool:
        """Write the last state and remove the segment.

        False: it stays, as a process uses it, or writing failed, or there is more to archive than fits into one look
        (`is_behind`).
        """
        segment, directory = self._segment, self._board.directory
        self._behind = False
        if self._lock is None:
            return False
        try:
            self._kept_out = True
            with locks.locked(directory, wait_s=1.0):
                self._kept_out = False
                segment.announce_retirement()
                try:
                    if segment.in_use or not self._is_ours() or not self._cycle(last=True):
                        return False
                    segments.remove(directory, segment)
                    self._lock.release()  # before the lock of the directory: the next recorder finds it free
                    return True
                finally:
                    segment.announce_retirement(False)  # under the lock; it has no effect on a board that is removed
        except (errors.HeadwayError, OSError) as problem:
            self.problem = problem
            self._kept_out = self._kept_out and isinstance(problem, errors.LockTimeout)
            return False
