/* A marked program for tests in the guest: for each line that comes through a FIFO (its argument), it
 * fires vm:tick once and vm:list once, and makes a file PATH.N that says it has. Ends with the FIFO.
 * With --real-time it sleeps for a millisecond at a real-time priority, so that somebody is woken. */
#include <cairn/trace.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int sleep_in_real_time(void)
{
	struct sched_param param = {.sched_priority = 50};

	return sched_setscheduler(0, SCHED_FIFO, &param) != 0 || usleep(1000) != 0;
}

static int follow(const char *path)
{
	FILE *fifo = path ? fopen(path, "r") : NULL;
	char line[64], file[256];
	uint16_t numbers[2] = {11, 12};

	for (int n = 1; fifo && fgets(line, sizeof(line), fifo); n++) {
		int fd;

		CAIRN(vm, tick, n, (text, line), (last, -n));
		CAIRN(vm, list, CAIRN_SEQ(numbers, numbers, 2));
		(void)snprintf(file, sizeof(file), "%s.%d", path, n);
		fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || close(fd) != 0)
			return 1;
	}
	return fifo == NULL;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--real-time") == 0)
		return sleep_in_real_time();
	return follow(argc > 1 ? argv[1] : NULL);
}
