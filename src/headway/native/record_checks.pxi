# The check of all records of a snapshot.

cdef int _check_order(object buffer, size_t record_bytes, Py_ssize_t tasks, bint once, str what) except -1:
    """Check that records belong to tasks that exist, and are in the order of the tasks."""
    cdef uint32_t number
    cdef int64_t last = -1
    cdef _Array array = _Array(buffer, record_bytes)
    for i in range(array.count):
        memcpy(&number, array.at(i), sizeof(number))
        if number >= tasks:
            raise ValueError(f"record {i} of the {what}: there is no task number {number}")
        if number < last or (once and number == last):
            raise ValueError(f"record {i} of the {what}: it stands out of order")
        last = number
    return 0


def check(tasks, stages, shares, workers, index, uint64_t results_bytes, durations=b""):
    """Check every record of a snapshot. Raises ValueError, which names the first impossible one."""
    cdef hw_task_record task
    cdef hw_stage_record stage
    cdef hw_share_record share
    cdef hw_worker_record worker
    cdef hw_result_record place
    cdef hw_duration_record duration
    cdef const char *fault
    cdef _Array array = _Array(tasks, sizeof(task))
    cdef Py_ssize_t count = array.count
    for i in range(count):
        array.take(i, &task)
        fault = _task_fault(&task)
        if fault is not NULL:
            raise ValueError(f"record {i} of the tasks: {fault.decode()}")
    _check_order(stages, sizeof(stage), count, False, "stages")
    _check_order(shares, sizeof(hw_share_record), count, False, "shares")
    _check_order(index, sizeof(place), count, True, "index")
    _check_order(durations, sizeof(duration), count, True, "durations")
    array = _Array(stages, sizeof(stage))
    for i in range(array.count):
        array.take(i, &stage)
        if stage.stage[sizeof(stage.stage) - 1]:
            raise ValueError(f"record {i} of the stages: its text has no end")
    array = _Array(shares, sizeof(share))
    for i in range(array.count):
        array.take(i, &share)
        if share.item[sizeof(share.item) - 1]:
            raise ValueError(f"record {i} of the shares: its item has no end")
    array = _Array(durations, sizeof(duration))
    for i in range(array.count):
        array.take(i, &duration)
        if duration.slowest[sizeof(duration.slowest) - 1]:
            raise ValueError(f"record {i} of the durations: the item of the slowest has no end")
    array = _Array(workers, sizeof(worker))
    for i in range(array.count):
        array.take(i, &worker)
        if worker.name[sizeof(worker.name) - 1]:
            raise ValueError(f"record {i} of the workers: its name has no end")
    array = _Array(index, sizeof(place))
    for i in range(array.count):
        array.take(i, &place)
        if place.offset > results_bytes or place.bytes > results_bytes - place.offset:
            raise ValueError(f"record {i} of the index: it points outside of the results")
