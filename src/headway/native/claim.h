/* claim.h - a slot is claimed for a task. The invariants of a slot stand at the head of slots.h. */
#ifndef HEADWAY_CLAIM_H
#define HEADWAY_CLAIM_H

#include "slots.h"

#define HW_ROOM_TRIES 8 /* slots that a claim tries to lock */

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
    uint64_t best = 0, next = hw_peek(hw_bucket(board, hash));
    int answer = HW_ABSENT;
    for (uint32_t n = 0; n < board->capacity && next && next <= board->capacity; n++) {
        uint64_t serial, generation;
        hw_found older;
        uint32_t i = (uint32_t)next - 1;
        next = hw_peek(&board->nexts[i]); /* before `i` is freed */
        if (hw_peek(&board->hashes[i]) != hash) continue; /* relaxed: only lock holders write hashes and lists */
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
    hw_chain(board, index, hash);
    if (index >= hw_fresh(board)) hw_store(&board->header->fresh, (uint64_t)index + 1); /* a board is restored */
    hw_store(&control->generation, generation); /* publishes: live */
    HW_STEP("published");
}

/* A slot for a new task. */
typedef struct hw_room {
    int answer; /* HW_OK: its lock is held; HW_RESTING: one will do after `wait_ns`; HW_FULL */
    uint32_t index;
    int rested;
    uint64_t wait_ns;
} hw_room;

/* For how long a free slot is to rest still. A time that is too late is damage. */
static inline uint64_t hw_rest_left(hw_board *board, uint32_t index, uint64_t now) {
    uint64_t until = hw_load(&hw_control_of(hw_slot(board, index))->reuse_ns);
    return until > now && until <= now + HW_REST_NS ? until - now : 0;
}

/* Take a free slot: the one that has rested longest, if that was long enough, else one that was never used, else that one
 * if it had the least of rests. One that a late writer has locked goes to the end of the queue. */
static hw_room hw_take_room(hw_board *board, uint64_t now) {
    hw_room room = {HW_FULL, 0, 1, HW_REST_LEAST_NS};
    for (uint32_t tries = 0; tries < HW_ROOM_TRIES; tries++) {
        uint32_t i = hw_first_free(board), fresh = hw_fresh(board);
        uint64_t left = i < board->capacity ? hw_rest_left(board, i, now) : HW_REST_NS;
        if (left && fresh < board->capacity) {
            hw_store(&board->header->fresh, (uint64_t)fresh + 1);
            HW_STEP("fresh");
            i = fresh;
            left = 0;
        } else if (i == board->capacity) {
            return room;
        } else if (left > HW_REST_NS - HW_REST_LEAST_NS) {
            room.answer = HW_RESTING;
            room.wait_ns = left - (HW_REST_NS - HW_REST_LEAST_NS);
            return room;
        } else {
            hw_pop_free(board, i);
        }
        room.index = i;
        room.rested = !left;
        if (hw_load(&hw_control_of(hw_slot(board, i))->generation) & 1) continue; /* damage */
        if (hw_slot_try(board, hw_slot(board, i)) == HW_OK) {
            room.answer = HW_OK;
            return room;
        }
        hw_push_free(board, i);
    }
    return room;
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
    hw_room room;
    uint32_t old;
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
    room = hw_take_room(board, now);
    if (room.answer == HW_OK) {
        char *slot = hw_slot(board, room.index);
        hw_fill(board, room.index, identity, first, hash);
        found->slot = room.index;
        found->generation = hw_load(&hw_control_of(slot)->generation);
        hw_slot_unlock(slot);
        if (replaced && loses) hw_drop_locked(board, old);
        else if (replaced) hw_free_locked(board, old);
        if (drop != HW_DROP_FREELY) hw_evict_ahead(board, room.rested); /* what would be dropped is not before it has to */
        return HW_OK;
    }
    if (replaced) hw_slot_unlock(replaced); /* freeing it may be what makes room */
    /* At most half of the board rests at a time: more would only empty it. What has to be dropped is not, while a slot
     * rests that this claim can have. */
    if (room.answer == HW_FULL || hw_stock(board) < (board->capacity + 1) / 2) {
        uint64_t holder;
        int resting = room.answer == HW_RESTING;
        answer = hw_evict(board, drop == HW_DROP_LAST && resting ? HW_DROP_NONE : drop, &holder);
        if (!resting && answer != HW_OK) {
            found->generation = 0;
            found->pid = holder;
            return answer;
        }
    }
    found->wait_ns = room.wait_ns;
    return HW_RESTING;
}

#endif
