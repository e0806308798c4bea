/* Addresses of networks in plans: "%pI4", "%pI6", "%pI6c" and "%pISpc" of fields that hold their bytes, as the
 * kernel writes them. */
#include "view/kernel-text-impl.h"

#include <netinet/in.h>

enum { IP4_BYTES = 4, IP6_BYTES = 16, ROOM = 80 };

/* p: behind "%pI". Gives the place behind it, or NULL: not known. */
const char *kaddress_plan(
	struct making *m, const char *p, const struct tep_print_arg *arg, struct kop *op)
{
	const struct tep_format_field *f;
	char kind = *p++;

	if (arg->type != TEP_PRINT_FIELD || !op->spec.is_plain ||
		(kind != '4' && kind != '6' && kind != 'S'))
		return NULL;
	f = arg->field.field ? arg->field.field : tep_find_any_field(m->e, arg->field.name);
	if (!f || f->offset < 0 || f->flags & TEP_FIELD_IS_DYNAMIC ||
		(kind == '4' && f->size != IP4_BYTES) || (kind == '6' && f->size != IP6_BYTES) ||
		(kind == 'S' && f->size < (int)sizeof(struct sockaddr_in6)))
		return NULL;
	op->kind = KO_ADDRESS;
	op->size = (uint8_t)kind;
	op->from = (uint32_t)f->offset;
	m->need = MAX(m->need, op->from + (uint32_t)f->size);
	if (kind == 'S' && *p == 'p') {
		op->with_port = true;
		p++;
	}
	if (kind != '4' && *p == 'c') {
		op->is_short = true;
		p++;
	}
	return p;
}

static char *put_ip4(char *p, const uint8_t *a)
{
	for (int i = 0; i < IP4_BYTES; i++) {
		p = put_u64(p, a[i]);
		*p++ = '.';
	}
	return p - 1;
}

static char *put_group(char *p, const uint8_t *a, int least)
{
	static const char digits[] = "0123456789abcdef";
	unsigned v = (unsigned)a[0] << 8 | a[1];

	for (int n = 4; n > 0; n--)
		if (n <= least || v >> (4 * (n - 1)))
			*p++ = digits[v >> (4 * (n - 1)) & 15];
	return p;
}

static char *put_ip6(char *p, const uint8_t *a)
{
	for (int i = 0; i < IP6_BYTES; i += 2) {
		p = put_group(p, a + i, 4);
		*p++ = ':';
	}
	return p - 1;
}

/* The last 4 bytes are an address of IPv4: mapped, or ISATAP. */
static bool ends_in_ip4(const uint8_t *a)
{
	static const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	return memcmp(a, mapped, sizeof(mapped)) == 0 ||
		((a[8] | 2) == 2 && a[9] == 0 && a[10] == 0x5e && a[11] == 0xfe);
}

/* With "::" for the first of the longest runs of zeroes, if it is longer than one. */
static char *put_ip6_short(char *p, const uint8_t *a)
{
	bool ip4 = ends_in_ip4(a), colon = false;
	int groups = ip4 ? 6 : 8, at = -1, longest = 1;

	for (int i = 0; i < groups; i++) {
		int n = 0;

		while (i + n < groups && !a[2 * (i + n)] && !a[2 * (i + n) + 1])
			n++;
		if (n > longest) {
			at = i;
			longest = n;
		}
	}
	for (int i = 0; i < groups; i++) {
		if (i == at) {
			if (colon || i == 0)
				*p++ = ':';
			*p++ = ':';
			colon = false;
			i += longest - 1;
			continue;
		}
		if (colon)
			*p++ = ':';
		p = put_group(p, a + 2 * i, 1);
		colon = true;
	}
	if (ip4 && colon)
		*p++ = ':';
	return ip4 ? put_ip4(p, a + 12) : p;
}

static char *put_socket(
	char *p, const struct kernel_text *k, const struct kop *op, const uint8_t *a)
{
	static const char wrong[] = "(einval)";
	uint64_t family = kernel_load(k, a, 2);
	unsigned port = (unsigned)a[2] << 8 | a[3];
	bool ip6 = family == AF_INET6;

	if (!ip6 && family != AF_INET) {
		if (!k->as_kernel)
			return p;
		memcpy(p, wrong, sizeof(wrong) - 1);
		return p + sizeof(wrong) - 1;
	}
	if (ip6 && op->with_port)
		*p++ = '[';
	p = !ip6 ? put_ip4(p, a + offsetof(struct sockaddr_in, sin_addr))
		 : (op->is_short ? put_ip6_short : put_ip6)(
			   p, a + offsetof(struct sockaddr_in6, sin6_addr));
	if (ip6 && op->with_port)
		*p++ = ']';
	if (op->with_port) {
		*p++ = ':';
		p = put_u64(p, port);
	}
	return p;
}

void kaddress_put(struct kernel_text *k, const struct kop *op, const uint8_t *record)
{
	const uint8_t *a = record + op->from;

	if (k->end - k->p < ROOM)
		return;
	switch (op->size) {
	case '4': k->p = put_ip4(k->p, a); break;
	case '6': k->p = (op->is_short ? put_ip6_short : put_ip6)(k->p, a); break;
	default: k->p = put_socket(k->p, k, op, a); break;
	}
}
