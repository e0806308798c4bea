/* Texts of probes at random, in the kernel's writing: good ones, and such that are nearly good. */
#ifndef CAIRN_TESTS_DYNEVENT_MAKE_H
#define CAIRN_TESTS_DYNEVENT_MAKE_H

#include "base/base.h"

struct maker {
	uint64_t state; /* of the random numbers; not 0 */
	const char *group, *exe;
	unsigned long long offset; /* of a function of exe in the file */
};

#define MAKER_SYNTH "cairn_diff" /* what synthetic events are called */

unsigned maker_below(struct maker *m, unsigned n);
/* A whole text: "p:GROUP/x PLACE ARG...", or "s:NAME TYPE FIELD;...". */
void make_probe(struct maker *m, struct buf *out);

#endif
