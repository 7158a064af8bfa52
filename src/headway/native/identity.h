/* identity.h - the identity of this process on a board, how it registers and leaves, and which processes are dead.
 *
 * A process draws an incarnation by fetch_add from the header, so none is ever used twice, and holds a write lock on
 * byte HW_LOCK_BASE + incarnation of the segment's file for as long as it lives: the kernel releases it however the
 * process dies.
 *
 * The lock belongs to an open file description of its own (F_OFD_SETLK), which only a mapping of one page keeps open: the
 * anchor. It has no descriptor, so nothing that a program does to its descriptors releases the lock: not closing all of
 * them, not dup2 over one. It is marked MADV_DONTFORK, so no child has it, not even after a raw clone: the lock ends with
 * this process and its memory, and no child can keep its dead parent alive. An exec ends it, too.
 *
 * Questions about locks are asked through lock_fd, on which no lock is ever held: children may go on using it.
 *
 * Where the file cannot be opened any more (the program gave up its rights, went into a chroot, has no descriptor
 * left), the lock is one of the process instead (F_SETLK), through lock_fd. The kernel drops that one when the process
 * closes any descriptor of the file, so it is looked at once a second (hw_keep).
 *
 * The incarnation stands in a page that the kernel wipes in every forked child (MADV_WIPEONFORK), also after a raw
 * clone: a child reads 0 and registers anew. A handler in the child wipes the page as well, and unmaps the anchor, for
 * kernels and emulators that do not; there, a raw clone has to be followed by an exec.
 *
 * Everything that changes an hw_board runs under the GIL. Calls without the GIL are counted in the page (hw_go_in), and
 * a thread that leaves or detaches waits for them.
 */
#ifndef HEADWAY_IDENTITY_H
#define HEADWAY_IDENTITY_H

#include "board.h"
#include "descriptor.h"

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

/* Open the segment's file once more, as a new description: by lock_fd, as the name may have been removed, else by name.
 * -1 with errno. */
static int hw_open_again(const hw_board *board) {
    int own = hw_is_ours(board, board->lock_fd) ? hw_open_anew(board->lock_fd, O_RDWR) : -1;
    if (own < 0 && board->path) own = hw_open(board->path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
    if (own >= 0 && !hw_is_ours(board, own)) {
        close(own);
        own = -1;
        errno = ENOENT; /* another file has the name by now */
    }
    return own;
}

/* The program closed lock_fd: open the file again. One thread does it; others wait a moment. -1 if it is impossible:
 * then every process counts as alive. */
static int hw_reopen(hw_board *board) {
    uint64_t *busy = &board->page[HW_PAGE_FD];
    int own;
    if (board->lock_fd < 0) return -1; /* detached */
    if (!hw_cas(busy, 0, 1)) {
        for (int i = 0; i < 1000 && hw_load(busy); i++) sched_yield();
        return hw_is_ours(board, board->lock_fd) ? board->lock_fd : -1;
    }
    own = hw_is_ours(board, board->lock_fd) ? board->lock_fd : hw_open_again(board);
    if (own >= 0) board->lock_fd = own; /* the old number was closed, or is another file's by now */
    hw_store(busy, 0); /* release: who reads 0 sees the new number; if it failed, the next use tries again */
    return own;
}

/* The descriptor that asks about locks; it is opened again if the program closed it. */
static inline int hw_own_fd(hw_board *board) {
    if (HW_LIKELY(hw_is_ours(board, board->lock_fd))) return board->lock_fd;
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

/* In a child: is this still a mapping of the segment, although it was to have none (MADV_DONTFORK)? Emulators hand it on.
 * Where the kernel did as it was told, nothing is mapped there, or by an earlier handler something else. */
static int hw_was_handed_on(const hw_board *board) {
    return board->anchor && (board->handed_on || madvise(board->anchor, 4096, MADV_DOFORK) == 0) &&
           memcmp(board->anchor, board->header, offsetof(hw_header, pad0)) == 0;
}

/* In a forked child: it is nobody yet, and has nothing that keeps its parent alive. It makes only calls that are safe
 * in a child of a process with threads. */
static void hw_after_fork_in_child(void) {
    for (hw_board *board = __atomic_load_n(&hw_boards, __ATOMIC_ACQUIRE); board; board = board->next) {
        if (board->lock_fd < 0) continue;
        memset(board->page, 0, 4096); /* the kernel has done it, if it knows MADV_WIPEONFORK */
        if (hw_was_handed_on(board)) munmap(board->anchor, 4096);
        if (hw_is_ours(board, board->locking_fd)) close(board->locking_fd); /* C code forked while a thread registered */
        board->anchor = NULL;
        board->locking_fd = -1;
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

/* Does any process but these two (incarnations, 0 = none) hold an identity on this segment? If the kernel does not answer,
 * the segment counts as in use. */
static int hw_in_use(int fd, uint64_t one, uint64_t other) {
    uint64_t but[2] = {one & (HW_INCARNATION_MAX - 1), other & (HW_INCARNATION_MAX - 1)}; /* more is damage */
    uint64_t from = 0;
    if (but[0] > but[1]) but[0] = but[1], but[1] = one & (HW_INCARNATION_MAX - 1);
    for (int i = 0; i <= 2; i++) { /* below the first, between the two, above the second */
        struct flock lock;
        memset(&lock, 0, sizeof lock);
        lock.l_type = F_WRLCK;
        lock.l_whence = SEEK_SET;
        lock.l_start = HW_LOCK_BASE + (int64_t)from;
        if (i < 2) {
            if (but[i] <= from) continue;
            lock.l_len = (int64_t)(but[i] - from);
            from = but[i] + 1;
        } /* else to the end */
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
    return fd < 0 || hw_in_use(fd, hw_load(&board->header->recorder), hw_me(board));
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

/* Open a description for this process's lock, and map it: the anchor. Its descriptor, to be closed once the lock is
 * held; -1 with errno. Mapped before the lock is taken: so no child has a mapping of a description with a lock. */
static int hw_drop_anchor(hw_board *board) {
    int reason, fd = hw_open_again(board);
    void *anchor;
    if (fd < 0) return -1;
    anchor = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (anchor == MAP_FAILED) {
        reason = errno;
        close(fd);
        errno = reason;
        return -1;
    }
    board->handed_on = madvise(anchor, 4096, MADV_DONTFORK) != 0; /* then the handler in the child unmaps it */
    board->anchor = anchor;
    board->locking_fd = fd;
    return fd;
}

static void hw_weigh_anchor(hw_board *board) {
    if (board->anchor) munmap(board->anchor, 4096);
    board->anchor = NULL;
}

/* Take the lock on the byte of an incarnation: `me`, or if it is 0 a new one, which is drawn. HW_OK; HW_SYSTEM if the
 * kernel gives no lock; HW_DAMAGED if there are no numbers left; HW_EXISTS if somebody else holds the lock of `me`. */
static int hw_come_alive(hw_board *board, uint64_t me) {
    int fd, command = F_OFD_SETLK, answer = HW_OK, reason;
    board->anchor = NULL; /* in a child, the parent's, which is not mapped here */
    errno = 0;
    fd = hw_drop_anchor(board);
    if (fd < 0) { /* a lock of this process, see above */
        reason = errno;
        command = F_SETLK;
        fd = hw_own_fd(board);
        if (fd < 0) {
            errno = reason ? reason : EBADF;
            return HW_SYSTEM;
        }
    }
    for (uint64_t drawn = me;; drawn = 0) {
        short type = F_WRLCK;
        if (!drawn) drawn = __atomic_fetch_add(&board->header->next_incarnation, 1, __ATOMIC_ACQ_REL);
        if (drawn == 0) continue;
        if (drawn >= HW_INCARNATION_MAX) {
            answer = HW_DAMAGED;
            break;
        }
        HW_STEP("drawn");
        if (hw_byte(fd, command, drawn, &type) == 0) {
            HW_STEP("alive");
            hw_store(&board->page[HW_PAGE_ME], drawn); /* release: its lock is held */
            break;
        }
        if (errno != EAGAIN && errno != EACCES) answer = HW_SYSTEM;
        else if (me) answer = HW_EXISTS; /* held: numbers recur only by damage */
        else continue;
        break;
    }
    reason = errno;
    if (answer != HW_OK) hw_weigh_anchor(board);
    if (board->locking_fd >= 0) close(board->locking_fd);
    board->locking_fd = -1;
    errno = reason;
    return answer;
}

/* Register this process on the board. HW_OK also if it is registered already; HW_SYSTEM if the kernel gives no lock. */
static int hw_register(hw_board *board, int with_row, int64_t started_ns, const char *name) {
    int answer;
    if (!hw_me(board)) {
        hw_forget(board); /* after a raw clone no fork handler ran */
        answer = hw_come_alive(board, 0);
        if (answer != HW_OK) return answer;
    }
    if (with_row && board->row == HW_NO_ROW) hw_take_row(board, hw_me(board), hw_pid(board), started_ns, name);
    return HW_OK;
}

/* Once a second: is everything still there by which this process is known to be alive? The descriptor that asks may
 * have been closed by the program, and a lock without an anchor been dropped by the kernel; then it gets an anchor, if
 * there is a descriptor again. A lock that is still there stays one of the process: to the kernel the two kinds are of
 * two holders, so it would have to be let go of first, and whoever asked in between would take this process for dead. */
static void hw_keep(hw_board *board) {
    uint64_t me = hw_me(board);
    short type = F_WRLCK;
    int fd = hw_own_fd(board);
    if (!me || board->anchor) return;
    if (fd >= 0 && hw_byte(fd, F_OFD_GETLK, me, &type) == 0 && type != F_UNLCK) return; /* our own one shows here, too */
    hw_come_alive(board, me);
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
        hw_stripe *stripe = hw_stripe_at(board, hw_slot(board, board->held[i].slot), board->held[i].stripe);
        hw_cas(&stripe->worker, me, 0);
    }
    free(board->held);
    if (board->row < board->workers) hw_cas(&board->rows[board->row].incarnation, me, 0);
    hw_forget(board);
    hw_store(&board->page[HW_PAGE_ME], 0); /* handles see that they have to register again */
    if (board->anchor) hw_weigh_anchor(board); /* the description is closed with its last mapping, and its lock ends */
    else if (hw_is_ours(board, board->lock_fd)) hw_byte(board->lock_fd, F_SETLK, me, &type);
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
