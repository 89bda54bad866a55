/* A chain of processes, each the parent of the next; the last forks another whenever fewer live than the number in argv[1]. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEPT 65536
static struct {
    volatile unsigned made, ended;
    volatile pid_t pids[KEPT];
} *shared;

static void grow(unsigned links) {
    for (;;) {
        unsigned mine = shared->made;
        shared->pids[mine % KEPT] = getpid();
        shared->made = mine + 1;
        for (;;) {
            while (shared->ended < mine && kill(shared->pids[shared->ended % KEPT], 0) != 0)
                shared->ended++;
            if (mine - shared->ended < links)
                break;
            usleep(100);
        }
        if (fork() != 0)
            for (;;)
                pause();
    }
}

int main(int count, char **arguments) {
    unsigned links = count > 1 ? atoi(arguments[1]) : 1;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    if (fork() == 0)
        grow(links);
    while (shared->made < links)
        usleep(1000);
    puts("grown");
    return 0;
}
