"""The rates of a board's tasks: how many items each of them counts per second."""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.math cimport NAN, expm1, isfinite
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from headway.native.records cimport (
    HW_CAPACITY_MAX, HW_PENDING, HW_RUNNING, hw_put_rate, hw_take_numbers, hw_task_record
)


cdef struct _Pace:
    uint64_t generation  # 0 = no task yet
    int64_t started_ns   # of the run: a resumed task begins anew
    int64_t count
    int64_t seen_ns      # monotonic clock, as is the next one
    int64_t moved_ns     # when the count last moved
    double gap           # the usual seconds between two moves
    double items         # counted, each weighed by its age
    double seconds       # watched, each weighed by its age


cdef double _between(int64_t since_ns, int64_t until_ns) noexcept:
    """Seconds between two times; 0 if the clock was set back. Hostile times cannot overflow the difference."""
    return <double> (<uint64_t> until_ns - <uint64_t> since_ns) / 1e9 if until_ns > since_ns else 0.0


cdef double _mean(const hw_task_record *r, int64_t until_ns) noexcept:
    """Items per second over the whole run."""
    cdef double seconds = _between(r.started_ns, until_ns)
    return max(0.0, (<double> r.count - <double> r.base) / seconds) if seconds > 0 else NAN


cdef class Rates:
    """Rates(tau=5.0)\n--\n\nThe rates of one board's tasks, observed from one copy of it to the next.

    The rate is counted items divided by observed seconds. Both lose weight with age: by a factor e every `tau` seconds,
    or, if that is longer, every four typical gaps between two changes of the count (otherwise the rate of a task that
    takes a minute per item would jump and decay). Both sums have the same weights, so the quotient is right from the
    start. A task that is seen for the first time, or whose count decreased, begins with the mean of its run so far. The
    rate of a run that has ended is its mean.
    """
    cdef _Pace *table
    cdef size_t room
    cdef double _tau

    def __init__(self, double tau=5.0):
        if not (isfinite(tau) and tau > 0):
            raise ValueError(f"tau is {tau} seconds: give a positive, finite number")
        self._tau = tau

    @property
    def tau(self):
        """Seconds in which what was counted loses weight by a factor e."""
        return self._tau

    def __dealloc__(self):
        PyMem_Free(self.table)

    cdef int make_room(self, size_t slot) except -1:
        cdef size_t room = max(slot + 1, 2 * self.room, <size_t> 64)
        table = <_Pace *> PyMem_Realloc(self.table, room * sizeof(_Pace))
        if table is NULL:
            raise MemoryError
        memset(table + self.room, 0, (room - self.room) * sizeof(_Pace))
        self.table = table
        self.room = room
        return 0

    def update(self, tasks, int64_t now_ns, monotonic_ns=None):
        """Fill in the rates of a copy of all tasks taken at `now_ns` (wall clock); the copy is changed in place.

        monotonic_ns: the same moment by the monotonic clock, so that setting the wall clock does not affect the rates;
        default now_ns. Raises ValueError if the buffer is not a whole number of records, or for an impossible slot.
        """
        cdef Py_buffer held
        cdef int64_t at_ns = now_ns if monotonic_ns is None else monotonic_ns
        PyObject_GetBuffer(tasks, &held, PyBUF_WRITABLE)
        try:
            if held.len % <Py_ssize_t> sizeof(hw_task_record):
                raise ValueError(
                    f"{held.len} bytes are not a whole number of records of {sizeof(hw_task_record)} bytes")
            self.fill(<char *> held.buf, held.len // <Py_ssize_t> sizeof(hw_task_record), now_ns, at_ns)
        finally:
            PyBuffer_Release(&held)

    cdef int fill(self, char *records, Py_ssize_t count, int64_t now_ns, int64_t at_ns) except -1:
        cdef hw_task_record r
        cdef double tau, dt, last_tau = 0, last_dt = 0, fresh = 0
        cdef _Pace *pace
        cdef char *at
        cdef Py_ssize_t i
        for i in range(count):
            at = records + i * <Py_ssize_t> sizeof(r)
            hw_take_numbers(&r, at)
            if r.slot >= HW_CAPACITY_MAX:
                raise ValueError(f"record {i} of the tasks: its slot lies outside of every board")
            if r.slot >= self.room:
                self.make_room(r.slot)
            pace = self.table + r.slot
            if r.state != HW_RUNNING or r.started_ns <= 0:
                pace.generation = 0
                hw_put_rate(at, NAN if r.state == HW_PENDING else _mean(&r, r.ended_ns))
                continue
            if pace.generation != r.generation or pace.started_ns != r.started_ns or r.count < pace.count:
                self.begin(pace, &r, now_ns, at_ns)
            if r.count != pace.count:
                dt = _between(pace.moved_ns, at_ns)
                pace.gap = pace.gap + (dt - pace.gap) / 4 if pace.gap else dt
                pace.moved_ns = at_ns
            dt, tau = _between(pace.seen_ns, at_ns), max(self._tau, 4 * pace.gap)
            if dt > 0:
                if dt != last_dt or tau != last_tau:  # most tasks share both, and expm1 is slow
                    fresh, last_dt, last_tau = -expm1(-dt / tau), dt, tau
                # The items are assumed to be spread evenly over the interval, so they have aged as the interval has.
                pace.items += ((<double> r.count - <double> pace.count) / dt * tau - pace.items) * fresh
                pace.seconds += (tau - pace.seconds) * fresh
            pace.count, pace.seen_ns = r.count, at_ns
            hw_put_rate(at, pace.items / pace.seconds if pace.seconds > 0 else NAN)
        return 0

    cdef void begin(self, _Pace *pace, const hw_task_record *r, int64_t now_ns, int64_t at_ns) noexcept:
        cdef double mean = _mean(r, now_ns)
        pace.generation, pace.started_ns, pace.count = r.generation, r.started_ns, r.count
        pace.seen_ns, pace.moved_ns, pace.gap = at_ns, at_ns, 0
        pace.seconds = -self._tau * expm1(-_between(r.started_ns, now_ns) / self._tau)
        pace.items = mean * pace.seconds if isfinite(mean) else 0
