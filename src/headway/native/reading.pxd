"""What core calls of the headers that copy a board and restore one."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from headway.native.headers cimport hw_board

cdef extern from "record.h" nogil:
    ctypedef struct hw_task_record:
        uint64_t serial

    ctypedef struct hw_stage_record:
        pass

    ctypedef struct hw_share_record:
        pass

    ctypedef struct hw_duration_record:
        pass

    ctypedef struct hw_result_record:
        uint32_t task
        uint32_t bytes
        uint64_t offset

cdef extern from "restore.h" nogil:
    ctypedef struct hw_past:
        hw_task_record task
        const char *stages
        size_t stage_count
        const char *shares
        size_t share_count
        const char *durations
        int untimed
        const char *json
        uint32_t json_bytes
        int64_t taken_ns

    void hw_restore(hw_board *board, uint32_t index, const hw_past *past)

cdef extern from "copying.h" nogil:
    ctypedef struct hw_sink:
        char *data
        size_t bytes
        bint lent

    ctypedef struct hw_copy:
        int64_t now_ns
        hw_sink tasks
        hw_sink stages
        hw_sink shares
        hw_sink workers
        hw_sink durations
        hw_sink index
        hw_sink results
        uint64_t content_version
        uint64_t states_version
        uint64_t results_version
        uint32_t open
        bint bare
        bint may_lock
        uint32_t unread
        int failed
        bint more

    uint32_t hw_live(const hw_board *board)
    void hw_copy_lend(hw_copy *copy, char *data, size_t bytes)
    void hw_copy_begin(hw_copy *copy, hw_board *board)
    void hw_copy_end(hw_copy *copy)

cdef extern from "copy.h" nogil:
    int hw_copy_task(hw_copy *copy, uint32_t index, uint64_t wanted)
    int hw_copy_board(hw_copy *copy)

cdef extern from "standing.h" nogil:
    ctypedef struct hw_glance:
        uint64_t standing
    void hw_glance_at(hw_board *board, hw_glance *glance)
