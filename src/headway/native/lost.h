/* lost.h - is a task lost? One rule, which all ask: the states of handles, copies of a board, claims, evictions.
 *
 * A task is open from its creation until somebody says that it succeeded, failed or was cancelled. While it is open, its
 * state follows from who is alive, not from what was written:
 *
 *   somebody alive carries it     it reads as pending or running as written; written as lost, it reads as running
 *   nobody does                   it reads as lost, whether that was written or not
 *
 * "lost" on the board is therefore a note of the recorder, or of Board.reap, about the moment at which it looked, and not
 * a verdict. It can be overtaken: a forked child that counts by its parent's handle is seen by its counts alone, so that
 * one that pauses longer than HW_SHARED_GRACE_NS reads as lost; and a process can begin to count between that look and
 * the note. Whoever then read the note would start a second run of a task that goes on, or give its slot away.
 */
#ifndef HEADWAY_LOST_H
#define HEADWAY_LOST_H

#include "status.h"

#define HW_SHARED_GRACE_NS 5000000000ull

/* Answers of hw_dead, kept while one look at many tasks lasts: each is a system call, and few processes carry many tasks.
 * All zero at first. */
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

/* Does a live process other than this one count on the task, as far as that can be told from the stripes? */
static int hw_others(hw_board *board, char *slot) {
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t me = hw_me(board);
    for (int i = 0; i < HW_STRIPES; i++) {
        uint64_t worker = hw_load(&stripes[i].worker);
        if (worker != me && hw_alive(board, NULL, worker)) return 1;
    }
    return 0;
}

/* Is a stripe that several processes share still counted on? Who they are is not known, so neither is their death: for
 * this long after the last add they are taken for alive. */
static inline int hw_shared_alive(const hw_stripe *stripe, uint64_t now_ns) {
    uint64_t beat = hw_load(&stripe->beat_ns);
    return hw_load(&stripe->shared) == 1 && beat && now_ns < beat + HW_SHARED_GRACE_NS;
}

/* Does anyone alive carry the task: its owner, or a process that counts on it? `stripes` are the slot's own, or a copy;
 * bit i of `used`: stripe i was ever taken. */
static int hw_carried(hw_board *board, hw_asked *asked, uint64_t owner, const hw_stripe *stripes, uint64_t used,
                      uint64_t now_ns) {
    if (hw_alive(board, asked, owner)) return 1;
    for (int i = 0; i < HW_STRIPES; i++)
        if (used >> i & 1 && (hw_alive(board, asked, hw_load(&stripes[i].worker)) || hw_shared_alive(stripes + i, now_ns)))
            return 1;
    return 0;
}

/* Did somebody say that the task is over? */
static inline int hw_ended(uint64_t state) { return hw_final(state) && state != HW_LOST_STATE; }

/* The state as it reads. The rule at the head of this file; `carried` is asked of open tasks only. */
static uint64_t hw_state_read(hw_board *board, hw_asked *asked, const hw_status *status, const hw_stripe *stripes,
                              uint64_t used, uint64_t now_ns) {
    if (hw_ended(status->state)) return status->state;
    if (!hw_carried(board, asked, status->owner, stripes, used, now_ns)) return HW_LOST_STATE;
    return status->state == HW_LOST_STATE ? HW_RUNNING : status->state;
}

/* The same of a slot, by its stripes of this moment. */
static inline uint64_t hw_state_of(hw_board *board, hw_asked *asked, char *slot, const hw_status *status) {
    uint64_t used = hw_load(&hw_control_of(slot)->stripes_used);
    if (hw_ended(status->state)) return status->state; /* without a look at the clock */
    return hw_state_read(board, asked, status, hw_stripes_of(slot), used, hw_clock_ns(CLOCK_MONOTONIC_COARSE));
}

#endif
