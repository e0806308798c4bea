/* Accessors over json-c, and the configurations that go both ways (see json.h, control.c). */
#include "session/json.h"
#include "base/base.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct json_object *json_get(struct json_object *o, const char *key, enum json_type type)
{
	struct json_object *v;

	if (!o || !json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, type))
		return NULL;
	return v;
}

const char *json_str(struct json_object *o, const char *key)
{
	struct json_object *v = json_get(o, key, json_type_string);

	return v ? json_object_get_string(v) : NULL;
}

int64_t json_int(struct json_object *o, const char *key, int64_t otherwise)
{
	struct json_object *v = json_get(o, key, json_type_int);

	return v ? json_object_get_int64(v) : otherwise;
}

uint64_t json_u64(struct json_object *o, const char *key)
{
	struct json_object *v = json_get(o, key, json_type_int);

	return v ? json_object_get_uint64(v) : 0;
}

void json_add_str(struct json_object *o, const char *key, const char *s)
{
	if (s)
		json_object_object_add(o, key, json_object_new_string(s));
}

void json_add_u64(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_uint64(v));
}

struct json_object *json_from_channel(const struct cairn_channel_config *cfg)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "name", cfg->name);
	json_add_u64(o, "mode", (uint64_t)cfg->mode);
	json_add_u64(o, "ring_bytes", cfg->ring_bytes);
	json_add_u64(o, "block_ns", cfg->block_ns);
	json_add_str(o, "contexts", cfg->contexts);
	return o;
}

void json_channel(struct json_object *o, struct cairn_channel_config *ret)
{
	*ret = (struct cairn_channel_config){
		.name = json_str(o, "name"),
		.mode = (enum cairn_channel_mode)json_int(o, "mode", 0),
		.ring_bytes = json_u64(o, "ring_bytes"),
		.block_ns = json_u64(o, "block_ns"),
		.contexts = json_str(o, "contexts"),
	};
}

struct json_object *json_from_rule(const struct cairn_rule *rule)
{
	struct json_object *o = json_object_new_object(), *x = json_object_new_array();

	json_add_str(o, "pattern", rule->pattern);
	for (size_t i = 0; i < rule->nexcludes; i++)
		json_object_array_add(x, json_object_new_string(rule->excludes[i]));
	json_object_object_add(o, "excludes", x);
	json_object_object_add(o, "loglevel", json_object_new_int(rule->loglevel));
	json_object_object_add(o, "loglevel_only", json_object_new_int(rule->loglevel_only));
	json_add_str(o, "channel", rule->channel);
	return o;
}

int json_rule(struct json_object *o, struct cairn_rule *ret)
{
	struct json_object *x = json_get(o, "excludes", json_type_array);
	size_t n = x ? json_object_array_length(x) : 0;
	const char **excludes = n ? calloc(n, sizeof(*excludes)) : NULL;

	*ret = (struct cairn_rule){
		.pattern = json_str(o, "pattern"),
		.loglevel = (int)json_int(o, "loglevel", CAIRN_LOGLEVEL_ANY),
		.loglevel_only = (int)json_int(o, "loglevel_only", 0),
		.channel = json_str(o, "channel"),
	};
	if (n && !excludes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *s = json_object_get_string(json_object_array_get_idx(x, i));

		if (s)
			excludes[ret->nexcludes++] = s;
	}
	ret->excludes = excludes;
	return 0;
}
