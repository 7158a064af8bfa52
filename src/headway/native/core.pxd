"""The classes of core, for other Cython modules. Each part of a segment and of a slot is a base class of the next."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from headway.native.headers cimport *

# A native call that may wait, made without the GIL (waiting.pxi).
ctypedef int (*Call)(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil


cdef class MappedSegment:
    cdef hw_board *board
    cdef void *base
    cdef uint64_t bytes_mapped
    cdef hw_header said  # the copy of the header that was checked
    cdef bint _closed


cdef class Presence(MappedSegment):
    cdef bint _watching
    cdef uint64_t _borrowed  # the identity that the last of its borrowers gives back; 0: this process's is here to stay
    cdef uint32_t _borrowers  # how many calls need it
    cdef int become(self, bint with_row) except -1
    cdef int come_alive(self, bint with_row, bint borrowed) except -1
    cdef bint stays(self) noexcept
    cdef uint64_t borrow(self) except 0
    cdef int give_back(self, uint64_t identity) noexcept
    cdef bint quiet(self) except -1


cdef class Recorded(Presence):
    cdef bint silent(self, uint64_t now) noexcept


cdef class TaskTable(Recorded):
    cdef int wait_for_lock(self, uint64_t give_up) except -1
    cdef list walk(self, hw_sought sought, int limit=*, uint32_t part=*, uint32_t parts=*)
    cdef int under_lock(self, Call call, void *arguments) except -1


cdef class Segment(TaskTable):
    cdef uint64_t _content_version
    cdef uint64_t _states_version
    cdef uint64_t _results_version
    cdef uint32_t _open_tasks
    cdef int copy_into(self, hw_copy *copy, uint32_t index, uint64_t generation) except -1


cdef class Place:
    cdef hw_task handle
    cdef Segment segment
    cdef uint32_t index
    cdef uint64_t generation
    cdef uint64_t look_ns
    cdef str _id
    cdef bint look_up(self) except -1
    cdef int under_lock(self, Call call, void *arguments) except -1
    cdef int read_under_lock(self, Call call, void *arguments) except -1


cdef class Counter(Place):
    cdef uint64_t folds  # how often the blocks of the task had been taken back when its counter was bound
    cdef int add(self, int64_t n) except -1
    cdef int bind(self) except -1
    cdef int look(self) except -1
    cdef bint goes_on(self) except -1
    cdef int look_around(self, uint64_t now) except -1


cdef class Status(Counter):
    cdef int write(self, hw_change *change) except -1
    cdef bint _read(self, hw_status *status) except -1


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
