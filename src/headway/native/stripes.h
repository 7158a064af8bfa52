/* stripes.h - the counters of a task: which process has which, the counts of dead workers, and the sum of all; and how
 * they are closed before the task loses its slot.
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
 * hw_fill has set the words to that tag and zero. A reader that adds up words of both tags therefore has to look at the
 * generation after it.
 */
#ifndef HEADWAY_STRIPES_H
#define HEADWAY_STRIPES_H

#include "clock.h" /* first: it defines _GNU_SOURCE */

#include "lock.h"

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

/* Before the first count: see the fence of hw_bind. */
static inline void hw_use_stripe(hw_control *control, ptrdiff_t stripe) {
    __atomic_fetch_or(&control->stripes_used, (uint64_t)1 << stripe, __ATOMIC_ACQ_REL);
}

/* Take a stripe that is free, or whose worker is dead. Under the slot lock, so that the slot cannot get a new task
 * meanwhile. NULL if live processes have all of them. */
static hw_stripe *hw_take_stripe(hw_board *board, char *slot) {
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t me = hw_me(board);
    enum { NEW, LEFT, DEAD }; /* LEFT still names its last worker, so it is taken only if there is no NEW one */
    for (int kind = NEW; kind <= DEAD; kind++) {
        for (int i = 0; i < HW_STRIPES; i++) {
            hw_stripe *stripe = stripes + (me + (uint64_t)i) % HW_STRIPES;
            uint64_t worker = hw_load(&stripe->worker);
            if (kind == DEAD ? !hw_dead(board, worker) : worker != 0) continue;
            if (kind == NEW && hw_load(&stripe->base_of)) continue;
            if (worker) hw_remember_lost(slot, stripe, worker);
            hw_use_stripe(hw_control_of(slot), stripe - stripes);
            hw_store(&stripe->worker, me);
            HW_STEP("stripe");
            hw_store(&stripe->pid, hw_pid(board));
            hw_store(&stripe->base, (uint64_t)hw_count_of(hw_load(&stripe->count)));
            hw_store(&stripe->beat_ns, hw_clock_ns(CLOCK_MONOTONIC_COARSE));
            hw_store(&stripe->base_of, me); /* release: base and pid are ours from here on */
            return stripe;
        }
    }
    return NULL;
}

/* The tag of words that are sealed. */
static inline uint64_t hw_tag_after(uint64_t tag) { return (tag + 1) & 0xffff; }

/* Is this word a count of the task of that tag, sealed or not? Then look at the generation once more afterwards. */
static inline int hw_counts_for(uint64_t word, uint64_t tag) {
    return word >> HW_TAG_SHIFT == tag || word >> HW_TAG_SHIFT == hw_tag_after(tag);
}

/* The count of a task: the sum of its stripes. If no lock is held, look at the generation once more afterwards. */
static int64_t hw_total_count(char *slot, uint64_t tag) {
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t used = hw_load(&hw_control_of(slot)->stripes_used) & (((uint64_t)1 << HW_STRIPES) - 1);
    uint64_t sum = 0; /* unsigned: damaged words wrap around */
    for (; used; used &= used - 1) { /* the lowest bit first */
        uint64_t word = hw_load(&stripes[__builtin_ctzll(used)].count);
        if (hw_counts_for(word, tag)) sum += (uint64_t)hw_count_of(word);
    }
    return (int64_t)sum;
}

/* Have the stripes of the task take no more counts, and return its last count. Under the slot lock, under which alone a
 * tag changes. All stripes, not only those in use: a process that shares one notes so without the lock. `sealed` says
 * that it has begun before the first word changes, so that hw_unseal need not look at the words of each task; and that
 * it is done after the last. */
static int64_t hw_seal(char *slot) {
    hw_control *control = hw_control_of(slot);
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t generation = hw_peek(&control->generation), tag = hw_tag(generation);
    if (hw_peek(&control->sealed) != generation) {
        hw_store(&control->sealed, generation + 1);
        for (int i = 0; i < HW_STRIPES; i++) {
            HW_STEP("seal");
            /* Acquire: the bit of a stripe is seen that a count in the sum came with (hw_bind). */
            if (hw_load(&stripes[i].count) >> HW_TAG_SHIFT == tag)
                __atomic_fetch_add(&stripes[i].count, (uint64_t)1 << HW_TAG_SHIFT, __ATOMIC_ACQUIRE);
        }
        hw_store(&control->sealed, generation);
    }
    HW_STEP("sealed");
    return hw_total_count(slot, tag);
}

/* Open all stripes of a task whose sealing was begun. Nobody else changes words that are sealed. */
static void hw_open_stripes(hw_control *control, hw_stripe *stripes, uint64_t generation) {
    uint64_t tag = hw_tag(generation);
    hw_store(&control->sealed, generation + 1); /* until the last word: after a kill in between it is not forgotten */
    for (int i = 0; i < HW_STRIPES; i++) {
        uint64_t word = hw_peek(&stripes[i].count);
        HW_STEP("unseal");
        if (word >> HW_TAG_SHIFT == hw_tag_after(tag))
            hw_store(&stripes[i].count, tag << HW_TAG_SHIFT | (word & HW_COUNT_MASK));
    }
    hw_store(&control->sealed, 0);
}

/* Have the stripes take counts again. Under the slot lock. Each status write comes by here: `sealed` is 0, or of an earlier
 * task, if there is nothing to do, also for the first task of a slot. */
static inline void hw_unseal(char *slot) {
    hw_control *control = hw_control_of(slot);
    uint64_t generation = hw_peek(&control->generation);
    if (HW_UNLIKELY(hw_peek(&control->sealed) - generation <= 1))
        hw_open_stripes(control, hw_stripes_of(slot), generation);
}

/* Give this process a stripe of a task: its own, a free one, or a dead worker's. Otherwise, and if the slot lock
 * cannot be had before the deadline, a shared one: counting must hardly wait. */
static int hw_bind(hw_board *board, hw_task *task, uint32_t index, uint64_t generation, uint64_t deadline_ns) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    hw_stripe *stripes = hw_stripes_of(slot), *mine = NULL;
    uint64_t me = hw_me(board);
    if (!me) return HW_UNBOUND;
    if (hw_load(&control->generation) != generation) return HW_STALE;
    for (int i = 0; i < HW_STRIPES && !mine; i++)
        if (hw_load(&stripes[i].worker) == me) mine = stripes + i;
    if (!mine && hw_slot_lock(board, slot, deadline_ns) == HW_OK) {
        int stale = hw_load(&control->generation) != generation;
        if (!stale && !hw_ended(hw_peek(&hw_status_of(slot, 0)->state))) hw_unseal(slot);
        if (!stale) mine = hw_take_stripe(board, slot);
        hw_slot_unlock(slot);
        if (stale) return HW_STALE;
        if (mine) hw_hold(board, index, (uint32_t)(mine - stripes), generation);
    }
    if (!mine) {
        mine = stripes + me % HW_STRIPES;
        hw_use_stripe(control, mine - stripes);
        hw_store(&mine->shared, 1);
    }
    /* Who sees a count of this process, sees that the stripe is its own, and its bit. The counts to come are relaxed, and
     * the store of one could overtake the stores above, releases though they are. Partners: hw_seal, whose sum has to be
     * complete, and hw_copy_stripe, which would give the count to who had the stripe before. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    task->stripe = mine;
    task->identity = board->page;
    task->worker = me;
    task->tag = hw_tag(generation);
    task->clock = hw_clock;
    return HW_OK;
}

/* Does the history have the task, but for counts that came after it was archived? Under the slot lock it is sure: a
 * copy that could replace its row clears the mark first (hw_begin_archive). */
static inline int hw_is_noted(char *slot) {
    return hw_load(&hw_control_of(slot)->archived) == hw_load(&hw_control_of(slot)->generation);
}

/* Does the history have the task as it is, including counts that came after its end? Final only if it is sealed. */
static int hw_is_archived(char *slot) {
    hw_control *control = hw_control_of(slot);
    /* `archived` first, with acquire: the count of that archive was written before. */
    return hw_is_noted(slot)
           && (int64_t)hw_load(&control->archived_count) == hw_total_count(slot, hw_tag(hw_load(&control->generation)));
}

#endif
