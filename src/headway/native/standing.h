/* standing.h - how the tasks of a board stand, as one number: a glance that takes a tenth of the time of a copy. */
#ifndef HEADWAY_STANDING_H
#define HEADWAY_STANDING_H

#include "copy.h"

typedef struct hw_glance {
    uint64_t standing;
} hw_glance;

/* A number that differs from an earlier one if in between a task came, went or was started anew, if a status or a
 * result was written, or if a task is lost now, or is no longer. It does not depend on counts.
 *
 * Each slot is read on its own, without a lock. Who acts on what it read before has to take the number first: a change
 * that comes after a slot was looked at changes the next number. A result's number is loaded with acquire before the
 * status, as in a copy; a status that was written between the two loads of its latch is noted by a number of its own,
 * so that the next glance differs. */
static void hw_glance_at(hw_board *board, hw_glance *glance) {
    hw_asked asked;
    uint64_t mix = 0, now_ns = hw_clock_ns(CLOCK_MONOTONIC_COARSE);
    memset(&asked, 0, sizeof asked);
    for (uint32_t i = 0; i < board->capacity; i++) {
        char *slot = hw_slot(board, i);
        hw_control *control = hw_control_of(slot);
        uint64_t generation, result, seen, state;
        hw_status status;
        if (!hw_load(&board->hashes[i])) continue;
        generation = hw_load(&control->generation);
        if (!(generation & 1)) continue;
        result = hw_load(&control->result_seq);
        seen = hw_latch_begin(&control->status_seq);
        hw_load_numbers(&status, hw_status_of(slot, seen & 1));
        state = hw_latch_whole(&control->status_seq, seen)
                    ? hw_state_at(board, &asked, slot, &status, now_ns)
                    : HW_STATES;
        mix = hw_mix(mix, hw_mix(generation, i) ^ hw_mix(seen, result) ^ state << 56);
    }
    glance->standing = mix;
}

#endif
