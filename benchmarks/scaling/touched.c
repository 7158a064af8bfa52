/* touched.c - which cache lines the native code touches: it is run for real, one instruction at a time.
 *
 *     touched lines WORKERS     the lines of each operation on a task that so many workers count on
 *     touched asks WORKERS      ns of one question to the kernel whether the last of so many workers is alive, and of the
 *                               first count of that one on a task, while nobody else wants its lock
 *
 * The memory in question is out of bounds. An instruction that touches it stops with the address (SIGSEGV), is let
 * through by itself, and the memory is out of bounds again (SIGTRAP). x86-64 only: the flag for single steps and the bit
 * that tells a write from a read are its own.
 *
 * Each line of the output is OPERATION PLACE NUMBER ACCESS: the 64-byte line so many of that place, read (1), written (2)
 * or both (3). QUESTIONS to the kernel are told as `OPERATION asks NUMBER 0`.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

static int asked;

/* In the operations below, each call is a question whether a process is alive. */
#define fcntl(...) (asked++, fcntl(__VA_ARGS__))

#include "attach.h"
#include "claim.h"
#include "copy.h"

#define LINE 64
#define MOST 4096
#define SLOT 0
#define TRAP_FLAG 0x100
#define WRITE_BIT 2
#define SECOND 1000000000ull

/* What Counter.update has at hand (counter.pxi): the handle, and when it looks around next. */
typedef struct mine {
    hw_task task;
    uint64_t look_ns;
} mine;

typedef struct worker {
    hw_board *board;
    mine *own; /* a page of its own */
} worker;

static hw_header said;
static char *base;
static int file;
static worker *acting;
static struct {
    char *from;
    size_t bytes;
} watched[3];
static uint8_t found[3][MOST * 4];
static volatile sig_atomic_t armed;

static void stop(const char *why) {
    fprintf(stderr, "touched: %s\n", why);
    exit(2);
}

static void bounds(int protection) {
    for (int i = 0; i < 3; i++)
        if (mprotect(watched[i].from, watched[i].bytes, protection) != 0) _exit(4);
}

static void on_touch(int signal, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    char *at = (char *)info->si_addr;
    (void)signal;
    for (int i = 0; i < 3; i++)
        if (armed && at >= watched[i].from && at < watched[i].from + watched[i].bytes) {
            found[i][(size_t)(at - watched[i].from) / LINE] |= registers[REG_ERR] & WRITE_BIT ? 2 : 1;
            bounds(PROT_READ | PROT_WRITE);
            registers[REG_EFL] |= TRAP_FLAG;
            return;
        }
    _exit(5);
}

static void on_step(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    if (armed) bounds(PROT_NONE);
}

static void watch(worker *one) {
    memset(found, 0, sizeof found);
    asked = 0;
    acting = one;
    watched[0].from = base, watched[0].bytes = said.total_bytes;
    watched[1].from = (char *)one->board->page, watched[1].bytes = 4096;
    watched[2].from = (char *)one->own, watched[2].bytes = 4096;
    armed = 1;
    bounds(PROT_NONE);
}

/* ----------------------------------------------------------------------------------------------------- the places */

static void say(const char *operation, const char *place, size_t line, int access) {
    printf("%s %s %zu %d\n", operation, place, line, access);
}

static void in_slot(const char *operation, size_t offset, int access) {
    static const struct {
        const char *name;
        size_t from;
    } places[] = {{"control", HW_CONTROL_OFFSET}, {"stripes", HW_STRIPES_OFFSET}, {"identity", HW_IDENTITY_OFFSET},
                  {"status", HW_STATUS_OFFSET},   {"stages", HW_STAGES_OFFSET},   {"lost", HW_LOST_OFFSET},
                  {"durations", HW_DURATIONS_OFFSET}, {"result", HW_RESULT_OFFSET}};
    size_t i = sizeof places / sizeof *places - 1;
    while (offset < places[i].from) i--;
    say(operation, places[i].name, (offset - places[i].from) / LINE, access);
}

/* In the pool: a stripe has its number, as those of the slot do. */
static void in_pool(const char *operation, size_t offset, int access) {
    size_t block = offset / sizeof(hw_block), at = offset % sizeof(hw_block);
    if (at < HW_LINE) say(operation, "blocks", (block * HW_LINE + at) / LINE, access);
    else say(operation, "stripes", ((HW_STRIPES + block * HW_BLOCK_STRIPES) * HW_LINE + at - HW_LINE) / LINE, access);
}

static size_t number_of(const hw_board *board, const hw_stripe *stripe) {
    size_t offset = (size_t)((const char *)stripe - (const char *)board->pool);
    if (stripe < (const hw_stripe *)board->pool) return (size_t)(stripe - hw_stripes_of(hw_slot(board, SLOT)));
    return HW_STRIPES + offset / sizeof(hw_block) * HW_BLOCK_STRIPES + (offset % sizeof(hw_block) - HW_LINE) / HW_LINE;
}

static void tell(const char *operation) {
    size_t slot = said.slots_offset + SLOT * said.slot_bytes;
    armed = 0;
    bounds(PROT_READ | PROT_WRITE);
    for (size_t line = 0; line * LINE < said.total_bytes; line++) {
        size_t offset = line * LINE;
        int access = found[0][line];
        if (!access) continue;
        if (offset >= slot && offset < slot + said.slot_bytes) in_slot(operation, offset - slot, access);
        else if (offset < said.rows_offset) say(operation, "header", line, access);
        else if (offset < said.hashes_offset) say(operation, "rows", (offset - said.rows_offset) / LINE, access);
        else if (offset < said.slots_offset) say(operation, "hashes", (offset - said.hashes_offset) / LINE, access);
        else if (offset >= said.blocks_offset) in_pool(operation, offset - said.blocks_offset, access);
        else say(operation, "others", line, access);
    }
    for (size_t line = 0; line < 4096 / LINE; line++) {
        if (found[1][line]) say(operation, "page", line, found[1][line]);
        if (found[2][line]) say(operation, "handle", line, found[2][line]);
    }
    say(operation, "asks", (size_t)asked, 0);
    if (acting->own->task.stripe) say(operation, "stripe", number_of(acting->board, acting->own->task.stripe), 0);
}

/* ------------------------------------------------------------------------------------------------- the operations */

/* As _count of counter.pxi. */
static int update(mine *own, int64_t n) {
    if (hw_peek(own->task.identity) == own->task.worker) {
        uint64_t now = hw_now(&own->task);
        if (now < own->look_ns && hw_count(own->task.stripe, own->task.tag, n) == HW_OK) {
            if (hw_is_tick(own->task.stripe, now)) hw_tick(&own->task, n, now);
            return HW_OK;
        }
    }
    return HW_UNBOUND;
}

/* As Counter.count. */
static int64_t count(hw_board *board, uint64_t generation) {
    char *slot = hw_slot(board, SLOT);
    int64_t sum = hw_total_count(board, slot, generation);
    return hw_load(&hw_control_of(slot)->generation) == generation ? sum : -1;
}

static void make_board(uint32_t workers) {
    int layout;
    memset(&said, 0, sizeof said);
    hw_geometry(&said, 4, workers, 64);
    said.magic = HW_MAGIC;
    said.byte_order = HW_BYTE_ORDER;
    said.layout_version = HW_LAYOUT_VERSION;
    said.next_incarnation = 1;
    said.checksum = hw_checksum(&said);
    if (hw_validate(&said, said.total_bytes, &layout)) stop("the header is not sound");
    if (said.total_bytes / LINE > sizeof found[0]) stop("the board is too large");
    file = (int)memfd_create("touched", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, (off_t)said.total_bytes) != 0) stop("there is no memory");
    base = (char *)mmap(NULL, said.total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (base == MAP_FAILED) stop("there is no memory");
    memcpy(base, &said, sizeof said);
}

static worker newcomer(void) {
    char path[64];
    worker one;
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    int fd = open(path, O_RDWR | O_CLOEXEC); /* a description of its own, as a process of its own has */
    one.board = fd < 0 ? NULL : hw_attach(base, &said, fd, NULL);
    one.own = (mine *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!one.board || (void *)one.own == MAP_FAILED || hw_register(one.board, 1, 0, "worker") != HW_OK)
        stop("a worker could not register");
    return one;
}

static uint64_t claim(hw_board *board) {
    hw_identity identity;
    hw_status first;
    hw_found place;
    memset(&identity, 0, sizeof identity);
    memset(&first, 0, sizeof first);
    strcpy(identity.id, "task");
    first.state = HW_RUNNING;
    first.total = HW_NO_TOTAL;
    first.owner = hw_me(board);
    if (hw_lock(board, hw_clock_ns(CLOCK_MONOTONIC) + 20 * SECOND) != HW_OK ||
        hw_claim(board, &identity, &first, 0, 0, HW_DROP_NONE, (hw_given_up){0, 0}, &place) != HW_OK || place.slot != SLOT)
        stop("the task could not be made");
    hw_unlock(board);
    return place.generation;
}

/* The clock of the workers stands still: on a busy machine the steps of one count last for ticks, and would be timed. */
static int still(int clock, struct timespec *time) {
    (void)clock;
    time->tv_sec = 1;
    time->tv_nsec = 0;
    return 0;
}

static void lines(int workers) {
    worker *all = (worker *)calloc((size_t)workers, sizeof *all);
    struct sigaction touch, step;
    hw_copy copy;
    uint64_t generation = 0, deadline = hw_clock_ns(CLOCK_MONOTONIC) + 600 * SECOND;
    memset(&touch, 0, sizeof touch);
    memset(&step, 0, sizeof step);
    touch.sa_sigaction = on_touch, step.sa_sigaction = on_step;
    touch.sa_flags = step.sa_flags = SA_SIGINFO;
    if (!all || sigaction(SIGSEGV, &touch, NULL) != 0 || sigaction(SIGTRAP, &step, NULL) != 0) stop("no memory");
    for (int i = 0; i < workers; i++) {
        all[i] = newcomer();
        if (i == 0) generation = claim(all[0].board);
        if (i == workers - 1) watch(all + i); /* the last one's first count */
        int answer = hw_bind(all[i].board, &all[i].own->task, SLOT, generation, deadline);
        if (i == workers - 1) tell("bind");
        all[i].own->look_ns = UINT64_MAX;
        all[i].own->task.clock = still;
        if (answer != HW_OK || hw_add(&all[i].own->task, 1) != HW_OK) stop("a worker could not count");
    }
    worker *last = all + workers - 1;
    watch(last);
    hw_add(&last->own->task, 1);
    tell("hw_add");
    watch(last);
    update(last->own, 1);
    tell("update");
    watch(last);
    int64_t sum = count(last->board, generation);
    tell("count");
    if (sum != workers + 2) stop("the sum is wrong");
    hw_copy_begin(&copy, last->board);
    copy.may_lock = 1;
    watch(last);
    int answer = hw_copy_task(&copy, SLOT, generation);
    tell("copy");
    if (answer != HW_OK) stop("the copy failed");
    hw_copy_end(&copy);
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void asks(int workers) {
    enum { ROUNDS = 501, LATEST = 8 };
    uint64_t took[ROUNDS];
    worker first = newcomer(), other = first;
    uint64_t generation = claim(first.board), bound[LATEST];
    for (int i = 0; i < workers; i++) {
        if (i) other = newcomer();
        uint64_t begin = hw_clock_ns(CLOCK_MONOTONIC);
        if (hw_bind(other.board, &other.own->task, SLOT, generation, begin + SECOND) != HW_OK) stop("no counter");
        bound[i % LATEST] = hw_clock_ns(CLOCK_MONOTONIC) - begin;
    }
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t begin = hw_clock_ns(CLOCK_MONOTONIC);
        for (int j = 0; j < 8; j++)
            if (hw_dead(first.board, hw_me(other.board))) stop("a live worker is taken for dead");
        took[i] = (hw_clock_ns(CLOCK_MONOTONIC) - begin) / 8;
    }
    qsort(took, ROUNDS, sizeof *took, by_size);
    qsort(bound, LATEST, sizeof *bound, by_size);
    printf("asks %d %llu %llu\n", workers, (unsigned long long)took[ROUNDS / 2], (unsigned long long)bound[LATEST / 2]);
}

int main(int argc, char **argv) {
    int workers = argc > 2 ? atoi(argv[2]) : 0;
    if (workers < 1 || workers > 512 || (workers < 8 && strcmp(argv[1], "asks") == 0))
        stop("usage: touched lines|asks WORKERS, 1 to 512, asks: 8 to 512");
    hw_use_kernel_clock();
    make_board((uint32_t)workers);
    if (strcmp(argv[1], "asks") == 0) asks(workers);
    else lines(workers);
    return 0;
}
