"""The records of a snapshot: their fields, and their values in Python.

Everything that is read is treated as hostile: impossible values raise ValueError, and no text is read past the end of
its field. Records are copied before they are read, so alignment does not matter. Stage, share and result records are in
the order of their tasks (`check` verifies that), so those of one task are found by bisection.
"""

import sys
from types import MappingProxyType

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy


cdef extern from "Python.h":
    int PyObject_GenericSetAttr(object owner, object name, object value) except -1

cdef extern from *:
    """
    #include "record.h"

    /* What a field is: 'S' text, 'i' 'u' 'f' number, 'V' padding; `items` > 1 = an array of them. */
    typedef struct { const char *record, *name; char kind; size_t offset, bytes, items; } hw_field;

    #define HW_FIELD(record, field, kind, items) {#record, #field, kind, \
        offsetof(hw_##record##_record, field), sizeof(((hw_##record##_record *)0)->field), items}
    #define HW_TEXT(record, field) HW_FIELD(record, field, 'S', 1)
    #define HW_SIGNED(record, field) HW_FIELD(record, field, 'i', 1)
    #define HW_UNSIGNED(record, field) HW_FIELD(record, field, 'u', 1)

    static const hw_field hw_fields[] = {
        HW_TEXT(task, id), HW_TEXT(task, label), HW_TEXT(task, unit), HW_TEXT(task, stage), HW_TEXT(task, message),
        HW_TEXT(task, error), HW_FIELD(task, metric_name, 'S', HW_METRICS), HW_FIELD(task, metric, 'f', HW_METRICS),
        HW_FIELD(task, rate, 'f', 1), HW_SIGNED(task, count), HW_SIGNED(task, total), HW_SIGNED(task, base),
        HW_SIGNED(task, created_ns), HW_SIGNED(task, started_ns), HW_SIGNED(task, ended_ns), HW_SIGNED(task, stage_ns),
        HW_SIGNED(task, beat_ns), HW_UNSIGNED(task, serial), HW_UNSIGNED(task, generation), HW_UNSIGNED(task, owner),
        HW_UNSIGNED(task, version), HW_SIGNED(task, stall_after_ns), HW_UNSIGNED(task, owner_pid), HW_UNSIGNED(task, slot),
        HW_UNSIGNED(task, stages_left_out), HW_UNSIGNED(task, lost_left_out), HW_UNSIGNED(task, state),
        HW_UNSIGNED(task, parent_bytes), HW_UNSIGNED(task, owner_alive), HW_UNSIGNED(task, resumed),
        HW_UNSIGNED(task, written), HW_UNSIGNED(task, archived), HW_FIELD(task, pad, 'V', 1),
        HW_UNSIGNED(stage, task), HW_UNSIGNED(stage, number), HW_SIGNED(stage, entered_ns), HW_TEXT(stage, stage),
        HW_UNSIGNED(share, task), HW_UNSIGNED(share, pid), HW_UNSIGNED(share, worker), HW_SIGNED(share, count),
        HW_SIGNED(share, beat_ns), HW_SIGNED(share, item_ns), HW_TEXT(share, item), HW_UNSIGNED(share, known), HW_UNSIGNED(share, alive), HW_FIELD(share, pad, 'V', 1),
        HW_UNSIGNED(worker, incarnation), HW_UNSIGNED(worker, pid), HW_UNSIGNED(worker, alive),
        HW_FIELD(worker, pad, 'V', 1), HW_SIGNED(worker, started_ns), HW_TEXT(worker, name),
        HW_UNSIGNED(duration, task), HW_UNSIGNED(duration, untimed), HW_UNSIGNED(duration, items), HW_FIELD(duration, count, 'u', HW_DURATIONS),
        HW_UNSIGNED(duration, slowest_ns), HW_TEXT(duration, slowest),
        HW_UNSIGNED(result, task), HW_UNSIGNED(result, bytes), HW_UNSIGNED(result, offset),
    };
    #define HW_FIELDS (sizeof hw_fields / sizeof *hw_fields)
    """
    ctypedef struct hw_field:
        const char *record
        const char *name
        char kind
        size_t offset
        size_t bytes
        size_t items
    const hw_field hw_fields[]
    const size_t HW_FIELDS


LAYOUT_VERSION = HW_LAYOUT_VERSION
CAPACITY_MAX = HW_CAPACITY_MAX
WORKERS_MAX = HW_WORKERS_MAX
RESULT_BYTES_MAX = HW_RESULT_BYTES_MAX
cdef tuple _states = ("pending", "running", "success", "failed", "cancelled", "lost")
STATES = _states
RECORD_BYTES = MappingProxyType({
    "tasks": sizeof(hw_task_record),
    "stages": sizeof(hw_stage_record),
    "shares": sizeof(hw_share_record),
    "workers": sizeof(hw_worker_record),
    "index": sizeof(hw_result_record),
    "durations": sizeof(hw_duration_record),
})
assert len(STATES) == HW_STATES


def _describe(str record, size_t record_bytes):
    """The NumPy description of one record, with every byte of it accounted for."""
    order = "<" if sys.byteorder == "little" else ">"
    descr = []
    cdef size_t end = 0, i
    for i in range(HW_FIELDS):
        field = hw_fields[i]
        if field.record.decode() != record:
            continue
        kind, one = chr(field.kind), field.bytes // field.items
        if field.offset != end:
            raise ImportError(f"record.h: a gap or an overlap before {record}.{field.name.decode()}")
        end += field.bytes
        code = ("|" if kind in "SV" or one == 1 else order) + f"{kind}{one}"
        name = field.name.decode()
        descr.append((name, code) if field.items == 1 else (name, code, (field.items,)))
    if end != record_bytes:
        raise ImportError(f"record.h: fields of {record} are missing here")
    return descr


DTYPES = MappingProxyType({
    array: _describe(record, RECORD_BYTES[array])
    for array, record in (("tasks", "task"), ("stages", "stage"), ("shares", "share"), ("workers", "worker"),
                          ("index", "result"), ("durations", "duration"))
})


# ------------------------------------------------------------------------------------------------ reading records

cdef class _Array:
    """A hold on the bytes of an array of records."""
    cdef Py_buffer held
    cdef Py_ssize_t record_bytes, count

    def __cinit__(self, buffer, Py_ssize_t record_bytes):
        PyObject_GetBuffer(buffer, &self.held, PyBUF_SIMPLE)
        if self.held.len % record_bytes:
            raise ValueError(f"{self.held.len} bytes are not a whole number of records of {record_bytes} bytes")
        self.record_bytes = record_bytes
        self.count = self.held.len // record_bytes

    def __dealloc__(self):
        PyBuffer_Release(&self.held)

    cdef char *at(self, Py_ssize_t index) noexcept:
        return <char *> self.held.buf + index * self.record_bytes

    cdef int take(self, Py_ssize_t index, void *record) except -1:
        if not 0 <= index < self.count:
            raise IndexError(f"record {index} of {self.count}")
        memcpy(record, self.at(index), self.record_bytes)
        return 0

    cdef Py_ssize_t first_of(self, uint32_t task) noexcept:
        """The first record of this task or a later one. A record that belongs to a task begins with its number."""
        cdef Py_ssize_t low = 0, high = self.count, middle
        cdef uint32_t number
        while low < high:
            middle = (low + high) // 2
            memcpy(&number, self.at(middle), sizeof(number))
            if number < task:
                low = middle + 1
            else:
                high = middle
        return low


cdef object _field_text(const char *field, size_t room):
    cdef const char *end = <const char *> memchr(field, 0, room)
    if end is NULL:
        raise ValueError(f"a text of {room} bytes has no end")
    return PyUnicode_DecodeUTF8(field, end - field, "replace")


cdef inline object _seconds(int64_t ns):
    return ns / 1e9 if ns > 0 else None


cdef const char *_task_fault(const hw_task_record *r) noexcept:
    """What is impossible in this record, or NULL. Texts are padded with NUL: one whose last byte is not has no end."""
    cdef int i
    if r.state >= HW_STATES:
        return "its state is unknown"
    if r.slot >= HW_CAPACITY_MAX:
        return "its slot lies outside of every board"
    if (r.id[sizeof(r.id) - 1] | r.label[sizeof(r.label) - 1] | r.unit[sizeof(r.unit) - 1]
            | r.stage[sizeof(r.stage) - 1] | r.message[sizeof(r.message) - 1] | r.error[sizeof(r.error) - 1]):
        return "one of its texts has no end"
    for i in range(HW_METRICS):
        if r.metric_name[i][HW_METRIC_BYTES - 1]:
            return "the name of a metric has no end"
    if not r.id[0]:
        return "its id is empty"
    if r.parent_bytes and (r.parent_bytes >= sizeof(r.id) or memchr(r.id, 0, <size_t> r.parent_bytes + 1) is not NULL):
        return "its parent is longer than its id"
    return NULL


cdef int _take_task(object buffer, Py_ssize_t index, hw_task_record *r) except -1:
    """Copy record `index` of the array `tasks`. Raises IndexError, and ValueError for an impossible record."""
    cdef const char *fault
    _Array(buffer, sizeof(r[0])).take(index, r)
    fault = _task_fault(r)
    if fault is not NULL:
        raise ValueError(f"record {index} of the tasks: {fault.decode()}")
    return 0


cdef dict _fields(const hw_task_record *r):
    """All but the metrics."""
    return {
        "id": _field_text(r.id, sizeof(r.id)),
        "label": _field_text(r.label, sizeof(r.label)),
        "unit": _field_text(r.unit, sizeof(r.unit)),
        "parent": PyUnicode_DecodeUTF8(r.id, r.parent_bytes, "replace") if r.parent_bytes else None,
        "state": _states[r.state],
        "count": r.count,
        "total": r.total if r.total >= 0 else None,
        "base": r.base,
        "stage": _field_text(r.stage, sizeof(r.stage)),
        "message": _field_text(r.message, sizeof(r.message)),
        "error": _field_text(r.error, sizeof(r.error)),
        "rate": r.rate if isfinite(r.rate) else None,
        "created": _seconds(r.created_ns),
        "started": _seconds(r.started_ns),
        "ended": _seconds(r.ended_ns),
        "stage_entered": _seconds(r.stage_ns),
        "beat": _seconds(r.beat_ns),
        "serial": r.serial,
        "owner": r.owner,
        "owner_pid": r.owner_pid,
        "owner_alive": r.owner_alive != 0,
        "resumed_from": r.base if r.resumed else None,
        "stages_left_out": r.stages_left_out,
        "lost_left_out": r.lost_left_out,
        "stall_after": hw_stall_seconds(r.stall_after_ns),
    }


cdef dict _metrics(const hw_task_record *r):
    cdef int i
    found = {}
    for i in range(HW_METRICS):
        if r.metric_name[i][0]:
            found[_field_text(r.metric_name[i], sizeof(r.metric_name[i]))] = r.metric[i]
    return found


def task_fields(buffer, Py_ssize_t index):
    """The fields of record `index` of the array `tasks`, in a new dict. Raises ValueError for an impossible record."""
    cdef hw_task_record r
    _take_task(buffer, index, &r)
    return {**_fields(&r), "metrics": _metrics(&r)}


def task_metrics(buffer, Py_ssize_t index):
    """The metrics of record `index` of the array `tasks`, in a new dict. Raises ValueError for an impossible record."""
    cdef hw_task_record r
    _take_task(buffer, index, &r)
    return _metrics(&r)


def task_view(kind, raw, buffer, Py_ssize_t index, double taken_at):
    """An object of class `kind` with the fields of record `index`; raw: the copy they come from. Raises ValueError.

    Metrics, stages, shares and results are left out: few of those who look at a task ask for them.
    """
    cdef hw_task_record r
    _take_task(buffer, index, &r)
    cdef dict values = _fields(&r)
    if hw_stalled(&r, taken_at):
        values["rate"] = 0.0
    values["taken_at"] = taken_at
    values["_source"] = raw, index
    view = kind.__new__(kind)
    # A frozen dataclass sets its fields one by one, which is slow. PyObject_GenericSetDict does not work: Python 3.13
    # would go on using the values inside the object, which are empty here.
    PyObject_GenericSetAttr(view, "__dict__", values)
    return view


def task_place(buffer, Py_ssize_t index):
    """Where the task of record `index` stood, and which version of it this is: (slot, generation, version)."""
    cdef hw_task_record r
    _Array(buffer, sizeof(r)).take(index, &r)
    return r.slot, r.generation, r.version


def worker_fields(buffer, Py_ssize_t index):
    """The fields of record `index` of the array `workers`, in a new dict. Raises ValueError for an impossible one."""
    cdef hw_worker_record r
    _Array(buffer, sizeof(r)).take(index, &r)
    return {
        "incarnation": r.incarnation,
        "pid": r.pid,
        "name": _field_text(r.name, sizeof(r.name)),
        "alive": r.alive != 0,
        "started": _seconds(r.started_ns),
    }


def stage_rows(buffer, uint32_t task):
    """The stages of task number `task`: a list of (name, entered)."""
    cdef hw_stage_record r
    cdef _Array array = _Array(buffer, sizeof(r))
    rows = []
    for i in range(array.first_of(task), array.count):
        array.take(i, &r)
        if r.task != task:
            break
        rows.append((_field_text(r.stage, sizeof(r.stage)), _seconds(r.entered_ns)))
    return rows


def share_rows(buffer, uint32_t task):
    """Who counts on task number `task`: a list of (pid, incarnation, count or None, beat, alive, item, taken up).

    item: "" if it has none in hand; taken up: when, as `beat` in seconds since 1970, or None.
    alive: 0 = it died, 1 = it lives, 2 = it left (closed the board, or ended normally).
    """
    cdef hw_share_record r
    cdef _Array array = _Array(buffer, sizeof(r))
    rows = []
    for i in range(array.first_of(task), array.count):
        array.take(i, &r)
        if r.task != task:
            break
        rows.append((r.pid, r.worker, r.count if r.known else None, _seconds(r.beat_ns), r.alive,
                     _field_text(r.item, sizeof(r.item)), _seconds(r.item_ns)))
    return rows


def duration_row(buffer, uint32_t task):
    """The durations of task number `task`: (how many of each kind, of how many items, the slowest in seconds, its item,
    was what was counted before it was restored not timed?), or None.
    """
    cdef hw_duration_record r
    cdef _Array array = _Array(buffer, sizeof(r))
    cdef Py_ssize_t i = array.first_of(task)
    if i == array.count:
        return None
    array.take(i, &r)
    if r.task != task:
        return None
    counts = tuple([r.count[i] for i in range(HW_DURATIONS)])
    return counts, r.items, r.slowest_ns / 1e9, _field_text(r.slowest, sizeof(r.slowest)), r.untimed != 0


def result_place(buffer, uint32_t task, uint64_t results_bytes):
    """(begin, end) of the result of task number `task`, or None. Raises ValueError if it lies outside the results."""
    cdef hw_result_record r
    cdef _Array array = _Array(buffer, sizeof(r))
    cdef Py_ssize_t i = array.first_of(task)
    if i == array.count:
        return None
    array.take(i, &r)
    if r.task != task:
        return None
    if r.offset > results_bytes or r.bytes > results_bytes - r.offset:
        raise ValueError(f"the result of task number {task} lies outside of the results")
    return r.offset, r.offset + r.bytes


# ----------------------------------------------------------------------------------------------- the whole board

def task_ids(buffer):
    """The id of every task, as a list in the order of the records."""
    cdef _Array array = _Array(buffer, sizeof(hw_task_record))
    return [_field_text(array.at(i), HW_ID_BYTES) for i in range(array.count)]  # an id begins its record


def shares_of_workers(shares, tasks):
    """What each worker does: a dict from its incarnation to [last beat, numbers of its open tasks, item, taken up, ended,
    stall_after].

    item: what it took up last on an open task, and has in hand, or had when it died, "" if that is not known; taken up:
    when; ended: when the task of it did; stall_after: the longest of its open tasks, in seconds. Times are as of a view.
    """
    cdef hw_share_record r
    cdef hw_task_record task
    cdef _Array array = _Array(shares, sizeof(r)), of = _Array(tasks, sizeof(task))
    found = {}
    for i in range(array.count):
        array.take(i, &r)
        if r.task >= of.count:
            raise ValueError(f"record {i} of the shares: there is no task number {r.task}")
        one = found.setdefault(r.worker, [None, [], "", None, None, 0.0])
        beat = _seconds(r.beat_ns)
        if beat is not None and (one[0] is None or one[0] < beat):
            one[0] = beat
        hw_take_numbers(&task, of.at(r.task))
        if task.state in (HW_PENDING, HW_RUNNING, HW_LOST_STATE):
            one[1].append(r.task)
            one[5] = max(<double> one[5], hw_stall_seconds(task.stall_after_ns))
            since = _seconds(r.item_ns)
            if r.item[0] and since is not None and (one[3] is None or one[3] < since):
                one[2], one[3], one[4] = _field_text(r.item, sizeof(r.item)), since, _seconds(task.ended_ns)
    return found


include "record_checks.pxi"
