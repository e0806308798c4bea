/* Messages from programs, checked (layout: abi/msg.h).
 *
 * Pure functions of bytes: nothing here trusts a length, and nothing here keeps a pointer. The
 * fuzzer tests/fuzz/fuzz-msg.c runs them on anything.
 */
#include "session/session-impl.h"
#include <errno.h>
#include <string.h>

int msg_check(const void *p, size_t n, struct msg_view *ret)
{
	struct cairn_msg m;

	if (n < sizeof(m) || n > CAIRN_MSG_MAX)
		return -EPROTO;
	memcpy(&m, p, sizeof(m));
	if (m.magic != CAIRN_MSG_MAGIC)
		return -EPROTO;
	if (m.version != CAIRN_MSG_VERSION)
		return -EPROTONOSUPPORT;
	if (m.len != n - sizeof(m))
		return -EPROTO;
	*ret = (struct msg_view){
		.type = m.type,
		.seq = m.seq,
		.payload = (const uint8_t *)p + sizeof(m),
		.len = m.len,
	};
	return 0;
}

/* Makes s a string that can be shown: terminated, and without control characters. */
static void clean_text(char *s, size_t size)
{
	s[size - 1] = 0;
	for (size_t i = 0; s[i]; i++) {
		if ((unsigned char)s[i] < ' ' || s[i] == 127)
			s[i] = '?';
	}
}

int msg_hello(const struct msg_view *m, struct cairn_msg_hello *ret)
{
	if (m->len < sizeof(*ret))
		return -EPROTO;
	memcpy(ret, m->payload, sizeof(*ret));
	clean_text(ret->comm, sizeof(ret->comm));
	clean_text(ret->exe, sizeof(ret->exe));
	return 0;
}

int msg_events(const struct msg_view *m,
	int (*fn)(void *arg, const struct cairn_msg_event *ev, const struct ctf_desc *d), void *arg)
{
	/* descriptions are checked in place, so they need their alignment: a copy has it */
	uint64_t aligned[CAIRN_MSG_MAX / 8];
	const uint8_t *p = m->payload, *end = p + m->len;
	uint32_t count;

	if (m->len < sizeof(count))
		return -EPROTO;
	memcpy(&count, p, sizeof(count));
	p += sizeof(count);
	for (uint32_t i = 0; i < count; i++) {
		struct cairn_msg_event ev;
		struct ctf_desc d;
		int r;

		if ((size_t)(end - p) < sizeof(ev))
			return -EPROTO;
		memcpy(&ev, p, sizeof(ev));
		p += sizeof(ev);
		if (ev.len > (size_t)(end - p) || ev.len > sizeof(aligned))
			return -EPROTO;
		memcpy(aligned, p, ev.len);
		p += ev.len;
		r = ctf_desc_parse(aligned, ev.len, &d, NULL);
		if (r == 0)
			r = fn(arg, &ev, &d);
		if (r)
			return r;
	}
	return 0;
}

int msg_list(const struct msg_view *m, size_t head, size_t elem, const uint8_t **ret)
{
	uint32_t count;

	if (m->len < head || head < sizeof(count))
		return -EPROTO;
	memcpy(&count, m->payload, sizeof(count));
	if (count > (m->len - head) / elem)
		return -EPROTO;
	*ret = m->payload + head;
	return (int)count;
}
