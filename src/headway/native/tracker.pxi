# Iterators over an iterable that count its items on a task, and write down which one is in hand.

# Their iterators have the next item at once: it is taken up when the one before is counted.
cdef set _QUICK = {type(iter(one)) for one in (range(1), [], ())}


cdef class Tracker:
    """Tracker(slot, iterable, on_end=None, on_tick=None, tick_ns=100000000, label=None)\n--\n\nIterate and count.

    An item is counted when the next one is requested; until then it is in hand, by its name or label(item), else by its
    number. on_tick() is called about every tick_ns nanoseconds,
    on_end(error or None) once: at the end, at an exception of the iterable, or with GeneratorExit if the loop was left
    early.
    """

    def __init__(self, Slot slot not None, iterable, on_end=None, on_tick=None, uint64_t tick_ns=100_000_000,
                 label=None):
        self.slot = slot
        self.iterator = iter(iterable)
        self.pending = False
        self.on_end = on_end
        self.on_tick = on_tick
        self.tick_ns = tick_ns
        self.next_tick_ns = 0
        self.label = label
        self.quick = label is None and type(self.iterator) in _QUICK
        self.open = NULL
        self.number = self.name = self.step = self.prefix = self.bound = 0
        self.place = NULL
        if self.quick and type(iterable) is range and 0 < iterable.step < HW_VALUE_LIMIT and 0 <= iterable.start \
                and iterable.stop < HW_VALUE_LIMIT:
            self.step = iterable.step

    def __dealloc__(self):
        _forget(self.open)

    def __iter__(self):
        return self

    def __next__(self):
        cdef PyObject *item
        cdef object found
        cdef int64_t number
        if self.pending:
            self.pending = False
            if not _count(self.slot, 1):
                self.place = NULL
            if self.place is NULL:
                self.wait()
            if self.on_tick is not None:
                self.tick()
        if self.iterator is None:
            raise StopIteration
        item = hw_next_item(self.iterator)
        if item is NULL and self.over():
            raise StopIteration
        found = <object>item
        Py_DECREF(found)  # the reference that hw_next_item returned; `found` has its own
        if self.bound != self.slot.bound:
            self.place = NULL  # it was that of another counter: of this process's parent, say
        if self.place is not NULL and self.step:
            self.name += self.step
            hw_put_at_beat(self.place, self.name)
        else:
            self.number += 1
            if self.place is not NULL and type(found) is int and hw_small(found, &number):
                self.name = self.prefix | (<uint64_t>number & HW_VALUE_MASK)
                hw_put_at_beat(self.place, self.name)
            else:
                self.take(found)
        self.pending = True
        return found

    cdef int take(self, found) except -1:
        """Write the item that was taken up: at the last count if there is a place, else now."""
        cdef uint64_t now
        if not _takes(self.slot):
            self.place = NULL
            return 0
        now = hw_now(&self.slot.handle) if self.place is NULL else hw_peek(&self.slot.handle.stripe.beat_ns)
        if self.open is NULL:
            self.open = hw_open_item(&self.slot.last, self.slot.handle.stripe, self.slot.handle.tag)
        if self.label is None:
            _take(self.slot, found, self.number, now)
        else:
            _take_labelled(self.slot, self.label, found, now)
        self.name = hw_peek(&self.slot.handle.stripe.name)
        self.bound = self.slot.bound
        if self.quick:
            self.place = &self.slot.handle.stripe.name
            self.prefix = hw_item_name(self.slot.handle.tag, HW_ITEM_NUMBER | HW_ITEM_AT_BEAT, 0)
        if self.step:  # `found` is of a range
            self.name = self.prefix | <uint64_t>found
        return 0

    cdef int wait(self) except -1:
        """Nothing is in hand until the next item comes."""
        if self.open is not NULL and _takes(self.slot):
            hw_drop_item(&self.slot.handle.stripe.name, self.slot.handle.tag)
            self.name = hw_peek(&self.slot.handle.stripe.name)
        return 0

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
        _put_back(self.slot, self.name, self.open)
        self.open = NULL
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
    """SizedTracker(slot, iterable, on_end=None, on_tick=None, tick_ns=100000000, label=None)\n--\n\nA Tracker with a length."""

    def __init__(self, Slot slot not None, iterable, on_end=None, on_tick=None, uint64_t tick_ns=100_000_000,
                 label=None):
        Tracker.__init__(self, slot, iterable, on_end, on_tick, tick_ns, label)
        self.sized = iterable

    def __len__(self):
        return len(self.sized)
