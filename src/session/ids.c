/* Thread ids as the host sees them, for programs in pid namespaces of their own.
 *
 * A thread there cannot ask the kernel for its id in our namespace, but the symbolic link
 * "thread-self" of a procfs of our namespace says it, whoever reads it. So such a program gets a
 * descriptor of one: a procfs mounted for this alone, nowhere attached, read-only, with process
 * folders only (subset=pid: no /proc/sys, no sysrq-trigger), which show nothing but what the reader
 * might trace (hidepid=ptraceable). Making it takes privilege; without, such threads keep the ids
 * of their own namespace.
 */
#include "session/session-impl.h"
#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_procfs(void)
{
	AUTO(fd) int fs = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);

	if (fs < 0)
		return -errno;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "subset", "pid", 0) < 0 ||
		syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "hidepid", "ptraceable", 0) < 0 ||
		syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	int fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
		MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);

	return fd < 0 ? -errno : fd;
}

int ids_offer(struct conn *c)
{
	struct cairn_host *h = c->host;
	struct stat st;

	if (!c->hello.pidns || stat("/proc/self/ns/pid", &st) < 0 || st.st_ino == c->hello.pidns)
		return 0;
	if (!h->ids_tried) {
		h->ids_tried = true;
		h->ids_fd = open_procfs(); /* without it: see above */
	}
	return h->ids_fd >= 0 ? conn_send(c, CAIRN_MSG_PROC, NULL, 0, NULL, NULL) : 0;
}
