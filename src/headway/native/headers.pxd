"""Declarations for Cython of the layout and the functions in headway.h and in the headers beside this file."""
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from posix.time cimport timespec

cdef extern from "hooks.h":
    pass

cdef extern from "headway.h" nogil:
    enum:
        HW_STRIPES
        HW_METRICS
        HW_ID_BYTES
        HW_LABEL_BYTES
        HW_UNIT_BYTES
        HW_STAGE_BYTES
        HW_MESSAGE_BYTES
        HW_ERROR_BYTES
        HW_METRIC_BYTES
        HW_NAME_BYTES
        HW_DIRECTORY_BYTES
        HW_RESULT_BYTES_MAX
        HW_CAPACITY_MAX
        HW_WORKERS_MAX
        HW_LAYOUT_VERSION
        HW_NO_TOTAL
        HW_NO_RECORDER
    enum:
        CLOCK_REALTIME
        CLOCK_MONOTONIC
        CLOCK_MONOTONIC_COARSE
    enum:
        HW_PENDING
        HW_RUNNING
        HW_SUCCESS
        HW_FAILED
        HW_CANCELLED
        HW_LOST_STATE
        HW_STATES
    enum:
        HW_OK
        HW_STALE
        HW_OVERFLOW
        HW_UNBOUND
        HW_ENDED
        HW_TIMEOUT
        HW_EXISTS
        HW_FULL
        HW_RESTING
        HW_ABSENT
        HW_TOO_LARGE
        HW_SYSTEM
        HW_DAMAGED
        HW_UNARCHIVED
    enum:
        HW_RETIRED_FOR_GOOD
        HW_RETIRING
    const uint64_t HW_MAGIC
    const uint32_t HW_BYTE_ORDER
    const int64_t HW_COUNT_LIMIT

    ctypedef struct hw_header:
        uint64_t magic
        uint32_t byte_order
        uint32_t layout_version
        uint32_t capacity
        uint32_t workers
        uint32_t result_bytes
        uint64_t total_bytes
        uint8_t uuid[16]
        uint8_t boot_id[16]
        uint64_t pid_namespace
        uint64_t time_namespace
        int64_t created_ns
        char name[72]
        uint64_t checksum
        uint64_t lock_owner
        uint64_t lock_pid
        uint64_t next_incarnation
        uint64_t recorder
        uint64_t recorder_wanted
        uint64_t recorder_beat_ns
        uint64_t recorder_deadline_ns
        uint64_t recorder_pid
        uint64_t recorder_errors
        uint64_t recorder_errno
        uint64_t recorder_told
        uint64_t sequence
        uint64_t next_serial
        uint64_t retired
        uint64_t dropped
        uint64_t repairs
        uint64_t gone[6]
        uint64_t shared_counters
        uint64_t stall_after_ns
        char directory[3072]

    ctypedef struct hw_control:
        uint64_t generation
        uint64_t lock_pid
        uint64_t result_seq
        uint64_t archived
        int64_t archived_count

    ctypedef struct hw_text:
        pass

    enum:
        HW_ITEM_BYTES
        HW_ITEM_AT_BEAT
        HW_ITEM_NUMBER
        HW_ITEM_ORDINAL
    int64_t HW_VALUE_LIMIT
    uint64_t HW_VALUE_MASK

    ctypedef struct hw_stripe:
        uint64_t beat_ns
        uint64_t name
        hw_text item

    ctypedef struct hw_identity:
        char id[96]
        char label[96]
        char unit[16]
        int64_t created_ns
        uint64_t parent_bytes
        uint64_t stall_after_ns

    ctypedef struct hw_status:
        uint64_t state
        uint64_t owner
        uint64_t owner_pid
        int64_t total
        int64_t base
        uint64_t resumed
        int64_t ended_ns
        char stage[48]
        char message[192]
        char error[192]
        double metric[8]
        char metric_name[8][24]

    ctypedef int (*hw_clock_function)(int, timespec *)

    ctypedef struct hw_task:
        hw_stripe *stripe
        const uint64_t *identity
        uint64_t worker
        uint64_t tag
        hw_clock_function clock

    uint64_t hw_load(const void *word)
    uint64_t hw_peek(const void *word)
    void hw_store(void *word, uint64_t value)
    int hw_cas(uint64_t *word, uint64_t seen, uint64_t value)
    uint64_t hw_next(uint64_t *word)
    void hw_load_words(void *to, const void *source, size_t bytes)
    uint64_t hw_clock_ns(int clock)
    uint64_t hw_tag(uint64_t generation)
    bint hw_is_tick(const hw_stripe *stripe, uint64_t now_ns)
    uint64_t hw_now(const hw_task *task)
    int hw_count(hw_stripe *stripe, uint64_t tag, int64_t n)
    int hw_add_at(hw_task *task, int64_t n, uint64_t now_ns)
    int hw_add(hw_task *task, int64_t n)
    int hw_item(hw_task *task, const char *text)
    int hw_item_number(hw_task *task, int64_t number)

cdef extern from "board.h" nogil:
    ctypedef struct hw_board:
        uint32_t capacity
        uint32_t result_bytes
        hw_header *header
        uint64_t *page
        int lock_fd
        uint32_t row

    void hw_geometry(hw_header *header, uint32_t capacity, uint32_t workers, uint32_t result_bytes)
    uint64_t hw_checksum(const hw_header *header)
    uint64_t hw_hash(const char *id, size_t bytes)
    const char *hw_validate(const hw_header *header, uint64_t bytes, int *layout)
    char *hw_slot(const hw_board *board, uint32_t slot)
    hw_control *hw_control_of(char *slot)
    hw_identity *hw_identity_of(char *slot)

cdef extern from "descriptor.h" nogil:
    int hw_open_anew(int fd, int flags)

cdef extern from "identity.h" nogil:
    uint64_t hw_me(const hw_board *board)
    uint64_t hw_pid(hw_board *board)
    int hw_is_nameless(const hw_board *board)
    int hw_dead(hw_board *board, uint64_t incarnation)
    int hw_register(hw_board *board, int with_row, int64_t started_ns, const char *name)
    void hw_go_in(hw_board *board)
    void hw_come_out(hw_board *board)
    int hw_inside(const hw_board *board)
    void hw_keep(hw_board *board)
    void hw_leave(hw_board *board)
    void hw_announce(hw_board *board, uint64_t retired)
    int hw_retiring(hw_board *board)
    int hw_in_use(int fd, uint64_t one, uint64_t other)
    uint64_t hw_recorder_of(int fd)
    int hw_board_in_use(hw_board *board)

cdef extern from "attach.h" nogil:
    hw_board *hw_attach(void *base, const hw_header *header, int lock_fd, const char *path)
    void hw_use_semaphore(hw_board *board, const char *name, const char *path)
    void hw_detach(hw_board *board)
    void hw_discard(hw_board *board)

cdef extern from "lists.h" nogil:
    uint32_t hw_stock(hw_board *board)

cdef extern from "lock.h" nogil:
    void hw_nap(uint64_t ns)
    int hw_lock(hw_board *board, uint64_t deadline_ns)
    int hw_make_semaphore(const char *name)
    void hw_unlock(hw_board *board)

cdef extern from "clock.h" nogil:
    void hw_use_kernel_clock()

cdef extern from "items.h" nogil:
    ctypedef struct hw_in_hand:
        uint64_t name

    uint64_t hw_item_name(uint64_t tag, uint64_t kind, uint64_t value)
    uint64_t hw_since(uint64_t tag, uint64_t ns)
    void hw_drop_item(uint64_t *name, uint64_t tag)
    void hw_put_at_beat(uint64_t *name, uint64_t value)
    void hw_put_number(hw_stripe *stripe, uint64_t tag, uint64_t kind, int64_t value, uint64_t now_ns)
    void hw_put_text_item(hw_stripe *stripe, uint64_t tag, const char *text, uint64_t since)
    void hw_put_back(hw_stripe *stripe, const hw_in_hand *kept, uint64_t tag)
    bint hw_is_named(const hw_stripe *stripe, uint64_t name)
    int hw_may_take(const hw_task *task)

    ctypedef struct hw_nested:
        int is_open

    hw_nested *hw_open_item(hw_nested **last, const hw_stripe *stripe, uint64_t tag)
    int hw_close_item(hw_nested **last, hw_nested *one, hw_in_hand *outer)
    void hw_let_go(hw_nested *one)

cdef extern from "durations.h" nogil:
    void hw_tick(const hw_task *task, int64_t n, uint64_t now_ns)

cdef extern from "bind.h" nogil:
    int hw_try_bind(hw_board *board, hw_task *task, uint32_t index, uint64_t generation, uint64_t deadline_ns, int later)
    uint64_t hw_folds_at(const hw_board *board, uint32_t index)
    bint hw_keeps_counter(const hw_board *board, uint32_t index, const hw_task *task, uint64_t folds)
    void hw_wait_for_slot(hw_board *board, char *slot, uint64_t deadline_ns)
    int64_t hw_total_count(hw_board *board, char *slot, uint64_t generation)

cdef extern from "status.h" nogil:
    enum:
        HW_SET_STATE
        HW_SET_OWNER
        HW_SET_TOTAL
        HW_SET_STAGE
        HW_SET_MESSAGE
        HW_SET_ERROR
        HW_SET_STARTED
        HW_SET_ENDED
        HW_SET_RESUMED
        HW_SET_STALL
        HW_SET_RUNNING
    uint32_t HW_ANY_STATE
    uint32_t HW_OPEN_STATES

    ctypedef struct hw_change:
        uint32_t fields
        uint32_t allowed
        uint64_t state
        int64_t total
        int64_t now_ns
        uint64_t expected_owner
        uint64_t owner
        uint64_t owner_pid
        uint64_t stall_after_ns
        uint32_t metrics
        uint64_t was
        char stage[48]
        char message[192]
        char error[192]
        char metric_name[8][24]
        double metric[8]

    bint hw_final(uint64_t state)
    int hw_read_status(char *slot, hw_status *status)
    int hw_read_status_locked(hw_board *board, char *slot, hw_status *status, uint64_t deadline_ns)
    int hw_write(hw_board *board, uint32_t index, uint64_t generation, hw_change *change, uint64_t deadline_ns)

cdef extern from "results.h" nogil:
    int hw_read_result(hw_board *board, char *slot, char *json, uint32_t *bytes, uint64_t *seq)
    int hw_read_result_locked(hw_board *board, char *slot, char *json, uint32_t *bytes, uint64_t *seq,
                              uint64_t deadline_ns)
    int hw_write_result(hw_board *board, uint32_t index, uint64_t generation, const char *json, uint32_t bytes,
                        const uint64_t *expected, uint64_t deadline_ns)

cdef extern from "find.h" nogil:
    int hw_find(hw_board *board, const hw_identity *want, uint64_t hash, uint32_t *index, uint64_t *generation)

cdef extern from "lost.h" nogil:
    ctypedef struct hw_asked:
        pass

    bint hw_ended(uint64_t state)
    int hw_others(hw_board *board, char *slot)
    uint64_t hw_state_of(hw_board *board, hw_asked *asked, char *slot, const hw_status *status)

cdef extern from "walk.h" nogil:
    enum:
        HW_OLDEST
    ctypedef enum hw_sought:
        HW_OWNED
        HW_ABANDONED
        HW_FINISHED
        HW_KEPT

    ctypedef struct hw_passed:
        uint32_t index
        uint64_t generation
        uint64_t owner

    ctypedef struct hw_oldest:
        hw_passed tasks[256]
        uint32_t n
        uint32_t most

    ctypedef struct hw_walk:
        hw_sought sought
        uint32_t next
        uint32_t n
        uint32_t part
        uint32_t parts
        hw_passed found[4096]
        hw_oldest oldest

    void hw_go_on(hw_board *board, hw_walk *walk)

cdef extern from "process.h" nogil:
    int64_t hw_started_ns()

cdef extern from "claim.h" nogil:
    ctypedef enum hw_drop:
        HW_DROP_NONE
        HW_DROP_LAST
        HW_DROP_FREELY

    ctypedef struct hw_found:
        uint32_t slot
        uint64_t generation
        uint64_t pid
        int owner_alive
        uint64_t state
        uint64_t owner
        uint64_t wait_ns

    ctypedef struct hw_given_up:
        uint32_t slot
        uint64_t generation

    int hw_claim(hw_board *board, hw_identity *identity, const hw_status *first, uint32_t resumable, int anew,
                 hw_drop drop, hw_given_up given_up, hw_found *found)

cdef extern from "slots.h" nogil:
    int hw_is_owed(hw_board *board, hw_asked *asked, uint32_t index, uint64_t generation, uint64_t *number)
    int hw_begin_archive(hw_board *board, uint32_t index, uint64_t generation, uint64_t number, uint64_t deadline_ns)
    int hw_mark_archived(hw_board *board, uint32_t index, uint64_t generation, uint64_t number, uint64_t version,
                         int64_t count, uint64_t deadline_ns)
    int hw_free_idle(hw_board *board, uint32_t index, uint64_t generation, uint64_t before_ns)
    int hw_free_archived(hw_board *board, uint32_t index, uint64_t generation)

cdef extern from "start.h" nogil:
    enum:
        HW_KEPT_MOST
    int hw_start(char **argv, char **envp, const int *kept, int n_kept)
