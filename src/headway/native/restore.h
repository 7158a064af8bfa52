/* restore.h - puts tasks of an earlier segment, from the records of a snapshot, into a new one.
 *
 * The segment is not published yet: no other process has attached to it, so nothing here takes a lock. The records were
 * checked (records.check), but are still treated as hostile: every number is clamped to what a slot can hold.
 */
#ifndef HEADWAY_RESTORE_H
#define HEADWAY_RESTORE_H

#include "claim.h"

#include "record.h"

/* One task of a snapshot: its record and its shares of the other arrays. */
typedef struct hw_past {
    hw_task_record task;
    const char *stages; /* hw_stage_record [stage_count], unaligned */
    size_t stage_count;
    const char *shares; /* hw_share_record [share_count], unaligned */
    size_t share_count;
    const char *durations; /* hw_duration_record, unaligned; NULL = none */
    int untimed;           /* 1: the snapshot knows no durations */
    const char *json; /* readable up to a multiple of eight bytes */
    uint32_t json_bytes;
    int64_t taken_ns; /* of the snapshot, wall clock */
} hw_past;

/* A time of the wall clock as a beat of this boot; 0 = before it, or never. */
static inline uint64_t hw_beat_of(int64_t wall_ns) {
    int64_t now = (int64_t)hw_clock_ns(CLOCK_REALTIME), monotonic = (int64_t)hw_clock_ns(CLOCK_MONOTONIC), ago;
    if (wall_ns <= 0) return 0;
    if (wall_ns >= now) return (uint64_t)monotonic;
    ago = now - wall_ns;
    return ago < monotonic ? (uint64_t)(monotonic - ago) : 0;
}

static void hw_restore_status(const hw_past *past, hw_status *to) {
    const hw_task_record *task = &past->task;
    memset(to, 0, sizeof *to);
    to->state = task->state;
    to->owner_pid = task->owner_pid; /* for people; the owner's incarnation is valid on the earlier segment only */
    to->total = task->total < 0 ? HW_NO_TOTAL : task->total;
    to->base = task->base;
    to->started_ns = task->started_ns;
    to->ended_ns = task->ended_ns;
    to->stage_ns = task->stage_ns;
    to->resumed = task->resumed != 0;
    if (!hw_final(to->state)) { /* no process that carried it is on the new segment */
        to->state = HW_LOST_STATE;
        to->ended_ns = task->beat_ns > 0 && task->beat_ns < past->taken_ns ? task->beat_ns : past->taken_ns;
    }
    to->stage_count = past->stage_count + task->stages_left_out;
    memcpy(to->stage, task->stage, sizeof to->stage);
    memcpy(to->message, task->message, sizeof to->message);
    memcpy(to->error, task->error, sizeof to->error);
    memcpy(to->metric, task->metric, sizeof to->metric);
    memcpy(to->metric_name, task->metric_name, sizeof to->metric_name);
}

/* Spread a count over the stripes, none of which can hold more than its 48 bits. */
static void hw_restore_count(hw_stripe *stripes, uint64_t tag, int64_t count) {
    for (int i = 0; i < HW_STRIPES; i++) {
        int64_t part = count;
        if (part >= HW_COUNT_LIMIT) part = HW_COUNT_LIMIT - 1;
        if (part <= -HW_COUNT_LIMIT) part = -(HW_COUNT_LIMIT - 1);
        hw_store(&stripes[i].count, tag << HW_TAG_SHIFT | ((uint64_t)part & HW_COUNT_MASK));
        count -= part;
    }
}

static void hw_restore_lost(hw_control *control, char *slot, const hw_past *past) {
    uint64_t n = 0;
    int ended = hw_final(past->task.state) && past->task.state != HW_LOST_STATE;
    for (size_t i = 0; i < past->share_count; i++) {
        hw_share_record share;
        hw_lost lost;
        memcpy(&share, past->shares + i * sizeof share, sizeof share);
        if (share.alive == HW_SHARE_LEFT && !ended) continue; /* here it would read as a worker that died */
        if (n++ >= HW_LOST) continue;
        memset(&lost, 0, sizeof lost); /* no worker: incarnations of the earlier segment are not valid here */
        lost.pid = share.pid;
        lost.beat_ns = hw_beat_of(share.beat_ns);
        lost.share = share.known ? share.count : INT64_MIN;
        lost.item_ns = hw_beat_of(share.item_ns);
        memcpy(lost.item, share.item, sizeof lost.item);
        hw_store_words(hw_lost_of(slot) + n - 1, &lost, sizeof lost);
    }
    hw_store(&control->lost_count, n + past->task.lost_left_out);
}

static void hw_restore_durations(hw_control *control, hw_durations *to, uint64_t tag, const hw_past *past) {
    hw_duration_record from;
    uint64_t timed = past->untimed ? HW_UNTIMED : 0;
    if (timed) hw_store(&control->timed, timed);
    if (!past->durations) return;
    memcpy(&from, past->durations, sizeof from);
    for (int i = 0; i < HW_DURATIONS; i++) {
        hw_store(&to->count[i], tag << HW_TAG_SHIFT | (from.count[i] & HW_COUNT_MASK));
        if (from.count[i]) timed |= (uint64_t)1 << i;
    }
    if (from.untimed) timed |= HW_UNTIMED;
    hw_store(&to->items, tag << HW_TAG_SHIFT | (from.items & HW_COUNT_MASK));
    hw_store(&to->slowest.since, hw_since(tag, from.slowest_ns));
    from.slowest[sizeof from.slowest - 1] = 0;
    if (from.slowest[0]) 
        hw_put_words(&to->slowest.name, &to->slowest, tag, from.slowest, hw_since(tag, from.slowest_ns));
    hw_store(&control->timed, timed);
}

/* Put one task into slot `index`, which is free. */
static void hw_restore(hw_board *board, uint32_t index, const hw_past *past) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    hw_identity identity;
    hw_status status;
    memset(&identity, 0, sizeof identity);
    memcpy(identity.id, past->task.id, sizeof identity.id);
    memcpy(identity.label, past->task.label, sizeof identity.label);
    memcpy(identity.unit, past->task.unit, sizeof identity.unit);
    identity.created_ns = past->task.created_ns;
    identity.parent_bytes = past->task.parent_bytes;
    hw_restore_status(past, &status);
    hw_fill(board, index, &identity, &status, hw_hash(identity.id, strnlen(identity.id, sizeof identity.id)));
    hw_restore_count(hw_stripes_of(slot), hw_tag(hw_peek(&control->generation)), past->task.count);
    hw_store(&control->stripes_used, HW_ALL_OF_SLOT);
    hw_store(&control->beat_ns, hw_beat_of(past->task.beat_ns));
    for (size_t i = 0; i < past->stage_count; i++) {
        hw_stage_record from;
        hw_stage to;
        memset(&to, 0, sizeof to);
        memcpy(&from, past->stages + i * sizeof from, sizeof from);
        to.entered_ns = from.entered_ns;
        memcpy(to.stage, from.stage, sizeof to.stage);
        hw_store_words(hw_stages_of(slot) + (past->task.stages_left_out + i) % HW_STAGES, &to, sizeof to);
    }
    hw_restore_lost(control, slot, past);
    hw_restore_durations(control, hw_durations_of(slot), hw_tag(hw_peek(&control->generation)), past);
    if (past->json_bytes && past->json_bytes <= board->result_bytes) {
        for (int copy = 0; copy < 2; copy++) {
            hw_store(hw_result_of(board, slot, copy), past->json_bytes);
            hw_store_words(hw_result_of(board, slot, copy) + 8, past->json, hw_align(past->json_bytes, 8));
        }
        hw_store(&control->has_result, 1);
    }
    hw_store(&control->archived_count, (uint64_t)past->task.count);
    if (past->task.archived) hw_store(&control->archived, hw_peek(&control->generation));
}

#endif
