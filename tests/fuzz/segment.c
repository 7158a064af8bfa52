/* segment.c - the native code on a segment in which anything stands, under sanitizers.
 *
 * An input is a list of steps of 12 bytes: what to do, where, and a word. Some put the word into the segment, some have
 * it put there after so many loads of the native code, so that what was looked at once is another when it is looked at
 * again; the others do one of the things that processes do to a board. Nothing may be read or written outside of the
 * segment and of what was asked for, nothing may wait, and what a copy says has to make sense.
 *
 * With clang: -fsanitize=fuzzer. With any compiler and -DALONE it has a main: segment SECONDS SEED FILE...
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <time.h>

static void meanwhile(void);
static int no_nap(void) { return 0; }
/* A macro does not expand itself: these are the builtin, and the clock, with something before them or in their place. */
#define __atomic_load_n(word, order) (meanwhile(), __atomic_load_n(word, order))
#define clock_nanosleep(clock, flags, t, left) ((void)(t), no_nap()) /* nobody else is here to be waited for */

#include "attach.h"
#include "standing.h"
#include "restore.h"

#define CAPACITY 4
#define WORKERS 3
#define RESULT_BYTES 40
#define STEP 12
#define PENDING 16

#define CHECK(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "line %d: %s\n", __LINE__, #what); \
            __builtin_trap(); \
        } \
    } while (0)

static hw_board *board;
static char *base, *sound;
static hw_header said;
static int file;
static const char *const ids[] = {"a", "a/b", "c", "a task that is not there"};

/* ------------------------------------------------------------------------------- words that change under the reader */

static struct {
    uint32_t loads;
    uint64_t place, word;
} pending[PENDING];
static int armed;

static void put(uint64_t place, uint64_t word) {
    memcpy(base + place % (said.total_bytes / 8) * 8, &word, 8);
}

static void meanwhile(void) {
    for (int i = 0; i < armed; i++) {
        if (pending[i].loads-- > 0) continue;
        put(pending[i].place, pending[i].word);
        pending[i--] = pending[--armed];
    }
}

/* -------------------------------------------------------------------------------------------------- what it may say */

static int ends(const char *text, size_t room) { return memchr(text, 0, room) != NULL; }

static void look_at(hw_copy *copy) {
    const hw_task_record *tasks = (const hw_task_record *)copy->tasks.data;
    const hw_stage_record *stages = (const hw_stage_record *)copy->stages.data;
    const hw_share_record *shares = (const hw_share_record *)copy->shares.data;
    const hw_worker_record *workers = (const hw_worker_record *)copy->workers.data;
    const hw_result_record *index = (const hw_result_record *)copy->index.data;
    uint32_t last = 0;
    CHECK(copy->tasks.bytes == copy->count * sizeof *tasks && copy->count <= CAPACITY);
    for (uint32_t i = 0; i < copy->count; i++) {
        const hw_task_record *task = tasks + i;
        CHECK(task->state < HW_STATES && task->written < HW_STATES && task->slot < CAPACITY);
        CHECK(ends(task->id, sizeof task->id) && ends(task->label, sizeof task->label));
        CHECK(ends(task->unit, sizeof task->unit) && ends(task->stage, sizeof task->stage));
        CHECK(ends(task->message, sizeof task->message) && ends(task->error, sizeof task->error));
        for (int m = 0; m < HW_METRICS; m++) CHECK(ends(task->metric_name[m], HW_METRIC_BYTES));
        CHECK(!task->parent_bytes || task->parent_bytes < strlen(task->id));
        /* The sum of 518 counters, and of those that were taken back. */
        CHECK(task->count > -(((int64_t)1) << 58) && task->count < ((int64_t)1) << 58);
    }
    for (size_t i = 0; i < copy->stages.bytes / sizeof *stages; i++) {
        CHECK(stages[i].task < copy->count && stages[i].task >= last && ends(stages[i].stage, sizeof stages[i].stage));
        last = stages[i].task;
    }
    last = 0;
    for (size_t i = 0; i < copy->shares.bytes / sizeof *shares; i++) {
        CHECK(shares[i].task < copy->count && shares[i].task >= last);
        last = shares[i].task;
    }
    CHECK(copy->workers.bytes / sizeof *workers <= WORKERS);
    for (size_t i = 0; i < copy->workers.bytes / sizeof *workers; i++)
        CHECK(ends(workers[i].name, sizeof workers[i].name));
    for (size_t i = 0; i < copy->index.bytes / sizeof *index; i++)
        CHECK(index[i].task < copy->count && index[i].bytes <= RESULT_BYTES && index[i].offset <= copy->results.bytes &&
              index[i].bytes <= copy->results.bytes - index[i].offset);
}

/* --------------------------------------------------------------------------------------------- what processes do */

static void identity_of(hw_identity *identity, const char *id) {
    memset(identity, 0, sizeof *identity);
    strncpy(identity->id, id, sizeof identity->id - 1);
}

static uint64_t generation_of(uint32_t slot, uint64_t word) {
    uint64_t now = hw_peek(&hw_control_of(hw_slot(board, slot))->generation);
    return word & 1 ? now : word >> 1;
}

static void copy_all(uint64_t word) {
    hw_copy copy;
    hw_glance glance;
    hw_glance_at(board, &glance);
    hw_copy_begin(&copy, board);
    copy.may_lock = 1;
    copy.bare = word & 1;
    if (hw_copy_board(&copy) == HW_OK) look_at(&copy);
    hw_copy_end(&copy);
}

static void copy_one(uint32_t slot, uint64_t word) {
    hw_copy copy;
    hw_copy_begin(&copy, board);
    copy.may_lock = 1;
    hw_copy_task(&copy, slot, generation_of(slot, word));
    if (!copy.failed) look_at(&copy);
    hw_copy_end(&copy);
}

static void claim(const char *id, uint64_t word) {
    hw_identity identity;
    hw_status first;
    hw_found found;
    identity_of(&identity, id);
    identity.parent_bytes = word >> 32 & 0x7f;
    memset(&first, 0, sizeof first);
    first.total = (int64_t)(word >> 8);
    first.owner = hw_me(board);
    if (hw_lock(board, 0) != HW_OK) return;
    hw_claim(board, &identity, &first, word & 0x3f, word >> 6 & 1, (hw_drop)((word >> 40 & 3) % 3),
             (hw_given_up){(uint32_t)(word >> 42 & 15), word >> 46 & 15}, &found);
    hw_unlock(board);
    CHECK(found.slot < CAPACITY);
}

static void find(const char *id) {
    hw_identity want;
    uint32_t slot = 0;
    uint64_t generation;
    identity_of(&want, id);
    if (hw_find(board, &want, hw_hash(id, strlen(id)), &slot, &generation) == HW_OK) CHECK(slot < CAPACITY);
}

static void write_status(uint32_t slot, uint64_t word) {
    hw_change change;
    memset(&change, 0, sizeof change);
    change.fields = word & 0x3ff;
    change.allowed = word >> 10 & 0x3f;
    change.state = (word >> 16) % HW_STATES;
    change.total = (int64_t)(word >> 20);
    change.now_ns = (int64_t)(word >> 1);
    change.metrics = (uint32_t)(word >> 24) % (HW_METRICS + 1);
    change.expected_owner = word >> 28 & 1;
    for (uint32_t i = 0; i < change.metrics; i++) change.metric_name[i][0] = (char)('k' + (word >> i & 7));
    memset(change.stage, 's', (size_t)(word >> 32) % HW_STAGE_BYTES);
    memset(change.message, 'm', (size_t)(word >> 40) % HW_MESSAGE_BYTES);
    memset(change.error, 'e', (size_t)(word >> 48) % HW_ERROR_BYTES);
    hw_write(board, slot, generation_of(slot, word | 1), &change, 0);
    CHECK(change.was < HW_STATES);
}

static void write_result(uint32_t slot, uint64_t word) {
    char json[RESULT_BYTES + 8];
    uint32_t bytes;
    uint64_t seq;
    memset(json, 'j', sizeof json);
    hw_write_result(board, slot, generation_of(slot, word | 1), json, (uint32_t)(word >> 1) % (RESULT_BYTES + 2),
                    word & 1 ? &word : NULL, 0);
    char *room = (char *)malloc(hw_align(RESULT_BYTES, 8)); /* of exactly its size: a byte too many is seen */
    if (hw_read_result(board, hw_slot(board, slot), room, &bytes, &seq) == HW_OK) CHECK(bytes <= RESULT_BYTES);
    if (hw_read_result_locked(board, hw_slot(board, slot), room, &bytes, &seq, 0) == HW_OK) CHECK(bytes <= RESULT_BYTES);
    free(room);
}

static void count(uint32_t slot, uint64_t word) {
    hw_task task;
    if (hw_bind(board, &task, slot, generation_of(slot, word | 1), 0) != HW_OK) return;
    if (task.stripe < (hw_stripe *)board->pool)
        CHECK(task.stripe >= hw_stripes_of(hw_slot(board, slot)) &&
              task.stripe < hw_stripes_of(hw_slot(board, slot)) + HW_STRIPES);
    else
        CHECK(task.stripe < (hw_stripe *)(board->pool + board->blocks));
    hw_add(&task, (int64_t)word);
    hw_total_count(board, hw_slot(board, slot), generation_of(slot, word | 1));
}

static void give_back(uint32_t slot, uint64_t word) {
    uint64_t generation = generation_of(slot, word | 1);
    uint64_t number = word >> 16;
    hw_asked asked;
    memset(&asked, 0, sizeof asked);
    if (word & 64) hw_is_owed(board, word & 128 ? &asked : NULL, slot, generation, &number);
    if (word & 64) hw_begin_archive(board, slot, generation, number, 0);
    hw_mark_archived(board, slot, generation, number, word >> 8, word, 0);
    if (hw_lock(board, 0) != HW_OK) return;
    if (word & 2) hw_free_archived(board, slot, generation);
    if (word & 4) hw_free_idle(board, slot, generation, word);
    if (word & 8) hw_evict(board, (hw_drop)((word >> 4 & 3) % 3), &number);
    if (word & 32) hw_repair(board);
    hw_unlock(board);
}

static void come_and_go(uint64_t word) {
    hw_leave(board);
    hw_register(board, word & 1, (int64_t)word, "somebody whose name is longer than the field that is there for it");
    hw_dead(board, word);
    hw_board_in_use(board);
    hw_retiring(board);
    hw_prune_held(board);
    CHECK(board->row < WORKERS || board->row == HW_NO_ROW || board->row == HW_ANONYMOUS);
}

static hw_board *hold(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    return hw_attach(base, &said, fd, NULL);
}

/* Attach anew: refused, or with the geometry that there is. `mend`: by an enemy who knows the checksum. */
static void attach(uint64_t word) {
    hw_header header;
    int layout;
    if (word & 1) {
        hw_load_words(&header, base, sizeof header);
        put(offsetof(hw_header, checksum) / 8, hw_checksum(&header));
    }
    hw_load_words(&header, base, sizeof header);
    if (hw_validate(&header, said.total_bytes, &layout) != NULL) return;
    CHECK(header.total_bytes == said.total_bytes);
    CHECK(header.slots_offset + (uint64_t)header.capacity * header.slot_bytes <= said.total_bytes);
    CHECK(header.hashes_offset + (uint64_t)header.capacity * 8 <= header.lists_offset);
    CHECK(header.lists_offset + (uint64_t)header.capacity * 16 <= header.slots_offset);
    CHECK(header.rows_offset + (uint64_t)header.workers * sizeof(hw_row) <= header.hashes_offset);
    CHECK(ends(header.name, sizeof header.name) && ends(header.directory, sizeof header.directory));
}

/* A record that passed the check of snapshots, of which nothing else can be said. */
static void restore(uint32_t slot, uint64_t word) {
    hw_past past;
    hw_stage_record stages[3];
    hw_share_record shares[10];
    char json[RESULT_BYTES + 8];
    unsigned char *byte = (unsigned char *)&past.task;
    memset(&past, 0, sizeof past);
    for (size_t i = 0; i < sizeof past.task; i++) {
        word = word * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
        byte[i] = word >> 62 ? (unsigned char)(word >> 56) : 0;
    }
    memset(stages, (int)(word >> 40 & 0x7f), sizeof stages);
    memset(shares, (int)(word >> 48), sizeof shares);
    memset(json, 'r', sizeof json);
    past.task.state %= HW_STATES;
    past.task.id[HW_ID_BYTES - 1] = past.task.label[HW_LABEL_BYTES - 1] = past.task.unit[HW_UNIT_BYTES - 1] = 0;
    past.task.stage[HW_STAGE_BYTES - 1] = past.task.message[HW_MESSAGE_BYTES - 1] = 0;
    past.task.error[HW_ERROR_BYTES - 1] = 0;
    for (int i = 0; i < HW_METRICS; i++) past.task.metric_name[i][HW_METRIC_BYTES - 1] = 0;
    for (int i = 0; i < 3; i++) stages[i].stage[HW_STAGE_BYTES - 1] = 0;
    past.stages = (const char *)stages;
    past.stage_count = word % 4;
    past.shares = (const char *)shares;
    past.share_count = word % 11;
    past.json = json;
    past.json_bytes = (uint32_t)(word >> 8) % (RESULT_BYTES + 1);
    past.taken_ns = (int64_t)word;
    hw_restore(board, slot, &past);
}

static void act(unsigned what, unsigned argument, uint64_t place, uint64_t word) {
    uint32_t slot = argument % CAPACITY;
    hw_status status;
    switch (what) {
        case 0: put(place, word); break;
        case 1:
            for (uint64_t i = 0; i <= argument % 32; i++) put(place + i, word); /* a text without an end, say */
            break;
        case 2: put(place, hw_peek(base + place % (said.total_bytes / 8) * 8) ^ (uint64_t)1 << word % 64); break;
        case 3: case 4:
            if (armed == PENDING) break;
            pending[armed].loads = argument;
            pending[armed].place = place;
            pending[armed++].word = word;
            break;
        case 5: copy_all(word); break;
        case 6: copy_one(slot, word); break;
        case 7: find(ids[argument % 4]); break;
        case 8: claim(ids[argument % 4], word); break;
        case 9: write_status(slot, word); break;
        case 10: write_result(slot, word); break;
        case 11: count(slot, word); break;
        case 12: give_back(slot, word); break;
        case 13: come_and_go(word); break;
        case 14: attach(word); break;
        case 15:
            hw_read_status(hw_slot(board, slot), &status);
            hw_read_status_locked(board, hw_slot(board, slot), &status, 0);
            CHECK(status.state < HW_STATES);
            hw_state_of(board, NULL, hw_slot(board, slot), &status);
            hw_others(board, hw_slot(board, slot));
            break;
        case 16: restore(slot, word); break;
        default: break;
    }
}
#define ACTS 17

/* -------------------------------------------------------------------------------------------------------- the board */

static void begin(void) {
    size_t page = 4096;
    memset(&said, 0, sizeof said);
    hw_geometry(&said, CAPACITY, WORKERS, RESULT_BYTES);
    said.magic = HW_MAGIC;
    said.byte_order = HW_BYTE_ORDER;
    said.layout_version = HW_LAYOUT_VERSION;
    said.next_incarnation = 1;
    memcpy(said.name, "fuzzed", 6);
    memcpy(said.directory, "/nowhere", 8);
    said.checksum = hw_checksum(&said);
    file = (int)memfd_create("segment", MFD_CLOEXEC);
    CHECK(file >= 0 && ftruncate(file, (off_t)said.total_bytes) == 0);
    /* Before and behind it nothing can be touched. */
    base = (char *)mmap(NULL, said.total_bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(base != MAP_FAILED);
    base = (char *)mmap(base + page, said.total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0);
    CHECK(base != MAP_FAILED);
    memcpy(base, &said, sizeof said);
    board = hold();
    CHECK(board && hw_register(board, 1, 1, "the first") == HW_OK);
    for (uint32_t i = 0; i < 3; i++) {
        claim(ids[i], 0x80);
        count(i, 3);
        write_status(i, 0x0303f0200003fful | 1u << 16);
        write_result(i, 40);
    }
    for (int i = 0; i < 2; i++) { /* blocks, of which the first counter was taken by somebody who left */
        char *slot = hw_slot(board, 0);
        CHECK(hw_slot_lock(board, slot, 0) == HW_OK);
        hw_block *block = hw_link(board, slot, hw_control_of(slot)->generation, HW_BLOCKS);
        CHECK(block != NULL);
        hw_take_stripe(board, slot, block, 0);
        hw_slot_unlock(slot);
    }
    hw_leave(board);
    sound = (char *)malloc(said.total_bytes);
    CHECK(sound != NULL);
    memcpy(sound, base, said.total_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!base) begin();
    memcpy(base, sound, said.total_bytes);
    CHECK(hw_register(board, 1, 1, "the second") == HW_OK);
    for (size_t at = 0; at + STEP <= size; at += STEP) {
        uint16_t place;
        uint64_t word;
        memcpy(&place, data + at + 2, 2);
        memcpy(&word, data + at + 4, 8);
        act(data[at] % ACTS, data[at + 1], place, word);
    }
    for (unsigned what = 5; what < ACTS - 1; what++)
        for (unsigned argument = 0; argument < CAPACITY; argument++) act(what, argument, 0, argument | 0x80);
    armed = 0;
    hw_leave(board);
    CHECK(board->capacity == CAPACITY && board->workers == WORKERS && board->result_bytes == RESULT_BYTES);
    return 0;
}

#ifdef ALONE
static uint64_t state;

static uint64_t chance(void) { /* xorshift64 (Marsaglia) */
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

int main(int argc, char **argv) {
    uint8_t input[64 * STEP];
    uint64_t tried = 0, until;
    CHECK(argc >= 3);
    until = hw_clock_ns(CLOCK_MONOTONIC) + (uint64_t)(atof(argv[1]) * 1e9);
    state = strtoull(argv[2], NULL, 10) * 2 + 1;
    for (int i = 3; i < argc; i++, tried++) {
        FILE *stream = fopen(argv[i], "rb");
        CHECK(stream != NULL);
        size_t size = fread(input, 1, sizeof input, stream);
        fclose(stream);
        LLVMFuzzerTestOneInput(input, size);
    }
    while (hw_clock_ns(CLOCK_MONOTONIC) < until) {
        size_t steps = chance() % 64;
        for (size_t i = 0; i < steps * STEP; i++) input[i] = (uint8_t)(chance() >> 40);
        for (size_t i = 0; i < steps; i++) /* words that mean something */
            if (chance() & 1) memset(input + i * STEP + 4 + chance() % 8, chance() & 1 ? 0 : 0xff, 1 + chance() % 4);
        for (size_t i = 0; i < steps; i++)
            if (chance() & 1) memset(input + i * STEP + 5, 0, 7);
        LLVMFuzzerTestOneInput(input, steps * STEP);
        tried++;
    }
    printf("%llu\n", (unsigned long long)tried);
    return 0;
}
#endif
