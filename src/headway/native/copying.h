/* copying.h - the state of one copy of a board: the clock readings, who was found alive, and the arrays of records. */
#ifndef HEADWAY_COPYING_H
#define HEADWAY_COPYING_H

#include "slots.h"

/* An array of bytes that grows; an array of the caller does not. */
typedef struct hw_sink {
    char *data;
    size_t bytes, room;
    int lent;
} hw_sink;

typedef struct hw_copy {
    hw_board *board;
    int64_t now_ns;      /* wall clock */
    uint64_t monotonic_ns;
    hw_sink tasks, stages, shares, workers, index, results;
    hw_sink hashes; /* of the tasks' ids, while copying */
    hw_sink durations;
    hw_sink linked; /* the stripes that the task at hand has in blocks */
    int failed; /* 1: out of memory */
    int more;   /* 1: the caller's array for the tasks was too small */
    uint32_t count;
    uint64_t content_version; /* changes whenever anything but the clock changed */
    uint64_t states_version;  /* changes when a task came, went, or changed its state */
    uint64_t results_version; /* changes when a result changed */
    uint32_t open;            /* tasks that have not ended */
    int bare;                 /* 1: without the results */
    int may_lock;             /* 1: slot locks may be taken: nobody gives this process's identity back meanwhile */
    uint32_t unread;          /* tasks left out because a stopped process holds their slot lock, or may_lock is 0 */
    hw_asked asked;  /* who was found alive: the kernel is asked once for each process */
} hw_copy;

static void *hw_sink_add(hw_copy *copy, hw_sink *sink, size_t bytes) {
    if (sink->bytes + bytes > sink->room) {
        size_t room = (sink->bytes + bytes) * 2;
        char *data = sink->lent ? NULL : (char *)realloc(sink->data, room);
        if (!data) {
            copy->failed = 1;
            copy->more |= sink->lent;
            return NULL;
        }
        sink->data = data;
        sink->room = room;
    }
    sink->bytes += bytes;
    return sink->data + sink->bytes - bytes;
}

static void hw_copy_begin(hw_copy *copy, hw_board *board) {
    memset(copy, 0, sizeof *copy);
    copy->board = board;
    copy->now_ns = (int64_t)hw_clock_ns(CLOCK_REALTIME);
    copy->monotonic_ns = hw_clock_ns(CLOCK_MONOTONIC);
}

/* Write the tasks to memory of the caller, so that they need not be copied again. */
static void hw_copy_lend(hw_copy *copy, char *data, size_t bytes) {
    copy->tasks.data = data;
    copy->tasks.room = bytes;
    copy->tasks.lent = 1;
}

static uint32_t hw_live(const hw_board *board) {
    uint32_t live = 0;
    for (uint32_t i = 0; i < board->capacity; i++) live += hw_load(&board->hashes[i]) != 0;
    return live;
}

static void hw_copy_end(hw_copy *copy) {
    if (!copy->tasks.lent) free(copy->tasks.data);
    free(copy->stages.data);
    free(copy->shares.data);
    free(copy->workers.data);
    free(copy->durations.data);
    free(copy->index.data);
    free(copy->results.data);
    free(copy->hashes.data);
    free(copy->linked.data);
}

static int hw_copy_alive(hw_copy *copy, uint64_t incarnation) {
    return hw_alive(copy->board, &copy->asked, incarnation);
}

/* Convert a beat, which is monotonic, to the wall clock. */
static inline int64_t hw_wall(const hw_copy *copy, uint64_t beat_ns) {
    if (!beat_ns) return 0;
    return copy->now_ns - (int64_t)(copy->monotonic_ns > beat_ns ? copy->monotonic_ns - beat_ns : 0);
}

/* Copy a text and zero the bytes after its end. */
static inline void hw_take_text(char *to, const char *from, size_t room) {
    size_t n = strnlen(from, room - 1);
    memcpy(to, from, n);
    memset(to + n, 0, room - n);
}

#endif
