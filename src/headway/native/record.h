/* record.h - what one consistent copy of a board consists of: six arrays of fixed-size records.
 *
 * The same bytes stand in memory, in a snapshot file (as NumPy arrays), and under BoardView.array. Times are wall
 * clock, in nanoseconds since 1970, 0 = never. Texts are UTF-8, filled up with NUL.
 */
#ifndef HEADWAY_RECORD_H
#define HEADWAY_RECORD_H

#include "headway.h"

typedef struct hw_task_record {
    char id[HW_ID_BYTES];
    char label[HW_LABEL_BYTES];
    char unit[HW_UNIT_BYTES];
    char stage[HW_STAGE_BYTES];
    char message[HW_MESSAGE_BYTES];
    char error[HW_ERROR_BYTES];
    char metric_name[HW_METRICS][HW_METRIC_BYTES]; /* "" = unused */
    double metric[HW_METRICS];
    double rate; /* a second, NaN = unknown */
    int64_t count;
    int64_t total; /* HW_NO_TOTAL = unknown */
    int64_t base;  /* the count at which this run began */
    int64_t created_ns;
    int64_t started_ns;
    int64_t ended_ns;
    int64_t stage_ns;
    int64_t beat_ns;
    uint64_t serial;
    uint64_t generation;
    uint64_t owner; /* incarnation */
    uint64_t version; /* grows with each status and result written */
    int64_t stall_after_ns; /* so long without a sign of life, and it is stalled; INT64_MAX = never: see stall.h */
    uint32_t owner_pid;
    uint32_t slot;
    uint32_t stages_left_out; /* entered, but no longer in the log */
    uint32_t lost_left_out;   /* dead workers beyond those listed */
    uint8_t state;            /* as it reads: a running task whose processes are all dead is lost */
    uint8_t parent_bytes;
    uint8_t owner_alive;
    uint8_t resumed;
    uint8_t written;  /* the state as it stands on the board: `state` may be lost, or running again, unwritten */
    uint8_t archived; /* 1: the history has the task in this version */
    uint8_t pad[2];
} hw_task_record;

HW_ASSERT(sizeof(hw_task_record) == 1032);

/* A place of the stage log: task number `task` of the first array entered `stage`. */
typedef struct hw_stage_record {
    uint32_t task;
    uint32_t number; /* 0 = the first stage of the task */
    int64_t entered_ns;
    char stage[HW_STAGE_BYTES];
} hw_stage_record;

HW_ASSERT(sizeof(hw_stage_record) == 64);

#define HW_SHARE_LEFT 2

/* A process that counts, or counted, on a task. */
typedef struct hw_share_record {
    uint32_t task;
    uint32_t pid;
    uint64_t worker; /* incarnation */
    int64_t count;   /* its share */
    int64_t beat_ns;
    int64_t item_ns; /* it took up the item that it has, or had, in hand; 0 = it has none */
    char item[HW_ITEM_BYTES];
    uint8_t known; /* 1: `count` is its share; 0: the stripe was shared */
    uint8_t alive; /* 0: it died; 1: it lives; HW_SHARE_LEFT: it closed the board or ended normally */
    uint8_t pad[6];
} hw_share_record;

HW_ASSERT(sizeof(hw_share_record) == 96);

/* How long the counts of a task took; a task without any has none. */
typedef struct hw_duration_record {
    uint32_t task;
    uint32_t untimed; /* 1: what was counted before it was restored was not timed */
    uint64_t items;   /* how many were counted by these: all others were quick */
    uint64_t count[HW_DURATIONS]; /* how many took 2^(24 + i) ns, and less than twice as long; the last: or longer */
    uint64_t slowest_ns;          /* about: to the next microsecond below */
    char slowest[HW_ITEM_BYTES];  /* its item, "" = unknown */
} hw_duration_record;

HW_ASSERT(sizeof(hw_duration_record) == 248);

typedef struct hw_worker_record {
    uint64_t incarnation;
    uint32_t pid;
    uint8_t alive;
    uint8_t pad[3];
    int64_t started_ns; /* the start of the process */
    char name[48];
} hw_worker_record;

HW_ASSERT(sizeof(hw_worker_record) == 72);

/* Where in the array `results` (bytes) the JSON of a task's result stands. */
typedef struct hw_result_record {
    uint32_t task;
    uint32_t bytes;
    uint64_t offset;
} hw_result_record;

HW_ASSERT(sizeof(hw_result_record) == 16);

#endif
