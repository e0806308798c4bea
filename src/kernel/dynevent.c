/* Dynamic events: the whole of a text, its head, and what is made of it. See dynevent.h. */
#include "kernel/dynevent-impl.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct kind {
	const char *name;
	const char *letters; /* with which the kernel's writing may begin */
	const char *group; /* where the kernel puts it */
	const char *form; /* by names, for hints */
	enum world_feature feature;
	const char *option; /* the configuration that brings it */
} kinds[DYNEVENT_KINDS] = {
	[DYNEVENT_ANY] = {"probe", "prftesu", "", "", WORLD_KPROBES, ""},
	[DYNEVENT_KPROBE] = {"kprobe", "p", "kprobes", "[NAME=]FUNCTION[+OFFSET] [ARG...]",
		WORLD_KPROBES, "CONFIG_KPROBE_EVENTS"},
	[DYNEVENT_KRETPROBE] = {"kretprobe", "rp", "kprobes", "[NAME=]FUNCTION [ARG...]",
		WORLD_KPROBES, "CONFIG_KPROBE_EVENTS"},
	[DYNEVENT_UPROBE] = {"uprobe", "pr", "uprobes", "[NAME=]PATH:FUNCTION[+OFFSET] [ARG...]",
		WORLD_UPROBES, "CONFIG_UPROBE_EVENTS"},
	[DYNEVENT_EPROBE] = {"eprobe", "e", "eprobes", "[NAME=]SYSTEM/EVENT [FIELD...] [if FILTER]",
		WORLD_EPROBES, "CONFIG_EPROBE_EVENTS (older kernels: CONFIG_PROBE_EVENTS)"},
	[DYNEVENT_FPROBE] = {"fprobe", "f", "fprobes", "[NAME=]FUNCTION[%return] [ARG...]",
		WORLD_FPROBES, "CONFIG_FPROBE_EVENTS"},
	[DYNEVENT_TPROBE] = {"tprobe", "t", "tracepoints", "[NAME=]TRACEPOINT [ARG...]",
		WORLD_TPROBES, "CONFIG_FPROBE_EVENTS"},
	[DYNEVENT_SYNTH] = {"synthetic event", "s", "synthetic", "", WORLD_SYNTH,
		"CONFIG_SYNTH_EVENTS"},
	[DYNEVENT_USER] = {"user event", "u", "user_events", "", WORLD_USER_EVENTS,
		"CONFIG_USER_EVENTS"},
};

const char *dynevent_kind_name(enum dynevent_kind kind)
{
	return kinds[kind].name;
}

/* ---- what the other files use ---- */

static int refuse_v(struct parse *p, int err, size_t at, size_t len, const char *fmt, va_list ap)
{
	p->fault->at = MIN(at, p->len);
	p->fault->len = MIN(len, p->len - p->fault->at);
	(void)error_set(&p->fault->error, err, " ");
	/* A cut text is fine. */
	(void)vsnprintf(p->fault->error.message, sizeof(p->fault->error.message), fmt, ap);
	return err;
}

int refuse(struct parse *p, size_t at, size_t len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)refuse_v(p, -EINVAL, at, len, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

int refuse_err(struct parse *p, int err, size_t at, size_t len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)refuse_v(p, err, at, len, fmt, ap);
	va_end(ap);
	return err;
}

void hint(struct parse *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	/* A cut text is fine. */
	(void)vsnprintf(p->fault->error.hint, sizeof(p->fault->error.hint), fmt, ap);
	va_end(ap);
}

int no_memory(struct parse *p)
{
	return refuse_err(p, -ENOMEM, 0, 0, "out of memory");
}

char *span_dup(struct parse *p, struct span s)
{
	return arena_strndup(&p->d->arena, p->text + s.at, s.len);
}

char *text_printf(struct parse *p, const char *fmt, ...)
{
	AUTO(buf) struct buf b = {0};
	char line[LINE_MAX_LEN + 2];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap); /* what is too long is refused later */
	va_end(ap);
	return arena_strndup(&p->d->arena, line, strlen(line));
}

bool span_is(const struct parse *p, struct span s, const char *word)
{
	return strlen(word) == s.len && memcmp(p->text + s.at, word, s.len) == 0;
}

/* The digits of a number, in the kernel's way of finding the base. */
static int digits(const char *s, uint64_t *ret)
{
	unsigned base = 10;
	uint64_t v = 0;

	if (s[0] == '0') {
		base = 8;
		if (tolower((unsigned char)s[1]) == 'x' && isxdigit((unsigned char)s[2])) {
			base = 16;
			s += 2;
		}
	}
	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		unsigned c = (unsigned)tolower((unsigned char)*s), d;

		d = isdigit((int)c) ? c - '0' : isxdigit((int)c) ? c - 'a' + 10 : 99;
		if (d >= base || v > (UINT64_MAX - d) / base)
			return -EINVAL;
		v = v * base + d;
	}
	*ret = v;
	return 0;
}

int kernel_ulong(const char *s, uint64_t *ret)
{
	return digits(*s == '+' ? s + 1 : s, ret);
}

int kernel_long(const char *s, int64_t *ret)
{
	uint64_t v;
	int r = *s == '-' ? digits(s + 1, &v) : kernel_ulong(s, &v);

	if (r)
		return r;
	if (v > (uint64_t)INT64_MAX + (*s == '-'))
		return -EINVAL;
	*ret = *s == '-' ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

bool is_identifier(const char *s, size_t n, bool dash_too)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (!(isascii(c) && isalpha(c)) && c != '_' && !(i && isascii(c) && isdigit(c)) &&
			!(dash_too && c == '-'))
			return false;
	}
	return n > 0;
}

/* ---- words ---- */

static int split(struct parse *p)
{
	size_t at = 0;

	for (size_t i = 0; i < p->len; i++) {
		unsigned char c = (unsigned char)p->text[i];

		if (c == '\n')
			return refuse(p, i, 1, "one probe is one line");
		if (c == '#') { /* a comment, for the kernel as well */
			p->len = i;
			break;
		}
		if (c < ' ' && !isspace(c))
			return refuse(p, i, 1, "a control character (%#x)", c);
	}
	while (at < p->len) {
		struct span *s;

		if (isspace((unsigned char)p->text[at])) {
			at++;
			continue;
		}
		s = VEC_ADD(p->words, p->nwords, p->words_cap);
		if (!s)
			return no_memory(p);
		s->at = at;
		while (at < p->len && !isspace((unsigned char)p->text[at]))
			at++;
		s->len = at - s->at;
	}
	return 0;
}

/* ---- the head: "r5:GROUP/EVENT" ---- */

/* Does the first word begin the kernel's writing? */
static bool is_head(const struct parse *p)
{
	struct span s = p->words[0];
	const char *t = p->text + s.at;
	size_t i = 1;

	if (!strchr("prftesuw", t[0]))
		return false;
	while (i < s.len && isdigit((unsigned char)t[1]) &&
		(isxdigit((unsigned char)t[i]) || t[i] == 'x'))
		i++;
	return i == s.len || t[i] == ':';
}

static int parse_name(struct parse *p, size_t at, size_t len)
{
	const char *t = p->text + at;
	const char *sep = memchr(t, '/', len);
	size_t group;

	if (!sep)
		sep = memchr(t, '.', len);
	if (sep) {
		group = (size_t)(sep - t);
		if (group == 0)
			return refuse(p, at, 1, "the name of the group is missing");
		if (group > EVENT_NAME_MAX)
			return refuse(p, at, group, "a group's name has %d letters at most",
				EVENT_NAME_MAX);
		if (!is_identifier(t, group, true))
			return refuse(
				p, at, group, "a group's name is made of letters, digits and _");
		p->group_asked = span_dup(p, (struct span){at, group});
		at += group + 1;
		len -= group + 1;
		if (len == 0)
			return 0;
	}
	if (len == 0)
		return refuse(p, at, 0, "the name of the event is missing");
	if (len > EVENT_NAME_MAX)
		return refuse(p, at, len, "an event's name has %d letters at most", EVENT_NAME_MAX);
	if (!is_identifier(p->text + at, len, false))
		return refuse(p, at, len, "an event's name is made of letters, digits and _");
	p->event_asked = span_dup(p, (struct span){at, len});
	return 0;
}

static int parse_maxactive(struct parse *p, size_t at, size_t len)
{
	AUTO(free) char *s = strndup(p->text + at, len);
	uint64_t n;

	if (!s)
		return no_memory(p);
	if (p->text[p->words[0].at] != 'r' && p->text[p->words[0].at] != 'f')
		return refuse(p, at, len,
			"how many may be active at once is only asked of return probes");
	if (kernel_ulong(s, &n) || n == 0)
		return refuse(p, at, len, "a number from 1 is needed here");
	if (n > MAXACTIVE_MAX)
		return refuse(p, at, len, "%d may be active at once, at most", MAXACTIVE_MAX);
	p->maxactive = (unsigned)n;
	return 0;
}

static enum dynevent_kind kind_of_letter(const struct parse *p, char letter)
{
	struct span place = p->nwords > 1 ? p->words[1] : (struct span){0, 0};
	bool path = memchr(p->text + place.at, '/', place.len) != NULL;

	switch (letter) {
	case 'p': return path ? DYNEVENT_UPROBE : DYNEVENT_KPROBE;
	case 'r': return path ? DYNEVENT_UPROBE : DYNEVENT_KRETPROBE;
	case 'f': return DYNEVENT_FPROBE;
	case 't': return DYNEVENT_TPROBE;
	case 'e': return DYNEVENT_EPROBE;
	case 's': return DYNEVENT_SYNTH;
	default: return DYNEVENT_USER;
	}
}

static const char *article(const char *kind)
{
	return kind[0] == 'e' ? "an" : "a";
}

/* What --kprobe, --uprobe and so on were asked for, and what the text says, are to be the same. */
static int check_kind(struct parse *p, enum dynevent_kind asked, enum dynevent_kind said)
{
	bool same = asked == DYNEVENT_ANY || asked == said ||
		(asked == DYNEVENT_KRETPROBE && said == DYNEVENT_KPROBE);

	if (same)
		return 0;
	return refuse(p, p->words[0].at, p->words[0].len, "this is %s %s, and %s %s is wanted here",
		article(kinds[said].name), kinds[said].name, article(kinds[asked].name),
		kinds[asked].name);
}

static int parse_head(struct parse *p, enum dynevent_kind asked)
{
	struct span s = p->words[0];
	const char *colon = memchr(p->text + s.at, ':', s.len);
	size_t name = colon ? (size_t)(colon - p->text) + 1 : s.at + s.len;
	char letter = p->text[s.at];
	int r;

	if (letter == 'w')
		return refuse_err(p, -EOPNOTSUPP, s.at, 1, "no kernel has these probes yet");
	p->d->kind = kind_of_letter(p, letter);
	p->d->is_return = letter == 'r';
	r = check_kind(p, asked, p->d->kind);
	if (r || p->d->kind == DYNEVENT_SYNTH || p->d->kind == DYNEVENT_USER)
		return r;
	if (name - (colon ? 1 : 0) > s.at + 1) {
		r = parse_maxactive(p, s.at + 1, name - (colon ? 1 : 0) - s.at - 1);
		if (r)
			return r;
		if (p->d->kind == DYNEVENT_UPROBE)
			return refuse(p, s.at + 1, 1, "uprobes have no such number");
	}
	p->next = 1;
	return colon ? parse_name(p, name, s.at + s.len - name) : 0;
}

/* "NAME=PLACE" by names: takes the name off the word. */
static int parse_given_name(struct parse *p)
{
	struct span *s = &p->words[0];
	const char *t = p->text + s->at, *equal = memchr(t, '=', s->len);
	size_t n = equal ? (size_t)(equal - t) : 0;

	if (!equal || memchr(t, ':', n) || (memchr(t, '/', n) && t[0] == '/'))
		return 0;
	if (parse_name(p, s->at, n))
		return -EINVAL;
	if (!p->event_asked)
		return refuse(p, s->at, n, "the name of the event is missing");
	s->at += n + 1;
	s->len -= n + 1;
	return s->len ? 0 : refuse(p, s->at, 0, "what is to be probed is missing");
}

static int check_support(struct parse *p)
{
	const struct kind *k = &kinds[p->d->kind];
	struct span s = p->words[0];
	struct error e;

	if (!world_is_bpf(p->w) && !world_tracefs(p->w, &e)) {
		p->fault->at = s.at;
		p->fault->len = s.len;
		p->fault->error = e;
		return -EACCES;
	}
	if (world_has(p->w, k->feature))
		return 0;
	(void)refuse_err(
		p, -EOPNOTSUPP, s.at, p->by_names ? s.len : 1, "this kernel has no %ss", k->name);
	hint(p, "it would need %s", k->option);
	return -EOPNOTSUPP;
}

/* ---- the whole ---- */

static int parse_place(struct parse *p)
{
	const struct kind *k = &kinds[p->d->kind];

	if (p->next >= p->nwords) {
		(void)refuse(p, p->len, 0, "what is to be probed is missing");
		hint(p, "%s", p->by_names ? k->form : "p[:[GROUP/]EVENT] PLACE [ARG...]");
		return -EINVAL;
	}
	p->place = p->words[p->next++];
	switch (p->d->kind) {
	case DYNEVENT_UPROBE: return parse_uprobe_place(p);
	case DYNEVENT_EPROBE: return parse_eprobe_place(p);
	case DYNEVENT_TPROBE: return parse_tracepoint_place(p);
	default: return parse_kernel_place(p);
	}
}

static int write_definition(struct parse *p)
{
	struct dynevent *d = p->d;
	char letter = kinds[d->kind].letters[0];
	char active[16] = "";

	if (d->kind == DYNEVENT_KPROBE || d->kind == DYNEVENT_KRETPROBE ||
		d->kind == DYNEVENT_UPROBE)
		letter = d->is_return ? 'r' : 'p';
	if (p->maxactive)
		(void)snprintf(active, sizeof(active), "%u", p->maxactive);
	if (p->args.err)
		return no_memory(p);
	d->definition = text_printf(p, "%c%s:%s/%s %s%s%s%s", letter, active, d->group, d->event,
		d->place, p->args.data ? p->args.data : "", p->filter ? " if " : "",
		p->filter ? p->filter : "");
	if (!d->definition)
		return no_memory(p);
	if (strlen(d->definition) > LINE_MAX_LEN)
		return refuse(p, 0, p->len, "this is too long: a line has %d bytes at most",
			LINE_MAX_LEN);
	return 0;
}

static int parse_probe(struct parse *p)
{
	struct dynevent *d = p->d;
	int r = parse_place(p);

	if (r)
		return r;
	d->shown_group = p->group_asked ? p->group_asked : kinds[d->kind].group;
	d->group = p->forced_group ? text_printf(p, "%s", p->forced_group) : d->shown_group;
	if (p->event_asked)
		d->event = p->event_asked;
	if (!d->group || !d->event)
		return no_memory(p);
	r = parse_arguments(p);
	if (r)
		return r;
	if (!p->forced_group && world_event_exists(p->w, d->group, d->event)) {
		(void)refuse_err(p, -EEXIST, p->words[0].at, p->words[0].len,
			"there is already an event %s:%s", d->group, d->event);
		hint(p, "give this one another name: %s",
			p->by_names ? "NAME=PLACE" : "p:GROUP/EVENT PLACE");
		return -EEXIST;
	}
	return write_definition(p);
}

static int parse_text(struct parse *p, enum dynevent_kind kind)
{
	int r = split(p);

	if (r)
		return r;
	if (p->nwords == 0)
		return refuse(p, 0, 0, "an empty text: what is to be probed?");
	if (p->text[p->words[0].at] == '-' || p->text[p->words[0].at] == '!')
		return refuse(p, p->words[0].at, 1, "this removes an event; here events are made");
	p->by_names = kind != DYNEVENT_ANY && !(is_head(p) && p->nwords > 1);
	if (kind == DYNEVENT_ANY && !is_head(p)) {
		(void)refuse(p, p->words[0].at, p->words[0].len, "this says no kind of probe");
		hint(p,
			"p: r: (kernel and user functions), f: (fprobes), t: (tracepoints), e: "
			"(events), s: (synthetic) or u: (user events) begin one");
		return -EINVAL;
	}
	if (p->by_names) {
		p->d->kind = kind;
		p->d->is_return = kind == DYNEVENT_KRETPROBE;
		r = parse_given_name(p);
	} else {
		r = parse_head(p, kind);
	}
	if (!r)
		r = check_support(p);
	if (r)
		return r;
	if (p->d->kind == DYNEVENT_SYNTH)
		return parse_synthetic(p);
	if (p->d->kind == DYNEVENT_USER)
		return parse_user_event(p);
	return parse_probe(p);
}

int dynevent_parse(struct dynevent_world *w, enum dynevent_kind kind, const char *group,
	const char *text, struct dynevent *ret, struct dynevent_fault *fault)
{
	struct dynevent d = {0};
	struct parse p = {.w = w,
		.text = text,
		.len = strlen(text),
		.d = &d,
		.fault = fault,
		.forced_group = group};
	int r;

	memset(fault, 0, sizeof(*fault));
	r = parse_text(&p, kind);
	if (r == 0 && (d.kind == DYNEVENT_KPROBE || d.kind == DYNEVENT_KRETPROBE))
		d.kind = d.is_return ? DYNEVENT_KRETPROBE : DYNEVENT_KPROBE;
	free(p.words);
	buf_done(&p.args);
	kformat_free(p.format);
	elf_place_free(p.elf);
	if (r)
		dynevent_done(&d);
	else
		*ret = d;
	return r;
}

void dynevent_done(struct dynevent *d)
{
	free(d->fields);
	arena_done(&d->arena);
	memset(d, 0, sizeof(*d));
}

void auto_dynevent(struct dynevent *d)
{
	dynevent_done(d);
}

/* ---- what is wrong, for people ---- */

enum { SHOWN = 100 }; /* bytes of a long text */

void dynevent_print_fault(struct buf *out, const char *text, const struct dynevent_fault *f)
{
	size_t len = strcspn(text, "\n"), begin = 0, end = len, width;

	if (len > SHOWN) {
		begin = f->at > SHOWN / 2 ? MIN(f->at - SHOWN / 2, len - SHOWN) : 0;
		end = begin + SHOWN;
	}
	buf_printf(out, "%s\n  %s", f->error.message, begin ? "..." : "");
	for (size_t i = begin; i < end; i++)
		buf_char(out, (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i]);
	buf_printf(out, "%s\n  %*s", end < len ? "..." : "", begin ? 3 : 0, "");
	for (size_t i = begin; i < MIN(f->at, end); i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80) /* one column for a letter of UTF-8 */
			buf_char(out, ' ');
	}
	buf_char(out, '^');
	width = MIN(f->at + f->len, end);
	for (size_t i = f->at + 1; i < width; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			buf_char(out, '~');
	}
	buf_char(out, '\n');
	if (f->error.hint[0])
		buf_printf(out, "  %s\n", f->error.hint);
}
