/* blocks.h - counters beyond those of a slot: blocks of them, lent to tasks from the pool of the segment. How they are
 * lent and taken back: pool.h.
 *
 * A block is that task's which its `owner` names: a slot, a generation of it, and how often the task's blocks were taken
 * back. Once the slot has another generation, or they were taken back once more, the block is free, though nobody wrote
 * to it. So nothing is given back, and no kill can lose a block.
 *
 * The blocks of a task are a list, from the upper bits of the slot's `stripes_used` by `next`, the last one first. What
 * those counted that were taken back stands in `folded`; of its two places the one is current that the number of times
 * says, which is in the same word as the list, so that readers see a block in the one or in the other.
 *
 * The stripes have the tag of the block's own generation. With that of the slot, a handle on a task that is gone could
 * count for another one: two slots may have the same generation. Before the block is free the stripes are sealed
 * (stripes.h), and the next tag, which they then have, is that of the next task to which the block is lent.
 *
 * A reader without a lock follows the list as long as it meets blocks of the task that it is after; where it meets
 * another one, the task is gone, or its blocks are. It has to look afterwards at the slot's generation, as for all that it
 * reads, and at the number of times: a block is lent to another task only by who has seen that one of them changed.
 */
#ifndef HEADWAY_BLOCKS_H
#define HEADWAY_BLOCKS_H

#include "lock.h"

#define HW_ALL_OF_SLOT (((uint64_t)1 << HW_STRIPES) - 1)
#define HW_ALL_OF_BLOCK (((uint64_t)1 << HW_BLOCK_STRIPES) - 1)
#define HW_LINK_SHIFT 32
#define HW_LINK_MASK (~(uint64_t)0 << HW_LINK_SHIFT)
#define HW_FOLDS_SHIFT 8
#define HW_FOLDS_BITS 12
#define HW_FOLDS_MOST (((uint64_t)1 << HW_FOLDS_BITS) - 1) /* after so many times a task keeps its blocks */

HW_ASSERT(HW_STRIPES <= HW_FOLDS_SHIFT && HW_FOLDS_SHIFT + HW_FOLDS_BITS <= HW_LINK_SHIFT);

/* For what only tasks with blocks need: apart from the code that all others run through. */
#define HW_APART __attribute__((noinline, cold))

/* How often the blocks of the task were taken back, by a reading of `stripes_used`. */
static inline uint64_t hw_folds_of(uint64_t used) { return used >> HW_FOLDS_SHIFT & HW_FOLDS_MOST; }

/* Whose a block is, in one word that is never 0: slot, 32 bits of the generation, and how often blocks were taken back. */
#define HW_TASK_SHIFT 44
static inline uint64_t hw_task_name(uint32_t index, uint64_t generation, uint64_t folds) {
    return (uint64_t)index << HW_TASK_SHIFT | (generation & 0xffffffffu) << HW_FOLDS_BITS | folds;
}

static inline uint32_t hw_index_of(const hw_board *board, const char *slot) {
    return (uint32_t)((uint64_t)(slot - board->slots) / board->slot_bytes);
}

/* Does this task have its slot and its blocks? Acquire, both: who finds that it has not, writes to its blocks after that.
 * The generation first: if the number of times is that of a later task, the answer is no, as it should be. */
static inline int hw_has_blocks(const hw_board *board, uint64_t task) {
    uint64_t index = task >> HW_TASK_SHIFT, generation;
    const hw_control *control;
    if (index >= board->capacity) return 0;
    control = hw_control_of(hw_slot(board, (uint32_t)index));
    generation = hw_load(&control->generation);
    return hw_task_name((uint32_t)index, generation, hw_folds_of(hw_load(&control->stripes_used))) == task;
}

/* The block of this number, + 1, if it is the task's; else NULL, and for 0. */
static inline hw_block *hw_linked(const hw_board *board, uint64_t link, uint64_t task) {
    if (!link || link > board->blocks || hw_load(&board->pool[link - 1].owner) != task) return NULL;
    return board->pool + (link - 1);
}

/* The tag of words that are sealed. */
static inline uint64_t hw_tag_after(uint64_t tag) { return (tag + 1) & 0xffff; }

/* Is this word a count of the task of that tag, sealed or not? Then look at the generation once more afterwards. */
static inline int hw_counts_for(uint64_t word, uint64_t tag) {
    return word >> HW_TAG_SHIFT == tag || word >> HW_TAG_SHIFT == hw_tag_after(tag);
}

/* ------------------------------------------------------------------------------------------------- one by one
 * The stripes of a task: those of the slot, then those of each block. `block`: where the one at hand stands, NULL = in
 * the slot; `tag` is the tag that counts of it have. */
typedef struct hw_counters {
    hw_board *board;
    hw_stripe *stripes;
    hw_block *block;
    uint64_t tag;
    uint64_t left; /* bits: those of these stripes that are to come */
    uint64_t task, link, folds;
    int all, steps;
} hw_counters;

/* `generation`: of the task; `all`: also stripes that nobody has taken yet. */
static inline hw_counters hw_counters_of(hw_board *board, char *slot, uint64_t generation, int all) {
    uint64_t used = hw_load(&hw_control_of(slot)->stripes_used);
    hw_counters it;
    it.board = board;
    it.stripes = hw_stripes_of(slot);
    it.block = NULL;
    it.tag = hw_tag(generation);
    it.left = all ? HW_ALL_OF_SLOT : used & HW_ALL_OF_SLOT;
    it.link = used >> HW_LINK_SHIFT;
    it.folds = hw_folds_of(used);
    it.task = it.link ? hw_task_name(hw_index_of(board, slot), generation, it.folds) : 0;
    it.all = all;
    it.steps = 0;
    return it;
}

/* The next block, with all that is known of it. A list that is damaged may be a circle. */
static HW_APART int hw_next_block(hw_counters *it) {
    hw_block *block = it->steps++ < HW_BLOCKS ? hw_linked(it->board, it->link, it->task) : NULL;
    if (!block) return 0;
    it->block = block;
    it->stripes = block->stripe;
    it->tag = hw_tag(hw_load(&block->generation));
    it->left = it->all ? HW_ALL_OF_BLOCK : hw_load(&block->used) & HW_ALL_OF_BLOCK;
    it->link = hw_load(&block->next);
    return 1;
}

/* Were the blocks that it went through this task's all the time? Look at the generation, too. Acquire: what was read of
 * them was read before, and by whom they were lent since has seen the change. */
static inline int hw_kept_blocks(const hw_counters *it, char *slot) {
    return hw_folds_of(hw_load(&hw_control_of(slot)->stripes_used)) == it->folds;
}

/* What the blocks counted that were taken back from the task before. The word may hold anything in a damaged segment: no
 * more than the counters of a task can hold is believed. */
#define HW_FOLDED_LIMIT ((int64_t)1 << 56)
static inline uint64_t hw_folded(const hw_counters *it, char *slot) {
    int64_t sum = it->folds ? (int64_t)hw_load(hw_identity_of(slot)->folded + (it->folds & 1)) : 0;
    if (sum >= HW_FOLDED_LIMIT) sum = HW_FOLDED_LIMIT - 1;
    if (sum <= -HW_FOLDED_LIMIT) sum = 1 - HW_FOLDED_LIMIT;
    return (uint64_t)sum;
}

/* The next stripe, or NULL. */
static inline hw_stripe *hw_next_stripe(hw_counters *it) {
    int bit;
    while (!it->left)
        if (!hw_next_block(it)) return NULL;
    bit = __builtin_ctzll(it->left);
    it->left &= it->left - 1;
    return it->stripes + bit;
}

#endif
