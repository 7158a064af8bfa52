# Native calls that may wait, made in one way: without the GIL, and counted, so that whoever leaves or closes the board
# waits until they are over (hw_go_in). A call waits for a slice of time only and answers HW_TIMEOUT if its turn did not
# come; between two slices signals are served. The loops around it stand with those who wait: TaskTable.under_lock for
# the structural lock, Place.under_lock for a slot lock.

# The type Call stands in core.pxd: `arguments` points to a struct of the call's own, which also takes what it finds out.

cdef int _outside(hw_board *board, Call call, void *arguments) noexcept:
    """Make a call without the GIL. Returns its answer."""
    cdef int answer
    hw_go_in(board)
    with nogil:
        answer = call(board, arguments, hw_clock_ns(CLOCK_MONOTONIC) + SLICE)
    hw_come_out(board)
    return answer


cdef inline uint64_t _in_seconds(double seconds) noexcept:
    """The monotonic time at which so many seconds are over."""
    return hw_clock_ns(CLOCK_MONOTONIC) + <uint64_t>(seconds * SECOND)
