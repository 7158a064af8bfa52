"""The classes of core, for other Cython modules. Each part of a segment and of a slot is a base class of the next."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from headway.native.headers cimport *
from headway.native.reading cimport *

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
    cdef uint64_t look_ns  # here, as each count reads it
    cdef uint64_t bound  # how often the handle got a stripe
    cdef hw_nested *last  # of the blocks and loops that have an item in hand, by this handle
    cdef Segment segment
    cdef uint32_t index
    cdef uint64_t generation
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


cdef class ItemBlock:
    cdef Slot slot
    cdef object item
    cdef str function
    cdef uint64_t ordinal  # 0: it has none
    cdef bint counted  # by the end of the block
    cdef uint64_t name  # of the item as it was written
    cdef hw_nested *open  # NULL = it has not begun, or was left


cdef class Tracker:
    cdef Slot slot
    cdef object iterator
    cdef bint pending
    # The hot path: where the item is written, NULL = by `take`; what each name begins with; the last one; and what the
    # next one of a range has more.
    cdef uint64_t *place
    cdef uint64_t prefix
    cdef uint64_t name
    cdef uint64_t step
    cdef uint64_t number  # of the item in hand, 1 = the first; not of those of a range
    cdef bint quick  # the next item is there at once, and no label tells which it is
    cdef uint64_t bound  # of the slot, when `place` was set
    cdef hw_nested *open  # NULL = no item was taken up, or it has ended
    cdef object label
    cdef object on_end
    cdef object on_tick
    cdef uint64_t tick_ns
    cdef uint64_t next_tick_ns
    cdef int tick(self) except -1
    cdef int take(self, found) except -1
    cdef int wait(self) except -1
    cdef bint over(self) except -1
    cdef int end(self, error) except -1


cdef class SizedTracker(Tracker):
    cdef object sized
