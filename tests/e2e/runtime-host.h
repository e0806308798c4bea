/* A session host of the simplest kind, for tests of the runtime: one ring set, everything enabled.
 *
 * It starts a program with itself as the only host, speaks abi/msg.h with all processes that come
 * of it, and gives the records found in the rings. The program and the test move in step by bytes
 * through the program's stdin and stdout. Nothing here waits by the clock but for a last time-out.
 */
#ifndef CAIRN_TESTS_RUNTIME_HOST_H
#define CAIRN_TESTS_RUNTIME_HOST_H

#include "abi/msg.h"
#include "ring/ring.h"
#include <cairn/site.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HOST_PEERS 64
#define HOST_EVENTS 4096

struct host_event {
	uint32_t number; /* the process's */
	uint32_t nsites;
	uint32_t id; /* in the rings */
	struct cairn_desc *desc; /* owned */
	char name[64]; /* provider:event */
};

struct host_peer {
	int fd; /* -1: gone */
	pid_t pid; /* as the kernel says */
	struct cairn_msg_hello hello;
	struct host_event *events; /* owned */
	uint32_t nevents;
	uint32_t haves, have_events; /* messages */
	uint32_t acks, failed;
	int32_t err; /* of the last ACK that had one */
	uint32_t seq, gone;
	bool sent_rings;
};

struct host_record {
	uint32_t id;
	uint64_t ts;
	const struct host_event *event;
	uint32_t len;
	const uint8_t *body; /* contexts, then payload; owned by the host */
	int32_t tid; /* first context */
	int64_t n; /* the first field, if it is an integer of 8 bytes */
};

struct host {
	char dir[64], socket[108];
	int listener;
	struct ringset_config cfg;
	struct ringset *set, *solo;
	struct host_peer peers[HOST_PEERS];
	uint32_t npeers;
	bool decline, silent; /* what it does to HELLO; to SYNC */
	uint32_t ctx_bytes;
	struct host_event *known; /* distinct events of all processes; owned */
	uint32_t nknown;
	struct host_record *records; /* owned */
	uint32_t nrecords;
	uint64_t lost[CAIRN_LOST_REASONS];
	int to_program, from_program;
	pid_t program;
	int status; /* of the program, once it is done */
	bool timed_out;
};

void host_start(struct host *h, const struct ringset_config *cfg); /* cfg NULL: discard, 1 MiB */
void host_listen(struct host *h); /* again, after host_die */
/* Starts argv (NULL-terminated) with the host in its environment. */
void host_run(struct host *h, const char *const *argv);
/* Serves until the program says `step` (a byte), or has ended. True: a step. */
bool host_serve_step(struct host *h);
bool host_serve_once(struct host *h); /* something came; false: time ran out */
void host_go(struct host *h); /* lets the program go on after a step */
void host_serve_end(struct host *h); /* serves until the program and all its processes are done */
void host_serve_acks(struct host *h, struct host_peer *p, uint32_t acks); /* until so many came */
void host_serve_blocked(struct host *h); /* until a writer waits for room in a ring */
void host_send(
	struct host *h, struct host_peer *p, uint32_t type, const void *data, size_t len, int fd);
void host_switch(struct host *h, bool on); /* all events of all peers */
void host_close_sets(struct host *h);
void host_die(struct host *h); /* as kill -9 would: sockets vanish, rings stay */
void host_collect(struct host *h); /* takes what is in the rings */
void host_end(struct host *h);

uint32_t host_count(const struct host *h, const char *event);
uint32_t host_count_tid(const struct host *h, const char *event, int32_t tid);
int64_t host_sum(const struct host *h, const char *event); /* of the first fields */
uint32_t host_tids(const struct host *h, const char *event); /* distinct ones */
uint64_t host_lost(const struct host *h); /* all reasons */

#endif
