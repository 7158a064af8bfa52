# A segment: formatting and mapping it, and the fields of its header.

def segment_bytes(uint32_t capacity, uint32_t workers, uint32_t result_bytes):
    """Return the size in bytes of a segment for so many slots, rows of processes, and bytes of result per slot."""
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
        raise _long_directory(len(directory))
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


def directory_of(int fd):
    """Return the directory that the header of a segment's file names, as bytes; None if the header is damaged."""
    cdef hw_header header
    cdef bytes found = os.pread(fd, sizeof(hw_header), 0)
    if len(found) != sizeof(hw_header):
        return None
    memcpy(&header, <const char *>found, sizeof(hw_header))
    if header.magic != HW_MAGIC or header.checksum != hw_checksum(&header):
        return None
    return bytes(header.directory[:HW_DIRECTORY_BYTES]).split(b"\0", 1)[0]


cdef class MappedSegment:
    """MappedSegment(fd, size, where)\n--\n\nA segment mapped into this process, and the fields of its header."""

    def __cinit__(self, int fd, uint64_t size, str where not None):
        cdef int layout = 0, lock_fd
        cdef const char *wrong
        if size < sizeof(hw_header):
            raise _short_segment(where, size)
        self.base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
        if self.base == MAP_FAILED:
            self.base = NULL
            raise OSError(errno, os.strerror(errno), where)
        self.bytes_mapped = size
        hw_load_words(&self.said, self.base, sizeof(hw_header))  # copied once: this copy is checked and used
        wrong = hw_validate(&self.said, size, &layout)
        if wrong is not NULL:
            if layout:
                raise _other_layout(where, wrong.decode(), self.said.layout_version)
            raise _damaged(where, wrong.decode())
        # The locks of identities are asked for on a second open file description of the segment (identity.h). It is
        # opened here, so that Ctrl-C cannot come between the opening and the object that closes it.
        path = b"/dev/shm" + where.encode()
        lock_fd = hw_open_anew(fd, O_RDWR)
        if lock_fd < 0:
            again = f"/proc/self/fd/{fd}"
            if errno == ENOENT:  # not FileNotFoundError, which says that there is no segment
                raise OSError(EIO, "the segment cannot be opened once more: is /proc mounted?", again)
            raise OSError(errno, os.strerror(errno), again)
        self.board = hw_attach(self.base, &self.said, lock_fd, path)
        if self.board is NULL:
            reason = errno
            close(lock_fd)
            raise OSError(reason, os.strerror(reason), where)

    def use_semaphore(self, str name not None):
        """Use this semaphore to wait for the structural lock. Without one, waiting sleeps for short times."""
        cdef bytes encoded = name.encode(), path = b"/dev/shm/sem." + encoded[1:]
        if not self._closed:
            hw_use_semaphore(self.board, encoded, path)

    def __dealloc__(self):
        if self.board is not NULL:
            hw_discard(self.board)
        if self.base is not NULL:
            munmap(self.base, self.bytes_mapped)

    @property
    def name(self):
        """Name of the board."""
        return _text(self.said.name, HW_NAME_BYTES)

    @property
    def uuid(self):
        """The unique number of this segment, 32 hexadecimal digits."""
        return self.said.uuid[:16].hex()

    @property
    def directory(self):
        """The directory of the board's files."""
        return os.fsdecode(<bytes>self.said.directory)

    @property
    def capacity(self):
        """How many tasks the board has room for."""
        return self.board.capacity

    @property
    def workers(self):
        """How many processes the table of processes has room for."""
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
        """Was the board removed?"""
        return hw_load(&(<hw_header *>self.base).retired) == HW_RETIRED_FOR_GOOD

    @property
    def retiring(self):
        """Was the board removed, or is a process about to remove it? Ask after `register`: see hw_announce."""
        return hw_retiring(self.board) != 0

    @property
    def dropped(self):
        """How many tasks lost their slot before they were archived, because slots were needed."""
        return hw_load(&(<hw_header *>self.base).dropped)

    @property
    def shared_counters(self):
        """How many first counts on a task had to share a counter, for want of one that was free."""
        return hw_load(&(<hw_header *>self.base).shared_counters)

    @property
    def stall_after_ns(self):
        """After how long a task of the board is stalled that was given no time of its own; 0: by its rhythm, see stall.h."""
        return hw_load(&(<hw_header *>self.base).stall_after_ns)

    @stall_after_ns.setter
    def stall_after_ns(self, uint64_t ns):
        hw_store(&(<hw_header *>self.base).stall_after_ns, ns)

    @property
    def gone(self):
        """How many tasks lost their slot so far, by the number of their last state."""
        cdef uint64_t *gone = (<hw_header *>self.base).gone
        return tuple([hw_load(&gone[i]) for i in range(HW_STATES)])

    @property
    def repairs(self):
        """How often the structural lock was taken over from a dead holder."""
        return hw_load(&(<hw_header *>self.base).repairs)
