/* The kernel's part of a session: set up, switched on, taken down. See kernel.h. */
#include "kernel/enums.h"
#include "kernel/tracer.h"
#include "session/kernel-impl.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#define RULES_MAX 512u
#define CPUS_MAX 4096u
#define BTF "/sys/kernel/btf/vmlinux"

/* ---- what is asked for ---- */

/* "PATTERN if FILTER" */
static int add_rule(struct krec *k, const char *pattern, const char *filter)
{
	struct krec_rule *r =
		k->nrules < RULES_MAX ? VEC_ADD(k->rules, k->nrules, k->crules) : NULL;
	const char *split = pattern ? strstr(pattern, " if ") : NULL;

	if (!r || !pattern)
		return -ENOMEM;
	if (split) {
		filter = filter ? filter : split + 4;
		r->pattern = strndup(pattern, (size_t)(split - pattern));
	} else {
		r->pattern = strdup(pattern);
	}
	r->filter = filter ? strdup(filter) : NULL;
	return r->pattern && (!filter || r->filter) ? 0 : -ENOMEM;
}

static int read_rules(struct krec *k, struct json_object *o)
{
	struct json_object *list = json_get(o, "rules", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		struct json_object *rule = json_object_array_get_idx(list, i);

		r = add_rule(k, json_str(rule, "pattern"), json_str(rule, "filter"));
	}
	return r;
}

static int read_pids(struct krec *k, struct json_object *o)
{
	struct json_object *list = json_get(o, "pids", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;

	if (!n)
		return 0;
	k->pids = calloc(n, sizeof(*k->pids));
	if (!k->pids)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		k->pids[k->npids++] = json_object_get_int(json_object_array_get_idx(list, i));
	return 0;
}

/* DIR becomes ours, the session's own trace goes to DIR/user. */
static int open_dir(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;
	struct place p;
	char *user;
	int r;

	place_init(&p);
	r = place_open(s, &p, s->output->dir, err);
	if (r < 0)
		return r;
	k->dirfd = take_fd(&p.dirfd);
	place_done(&p);
	if (asprintf(&user, "%s/user", s->output->dir) < 0)
		return error_set(err, -ENOMEM, "no memory for a session");
	k->dir = s->output->dir;
	s->output->dir = user;
	return 0;
}

const char *krec_dir(const struct session *s)
{
	return s->kernel ? s->kernel->dir : NULL;
}

/* Big enough to leave the caches of the CPUs that write before it is read, and for some 20 ms of the
 * fastest events. */
static uint64_t default_buffer(const struct session *s)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	uint64_t part =
		pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / KREC_MEMORY_PART : 0;

	return MAX(MIN(part / MAX(s->host->nrings, 1u), KREC_BUFFER_DEFAULT), KREC_BUFFER_LEAST);
}

int krec_new(struct session *s, struct json_object *args, struct error *err)
{
	struct json_object *o = json_get(args, "kernel", json_type_object);
	struct krec *k;
	int r;

	if (!o)
		return 0;
	if (s->uid != 0 && s->uid != s->host->uid) {
		(void)error_set(err, -EPERM,
			"kernel events show what others do: only root may record "
			"them through root's host");
		error_hint(err, "sudo cairn record -k ..., or a session without kernel events");
		return -EPERM;
	}
	if (s->output->place.stream_fd >= 0 || !s->output->dir) {
		(void)error_set(err, -EINVAL, "kernel events need a directory to be written to");
		error_hint(err, "name one with -o DIR");
		return -EINVAL;
	}
	k = calloc(1, sizeof(*k));
	if (!k)
		return error_set(err, -ENOMEM, "no memory for a session");
	s->kernel = k;
	k->texts_fd = k->dirfd = -1;
	place_init(&k->place);
	k->all = json_int(o, "all", 0) != 0;
	k->adapt = json_int(o, "adapt", 0) != 0;
	k->as_lttng = json_int(o, "lttng_names", 0) != 0;
	k->stacks = (unsigned)json_int(o, "stacks", 0);
	k->buffer_bytes = json_u64(o, "buffer_bytes");
	if (!k->buffer_bytes)
		k->buffer_bytes = default_buffer(s);
	if (read_rules(k, o) < 0 || read_pids(k, o) < 0)
		return error_set(err, -ENOMEM, "no memory for a session, or too many -k");
	r = krec_probes_read(k, o, err);
	if (r < 0)
		return r;
	return open_dir(s, err);
}

struct json_object *krec_to_json(const struct cairn_kernel_config *c)
{
	struct json_object *o = json_object_new_object(), *rules = json_object_new_array();
	struct json_object *pids = json_object_new_array();

	for (size_t i = 0; i < c->nrules; i++) {
		struct json_object *r = json_object_new_object();

		json_add_str(r, "pattern", c->rules[i].pattern);
		json_add_str(r, "filter", c->rules[i].filter);
		json_object_array_add(rules, r);
	}
	for (size_t i = 0; i < c->npids; i++)
		json_object_array_add(pids, json_object_new_int(c->pids[i]));
	json_object_object_add(o, "rules", rules);
	json_object_object_add(o, "pids", pids);
	json_object_object_add(o, "all", json_object_new_int(c->all));
	json_object_object_add(o, "adapt", json_object_new_int(c->buffer_adapts));
	json_object_object_add(o, "lttng_names", json_object_new_int(c->lttng_names));
	json_object_object_add(o, "stacks", json_object_new_int((int)c->stacks));
	krec_probes_to_json(c, o);
	json_add_u64(o, "buffer_bytes", c->buffer_bytes);
	return o;
}

/* ---- start ---- */

static int make_trace(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;
	struct output_facts of;
	struct ctf_clock clock;
	int r;

	if (!k->ctf) {
		output_facts(s, &of);
		of.facts.domain = "kernel";
		of.facts.as_lttng = k->as_lttng;
		of.facts.uuid[15] ^= 1; /* a trace of its own */
		clock_describe(s->host, NULL, &clock);
		r = kctf_new(&of.facts, &clock, &k->ctf);
		if (r < 0)
			return error_set(err, r, "no memory for the kernel's trace");
		kctf_on_unknown(k->ctf, krec_unknown, k);
	}
	if (k->place.dirfd >= 0)
		return 0;
	if (mkdirat(k->dirfd, "kernel", 0777) == 0 || errno == EEXIST)
		k->place.dirfd = openat(k->dirfd, "kernel", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->place.dirfd < 0)
		return error_set(err, -errno, "cannot make %s/kernel: %s", k->dir, strerror(errno));
	return 0;
}

static int read_layout(struct krec *k, struct error *err)
{
	AUTO(buf) struct buf text = {0};
	AUTO(buf) struct buf size = {0};
	uint32_t bytes = 0;
	int r = tracefs_read(k->top, "events/header_page", &text, err);

	if (r < 0)
		return r;
	if (tracefs_read(k->instance, "buffer_subbuf_size_kb", &size, NULL) == 0 && size.data)
		bytes = (uint32_t)strtoul(size.data, NULL, 10) * 1024;
	r = kpage_layout_parse(text.data ? text.data : "", text.len, bytes, false, &k->layout, err);
	if (r < 0)
		return r;
	free(k->page);
	k->page = malloc(k->layout.size);
	return k->page ? 0 : error_set(err, -ENOMEM, "no memory for a page");
}

/* Switches on what one rule names. A pattern's events that cannot be are said and left out. */
static int enable_rule(struct session *s, const struct krec_rule *rule, struct error *err)
{
	struct krec *k = s->kernel;
	AUTO(tracefs_events) struct tracefs_events list = {0};
	bool one = !strpbrk(rule->pattern, "*?");
	int r = tracefs_events(k->top, rule->pattern, &list, err);
	size_t on = 0;

	if (r == 0 && !list.n) {
		(void)error_set(err, -ENOENT, "no kernel event matches '%s'", rule->pattern);
		error_hint(err, "'SYSTEM:NAME' with * and ?; `cairn kernel list` shows them");
		return -ENOENT;
	}
	for (size_t i = 0; i < list.n && r == 0; i++) {
		const struct tracefs_event *ev = &list.all[i];
		struct error e = {0};
		int w = krec_learn(k, ev->system, ev->name, ev->system, &e);

		if (w == 0 && rule->filter)
			w = tracefs_filter(k->instance, ev->system, ev->name, rule->filter, &e);
		if (w == 0)
			w = tracefs_enable(k->instance, ev->system, ev->name, true, &e);
		on += w == 0;
		if (w < 0 && (one || w == -ENOMEM || w == -EACCES || list.n == 1)) {
			*err = e;
			r = w;
		} else if (w < 0) {
			host_say(s->host, "session %s: without %s:%s: %s", s->name, ev->system,
				ev->name, e.message);
		}
	}
	if (r == 0 && !on)
		r = error_set(err, -EINVAL, "none of the kernel events of '%s' can be recorded",
			rule->pattern);
	return r;
}

struct tids {
	int32_t *all; /* owned vector */
	size_t n, cap;
};

/* The other threads of a process: the kernel's list is of threads. */
static int add_threads(struct tids *t, pid_t pid)
{
	char path[64];
	AUTO(dir) DIR *d = NULL;
	struct dirent *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid); /* fits */
	d = opendir(path);
	while (d && (f = readdir(d))) {
		int32_t *tid;

		if (f->d_name[0] == '.' || atoi(f->d_name) == pid)
			continue;
		tid = VEC_ADD(t->all, t->n, t->cap);
		if (!tid)
			return -ENOMEM;
		*tid = atoi(f->d_name);
	}
	return 0;
}

static int read_threads(struct tids *t, const pid_t *pids, size_t n)
{
	int r = 0;

	t->n = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		int32_t *pid = VEC_ADD(t->all, t->n, t->cap);

		if (!pid)
			return -ENOMEM;
		*pid = pids[i];
		r = add_threads(t, pids[i]);
	}
	return r;
}

/* The list is written at once: to change it later takes the kernel some 30 ms. So what is read again
 * behind it is usually the same; else a thread came meanwhile, whose children come with it. */
static int limit(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;
	const pid_t *pids = k->npids ? k->pids : s->pids;
	size_t n = k->npids ? k->npids : s->npids, before = 0;
	struct tids t = {0};
	int r;

	if (k->all || !n)
		return 0;
	r = tracefs_option(k->instance, "event-fork", true, err);
	while (r == 0 && (r = read_threads(&t, pids, n)) == 0 && t.n > before) {
		before = t.n;
		r = tracefs_pids(k->instance, t.all, t.n, err);
	}
	free(t.all);
	return r == -ENOMEM ? error_set(err, r, "no memory for a list of threads") : r;
}

static int set_up(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;
	int r = tracefs_clock(
		k->instance, s->host->clock == CAIRN_CLOCK_TSC ? "x86-tsc" : "mono", err);

	if (r == 0)
		r = tracefs_buffer(k->instance, k->buffer_bytes, err);
	if (r < 0)
		error_hint(err, "a smaller --kernel-buffer may do");
	(void)tracefs_write(k->instance, "buffer_percent", KREC_FILL_PERCENT, NULL);
	(void)tracefs_option(k->instance, "record-cmd", false, NULL); /* sched_switch has names */
	if (r == 0)
		r = read_layout(k, err);
	if (r == 0)
		r = limit(s, err);
	for (size_t i = 0; i < k->nrules && r == 0; i++)
		r = enable_rule(s, &k->rules[i], err);
	if (r == 0)
		r = krec_probes_start(s, err);
	if (r == 0)
		r = krec_stacks_start(s, err);
	return r;
}

static int open_cpus(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;
	uint32_t n = MIN(s->host->nrings, CPUS_MAX);
	char path[64];

	k->is_polled = s->channels[0].mode != CAIRN_MODE_OVERWRITE;
	if (!k->cpus) {
		k->cpus = calloc(n, sizeof(*k->cpus));
		if (!k->cpus)
			return error_set(err, -ENOMEM, "no memory for the kernel's buffers");
		k->ncpus = n;
		for (uint32_t i = 0; i < n; i++) {
			k->cpus[i].fd = k->cpus[i].file.fd = -1;
			k->cpus[i].s.cpu = i;
			k->cpus[i].s.instance = ctf_instance(0, 0, 0, i);
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		int fd;

		(void)snprintf(path, sizeof(path), "per_cpu/cpu%u/trace_pipe_raw", i); /* fits */
		fd = tracefs_open_file(k->instance, path, O_RDONLY | O_NONBLOCK);
		if (fd == -ENOENT)
			continue; /* no such CPU */
		if (fd < 0)
			return error_set(err, fd, "cannot open %s/%s: %s", k->instance->path, path,
				strerror(-fd));
		k->cpus[i].fd = fd;
		if (k->is_polled)
			(void)host_listens(s->host, fd, &s->host->kernel_ready); /* else by age */
	}
	return 0;
}

static void take_down(struct session *s)
{
	struct krec *k = s->kernel;
	struct error err = {0};
	char group[80] = "";

	for (uint32_t i = 0; i < k->ncpus; i++) {
		auto_fd(&k->cpus[i].fd); /* epoll forgets it, too */
		k->cpus[i].fd = -1;
	}
	if (k->instance && k->instance->name)
		dynevent_group(k->instance->name, group, sizeof(group));
	if (tracefs_instance_remove(k->instance, &err) < 0)
		host_say(s->host, "%s; `cairn kernel clean` removes it", err.message);
	k->instance = NULL;
	krec_probes_stop(s, group);
	tracefs_free(k->top);
	k->top = NULL;
	krec_stacks_stop(k);
	k->is_on = false;
}

int krec_start(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;
	struct kernel_swept swept;
	int r;

	if (!k)
		return 0;
	r = tracefs_open(NULL, &k->top, err);
	if (r < 0)
		return r;
	(void)kernel_sweep(k->top, &swept, NULL); /* of owners that died; ours works without */
	r = tracefs_instance_new(k->top, &k->instance, err);
	if (r == 0)
		r = make_trace(s, err);
	if (r == 0)
		r = set_up(s, err);
	if (r == 0)
		r = open_cpus(s, err);
	if (r == 0 && krec_names_start(s) < 0)
		r = error_set(err, -ENOMEM, "no memory for the names of tasks");
	krec_write_texts(s);
	k->start_ts = clock_cycles(s->host->clock);
	if (r == 0)
		r = tracefs_on(k->instance, true, err);
	if (r < 0) {
		take_down(s);
		return r;
	}
	krec_dump_lttng(s);
	k->is_on = true;
	host_wake(s->host);
	return 0;
}

/* ---- the end ---- */

void krec_off(struct session *s)
{
	if (s->kernel && s->kernel->instance)
		(void)tracefs_on(s->kernel->instance, false, NULL); /* its removal does it, too */
}

static bool occurred(const struct krec *k, const struct ktext *t)
{
	const char *id = memmem(t->text, t->len, "\nID:", 4);

	return id && kctf_occurred(k->ctf, (uint32_t)strtoul(id + 4, NULL, 10));
}

/* Formats that name numbers are kept once more, with the numbers, if BTF knows them. */
static void keep_numbers(struct krec *k)
{
	struct kenums *names = kenums_new();
	AUTO(buf) struct buf more = {0};
	struct ktext t;
	size_t at = 0, found = 0;

	while (names && ktexts_next(k->texts.data, k->texts.len, &at, &t) == 1)
		if (strcmp(t.what, "format") == 0 && occurred(k, &t))
			found += kenums_note(names, t.text, t.len);
	if (found && kenums_load(names, BTF) > 0) {
		for (at = 0; ktexts_next(k->texts.data, k->texts.len, &at, &t) == 1;) {
			AUTO(buf) struct buf text = {0};

			if (strcmp(t.what, "format") == 0 && occurred(k, &t) &&
				kenums_replace(names, t.text, t.len, &text))
				ktexts_add(&more, t.what, t.system, t.name, text.data, text.len);
		}
		if (more.len)
			buf_add(&k->texts, more.data, more.len);
	}
	kenums_free(names);
}

static void keep_symbols(struct krec *k)
{
	AUTO(buf) struct buf b = {0};

	if (tracefs_read(k->top, "printk_formats", &b, NULL) == 0 && b.len)
		ktexts_add(&k->texts, "file", "-", "printk_formats", b.data, b.len);
	buf_clear(&b);
	for (size_t i = 0; i < k->nsymbol_ids; i++)
		k->wants_symbols |= kctf_occurred(k->ctf, k->symbol_ids[i]);
	if (k->wants_symbols && k->events && read_file("/proc/kallsyms", 64u << 20, &b) == 0)
		ktexts_add(&k->texts, "file", "-", "kallsyms", b.data, b.len);
	k->wants_symbols = false;
}

void krec_end(struct session *s)
{
	struct krec *k = s->kernel;

	if (!k || !k->instance)
		return;
	for (uint32_t i = 0; i < k->ncpus; i++) {
		krec_read_to_the_end(s, &k->cpus[i]);
		krec_flush(s, &k->cpus[i], false);
		krec_final_losses(s, &k->cpus[i]);
	}
	krec_names_write(s);
	keep_numbers(k);
	keep_symbols(k);
	krec_write_texts(s);
	take_down(s);
}

void krec_set_clock(struct session *s, const struct ctf_clock *clock)
{
	struct krec *k = s->kernel;
	struct ctf_text_pos pos = {0};
	AUTO(buf) struct buf text = {0};

	if (!k || !k->ctf || k->place.dirfd < 0 ||
		ctf_trace_set_clock(kctf_trace(k->ctf), clock) < 0 ||
		ctf_metadata(
			kctf_trace(k->ctf), s->ctf_version == 2 ? CTF_2 : CTF_1_8, &pos, &text) < 0)
		return; /* without memory the first guess stays */
	buf_clear(&k->meta);
	buf_add(&k->meta, text.data, text.len);
	k->text_pos = pos;
	(void)place_replace_metadata(s, &k->place, &k->meta); /* the old text is good, too */
}

void krec_stats(const struct session *s, struct cairn_stats *ret)
{
	const struct krec *k = s->kernel;

	if (!k)
		return;
	ret->kernel_events = k->events;
	ret->kernel_bytes = k->bytes + k->place.meta_bytes;
	for (uint32_t i = 0; i < k->ncpus; i++) {
		ret->kernel_events += k->cpus[i].s.events;
		for (unsigned w = 0; w < CAIRN_LOST_REASONS; w++)
			ret->kernel_lost += k->cpus[i].s.lost[w];
	}
}

void krec_free(struct session *s)
{
	struct krec *k = s->kernel;

	if (!k)
		return;
	if (k->instance)
		take_down(s);
	for (uint32_t i = 0; i < k->ncpus; i++) {
		kctf_stream_done(&k->cpus[i].s);
		auto_fd(&k->cpus[i].file.fd);
	}
	for (size_t i = 0; i < k->nrules; i++) {
		free(k->rules[i].pattern);
		free(k->rules[i].filter);
	}
	free(k->rules);
	krec_probes_free(k);
	free(k->pids);
	free(k->cpus);
	free(k->page);
	krec_stacks_free(k);
	krec_names_free(k);
	free(k->symbol_ids);
	kctf_free(k->ctf);
	place_done(&k->place);
	buf_done(&k->meta);
	buf_done(&k->texts);
	auto_fd(&k->texts_fd);
	auto_fd(&k->dirfd);
	free(k->dir);
	free(k);
	s->kernel = NULL;
}
