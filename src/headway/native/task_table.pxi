# The tasks of a board.

cdef class TaskTable(Recorded):
    """TaskTable(fd, size, where)\n--\n\nThe tasks of a board: claim, find, list, free and restore them."""

    def claim(self, str id not None, str label not None, str unit not None, int parent_bytes=0, total=None,
              resumable=(), archive=None, bint anew=False):
        """Claim a slot for a task and make this process its owner.

        resumable: the states in which an existing task is handed back instead of replaced; archive: called, with no
        lock held, when tasks have to go that the history does not hold yet: with (slot, generation) of one, or None for
        the oldest. Returns how many, or None if it could not; then, and without it, tasks are dropped, and counted;
        anew: replace a task that runs, too.
        Returns (slot, generation, None), or (slot, generation, (state, owner)) for a task to resume.
        Raises TaskExists, BoardFull, LockTimeout, ValueError for an id or unit that does not fit.
        """
        cdef hw_identity identity
        cdef hw_status first
        cdef hw_found found
        cdef uint32_t states = 0
        cdef int locked, answer = HW_OK
        cdef uint64_t now, give_up, lock_by, nap
        cdef hw_board *board = self.board
        cdef bint drop = archive is None or not self.recorder_wanted
        cdef int idle = 0
        memset(&identity, 0, sizeof(identity))
        memset(&first, 0, sizeof(first))
        memset(&found, 0, sizeof(found))
        _put_key(identity.id, HW_ID_BYTES, id, "task id")
        _put_text(identity.label, HW_LABEL_BYTES, label)
        _put_text(identity.unit, HW_UNIT_BYTES, unit)
        identity.parent_bytes = parent_bytes
        first.state = HW_PENDING
        first.total = _total(total)
        for state in resumable:
            states |= <uint32_t>1 << <int>_STATE_NUMBERS[state]
        now = hw_clock_ns(CLOCK_MONOTONIC)
        give_up = now + <uint64_t>(2 * LOCK_SECONDS * SECOND)
        lock_by = now + <uint64_t>(LOCK_SECONDS * SECOND)
        while True:
            self.become(True)
            if self.retired:
                raise errors.BoardClosed(f"board {self.name!r} was removed: open it anew with "
                                         f"headway.open({self.name!r})")
            identity.created_ns = <int64_t>hw_clock_ns(CLOCK_REALTIME)
            first.owner = hw_me(board)  # each time: a signal handler may have forked
            first.owner_pid = hw_pid(board)
            hw_go_in(board)
            with nogil:
                locked = hw_lock(board, hw_clock_ns(CLOCK_MONOTONIC) + SLICE)
                if locked == HW_OK:
                    answer = hw_claim(board, &identity, &first, states, anew, drop, &found)
                    hw_unlock(board)
            hw_come_out(board)
            if locked != HW_OK:
                self.wait_for_lock(lock_by)
                continue
            if answer == HW_OK:
                return found.slot, found.generation, None
            if answer == HW_ENDED:
                return found.slot, found.generation, (STATES[found.state], found.owner)
            if answer == HW_EXISTS:
                if found.owner == hw_me(board):
                    raise errors.TaskExists(f"task {id!r} is running on board {self.name!r}, owned by this process: "
                                            f"cancel() it, choose another id, or join it with "
                                            f"board.task({id!r}, join=True)")
                who = "its owner" if found.owner_alive else "its owner is dead, but a worker on it"
                raise errors.TaskExists(
                    f"task {id!r} is running on board {self.name!r}: {who} (pid {found.pid}) is alive; wait for it, "
                    f"choose another id, or join it with board.task({id!r}, join=True)")
            if answer == HW_UNARCHIVED:
                archived = archive((found.slot, found.generation) if found.generation else None)
                if archived == 0:
                    idle += 1  # others did it meanwhile; or there is nothing, and every slot is live
                drop = archived is None or idle > 3 or hw_clock_ns(CLOCK_MONOTONIC) >= give_up
                continue
            if answer == HW_FULL:
                raise errors.BoardFull(
                    f"board {self.name!r} has {self.board.capacity} slots and all hold tasks that have not ended: end "
                    f"some, or remove the board and open it with a larger capacity")
            now = hw_clock_ns(CLOCK_MONOTONIC)
            if now >= give_up and answer == HW_TIMEOUT and found.pid:
                raise errors.LockTimeout(f"task {id!r} of board {self.name!r} cannot be started anew: the old one is "
                                         f"being written by pid {found.pid}, which is alive but has not moved for "
                                         f"{2 * LOCK_SECONDS:g} s: resume or end it (kill -CONT, kill)")
            if now >= give_up:
                raise errors.LockTimeout(f"no slot of board {self.name!r} could be claimed in "
                                         f"{2 * LOCK_SECONDS:g} s: other processes take every slot as it falls free")
            lock_by = now + <uint64_t>(LOCK_SECONDS * SECOND)
            nap = min(found.wait_ns, SLICE) if answer == HW_RESTING else 1000000
            with nogil:
                hw_nap(nap)
            PyErr_CheckSignals()

    cdef int wait_for_lock(self, uint64_t give_up) except -1:
        """Between two slices without the structural lock: signals are served. Raises LockTimeout."""
        PyErr_CheckSignals()
        if hw_clock_ns(CLOCK_MONOTONIC) >= give_up:
            raise errors.LockTimeout(
                f"board {self.name!r} is locked by pid {hw_peek(&self.board.header.lock_pid)}, which is alive but "
                f"has not moved for {LOCK_SECONDS:g} s: resume or end it (kill -CONT, kill)")
        return 0

    def find(self, str id not None):
        """Return (slot, generation) of a task, or None."""
        cdef hw_identity want
        cdef uint32_t index = 0
        cdef uint64_t generation = 0
        _put_key(want.id, HW_ID_BYTES, id, "task id")
        if hw_find(self.board, &want, hw_hash(want.id, strlen(want.id)), &index, &generation) != HW_OK:
            return None
        return index, generation

    def owned(self):
        """Return (slot, generation) of the tasks that this process owns and that have not ended."""
        cdef uint32_t i
        cdef hw_status status
        cdef char *slot
        cdef uint64_t generation, me = hw_me(self.board)
        found = []
        if me == 0:
            return found
        for i in range(self.board.capacity):
            slot = hw_slot(self.board, i)
            generation = hw_load(&hw_control_of(slot).generation)
            if generation & 1 and hw_read_status(slot, &status) == HW_OK:
                if status.owner == me and not hw_final(status.state):
                    found.append((i, generation))
        return found

    def abandoned(self):
        """Return (slot, generation, owner) of open tasks whose owner and workers are all dead."""
        cdef uint32_t i
        cdef hw_status status
        cdef char *slot
        cdef uint64_t generation
        found = []
        for i in range(self.board.capacity):
            slot = hw_slot(self.board, i)
            generation = hw_load(&hw_control_of(slot).generation)
            if generation & 1 and hw_read_status(slot, &status) == HW_OK:
                if not hw_final(status.state) and not hw_carried(self.board, slot, &status):
                    found.append((i, generation, status.owner))
        return found

    def finished(self, int limit):
        """Return (slot, generation) of the tasks that have ended and are not archived, the oldest first."""
        cdef uint32_t i
        cdef hw_status status
        cdef hw_control *control
        cdef uint64_t generation
        found = []
        for i in range(self.board.capacity):
            control = hw_control_of(hw_slot(self.board, i))
            generation = hw_load(&control.generation)
            if generation & 1 and not hw_is_archived(<char *>control):
                if hw_read_status(<char *>control, &status) == HW_OK and hw_final(status.state):
                    found.append((status.ended_ns, i, generation))
        found.sort()
        return [(index, number) for _, index, number in found[:limit]]

    def mark_archived(self, uint32_t index, uint64_t generation, uint64_t version, uint64_t copied_ns):
        """Say that the history holds the task as it was copied, at this time (CLOCK_MONOTONIC_COARSE) or later.

        Returns False if it has changed since.
        """
        cdef int answer
        if index >= self.board.capacity:
            return False
        self.become(False)
        hw_go_in(self.board)
        with nogil:
            answer = hw_mark_archived(self.board, index, generation, version, copied_ns,
                                      hw_clock_ns(CLOCK_MONOTONIC) + SLICE)
        hw_come_out(self.board)
        return answer == HW_OK

    def free_archived(self, places):
        """Free tasks, given as (slot, generation), that have ended and are archived. Returns how many."""
        cdef int freed = 0, locked, number, i
        cdef uint32_t index
        cdef uint64_t generation, give_up
        cdef uint32_t indexes[64]
        cdef uint64_t generations[64]
        self.become(False)
        for at in range(0, len(places), 64):  # a few at a time: others want the lock too
            number = 0
            for index, generation in places[at:at + 64]:
                if index < self.board.capacity:
                    indexes[number], generations[number] = index, generation
                    number += 1
            give_up = hw_clock_ns(CLOCK_MONOTONIC) + <uint64_t>(LOCK_SECONDS * SECOND)
            while True:
                hw_go_in(self.board)
                with nogil:
                    locked = hw_lock(self.board, hw_clock_ns(CLOCK_MONOTONIC) + SLICE)
                    if locked == HW_OK:
                        for i in range(number):
                            freed += hw_free_archived(self.board, indexes[i], generations[i]) == HW_OK
                        hw_unlock(self.board)
                hw_come_out(self.board)
                if locked == HW_OK:
                    break
                self.wait_for_lock(give_up)
        return freed

    def free(self, uint32_t index, uint64_t generation, uint64_t before_ns):
        """Take a task off the board, if it was not written to since before_ns (CLOCK_MONOTONIC_COARSE): True if so.

        Raises LockTimeout.
        """
        cdef int locked, answer = HW_STALE
        cdef uint64_t give_up = hw_clock_ns(CLOCK_MONOTONIC) + <uint64_t>(LOCK_SECONDS * SECOND)
        if index >= self.board.capacity:
            return False
        while True:
            self.become(False)
            hw_go_in(self.board)
            with nogil:
                locked = hw_lock(self.board, hw_clock_ns(CLOCK_MONOTONIC) + SLICE)
                if locked == HW_OK:
                    answer = hw_free_idle(self.board, index, generation, before_ns)
                    hw_unlock(self.board)
            hw_come_out(self.board)
            if locked == HW_OK:
                return answer == HW_OK
            self.wait_for_lock(give_up)

    def restore(self, numbers, tasks, stages, shares, index, results, int64_t taken_ns):
        """Put tasks of a snapshot, by their numbers there, into slots; open ones are lost. Nobody else may be attached.

        The records must have passed _records.check. Returns how many found room.
        """
        cdef const unsigned char[::1] of_tasks = tasks, of_stages = stages, of_shares = shares
        cdef const unsigned char[::1] of_index = index, of_results = results
        cdef hw_past past
        cdef hw_result_record place
        cdef bytes json
        cdef uint32_t slot = 0
        cdef size_t number
        places = {}
        for at in range(0, of_index.shape[0], sizeof(place)):
            memcpy(&place, &of_index[at], sizeof(place))
            places[place.task] = place.offset, place.bytes
        for number in numbers:
            if slot >= self.board.capacity:
                break
            if (number + 1) * sizeof(hw_task_record) > <size_t>of_tasks.shape[0]:
                raise IndexError(f"there is no task number {number}")
            memset(&past, 0, sizeof(past))
            past.taken_ns = taken_ns
            memcpy(&past.task, &of_tasks[number * sizeof(hw_task_record)], sizeof(hw_task_record))
            past.stages = _of_task(of_stages, sizeof(hw_stage_record), number, &past.stage_count)
            past.shares = _of_task(of_shares, sizeof(hw_share_record), number, &past.share_count)
            begin, size = places.get(number, (0, 0))
            json = bytes(of_results[begin:begin + size]) + b"\0" * 8
            past.json = json
            past.json_bytes = size
            hw_restore(self.board, slot, &past)
            slot += 1
        return slot

    def resume_sequence(self, uint64_t sequence):
        """Go on numbering snapshot files after this one."""
        hw_store(&self.board.header.sequence, sequence)


cdef const char *_of_task(const unsigned char[::1] records, size_t record_bytes, uint32_t task, size_t *count) noexcept:
    """The records of one task: they stand together, in the order of the tasks, and begin with the task's number."""
    cdef size_t low = 0, total = records.shape[0] // record_bytes, high = total, middle
    cdef uint32_t number
    count[0] = 0
    while low < high:
        middle = (low + high) // 2
        memcpy(&number, &records[middle * record_bytes], sizeof(number))
        if number < task:
            low = middle + 1
        else:
            high = middle
    for middle in range(low, total):
        memcpy(&number, &records[middle * record_bytes], sizeof(number))
        if number != task:
            break
        count[0] += 1
    return <const char *>&records[low * record_bytes] if count[0] else NULL
