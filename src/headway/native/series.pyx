"""How counts grew: a few points per task, selected from the thousands of copies that a recorder takes of a board."""

from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from headway.native.records cimport HW_CAPACITY_MAX, HW_RUNNING, hw_take_numbers, hw_task_record

POINTS = 64
cdef enum:
    _POINTS = 64
cdef double _INTERVAL_S = 0.1  # a recorder copies less often, so every observation of a short task is kept

ctypedef struct _Course:
    uint64_t generation
    double interval
    double at[_POINTS]
    int64_t counts[_POINTS]
    int points
    double latest_at
    int64_t latest_count


cdef class Series:
    """Series()\n--\n\nThe series of all tasks of a board, observed from one copy of it to the next.

    A series is a list of (time, count) with at most 64 points, however long its task runs. The time since the first
    observation is divided into equal intervals, and the first observation in each interval is kept. When all places are
    taken, the interval doubles: two intervals become one, and the first of their two points is kept. So a long task has
    32 to 64 evenly spaced points. The latest observation is always the last point.
    """
    cdef _Course **table
    cdef size_t room

    def __dealloc__(self):
        cdef size_t slot
        for slot in range(self.room):
            PyMem_Free(self.table[slot])
        PyMem_Free(self.table)

    def look(self, const unsigned char[::1] tasks not None, double at):
        """Add a copy of all tasks, taken at `at` seconds since 1970.

        For a task that has ended, only its end is added; a task that had ended before the first copy has no series. If
        the clock was set back, the time of the previous observation is used: times in a series never decrease.
        """
        cdef hw_task_record r
        cdef _Course *course
        cdef Py_ssize_t i
        for i in range(tasks.shape[0] // <Py_ssize_t> sizeof(r)):
            hw_take_numbers(&r, <const char *> &tasks[i * <Py_ssize_t> sizeof(r)])
            if r.slot >= HW_CAPACITY_MAX:
                raise ValueError(f"record {i} of the tasks: its slot lies outside of every board")
            course = self.table[r.slot] if r.slot < self.room else NULL
            if course is not NULL and course.generation == r.generation:
                if r.state <= HW_RUNNING or course.latest_count != r.count:
                    _add(course, at, r.count)
            elif r.state == HW_RUNNING:
                self.begin(&r, at)
        return None

    cdef int begin(self, hw_task_record *r, double at) except -1:
        cdef size_t room = max(<size_t> r.slot + 1, 2 * self.room, <size_t> 64)
        cdef _Course *course
        if r.slot >= self.room:
            table = <_Course **> PyMem_Realloc(self.table, room * sizeof(_Course *))
            if table is NULL:
                raise MemoryError
            memset(table + self.room, 0, (room - self.room) * sizeof(_Course *))
            self.table, self.room = table, room
        course = self.table[r.slot]
        if course is NULL:
            course = self.table[r.slot] = <_Course *> PyMem_Malloc(sizeof(_Course))
            if course is NULL:
                raise MemoryError
        course.generation, course.interval, course.points = r.generation, _INTERVAL_S, 1
        course.at[0] = course.latest_at = at
        course.counts[0] = course.latest_count = r.count
        return 0

    def points(self, uint32_t slot, uint64_t generation):
        """The series of the task in a slot: a list of (seconds since 1970, count); [] if it was never seen running."""
        cdef _Course *course = self.table[slot] if slot < self.room else NULL
        if course is NULL or course.generation != generation:
            return []
        found = [(course.at[i], course.counts[i]) for i in range(course.points)]
        latest = course.latest_at, course.latest_count
        if latest not in found[course.points - 1:]:
            found.append(latest)
        return found


cdef inline int64_t _place(const _Course *course, double at) noexcept:
    """The number of the interval that contains a time."""
    return <int64_t> ((at - course.at[0]) / course.interval)


cdef void _add(_Course *course, double at, int64_t count) noexcept:
    cdef int i, kept
    cdef int64_t before, here
    if not at >= course.latest_at:
        at = course.latest_at
    if _place(course, at) > _place(course, course.at[course.points - 1]):
        course.at[course.points], course.counts[course.points] = at, count
        course.points += 1
    course.latest_at, course.latest_count = at, count
    while course.points >= _POINTS:  # one place is for the latest observation
        course.interval *= 2
        before, kept = -1, 0
        for i in range(course.points):
            here = _place(course, course.at[i])
            if here > before:
                course.at[kept], course.counts[kept] = course.at[i], course.counts[i]
                kept += 1
            before = here
        course.points = kept
