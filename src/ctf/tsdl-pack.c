/* Packetized metadata: text in packets, each after a header of 37 bytes, in either byte order:
 *
 *	0 magic u32 0x75d11d57 · 4 uuid[16] · 20 checksum u32 · 24 content_size u32 (bits) ·
 *	28 packet_size u32 (bits) · 32 compression u8 · 33 encryption u8 · 34 checksum scheme u8 ·
 *	35 major u8 · 36 minor u8 · 37 text up to content_size, then padding up to packet_size
 */
#include "ctf/ctf-read.h"

#include <errno.h>
#include <string.h>

static uint32_t get32(const uint8_t *p, bool be)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return be == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) ? v : __builtin_bswap32(v);
}

bool ctfr_is_packetized(const void *p, size_t n)
{
	return n >= 4 && (get32(p, false) == CTFR_META_MAGIC || get32(p, true) == CTFR_META_MAGIC);
}

static int bad(struct error *err, size_t offset, const char *what)
{
	error_set(err, -EINVAL, "a packet of the metadata %s", what);
	error_where(err, "metadata, byte %zu", offset);
	return -EINVAL;
}

int ctfr_unpack(const void *bytes, size_t n, struct buf *text, size_t *ret_used, struct error *err)
{
	size_t at = 0;

	while (n - at >= CTFR_META_HEADER) {
		const uint8_t *p = (const uint8_t *)bytes + at;
		bool be = get32(p, true) == CTFR_META_MAGIC;
		uint32_t content = get32(p + 24, be), size = get32(p + 28, be);

		if (!be && get32(p, false) != CTFR_META_MAGIC)
			return bad(err, at, "does not begin with the magic number 0x75d11d57");
		if (content > size || content < CTFR_META_HEADER * 8 || content % 8 || size % 8)
			return bad(err, at, "has sizes that make no sense");
		if (p[32] || p[33])
			return bad(err, at, "is compressed or encrypted");
		if (!(p[35] == 1 && p[36] == 8) && !(p[35] == 2 && p[36] == 0))
			return bad(err, at, "is neither of CTF 1.8 nor of CTF 2");
		if (size / 8 > n - at)
			break;
		buf_add(text, p + CTFR_META_HEADER, content / 8 - CTFR_META_HEADER);
		at += size / 8;
	}
	*ret_used = at;
	return text->err ? error_set(err, -ENOMEM, "no memory for the metadata") : 0;
}
