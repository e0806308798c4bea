/* Filters of events, as the kernel reads them: see filter.h. */
#include "kernel/filter.h"
#include "kernel/dynevent-impl.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NUMBER_MAX = 23, TEXT_MAX = 255 }; /* letters of a number, of a text */

enum what { WHAT_NUMBER, WHAT_TEXT, WHAT_CPU, WHAT_CPUMASK, WHAT_STACK };

struct operand {
	const char *name;
	enum what what;
	uint32_t size;
	bool is_signed;
};

struct filter {
	struct dynevent_world *w; /* or NULL */
	const struct kformat *f;
	const char *text; /* NUL-terminated */
	struct dynevent_fault *fault;
};

static int refused(struct filter *x, size_t at, size_t len, const char *fmt, ...) PRINTF_LIKE(4, 5);
static int refused(struct filter *x, size_t at, size_t len, const char *fmt, ...)
{
	size_t end = strlen(x->text);
	va_list ap;

	x->fault->at = MIN(at, end);
	x->fault->len = MIN(len, end - x->fault->at);
	(void)error_set(&x->fault->error, -EINVAL, " ");
	va_start(ap, fmt);
	/* A cut text is fine. */
	(void)vsnprintf(x->fault->error.message, sizeof(x->fault->error.message), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static size_t blanks(const char *s)
{
	size_t n = 0;

	while (isspace((unsigned char)s[n]))
		n++;
	return n;
}

static size_t word(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	return n;
}

/* ---- fields ---- */

/* What every event has, but in no format. */
static const struct operand generic[] = {
	{"CPU", WHAT_CPU, 0, true},
	{"cpu", WHAT_CPU, 0, true},
	{"common_cpu", WHAT_CPU, 0, true},
	{"COMM", WHAT_TEXT, 0, false},
	{"comm", WHAT_TEXT, 0, false},
	{"STACKTRACE", WHAT_STACK, 0, false},
	{"stacktrace", WHAT_STACK, 0, false},
};

/* What the kernel takes a field for: it looks at the words of its type. */
static enum what kind_of(const struct kfield *f)
{
	bool text = strstr(f->type, "char") != NULL;

	switch (f->form) {
	case KFIELD_DATA_LOC:
		if (!text && strstr(f->type, "cpumask_t"))
			return WHAT_CPUMASK;
		return text ? WHAT_TEXT : WHAT_NUMBER;
	case KFIELD_SCALAR:
		return strcmp(f->type, "char *") == 0 || strcmp(f->type, "const char *") == 0
			? WHAT_TEXT
			: WHAT_NUMBER;
	default: return text ? WHAT_TEXT : WHAT_NUMBER;
	}
}

static bool is_named(const char *name, const char *s, size_t n)
{
	return strlen(name) == n && memcmp(name, s, n) == 0;
}

static bool field_in(const struct kformat *f, size_t from, size_t to, const char *s, size_t n,
	struct operand *ret)
{
	for (size_t i = from; i < to; i++) {
		const struct kfield *k = &f->fields[i];

		if (!is_named(k->name, s, n))
			continue;
		*ret = (struct operand){k->name, kind_of(k), k->size, k->is_signed};
		return true;
	}
	return false;
}

static int no_field(struct filter *x, size_t at, size_t n)
{
	AUTO(buf) struct buf all = {0};
	struct near near;

	near_init(&near, x->text + at, n);
	for (size_t i = 0; i < x->f->nfields; i++) {
		near_look(&near, x->f->fields[i].name);
		if (i >= x->f->ncommon)
			buf_printf(&all, "%s, ", x->f->fields[i].name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(generic); i++)
		near_look(&near, generic[i].name);
	(void)refused(x, at, n, "%.60s:%.60s has no field '%.*s'", x->f->system, x->f->name,
		(int)MIN(n, (size_t)60), x->text + at);
	if (near.best[0])
		error_hint(&x->fault->error, "did you mean '%s'?", near.best);
	else
		error_hint(&x->fault->error, "it has: %sCPU and COMM", all.data ? all.data : "");
	return -EINVAL;
}

/* The field at *at, which moves behind it. */
static int take_field(struct filter *x, size_t *at, struct operand *ret)
{
	const struct kformat *f = x->f;
	const char *s = x->text + *at;
	size_t n = word(s);

	if (n == 0)
		return refused(x, *at, 1, "the name of a field is missing");
	if (field_in(f, f->ncommon, f->nfields, s, n, ret)) {
		*at += n;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(generic); i++) {
		if (is_named(generic[i].name, s, n)) {
			*ret = generic[i];
			*at += n;
			return 0;
		}
	}
	if (!field_in(f, 0, f->ncommon, s, n, ret))
		return no_field(x, *at, n);
	*at += n;
	return 0;
}

/* ---- operators ---- */

enum op { OP_GLOB, OP_NE, OP_EQ, OP_LE, OP_LT, OP_GE, OP_GT, OP_AND, OPS };
/* "<=" before "<" */
static const char *const ops[OPS] = {"~", "!=", "==", "<=", "<", ">=", ">", "&"};

static int take_op(struct filter *x, size_t *at, const struct operand *o, enum op *ret)
{
	const char *s = x->text + *at;

	for (int i = 0; i < OPS; i++) {
		if (strncmp(s, ops[i], strlen(ops[i])) == 0) {
			*ret = (enum op)i;
			*at += strlen(ops[i]);
			return 0;
		}
	}
	(void)refused(x, *at, 1, "an operator is missing: %s",
		o->what == WHAT_TEXT ? "== != ~" : "== != < <= > >= &");
	if (*s == '=')
		error_hint(&x->fault->error, "'==' compares");
	else if (s[0] == '!' && s[1] == '~')
		error_hint(&x->fault->error, "write !(%s ~ ...)", o->name);
	else if (*s == '.')
		error_hint(&x->fault->error, "behind '.' stands ustring or function");
	return -EINVAL;
}

static bool is_equality(enum op op)
{
	return op == OP_EQ || op == OP_NE;
}

/* ---- values ---- */

/* What is looked for near a name, which may stand in quotes. */
static struct near *near_name(struct near *near, const char *name)
{
	size_t quote = *name == '"' || *name == '\'', n = strcspn(name + quote, "\"'");

	near_init(near, name + quote, n);
	return near;
}

static int take_function(struct filter *x, size_t *at, const struct operand *o, enum op op)
{
	size_t n = 0;
	AUTO(free) char *name = NULL;
	struct world_symbol symbol;
	struct near near;
	uint64_t v, begin, end;

	if (o->size != sizeof(long))
		return refused(x, *at, 0, "'%s' is no address: it has %u bytes", o->name, o->size);
	if (!is_equality(op))
		return refused(x, *at, 0, "functions are compared by == and != only");
	if (isdigit((unsigned char)x->text[*at]))
		while (isalnum((unsigned char)x->text[*at + n]))
			n++;
	else
		n = strcspn(x->text + *at, " \t\n\v\f\r");
	name = strndup(x->text + *at, n);
	if (!name)
		return error_set(&x->fault->error, -ENOMEM, "out of memory");
	if (isdigit((unsigned char)name[0])) {
		if (n > NUMBER_MAX || kernel_ulong(name, &v))
			return refused(x, *at, n, "this is no address");
		if (x->w && world_code_range(x->w, &begin, &end) && (v < begin || v >= end))
			return refused(x, *at, n, "there is no function at this address");
	} else if (n == 0) {
		return refused(x, *at, 0, "the name of a function is missing");
	} else if (x->w && world_symbol(x->w, NULL, name, &symbol) && symbol.count == 0) {
		(void)refused(x, *at, n, "the kernel has no function '%.80s'", name);
		world_near_symbol(x->w, true, near_name(&near, name));
		if (strchr(name, ')'))
			error_hint(&x->fault->error, "a space ends the name, nothing else");
		else if (near.best[0])
			error_hint(&x->fault->error, "did you mean %s?", near.best);
		return -EINVAL;
	}
	*at += n;
	return 0;
}

/* A number of a list of CPUs; N: the last. 0 if there is none. */
static size_t cpu_number(const char *s, uint64_t last, uint64_t *ret)
{
	size_t n = 0;

	*ret = last;
	if (*s == 'N')
		return 1;
	for (*ret = 0; isdigit((unsigned char)s[n]); n++)
		*ret = MIN(*ret * 10 + (uint64_t)(s[n] - '0'), (uint64_t)UINT32_MAX + 1);
	return *ret > UINT32_MAX ? 0 : n;
}

/* "2", "0-3", "all", "0-7:1/2": its length; 0: it is none of these; *ret_end: the highest CPU. */
static size_t cpu_region(const char *s, uint64_t last, uint64_t *ret_end)
{
	uint64_t begin = 0, end = last, off, group;
	size_t n = 3, k;

	if (strncasecmp(s, "all", 3) != 0) {
		n = cpu_number(s, last, &begin);
		end = begin;
		if (n && s[n] == '-') {
			k = cpu_number(s + n + 1, last, &end);
			n = k ? n + 1 + k : 0;
		} else if (n && s[n] != '}' && s[n] != ',' && !isspace((unsigned char)s[n])) {
			return 0;
		}
	}
	*ret_end = end;
	if (n == 0 || begin > end)
		return 0;
	if (s[n] != ':')
		return s[n] == '}' || s[n] == ',' || isspace((unsigned char)s[n]) ? n : 0;
	k = cpu_number(s + n + 1, last, &off);
	if (!k || s[n + 1 + k] != '/')
		return 0;
	n += 2 + k;
	k = cpu_number(s + n, last, &group);
	return k && group && off <= group ? n + k : 0;
}

/* "CPUS{0-3,7}" */
static int take_cpus(struct filter *x, size_t *at, const struct operand *o, enum op op)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	const char *s = x->text;
	size_t i = *at + 4, close;

	if (o->what == WHAT_TEXT || o->what == WHAT_STACK)
		return refused(x, *at, 4, "'%s' is no CPU", o->name);
	if (!is_equality(op) && op != OP_AND)
		return refused(x, *at, 4, "CPUs are compared by ==, != and & only");
	if (s[i] != '{')
		return refused(x, i, 1, "'{' is missing: CPUS{0-3,7}");
	i++;
	close = i + strcspn(s + i, "}");
	if (!s[close])
		return refused(x, close, 0, "'}' is missing");
	if (close == i)
		return refused(x, i, 1, "which CPUs? CPUS{0-3,7}");
	while (i < close) {
		uint64_t end;
		size_t n;

		if (s[i] == ',' || isspace((unsigned char)s[i])) {
			i++;
			continue;
		}
		n = cpu_region(s + i, cpus > 0 ? (uint64_t)cpus - 1 : 0, &end);
		if (n == 0)
			return refused(x, i, close - i, "a list of CPUs is written 0-3,7");
		if (cpus > 0 && end >= (uint64_t)cpus)
			return refused(x, i, n, "this machine has %ld CPUs", cpus);
		i += n;
	}
	*at = close + 1;
	return 0;
}

static int take_text(struct filter *x, size_t *at, const struct operand *o, enum op op)
{
	char quote = x->text[*at];
	const char *close = strchr(x->text + *at + 1, quote);
	size_t n = close ? (size_t)(close - x->text) - *at + 1 : 0;

	if (!is_equality(op) && op != OP_GLOB)
		return refused(x, *at, n, "text is compared by ==, != and ~ only");
	if (o->what != WHAT_TEXT)
		return refused(x, *at, n, "'%s' is a number, and this is text", o->name);
	if (!close)
		return refused(x, *at, 1, "the second %c is missing", quote);
	if (n - 2 > TEXT_MAX)
		return refused(x, *at, n, "a text has %d letters at most", TEXT_MAX);
	*at += n;
	return 0;
}

static int take_number(struct filter *x, size_t *at, const struct operand *o, enum op op)
{
	const char *s = x->text + *at;
	size_t n = *s == '-';
	char digits[NUMBER_MAX + 1];
	uint64_t u;
	int64_t v;

	while (isalnum((unsigned char)s[n]))
		n++;
	if (o->what == WHAT_TEXT) {
		(void)refused(x, *at, n, "'%s' is text, and this is a number", o->name);
		error_hint(&x->fault->error, "\"%.*s\", in quotes, is text",
			(int)MIN(n, (size_t)40), s);
		return -EINVAL;
	}
	if (op == OP_GLOB)
		return refused(x, *at, n, "~ is for text, and '%s' is a number", o->name);
	if (n > NUMBER_MAX)
		return refused(x, *at, n, "a number has %d letters at most", NUMBER_MAX);
	memcpy(digits, s, n);
	digits[n] = '\0';
	if (o->is_signed ? kernel_long(digits, &v) : kernel_ulong(digits, &u)) {
		(void)refused(x, *at, n, "this is no number that fits '%s'", o->name);
		if (*s == '-' && !o->is_signed)
			error_hint(&x->fault->error, "'%s' has no sign", o->name);
		return -EINVAL;
	}
	*at += n;
	return 0;
}

static int no_value(struct filter *x, size_t at, const struct operand *o)
{
	size_t n = word(x->text + at);

	(void)refused(x, at, n ? n : 1, "a value is missing: %s",
		o->what == WHAT_TEXT ? "text in quotes" : "a number");
	if (n && o->what == WHAT_TEXT)
		error_hint(&x->fault->error, "\"%.*s\" with quotes?", (int)MIN(n, (size_t)60),
			x->text + at);
	else if (n)
		error_hint(&x->fault->error, "names of values are not known to the kernel");
	return -EINVAL;
}

/* ---- terms ---- */

/* "FIELD OP VALUE" at *at. */
static int take_term(struct filter *x, size_t *at)
{
	bool function = false;
	struct operand o;
	enum op op;
	int r;

	*at += blanks(x->text + *at);
	r = take_field(x, at, &o);
	if (r)
		return r;
	if (strncmp(x->text + *at, ".ustring", 8) == 0)
		*at += 8;
	if (strncmp(x->text + *at, ".function", 9) == 0) {
		function = true;
		*at += 9;
	}
	*at += blanks(x->text + *at);
	r = take_op(x, at, &o, &op);
	if (r)
		return r;
	*at += blanks(x->text + *at);
	if (function)
		return take_function(x, at, &o, op);
	if (strncmp(x->text + *at, "CPUS", 4) == 0)
		return take_cpus(x, at, &o, op);
	switch (x->text[*at]) {
	case '"':
	case '\'': return take_text(x, at, &o, op);
	case '-': return take_number(x, at, &o, op);
	default: break;
	}
	return isdigit((unsigned char)x->text[*at]) ? take_number(x, at, &o, op)
						    : no_value(x, *at, &o);
}

/* Parentheses and quotes come in pairs: the kernel looks at that first. */
static int check_pairs(struct filter *x)
{
	const char *s = x->text;
	size_t open[64], n = 0, last = 0; /* deeper ones are counted only */
	char quote = 0;

	for (size_t i = 0; s[i]; i++) {
		if (quote) {
			if (s[i] == quote)
				quote = 0;
		} else if (s[i] == '"' || s[i] == '\'') {
			quote = s[i];
			last = i;
		} else if (s[i] == '(') {
			if (n < ARRAY_SIZE(open))
				open[n] = i;
			n++;
		} else if (s[i] == ')' && n-- == 0) {
			return refused(x, i, 1, "there is no '(' for this ')'");
		}
	}
	if (quote)
		return refused(x, last, 1, "the second %c is missing", quote);
	if (n)
		return refused(
			x, open[MIN(n, ARRAY_SIZE(open)) - 1], 1, "there is no ')' for this '('");
	return 0;
}

/* Behind a term: closing parentheses, and then && or || or the end. */
static int take_link(struct filter *x, size_t *at, size_t *depth)
{
	const char *s = x->text;

	for (;; (*at)++) {
		*at += blanks(s + *at);
		if (s[*at] != ')')
			break;
		if ((*depth)-- == 0)
			return refused(x, *at, 1, "there is no '(' for this ')'");
	}
	if (!s[*at])
		return 0;
	if ((s[*at] == '&' || s[*at] == '|') && s[*at + 1] == s[*at]) {
		*at += 2;
		return 0;
	}
	(void)refused(x, *at, 1, "'&&' or '||' is missing");
	if (s[*at] == '&' || s[*at] == '|')
		error_hint(&x->fault->error, "two of them: %c%c", s[*at], s[*at]);
	return -EINVAL;
}

static int check(struct filter *x)
{
	const char *s = x->text;
	size_t at = 0, depth = 0, terms = 0;
	int r = check_pairs(x);

	while (!r && s[at]) {
		if (isspace((unsigned char)s[at]) || s[at] == '(' ||
			(s[at] == '!' && s[at + 1] != '=' && s[at + 1] != '~')) {
			depth += s[at++] == '(';
			continue;
		}
		r = take_term(x, &at);
		terms++;
		if (!r)
			r = take_link(x, &at, &depth);
	}
	if (!r && terms == 0)
		return refused(x, 0, 0, "an empty filter: FIELD OP VALUE");
	if (!r && depth)
		return refused(x, at, 0, "')' is missing");
	return r;
}

const char *kfilter_split(const char *rule, size_t *ret_len)
{
	size_t n = strlen(rule);
	const char *filter = NULL;

	for (const char *at = rule; !filter && (at = strstr(at, "if")); at += 2) {
		if (at == rule || !isspace((unsigned char)at[-1]) ||
			(at[2] && !isspace((unsigned char)at[2])))
			continue;
		n = (size_t)(at - rule);
		filter = at + 2 + blanks(at + 2);
	}
	while (n && isspace((unsigned char)rule[n - 1]))
		n--;
	*ret_len = n;
	return filter;
}

int kfilter_check(struct dynevent_world *w, const struct kformat *f, const char *text, size_t len,
	struct dynevent_fault *fault)
{
	AUTO(free) char *copy = strndup(text, len);
	struct filter x = {.w = w, .f = f, .text = copy, .fault = fault};

	memset(fault, 0, sizeof(*fault));
	return copy ? check(&x) : error_set(&fault->error, -ENOMEM, "out of memory");
}

int kfilter_check_event(struct tracefs *t, const char *system, const char *event, const char *text,
	struct dynevent_fault *fault)
{
	AUTO(buf) struct buf b = {0};
	struct dynevent_world *w = NULL;
	struct kformat *f;
	int r;

	memset(fault, 0, sizeof(*fault));
	if (tracefs_format(t, system, event, &b, NULL) < 0 || !b.data ||
		kformat_parse(b.data, b.len, system, sizeof(long), &f, NULL) < 0)
		return 0;
	if (!t->fake && strstr(text, ".function"))
		w = dynevent_world_new(NULL, karch_native()); /* without: left to the kernel */
	r = kfilter_check(w, f, text, strlen(text), fault);
	dynevent_world_free(w);
	kformat_free(f);
	return r;
}
