/* What a trace keeps of the kernel's own words, so that its events can be printed as the kernel would:
 * the file "formats/events" in the directory of the kernel's trace. (A sub-directory: readers of CTF take
 * every file beside the metadata for a stream.)
 *
 *	TEXT SYSTEM NAME LENGTH		one line, then LENGTH bytes, then a newline
 *
 * The last text of an event stands. TEXT is "format" (an events/SYSTEM/NAME/format), or "file" (then SYSTEM is "-" and NAME one of
 * header_page, printk_formats, kallsyms: of the last what is needed, see ksymbols.h).
 */
#ifndef CAIRN_KERNEL_TEXTS_H
#define CAIRN_KERNEL_TEXTS_H

#include "base/base.h"

#define KTEXTS_DIR "formats"
#define KTEXTS_FILE "events"
#define KTEXTS_MAX (256u << 20)

void ktexts_add(struct buf *out, const char *what, const char *system, const char *name,
	const char *text, size_t len);

struct ktext {
	char what[16], system[128], name[256];
	const char *text; /* in the file's text; not NUL-terminated */
	size_t len;
};
/* The next one from *at on: 1, 0 at the end, -EPROTO. *at: 0 at first. */
int ktexts_next(const char *texts, size_t len, size_t *at, struct ktext *ret);

#endif
