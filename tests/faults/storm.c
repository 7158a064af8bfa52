/* storm.c - threads that take themselves for processes, on the real native code, and are killed at its steps.
 *
 *     storm SECONDS THREADS KILL_ONE_IN STALL_ONE_IN CAPACITY SEMAPHORE
 *
 * Each thread has a hold of its own on one mapping: its own open of the file, so its own locked byte in the kernel. To
 * kill it is to jump out of the native code at a step, and to close that descriptor, as the kernel does for a process;
 * it comes back as somebody else. A stalled one sleeps at a step for longer than a freed slot rests. So a second has as
 * many kills as an hour of real ones, and the sanitizers see all of it. Ends with 1 at the first broken promise.
 *
 * They have items in hand, which say whose they are and of which task, twice: so one that is mixed, or another worker's, or
 * another task's, is seen. What each one counted on the task that runs all the time is compared with its share at the end.
 *
 * The history is a table here, which keeps of two copies of a task what the real one keeps. At the end each task that lost
 * its slot has at least the count there that was acknowledged, stragglers included.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <fcntl.h>

/* The kernel orders what a dead process stored before what the one does that is told of its death. ThreadSanitizer does
 * not see into the kernel, so it is said here. */
static unsigned long deaths;

static int told(int fd, int command, struct flock *lock) {
    int answer = fcntl(fd, command, lock);
    (void)__atomic_load_n(&deaths, __ATOMIC_ACQUIRE);
    return answer;
}
#define fcntl(fd, command, lock) told(fd, command, lock)

#include "attach.h"
#include "claim.h"
#include "copy.h"

#define CHECK(what, ...) \
    do { \
        if (!(what)) broken(#what, __LINE__, __VA_ARGS__); \
    } while (0)

#define MOVERS 4                 /* ids x0 to x3 */
#define GENERATIONS 4096         /* of one slot, that are told apart */
#define OLD 16
#define STAGE "%llu takes several words to say: %llu"
#define MESSAGE "%llu has a message of some length, so that it takes many words: %llu"
#define ITEM "%llu %llu %s %llu %llu" /* worker, number, task, number, worker */
#define NUMBERS 1000
#define WORKERS ((uint64_t)1 << 20) /* that are told apart */
#define SECOND 1000000000ull

static char *base;
static hw_header said;
static int file;
static sem_t semaphore;
static int with_semaphore;
static int stop_now;
static long kill_one_in, stall_one_in;
static uint32_t capacity;
static uint64_t inside, acked_all, begun_ns;
static uint32_t all_slot; /* of the task that runs all the time */
static uint64_t all_generation;
static uint64_t *meant_by, *acknowledged_by; /* counts on it by its own counter, of each worker */
/* Of each task, by [slot][generation / 2 % GENERATIONS]: */
static uint64_t *issued; /* counts meant for it */
static uint64_t *acknowledged; /* counts of it that hw_add said are counted */
static uint64_t *late;   /* 1: it may have been resumed when its id had a newer task already, which frees it */
typedef struct past {
    uint64_t generation;
    int64_t count;
} past;
static past *history;
static pthread_mutex_t history_lock = PTHREAD_MUTEX_INITIALIZER; /* SQLite's; of who is killed it is taken */
static uint64_t kills, stalls, claims, writes, copies, finds, resumes, refused, archives, taken_back, items_seen, taken_over;

typedef struct person {
    hw_board *board;
    jmp_buf dead;
    uint64_t random;
    int armed, in_lock, writing;
    hw_task *taking; /* has an item written that is of this task: another thread of this process may write one, too */
    const char *taking_id;
    hw_task all;
    int all_is_own;
    uint32_t all_slot;
    uint64_t all_generation;
    struct {
        hw_task task;
        uint32_t slot;
        uint64_t generation;
        char id[16];
    } old[OLD]; /* handles of earlier tasks */
    uint32_t kept;
} person;

static __thread person *self;

static void broken(const char *what, int line, const char *format, ...) {
    va_list rest;
    va_start(rest, format);
    fprintf(stderr, "line %d: %s: ", line, what);
    vfprintf(stderr, format, rest);
    fprintf(stderr, "\n");
    va_end(rest);
    _exit(1);
}

static uint64_t chance(person *p) { /* xorshift64 (Marsaglia) */
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    return p->random ^= p->random << 17;
}

static void take_up(person *p, hw_task *task, const char *id);

static void add(uint64_t *word, uint64_t n) { __atomic_fetch_add(word, n, __ATOMIC_SEQ_CST); }

void hw_step(const char *where) {
    person *p = self;
    if (!strcmp(where, "taken back")) add(&taken_back, 1);
    if (!strcmp(where, "remembered")) add(&taken_over, 1);
    if (!p || !p->armed) return;
    if (p->taking && !strcmp(where, "item word") && chance(p) % 16 == 0) {
        hw_task *task = p->taking;
        p->taking = NULL;
        take_up(p, task, p->taking_id);
    }
    if (stall_one_in && chance(p) % (uint64_t)stall_one_in == 0) {
        add(&stalls, 1);
        hw_nap(HW_REST_NS + HW_REST_NS / 5);
    }
    if (kill_one_in && chance(p) % (uint64_t)kill_one_in == 0) longjmp(p->dead, 1);
}

static uint64_t soon(void) { return hw_clock_ns(CLOCK_MONOTONIC) + 20 * SECOND; }

static int own_description(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0, "errno %d", errno);
    return fd;
}

/* ------------------------------------------------------------------------------------------------ what they do */

static void identity_of(hw_identity *identity, const char *id) {
    memset(identity, 0, sizeof *identity);
    snprintf(identity->id, sizeof identity->id, "%s", id);
}

static int find(person *p, const char *id, uint32_t *slot, uint64_t *generation) {
    hw_identity want;
    identity_of(&want, id);
    add(&finds, 1);
    return hw_find(p->board, &want, hw_hash(id, strlen(id)), slot, generation);
}

/* Start a task anew, whose owner this person is then. */
static int claim(person *p, const char *id, uint32_t resumable, hw_drop drop, hw_found *found) {
    hw_identity identity;
    hw_status first;
    int answer;
    identity_of(&identity, id);
    memset(&first, 0, sizeof first);
    first.state = HW_PENDING;
    first.total = HW_NO_TOTAL;
    first.owner = hw_me(p->board);
    answer = hw_lock(p->board, soon());
    CHECK(answer == HW_OK, "the structural lock was not to be had: %d", answer);
    p->in_lock = 1;
    CHECK(__atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST) == 0, "two have the structural lock");
    answer = hw_claim(p->board, &identity, &first, resumable, 0, drop, (hw_given_up){0, 0}, found);
    __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
    p->in_lock = 0;
    hw_unlock(p->board);
    add(&claims, answer == HW_OK);
    return answer;
}

/* A record all of whose fields say n. */
static int write_all(person *p, uint32_t slot, uint64_t generation, uint64_t n, uint32_t fields, uint64_t state) {
    hw_change change;
    memset(&change, 0, sizeof change);
    change.fields = HW_SET_TOTAL | HW_SET_STAGE | HW_SET_MESSAGE | fields;
    change.allowed = HW_OPEN_STATES;
    change.state = state;
    change.total = (int64_t)n;
    change.now_ns = (int64_t)hw_clock_ns(CLOCK_REALTIME);
    snprintf(change.stage, sizeof change.stage, STAGE, (unsigned long long)n, (unsigned long long)n);
    snprintf(change.message, sizeof change.message, MESSAGE, (unsigned long long)n, (unsigned long long)n);
    strcpy(change.metric_name[0], "n");
    change.metric[0] = (double)n;
    change.metrics = 1;
    add(&writes, 1);
    return hw_write(p->board, slot, generation, &change, soon());
}

static int set_state(person *p, uint32_t slot, uint64_t generation, uint64_t state, uint32_t allowed, uint32_t fields) {
    hw_change change;
    memset(&change, 0, sizeof change);
    change.fields = HW_SET_STATE | fields;
    change.allowed = allowed;
    change.state = state;
    change.now_ns = (int64_t)hw_clock_ns(CLOCK_REALTIME);
    return hw_write(p->board, slot, generation, &change, soon());
}

/* A text of one letter, whose length follows from the letter. */
static int write_result(person *p, uint32_t slot, uint64_t generation) {
    char json[64];
    uint32_t letter = (uint32_t)(chance(p) % 26), bytes = 2 * letter + 7;
    memset(json, 0, sizeof json);
    memset(json, 'a' + (int)letter, bytes);
    return hw_write_result(p->board, slot, generation, json, bytes, NULL, soon());
}

static uint64_t *issued_for(uint32_t slot, uint64_t generation) {
    return issued + (size_t)slot * GENERATIONS + generation / 2 % GENERATIONS;
}

static size_t number_of(uint32_t slot, uint64_t generation) {
    return (size_t)slot * GENERATIONS + generation / 2 % GENERATIONS;
}

/* The place of the worker of a handle, if that counts on the task that runs all the time, by a counter of its own. */
static uint64_t *by_worker(uint64_t *counts, const hw_task *task, uint32_t slot, uint64_t generation) {
    static uint64_t nobody;
    int own = slot == all_slot && generation == all_generation && hw_peek(&task->stripe->worker) == task->worker;
    return own ? counts + task->worker % WORKERS : &nobody;
}

static int count_on(hw_task *task, uint32_t slot, uint64_t generation) {
    uint64_t *acknowledged_there = by_worker(acknowledged_by, task, slot, generation);
    add(issued_for(slot, generation), 1);
    add(by_worker(meant_by, task, slot, generation), 1);
    int answer = hw_add(task, 1);
    if (answer != HW_OK) return answer;
    add(acknowledged + number_of(slot, generation), 1);
    add(acknowledged_there, 1);
    return answer;
}

/* Have something else in hand, on the task of this id. */
static void take_up(person *p, hw_task *task, const char *id) {
    uint64_t number = chance(p) % NUMBERS, worker = task->worker;
    char text[HW_ITEM_BYTES];
    p->taking = NULL;
    switch (chance(p) % 6) {
    case 0: hw_item(task, NULL); break;
    case 1: hw_item_number(task, (int64_t)(worker * NUMBERS + number)); break;
    case 2: /* as a loop does, which has just counted */
        if (hw_may_take(task) == HW_OK)
            hw_put_at_beat(&task->stripe->name,
                           hw_item_name(task->tag, HW_ITEM_NUMBER | HW_ITEM_AT_BEAT, worker * NUMBERS + number));
        break;
    default:
        snprintf(text, sizeof text, ITEM, (unsigned long long)worker, (unsigned long long)number, id,
                 (unsigned long long)number, (unsigned long long)worker);
        p->taking = task;
        p->taking_id = id;
        hw_item(task, text);
        p->taking = NULL;
    }
}

static void keep(person *p, const hw_task *task, uint32_t slot, uint64_t generation, const char *id) {
    snprintf(p->old[p->kept % OLD].id, sizeof p->old->id, "%s", id);
    p->old[p->kept % OLD].task = *task;
    p->old[p->kept % OLD].slot = slot;
    p->old[p->kept++ % OLD].generation = generation;
}

static void count_on_all(person *p) {
    if (hw_peek(p->all.identity) != p->all.worker || !p->all.stripe) {
        int answer = find(p, "all", &p->all_slot, &p->all_generation);
        CHECK(answer == HW_OK, "a task that is there was not found: %d", answer);
        answer = hw_bind(p->board, &p->all, p->all_slot, p->all_generation, soon());
        CHECK(answer == HW_OK, "%d", answer);
        p->all_is_own = hw_peek(&p->all.stripe->worker) == p->all.worker;
        if (chance(p) % 4 == 0) hw_nap(HW_REST_NS); /* so that it is seen with nothing in hand */
    }
    CHECK(!p->all_is_own || hw_peek(&p->all.stripe->worker) == p->all.worker, "a living worker's counter was taken");
    for (int i = 0; i < 20; i++) {
        if (i % 4 == 0) take_up(p, &p->all, "all");
        CHECK(count_on(&p->all, p->all_slot, p->all_generation) == HW_OK, "a task that runs was not counted on");
        add(&acked_all, 1);
    }
}

/* Be the owner of a task, and end it. Nobody takes it away meanwhile. */
static void carry(person *p, const char *id, uint32_t slot, uint64_t generation) {
    hw_task task;
    int answer;
    for (int i = 0; i < 3; i++) {
        answer = write_all(p, slot, generation, chance(p) % 1000, HW_SET_RUNNING, 0);
        CHECK(answer == HW_OK, "a living owner cannot write to its task %s: %d", id, answer);
        answer = write_result(p, slot, generation);
        CHECK(answer == HW_OK, "%d", answer);
        answer = hw_bind(p->board, &task, slot, generation, soon());
        CHECK(answer == HW_OK, "a living owner cannot count on its task %s: %d", id, answer);
        take_up(p, &task, id);
        answer = count_on(&task, slot, generation);
        CHECK(answer == HW_OK, "a count of a living owner is refused: %d", answer);
        if (chance(p) % 8 == 0) hw_nap(2 * HW_REST_NS); /* so that others come to a decision about it meanwhile */
    }
    answer = set_state(p, slot, generation, chance(p) & 1 ? HW_FAILED : HW_SUCCESS, HW_OPEN_STATES, HW_SET_ENDED);
    CHECK(answer == HW_OK, "a living owner cannot end its task %s: %d", id, answer);
    for (int i = chance(p) % 4; i >= 0; i--) count_on(&task, slot, generation); /* a straggler */
    keep(p, &task, slot, generation, id);
}

/* Go on with a task that failed, unless somebody else does, or there is a newer one already. */
static void resume(person *p, const char *id, uint32_t slot, uint64_t generation) {
    uint32_t newest;
    uint64_t its;
    int answer;
    add(late + number_of(slot, generation), 1);
    answer = set_state(p, slot, generation, HW_RUNNING, 1u << HW_FAILED, HW_SET_OWNER | HW_SET_RESUMED);
    if (answer == HW_OK && find(p, id, &newest, &its) == HW_OK && newest != slot) return;
    add(late + number_of(slot, generation), (uint64_t)-1);
    if (answer != HW_OK) return;
    add(&resumes, 1);
    carry(p, id, slot, generation);
}

/* A write transaction of the history ends: committed, or with who has it. */
static void let_go(person *p) {
    if (!p->writing) return;
    p->writing = 0;
    pthread_mutex_unlock(&history_lock);
}

/* Take a copy of a task for the history, insert it, and say so if it is still as it was: as files/archive.py does. */
static void archive(person *p, uint32_t slot, uint64_t generation) {
    hw_copy copy;
    hw_task_record task;
    uint64_t number;
    int answer;
    memset(&task, 0, sizeof task);
    if (hw_is_owed(p->board, NULL, slot, generation, &number) != HW_OK) return;
    HW_STEP("numbered");
    p->armed = 0; /* its memory would be lost */
    hw_copy_begin(&copy, p->board);
    copy.may_lock = 1;
    answer = hw_copy_task(&copy, slot, generation);
    if (answer == HW_OK) task = *(hw_task_record *)copy.tasks.data;
    hw_copy_end(&copy);
    p->armed = 1;
    if (answer != HW_OK || !hw_final(task.state) || task.state != task.written) return;
    HW_STEP("copied");
    pthread_mutex_lock(&history_lock);
    p->writing = 1;
    answer = hw_begin_archive(p->board, slot, generation, number, soon());
    CHECK(answer == HW_OK || answer == HW_STALE, "%d", answer);
    if (answer == HW_STALE) { /* archived, or overtaken */
        let_go(p);
        return;
    }
    HW_STEP("begun");
    history[number_of(slot, generation)] = (past){generation, task.count};
    let_go(p);
    HW_STEP("inserted");
    answer = hw_mark_archived(p->board, slot, generation, number, task.version, task.count, soon());
    CHECK(answer == HW_OK || answer == HW_STALE, "%d", answer);
    add(&archives, answer == HW_OK);
}

/* Note of all tasks that nobody carries any more that they are lost, as engine/claims.py does before it archives. */
static void reap(person *p) {
    hw_walk *walk = (hw_walk *)calloc(1, sizeof *walk);
    CHECK(walk != NULL, "no memory");
    p->armed = 0; /* its memory would be lost */
    walk->sought = HW_ABANDONED;
    while (walk->next < p->board->capacity) {
        hw_go_on(p->board, walk);
        for (uint32_t i = 0; i < walk->n; i++)
            set_state(p, walk->found[i].index, walk->found[i].generation, HW_LOST_STATE, HW_OPEN_STATES, HW_SET_ENDED);
    }
    free(walk);
    p->armed = 1;
}

/* The oldest that have ended, of which the history does not have the last count. */
static void archive_oldest(person *p) {
    hw_walk *walk = (hw_walk *)calloc(1, sizeof *walk);
    hw_oldest oldest;
    CHECK(walk != NULL, "no memory");
    p->armed = 0; /* its memory would be lost */
    walk->sought = HW_FINISHED;
    walk->oldest.most = 4;
    while (walk->next < p->board->capacity) hw_go_on(p->board, walk);
    oldest = walk->oldest;
    free(walk);
    p->armed = 1;
    for (uint32_t i = 0; i < oldest.n; i++) archive(p, oldest.tasks[i].index, oldest.tasks[i].generation);
}

static void own(person *p, const char *id) {
    hw_found found;
    int answer = claim(p, id, chance(p) & 1 ? 1u << HW_FAILED : 0, HW_DROP_NONE, &found);
    if (answer == HW_UNARCHIVED) reap(p);
    if (answer == HW_UNARCHIVED && found.generation) archive(p, found.slot, found.generation);
    if (answer == HW_UNARCHIVED && !found.generation) archive_oldest(p);
    if (answer == HW_OK) carry(p, id, found.slot, found.generation);
    else if (answer == HW_ENDED) resume(p, id, found.slot, found.generation);
    else add(&refused, 1);
    if (answer == HW_RESTING || answer == HW_TIMEOUT) hw_nap(200000);
}

/* Write to and count on whatever is there, with a handle that may be stale by then. */
static void meddle(person *p, const char *id) {
    uint32_t slot;
    uint64_t generation;
    hw_task task;
    memset(&task, 0, sizeof task);
    if (find(p, id, &slot, &generation) != HW_OK) return;
    write_all(p, slot, generation, chance(p) % 1000, 0, 0);
    write_result(p, slot, generation);
    if (hw_bind(p->board, &task, slot, generation, soon()) != HW_OK) return;
    for (int i = 0; i < 10; i++) {
        take_up(p, &task, id);
        count_on(&task, slot, generation);
    }
    keep(p, &task, slot, generation, id);
}

/* Come back with a handle of a task that may have gone long ago. */
static void haunt(person *p) {
    uint32_t i = (uint32_t)(chance(p) % OLD), slot = p->old[i].slot;
    uint64_t generation = p->old[i].generation;
    int gone, answer;
    if (!generation) return;
    count_on(&p->old[i].task, slot, generation);
    take_up(p, &p->old[i].task, p->old[i].id);
    gone = hw_load(&hw_control_of(hw_slot(p->board, slot))->generation) != generation;
    answer = write_all(p, slot, generation, chance(p) % 1000, 0, 0);
    CHECK(!gone || answer == HW_STALE, "a write with a stale handle ended with %d", answer);
}

static void live(person *p) {
    while (!__atomic_load_n(&stop_now, __ATOMIC_ACQUIRE)) {
        char id[16];
        uint32_t slot;
        uint64_t generation;
        snprintf(id, sizeof id, "x%d", (int)(chance(p) % MOVERS));
        switch (chance(p) % 10) {
        case 0: case 1: own(p, id); break;
        case 2: own(p, "moves"); break;
        case 3: meddle(p, chance(p) & 1 ? id : "all"); break;
        case 4:
            if (find(p, id, &slot, &generation) == HW_OK) resume(p, id, slot, generation);
            break;
        case 5:
            if (capacity > 3 * MOVERS) /* else it may have made room */
                CHECK(find(p, "moves", &slot, &generation) == HW_OK, "a task that is always there was not found");
            break;
        case 6:
            if (chance(p) % 16 == 0) {
                hw_leave(p->board);
                hw_register(p->board, 1, 0, "anew");
            }
            break;
        case 7: haunt(p); break;
        default: count_on_all(p);
        }
    }
}

static void *a_life(void *argument) {
    person *p = (person *)argument;
    self = p;
    if (setjmp(p->dead)) { /* killed: the kernel closes what the process had open */
        p->armed = 0;
        p->taking = NULL;
        let_go(p);
        add(&kills, 1);
        if (p->in_lock) __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
        p->in_lock = 0;
        __atomic_fetch_add(&deaths, 1, __ATOMIC_ACQ_REL);
        if (p->board->locking_fd >= 0) close(p->board->locking_fd);
        p->board->locking_fd = -1;
        hw_weigh_anchor(p->board);
        close(p->board->lock_fd);
        memset(p->board->page, 0, 4096);
        free(p->board->held);
        hw_forget(p->board);
        p->board->lock_fd = own_description();
    }
    memset(&p->all, 0, sizeof p->all);
    p->all.identity = &p->board->page[HW_PAGE_ME];
    p->all.worker = 1;
    p->armed = 1;
    CHECK(hw_register(p->board, 1, 0, "somebody") == HW_OK, "errno %d", errno);
    live(p);
    p->armed = 0;
    hw_leave(p->board);
    return NULL;
}

/* ------------------------------------------------------------------------------------------------- what is seen */

/* The number that a text says twice; -1 if it is mixed. */
static long long said_by(const char *text, const char *format) {
    unsigned long long n, m;
    return sscanf(text, format, &n, &m) == 2 && n == m ? (long long)n : -1;
}

/* An item of a task, and of this worker (0 = of any): whole, or there is none. */
static void check_item(const char *item, uint64_t worker, const char *id) {
    unsigned long long first, second, third, fourth;
    char said[HW_ITEM_BYTES];
    if (!item[0]) return;
    add(&items_seen, 1);
    if (sscanf(item, "%llu %llu %s %llu %llu", &first, &second, said, &third, &fourth) == 5) {
        CHECK(first == fourth && second == third && !strcmp(said, id), "an item of %s is mixed: %s", id, item);
    } else {
        CHECK(sscanf(item, "%llu", &first) == 1 && strspn(item, "0123456789") == strlen(item), "an item of %s is mixed: %s", id, item);
        first /= NUMBERS;
    }
    CHECK(!worker || first == worker, "worker %llu has the item of another one: %s", (unsigned long long)worker, item);
}

/* What was acknowledged of the task of each slot before a copy began. */
typedef struct known {
    uint64_t generation, acknowledged;
} known;

static void know(hw_board *board, known *before) {
    for (uint32_t i = 0; i < capacity; i++) {
        before[i].generation = hw_load(&hw_control_of(hw_slot(board, i))->generation);
        before[i].acknowledged = hw_load(acknowledged + number_of(i, before[i].generation));
    }
}

static void look_at(hw_copy *copy, const known *before) {
    hw_task_record *tasks = (hw_task_record *)copy->tasks.data;
    hw_stage_record *stages = (hw_stage_record *)copy->stages.data;
    hw_share_record *shares = (hw_share_record *)copy->shares.data;
    hw_result_record *index = (hw_result_record *)copy->index.data;
    hw_duration_record *durations = (hw_duration_record *)copy->durations.data;
    int all = 0, moves = 0;
    for (uint32_t i = 0; i < copy->count; i++) {
        hw_task_record *task = tasks + i;
        all += !strcmp(task->id, "all");
        moves += !strcmp(task->id, "moves");
        for (uint32_t j = 0; j < i; j++) CHECK(strcmp(task->id, tasks[j].id) != 0, "%s is listed twice", task->id);
        CHECK(task->state < HW_STATES, "%d", task->state);
        CHECK(task->count >= 0 && (uint64_t)task->count <= hw_load(issued_for(task->slot, task->generation)),
              "%s counts what was not meant for it: %lld of %llu", task->id, (long long)task->count,
              (unsigned long long)hw_load(issued_for(task->slot, task->generation)));
        if (task->generation == before[task->slot].generation)
            CHECK((uint64_t)task->count >= before[task->slot].acknowledged, "%s lacks counts: %lld of %llu", task->id,
                  (long long)task->count, (unsigned long long)before[task->slot].acknowledged);
        if (task->stage[0]) {
            long long n = said_by(task->stage, STAGE);
            CHECK(n >= 0 && said_by(task->message, MESSAGE) == n && task->total == n && task->metric[0] == (double)n,
                  "%s is mixed: %s; %s; %lld, %g", task->id, task->stage, task->message, (long long)task->total,
                  task->metric[0]);
        } else {
            CHECK(!task->message[0] && task->total == HW_NO_TOTAL, "%s is mixed: %s", task->id, task->message);
        }
        CHECK(task->pad[0] == 0, "a record is not clean");
    }
    CHECK(all == 1, "a task that runs all the time is listed %d times", all);
    if (capacity > 3 * MOVERS) CHECK(moves == 1, "a task that is always there is listed %d times", moves);
    for (size_t i = 0; i < copy->stages.bytes / sizeof *stages; i++) {
        int last = i + 1 == copy->stages.bytes / sizeof *stages || stages[i + 1].task != stages[i].task;
        CHECK(said_by(stages[i].stage, STAGE) >= 0, "an entry of the log of %s is mixed: %s", tasks[stages[i].task].id,
              stages[i].stage);
        if (last)
            CHECK(!strcmp(stages[i].stage, tasks[stages[i].task].stage), "the log of %s ends with %s, not with %s",
                  tasks[stages[i].task].id, stages[i].stage, tasks[stages[i].task].stage);
    }
    for (size_t i = 0; i < copy->shares.bytes / sizeof *shares; i++) {
        CHECK(!shares[i].known || shares[i].count >= 0, "a share of %s is %lld", tasks[shares[i].task].id,
              (long long)shares[i].count);
        for (size_t j = 0; j < i; j++)
            CHECK(shares[i].task != shares[j].task || shares[i].worker != shares[j].worker || !shares[i].worker,
                  "worker %llu stands twice on %s", (unsigned long long)shares[i].worker, tasks[shares[i].task].id);
        check_item(shares[i].item, shares[i].worker, tasks[shares[i].task].id);
    }
    for (size_t i = 0; i < copy->durations.bytes / sizeof *durations; i++) {
        hw_task_record *task = tasks + durations[i].task;
        uint64_t timed = 0, meant = hw_load(issued_for(task->slot, task->generation));
        for (int kind = 0; kind < HW_DURATIONS; kind++) timed += durations[i].count[kind];
        CHECK(timed <= meant && durations[i].items <= meant, "%s has the durations of another task: %llu of %llu items", task->id,
              (unsigned long long)timed, (unsigned long long)meant);
        CHECK(durations[i].slowest_ns < hw_clock_ns(CLOCK_MONOTONIC) - begun_ns + SECOND, "an item of %s took longer than the storm", task->id);
        check_item(durations[i].slowest, 0, task->id);
    }
    for (size_t i = 0; i < copy->index.bytes / sizeof *index; i++) {
        const char *json = copy->results.data + index[i].offset;
        uint32_t letter = (uint32_t)(json[0] - 'a');
        CHECK(letter < 26 && index[i].bytes == 2 * letter + 7, "a result of %u bytes begins with %c", index[i].bytes, json[0]);
        for (uint32_t at = 1; at < index[i].bytes; at++) CHECK(json[at] == json[0], "a result is mixed");
    }
}

static void *a_watcher(void *argument) {
    person *p = (person *)argument;
    known *before = (known *)calloc(capacity, sizeof *before);
    CHECK(before != NULL, "no memory");
    while (!__atomic_load_n(&stop_now, __ATOMIC_ACQUIRE)) {
        hw_copy copy;
        know(p->board, before);
        hw_copy_begin(&copy, p->board);
        copy.may_lock = 1;
        CHECK(hw_copy_board(&copy) == HW_OK, "no copy");
        CHECK(copy.unread == 0, "%u tasks were not read", copy.unread);
        look_at(&copy, before);
        hw_copy_end(&copy);
        add(&copies, 1);
    }
    free(before);
    return NULL;
}

/* ---------------------------------------------------------------------------------------------------- the board */

static person *newcomer(uint64_t number) {
    person *p = (person *)calloc(1, sizeof *p);
    CHECK(p != NULL, "no memory");
    p->board = hw_attach(base, &said, own_description(), NULL);
    CHECK(p->board != NULL, "errno %d", errno);
    p->board->semaphore = with_semaphore ? &semaphore : NULL; /* without, they meet more often */
    p->random = 0x9e3779b97f4a7c15ull * (number + 1);
    return p;
}

static void dismiss(person *p) {
    p->board->semaphore = NULL; /* it has no name to be closed by */
    hw_discard(p->board);
    free(p);
}

static void make_board(void) {
    memset(&said, 0, sizeof said);
    hw_geometry(&said, capacity, 16, 64);
    said.magic = HW_MAGIC;
    said.byte_order = HW_BYTE_ORDER;
    said.layout_version = HW_LAYOUT_VERSION;
    said.next_incarnation = 1;
    said.checksum = hw_checksum(&said);
    CHECK(sem_init(&semaphore, 1, 1) == 0, "errno %d", errno);
    int layout;
    CHECK(hw_validate(&said, said.total_bytes, &layout) == NULL, "the header is not sound");
    file = (int)memfd_create("storm", MFD_CLOEXEC);
    CHECK(file >= 0 && ftruncate(file, (off_t)said.total_bytes) == 0, "errno %d", errno);
    base = (char *)mmap(NULL, said.total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    CHECK(base != MAP_FAILED, "errno %d", errno);
    memcpy(base, &said, sizeof said);
    issued = (uint64_t *)calloc((size_t)capacity * GENERATIONS, sizeof *issued);
    acknowledged = (uint64_t *)calloc((size_t)capacity * GENERATIONS, sizeof *acknowledged);
    late = (uint64_t *)calloc((size_t)capacity * GENERATIONS, sizeof *late);
    history = (past *)calloc((size_t)capacity * GENERATIONS, sizeof *history);
    meant_by = (uint64_t *)calloc(WORKERS, sizeof *meant_by);
    acknowledged_by = (uint64_t *)calloc(WORKERS, sizeof *acknowledged_by);
    CHECK(issued && acknowledged && late && history && meant_by && acknowledged_by, "no memory");
}

/* What was acknowledged of a task that lost its slot is in the history. Returns how many counts of stragglers are. */
static uint64_t check_history(hw_board *board) {
    uint64_t in_history = 0;
    for (uint32_t slot = 0; slot < capacity; slot++) {
        uint64_t now = hw_load(&hw_control_of(hw_slot(board, slot))->generation);
        if (now / 2 >= GENERATIONS) continue; /* some of its tasks are told apart no more */
        for (uint64_t generation = 1; generation < now; generation += 2) {
            size_t number = number_of(slot, generation);
            past stands = history[number];
            if (late[number]) continue;
            CHECK(stands.generation == generation || !acknowledged[number], "%llu counts of a task are in no history",
                  (unsigned long long)acknowledged[number]);
            CHECK((int64_t)acknowledged[number] <= stands.count && stands.count <= (int64_t)issued[number],
                  "slot %u, generation %llu: %llu acknowledged, %lld in the history, %llu issued", slot,
                  (unsigned long long)generation, (unsigned long long)acknowledged[number], (long long)stands.count,
                  (unsigned long long)issued[number]);
            in_history += (uint64_t)stands.count;
        }
    }
    return in_history;
}

/* What is told of who counted how much on the task that runs all the time is what each one counted. How many items took long
 * enough to be timed. */
static uint64_t check_shares(hw_board *board) {
    hw_copy copy;
    uint64_t timed = 0;
    int64_t told = 0;
    hw_copy_begin(&copy, board);
    CHECK(hw_copy_task(&copy, all_slot, all_generation) == HW_OK, "no copy");
    hw_share_record *shares = (hw_share_record *)copy.shares.data;
    for (size_t i = 0; i < copy.shares.bytes / sizeof *shares; i++) {
        uint64_t least = hw_load(acknowledged_by + shares[i].worker % WORKERS), most = hw_load(meant_by + shares[i].worker % WORKERS);
        if (!shares[i].known) continue;
        told += shares[i].count;
        CHECK((int64_t)least <= shares[i].count && shares[i].count <= (int64_t)most,
              "worker %llu has a share of %lld: it counted %llu of %llu", (unsigned long long)shares[i].worker,
              (long long)shares[i].count, (unsigned long long)least, (unsigned long long)most);
    }
    CHECK(told <= ((hw_task_record *)copy.tasks.data)->count, "all shares together are %lld", (long long)told);
    hw_duration_record *durations = (hw_duration_record *)copy.durations.data;
    if (copy.durations.bytes)
        for (int kind = 0; kind < HW_DURATIONS; kind++) timed += durations->count[kind];
    hw_copy_end(&copy);
    return timed;
}

/* Every block of the pool is free, or linked to the task that has it, once, or noted by its slot. How many are linked. */
static uint64_t check_pool(hw_board *board) {
    uint64_t in_use = 0;
    uint8_t *known = (uint8_t *)calloc(board->blocks, 1);
    CHECK(known != NULL, "no memory");
    for (uint32_t i = 0; i < board->capacity; i++) {
        hw_control *control = hw_control_of(hw_slot(board, i));
        uint64_t generation = hw_load(&control->generation);
        hw_counters it = hw_counters_of(board, hw_slot(board, i), generation, 0);
        if (!(generation & 1)) continue;
        while (hw_next_block(&it)) {
            CHECK(!known[it.block - board->pool]++, "a block is linked twice");
            CHECK(it.block->rank + (uint64_t)it.steps - 1 == board->pool[(hw_load(&control->stripes_used) >> HW_LINK_SHIFT) - 1].rank,
                  "the blocks of a task are not numbered");
            in_use++;
        }
        uint64_t task = hw_task_name(i, generation, it.folds);
        if (hw_linked(board, hw_load(&control->linking), task)) known[control->linking - 1] = 1;
    }
    for (uint32_t i = 0; i < board->blocks; i++)
        CHECK(known[i] || !board->pool[i].owner || !hw_has_blocks(board, board->pool[i].owner), "block %u is lost", i);
    free(known);
    return in_use;
}

/* Each slot that was ever used is in one list, once: in the chain of its hash, or in the queue of those that are free. */
static void check_lists(hw_board *board) {
    uint8_t *known = (uint8_t *)calloc(board->capacity, 1);
    uint64_t next, free_count = 0;
    CHECK(known != NULL, "no memory");
    CHECK(hw_lock(board, soon()) == HW_OK, "the structural lock was not to be had"); /* which repairs what a dead one left */
    for (uint32_t i = 0; i < board->capacity; i++)
        for (next = hw_load(board->firsts + i); next; next = hw_load(board->nexts + next - 1)) {
            CHECK(!known[next - 1]++, "slot %llu is in two lists", (unsigned long long)next - 1);
            CHECK(hw_load(board->hashes + next - 1) % board->capacity == i, "slot %llu is in another's chain",
                  (unsigned long long)next - 1);
        }
    for (next = hw_load(&board->header->free_ends) & UINT32_MAX; next; next = hw_load(board->nexts + next - 1)) {
        CHECK(!known[next - 1]++, "slot %llu is in two lists", (unsigned long long)next - 1);
        CHECK(!hw_load(board->hashes + next - 1), "slot %llu is not free", (unsigned long long)next - 1);
        free_count++;
    }
    CHECK(free_count == hw_load(&board->header->free_count), "%llu slots are free", (unsigned long long)free_count);
    for (uint32_t i = 0; i < board->capacity; i++)
        CHECK(known[i] == (i < hw_load(&board->header->fresh)), "slot %u is in no list", i);
    hw_unlock(board);
    free(known);
}

/* How often blocks were linked, of all: each time takes two generations of a block. */
static uint64_t links_so_far(hw_board *board) {
    uint64_t links = 0;
    for (uint32_t i = 0; i < board->blocks; i++) links += board->pool[i].generation / 2;
    return links;
}

/* What each slot holds, and who keeps it. */
static void tell_slots(hw_board *board) {
    for (uint32_t i = 0; i < board->capacity; i++) {
        char *slot = hw_slot(board, i);
        hw_control *control = hw_control_of(slot);
        hw_status status;
        char id[HW_ID_BYTES];
        int read = hw_read_status(slot, &status);
        hw_load_text(id, hw_identity_of(slot)->id, HW_ID_BYTES);
        if (!strncmp(id, "full-", 5) || !strcmp(id, "all")) continue;
        fprintf(stderr, "slot %u: %s, generation %llu, read %d, state %llu, owner %llu dead %d, lock %llu dead %d, hash %llu, now %llu\n", i, id,
                (unsigned long long)hw_load(&control->generation), read, (unsigned long long)status.state,
                (unsigned long long)status.owner, hw_dead(board, status.owner), (unsigned long long)hw_load(&control->lock),
                hw_dead(board, hw_load(&control->lock)), (unsigned long long)hw_load(board->hashes + i),
                (unsigned long long)hw_clock_ns(CLOCK_MONOTONIC_COARSE));
        hw_counters it = hw_counters_of(board, slot, hw_load(&control->generation), 0);
        for (hw_stripe *stripe; (stripe = hw_next_stripe(&it)) != NULL;)
            fprintf(stderr, "  stripe %p: worker %llu dead %d, beat %llu, shared %llu\n", (void *)stripe,
                    (unsigned long long)stripe->worker, hw_dead(board, stripe->worker),
                    (unsigned long long)stripe->beat_ns, (unsigned long long)stripe->shared);
    }
}

int main(int argc, char **argv) {
    enum { MOST = 64 };
    pthread_t threads[MOST];
    person *people[MOST], *owner, *watcher;
    hw_found found;
    int n;
    CHECK(argc == 7, "say SECONDS THREADS KILL_ONE_IN STALL_ONE_IN CAPACITY SEMAPHORE");
    double seconds = atof(argv[1]);
    n = atoi(argv[2]);
    kill_one_in = atol(argv[3]);
    stall_one_in = atol(argv[4]);
    capacity = (uint32_t)atoi(argv[5]);
    with_semaphore = atoi(argv[6]);
    CHECK(n > 0 && n < MOST, "%d threads", n);
    make_board();
    begun_ns = hw_clock_ns(CLOCK_MONOTONIC);
    owner = newcomer(1000);
    watcher = newcomer(1001);
    CHECK(hw_register(owner->board, 1, 0, "owner") == HW_OK && hw_register(watcher->board, 0, 0, "") == HW_OK, "nobody");
    CHECK(claim(owner, "all", 0, HW_DROP_FREELY, &found) == HW_OK, "no task");
    CHECK(set_state(owner, found.slot, found.generation, HW_RUNNING, HW_ANY_STATE, 0) == HW_OK, "no state");
    all_slot = found.slot;
    all_generation = found.generation;
    CHECK(claim(owner, "moves", 0, HW_DROP_FREELY, &found) == HW_OK, "no task");
    CHECK(set_state(owner, found.slot, found.generation, HW_SUCCESS, HW_ANY_STATE, HW_SET_ENDED) == HW_OK, "no state");
    for (int i = 0; i < n; i++) {
        people[i] = newcomer((uint64_t)i);
        CHECK(pthread_create(threads + i, NULL, a_life, people[i]) == 0, "no thread");
    }
    people[n] = watcher;
    CHECK(pthread_create(threads + n, NULL, a_watcher, watcher) == 0, "no thread");
    hw_nap((uint64_t)(seconds * 1e9));
    __atomic_store_n(&stop_now, 1, __ATOMIC_RELEASE);
    for (int i = 0; i <= n; i++) {
        pthread_join(threads[i], NULL);
        dismiss(people[i]);
    }
    uint32_t slot = 0;
    uint64_t generation = 0;
    CHECK(find(owner, "all", &slot, &generation) == HW_OK, "lost");
    uint64_t count = (uint64_t)hw_total_count(owner->board, hw_slot(owner->board, slot), generation);
    uint64_t meant = hw_load(issued_for(slot, generation));
    CHECK(acked_all <= count && count <= meant, "%llu acknowledged, %llu counted, %llu issued",
          (unsigned long long)acked_all, (unsigned long long)count, (unsigned long long)meant);
    uint64_t in_history = check_history(owner->board), in_use = check_pool(owner->board);
    uint64_t timed = check_shares(owner->board);
    check_lists(owner->board);
    /* Nothing is lost: the board can be filled to its last slot. */
    hw_nap(HW_SHARED_GRACE_NS + 20000000u); /* the coarse clock, by which it is told, lags behind by some milliseconds */
    for (uint32_t i = 0;; i++) {
        char id[32];
        snprintf(id, sizeof id, "full-%u", i);
        int answer = claim(owner, id, 0, HW_DROP_FREELY, &found);
        if (answer == HW_RESTING) hw_nap(found.wait_ns), i--;
        else if (answer == HW_FULL) {
            if (i != capacity - 1) tell_slots(owner->board);
            CHECK(i == capacity - 1, "%u slots of %u are to be had", i, capacity - 1);
            break;
        } else CHECK(answer == HW_OK, "%d", answer);
    }
    printf("{\"kills\": %llu, \"stalls\": %llu, \"claims\": %llu, \"writes\": %llu, \"copies\": %llu, \"finds\": %llu, "
           "\"resumes\": %llu, \"refused\": %llu, \"archives\": %llu, \"repairs\": %llu, \"count\": %llu, "
           "\"in_history\": %llu, \"shared\": %llu, \"links\": %llu, \"blocks\": %llu, \"taken_back\": %llu, "
           "\"items\": %llu, \"timed\": %llu, \"taken_over\": %llu}\n",
           (unsigned long long)kills, (unsigned long long)stalls, (unsigned long long)claims, (unsigned long long)writes,
           (unsigned long long)copies, (unsigned long long)finds, (unsigned long long)resumes,
           (unsigned long long)refused, (unsigned long long)archives, (unsigned long long)hw_load(&owner->board->header->repairs),
           (unsigned long long)count, (unsigned long long)in_history,
           (unsigned long long)hw_load(&owner->board->header->shared_counters), (unsigned long long)links_so_far(owner->board),
           (unsigned long long)in_use, (unsigned long long)taken_back, (unsigned long long)items_seen,
           (unsigned long long)timed, (unsigned long long)taken_over);
    dismiss(owner);
    free(issued);
    free(acknowledged);
    free(late);
    free(history);
    free(meant_by);
    free(acknowledged_by);
    return 0;
}
