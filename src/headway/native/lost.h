/* lost.h - is a task lost? The one rule for the states of handles, copies of a board, claims and evictions.
 *
 * A task is open from its creation until a process writes that it succeeded, failed or was cancelled. The state of an
 * open task depends on which processes are alive:
 *
 *   a live process carries it     it reads as written, pending or running; if it is written as lost, as running
 *   no live process does          it reads as lost, whether that is written or not
 *
 * So a written "lost" is only an observation that the recorder or Board.reap made at one moment. It can become wrong: a
 * forked child that counts with its parent's handle is known only by its counts, so if it pauses for longer than
 * HW_SHARED_GRACE_NS the task reads as lost; and a process can begin to count between the observation and the write. A
 * reader that trusted it would start a second run of a task that goes on, or give its slot away.
 */
#ifndef HEADWAY_LOST_H
#define HEADWAY_LOST_H

#include "status.h"

#define HW_SHARED_GRACE_NS 5000000000ull

/* A cache of hw_dead's answers for one pass over many tasks: each answer costs a system call, and a few processes carry
 * many tasks. All zero at first. */
#define HW_ASKED_PLACES 256
typedef struct hw_asked {
    uint64_t incarnation[HW_ASKED_PLACES];
    uint8_t alive[HW_ASKED_PLACES];
} hw_asked;

/* Is there a process of this incarnation, and is it alive? `asked` may be NULL: then the kernel is asked. */
static int hw_alive(hw_board *board, hw_asked *asked, uint64_t incarnation) {
    uint64_t place = incarnation % HW_ASKED_PLACES;
    if (!incarnation) return 0;
    if (!asked) return !hw_dead(board, incarnation);
    if (asked->incarnation[place] != incarnation) {
        asked->incarnation[place] = incarnation;
        asked->alive[place] = (uint8_t)!hw_dead(board, incarnation);
    }
    return asked->alive[place];
}

/* Does a live process other than this one count on the task, according to its stripes? */
static int hw_others(hw_board *board, char *slot) {
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t me = hw_me(board);
    for (int i = 0; i < HW_STRIPES; i++) {
        uint64_t worker = hw_load(&stripes[i].worker);
        if (worker != me && hw_alive(board, NULL, worker)) return 1;
    }
    return 0;
}

/* Is a stripe that several processes share still in use? It does not tell which processes these are, so they count as
 * alive until HW_SHARED_GRACE_NS after the last add. */
static inline int hw_shared_alive(const hw_stripe *stripe, uint64_t now_ns) {
    uint64_t beat = hw_load(&stripe->beat_ns);
    return hw_load(&stripe->shared) == 1 && beat && now_ns < beat + HW_SHARED_GRACE_NS;
}

/* Does a live process carry the task: its owner, or one that counts on it? `stripes` are the slot's own, or a copy;
 * bit i of `used`: stripe i was taken at some time. */
static int hw_carried(hw_board *board, hw_asked *asked, uint64_t owner, const hw_stripe *stripes, uint64_t used,
                      uint64_t now_ns) {
    if (hw_alive(board, asked, owner)) return 1;
    for (int i = 0; i < HW_STRIPES; i++)
        if (used >> i & 1
            && (hw_alive(board, asked, hw_load(&stripes[i].worker)) || hw_shared_alive(stripes + i, now_ns)))
            return 1;
    return 0;
}

/* Has the task ended, as written? */
static inline int hw_ended(uint64_t state) { return hw_final(state) && state != HW_LOST_STATE; }

/* The state as it reads, by the rule at the head of this file. `carried` matters for open tasks only. */
static uint64_t hw_state_read(hw_board *board, hw_asked *asked, const hw_status *status, const hw_stripe *stripes,
                              uint64_t used, uint64_t now_ns) {
    if (hw_ended(status->state)) return status->state;
    if (!hw_carried(board, asked, status->owner, stripes, used, now_ns)) return HW_LOST_STATE;
    return status->state == HW_LOST_STATE ? HW_RUNNING : status->state;
}

/* The same for a slot, by its stripes at this moment. */
static inline uint64_t hw_state_of(hw_board *board, hw_asked *asked, char *slot, const hw_status *status) {
    uint64_t used = hw_load(&hw_control_of(slot)->stripes_used);
    if (hw_ended(status->state)) return status->state; /* without reading the clock */
    return hw_state_read(board, asked, status, hw_stripes_of(slot), used, hw_clock_ns(CLOCK_MONOTONIC_COARSE));
}

#endif
