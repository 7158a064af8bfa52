/* pair.c - what two processes on two cores of this machine pay for a line that both use: a measurement to hold the
 * simulator of coherence.py against.
 *
 *     pair PASSES
 *
 * prints a line for each case: CASE WORK NS_ALONE NS_25% NS_50% NS_75% KEPT. `own`, `shared`, `word`: ns of one operation,
 * with so many rounds of work before it: an update of a stripe of one's own, of the same stripe, an add to the same word.
 * `sum`: ns a line, to read so many lines that the other wrote (alone: that nobody wrote since). `ping`: ns of one message;
 * there is one before and after each case, because a hypervisor may move either core to another place at any time.
 *
 * The processes meet, do the same number of operations at the same time, and meet again. A round counts only if both ran
 * for nearly all of it side by side: one that lost its core in between says nothing about lines.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "headway.h"

#define MOST 512            /* stripes */
#define PATIENCE_NS 20000000000ull
#define BURSTS 15           /* rounds of a case, one after the other */
#define TOGETHER 0.85       /* of a round, for it to count */

enum { OWN, SHARED, WORD, PING, SUM };
static const char *const NAMES[] = {"own", "shared", "word", "ping", "sum"};

typedef struct area {
    hw_stripe stripes[MOST];
    hw_stripe word;
    struct {
        uint64_t arrived, begin, end, pad[13];
    } of[2];
    uint64_t stop;
} area;

static area *all;
static uint64_t identity = 1;
static double sink;

static uint64_t now(void) {
    struct timespec t;
    hw_clock(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void work(long rounds) {
    double x = 0.3;
    for (long i = 0; i < rounds; i++) {
        x = 3.9 * x * (1 - x);
        __asm__ __volatile__("" : "+x"(x));
    }
    if (rounds) sink = x;
}

/* Wait for the other. Both spin, so that both begin within a few dozen nanoseconds. */
static void meet(int me, uint64_t round) {
    uint64_t until = 0;
    hw_store(&all->of[me].arrived, round);
    for (uint64_t i = 1; hw_load(&all->of[!me].arrived) < round; i++) {
        if (i % 4096) continue;
        if (!until) until = now() + PATIENCE_NS;
        if (now() > until || hw_load(&all->stop)) _exit(3);
    }
}

static void one_round(int me, int what, long times, long rounds, int alone) {
    hw_task task = {all->stripes + (what == OWN ? me : 0), &identity, 1, 0, hw_clock};
    if (alone && me) return;
    all->of[me].begin = now();
    if (what == WORD) {
        for (long i = 0; i < times; i++) {
            work(rounds);
            hw_now(&task);
            __atomic_fetch_add(&all->word.count, 1, __ATOMIC_RELAXED);
        }
    } else if (what == PING) {
        for (long i = 0; i < times; i++) {
            uint64_t mine = 2 * (uint64_t)i + (uint64_t)me, seen;
            do seen = mine;
            while (!__atomic_compare_exchange_n(&all->word.count, &seen, mine + 1, 0, __ATOMIC_ACQ_REL,
                                                __ATOMIC_RELAXED) && !hw_peek(&all->stop));
        }
    } else if (what == SUM) {
        uint64_t sum = 0;
        if (me == 0)
            for (long i = 0; i < times; i++) sum += hw_load(&all->stripes[i].count);
        sink += (double)sum;
    } else {
        for (long i = 0; i < times; i++) {
            work(rounds);
            hw_add(&task, 1);
        }
    }
    all->of[me].end = now();
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double lasted(int me) { return (double)(all->of[me].end - all->of[me].begin); }

/* One case: parent and child do the same rounds, only the parent prints. */
static void one_case(int me, int what, long times, long rounds, uint64_t *round) {
    double kept[BURSTS], alone[BURSTS];
    int n = 0;
    for (int i = 0; i < BURSTS; i++) {
        if (me == 0) memset(&all->word, 0, sizeof all->word);
        meet(me, ++*round);
        if (what != PING) one_round(me, what, times, rounds, 1); /* the child waits, on another line */
        if (me == 0 && what == SUM) one_round(0, what, times, rounds, 1); /* twice: now nobody took the lines away */
        alone[i] = what == PING ? 0 : lasted(0) / (double)times;
        meet(me, ++*round);
        if (what == SUM && me == 1)
            for (long s = 0; s < times; s++) __atomic_fetch_add(&all->stripes[s].count, 1, __ATOMIC_RELAXED);
        if (me == 0 && what == PING) memset(&all->word, 0, sizeof all->word);
        meet(me, ++*round);
        one_round(me, what, times, rounds, 0);
        meet(me, ++*round);
        if (me) continue;
        uint64_t from = all->of[0].begin > all->of[1].begin ? all->of[0].begin : all->of[1].begin;
        uint64_t first = all->of[0].begin < all->of[1].begin ? all->of[0].begin : all->of[1].begin;
        uint64_t to = all->of[0].end < all->of[1].end ? all->of[0].end : all->of[1].end;
        uint64_t last = all->of[0].end > all->of[1].end ? all->of[0].end : all->of[1].end;
        if (what == SUM) kept[n++] = lasted(0) / (double)times;
        else if (to > from && (double)(to - from) >= TOGETHER * (double)(last - first))
            kept[n++] = (lasted(0) + lasted(1)) / 2 / (double)times / (what == PING ? 2 : 1);
    }
    if (me == 0) {
        qsort(kept, (size_t)n, sizeof *kept, by_size);
        qsort(alone, BURSTS, sizeof *alone, by_size);
        printf("%s %ld %.3f ", NAMES[what], what == SUM ? times : rounds, alone[BURSTS / 2]);
        if (n) printf("%.3f %.3f %.3f %d\n", kept[n / 4], kept[n / 2], kept[3 * n / 4], n);
        else printf("nan nan nan 0\n");
        fflush(stdout);
    }
}

static void pin(int me) {
    cpu_set_t allowed, mine;
    int seen = 0;
    sched_getaffinity(0, sizeof allowed, &allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || seen++ != me) continue;
        CPU_ZERO(&mine);
        CPU_SET(cpu, &mine);
        if (sched_setaffinity(0, sizeof mine, &mine) == 0) return;
    }
    fprintf(stderr, "pair: two cores are needed\n");
    exit(2);
}

int main(int argc, char **argv) {
    static const long works[] = {0, 4, 40, 400};
    int passes = argc > 1 ? atoi(argv[1]) : 5, status = 0;
    uint64_t round = 0;
    hw_use_kernel_clock();
    all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) return 2;
    pid_t child = fork();
    int me = child == 0;
    if (me) prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(me);
    for (int pass = 0; pass < passes; pass++) {
        for (int what = OWN; what <= WORD; what++)
            for (size_t w = 0; w < sizeof works / sizeof *works; w++) {
                one_case(me, PING, 200, 0, &round);
                one_case(me, what, works[w] > 100 ? 300 : works[w] > 10 ? 2000 : 20000, works[w], &round);
            }
        for (long lines = 8; lines <= MOST; lines *= 8) {
            one_case(me, PING, 200, 0, &round);
            one_case(me, SUM, lines, 0, &round);
        }
    }
    one_case(me, PING, 200, 0, &round);
    if (me) _exit(0);
    waitpid(child, &status, 0);
    return status ? 1 : 0;
}
