/* What the files of recover share. */
#ifndef CAIRN_RECOVER_IMPL_H
#define CAIRN_RECOVER_IMPL_H

#include "recover/recover.h"
#include "ring/ring.h"

#define SETS_MAX 1024 /* ring sets in one recovery */

struct found { /* one ring set */
	struct ringset *set; /* owned */
	void *image; /* owned: what the set borrows; NULL for files */
	const uint8_t **data; /* owned, likewise */
};

struct finds {
	struct found *items; /* owned */
	size_t len, cap;
	uint32_t damaged;
};

/* Takes set, image and data in any case. 0 or -ENOMEM, -EFBIG (too many). */
int finds_add(struct finds *f, struct ringset *set, void *image, const uint8_t **data);
void finds_done(struct finds *f);

/* Adds all ring sets of a core file. `core` must stay until finds_done(). */
int core_find(const uint8_t *core, size_t len, struct finds *ret, struct error *e);

/* By the text of the metadata; NULL if it cannot be read: check_whole() takes all, then. */
struct check *check_new(const char *text, size_t len);
void check_free(struct check *k);
/* How many bytes of the view are whole records of this stream, from its begin. */
size_t check_whole(struct check *k, uint64_t stream, const struct ring_view *v);

/* Writes all that was found. */
int recover_write(struct finds *f, const char *outdir, struct recover_report *ret, struct error *e);

#endif
