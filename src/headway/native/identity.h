/* identity.h - the identity of this process on a board, how it registers and leaves, and which processes are dead.
 *
 * A process draws an incarnation by fetch_add from the header, so none is ever used twice, and holds a write lock on
 * byte HW_LOCK_BASE + incarnation of the segment's file for as long as it lives: the kernel releases it however the
 * process dies. The lock belongs to an open file description (F_OFD_SETLK) that is never mapped, because a mapping
 * keeps its description open, in forked children too.
 *
 * The incarnation stands in a page that the kernel wipes in every forked child (MADV_WIPEONFORK), also after a raw
 * clone: a child reads 0 and registers anew. The page's second word says whether lock_fd is this process's own; the
 * inherited one must not be used for questions (the parent would seem dead) and not be kept (a dead parent would seem
 * alive).
 *
 * Everything that changes an hw_board runs under the GIL. Calls without the GIL are counted in the page (hw_go_in), and
 * a thread that leaves or detaches waits for them.
 */
#ifndef HEADWAY_IDENTITY_H
#define HEADWAY_IDENTITY_H

#include "board.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------------------ descriptors */

static hw_board *hw_boards; /* grows at its head only, entries are reused, never freed: a forked child walks it */

/* Is this descriptor still the segment's? A program that closes all its descriptors, as daemons do, closes
 * ours, too, and the number may then belong to a file of the program: that file has no locks of ours, and we
 * must not close it. */
static int hw_is_ours(const hw_board *board, int fd) {
    struct stat found;
    return fd >= 0 && fstat(fd, &found) == 0 && found.st_ino == board->inode && found.st_dev == board->device;
}

/* Was the name of the segment's file removed? Then processes that open the board from now on do not see it. */
static int hw_is_nameless(const hw_board *board) {
    struct stat found;
    return hw_is_ours(board, board->lock_fd) && fstat(board->lock_fd, &found) == 0 && found.st_nlink == 0;
}

/* Take (F_WRLCK) or release (F_UNLCK) the lock on the byte of an incarnation, or ask with F_OFD_GETLK whether another
 * description holds it. */
static int hw_byte(int fd, int command, uint64_t incarnation, short *type) {
    struct flock lock;
    int answer;
    memset(&lock, 0, sizeof lock);
    lock.l_type = *type;
    lock.l_whence = SEEK_SET;
    lock.l_start = HW_LOCK_BASE + (int64_t)incarnation;
    lock.l_len = 1;
    answer = fcntl(fd, command, &lock);
    *type = lock.l_type;
    return answer;
}

static inline uint64_t hw_me(const hw_board *board) { return hw_peek(&board->page[HW_PAGE_ME]); }

/* Open the segment's file again: by an inherited descriptor if there is one, as the name may have been removed, else by
 * name. It makes only calls that are safe in a child forked from a process with threads. */
static int hw_open_again(const hw_board *board, int inherited) {
    char path[32], digits[12];
    int n = 0, at = 14, fd = board->lock_fd, own;
    if (inherited) {
        memcpy(path, "/proc/self/fd/", 14);
        do digits[n++] = (char)('0' + fd % 10);
        while (fd /= 10);
        while (n) path[at++] = digits[--n];
        path[at] = 0;
        own = open(path, O_RDWR | O_CLOEXEC);
    } else {
        own = board->path ? open(board->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    }
    if (own >= 0 && !hw_is_ours(board, own)) {
        close(own);
        own = -1;
    }
    return own;
}

/* Make lock_fd a description of this process's own: after a fork, or after the program closed it. One thread does it;
 * others wait a moment. -1 if it is impossible: then every process counts as alive. */
static int hw_reopen(hw_board *board) {
    uint64_t *state = &board->page[HW_PAGE_FD], seen = hw_load(state);
    short type = F_WRLCK;
    int own, inherited;
    if (board->lock_fd < 0) return -1; /* detached */
    if (seen == 2 || !hw_cas(state, seen, 2)) {
        for (int i = 0; i < 1000 && hw_load(state) == 2; i++) sched_yield();
        return hw_load(state) == 1 ? board->lock_fd : -1;
    }
    inherited = hw_is_ours(board, board->lock_fd);
    own = hw_open_again(board, inherited);
    if (own < 0 && inherited && errno == EMFILE) {
        /* No descriptor is free: close the inherited one, which must not be kept anyway, and use its number. */
        close(board->lock_fd);
        inherited = 0;
        own = hw_open_again(board, 0);
    }
    if (own >= 0 && inherited) {
        /* dup3 replaces it in one step: the number is never free for another thread, or copied wrong by a fork. */
        int answer = dup3(own, board->lock_fd, O_CLOEXEC);
        close(own);
        own = answer;
    } else if (own >= 0) {
        board->lock_fd = own; /* the old number was closed, or is another file's by now */
    }
    if (own >= 0 && hw_me(board)) hw_byte(board->lock_fd, F_OFD_SETLK, hw_me(board), &type); /* closing released it */
    hw_store(state, own >= 0); /* release: a reader of 1 uses the new description; 0: tried again at the next use */
    return own >= 0 ? board->lock_fd : -1;
}

/* lock_fd; if it was inherited by fork, or closed by the program, it is made this process's own first. */
static inline int hw_own_fd(hw_board *board) {
    if (HW_LIKELY(hw_load(&board->page[HW_PAGE_FD]) == 1 && hw_is_ours(board, board->lock_fd))) return board->lock_fd;
    return hw_reopen(board);
}

/* The pid, cached: getpid() is a system call, too slow for each status write. */
static inline uint64_t hw_pid(hw_board *board) {
    uint64_t pid = hw_peek(&board->page[HW_PAGE_PID]);
    if (HW_UNLIKELY(!pid)) {
        pid = (uint64_t)getpid();
        __atomic_store_n(&board->page[HW_PAGE_PID], pid, __ATOMIC_RELAXED); /* relaxed: every thread writes the same */
    }
    return pid;
}

/* After a fork, row and stripes are the parent's. The list is not freed: a thread may have been about to enlarge it. */
static void hw_forget(hw_board *board) {
    board->row = HW_NO_ROW;
    board->held = NULL;
    board->held_count = board->held_room = 0;
}

static void hw_after_fork_in_child(void) {
    for (hw_board *board = __atomic_load_n(&hw_boards, __ATOMIC_ACQUIRE); board; board = board->next) {
        if (board->lock_fd < 0) continue;
        hw_reopen(board);
        hw_forget(board);
    }
}

/* Count a call without the GIL, because hw_leave and hw_detach release what it uses. Relaxed at its begin: the caller
 * holds the GIL, which orders it. Release at its end: a reader of 0 sees everything that the call did. */
static inline void hw_go_in(hw_board *board) {
    __atomic_fetch_add(&board->page[HW_PAGE_INSIDE], 1, __ATOMIC_RELAXED);
}
static inline void hw_come_out(hw_board *board) {
    __atomic_fetch_sub(&board->page[HW_PAGE_INSIDE], 1, __ATOMIC_RELEASE);
}
static inline int hw_inside(const hw_board *board) { return hw_load(&board->page[HW_PAGE_INSIDE]) != 0; }

/* --------------------------------------------------------------------------------------------------- liveness */

/* Has the process of this incarnation ended? If the kernel does not answer, it counts as alive, so that nothing is
 * taken from a live process. */
static int hw_dead(hw_board *board, uint64_t incarnation) {
    short type = F_WRLCK;
    int fd;
    if (incarnation == 0 || incarnation == hw_me(board)) return 0; /* our own byte would look free to us */
    if (incarnation >= HW_INCARNATION_MAX || incarnation >= hw_load(&board->header->next_incarnation))
        return 1; /* never drawn: damage */
    fd = hw_own_fd(board);
    return fd >= 0 && hw_byte(fd, F_OFD_GETLK, incarnation, &type) == 0 && type == F_UNLCK;
}

/* As hw_dead, by a descriptor that hw_own_fd gave a moment ago, for one question after another. Only "alive" is an
 * answer: the program may have closed the descriptor meanwhile, and its number may be another file, without locks. */
static int hw_alive_by(hw_board *board, int fd, uint64_t incarnation) {
    short type = F_WRLCK;
    return (fd >= 0 && incarnation < HW_INCARNATION_MAX && hw_byte(fd, F_OFD_GETLK, incarnation, &type) == 0 &&
            type != F_UNLCK) || !hw_dead(board, incarnation);
}

/* Does a process other than the recorder (its incarnation, 0 = none) hold an identity on this segment? Locks of the
 * same open file description are not reported: with its own descriptor, a process does not find itself. If the kernel
 * does not answer, the segment counts as in use. */
static int hw_in_use(int fd, uint64_t recorder) {
    recorder &= HW_INCARNATION_MAX - 1; /* more is damage */
    for (int above = 0; above <= (recorder != 0); above++) { /* below the recorder's byte, then above it */
        struct flock lock;
        memset(&lock, 0, sizeof lock);
        lock.l_type = F_WRLCK;
        lock.l_whence = SEEK_SET;
        lock.l_start = HW_LOCK_BASE + (above ? (int64_t)recorder + 1 : 0);
        lock.l_len = above ? 0 : (int64_t)recorder; /* 0 = to the end */
        if (fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK) return 1;
    }
    return 0;
}

/* The recorder of a segment that is not mapped; 0 if there is none, or if the file is too short. */
static uint64_t hw_recorder_of(int fd) {
    uint64_t recorder = 0;
    return pread(fd, &recorder, sizeof recorder, HW_RECORDER_OFFSET) == (ssize_t)sizeof recorder ? recorder : 0;
}

static int hw_board_in_use(hw_board *board) {
    int fd = hw_own_fd(board);
    return fd < 0 || hw_in_use(fd, hw_load(&board->header->recorder));
}

/* Take a row of the process table. Without one a process still counts, but is not listed. */
static void hw_take_row(hw_board *board, uint64_t me, uint64_t pid, int64_t started_ns, const char *name) {
    char text[sizeof((hw_row *)0)->name];
    memset(text, 0, sizeof text);
    strncpy(text, name, sizeof text - 1);
    for (int dead = 0; dead <= 1; dead++) { /* free rows first: a dead row still names who died */
        for (uint32_t i = 0; i < board->workers; i++) {
            uint32_t at = (uint32_t)((me + i) % board->workers);
            hw_row *row = board->rows + at;
            uint64_t seen = hw_load(&row->incarnation);
            if (dead ? !hw_dead(board, seen) : seen != 0) continue;
            if (!hw_cas(&row->incarnation, seen, me)) continue;
            /* `ready` still names the last holder, or 0: readers skip this row until it names us. */
            HW_STEP("row taken");
            hw_store(&row->pid, pid);
            hw_store(&row->started_ns, (uint64_t)started_ns);
            hw_store_words(row->name, text, sizeof text);
            HW_STEP("row filled");
            hw_store(&row->ready, me);
            board->row = at;
            return;
        }
    }
    board->row = HW_ANONYMOUS;
}

/* Register this process on the board. HW_OK also if it is registered already; HW_SYSTEM if the kernel gives no lock. */
static int hw_register(hw_board *board, int with_row, int64_t started_ns, const char *name) {
    int fd;
    if (hw_me(board)) {
        if (with_row && board->row == HW_NO_ROW)
            hw_take_row(board, hw_me(board), hw_pid(board), started_ns, name);
        return HW_OK;
    }
    errno = 0;
    fd = hw_own_fd(board);
    if (fd < 0) {
        errno = errno ? errno : EBADF;
        return HW_SYSTEM;
    }
    hw_forget(board); /* after a raw clone no fork handler ran */
    for (;;) {
        uint64_t me = __atomic_fetch_add(&board->header->next_incarnation, 1, __ATOMIC_ACQ_REL);
        short type = F_WRLCK;
        if (me == 0) continue;
        if (me >= HW_INCARNATION_MAX) return HW_DAMAGED;
        HW_STEP("drawn");
        if (hw_byte(fd, F_OFD_SETLK, me, &type) != 0) {
            if (errno == EAGAIN || errno == EACCES) continue; /* held: numbers recur only by damage */
            return HW_SYSTEM;
        }
        HW_STEP("alive");
        hw_store(&board->page[HW_PAGE_ME], me); /* release: its lock is held */
        if (with_row) hw_take_row(board, me, hw_pid(board), started_ns, name);
        return HW_OK;
    }
}

/* Forget stripes of tasks that are gone. */
static void hw_prune_held(hw_board *board) {
    size_t kept = 0;
    for (size_t i = 0; i < board->held_count; i++) {
        hw_held *held = board->held + i;
        if (hw_load(&hw_control_of(hw_slot(board, held->slot))->generation) == held->generation)
            board->held[kept++] = *held;
    }
    board->held_count = kept;
}

/* Note a stripe that this process took, so that hw_leave gives it back. If there is no memory for the note, the process
 * keeps the stripe until it ends. */
static void hw_hold(hw_board *board, uint32_t slot, uint32_t stripe, uint64_t generation) {
    if (board->held_count == board->held_room) {
        hw_prune_held(board);
        if (board->held_count * 2 >= board->held_room) { /* still half full: double the room, so that pruning is rare */
            size_t room = board->held_room ? board->held_room * 2 : 64;
            hw_held *held = (hw_held *)realloc(board->held, room * sizeof *held);
            if (!held) return;
            board->held = held;
            board->held_room = room;
        }
    }
    board->held[board->held_count++] = (hw_held){slot, stripe, generation};
}

/* Leave the board: give back stripes, row and identity. Without this the process would count as a dead worker. */
static void hw_leave(hw_board *board) {
    uint64_t me = hw_me(board);
    short type = F_UNLCK;
    if (!me) return; /* not registered, as a forked child that did not use the board */
    for (size_t i = 0; i < board->held_count; i++) {
        hw_stripe *stripe = hw_stripes_of(hw_slot(board, board->held[i].slot)) + board->held[i].stripe;
        hw_cas(&stripe->worker, me, 0);
    }
    free(board->held);
    if (board->row < board->workers) hw_cas(&board->rows[board->row].incarnation, me, 0);
    hw_forget(board);
    hw_store(&board->page[HW_PAGE_ME], 0); /* handles see that they have to register again */
    if (hw_is_ours(board, board->lock_fd)) hw_byte(board->lock_fd, F_OFD_SETLK, me, &type);
}

/* A process that retires an unused board stores this word, then checks the locks of all identities (hw_in_use). A
 * process that joins a board takes its own lock, then reads the word (hw_retiring). Both are sequentially consistent,
 * so at least one of the two sees the other. */
static void hw_announce(hw_board *board, uint64_t retired) {
    uint64_t *word = &board->header->retired, expected = retired ? 0 : HW_RETIRING;
    if (retired == HW_RETIRED_FOR_GOOD) __atomic_store_n(word, retired, __ATOMIC_SEQ_CST);
    else /* never overwrites "for good": a removed board stays removed */
        __atomic_compare_exchange_n(word, &expected, retired, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static int hw_retiring(hw_board *board) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(&board->header->retired, __ATOMIC_SEQ_CST) != 0;
}

#endif
