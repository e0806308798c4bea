/* The kernel's part of a session: an instance of tracefs of its own, read into DIR/kernel.
 *
 * The directory of such a session has two traces, DIR/kernel and DIR/user, as readers of CTF expect.
 *
 * krec_start() makes the instance and switches tracing on when all is set; krec_step() reads it from the
 * host's loop; krec_off() ends recording, krec_end() reads what is left and removes the instance. All
 * calls take sessions without kernel events, too, and do nothing then.
 */
#ifndef CAIRN_SESSION_KERNEL_H
#define CAIRN_SESSION_KERNEL_H

#include "session/json.h"
#include "session/session-impl.h"

/* From the member "kernel" of a request; none: NULL stays. Makes DIR, and lets the session's own trace be
 * DIR/user. */
int krec_new(struct session *s, struct json_object *args, struct error *err);
void krec_free(struct session *s);
int krec_start(struct session *s, struct error *err);
/* Reads what is due; ns until the next look, UINT64_MAX: none. */
uint64_t krec_step(struct session *s, uint64_t now);
void krec_off(struct session *s);
void krec_end(struct session *s);
/* The final clock; the metadata are written anew. */
void krec_set_clock(struct session *s, const struct ctf_clock *clock);
void krec_stats(const struct session *s, struct cairn_stats *ret); /* its kernel_ members */
const char *krec_dir(const struct session *s); /* DIR; NULL: no kernel events */
/* For a request. */
struct json_object *krec_to_json(const struct cairn_kernel_config *k);

#endif
