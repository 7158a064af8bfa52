# The tasks of a board: claim, find, list, free, restore.

cdef struct Claim:
    hw_identity identity
    hw_status first
    hw_found found
    uint32_t resumable
    bint anew
    hw_drop drop
    hw_given_up given_up
    int answer


cdef int _claim(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil:
    cdef Claim *claim = <Claim *>arguments
    cdef int locked = hw_lock(board, deadline_ns)
    if locked == HW_OK:
        claim.answer = hw_claim(board, &claim.identity, &claim.first, claim.resumable, claim.anew, claim.drop,
                                claim.given_up, &claim.found)
        hw_unlock(board)
    return locked


cdef struct Batch:
    uint32_t indexes[64]
    uint64_t generations[64]
    int size
    int freed


cdef int _free_batch(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil:
    cdef Batch *batch = <Batch *>arguments
    cdef int i, locked = hw_lock(board, deadline_ns)
    if locked == HW_OK:
        for i in range(batch.size):
            batch.freed += hw_free_archived(board, batch.indexes[i], batch.generations[i]) == HW_OK
        hw_unlock(board)
    return locked


cdef struct Freed:
    uint32_t index
    uint64_t generation
    uint64_t before_ns
    int answer


cdef int _free_idle(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil:
    cdef Freed *freed = <Freed *>arguments
    cdef int locked = hw_lock(board, deadline_ns)
    if locked == HW_OK:
        freed.answer = hw_free_idle(board, freed.index, freed.generation, freed.before_ns)
        hw_unlock(board)
    return locked


cdef int _walk(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil:
    hw_go_on(board, <hw_walk *>arguments)
    return HW_OK


cdef struct Archived:
    uint32_t index
    uint64_t generation
    uint64_t number
    uint64_t version
    int64_t count


cdef int _begin_archive(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil:
    cdef Archived *it = <Archived *>arguments
    # A millisecond: the others wait meanwhile for the history, in whose transaction this is.
    return hw_begin_archive(board, it.index, it.generation, it.number, hw_clock_ns(CLOCK_MONOTONIC) + 1_000_000)


cdef int _is_owed(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil:
    cdef Archived *it = <Archived *>arguments
    return hw_is_owed(board, NULL, it.index, it.generation, &it.number)


cdef int _mark_archived(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil:
    cdef Archived *it = <Archived *>arguments
    return hw_mark_archived(board, it.index, it.generation, it.number, it.version, it.count, deadline_ns)


cdef class TaskTable(Recorded):
    """TaskTable(fd, size, where)\n--\n\nThe tasks of a board: claim, find, list, free and restore them."""

    cdef int wait_for_lock(self, uint64_t give_up) except -1:
        """Serve signals between two time slices of waiting for the structural lock. Raises LockTimeout."""
        PyErr_CheckSignals()
        if hw_clock_ns(CLOCK_MONOTONIC) >= give_up:
            raise _board_locked(self.name, hw_peek(&self.board.header.lock_pid))
        return 0

    cdef int under_lock(self, Call call, void *arguments) except -1:
        """Repeat a call that takes the structural lock until it gets the lock. Raises LockTimeout."""
        cdef uint64_t give_up = _in_seconds(LOCK_SECONDS)
        while True:
            self.become(False)
            if _outside(self.board, call, arguments) == HW_OK:
                return 0
            self.wait_for_lock(give_up)

    cdef list walk(self, hw_sought sought, int limit=0, uint32_t part=0, uint32_t parts=0):
        """The tasks that are sought, as (slot, generation, owner). The GIL is let go for each stretch of slots: a large board takes some time."""
        cdef hw_walk *walk = <hw_walk *>calloc(1, sizeof(hw_walk))
        cdef hw_passed *task
        cdef uint32_t i
        if walk is NULL:
            raise MemoryError("there is no memory to look through the board's tasks")
        try:
            walk.sought, walk.part, walk.parts = sought, part, parts
            walk.oldest.most = min(limit, HW_OLDEST)
            found = []
            while walk.next < self.board.capacity:
                _outside(self.board, _walk, walk)
                for i in range(walk.n):
                    task = &walk.found[i]
                    found.append((task.index, task.generation, task.owner))
            for i in range(walk.oldest.n):
                task = &walk.oldest.tasks[i]
                found.append((task.index, task.generation, task.owner))
            return found
        finally:
            free(walk)

    def claim(self, id, label, unit, int parent_bytes=0, total=None, resumable=(),
              archive=None, bint anew=False, uint64_t stall_after_ns=0):
        """Claim a slot for a task and make this process its owner.

        resumable: the states in which an existing task is handed back instead of replaced; archive: called, with no
        lock held, when tasks that are not archived yet have to give up their slots: with (slot, generation) of one
        task, or with None for the oldest ones. It returns how many it archived, or None if it cannot; then, without it,
        and after ten seconds of it, tasks may be dropped, and are counted as dropped: if, once the lock is held, there
        is none that was archived; and the ended task of this id, if it was this one that it could not archive. anew:
        also replace a task that runs. stall_after_ns: see stall.h; 0 = none is given.
        Returns (slot, generation, None), or (slot, generation, (state, owner)) for a task to resume.
        Raises TaskExists, BoardFull, LockTimeout, BoardClosed; TypeError or ValueError for an id or a total.
        """
        cdef Claim claim
        cdef uint64_t now, give_up, lock_by, nap
        cdef hw_given_up owed
        cdef hw_board *board = self.board
        memset(&claim, 0, sizeof(claim))
        _put_key(claim.identity.id, HW_ID_BYTES, id, "task id")
        _put_text(claim.identity.label, HW_LABEL_BYTES, _str(label, "label"))
        _put_text(claim.identity.unit, HW_UNIT_BYTES, _str(unit, "unit"))
        claim.identity.parent_bytes = parent_bytes
        claim.identity.stall_after_ns = stall_after_ns
        claim.first.state = HW_PENDING
        claim.first.total = _total(total)
        claim.resumable = _state_bits(resumable)
        claim.anew = anew
        claim.drop = HW_DROP_FREELY if archive is None or not self.recorder_wanted else HW_DROP_NONE
        give_up = _in_seconds(2 * LOCK_SECONDS)
        lock_by = _in_seconds(LOCK_SECONDS)
        while True:
            self.become(True)
            if self.retired:
                raise _board_removed(self.name)
            claim.identity.created_ns = <int64_t>hw_clock_ns(CLOCK_REALTIME)
            claim.first.owner = hw_me(board)  # each time: a signal handler may have forked
            claim.first.owner_pid = hw_pid(board)
            if _outside(board, _claim, &claim) != HW_OK:
                self.wait_for_lock(lock_by)
                continue
            if claim.answer == HW_OK:
                return claim.found.slot, claim.found.generation, None
            if claim.answer == HW_ENDED:
                return claim.found.slot, claim.found.generation, (STATES[claim.found.state], claim.found.owner)
            if claim.answer == HW_EXISTS:
                raise _task_exists(id, self.name, claim.found.pid, claim.found.owner == hw_me(board),
                                   claim.found.owner_alive)
            if claim.answer == HW_UNARCHIVED:
                owed.slot, owed.generation = claim.found.slot, claim.found.generation
                archived = archive((owed.slot, owed.generation) if owed.generation else None)
                if archived == 0:  # other processes archive them just now
                    with nogil:
                        hw_nap(1_000_000)
                    PyErr_CheckSignals()
                if archived is None or hw_clock_ns(CLOCK_MONOTONIC) >= give_up:
                    if owed.generation:
                        claim.given_up = owed  # this one alone: to make room is another matter
                    else:
                        claim.drop = HW_DROP_LAST  # from now on: this happens once
                    # What was dropped rests first, and each of those who wait drops one.
                    give_up = max(give_up, hw_clock_ns(CLOCK_MONOTONIC) + SECOND, _in_seconds(LOCK_SECONDS))
                lock_by = _in_seconds(LOCK_SECONDS)  # archiving may have taken longer than that
                continue
            if claim.answer == HW_FULL:
                raise _board_full(self.name, self.board.capacity)
            now = hw_clock_ns(CLOCK_MONOTONIC)
            if now >= give_up:
                if claim.answer == HW_TIMEOUT and claim.found.pid:
                    if claim.found.generation:
                        raise _old_task_locked(id, self.name, claim.found.pid)
                    raise _slots_held(self.name, claim.found.pid)
                raise _slots_taken(self.name)
            lock_by = _in_seconds(LOCK_SECONDS)
            nap = min(claim.found.wait_ns, SLICE) if claim.answer == HW_RESTING else 1_000_000
            with nogil:
                hw_nap(nap)
            PyErr_CheckSignals()

    def find(self, id):
        """Return (slot, generation) of a task, or None. Raises TypeError or ValueError for an id that cannot be one."""
        cdef hw_identity want
        cdef uint32_t index = 0
        cdef uint64_t generation = 0
        _put_key(want.id, HW_ID_BYTES, id, "task id")
        if hw_find(self.board, &want, hw_hash(want.id, strlen(want.id)), &index, &generation) != HW_OK:
            return None
        return index, generation

    def owned(self):
        """Return (slot, generation) of the tasks that this process owns and that have not ended."""
        return [(index, generation) for index, generation, _ in self.walk(HW_OWNED)] if hw_me(self.board) else []

    def abandoned(self):
        """Return (slot, generation, owner) of the tasks that are lost but not yet written as lost."""
        return self.walk(HW_ABANDONED)

    def finished(self, int limit, uint32_t part=0, uint32_t parts=0):
        """Return (slot, generation) of up to 256 tasks that have ended and are not archived, the oldest first.

        part, parts: only those in the slots of one of so many parts of the board.
        """
        return [(index, generation) for index, generation, _ in self.walk(HW_FINISHED, limit, part, parts)]

    def archived(self, int limit):
        """Return (slot, generation) of up to 256 tasks that have ended and are archived, the oldest first."""
        return [(index, generation) for index, generation, _ in self.walk(HW_KEPT, limit)]

    @property
    def stock(self):
        """How many slots have no task."""
        return hw_stock(self.board)

    @property
    def claimed(self):
        """How many tasks have been claimed so far."""
        return hw_peek(&self.board.header.next_serial)

    def owed(self, places):
        """Those of these tasks, given as (slot, generation), that have ended and that the history does not have as they are.

        Returns a list of (slot, generation, number): the number for begin_archive of a copy that is taken after this call.
        """
        cdef Archived archived
        cdef uint32_t index
        cdef uint64_t generation
        found = []
        for index, generation in places:
            archived.index, archived.generation, archived.number = index, generation, 0
            if index < self.board.capacity and _outside(self.board, _is_owed, &archived) == HW_OK:
                found.append((index, generation, archived.number))
        return found

    def begin_archive(self, uint32_t index, uint64_t generation, uint64_t number):
        """Begin to archive the copy of a task that was taken after its number was read: within the history's transaction.

        Returns False if another copy was begun since, if the history has the task as it is, if the slot is no longer of
        that generation, or if another process holds its slot lock.
        """
        cdef Archived archived
        if index >= self.board.capacity:
            return False
        archived.index, archived.generation, archived.number = index, generation, number
        self.become(False)
        return _outside(self.board, _begin_archive, &archived) == HW_OK

    def mark_archived(self, uint32_t index, uint64_t generation, uint64_t number, uint64_t version, int64_t count):
        """Note that the history has the task as the copy of this number, which has this version and count.

        Returns False if it was written to since, if another copy was begun, or if another process holds its slot lock.
        """
        cdef Archived archived
        if index >= self.board.capacity:
            return False
        archived.index, archived.generation = index, generation
        archived.number, archived.version, archived.count = number, version, count
        self.become(False)
        return _outside(self.board, _mark_archived, &archived) == HW_OK

    def free_archived(self, places):
        """Free tasks, as (slot, generation), that have ended and are archived. Returns how many. Raises LockTimeout."""
        cdef Batch batch
        cdef uint32_t index
        cdef uint64_t generation
        batch.freed = 0
        self.become(False)
        for at in range(0, len(places), 64):  # a batch at a time: other processes want the lock, too
            batch.size = 0
            for index, generation in places[at:at + 64]:
                if index < self.board.capacity:
                    batch.indexes[batch.size], batch.generations[batch.size] = index, generation
                    batch.size += 1
            self.under_lock(_free_batch, &batch)
        return batch.freed

    def free(self, uint32_t index, uint64_t generation, uint64_t before_ns):
        """Remove a task unless it was written to since before_ns (CLOCK_MONOTONIC_COARSE).

        Returns whether it was removed. Raises LockTimeout.
        """
        cdef Freed freed
        if index >= self.board.capacity:
            return False
        freed.index, freed.generation, freed.before_ns, freed.answer = index, generation, before_ns, HW_STALE
        self.under_lock(_free_idle, &freed)
        return freed.answer == HW_OK

    def restore(self, numbers, tasks, stages, shares, index, results, durations, int64_t taken_ns):
        """Put tasks of a snapshot, given by their record numbers, into slots; open tasks become lost.

        No other process may be attached, and records.check must have passed the records. Returns how many found room.
        """
        cdef const unsigned char[::1] of_tasks = tasks, of_stages = stages, of_shares = shares
        cdef const unsigned char[::1] of_index = index, of_results = results, of_durations = durations or b""
        cdef hw_past past
        cdef hw_result_record place
        cdef bytes json
        cdef uint32_t slot = 0
        cdef size_t number, timed
        places = {}
        for at in range(0, of_index.shape[0], sizeof(place)):
            memcpy(&place, &of_index[at], sizeof(place))
            places[place.task] = place.offset, place.bytes
        for number in numbers:
            if slot >= self.board.capacity:
                break
            if (number + 1) * sizeof(hw_task_record) > <size_t>of_tasks.shape[0]:
                raise IndexError(f"task number {number} is not in the snapshot, which has "
                                 f"{<size_t>of_tasks.shape[0] // sizeof(hw_task_record)}")
            memset(&past, 0, sizeof(past))
            past.taken_ns = taken_ns
            memcpy(&past.task, &of_tasks[number * sizeof(hw_task_record)], sizeof(hw_task_record))
            past.stages = _of_task(of_stages, sizeof(hw_stage_record), number, &past.stage_count)
            past.shares = _of_task(of_shares, sizeof(hw_share_record), number, &past.share_count)
            past.untimed = durations is None
            past.durations = _of_task(of_durations, sizeof(hw_duration_record), number, &timed)
            begin, size = places.get(number, (0, 0))
            json = bytes(of_results[begin:begin + size]) + b"\0" * 8
            past.json = json
            past.json_bytes = size
            hw_restore(self.board, slot, &past)
            slot += 1
        return slot

    def resume_sequence(self, uint64_t sequence):
        """Set the number of the last snapshot file: the next one follows it."""
        hw_store(&self.board.header.sequence, sequence)


cdef const char *_of_task(const unsigned char[::1] records, size_t record_bytes, uint32_t task, size_t *count) noexcept:
    """The records of one task: they are contiguous, in the order of the tasks, and begin with the task's number."""
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
