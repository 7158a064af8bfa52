/* walk.h - walks over all slots of a board: without a lock, a stretch at a time, so that a caller with the GIL or in a
 * hurry can do something else in between. They read of a status what decides about a task's life, not its texts. */
#ifndef HEADWAY_WALK_H
#define HEADWAY_WALK_H

#include "lost.h"

#define HW_STRETCH 4096u /* slots that are looked at in one call */
#define HW_OLDEST 256
#define HW_PART 32u /* slots in a row that are of one part, where a walk looks at one in several parts */

/* The numbers of a status, without tearing, as hw_read_status. */
static int hw_read_numbers(char *slot, hw_status *status) {
    const uint64_t *seq = &hw_control_of(slot)->status_seq;
    for (int i = 0; i < HW_READ_TRIES; i++) {
        uint64_t seen = hw_latch_begin(seq);
        hw_load_numbers(status, hw_status_of(slot, seen & 1));
        if (hw_latch_whole(seq, seen)) return HW_OK;
        if (i > 16) hw_pause();
    }
    return HW_TIMEOUT;
}

/* A task as a walk found it. */
typedef struct hw_passed {
    uint32_t index;
    uint64_t generation;
    uint64_t owner;
    int64_t ended_ns;
} hw_passed;

/* Those that ended first, so many at most; the oldest is first. */
typedef struct hw_oldest {
    hw_passed tasks[HW_OLDEST];
    uint32_t n, most;
} hw_oldest;

/* Would a task that ended then be among them? */
static inline int hw_is_older(const hw_oldest *oldest, int64_t ended_ns) {
    return oldest->n < oldest->most || (oldest->n && ended_ns < oldest->tasks[oldest->n - 1].ended_ns);
}

static void hw_add_older(hw_oldest *oldest, hw_passed task) {
    uint32_t at;
    if (!hw_is_older(oldest, task.ended_ns)) return;
    if (oldest->n < oldest->most) oldest->n++;
    for (at = oldest->n - 1; at > 0 && oldest->tasks[at - 1].ended_ns > task.ended_ns; at--)
        oldest->tasks[at] = oldest->tasks[at - 1];
    oldest->tasks[at] = task;
}

/* What a walk looks for. */
typedef enum hw_sought {
    HW_OWNED,     /* open tasks of this process */
    HW_ABANDONED, /* tasks that are lost, but not written as lost */
    HW_FINISHED,  /* tasks that have ended, of which the history does not have the last count; `oldest` has them */
    HW_KEPT       /* tasks that have ended, and that the history has as they are; as above */
} hw_sought;

typedef struct hw_walk {
    hw_sought sought;
    uint32_t next; /* the slot to go on with; the capacity: the walk is over */
    uint32_t n;    /* found in this stretch */
    uint32_t part, parts; /* only the slots of one of so many parts; 0: of all */
    hw_passed found[HW_STRETCH];
    hw_oldest oldest;
    hw_asked asked;
} hw_walk;

/* Look at the next slots. */
static void hw_go_on(hw_board *board, hw_walk *walk) {
    uint32_t end = board->capacity - walk->next > HW_STRETCH ? walk->next + HW_STRETCH : board->capacity;
    walk->n = 0;
    for (; walk->next < end; walk->next++) {
        char *slot = hw_slot(board, walk->next);
        hw_status status;
        hw_passed task;
        int found = 0;
        if (walk->parts && walk->next / HW_PART % walk->parts != walk->part) continue;
        task.index = walk->next;
        task.generation = hw_load(&hw_control_of(slot)->generation);
        if (!(task.generation & 1) || hw_read_numbers(slot, &status) != HW_OK) continue;
        task.owner = status.owner;
        task.ended_ns = status.ended_ns;
        if (walk->sought == HW_OWNED) found = status.owner == hw_me(board) && !hw_ended(status.state);
        if (walk->sought == HW_ABANDONED)
            found = !hw_final(status.state) && hw_state_of(board, &walk->asked, slot, &status) == HW_LOST_STATE;
        if (found) walk->found[walk->n++] = task;
        if (walk->sought >= HW_FINISHED && hw_final(status.state) && hw_is_older(&walk->oldest, task.ended_ns) &&
            hw_is_archived(board, slot) == (walk->sought == HW_KEPT))
            hw_add_older(&walk->oldest, task);
    }
}

#endif
