# The task that a handle refers to, and calls that wait for its slot lock.

@cython.no_gc_clear  # `handle` points into the segment, which has to stay as long
cdef class Place:
    """Place()\n--\n\nThe task that a handle refers to, and calls that wait for its slot lock."""

    def __cinit__(self, *args, **kwargs):
        self.handle.stripe = NULL
        self.handle.identity = &_nobody
        self.handle.worker = 1  # never equal to _nobody: so the first add takes the slow path
        self.handle.clock = NULL
        self.index = 0
        self.generation = 0
        self.look_ns = 0
        self.bound = 0
        self.last = NULL
        self._id = ""

    def __dealloc__(self):
        hw_let_go(self.last)

    def _place(self, Segment segment, uint32_t index, uint64_t generation, id not None):
        """Set the task that this handle refers to. segment None: it is looked up on first use."""
        self.segment = segment
        self.index = index
        self.generation = generation
        self._id = PyUnicode_FromObject(id)  # of a subclass of str, an enum's say, the text
        self.handle.identity = &_nobody
        self.handle.worker = 1
        self.handle.stripe = NULL
        self.look_ns = 0
        if segment is not None and index >= segment.board.capacity:
            raise _no_slot(id, index, segment.name)

    @property
    def id(self):
        """The name of the task, unique on its board: 1 to 95 bytes of UTF-8."""
        return self._id

    @property
    def _where(self):
        return self.index, self.generation

    cdef bint look_up(self) except -1:
        """Find `segment`; see _ready."""
        segment = self._segment()
        if segment is None:
            return False
        if self.index >= (<Segment>segment).board.capacity:
            raise _no_slot(self.id, self.index, segment.name)
        self.segment = segment
        return True

    def _segment(self):
        """Return the Segment of this handle's board, or None if it cannot be had; the subclass overrides this."""
        raise _no_board(self.id)

    def _alone(self):
        """The stand-in of the task where its board cannot be had; the subclass overrides this."""
        raise _no_board(self.id)

    def _gone(self):
        return _task_gone(self.id, self.segment.name)

    cdef int under_lock(self, Call call, void *arguments) except -1:
        """Repeat a call that takes the slot lock until it gets the lock. Returns its answer, never HW_TIMEOUT.

        Raises LockTimeout, BoardClosed.
        """
        cdef uint64_t give_up = _in_seconds(LOCK_SECONDS)
        cdef int answer
        while True:
            self.segment.become(True)  # each time: a signal handler may have forked, or closed the board
            answer = _outside(self.segment.board, call, arguments)
            if answer != HW_TIMEOUT:
                return answer
            PyErr_CheckSignals()
            if hw_clock_ns(CLOCK_MONOTONIC) >= give_up:
                raise self._held()

    cdef int read_under_lock(self, Call call, void *arguments) except -1:
        """As under_lock, for a call that only reads: who only watches is nobody again after it."""
        cdef uint64_t give_up = _in_seconds(LOCK_SECONDS), identity
        cdef int answer
        while True:
            identity = self.segment.borrow()  # each time, as in under_lock
            answer = _outside(self.segment.board, call, arguments)
            self.segment.give_back(identity)
            if answer != HW_TIMEOUT:
                return answer
            PyErr_CheckSignals()
            if hw_clock_ns(CLOCK_MONOTONIC) >= give_up:
                raise self._held()

    def _held(self):
        return _task_locked(self.id, hw_peek(&hw_control_of(hw_slot(self.segment.board, self.index)).lock_pid))


cdef inline bint _ready(Place place) except -1:
    """Make sure that `segment` is set. Returns False if the board cannot be had: then `_alone` is used instead.

    Raises UnknownTask, and what `_segment` does. A function and no method, so that status writes pay no call.
    """
    return place.segment is not None or place.look_up()
