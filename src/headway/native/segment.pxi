# Consistent copies of tasks and of the whole board, and the class Segment, which has all parts of a segment.

cdef int _copy_board(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil:
    return hw_copy_board(<hw_copy *>arguments)


cdef int _glance(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil:
    hw_glance_at(board, <hw_glance *>arguments)
    return HW_OK


cdef struct Copied:
    hw_copy *copy
    uint32_t index
    uint64_t generation


cdef int _copy_task(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil:
    cdef Copied *copied = <Copied *>arguments
    return hw_copy_task(copied.copy, copied.index, copied.generation)


cdef class Segment(TaskTable):
    """Segment(fd, size, where)\n--\n\nOne process's hold on a board's segment.

    fd: the segment's descriptor, mapped and opened once more here, and left to the caller; size: of the file in bytes;
    where: the segment's name in /dev/shm, beginning with a slash.
    Raises CorruptBoard or LayoutMismatch, each with the remedy, and OSError.
    """

    # Versions of the last copy of the board: they differ between two copies if something changed in between.

    @property
    def content_version(self):
        """The version of everything in the last copy but its time: it changes whenever anything changed."""
        return self._content_version

    @property
    def states_version(self):
        """The version of the states in the last copy: it changes when a task came, went, or changed its state."""
        return self._states_version

    @property
    def results_version(self):
        """The version of the results in the last copy: it changes when a result changed."""
        return self._results_version

    @property
    def open_tasks(self):
        """How many tasks of the last copy had not ended."""
        return self._open_tasks

    def copy(self, bint results=True):
        """Copy every task and worker: (now_ns, tasks, stages, shares, workers, index, results, durations), as arrays.

        results=False: leave out the results. Sets content_version, states_version, results_version and open_tasks.
        Raises LockTimeout, MemoryError.
        """
        cdef hw_copy copy
        cdef int answer
        cdef bytearray tasks
        cdef size_t room = hw_live(self.board) + 16
        cdef uint64_t identity = 0  # borrowed once a copy needs one
        try:
            for _ in range(16):
                tasks = PyByteArray_FromStringAndSize(NULL, 0)
                hw_copy_begin(&copy, self.board)
                copy.bare = not results
                try:
                    # In two steps: without memory for a large one at once, CPython 3.11 also prints a SystemError.
                    PyByteArray_Resize(tasks, room * sizeof(hw_task_record))
                    hw_copy_lend(&copy, PyByteArray_AS_STRING(tasks), room * sizeof(hw_task_record))
                    copy.may_lock = identity != 0 or self.stays()
                    answer = _outside(self.board, _copy_board, &copy)
                    if copy.more:  # many tasks began meanwhile
                        room *= 2
                        continue
                    if copy.unread and not copy.may_lock and not self._closed:
                        identity = self.borrow()
                        continue
                    self._content_version, self._states_version = copy.content_version, copy.states_version
                    self._results_version = copy.results_version
                    self._open_tasks = copy.open
                    return _arrays(&copy, answer, tasks)
                finally:
                    hw_copy_end(&copy)
        finally:
            self.give_back(identity)
        raise _not_copied(self.name)

    def standing(self):
        """A number that changes when a task came, went, was lost, or had its status or its result written.

        Take it before what it stands for is read: a change in between then changes the next number.
        """
        cdef hw_glance glance
        _outside(self.board, _glance, &glance)
        return glance.standing

    def copy_task(self, uint32_t index, uint64_t generation):
        """Copy one task, as copy() does; None if the slot is no longer of that generation. Raises LockTimeout."""
        cdef hw_copy copy
        cdef bytearray task
        if index >= self.board.capacity:
            return None
        task = PyByteArray_FromStringAndSize(NULL, sizeof(hw_task_record))
        hw_copy_begin(&copy, self.board)
        try:
            hw_copy_lend(&copy, PyByteArray_AS_STRING(task), sizeof(hw_task_record))
            self.copy_into(&copy, index, generation)
            if not copy.tasks.bytes and not copy.failed:
                return None
            return _arrays(&copy, HW_SYSTEM if copy.failed else HW_OK, task)
        finally:
            hw_copy_end(&copy)

    def copy_found(self, id):
        """Copy the task of this id, as copy() does; None if there is none. Raises LockTimeout."""
        cdef hw_identity want
        cdef uint32_t index = 0
        cdef uint64_t generation = 0, hash
        _put_key(want.id, HW_ID_BYTES, id, "task id")
        hash = hw_hash(want.id, strlen(want.id))
        while hw_find(self.board, &want, hash, &index, &generation) == HW_OK:
            copied = self.copy_task(index, generation)
            if copied is not None:
                return copied  # otherwise it was started anew in between: search again
        return None

    def copy_slots(self, places):
        """Copy the tasks at these places, given as (slot, generation), as copy() does; those gone are left out."""
        cdef hw_copy copy
        cdef uint32_t index
        cdef uint64_t generation
        hw_copy_begin(&copy, self.board)
        try:
            for index, generation in places:
                if index < self.board.capacity:
                    self.copy_into(&copy, index, generation)
            return _arrays(&copy, HW_SYSTEM if copy.failed else HW_OK, bytearray())
        finally:
            hw_copy_end(&copy)

    cdef int copy_into(self, hw_copy *copy, uint32_t index, uint64_t generation) except -1:
        cdef Copied copied
        cdef uint64_t identity
        cdef int answer
        copied.copy, copied.index, copied.generation = copy, index, generation
        if not self._closed and not self._watching:
            self.become(False)
        copy.may_lock = self.stays()
        answer = _outside(self.board, _copy_task, &copied)
        if answer == HW_TIMEOUT and not copy.failed and not copy.may_lock and not self._closed:
            identity = self.borrow()
            copy.may_lock = True
            answer = _outside(self.board, _copy_task, &copied)
            self.give_back(identity)
        if answer == HW_TIMEOUT and not copy.failed:
            raise _slot_locked(self.name, hw_peek(&hw_control_of(hw_slot(self.board, index)).lock_pid))
        return 0


cdef tuple _arrays(hw_copy *copy, int answer, bytearray tasks):
    if answer != HW_OK:
        raise MemoryError("there is no memory for a copy of the board")
    PyByteArray_Resize(tasks, copy.tasks.bytes)  # a bytearray, because rates are written into it
    if not copy.tasks.lent and copy.tasks.bytes:
        memcpy(PyByteArray_AS_STRING(tasks), copy.tasks.data, copy.tasks.bytes)
    return (
        copy.now_ns,
        tasks,
        PyBytes_FromStringAndSize(copy.stages.data, copy.stages.bytes),
        PyBytes_FromStringAndSize(copy.shares.data, copy.shares.bytes),
        PyBytes_FromStringAndSize(copy.workers.data, copy.workers.bytes),
        PyBytes_FromStringAndSize(copy.index.data, copy.index.bytes),
        PyBytes_FromStringAndSize(copy.results.data, copy.results.bytes),
        PyBytes_FromStringAndSize(copy.durations.data, copy.durations.bytes),
    )
