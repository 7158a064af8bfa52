# The status of a task: its state and what it shows.

cdef inline void _begin(hw_change *change, uint32_t fields) noexcept:
    """A change of an open task in which only `fields` is set. (A whole one is 1 KB: too much to clear each time.)"""
    change.fields = fields
    change.allowed = HW_OPEN_STATES
    change.expected_owner = 0
    change.owner = 0
    change.metrics = 0


cdef int _put_metrics(hw_change *change, metrics) except -1:
    if not hasattr(metrics, "items"):
        raise _not_metrics(metrics)
    if len(metrics) > HW_METRICS:
        raise _many_metrics(metrics)
    for name, value in metrics.items():
        if change.metrics == HW_METRICS:
            raise _more_metrics_than_told(metrics)
        _put_key(change.metric_name[change.metrics], HW_METRIC_BYTES, name, "metric name")
        try:
            change.metric[change.metrics] = float(value)
        except (TypeError, ValueError, OverflowError):
            raise _not_a_metric(name, value) from None
        change.metrics += 1
    return 0


cdef struct Written:
    uint32_t index
    uint64_t generation
    hw_change *change


cdef int _write(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil:
    cdef Written *written = <Written *>arguments
    return hw_write(board, written.index, written.generation, written.change, deadline_ns)


cdef struct StatusRead:
    char *slot
    hw_status *status


cdef int _read_status(hw_board *board, void *arguments, uint64_t deadline_ns) noexcept nogil:
    cdef StatusRead *read = <StatusRead *>arguments
    return hw_read_status_locked(board, read.slot, read.status, deadline_ns)


@cython.no_gc_clear  # as of Place
cdef class Status(Counter):
    """Status()\n--\n\nThe status of a task: its state and what it shows. Each change is one transition."""

    cdef int write(self, hw_change *change) except -1:
        """Make one transition: 1, or 0 if the task's state does not allow it. Everything but `now_ns` was filled in.

        `_ready` has found the segment.
        """
        cdef int answer
        cdef Written written
        self.segment.become(True)
        now = hw_clock_ns(CLOCK_MONOTONIC_COARSE)
        if now >= self.look_ns:
            self.look_around(now)
        change.now_ns = <int64_t>hw_clock_ns(CLOCK_REALTIME)
        answer = hw_write(self.segment.board, self.index, self.generation, change, 0)
        if answer == HW_TIMEOUT:
            written.index, written.generation, written.change = self.index, self.generation, change
            answer = self.under_lock(_write, &written)
        if answer == HW_STALE:
            raise self._gone()
        if answer == HW_FULL:
            raise _metrics_full(self.id)
        return answer == HW_OK

    def _set(self, stage=None, message=None, total=..., metrics=None):
        """Change what an open task shows, in one transition. Returns False if the task has ended."""
        cdef hw_change change
        if not _ready(self):
            return self._alone()._set(stage, message, total, metrics)
        _begin(&change, 0)
        if total is not ...:
            change.fields |= HW_SET_TOTAL
            change.total = _total(total)
        if stage is not None:
            change.fields |= HW_SET_STAGE | HW_SET_RUNNING
            _put_text(change.stage, HW_STAGE_BYTES, _str(stage, "stage"))
        if message is not None:
            change.fields |= HW_SET_MESSAGE | HW_SET_RUNNING
            _put_text(change.message, HW_MESSAGE_BYTES, _str(message, "message"))
        if metrics:
            change.fields |= HW_SET_RUNNING
            _put_metrics(&change, metrics)
        return bool(self.write(&change))

    def _enter(self, stage):
        """Enter a stage as the owner, in one transition. Returns False, and changes nothing, if the task has ended, if
        the text is empty or would be cut, or if the board was closed or removed. Raises UnknownTask, LockTimeout.
        """
        cdef hw_change change
        cdef Py_ssize_t size
        cdef const char *data = PyUnicode_AsUTF8AndSize(stage, &size)
        if not _ready(self):
            return False
        if size == 0 or size >= HW_STAGE_BYTES or memchr(data, 0, size) is not NULL:
            return False
        if self.segment.closed or self.segment.retired:
            return False
        _begin(&change, HW_SET_STAGE | HW_SET_RUNNING | HW_SET_OWNER)
        memcpy(change.stage, data, size)
        memset(change.stage + size, 0, HW_STAGE_BYTES - size)
        return bool(self.write(&change))

    @property
    def stage(self):
        """The present stage; assigning enters the next stage of the task's timeline."""
        cdef hw_status status
        return _text(status.stage, HW_STAGE_BYTES) if self._read(&status) else self._alone().stage

    @stage.setter
    def stage(self, stage):
        cdef hw_change change
        if not _ready(self):
            self._alone().stage = stage
            return
        _begin(&change, HW_SET_STAGE | HW_SET_RUNNING)
        _put_text(change.stage, HW_STAGE_BYTES, _str(stage, "stage"))
        if not self.write(&change):
            self._tell_ended()

    @property
    def message(self):
        """A line of text for people."""
        cdef hw_status status
        return _text(status.message, HW_MESSAGE_BYTES) if self._read(&status) else self._alone().message

    @message.setter
    def message(self, message):
        cdef hw_change change
        if not _ready(self):
            self._alone().message = message
            return
        _begin(&change, HW_SET_MESSAGE | HW_SET_RUNNING)
        _put_text(change.message, HW_MESSAGE_BYTES, _str(message, "message"))
        if not self.write(&change):
            self._tell_ended()

    @property
    def total(self):
        """The number of items; None if it is unknown."""
        cdef hw_status status
        if not self._read(&status):
            return self._alone().total
        return None if status.total < 0 else status.total

    @total.setter
    def total(self, total):
        if not self._set(total=total):
            self._tell_ended()

    @property
    def _metrics(self):
        """The metrics of the task: a dict of floats by name."""
        cdef hw_status status
        cdef int i
        if not self._read(&status):
            return self._alone()._metrics
        found = {}
        for i in range(HW_METRICS):
            if status.metric_name[i][0]:
                found[_text(status.metric_name[i], HW_METRIC_BYTES)] = status.metric[i]
        return found

    @property
    def state(self):
        """pending, running, success, failed, cancelled, or lost: no live process owns it or counts on it (lost.h)."""
        cdef hw_status status
        cdef hw_board *board
        if not self._read(&status):
            return self._alone().state
        board = self.segment.board
        return STATES[hw_state_of(board, NULL, hw_slot(board, self.index), &status)]

    @property
    def parent(self):
        """Id of the task that this one is part of; None if there is none."""
        cdef hw_identity identity
        cdef char *slot
        if not _ready(self):
            return self._alone().parent
        slot = hw_slot(self.segment.board, self.index)
        hw_load_words(&identity, hw_identity_of(slot), sizeof(hw_identity))
        if hw_load(&hw_control_of(slot).generation) != self.generation:
            raise self._gone()
        if identity.parent_bytes == 0 or identity.parent_bytes >= HW_ID_BYTES:
            return None
        return _text(identity.id, identity.parent_bytes)

    @property
    def _run(self):
        """(count at which this run began, whether it continues an earlier one, owner's incarnation, owner's pid)."""
        cdef hw_status status
        if not self._read(&status):
            return self._alone()._run
        return status.base, status.resumed != 0, status.owner, status.owner_pid

    cdef bint _read(self, hw_status *status) except -1:
        """Copy the status of one moment. Returns what `_ready` does. Raises UnknownTask, LockTimeout, BoardClosed."""
        cdef char *slot
        cdef StatusRead read
        if not _ready(self):
            return False
        slot = hw_slot(self.segment.board, self.index)
        if hw_read_status(slot, status) != HW_OK:  # its writers never pause
            read.slot, read.status = slot, status
            self.read_under_lock(_read_status, &read)
        if hw_load(&hw_control_of(slot).generation) != self.generation:
            raise self._gone()
        return True

    def _transition(self, str state, allowed, error=None, message=None, stage=None, bint own=False, bint resume=False,
                    uint64_t expected_owner=0, uint64_t stall_after_ns=0):
        """Change the state, if it is one of `allowed` and the owner is `expected_owner` (0 = any).

        own: become the owner; resume: a new run begins, at the count of this moment; stall_after_ns: 0 = as before. Returns
        the state before, or None.
        """
        cdef hw_change change
        if not _ready(self):
            return self._alone()._transition(state, allowed, error, message, stage, own, resume)
        _begin(&change, HW_SET_STATE)
        change.state = _state_number(state)
        if hw_final(change.state) or change.state == HW_RUNNING:
            change.fields |= HW_SET_ENDED  # now, or 0 if the new state is open
        change.allowed = _state_bits(allowed)
        change.expected_owner = expected_owner
        if error is not None:
            change.fields |= HW_SET_ERROR
            _put_text(change.error, HW_ERROR_BYTES, error)
        if message is not None:
            change.fields |= HW_SET_MESSAGE
            _put_text(change.message, HW_MESSAGE_BYTES, message)
        if stage is not None:
            change.fields |= HW_SET_STAGE
            _put_text(change.stage, HW_STAGE_BYTES, stage)
        if own:
            change.fields |= HW_SET_OWNER
        if resume:
            change.fields |= HW_SET_RESUMED
        if stall_after_ns:
            change.fields |= HW_SET_STALL
            change.stall_after_ns = stall_after_ns
        return STATES[change.was] if self.write(&change) else None

    def _own(self):
        """Make this process the owner; a pending or lost task becomes running. Returns False if it has ended."""
        cdef hw_change change
        if not _ready(self):
            return self._alone()._own()
        _begin(&change, HW_SET_OWNER | HW_SET_RUNNING)
        return bool(self.write(&change))

    def _hand_to(self, uint64_t incarnation, uint64_t pid):
        """Make another process the owner. Returns False if the task has ended, or is not owned by this process."""
        cdef hw_change change
        if not _ready(self):
            return False
        self.segment.become(True)
        _begin(&change, HW_SET_OWNER)
        change.expected_owner = hw_me(self.segment.board)
        change.owner, change.owner_pid = incarnation, pid
        return bool(self.write(&change))

    def _carried_by_others(self):
        """Does a live process other than this one count on the task?"""
        return _ready(self) and hw_others(self.segment.board, hw_slot(self.segment.board, self.index)) != 0
