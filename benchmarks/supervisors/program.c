/* The supervised program: reports itself to a datagram socket as soon as it runs, then sleeps.
 *
 * program SOCKET ID [stubborn]
 *
 * The report is "ID PID NANOSECONDS", the time by CLOCK_MONOTONIC. A stubborn one first leaves three descendants that ignore SIGTERM and
 * SIGINT: a child, one in a session of its own, and one that was forked twice.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void sleep_for_ever(void) {
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    for (;;) pause();
}

int main(int count, char **arguments) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (count < 3) return 64;
    if (count > 3) {
        if (fork() == 0) sleep_for_ever();
        if (fork() == 0) { setsid(); sleep_for_ever(); }
        if (fork() == 0) { setsid(); if (fork() == 0) sleep_for_ever(); _exit(0); }
    }
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path, arguments[1], sizeof to.sun_path - 1);
    char report[128];
    int size = snprintf(report, sizeof report, "%s %d %lld", arguments[2], getpid(), now.tv_sec * 1000000000LL + now.tv_nsec);
    int reports = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sendto(reports, report, size, 0, (struct sockaddr *)&to, sizeof to) < 0) return 71;
    for (;;) pause();
}
