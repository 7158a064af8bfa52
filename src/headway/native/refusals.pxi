# The exceptions of core; each function returns one. The message names the value, the place and the remedy.
# The stand-in, which has no native code, has the same messages in tasks/checks.py; a test compares them.


# --- values that were given

cdef object _not_a_str(value, str what):
    return TypeError(f"{what} must be a str, not {value!r:.60} ({type(value).__name__})")


cdef object _not_whole(value, str what, str remedy):
    return TypeError(f"{what} {value!r:.60} is not a whole number: {remedy}")


cdef object _not_unicode(text, str what):
    return ValueError(f"{what} {text!r} is not valid Unicode: give it without lone surrogates")


cdef object _empty_key(str what, Py_ssize_t most):
    return ValueError(f"{what} is empty: give it 1 to {most} bytes of UTF-8")


cdef object _nul_in_key(text, str what):
    return ValueError(f"{what} {text!r} contains a NUL character: leave it out")


cdef object _long_key(text, str what, Py_ssize_t size, Py_ssize_t most):
    return ValueError(f"{what} {text!r} has {size} bytes of UTF-8: shorten it to {most}")


cdef object _total_out_of_range(total):
    return ValueError(f"total {total} is out of range: {_total_remedy()}")


cdef str _total_remedy():
    return f"give 0 to {INT64_MAX}, or None if it is unknown"


cdef object _not_metrics(metrics):
    return TypeError(f"metrics must be a dict of floats by name, not {metrics!r:.60} ({type(metrics).__name__})")


cdef object _not_a_metric(name, value):
    return TypeError(f"metric {name!r} must be a number, not {value!r:.60} ({type(value).__name__})")


cdef object _many_metrics(metrics):
    return ValueError(f"{len(metrics)} metrics are too many: a task has {HW_METRICS}")


cdef object _more_metrics_than_told(metrics):
    return ValueError(f"there are more than {HW_METRICS} metrics, though their length is {len(metrics)}")


cdef object _metrics_full(id):
    return ValueError(f"task {id!r} has {HW_METRICS} metrics already: reuse their names")


cdef object _count_out_of_range(id, n):
    return OverflowError(
        f"task {id!r}: adding {n} would take its count out of range (±{HW_COUNT_LIMIT - 1} a process)")


cdef object _unknown_state(state):
    return ValueError(f"state {state!r} is unknown: choose one of {', '.join(STATES)}")


cdef object _result_too_large(id, size, room):
    return errors.ResultTooLarge(
        f"the result of task {id!r} has {size} bytes of JSON, its place {room}: make it smaller, or write it to a file "
        f"and store its name; the old result is kept")


# --- boards

cdef object _board_closed(name):
    return errors.BoardClosed(f"board {name!r} was closed in this process: open it again with headway.open({name!r})")


cdef object _board_removed(name):
    return errors.BoardClosed(f"board {name!r} was removed: open it anew with headway.open({name!r})")


cdef object _board_full(name, capacity):
    return errors.BoardFull(
        f"board {name!r} has {capacity} slots and all hold tasks that have not ended: end some, or remove the board "
        f"and open it with a larger capacity")


cdef object _board_locked(name, pid):
    return errors.LockTimeout(
        f"board {name!r} is locked by pid {pid}, which is alive but has not moved for {LOCK_SECONDS:g} s: resume or "
        f"end it (kill -CONT, kill)")


cdef object _no_identity(name, int reason):
    return OSError(reason, f"board {name!r}: this process cannot be registered, since its lock on the segment failed: "
                           f"{os.strerror(reason)}")


cdef object _no_identities(name):
    return errors.CorruptBoard(f"board {name!r} has run out of identities: its segment is damaged; remove it with "
                               f"'headway rm --force {name}'")


cdef object _not_copied(name):
    return errors.LockTimeout(f"board {name!r} could not be copied: tasks begin faster than they are read; try again")


# --- tasks

cdef object _task_exists(id, board, pid, bint is_ours, bint owner_alive):
    if is_ours:
        return errors.TaskExists(
            f"task {id!r} is running on board {board!r}, owned by this process: cancel() it, choose another id, or "
            f"join it with board.task({id!r}, join=True)")
    who = "its owner" if owner_alive else "its owner is dead, but a worker on it"
    return errors.TaskExists(
        f"task {id!r} is running on board {board!r}: {who} (pid {pid}) is alive; wait for it, choose another id, or "
        f"join it with board.task({id!r}, join=True)")


cdef object _task_gone(id, board):
    return errors.UnknownTask(
        f"task {id!r} is no longer on board {board!r}: it ended, and its slot was given to another task")


cdef object _no_slot(id, index, board):
    return errors.UnknownTask(
        f"task {id!r}: slot {index} is not on board {board!r}; attach to the task anew, by its id")


cdef object _no_board(id):
    return errors.UnknownBoard(f"task {id!r} belongs to no board")


cdef object _task_locked(id, pid):
    return errors.LockTimeout(
        f"task {id!r} is being written by pid {pid}, which is alive but has not moved for {LOCK_SECONDS:g} s: "
        f"resume or end it (kill -CONT, kill)")


cdef object _old_task_locked(id, board, pid):
    return errors.LockTimeout(
        f"task {id!r} of board {board!r} cannot be started anew: the old one is being written by pid {pid}, which is "
        f"alive but has not moved for {2 * LOCK_SECONDS:g} s: resume or end it (kill -CONT, kill)")


cdef object _slots_held(board, pid):
    return errors.LockTimeout(
        f"no slot of board {board!r} could be claimed in {2 * LOCK_SECONDS:g} s: all tasks on it that have ended are being "
        f"written, one by pid {pid}, which is alive but has not moved: resume or end it (kill -CONT, kill)")


cdef object _slots_taken(board):
    return errors.LockTimeout(f"no slot of board {board!r} could be claimed in {2 * LOCK_SECONDS:g} s: others "
                              f"take every slot as it falls free; open the board with a larger capacity")


cdef object _slot_locked(board, pid):
    return errors.LockTimeout(f"a task of board {board!r} could not be copied: the process that holds its slot (pid "
                              f"{pid}) has stopped; resume or end it (kill -CONT, kill)")


cdef object _not_countable(id):
    return errors.UnknownTask(f"task {id!r} cannot be counted on: its board was closed or removed; attach to it anew")


# --- segments

cdef object _short_segment(where, size):
    return errors.CorruptBoard(f"segment {where} has {size} bytes, less than a header: it is not a board, or was "
                               f"truncated; remove it with 'headway rm --force'")


cdef object _other_layout(where, reason, version):
    return errors.LayoutMismatch(
        f"segment {where} cannot be used: {reason} (its layout is number {version}, this version's "
        f"{HW_LAYOUT_VERSION}); use their version of Headway, or end the programs that use it, then remove it with "
        f"'headway gc', which leaves its snapshot and its history")


cdef object _damaged(where, reason):
    return errors.CorruptBoard(f"segment {where} is damaged: {reason}; remove it with 'headway rm --force'")


cdef object _long_directory(size):
    return ValueError(f"the board's directory has {size} bytes: choose one shorter than {HW_DIRECTORY_BYTES} "
                      f"(HEADWAY_DIR)")
