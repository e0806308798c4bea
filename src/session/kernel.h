/* The kernel's part of a session: an instance of tracefs of its own, read into DIR/kernel.
 *
 * The directory of such a session has two traces, DIR/kernel and DIR/user, as readers of CTF expect; so
 * have its pieces (DIR/chunk-N) and snapshots. A stream has the packets of both.
 *
 * krec_start() makes the instance and switches tracing on when all is set; krec_step() reads it from the
 * host's loop; krec_off() ends recording, krec_end() reads what is left and removes the instance: a
 * stopped session costs the kernel nothing. All calls take sessions without kernel events, too, and do
 * nothing then.
 */
#ifndef CAIRN_SESSION_KERNEL_H
#define CAIRN_SESSION_KERNEL_H

#include "session/json.h"
#include "session/session-impl.h"

/* From the member "kernel" of a request; none: NULL stays. */
int krec_new(struct session *s, struct json_object *args, struct error *err);
void krec_free(struct session *s);
void krec_discard(struct session *s); /* of a session that never ran: nothing stays on disk */
int krec_start(struct session *s, struct error *err);
/* Removes what dead hosts left in tracefs, if it is mounted and we may; what that was is said. */
void krec_sweep_dead(struct cairn_host *h);
/* Reads what is due; ns until the next look, UINT64_MAX: none. */
uint64_t krec_step(struct session *s, uint64_t now);
void krec_off(struct session *s);
void krec_end(struct session *s);
/* More events and probes, by the same member of a request; fewer. Works while it records. */
int krec_enable(struct session *s, struct json_object *o, struct error *err);
int krec_disable(struct session *s, const char *pattern, struct error *err);
/* The final clock; the metadata are written anew. */
void krec_set_clock(struct session *s, const struct ctf_clock *clock);
void krec_stats(const struct session *s, struct cairn_stats *ret); /* its kernel_ members */
struct json_object *krec_list(const struct session *s); /* NULL: no kernel events */
struct json_object *krec_to_json(const struct cairn_kernel_config *k); /* for a request */

/* ---- places ---- */

/* Makes dir/kernel. */
int krec_place_open(struct session *s, const char *dir, struct error *err);
/* All that was until now is in the present place; then what follows goes to dir/kernel. If that cannot be
 * made, it stays. */
void krec_cut(struct session *s);
int krec_place_next(struct session *s, const char *dir, struct error *err);
int krec_place_move(struct session *s, const char *dir); /* to dir/kernel */
bool krec_is_recorder(const struct session *s);
/* A snapshot of a flight recorder, in dir/kernel; others do nothing. _end in any case. */
int krec_snapshot_begin(struct session *s, const char *dir, struct error *err);
int krec_snapshot_write(struct session *s);
void krec_snapshot_end(struct session *s);

#endif
