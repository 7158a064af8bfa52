/* find.h - find the slot of a task by its id, without a lock. */
#ifndef HEADWAY_FIND_H
#define HEADWAY_FIND_H

#include "lock.h"

/* Does this live slot hold the id? Its generation, or 0. */
static uint64_t hw_holds(hw_board *board, uint32_t index, const hw_identity *want, uint64_t *serial) {
    char *slot = hw_slot(board, index);
    const uint64_t *generation = &hw_control_of(slot)->generation;
    uint64_t seen = hw_load(generation), number;
    char id[HW_ID_BYTES];
    if (!(seen & 1)) return 0;
    hw_load_text(id, hw_identity_of(slot)->id, HW_ID_BYTES);
    number = hw_load(&hw_identity_of(slot)->serial);
    /* Acquire: "gone" decides, together with `frees`, which is read after it. The words were loaded before it. */
    if (hw_load(generation) != seen) return 0;
    if (strncmp(id, want->id, HW_ID_BYTES) != 0) return 0;
    *serial = number;
    return seen;
}

/* The first slot from `i` on that has this hash, else `capacity`. Acquire: before `frees` is read again. It
 * compares four at a time, with one branch, as this loop is most of a search. A test build compares each in a
 * step of its own. */
static inline uint32_t hw_next_of(const uint64_t *hashes, uint32_t capacity, uint32_t i, uint64_t hash) {
#ifndef HW_HOOKS
    for (; i + 4 <= capacity; i += 4)
        if (HW_UNLIKELY((hw_load(hashes + i) == hash) | (hw_load(hashes + i + 1) == hash) |
                        (hw_load(hashes + i + 2) == hash) | (hw_load(hashes + i + 3) == hash)))
            break;
#endif
    for (; i < capacity; i++) {
        HW_STEP("looked");
        if (hw_load(hashes + i) == hash) break;
    }
    return i;
}

/* Find a task by id, without a lock. HW_OK with slot and generation, or HW_ABSENT. */
static int hw_find(hw_board *board, const hw_identity *want, uint64_t hash, uint32_t *index, uint64_t *generation) {
    for (int tries = 0; tries < 8; tries++) {
        uint64_t frees = hw_load(&board->header->frees), best = 0;
        int found = 0;
        for (uint32_t i = 0; (i = hw_next_of(board->hashes, board->capacity, i, hash)) < board->capacity; i++) {
            uint64_t serial, seen = hw_holds(board, i, want, &serial);
            if (!seen || (found && serial < best)) continue;
            best = serial;
            *index = i;
            *generation = seen;
            found = 1;
        }
        if (found) return HW_OK;
        /* A task that started anew may have moved to a slot already searched: it is published before `frees` is
         * raised, and that before the old one was freed. */
        if (hw_load(&board->header->frees) == frees) return HW_ABSENT;
    }
    return HW_ABSENT;
}

#endif
