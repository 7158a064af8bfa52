/* slots.h - the life of a slot: claimed, freed, marked as archived.
 *
 * Invariants
 *  1. `generation` is odd while the slot holds a task; claim and free publish by one store of it.
 *  2. `generation`, a status and a result are changed only under the slot lock. So a writer that holds it and has seen
 *     its own generation cannot write into another task.
 *  3. Ids are unique among live slots but for one moment: a task that starts anew is published before the ended one of
 *     the same id is freed, so that a kill between leaves the new state, not none. The larger serial counts; the next
 *     claim of the id frees the other.
 *  4. The stripes carry the tag of the generation for which they were zeroed, or, sealed, the next one (stripes.h).
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
    hw_store(&control->reuse_ns, hw_clock_ns(CLOCK_MONOTONIC) + HW_REST_NS);
    HW_STEP("free");
    hw_seal(slot); /* invariant 5; who compared the count has sealed it already */
    hw_count_gone(board, index, slot);
    /* Before the slot is free, so that a search that missed both the old and the new slot sees the change. */
    hw_store(&board->header->frees, hw_peek(&board->header->frees) + 1);
    HW_STEP("frees");
    hw_store(&control->generation, hw_peek(&control->generation) + 1); /* publishes: free */
    HW_STEP("freed");
    hw_store(&board->hashes[index], 0);
    hw_slot_unlock(slot);
}

/* Free a slot, whatever the state of its task. Under the structural lock; the slot lock is only tried. */
static int hw_free(hw_board *board, uint32_t index) {
    if (hw_slot_try(board, hw_slot(board, index)) != HW_OK) return HW_TIMEOUT;
    hw_free_locked(board, index);
    return HW_OK;
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

/* Begin to archive a task: to be called within a write transaction of the history, before the copy that will be its row.
 * So of two archivers one copies and commits before the other copies, and the row is of the last copy that was begun:
 * counts go down as well as up, so no two copies can be told apart by what they say. From here until that copy is
 * marked, by its number, nothing tells that the history has the task: an earlier mark speaks of a row that is replaced.
 * HW_OK; HW_STALE if it is another task, or the history has it as it is; HW_TIMEOUT. */
static int hw_begin_archive(hw_board *board, uint32_t index, uint64_t generation, uint64_t *number,
                            uint64_t deadline_ns) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    int answer = HW_STALE;
    if (hw_slot_lock(board, slot, deadline_ns) != HW_OK) return HW_TIMEOUT;
    if (hw_load(&control->generation) == generation && !hw_is_archived(slot)) {
        hw_store(&control->archived, 0);
        HW_STEP("mark cleared");
        *number = hw_peek(&control->copies) + 1;
        hw_store(&control->copies, *number);
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
static int hw_close(char *slot) {
    hw_seal(slot);
    return hw_is_archived(slot) ? HW_OK : HW_UNARCHIVED;
}

/* Free a task that has ended and that the history has. Under the structural lock. */
static int hw_free_archived(hw_board *board, uint32_t index, uint64_t generation) {
    char *slot = hw_slot(board, index);
    hw_status status;
    if (hw_load(&hw_control_of(slot)->generation) != generation || hw_slot_try(board, slot) != HW_OK) return HW_STALE;
    hw_load_life(slot, &status);
    if (!hw_may_go(board, NULL, slot, &status, 0) || hw_close(slot) != HW_OK) {
        hw_slot_unlock(slot);
        return HW_STALE;
    }
    hw_free_locked(board, index);
    return HW_OK;
}

/* Make room: free a batch of the tasks that ended longest ago and may lose their slots (their rest then ends together).
 * HW_OK; HW_FULL if there is none; HW_TIMEOUT if other processes had locked or resumed all of them; HW_UNARCHIVED if
 * all were counted on after they were archived. */
static int hw_evict(hw_board *board, int drop) {
    hw_oldest oldest;
    hw_asked asked;
    uint32_t freed = 0, dropped = 0, owed = 0;
    memset(&asked, 0, sizeof asked);
    oldest.n = 0;
    oldest.most = board->capacity / 8 ? board->capacity / 8 : 1;
    if (oldest.most > HW_OLDEST) oldest.most = HW_OLDEST;
    for (uint32_t i = 0; i < board->capacity; i++) {
        char *slot = hw_slot(board, i);
        hw_passed task;
        hw_status status;
        task.index = i;
        task.generation = hw_load(&hw_control_of(slot)->generation);
        if (!(task.generation & 1) || !(drop || hw_is_noted(slot)) || hw_read_numbers(slot, &status) != HW_OK) continue;
        task.owner = status.owner;
        task.ended_ns = hw_final(status.state) ? status.ended_ns : status.started_ns;
        if (hw_is_older(&oldest, task.ended_ns) && hw_may_go(board, &asked, slot, &status, drop))
            hw_add_older(&oldest, task);
    }
    for (uint32_t i = 0; i < oldest.n; i++) {
        char *slot = hw_slot(board, oldest.tasks[i].index);
        hw_status status;
        if (hw_slot_try(board, slot) != HW_OK) continue;
        hw_load_life(slot, &status);
        if (!hw_may_go(board, NULL, slot, &status, drop)) { /* resumed since */
            hw_slot_unlock(slot);
            continue;
        }
        if (hw_close(slot) != HW_OK) {
            if (!drop) {
                hw_slot_unlock(slot);
                owed++;
                continue;
            }
            dropped++;
        }
        hw_free_locked(board, oldest.tasks[i].index);
        freed++;
    }
    hw_store(&board->header->dropped, hw_peek(&board->header->dropped) + dropped);
    return freed ? HW_OK : owed ? HW_UNARCHIVED : oldest.n ? HW_TIMEOUT : HW_FULL;
}

/* The result of a claim: which process prevents it, or where the task is. */
typedef struct hw_found {
    uint32_t slot;
    uint64_t generation;
    uint64_t pid;      /* HW_EXISTS: of the live owner, else of a live worker; HW_RESTING: of the old task's writer */
    int owner_alive;
    uint64_t state; /* HW_ENDED: as written, and the owner that wrote it */
    uint64_t owner;
    uint64_t wait_ns;  /* HW_RESTING */
} hw_found;

/* The live task of this id, under the structural lock. An older one of the same id is freed (invariant 3). */
static int hw_find_locked(hw_board *board, const hw_identity *want, uint64_t hash, hw_found *found) {
    const uint64_t *hashes = board->hashes;
    uint32_t capacity = board->capacity;
    uint64_t best = 0;
    int answer = HW_ABSENT;
    for (uint32_t i = 0; i < capacity; i++) {
        uint64_t serial, generation;
        if (HW_LIKELY(hw_peek(hashes + i) != hash)) continue; /* relaxed: only lock holders write hashes */
        generation = hw_holds(board, i, want, &serial);
        if (!generation) continue;
        if (answer == HW_OK && serial < best) {
            hw_free(board, i); /* if another process has it locked, the next claim frees it */
            continue;
        }
        if (answer == HW_OK) hw_free(board, found->slot);
        best = serial;
        found->slot = i;
        found->generation = generation;
        answer = HW_OK;
    }
    return answer;
}

/* Write a new task into a slot, whose lock we hold, and publish it. */
static void hw_fill(hw_board *board, uint32_t index, hw_identity *identity, const hw_status *status, uint64_t hash) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t generation = hw_peek(&control->generation) + 1;
    uint64_t serial = hw_peek(&board->header->next_serial) + 1;
    hw_store(&board->header->next_serial, serial);
    for (int i = 0; i < HW_STRIPES; i++) {
        hw_store(&stripes[i].worker, 0);
        hw_store(&stripes[i].base_of, 0);
        hw_store(&stripes[i].shared, 0);
        hw_store(&stripes[i].beat_ns, 0);
        HW_STEP("stripe zeroed");
        hw_store(&stripes[i].count, hw_tag(generation) << HW_TAG_SHIFT);
    }
    identity->serial = serial;
    hw_store_words(hw_identity_of(slot), identity, sizeof *identity);
    hw_store_words(hw_status_of(slot, 0), status, sizeof *status);
    hw_store_words(hw_status_of(slot, 1), status, sizeof *status);
    hw_put(hw_result_of(board, slot, 0), 0);
    hw_put(hw_result_of(board, slot, 1), 0);
    hw_store(&control->lost_count, 0);
    hw_store(&control->stripes_used, 0);
    hw_store(&control->has_result, 0);
    hw_store(&control->beat_ns, hw_clock_ns(CLOCK_MONOTONIC_COARSE));
    HW_STEP("filled");
    hw_store(&board->hashes[index], hash);
    HW_STEP("hashed");
    hw_store(&control->generation, generation); /* publishes: live */
    HW_STEP("published");
}

/* What the task that has the id means for a claim: HW_EXISTS, HW_ENDED, or HW_OK if it may be replaced. */
static int hw_standing(hw_board *board, char *slot, const hw_status *status, uint32_t resumable, hw_found *found) {
    uint64_t state = hw_state_of(board, NULL, slot, status);
    found->state = status->state;
    found->owner = status->owner;
    if (!hw_final(state)) {
        found->pid = status->owner_pid;
        found->owner_alive = !hw_dead(board, status->owner);
        for (int i = 0; !found->owner_alive && i < HW_STRIPES; i++) {
            hw_stripe *stripe = hw_stripes_of(slot) + i;
            uint64_t worker = hw_load(&stripe->worker);
            if (worker && !hw_dead(board, worker)) found->pid = hw_load(&stripe->pid);
        }
        return HW_EXISTS;
    }
    return resumable >> state & 1 ? HW_ENDED : HW_OK;
}

/* Claim a slot for a task, under the structural lock. `resumable` is a bit set of the states in which an existing
 * task is handed back (HW_ENDED with its place) instead of replaced. `drop`: finished tasks may be freed even if the
 * history does not have them. A task that is replaced stays locked from the last check of its state until it is freed:
 * otherwise another process could resume it in between. `anew`: replace it even while it runs.
 * HW_OK with the new place, HW_ENDED, HW_EXISTS, HW_RESTING with the time to wait outside of the lock, HW_FULL;
 * HW_UNARCHIVED: archive the task found (generation 0: the oldest ones) outside of the lock, and call again;
 * HW_TIMEOUT, with the pid of the holder, if a slot lock could not be had: call again. */
static int hw_claim(hw_board *board, hw_identity *identity, const hw_status *first, uint32_t resumable, int anew,
                    int drop, hw_found *found) {
    uint64_t hash = hw_hash(identity->id, strlen(identity->id)), now = hw_clock_ns(CLOCK_MONOTONIC);
    uint64_t resting_until = 0;
    uint32_t resting = 0;
    uint32_t hint = (uint32_t)(hw_peek(&board->header->free_hint) % board->capacity), old;
    char *replaced = NULL;
    int answer;
    memset(found, 0, sizeof *found);
    if (hw_find_locked(board, identity, hash, found) == HW_OK) {
        char *slot = hw_slot(board, found->slot);
        hw_status status;
        found->pid = hw_peek(&hw_control_of(slot)->lock_pid);
        if (hw_read_status(slot, &status) != HW_OK) return HW_TIMEOUT;
        answer = anew ? HW_OK : hw_standing(board, slot, &status, resumable, found);
        if (answer != HW_OK) return answer;
        if (hw_slot_try(board, slot) != HW_OK) return HW_TIMEOUT;
        hw_load_life(slot, &status);
        answer = anew ? HW_OK : hw_standing(board, slot, &status, resumable, found);
        if (answer != HW_OK) {
            hw_slot_unlock(slot);
            return answer;
        }
        if (!drop && (!anew || hw_final(status.state)) && !(hw_is_noted(slot) && hw_close(slot) == HW_OK)) {
            hw_slot_unlock(slot);
            return HW_UNARCHIVED;
        }
        replaced = slot;
    }
    old = found->slot;
    for (uint32_t n = 0; n < board->capacity; n++) {
        uint32_t i = (hint + n) % board->capacity;
        char *slot;
        hw_control *control;
        uint64_t until;
        if (hw_peek(&board->hashes[i])) continue;
        slot = hw_slot(board, i);
        control = hw_control_of(slot);
        if (hw_load(&control->generation) & 1) continue;
        until = hw_load(&control->reuse_ns);
        if (until > now && until <= now + HW_REST_NS) { /* a later time is damage */
            if (!resting_until || until < resting_until) resting_until = until;
            resting++;
            continue;
        }
        if (hw_slot_try(board, slot) != HW_OK) continue; /* a late writer has it locked */
        hw_fill(board, i, identity, first, hash);
        found->slot = i;
        found->generation = hw_load(&control->generation);
        hw_slot_unlock(slot);
        hw_store(&board->header->free_hint, i + 1);
        if (replaced) hw_free_locked(board, old);
        return HW_OK;
    }
    if (replaced) hw_slot_unlock(replaced); /* freeing it may be what makes room */
    /* At most half of the board rests at a time: more would only empty it. */
    if (resting < (board->capacity + 1) / 2) {
        answer = hw_evict(board, drop);
        if (answer == HW_OK && !resting_until) resting_until = now + HW_REST_NS;
        if (!resting_until) {
            found->generation = found->pid = 0;
            return answer == HW_FULL && !drop ? HW_UNARCHIVED : answer;
        }
    }
    found->wait_ns = resting_until - now;
    return HW_RESTING;
}

#endif
