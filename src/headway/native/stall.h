/* stall.h - after how long without a sign of life a running task is stalled: the one home of the rule.
 *
 * What was given for the task; else what was given for the board; else the task's own rhythm: so many times as long as its
 * slowest item took so far, and 10 s at least. Nothing that was counted took longer than the slowest, so nothing of the kind
 * is called stalled. Whoever copies a task notes the answer in its record: all others, in memory or from a file, compare.
 */
#ifndef HEADWAY_STALL_H
#define HEADWAY_STALL_H

#include <math.h>
#include <stdint.h>

#define HW_STALL_LEAST_NS ((uint64_t)10000000000)
#define HW_STALL_TIMES 3
#define HW_STALL_NEVER INT64_MAX

/* slowest_ns: below 2^58, as a segment has it; 0 = nothing was timed. Words of a segment may hold anything. */
static inline int64_t hw_stall_ns(uint64_t of_task, uint64_t of_board, uint64_t slowest_ns) {
    uint64_t ns = of_task ? of_task : of_board;
    if (!ns) ns = slowest_ns > HW_STALL_LEAST_NS / HW_STALL_TIMES ? slowest_ns * HW_STALL_TIMES : HW_STALL_LEAST_NS;
    return ns < HW_STALL_NEVER ? (int64_t)ns : HW_STALL_NEVER;
}

/* In seconds, as a record has it: 0 is that of an older file, and less is damage. */
static inline double hw_stall_seconds(int64_t ns) {
    if (ns <= 0) return HW_STALL_LEAST_NS / 1e9;
    return ns == HW_STALL_NEVER ? INFINITY : (double)ns / 1e9;
}

#endif
