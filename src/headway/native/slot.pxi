# The class Slot, a whole handle: to its bases it adds the `with` block and the result.

cdef struct Result:
    char *slot
    char *json
    uint32_t bytes
    uint64_t seq


cdef int _read_result(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil:
    cdef Result *result = <Result *>arguments
    return hw_read_result_locked(board, result.slot, result.json, &result.bytes, &result.seq, deadline_ns)


cdef struct NewResult:
    uint32_t index
    uint64_t generation
    const char *json
    uint32_t bytes
    bint compare
    uint64_t expected


cdef int _write_result(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil:
    cdef NewResult *result = <NewResult *>arguments
    return hw_write_result(board, result.index, result.generation, result.json, result.bytes,
                           &result.expected if result.compare else NULL, deadline_ns)


@cython.no_gc_clear  # as of Place
cdef class Slot(Status):
    """Slot()\n--\n\nA handle on one task: its place, and this process's stripe of it once it has counted.

    The handle finds its segment on first use (method `_segment`, which the subclass overrides), so that making or
    unpickling a handle opens nothing.
    """

    # Block --------------------------------------------------------------------------------------------------
    #
    # Native, because Ctrl-C may interrupt Python code at any bytecode: at the first one of a Python `__exit__`, the
    # block would never be left. Native code is not interrupted: the interrupt is raised by the Python method that is
    # called here, and then the block is left.

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

    # Item ---------------------------------------------------------------------------------------------------

    def item(self, item):
        """item($self, item)\n--\n\nA block in which this process has an item in hand; counts one at its end.

        item: a number, a text, a path or a tuple of those; 47 bytes are shown of it, here and if the process dies or
        stalls. Left by an exception, nothing is counted.
        """
        return ItemBlock(self, item)

    def _called(self, str function not None, tuple arguments not None):
        """The same for a call of a function."""
        return ItemBlock(self, arguments, function)

    # Result -------------------------------------------------------------------------------------------------

    def _read_result(self):
        """Return (JSON bytes, sequence number). Raises UnknownTask, LockTimeout, BoardClosed."""
        cdef char *slot
        cdef hw_board *board
        cdef Result result
        if not _ready(self):
            return self._alone()._read_result()
        board = self.segment.board
        slot = hw_slot(board, self.index)
        cdef bytearray room = bytearray((board.result_bytes + 7) // 8 * 8)
        result.slot, result.json, result.bytes, result.seq = slot, room, 0, 0
        if hw_read_result(board, slot, result.json, &result.bytes, &result.seq) != HW_OK:  # its writers never pause
            self.read_under_lock(_read_result, &result)
        if hw_load(&hw_control_of(slot).generation) != self.generation:
            raise self._gone()
        return bytes(room[:result.bytes]), result.seq

    def _write_result(self, bytes json not None, expected=None):
        """Write JSON bytes. With `expected`, a sequence number: only if it is still the result's, else return False.

        Raises ResultTooLarge, UnknownTask, LockTimeout, BoardClosed.
        """
        cdef NewResult result
        cdef bytes padded = json + b"\0" * 8
        cdef int answer
        if not _ready(self):
            return self._alone()._write_result(json, expected)
        self.segment.become(True)
        if len(json) > self.segment.board.result_bytes:
            raise _result_too_large(self.id, len(json), self.segment.board.result_bytes)
        result.index, result.generation = self.index, self.generation
        result.json, result.bytes = padded, <uint32_t>len(json)
        result.compare = expected is not None
        result.expected = 0 if expected is None else expected
        answer = self.under_lock(_write_result, &result)
        if answer == HW_STALE:
            raise self._gone()
        return answer == HW_OK
