/* A chain of processes, no more than argv[1], each the parent of the next. When one is killed, the kernel lets its children go on (SIGCONT,
   if somebody has stopped them), and each makes two. They share their memory, so that this is quick. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MOST 4096
#define STACK 16384
static volatile int places[MOST]; /* Each holds the pid of a process, or 0: the kernel clears it when the process ends. */
static volatile unsigned next;
static char *stacks;
static int most;

static int live(void *unused);

static void bear(void) {
    for (int tried = 0; tried < most; tried++) {
        unsigned place = __sync_fetch_and_add(&next, 1) % most;
        if (__sync_bool_compare_and_swap(&places[place], 0, 1)) {
            int shared = CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
            if (clone(live, stacks + (place + 1) * STACK, shared, NULL, NULL, NULL, &places[place]) < 0)
                places[place] = 0;
            return;
        }
    }
}

static int live(void *unused) {
    (void)unused;
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGCONT, 0, 0, 0);
    long parent = syscall(SYS_getppid);
    bear();
    for (;;) {
        if (syscall(SYS_getppid) != parent) {
            parent = syscall(SYS_getppid);
            bear();
            bear();
        } else {
            struct timespec moment = {0, 300000000};
            syscall(SYS_nanosleep, &moment, NULL);
        }
    }
    return 0;
}

static void go_on(int number) {
    (void)number;
}

int main(int count, char **arguments) {
    int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
    struct sigaction goes_on = {.sa_handler = go_on};
    most = count > 1 ? atoi(arguments[1]) : 1;
    stacks = mmap(NULL, (size_t)MOST * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int which = 0; which < 4; which++)
        signal(ignored[which], SIG_IGN);
    sigaction(SIGCONT, &goes_on, NULL);
    if (fork() == 0)
        live(NULL);
    /* The chain is in the memory of that process. */
    usleep(500000);
    puts("grown");
    return 0;
}
