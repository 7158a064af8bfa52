# The records of record.h, as Cython sees them.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "record.h" nogil:
    enum:
        HW_LAYOUT_VERSION
        HW_METRICS
        HW_METRIC_BYTES
        HW_DURATIONS
        HW_ID_BYTES
        HW_CAPACITY_MAX
        HW_WORKERS_MAX
        HW_RESULT_BYTES_MAX
        HW_PENDING
        HW_RUNNING
        HW_LOST_STATE
        HW_STATES

    ctypedef struct hw_task_record:
        char id[96]
        char label[96]
        char unit[16]
        char stage[48]
        char message[192]
        char error[192]
        char metric_name[8][24]
        double metric[8]
        double rate
        int64_t count
        int64_t total
        int64_t base
        int64_t created_ns
        int64_t started_ns
        int64_t ended_ns
        int64_t stage_ns
        int64_t beat_ns
        uint64_t serial
        uint64_t generation
        uint64_t owner
        uint64_t version
        int64_t stall_after_ns
        uint32_t owner_pid
        uint32_t slot
        uint32_t stages_left_out
        uint32_t lost_left_out
        uint8_t state
        uint8_t parent_bytes
        uint8_t owner_alive
        uint8_t resumed
        uint8_t written
        uint8_t archived

    ctypedef struct hw_stage_record:
        uint32_t task
        int64_t entered_ns
        char stage[48]

    ctypedef struct hw_share_record:
        uint32_t task
        uint32_t pid
        uint64_t worker
        int64_t count
        int64_t beat_ns
        int64_t item_ns
        char item[48]
        uint8_t known
        uint8_t alive

    ctypedef struct hw_worker_record:
        uint64_t incarnation
        uint32_t pid
        uint8_t alive
        int64_t started_ns
        char name[48]

    ctypedef struct hw_duration_record:
        uint32_t task
        uint32_t untimed
        uint64_t items
        uint64_t count[22]
        uint64_t slowest_ns
        char slowest[48]

    ctypedef struct hw_result_record:
        uint32_t task
        uint32_t bytes
        uint64_t offset


cdef extern from * nogil:
    """
    /* The numbers of a task are at its end, from `rate` on, so that a scan of them need not fetch the texts. */
    #define HW_NUMBERS offsetof(hw_task_record, rate)
    static inline void hw_take_numbers(hw_task_record *to, const char *from) {
        memcpy((char *)to + HW_NUMBERS, from + HW_NUMBERS, sizeof *to - HW_NUMBERS);
    }
    static inline void hw_put_numbers(char *to, const hw_task_record *from) {
        memcpy(to + HW_NUMBERS, (const char *)from + HW_NUMBERS, sizeof *from - HW_NUMBERS);
    }
    static inline void hw_put_rate(char *to, double rate) { memcpy(to + HW_NUMBERS, &rate, sizeof rate); }

    #include "stall.h"

    /* Is the task stalled? The rule is that of views/numbers.py, which a test holds this one to. */
    static inline int hw_stalled(const hw_task_record *r, double taken_at) {
        int64_t last_ns = r->beat_ns > 0 ? r->beat_ns : r->started_ns > 0 ? r->started_ns : r->created_ns;
        double idle = taken_at - (double)last_ns / 1e9;
        return r->state == HW_RUNNING && last_ns > 0 && (idle > 0 ? idle : 0.0) > hw_stall_seconds(r->stall_after_ns);
    }
    """
    void hw_take_numbers(hw_task_record *to, const char *begin)
    void hw_put_numbers(char *to, const hw_task_record *numbers)
    void hw_put_rate(char *to, double rate)
    bint hw_stalled(const hw_task_record *record, double taken_at)
    double hw_stall_seconds(int64_t ns)
