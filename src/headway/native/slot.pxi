# A handle on one task, with all of it.

@cython.no_gc_clear  # as of Place
cdef class Slot(Status):
    """Slot()\n--\n\nA handle on one task: where it is, and this process's stripe of it once it has counted.

    The handle finds its segment on first use (method `_segment`, given by the subclass), so that making or unpickling
    one touches nothing.
    """

    # Block --------------------------------------------------------------------------------------------------
    #
    # Native, because Ctrl-C may come at any bytecode, also at the first one of a method: then a block that was entered
    # would not be left. Here it comes out of what is called, and what was left undone is done.

    def __enter__(self):
        """Become the owner, and the current task of this context."""
        try:
            return self._enter_block()
        except KeyboardInterrupt as interrupt:
            self._leave_block(interrupt)
            raise

    def __exit__(self, kind, error, trace):
        """End the task according to the exception, in the process that entered the block."""
        try:
            self._leave_block(error)
        except KeyboardInterrupt as interrupt:
            self._leave_block(interrupt if error is None else error)
            raise

    # Result -------------------------------------------------------------------------------------------------

    def _read_result(self):
        """Return (JSON bytes, sequence number)."""
        cdef uint32_t size = 0
        cdef uint64_t seq = 0, give_up
        cdef char *slot
        cdef char *data
        cdef hw_board *board
        cdef int answer
        self.ready()
        board = self.segment.board
        slot = hw_slot(board, self.index)
        cdef bytearray room = bytearray((board.result_bytes + 7) // 8 * 8)
        data = room
        if hw_read_result(board, slot, data, &size, &seq) != HW_OK:  # its writers never pause
            give_up = hw_clock_ns(CLOCK_MONOTONIC) + <uint64_t>(LOCK_SECONDS * SECOND)
            while True:
                self.segment.become(True)
                hw_go_in(board)
                with nogil:
                    answer = hw_read_result_locked(board, slot, data, &size, &seq, hw_clock_ns(CLOCK_MONOTONIC) + SLICE)
                hw_come_out(board)
                if answer == HW_OK:
                    break
                self.wait_for_lock(give_up)
        if hw_load(&hw_control_of(slot).generation) != self.generation:
            raise self._gone()
        return bytes(room[:size]), seq

    def _write_result(self, bytes json not None, expected=None):
        """Put JSON bytes in place; with `expected`, only if the result is still that one: else False."""
        cdef uint64_t seq = 0 if expected is None else expected
        cdef uint64_t give_up
        cdef uint32_t size = <uint32_t>min(len(json), 0xFFFFFFFF)
        cdef bytes padded = json + b"\0" * 8
        cdef const char *data = padded
        cdef int answer
        cdef bint compare = expected is not None
        self.ready()
        self.segment.become(True)
        cdef hw_board *board = self.segment.board
        if len(json) > board.result_bytes:
            raise errors.ResultTooLarge(
                f"the result of task {self.id!r} has {len(json)} bytes of JSON, its place {board.result_bytes}: make it "
                f"smaller, or write it to a file and store its name; the old result is kept")
        give_up = hw_clock_ns(CLOCK_MONOTONIC) + <uint64_t>(LOCK_SECONDS * SECOND)
        while True:
            hw_go_in(board)
            with nogil:
                answer = hw_write_result(board, self.index, self.generation, data, size, &seq if compare else NULL,
                                         hw_clock_ns(CLOCK_MONOTONIC) + SLICE)
            hw_come_out(board)
            if answer != HW_TIMEOUT:
                break
            self.wait_for_lock(give_up)
        if answer == HW_STALE:
            raise self._gone()
        return answer == HW_OK
