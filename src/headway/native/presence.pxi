# Who a process is on a board.

cdef class Presence(MappedSegment):
    """Presence(fd, size, where)\n--\n\nWho this process is on the board, who is alive there, and how it leaves."""

    cdef int become(self, bint with_row) except -1:
        cdef int answer
        with_row = with_row and not self._watching
        if self._closed:
            raise errors.BoardClosed(f"board {self.name!r} was closed in this process: open it again with "
                                     f"headway.open({self.name!r})")
        if hw_me(self.board) and (self.board.row != 0xFFFFFFFFu or not with_row):
            return 0
        started, name = _process()
        cdef bytes text = name
        if self._closed:  # meanwhile, by another thread
            return self.become(with_row)
        answer = hw_register(self.board, with_row, started, text)
        if answer == HW_SYSTEM:
            raise OSError(errno, f"no identity on board {self.name!r}: {os.strerror(errno)}")
        if answer != HW_OK:
            raise errors.CorruptBoard(f"board {self.name!r} has run out of identities: its segment is damaged; "
                                      f"remove it with 'headway rm --force {self.name}'")
        if with_row and _on_arrival is not None:
            _on_arrival()
        return 0

    def register(self, bint with_row=True):
        """Become somebody on this board: a worker with a row, or a watcher without. Returns the incarnation."""
        self.become(with_row)
        return hw_me(self.board)

    @property
    def incarnation(self):
        """Who this process is on the board; 0 = nobody yet."""
        return hw_me(self.board)

    def dead(self, uint64_t incarnation):
        """Is the process of this incarnation gone? What cannot be told counts as alive."""
        return hw_dead(self.board, incarnation) != 0

    @property
    def watching(self):
        """Does this process look on only? Then it takes no row of the process table."""
        return bool(self._watching)

    @watching.setter
    def watching(self, bint value):
        self._watching = value

    @property
    def pulse(self):
        """A number of the last copy: another one than before if anything had changed."""
        return self._pulse

    @property
    def states(self):
        """A number of the last copy: another one than before if a task had come, gone, or changed its state."""
        return self._states

    @property
    def given(self):
        """A number of the last copy: another one than before if a result was another."""
        return self._given

    @property
    def open_tasks(self):
        """Tasks of the last copy that had not ended."""
        return self._open_tasks

    @property
    def in_use(self):
        """Does any other process than this one and the recorder hold an identity on the board?"""
        return hw_in_use(self.board) != 0

    cdef bint quiet(self) except -1:
        """Wait until no thread of this process is in a native call without the GIL. False if one stays there."""
        cdef uint64_t give_up = hw_clock_ns(CLOCK_MONOTONIC) + SECOND
        while hw_inside(self.board):
            if hw_clock_ns(CLOCK_MONOTONIC) >= give_up:
                return False
            with nogil:
                hw_nap(1000000)
        return True

    def leave(self):
        """Give up this process's identity in good order. The next use takes a new one."""
        if self.quiet():  # else it goes with the process
            hw_leave(self.board)

    @property
    def closed(self):
        """Did this process let go of the board?"""
        return bool(self._closed)

    def close(self):
        """Let go of the board. The mapping stays while handles exist: a late update counts nothing and is safe."""
        if not self._closed:
            self._closed = True  # from here on nobody goes in
            if self.quiet():  # else when the last handle goes
                hw_detach(self.board)

    def retire(self):
        """Tell everyone attached that the board was removed."""
        hw_announce(self.board, HW_RETIRED_FOR_GOOD)

    def announce_retirement(self, bint meant=True):
        """Have those who join look elsewhere for the board, before it is removed; meant=False: it stays after all."""
        hw_announce(self.board, HW_RETIRING if meant else 0)
