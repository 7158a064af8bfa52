"""Segments and slots of a board, over shared memory. No policy: what a task's life means stands in task.py.

Every native call that may wait runs without the GIL in slices, so that Ctrl-C and other threads get their turn. It stands
between hw_go_in and hw_come_out, for which whoever leaves or closes the board waits. A lock is taken and let go within
one such call: who has one waits neither for the GIL nor for Python.
"""
cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals, PyErr_Clear, PyErr_ExceptionMatches, PyErr_Occurred
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_New, PyCapsule_SetContext
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EIO, ENOENT, errno
from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memcpy, memset, strlen
from posix.fcntl cimport O_CLOEXEC, O_RDWR, open
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.unistd cimport close

import operator
import os
import warnings

from headway import errors

cdef extern from "Python.h":
    """
    /* The next item, or NULL: at the end, or because of an exception. PyIter_Next would look which of the two it was. */
    static inline PyObject *hw_next_item(PyObject *iterator) { return Py_TYPE(iterator)->tp_iternext(iterator); }

    /* Go on with the exception that is set. */
    static inline int hw_raised(void) { return -1; }
    """
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    PyObject *hw_next_item(object iterator)
    int hw_raised() except -1

STATES = ("pending", "running", "success", "failed", "cancelled", "lost")
FINAL_STATES = frozenset(STATES[2:])
ID_BYTES = HW_ID_BYTES - 1
LAYOUT_VERSION = HW_LAYOUT_VERSION
CAPACITY_MAX = HW_CAPACITY_MAX
WORKERS_MAX = HW_WORKERS_MAX
RESULT_BYTES_MAX = HW_RESULT_BYTES_MAX
LOCK_BASE = HW_LOCK_BASE
RECORDER_OFFSET = HW_RECORDER_OFFSET
LOCK_SECONDS = 5.0
SILENT_SECONDS = 2.0  # a recorder beats several times a second
START_SECONDS = 5.0  # whoever starts a recorder has so long to bring it to life

cdef dict _STATE_NUMBERS = {name: number for number, name in enumerate(STATES)}
cdef uint64_t SECOND = 1_000_000_000
cdef uint64_t SLICE = 50_000_000
cdef uint64_t BIND_WAIT = 1_000_000
cdef uint64_t _nobody = 0  # the identity that an unbound handle compares itself with
cdef bint _warned_stale = False
cdef bint _warned_retired = False

hw_use_kernel_clock()


# ---------------------------------------------------------------------------------------------------------- texts

cdef int _put_text(char *to, Py_ssize_t room, str text) except -1:
    """Copy a text for people: without NUL, cut at a character boundary with an ellipsis."""
    cdef Py_ssize_t size
    cdef const char *data
    cdef bytes whole
    try:
        data = PyUnicode_AsUTF8AndSize(text, &size)
    except UnicodeEncodeError:
        whole = text.encode("utf-8", "replace")
        data, size = whole, len(whole)
    if size >= room:
        size = room - 1 - 3
        while size > 0 and (data[size] & 0xC0) == 0x80:
            size -= 1
        memcpy(to, data, size)
        memcpy(to + size, b"\xe2\x80\xa6", 3)
        size += 3
    else:
        memcpy(to, data, size)
    cdef Py_ssize_t i
    for i in range(size):
        if to[i] == 0:
            to[i] = b" "
    memset(to + size, 0, room - size)
    return 0


cdef int _put_key(char *to, Py_ssize_t room, str text, str what) except -1:
    """Copy a text that is a key: never cut, refused when it does not fit."""
    cdef Py_ssize_t size
    cdef const char *data
    if not isinstance(text, str):
        raise TypeError(f"{what} must be a str, not {type(text).__name__}")
    try:
        data = PyUnicode_AsUTF8AndSize(text, &size)
    except UnicodeEncodeError:
        raise ValueError(f"{what} {text!r} is not valid Unicode: give it without lone surrogates") from None
    if size == 0:
        raise ValueError(f"{what} is empty: give it 1 to {room - 1} bytes of UTF-8")
    if memchr(data, 0, size) is not NULL:
        raise ValueError(f"{what} {text!r} contains a NUL character: leave it out")
    if size >= room:
        raise ValueError(f"{what} {text!r} has {size} bytes of UTF-8: shorten it to {room - 1}")
    memcpy(to, data, size)
    memset(to + size, 0, room - size)
    return 0


cdef str _text(const char *data, size_t room):
    cdef size_t size = 0
    while size < room and data[size]:
        size += 1
    return data[:size].decode("utf-8", "replace")


def check_id(str id not None):
    """Raise ValueError unless `id` is 1 to 95 bytes of UTF-8 without NUL."""
    cdef char room[HW_ID_BYTES]
    _put_key(room, sizeof(room), id, "task id")


# ------------------------------------------------------------------------------------------------------- segments

def segment_bytes(uint32_t capacity, uint32_t workers, uint32_t result_bytes):
    """Return the size in bytes of a segment for so many slots, rows of processes, and bytes of result a slot."""
    cdef hw_header header
    hw_geometry(&header, capacity, workers, result_bytes)
    return header.total_bytes


def format_segment(int fd, *, uint32_t capacity, uint32_t workers, uint32_t result_bytes, bytes uuid not None,
                   bytes boot_id not None, uint64_t pid_namespace, uint64_t time_namespace, int64_t created_ns,
                   bytes name not None, bytes directory not None):
    """Write the header into a segment file that is all zero and has its full size already.

    uuid and boot_id have 16 bytes. Raises ValueError for texts too long, OSError if the file cannot be mapped.
    """
    cdef hw_header *header
    if len(uuid) != 16 or len(boot_id) != 16:
        raise ValueError("uuid and boot_id have 16 bytes each")
    if len(name) >= HW_NAME_BYTES or len(directory) >= HW_DIRECTORY_BYTES:
        raise ValueError(f"the board's directory has {len(directory)} bytes: choose one shorter than "
                         f"{HW_DIRECTORY_BYTES} (HEADWAY_DIR)")
    cdef void *base = mmap(NULL, sizeof(hw_header), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
    if base == MAP_FAILED:
        raise OSError(errno, os.strerror(errno))
    header = <hw_header *>base
    hw_geometry(header, capacity, workers, result_bytes)
    header.byte_order = HW_BYTE_ORDER
    header.layout_version = HW_LAYOUT_VERSION
    memcpy(header.uuid, <const char *>uuid, 16)
    memcpy(header.boot_id, <const char *>boot_id, 16)
    header.pid_namespace = pid_namespace
    header.time_namespace = time_namespace
    header.created_ns = created_ns
    memcpy(header.name, <const char *>name, len(name))
    memcpy(header.directory, <const char *>directory, len(directory))
    header.next_incarnation = 1
    header.magic = HW_MAGIC
    header.checksum = hw_checksum(header)
    munmap(base, sizeof(hw_header))


cdef class Segment:
    """Segment(fd, size, where)\n--\n\nOne process's hold on a board's segment.

    fd: the segment's descriptor, mapped and opened once more here, and left to the caller; size: of the file in bytes;
    where: the segment's name in /dev/shm, beginning with a slash.
    Raises CorruptBoard or LayoutMismatch, each with the remedy, and OSError.
    """

    def __cinit__(self, int fd, uint64_t size, str where not None):
        cdef int layout = 0, lock_fd
        cdef const char *wrong
        if size < sizeof(hw_header):
            raise errors.CorruptBoard(f"segment {where} has {size} bytes, less than a header: it is not a board, or "
                                      f"was truncated; remove it with 'headway rm --force'")
        self.base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
        if self.base == MAP_FAILED:
            self.base = NULL
            raise OSError(errno, os.strerror(errno), where)
        self.bytes_mapped = size
        hw_load_words(&self.said, self.base, sizeof(hw_header))  # once: what was checked is what is used
        wrong = hw_validate(&self.said, size, &layout)
        if wrong is not NULL:
            reason = wrong.decode()
            if layout:
                raise errors.LayoutMismatch(f"segment {where} cannot be used: {reason} (its layout is number "
                                            f"{self.said.layout_version}, this version's {HW_LAYOUT_VERSION}); use "
                                            f"their version of Headway, or end the programs that use it, then remove "
                                            f"it with 'headway gc', which leaves its snapshot and its history")
            raise errors.CorruptBoard(f"segment {where} is damaged: {reason}; remove it with 'headway rm --force'")
        # A second description of the same file, which is never mapped: identities are locks on it. Opened here, so that
        # Ctrl-C cannot come between the opening and the board that closes it.
        again, path = b"/proc/self/fd/%d" % fd, b"/dev/shm" + where.encode()
        lock_fd = open(again, O_RDWR | O_CLOEXEC)
        if lock_fd < 0:
            if errno == ENOENT:  # not FileNotFoundError, which says that there is no segment
                raise OSError(EIO, "the segment cannot be opened once more: is /proc mounted?", again)
            raise OSError(errno, os.strerror(errno), again)
        self.board = hw_attach(self.base, &self.said, lock_fd, path)
        if self.board is NULL:
            reason = errno
            close(lock_fd)
            raise OSError(reason, os.strerror(reason), where)

    def use_semaphore(self, str name not None):
        """Be woken by this semaphore while waiting for the structural lock. Without one it is waited for by naps."""
        cdef bytes encoded = name.encode(), path = b"/dev/shm/sem." + encoded[1:]
        if not self._closed:
            hw_use_semaphore(self.board, encoded, path)

    def __dealloc__(self):
        if self.board is not NULL:
            hw_discard(self.board)
        if self.base is not NULL:
            munmap(self.base, self.bytes_mapped)

    # What the header says -----------------------------------------------------------------------------------

    @property
    def name(self):
        """Name of the board."""
        return _text(self.said.name, HW_NAME_BYTES)

    @property
    def uuid(self):
        """What tells this segment from any other, 32 hexadecimal digits."""
        return self.said.uuid[:16].hex()

    @property
    def directory(self):
        """Where the files of the board are."""
        return os.fsdecode(<bytes>self.said.directory)

    @property
    def capacity(self):
        """Slots of the board."""
        return self.board.capacity

    @property
    def workers(self):
        """Rows of the process table."""
        return self.said.workers

    @property
    def result_bytes(self):
        """The longest result, in bytes of JSON."""
        return self.board.result_bytes

    @property
    def size(self):
        """Size of the segment in bytes."""
        return self.bytes_mapped

    @property
    def created_ns(self):
        """When the segment was made, in nanoseconds since 1970."""
        return self.said.created_ns

    @property
    def boot_id(self):
        """The boot of the machine in which it was made, 32 hexadecimal digits."""
        return self.said.boot_id[:16].hex()

    @property
    def pid_namespace(self):
        """Inode of the creator's pid namespace."""
        return self.said.pid_namespace

    @property
    def time_namespace(self):
        """Inode of the creator's time namespace."""
        return self.said.time_namespace

    @property
    def retired(self):
        """Was the board unlinked?"""
        return hw_load(&(<hw_header *>self.base).retired) == HW_RETIRED_FOR_GOOD

    @property
    def retiring(self):
        """Was the board unlinked, or is somebody about to? To be asked after `register`: see hw_announce."""
        return hw_retiring(self.board) != 0

    @property
    def dropped(self):
        """Finished tasks that gave up their slot because room was needed."""
        return hw_load(&(<hw_header *>self.base).dropped)

    @property
    def repairs(self):
        """Times the structural lock was taken over from a dead holder."""
        return hw_load(&(<hw_header *>self.base).repairs)

    # Identity -----------------------------------------------------------------------------------------------

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
        """Tell everyone attached that the board was unlinked."""
        hw_announce(self.board, HW_RETIRED_FOR_GOOD)

    def announce_retirement(self, bint meant=True):
        """Have those who join look elsewhere for the board, before it is unlinked; meant=False: it stays after all."""
        hw_announce(self.board, HW_RETIRING if meant else 0)

    # Recorder -----------------------------------------------------------------------------------------------

    @property
    def recorder(self):
        """Incarnation of the process that was elected the board's recorder; 0 = none."""
        return hw_load(&self.board.header.recorder)

    @property
    def recorder_pid(self):
        """Its pid, for people."""
        return hw_peek(&self.board.header.recorder_pid)

    @property
    def recorder_alive(self):
        """Is there a recorder, and is its process alive?"""
        recorder = self.recorder
        return recorder != 0 and not hw_dead(self.board, recorder)

    @property
    def recorder_silence(self):
        """Seconds since the recorder's last sign of life; None if there never was one."""
        cdef uint64_t beat = hw_peek(&self.board.header.recorder_beat_ns), now = hw_clock_ns(CLOCK_MONOTONIC)
        if beat == 0:
            return None
        return (now - beat) / 1e9 if now > beat else 0.0

    @property
    def recorder_wanted(self):
        """Has somebody opened the board with a recorder?"""
        return hw_peek(&self.board.header.recorder_wanted) != 0

    @property
    def recorder_errors(self):
        """(How often a snapshot or an archive step failed, errno of the last attempt; 0 = it succeeded)."""
        cdef uint64_t number = hw_peek(&self.board.header.recorder_errno)
        return hw_peek(&self.board.header.recorder_errors), number if number < 4096 else EIO  # what no error is, is damage

    def want_recorder(self, bint wanted=True):
        """Say that the board is to be recorded: whoever finds no recorder alive starts one."""
        hw_store(&self.board.header.recorder_wanted, wanted)

    def elect(self):
        """Become the recorder, unless a live process is. Returns whether we are."""
        cdef hw_header *header = self.board.header
        cdef uint64_t seen
        self.become(False)
        seen = hw_load(&header.recorder)
        if seen == hw_me(self.board):
            return True
        # As for the structural lock: incarnations never recur, so a dead one that was seen cannot come alive.
        if (seen and not hw_dead(self.board, seen)) or not hw_cas(&header.recorder, seen, hw_me(self.board)):
            return False
        hw_store(&header.recorder_pid, hw_pid(self.board))
        self.beat()
        hw_store(&header.recorder_deadline_ns, 0)  # should we die at once, another may start one
        return True

    def resign(self):
        """Give up being the recorder."""
        hw_cas(&self.board.header.recorder, hw_me(self.board), 0)

    def beat(self):
        """The recorder's sign of life."""
        hw_store(&self.board.header.recorder_beat_ns, hw_clock_ns(CLOCK_MONOTONIC))

    def note(self, int error):
        """Count an attempt of the recorder: errno, or 0 for one that succeeded."""
        if error:
            hw_next(&self.board.header.recorder_errors)
        hw_store(&self.board.header.recorder_errno, <uint64_t>error)

    def next_sequence(self):
        """Draw the number of the next snapshot file."""
        return hw_next(&self.board.header.sequence)

    @property
    def sequence(self):
        """The number of the last snapshot file."""
        return hw_peek(&self.board.header.sequence)

    cdef bint silent(self, uint64_t now) noexcept:
        cdef hw_header *header = self.board.header
        cdef uint64_t recorder
        if not hw_peek(&header.recorder_wanted) or hw_load(&header.retired):
            return False
        if now < hw_peek(&header.recorder_beat_ns) + <uint64_t>(SILENT_SECONDS * SECOND):
            return False
        recorder = hw_load(&header.recorder)
        return recorder == 0 or hw_dead(self.board, recorder)

    def may_start_recorder(self):
        """Is the board without a recorder that it should have, and are we the one to start it?"""
        cdef uint64_t now = hw_clock_ns(CLOCK_MONOTONIC)
        cdef uint64_t deadline = hw_load(&self.board.header.recorder_deadline_ns)
        if not self.silent(now) or (now < deadline and deadline <= now + <uint64_t>(START_SECONDS * SECOND)):
            return False  # (a later deadline is damage)
        return hw_cas(&self.board.header.recorder_deadline_ns, deadline,
                      now + <uint64_t>(START_SECONDS * SECOND)) != 0

    # Tasks --------------------------------------------------------------------------------------------------

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
                raise errors.BoardClosed(f"board {self.name!r} was unlinked: open it anew with "
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
                who = "its owner" if found.owner_alive else "its owner is dead, but a worker on it"
                raise errors.TaskExists(
                    f"task {id!r} is running on board {self.name!r}: {who} (pid {found.pid}) is alive; wait for it, "
                    f"choose another id, or join it with board.attach({id!r})")
            if answer == HW_UNARCHIVED:
                archived = archive((found.slot, found.generation) if found.generation else None)
                if archived == 0:
                    idle += 1  # others did it meanwhile; or there is nothing, and every slot is live
                drop = archived is None or idle > 3 or hw_clock_ns(CLOCK_MONOTONIC) >= give_up
                continue
            if answer == HW_FULL:
                raise errors.BoardFull(
                    f"board {self.name!r} has {self.board.capacity} slots and all hold tasks that have not ended: end "
                    f"some, or unlink the board and open it with a larger capacity")
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

    # Copies -------------------------------------------------------------------------------------------------

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


cdef tuple _process():
    from headway.system import machine

    return machine.process_started_ns(), machine.process_name().encode("utf-8", "replace")


cdef object _on_arrival = None
cdef object _on_silence = None


def on_silence(callback):
    """Have callback(segment) called, about once a second and handle, while a board is without the recorder it should have."""
    global _on_silence
    _on_silence = callback


def make_semaphore(str name not None):
    """Make a named semaphore of one token. posix_ipc reads through a null pointer where memory runs out. Raises OSError."""
    cdef bytes encoded = name.encode()
    if hw_make_semaphore(encoded) != 0:
        raise OSError(errno, os.strerror(errno), name)


def start_program(list arguments not None, list environment not None, tuple descriptors=()):
    """Start a program that is no child of this process and shares nothing with it. Returns its pid; raises OSError.

    arguments: bytes, the first one the path; environment: bytes NAME=VALUE; descriptors: of this process, which the
    program has as 3, 4, and so on. See native/start.h.
    """
    cdef int kept[HW_KEPT_MOST]
    cdef char **argv
    cdef char **envp
    cdef int pid = -1, reason
    cdef Py_ssize_t i
    if not arguments:
        raise ValueError("a program needs its path as first argument")
    if len(descriptors) > HW_KEPT_MOST:
        raise ValueError(f"{len(descriptors)} descriptors are too many: a program is handed {HW_KEPT_MOST} at most")
    for i, descriptor in enumerate(descriptors):
        kept[i] = descriptor
    cdef int n_kept = <int> len(descriptors)
    argv = <char **>calloc(len(arguments) + 1, sizeof(char *))
    envp = <char **>calloc(len(environment) + 1, sizeof(char *))
    try:
        if argv is NULL or envp is NULL:
            raise MemoryError
        for i, text in enumerate(arguments):
            argv[i] = PyBytes_AsString(text)
        for i, text in enumerate(environment):
            envp[i] = PyBytes_AsString(text)
        with nogil:
            pid = hw_start(argv, envp, kept, n_kept)
            reason = errno
    finally:
        free(argv)
        free(envp)
    if pid < 0:
        raise OSError(reason, os.strerror(reason), os.fsdecode(arguments[0]))
    return pid


def on_arrival(callback):
    """Have callback() called whenever this process has become a worker on some board: first use, and after a fork."""
    global _on_arrival
    _on_arrival = callback


cdef int64_t _total(total) except? -2:
    cdef int64_t n
    if total is None:
        return HW_NO_TOTAL
    n = operator.index(total)
    if n < 0 or n >= HW_COUNT_LIMIT:
        raise ValueError(f"total {n} is out of range: give 0 to {HW_COUNT_LIMIT - 1}, or None if it is unknown")
    return n


# ---------------------------------------------------------------------------------------------------------- slots

cdef inline void _begin(hw_change *change, uint32_t fields) noexcept:
    """A change of an open task that sets nothing yet but `fields`. (All of it is 1 KB: too much to clear each time.)"""
    change.fields = fields
    change.allowed = HW_OPEN_STATES
    change.expected_owner = 0
    change.owner = 0
    change.metrics = 0


@cython.no_gc_clear  # the handle leads into the segment: it is not taken away before the handle
cdef class Slot:
    """Slot()\n--\n\nA handle on one task: where it is, and this process's stripe of it once it has counted.

    The handle finds its segment on first use (method `_segment`, given by the subclass), so that making or unpickling
    one touches nothing.
    """

    def __cinit__(self, *args, **kwargs):
        self.handle.stripe = NULL
        self.handle.identity = &_nobody
        self.handle.worker = 1  # never equal to _nobody: the first add goes the long way
        self.handle.clock = NULL
        self.index = 0
        self.generation = 0
        self.look_ns = 0
        self._id = ""

    def _place(self, Segment segment, uint32_t index, uint64_t generation, str id not None):
        """Set which task this is. segment None: looked up on first use."""
        self.segment = segment
        self.index = index
        self.generation = generation
        self._id = id
        self.handle.identity = &_nobody
        self.handle.worker = 1
        self.handle.stripe = NULL
        self.look_ns = 0
        if segment is not None and index >= segment.board.capacity:
            raise errors.UnknownTask(f"task {id!r}: slot {index} is not on board {segment.name!r}")

    @property
    def id(self):
        """What the task is called on its board: 1 to 95 bytes of UTF-8, unique among those there."""
        return self._id

    @property
    def _where(self):
        return self.index, self.generation

    cdef int ready(self) except -1:
        """The segment is there and open. Raises BoardClosed, UnknownBoard."""
        if self.segment is None:
            segment = self._segment()
            if self.index >= (<Segment>segment).board.capacity:
                raise errors.UnknownTask(f"task {self.id!r}: slot {self.index} is not on its board")
            self.segment = segment
        return 0

    def _segment(self):
        """Return the Segment of this handle's board; given by the subclass."""
        raise errors.UnknownBoard(f"task {self.id!r} belongs to no board")

    # Block --------------------------------------------------------------------------------------------------
    #
    # Native, because Ctrl-C may come at any bytecode, also at the first one of a method: then a block that was entered
    # would not be left. Here it comes out of what is called, and what was left undone is done.

    def __enter__(self):
        """Become the owner, and the current task of this context."""
        try:
            return self._enter_block()
        except KeyboardInterrupt as interrupt:
            self._leave_block(interrupt)
            raise

    def __exit__(self, kind, error, trace):
        """End the task according to the exception, in the process that entered the block."""
        try:
            self._leave_block(error)
        except KeyboardInterrupt as interrupt:
            self._leave_block(interrupt if error is None else error)
            raise

    # Counting -----------------------------------------------------------------------------------------------

    cdef int add(self, int64_t n) except -1:
        """The rare paths of _count: first use, after a fork, once a second, stale, closed, too much."""
        cdef uint64_t now = hw_clock_ns(CLOCK_MONOTONIC_COARSE)
        cdef int answer = HW_OK
        cdef bint looks = now >= self.look_ns
        if self.segment is None:
            try:
                self.ready()
            except (errors.HeadwayError, OSError) as error:
                _stale(f"updates of task {self.id!r} are not counted: {error}")
                return 0
        if self.segment._closed:
            return 0
        if looks:
            self.look_around(now)
        if hw_peek(self.handle.identity) != self.handle.worker:
            try:
                self.segment.become(True)
            except OSError as error:  # no descriptor left for who we are: tried again at the next update
                _stale(f"updates of task {self.id!r} are not counted: {error}")
                return 0
            answer = hw_bind(self.segment.board, &self.handle, self.index, self.generation,
                             hw_clock_ns(CLOCK_MONOTONIC) + BIND_WAIT)
            looks = True
        if looks and answer == HW_OK:
            answer = self.look()
        if answer == HW_OK:
            answer = hw_add_at(&self.handle, n, now)
        if answer == HW_OVERFLOW:
            raise OverflowError(f"task {self.id!r}: adding {n} would take its count out of range "
                                f"(±{HW_COUNT_LIMIT - 1} a process)")
        if answer == HW_STALE:
            _stale(f"updates of task {self.id!r} are not counted: it ended and its slot was given to another task")
        return 0

    cdef int look_around(self, uint64_t now) except -1:
        """Once a second: was the board unlinked, is it without its recorder?"""
        global _warned_retired
        self.look_ns = now + SECOND
        hw_own_fd(self.segment.board)  # if somebody closed it, others take this process for dead
        if self.segment.retired and not _warned_retired:
            _warned_retired = True
            warnings.warn(f"board {self.segment.name!r} was unlinked: updates are no longer seen by anyone",
                          errors.StaleTaskWarning)
        elif not _warned_retired and hw_is_nameless(self.segment.board):
            _warned_retired = True
            warnings.warn(f"the segment of board {self.segment.name!r} was removed from /dev/shm: updates are seen by "
                          f"those only who had it open", errors.StaleTaskWarning)
        if _on_silence is not None and self.segment.silent(now):
            _on_silence(self.segment)
        return 0

    cdef int look(self) except -1:
        """Is the slot still this task's? Its tag alone does not tell: it recurs after 65536 claims. HW_OK or HW_STALE.

        A task that is counted on runs. Where a slot lock is in the way it is said at the next look: nothing waits here.
        """
        cdef hw_change change
        cdef hw_status status
        cdef char *slot = hw_slot(self.segment.board, self.index)
        if hw_load(&hw_control_of(slot).generation) != self.generation:
            return HW_STALE
        if hw_read_status(slot, &status) == HW_OK and status.state in (HW_PENDING, HW_LOST_STATE):
            _begin(&change, HW_SET_RUNNING)
            change.now_ns = <int64_t>hw_clock_ns(CLOCK_REALTIME)
            hw_write(self.segment.board, self.index, self.generation, &change, 0)
        return HW_OK

    @cython.embedsignature(False)
    @cython.binding(False)  # CPython calls a plain built-in method by a shorter way than a function object of Cython's
    def update(self, n=1):
        """update($self, n=1)\n--\n\nCount `n` more items done (negative: fewer). Never waits, and never raises for a task's state.

        After the board was closed here, or the task's slot was given to another task, nothing is counted; the latter
        is told once a process by StaleTaskWarning. Raises TypeError, or OverflowError beyond 48 bits.
        """
        if type(n) is not int:
            n = operator.index(n)
        _count(self, n)

    def native(self):
        """Return this process's handle for C, Cython and numba code: a NativeTask."""
        return NativeTask(self)

    @property
    def count(self):
        """Items done so far, by all processes together."""
        cdef char *slot
        cdef int64_t sum
        self.ready()
        slot = hw_slot(self.segment.board, self.index)
        sum = hw_total_count(slot, hw_tag(self.generation))
        if hw_load(&hw_control_of(slot).generation) != self.generation:
            raise self._gone()
        return sum

    # Status -------------------------------------------------------------------------------------------------

    def _gone(self):
        return errors.UnknownTask(f"task {self.id!r} is no longer on board {self.segment.name!r}: it ended, and its "
                                  f"slot was given to another task")

    cdef int write(self, hw_change *change) except -1:
        """Make one transition: 1, or 0 if the task's state does not allow it. The caller filled all but the rest here."""
        cdef int answer
        cdef uint64_t give_up
        cdef hw_board *board
        self.ready()
        self.segment.become(True)
        board = self.segment.board
        now = hw_clock_ns(CLOCK_MONOTONIC_COARSE)
        if now >= self.look_ns:
            self.look_around(now)
        change.now_ns = <int64_t>hw_clock_ns(CLOCK_REALTIME)
        answer = hw_write(board, self.index, self.generation, change, 0)
        if answer == HW_TIMEOUT:
            give_up = hw_clock_ns(CLOCK_MONOTONIC) + <uint64_t>(LOCK_SECONDS * SECOND)
            while True:
                hw_go_in(board)
                with nogil:
                    answer = hw_write(board, self.index, self.generation, change, hw_clock_ns(CLOCK_MONOTONIC) + SLICE)
                hw_come_out(board)
                if answer != HW_TIMEOUT:
                    break
                self.wait_for_lock(give_up)
        if answer == HW_STALE:
            raise self._gone()
        if answer == HW_FULL:
            raise ValueError(f"task {self.id!r} has {HW_METRICS} metrics already: reuse their names")
        return answer == HW_OK

    cdef int wait_for_lock(self, uint64_t give_up) except -1:
        """Between two slices without the slot lock: signals are served. Raises LockTimeout, BoardClosed."""
        PyErr_CheckSignals()
        self.segment.become(True)  # a handler may have forked or closed
        if hw_clock_ns(CLOCK_MONOTONIC) >= give_up:
            raise self._held()
        return 0

    def _held(self):
        slot_pid = hw_peek(&hw_control_of(hw_slot(self.segment.board, self.index)).lock_pid)
        return errors.LockTimeout(f"task {self.id!r} is being written by pid {slot_pid}, which is alive but has not "
                                  f"moved for {LOCK_SECONDS:g} s: resume or end it (kill -CONT, kill)")

    def _set(self, stage=None, message=None, total=..., metrics=None):
        """One transition of what a running task shows. Returns False if the task has ended."""
        cdef hw_change change
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
            if len(metrics) > HW_METRICS:
                raise ValueError(f"{len(metrics)} metrics are too many: a task has {HW_METRICS}")
            for name, value in metrics.items():
                if change.metrics == HW_METRICS:
                    raise ValueError(f"there are more than {HW_METRICS} metrics, though their length is {len(metrics)}")
                _put_key(change.metric_name[change.metrics], HW_METRIC_BYTES, name, "metric name")
                change.metric[change.metrics] = float(value)
                change.metrics += 1
        return bool(self.write(&change))

    def _enter(self, stage):
        """Enter a stage as the owner, in one transition. Returns False, and changes nothing, if the task has ended, if
        the text is empty or would be cut, or if the board was closed or unlinked. Raises UnknownTask, LockTimeout.
        """
        cdef hw_change change
        cdef Py_ssize_t size
        cdef const char *data = PyUnicode_AsUTF8AndSize(stage, &size)
        self.ready()
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
        """What the task is at; assigning enters the next stage of its timeline."""
        cdef hw_status status
        self._read(&status)
        return _text(status.stage, HW_STAGE_BYTES)

    @stage.setter
    def stage(self, str stage not None):
        cdef hw_change change
        _begin(&change, HW_SET_STAGE | HW_SET_RUNNING)
        _put_text(change.stage, HW_STAGE_BYTES, stage)
        self.write(&change)

    @property
    def message(self):
        """A line for people."""
        cdef hw_status status
        self._read(&status)
        return _text(status.message, HW_MESSAGE_BYTES)

    @message.setter
    def message(self, str message not None):
        cdef hw_change change
        _begin(&change, HW_SET_MESSAGE | HW_SET_RUNNING)
        _put_text(change.message, HW_MESSAGE_BYTES, message)
        self.write(&change)

    @property
    def total(self):
        """How many items there are; None = unknown."""
        cdef hw_status status
        self._read(&status)
        return None if status.total < 0 else status.total

    @total.setter
    def total(self, total):
        self._set(total=total)

    @property
    def metrics(self):
        """The named floats of the task; set(metrics=...) adds or changes some of the at most 8."""
        cdef hw_status status
        cdef int i
        self._read(&status)
        found = {}
        for i in range(HW_METRICS):
            if status.metric_name[i][0]:
                found[_text(status.metric_name[i], HW_METRIC_BYTES)] = status.metric[i]
        return found

    @property
    def state(self):
        """pending, running, success, failed, cancelled, or lost (nobody alive carries it on)."""
        cdef hw_status status
        self._read(&status)
        if not hw_final(status.state) and not hw_carried(self.segment.board,
                                                          hw_slot(self.segment.board, self.index), &status):
            return "lost"
        return STATES[status.state]

    @property
    def parent(self):
        """Id of the task that this one is part of; None if it stands alone."""
        cdef hw_identity identity
        cdef char *slot
        self.ready()
        slot = hw_slot(self.segment.board, self.index)
        hw_load_words(&identity, hw_identity_of(slot), sizeof(hw_identity))
        if hw_load(&hw_control_of(slot).generation) != self.generation:
            raise self._gone()
        if identity.parent_bytes == 0 or identity.parent_bytes >= HW_ID_BYTES:
            return None
        return _text(identity.id, identity.parent_bytes)

    @property
    def _run(self):
        """(count at which this run began, does it continue an earlier one, owner's incarnation, owner's pid)."""
        cdef hw_status status
        self._read(&status)
        return status.base, status.resumed != 0, status.owner, status.owner_pid

    cdef int _read(self, hw_status *status) except -1:
        cdef char *slot
        cdef hw_board *board
        cdef int answer
        cdef uint64_t give_up
        self.ready()
        board = self.segment.board
        slot = hw_slot(board, self.index)
        if hw_read_status(slot, status) != HW_OK:  # its writers never pause
            give_up = hw_clock_ns(CLOCK_MONOTONIC) + <uint64_t>(LOCK_SECONDS * SECOND)
            while True:
                self.segment.become(True)
                hw_go_in(board)
                with nogil:
                    answer = hw_read_status_locked(board, slot, status, hw_clock_ns(CLOCK_MONOTONIC) + SLICE)
                hw_come_out(board)
                if answer == HW_OK:
                    break
                self.wait_for_lock(give_up)
        if hw_load(&hw_control_of(slot).generation) != self.generation:
            raise self._gone()
        return 0

    def _transition(self, str state, allowed, error=None, message=None, stage=None, bint own=False, bint resume=False,
                    uint64_t expected_owner=0):
        """Change the state, if it is one of `allowed` and the owner is `expected_owner` (0 = any).

        own: become the owner; resume: a new run begins, at the count of this moment. Returns the state before, or None.
        """
        cdef hw_change change
        _begin(&change, HW_SET_STATE)
        change.state = <int>_STATE_NUMBERS[state]
        if hw_final(change.state) or change.state == HW_RUNNING:
            change.fields |= HW_SET_ENDED  # with the time, or with none
        change.allowed = 0
        for name in allowed:
            change.allowed |= <uint32_t>1 << <int>_STATE_NUMBERS[name]
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
        return STATES[change.was] if self.write(&change) else None

    def _own(self):
        """Make this process the owner; a pending or lost task runs from here on. Returns False if it has ended."""
        cdef hw_change change
        _begin(&change, HW_SET_OWNER | HW_SET_RUNNING)
        return bool(self.write(&change))

    def _hand_to(self, uint64_t incarnation, uint64_t pid):
        """Make another process the owner. Returns False if the task has ended, or is not owned by this process."""
        cdef hw_change change
        self.ready()
        self.segment.become(True)
        _begin(&change, HW_SET_OWNER)
        change.expected_owner = hw_me(self.segment.board)
        change.owner, change.owner_pid = incarnation, pid
        return bool(self.write(&change))

    def _carried_by_others(self):
        """Does a live process other than this one count on the task?"""
        self.ready()
        return hw_others(self.segment.board, hw_slot(self.segment.board, self.index)) != 0

    # Result -------------------------------------------------------------------------------------------------

    def _read_result(self):
        """Return (JSON bytes, sequence number)."""
        cdef uint32_t size = 0
        cdef uint64_t seq = 0, give_up
        cdef char *slot
        cdef char *data
        cdef hw_board *board
        cdef int answer
        self.ready()
        board = self.segment.board
        slot = hw_slot(board, self.index)
        cdef bytearray room = bytearray((board.result_bytes + 7) // 8 * 8)
        data = room
        if hw_read_result(board, slot, data, &size, &seq) != HW_OK:  # its writers never pause
            give_up = hw_clock_ns(CLOCK_MONOTONIC) + <uint64_t>(LOCK_SECONDS * SECOND)
            while True:
                self.segment.become(True)
                hw_go_in(board)
                with nogil:
                    answer = hw_read_result_locked(board, slot, data, &size, &seq, hw_clock_ns(CLOCK_MONOTONIC) + SLICE)
                hw_come_out(board)
                if answer == HW_OK:
                    break
                self.wait_for_lock(give_up)
        if hw_load(&hw_control_of(slot).generation) != self.generation:
            raise self._gone()
        return bytes(room[:size]), seq

    def _write_result(self, bytes json not None, expected=None):
        """Put JSON bytes in place; with `expected`, only if the result is still that one: else False."""
        cdef uint64_t seq = 0 if expected is None else expected
        cdef uint64_t give_up
        cdef uint32_t size = <uint32_t>min(len(json), 0xFFFFFFFF)
        cdef bytes padded = json + b"\0" * 8
        cdef const char *data = padded
        cdef int answer
        cdef bint compare = expected is not None
        self.ready()
        self.segment.become(True)
        cdef hw_board *board = self.segment.board
        if len(json) > board.result_bytes:
            raise errors.ResultTooLarge(
                f"the result of task {self.id!r} has {len(json)} bytes of JSON, its place {board.result_bytes}: make it "
                f"smaller, or write it to a file and store its name; the old result is kept")
        give_up = hw_clock_ns(CLOCK_MONOTONIC) + <uint64_t>(LOCK_SECONDS * SECOND)
        while True:
            hw_go_in(board)
            with nogil:
                answer = hw_write_result(board, self.index, self.generation, data, size, &seq if compare else NULL,
                                         hw_clock_ns(CLOCK_MONOTONIC) + SLICE)
            hw_come_out(board)
            if answer != HW_TIMEOUT:
                break
            self.wait_for_lock(give_up)
        if answer == HW_STALE:
            raise self._gone()
        return answer == HW_OK


cdef inline int _count(Slot slot, int64_t n) except -1:
    """hw_add, but for what has to be looked at: who this process is, and once a second the board."""
    cdef uint64_t now
    if hw_peek(slot.handle.identity) == slot.handle.worker:  # then there is a stripe, and a clock
        now = hw_now(&slot.handle)
        if now < slot.look_ns and hw_count(slot.handle.stripe, slot.handle.tag, n) == HW_OK:
            hw_beat(slot.handle.stripe, now)
            return 0
    return slot.add(n)


cdef int _stale(str text) except -1:
    global _warned_stale
    if not _warned_stale:
        _warned_stale = True
        warnings.warn(text, errors.StaleTaskWarning)  # no stacklevel: native code has no frame of its own
    return 0


cdef str _str(text, str what):
    if not isinstance(text, str):
        raise TypeError(f"{what} must be a str, not {type(text).__name__}")
    return text


# --------------------------------------------------------------------------------------------- handles for native code

@cython.no_gc_clear  # as of Slot
cdef class NativeTask:
    """NativeTask(slot)\n--\n\nA task for C, Cython, numba and foreign-function interfaces: hw_add(hw_task *, n) of headway.h.

    Compiled code includes headway.h and takes `address` or `capsule`; code that cannot compile calls `function`. It keeps
    the mapping alive, belongs to the process that asked for it, and may be used from any thread, also without the GIL.
    Adding after the task's slot was given away answers HW_STALE and counts nothing; after the board was closed in this
    process it counts all the same.
    """

    def __cinit__(self, Slot slot not None):
        slot.add(0)  # takes a stripe
        if slot.handle.stripe is NULL:
            slot._read_result()  # raises what is wrong
            raise errors.UnknownTask(f"task {slot.id!r} cannot be counted on any more")
        self.task = slot.handle
        self.segment = slot.segment
        self._generation = slot.generation

    @property
    def address(self):
        """Address of the hw_task, as an int. It is good for as long as this object lives."""
        return <size_t>&self.task

    @property
    def generation(self):
        """How often the task's slot had changed hands when it was taken: with the slot, what names the task for good.

        hw_add compares 16 bits of it each time, so that an address kept for too long counts nothing.
        """
        return self._generation

    @property
    def function(self):
        """Address of hw_add as a C function, as an int: `int (*)(hw_task *, int64_t)`, to be called without the GIL.

        With ctypes: CFUNCTYPE(c_int, c_void_p, c_int64)(native.function)(native.address, 1). Returns 0 when it counted.
        """
        return <size_t>&_add

    @property
    def capsule(self):
        """A PyCapsule named "headway.hw_task" that keeps this handle alive."""
        capsule = PyCapsule_New(&self.task, b"headway.hw_task", _free_capsule)
        PyCapsule_SetContext(capsule, <void *>self)
        Py_INCREF(self)
        return capsule


cdef int _add(hw_task *task, int64_t n) noexcept nogil:
    return hw_add(task, n)


cdef void _free_capsule(object capsule) noexcept:
    Py_DECREF(<object>PyCapsule_GetContext(capsule))


# ---------------------------------------------------------------------------------------------------------- track

cdef class Tracker:
    """Tracker(slot, iterable, on_end=None, on_tick=None, tick_ns=100000000)\n--\n\nIterate and count: an item is counted when the next one is asked for.

    on_tick() is called about every tick_ns nanoseconds, on_end(error or None) once: at the end, at an exception of the
    iterable, or with GeneratorExit when the loop was left early.
    """

    def __init__(self, Slot slot not None, iterable, on_end=None, on_tick=None, uint64_t tick_ns=100_000_000):
        self.slot = slot
        self.iterator = iter(iterable)
        self.pending = False
        self.on_end = on_end
        self.on_tick = on_tick
        self.tick_ns = tick_ns
        self.next_tick_ns = 0

    def __iter__(self):
        return self

    def __next__(self):
        cdef PyObject *item
        cdef object found
        if self.pending:
            self.pending = False
            _count(self.slot, 1)
            if self.on_tick is not None:
                self.tick()
        if self.iterator is None:
            raise StopIteration
        item = hw_next_item(self.iterator)
        if item is NULL and self.over():
            raise StopIteration
        self.pending = True
        found = <object>item
        Py_DECREF(found)  # the reference that hw_next_item gave; `found` holds its own
        return found

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
        if on_end is not None:
            try:
                on_end(error)
            except KeyboardInterrupt:  # in the midst of it: once more, as in Slot.__exit__
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
        """End early: the item in hand is not counted."""
        self.pending = False
        self.end(GeneratorExit())

    def __del__(self):
        self.close()


cdef class SizedTracker(Tracker):
    """SizedTracker(slot, iterable, on_end=None, on_tick=None, tick_ns=100000000)\n--\n\nA Tracker over an iterable that has a length."""

    def __init__(self, Slot slot not None, iterable, on_end=None, on_tick=None, uint64_t tick_ns=100_000_000):
        Tracker.__init__(self, slot, iterable, on_end, on_tick, tick_ns)
        self.sized = iterable

    def __len__(self):
        return len(self.sized)
