# What concerns the whole process: its name, its callbacks, semaphores, the programs that it starts.

cdef bytes _process_name():
    """The name of this process, for people."""
    return b"python" if _on_naming is None else str(_on_naming()).encode("utf-8", "replace")


def in_use(int fd):
    """Does a process other than the recorder hold an identity on the segment of this descriptor?

    fd: open for reading and writing, with an open file description of its own: locks of the same description are not
    reported. If the kernel does not answer, the segment counts as in use.
    """
    return hw_in_use(fd, hw_recorder_of(fd), 0) != 0


cdef object _on_arrival = None
cdef object _on_silence = None
cdef object _on_naming = None


def on_naming(callback):
    """Register callback(): the name of this process, for people, which its row of the process table shows."""
    global _on_naming
    _on_naming = callback


def on_silence(callback):
    """Register callback(segment): called about once a second per handle while a board's wanted recorder is missing."""
    global _on_silence
    _on_silence = callback


def make_semaphore(str name not None):
    """Make a named semaphore of one token. Raises OSError. (posix_ipc crashes when memory runs out.)"""
    cdef bytes encoded = name.encode()
    if hw_make_semaphore(encoded) != 0:
        raise OSError(errno, os.strerror(errno), name)


def start_program(list arguments not None, list environment not None, tuple descriptors=()):
    """Start a program that is not a child of this process and shares nothing with it. Returns its pid.

    arguments: bytes, the path first; environment: bytes NAME=VALUE; descriptors: at most 8 of this process, which get
    the numbers 3, 4, ... in the program. Raises OSError. See start.h.
    """
    cdef int kept[HW_KEPT_MOST]
    cdef char **argv
    cdef char **envp
    cdef int pid = -1, reason
    cdef Py_ssize_t i
    if not arguments:
        raise ValueError("arguments is empty: give the program's path as the first one")
    if len(descriptors) > HW_KEPT_MOST:
        raise ValueError(f"{len(descriptors)} descriptors are too many: give at most {HW_KEPT_MOST}")
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
    """Register callback(): called when this process registers as a worker on a board (first use, or after a fork)."""
    global _on_arrival
    _on_arrival = callback


cdef extern from "Python.h":
    int PyGC_Disable()
    int PyGC_Enable()

cdef int _at_once = 0  # how many threads are in at_once; changed with the GIL
cdef bint _collected = False  # was garbage collected when the first of them came?


cdef void _begin_at_once() noexcept:
    global _at_once, _collected
    if not _at_once:
        _collected = PyGC_Disable()
    _at_once += 1


cdef void _end_at_once() noexcept:
    global _at_once
    if _at_once > 0:  # in a child that was forked in it, collect_again has set it
        _at_once -= 1
        if not _at_once and _collected:
            PyGC_Enable()


def collect_again():
    """To be called in a forked child: a thread that it does not have may have been in at_once."""
    global _at_once
    if _at_once:
        _at_once = 1
        _end_at_once()


def at_once(steps, undo):
    """Call each of `steps`, and return what they returned. If one raises, call `undo`, and raise that exception.

    Python calls a signal handler between two bytecodes of the main thread. Here are none: where the steps are native
    functions, no handler comes between the first and the last, and so none finds this thread with half of them done.
    Nor is garbage collected meanwhile: CPython 3.11 does that wherever it allocates, and a finalizer, or a callback of
    `gc`, has bytecodes.
    """
    _begin_at_once()
    try:
        return [step() for step in steps]
    except BaseException:
        try:
            undo()
        except Exception:
            pass  # the first one tells more
        raise
    finally:
        _end_at_once()
