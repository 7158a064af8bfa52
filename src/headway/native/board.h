/* board.h - a mapped segment as one process uses it: geometry, validation, and the addresses of its parts. */
#ifndef HEADWAY_BOARD_H
#define HEADWAY_BOARD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <semaphore.h>
#include <string.h>
#include <sys/types.h>

#include "compat.h"
#include "headway.h"

#define HW_NO_ROW UINT32_MAX          /* no row yet */
#define HW_ANONYMOUS (UINT32_MAX - 1) /* the table was full: this process counts unlisted */

/* The words of the page that is wiped in forked children. */
enum hw_page {
    HW_PAGE_ME = 0,     /* the incarnation, 0 = nobody */
    HW_PAGE_FD = 1,     /* 1: a thread opens lock_fd again */
    HW_PAGE_PID = 2,    /* 0: not known yet */
    HW_PAGE_INSIDE = 16 /* threads in a native call without the GIL; not on the line that each add reads */
};

#define HW_SHARING 64 /* tasks of which it is remembered that this process shares a counter: see bind.h */
#define HW_KNOWN 2048 /* processes whose life is remembered for a second */

/* A stripe that this process took, to be given back when it leaves in good order. */
typedef struct hw_held {
    uint32_t slot;
    uint32_t stripe; /* hw_stripe_at */
    uint64_t generation;
} hw_held;

typedef struct hw_board {
    char *base; /* NULL = the entry is free */
    hw_header *header;
    hw_row *rows;
    uint64_t *hashes;
    uint64_t *firsts; /* lists.h */
    uint64_t *nexts;
    char *slots;
    uint32_t capacity;
    uint32_t workers;
    uint32_t result_bytes;
    uint64_t slot_bytes;
    uint64_t result_stride;
    hw_block *pool;
    uint32_t blocks;
    uint64_t *page; /* enum hw_page; every word reads 0 after a fork */
    uint64_t sharing[HW_SHARING];
    uint64_t known[HW_KNOWN]; /* who was alive when the kernel was last asked: see lost.h */
    int lock_fd;    /* asks about locks; holds none of its own, so children may have it, too */
    int locking_fd; /* while this process registers: its lock is being taken by this one */
    void *anchor;   /* a mapping that keeps this process's lock (identity.h); in a child, perhaps its parent's */
    int handed_on;  /* the kernel refused to keep the anchor from children */
    dev_t device;   /* of the segment's file: the number lock_fd may by now be another file */
    ino_t inode;
    char *path;     /* where the file was found */
    sem_t *semaphore;
    uint32_t row;
    hw_held *held;
    size_t held_count, held_room;
    struct hw_board *next; /* every board of this process, for the handler that runs in a forked child */
} hw_board;

static inline uint64_t hw_align(uint64_t bytes, uint64_t to) { return (bytes + to - 1) / to * to; }

/* One copy of a result: its length, then its bytes. */
static inline uint64_t hw_result_stride(uint32_t result_bytes) { return hw_align(8 + (uint64_t)result_bytes, 64); }

/* How many blocks of counters the pool has: enough for one task of 512 workers, and one more for each four tasks. */
static inline uint32_t hw_pool_blocks(uint32_t capacity) { return HW_BLOCKS + capacity / 4; }

/* Lay out a segment: fills sizes and offsets of `header` from capacity, workers and result_bytes. */
static inline void hw_geometry(hw_header *header, uint32_t capacity, uint32_t workers, uint32_t result_bytes) {
    header->header_bytes = sizeof(hw_header);
    header->row_bytes = sizeof(hw_row);
    header->slot_bytes = (uint32_t)hw_align(HW_RESULT_OFFSET + 2 * hw_result_stride(result_bytes), HW_LINE);
    header->result_bytes = result_bytes;
    header->capacity = capacity;
    header->workers = workers;
    header->rows_offset = sizeof(hw_header);
    header->hashes_offset = header->rows_offset + (uint64_t)workers * sizeof(hw_row);
    header->lists_offset = header->hashes_offset + (uint64_t)capacity * 8;
    header->slots_offset = hw_align(header->lists_offset + (uint64_t)capacity * 16, 4096);
    header->blocks_offset = header->slots_offset + (uint64_t)capacity * header->slot_bytes;
    header->blocks = hw_pool_blocks(capacity);
    header->block_bytes = sizeof(hw_block);
    header->total_bytes = hw_align(header->blocks_offset + (uint64_t)header->blocks * sizeof(hw_block), 4096);
}

/* FNV-1a, 64 bits (Fowler, Noll, Vo). */
static inline uint64_t hw_fnv(const void *data, size_t bytes, uint64_t seed) {
    const unsigned char *p = (const unsigned char *)data;
    uint64_t hash = seed ^ 0xcbf29ce484222325ull;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ p[i]) * 0x100000001b3ull;
    return hash;
}

static inline uint64_t hw_hash(const char *id, size_t bytes) {
    uint64_t hash = hw_fnv(id, bytes, 0);
    return hash ? hash : 1; /* 0 means: no task here */
}

static inline uint64_t hw_checksum(const hw_header *header) {
    return hw_fnv(header->directory, sizeof header->directory, hw_fnv(header, offsetof(hw_header, checksum), 0));
}

/* Is this a segment that we can use? NULL, or what is wrong with it. *layout is set to 1 where it is a sound segment of
 * another layout. `bytes` is the size of the file. `header` is a copy in private memory, which nobody can change during
 * the check. */
static const char *hw_validate(const hw_header *header, uint64_t bytes, int *layout) {
    hw_header want;
    *layout = 0;
    if (header->magic != HW_MAGIC) return "it does not begin with Headway's mark";
    if (header->byte_order != HW_BYTE_ORDER) {
        *layout = 1;
        return "it was made on a machine of another byte order";
    }
    if (header->layout_version != HW_LAYOUT_VERSION) {
        *layout = 1;
        return "it was made by another version of Headway";
    }
    if (header->checksum != hw_checksum(header)) return "its header's checksum is wrong";
    if (header->capacity < 1 || header->capacity > HW_CAPACITY_MAX || header->workers < 1 ||
        header->workers > HW_WORKERS_MAX || header->result_bytes > HW_RESULT_BYTES_MAX)
        return "its header's counts are out of range";
    hw_geometry(&want, header->capacity, header->workers, header->result_bytes);
    if (header->header_bytes != want.header_bytes || header->row_bytes != want.row_bytes ||
        header->slot_bytes != want.slot_bytes || header->rows_offset != want.rows_offset ||
        header->hashes_offset != want.hashes_offset || header->slots_offset != want.slots_offset ||
        header->lists_offset != want.lists_offset || header->blocks_offset != want.blocks_offset || header->blocks != want.blocks ||
        header->block_bytes != want.block_bytes || header->total_bytes != want.total_bytes) {
        *layout = 1;
        return "its records have other sizes than this version's";
    }
    if (bytes != want.total_bytes) return "its size is not what its header says";
    if (!memchr(header->name, 0, sizeof header->name) || !memchr(header->directory, 0, sizeof header->directory))
        return "its header's texts have no end";
    return NULL;
}

static inline int hw_final(uint64_t state) { return state != HW_PENDING && state != HW_RUNNING; }

/* Has the task ended, as written? */
static inline int hw_ended(uint64_t state) { return hw_final(state) && state != HW_LOST_STATE; }

static inline char *hw_slot(const hw_board *board, uint32_t slot) {
    return board->slots + (uint64_t)slot * board->slot_bytes;
}
static inline hw_control *hw_control_of(char *slot) { return (hw_control *)slot; }
static inline hw_stripe *hw_stripes_of(char *slot) { return (hw_stripe *)(slot + HW_STRIPES_OFFSET); }

/* By number: first those of the slot, then those of the pool, block by block. */
static inline hw_stripe *hw_stripe_at(const hw_board *board, char *slot, uint32_t number) {
    if (number < HW_STRIPES) return hw_stripes_of(slot) + number;
    number -= HW_STRIPES;
    return board->pool[number / HW_BLOCK_STRIPES].stripe + number % HW_BLOCK_STRIPES;
}

static inline hw_identity *hw_identity_of(char *slot) { return (hw_identity *)(slot + HW_IDENTITY_OFFSET); }
static inline hw_status *hw_status_of(char *slot, int copy) { return (hw_status *)(slot + HW_STATUS_OFFSET) + copy; }
static inline hw_stage *hw_stages_of(char *slot) { return (hw_stage *)(slot + HW_STAGES_OFFSET); }
static inline hw_lost *hw_lost_of(char *slot) { return (hw_lost *)(slot + HW_LOST_OFFSET); }
static inline char *hw_result_of(const hw_board *board, char *slot, int copy) {
    return slot + HW_RESULT_OFFSET + (uint64_t)copy * board->result_stride;
}

#endif
