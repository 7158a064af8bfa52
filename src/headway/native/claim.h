/* claim.h - a slot is claimed for a task. The invariants of a slot stand at the head of slots.h. */
#ifndef HEADWAY_CLAIM_H
#define HEADWAY_CLAIM_H

#include "slots.h"

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

/* A task that may be dropped for a new one of its id: archiving this very one has failed. Generation 0: there is none. */
typedef struct hw_given_up {
    uint32_t slot;
    uint64_t generation;
} hw_given_up;

/* May what is lost with a task of this slot be lost for a claim: because nobody writes a history, or as archiving this very
 * one has failed? */
static int hw_lets_go(hw_drop drop, hw_given_up given_up, uint32_t slot, uint64_t generation) {
    return drop == HW_DROP_FREELY || (given_up.slot == slot && given_up.generation == generation);
}

/* Free the older one of two tasks of one id: who replaced it was killed before it was free (invariant 3). If another
 * process has it locked, the next claim frees it. HW_UNARCHIVED if it has to be archived first: it is lost, say, as who
 * was killed while starting it anew had it. */
static int hw_free_older(hw_board *board, uint32_t index, hw_drop drop, hw_given_up given_up) {
    char *slot = hw_slot(board, index);
    hw_status status;
    if (hw_slot_try(board, slot) != HW_OK) return HW_OK;
    hw_load_life(slot, &status);
    if (!hw_final(hw_state_of(board, NULL, slot, &status)) || !hw_loses(board, slot)) {
        hw_free_locked(board, index);
    } else if (hw_lets_go(drop, given_up, index, hw_peek(&hw_control_of(slot)->generation))) {
        hw_drop_locked(board, index);
    } else {
        hw_slot_unlock(slot);
        return HW_UNARCHIVED;
    }
    return HW_OK;
}

/* The live task of this id, under the structural lock. An older one of the same id is freed (invariant 3); HW_UNARCHIVED
 * if that one, which is found then, has to be archived first. */
static int hw_find_locked(hw_board *board, const hw_identity *want, uint64_t hash, hw_drop drop, hw_given_up given_up,
                          hw_found *found) {
    const uint64_t *hashes = board->hashes;
    uint32_t capacity = board->capacity;
    uint64_t best = 0;
    int answer = HW_ABSENT;
    for (uint32_t i = 0; i < capacity; i++) {
        uint64_t serial, generation;
        hw_found older;
        if (HW_LIKELY(hw_peek(hashes + i) != hash)) continue; /* relaxed: only lock holders write hashes */
        generation = hw_holds(board, i, want, &serial);
        if (!generation) continue;
        older = *found;
        if (answer != HW_OK || serial > best) {
            best = serial;
            found->slot = i;
            found->generation = generation;
        } else {
            older.slot = i;
            older.generation = generation;
        }
        if (answer == HW_OK && hw_free_older(board, older.slot, drop, given_up) != HW_OK) {
            *found = older;
            return HW_UNARCHIVED;
        }
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
    hw_store(&control->stripes_used, 0); /* and no block is linked */
    hw_store(&control->linking, 0);
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
        if (!found->owner_alive) {
            hw_counters it = hw_counters_of(board, slot, hw_load(&hw_control_of(slot)->generation), 0);
            hw_stripe *stripe;
            while ((stripe = hw_next_stripe(&it)) != NULL) {
                uint64_t worker = hw_load(&stripe->worker);
                if (!worker || hw_dead(board, worker)) continue;
                found->pid = hw_load(&stripe->pid);
                break; /* one is enough, and each costs a question to the kernel */
            }
        }
        return HW_EXISTS;
    }
    return resumable >> state & 1 ? HW_ENDED : HW_OK;
}

/* Claim a slot for a task, under the structural lock. `resumable` is a bit set of the states in which an existing
 * task is handed back (HW_ENDED with its place) instead of replaced. A task that is replaced stays locked from the last check of its state until it is freed:
 * otherwise another process could resume it in between. `anew`: replace it even while it runs. It has to be archived
 * before, whatever may be dropped to make room, unless it was `given_up` or nobody writes a history: then it is dropped.
 * HW_OK with the new place, HW_ENDED, HW_EXISTS, HW_RESTING with the time to wait outside of the lock, HW_FULL;
 * HW_UNARCHIVED: archive the task found (generation 0: the oldest ones) outside of the lock, and call again;
 * HW_TIMEOUT, with the pid of the holder, if a slot lock could not be had, of the task found or (generation 0) of all
 * that could give way: call again. */
static int hw_claim(hw_board *board, hw_identity *identity, const hw_status *first, uint32_t resumable, int anew,
                    hw_drop drop, hw_given_up given_up, hw_found *found) {
    uint64_t hash = hw_hash(identity->id, strlen(identity->id)), now = hw_clock_ns(CLOCK_MONOTONIC);
    uint64_t resting_until = 0;
    uint32_t resting = 0;
    uint32_t hint = (uint32_t)(hw_peek(&board->header->free_hint) % board->capacity), old;
    char *replaced = NULL;
    int answer, loses = 0;
    memset(found, 0, sizeof *found);
    answer = hw_find_locked(board, identity, hash, drop, given_up, found);
    if (answer == HW_UNARCHIVED) return answer;
    if (answer == HW_OK) {
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
        loses = (!anew || hw_final(status.state)) && hw_loses(board, slot);
        if (loses && !hw_lets_go(drop, given_up, found->slot, found->generation)) {
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
        if (replaced && loses) hw_drop_locked(board, old);
        else if (replaced) hw_free_locked(board, old);
        return HW_OK;
    }
    if (replaced) hw_slot_unlock(replaced); /* freeing it may be what makes room */
    /* At most half of the board rests at a time: more would only empty it. What has to be dropped is not, while a slot
     * rests that this claim can have. */
    if (resting < (board->capacity + 1) / 2) {
        uint64_t holder;
        answer = hw_evict(board, drop == HW_DROP_LAST && resting ? HW_DROP_NONE : drop, &holder);
        if (answer == HW_OK && !resting_until) resting_until = now + HW_REST_NS;
        if (!resting_until) {
            found->generation = 0;
            found->pid = holder;
            return answer;
        }
    }
    found->wait_ns = resting_until - now;
    return HW_RESTING;
}

#endif
