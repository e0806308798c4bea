/* cli-program COUNT [wait] [EXIT]: fires demo:tick COUNT times, one of each other event, then exits
 * with EXIT. With wait: says "ready" and waits for the end of its standard input before it exits;
 * each line that it reads until then fires demo:line. */
#include <cairn/trace.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum colour { RED, GREEN, BLUE };

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1;
	const char *name = "it's \"quoted\"\n";
	unsigned char blob[] = {0xde, 0xad, 0, 1};
	short numbers[] = {1, -2, 3};
	char line[64];

	for (int i = 0; i < count; i++)
		CAIRN(demo, tick, i, (square, (long)i * i));
	CAIRN_LEVEL(CAIRN_WARNING, demo, kinds, name, (blob, numbers), CAIRN_HEX(flags, 255),
		CAIRN_BYTES(raw, blob, sizeof(blob)), (half, 0.5), (none, (const char *)NULL),
		CAIRN_ENUM(colour, GREEN, RED, GREEN, BLUE));
	CAIRN_LOG(demo, CAIRN_INFO, "fired %d times, %s", count, "done");
	if (argc > 2 && strcmp(argv[2], "wait") == 0) {
		(void)puts("ready");
		(void)fflush(stdout);
		while (fgets(line, sizeof(line), stdin))
			CAIRN(demo, line, (text, line));
	}
	return argc > 3 ? atoi(argv[3]) : 0;
}
