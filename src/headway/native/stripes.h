/* stripes.h - the counters of a task: which process has which, the counts of dead workers, and the sum of all; and how
 * they are closed before the task loses its slot. A task has those of its slot, and blocks of more (blocks.h).
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
 * hw_fill has set the words to that tag and zero; for a block the same holds of its own generation, and hw_fill_block. A
 * reader that adds up words of both tags therefore has to look at the slot's generation after it.
 */
#ifndef HEADWAY_STRIPES_H
#define HEADWAY_STRIPES_H

#include "clock.h" /* first: it defines _GNU_SOURCE */

#include "blocks.h"
#include "durations.h"

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

/* Note the dead worker of a stripe that is about to be taken over, and what it had in hand. `tag`: of the stripe. Called
 * under the slot lock. */
static void hw_remember_lost(char *slot, hw_stripe *stripe, uint64_t worker, uint64_t tag) {
    hw_control *control = hw_control_of(slot);
    uint64_t n = hw_peek(&control->lost_count);
    hw_lost lost;
    if (hw_is_remembered(slot, worker)) return;
    if (n < HW_LOST) {
        int known = hw_load(&stripe->base_of) == worker && !hw_load(&stripe->shared);
        hw_in_hand item;
        memset(&lost, 0, sizeof lost);
        lost.worker = worker;
        lost.pid = hw_load(&stripe->base_of) == worker ? hw_load(&stripe->pid) : 0;
        lost.beat_ns = hw_load(&stripe->beat_ns);
        lost.share = known ? hw_share(hw_load(&stripe->count), (int64_t)hw_load(&stripe->base)) : INT64_MIN;
        hw_load_item(&item, &stripe->name, &stripe->item, tag);
        if (item.name && known) {
            lost.item_ns = hw_taken_up(&item, lost.beat_ns);
            hw_tell_item(lost.item, &item);
        }
        hw_store_words(hw_lost_of(slot) + n, &lost, sizeof lost);
    }
    HW_STEP("lost");
    hw_store(&control->lost_count, n + 1); /* publishes the entry */
    HW_STEP("remembered");
}

/* Before the first count: see the fence of hw_bind. `used`: of the slot, or of a block. */
static inline void hw_use_stripe(uint64_t *used, uint32_t stripe) {
    __atomic_fetch_or(used, (uint64_t)1 << stripe, __ATOMIC_ACQ_REL);
}

/* A counter as a process has it: number as of hw_stripe_at, and the tag of its counts. */
typedef struct hw_mine {
    hw_stripe *stripe; /* NULL = none */
    uint32_t number;
    uint64_t tag;
} hw_mine;

/* The stripe so many of the slot, or of a block. */
static hw_mine hw_mine_of(const hw_board *board, char *slot, hw_block *block, uint32_t at, uint64_t tag) {
    hw_mine mine;
    mine.stripe = (block ? block->stripe : hw_stripes_of(slot)) + at;
    mine.number = block ? HW_STRIPES + (uint32_t)(block - board->pool) * HW_BLOCK_STRIPES + at : at;
    mine.tag = tag;
    return mine;
}

/* The stripe that `it` has just come to. */
static hw_mine hw_mine_at(const hw_counters *it, char *slot, hw_stripe *stripe) {
    return hw_mine_of(it->board, slot, it->block, (uint32_t)(stripe - it->stripes), it->tag);
}

/* Write whose a stripe is. Under the slot lock, so that the slot cannot get a new task meanwhile. */
static void hw_take_stripe(hw_board *board, char *slot, hw_block *block, uint32_t at) {
    hw_stripe *stripe = (block ? block->stripe : hw_stripes_of(slot)) + at;
    uint64_t me = hw_me(board);
    hw_use_stripe(block ? &block->used : &hw_control_of(slot)->stripes_used, at);
    hw_store(&stripe->name, 0); /* of who had it before; a reader that sees it gone looks for whose it was */
    HW_STEP("item cleared");
    hw_store(&stripe->worker, me);
    HW_STEP("stripe");
    hw_store(&stripe->pid, hw_pid(board));
    hw_store(&stripe->base, (uint64_t)hw_count_of(hw_load(&stripe->count)));
    hw_store(&stripe->beat_ns, hw_clock_ns(CLOCK_MONOTONIC_COARSE));
    hw_store(&stripe->base_of, me); /* release: base and pid are ours from here on */
}

/* Take a stripe that nobody has: a new one; else one that was given back, which still names its last worker; else the
 * first of one more block. Under the slot lock, which is held for some stores: who is alive is not asked here. None if
 * the task has as many as it can have, or the pool is used up. */
static hw_mine hw_take_free(hw_board *board, char *slot, uint64_t generation) {
    hw_stripe *stripes = hw_stripes_of(slot), *stripe;
    uint64_t used = hw_load(&hw_control_of(slot)->stripes_used), me = hw_me(board);
    hw_counters it = hw_counters_of(board, slot, generation, 0);
    hw_mine mine = {NULL, 0, 0};
    hw_block *block = hw_linked(board, it.link, it.task); /* when it was linked, the others had no new ones left */
    uint64_t used_there = block ? hw_load(&block->used) & HW_ALL_OF_BLOCK : HW_ALL_OF_BLOCK;
    for (int left = 0; left <= (used_there == HW_ALL_OF_BLOCK); left++) {
        for (uint32_t i = 0; i < HW_STRIPES; i++) {
            uint32_t at = (uint32_t)((me + i) % HW_STRIPES);
            if (left ? hw_load(&stripes[at].worker) : used >> at & 1) continue;
            hw_take_stripe(board, slot, NULL, at);
            return hw_mine_of(board, slot, NULL, at, it.tag);
        }
    }
    it.left = 0;
    while (used_there == HW_ALL_OF_BLOCK && (stripe = hw_next_stripe(&it)) != NULL) {
        if (hw_load(&stripe->worker)) continue;
        hw_take_stripe(board, slot, it.block, (uint32_t)(stripe - it.stripes));
        return hw_mine_at(&it, slot, stripe);
    }
    if (used_there == HW_ALL_OF_BLOCK) {
        block = hw_link(board, slot, generation);
        used_there = 0;
    }
    if (!block) return mine;
    mine = hw_mine_of(board, slot, block, (uint32_t)__builtin_ctzll(~used_there), hw_tag(hw_peek(&block->generation)));
    hw_take_stripe(board, slot, block, (uint32_t)(mine.stripe - block->stripe));
    return mine;
}

/* Take the stripe of a dead worker. The kernel is asked without the lock: for hundreds that takes a millisecond,
 * and whoever is found dead stays dead. */
static hw_mine hw_take_dead(hw_board *board, char *slot, uint64_t generation, uint64_t deadline_ns) {
    hw_counters it = hw_counters_of(board, slot, generation, 0);
    hw_stripe *stripe;
    hw_mine none = {NULL, 0, 0};
    while ((stripe = hw_next_stripe(&it)) != NULL) {
        uint64_t worker = hw_load(&stripe->worker);
        int is_ours;
        if (!hw_dead(board, worker)) continue;
        if (hw_slot_lock(board, slot, deadline_ns) != HW_OK) break;
        /* Under the lock the task keeps its blocks. The tag of a block is that of before: it has not been lent since. */
        is_ours = hw_load(&hw_control_of(slot)->generation) == generation && hw_load(&stripe->worker) == worker;
        if (is_ours) {
            hw_remember_lost(slot, stripe, worker, it.tag);
            hw_take_stripe(board, slot, it.block, (uint32_t)(stripe - it.stripes));
        }
        hw_slot_unlock(slot);
        if (is_ours) return hw_mine_at(&it, slot, stripe);
    }
    return none;
}

/* The stripe that this process has already, by another handle. A block that has another task by now is not looked into:
 * there, too, this process may have a stripe. */
static hw_mine hw_find_mine(hw_board *board, char *slot, uint64_t generation) {
    hw_counters it = hw_counters_of(board, slot, generation, 0);
    uint64_t me = hw_me(board);
    hw_stripe *stripe;
    hw_mine none = {NULL, 0, 0};
    while ((stripe = hw_next_stripe(&it)) != NULL)
        if (hw_load(&stripe->worker) == me) return hw_mine_at(&it, slot, stripe);
    return none;
}

/* As hw_total_count, for a task with blocks. */
static HW_APART int64_t hw_count_with_blocks(hw_board *board, char *slot, uint64_t generation) {
    hw_counters it = hw_counters_of(board, slot, generation, 0);
    uint64_t sum = 0;
    hw_stripe *stripe;
    while ((stripe = hw_next_stripe(&it)) != NULL) {
        uint64_t word = hw_load(&stripe->count);
        if (hw_counts_for(word, it.tag)) sum += (uint64_t)hw_count_of(word);
    }
    return (int64_t)sum;
}

/* The count of a task: the sum of its stripes. If no lock is held, look at the generation once more afterwards. */
static inline __attribute__((always_inline)) int64_t hw_total_count(hw_board *board, char *slot, uint64_t generation) {
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t used = hw_load(&hw_control_of(slot)->stripes_used), tag = hw_tag(generation);
    uint64_t sum = 0; /* unsigned: damaged words wrap around */
    if (HW_UNLIKELY(used >> HW_LINK_SHIFT)) return hw_count_with_blocks(board, slot, generation);
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

/* Give this process a stripe of a task: its own, a free one, or a dead worker's. Otherwise, and if the slot lock
 * cannot be had before the deadline, a shared one: counting must hardly wait. */
static int hw_bind(hw_board *board, hw_task *task, uint32_t index, uint64_t generation, uint64_t deadline_ns) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    uint64_t me = hw_me(board);
    hw_mine mine;
    if (!me) return HW_UNBOUND;
    if (hw_load(&control->generation) != generation) return HW_STALE;
    mine = hw_find_mine(board, slot, generation);
    /* A block that was lent to another slot meanwhile has that loan's tag: who sees it sees that our task is gone. */
    if (mine.stripe && hw_load(&control->generation) != generation) return HW_STALE;
    if (!mine.stripe && hw_slot_lock(board, slot, deadline_ns) == HW_OK) {
        int stale = hw_load(&control->generation) != generation;
        if (!stale && !hw_ended(hw_peek(&hw_status_of(slot, 0)->state))) hw_unseal(board, slot);
        if (!stale) mine = hw_take_free(board, slot, generation);
        hw_slot_unlock(slot);
        if (stale) return HW_STALE;
        if (!mine.stripe) mine = hw_take_dead(board, slot, generation, deadline_ns);
        if (mine.stripe) hw_hold(board, index, mine.number, generation);
    }
    if (!mine.stripe) {
        if (hw_load(&control->generation) != generation) return HW_STALE; /* mark no stripe of another task */
        mine = hw_mine_of(board, slot, NULL, (uint32_t)(me % HW_STRIPES), hw_tag(generation));
        hw_use_stripe(&control->stripes_used, mine.number);
        hw_store(&mine.stripe->shared, 1);
        hw_next(&board->header->shared_counters);
    }
    /* Who sees a count of this process, sees that the stripe is its own, and its bit. The counts to come are relaxed, and
     * the store of one could overtake the stores above, releases though they are. Partners: hw_seal, whose sum has to be
     * complete, and hw_copy_stripe, which would give the count to who had the stripe before. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    task->stripe = mine.stripe;
    task->identity = board->page;
    task->worker = me;
    task->tag = mine.tag;
    task->calls = &hw_own_calls;
    task->durations = hw_durations_in(slot, hw_tag(generation));
    task->clock = hw_clock;
    return HW_OK;
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
