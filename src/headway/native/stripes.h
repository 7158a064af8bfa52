/* stripes.h - the counters of a task: their sum, the counts of dead workers, and how they are closed before the task loses
 * its slot. A task has those of its slot, and blocks of more (blocks.h). How a process gets one: bind.h.
 *
 * What a process was told is counted must not disappear with the slot. A worker may count on after its task has ended,
 * at any moment, without a lock. So who frees a slot first closes the counters, and only then adds them up:
 *
 *   seal      each count word gets the next tag, by one atomic add of its upper bits (hw_seal). From then on hw_count
 *             answers HW_STALE, and the word does not change any more. An add is before it, and is in the sum, or after
 *             it, and is refused: there is nothing in between, because both are one change of the same word.
 *   compare   the sum is final now. If the history has it (archived_count), the slot is free to go. If not, it stays,
 *             sealed, until somebody has archived that sum (HW_UNARCHIVED): once, because it can no longer change.
 *
 * Both happen under the slot lock. A kill leaves a task of which some stripes or all are sealed: it is on the board, its
 * sum is right, and the next one who wants the slot goes on. A task that is open again is unsealed under the same lock
 * (hw_unseal): by the write that resumes it, or by a process that begins to count on it.
 *
 * The next tag is that of the next task in this slot. No handle has it before that task is published, and until then
 * hw_fill has set the words to that tag and zero; for a block the same holds of its own generation, and hw_fill_block. So
 * the blocks of a task that has ended are taken back (pool.h) only when they are sealed, and its count is final. A
 * reader that adds up words of both tags therefore has to look at the slot's generation after it.
 */
#ifndef HEADWAY_STRIPES_H
#define HEADWAY_STRIPES_H

#include "clock.h" /* first: it defines _GNU_SOURCE */

#include "blocks.h"

/* Is this dead worker noted already? The process that noted it may have been killed before it took the stripe. */
static int hw_is_remembered(char *slot, uint64_t worker) {
    uint64_t n = hw_load(&hw_control_of(slot)->lost_count);
    for (uint64_t i = 0; i < n && i < HW_LOST; i++)
        if (hw_load(&hw_lost_of(slot)[i].worker) == worker) return 1;
    return 0;
}

/* What a worker counted on a stripe. Unsigned, so that damaged words wrap around without undefined behaviour. */
static inline int64_t hw_share(uint64_t count, int64_t base) {
    return (int64_t)((uint64_t)hw_count_of(count) - (uint64_t)base);
}

/* Note the dead worker of a stripe that is about to be taken over. Called under the slot lock. */
static void hw_remember_lost(char *slot, hw_stripe *stripe, uint64_t worker) {
    hw_control *control = hw_control_of(slot);
    uint64_t n = hw_peek(&control->lost_count);
    hw_lost lost;
    if (hw_is_remembered(slot, worker)) return;
    if (n < HW_LOST) {
        int known = hw_load(&stripe->base_of) == worker && !hw_load(&stripe->shared);
        lost.worker = worker;
        lost.pid = hw_load(&stripe->base_of) == worker ? hw_load(&stripe->pid) : 0;
        lost.beat_ns = hw_load(&stripe->beat_ns);
        lost.share = known ? hw_share(hw_load(&stripe->count), (int64_t)hw_load(&stripe->base)) : INT64_MIN;
        hw_store_words(hw_lost_of(slot) + n, &lost, sizeof lost);
    }
    HW_STEP("lost");
    hw_store(&control->lost_count, n + 1); /* publishes the entry */
    HW_STEP("remembered");
}

#define HW_SUMS 64

/* As hw_total_count, for a task that has blocks, or had. It adds up once more where they were taken back meanwhile: that
 * does not happen twice, unless the task was resumed and ended in between, or the segment is damaged. */
static HW_APART int64_t hw_count_with_blocks(hw_board *board, char *slot, uint64_t generation) {
    uint64_t sum = 0;
    for (int i = 0; i < HW_SUMS; i++) {
        hw_counters it = hw_counters_of(board, slot, generation, 0);
        hw_stripe *stripe;
        sum = hw_folded(&it, slot);
        while ((stripe = hw_next_stripe(&it)) != NULL) {
            uint64_t word = hw_load(&stripe->count);
            if (hw_counts_for(word, it.tag)) sum += (uint64_t)hw_count_of(word);
        }
        if (HW_LIKELY(hw_kept_blocks(&it, slot))) break;
    }
    return (int64_t)sum;
}

/* The count of a task: the sum of its stripes. If no lock is held, look at the generation once more afterwards. */
static inline __attribute__((always_inline)) int64_t hw_total_count(hw_board *board, char *slot, uint64_t generation) {
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t used = hw_load(&hw_control_of(slot)->stripes_used), tag = hw_tag(generation);
    uint64_t sum = 0; /* unsigned: damaged words wrap around */
    if (HW_UNLIKELY(used >> HW_STRIPES)) return hw_count_with_blocks(board, slot, generation);
    for (used &= HW_ALL_OF_SLOT; used; used &= used - 1) { /* the lowest bit first */
        uint64_t word = hw_load(&stripes[__builtin_ctzll(used)].count);
        if (hw_counts_for(word, tag)) sum += (uint64_t)hw_count_of(word);
    }
    return (int64_t)sum;
}

/* Have the stripes of the task take no more counts, and return its last count. Under the slot lock, under which alone a
 * tag changes. All stripes, not only those in use: a process that shares one notes so without the lock. `sealed` says
 * that it has begun before the first word changes, so that hw_unseal need not look at the words of each task, and a block
 * that is linked from then on comes with sealed ones; and that it is done after the last. */
static int64_t hw_seal(hw_board *board, char *slot) {
    hw_control *control = hw_control_of(slot);
    uint64_t generation = hw_peek(&control->generation);
    if (hw_peek(&control->sealed) != generation) {
        hw_counters it = hw_counters_of(board, slot, generation, 1);
        hw_stripe *stripe;
        hw_store(&control->sealed, generation + 1);
        while ((stripe = hw_next_stripe(&it)) != NULL) {
            HW_STEP("seal");
            /* Acquire: the bit of a stripe is seen that a count in the sum came with (hw_bind). */
            if (hw_load(&stripe->count) >> HW_TAG_SHIFT == it.tag)
                __atomic_fetch_add(&stripe->count, (uint64_t)1 << HW_TAG_SHIFT, __ATOMIC_ACQUIRE);
        }
        hw_store(&control->sealed, generation);
    }
    HW_STEP("sealed");
    return hw_total_count(board, slot, generation);
}

/* Open all stripes of a task whose sealing was begun. Nobody else changes words that are sealed. */
static HW_APART void hw_open_stripes(hw_board *board, char *slot, uint64_t generation) {
    hw_control *control = hw_control_of(slot);
    hw_counters it = hw_counters_of(board, slot, generation, 1);
    hw_stripe *stripe;
    hw_store(&control->sealed, generation + 1); /* until the last word: after a kill in between it is not forgotten */
    while ((stripe = hw_next_stripe(&it)) != NULL) {
        uint64_t word = hw_peek(&stripe->count);
        HW_STEP("unseal");
        if (word >> HW_TAG_SHIFT == hw_tag_after(it.tag))
            hw_store(&stripe->count, it.tag << HW_TAG_SHIFT | (word & HW_COUNT_MASK));
    }
    hw_store(&control->sealed, 0);
}

/* Have the stripes take counts again. Under the slot lock. Each status write comes by here: `sealed` is 0, or of an earlier
 * task, if there is nothing to do, also for the first task of a slot. */
static inline void hw_unseal(hw_board *board, char *slot) {
    hw_control *control = hw_control_of(slot);
    uint64_t generation = hw_peek(&control->generation);
    if (HW_UNLIKELY(hw_peek(&control->sealed) - generation <= 1)) hw_open_stripes(board, slot, generation);
}

/* Does the history have the task, but for counts that came after it was archived? Under the slot lock it is sure: a
 * copy that could replace its row clears the mark first (hw_begin_archive). */
static inline int hw_is_noted(char *slot) {
    return hw_load(&hw_control_of(slot)->archived) == hw_load(&hw_control_of(slot)->generation);
}

/* Does the history have the task as it is, including counts that came after its end? Final only if it is sealed. */
static int hw_is_archived(hw_board *board, char *slot) {
    hw_control *control = hw_control_of(slot);
    /* `archived` first, with acquire: the count of that archive was written before. */
    return hw_is_noted(slot)
           && (int64_t)hw_load(&control->archived_count) == hw_total_count(board, slot, hw_load(&control->generation));
}

#endif
