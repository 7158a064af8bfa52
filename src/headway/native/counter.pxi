# Counting on a task.

@cython.no_gc_clear  # as of Place
cdef class Counter(Place):
    """Counter()\n--\n\nThis process's stripe of a task."""

    cdef int add(self, int64_t n) except -1:
        """The rare paths of _count: first use, after a fork, once a second, stale, closed, too much."""
        cdef uint64_t now = hw_clock_ns(CLOCK_MONOTONIC_COARSE)
        cdef int answer = HW_OK
        cdef bint looks = now >= self.look_ns
        if self.segment is None:
            try:
                self.ready()
            except (errors.HeadwayError, OSError) as error:
                _stale(f"updates of task {self.id!r} are not counted: {error}")
                return 0
        if self.segment._closed:
            return 0
        if looks:
            self.look_around(now)
        if hw_peek(self.handle.identity) != self.handle.worker:
            try:
                self.segment.become(True)
            except OSError as error:  # no descriptor left for who we are: tried again at the next update
                _stale(f"updates of task {self.id!r} are not counted: {error}")
                return 0
            answer = hw_bind(self.segment.board, &self.handle, self.index, self.generation,
                             hw_clock_ns(CLOCK_MONOTONIC) + BIND_WAIT)
            looks = True
        if looks and answer == HW_OK:
            answer = self.look()
        if answer == HW_OK:
            answer = hw_add_at(&self.handle, n, now)
        if answer == HW_OVERFLOW:
            raise OverflowError(f"task {self.id!r}: adding {n} would take its count out of range "
                                f"(±{HW_COUNT_LIMIT - 1} a process)")
        if answer == HW_STALE:
            _stale(f"updates of task {self.id!r} are not counted: it ended and its slot was given to another task")
        return 0

    cdef int look_around(self, uint64_t now) except -1:
        """Once a second: was the board removed, is it without its recorder?"""
        global _warned_retired
        self.look_ns = now + SECOND
        hw_own_fd(self.segment.board)  # if somebody closed it, others take this process for dead
        if self.segment.retired and not _warned_retired:
            _warned_retired = True
            warnings.warn(f"board {self.segment.name!r} was removed: updates are no longer seen by anyone",
                          errors.StaleTaskWarning)
        elif not _warned_retired and hw_is_nameless(self.segment.board):
            _warned_retired = True
            warnings.warn(f"the segment of board {self.segment.name!r} was removed from /dev/shm: updates are seen by "
                          f"those only who had it open", errors.StaleTaskWarning)
        if _on_silence is not None and self.segment.silent(now):
            _on_silence(self.segment)
        return 0

    cdef int look(self) except -1:
        """Is the slot still this task's? Its tag alone does not tell: it recurs after 65536 claims. HW_OK or HW_STALE.

        A task that is counted on runs. Where a slot lock is in the way it is said at the next look: nothing waits here.
        """
        cdef hw_change change
        cdef hw_status status
        cdef char *slot = hw_slot(self.segment.board, self.index)
        if hw_load(&hw_control_of(slot).generation) != self.generation:
            return HW_STALE
        if hw_read_status(slot, &status) == HW_OK and status.state in (HW_PENDING, HW_LOST_STATE):
            _begin(&change, HW_SET_RUNNING)
            change.now_ns = <int64_t>hw_clock_ns(CLOCK_REALTIME)
            hw_write(self.segment.board, self.index, self.generation, &change, 0)
        return HW_OK

    @cython.embedsignature(False)
    @cython.binding(False)  # CPython calls a plain built-in method by a shorter way than a function object of Cython's
    def update(self, n=1):
        """update($self, n=1)\n--\n\nCount `n` more items done (negative: fewer). Never waits, and never raises for a task's state.

        After the board was closed here, or the task's slot was given to another task, nothing is counted; the latter
        is told once a process by StaleTaskWarning. Raises TypeError, or OverflowError beyond 48 bits.
        """
        if type(n) is not int:
            n = _whole(n, "n", "items are counted whole, choose a smaller unit")
        _count(self, n)

    def native(self):
        """Return this process's handle for C, Cython and numba code: a NativeTask."""
        return NativeTask(self)

    @property
    def count(self):
        """Items done so far, by all processes together."""
        cdef char *slot
        cdef int64_t sum
        self.ready()
        slot = hw_slot(self.segment.board, self.index)
        sum = hw_total_count(slot, hw_tag(self.generation))
        if hw_load(&hw_control_of(slot).generation) != self.generation:
            raise self._gone()
        return sum


cdef inline int _count(Counter slot, int64_t n) except -1:
    """hw_add, but for what has to be looked at: who this process is, and once a second the board."""
    cdef uint64_t now
    if hw_peek(slot.handle.identity) == slot.handle.worker:  # then there is a stripe, and a clock
        now = hw_now(&slot.handle)
        if now < slot.look_ns and hw_count(slot.handle.stripe, slot.handle.tag, n) == HW_OK:
            hw_beat(slot.handle.stripe, now)
            return 0
    return slot.add(n)


cdef int _stale(str text) except -1:
    global _warned_stale
    if not _warned_stale:
        _warned_stale = True
        warnings.warn(text, errors.StaleTaskWarning)  # no stacklevel: native code has no frame of its own
    return 0
