# Counting on a task.

cdef struct Waited:
    uint32_t index
    uint64_t until


cdef int _wait_for_slot(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil:
    cdef Waited *waited = <Waited *>arguments
    hw_wait_for_slot(board, hw_slot(board, waited.index), waited.until)
    return HW_OK


@cython.no_gc_clear  # as of Place
cdef class Counter(Place):
    """Counter()\n--\n\nThis process's stripe of a task."""

    cdef int add(self, int64_t n) except -1:
        """The rare paths of _count: first use, after a fork, once a second, stale slot, closed board, overflow."""
        cdef uint64_t now = hw_clock_ns(CLOCK_MONOTONIC_COARSE)
        cdef int answer = HW_OK
        cdef bint looks = now >= self.look_ns, found
        if self.segment is None:
            try:
                found = _ready(self)
            except (errors.HeadwayError, OSError) as error:
                _stale(f"updates of task {self.id!r} are not counted: {error}")
                return 0
            if not found:
                self._alone().update(n)
                return 0
        if self.segment._closed:
            return 0
        if looks:
            self.look_around(now)
        if hw_peek(self.handle.identity) != self.handle.worker:
            try:
                self.segment.become(True)
            except OSError as error:  # no free descriptor to register with: tried again at the next update
                _stale(f"updates of task {self.id!r} are not counted: {error}")
                return 0
            answer = self.bind()
            looks = True
        if looks and answer == HW_OK:
            found = hw_keeps_counter(self.segment.board, self.index, &self.handle, self.folds)
            answer = self.look() if found else HW_STALE
        if answer == HW_OK:
            answer = hw_add_at(&self.handle, n, now)
        if answer == HW_STALE and self.goes_on():
            answer = self.bind()
            if answer == HW_OK:
                answer = hw_add_at(&self.handle, n, now)
        if answer == HW_OVERFLOW:
            raise _count_out_of_range(self.id, n)
        if answer == HW_STALE:
            found = hw_load(&hw_control_of(hw_slot(self.segment.board, self.index)).generation) == self.generation
            _stale(f"updates of task {self.id!r} are not counted: it "
                   f"{'has ended, and its count was closed' if found else 'ended and its slot was given to another task'}")
        return 0

    cdef int bind(self) except -1:
        """Take a stripe: HW_OK or HW_STALE; HW_UNBOUND if the board was closed meanwhile.

        The slot lock is waited for without the GIL, and for BIND_WAIT at most: then a stripe is shared.
        """
        cdef hw_board *board = self.segment.board
        cdef uint64_t give_up = hw_clock_ns(CLOCK_MONOTONIC) + BIND_WAIT
        cdef Waited waited
        cdef int answer
        waited.index, waited.until = self.index, give_up
        while True:
            self.folds = hw_folds_at(board, self.index)
            answer = hw_try_bind(board, &self.handle, self.index, self.generation,
                                 hw_clock_ns(CLOCK_MONOTONIC) + BIND_TRY, hw_clock_ns(CLOCK_MONOTONIC) < give_up)
            if answer != HW_TIMEOUT:
                return answer
            _outside(board, _wait_for_slot, &waited)

    cdef bint goes_on(self) except -1:
        """Has the task not ended, though this handle's counter is closed? It was resumed, or is lost, and counted on here.

        Its counter may be another task's by now, if its block was taken back: so it needs a new one.
        """
        cdef hw_status status
        cdef char *slot = hw_slot(self.segment.board, self.index)
        if hw_read_status(slot, &status) != HW_OK or hw_ended(status.state):
            return False
        return self.look() == HW_OK

    cdef int look_around(self, uint64_t now) except -1:
        """Once a second: check whether the board was removed, and whether its recorder is alive and writes."""
        global _warned_retired
        self.look_ns = now + SECOND
        hw_keep(self.segment.board)
        if self.segment.retired and not _warned_retired:
            _warned_retired = True
            errors.tell(f"board {self.segment.name!r} was removed: updates are no longer seen by anyone",
                        errors.StaleTaskWarning)
        elif not _warned_retired and hw_is_nameless(self.segment.board):
            _warned_retired = True
            errors.tell(f"the segment of board {self.segment.name!r} was removed from /dev/shm: updates are seen "
                        f"only by processes that had it open", errors.StaleTaskWarning)
        if _on_silence is not None and (self.segment.silent(now) or hw_peek(&self.segment.board.header.recorder_errno)):
            _on_silence(self.segment)
        return 0

    cdef int look(self) except -1:
        """Is the slot still this task's? HW_OK or HW_STALE. (The tag is not enough: it recurs after 65536 claims.)

        If the task is written as pending or lost, write it as running, because it is being counted on. This never
        waits: if another process has the slot lock, the next check does it.
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
    @cython.binding(False)  # CPython calls a plain built-in method faster than a Cython function object
    def update(self, n=1):
        """update($self, n=1)\n--\n\nCount `n` more items done; a negative n subtracts.

        It never waits, and never raises because of a task's state.
        n: a whole number; a float without a fraction counts as one. Nothing is counted after the board was closed in
        this process, or after the task's slot was given to another task; a headway.errors.StaleTaskWarning then says so
        once. Raises TypeError if n is not a whole number, OverflowError if the count would exceed 48 bits.
        """
        cdef int64_t items
        if type(n) is not int or not hw_small(n, &items):
            items = _items(self, n)
        _count(self, items)

    def native(self):
        """Return this process's handle for C, Cython and numba code: a NativeTask."""
        if not _ready(self):
            return self._alone().native()
        return NativeTask(self)

    @property
    def count(self):
        """Items done so far, by all processes together."""
        cdef char *slot
        cdef int64_t sum
        if not _ready(self):
            return self._alone().count
        slot = hw_slot(self.segment.board, self.index)
        sum = hw_total_count(self.segment.board, slot, self.generation)
        if hw_load(&hw_control_of(slot).generation) != self.generation:
            raise self._gone()
        return sum


cdef inline int _count(Counter slot, int64_t n) except -1:
    """As hw_add. Also registers this process first if needed, and checks the board once a second."""
    cdef uint64_t now
    if hw_peek(slot.handle.identity) == slot.handle.worker:  # equal only if the handle has a stripe and a clock
        now = hw_now(&slot.handle)
        if now < slot.look_ns and hw_count(slot.handle.stripe, slot.handle.tag, n) == HW_OK:
            hw_beat(slot.handle.stripe, now)
            return 0
    return slot.add(n)


cdef int64_t _items(Counter slot, n) except? -1:
    """A number of items to count. Raises TypeError if it is not whole, OverflowError if it is too large."""
    number = _whole(n, "n", "items are counted whole, choose a smaller unit")
    if not -HW_COUNT_LIMIT < number < HW_COUNT_LIMIT:
        raise _count_out_of_range(slot._id, number)
    return number


cdef int _stale(str text) except -1:
    global _warned_stale
    if not _warned_stale:
        _warned_stale = True
        errors.tell(text, errors.StaleTaskWarning)
    return 0
