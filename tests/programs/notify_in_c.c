/* A program that speaks sd_notify without any library: READY, STATUS, WATCHDOG three times, STOPPING, then it ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void notify(const char *state) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", getenv("NOTIFY_SOCKET"));
    if (fd < 0 || sendto(fd, state, strlen(state), 0, (struct sockaddr *)&address, sizeof(address)) < 0)
        exit(70);
    close(fd);
}

int main(void) {
    notify("READY=1\nSTATUS=at work");
    for (int pings = 0; pings < 3; pings++) {
        usleep(atol(getenv("WATCHDOG_USEC")) / 2);
        notify("WATCHDOG=1");
    }
    notify("STOPPING=1");
    return 3;
}
