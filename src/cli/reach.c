/* Processes named by -p that no session can reach. See reach.h. */
#include "cli/reach.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

int reach_exist(const struct command *c, const pid_t *pids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (kill(pids[i], 0) != 0 && errno == ESRCH)
			return fail_text(c, NULL, "there is no process %d", (int)pids[i]);
	return CLI_OK;
}

static void say_missing(const struct command *c, pid_t pid)
{
	char path[64];
	struct buf comm AUTO(buf) = {0};

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid); /* fits */
	if (read_file(path, 64, &comm) != 0)
		buf_str(&comm, "ended");
	while (comm.len && comm.data[comm.len - 1] == '\n')
		comm.data[--comm.len] = '\0';
	(void)fail_text(c,
		"a program is reached if it is marked with CAIRN() and started while a host "
		"ran, or after `cairn dormant on`; --with libc reaches commands of record's",
		"process %d (%s) cannot be reached: the runtime is not loaded in it", (int)pid,
		comm.data ? comm.data : "?");
}

size_t reach_missing(
	const struct command *c, struct cairn_control *ctl, const pid_t *pids, size_t n, bool say)
{
	struct cairn_process_info *list;
	size_t len, missing = 0;

	if (cairn_process_list(ctl, 0, 0, &list, &len, NULL) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < len && list[k].pid != pids[i])
			k++;
		missing += k == len;
		if (k == len && say)
			say_missing(c, pids[i]);
	}
	cairn_process_list_free(list);
	return missing;
}
