/* Ring sets in ELF core files.
 *
 * The note NT_FILE of a core lists what files were mapped where:
 *
 *	u64 count, u64 page_size, count * { u64 start, end, offset in pages }, count * name\0
 *
 * and the PT_LOAD segments have the memory. A ring set's memfd has a name of its own (ringset.c), so
 * all mappings of that name are parts of it: the one of offset 0 begins with the header; control
 * pages and data are found by their offsets in the memfd. The data's second mapping is not in the
 * core, and need not be: a ring read from memory is not mirrored.
 *
 * The core may be cut or hostile: every offset is checked against its size, and the work on it is
 * bounded by budget, so that overlapping entries cannot make it long.
 */
#include "recover/recover-impl.h"
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define META_MAX (64u << 20)
#define RINGS_MAX 8192u
#define MAPS_MAX (1u << 20)
#define BUDGET (1u << 28) /* steps of searching */
#define NOTE_ALIGN(n) (((n) + 3) & ~(uint64_t)3)

struct segment {
	uint64_t addr, len; /* that the core has the bytes of */
	const uint8_t *bytes;
};

struct mapping {
	uint64_t start, len, offset;
	const char *name; /* in the core, terminated */
};

struct core {
	const uint8_t *bytes;
	size_t len;
	struct segment *segments; /* owned; by addr */
	size_t nsegments, segments_cap;
	struct mapping *maps; /* owned; by name, then offset */
	size_t nmaps, maps_cap;
	uint32_t budget;
};

static void core_done(struct core *c)
{
	free(c->segments);
	free(c->maps);
}

static const void *core_at(const struct core *c, uint64_t offset, uint64_t len)
{
	return offset <= c->len && len <= c->len - offset ? c->bytes + offset : NULL;
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* ---- reading the core ---- */

static int add_mappings(struct core *c, const uint8_t *desc, uint64_t len)
{
	uint64_t count, page, names;
	const char *name, *end = (const char *)desc + len;

	if (len < 16)
		return 0;
	count = get64(desc);
	page = get64(desc + 8);
	if (count > MAPS_MAX || count > (len - 16) / 24 || page == 0 || page > 1u << 30)
		return 0;
	names = 16 + count * 24;
	name = (const char *)desc + names;
	for (uint64_t i = 0; i < count; i++) {
		const uint8_t *p = desc + 16 + i * 24;
		const char *nul = memchr(name, '\0', (size_t)(end - name));
		struct mapping *m, new = {.start = get64(p), .len = get64(p + 8), .name = name};

		if (!nul)
			return 0;
		name = nul + 1;
		if (new.len <= new.start ||
			__builtin_mul_overflow(get64(p + 16), page, &new.offset))
			continue;
		new.len -= new.start;
		m = VEC_ADD(c->maps, c->nmaps, c->maps_cap);
		if (!m)
			return -ENOMEM;
		*m = new;
	}
	return 0;
}

static int add_notes(struct core *c, const Elf64_Phdr *ph)
{
	const uint8_t *p = core_at(c, ph->p_offset, ph->p_filesz);
	uint64_t left = ph->p_filesz;
	int err = 0;

	while (err == 0 && p && left >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr n;
		uint64_t desc, total;

		memcpy(&n, p, sizeof(n));
		desc = sizeof(n) + NOTE_ALIGN((uint64_t)n.n_namesz);
		total = desc + NOTE_ALIGN((uint64_t)n.n_descsz);
		if (desc + n.n_descsz > left)
			break;
		if (n.n_type == NT_FILE && n.n_namesz == 5 &&
			memcmp(p + sizeof(n), "CORE", 5) == 0 && c->nmaps == 0)
			err = add_mappings(c, p + desc, n.n_descsz);
		total = MIN(total, left);
		p += total;
		left -= total;
	}
	return err;
}

static int add_segment(struct core *c, const Elf64_Phdr *ph)
{
	struct segment *s;
	uint64_t len = ph->p_filesz;

	if (ph->p_offset >= c->len)
		return 0;
	len = MIN(len, c->len - ph->p_offset); /* a cut core: what there is */
	if (len == 0 || len > UINT64_MAX - ph->p_vaddr)
		return 0;
	s = VEC_ADD(c->segments, c->nsegments, c->segments_cap);
	if (!s)
		return -ENOMEM;
	*s = (struct segment){ph->p_vaddr, len, c->bytes + ph->p_offset};
	return 0;
}

/* How many program headers: too many for the field, and section 0 knows. */
static uint64_t count_phdrs(const struct core *c, const Elf64_Ehdr *eh)
{
	const void *p = core_at(c, eh->e_shoff, sizeof(Elf64_Shdr));
	Elf64_Shdr sh;

	if (eh->e_phnum != PN_XNUM || !p)
		return eh->e_phnum;
	memcpy(&sh, p, sizeof(sh));
	return sh.sh_info;
}

static int by_addr(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static int by_name(const void *a, const void *b)
{
	const struct mapping *x = a, *y = b;
	int d = strcmp(x->name, y->name);

	if (d)
		return d;
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

static int core_open(struct core *c, const uint8_t *bytes, size_t len, struct error *e)
{
	Elf64_Ehdr eh;
	uint64_t count;
	int err = 0;

	*c = (struct core){.bytes = bytes, .len = len, .budget = BUDGET};
	if (len < sizeof(eh))
		return error_set(e, -EPROTO, "too short for a core file");
	memcpy(&eh, bytes, sizeof(eh));
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 || eh.e_ident[EI_CLASS] != ELFCLASS64 ||
		eh.e_ident[EI_DATA] != ELFDATA2LSB || eh.e_type != ET_CORE ||
		eh.e_phentsize != sizeof(Elf64_Phdr))
		return error_set(e, -EPROTO, "neither a ring file nor a 64-bit ELF core file");
	count = count_phdrs(c, &eh);
	for (uint64_t i = 0; err == 0 && i < count; i++) {
		const void *p = core_at(c, eh.e_phoff + i * sizeof(Elf64_Phdr), sizeof(Elf64_Phdr));
		Elf64_Phdr ph;

		if (!p)
			break;
		memcpy(&ph, p, sizeof(ph));
		if (ph.p_type == PT_NOTE)
			err = add_notes(c, &ph);
		else if (ph.p_type == PT_LOAD)
			err = add_segment(c, &ph);
	}
	if (c->nsegments)
		qsort(c->segments, c->nsegments, sizeof(*c->segments), by_addr);
	if (c->nmaps)
		qsort(c->maps, c->nmaps, sizeof(*c->maps), by_name);
	return err;
}

/* The memory at [addr, addr + len), if the core has all of it. */
static const uint8_t *memory_at(const struct core *c, uint64_t addr, uint64_t len)
{
	size_t low = 0, high = c->nsegments;

	while (low < high) { /* the last segment that begins at or below addr */
		size_t mid = low + (high - low) / 2;

		if (c->segments[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0)
		return NULL;
	low--;
	addr -= c->segments[low].addr;
	if (addr > c->segments[low].len || len > c->segments[low].len - addr)
		return NULL;
	return c->segments[low].bytes + addr;
}

/* ---- ring sets ---- */

/* Bytes [offset, offset + len) of the file whose mappings are maps[0..n). */
static const uint8_t *file_at(
	struct core *c, const struct mapping *maps, size_t n, uint64_t offset, uint64_t len)
{
	for (size_t i = 0; i < n && maps[i].offset <= offset && c->budget; i++) {
		uint64_t skip = offset - maps[i].offset;
		const uint8_t *p;

		c->budget--;
		if (skip >= maps[i].len || len > maps[i].len - skip)
			continue;
		p = memory_at(c, maps[i].start + skip, len);
		if (p)
			return p;
	}
	return NULL;
}

static bool is_plausible(const struct cairn_ringset_hdr *h)
{
	return h->magic == CAIRN_RINGSET_MAGIC && h->layout == CAIRN_RING_LAYOUT && h->nrings &&
		h->nrings <= RINGS_MAX && h->meta_offset == CAIRN_RING_PAGE &&
		h->meta_bytes <= META_MAX && h->meta_len <= h->meta_bytes &&
		h->ctl_offset == h->meta_offset + h->meta_bytes &&
		h->data_offset == h->ctl_offset + (uint64_t)h->nrings * CAIRN_RING_PAGE &&
		h->ring_bytes >= CAIRN_RING_MIN && h->ring_bytes <= CAIRN_RING_MAX;
}

/* Header, metadata and control pages in one piece, as ringset_from_memory() wants them; without the
 * metadata if the core has none. NULL: not all there, or no memory. */
static void *make_image(
	struct core *c, const struct mapping *maps, size_t n, const struct cairn_ringset_hdr *h)
{
	uint64_t ctl = (uint64_t)h->nrings * CAIRN_RING_PAGE;
	const uint8_t *pages = file_at(c, maps, n, h->ctl_offset, ctl);
	const uint8_t *meta = file_at(c, maps, n, h->meta_offset, h->meta_len);
	struct cairn_ringset_hdr copy = *h;
	uint8_t *image = pages ? calloc(1, h->data_offset) : NULL;

	if (!image)
		return NULL;
	if (!meta)
		copy.meta_len = 0;
	memcpy(image, &copy, sizeof(copy));
	if (meta)
		memcpy(image + h->meta_offset, meta, h->meta_len);
	memcpy(image + h->ctl_offset, pages, ctl);
	return image;
}

/* One ring set from the mappings of one file. -EPROTO: none, or not whole. */
static int add_set(struct core *c, const struct mapping *maps, size_t n, struct finds *ret)
{
	const uint8_t *page = file_at(c, maps, n, 0, CAIRN_RING_PAGE);
	struct cairn_ringset_hdr h;
	struct ringset *set = NULL;
	const uint8_t **data;
	void *image;
	size_t from = 0;
	int err;

	if (!page)
		return -EPROTO;
	memcpy(&h, page, sizeof(h));
	if (!is_plausible(&h))
		return -EPROTO;
	image = make_image(c, maps, n, &h);
	data = image ? calloc(h.nrings, sizeof(*data)) : NULL;
	if (!data) {
		free(image);
		return -EPROTO;
	}
	for (uint32_t i = 0; i < h.nrings; i++) {
		uint64_t at = h.data_offset + i * h.ring_bytes;

		while (from < n && maps[from].offset + maps[from].len <= at)
			from++;
		data[i] = file_at(c, maps + from, n - from, at, h.ring_bytes);
	}
	err = ringset_from_memory(image, h.data_offset, data, &set);
	if (err < 0) {
		free(image);
		free(data);
		return err;
	}
	return finds_add(ret, set, image, data);
}

static bool has_magic(const struct core *c, const struct mapping *m)
{
	const uint8_t *p = m->offset == 0 ? memory_at(c, m->start, CAIRN_RING_PAGE) : NULL;

	return p && get64(p) == CAIRN_RINGSET_MAGIC;
}

int core_find(const uint8_t *bytes, size_t len, struct finds *ret, struct error *e)
{
	struct core c;
	int err = core_open(&c, bytes, len, e);
	size_t next;

	if (err == 0 && c.nmaps == 0)
		err = error_set(e, -ENOENT, "the core file does not list mapped files (NT_FILE)");
	for (size_t i = 0; err == 0 && i < c.nmaps; i = next) {
		bool magic = false;

		for (next = i; next < c.nmaps && strcmp(c.maps[next].name, c.maps[i].name) == 0;
			next++)
			magic |= has_magic(&c, &c.maps[next]);
		if (!magic)
			continue;
		err = add_set(&c, c.maps + i, next - i, ret);
		if (err == -EPROTO) {
			ret->damaged++;
			err = 0;
		}
	}
	core_done(&c);
	return err;
}
