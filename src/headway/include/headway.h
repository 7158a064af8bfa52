/* headway.h - the shared-memory layout of a Headway board, and its hot path.
 *
 * C11 and C++17, GCC or Clang, 64-bit Linux. Plain integers and __atomic builtins only, so that C, C++, Cython and
 * NumPy share one declaration. No pointer ever stands in shared memory: places are indexes, and every index is
 * range-checked when it is read.
 *
 *   a board's segment
 *   +--------------------+ 0
 *   | hw_header          |  4096 bytes: what never changes, then words that do, each on a line of its own
 *   +--------------------+ rows_offset
 *   | hw_row [workers]   |  128 bytes each: the process table
 *   +--------------------+ hashes_offset
 *   | uint64 [capacity]  |  the hash of each slot's id, 0 = none; dense, so that finding an id reads few lines
 *   +--------------------+ slots_offset
 *   | slot [capacity]    |  slot_bytes each
 *   +--------------------+ total_bytes
 *
 *   a slot                                   written by            read
 *   +--------------------+ 0
 *   | hw_control         |  128 bytes        lock holders          any time
 *   +--------------------+ 128
 *   | hw_stripe [8]      |  8 x 128          every counter         any time: the count is their sum
 *   +--------------------+ 1152
 *   | hw_identity        |  256              the claimer, once     between two equal readings of `generation`
 *   +--------------------+ 1408
 *   | hw_status [2]      |  2 x 768          slot lock holder      through the latch `status_seq`
 *   +--------------------+ 2944
 *   | hw_stage [16]      |  16 x 64          slot lock holder      through the latch `status_seq`
 *   +--------------------+ 3968
 *   | hw_lost [8]        |  8 x 32           slot lock holder      below `lost_count`; an entry is written once
 *   +--------------------+ 4224
 *   | result [2]         |  2 x stride       slot lock holder      through the latch `result_seq`
 *   +--------------------+ slot_bytes
 *
 * Words of records under a latch are stored with release and loaded with acquire order, eight bytes at a time. That
 * is what makes the latch right on every processor: whoever reads a word of an unfinished record is bound to see the
 * sequence number that sent readers away from it.
 */
#ifndef HEADWAY_H
#define HEADWAY_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#if !defined(__linux__) || !defined(__LP64__)
#error "headway.h: a board lives in the shared memory of 64-bit Linux"
#endif

#ifdef __cplusplus
#define HW_ASSERT(what) static_assert(what, #what)
extern "C" {
#else
#define HW_ASSERT(what) _Static_assert(what, #what)
#endif

#define HW_LIKELY(x) __builtin_expect(!!(x), 1)
#define HW_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* A test build ends the process at a chosen one of these steps; elsewhere they are nothing. */
#ifdef HW_HOOKS
void hw_step(const char *where);
#define HW_STEP(where) hw_step(where)
#else
#define HW_STEP(where) ((void)0)
#endif

/* ------------------------------------------------------------------------------------------------------ sizes */

#define HW_MAGIC 0x3159415744414548ull /* "HEADWAY1" in memory */
#define HW_BYTE_ORDER 0x01020304u
#define HW_LAYOUT_VERSION 2u /* 1 stood in several layouts before the first release */

#define HW_LINE 128          /* two cache lines: the unit that the adjacent-line prefetcher moves */
#define HW_STRIPES 8         /* counters of one task */
#define HW_STAGES 16         /* places of the stage log, of which the last 15 are readable */
#define HW_METRICS 8         /* named floats of one task */
#define HW_LOST 8            /* dead workers that a task remembers beside those still on a stripe */
#define HW_ID_BYTES 96       /* every text ends with a NUL within its field */
#define HW_LABEL_BYTES 96
#define HW_UNIT_BYTES 16
#define HW_STAGE_BYTES 48
#define HW_MESSAGE_BYTES 192
#define HW_ERROR_BYTES 192
#define HW_METRIC_BYTES 24
#define HW_NAME_BYTES 72
#define HW_DIRECTORY_BYTES 3072
#define HW_RESULT_BYTES_MAX 1048576u
#define HW_CAPACITY_MAX 1048576u
#define HW_WORKERS_MAX 65536u

/* `retired`: whoever unlinks a board announces it first, then looks whether somebody came; see Segment.retire. */
#define HW_RETIRING 2
#define HW_RETIRED_FOR_GOOD 1

#define HW_NO_TOTAL (-1) /* total of a task that has none */

#define HW_TAG_SHIFT 48                                  /* a count word: tag, 16 bits | count, 48 bits */
#define HW_COUNT_MASK ((((uint64_t)1) << HW_TAG_SHIFT) - 1)
#define HW_COUNT_LIMIT (((int64_t)1) << (HW_TAG_SHIFT - 1)) /* |count| of one stripe stays below it */

#define HW_LOCK_BASE (((int64_t)1) << 40) /* byte of incarnation i in the segment's file: HW_LOCK_BASE + i */
#define HW_INCARNATION_MAX (((uint64_t)1) << 61)

enum hw_state {
    HW_PENDING = 0,
    HW_RUNNING = 1,
    HW_SUCCESS = 2,
    HW_FAILED = 3,
    HW_CANCELLED = 4,
    HW_LOST_STATE = 5,
    HW_STATES = 6
};

/* ----------------------------------------------------------------------------------------------------- header */

typedef struct hw_header {
    /* Immutable once published; `checksum` covers all before it, and `directory`. */
    uint64_t magic;
    uint32_t byte_order;
    uint32_t layout_version;
    uint32_t header_bytes;
    uint32_t row_bytes;
    uint32_t slot_bytes;
    uint32_t result_bytes; /* the longest result, in bytes of JSON */
    uint32_t capacity;     /* slots */
    uint32_t workers;      /* rows */
    uint64_t rows_offset;
    uint64_t hashes_offset;
    uint64_t slots_offset;
    uint64_t total_bytes;
    uint8_t uuid[16];
    uint8_t boot_id[16];
    uint64_t pid_namespace;  /* inode of /proc/self/ns/pid of the creator */
    uint64_t time_namespace; /* inode of /proc/self/ns/time; beats of another one cannot be compared */
    int64_t created_ns;      /* wall clock */
    char name[HW_NAME_BYTES];
    uint64_t pad0[6];
    uint64_t checksum;

    /* 256: the structural lock. `lock_owner` is the truth, the semaphore only wakes. */
    uint64_t lock_owner; /* incarnation, 0 = free */
    uint64_t lock_pid;   /* for people */
    uint64_t pad1[14];

    /* 384: identities are drawn here by fetch_add and never recur. */
    uint64_t next_incarnation;
    uint64_t pad2[15];

    /* 512: the recorder of the board, elected by CAS from 0 or from a dead one, as the structural lock's owner is. */
    uint64_t recorder;             /* incarnation, 0 = none */
    uint64_t recorder_wanted;      /* 1: somebody opened the board with a recorder */
    uint64_t recorder_beat_ns;     /* monotonic */
    uint64_t recorder_deadline_ns; /* monotonic; who moves it by CAS may start a recorder */
    uint64_t recorder_pid;         /* for people */
    uint64_t recorder_errors;      /* snapshots and archive steps that failed */
    uint64_t recorder_errno;       /* of the last attempt, 0 = it succeeded */
    uint64_t sequence;             /* snapshot files begun so far; goes on when the board is restored */
    uint64_t pad3[8];

    /* 640: HW_RETIRED_FOR_GOOD when the board was unlinked; who is still attached counts into the void. */
    uint64_t retired;
    uint64_t pad4[15];

    /* 768: under the structural lock. */
    uint64_t next_serial; /* tasks claimed so far */
    uint64_t frees;       /* tasks freed so far: a search that missed while this moved looks again */
    uint64_t dropped;     /* finished tasks that gave up their slot unarchived */
    uint64_t free_hint;   /* where the search for a free slot begins */
    uint64_t repairs;     /* times the lock was taken over from a dead holder */
    uint64_t gone[HW_STATES]; /* of the tasks freed so far, how many were in each state; see hw_free_locked */
    uint64_t pad5[5];

    uint64_t pad6[16];

    /* 1024: the directory of the board's files, immutable. */
    char directory[HW_DIRECTORY_BYTES];
} hw_header;

HW_ASSERT(offsetof(hw_header, uuid) == 72);
HW_ASSERT(offsetof(hw_header, checksum) == 248);
HW_ASSERT(offsetof(hw_header, lock_owner) == 256);
HW_ASSERT(offsetof(hw_header, next_incarnation) == 384);
#define HW_RECORDER_OFFSET 512
HW_ASSERT(offsetof(hw_header, recorder) == HW_RECORDER_OFFSET);
HW_ASSERT(offsetof(hw_header, retired) == 640);
HW_ASSERT(offsetof(hw_header, next_serial) == 768);
HW_ASSERT(offsetof(hw_header, directory) == 1024);
HW_ASSERT(sizeof(hw_header) == 4096);

/* A process of the table. Taken by CAS on `incarnation` from 0 or from a dead one; `ready` equals it once the rest
 * is written, and is 0 while it is being written. */
typedef struct hw_row {
    uint64_t incarnation; /* 0 = free */
    uint64_t ready;
    uint64_t pid;
    int64_t started_ns; /* wall clock: the start of the process */
    char name[48];
    uint64_t pad[6];
} hw_row;

HW_ASSERT(offsetof(hw_row, name) == 32);
HW_ASSERT(sizeof(hw_row) == HW_LINE);

/* ------------------------------------------------------------------------------------------------------- slot */

typedef struct hw_control {
    /* What every reader looks at, on one cache line. */
    uint64_t generation;   /* odd = live, even = free; its store publishes a claim or a free */
    uint64_t lock;         /* incarnation of the slot lock's holder, 0 = free */
    uint64_t status_seq;   /* latch of status and stage log: readers use copy (seq & 1) */
    uint64_t result_seq;   /* latch of the result */
    uint64_t beat_ns;      /* coarse monotonic time of the last status write */
    uint64_t lost_count;   /* dead workers whose stripe was taken over */
    uint64_t stripes_used; /* bit i: stripe i was taken at some time; set before it counts */
    uint64_t has_result;   /* 1: a result was written; set before it is */
    uint64_t lock_pid;     /* for people */
    uint64_t reuse_ns;     /* monotonic: a free slot rests until then */
    uint64_t archived;     /* the generation that the history holds as it is; status and result writes clear it */
    uint64_t archived_ns;  /* coarse monotonic: when that copy was taken; what was counted since is not in the history */
    uint64_t marked_ns;    /* coarse monotonic: when that was written down here */
    uint64_t pad[3];
} hw_control;

HW_ASSERT(sizeof(hw_control) == HW_LINE);

/* One counter of a task. A process always adds to the same one. */
typedef struct hw_stripe {
    uint64_t count;   /* tag of the generation | count */
    uint64_t beat_ns; /* coarse monotonic time of the last add */
    uint64_t worker;  /* incarnation of the process that took the stripe, 0 = none */
    uint64_t base_of; /* incarnation for which `base` and `pid` were written */
    int64_t base;     /* where the count stood when it was taken */
    uint64_t pid;
    uint64_t shared; /* 1: more than one process adds here, nobody's share can be told */
    uint64_t pad[9];
} hw_stripe;

HW_ASSERT(sizeof(hw_stripe) == HW_LINE);

typedef struct hw_identity {
    char id[HW_ID_BYTES];
    char label[HW_LABEL_BYTES];
    char unit[HW_UNIT_BYTES];
    int64_t created_ns;    /* wall clock */
    uint64_t serial;       /* of two live slots with one id the larger serial counts */
    uint64_t parent_bytes; /* the parent's id is this long a beginning of the id, 0 = no parent */
    uint64_t pad[3];
} hw_identity;

HW_ASSERT(sizeof(hw_identity) == 256);

typedef struct hw_status {
    uint64_t state;
    uint64_t owner; /* incarnation */
    uint64_t owner_pid;
    int64_t total;        /* HW_NO_TOTAL = unknown */
    int64_t base;         /* the count at which this run began: 0, or where a resumed task stood */
    int64_t started_ns;   /* wall clock, this run */
    int64_t ended_ns;     /* wall clock, 0 = has not ended */
    int64_t stage_ns;     /* wall clock: the stage was entered, 0 = no stage yet */
    uint64_t stage_count; /* stages entered so far; the log holds the last ones */
    uint64_t resumed;     /* 1: this run continues an earlier one */
    char stage[HW_STAGE_BYTES];
    char message[HW_MESSAGE_BYTES];
    char error[HW_ERROR_BYTES];
    double metric[HW_METRICS];
    char metric_name[HW_METRICS][HW_METRIC_BYTES]; /* "" = unused */
} hw_status;

HW_ASSERT(offsetof(hw_status, stage) == 80);
HW_ASSERT(sizeof(hw_status) == 768);

/* Entry n of the log stands in place n % HW_STAGES. The place that the next entry will take is never read, so an
 * entry is written before the status that announces it. */
typedef struct hw_stage {
    int64_t entered_ns; /* wall clock */
    char stage[HW_STAGE_BYTES];
    uint64_t pad;
} hw_stage;

HW_ASSERT(sizeof(hw_stage) == 64);

typedef struct hw_lost {
    uint64_t worker;
    uint64_t pid;
    uint64_t beat_ns;
    int64_t share; /* INT64_MIN = unknown */
} hw_lost;

HW_ASSERT(sizeof(hw_lost) == 32);

#define HW_CONTROL_OFFSET 0
#define HW_STRIPES_OFFSET 128
#define HW_IDENTITY_OFFSET 1152
#define HW_STATUS_OFFSET 1408
#define HW_STAGES_OFFSET 2944
#define HW_LOST_OFFSET 3968
#define HW_RESULT_OFFSET 4224
HW_ASSERT(HW_IDENTITY_OFFSET == HW_STRIPES_OFFSET + HW_STRIPES * sizeof(hw_stripe));
HW_ASSERT(HW_STATUS_OFFSET == HW_IDENTITY_OFFSET + sizeof(hw_identity));
HW_ASSERT(HW_STAGES_OFFSET == HW_STATUS_OFFSET + 2 * sizeof(hw_status));
HW_ASSERT(HW_LOST_OFFSET == HW_STAGES_OFFSET + HW_STAGES * sizeof(hw_stage));
HW_ASSERT(HW_RESULT_OFFSET == HW_LOST_OFFSET + HW_LOST * sizeof(hw_lost));
HW_ASSERT(HW_RESULT_OFFSET % HW_LINE == 0);

/* ------------------------------------------------------------------------------------- words of shared memory */

/* A word of a record may be part of a text or a float: it aliases them all. */
typedef uint64_t __attribute__((may_alias)) hw_word;

static inline uint64_t hw_load(const void *word) { return __atomic_load_n((const hw_word *)word, __ATOMIC_ACQUIRE); }
static inline uint64_t hw_peek(const void *word) { return __atomic_load_n((const hw_word *)word, __ATOMIC_RELAXED); }
static inline void hw_store(void *word, uint64_t value) { __atomic_store_n((hw_word *)word, value, __ATOMIC_RELEASE); }

/* Compare and swap. Acquire on success: what the last holder wrote is seen; release: what was written before is. */
static inline int hw_cas(uint64_t *word, uint64_t seen, uint64_t value) {
    return __atomic_compare_exchange_n(word, &seen, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* The next number of a counter. Relaxed: it orders nothing but itself. */
static inline uint64_t hw_next(uint64_t *word) { return __atomic_add_fetch(word, 1, __ATOMIC_RELAXED); }

/* Copy out of shared memory. Acquire: see the head of this file. */
static inline void hw_load_words(void *to, const void *from, size_t bytes) {
    hw_word *out = (hw_word *)to;
    const hw_word *in = (const hw_word *)from;
    for (size_t i = 0; i < bytes / 8; i++) out[i] = hw_load(in + i);
}

/* Copy a text out of shared memory, up to its end; the rest of `to`, of `room` bytes, is filled with NUL. What stands
 * behind the end is not read: most texts are short, and every line read is a cache miss. Little or big endian, a text
 * without an end gets one. */
static inline void hw_load_text(char *to, const char *from, size_t room) {
    const hw_word *in = (const hw_word *)(const void *)from;
    size_t at = 0;
    while (at < room) {
        union {
            uint64_t word;
            char text[8];
        } eight;
        uint64_t ended;
        eight.word = hw_load(in + at / 8);
        ended = (eight.word - 0x0101010101010101u) & ~eight.word & 0x8080808080808080u; /* a byte of it is NUL */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        /* The lowest bit set is the highest one of the first NUL: only what stands below that byte stays. */
        if (ended) eight.word &= ((ended & (~ended + 1)) - 1) >> 7;
#else
        if (ended)
            for (int i = 0, over = 0; i < 8; i++)
                if (over |= !eight.text[i]) eight.text[i] = 0;
#endif
        for (int i = 0; i < 8; i++) to[at + (size_t)i] = eight.text[i];
        at += 8;
        if (ended) break;
    }
    for (; at < room; at++) to[at] = 0;
    to[room - 1] = 0;
}

/* Copy into shared memory. Release: see the head of this file. */
static inline void hw_store_words(void *to, const void *from, size_t bytes) {
    hw_word *out = (hw_word *)to;
    const hw_word *in = (const hw_word *)from;
    for (size_t i = 0; i < bytes / 8; i++) {
        HW_STEP("word");
        hw_store(out + i, in[i]);
    }
}

/* A strict -std=c11 hides POSIX's clocks; their numbers and the call are Linux's ABI. */
#ifndef CLOCK_MONOTONIC_COARSE
extern int clock_gettime(int clock, struct timespec *time);
#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_MONOTONIC_COARSE 6
#endif

static inline uint64_t hw_clock_ns(int clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ------------------------------------------------------------------------------------------------------ latch
 * Two copies and a sequence number. At rest it is even and both copies are equal.
 *
 *   writer (holds the slot lock)          readers meanwhile use
 *     seq := odd                            copy 1, the old record
 *     write copy 0
 *     seq := even                           copy 0, the new record
 *     write copy 1
 *
 * A writer that dies anywhere leaves the copy in use whole. Who takes the lock over from it makes the other one equal
 * (hw_latch_mend) before it writes: odd: 1 -> 0, then seq := even; even: 0 -> 1.
 */
static inline uint64_t hw_latch_begin(const uint64_t *seq) {
    return hw_load(seq); /* acquire: the words are read after it */
}

/* Was the copy (seen & 1) left alone since hw_latch_begin? Relaxed: every word before it was loaded with acquire. */
static inline int hw_latch_whole(const uint64_t *seq, uint64_t seen) { return hw_peek(seq) == seen; }

/* Send readers to the other copy. Release: the copy they are sent to was written before. */
static inline void hw_latch_flip(uint64_t *seq) {
    HW_STEP("flip");
    hw_store(seq, hw_peek(seq) + 1);
}

static inline void hw_latch_mend(uint64_t *seq, void *copy0, void *copy1, size_t bytes) {
    if (hw_peek(seq) & 1) {
        hw_store_words(copy0, copy1, bytes);
        hw_latch_flip(seq);
    } else {
        hw_store_words(copy1, copy0, bytes);
    }
}

/* -------------------------------------------------------------------------------------------------- counting */

/* What the native functions answer. */
enum hw_answer {
    HW_OK = 0,
    HW_STALE = 1,    /* the slot is no longer this task's: nothing was counted or written */
    HW_OVERFLOW = 2, /* the count would leave 48 bits: nothing was counted */
    HW_UNBOUND = 3,  /* the handle has no stripe yet */
    HW_ENDED = 4,    /* the task has ended: nothing was written */
    HW_TIMEOUT = 5,  /* a lock stayed with a live holder until the deadline */
    HW_EXISTS = 6,   /* the id runs, and its owner or a worker on it is alive */
    HW_FULL = 7,     /* every slot holds a task that has not ended */
    HW_RESTING = 8,  /* slots are free, but rest for a moment longer */
    HW_ABSENT = 9,   /* no such task */
    HW_TOO_LARGE = 10,
    HW_RETIRED = 11, /* the board was unlinked */
    HW_SYSTEM = 12,  /* a system call failed, errno tells */
    HW_DAMAGED = 13, /* what stands in the segment cannot be */
    HW_UNARCHIVED = 14 /* room could be had from finished tasks, but the history does not hold them yet */
};

/* As clock_gettime. */
typedef int (*hw_clock_function)(int clock, struct timespec *time);

/* A task as one process counts on it. Comes from Task.native() and belongs to the process that asked. */
typedef struct hw_task {
    hw_stripe *stripe;
    const uint64_t *identity; /* this process on the board; reads 0 in a forked child and after close */
    uint64_t worker;          /* what it read when the stripe was taken */
    uint64_t tag;             /* hw_tag(generation) */
    hw_clock_function clock;  /* see hw_now; NULL: there is no stripe */
} hw_task;

/* Live generations are odd, so their lowest bit tells nothing. */
static inline uint64_t hw_tag(uint64_t generation) { return generation >> 1 & 0xffff; }

static inline int64_t hw_count_of(uint64_t word) { return (int64_t)(word << 16) >> 16; }

/* Add to one stripe. One compare-and-swap, relaxed: a count orders nothing but itself. The tag makes it impossible to
 * count into the task that has taken the slot since. The sum is checked in the upper 48 bits of a word. */
static inline int hw_count(hw_stripe *stripe, uint64_t tag, int64_t n) {
    uint64_t old = hw_peek(&stripe->count);
    int64_t sum;
    if (HW_UNLIKELY(n >= HW_COUNT_LIMIT || n <= -HW_COUNT_LIMIT)) return HW_OVERFLOW;
    do {
        if (HW_UNLIKELY(old >> HW_TAG_SHIFT != tag)) return HW_STALE;
        if (HW_UNLIKELY(__builtin_add_overflow((int64_t)(old << 16), (int64_t)((uint64_t)n << 16), &sum)))
            return HW_OVERFLOW;
    } while (!__atomic_compare_exchange_n(&stripe->count, &old, tag << HW_TAG_SHIFT | (uint64_t)sum >> 16, 1,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return HW_OK;
}

/* Relaxed: a beat a moment early or late misleads nobody. */
static inline void hw_beat(hw_stripe *stripe, uint64_t now_ns) {
    __atomic_store_n(&stripe->beat_ns, now_ns, __ATOMIC_RELAXED);
}

/* hw_add with the coarse monotonic time, in nanoseconds, at hand. */
static inline int hw_add_at(hw_task *task, int64_t n, uint64_t now_ns) {
    if (HW_UNLIKELY(hw_peek(task->identity) != task->worker)) {
        if (!task->stripe) return HW_UNBOUND;
        __atomic_store_n(&task->stripe->shared, 1, __ATOMIC_RELAXED); /* relaxed: for people, read after the count */
    }
    int answer = hw_count(task->stripe, task->tag, n);
    if (HW_LIKELY(answer == HW_OK)) hw_beat(task->stripe, now_ns);
    return answer;
}

/* The coarse monotonic time, by a handle that has a stripe. Where it can, the handle leads straight to the kernel's
 * function in this process: on its way there the C library takes half as long again. */
static inline uint64_t hw_now(const hw_task *task) {
    struct timespec t;
    task->clock(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Count n items done. From any thread, no lock, no system call; visible to every process at once.
 * In a forked child the handle is the parent's: the count is right, but nobody's share can be told any more. */
static inline int hw_add(hw_task *task, int64_t n) {
    if (HW_UNLIKELY(!task->clock)) return HW_UNBOUND;
    return hw_add_at(task, n, hw_now(task));
}

/* For loops whose iterations take no longer than some hundred nanoseconds: one thread's count, handed on to the task as
 * soon as `every` items are held. Each thread has one of its own, on its stack, where the compiler keeps it in registers.
 * What is held is seen by nobody yet: a thread that is killed loses at most every - 1 items, so let a block of them take
 * microseconds, and call hw_flush after the loop.
 *
 *     hw_batch batch = {task, 0, 1000};
 *     for (...) { work(); hw_batch_add(&batch, 1); }
 *     hw_flush(&batch);
 */
typedef struct hw_batch {
    hw_task *task;
    int64_t held;  /* items done, not yet counted on the task */
    int64_t every; /* 1 or less: each at once */
} hw_batch;

/* Count what is held. Answers as hw_add; what the task does not take is gone, as it is there. */
static inline int hw_flush(hw_batch *batch) {
    int64_t n = batch->held;
    batch->held = 0;
    return n ? hw_add(batch->task, n) : HW_OK;
}

/* hw_add for fast loops. The sum wraps around instead of being undefined: hw_add then says that it is too much. */
static inline int hw_batch_add(hw_batch *batch, int64_t n) {
    batch->held = (int64_t)((uint64_t)batch->held + (uint64_t)n);
    if (HW_LIKELY(batch->held >= 0 && batch->held < batch->every)) return HW_OK;
    return hw_flush(batch);
}

#ifdef __cplusplus
}
#endif
#endif
