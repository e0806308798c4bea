/* replay FOLDER: runs a fuzzer's function once on nothing and once on each file of its corpus, in the
 * order of names, with a copy of exactly the file's size so that sanitizers see every overrun. TAP.
 */
#include "base/base.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (64u << 20)

static int replay_file(const char *path)
{
	AUTO(buf) struct buf file = {0};
	AUTO(free) uint8_t *exact = NULL;

	if (read_file(path, INPUT_MAX, &file) != 0)
		return -1;
	exact = malloc(file.len ? file.len : 1);
	if (!exact)
		return -1;
	if (file.len)
		memcpy(exact, file.data, file.len);
	(void)LLVMFuzzerTestOneInput(exact, file.len); /* always 0, by libFuzzer's contract */
	return 0;
}

static int is_input(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	struct dirent **files;
	int n, failed = 0;

	n = argc == 2 ? scandir(argv[1], &files, is_input, alphasort) : -1;
	if (n < 1) {
		printf("not ok 1 - corpus # no inputs in %s\n1..1\n",
			argc == 2 ? argv[1] : "(no folder given)");
		return 1;
	}
	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 0; i < n; i++) {
		AUTO(buf) struct buf path = {0};
		int err;

		buf_printf(&path, "%s/%s", argv[1], files[i]->d_name);
		err = path.err ? -1 : replay_file(path.data);
		failed += err != 0;
		printf("%s %d - %s\n", err ? "not ok" : "ok", i + 1, files[i]->d_name);
		fflush(stdout);
		free(files[i]);
	}
	free(files);
	printf("1..%d\n", n);
	return failed != 0;
}
