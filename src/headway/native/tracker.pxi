# Iterators over an iterable that count its items on a task.

cdef class Tracker:
    """Tracker(slot, iterable, on_end=None, on_tick=None, tick_ns=100000000)\n--\n\nIterate and count.

    An item is counted when the next one is requested. on_tick() is called about every tick_ns nanoseconds,
    on_end(error or None) once: at the end, at an exception of the iterable, or with GeneratorExit if the loop was left
    early.
    """

    def __init__(self, Slot slot not None, iterable, on_end=None, on_tick=None, uint64_t tick_ns=100_000_000):
        self.slot = slot
        self.iterator = iter(iterable)
        self.pending = False
        self.on_end = on_end
        self.on_tick = on_tick
        self.tick_ns = tick_ns
        self.next_tick_ns = 0

    def __iter__(self):
        return self

    def __next__(self):
        cdef PyObject *item
        cdef object found
        if self.pending:
            self.pending = False
            _count(self.slot, 1)
            if self.on_tick is not None:
                self.tick()
        if self.iterator is None:
            raise StopIteration
        item = hw_next_item(self.iterator)
        if item is NULL and self.over():
            raise StopIteration
        self.pending = True
        found = <object>item
        Py_DECREF(found)  # the reference that hw_next_item returned; `found` has its own
        return found

    cdef bint over(self) except -1:
        """No item came: True if that was the end of the iterable. Raises what the iterable raised."""
        if not PyErr_Occurred() or PyErr_ExceptionMatches(StopIteration):
            PyErr_Clear()
            self.end(None)
            return True
        if self.on_end is None:
            hw_raised()
        try:
            hw_raised()
        except BaseException as error:
            self.end(error)
            raise

    cdef int end(self, error) except -1:
        on_end, self.on_end = self.on_end, None
        self.iterator = None
        if on_end is not None:
            try:
                on_end(error)
            except KeyboardInterrupt:  # it was interrupted: call it again, as in Slot.__exit__
                on_end(error)
                raise
        return 0

    cdef int tick(self) except -1:
        cdef uint64_t now = hw_clock_ns(CLOCK_MONOTONIC_COARSE)
        if now >= self.next_tick_ns:
            self.next_tick_ns = now + self.tick_ns
            self.on_tick()
        return 0

    def close(self):
        """End the loop early: the current item is not counted."""
        self.pending = False
        self.end(GeneratorExit())

    def __del__(self):
        self.close()


cdef class SizedTracker(Tracker):
    """SizedTracker(slot, iterable, on_end=None, on_tick=None, tick_ns=100000000)\n--\n\nA Tracker with a length."""

    def __init__(self, Slot slot not None, iterable, on_end=None, on_tick=None, uint64_t tick_ns=100_000_000):
        Tracker.__init__(self, slot, iterable, on_end, on_tick, tick_ns)
        self.sized = iterable

    def __len__(self):
        return len(self.sized)
