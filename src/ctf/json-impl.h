/* Between the files that read the metadata of CTF 2: json-meta.c takes fragments, json-types.c field
 * classes. */
#ifndef CAIRN_CTF_JSON_IMPL_H
#define CAIRN_CTF_JSON_IMPL_H

#include "ctf/ctf-read.h"

#include <json-c/json.h>

struct json_parse {
	struct ctfr_meta *m;
	struct error *err;
	int failed;
	bool in_event_header;
};

typedef struct json_object json;

/* Says what is wrong, unless that was done; gives NULL. */
void *jm_bad(struct json_parse *p, const char *what, const char *which);
void *jm_alloc(struct json_parse *p, size_t n); /* of the metadata's arena; NULL: p->failed */
const char *jm_keep(struct json_parse *p, const char *s); /* a copy, or "" */
json *jm_get(json *o, const char *key); /* NULL if it is not there */
const char *jm_text(json *o, const char *key);
uint64_t jm_u64(struct json_parse *p, json *o, const char *key, uint64_t otherwise);
size_t jm_length(json *a); /* 0 if it is no array */
/* A field class; NULL: p->failed. */
struct ctfr_type *jm_field_class(struct json_parse *p, json *o, int depth);

#endif
