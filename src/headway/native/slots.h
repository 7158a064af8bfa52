/* slots.h - the life of a slot: freed, marked as archived, given away when room is needed. How it is claimed: claim.h.
 *
 * Invariants
 *  1. `generation` is odd while the slot holds a task; claim and free publish by one store of it.
 *  2. `generation`, a status and a result are changed only under the slot lock. So a writer that holds it and has seen
 *     its own generation cannot write into another task.
 *  3. Ids are unique among live slots but for one moment: a task that starts anew is published before the ended one of
 *     the same id is freed, so that a kill between leaves the new state, not none. The larger serial counts; the next
 *     claim of the id frees the other, which is archived first if it has ended, or is lost.
 *  4. The stripes carry the tag of the generation for which they were zeroed, or, sealed, the next one (stripes.h). Those
 *     of blocks: of the block's generation. A block is that task's alone which its owner word names, while that has its
 *     slot (blocks.h).
 *  5. A slot is free only after its stripes are sealed: what was acknowledged is in the sum that was compared with what
 *     the history has, or it is dropped and counted in `dropped`.
 *
 * For what happens to a slot in between see stripes.h, status.h, results.h and lost.h. The invariants hold there, too.
 */
#ifndef HEADWAY_SLOTS_H
#define HEADWAY_SLOTS_H

#include "find.h"
#include "results.h"
#include "walk.h"

/* The part of a status that decides about the task's life, read under the slot lock, so that nobody changes it. */
static void hw_load_life(char *slot, hw_status *status) {
    hw_load_words(status, hw_status_of(slot, 0), offsetof(hw_status, stage));
    if (status->state >= HW_STATES) status->state = HW_FAILED;
}

/* Count a task that is about to lose its slot in the total of its state; a task that was replaced while it was open
 * counts as cancelled. So the totals of a run do not depend on which tasks still have a slot. This is done under the
 * structural lock and before the slot is free, so a total never falls. The note has the task and the total before it:
 * if a process is killed in between, hw_repair undoes the count. */
static void hw_count_gone(hw_board *board, uint32_t index, char *slot) {
    hw_header *header = board->header;
    hw_status status;
    uint64_t state, before;
    hw_load_life(slot, &status);
    state = hw_state_of(board, NULL, slot, &status);
    if (!hw_final(state)) state = HW_CANCELLED;
    before = hw_peek(&header->gone[state]);
    hw_store(&header->gone_before, before); /* the note that stands there now is of a slot that was freed */
    HW_STEP("gone before");
    /* Release, after `gone_before`: a note is never there without it. */
    hw_store(&header->gone_note, hw_gone_note(index, hw_peek(&hw_control_of(slot)->generation), state));
    HW_STEP("gone note");
    hw_store(&header->gone[state], before + 1);
    HW_STEP("gone");
}

/* Free a slot, under the structural lock and the slot lock, which is released. */
static void hw_free_locked(hw_board *board, uint32_t index) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    uint64_t hash = hw_peek(&board->hashes[index]);
    hw_store(&control->reuse_ns, hw_clock_ns(CLOCK_MONOTONIC) + HW_REST_NS);
    HW_STEP("free");
    hw_seal(board, slot); /* invariant 5; who compared the count has sealed it already */
    hw_count_gone(board, index, slot);
    /* Before the slot is free, so that a search that missed both the old and the new slot sees the change. */
    hw_store(&board->header->frees, hw_peek(&board->header->frees) + 1);
    HW_STEP("frees");
    hw_store(&control->generation, hw_peek(&control->generation) + 1); /* publishes: free, and so are its blocks */
    HW_STEP("freed");
    hw_store(&board->hashes[index], 0);
    hw_list_free(board, index, hash);
    hw_slot_unlock(slot);
}

/* Free a slot with a task that the history does not have, or not with its last count. It is counted first: a kill in
 * between leaves a count too many, never a loss of which nobody is told. */
static void hw_drop_locked(hw_board *board, uint32_t index) {
    hw_store(&board->header->dropped, hw_peek(&board->header->dropped) + 1);
    HW_STEP("dropped");
    hw_free_locked(board, index);
}

/* Free a slot if its task was not written to since `before_ns` (coarse monotonic). Under the structural lock; the slot
 * lock is only tried. HW_OK, HW_TIMEOUT, HW_STALE, HW_EXISTS. */
static int hw_free_idle(hw_board *board, uint32_t index, uint64_t generation, uint64_t before_ns) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    if (hw_slot_try(board, slot) != HW_OK) return HW_TIMEOUT;
    if (hw_load(&control->generation) != generation) {
        hw_slot_unlock(slot);
        return HW_STALE;
    }
    if (hw_peek(&control->beat_ns) >= before_ns) { /* relaxed: written under the slot lock */
        hw_slot_unlock(slot);
        return HW_EXISTS;
    }
    hw_free_locked(board, index);
    return HW_OK;
}

/* Is a task to be archived? `number` is that of a copy that is taken after this; see hw_begin_archive. HW_OK; HW_STALE
 * if it is another task, has not ended, or the history has it as it is. */
static int hw_is_owed(hw_board *board, hw_asked *asked, uint32_t index, uint64_t generation, uint64_t *number) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    hw_status status;
    if (!(generation & 1) || hw_load(&control->generation) != generation) return HW_STALE;
    /* One that is written to without a pause is owed as far as anybody can tell: who copies it may take its lock. */
    if (hw_read_numbers(slot, &status) == HW_OK &&
        (!hw_final(status.state) || hw_state_of(board, asked, slot, &status) != status.state)) return HW_STALE;
    if (hw_is_archived(board, slot)) return HW_STALE;
    /* Acquire, before the copy: whose copy had the number before this one has read nothing that is newer. */
    *number = hw_load(&control->copies) + 1;
    return HW_OK;
}

/* Begin to archive a task: to be called within a write transaction of the history, with the number that was read before
 * the copy that will be the row. So each copy is taken outside of the transaction, and yet the row is of the last one:
 * who commits a number has copied after whoever committed the number before it had, since that one's copy was done when
 * its number was drawn. Nothing else could tell: counts go down as well as up, so no two copies can be told apart by what
 * they say. From here until the copy is marked, by its number, nothing tells that the history has the task: an earlier
 * mark speaks of a row that is replaced.
 * HW_OK; HW_STALE if it is another task, the history has it as it is, or somebody else has begun since the number was
 * read, whose row may be the newer one: copy it again if it is still owed; HW_TIMEOUT. */
static int hw_begin_archive(hw_board *board, uint32_t index, uint64_t generation, uint64_t number,
                            uint64_t deadline_ns) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    int answer = HW_STALE;
    if (hw_slot_lock(board, slot, deadline_ns) != HW_OK) return HW_TIMEOUT;
    if (hw_load(&control->generation) == generation && hw_peek(&control->copies) + 1 == number &&
        !hw_is_archived(board, slot)) {
        hw_store(&control->archived, 0);
        HW_STEP("mark cleared");
        hw_store(&control->copies, number); /* release: the copy was read before */
        answer = HW_OK;
    }
    hw_slot_unlock(slot);
    return answer;
}

/* Note that the history has the task as the copy of this number, with this version and count. HW_OK; HW_STALE if the task
 * was written to since, or another copy was begun, whose row may have replaced this one's. */
static int hw_mark_archived(hw_board *board, uint32_t index, uint64_t generation, uint64_t number, uint64_t version,
                            int64_t count, uint64_t deadline_ns) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    int answer = HW_STALE;
    if (hw_slot_lock(board, slot, deadline_ns) != HW_OK) return HW_TIMEOUT;
    /* Both sequences only grow, so their sum is unchanged only if both are. */
    if (hw_load(&control->generation) == generation && hw_peek(&control->copies) == number &&
        hw_peek(&control->status_seq) + hw_peek(&control->result_seq) == version) {
        hw_store(&control->archived_count, (uint64_t)count);
        HW_STEP("count noted");
        hw_store(&control->archived, generation); /* release: its count was written before */
        answer = HW_OK;
    }
    hw_slot_unlock(slot);
    return answer;
}

/* May this task lose its slot, if the history has its last count? Only if it has ended or is lost, and, unless `drop`
 * is set, was archived. */
static int hw_may_go(hw_board *board, hw_asked *asked, char *slot, const hw_status *status, int drop) {
    return (drop || hw_is_noted(slot)) && hw_final(hw_state_of(board, asked, slot, status));
}

/* Close the counters of a task that is to lose its slot, under the slot lock: HW_OK if the history has its last count,
 * which does not change any more; HW_UNARCHIVED: archive it once more, and come again. */
static int hw_close(hw_board *board, char *slot) {
    hw_seal(board, slot);
    return hw_is_archived(board, slot) ? HW_OK : HW_UNARCHIVED;
}

/* Free a task that has ended and that the history has. Under the structural lock. */
static int hw_free_archived(hw_board *board, uint32_t index, uint64_t generation) {
    char *slot = hw_slot(board, index);
    hw_status status;
    if (hw_load(&hw_control_of(slot)->generation) != generation || hw_slot_try(board, slot) != HW_OK) return HW_STALE;
    hw_load_life(slot, &status);
    if (!hw_may_go(board, NULL, slot, &status, 0) || hw_close(board, slot) != HW_OK) {
        hw_slot_unlock(slot);
        return HW_STALE;
    }
    hw_free_locked(board, index);
    return HW_OK;
}

/* Is something lost with a task that has ended, if its slot is freed now? Under the slot lock. If not, its counters are
 * closed, and it stays so. */
static int hw_loses(hw_board *board, char *slot) {
    return !hw_is_noted(slot) || hw_close(board, slot) != HW_OK;
}

#define HW_BATCH 64u   /* tasks that go at a time, where there is no room */
#define HW_WINDOW 256u /* slots that are looked at for room ahead of need */
#define HW_AHEAD 32u   /* of which so many are freed at most */
#define HW_PASS_BY 16u /* claims that do not look, after one that looked in vain */

/* May a claim free tasks that the history does not have? */
typedef enum hw_drop {
    HW_DROP_NONE,  /* no: they have to be archived first */
    HW_DROP_LAST,  /* as the last resort: archiving failed */
    HW_DROP_FREELY /* yes: nobody writes a history */
} hw_drop;

/* The tasks that have ended, by what is lost if they go; of each kind a batch of those that ended longest ago, as their
 * rest then ends together. Passed over are those whose slot lock another process has, which may be stopped. */
typedef struct hw_choice {
    hw_oldest whole;   /* nothing: the history has them, with their last count */
    hw_oldest late;    /* the last counts: the history has them, but not what was counted on them since */
    hw_oldest missing; /* all of it: the history does not have them, or nobody asks */
    int held;          /* was one passed over? */
    uint64_t holder;   /* the pid of who holds it, for people */
} hw_choice;

static void hw_choose(hw_board *board, hw_asked *asked, hw_drop drop, hw_choice *choice) {
    uint32_t most = board->capacity / 8 ? board->capacity / 8 : 1;
    if (most > HW_BATCH) most = HW_BATCH;
    choice->whole.n = choice->late.n = choice->missing.n = 0;
    choice->whole.most = choice->late.most = choice->missing.most = most;
    choice->held = 0;
    choice->holder = 0;
    for (uint32_t i = 0; i < board->capacity; i++) {
        char *slot = hw_slot(board, i);
        hw_passed task;
        hw_status status;
        hw_oldest *kind = &choice->missing;
        task.index = i;
        task.generation = hw_load(&hw_control_of(slot)->generation);
        if (!(task.generation & 1) || hw_read_numbers(slot, &status) != HW_OK) continue;
        task.owner = status.owner;
        task.ended_ns = hw_final(status.state) ? status.ended_ns : status.started_ns;
        if (drop != HW_DROP_FREELY && hw_is_noted(slot)) {
            if (!hw_is_older(&choice->whole, task.ended_ns) && !hw_is_older(&choice->late, task.ended_ns)) continue;
            kind = hw_is_archived(board, slot) ? &choice->whole : &choice->late;
        }
        if (!hw_is_older(kind, task.ended_ns) || !hw_may_go(board, asked, slot, &status, 1)) continue;
        if (hw_slot_held(board, slot)) {
            choice->held = 1;
            choice->holder = hw_peek(&hw_control_of(slot)->lock_pid);
            continue;
        }
        hw_add_older(kind, task);
    }
}

/* Free up to `most` of these tasks, the oldest first. Returns how many. With `lossy` also those with which something is
 * lost; without, their counters are closed, and `owed` says how many there are: the next copy has their last count. */
static uint32_t hw_free_oldest(hw_board *board, const hw_oldest *oldest, uint32_t most, int lossy, uint32_t *owed) {
    uint32_t freed = 0;
    for (uint32_t i = 0; i < oldest->n && freed < most; i++) {
        char *slot = hw_slot(board, oldest->tasks[i].index);
        hw_status status;
        if (hw_slot_try(board, slot) != HW_OK) continue;
        hw_load_life(slot, &status);
        if (!hw_may_go(board, NULL, slot, &status, 1)) { /* resumed since */
            hw_slot_unlock(slot);
        } else if (!hw_loses(board, slot)) {
            hw_free_locked(board, oldest->tasks[i].index);
            freed++;
        } else if (lossy) {
            hw_drop_locked(board, oldest->tasks[i].index);
            freed++;
        } else {
            hw_slot_unlock(slot);
            (*owed)++;
        }
    }
    return freed;
}

/* Make room ahead of need, under the structural lock, with nothing that is lost for it: free those that ended first of
 * some slots, others each time, until there are enough, which rest by the time that they are needed. `rested`: the slot
 * that was just claimed had: then a few are enough. `evict_hint`: where to look, and how many claims in the upper 32 bits
 * are to pass by, as the last one looked in vain. */
static void hw_evict_ahead(hw_board *board, int rested) {
    uint32_t capacity = board->capacity, stock = hw_stock(board), want = rested ? capacity / 64 : capacity / 8, owed = 0;
    uint64_t hint = hw_peek(&board->header->evict_hint);
    uint32_t from = (uint32_t)hint % capacity;
    hw_oldest oldest;
    if (stock >= want) return;
    if (hint >> 32) {
        hw_store(&board->header->evict_hint, hint - ((uint64_t)1 << 32));
        return;
    }
    oldest.n = 0;
    oldest.most = want - stock < HW_AHEAD ? want - stock : HW_AHEAD;
    for (uint32_t n = 0; n < HW_WINDOW && n < capacity; n++) {
        char *slot;
        hw_passed task;
        hw_status status;
        task.index = (from + n) % capacity;
        slot = hw_slot(board, task.index);
        if (!hw_peek(&board->hashes[task.index]) || hw_read_numbers(slot, &status) != HW_OK) continue;
        if (!hw_final(status.state) || !hw_is_older(&oldest, status.ended_ns)) continue;
        if (!hw_is_archived(board, slot) || hw_slot_held(board, slot)) continue;
        task.generation = hw_load(&hw_control_of(slot)->generation);
        task.owner = status.owner;
        task.ended_ns = status.ended_ns;
        hw_add_older(&oldest, task);
    }
    hint = ((uint64_t)from + HW_WINDOW) % capacity;
    if (!hw_free_oldest(board, &oldest, oldest.most, 0, &owed)) hint |= (uint64_t)HW_PASS_BY << 32;
    hw_store(&board->header->evict_hint, hint);
}

/* Make room, under the structural lock: free a batch of the tasks that ended longest ago. As the last resort one task is
 * dropped, first the last counts of an archived one, if at this moment nothing can go that the history has. Other processes
 * archive tasks, and end some, since the caller found that it has to drop.
 * HW_OK; HW_UNARCHIVED: there are tasks that have ended, and have to be archived first; HW_FULL: no task has ended;
 * HW_TIMEOUT if other processes have locked or resumed all of them; `holder`: the pid of one that has had a lock. */
static int hw_evict(hw_board *board, hw_drop drop, uint64_t *holder) {
    hw_asked asked;
    hw_choice choice;
    uint32_t owed = 0;
    memset(&asked, 0, sizeof asked);
    hw_choose(board, &asked, drop, &choice);
    *holder = choice.holder;
    if (drop == HW_DROP_FREELY) {
        if (hw_free_oldest(board, &choice.missing, HW_OLDEST, 1, &owed)) return HW_OK;
    } else {
        if (hw_free_oldest(board, &choice.whole, HW_OLDEST, 0, &owed)) return HW_OK;
        if (drop == HW_DROP_LAST && choice.whole.n) return HW_TIMEOUT; /* somebody came in between: look again */
        if (hw_free_oldest(board, &choice.late, HW_OLDEST, 0, &owed)) return HW_OK;
        if (drop == HW_DROP_NONE && (owed || choice.missing.n)) return HW_UNARCHIVED;
        if (drop == HW_DROP_LAST && (hw_free_oldest(board, &choice.late, 1, 1, &owed) ||
                                     hw_free_oldest(board, &choice.missing, 1, 1, &owed))) return HW_OK;
    }
    return choice.whole.n || choice.late.n || choice.missing.n || choice.held ? HW_TIMEOUT : HW_FULL;
}

#endif
