# The one way to make native calls that may wait: without the GIL, and counted, so that a thread that leaves or closes
# the board waits until they are over (hw_go_in). A call waits for one time slice and returns HW_TIMEOUT if it did not
# get the lock; between two slices signals are served. The loops that repeat it are TaskTable.under_lock for the
# structural lock and Place.under_lock for a slot lock.

# The type Call is in core.pxd: `arguments` points to a struct of this kind of call, which also receives its results.

cdef int _outside(hw_board *board, Call call, void *arguments) noexcept:
    """Make a call without the GIL. Returns its answer."""
    cdef int answer
    hw_go_in(board)
    with nogil:
        answer = call(board, arguments, hw_clock_ns(CLOCK_MONOTONIC) + SLICE)
    hw_come_out(board)
    return answer


cdef inline uint64_t _in_seconds(double seconds) noexcept:
    """The monotonic time so many seconds from now."""
    return hw_clock_ns(CLOCK_MONOTONIC) + <uint64_t>(seconds * SECOND)
