/* Dynamic events that declare fields instead of fetching: synthetic events and user events.
 *
 *	s:[synthetic/]NAME [unsigned] TYPE FIELD[ARRAY] [;] ...
 *	u:NAME [__data_loc|__rel_loc] [unsigned] TYPE FIELD [;] ...     struct TYPE FIELD SIZE
 */
#include "kernel/dynevent-impl.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SYNTH_FIELDS_MAX = 64, SYNTH_STRING_MAX = 256 };

/* ---- pieces between ';' ---- */

struct piece {
	struct span words[8];
	size_t n; /* may exceed what words holds */
	size_t end; /* where it ends in the text */
};

/* The words from `at` up to the next ';' or the end. */
static void take_piece(const struct parse *p, size_t at, struct piece *ret)
{
	ret->n = 0;
	while (at < p->len && p->text[at] != ';') {
		size_t from = at;

		if (isspace((unsigned char)p->text[at])) {
			at++;
			continue;
		}
		while (at < p->len && p->text[at] != ';' && !isspace((unsigned char)p->text[at]))
			at++;
		if (ret->n < ARRAY_SIZE(ret->words))
			ret->words[ret->n] = (struct span){from, at - from};
		ret->n++;
	}
	ret->end = at;
}

static int add_field(struct parse *p, struct span name, struct span type, const char *word,
	bool text, bool is_signed)
{
	struct dynevent_field *f;

	for (size_t i = 0; i < p->d->len; i++) {
		if (span_is(p, name, p->d->fields[i].name))
			return refuse(p, name.at, name.len, "there is already a field '%s'",
				p->d->fields[i].name);
	}
	f = VEC_ADD(p->d->fields, p->d->len, p->d->cap);
	if (!f)
		return no_memory(p);
	f->name = span_dup(p, name);
	f->type = word;
	f->text = span_dup(p, (struct span){type.at, name.at + name.len - type.at});
	f->is_string = text;
	f->is_signed = is_signed;
	return f->name && f->type && f->text ? 0 : no_memory(p);
}

/* The text's words with one space between, from the place on. */
static int write_rest(struct parse *p, const char *head, size_t at)
{
	AUTO(buf) struct buf b = {0};
	bool space = true;

	buf_str(&b, head);
	for (; at < p->len; at++) {
		bool now = isspace((unsigned char)p->text[at]);

		if (!now)
			buf_printf(&b, "%s%c", space ? " " : "", p->text[at]);
		space = now;
	}
	if (b.err)
		return no_memory(p);
	if (b.len > LINE_MAX_LEN)
		return refuse(p, 0, p->len, "this is too long: a line has %d bytes at most",
			LINE_MAX_LEN);
	p->d->definition = text_printf(p, "%s", b.data);
	return p->d->definition ? 0 : no_memory(p);
}

static int event_name(struct parse *p, struct span s, const char *group)
{
	if (s.len == 0)
		return refuse(p, s.at, 0, "the name of the event is missing");
	if (s.len > EVENT_NAME_MAX)
		return refuse(
			p, s.at, s.len, "an event's name has %d letters at most", EVENT_NAME_MAX);
	if (!is_identifier(p->text + s.at, s.len, false))
		return refuse(p, s.at, s.len, "an event's name is made of letters, digits and _");
	p->d->group = p->d->shown_group = group;
	p->d->event = span_dup(p, s);
	p->d->place = p->d->event;
	if (!p->d->event)
		return no_memory(p);
	if (world_event_exists(p->w, group, p->d->event))
		return refuse_err(p, -EEXIST, s.at, s.len, "there is already an event %s:%s", group,
			p->d->event);
	return 0;
}

/* ---- synthetic events ---- */

static const char *const synth_types[] = {"s64", "u64", "s32", "u32", "s16", "u16", "s8", "u8",
	"char", "unsigned char", "int", "unsigned int", "long", "unsigned long", "bool", "pid_t",
	"gfp_t"};

static int unknown_type(
	struct parse *p, struct span s, const char *type, const char *const *names, size_t n)
{
	struct near near;

	(void)refuse(p, s.at, s.len, "there is no type '%.60s' for fields of such events", type);
	near_init(&near, type, strlen(type));
	for (size_t i = 0; i < n; i++)
		near_look(&near, names[i]);
	if (near.best[0])
		hint(p, "did you mean '%s'?", near.best);
	return -EINVAL;
}

/* "char name[16]", "char name[]", "unsigned long stack[]": s begins at '['. */
static int check_array(struct parse *p, struct span s, const char *type)
{
	const char *t = p->text + s.at, *close = memchr(t, ']', s.len);
	AUTO(free) char *digits = close ? strndup(t + 1, (size_t)(close - t) - 1) : NULL;
	uint64_t n;

	if (!close)
		return refuse(p, s.at + s.len, 0, "']' is missing");
	if (close + 1 != t + s.len)
		return refuse(p, (size_t)(close + 1 - p->text), 1, "nothing can follow the ']'");
	if (!digits)
		return no_memory(p);
	if (strcmp(type, "long") == 0 || strcmp(type, "unsigned long") == 0)
		return 0;
	if (strcmp(type, "char") != 0 && strcmp(type, "unsigned char") != 0)
		return refuse(
			p, s.at, s.len, "only text (char) and stacks (unsigned long) are arrays");
	if (digits[0] && (strlen(digits) > 3 || kernel_ulong(digits, &n) || n > SYNTH_STRING_MAX))
		return refuse(
			p, s.at + 1, s.len - 2, "text has %d bytes at most", SYNTH_STRING_MAX);
	return 0;
}

/* One field from the words of a piece; *used: how many. */
static int synth_field(struct parse *p, const struct piece *piece, size_t at, size_t *used)
{
	bool is_unsigned = span_is(p, piece->words[at], "unsigned");
	struct span type = piece->words[at + (is_unsigned ? 1 : 0)], name, all;
	const char *bracket;
	char *word;
	bool known = false;
	int r;

	*used = 2 + (is_unsigned ? 1 : 0);
	if (at + *used > piece->n)
		return refuse(p, piece->words[piece->n - 1].at + piece->words[piece->n - 1].len, 0,
			"the name of a field is missing");
	name = piece->words[at + *used - 1];
	all = (struct span){piece->words[at].at, type.at + type.len - piece->words[at].at};
	bracket = memchr(p->text + name.at, '[', name.len);
	word = text_printf(
		p, "%s%.*s", is_unsigned ? "unsigned " : "", (int)type.len, p->text + type.at);
	if (!word)
		return no_memory(p);
	for (size_t i = 0; i < ARRAY_SIZE(synth_types); i++)
		known |= strcmp(synth_types[i], word) == 0;
	if (!known)
		return unknown_type(p, all, word, synth_types, ARRAY_SIZE(synth_types));
	if (bracket) {
		struct span array = {(size_t)(bracket - p->text),
			name.at + name.len - (size_t)(bracket - p->text)};

		r = check_array(p, array, word);
		if (r)
			return r;
		name.len -= array.len;
		word = text_printf(p, "%s%.*s", word, (int)array.len, p->text + array.at);
	}
	if (!is_identifier(p->text + name.at, name.len, false))
		return refuse(
			p, name.at, name.len, "a field's name is made of letters, digits and _");
	if (p->d->len == SYNTH_FIELDS_MAX)
		return refuse(
			p, name.at, name.len, "an event has %d fields at most", SYNTH_FIELDS_MAX);
	return add_field(p, name, all, word, bracket && strstr(word, "char["),
		word && (word[0] == 's' || word[0] == 'i' || word[0] == 'l' || word[0] == 'p'));
}

int parse_synthetic(struct parse *p)
{
	struct span s = {p->words[0].at + 2, p->words[0].len - MIN(p->words[0].len, (size_t)2)};
	const char *slash = memchr(p->text + s.at, '/', s.len);
	size_t at = p->words[0].at + p->words[0].len;
	int r = 0;

	if (s.len == 0)
		return refuse(p, at, 0, "s:NAME and fields: the name is missing");
	if (slash) {
		size_t n = (size_t)(slash - p->text) + 1 - s.at;

		if (!span_is(p, (struct span){s.at, n}, "synthetic/"))
			return refuse(p, s.at, n, "synthetic events are in the group 'synthetic'");
		s.at += n;
		s.len -= n;
	}
	r = event_name(p, s, "synthetic");
	for (bool first = true; !r && at < p->len; first = false) {
		struct piece piece;
		size_t used;

		take_piece(p, at, &piece);
		if (piece.n > ARRAY_SIZE(piece.words))
			return refuse(p, piece.words[7].at, piece.words[7].len,
				"';' is missing between fields");
		if (first && piece.n < 2)
			return refuse(p, piece.end, 0, "a field is TYPE NAME");
		for (size_t i = 0; !r && i < piece.n; i += used)
			r = synth_field(p, &piece, i, &used);
		at = piece.end + 1;
	}
	if (!r && p->d->len == 0)
		return refuse(p, p->len, 0, "the fields are missing: TYPE NAME; ...");
	return r ? r
		 : write_rest(p, text_printf(p, "s:synthetic/%s", p->d->event),
			   p->words[0].at + p->words[0].len);
}

/* ---- user events ---- */

static const char *const user_types[] = {"s64", "u64", "s32", "u32", "int", "unsigned int", "s16",
	"u16", "short", "unsigned short", "s8", "u8", "char", "unsigned char"};

static int check_user_type(struct parse *p, struct span s, const char *type)
{
	const char *rest = type, *bracket = strchr(type, '[');
	uint64_t n;

	if (strncmp(rest, "__data_loc ", 11) == 0 || strncmp(rest, "__rel_loc ", 10) == 0)
		return 0;
	if (bracket) {
		AUTO(free) char *digits = strdup(bracket + 1);
		char *close = digits ? strchr(digits, ']') : NULL;
		size_t base = (size_t)(bracket - type);

		if ((base != 4 || memcmp(type, "char", 4) != 0) &&
			(base != 13 || memcmp(type, "unsigned char", 13) != 0))
			return refuse(
				p, s.at, s.len, "only char and unsigned char are arrays: char[16]");
		if (!close || close[1] || (*close = '\0', kernel_ulong(digits, &n)) || n == 0 ||
			n > 1024)
			return refuse(p, s.at, s.len, "how many? char[16]");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(user_types); i++) {
		if (strcmp(user_types[i], type) == 0)
			return 0;
	}
	return unknown_type(p, s, type, user_types, ARRAY_SIZE(user_types));
}

static int user_field(struct parse *p, const struct piece *piece)
{
	AUTO(buf) struct buf type = {0};
	bool is_struct = span_is(p, piece->words[0], "struct");
	size_t i = 0;
	struct span name, all;
	int r;

	if (span_is(p, piece->words[0], "__data_loc") || span_is(p, piece->words[0], "__rel_loc"))
		i++;
	if (i < piece->n && span_is(p, piece->words[i], "unsigned"))
		i++;
	i += is_struct;
	if (i + 1 >= piece->n)
		return refuse(p, piece->end, 0, "a field is TYPE NAME");
	name = piece->words[i + 1];
	all = (struct span){
		piece->words[0].at, piece->words[i].at + piece->words[i].len - piece->words[0].at};
	if (piece->n != i + 2 + (is_struct ? 1 : 0))
		return is_struct && piece->n == i + 2
			? refuse(p, piece->end, 0,
				  "how large is the structure? struct TYPE NAME SIZE")
			: refuse(p, piece->words[i + 2].at, piece->words[i + 2].len,
				  "';' is missing between fields");
	for (size_t j = 0; j <= i; j++)
		buf_printf(&type, "%s%.*s", j ? " " : "", (int)piece->words[j].len,
			p->text + piece->words[j].at);
	if (!is_identifier(p->text + name.at, name.len, false))
		return refuse(
			p, name.at, name.len, "a field's name is made of letters, digits and _");
	if (is_struct) {
		struct span size = piece->words[i + 2];
		AUTO(free) char *digits = strndup(p->text + size.at, size.len);
		uint64_t n;

		if (!digits || parse_u64(digits, &n) || n == 0 || n > 1024)
			return refuse(p, size.at, size.len, "the size is a number from 1");
	} else {
		r = check_user_type(p, all, type.data ? type.data : "");
		if (r)
			return r;
	}
	return add_field(p, name, all, text_printf(p, "%s", type.data ? type.data : ""),
		type.data && strstr(type.data, "char["), type.data && type.data[0] != 'u');
}

int parse_user_event(struct parse *p)
{
	struct span s = {p->words[0].at + 2, p->words[0].len - MIN(p->words[0].len, (size_t)2)};
	size_t at = p->words[0].at + p->words[0].len;
	const char *colon = memchr(p->text + s.at, ':', s.len);
	int r;

	if (colon)
		return refuse(p, (size_t)(colon - p->text),
			s.at + s.len - (size_t)(colon - p->text),
			"flags can be given by programs only");
	r = event_name(p, s, "user_events");
	while (!r && at < p->len) {
		struct piece piece;

		take_piece(p, at, &piece);
		if (piece.n > ARRAY_SIZE(piece.words))
			return refuse(p, piece.words[7].at, piece.words[7].len,
				"';' is missing between fields");
		if (piece.n)
			r = user_field(p, &piece);
		at = piece.end + 1;
	}
	return r ? r
		 : write_rest(p, text_printf(p, "u:%s", p->d->event),
			   p->words[0].at + p->words[0].len);
}
