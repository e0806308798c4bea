/* Dynamic events: what is probed in the kernel: functions, tracepoints, events. */
#include "kernel/dynevent-impl.h"
#include "kernel/filter.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A name for the event from what is probed; the kernel's own way of replacing letters, and more. */
static int default_event(struct parse *p, const char *name)
{
	char *s = text_printf(p, "%.*s", EVENT_NAME_MAX, name);

	if (!s)
		return no_memory(p);
	for (char *c = s; *c; c++) {
		if (!(isascii((unsigned char)*c) && isalnum((unsigned char)*c)) && *c != '_')
			*c = '_';
	}
	p->d->event =
		isdigit((unsigned char)s[0]) ? text_printf(p, "_%.*s", EVENT_NAME_MAX - 1, s) : s;
	return p->d->event ? 0 : no_memory(p);
}

int find_function(struct parse *p, struct error *e)
{
	struct kbtf *k = dynevent_world_btf(p->w);
	int r;

	if (p->func_state != FUNC_UNTRIED)
		return p->func_state == FUNC_KNOWN ? 0 : -ENOENT;
	p->func_state = FUNC_UNKNOWN;
	if (!p->func_name)
		return -ENOENT;
	if (p->d->kind == DYNEVENT_TPROBE)
		r = kbtf_find_tracepoint(k, p->func_name, &p->func, e);
	else
		r = kbtf_find_func(k, p->func_module, p->func_name, &p->func, e);
	if (r == 0)
		p->func_state = FUNC_KNOWN;
	return r;
}

/* ---- kprobes, fprobes ---- */

/* Takes "%return" off the place. */
static int take_return(struct parse *p, struct span *s)
{
	const char *t = p->text + s->at, *percent = memchr(t, '%', s->len);
	size_t n;

	if (!percent)
		return 0;
	n = (size_t)(percent - t);
	if (!span_is(p, (struct span){s->at + n, s->len - n}, "%return"))
		return refuse(p, s->at + n, s->len - n, "only %%return can stand here");
	if (p->d->kind == DYNEVENT_TPROBE)
		return refuse(p, s->at + n, s->len - n, "a tracepoint has no return");
	p->d->is_return = true;
	s->len = n;
	return 0;
}

static int unknown_function(struct parse *p, struct span s, const char *module, const char *name)
{
	struct near near;

	if (module)
		return refuse_err(p, -ENOENT, s.at, s.len,
			"the module '%.60s' has no function '%.100s'", module, name);
	(void)refuse_err(p, -ENOENT, s.at, s.len, "the kernel has no function '%.100s'", name);
	near_init(&near, name, strlen(name));
	world_near_symbol(p->w, true, &near);
	if (near.best[0])
		hint(p, "did you mean '%s'?", near.best);
	return -ENOENT;
}

/* The symbol may be probed, as far as the kernel tells. */
static int check_symbol(struct parse *p, struct span s, const char *module, const char *name)
{
	struct world_symbol symbol;
	const char *why;
	bool fprobe = p->d->kind == DYNEVENT_FPROBE;

	if (module && !world_has_module(p->w, module)) {
		(void)refuse_err(p, -ENOENT, s.at - strlen(module) - 1, strlen(module),
			"the module '%.60s' is not loaded", module);
		return -ENOENT;
	}
	if (fprobe && strpbrk(name, "*?")) {
		if (world_traceable(p->w, name) == 0)
			return refuse_err(
				p, -ENOENT, s.at, s.len, "no function that can be traced matches");
		return 0;
	}
	if (!world_symbol(p->w, module, name, &symbol))
		return 0; /* the kernel does not tell: it judges */
	if (symbol.count == 0)
		return unknown_function(p, s, module, name);
	if (!symbol.function)
		return refuse(p, s.at, s.len, "'%.100s' is data, not a function", name);
	if (fprobe) {
		if (world_traceable(p->w, name) == 0)
			return refuse(p, s.at, s.len,
				"this function cannot be traced by ftrace: it has no fprobes");
		return 0;
	}
	if (symbol.count > 1) {
		(void)refuse(
			p, s.at, s.len, "%u functions are called '%.100s'", symbol.count, name);
		hint(p, "one of a module is meant by MODULE:FUNCTION, any other by its address");
		return -EINVAL;
	}
	if (!world_may_probe(p->w, name, &why))
		return refuse(p, s.at, s.len, "'%.100s' %s", name, why);
	return 0;
}

/* Behind the function may be another; behind the last there is nothing. */
static int check_offset(
	struct parse *p, struct span s, const char *module, const char *name, int64_t offset)
{
	struct world_symbol symbol;
	uint64_t begin, end, address;
	const char *why;
	char other[128];

	if (!world_symbol(p->w, module, name, &symbol) || !world_code_range(p->w, &begin, &end) ||
		!begin || symbol.address < begin || symbol.address >= end)
		return 0; /* of a module, or not told */
	address = symbol.address + (uint64_t)offset;
	if (address >= end)
		return refuse(p, s.at, s.len,
			"there is no code of the kernel so far behind '%.80s'", name);
	if (world_function_at(p->w, address, other, sizeof(other)) &&
		!world_may_probe(p->w, other, &why))
		return refuse(p, s.at, s.len, "this is in '%.100s', which %s", other, why);
	return 0;
}

static int parse_address(struct parse *p, struct span s, uint64_t address)
{
	uint64_t begin, end;
	const char *why;
	char name[128];

	if (world_code_range(p->w, &begin, &end) && begin && (address < begin || address >= end))
		return refuse(p, s.at, s.len, "there is no code of the kernel at this address");
	if (world_function_at(p->w, address, name, sizeof(name)) &&
		!world_may_probe(p->w, name, &why))
		return refuse(p, s.at, s.len, "this is in '%.100s', which %s", name, why);
	p->d->place = text_printf(p, "0x%llx", (unsigned long long)address);
	return default_event(p,
		text_printf(
			p, "%c_0x%llx", p->d->is_return ? 'r' : 'p', (unsigned long long)address));
}

/* Takes "+OFFSET" off the symbol. */
static int take_offset(struct parse *p, struct span *s, int64_t *ret)
{
	const char *t = p->text + s->at;
	size_t n = 0;
	char *number;

	while (n < s->len && t[n] != '+' && t[n] != '-')
		n++;
	*ret = 0;
	if (n == s->len)
		return 0;
	number = span_dup(p, (struct span){s->at + n, s->len - n});
	if (!number)
		return no_memory(p);
	if (kernel_long(number, ret))
		return refuse(p, s->at + n, s->len - n, "an offset is a number: +16 or +0x10");
	if (*ret < 0 || *ret > UINT32_MAX)
		return refuse(
			p, s->at + n, s->len - n, "an offset is counted from the function's begin");
	s->len = n;
	return 0;
}

static int default_function_event(struct parse *p, const char *symbol, int64_t offset)
{
	struct dynevent *d = p->d;

	if (d->kind == DYNEVENT_FPROBE)
		return default_event(p,
			text_printf(p, "%s%s", symbol,
				!p->by_names	       ? (d->is_return ? "__exit" : "__entry")
					: d->is_return ? "__exit"
						       : ""));
	if (!p->by_names)
		return default_event(p,
			text_printf(p, "%c_%s_%lld", d->is_return ? 'r' : 'p', symbol,
				(long long)offset));
	if (offset)
		return default_event(p, text_printf(p, "%s_0x%llx", symbol, (long long)offset));
	return default_event(p, text_printf(p, "%s%s", symbol, d->is_return ? "__return" : ""));
}

/* fprobes with $retval are return probes, whether they say so or not. */
static bool asks_for_retval(const struct parse *p)
{
	for (size_t i = p->next; i < p->nwords; i++) {
		struct span s = p->words[i];
		const char *at = memmem(p->text + s.at, s.len, "$retval", 7);
		const char *after = at ? at + 7 : NULL;

		if (at &&
			(after == p->text + s.at + s.len ||
				(!isalnum((unsigned char)*after) && *after != '_')))
			return true;
	}
	return false;
}

/* Takes "MODULE:" off the symbol. */
static int take_module(struct parse *p, struct span *s, char **ret)
{
	const char *colon = memchr(p->text + s->at, ':', s->len);
	size_t n = colon ? (size_t)(colon - p->text) - s->at : 0;

	*ret = NULL;
	if (colon) {
		*ret = span_dup(p, (struct span){s->at, n});
		if (!*ret)
			return no_memory(p);
		s->at += n + 1;
		s->len -= n + 1;
	}
	return s->len ? 0 : refuse(p, s->at, 0, "the name of a function is missing");
}

int parse_kernel_place(struct parse *p)
{
	struct dynevent *d = p->d;
	struct span s = p->place, whole;
	char *word = span_dup(p, s), *symbol, *module;
	uint64_t address;
	int64_t offset = 0;
	int r;

	if (!word)
		return no_memory(p);
	if (strchr(word, '/')) {
		(void)refuse(p, s.at, s.len, "this is a file: in programs, uprobes are wanted");
		hint(p, "--uprobe '%.120s'", word);
		return -EINVAL;
	}
	if (d->kind != DYNEVENT_FPROBE && kernel_ulong(word, &address) == 0)
		return parse_address(p, s, address);
	r = take_return(p, &s);
	if (r)
		return r;
	whole = s;
	if (d->kind == DYNEVENT_FPROBE)
		d->is_return |= asks_for_retval(p);
	else
		r = take_offset(p, &s, &offset);
	if (r)
		return r;
	if (p->maxactive && !d->is_return)
		return refuse(p, p->words[0].at + 1, 1,
			"how many may be active at once is only asked of return probes");
	r = take_module(p, &s, &module);
	if (r)
		return r;
	symbol = span_dup(p, s);
	if (!symbol)
		return no_memory(p);
	if (d->is_return && offset)
		return refuse(p, s.at + s.len, whole.at + whole.len - s.at - s.len,
			"a return is probed at the function, without an offset");
	r = check_symbol(p, s, module, symbol);
	if (!r && offset)
		r = check_offset(p,
			(struct span){s.at + s.len, whole.at + whole.len - s.at - s.len}, module,
			symbol, offset);
	if (r)
		return r;
	p->func_name = symbol;
	p->func_module = module;
	p->at_entry = !d->is_return && offset == 0;
	/* Both kinds are written "r:" or "f: ...%return": one way that every kernel knows. */
	d->place = text_printf(p, "%s%s%s%s%.0lld%s", module ? module : "", module ? ":" : "",
		symbol, offset ? "+" : "", (long long)offset,
		d->kind == DYNEVENT_FPROBE && d->is_return ? "%return" : "");
	if (!d->place)
		return no_memory(p);
	return default_function_event(p, symbol, offset);
}

/* ---- tracepoints ---- */

int parse_tracepoint_place(struct parse *p)
{
	struct span s = p->place;
	char *name;
	struct world_symbol symbol;
	struct near near;
	int r = take_return(p, &s);

	if (r)
		return r;
	/* By names, SYSTEM:NAME is taken, too: tracepoints have no systems, but their events do. */
	if (p->by_names) {
		const char *colon = memchr(p->text + s.at, ':', s.len);
		size_t n = colon ? (size_t)(colon - p->text) + 1 - s.at : 0;

		s.at += n;
		s.len -= n;
	}
	for (size_t i = 0; i < s.len; i++) {
		if (!isalnum((unsigned char)p->text[s.at + i]) && p->text[s.at + i] != '_')
			return refuse(p, s.at + i, 1,
				"a tracepoint's name is made of letters, digits and _");
	}
	name = span_dup(p, s);
	if (!name)
		return no_memory(p);
	if (world_symbol(p->w, NULL, text_printf(p, "__traceiter_%s", name), &symbol) &&
		symbol.count == 0) {
		(void)refuse_err(
			p, -ENOENT, s.at, s.len, "the kernel has no tracepoint '%.100s'", name);
		near_init(&near, text_printf(p, "__traceiter_%s", name), s.len + 12);
		near.best_cost = (unsigned)(s.len + 2) / 3 + 1;
		world_near_symbol(p->w, true, &near);
		if (strncmp(near.best, "__traceiter_", 12) == 0)
			hint(p, "did you mean '%s'?", near.best + 12);
		return -ENOENT;
	}
	p->func_name = name;
	p->at_entry = true;
	p->d->place = name;
	return default_event(p, name);
}

/* ---- events ---- */

static int no_event(struct parse *p, struct span s, const char *system, const char *name)
{
	struct near near;

	(void)refuse_err(p, -ENOENT, s.at, s.len, "there is no event %.60s:%.60s", system, name);
	near_init(&near, name, strlen(name));
	if (world_near_event(p->w, system, &near)) {
		hint(p, "did you mean '%s/%s'?", system, near.best);
		return -ENOENT;
	}
	near_init(&near, system, strlen(system));
	if (world_near_event(p->w, NULL, &near) && strcmp(near.best, system) != 0)
		hint(p, "did you mean the system '%s'?", near.best);
	return -ENOENT;
}

/* The words from `if` on, as they stand. */
static int take_filter(struct parse *p)
{
	int r;

	for (size_t i = p->next; i < p->nwords; i++) {
		struct span last = p->words[p->nwords - 1], rest;

		if (!span_is(p, p->words[i], "if"))
			continue;
		if (i + 1 == p->nwords)
			return refuse(p, p->len, 0, "a filter is missing behind 'if'");
		if (!world_has(p->w, WORLD_EPROBE_FILTER))
			return refuse_err(p, -EOPNOTSUPP, p->words[i].at, 2,
				"this kernel has no filters for eprobes");
		rest.at = p->words[i + 1].at;
		rest.len = last.at + last.len - rest.at;
		r = kfilter_check(p->w, p->format, p->text + rest.at, rest.len, p->fault);
		if (r) {
			p->fault->at += rest.at;
			return r;
		}
		p->filter = span_dup(p, rest);
		p->nwords = i;
		return p->filter ? 0 : no_memory(p);
	}
	return 0;
}

int parse_eprobe_place(struct parse *p)
{
	struct span s = p->place;
	const char *t = p->text + s.at, *sep = memchr(t, '/', s.len);
	AUTO(buf) struct buf text = {0};
	struct tracefs *tracefs = world_tracefs(p->w, NULL);
	struct error e;
	char *system, *name;
	size_t n;
	int r;

	if (!sep)
		sep = memchr(t, '.', s.len);
	if (!sep && p->by_names)
		sep = memchr(t, ':', s.len);
	n = sep ? (size_t)(sep - t) : 0;
	if (!sep || n == 0 || n + 1 == s.len) {
		(void)refuse(p, s.at, s.len, "an event is written SYSTEM/EVENT");
		return -EINVAL;
	}
	if (!is_identifier(t, n, true) || !is_identifier(sep + 1, s.len - n - 1, false) ||
		n > EVENT_NAME_MAX || s.len - n - 1 > EVENT_NAME_MAX)
		return refuse(p, s.at, s.len, "names of events are made of letters, digits and _");
	system = span_dup(p, (struct span){s.at, n});
	name = span_dup(p, (struct span){s.at + n + 1, s.len - n - 1});
	if (!system || !name)
		return no_memory(p);
	/* The kernel's own bookkeeping events cannot be probed, nor can other probes. */
	if (strcmp(system, "ftrace") == 0 || tracefs_format(tracefs, system, name, &text, &e))
		return no_event(p, s, system, name);
	r = kformat_parse(text.data, text.len, system, 8, &p->format, &e);
	if (r)
		return refuse_err(p, r, s.at, s.len, "%s", e.message);
	if (kformat_field(p->format, "__probe_ip") || kformat_field(p->format, "__probe_func"))
		return refuse(p, s.at, s.len,
			"this event is a probe itself; eprobes are for events of the kernel");
	p->d->place = text_printf(p, "%s.%s", system, name);
	if (!p->d->place)
		return no_memory(p);
	r = take_filter(p);
	return r ? r : default_event(p, name);
}
