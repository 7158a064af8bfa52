"""The classes of core, for modules that count by them. Each part of a segment and of a slot builds on the one before."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from headway.native.headers cimport *


cdef class MappedSegment:
    cdef hw_board *board
    cdef void *base
    cdef uint64_t bytes_mapped
    cdef hw_header said  # the header as it was when it was checked
    cdef bint _closed


cdef class Presence(MappedSegment):
    cdef bint _watching
    cdef uint64_t _pulse
    cdef uint64_t _states
    cdef uint64_t _given
    cdef uint32_t _open_tasks
    cdef int become(self, bint with_row) except -1
    cdef bint quiet(self) except -1


cdef class Recorded(Presence):
    cdef bint silent(self, uint64_t now) noexcept


cdef class TaskTable(Recorded):
    cdef int wait_for_lock(self, uint64_t give_up) except -1


cdef class Segment(TaskTable):
    cdef int copy_into(self, hw_copy *copy, uint32_t index, uint64_t generation) except -1


cdef class Place:
    cdef hw_task handle
    cdef Segment segment
    cdef uint32_t index
    cdef uint64_t generation
    cdef uint64_t look_ns
    cdef str _id
    cdef int ready(self) except -1
    cdef int wait_for_lock(self, uint64_t give_up) except -1


cdef class Counter(Place):
    cdef int add(self, int64_t n) except -1
    cdef int look(self) except -1
    cdef int look_around(self, uint64_t now) except -1


cdef class Status(Counter):
    cdef int write(self, hw_change *change) except -1
    cdef int _read(self, hw_status *status) except -1


cdef class Slot(Status):
    pass


cdef class NativeTask:
    cdef hw_task task
    cdef Segment segment
    cdef uint64_t _generation


cdef class Tracker:
    cdef Slot slot
    cdef object iterator
    cdef bint pending
    cdef object on_end
    cdef object on_tick
    cdef uint64_t tick_ns
    cdef uint64_t next_tick_ns
    cdef int tick(self) except -1
    cdef bint over(self) except -1
    cdef int end(self, error) except -1


cdef class SizedTracker(Tracker):
    cdef object sized
