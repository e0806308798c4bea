/* Records of kernel tracers as JSON, and summed up as tables. See kernel.h. */
#include "cli/kernel.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- fields ---- */

static uint64_t number(const uint8_t *p, uint32_t size, bool is_signed)
{
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	switch (size) {
	case 1: return is_signed ? (uint64_t)(int8_t)*p : *p;
	case 2: memcpy(&v16, p, sizeof(v16)); return is_signed ? (uint64_t)(int16_t)v16 : v16;
	case 4: memcpy(&v32, p, sizeof(v32)); return is_signed ? (uint64_t)(int32_t)v32 : v32;
	case 8: memcpy(&v64, p, sizeof(v64)); return v64;
	default: return 0; /* no number has another size (kernel/format.h) */
	}
}

/* Where a field's elements lie in the record; false: not in it. */
static bool extent(
	const struct kraw_event *ev, const struct kfield *f, uint32_t *ret_at, uint32_t *ret_bytes)
{
	uint32_t loc;

	switch (f->form) {
	case KFIELD_SCALAR:
	case KFIELD_ARRAY:
		*ret_at = f->offset;
		*ret_bytes = f->size;
		break;
	case KFIELD_REST:
		*ret_at = f->offset;
		*ret_bytes = ev->len > f->offset ? ev->len - f->offset : 0;
		break;
	default:
		if (f->offset + 4 > ev->len)
			return false;
		memcpy(&loc, ev->data + f->offset, sizeof(loc));
		*ret_at = (loc & 0xffff) + (f->form == KFIELD_REL_LOC ? f->offset + 4 : 0);
		*ret_bytes = loc >> 16;
	}
	return *ret_at <= ev->len && *ret_bytes <= ev->len - *ret_at;
}

static void number_json(struct out *o, const struct kfield *f, const uint8_t *p, uint32_t size)
{
	uint64_t v = number(p, size, f->is_signed);

	if (f->is_signed)
		out_i64(o, (int64_t)v);
	else
		out_u64(o, v);
}

static void value_json(struct out *o, const struct kraw_event *ev, const struct kfield *f)
{
	uint32_t at, bytes, elem = MAX(f->elem, 1);

	if (!extent(ev, f, &at, &bytes)) {
		out_str(o, "null");
		return;
	}
	if (f->kind == KFIELD_CHAR && f->form != KFIELD_SCALAR) {
		out_json(o, (const char *)ev->data + at,
			strnlen((const char *)ev->data + at, bytes));
		return;
	}
	if (f->form == KFIELD_SCALAR) {
		number_json(o, f, ev->data + at, bytes);
		return;
	}
	out_char(o, '[');
	for (uint32_t i = 0; i + elem <= bytes; i += elem) {
		if (i)
			out_str(o, ", ");
		number_json(o, f, ev->data + at + i, elem);
	}
	out_char(o, ']');
}

/* Addresses of functions in tracers' own entries, by name too. */
static void names_json(struct out *o, const struct kraw_event *ev, const struct kallsyms *syms)
{
	static const char *const fields[][2] = {
		{"ip", "function"}, {"parent_ip", "parent"}, {"func", "function"}};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct kfield *f = kformat_field(ev->format, fields[i][0]);
		uint32_t at, bytes;
		struct kfunction sym;

		if (!f || f->form != KFIELD_SCALAR || !extent(ev, f, &at, &bytes) ||
			!kallsyms_find(syms, number(ev->data + at, bytes, false), &sym))
			continue;
		out_printf(o, ", \"%s\": ", fields[i][1]);
		out_json(o, sym.name, strlen(sym.name));
	}
}

void kernel_json(struct out *o, const struct kraw_event *ev, const struct kallsyms *syms)
{
	const struct kformat *f = ev->format;
	const struct kfield *pid = kformat_field(f, "common_pid");

	out_str(o, "{\"time_ns\": ");
	out_u64(o, ev->ts);
	out_str(o, ", \"cpu\": ");
	out_u64(o, ev->cpu);
	if (pid) {
		out_str(o, ", \"tid\": ");
		value_json(o, ev, pid);
	}
	out_printf(o, ", \"event\": \"%s:%s\"", f->system, f->name);
	for (size_t i = f->ncommon; i < f->nfields; i++) {
		out_str(o, ", ");
		out_json(o, f->fields[i].name, strlen(f->fields[i].name));
		out_str(o, ": ");
		value_json(o, ev, &f->fields[i]);
	}
	if (syms && strcmp(f->system, "ftrace") == 0)
		names_json(o, ev, syms);
	out_str(o, "}\n");
}

/* A number of a record by its field's name; 0 if this kernel has no such field. */
static uint64_t field(const struct kraw_event *ev, const char *name)
{
	const struct kfield *f = kformat_field(ev->format, name);
	uint32_t at, bytes;

	if (!f || f->form != KFIELD_SCALAR || !extent(ev, f, &at, &bytes))
		return 0;
	return number(ev->data + at, bytes, f->is_signed);
}

/* ---- sums ---- */

struct stat {
	uint64_t n, last, min, max, sum;
};

enum { IRQ, THREAD, USER, CONTEXTS };

struct cpu_sum {
	uint64_t periods, runtime, noise, max_noise, max_single; /* osnoise */
	uint64_t hw, nmi, irq, softirq, thread;
	struct stat contexts[CONTEXTS]; /* timerlat, ns */
	struct stat inner, outer; /* hwlat, us */
};

struct ksummary {
	const struct ktracer *what;
	struct cpu_sum *cpus; /* owned */
	size_t n, cap;
};

struct ksummary *ksummary_new(const struct ktracer *what)
{
	struct ksummary *s = calloc(1, sizeof(*s));

	if (s)
		s->what = what;
	return s;
}

void ksummary_free(struct ksummary *s)
{
	if (s)
		free(s->cpus);
	free(s);
}

static void stat_add(struct stat *s, uint64_t v)
{
	s->min = s->n ? MIN(s->min, v) : v;
	s->max = MAX(s->max, v);
	s->last = v;
	s->sum += v;
	s->n++;
}

static void add_osnoise(struct cpu_sum *c, const struct kraw_event *ev)
{
	uint64_t noise = field(ev, "noise");

	c->periods++;
	c->runtime += field(ev, "runtime");
	c->noise += noise;
	c->max_noise = MAX(c->max_noise, noise);
	c->max_single = MAX(c->max_single, field(ev, "max_sample"));
	c->hw += field(ev, "hw_count");
	c->nmi += field(ev, "nmi_count");
	c->irq += field(ev, "irq_count");
	c->softirq += field(ev, "softirq_count");
	c->thread += field(ev, "thread_count");
}

int ksummary_add(struct ksummary *s, const struct kraw_event *ev)
{
	uint64_t context;

	if (strcmp(ev->format->name, s->what->tracer) != 0)
		return 0; /* an event beside it */
	while (s->n <= ev->cpu)
		if (!VEC_ADD(s->cpus, s->n, s->cap))
			return -ENOMEM;
	switch (s->what->tracer[0]) {
	case 'o': add_osnoise(&s->cpus[ev->cpu], ev); return 0;
	case 't':
		context = field(ev, "context");
		if (context < CONTEXTS)
			stat_add(&s->cpus[ev->cpu].contexts[context], field(ev, "timer_latency"));
		return 0;
	default: /* hwlat looks from one CPU after the other */
		stat_add(&s->cpus[ev->cpu].inner, field(ev, "duration"));
		stat_add(&s->cpus[ev->cpu].outer, field(ev, "outer_duration"));
		s->cpus[ev->cpu].nmi += field(ev, "nmi_count");
		return 0;
	}
}

/* ---- tables, with the columns of rtla(1) ---- */

static double available(const struct cpu_sum *c)
{
	return c->runtime
		? 100.0 * (double)(c->runtime - MIN(c->noise, c->runtime)) / (double)c->runtime
		: 0;
}

static void osnoise_text(const struct ksummary *s, struct out *o)
{
	out_str(o,
		"CPU Period       Runtime        Noise  % CPU Aval   Max Noise   Max Single"
		"          HW          NMI          IRQ      Softirq       Thread\n");
	for (size_t i = 0; i < s->n; i++) {
		const struct cpu_sum *c = &s->cpus[i];

		if (!c->periods)
			continue;
		out_printf(o, "%3zu #%-7llu %11llu %12llu   %9.5f %11llu %12llu", i,
			(unsigned long long)c->periods, (unsigned long long)c->runtime,
			(unsigned long long)c->noise, available(c),
			(unsigned long long)c->max_noise, (unsigned long long)c->max_single);
		out_printf(o, " %11llu %12llu %12llu %12llu %12llu\n", (unsigned long long)c->hw,
			(unsigned long long)c->nmi, (unsigned long long)c->irq,
			(unsigned long long)c->softirq, (unsigned long long)c->thread);
	}
	out_str(o, "(runtime and noise in us)\n");
}

static void stat_text(struct out *o, const struct stat *s, uint64_t unit)
{
	if (!s->n)
		out_str(o, " |         -         -         -         -");
	else
		out_printf(o, " | %9llu %9llu %9llu %9llu", (unsigned long long)(s->last / unit),
			(unsigned long long)(s->min / unit),
			(unsigned long long)(s->sum / s->n / unit),
			(unsigned long long)(s->max / unit));
}

static void timerlat_text(const struct ksummary *s, struct out *o)
{
	bool user = false;

	for (size_t i = 0; i < s->n; i++)
		user = user || s->cpus[i].contexts[USER].n;
	out_str(o,
		"                  |          IRQ Timer Latency (us)         "
		"|         Thread Timer Latency (us)");
	out_str(o, user ? "       |    Ret user Timer Latency (us)\n" : "\n");
	out_str(o,
		"CPU COUNT         |       cur       min       avg       max "
		"|       cur       min       avg       max");
	out_str(o, user ? " |       cur       min       avg       max\n" : "\n");
	for (size_t i = 0; i < s->n; i++) {
		const struct stat *c = s->cpus[i].contexts;

		if (!c[IRQ].n && !c[THREAD].n)
			continue;
		out_printf(o, "%3zu #%-12llu", i, (unsigned long long)c[IRQ].n);
		stat_text(o, &c[IRQ], 1000);
		stat_text(o, &c[THREAD], 1000);
		if (user)
			stat_text(o, &c[USER], 1000);
		out_char(o, '\n');
	}
}

static void hwlat_text(const struct ksummary *s, struct out *o)
{
	bool any = false;

	out_str(o,
		"                  |            inner gap (us)               "
		"|            outer gap (us)               |   NMI\n"
		"CPU COUNT         |       cur       min       avg       max "
		"|       cur       min       avg       max |\n");
	for (size_t i = 0; i < s->n; i++) {
		const struct cpu_sum *c = &s->cpus[i];

		if (!c->inner.n)
			continue;
		any = true;
		out_printf(o, "%3zu #%-12llu", i, (unsigned long long)c->inner.n);
		stat_text(o, &c->inner, 1);
		stat_text(o, &c->outer, 1);
		out_printf(o, " | %5llu\n", (unsigned long long)c->nmi);
	}
	if (!any)
		out_str(o, "no gap was longer than the threshold\n");
}

/* ---- the same as JSON ---- */

static void stat_json(struct out *o, const char *name, const struct stat *s)
{
	out_printf(o,
		", \"%s\": {\"count\": %llu, \"cur\": %llu, \"min\": %llu, \"avg\": %llu, "
		"\"max\": %llu}",
		name, (unsigned long long)s->n, (unsigned long long)s->last,
		(unsigned long long)s->min, (unsigned long long)(s->n ? s->sum / s->n : 0),
		(unsigned long long)s->max);
}

static void osnoise_json(struct out *o, const struct cpu_sum *c)
{
	out_printf(o,
		", \"periods\": %llu, \"runtime_us\": %llu, \"noise_us\": %llu, "
		"\"available_percent\": %.5f, \"max_noise_us\": %llu, \"max_single_us\": %llu",
		(unsigned long long)c->periods, (unsigned long long)c->runtime,
		(unsigned long long)c->noise, available(c), (unsigned long long)c->max_noise,
		(unsigned long long)c->max_single);
	out_printf(o,
		", \"hw\": %llu, \"nmi\": %llu, \"irq\": %llu, \"softirq\": %llu, "
		"\"thread\": %llu",
		(unsigned long long)c->hw, (unsigned long long)c->nmi, (unsigned long long)c->irq,
		(unsigned long long)c->softirq, (unsigned long long)c->thread);
}

static void summary_json(const struct ksummary *s, struct out *o)
{
	bool first = true;

	out_printf(o, "{\"tracer\": \"%s\", \"cpus\": [", s->what->name);
	for (size_t i = 0; i < s->n; i++) {
		const struct cpu_sum *c = &s->cpus[i];

		if (!c->periods && !c->contexts[IRQ].n && !c->contexts[THREAD].n && !c->inner.n)
			continue;
		out_printf(o, "%s{\"cpu\": %zu", first ? "" : ", ", i);
		first = false;
		if (c->periods)
			osnoise_json(o, c);
		if (c->contexts[IRQ].n)
			stat_json(o, "irq_ns", &c->contexts[IRQ]);
		if (c->contexts[THREAD].n)
			stat_json(o, "thread_ns", &c->contexts[THREAD]);
		if (c->contexts[USER].n)
			stat_json(o, "user_ns", &c->contexts[USER]);
		if (c->inner.n) {
			stat_json(o, "inner_us", &c->inner);
			stat_json(o, "outer_us", &c->outer);
			out_printf(o, ", \"nmi\": %llu", (unsigned long long)c->nmi);
		}
		out_char(o, '}');
	}
	out_str(o, "]}\n");
}

void ksummary_print(const struct ksummary *s, struct out *o, bool json)
{
	if (json)
		summary_json(s, o);
	else if (s->what->tracer[0] == 'o')
		osnoise_text(s, o);
	else if (s->what->tracer[0] == 't')
		timerlat_text(s, o);
	else
		hwlat_text(s, o);
}
