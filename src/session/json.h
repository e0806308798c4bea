/* JSON of the control protocol: small accessors over json-c, and the lists of list.c.
 *
 * Missing or wrongly typed members read as their default; strings are borrowed from the object.
 */
#ifndef CAIRN_SESSION_JSON_H
#define CAIRN_SESSION_JSON_H

#include <cairn/session.h>
#include <json-c/json.h>
#include <stdbool.h>

struct json_object *json_get(struct json_object *o, const char *key, enum json_type type);
const char *json_str(struct json_object *o, const char *key); /* NULL: none */
int64_t json_int(struct json_object *o, const char *key, int64_t otherwise);
uint64_t json_u64(struct json_object *o, const char *key);
void json_add_str(struct json_object *o, const char *key, const char *s); /* NULL: nothing */
void json_add_u64(struct json_object *o, const char *key, uint64_t v);

struct json_object *json_from_channel(const struct cairn_channel_config *cfg);
void json_channel(struct json_object *o, struct cairn_channel_config *ret); /* borrows strings */
struct json_object *json_from_rule(const struct cairn_rule *rule);
/* Strings are borrowed, the array `excludes` is the caller's to free. */
int json_rule(struct json_object *o, struct cairn_rule *ret);

/* list.c, host's side */
struct json_object *list_sessions(struct cairn_host *h, uid_t uid, const char *name);
struct json_object *list_processes(struct cairn_host *h, uid_t uid, pid_t pid, bool events);
struct json_object *list_host(struct cairn_host *h);

#endif
