/* Recovery: traces from rings that nobody read any more.
 *
 * Rings outlive what wrote to them in two places: as files, if the session was told to keep them so
 * (--ring-dir; they survive the whole machine), and in core files of a traced program or of a session
 * host. Each ring set carries the metadata of its trace, so that what was not yet on disk can be
 * written as a trace directory of its own. Nothing in the input is trusted.
 */
#ifndef CAIRN_RECOVER_RECOVER_H
#define CAIRN_RECOVER_RECOVER_H

#include "abi/ring.h"
#include "base/base.h"

struct recover_report {
	uint32_t traces; /* directories written: outdir itself, or one each in it if > 1 */
	uint32_t sets; /* ring sets found and written */
	uint32_t rings; /* rings that held something */
	uint32_t packets;
	uint32_t damaged; /* sets or rings left off: cut, not in the core, or made no sense */
	uint32_t no_metadata; /* traces whose set had none: there is no file `metadata` */
	uint64_t bytes; /* of records */
	uint64_t lost[CAIRN_LOST_REASONS]; /* as the rings counted them */
};

/* Reads ring sets from `path`: a folder of ring files, one such file, or an ELF core file, and writes
 * what they hold below outdir, which is made if need be and must not have a trace yet.
 * 0, or -errno with e: -ENOENT (no rings in it), -EEXIST, -EPROTO (not a ring file nor a core),
 * -ENODATA (written, but there was no metadata: it has to be put beside), -EFBIG, -ENOMEM... */
int recover_path(const char *path, const char *outdir, struct recover_report *ret, struct error *e);

/* The same from the bytes of a core file. */
int recover_core(const void *core, size_t len, const char *outdir, struct recover_report *ret,
	struct error *e);

#endif
