# The identity of a process on a board.

cdef class Presence(MappedSegment):
    """Presence(fd, size, where)\n--\n\nThis process's identity on the board, and which processes are alive."""

    cdef int become(self, bint with_row) except -1:
        """Make sure that this process has an identity, and if `with_row` a row: each write comes by here."""
        if not self._closed and hw_me(self.board) and (self.board.row != 0xFFFFFFFFu or not with_row):
            self._borrowed = False
            return 0
        return self.come_alive(with_row, False)

    cdef int come_alive(self, bint with_row, bint borrowed) except -1:
        cdef int answer
        with_row = with_row and not self._watching
        if self._closed:
            raise _board_removed(self.name) if self.retired else _board_closed(self.name)
        if hw_me(self.board) and (self.board.row != 0xFFFFFFFFu or not with_row):
            if not borrowed:
                self._borrowed = False
            return 0
        cdef int64_t started_ns = hw_started_ns()
        cdef bytes name = _process_name()
        if self._closed or (borrowed and hw_me(self.board)):  # meanwhile, by another thread
            return self.come_alive(with_row, borrowed)
        answer = hw_register(self.board, with_row, started_ns, name)
        if answer == HW_SYSTEM:
            raise _no_identity(self.name, errno)
        if answer != HW_OK:
            raise _no_identities(self.name)
        self._borrowed = borrowed
        if with_row and _on_arrival is not None:
            _on_arrival()
        return 0

    cdef int borrow(self) except -1:
        """Have an identity for a copy, as only a registered process can take a slot lock.

        A process that only watches gives it back when no copy needs it: else the board would be in use for as long as
        it watches, and who leaves last would not remove it.
        """
        return self.come_alive(False, True) if self._watching else self.become(False)

    cdef int give_back(self) except -1:
        """The end of a copy. Of copies in several threads the last one gives the borrowed identity back."""
        if self._borrowed and not hw_inside(self.board):
            self._borrowed = False
            hw_leave(self.board)
        return 0

    def register(self, bint with_row=True):
        """Register this process on the board, with or without a row of the process table. Returns the incarnation."""
        self.become(with_row)
        return hw_me(self.board)

    @property
    def incarnation(self):
        """The number of this process on the board; 0: it is not registered yet."""
        return hw_me(self.board)

    def dead(self, uint64_t incarnation):
        """Has the process of this incarnation ended? If the kernel does not answer, it counts as alive."""
        return hw_dead(self.board, incarnation) != 0

    @property
    def watching(self):
        """Does this process only watch? Then it takes no row of the table of processes."""
        return bool(self._watching)

    @watching.setter
    def watching(self, bint value):
        self._watching = value

    @property
    def in_use(self):
        """Does any other process than this one and the recorder hold an identity on the board?"""
        return hw_board_in_use(self.board) != 0

    cdef bint quiet(self) except -1:
        """Wait up to a second until no thread of this process is in a call without the GIL. False if one still is."""
        cdef uint64_t give_up = hw_clock_ns(CLOCK_MONOTONIC) + SECOND
        while hw_inside(self.board):
            if hw_clock_ns(CLOCK_MONOTONIC) >= give_up:
                return False
            with nogil:
                hw_nap(1000000)
        return True

    def leave(self):
        """Give up this process's identity, stripes and row. The next use takes a new identity."""
        if self.quiet():  # otherwise the kernel releases it when the process ends
            hw_leave(self.board)

    @property
    def closed(self):
        """Did this process close the board?"""
        return bool(self._closed)

    def close(self):
        """Close the board. The mapping stays as long as handles exist: a late update counts nothing and is safe."""
        if not self._closed:
            self._closed = True  # no new call is made from here on
            if self.quiet():  # else __dealloc__ does
                hw_detach(self.board)

    def retire(self):
        """Tell every process attached that the board was removed."""
        hw_announce(self.board, HW_RETIRED_FOR_GOOD)

    def announce_retirement(self, bint meant=True):
        """Announce to joining processes that the board is about to be removed; meant=False: withdraw that."""
        hw_announce(self.board, HW_RETIRING if meant else 0)
