# A place on a board: which task a handle means.

@cython.no_gc_clear  # the handle leads into the segment: it is not taken away before the handle
cdef class Place:
    """Place()\n--\n\nWhich task a handle means, and how its slot is waited for."""

    def __cinit__(self, *args, **kwargs):
        self.handle.stripe = NULL
        self.handle.identity = &_nobody
        self.handle.worker = 1  # never equal to _nobody: the first add goes the long way
        self.handle.clock = NULL
        self.index = 0
        self.generation = 0
        self.look_ns = 0
        self._id = ""

    def _place(self, Segment segment, uint32_t index, uint64_t generation, str id not None):
        """Set which task this is. segment None: looked up on first use."""
        self.segment = segment
        self.index = index
        self.generation = generation
        self._id = id
        self.handle.identity = &_nobody
        self.handle.worker = 1
        self.handle.stripe = NULL
        self.look_ns = 0
        if segment is not None and index >= segment.board.capacity:
            raise errors.UnknownTask(f"task {id!r}: slot {index} is not on board {segment.name!r}")

    @property
    def id(self):
        """What the task is called on its board: 1 to 95 bytes of UTF-8, unique among those there."""
        return self._id

    @property
    def _where(self):
        return self.index, self.generation

    cdef int ready(self) except -1:
        """The segment is there and open. Raises BoardClosed, UnknownBoard."""
        if self.segment is None:
            segment = self._segment()
            if self.index >= (<Segment>segment).board.capacity:
                raise errors.UnknownTask(f"task {self.id!r}: slot {self.index} is not on its board")
            self.segment = segment
        return 0

    def _segment(self):
        """Return the Segment of this handle's board; given by the subclass."""
        raise errors.UnknownBoard(f"task {self.id!r} belongs to no board")

    def _gone(self):
        return errors.UnknownTask(f"task {self.id!r} is no longer on board {self.segment.name!r}: it ended, and its "
                                  f"slot was given to another task")

    cdef int wait_for_lock(self, uint64_t give_up) except -1:
        """Between two slices without the slot lock: signals are served. Raises LockTimeout, BoardClosed."""
        PyErr_CheckSignals()
        self.segment.become(True)  # a handler may have forked or closed
        if hw_clock_ns(CLOCK_MONOTONIC) >= give_up:
            raise self._held()
        return 0

    def _held(self):
        slot_pid = hw_peek(&hw_control_of(hw_slot(self.segment.board, self.index)).lock_pid)
        return errors.LockTimeout(f"task {self.id!r} is being written by pid {slot_pid}, which is alive but has not "
                                  f"moved for {LOCK_SECONDS:g} s: resume or end it (kill -CONT, kill)")
