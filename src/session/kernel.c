/* The kernel's part of a session: asked for, set up, switched on, changed, taken down. See kernel.h. */
#include "kernel/tracer.h"
#include "session/kernel-impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#define CPUS_MAX 4096u

/* ---- what is asked for ---- */

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

static int check_right(const struct session *s, struct error *err)
{
	if (s->uid == 0 || s->uid == s->host->uid)
		return 0;
	(void)error_set(err, -EPERM,
		"kernel events show what others do: only root may record them through root's host");
	error_hint(err, "sudo cairn record -k ..., or a session without kernel events");
	return -EPERM;
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
	r = check_right(s, err);
	if (r < 0)
		return r;
	k = calloc(1, sizeof(*k));
	if (!k)
		return error_set(err, -ENOMEM, "no memory for a session");
	s->kernel = k;
	k->texts_fd = -1;
	place_init(&k->place);
	k->all = json_int(o, "all", 0) != 0;
	k->adapt = json_int(o, "adapt", 0) != 0;
	k->is_recorder = json_int(o, "flight_recorder", 0) != 0;
	k->as_lttng = json_int(o, "lttng_names", 0) != 0;
	k->stacks = (unsigned)json_int(o, "stacks", 0);
	k->buffer_bytes = json_u64(o, "buffer_bytes");
	if (!k->buffer_bytes)
		k->buffer_bytes = default_buffer(s);
	if (!s->output->place.live && !s->output->dir && !k->is_recorder) {
		(void)error_set(err, -EINVAL, "kernel events need a directory to be written to");
		error_hint(err, "name one with -o DIR, or make it a flight recorder");
		return -EINVAL;
	}
	if (read_pids(k, o) < 0)
		return error_set(err, -ENOMEM, "no memory for a session");
	r = krec_rules_read(k, o, err);
	return r < 0 ? r : krec_probes_read(k, o, err);
}

struct json_object *krec_to_json(const struct cairn_kernel_config *config)
{
	struct json_object *o = json_object_new_object(), *rules = json_object_new_array();
	struct json_object *pids = json_object_new_array();
	struct cairn_kernel_config c = {0};

	memcpy(&c, config, MIN(config->size, sizeof(c)));
	for (size_t i = 0; i < c.nrules; i++) {
		struct json_object *r = json_object_new_object();

		json_add_str(r, "pattern", c.rules[i].pattern);
		json_add_str(r, "filter", c.rules[i].filter);
		json_object_array_add(rules, r);
	}
	for (size_t i = 0; i < c.npids; i++)
		json_object_array_add(pids, json_object_new_int(c.pids[i]));
	json_object_object_add(o, "rules", rules);
	json_object_object_add(o, "pids", pids);
	json_object_object_add(o, "all", json_object_new_int(c.all));
	json_object_object_add(o, "flight_recorder", json_object_new_int(c.flight_recorder));
	json_object_object_add(o, "adapt", json_object_new_int(c.buffer_adapts));
	json_object_object_add(o, "lttng_names", json_object_new_int(c.lttng_names));
	json_object_object_add(o, "stacks", json_object_new_int((int)c.stacks));
	krec_probes_to_json(&c, o);
	json_add_u64(o, "buffer_bytes", c.buffer_bytes);
	return o;
}

struct json_object *krec_list(const struct session *s)
{
	const struct krec *k = s->kernel;
	struct json_object *o;

	if (!k)
		return NULL;
	o = json_object_new_object();
	json_object_object_add(o, "rules", krec_rules_list(k));
	json_object_object_add(o, "probes", krec_probes_list(k));
	json_add_u64(o, "buffer_bytes", k->buffer_bytes);
	json_object_object_add(o, "flight_recorder", json_object_new_int(k->is_recorder));
	json_add_str(o, "instance", k->instance && k->instance->name ? k->instance->name : "");
	return o;
}

bool krec_is_recorder(const struct session *s)
{
	return s->kernel && s->kernel->is_recorder;
}

/* ---- start ---- */

static int make_trace(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;
	struct output_facts of;
	int r;

	if (k->ctf)
		return 0;
	output_facts(s, &of);
	of.facts.domain = "kernel";
	of.facts.as_lttng = k->as_lttng;
	of.facts.uuid[15] ^= 1; /* a trace of its own */
	r = kctf_new(&of.facts, &s->output->clock, &k->ctf);
	if (r < 0)
		return error_set(err, r, "no memory for the kernel's trace");
	kctf_on_unknown(k->ctf, krec_unknown, k);
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
	k->page = malloc(k->layout.size + KCTF_SLACK);
	return k->page ? 0 : error_set(err, -ENOMEM, "no memory for a page");
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
		r = krec_limit(s, err);
	if (r == 0)
		r = krec_rules_start(s, err);
	if (r == 0)
		r = krec_probes_start(s, 0, err);
	if (r == 0)
		r = krec_stacks_start(s, err);
	return r;
}

static int make_cpus(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;
	uint32_t n = MIN(s->host->nrings, CPUS_MAX);

	if (k->cpus)
		return 0;
	k->cpus = calloc(n, sizeof(*k->cpus));
	if (!k->cpus)
		return error_set(err, -ENOMEM, "no memory for the kernel's buffers");
	k->ncpus = n;
	for (uint32_t i = 0; i < n; i++) {
		k->cpus[i].fd = k->cpus[i].file.fd = -1;
		k->cpus[i].s.cpu = i;
		k->cpus[i].s.instance = ctf_instance(0, 0, 0, i);
	}
	return 0;
}

static int open_cpus(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;
	char path[64];
	int r = make_cpus(s, err);

	for (uint32_t i = 0; i < k->ncpus && r == 0; i++) {
		int fd;

		(void)snprintf(path, sizeof(path), "per_cpu/cpu%u/trace_pipe_raw", i); /* fits */
		fd = tracefs_open_file(k->instance, path, O_RDONLY | O_NONBLOCK);
		if (fd == -ENOENT)
			continue; /* no such CPU */
		if (fd < 0)
			return error_set(err, fd, "cannot open %s/%s: %s", k->instance->path, path,
				strerror(-fd));
		k->cpus[i].fd = fd;
		if (!k->is_recorder)
			(void)host_listens(s->host, fd, &s->host->kernel_ready); /* else by age */
	}
	return r;
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
	krec_bpf_end(s);
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
		r = krec_place_begin(s, err);
	if (r == 0)
		r = set_up(s, err);
	if (r == 0)
		r = open_cpus(s, err);
	if (r == 0 && krec_names_start(s) < 0)
		r = error_set(err, -ENOMEM, "no memory for the names of tasks");
	k->start_ts = clock_cycles(s->host->clock);
	if (r == 0)
		r = krec_bpf_start(s, err);
	if (r == 0)
		r = tracefs_on(k->instance, true, err);
	if (r < 0) {
		take_down(s);
		return r;
	}
	k->is_on = true;
	if (!k->is_recorder)
		krec_begin(s);
	host_wake(s->host);
	return 0;
}

void krec_sweep_dead(struct cairn_host *h)
{
	AUTO(tracefs) struct tracefs *top = NULL;
	struct kernel_swept swept = {0};

	if (access("/sys/kernel/tracing/instances", F_OK) != 0 ||
		tracefs_open(NULL, &top, NULL) < 0)
		return;
	(void)kernel_sweep(top, &swept, NULL); /* what does not go is somebody's still */
	if (swept.instances || swept.probes || swept.settings)
		host_say(h,
			"removed what dead sessions left in tracefs: %d instances, %d probes, %d settings",
			swept.instances, swept.probes, swept.settings);
}

/* ---- changes while it records ---- */

/* A session that had no kernel events gets a place for some. */
static int join(struct session *s, struct json_object *o, struct error *err)
{
	struct json_object *args = json_object_new_object();
	int r;

	if (s->output->place.live && s->output->place.meta_bytes)
		return error_set(err, -ENOTSUP,
			"session '%s' is a stream that has begun without kernel events", s->name);
	if (s->nchannels && s->channels[0].mode == CAIRN_MODE_OVERWRITE)
		json_object_object_add(o, "flight_recorder", json_object_new_int(1));
	json_object_object_add(args, "kernel", json_object_get(o));
	r = krec_new(s, args, err);
	json_object_put(args);
	if (r == 0)
		r = output_make_room(s, err);
	if (r == 0 && s->state == SESSION_RUNNING)
		r = krec_start(s, err);
	if (r < 0)
		krec_discard(s);
	if (r < 0)
		krec_free(s); /* the session's own trace stays in DIR/user: it is read the same */
	return r;
}

int krec_enable(struct session *s, struct json_object *o, struct error *err)
{
	struct krec *k = s->kernel;
	size_t before;
	int r;

	if (!k)
		return join(s, o, err);
	before = k->nrules;
	r = check_right(s, err);
	if (r == 0)
		r = krec_rules_add(s, o, err);
	if (r == 0) {
		r = krec_probes_add(s, o, err);
		if (r < 0)
			krec_rules_undo(s, before);
	}
	if (k->instance) {
		krec_names_shown(k);
		krec_write_texts(s);
	}
	return r;
}

int krec_disable(struct session *s, const char *pattern, struct error *err)
{
	struct krec *k = s->kernel;
	int r;

	if (!k)
		return error_set(err, -ENOENT, "session '%s' has no kernel events", s->name);
	if (k->is_on && !k->is_recorder)
		(void)krec_read_now(s); /* what was until now is recorded yet */
	if (krec_probes_take_back(k, pattern) > 0)
		return 0;
	r = krec_rules_take_back(s, pattern, err);
	if (k->instance)
		krec_names_shown(k);
	return r;
}

/* ---- the end ---- */

void krec_off(struct session *s)
{
	if (s->kernel)
		krec_bpf_off(s);
	if (s->kernel && s->kernel->instance)
		(void)tracefs_on(s->kernel->instance, false, NULL); /* its removal does it, too */
}

void krec_end(struct session *s)
{
	struct krec *k = s->kernel;

	if (!k || !k->instance)
		return;
	if (k->is_recorder && krec_has_place(k))
		(void)krec_write_kept(s); /* without memory it is less */
	for (uint32_t i = 0; i < k->ncpus; i++)
		k->cpus[i].nkept = 0;
	krec_bpf_forget(k);
	for (uint32_t i = 0; i < k->ncpus && !k->is_recorder; i++) {
		krec_read_to_the_end(s, &k->cpus[i]);
		krec_flush(s, &k->cpus[i], false);
		krec_final_losses(s, &k->cpus[i]);
	}
	krec_bpf_end(s);
	krec_names_write(s);
	krec_final_texts(s);
	take_down(s);
}

void krec_stats(const struct session *s, struct cairn_stats *ret)
{
	const struct krec *k = s->kernel;

	if (!k)
		return;
	ret->kernel_events = k->events;
	ret->kernel_bytes = k->bytes + k->place.meta_bytes;
	ret->kernel_gap_ns = k->gap_ns;
	krec_bpf_stats(k, ret);
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
		free(k->cpus[i].kept);
	}
	krec_rules_free(k);
	krec_probes_free(k);
	krec_bpf_free(k);
	free(k->pids);
	free(k->traced);
	free(k->cpus);
	free(k->page);
	krec_stacks_free(k);
	krec_names_free(k);
	free(k->symbol_ids);
	ksymbols_done(&k->symbols);
	kctf_free(k->ctf);
	place_done(&k->place);
	buf_done(&k->meta);
	buf_done(&k->texts);
	auto_fd(&k->texts_fd);
	free(k);
	s->kernel = NULL;
}
