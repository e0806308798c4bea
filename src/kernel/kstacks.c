/* See kstacks.h. Records of our own events are made as the kernel would, and go the same way. */
#include "kernel/kstacks.h"
#include "kernel/format.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ID_FILE KCTF_OWN_FIRST
#define ID_STACK (KCTF_OWN_FIRST + 1)
#define FRAMES_MAX 256

#define COMMON \
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n" \
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n" \
	"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n" \
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"

static const char file_format[] =
	"name: file\nID: 65536\nformat:\n" COMMON
	"\tfield:unsigned int id;\toffset:8;\tsize:4;\tsigned:0;\n"
	"\tfield:__data_loc char[] path;\toffset:12;\tsize:4;\tsigned:0;\n"
	"\tfield:__data_loc unsigned char[] build_id;\toffset:16;\tsize:4;\tsigned:0;\n"
	"\tfield:long shift;\toffset:24;\tsize:8;\tsigned:1;\n"
	"\tfield:long seen;\toffset:32;\tsize:8;\tsigned:1;\n";

static const char stack_format[] =
	"name: user_stack\nID: 65537\nformat:\n" COMMON
	"\tfield:unsigned int tgid;\toffset:8;\tsize:4;\tsigned:0;\n"
	"\tfield:__data_loc unsigned long[] caller;\toffset:12;\tsize:4;\tsigned:0;\n"
	"\tfield:__data_loc unsigned int[] file;\toffset:16;\tsize:4;\tsigned:0;\n"
	"\tfield:__data_loc unsigned long[] offset;\toffset:20;\tsize:4;\tsigned:0;\n";

struct kstacks {
	struct kctf *k; /* borrowed */
	struct mappings *m; /* borrowed */
	uint32_t id; /* the kernel's */
	uint32_t tgid_at, caller_at;
	uint8_t **said; /* owned: of each stream, owned bits of files that it names */
	size_t *said_bytes, nstreams; /* owned */
	struct buf record; /* owned: the one that is being made */
};

static int add_format(struct kctf *k, const char *text, size_t len, const char *system)
{
	struct kformat *f;
	int err = kformat_parse(text, len, system, sizeof(long), &f, NULL);

	return err < 0 ? err : kctf_add(k, f, NULL);
}

/* ---- which files a stream has named ---- */

/* A CPU may have two: of tracefs and of BPF. */
static size_t number(const struct kctf_stream *to)
{
	return 2 * (size_t)to->cpu + (to->instance != ctf_instance(0, 0, 0, to->cpu));
}

static int room_for(struct kstacks *s, size_t stream, uint32_t file)
{
	size_t bytes = file / 8 + 1, n = stream + 1u;
	uint8_t *p;

	if (n > s->nstreams) {
		uint8_t **said = realloc(s->said, n * sizeof(*said));
		size_t *sizes;

		if (!said)
			return -ENOMEM;
		s->said = said;
		sizes = realloc(s->said_bytes, n * sizeof(*sizes));
		if (!sizes)
			return -ENOMEM;
		s->said_bytes = sizes;
		memset(s->said + s->nstreams, 0, (n - s->nstreams) * sizeof(*said));
		memset(s->said_bytes + s->nstreams, 0, (n - s->nstreams) * sizeof(*sizes));
		s->nstreams = n;
	}
	if (bytes <= s->said_bytes[stream])
		return 0;
	bytes = MAX(bytes, 2 * s->said_bytes[stream]);
	p = realloc(s->said[stream], bytes);
	if (!p)
		return -ENOMEM;
	memset(p + s->said_bytes[stream], 0, bytes - s->said_bytes[stream]);
	s->said[stream] = p;
	s->said_bytes[stream] = bytes;
	return 0;
}

void kstacks_begin(struct kstacks *s)
{
	for (size_t i = 0; s && i < s->nstreams; i++)
		if (s->said_bytes[i])
			memset(s->said[i], 0, s->said_bytes[i]);
}

static void add_word(struct buf *b, uint32_t v)
{
	buf_add(b, &v, sizeof(v));
}

/* Where a dynamic field's `len` bytes will be. */
static uint32_t data_loc(size_t at, size_t len)
{
	return (uint32_t)(len << 16 | at);
}

static int emit(struct kstacks *s, struct kctf_stream *to, uint32_t id, uint64_t ts)
{
	struct kpage_event ev = {
		.ts = ts, .data = (const uint8_t *)s->record.data, .len = (uint32_t)s->record.len};

	return s->record.err ? -ENOMEM : kctf_emit(s->k, to, id, &ev);
}

static int say_file(
	struct kstacks *s, struct kctf_stream *to, uint32_t file, const struct kpage_event *ev)
{
	const struct mapped_file *f;
	struct buf *b = &s->record;
	size_t len;

	if (room_for(s, number(to), file) < 0)
		return -ENOMEM;
	if (s->said[number(to)][file / 8] & 1u << file % 8)
		return 0;
	f = mappings_file(s->m, file);
	len = MIN(strlen(f->path), (size_t)4095);
	buf_clear(b);
	buf_add(b, ev->data, 8); /* of the same thread */
	add_word(b, file);
	add_word(b, data_loc(40, len + 1));
	add_word(b, data_loc(40 + len + 1, f->build_id_len));
	add_word(b, 0);
	buf_add(b, &f->shift, sizeof(f->shift));
	buf_add(b, &f->seen_ns, sizeof(f->seen_ns));
	buf_add(b, f->path, len);
	buf_char(b, 0);
	buf_add(b, f->build_id, f->build_id_len);
	s->said[number(to)][file / 8] |= (uint8_t)(1u << file % 8);
	return emit(s, to, ID_FILE, ev->ts);
}

/* ---- stacks ---- */

struct frames {
	size_t n;
	uint64_t address[FRAMES_MAX], offset[FRAMES_MAX];
	uint32_t file[FRAMES_MAX];
};

static void read_frames(const struct kstacks *s, uint64_t ts, uint32_t pid,
	const uint8_t *addresses, size_t n, struct frames *ret)
{
	uint64_t t_ns = mappings_time(s->m, ts), address;

	ret->n = 0;
	while (ret->n < MIN(n, (size_t)FRAMES_MAX)) {
		size_t i = ret->n;

		memcpy(&address, addresses + 8 * i, sizeof(address));
		if (!address || address == UINT64_MAX)
			break;
		ret->address[i] = address;
		/* behind a call may be what is mapped next */
		if (mappings_find(s->m, (int32_t)pid, t_ns, address - (i > 0), &ret->file[i],
			    &ret->offset[i])) {
			ret->offset[i] += i > 0;
		} else {
			ret->file[i] = KSTACKS_NO_FILE;
			ret->offset[i] = 0;
		}
		ret->n++;
	}
}

int kstacks_put(struct kstacks *s, struct kctf_stream *to, const struct kpage_event *ev,
	uint32_t pid, const uint8_t *addresses, size_t n)
{
	struct buf *b = &s->record;
	struct frames f;
	size_t at = 24;
	int err = 0;

	read_frames(s, ev->ts, pid, addresses, n, &f);
	if (!f.n)
		return 0; /* a thread of the kernel */
	for (size_t i = 0; i < f.n && err == 0; i++)
		if (f.file[i] != KSTACKS_NO_FILE)
			err = say_file(s, to, f.file[i], ev);
	if (err < 0)
		return err;
	buf_clear(b);
	buf_add(b, ev->data, 8);
	add_word(b, pid);
	add_word(b, data_loc(at, f.n * 8));
	add_word(b, data_loc(at + f.n * 8, f.n * 4));
	add_word(b, data_loc(at + f.n * 12, f.n * 8));
	buf_add(b, f.address, f.n * 8);
	buf_add(b, f.file, f.n * 4);
	buf_add(b, f.offset, f.n * 8);
	return emit(s, to, ID_STACK, ev->ts);
}

static int take_stack(void *arg, struct kctf_stream *to, const struct kpage_event *ev)
{
	struct kstacks *s = arg;
	uint32_t pid;

	memcpy(&pid, ev->data + s->tgid_at, sizeof(pid)); /* kctf: it is as long as its fields */
	return kstacks_put(s, to, ev, pid, ev->data + s->caller_at, (ev->len - s->caller_at) / 8);
}

int kstacks_new(struct kctf *k, uint32_t user_stack, struct mappings *m, struct kstacks **ret)
{
	const struct kformat *f = kctf_format(k, user_stack);
	const struct kfield *tgid = f ? kformat_field(f, "tgid") : NULL;
	const struct kfield *caller = f ? kformat_field(f, "caller") : NULL;
	struct kstacks *s;
	int err;

	if (!tgid || tgid->size != 4 || !caller || caller->elem != 8)
		return -EPROTO;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct kstacks){.k = k,
		.m = m,
		.id = user_stack,
		.tgid_at = tgid->offset,
		.caller_at = caller->offset};
	err = add_format(k, file_format, strlen(file_format), CTF_STATE_PROVIDER);
	if (err == 0)
		err = add_format(k, stack_format, strlen(stack_format), "ftrace");
	if (err < 0) {
		free(s);
		return err;
	}
	kctf_take(k, user_stack, take_stack, s);
	*ret = s;
	return 0;
}

void kstacks_free(struct kstacks *s)
{
	if (!s)
		return;
	kctf_take(s->k, s->id, NULL, NULL);
	for (size_t i = 0; i < s->nstreams; i++)
		free(s->said[i]);
	free(s->said);
	free(s->said_bytes);
	buf_done(&s->record);
	free(s);
}
