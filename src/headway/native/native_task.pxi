# Handles for native code.

@cython.no_gc_clear  # as of Slot
cdef class NativeTask:
    """NativeTask(slot)\n--\n\nA task for C, Cython, numba and foreign-function interfaces.

    They call hw_add(hw_task *, n) of headway.h: compiled code includes headway.h and uses `address` or `capsule`; other
    code calls `function`. The object keeps the mapping alive, belongs to the process that made it, and may be used from
    any thread, also without the GIL. After the task's slot was given to another task, hw_add returns HW_STALE and
    counts nothing; after the board was closed in this process, it still counts.
    """

    def __cinit__(self, Slot slot not None):
        slot.add(0)  # takes a stripe
        if slot.handle.stripe is NULL:
            slot._read_result()  # raises what is wrong
            raise _not_countable(slot.id)
        self.task = slot.handle
        self.segment = slot.segment
        self._generation = slot.generation

    @property
    def address(self):
        """Address of the hw_task, as an int. It is valid as long as this object exists."""
        return <size_t>&self.task

    @property
    def generation(self):
        """The generation of the task's slot: slot and generation together identify the task for ever.

        Each hw_add compares 16 bits of it, so that a handle of a task that is gone counts nothing.
        """
        return self._generation

    @property
    def function(self):
        """Address of hw_add as a C function, as an int: `int (*)(hw_task *, int64_t)`, to be called without the GIL.

        With ctypes: CFUNCTYPE(c_int, c_void_p, c_int64)(native.function)(native.address, 1). Returns 0 when it counted.
        """
        return <size_t>&_add

    @property
    def item_function(self):
        """Address of hw_item as a C function, as an int: `int (*)(hw_task *, const char *)`; NULL: nothing is in hand."""
        return <size_t>&_item

    @property
    def number_function(self):
        """Address of hw_item_number as a C function, as an int: `int (*)(hw_task *, int64_t)`."""
        return <size_t>&_number

    @property
    def capsule(self):
        """A PyCapsule named "headway.hw_task" that keeps this handle alive."""
        capsule = PyCapsule_New(&self.task, b"headway.hw_task", _free_capsule)
        PyCapsule_SetContext(capsule, <void *>self)
        Py_INCREF(self)
        return capsule


cdef int _add(hw_task *task, int64_t n) noexcept nogil:
    return hw_add(task, n)


cdef int _item(hw_task *task, const char *text) noexcept nogil:
    return hw_item(task, text)


cdef int _number(hw_task *task, int64_t number) noexcept nogil:
    return hw_item_number(task, number)


cdef void _free_capsule(object capsule) noexcept:
    Py_DECREF(<object>PyCapsule_GetContext(capsule))
