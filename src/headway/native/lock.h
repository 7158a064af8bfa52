/* lock.h - the two locks of a board. Both are an owner word that holds an incarnation; a dead owner loses it.
 *
 * The structural lock makes ids unique: claim, free, repair. Beside its owner word stands a named semaphore, which
 * only wakes. A semaphore alone would stay taken for ever when its holder is killed; here the CAS alone grants
 * ownership, with or without a token, so a token too few costs a waiter 20 ms and a token too many costs one look.
 * Incarnations never recur, so an owner word that was read cannot come alive between the look and the CAS.
 *
 *   acquire: 1 wait for a token, 20 ms at most        release: CAS owner me -> 0
 *            2 owner 0 or dead: CAS owner -> me                post a token if there is none
 *            3 if the owner was dead: repair, then go on
 *
 * A slot lock guards the status and the result of one slot. No semaphore: it is held for tens of nanoseconds.
 *
 * Order: the structural lock is never waited for while a slot lock is held; slot locks are only tried under the
 * structural lock. No file is touched and no Python runs under either.
 */
#ifndef HEADWAY_LOCK_H
#define HEADWAY_LOCK_H

#include "compat.h"
#include "identity.h"
#include "lists.h"

#define HW_TOKEN_WAIT_NS 20000000ull
#define HW_REST_NS 100000000ull /* a freed slot is not claimed again for so long, while there is another one */
#define HW_REST_LEAST_NS (HW_REST_NS / 10) /* and never sooner */

static inline void hw_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* The note of which task is about to be counted as gone, and in which state; never 0. */
static inline uint64_t hw_gone_note(uint32_t index, uint64_t generation, uint64_t state) {
    return (uint64_t)index << 44 | (generation << 4 & 0xffffffffff0ull) | (state + 1);
}

/* A process may have been killed after it counted a task as gone and before the slot was free. Then the count is
 * undone: the task still exists, and may go on or end otherwise before it loses its slot. `gone_before` belongs to the
 * note and is written again only after this. The note is cleared last, so that after a kill here the next process
 * repeats it. The numbers in the note may be damaged. */
static void hw_uncount_gone(hw_board *board) {
    hw_header *header = board->header;
    uint64_t note = hw_peek(&header->gone_note), index = note >> 44, state = (note & 15) - 1, generation;
    if (index >= board->capacity || state >= HW_STATES) return;
    generation = hw_load(&hw_control_of(hw_slot(board, (uint32_t)index))->generation);
    if (!(generation & 1) || note != hw_gone_note((uint32_t)index, generation, state)) return;
    hw_store(&header->gone[state], hw_peek(&header->gone_before));
    HW_STEP("uncounted");
    hw_store(&header->gone_note, 0);
}

/* After a dead holder: make the hashes agree with the generations, and the lists with the hashes, and correct the count of
 * tasks that are gone. */
static void hw_repair(hw_board *board) {
    for (uint32_t i = 0; i < board->capacity; i++) {
        char *slot = hw_slot(board, i);
        int live = hw_load(&hw_control_of(slot)->generation) & 1;
        uint64_t hash = hw_peek(&board->hashes[i]);
        HW_STEP("repair");
        if (!live && hash) hw_store(&board->hashes[i], 0);
        if (live && !hash) {
            char id[HW_ID_BYTES];
            hw_load_words(id, hw_identity_of(slot)->id, sizeof id);
            id[sizeof id - 1] = 0;
            hw_store(&board->hashes[i], hw_hash(id, strlen(id)));
        }
    }
    hw_make_lists(board);
    hw_uncount_gone(board);
    __atomic_fetch_add(&board->header->repairs, 1, __ATOMIC_RELAXED); /* relaxed: for people */
}

/* Take the structural lock. HW_OK or HW_TIMEOUT; the caller must be registered. A signal may arrive at any place: an
 * interrupted wait counts as a wait without a token. */
static int hw_lock(hw_board *board, uint64_t deadline_ns) {
    hw_header *header = board->header;
    uint64_t me = hw_me(board);
    if (!me) return HW_SYSTEM;
    for (;;) {
        uint64_t seen, now = hw_clock_ns(CLOCK_MONOTONIC);
        /* Jitter, so that processes that wait for a dead holder do not all look at the same moment. */
        uint64_t until = now + HW_TOKEN_WAIT_NS - (now ^ me * 0x9e3779b97f4a7c15ull) % (HW_TOKEN_WAIT_NS / 4);
        if (until > deadline_ns) until = deadline_ns;
        if (board->semaphore) {
            hw_wait_for_token(board->semaphore, until);
        } else if (hw_peek(&header->lock_owner)) {
            hw_nap(1000000);
        }
        HW_STEP("token");
        seen = hw_load(&header->lock_owner);
        if ((seen == 0 || hw_dead(board, seen)) && hw_cas(&header->lock_owner, seen, me)) {
            HW_STEP("owner");
            __atomic_store_n(&header->lock_pid, hw_pid(board), __ATOMIC_RELAXED); /* relaxed: for people */
            if (seen) hw_repair(board);
            return HW_OK;
        }
        if (hw_clock_ns(CLOCK_MONOTONIC) >= deadline_ns) return HW_TIMEOUT;
    }
}

static void hw_unlock(hw_board *board) {
    int value = 0;
    HW_STEP("unlock");
    hw_cas(&board->header->lock_owner, hw_me(board), 0); /* release: the next owner sees all that was done */
    HW_STEP("unlocked");
    if (board->semaphore && sem_getvalue(board->semaphore, &value) == 0 && value < 1) sem_post(board->semaphore);
}

/* Make a semaphore of one token, for this user only (less the umask). -1 with errno; EEXIST if there is one. */
static int hw_make_semaphore(const char *name) {
    sem_t *semaphore;
    int covered[3];
    hw_cover(covered);
    semaphore = sem_open(name, O_CREAT | O_EXCL, 0600, 1);
    hw_uncover(covered);
    return semaphore == SEM_FAILED ? -1 : sem_close(semaphore);
}

/* ------------------------------------------------------------------------------------------------- slot locks */

/* After a dead holder: repair both latches, so that the next write starts from equal copies. */
static void hw_mend(hw_board *board, char *slot) {
    hw_control *control = hw_control_of(slot);
    hw_latch_mend(&control->status_seq, hw_status_of(slot, 0), hw_status_of(slot, 1), sizeof(hw_status));
    hw_latch_mend(&control->result_seq, hw_result_of(board, slot, 0), hw_result_of(board, slot, 1),
                  board->result_stride);
}

static inline void hw_slot_taken(hw_board *board, hw_control *control) {
    HW_STEP("slot lock");
    __atomic_store_n(&control->lock_pid, hw_pid(board), __ATOMIC_RELAXED); /* relaxed: for people */
}

/* Does somebody have a slot lock, who is not dead? Another thread of this process counts, too. A look only. */
static inline int hw_slot_held(hw_board *board, char *slot) {
    uint64_t seen = hw_peek(&hw_control_of(slot)->lock);
    return seen && (seen == hw_me(board) || !hw_dead(board, seen));
}

/* Try once to take a slot lock; a holder that the kernel says is dead loses it. HW_OK or HW_TIMEOUT. */
static int hw_slot_try(hw_board *board, char *slot) {
    hw_control *control = hw_control_of(slot);
    uint64_t seen = hw_peek(&control->lock), me = hw_me(board);
    if (!me) return HW_TIMEOUT; /* not registered: 0 in the word would mean that it is free */
    if (seen && (seen == me || !hw_dead(board, seen))) return HW_TIMEOUT;
    if (!hw_cas(&control->lock, seen, me)) return HW_TIMEOUT;
    hw_slot_taken(board, control);
    if (seen) hw_mend(board, slot);
    return HW_OK;
}

/* Take a slot lock: spin, then yield, then nap and ask whether the holder is dead. HW_OK or HW_TIMEOUT. */
static int hw_slot_lock(hw_board *board, char *slot, uint64_t deadline_ns) {
    hw_control *control = hw_control_of(slot);
    uint64_t me = hw_me(board), nap = 20000;
    for (int i = 0; i < 200; i++) {
        if (me && !hw_peek(&control->lock) && hw_cas(&control->lock, 0, me)) {
            hw_slot_taken(board, control);
            return HW_OK;
        }
        if (i < 100) hw_pause();
        else sched_yield();
    }
    for (;;) {
        if (hw_slot_try(board, slot) == HW_OK) return HW_OK;
        if (hw_clock_ns(CLOCK_MONOTONIC) >= deadline_ns) return HW_TIMEOUT;
        hw_nap(nap);
        if (nap < 1000000) nap *= 2;
    }
}

static inline void hw_slot_unlock(char *slot) {
    HW_STEP("slot unlock");
    hw_store(&hw_control_of(slot)->lock, 0); /* release: the next holder sees both copies equal */
}

#endif
