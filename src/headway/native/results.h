/* results.h - the result of a task, which has its own latch. */
#ifndef HEADWAY_RESULTS_H
#define HEADWAY_RESULTS_H

#include "status.h"

/* Copy the result out: bytes into `json` (room for result_bytes), its length, the sequence it was read at. */
static int hw_read_result(hw_board *board, char *slot, char *json, uint32_t *bytes, uint64_t *seq) {
    const uint64_t *word = &hw_control_of(slot)->result_seq;
    for (int i = 0; i < HW_READ_TRIES; i++) {
        uint64_t seen = hw_latch_begin(word);
        char *from = hw_result_of(board, slot, seen & 1);
        uint64_t n = hw_load(from);
        if (n > board->result_bytes) n = 0; /* damage, or a copy being written: then it is read again */
        hw_load_words(json, from + 8, hw_align(n, 8));
        if (hw_latch_whole(word, seen)) {
            *bytes = (uint32_t)n;
            *seq = seen;
            return HW_OK;
        }
        if (i > 16) hw_pause();
    }
    return HW_TIMEOUT;
}

/* The same if writers never pause: under the slot lock, for which the caller has to be registered. */
static int hw_read_result_locked(hw_board *board, char *slot, char *json, uint32_t *bytes, uint64_t *seq,
                                 uint64_t deadline_ns) {
    int answer = hw_slot_lock(board, slot, deadline_ns);
    if (answer == HW_OK) {
        answer = hw_read_result(board, slot, json, bytes, seq);
        hw_slot_unlock(slot);
    }
    return answer;
}

/* Write a result; `json` is readable up to a multiple of eight bytes. With `expected`, only if the sequence is still
 * that one, else HW_EXISTS: another process wrote meanwhile. (Python merges results without holding a lock.) */
static int hw_write_result(hw_board *board, uint32_t index, uint64_t generation, const char *json, uint32_t bytes,
                           const uint64_t *expected, uint64_t deadline_ns) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    if (bytes > board->result_bytes) return HW_TOO_LARGE;
    if (hw_slot_lock(board, slot, deadline_ns) != HW_OK) return HW_TIMEOUT;
    int answer = hw_load(&control->generation) != generation ? HW_STALE
                 : expected && hw_peek(&control->result_seq) != *expected ? HW_EXISTS
                                                                           : HW_OK;
    if (answer == HW_OK) {
        hw_store(&control->archived, 0); /* as in hw_write */
        hw_store(&control->has_result, 1);
        for (int copy = 0; copy < 2; copy++) {
            char *to = hw_result_of(board, slot, copy);
            hw_latch_flip(&control->result_seq);
            hw_put(to, bytes);
            hw_store_words(to + 8, json, hw_align(bytes, 8));
        }
        __atomic_store_n(&control->beat_ns, hw_clock_ns(CLOCK_MONOTONIC_COARSE), __ATOMIC_RELAXED);
    }
    hw_slot_unlock(slot);
    return answer;
}

#endif
