/* The streaming form of a trace, for pipes, sockets and serial lines: one run of packets, each of
 * which says its own size, metadata and data mixed in the order they came to be.
 *
 * Metadata packets, as CTF 1.8 section 7.1 has them (little endian):
 *
 *	offset	 size	 what
 *	0	 4	 magic 0x75d11d57
 *	4	 16	 uuid of the trace
 *	20	 4	 checksum: 0, none
 *	24	 4	 content size in bits, this header (37 bytes) included
 *	28	 4	 packet size in bits
 *	32	 1	 compression: 0, none
 *	33	 1	 encryption: 0, none
 *	34	 1	 checksum scheme: 0, none
 *	35	 1	 major: 1 or 2
 *	36	 1	 minor: 8 or 0
 *	37		 text, then padding to a multiple of 8 bytes
 *
 * The texts of all metadata packets, one after the other, are the metadata so far; an addition is
 * whole blocks, but one packet may hold a part of a block only. A data packet (struct ctf_head,
 * magic 0xc1fc1fc1, packet size at offset 56) never comes before the metadata that describes its
 * events. Data packets of one ring have one stream_instance_id and come in order; those of
 * different rings are mixed. A reader that takes the packets apart by stream_instance_id and puts
 * them into files has a trace directory.
 *
 * A stream may hold several traces (a session's own and its kernel's): packets of all kinds say whose
 * they are by their uuid, and each trace is as if it were alone. What a trace keeps beside its
 * metadata comes in packets of texts: as those of metadata, with magic 0x75d11d58, version 1.0. All of
 * them, one after the other, are the file formats/events of that trace.
 */
#include "ctf/write-impl.h"
#include <string.h>

#define TEXT_MAX (64u << 10) /* of one packet */

struct meta_head {
	uint32_t magic;
	uint8_t uuid[16];
	uint32_t checksum, content_bits, packet_bits;
	uint8_t compression, encryption, checksum_scheme, major, minor;
} __attribute__((packed));
_Static_assert(sizeof(struct meta_head) == 37, "as the format says");

static void add_packets(const struct meta_head *like, const char *text, size_t len, struct buf *out)
{
	static const char zeros[8];

	while (len) {
		uint32_t n = (uint32_t)MIN(len, TEXT_MAX);
		uint32_t content = (uint32_t)sizeof(struct meta_head) + n, pad = -content & 7;
		struct meta_head h = *like;

		h.content_bits = content * 8;
		h.packet_bits = (content + pad) * 8;
		buf_add(out, &h, sizeof(h));
		buf_add(out, text, n);
		buf_add(out, zeros, pad);
		text += n;
		len -= n;
	}
}

void ctf_stream_metadata(const struct ctf_trace *t, enum ctf_version version, const char *text,
	size_t len, struct buf *out)
{
	struct meta_head h = {.magic = CTF_META_MAGIC,
		.major = version == CTF_2 ? 2 : 1,
		.minor = version == CTF_2 ? 0 : 8};

	memcpy(h.uuid, t->uuid, sizeof(h.uuid));
	add_packets(&h, text, len, out);
}

void ctf_stream_texts(const struct ctf_trace *t, const char *text, size_t len, struct buf *out)
{
	struct meta_head h = {.magic = CTF_TEXT_MAGIC, .major = 1};

	memcpy(h.uuid, t->uuid, sizeof(h.uuid));
	add_packets(&h, text, len, out);
}
