/* Which of the kernel's symbols a trace needs: addresses are gathered from its records as they pass, and in
 * the end those lines of kallsyms are kept that name one of them. All of kallsyms is some MiB.
 *
 * Beside a symbol that is kept stands the next one of the kernel, so that its size is known: nameless ("??")
 * unless an address is in it, too. Looking an address up gives the same name, begin and size as in the
 * whole text, of functions alone (symbol/kallsyms.c) as of all symbols (view/kernel-symbols.c).
 */
#ifndef CAIRN_KERNEL_KSYMBOLS_H
#define CAIRN_KERNEL_KSYMBOLS_H

#include "base/base.h"

struct ksymbols { /* zeroed at first */
	uint64_t *slots; /* owned: addresses, by their hash; 0: free */
	size_t n, cap;
	bool all; /* too many, or no memory: every line is needed */
};
void ksymbols_done(struct ksymbols *s);

/* Gathers what may be addresses of the kernel's code: every word of 8 bytes that looks like one. step: 4
 * where they begin at a multiple of it from data on, else 1. Quick: it stands beside the reading of each page. */
void ksymbols_scan(struct ksymbols *s, const uint8_t *data, size_t len, size_t step);

/* Appends the lines of kallsyms' text that are needed, in its order. 0 or -ENOMEM. */
int ksymbols_lines(const struct ksymbols *s, const char *text, size_t len, struct buf *ret);

#endif
