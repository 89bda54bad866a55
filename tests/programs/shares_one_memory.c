/* shares_one_memory PROCESSES ENVIRONMENT MAPPED: so many processes share one memory, at no cost to speak of, as children of our parent.
   Each shows an environment of ENVIRONMENT MiB, and has the same 2 MiB mapped so often that it seems to hold MAPPED MiB. */
#define _GNU_SOURCE
#include <linux/prctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static int sleeps(void *unused) { for (;;) pause(); }

static void show_environment(long size)
{
	char *text = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), line[4096];
	FILE *stat = fopen("/proc/self/stat", "r");
	unsigned long long fields[64] = {0};
	struct prctl_mm_map map = {0};
	int number = 3;

	memset(text, 'x', size);
	line[fread(line, 1, sizeof line - 1, stat)] = 0;
	for (char *field = strtok(strrchr(line, ')') + 2, " "); field; field = strtok(0, " "))
		fields[number++] = strtoull(field, 0, 10);
	map.start_code = fields[26]; map.end_code = fields[27]; map.start_stack = fields[28];
	map.start_data = fields[45]; map.end_data = fields[46]; map.start_brk = fields[47]; map.brk = (unsigned long)sbrk(0);
	map.arg_start = fields[48]; map.arg_end = fields[49];
	map.env_start = (unsigned long)text; map.env_end = (unsigned long)text + size; map.exe_fd = -1;
	if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0)) { perror("prctl"); exit(78); }
}

int main(int count, char **arguments)
{
	long processes = atol(arguments[1]), environment = atol(arguments[2]), mapped = atol(arguments[3]);
	int file = memfd_create("shared", 0);

	if (environment) show_environment(environment << 20);
	if (ftruncate(file, 2 << 20)) return 1;
	for (long at = 0; at < mapped; at += 2)
		if (mmap(0, 2 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0) == MAP_FAILED) return 2;
	for (long made = 0; made < processes; made++) {
		char *stack = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (clone(sleeps, stack + 8192, CLONE_VM | CLONE_PARENT | CLONE_FILES | CLONE_FS | SIGCHLD, 0) < 0) return 3;
	}
	puts("made"); fflush(stdout);
	for (;;) pause();
}
