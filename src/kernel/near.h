/* Near spellings: of the names looked at, the one most like a wrong one. */
#ifndef CAIRN_KERNEL_NEAR_H
#define CAIRN_KERNEL_NEAR_H

#include <stddef.h>

struct near {
	const char *wrong; /* borrowed */
	size_t len; /* of wrong */
	unsigned best_cost;
	char best[128]; /* "" as long as nothing is near enough */
};

void near_init(struct near *n, const char *wrong, size_t len);
/* Names longer than best are passed over. Quick for names of other lengths. */
void near_look(struct near *n, const char *name);

#endif
