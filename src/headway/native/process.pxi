# What belongs to the whole process: its name, its callbacks, semaphores, programs that it starts.

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
