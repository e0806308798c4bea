/* Looking, the commander's side: lists as C structs, from the JSON that list.c made.
 *
 * A list is the array that the caller sees, with the answer's JSON and an arena in front of it:
 * all strings and inner arrays live there, so that one call frees everything.
 */
#include "session/remote.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct list {
	struct json_object *json; /* owned: strings point into it */
	struct arena arena; /* inner arrays */
	_Alignas(16) char items[];
};

static struct list *list_new(struct json_object *json, size_t n, size_t size)
{
	struct list *l = calloc(1, sizeof(*l) + (n ? n : 1) * size);

	if (l)
		l->json = json;
	return l;
}

static void list_free(void *items)
{
	struct list *l =
		items ? (struct list *)((char *)items - offsetof(struct list, items)) : NULL;

	if (!l)
		return;
	json_object_put(l->json);
	arena_done(&l->arena);
	free(l);
}

static const char *text(struct json_object *o, const char *key)
{
	const char *s = json_str(o, key);

	return s ? s : "";
}

/* An inner array of `size` each; *ret_n is 0 if there is no memory. */
static void *inner(struct list *l, struct json_object *o, const char *key, size_t size,
	struct json_object **ret_json, size_t *ret_n)
{
	void *p;

	*ret_json = json_get(o, key, json_type_array);
	*ret_n = *ret_json ? json_object_array_length(*ret_json) : 0;
	p = *ret_n ? arena_alloc(&l->arena, *ret_n * size) : NULL;
	if (!p)
		*ret_n = 0;
	return p;
}

/* ---- sessions ---- */

static void read_stats(struct json_object *o, struct cairn_stats *ret)
{
	struct json_object *st = json_get(o, "stats", json_type_object);
	struct json_object *lost = json_get(st, "lost", json_type_object);

	*ret = (struct cairn_stats){
		.events = json_u64(st, "events"),
		.bytes = json_u64(st, "bytes"),
		.packets = json_u64(st, "packets"),
		.pending_bytes = json_u64(st, "pending_bytes"),
		.conflicts = json_u64(st, "conflicts"),
		.run_ns = json_u64(st, "run_ns"),
		.write_error = (int)json_int(st, "write_error", 0),
		.kernel_events = json_u64(st, "kernel_events"),
		.kernel_bytes = json_u64(st, "kernel_bytes"),
		.kernel_lost = json_u64(st, "kernel_lost"),
		.kernel_gap_ns = json_u64(st, "kernel_gap_ns"),
	};
	for (unsigned i = 0; i < CAIRN_LOST_MAX; i++) {
		const char *name = cairn_lost_reason(i);

		ret->lost[i] = name ? json_u64(lost, name) : 0;
		ret->lost_total += ret->lost[i];
	}
}

static void read_channel(struct json_object *o, struct cairn_channel_info *ret)
{
	*ret = (struct cairn_channel_info){
		.name = text(o, "name"),
		.mode = (enum cairn_channel_mode)json_int(o, "mode", 0),
		.ring_bytes = json_u64(o, "ring_bytes"),
		.block_ns = json_u64(o, "block_ns"),
		.contexts = text(o, "contexts"),
		.rings = (uint32_t)json_u64(o, "rings"),
		.ring_memory_bytes = json_u64(o, "ring_memory_bytes"),
	};
	read_stats(o, &ret->stats);
}

static void read_rule(struct list *l, struct json_object *o, struct cairn_rule_info *ret)
{
	struct json_object *json;
	const char **excludes;

	*ret = (struct cairn_rule_info){
		.pattern = text(o, "pattern"),
		.loglevel = (int)json_int(o, "loglevel", CAIRN_LOGLEVEL_ANY),
		.loglevel_only = (int)json_int(o, "loglevel_only", 0),
		.channel = text(o, "channel"),
	};
	excludes = inner(l, o, "excludes", sizeof(*excludes), &json, &ret->nexcludes);
	for (size_t i = 0; i < ret->nexcludes; i++)
		excludes[i] = json_object_get_string(json_object_array_get_idx(json, i));
	ret->excludes = excludes;
}

static void read_kernel_rule(
	struct list *l, struct json_object *o, struct cairn_kernel_rule_info *ret)
{
	struct json_object *json;
	const char **excludes;

	*ret = (struct cairn_kernel_rule_info){
		.pattern = text(o, "pattern"), .filter = json_str(o, "filter")};
	excludes = inner(l, o, "excludes", sizeof(*excludes), &json, &ret->nexcludes);
	for (size_t i = 0; i < ret->nexcludes; i++)
		excludes[i] = json_object_get_string(json_object_array_get_idx(json, i));
	ret->excludes = excludes;
}

static const struct cairn_kernel_info *read_kernel(struct list *l, struct json_object *o)
{
	struct cairn_kernel_info *k = o ? arena_alloc(&l->arena, sizeof(*k)) : NULL;
	struct cairn_kernel_rule_info *rules;
	struct cairn_kernel_probe *probes;
	struct json_object *json;

	if (!k)
		return NULL;
	*k = (struct cairn_kernel_info){.buffer_bytes = json_u64(o, "buffer_bytes"),
		.flight_recorder = (int)json_int(o, "flight_recorder", 0),
		.instance = text(o, "instance")};
	rules = inner(l, o, "rules", sizeof(*rules), &json, &k->nrules);
	for (size_t i = 0; i < k->nrules; i++)
		read_kernel_rule(l, json_object_array_get_idx(json, i), &rules[i]);
	k->rules = rules;
	probes = inner(l, o, "probes", sizeof(*probes), &json, &k->nprobes);
	for (size_t i = 0; i < k->nprobes; i++) {
		struct json_object *p = json_object_array_get_idx(json, i);

		probes[i] = (struct cairn_kernel_probe){
			text(p, "kind"), text(p, "text"), json_str(p, "with")};
	}
	k->probes = probes;
	return k;
}

static void read_session(struct list *l, struct json_object *o, struct cairn_session_info *ret)
{
	struct json_object *json;
	struct cairn_channel_info *channels;
	struct cairn_rule_info *rules;

	*ret = (struct cairn_session_info){
		.name = text(o, "name"),
		.uid = (uid_t)json_u64(o, "uid"),
		.state = (enum cairn_session_state)json_int(o, "state", 0),
		.recovered = (int)json_int(o, "recovered", 0),
		.output = text(o, "output"),
		.processes = (uint32_t)json_u64(o, "processes"),
	};
	read_stats(o, &ret->stats);
	channels = inner(l, o, "channels", sizeof(*channels), &json, &ret->nchannels);
	for (size_t i = 0; i < ret->nchannels; i++)
		read_channel(json_object_array_get_idx(json, i), &channels[i]);
	ret->channels = channels;
	rules = inner(l, o, "rules", sizeof(*rules), &json, &ret->nrules);
	for (size_t i = 0; i < ret->nrules; i++)
		read_rule(l, json_object_array_get_idx(json, i), &rules[i]);
	ret->rules = rules;
	ret->kernel = read_kernel(l, json_get(o, "kernel", json_type_object));
}

int cairn_session_list(struct cairn_control *ctl, const char *name,
	struct cairn_session_info **ret_list, size_t *ret_n, struct cairn_error *err)
{
	struct json_object *reply = NULL, *json;
	struct cairn_session_info *items;
	struct list *l;
	size_t n;
	int r = control_call(
		ctl, control_request_new("sessions", name), &reply, (struct error *)err);

	if (r < 0) {
		json_object_put(reply);
		return r;
	}
	json = json_get(reply, "sessions", json_type_array);
	n = json ? json_object_array_length(json) : 0;
	l = list_new(reply, n, sizeof(*items));
	if (!l) {
		json_object_put(reply);
		return error_set((struct error *)err, -ENOMEM, "no memory for a list");
	}
	items = (void *)l->items;
	for (size_t i = 0; i < n; i++)
		read_session(l, json_object_array_get_idx(json, i), &items[i]);
	*ret_list = items;
	*ret_n = n;
	return 0;
}

void cairn_session_list_free(struct cairn_session_info *list)
{
	list_free(list);
}

/* ---- programs ---- */

static void read_event(struct list *l, struct json_object *o, struct cairn_event_info *ret)
{
	struct json_object *json;
	struct cairn_field_info *fields;

	*ret = (struct cairn_event_info){
		.provider = text(o, "provider"),
		.event = text(o, "event"),
		.file = text(o, "file"),
		.function = text(o, "function"),
		.line = (uint32_t)json_u64(o, "line"),
		.loglevel = (int)json_int(o, "loglevel", 0),
		.nsites = (uint32_t)json_u64(o, "nsites"),
		.enabled = (int)json_int(o, "enabled", 0),
	};
	fields = inner(l, o, "fields", sizeof(*fields), &json, &ret->nfields);
	for (size_t i = 0; i < ret->nfields; i++) {
		struct json_object *f = json_object_array_get_idx(json, i);

		fields[i] = (struct cairn_field_info){text(f, "name"), text(f, "type")};
	}
	ret->fields = fields;
}

static void read_process(struct list *l, struct json_object *o, struct cairn_process_info *ret)
{
	struct json_object *json;
	struct cairn_event_info *events;
	size_t n;

	*ret = (struct cairn_process_info){
		.pid = (pid_t)json_int(o, "pid", 0),
		.own_pid = (pid_t)json_int(o, "own_pid", 0),
		.uid = (uid_t)json_u64(o, "uid"),
		.flags = (unsigned)json_u64(o, "flags"),
		.comm = text(o, "comm"),
		.exe = text(o, "exe"),
		.nevents = json_u64(o, "nevents"),
	};
	events = inner(l, o, "events", sizeof(*events), &json, &n);
	for (size_t i = 0; i < n; i++)
		read_event(l, json_object_array_get_idx(json, i), &events[i]);
	ret->events = events;
	ret->nevents = events ? n : ret->nevents;
}

int cairn_process_list(struct cairn_control *ctl, pid_t pid, unsigned flags,
	struct cairn_process_info **ret_list, size_t *ret_n, struct cairn_error *err)
{
	struct json_object *reply = NULL, *json, *req = control_request_new("processes", NULL);
	struct cairn_process_info *items;
	struct list *l;
	size_t n;
	int r;

	json_object_object_add(req, "pid", json_object_new_int(pid));
	json_object_object_add(
		req, "events", json_object_new_int((flags & CAIRN_LIST_EVENTS) != 0));
	r = control_call(ctl, req, &reply, (struct error *)err);
	if (r < 0) {
		json_object_put(reply);
		return r;
	}
	json = json_get(reply, "processes", json_type_array);
	n = json ? json_object_array_length(json) : 0;
	l = list_new(reply, n, sizeof(*items));
	if (!l) {
		json_object_put(reply);
		return error_set((struct error *)err, -ENOMEM, "no memory for a list");
	}
	items = (void *)l->items;
	for (size_t i = 0; i < n; i++)
		read_process(l, json_object_array_get_idx(json, i), &items[i]);
	*ret_list = items;
	*ret_n = n;
	return 0;
}

void cairn_process_list_free(struct cairn_process_info *list)
{
	list_free(list);
}

int cairn_host_info(
	struct cairn_control *ctl, struct cairn_host_info *ret_info, struct cairn_error *err)
{
	struct json_object *reply = NULL, *o;
	int r = control_call(ctl, control_request_new("host", NULL), &reply, (struct error *)err);

	if (r == 0) {
		o = json_get(reply, "host", json_type_object);
		*ret_info = (struct cairn_host_info){
			.pid = (pid_t)json_int(o, "pid", 0),
			.uid = (uid_t)json_u64(o, "uid"),
			.sessions = (uint32_t)json_u64(o, "sessions"),
			.processes = (uint32_t)json_u64(o, "processes"),
			.ring_memory_bytes = json_u64(o, "ring_memory_bytes"),
			.joined = json_u64(o, "joined"),
			.described = json_u64(o, "described"),
			.refused = json_u64(o, "refused"),
		};
		(void)snprintf(ret_info->name, sizeof(ret_info->name), "%s", text(o, "name"));
		(void)snprintf(ret_info->socket, sizeof(ret_info->socket), "%s", text(o, "socket"));
	}
	json_object_put(reply);
	return r;
}
