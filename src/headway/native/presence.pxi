# The identity of a process on a board.

cdef class Presence(MappedSegment):
    """Presence(fd, size, where)\n--\n\nThis process's identity on the board, and which processes are alive."""

    cdef int become(self, bint with_row) except -1:
        """Make sure that this process has an identity, and if `with_row` a row: each write comes by here."""
        if not self._closed and hw_me(self.board) and (self.board.row != 0xFFFFFFFFu or not with_row):
            self._borrowed = 0
            return 0
        return self.come_alive(with_row, False)

    cdef int come_alive(self, bint with_row, bint borrowed) except -1:
        cdef int answer
        with_row = with_row and not self._watching
        if self._closed:
            raise _board_removed(self.name) if self.retired else _board_closed(self.name)
        if hw_me(self.board) and (self.board.row != 0xFFFFFFFFu or not with_row):
            if not borrowed:
                self._borrowed = 0
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
        self._borrowed = hw_me(self.board) if borrowed else 0
        self._borrowers = 0  # of an identity before this one, or of the parent's: theirs is another number
        if with_row and _on_arrival is not None:
            _on_arrival()
        return 0

    # A process that only watches has an identity for no longer than a call that may take a slot lock, as only a
    # registered process can: else the board would be in use for as long as it watches, and who leaves last would not
    # remove it. All of this changes under the GIL, with no Python code in between:
    # - `_borrowers` counts the calls that need the identity `_borrowed`, each from before its native call until after
    #   it. The last one gives it back, whatever other threads do meanwhile that take no slot lock with it.
    # - Whoever else may take a slot lock has made the identity one that stays (`become`), and nobody gives it back.
    # - So no identity is given back while a call of this process may hold a slot lock with it.

    cdef bint stays(self) noexcept:
        """Has this process an identity that no call gives back?"""
        return hw_me(self.board) != 0 and self._borrowed == 0

    cdef uint64_t borrow(self) except 0:
        """Have an identity for one call that takes a slot lock. Returns what `give_back` has to be told.

        Who does more than watch becomes somebody to stay.
        """
        cdef uint64_t me
        if self._watching:
            self.come_alive(False, True)
        else:
            self.become(False)
        me = hw_me(self.board)
        if me == self._borrowed:
            self._borrowers += 1
        return me

    cdef int give_back(self, uint64_t identity) noexcept:
        """The end of the call. The last of its borrowers gives an identity back, unless it stays by now.

        In a child that a signal handler forked meanwhile, identity and borrowers are the parent's: it has other ones.
        """
        if identity == 0 or identity != self._borrowed:
            return 0
        self._borrowers -= 1
        if self._borrowers == 0:
            self._borrowed = 0
            if hw_me(self.board) == identity:
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
