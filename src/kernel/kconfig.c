/* With which options the running kernel was built, as far as it says so; see facts.h. */
#include "kernel/facts.h"
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <zlib.h>

int kernel_option(const char *name)
{
	char path[200], line[256], yes[80], no[96];
	struct utsname u;
	int ret = -1;
	gzFile f;

	(void)uname(&u); /* cannot fail on a valid pointer */
	(void)snprintf(path, sizeof(path), "/boot/config-%s", u.release); /* fits */
	(void)snprintf(yes, sizeof(yes), "%s=", name); /* our own names fit */
	(void)snprintf(no, sizeof(no), "# %s is not set", name);
	f = gzopen("/proc/config.gz", "rb");
	if (!f)
		f = gzopen(path, "rb"); /* a plain file is read as it is */
	if (!f)
		return -1;
	while (ret < 0 && gzgets(f, line, sizeof(line))) {
		if (strncmp(line, yes, strlen(yes)) == 0)
			ret = 1;
		else if (strncmp(line, no, strlen(no)) == 0)
			ret = 0;
	}
	(void)gzclose(f); /* was only read */
	return ret;
}
