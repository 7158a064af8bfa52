# Copies of a board, and the class that has all of it.

cdef class Segment(TaskTable):
    """Segment(fd, size, where)\n--\n\nOne process's hold on a board's segment.

    fd: the segment's descriptor, mapped and opened once more here, and left to the caller; size: of the file in bytes;
    where: the segment's name in /dev/shm, beginning with a slash.
    Raises CorruptBoard or LayoutMismatch, each with the remedy, and OSError.
    """

    def copy(self, bint results=True):
        """Copy every task and worker: (now_ns, tasks, stages, shares, workers, index, results), arrays of records.

        `pulse`, `states` and `given` tell afterwards, by being others than before, that anything, a state, or a result
        has changed; `open_tasks`, how many have not ended. results=False: leave out the results.
        """
        cdef hw_copy copy
        cdef int answer
        cdef bytearray tasks
        cdef size_t room = hw_live(self.board) + 16
        for _ in range(16):
            tasks = PyByteArray_FromStringAndSize(NULL, 0)
            hw_copy_begin(&copy, self.board)
            copy.bare = not results
            try:
                # In two steps: without memory for one that is made large, CPython 3.11 prints a SystemError, too.
                PyByteArray_Resize(tasks, room * sizeof(hw_task_record))
                hw_copy_lend(&copy, PyByteArray_AS_STRING(tasks), room * sizeof(hw_task_record))
                hw_go_in(self.board)
                with nogil:
                    answer = hw_copy_board(&copy)
                hw_come_out(self.board)
                if copy.more:  # many tasks began meanwhile
                    room *= 2
                    continue
                if copy.unread and not self._closed and not hw_me(self.board):
                    self.become(False)  # the slot lock can be taken by somebody only
                    continue
                self._pulse, self._states, self._given = copy.pulse, copy.states, copy.given
                self._open_tasks = copy.open
                return _raw(&copy, answer, tasks)
            finally:
                hw_copy_end(&copy)
        raise errors.LockTimeout(f"board {self.name!r} could not be copied: tasks begin faster than they are read")

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
            return _raw(&copy, HW_SYSTEM if copy.failed else HW_OK, task) if copy.tasks.bytes or copy.failed else None
        finally:
            hw_copy_end(&copy)

    def copy_found(self, str id not None):
        """Copy the task of this id, as copy() does; None if there is none. Raises LockTimeout."""
        cdef hw_identity want
        cdef uint32_t index = 0
        cdef uint64_t generation = 0, hash
        _put_key(want.id, HW_ID_BYTES, id, "task id")
        hash = hw_hash(want.id, strlen(want.id))
        while hw_find(self.board, &want, hash, &index, &generation) == HW_OK:
            copied = self.copy_task(index, generation)
            if copied is not None:
                return copied  # else it was started anew between the two
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
            return _raw(&copy, HW_SYSTEM if copy.failed else HW_OK, bytearray())
        finally:
            hw_copy_end(&copy)

    cdef int copy_into(self, hw_copy *copy, uint32_t index, uint64_t generation) except -1:
        cdef int answer
        if not self._closed and not hw_me(self.board):
            self.become(False)  # the slot lock, should it be needed, can be taken by somebody only
        hw_go_in(self.board)
        with nogil:
            answer = hw_copy_task(copy, index, generation)
        hw_come_out(self.board)
        if answer == HW_TIMEOUT and not copy.failed:
            pid = hw_peek(&hw_control_of(hw_slot(self.board, index)).lock_pid)
            raise errors.LockTimeout(f"a task of board {self.name!r} could not be copied: the process that "
                                     f"holds its slot (pid {pid}) has stopped")
        return 0


cdef tuple _raw(hw_copy *copy, int answer, bytearray tasks):
    if answer != HW_OK:
        raise MemoryError("no memory for a copy of the board")
    PyByteArray_Resize(tasks, copy.tasks.bytes)  # a bytearray: rates are written into it
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
    )
