/* start.h - start a program that is not a child of this process, at any moment of this process.
 *
 * The program has to outlive this process and must not disturb it: no SIGCHLD, no zombie, nothing that a waitpid(-1) of
 * the user's program could find. So an intermediate process starts it, and ends as soon as the program runs:
 *
 *   we --clone--> between --clone--> program         both clones share our memory and stop their maker until the exec
 *                 _exit               execve         (as vfork does), so no page table is copied, however large we are
 *
 * The intermediate process has no exit signal, so wait and waitpid(-1) skip it; only __WCLONE, below, finds it. No
 * pthread_atfork handler and no Python code runs, so other threads do no harm: until the exec, both new processes make
 * only system calls. Signals are blocked meanwhile, as handlers of ours must not run on the shared memory.
 *
 * A subreaper (PR_SET_CHILD_SUBREAPER) would inherit the program, and a loop that waits for all its children would wait
 * for it. So this process stops being one while the intermediate process ends. Process 1 inherits the program anyway.
 */
#ifndef HEADWAY_START_H
#define HEADWAY_START_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HW_STACK_BYTES (64 * 1024)
#define HW_KEPT_MOST 8

typedef struct hw_launch {
    char *const *argv;
    char *const *envp;
    const int *kept; /* descriptors of ours that are 3, 4, ... in the program */
    int n_kept;
    char *stack;  /* of the program until its exec */
    int pid;      /* out: of the program */
    int error;    /* out: errno of the call that failed, 0 = it runs */
} hw_launch;

static void hw_close_range(unsigned first, unsigned last) {
    struct rlimit limit;
#ifdef SYS_close_range
    if (syscall(SYS_close_range, first, last, 0) == 0) return;
#endif
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 65536) limit.rlim_cur = 65536;
    for (unsigned fd = first; fd < limit.rlim_cur && fd <= last; fd++) close((int)fd);
}

/* Close all descriptors except `kept`: this process may have had no free one left. */
static void hw_close_others(const int *kept, int n_kept) {
    for (unsigned from = 0;;) {
        unsigned next = ~0u;
        for (int i = 0; i < n_kept; i++)
            if ((unsigned)kept[i] >= from && (unsigned)kept[i] < next) next = (unsigned)kept[i];
        if (next > from) hw_close_range(from, next == ~0u ? next : next - 1);
        if (next == ~0u) return;
        from = next + 1;
    }
}

/* In the new process: its own session, no streams, only the descriptors that are handed over, default signal handlers,
 * no blocked signals. */
static int hw_become_program(void *argument) {
    hw_launch *launch = (hw_launch *)argument;
    struct sigaction action;
    sigset_t none;
    int fd, moved[HW_KEPT_MOST];
    sigemptyset(&none);
    action.sa_handler = SIG_DFL;
    action.sa_flags = 0;
    action.sa_mask = none;
    for (int number = 1; number < 65; number++) sigaction(number, &action, NULL); /* some are refused */
    hw_close_others(launch->kept, launch->n_kept);
    for (int i = 0; i < launch->n_kept; i++) { /* first to high numbers: one may have a number that another will get */
        moved[i] = fcntl(launch->kept[i], F_DUPFD, 3 + launch->n_kept);
        if (moved[i] < 0) {
            launch->error = errno;
            _exit(127);
        }
    }
    for (int i = 0; i < launch->n_kept; i++) dup2(moved[i], 3 + i); /* which also clears close-on-exec */
    if (setsid() < 0 || chdir("/") != 0 || (fd = open("/dev/null", O_RDWR)) < 0 || dup2(fd, 0) < 0 || dup2(fd, 1) < 0 ||
        dup2(fd, 2) < 0) {
        launch->error = errno;
        _exit(127);
    }
    hw_close_range(3 + (unsigned)launch->n_kept, ~0u);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(launch->argv[0], launch->argv, launch->envp);
    launch->error = errno;
    _exit(127);
}

static int hw_stand_between(void *argument) {
    hw_launch *launch = (hw_launch *)argument;
    launch->pid = clone(hw_become_program, launch->stack + HW_STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, launch);
    if (launch->pid < 0) launch->error = errno;
    _exit(0);
}

/* Run argv[0] with these arguments, environment and descriptors. Its pid; -1 with errno if it could not be started. */
static int hw_start(char *const *argv, char *const *envp, const int *kept, int n_kept) {
    hw_launch launch = {argv, envp, kept, n_kept, NULL, -1, 0};
    sigset_t all, before;
    int status, between, answered, inherits = 0;
    char *stacks = (char *)mmap(NULL, 2 * HW_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stacks == MAP_FAILED) return -1;
    launch.stack = stacks + HW_STACK_BYTES;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (prctl(PR_GET_CHILD_SUBREAPER, &inherits) == 0 && inherits) prctl(PR_SET_CHILD_SUBREAPER, 0);
    between = clone(hw_stand_between, stacks + HW_STACK_BYTES, CLONE_VM | CLONE_VFORK, &launch);
    if (between < 0) launch.error = errno;
    else
        do answered = waitpid(between, &status, __WCLONE);
        while (answered < 0 && errno == EINTR);
    if (inherits) prctl(PR_SET_CHILD_SUBREAPER, 1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(stacks, 2 * HW_STACK_BYTES);
    errno = launch.error;
    return launch.error ? -1 : launch.pid;
}

#endif
