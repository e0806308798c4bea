/* A marked program for tests in the guest: for each line that comes through a FIFO (its argument), it
 * fires vm:tick once and vm:list once, and makes a file PATH.N that says it has. Ends with the FIFO. */
#include <cairn/trace.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	FILE *fifo = argc > 1 ? fopen(argv[1], "r") : NULL;
	char line[64], path[256];
	uint16_t numbers[2] = {11, 12};

	for (int n = 1; fifo && fgets(line, sizeof(line), fifo); n++) {
		int fd;

		CAIRN(vm, tick, n, (text, line), (last, -n));
		CAIRN(vm, list, CAIRN_SEQ(numbers, numbers, 2));
		(void)snprintf(path, sizeof(path), "%s.%d", argv[1], n);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || close(fd) != 0)
			return 1;
	}
	return fifo == NULL;
}
