/* Between the files that make plans: decode-plan.c builds nodes, decode-find.c finds the fields that
 * lengths and tags name. */
#ifndef CAIRN_CTF_DECODE_IMPL_H
#define CAIRN_CTF_DECODE_IMPL_H

#include "ctf/ctf-read.h"

enum root {
	ROOT_PACKET_HEADER,
	ROOT_PACKET_CONTEXT,
	ROOT_EVENT_HEADER,
	ROOT_STREAM_CONTEXT,
	ROOT_EVENT_CONTEXT,
	ROOT_FIELDS,
	ROOTS,
};

struct planner {
	struct ctfr_meta *m;
	struct error *err;
	struct ctfr_node *roots[ROOTS];
	enum root current;
	struct ctfr_node *frames[CTFR_MAX_DEPTH + 1]; /* structures around the current place */
	int depth;
};

int plan_bad_path(struct planner *p, const struct ctfr_path *path, const char *what); /* -EINVAL */
/* The member of this name; NULL if there is none, or n has no members. */
struct ctfr_node *plan_kid(const struct ctfr_node *n, const char *name);
/* Finds what path names, seen from a type in its place, and the slot of its value: *ret_slot. *ret_target: the
 * field, NULL if it is a number of the environment. 0 or -EINVAL. */
int plan_resolve(struct planner *p, const struct ctfr_path *path, int32_t *ret_slot,
	struct ctfr_node **ret_target);

#endif
