/* trace.dat version 6: everything in a fixed order, nothing compressed. After the head:
 *
 *	"header_page\0" u64 size text  "header_event\0" u64 size text
 *	u32 n, n times: u64 size, format text			events of the system "ftrace"
 *	u32 nsystems, each: name\0, u32 n, n times: u64 size, format text
 *	u32 size, kallsyms   u32 size, printk formats   u64 size, names of tasks
 *	u32 CPUs
 *	"options  \0", { u16 id, u32 size, data }*, u16 0	may be missing
 *	"latency  \0" text to the end, or
 *	"flyrecord\0", for each CPU: u64 offset, u64 size
 *	u64 size, text of trace_clock				if there was the option TRACECLOCK
 *
 * A BUFFER option (u64 offset, name\0) is an instance; at its offset the order goes on from
 * "options" again.
 */
#include "kernel/trace-dat-impl.h"

#include <errno.h>

static int read_options(struct trace_dat *d, struct dat_in *in, bool *ret_clock, bool nested)
{
	for (;;) {
		uint16_t id = dat_u16(in);
		uint32_t size;
		struct dat_in body = *in;
		const char *name;
		int e = 0;

		if (in->failed)
			return -EPROTO;
		if (id == DAT_DONE)
			return 0;
		size = dat_u32(in);
		if (in->failed || size > in->end - in->at)
			return -EPROTO;
		body.at = in->at;
		body.end = in->at += size;
		if (id == DAT_BUFFER && !nested) {
			uint64_t at = dat_u64(&body);
			struct dat_buffer *b;

			name = dat_string(&body);
			if (!name)
				return body.failed ? -EPROTO : -ENOMEM;
			b = dat_add_buffer(d, name, "");
			if (!b)
				return d->nbuffers == DAT_MAX_BUFFERS ? -EPROTO : -ENOMEM;
			b->text_at = at; /* until read_instances() */
		} else if (id == DAT_TRACECLOCK) {
			*ret_clock = true;
		} else {
			e = dat_option(d, id, &body);
		}
		if (e < 0)
			return e;
	}
}

/* From "options" or "flyrecord" on. b: index of the buffer, since there may come more of them. */
static int read_data(struct trace_dat *d, struct dat_in *in, size_t b, bool *ret_clock)
{
	char type[10];
	uint32_t ncpus;
	int e = 0;

	dat_get(in, type, sizeof(type));
	if (!in->failed && memcmp(type, "options", 7) == 0) {
		e = read_options(d, in, ret_clock, b > 0);
		dat_get(in, type, sizeof(type));
	}
	if (e < 0 || in->failed)
		return e < 0 ? e : -EPROTO;
	if (memcmp(type, "latency", 7) == 0) {
		d->buffers[b].is_text = true;
		d->buffers[b].text_at = in->at;
		d->buffers[b].text_bytes = in->end - in->at;
		*ret_clock = false;
		return 0;
	}
	if (memcmp(type, "flyrecord", 9) != 0)
		return -EPROTO;
	ncpus = d->ncpus;
	if (ncpus > DAT_MAX_CPUS)
		return -EPROTO;
	for (uint32_t c = 0; c < ncpus && e == 0; c++) {
		uint64_t at = dat_u64(in), size = dat_u64(in);

		if (in->failed)
			return -EPROTO;
		e = dat_add_cpu(d, &d->buffers[b], c, at, size);
	}
	return e;
}

static int read_clock(struct trace_dat *d, struct dat_in *in)
{
	uint64_t n = dat_u64(in);
	const char *text = in->failed || n > 4096 ? NULL : dat_text(in, n);
	const char *clock;

	if (!text)
		return 0; /* old files may have it wrong: then it is the local clock */
	clock = dat_clock_name(d, text);
	if (!clock)
		return -ENOMEM;
	for (size_t i = 0; i < d->nbuffers; i++)
		d->buffers[i].clock = clock;
	return 0;
}

static int read_instances(struct trace_dat *d)
{
	for (size_t i = 1; i < d->nbuffers; i++) {
		struct dat_in in = {.d = d, .at = d->buffers[i].text_at, .end = d->file_size};
		bool clock = false;
		int e;

		in.failed = in.at > in.end;
		e = read_data(d, &in, i, &clock);
		if (e == -EPROTO)
			e = dat_notice(d, in.at, "the instance '%.60s' cannot be read%s",
				d->buffers[i].name,
				in.failed ? ": it is beyond the file's end" : "");
		if (e == -ENOMEM)
			return e;
	}
	return 0;
}

static void blob(struct dat_in *in, struct dat_blob *ret)
{
	uint32_t n = dat_u32(in);

	if (in->failed || n > in->end - in->at) {
		in->failed = true;
		return;
	}
	*ret = (struct dat_blob){.at = in->at, .size = n};
	in->at += n;
}

int dat_read_v6(struct trace_dat *d, struct dat_in *in, struct error *err)
{
	const char *part = "header_page";
	bool clock = false;
	int e = dat_read_header_info(in);

	if (e == 0)
		part = "the formats of ftrace's events", e = dat_read_ftrace_events(in);
	if (e == 0)
		part = "the formats of events", e = dat_read_event_formats(in);
	if (e == 0) {
		part = "the symbols";
		blob(in, &d->kallsyms);
		blob(in, &d->printk);
		e = in->failed ? -EPROTO : 0;
	}
	if (e == 0)
		part = "the names of tasks", e = dat_read_cmdlines(in);
	if (e == 0) {
		part = "the list of CPUs";
		d->ncpus = dat_u32(in);
		if (!dat_add_buffer(d, "", ""))
			return -ENOMEM;
		e = read_data(d, in, 0, &clock);
	}
	if (e == -EPROTO)
		return error_set(err, -EINVAL, "%s cannot be read: %s", part,
			in->failed ? "the file ends before" : "damaged");
	if (e == 0 && clock)
		e = read_clock(d, in);
	return e < 0 ? e : read_instances(d);
}
