/* Messages between a traced process's runtime and a session host.
 *
 * One SOCK_SEQPACKET unix socket per process and host; one message a packet, at most
 * CAIRN_MSG_MAX bytes: struct cairn_msg, then the payload of its type. File descriptors come by
 * SCM_RIGHTS. Both sides check SO_PEERCRED: the host believes only the pid, uid and gid that the
 * kernel says; the runtime talks only to a host of its own uid or of root. Neither trusts lengths
 * or indexes of the other. Unknown types are ignored, so that versions may differ; a packet without
 * a true head ends the connection. A descriptor sent with RINGSET is of memory sealed against
 * shrinking, or of a file that root or the program's user owns and nobody else may write.
 *
 * Where hosts listen: $CAIRN_HOST (a path, set by `cairn record -- COMMAND`), and every socket
 * RUNDIR/hosts/NAME.sock, where RUNDIR is /run/cairn (root's; always looked at) and
 * /run/user/UID/cairn (the user's). RUNDIR/libcairn-rt.so is a link to the runtime while a host
 * lives. Programs that gain privilege (AT_SECURE) look at /run/cairn only.
 *
 * Life of a connection:
 *	runtime				host
 *	HELLO				  (checks credentials, wanted?) DECLINE and close, or:
 *	EVENTS...			  remembers descriptions
 *	RINGSET (after a host died)	  adopts the rings it can, so that a new host takes over
 *	SYNC				  RINGSET, ENABLE...; then SYNCED: everything asked so far is sent
 *	ACK for each RINGSET/ENABLE/DISABLE/CLOSE (with its seq), once it has taken effect
 *	... later: EVENTS (dlopen), GONE (dlclose), SYNC again
 * The runtime's constructor waits (50 ms at most) for SYNCED and has acted on all before it.
 */
#ifndef CAIRN_ABI_MSG_H
#define CAIRN_ABI_MSG_H

#include <stdint.h>

#define CAIRN_MSG_MAGIC 0x4e43u
#define CAIRN_MSG_VERSION 1
#define CAIRN_MSG_MAX 65536
#define CAIRN_RUNDIR_ROOT "/run/cairn"
#define CAIRN_RUNDIR_USER "/run/user/%u/cairn"
#define CAIRN_SYNC_WAIT_MS 50
#define CAIRN_SYNC_WAIT_MAX_MS 10000 /* with $CAIRN_WAIT_MS, which record sets for its command */

enum cairn_msg_type {
	/* runtime to host */
	CAIRN_MSG_HELLO = 1, /* struct cairn_msg_hello */
	CAIRN_MSG_EVENTS = 2, /* u32 count, then count * { struct cairn_msg_event, desc bytes } */
	CAIRN_MSG_GONE = 3, /* u32 count, u32 event[count]: module unloaded */
	CAIRN_MSG_SYNC = 4, /* nothing */
	CAIRN_MSG_ACK = 5, /* struct cairn_msg_ack */
	CAIRN_MSG_HAVE = 6, /* struct cairn_msg_ringset + its fd: rings kept from a dead host */
	CAIRN_MSG_HAVE_EVENT = 7, /* struct cairn_msg_enable: an enabling that is still in force */
	/* host to runtime */
	CAIRN_MSG_DECLINE = 32, /* nothing: not wanted here; close, do not come back to this host */
	CAIRN_MSG_RINGSET =
		33, /* struct cairn_msg_ringset + memfd: map it, remember it as `ringset` */
	CAIRN_MSG_ENABLE = 34, /* u32 count, u32 pad, struct cairn_msg_enable[count] */
	CAIRN_MSG_DISABLE = 35, /* u32 count, u32 pad, struct cairn_msg_enable[count] */
	CAIRN_MSG_CLOSE =
		36, /* struct cairn_msg_ringset: stop writing to it, then ACK, then forget */
	CAIRN_MSG_SYNCED = 37, /* nothing */
	CAIRN_MSG_PROC =
		38, /* nothing + a descriptor: root of a procfs of the host's pid namespace, to
				a runtime in another one: thread ids are read from its thread-self */
	/* commands (client) to host and back: JSON text, see session/control.c */
	CAIRN_MSG_REQUEST = 64,
	CAIRN_MSG_REPLY = 65,
};

struct cairn_msg {
	uint16_t magic; /* CAIRN_MSG_MAGIC */
	uint16_t type;
	uint32_t len; /* of the payload that follows */
	uint32_t
		seq; /* of the sender; an ACK or REPLY names the one it answers in its own payload */
	uint32_t version; /* CAIRN_MSG_VERSION */
};

#define CAIRN_HELLO_NO_RSEQ 1u /* threads here have no rseq: send a SOLO ring set too */
#define CAIRN_HELLO_FORKED 2u /* a fork child of ppid that inherited its rings and enablings */
#define CAIRN_HELLO_AGAIN 4u /* had a host before that died: HAVE messages follow */
#define CAIRN_HELLO_STATIC 8u /* statically linked runtime */
#define CAIRN_HELLO_DORMANT 16u /* loaded by the per-user setting */
#define CAIRN_HELLO_NO_TSC 32u /* of the first thread: rdtsc is not allowed (abi/ring.h, rate) */

struct cairn_msg_hello {
	uint32_t flags;
	int32_t pid,
		ppid; /* as the process sees them; the host knows its own view by SO_PEERCRED */
	uint32_t ring_layout; /* CAIRN_RING_LAYOUT of the runtime */
	uint32_t site_abi; /* newest CAIRN_ABI the runtime reads */
	uint32_t reserved;
	uint64_t userns; /* inode of /proc/self/ns/user: part of the sharing domain */
	uint64_t pidns;
	char comm[16];
	char exe[256]; /* for people; NUL-terminated, may be cut */
};

struct cairn_msg_event {
	uint32_t event; /* the process's number of it, unique in this process's life */
	uint32_t nsites; /* sites that fire it */
	uint32_t len; /* of the description that follows: a struct cairn_desc, whole */
	uint32_t reserved;
};

struct cairn_msg_ringset {
	uint32_t
		ringset; /* host's number of it, unique in the host: fork children name it by that */
	uint32_t kind; /* enum cairn_ring_kind, as in its header */
	uint64_t bytes; /* of the whole memfd */
	uint64_t session_id; /* as in its header */
};

struct cairn_msg_enable {
	uint32_t event; /* the process's number */
	uint32_t ringset; /* PERCPU ring set (its SOLO twin has the same session and channel) */
	uint32_t id; /* event id in the trace, < 2^30 */
	uint32_t reserved;
};

struct cairn_msg_ack {
	uint32_t seq; /* of the message answered */
	int32_t err; /* 0 or -errno of the first failure */
	uint32_t failed; /* how many of its items failed */
	uint32_t reserved;
};

_Static_assert(sizeof(struct cairn_msg) == 16, "frozen");
_Static_assert(sizeof(struct cairn_msg_enable) == 16, "frozen");

#endif
