/* The limit: a supervisor in C that does nothing but start each of N programs again when the program has ended.
 *
 * limit N COMMAND [ARGUMENT]...   (each program gets its number as one more argument)
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

extern char **environ;

int main(int count, char **arguments) {
    if (count < 3) return 64;
    int programs = atoi(arguments[1]);
    pid_t *pids = calloc(programs, sizeof *pids);
    char number[16];
    char **command = calloc(count, sizeof *command);
    for (int i = 2; i < count; i++) command[i - 2] = arguments[i];
    command[count - 2] = number;
    for (int i = 0; i < programs; i++) {
        snprintf(number, sizeof number, "%d", i);
        if (posix_spawn(&pids[i], command[0], NULL, NULL, command, environ)) return 71;
    }
    for (;;) {
        pid_t ended = wait(NULL);
        for (int i = 0; i < programs; i++)
            if (pids[i] == ended) {
                snprintf(number, sizeof number, "%d", i);
                if (posix_spawn(&pids[i], command[0], NULL, NULL, command, environ)) return 71;
            }
    }
}
