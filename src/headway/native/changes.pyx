"""What of a copy of a board differs from an earlier one: the few tasks that are written again, and the whole of both.

A copy is a list of runs: stretches of tasks that are as they were in the earlier copy, and stretches that are not, of
which the records are kept. So a copy is rebuilt from the earlier one in one pass over the runs, with everything in its
place. Whatever is read is treated as hostile: a run that leads out of its array, or to a task that another run has
taken, raises ValueError.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.math cimport fabs, isfinite
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from headway.native.records cimport (
    HW_CAPACITY_MAX, hw_duration_record, hw_share_record, hw_stage_record, hw_take_numbers, hw_task_record
)

cdef extern from *:
    """
    typedef struct { uint32_t first, tasks, changed; } hw_run_record;
    """
    ctypedef struct hw_run_record:
        uint32_t first    # number of the first task, in the array that has it
        uint32_t tasks    # how many
        uint32_t changed  # 1: of those that are kept; 0: of the earlier copy

cdef int64_t _TREMBLE_NS = 20_000_000  # beats are of another clock: converted at each copy, they differ by microseconds
cdef double _FADED = 1e-6  # a second: the rate of a task that does not count gets smaller for ever
cdef double _SHARE = 1 / 16.0  # a rate that differs by less is the same

ctypedef struct _Seen:
    uint64_t generation, version, owner, shares
    int64_t count, beat_ns, ended_ns, stall_after_ns
    double rate
    uint32_t lost_left_out
    unsigned char state, written, archived, owner_alive


cdef inline bint _is_near(int64_t one_ns, int64_t other_ns) noexcept:
    cdef uint64_t apart = (
        <uint64_t> one_ns - <uint64_t> other_ns if one_ns > other_ns else <uint64_t> other_ns - <uint64_t> one_ns
    )
    return one_ns == other_ns or (one_ns > 0 and other_ns > 0 and apart < <uint64_t> _TREMBLE_NS)


cdef inline bint _is_same_rate(double one, double other) noexcept:
    if not isfinite(one) or not isfinite(other):
        return isfinite(one) == isfinite(other)
    return fabs(one - other) <= _SHARE * fabs(other) or (fabs(one) < _FADED and fabs(other) < _FADED)


cdef inline bint _is_same(const _Seen *one, const _Seen *other) noexcept:
    """Is a task as it was? That the history has it now (archived) is no change: it was written as it ended. Should that
    be the last that is known of it, it is archived once more, which changes no row."""
    return (
        one.generation == other.generation and one.version == other.version and one.count == other.count
        and one.state == other.state and one.written == other.written and one.archived >= other.archived
        and one.owner_alive == other.owner_alive and one.owner == other.owner and one.shares == other.shares
        and one.lost_left_out == other.lost_left_out and one.stall_after_ns == other.stall_after_ns
        and _is_near(one.beat_ns, other.beat_ns) and _is_near(one.ended_ns, other.ended_ns)
        and _is_same_rate(one.rate, other.rate)
    )


cdef inline uint64_t _mix(uint64_t sum, uint64_t value) noexcept:
    sum = (sum ^ value) * <uint64_t> 0x9E3779B97F4A7C15
    return sum ^ sum >> 29


cdef int _see(_Seen *to, hw_task_record *r, const char *shares, Py_ssize_t *at, Py_ssize_t count,
              uint32_t number) noexcept:
    """Note what tells a task from what it was. at: the next share record, which is moved beyond those of this task.

    Texts and metrics are covered by the version, what a task begins with by its generation.
    """
    cdef hw_share_record share
    cdef uint64_t word
    cdef size_t i
    to.generation, to.version, to.owner, to.count = r.generation, r.version, r.owner, r.count
    to.beat_ns, to.ended_ns, to.rate = r.beat_ns, r.ended_ns, r.rate
    to.lost_left_out, to.stall_after_ns = r.lost_left_out, r.stall_after_ns
    to.state, to.written, to.archived, to.owner_alive = r.state, r.written, r.archived, r.owner_alive
    to.shares = 0
    while at[0] < count:
        memcpy(&share, shares + at[0] * <Py_ssize_t> sizeof(share), sizeof(share))
        if share.task != number:
            return share.task > number
        at[0] += 1
        to.shares = _mix(_mix(to.shares, share.worker), <uint64_t> share.count)
        to.shares = _mix(to.shares, <uint64_t> share.pid << 16 | <uint64_t> share.known << 8 | share.alive)
        # All beats of a copy are converted alike, so what lies between two of them does not tremble.
        if share.beat_ns:
            to.shares = _mix(to.shares, <uint64_t> share.beat_ns - <uint64_t> r.beat_ns)
        if share.item_ns:
            to.shares = _mix(to.shares, <uint64_t> share.item_ns - <uint64_t> r.beat_ns)
            for i in range(sizeof(share.item) // sizeof(word)):
                memcpy(&word, share.item + i * sizeof(word), sizeof(word))
                to.shares = _mix(to.shares, word)
    return 1


cdef Py_ssize_t _how_many(const unsigned char[::1] records, size_t record_bytes, str what) except -1:
    if records.shape[0] % <Py_ssize_t> record_bytes:
        raise ValueError(f"{records.shape[0]} bytes are not a whole number of {what}")
    return records.shape[0] // <Py_ssize_t> record_bytes


cdef inline const char *_begin(const unsigned char[::1] records) noexcept:
    return <const char *> &records[0] if records.shape[0] else NULL


cdef class Base:
    """Base(tasks, shares)\n--\n\nWhat a copy is compared with: some numbers of each task of an earlier one.

    Raises ValueError for a slot that no board has, or records out of order.
    """
    cdef _Seen *seen
    cdef uint32_t *of_slot  # number + 1; 0 = free
    cdef Py_ssize_t slots, count

    def __cinit__(self, const unsigned char[::1] tasks not None, const unsigned char[::1] shares not None):
        cdef hw_task_record r
        cdef Py_ssize_t i, at = 0, parts = _how_many(shares, sizeof(hw_share_record), "shares")
        self.count = _how_many(tasks, sizeof(r), "tasks")
        self.seen = <_Seen *> PyMem_Malloc(max(1, self.count) * sizeof(_Seen))
        if self.seen is NULL:
            raise MemoryError
        for i in range(self.count):
            hw_take_numbers(&r, _begin(tasks) + i * <Py_ssize_t> sizeof(r))
            if r.slot >= HW_CAPACITY_MAX or not _see(self.seen + i, &r, _begin(shares), &at, parts, <uint32_t> i):
                raise ValueError(f"record {i} of the tasks: its slot or its shares are impossible")
            self.slots = max(self.slots, <Py_ssize_t> r.slot + 1)
        self.of_slot = <uint32_t *> PyMem_Malloc(max(1, self.slots) * sizeof(uint32_t))
        if self.of_slot is NULL:
            raise MemoryError
        memset(self.of_slot, 0, self.slots * sizeof(uint32_t))
        for i in range(self.count):
            hw_take_numbers(&r, _begin(tasks) + i * <Py_ssize_t> sizeof(r))
            self.of_slot[r.slot] = <uint32_t> i + 1

    def __dealloc__(self):
        PyMem_Free(self.seen)
        PyMem_Free(self.of_slot)

    def runs(self, const unsigned char[::1] tasks not None, const unsigned char[::1] shares not None):
        """The runs of a later copy, and how many of its tasks are to be kept. `first` of those counts in the copy."""
        cdef hw_task_record r
        cdef hw_run_record run
        cdef _Seen now
        cdef Py_ssize_t i, at = 0, parts = _how_many(shares, sizeof(hw_share_record), "shares")
        cdef Py_ssize_t count = _how_many(tasks, sizeof(r), "tasks"), kept = 0, next = 0
        cdef uint32_t number, changed
        found = bytearray()
        run.first = run.tasks = run.changed = 0
        for i in range(count):
            hw_take_numbers(&r, _begin(tasks) + i * <Py_ssize_t> sizeof(r))
            if not _see(&now, &r, _begin(shares), &at, parts, <uint32_t> i):
                raise ValueError(f"record {i} of the tasks: its shares are impossible")
            number = self.of_slot[r.slot] if <Py_ssize_t> r.slot < self.slots else 0
            # Runs go forward only: a task that stands in another order is one that is kept.
            changed = not (number and <Py_ssize_t> number > next and _is_same(&now, self.seen + number - 1))
            if changed:
                kept += 1
                number = <uint32_t> i + 1
            else:
                next = number
            if not run.tasks or run.changed != changed or run.first + run.tasks != number - 1:
                if run.tasks:
                    found += (<char *> &run)[:sizeof(run)]
                run.first, run.tasks, run.changed = number - 1, 0, changed
            run.tasks += 1
        if run.tasks:
            found += (<char *> &run)[:sizeof(run)]
        return bytes(found), kept


cdef Py_ssize_t _first_of(const char *records, size_t record_bytes, Py_ssize_t count, uint32_t task) noexcept:
    """The first record of this task or a later one. A record that belongs to a task begins with its number."""
    cdef Py_ssize_t low = 0, high = count, middle
    cdef uint32_t number
    while low < high:
        middle = (low + high) // 2
        memcpy(&number, records + middle * <Py_ssize_t> record_bytes, sizeof(number))
        if number < task:
            low = middle + 1
        else:
            high = middle
    return low


cdef object _gathered(const hw_run_record *runs, Py_ssize_t count, const unsigned char[::1] earlier,
                      const unsigned char[::1] kept, size_t record_bytes, bint numbered, bint only_kept):
    """The records of the runs, one after the other. numbered: each begins with the number of its task."""
    cdef const unsigned char[::1] of
    cdef Py_ssize_t i, n, begin, end, whole = 0, width = <Py_ssize_t> record_bytes, size
    cdef uint32_t task, number = 0
    cdef char *to = NULL
    cdef hw_run_record run
    cdef bint last
    made = b""
    for last in (False, True):
        if last:
            made = PyBytes_FromStringAndSize(NULL, whole)
            to = PyBytes_AS_STRING(made)
        number = 0
        for i in range(count):
            memcpy(&run, runs + i, sizeof(run))
            if only_kept and not run.changed:
                continue
            of = kept if run.changed else earlier
            size = of.shape[0] // width
            if numbered:
                begin = _first_of(_begin(of), record_bytes, size, run.first)
                end = _first_of(_begin(of), record_bytes, size, run.first + run.tasks)
            else:
                begin, end = run.first, run.first + run.tasks
            if not last:
                whole += max(0, end - begin) * width
            elif end > begin:
                memcpy(to, _begin(of) + begin * width, (end - begin) * width)
                if numbered and number != run.first:
                    for n in range(end - begin):
                        memcpy(&task, to + n * width, sizeof(task))
                        task = task - run.first + number
                        memcpy(to + n * width, &task, sizeof(task))
                to += (end - begin) * width
            number += run.tasks
    return made


cdef int _check(const unsigned char[::1] runs, Py_ssize_t earlier, Py_ssize_t kept) except -1:
    """Check that the runs go forward in the earlier copy, and through all that is kept."""
    cdef hw_run_record run
    cdef uint64_t at[2]
    cdef Py_ssize_t i
    at[0] = at[1] = 0
    for i in range(_how_many(runs, sizeof(run), "runs")):
        memcpy(&run, _begin(runs) + i * <Py_ssize_t> sizeof(run), sizeof(run))
        if run.changed > 1 or not run.tasks or run.first < at[run.changed] or (
            run.changed and run.first != at[1]
        ) or <uint64_t> run.first + run.tasks > <uint64_t> (kept if run.changed else earlier):
            raise ValueError(f"run {i} leads to tasks that are not there")
        at[run.changed] = <uint64_t> run.first + run.tasks
    if at[1] != <uint64_t> kept:
        raise ValueError("there are tasks that no run has")
    return 0


def kept(const unsigned char[::1] runs not None, const unsigned char[::1] tasks not None,
         const unsigned char[::1] stages not None, const unsigned char[::1] shares not None,
         const unsigned char[::1] durations not None):
    """Of a copy and its `runs`: (the runs for `joined`, tasks, stages, shares and durations that are to be kept)."""
    cdef hw_run_record run
    cdef uint32_t number = 0
    cdef Py_ssize_t i, count = _how_many(runs, sizeof(run), "runs")
    cdef const hw_run_record *of = <const hw_run_record *> _begin(runs)
    numbered = bytearray()
    for i in range(count):
        memcpy(&run, of + i, sizeof(run))
        if run.changed:
            run.first = number
            number += run.tasks
        numbered += (<char *> &run)[:sizeof(run)]
    return (
        bytes(numbered),
        _gathered(of, count, tasks, tasks, sizeof(hw_task_record), False, True),
        _gathered(of, count, stages, stages, sizeof(hw_stage_record), True, True),
        _gathered(of, count, shares, shares, sizeof(hw_share_record), True, True),
        _gathered(of, count, durations, durations, sizeof(hw_duration_record), True, True),
    )


def joined(const unsigned char[::1] runs not None, earlier, later):
    """(tasks, stages, shares, durations) of a copy. earlier: those of the copy before it; later: those that were kept.

    All of them have been checked by `records.check`. Raises ValueError if the runs do not fit them.
    """
    cdef const hw_run_record *of = <const hw_run_record *> _begin(runs)
    cdef Py_ssize_t count = runs.shape[0] // <Py_ssize_t> sizeof(hw_run_record)
    _check(runs, _how_many(earlier[0], sizeof(hw_task_record), "tasks"),
           _how_many(later[0], sizeof(hw_task_record), "tasks"))
    return (
        _gathered(of, count, earlier[0], later[0], sizeof(hw_task_record), False, False),
        _gathered(of, count, earlier[1], later[1], sizeof(hw_stage_record), True, False),
        _gathered(of, count, earlier[2], later[2], sizeof(hw_share_record), True, False),
        _gathered(of, count, earlier[3], later[3], sizeof(hw_duration_record), True, False),
    )
