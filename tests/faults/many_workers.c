/* many_workers.c - threads that take themselves for processes begin to count on one task, all at the same moment; or on
 * one task after the other.
 *
 *     many_workers WORKERS DEAD
 *     many_workers WORKERS TASKS HISTORY
 *     many_workers WORKERS TIMES HANDLES again
 *     many_workers WORKERS TIMES OTHERS die
 *
 * Each thread has a hold of its own on one mapping, as in storm.c: its own open of the file, so its own locked byte in the
 * kernel. Each counts its number for the first time when all are there, then once more. Then so many of them are dead: the
 * kernel has let go of their bytes. Prints, as JSON, what a copy of the task says. Ends with 1 where a call failed.
 *
 * With three numbers so many workers count on each of so many tasks, one after the other, which end and stay on the board,
 * and then with the handles that they have of all of them. HISTORY: 1 if each task is archived, 2 if none is though
 * somebody wants that, 0 if nobody writes a history.
 *
 * With "again" a task of so many workers is freed and claimed anew so often, while each worker has that many handles of earlier
 * tasks, the latest and the earliest ones, and counts by all of them: none may count on a task that is not its own.
 */
#include <pthread.h>
#include <stdio.h>

#include <fcntl.h>

#include "attach.h"
#include "claim.h"
#include "copy.h"

static uint32_t capacity = 16;
#define SECOND 1000000000ull
#define CHECK(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #what, errno); \
            _exit(1); \
        } \
    } while (0)

static hw_header said;
static char *base;
static int file;
static uint64_t generation;
static pthread_barrier_t all_here, all_counted;

typedef struct worker {
    hw_board *board;
    hw_task task;
    int64_t number;
} worker;

static void make_board(uint32_t workers) {
    int layout;
    hw_geometry(&said, capacity, workers, 64);
    said.magic = HW_MAGIC;
    said.byte_order = HW_BYTE_ORDER;
    said.layout_version = HW_LAYOUT_VERSION;
    said.next_incarnation = 1;
    said.checksum = hw_checksum(&said);
    CHECK(!hw_validate(&said, said.total_bytes, &layout));
    file = (int)memfd_create("many", MFD_CLOEXEC);
    CHECK(file >= 0 && ftruncate(file, (off_t)said.total_bytes) == 0);
    base = (char *)mmap(NULL, said.total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    CHECK(base != MAP_FAILED);
    memcpy(base, &said, sizeof said);
}

static hw_board *newcomer(void) {
    char path[64];
    hw_board *board;
    int fd;
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    CHECK((fd = open(path, O_RDWR | O_CLOEXEC)) >= 0);
    CHECK((board = hw_attach(base, &said, fd, NULL)) != NULL);
    CHECK(hw_register(board, 1, 0, "worker") == HW_OK);
    return board;
}

static uint32_t claim(hw_board *board, const char *id) {
    hw_identity identity;
    hw_status first;
    hw_found place;
    hw_drop drop = hw_load(&board->header->recorder_wanted) ? HW_DROP_NONE : HW_DROP_FREELY;
    memset(&identity, 0, sizeof identity);
    memset(&first, 0, sizeof first);
    strcpy(identity.id, id);
    first.state = HW_RUNNING;
    first.total = HW_NO_TOTAL;
    first.owner = hw_me(board);
    for (;;) {
        CHECK(hw_lock(board, hw_clock_ns(CLOCK_MONOTONIC) + 20 * SECOND) == HW_OK);
        int answer = hw_claim(board, &identity, &first, 0, 0, drop, (hw_given_up){0, 0}, &place);
        hw_unlock(board);
        if (answer == HW_OK) break;
        CHECK(answer == HW_RESTING);
        hw_nap(place.wait_ns);
    }
    generation = place.generation;
    return place.slot;
}

static void *work(void *argument) {
    worker *one = (worker *)argument;
    pthread_barrier_wait(&all_here);
    CHECK(hw_bind(one->board, &one->task, 0, generation, hw_clock_ns(CLOCK_MONOTONIC) + 60 * SECOND) == HW_OK);
    CHECK(hw_add(&one->task, one->number) == HW_OK);
    pthread_barrier_wait(&all_counted);
    CHECK(hw_add(&one->task, one->number) == HW_OK);
    return NULL;
}

/* A task as it was when it had ended. */
typedef struct past {
    uint32_t slot;
    uint64_t generation;
    int64_t acknowledged;
    hw_task *handles;
} past;

static void end(hw_board *board, const past *one) {
    hw_change change;
    memset(&change, 0, sizeof change);
    change.fields = HW_SET_STATE | HW_SET_ENDED;
    change.allowed = HW_OPEN_STATES;
    change.state = HW_SUCCESS;
    change.now_ns = (int64_t)hw_clock_ns(CLOCK_REALTIME);
    CHECK(hw_write(board, one->slot, one->generation, &change, hw_clock_ns(CLOCK_MONOTONIC) + SECOND) == HW_OK);
}

/* As files/archive.py does. How many shares the row has. */
static size_t archive(hw_board *board, const past *one) {
    uint64_t number, until = hw_clock_ns(CLOCK_MONOTONIC) + SECOND;
    hw_copy copy;
    if (hw_is_owed(board, NULL, one->slot, one->generation, &number) != HW_OK) return 0;
    hw_copy_begin(&copy, board);
    CHECK(hw_copy_task(&copy, one->slot, one->generation) == HW_OK);
    hw_task_record *task = (hw_task_record *)copy.tasks.data;
    size_t shares = copy.shares.bytes / sizeof(hw_share_record);
    CHECK(task->count == one->acknowledged);
    CHECK(hw_begin_archive(board, one->slot, one->generation, number, until) == HW_OK);
    CHECK(hw_mark_archived(board, one->slot, one->generation, number, task->version, task->count, until) == HW_OK);
    hw_copy_end(&copy);
    return shares;
}

static int one_after_the_other(uint32_t workers, uint32_t tasks, int history) {
    worker *all = (worker *)calloc(workers + 1, sizeof *all);
    past *of = (past *)calloc(tasks, sizeof *of);
    uint32_t kept = 0, late = 0, listed = 0, links = 0;
    capacity = tasks < 1024 ? 1024 : tasks;
    make_board(workers + 1);
    for (uint32_t i = 0; i <= workers; i++) all[i].board = newcomer();
    all[0].board->header->recorder_wanted = history != 0;
    for (uint32_t n = 0; n < tasks; n++) {
        past *one = of + n;
        char id[32];
        snprintf(id, sizeof id, "task-%u", n);
        one->slot = claim(all[0].board, id);
        one->generation = generation;
        one->handles = (hw_task *)calloc(workers + 1, sizeof(hw_task));
        for (uint32_t i = 1; i <= workers; i++) {
            CHECK(hw_bind(all[i].board, one->handles + i, one->slot, generation, 0) == HW_OK);
            CHECK(hw_add(one->handles + i, i) == HW_OK);
            one->acknowledged += i;
        }
        end(all[0].board, one);
        if (history == 1) CHECK(archive(all[0].board, one) == workers);
        hw_nap(1000000); /* as tasks of processes take; blocks rest for a moment */
    }
    uint64_t shared = hw_load(&all[0].board->header->shared_counters);
    for (uint32_t n = 0; n < tasks; n++) {
        past *one = of + n;
        char *slot = hw_slot(all[0].board, one->slot);
        uint64_t used = hw_load(&hw_control_of(slot)->stripes_used);
        hw_copy copy;
        CHECK(hw_total_count(all[0].board, slot, one->generation) == one->acknowledged);
        for (uint32_t i = 1; i <= workers; i++) { /* stragglers, with old handles and with new ones */
            hw_task again;
            memset(&again, 0, sizeof again);
            if (hw_add(one->handles + i, 1) == HW_OK) one->acknowledged++, late++;
            CHECK(hw_bind(all[i].board, &again, one->slot, one->generation, 0) == HW_OK);
            if (hw_add(&again, 1) == HW_OK) one->acknowledged++, late++;
        }
        kept += used >> HW_LINK_SHIFT != 0;
        links += hw_load(&hw_control_of(slot)->stripes_used) >> HW_LINK_SHIFT != used >> HW_LINK_SHIFT;
        CHECK(hw_total_count(all[0].board, slot, one->generation) == one->acknowledged);
        hw_copy_begin(&copy, all[0].board);
        CHECK(hw_copy_task(&copy, one->slot, one->generation) == HW_OK);
        CHECK(((hw_task_record *)copy.tasks.data)->count == one->acknowledged);
        if (!shared)
            CHECK(copy.shares.bytes / sizeof(hw_share_record) + ((hw_task_record *)copy.tasks.data)->lost_left_out == workers);
        for (size_t i = 0; i < copy.shares.bytes / sizeof(hw_share_record); i++)
            CHECK(((hw_share_record *)copy.shares.data)[i].alive != 0); /* nobody has died */
        listed += copy.shares.bytes / sizeof(hw_share_record);
        hw_copy_end(&copy);
    }
    printf("{\"pool\": %u, \"shared\": %llu, \"kept\": %u, \"late\": %u, \"listed\": %u, \"links\": %u}\n",
           all[0].board->blocks, (unsigned long long)shared, kept, late, listed, links);
    return 0;
}

static int again_and_again(uint32_t workers, uint32_t times, uint32_t handles) {
    worker *all = (worker *)calloc(workers + 1, sizeof *all);
    hw_task *old = (hw_task *)calloc((size_t)(workers + 1) * handles, sizeof *old);
    uint64_t refused = 0, most = 0, tags = 0;
    CHECK(all && old && handles >= 2);
    capacity = 1024;
    make_board(workers + 1);
    for (uint32_t i = 0; i <= workers; i++) all[i].board = newcomer();
    for (uint32_t n = 0; n < times; n++) {
        past one = {0, 0, 0, NULL};
        one.slot = claim(all[0].board, "task"); /* frees the one before */
        one.generation = generation;
        char *slot = hw_slot(all[0].board, one.slot);
        for (uint32_t i = 1; i <= workers; i++) {
            CHECK(hw_bind(all[i].board, &all[i].task, one.slot, generation, 0) == HW_OK);
            CHECK(hw_add(&all[i].task, i) == HW_OK);
            one.acknowledged += i;
        }
        for (uint32_t i = 1; i <= workers; i++) { /* one of the latest, and one of the earliest */
            hw_task *stale = old + (size_t)i * handles;
            if (n) refused += hw_add(stale + (n - 1) % handles, 1000000) == HW_STALE;
            if (n > 1) refused += hw_add(stale + (n * 7 + i) % (n < handles ? n : handles), 1000000) == HW_STALE;
        }
        CHECK(hw_total_count(all[0].board, slot, generation) == one.acknowledged);
        /* The later half of the places has the latest ones, the first half those of the beginning. */
        uint32_t place = n < handles ? n : handles / 2 + n % (handles - handles / 2);
        for (uint32_t i = 1; i <= workers; i++) old[(size_t)i * handles + place] = all[i].task;
        end(all[0].board, &one);
        hw_nap(200000); /* as it takes, if they are processes; blocks rest for a moment */
    }
    for (uint32_t i = 0; i < all[0].board->blocks; i++)
        if (all[0].board->pool[i].generation / 2 > most) most = all[0].board->pool[i].generation / 2;
    for (uint32_t i = 0; i < capacity; i++)
        if (hw_control_of(hw_slot(all[0].board, i))->generation / 2 > tags)
            tags = hw_control_of(hw_slot(all[0].board, i))->generation / 2;
    printf("{\"refused\": %llu, \"shared\": %llu, \"block\": %llu, \"slot\": %llu}\n", (unsigned long long)refused,
           (unsigned long long)hw_load(&all[0].board->header->shared_counters), (unsigned long long)most,
           (unsigned long long)tags);
    return 0;
}

static void die(hw_board *board) { /* the kernel lets go of its byte */
    hw_weigh_anchor(board);
    close(board->lock_fd);
    board->lock_fd = -1;
    hw_forget(board);
    hw_discard(board);
}

/* What a copy says of a task of which the kernel let so many workers go: their counts, as it tells them, and of how many. */
static void tell(hw_board *board, const char *name, uint32_t slot, uint64_t its) {
    hw_copy copy;
    uint64_t link = hw_load(&hw_control_of(hw_slot(board, slot))->stripes_used) >> HW_LINK_SHIFT, unknown = 0, dead = 0;
    int64_t told = 0;
    hw_copy_begin(&copy, board);
    CHECK(hw_copy_task(&copy, slot, its) == HW_OK);
    hw_task_record *task = (hw_task_record *)copy.tasks.data;
    hw_share_record *shares = (hw_share_record *)copy.shares.data;
    for (size_t i = 0; i < copy.shares.bytes / sizeof *shares; i++) {
        if (shares[i].known) told += shares[i].count;
        unknown += !shares[i].known;
        dead += !shares[i].alive;
    }
    printf("\"%s\": {\"count\": %lld, \"total\": %lld, \"told\": %lld, \"unknown\": %llu, \"dead\": %llu, "
           "\"left_out\": %u, \"blocks\": %llu}, ", name, (long long)task->count,
           (long long)hw_total_count(board, hw_slot(board, slot), its), (long long)told, (unsigned long long)unknown,
           (unsigned long long)dead, task->lost_left_out,
           (unsigned long long)(link ? board->pool[link - 1].rank : 0));
    hw_copy_end(&copy);
}

static int one_dies_after_the_other(uint32_t workers, uint32_t times, uint32_t others) {
    worker *all = (worker *)calloc(workers + others + 1, sizeof *all);
    int64_t acknowledged = 0, last = 0;
    CHECK(all);
    make_board(workers + others + 2);
    all[0].board = newcomer();
    uint32_t slot = claim(all[0].board, "task");
    uint64_t its = generation;
    for (uint32_t i = 1; i <= workers; i++) {
        all[i].board = newcomer();
        CHECK(hw_bind(all[i].board, &all[i].task, slot, its, 0) == HW_OK);
    }
    for (uint32_t n = 1; n <= times; n++) {
        hw_task task;
        hw_board *board = newcomer();
        memset(&task, 0, sizeof task);
        CHECK(hw_bind(board, &task, slot, its, 0) == HW_OK);
        for (uint32_t i = 0; i <= workers; i++) {
            int64_t number = i ? (int64_t)i : (int64_t)n;
            CHECK(hw_add(i ? &all[i].task : &task, number) == HW_OK);
            acknowledged += number;
        }
        CHECK(hw_total_count(all[0].board, hw_slot(all[0].board, slot), its) == acknowledged);
        CHECK(hw_item(&task, "it died of this") == HW_OK);
        last = (int64_t)hw_me(board);
        die(board);
    }
    printf("{");
    tell(all[0].board, "first", slot, its);
    hw_copy copy;
    hw_copy_begin(&copy, all[0].board);
    CHECK(hw_copy_task(&copy, slot, its) == HW_OK);
    hw_share_record *shares = (hw_share_record *)copy.shares.data;
    for (size_t i = 0; i < copy.shares.bytes / sizeof *shares; i++)
        if ((int64_t)shares[i].worker == last)
            printf("\"last\": [%lld, \"%s\"], ", (long long)shares[i].count, shares[i].item);
    hw_copy_end(&copy);
    slot = claim(all[0].board, "second");
    for (uint32_t i = workers + 1; i <= workers + others; i++) {
        all[i].board = newcomer();
        CHECK(hw_bind(all[i].board, &all[i].task, slot, generation, 0) == HW_OK);
        CHECK(hw_add(&all[i].task, 1) == HW_OK);
    }
    tell(all[0].board, "second", slot, generation);
    printf("\"acknowledged\": %lld, \"shared\": %llu}\n", (long long)acknowledged,
           (unsigned long long)hw_load(&all[0].board->header->shared_counters));
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 5 && !strcmp(argv[4], "die"))
        return one_dies_after_the_other((uint32_t)atoi(argv[1]), (uint32_t)atoi(argv[2]), (uint32_t)atoi(argv[3]));
    if (argc == 5)
        return again_and_again((uint32_t)atoi(argv[1]), (uint32_t)atoi(argv[2]), (uint32_t)atoi(argv[3]));
    if (argc == 4) return one_after_the_other((uint32_t)atoi(argv[1]), (uint32_t)atoi(argv[2]), atoi(argv[3]));
    uint32_t workers = argc == 3 ? (uint32_t)atoi(argv[1]) : 0, dead = argc == 3 ? (uint32_t)atoi(argv[2]) : 0;
    pthread_t *threads = (pthread_t *)calloc(workers + 1, sizeof *threads);
    worker *all = (worker *)calloc(workers + 1, sizeof *all);
    pthread_attr_t small;
    hw_copy copy;
    CHECK(workers && dead < workers && threads && all);
    CHECK(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 256 * 1024) == 0);
    hw_use_kernel_clock();
    make_board(workers + 1);
    all[0].board = newcomer();
    CHECK(claim(all[0].board, "task") == 0);
    CHECK(pthread_barrier_init(&all_here, NULL, workers) == 0 && pthread_barrier_init(&all_counted, NULL, workers) == 0);
    for (uint32_t i = 1; i <= workers; i++) {
        all[i].board = newcomer();
        all[i].number = i;
    }
    for (uint32_t i = 1; i <= workers; i++) CHECK(pthread_create(threads + i, &small, work, all + i) == 0);
    for (uint32_t i = 1; i <= workers; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (uint32_t i = 0; i < dead; i++) { /* some here, some there */
        hw_board *board = all[1 + i * (workers / dead)].board;
        hw_weigh_anchor(board);
        close(board->lock_fd);
    }
    hw_copy_begin(&copy, all[0].board);
    CHECK(hw_copy_task(&copy, 0, generation) == HW_OK);
    printf("{\"count\": %lld, \"total\": %lld, \"shared\": %llu, \"shares\": [",
           (long long)((hw_task_record *)copy.tasks.data)->count,
           (long long)hw_total_count(all[0].board, hw_slot(all[0].board, 0), generation),
           (unsigned long long)hw_load(&all[0].board->header->shared_counters));
    for (size_t i = 0; i < copy.shares.bytes / sizeof(hw_share_record); i++) {
        hw_share_record *share = (hw_share_record *)copy.shares.data + i;
        printf("%s[%llu, %lld, %d, %d]", i ? ", " : "", (unsigned long long)share->worker, (long long)share->count,
               share->known, share->alive);
    }
    printf("]}\n");
    hw_copy_end(&copy);
    return 0;
}
