/* headway_layout.h - the layout of a Headway board's shared memory.
 *
 * C11 and C++17, GCC or Clang, 64-bit Linux. Plain integers and __atomic builtins only, so that C, C++, Cython and
 * NumPy share one declaration. Shared memory has no pointers: places are indexes, and every index is range-checked when
 * it is read.
 *
 *   a board's segment
 *   +--------------------+ 0
 *   | hw_header          |  4096 bytes: what never changes, then words that do, each on a line of its own
 *   +--------------------+ rows_offset
 *   | hw_row [workers]   |  128 bytes each: the process table
 *   +--------------------+ hashes_offset
 *   | uint64 [capacity]  |  the hash of each slot's id, 0 = none; dense, so that finding an id reads few lines
 *   +--------------------+ lists_offset
 *   | uint64 [capacity]  |  the first slot of each bucket of hashes, + 1; see native/lists.h
 *   | uint64 [capacity]  |  the slot that follows each one in its list, + 1
 *   +--------------------+ slots_offset
 *   | slot [capacity]    |  slot_bytes each
 *   +--------------------+ blocks_offset
 *   | hw_block [blocks]  |  2048 each: the pool of counters for tasks of more than eight workers
 *   +--------------------+ total_bytes
 *
 *   a slot                                   written by            read
 *   +--------------------+ 0
 *   | hw_control         |  128 bytes        lock holders          any time
 *   +--------------------+ 128
 *   | hw_stripe [8]      |  8 x 128          every counter         any time: the count is their sum, and that of the
 *   |                    |                                         stripes of the blocks that are linked to the slot
 *   +--------------------+ 1152
 *   | hw_identity        |  256              the claimer, once     between two equal readings of `generation`
 *   +--------------------+ 1408
 *   | hw_status [2]      |  2 x 768          slot lock holder      through the latch `status_seq`
 *   +--------------------+ 2944
 *   | hw_stage [16]      |  16 x 64          slot lock holder      through the latch `status_seq`
 *   +--------------------+ 3968
 *   | hw_lost [8]        |  8 x 96           slot lock holder      below `lost_count`; an entry is written once
 *   +--------------------+ 4736
 *   | hw_durations       |  256              every counter         any time: see native/durations.h
 *   +--------------------+ 4992
 *   | result [2]         |  2 x stride       slot lock holder      through the latch `result_seq`
 *   +--------------------+ slot_bytes
 *
 * Words of records under a latch are stored with release and loaded with acquire order, eight bytes at a time. That
 * makes the latch correct on every processor: a reader that loads a word of an unfinished record also sees the sequence
 * number that sends readers to the other copy.
 */
#ifndef HEADWAY_LAYOUT_H
#define HEADWAY_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#if !defined(__linux__) || !defined(__LP64__)
#error "headway.h: a board lives in the shared memory of 64-bit Linux"
#endif

#ifdef __cplusplus
#define HW_ASSERT(what) static_assert(what, #what)
extern "C" {
#else
#define HW_ASSERT(what) _Static_assert(what, #what)
#endif

/* ------------------------------------------------------------------------------------------------------ sizes */

#define HW_MAGIC 0x3159415744414548ull /* "HEADWAY1" in memory */
#define HW_BYTE_ORDER 0x01020304u
#define HW_LAYOUT_VERSION 3u /* version 1 was several layouts before the first release, 2 had no blocks of counters */

#define HW_LINE 128          /* two cache lines: the unit that the adjacent-line prefetcher moves */
#define HW_STRIPES 8         /* counters of a slot */
#define HW_BLOCK_STRIPES 15  /* counters of a block */
#define HW_BLOCKS 34         /* blocks that one task can have: with those of the slot 518 counters */
#define HW_STAGES 16         /* places of the stage log, of which the last 15 are readable */
#define HW_METRICS 8         /* named floats of one task */
#define HW_LOST 8            /* dead workers that a task lists besides those still on a stripe */
#define HW_ID_BYTES 96       /* every text ends with a NUL within its field */
#define HW_LABEL_BYTES 96
#define HW_UNIT_BYTES 16
#define HW_STAGE_BYTES 48
#define HW_MESSAGE_BYTES 192
#define HW_ERROR_BYTES 192
#define HW_METRIC_BYTES 24
#define HW_NAME_BYTES 72
#define HW_ITEM_BYTES 48 /* of the item in hand */
#define HW_DIRECTORY_BYTES 3072
#define HW_RESULT_BYTES_MAX 1048576u
#define HW_CAPACITY_MAX 1048576u
#define HW_WORKERS_MAX 65536u

/* `retired`: a process that removes a board announces it first, then checks that nobody has joined; see hw_announce. */
#define HW_RETIRING 2
#define HW_RETIRED_FOR_GOOD 1

#define HW_NO_RECORDER 4096 /* no errno: none can be started */

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
    uint64_t blocks_offset;
    uint32_t blocks; /* in the pool */
    uint32_t block_bytes;
    uint64_t lists_offset; /* of the two arrays of native/lists.h */
    uint64_t pad0[3];
    uint64_t checksum;

    /* 256: the structural lock. `lock_owner` is the truth, the semaphore only wakes. */
    uint64_t lock_owner; /* incarnation, 0 = free */
    uint64_t lock_pid;   /* for people */
    uint64_t pad1[14];

    /* 384: identities are drawn here by fetch_add and never recur. */
    uint64_t next_incarnation;
    uint64_t stall_after_ns; /* of tasks that were given none, by who opened the board; 0: by their rhythm, see native/stall.h */
    uint64_t pad2[14];

    /* 512: the recorder of the board, elected by CAS from 0 or from a dead one, as the structural lock's owner is. */
    uint64_t recorder;             /* incarnation, 0 = none */
    uint64_t recorder_wanted;      /* 1: somebody opened the board with a recorder */
    uint64_t recorder_beat_ns;     /* monotonic */
    uint64_t recorder_deadline_ns; /* monotonic; who moves it by CAS may start a recorder */
    uint64_t recorder_pid;         /* for people */
    uint64_t recorder_errors;      /* snapshots and archive steps that failed */
    uint64_t recorder_errno;       /* of the last attempt, 0 = it succeeded */
    uint64_t sequence;             /* snapshot files begun so far; goes on when the board is restored */
    uint64_t recorder_told;        /* of what one of the processes has warned for all: an errno, or HW_NO_RECORDER */
    uint64_t pad3[7];

    /* 640: HW_RETIRED_FOR_GOOD when the board was removed; counts of processes still attached are then seen by
     * nobody. */
    uint64_t retired;
    uint64_t pad4[15];

    /* 768: under the structural lock. */
    uint64_t next_serial; /* tasks claimed so far */
    uint64_t frees;       /* tasks freed so far: a search that missed while this moved looks again */
    uint64_t dropped;     /* finished tasks that gave up their slot unarchived */
    uint64_t evict_hint;  /* where the search for tasks that may go ahead of need begins */
    uint64_t repairs;     /* times the lock was taken over from a dead holder */
    /* How many of the tasks freed so far were in each state; the other two words are the note of hw_count_gone. */
    uint64_t gone[HW_STATES];
    uint64_t gone_note;
    uint64_t gone_before;
    uint64_t free_ends;  /* the first free slot, + 1, and in the upper 32 bits the last; see native/lists.h */
    uint64_t free_count; /* how many are between them */
    uint64_t fresh;      /* the first slot that was never used */

    /* 896: how many first counts had to share a counter, for want of one that was free. */
    uint64_t shared_counters;
    /* Hints of native/pool.h: where the search for a free block begins, and when it last found none (coarse monotonic). */
    uint64_t block_hint;
    uint64_t no_block_ns;
    uint64_t pad6[13];

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
HW_ASSERT(offsetof(hw_header, shared_counters) == 896);
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
    /* What every reader reads, on one cache line. */
    uint64_t generation;   /* odd = live, even = free; its store publishes a claim or a free */
    uint64_t lock;         /* incarnation of the slot lock's holder, 0 = free */
    uint64_t status_seq;   /* latch of status and stage log: readers use copy (seq & 1) */
    uint64_t result_seq;   /* latch of the result */
    uint64_t beat_ns;      /* coarse monotonic time of the last status write */
    uint64_t lost_count;   /* dead workers whose stripe was taken over, and those whose block was taken back */
    /* Bit i: stripe i was taken at some time; set before it counts. The upper 32 bits: the number of the block that was
     * linked last, + 1, from where `next` leads to the others. Bits 8 to 19: how often the task's blocks were taken back
     * after it had ended, see `folded`. One word, as every reader needs all of it. */
    uint64_t stripes_used;
    uint64_t has_result;   /* 1: a result was written; set before it is */
    uint64_t lock_pid;     /* for people */
    uint64_t reuse_ns;     /* monotonic: a free slot rests until then */
    uint64_t archived;     /* the generation that the history holds as it is; status and result writes clear it */
    int64_t archived_count; /* the count that the history holds; see hw_is_archived */
    uint64_t sealed;       /* the generation whose stripes take no more counts; 1 more while they are being closed or opened */
    uint64_t copies;       /* copies begun for the history, of all tasks of this slot; see hw_begin_archive */
    uint64_t linking;      /* the block that is being linked, + 1; see native/pool.h */
    uint64_t timed;        /* bit i: the task has durations of kind i; and when it was resumed: see native/durations.h */
} hw_control;

HW_ASSERT(sizeof(hw_control) == HW_LINE);

/* The item that a worker has in hand: what it works on between two counts. `name` says which, in one word: tag of the counts
 * of the stripe, 16 bits | enum hw_item_kind, 3 bits | value, 45 bits. So a number needs one store, and what a stale handle
 * writes is nobody's item. A text has its hash for a value: one that two wrote at once is none. See native/items.h. */
typedef struct hw_text {
    uint64_t since; /* tag | when it was taken up: coarse monotonic time, >> HW_SINCE_SHIFT */
    char text[HW_ITEM_BYTES];
    uint64_t name; /* of the slowest item of a task; that of a stripe's item stands beside its count */
} hw_text;

#define HW_KIND_SHIFT 45
#define HW_VALUE_MASK ((((uint64_t)1) << HW_KIND_SHIFT) - 1)
#define HW_VALUE_LIMIT (((int64_t)1) << (HW_KIND_SHIFT - 1)) /* |number| stays below it */
#define HW_SINCE_SHIFT 10 /* 48 bits of about a microsecond: nine years since the machine started */

enum hw_item_kind {
    HW_ITEM_NONE = 0,
    HW_ITEM_AT_BEAT = 1, /* added to a number or an ordinal: it was taken up at the stripe's last count, not at `since` */
    HW_ITEM_NUMBER = 2,  /* the item is an integer: the value */
    HW_ITEM_ORDINAL = 4, /* it has no name: the value says the how manieth item of the loop it is */
    HW_ITEM_TEXT = 6     /* `text`; the value is the hash of `since` and text */
};

HW_ASSERT(sizeof(hw_text) == 64);

/* One counter of a task. A process always adds to the same one. Its tag is that of the slot's generation, in a block that
 * of the block's own generation. */
typedef struct hw_stripe {
    uint64_t count;   /* tag | count */
    uint64_t beat_ns; /* coarse monotonic time of the last add */
    uint64_t worker;  /* incarnation of the process that took the stripe, 0 = none */
    uint64_t base_of; /* incarnation for which `base` and `pid` were written */
    int64_t base;     /* where the count stood when it was taken */
    uint64_t pid;
    uint64_t shared; /* 1: more than one process adds here, so their shares are unknown */
    uint64_t name;   /* of the item in hand of `worker`; cleared before another one is. Here, as most need no other line */
    hw_text item;
} hw_stripe;

HW_ASSERT(offsetof(hw_stripe, item) == 64);
HW_ASSERT(sizeof(hw_stripe) == HW_LINE);

/* Counters that are lent to one task at a time: see native/blocks.h and native/pool.h. Its first line is read by every reader of the task,
 * and written only when the block is linked and when a stripe is taken for the first time. */
typedef struct hw_block {
    uint64_t owner;      /* the task that has it: hw_task_name; 0 = it was never linked. Free once that name is nobody's */
    uint64_t generation; /* odd; another one each time that it is linked */
    uint64_t next;       /* the block that was linked before it, + 1; 0 = none */
    uint64_t rank;       /* which one of the task's blocks it is, 1 = the first */
    uint64_t used;       /* bit i: stripe i was taken since it was linked; set before it counts */
    uint64_t linked_ns;  /* coarse monotonic: when it was linked; it is not linked again for a moment */
    uint64_t pad[10];
    hw_stripe stripe[HW_BLOCK_STRIPES];
} hw_block;

HW_ASSERT(offsetof(hw_block, stripe) == HW_LINE);
HW_ASSERT(sizeof(hw_block) == 2048);

typedef struct hw_identity {
    char id[HW_ID_BYTES];
    char label[HW_LABEL_BYTES];
    char unit[HW_UNIT_BYTES];
    int64_t created_ns;    /* wall clock */
    uint64_t serial;       /* of two live slots with one id the larger serial counts */
    uint64_t parent_bytes; /* the parent's id is the first so many bytes of the id, 0 = no parent */
    /* The count of the blocks that were taken back from the task, so often as `stripes_used` says: in place (times & 1). */
    int64_t folded[2];
    uint64_t stall_after_ns; /* given for this task; 0 = none was, see native/stall.h */
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

#define HW_LOST_LEFT (((uint64_t)1) << 63)

typedef struct hw_lost {
    uint64_t worker;
    uint64_t pid; /* with HW_LOST_LEFT: it did not die, but its counter was taken back after the task had ended */
    uint64_t beat_ns;
    int64_t share;       /* INT64_MIN = unknown */
    uint64_t item_ns;    /* coarse monotonic: it took up the item that it had in hand; 0 = it had none */
    char item[HW_ITEM_BYTES];
    uint64_t pad;
} hw_lost;

HW_ASSERT(sizeof(hw_lost) == 96);

#define HW_DURATIONS 22
#define HW_UNTIMED ((uint64_t)1 << 63) /* in `timed`: what was counted before it was restored was not timed */
#define HW_DURATION_SHIFT 24 /* 2^24 ns: at 100 ticks a second quicker counts cannot be told from one another */

/* How long the counts of a task took: see native/durations.h. All words have the tag of the slot's generation. */
typedef struct hw_durations {
    uint64_t count[HW_DURATIONS]; /* tag | how many took 2^(24 + i) ns, and less than twice as long; the last: or longer */
    uint64_t items;               /* tag | how many items these updates counted: all others of the task were quick */
    uint64_t naming;              /* tag | when somebody began to write the name of the slowest, as `since`; 0 = nobody */
    hw_text slowest;              /* `since`: tag | how long it took, >> HW_SINCE_SHIFT; `name`: of its item */
} hw_durations;

HW_ASSERT(sizeof(hw_durations) == 256);

#define HW_CONTROL_OFFSET 0
#define HW_STRIPES_OFFSET 128
#define HW_IDENTITY_OFFSET 1152
#define HW_STATUS_OFFSET 1408
#define HW_STAGES_OFFSET 2944
#define HW_LOST_OFFSET 3968
#define HW_DURATIONS_OFFSET 4736
#define HW_RESULT_OFFSET 4992
HW_ASSERT(HW_IDENTITY_OFFSET == HW_STRIPES_OFFSET + HW_STRIPES * sizeof(hw_stripe));
HW_ASSERT(HW_STATUS_OFFSET == HW_IDENTITY_OFFSET + sizeof(hw_identity));
HW_ASSERT(HW_STAGES_OFFSET == HW_STATUS_OFFSET + 2 * sizeof(hw_status));
HW_ASSERT(HW_LOST_OFFSET == HW_STAGES_OFFSET + HW_STAGES * sizeof(hw_stage));
HW_ASSERT(HW_DURATIONS_OFFSET == HW_LOST_OFFSET + HW_LOST * sizeof(hw_lost));
HW_ASSERT(HW_RESULT_OFFSET == HW_DURATIONS_OFFSET + sizeof(hw_durations));
HW_ASSERT(HW_RESULT_OFFSET % HW_LINE == 0);

#ifdef __cplusplus
}
#endif
#endif
