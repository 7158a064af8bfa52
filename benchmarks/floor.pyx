"""What nothing costs: empty methods, and loops in C. Built when the benchmarks run, with the flags of the package."""
from libc.stdint cimport int64_t, uint64_t

cdef extern from "headway.h" nogil:
    """
    /* Two lines of memory that belong to nobody else: an atomic add without anything about it. */
    static struct { _Alignas(128) uint64_t word; char rest[120]; } alone;

    static void add_alone(uint64_t *word) { __atomic_fetch_add(word, 1, __ATOMIC_RELAXED); }

    /* valgrind writes down and clears its counters each time that this is entered (--dump-before). */
    __attribute__((noinline, visibility("default"))) void headway_phase(void) { __asm__ __volatile__(""); }

    /* The compiler shall not take the loop for one call. */
    static inline void in_earnest(void) { __asm__ __volatile__("" ::: "memory"); }
    """
    ctypedef struct hw_task:
        pass
    int hw_add(hw_task *task, int64_t n)
    int hw_add_at(hw_task *task, int64_t n, uint64_t now_ns)
    uint64_t hw_clock_ns(int clock)
    int CLOCK_MONOTONIC_COARSE
    ctypedef struct hw_batch:
        hw_task *task
        int64_t held
        int64_t every
    int hw_batch_add(hw_batch *batch, int64_t n)
    int hw_flush(hw_batch *batch)
    struct lines:
        uint64_t word
    lines alone
    void add_alone(uint64_t *word)
    void headway_phase()
    void in_earnest()


cdef class Empty:
    """Methods with the signatures of a task's that do nothing."""

    def update(self, n=1):
        """As Task.update."""

    @property
    def stage(self):
        """As Task.stage."""
        return ""

    @stage.setter
    def stage(self, str stage not None):
        pass

    def get(self, str id not None):
        """As Board.get, of a board without tasks."""


def phase():
    """A mark between two things that valgrind counts."""
    headway_phase()


def nothing(int64_t times):
    """The loop alone."""
    cdef int64_t i
    with nogil:
        for i in range(times):
            in_earnest()


def add(size_t task, int64_t times):
    """Call hw_add so many times on the hw_task at this address."""
    cdef int64_t i
    with nogil:
        for i in range(times):
            hw_add(<hw_task *>task, 1)


def add_in_batches(size_t task, int64_t times, int64_t every):
    """The same in batches."""
    cdef int64_t i
    cdef hw_batch batch = hw_batch(<hw_task *>task, 0, every)
    with nogil:
        for i in range(times):
            hw_batch_add(&batch, 1)
            in_earnest()
        hw_flush(&batch)


def iterations(double x, int64_t times):
    """The kernel that native code is priced by: iterations of some 100 ns."""
    cdef int64_t i
    cdef int j
    with nogil:
        for i in range(times):
            for j in range(60):
                x = 3.9 * x * (1 - x)
    return x


def iterations_counted(size_t task, double x, int64_t times, int64_t every):
    """The same, each counted."""
    cdef int64_t i
    cdef int j
    cdef hw_batch batch = hw_batch(<hw_task *>task, 0, every)
    with nogil:
        for i in range(times):
            for j in range(60):
                x = 3.9 * x * (1 - x)
            hw_batch_add(&batch, 1)
        hw_flush(&batch)
    return x


def add_without_clock(size_t task, int64_t times):
    """The same with the time at hand."""
    cdef int64_t i
    with nogil:
        for i in range(times):
            hw_add_at(<hw_task *>task, 1, 1)
            in_earnest()


def clock(int64_t times):
    """Read the clock of hw_add so many times."""
    cdef int64_t i
    with nogil:
        for i in range(times):
            hw_clock_ns(CLOCK_MONOTONIC_COARSE)
            in_earnest()


def add_alone_and_clock(int64_t times):
    """The floor of hw_add: the clock, and an atomic add to a word that nobody shares."""
    cdef int64_t i
    with nogil:
        for i in range(times):
            hw_clock_ns(CLOCK_MONOTONIC_COARSE)
            add_alone(&alone.word)


def add_to_word(size_t word, int64_t times):
    """Read the clock and add atomically to the word at this address, so many times."""
    cdef int64_t i
    with nogil:
        for i in range(times):
            hw_clock_ns(CLOCK_MONOTONIC_COARSE)
            add_alone(<uint64_t *>word)
