# The recorder of a board, by the words of its header.

cdef class Recorded(Presence):
    """Recorded(fd, size, where)\n--\n\nThe words of the header about the board's recorder."""

    @property
    def recorder(self):
        """Incarnation of the process that was elected the board's recorder; 0 = none."""
        return hw_load(&self.board.header.recorder)

    @property
    def recorder_pid(self):
        """Its pid, for people."""
        return hw_peek(&self.board.header.recorder_pid)

    @property
    def recorder_alive(self):
        """Is there a recorder, and is its process alive?"""
        recorder = self.recorder
        return recorder != 0 and not hw_dead(self.board, recorder)

    @property
    def recorder_silence(self):
        """Seconds since the recorder's last sign of life; None if there never was one."""
        cdef uint64_t beat = hw_peek(&self.board.header.recorder_beat_ns), now = hw_clock_ns(CLOCK_MONOTONIC)
        if beat == 0:
            return None
        return (now - beat) / 1e9 if now > beat else 0.0

    @property
    def recorder_wanted(self):
        """Did a process open the board with record=True?"""
        return hw_peek(&self.board.header.recorder_wanted) != 0

    @property
    def recorder_errors(self):
        """(how often writing a snapshot or archiving failed, errno of the last attempt or 0 if it succeeded)."""
        cdef uint64_t number = hw_peek(&self.board.header.recorder_errno)
        return hw_peek(&self.board.header.recorder_errors), number if number < 4096 else EIO  # no such errno: damage

    def want_recorder(self, bint wanted=True):
        """Note that the board should be recorded: a process that finds no live recorder starts one."""
        hw_store(&self.board.header.recorder_wanted, wanted)

    def elect(self):
        """Become the recorder unless another live process is. Returns whether this process is the recorder."""
        cdef hw_header *header = self.board.header
        cdef uint64_t seen
        self.become(False)
        seen = hw_load(&header.recorder)
        if seen == hw_me(self.board):
            return True
        # As for the structural lock: incarnations never recur, so one that was found dead stays dead until the CAS.
        if (seen and not hw_dead(self.board, seen)) or not hw_cas(&header.recorder, seen, hw_me(self.board)):
            return False
        hw_store(&header.recorder_pid, hw_pid(self.board))
        self.beat()
        hw_store(&header.recorder_deadline_ns, 0)  # if this process dies at once, another may be started
        return True

    def resign(self):
        """Stop being the recorder."""
        hw_cas(&self.board.header.recorder, hw_me(self.board), 0)

    def fail(self):
        """Stop being the recorder, as this process cannot be: the deadline is set, so that the next one is another."""
        cdef hw_header *header = self.board.header
        if hw_me(self.board) == 0 or hw_load(&header.recorder) != hw_me(self.board):
            return
        # Nobody else moves the deadline while the recorder lives.
        hw_store(&header.recorder_deadline_ns, hw_clock_ns(CLOCK_MONOTONIC) + <uint64_t>(START_SECONDS * SECOND))
        hw_cas(&header.recorder, hw_me(self.board), 0)

    def beat(self):
        """Set the time of the recorder's last sign of life to now."""
        hw_store(&self.board.header.recorder_beat_ns, hw_clock_ns(CLOCK_MONOTONIC))

    def note(self, int error):
        """Store the outcome of the recorder's last attempt: an errno, which is counted, or 0 for success."""
        if error:
            hw_next(&self.board.header.recorder_errors)
        hw_store(&self.board.header.recorder_errno, <uint64_t>error)

    def next_sequence(self):
        """Draw the number of the next snapshot file."""
        return hw_next(&self.board.header.sequence)

    @property
    def sequence(self):
        """The number of the last snapshot file."""
        return hw_peek(&self.board.header.sequence)

    cdef bint silent(self, uint64_t now) noexcept:
        cdef hw_header *header = self.board.header
        cdef uint64_t recorder
        if not hw_peek(&header.recorder_wanted) or hw_load(&header.retired):
            return False
        if now < hw_peek(&header.recorder_beat_ns) + <uint64_t>(SILENT_SECONDS * SECOND):
            return False
        recorder = hw_load(&header.recorder)
        return recorder == 0 or hw_dead(self.board, recorder)

    def may_tell(self, uint64_t number):
        """May this process warn of this error of the recorder, 0: that there is none? Yes for the first of all processes.

        Relaxed: nothing else is read by it. A board of which two are told in turn is told again of the first.
        """
        cdef uint64_t told = hw_peek(&self.board.header.recorder_told)
        if number == 0:
            number = HW_NO_RECORDER
        return told != number and hw_cas(&self.board.header.recorder_told, told, number)

    def may_start_recorder(self):
        """Is the wanted recorder missing, and may this process see to one? Not 0 for one process at a time.

        1: nobody has tried since the last one was elected; 2: somebody has, and its time has passed without one.
        """
        cdef uint64_t now = hw_clock_ns(CLOCK_MONOTONIC)
        cdef uint64_t deadline = hw_load(&self.board.header.recorder_deadline_ns)
        if not self.silent(now) or (now < deadline and deadline <= now + <uint64_t>(START_SECONDS * SECOND)):
            return 0  # another process is seeing to one; a later deadline is damage
        if not hw_cas(&self.board.header.recorder_deadline_ns, deadline, now + <uint64_t>(START_SECONDS * SECOND)):
            return 0
        return 2 if 0 < deadline <= now else 1
