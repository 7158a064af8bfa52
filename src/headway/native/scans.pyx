"""Searches in the task records of a copy, for views and recorders. Each function is one pass over the numbers."""

from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memset

from headway.native.records cimport (
    HW_LOST_STATE, HW_RUNNING, HW_STATES, hw_put_numbers, hw_stall_seconds, hw_stalled, hw_take_numbers, hw_task_record
)

from headway.native.records import STATES as _STATES


cdef Py_ssize_t _how_many(const unsigned char[::1] tasks) except -1:
    if tasks.shape[0] % sizeof(hw_task_record):
        raise ValueError(f"{tasks.shape[0]} bytes are not a whole number of records of {sizeof(hw_task_record)} bytes")
    return tasks.shape[0] // sizeof(hw_task_record)


cdef inline void _take(hw_task_record *to, const unsigned char[::1] tasks, Py_ssize_t number) noexcept:
    hw_take_numbers(to, <const char *> &tasks[number * <Py_ssize_t> sizeof(hw_task_record)])


def unsettled(const unsigned char[::1] tasks not None):
    """The tasks whose state differs from the written one: a list of (slot, generation, owner, state as it reads)."""
    cdef hw_task_record r
    found = []
    for i in range(_how_many(tasks)):
        _take(&r, tasks, i)
        if r.state != r.written and r.state < HW_STATES:
            found.append((r.slot, r.generation, r.owner, _STATES[r.state]))
    return found


def unarchived(const unsigned char[::1] tasks not None):
    """The tasks that have ended and are not archived: a list of (number, slot, generation, version, count)."""
    cdef hw_task_record r
    found = []
    for i in range(_how_many(tasks)):
        _take(&r, tasks, i)
        if r.state > HW_RUNNING and r.state == r.written and not r.archived:
            found.append((i, r.slot, r.generation, r.version, r.count))
    return found


def archived_before(const unsigned char[::1] tasks not None, int64_t ended_ns):
    """The archived tasks that ended before this time: a list of (slot, generation)."""
    cdef hw_task_record r
    found = []
    for i in range(_how_many(tasks)):
        _take(&r, tasks, i)
        if r.archived and r.state > HW_RUNNING and r.ended_ns < ended_ns:
            found.append((r.slot, r.generation))
    return found


cdef inline object _seconds(int64_t ns):
    return ns / 1e9 if ns > 0 else None


def running(const unsigned char[::1] tasks not None):
    """The running tasks: a list of (number, count, total, rate, beat, started, created, stall_after), as in a view."""
    cdef hw_task_record r
    found = []
    for i in range(_how_many(tasks)):
        _take(&r, tasks, i)
        if r.state == HW_RUNNING:
            found.append((i, r.count, r.total if r.total >= 0 else None, r.rate if isfinite(r.rate) else None,
                          _seconds(r.beat_ns), _seconds(r.started_ns), _seconds(r.created_ns),
                          hw_stall_seconds(r.stall_after_ns)))
    return found


def counts(const unsigned char[::1] tasks not None, double taken_at):
    """How many tasks are in each state, and how many of the running ones are stalled.

    taken_at: of the copy, in seconds since 1970. Returns a dict with every state and "stalled". Raises ValueError for
    an unknown state.
    """
    cdef hw_task_record r
    cdef Py_ssize_t found[256]
    cdef Py_ssize_t i, stalled = 0
    memset(found, 0, sizeof(found))
    for i in range(_how_many(tasks)):
        _take(&r, tasks, i)
        if r.state >= HW_STATES:
            raise ValueError(f"record {i} of the tasks: its state is unknown")
        found[r.state] += 1
        stalled += hw_stalled(&r, taken_at)
    told = {state: found[i] for i, state in enumerate(_STATES)}
    told["stalled"] = stalled
    return told


def serials(const unsigned char[::1] tasks not None):
    """The serial of every task, as a list: the order in which they were created."""
    cdef hw_task_record r
    found = []
    for i in range(_how_many(tasks)):
        _take(&r, tasks, i)
        found.append(r.serial)
    return found


def places(const unsigned char[::1] tasks not None):
    """The places of the tasks: a list of (slot, generation) in the order of the records."""
    cdef hw_task_record r
    found = []
    for i in range(_how_many(tasks)):
        _take(&r, tasks, i)
        found.append((r.slot, r.generation))
    return found


def restorable(const unsigned char[::1] tasks not None, uint32_t room):
    """The tasks of a snapshot for a board of `room` slots: (numbers of the newest, oldest first; of the others)."""
    cdef hw_task_record r
    order = []
    for i in range(_how_many(tasks)):
        _take(&r, tasks, i)
        order.append((r.serial, i))
    order.sort()
    numbers = [number for _, number in order]
    others = max(0, len(numbers) - room)
    return numbers[others:], numbers[:others]


def mark_lost(unsigned char[::1] tasks not None, int64_t taken_ns):
    """Mark the open tasks of a snapshot as lost, in place, as all their processes are dead. Returns how many."""
    cdef hw_task_record r
    cdef Py_ssize_t i, found = 0
    for i in range(_how_many(tasks)):
        _take(&r, tasks, i)
        if r.state <= HW_RUNNING:
            r.state = HW_LOST_STATE
            r.ended_ns = r.beat_ns if 0 < r.beat_ns < taken_ns else taken_ns
            r.owner_alive = 0
            hw_put_numbers(<char *> &tasks[i * <Py_ssize_t> sizeof(hw_task_record)], &r)
            found += 1
    return found
