/* copy.h - one consistent copy of a task, or of a whole board, into records (record.h). Readers take no lock and never
 * stop a writer. If the writers of one slot never pause, its lock is taken for one copy. */
#ifndef HEADWAY_COPY_H
#define HEADWAY_COPY_H

#include "copying.h" /* first: it defines _GNU_SOURCE */

#include <math.h>

#include "shares.h"

#define HW_MOVED (-1)
#define HW_APART_TRIES 16

static void hw_copy_stages(hw_copy *copy, uint32_t number, const hw_stage *log, const hw_status *status,
                           uint32_t *left_out) {
    /* The place of the next entry may be half written, so the last 15 of 16 entries are read. */
    uint64_t n = status->stage_count, first = n > HW_STAGES - 1 ? n - (HW_STAGES - 1) : 0;
    *left_out = first > UINT32_MAX ? UINT32_MAX : (uint32_t)first;
    for (uint64_t i = first; i < n; i++) {
        const hw_stage *entry = log + i % HW_STAGES;
        hw_stage_record *to = (hw_stage_record *)hw_sink_add(copy, &copy->stages, sizeof *to);
        if (!to) return;
        to->task = number;
        to->number = (uint32_t)i;
        to->entered_ns = entry->entered_ns;
        hw_take_text(to->stage, entry->stage, sizeof to->stage);
    }
}

/* Load the numbers of a status, and its texts, which are most of it, directly into the record. */
static inline void hw_take_status(hw_status *numbers, hw_task_record *to, const hw_status *from) {
    hw_load_numbers(numbers, from);
    hw_load_text(to->stage, from->stage, HW_STAGE_BYTES);
    hw_load_text(to->message, from->message, HW_MESSAGE_BYTES);
    hw_load_text(to->error, from->error, HW_ERROR_BYTES);
    hw_load_metrics(to->metric_name, to->metric, from);
}

/* Status and stage log of one moment: some tries without a lock, then one copy under the slot lock. */
static int hw_copy_status(hw_copy *copy, char *slot, hw_status *status, hw_task_record *to, hw_stage *log,
                          uint64_t *at, uint64_t deadline_ns) {
    hw_board *board = copy->board;
    const uint64_t *seq = &hw_control_of(slot)->status_seq;
    for (int i = 0; i < HW_READ_TRIES; i++) {
        uint64_t seen = hw_latch_begin(seq), n;
        hw_take_status(status, to, hw_status_of(slot, seen & 1));
        n = status->stage_count < HW_STAGES ? status->stage_count : HW_STAGES;
        hw_load_words(log, hw_stages_of(slot), n * sizeof *log);
        *at = seen;
        if (hw_latch_whole(seq, seen)) return HW_OK;
        if (i > 16) hw_pause();
    }
    /* A process that is not registered cannot hold a lock; nor may this thread with an identity that another one of
     * this process borrowed, and gives back: the lock would have a dead holder that is at work. */
    if (!copy->may_lock || !hw_me(board) || hw_slot_lock(board, slot, deadline_ns) != HW_OK) return HW_TIMEOUT;
    hw_take_status(status, to, hw_status_of(slot, 0));
    hw_load_words(log, hw_stages_of(slot), sizeof(hw_stage) * HW_STAGES);
    *at = hw_peek(seq);
    hw_slot_unlock(slot);
    return HW_OK;
}

/* Append the task in this slot to the copy. HW_OK, HW_ABSENT (free, or not of this generation; 0 = any), HW_TIMEOUT;
 * HW_MOVED if status and result are not of one moment, unless `apart` allows it, or blocks were taken back meanwhile. */
static int hw_try_task(hw_copy *copy, uint32_t index, uint64_t wanted, int apart) {
    hw_board *board = copy->board;
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    uint64_t generation = hw_load(&control->generation), beat, seq, used, timed, slowest_ns = 0, at = 0, mix;
    uint64_t result_seq = hw_load(&control->result_seq);
    size_t tasks = copy->tasks.bytes, stages = copy->stages.bytes, shares = copy->shares.bytes;
    size_t indexes = copy->index.bytes, results = copy->results.bytes, durations = copy->durations.bytes;
    uint64_t results_version = copy->results_version;
    uint32_t number = copy->count, bytes = 0;
    int moved = 0, unread = 0;
    hw_task_record *to;
    hw_identity identity;
    hw_status status;
    hw_stage log[HW_STAGES];
    hw_stripe stripes[HW_STRIPES];
    if (!(generation & 1) || (wanted && generation != wanted)) return HW_ABSENT;
    to = (hw_task_record *)hw_sink_add(copy, &copy->tasks, sizeof *to);
    if (!to) return HW_TIMEOUT;
    hw_load_text(to->id, hw_identity_of(slot)->id, HW_ID_BYTES);
    hw_load_text(to->label, hw_identity_of(slot)->label, HW_LABEL_BYTES);
    hw_load_text(to->unit, hw_identity_of(slot)->unit, HW_UNIT_BYTES);
    hw_load_words(&identity.created_ns, &hw_identity_of(slot)->created_ns,
                  sizeof identity - offsetof(hw_identity, created_ns));
    /* The status before the stripes: otherwise a finished task could show a count that is too low. */
    if (hw_copy_status(copy, slot, &status, to, log, &at, copy->monotonic_ns + 1000000000u) != HW_OK) {
        copy->tasks.bytes = tasks;
        copy->unread++;
        return HW_TIMEOUT;
    }
    HW_STEP("status read");
    beat = hw_load(&control->beat_ns);
    to->count = 0;
    mix = hw_mix(generation, index);
    to->written = (uint8_t)status.state;
    to->owner_alive = (uint8_t)hw_copy_alive(copy, status.owner);
    used = hw_load(&control->stripes_used);
    for (int i = 0; i < HW_STRIPES; i++) {
        hw_stripe *stripe = stripes + i;
        stripe->worker = stripe->base_of = 0;
        if (!(used >> i & 1)) continue;
        hw_copy_stripe(stripe, hw_stripes_of(slot) + i, hw_tag(generation));
        if (hw_counts_for(stripe->count, hw_tag(generation))) to->count += hw_count_of(stripe->count);
        if (stripe->beat_ns > beat) beat = stripe->beat_ns;
        mix = hw_mix_stripe(mix, stripe);
    }
    copy->linked.bytes = 0;
    if (HW_UNLIKELY(used >> HW_STRIPES)) hw_copy_linked(copy, slot, generation, &to->count, &beat, &mix);
    status.state = hw_state_read(&status, hw_ended(status.state) ||
                                              hw_carried(board, &copy->asked, status.owner, stripes, used,
                                                         (hw_stripe *)copy->linked.data,
                                                         copy->linked.bytes / sizeof(hw_stripe), copy->monotonic_ns));
    to->rate = NAN;
    to->total = status.total;
    to->base = status.base;
    to->created_ns = identity.created_ns;
    to->started_ns = status.started_ns;
    to->beat_ns = hw_wall(copy, beat);
    to->ended_ns = hw_final(status.state) ? status.ended_ns ? status.ended_ns : to->beat_ns : 0;
    to->stage_ns = status.stage_count ? status.stage_ns : 0;
    to->serial = identity.serial;
    to->generation = generation;
    to->owner = status.owner;
    to->owner_pid = (uint32_t)status.owner_pid;
    to->slot = index;
    to->state = (uint8_t)status.state;
    to->parent_bytes = (uint8_t)(identity.parent_bytes < strlen(to->id) ? identity.parent_bytes : 0);
    to->resumed = status.resumed != 0;
    /* The result's number was read before `has_result`: none written since means that neither was one. */
    to->version = at + result_seq;
    /* After the status and the counts: a mark that stood before them may be of an earlier status. */
    to->archived = hw_is_noted(slot) && to->count == (int64_t)hw_load(&control->archived_count);
    memset(to->pad, 0, sizeof to->pad);
    uint32_t stages_left_out = 0, lost_left_out = 0;
    hw_copy_stages(copy, number, log, &status, &stages_left_out);
    hw_copy_shares(copy, number, slot, stripes, &lost_left_out);
    to->stages_left_out = stages_left_out;
    to->lost_left_out = lost_left_out;
    timed = hw_load(&control->timed); /* acquire: its words are whole */
    if (HW_UNLIKELY(timed & ~HW_RUN_MASK)) slowest_ns = hw_copy_durations(copy, number, slot, generation, timed);
    to->stall_after_ns = hw_stall_ns(identity.stall_after_ns, hw_peek(&board->header->stall_after_ns), slowest_ns);
    if (hw_load(&control->has_result))
        copy->results_version = hw_mix(copy->results_version, hw_mix(generation, index) ^ result_seq);
    if (!copy->bare && hw_load(&control->has_result)) {
        char *json = (char *)hw_sink_add(copy, &copy->results, hw_align(board->result_bytes, 8));
        uint64_t until = copy->monotonic_ns + 1000000000u;
        int got = json && hw_read_result(board, slot, json, &bytes, &seq) == HW_OK;
        if (json && !got && copy->may_lock)
            got = hw_read_result_locked(board, slot, json, &bytes, &seq, until) == HW_OK;
        unread = json && !got && !copy->may_lock; /* its writers never pause, and this thread may not keep them out */
        if (got && bytes) {
            hw_result_record *where = (hw_result_record *)hw_sink_add(copy, &copy->index, sizeof *where);
            if (where) {
                where->task = number;
                where->bytes = bytes;
                where->offset = results;
            }
        }
        copy->results.bytes = results + hw_align(bytes, 8); /* so that the next one is copied word by word, too */
        /* A result has its own latch: if the status is the same before and after, both were valid at one moment. */
        moved = !apart && !hw_latch_whole(&control->status_seq, at);
    }
    /* Blocks taken back meanwhile: some of it may be missing, or be here twice. */
    moved |= hw_folds_of(hw_load(&control->stripes_used)) != hw_folds_of(used);
    /* A slot freed meanwhile is no task of this copy. Acquire: then `frees` has moved, too, which is read after it. */
    if (moved || unread || copy->failed || hw_load(&control->generation) != generation) {
        copy->tasks.bytes = tasks;
        copy->stages.bytes = stages;
        copy->shares.bytes = shares;
        copy->durations.bytes = durations;
        copy->index.bytes = indexes;
        copy->results.bytes = results;
        copy->results_version = results_version;
        copy->unread += (uint32_t)unread;
        return copy->failed || unread ? HW_TIMEOUT : moved ? HW_MOVED : HW_ABSENT;
    }
    mix = hw_mix(mix, to->version ^ (uint64_t)to->state << 56 ^ (uint64_t)to->archived << 48);
    for (size_t i = shares / sizeof(hw_share_record); i < copy->shares.bytes / sizeof(hw_share_record); i++)
        mix = hw_mix(mix, ((hw_share_record *)copy->shares.data)[i].alive);
    copy->content_version = hw_mix(copy->content_version, mix);
    copy->states_version = hw_mix(copy->states_version, hw_mix(generation, index) ^ (uint64_t)to->state << 56);
    copy->open += !hw_final(to->state);
    copy->count++;
    return HW_OK;
}

/* As hw_try_task. If the writer of a task never pauses, the result in the copy may be a little newer than the status,
 * never older. */
static int hw_copy_task(hw_copy *copy, uint32_t index, uint64_t wanted) {
    for (int i = 0; i < HW_APART_TRIES; i++) {
        int answer = hw_try_task(copy, index, wanted, 0);
        if (answer != HW_MOVED) return answer;
        hw_pause();
    }
    /* Once, but where blocks are taken back meanwhile: that needs a task that is resumed and ends each time, or damage. */
    for (int i = 0; i < HW_APART_TRIES; i++) {
        int answer = hw_try_task(copy, index, wanted, 1);
        if (answer != HW_MOVED) return answer;
    }
    copy->unread++;
    return HW_TIMEOUT;
}

static void hw_copy_workers(hw_copy *copy) {
    hw_board *board = copy->board;
    for (uint32_t i = 0; i < board->workers; i++) {
        hw_row *row = board->rows + i, seen;
        uint64_t me = hw_load(&row->incarnation);
        hw_worker_record *to;
        if (!me || hw_load(&row->ready) != me) continue;
        hw_load_words(&seen, row, sizeof seen);
        if (hw_load(&row->incarnation) != me || seen.ready != me) continue; /* taken anew meanwhile */
        to = (hw_worker_record *)hw_sink_add(copy, &copy->workers, sizeof *to);
        if (!to) return;
        memset(to, 0, sizeof *to);
        to->incarnation = me;
        to->pid = (uint32_t)seen.pid;
        to->alive = (uint8_t)hw_copy_alive(copy, me);
        to->started_ns = seen.started_ns;
        copy->content_version = hw_mix(copy->content_version, me ^ (uint64_t)to->alive << 63);
        hw_take_text(to->name, seen.name, sizeof to->name);
    }
}

/* Drop the records marked in `gone` and renumber the others. */
static void hw_copy_compact(hw_copy *copy, const uint8_t *gone, uint32_t *renumbered) {
    hw_task_record *tasks = (hw_task_record *)copy->tasks.data;
    hw_stage_record *stages = (hw_stage_record *)copy->stages.data;
    hw_share_record *shares = (hw_share_record *)copy->shares.data;
    hw_duration_record *durations = (hw_duration_record *)copy->durations.data;
    hw_result_record *index = (hw_result_record *)copy->index.data;
    size_t kept = 0, n;
    for (uint32_t i = 0; i < copy->count; i++) {
        renumbered[i] = (uint32_t)kept;
        if (!gone[i]) tasks[kept++] = tasks[i];
    }
    copy->count = (uint32_t)kept;
    copy->tasks.bytes = kept * sizeof *tasks;
#define HW_KEEP(sink, records)                                     \
    for (kept = n = 0; n < copy->sink.bytes / sizeof *records; n++) { \
        if (gone[records[n].task]) continue;                       \
        records[kept] = records[n];                                \
        records[kept].task = renumbered[records[n].task];          \
        kept++;                                                    \
    }                                                              \
    copy->sink.bytes = kept * sizeof *records
    HW_KEEP(stages, stages);
    HW_KEEP(shares, shares);
    HW_KEEP(durations, durations);
    HW_KEEP(index, index);
#undef HW_KEEP
}

/* Of two records with one id keep the one with the larger serial (invariant 3 of slots.h; and the second pass of
 * hw_copy_board may copy a task twice). */
static void hw_copy_unique(hw_copy *copy) {
    hw_task_record *tasks = (hw_task_record *)copy->tasks.data;
    size_t places = 16;
    uint32_t *table, *renumbered;
    uint8_t *gone;
    int any = 0;
    if (copy->count < 2) return;
    while (places < 2 * (size_t)copy->count) places *= 2;
    table = (uint32_t *)calloc(places, sizeof *table); /* number + 1, 0 = empty */
    gone = (uint8_t *)calloc(copy->count, 1);
    renumbered = (uint32_t *)malloc(copy->count * sizeof *renumbered);
    if (!table || !gone || !renumbered) copy->failed = 1;
    for (uint32_t i = 0; i < copy->count && !copy->failed; i++) {
        uint64_t hash = ((uint64_t *)copy->hashes.data)[i];
        size_t at = (size_t)(hash ^ hash >> 32) & (places - 1);
        for (; table[at]; at = (at + 1) & (places - 1)) {
            uint32_t other = table[at] - 1;
            if (((uint64_t *)copy->hashes.data)[other] != hash || strcmp(tasks[other].id, tasks[i].id) != 0) continue;
            any = 1;
            if (tasks[i].serial > tasks[other].serial) {
                gone[other] = 1;
                table[at] = i + 1;
            } else {
                gone[i] = 1;
            }
            break;
        }
        if (!table[at]) table[at] = i + 1;
    }
    if (any && !copy->failed) hw_copy_compact(copy, gone, renumbered);
    free(table);
    free(gone);
    free(renumbered);
}

/* Prefetch the lines that the copy of a slot will read: no processor can predict them from the slot before. */
static inline void hw_copy_prefetch(const char *slot) {
    static const uint16_t lines[] = {
        HW_CONTROL_OFFSET,      HW_CONTROL_OFFSET + 64, HW_IDENTITY_OFFSET,     HW_IDENTITY_OFFSET + 64,
        HW_IDENTITY_OFFSET + 128, HW_IDENTITY_OFFSET + 192, HW_STATUS_OFFSET, HW_STATUS_OFFSET + 64,
        HW_STATUS_OFFSET + offsetof(hw_status, message), HW_STATUS_OFFSET + offsetof(hw_status, error),
        HW_STATUS_OFFSET + offsetof(hw_status, metric), HW_STATUS_OFFSET + offsetof(hw_status, metric_name),
        HW_STAGES_OFFSET};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) __builtin_prefetch(slot + lines[i]);
}

/* The hash is taken of the id that was copied: by now the slot may have another one. */
static void hw_copy_slot(hw_copy *copy, uint32_t index) {
    uint64_t *to;
    const char *id;
    if (hw_copy_task(copy, index, 0) != HW_OK) return;
    to = (uint64_t *)hw_sink_add(copy, &copy->hashes, sizeof *to);
    id = ((hw_task_record *)copy->tasks.data)[copy->count - 1].id;
    if (to) *to = hw_hash(id, strlen(id));
}

/* Every task and worker of the board. HW_OK, or HW_SYSTEM when memory ran out. */
static int hw_copy_board(hw_copy *copy) {
    hw_board *board = copy->board;
    uint64_t serial = 0;
    /* A task that started anew during a pass may have moved to a slot that the pass had left behind: look at the new
     * tasks again. The last serial before a pass may belong to a task that was not published yet. */
    for (int tries = 0; tries < 8; tries++) {
        uint64_t frees = hw_load(&board->header->frees), last = hw_load(&board->header->next_serial);
        for (uint32_t i = 0; i < board->capacity && !copy->failed; i++) {
            uint64_t hash = hw_load(&board->hashes[i]);
            HW_STEP("looked");
            if (i + 1 < board->capacity && hw_peek(&board->hashes[i + 1])) /* relaxed: a hint */
                hw_copy_prefetch(hw_slot(board, i + 1));
            if (!hash || (tries && hw_load(&hw_identity_of(hw_slot(board, i))->serial) < serial)) continue;
            hw_copy_slot(copy, i);
        }
        if (hw_load(&board->header->frees) == frees) break;
        serial = last;
    }
    /* What is set for the board changes all tasks, and no word of them. */
    copy->content_version = hw_mix(copy->content_version, hw_load(&board->header->stall_after_ns));
    if (!copy->failed) hw_copy_unique(copy);
    if (!copy->failed) hw_copy_workers(copy);
    return copy->failed ? HW_SYSTEM : HW_OK;
}

#endif
