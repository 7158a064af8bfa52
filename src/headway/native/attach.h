/* attach.h - how a process attaches to a mapped segment, and detaches from it. */
#ifndef HEADWAY_ATTACH_H
#define HEADWAY_ATTACH_H

#include "identity.h"

/* An entry for a board: a free one, or a new one with its page. NULL with errno if there is no memory. */
static hw_board *hw_entry(void) {
    static int registered;
    hw_board *board;
    void *page;
    for (board = hw_boards; board; board = board->next)
        if (!board->base) return board;
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return NULL;
    board = (hw_board *)calloc(1, sizeof *board);
    if (!board || (!registered && (errno = pthread_atfork(NULL, NULL, hw_after_fork_in_child)) != 0)) {
        int reason = errno;
        munmap(page, 4096);
        free(board);
        errno = reason;
        return NULL;
    }
    registered = 1;
    madvise(page, 4096, MADV_WIPEONFORK); /* refused before Linux 4.14, and by some sandboxes: see identity.h */
    board->page = (uint64_t *)page;
    board->lock_fd = board->locking_fd = -1;
    board->next = hw_boards;
    __atomic_store_n(&hw_boards, board, __ATOMIC_RELEASE); /* release: a child that sees the entry sees it whole */
    return board;
}

/* Attach to a mapped segment. `header` is the validated copy, so that later changes in the segment have no
 * effect. `path` of the file, or NULL. The board owns lock_fd from then on; NULL with errno, and it does not,
 * without memory. */
static hw_board *hw_attach(void *base, const hw_header *header, int lock_fd, const char *path) {
    struct stat found;
    hw_board *board = fstat(lock_fd, &found) == 0 ? hw_entry() : NULL;
    if (!board) return NULL;
    board->device = found.st_dev;
    board->inode = found.st_ino;
    board->path = path ? strdup(path) : NULL;
    board->base = (char *)base;
    board->header = (hw_header *)base;
    board->rows = (hw_row *)(board->base + header->rows_offset);
    board->hashes = (uint64_t *)(board->base + header->hashes_offset);
    board->firsts = (uint64_t *)(board->base + header->lists_offset);
    board->nexts = board->firsts + header->capacity;
    board->slots = board->base + header->slots_offset;
    board->capacity = header->capacity;
    board->workers = header->workers;
    board->result_bytes = header->result_bytes;
    board->slot_bytes = header->slot_bytes;
    board->result_stride = hw_result_stride(header->result_bytes);
    board->pool = (hw_block *)(board->base + header->blocks_offset);
    board->blocks = header->blocks;
    memset(board->page, 0, 4096);
    memset(board->known, 0, sizeof board->known); /* of the board that had this entry before: its numbers begin at 1, too */
    memset(board->sharing, 0, sizeof board->sharing);
    board->anchor = NULL;
    board->locking_fd = -1;
    hw_forget(board);
    board->semaphore = NULL;
    board->lock_fd = lock_fd;
    return board;
}

/* Does the semaphore's file belong to this user alone? Another user could truncate his own: waiting on it is a
 * SIGBUS. */
static int hw_is_own_file(const char *path, struct stat *found) {
    return lstat(path, found) == 0 && S_ISREG(found->st_mode) && found->st_uid == geteuid() &&
           !(found->st_mode & 077) && found->st_size >= (off_t)sizeof(sem_t);
}

/* Wait for the structural lock by this semaphore, whose file is at `path`; without one, waiting sleeps for short
 * times. The file is checked before and after the opening: nobody else can replace our file, so it is the one that was
 * opened. */
static void hw_use_semaphore(hw_board *board, const char *name, const char *path) {
    struct stat before, after;
    sem_t *semaphore;
    int covered[3];
    if (board->semaphore || !hw_is_own_file(path, &before)) return;
    hw_cover(covered);
    semaphore = sem_open(name, 0);
    hw_uncover(covered);
    if (semaphore == SEM_FAILED) return;
    if (hw_is_own_file(path, &after) && before.st_ino == after.st_ino && before.st_dev == after.st_dev)
        board->semaphore = semaphore;
    else
        sem_close(semaphore);
}

/* Release everything except the mapping of the segment, to which late handles may still write. */
static void hw_detach(hw_board *board) {
    int fd = board->lock_fd;
    hw_leave(board);
    board->lock_fd = -1; /* before it is closed: a child forked in between must not use it */
    if (hw_is_ours(board, fd)) close(fd);
    if (board->semaphore) sem_close(board->semaphore);
    board->semaphore = NULL;
}

/* No handle is left: another board may use the entry. */
static void hw_discard(hw_board *board) {
    hw_detach(board);
    free(board->path);
    board->path = NULL;
    board->base = NULL;
}

#endif
