/* TSDL, words: tokens, comments, string escapes, error positions, and where a declaration ends. */
#include "ctf/tsdl-impl.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const keywords[] = {"align", "callsite", "const", "char", "clock", "double",
	"enum", "env", "event", "floating_point", "float", "integer", "int", "long", "short",
	"signed", "stream", "string", "struct", "trace", "typealias", "typedef", "unsigned",
	"variant", "void", "_Bool", "_Complex", "_Imaginary"};

static bool is_keyword(const char *s, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(keywords); i++)
		if (strlen(keywords[i]) == n && memcmp(keywords[i], s, n) == 0)
			return true;
	return false;
}

void tsdl_fail(struct tsdl *p, const struct tsdl_token *at, const char *fmt, ...)
{
	char text[sizeof(p->err->message)];
	va_list ap;

	if (!p->failed) {
		va_start(ap, fmt);
		(void)vsnprintf(text, sizeof(text), fmt, ap); /* cut if too long */
		va_end(ap);
		p->failed = error_set(p->err, -EINVAL, "%s", text);
		error_where(p->err, "%s:%u:%u", p->meta->name, at->line, at->column);
	}
	p->tok.kind = TSDL_END;
}

void tsdl_no_memory(struct tsdl *p)
{
	if (!p->failed)
		p->failed = error_set(p->err, -ENOMEM, "no memory for the metadata");
	p->tok.kind = TSDL_END;
}

void tsdl_expected(struct tsdl *p, const char *what)
{
	if (p->tok.kind == TSDL_END)
		tsdl_fail(p, &p->tok, "expected %s, found the end of the metadata", what);
	else
		tsdl_fail(p, &p->tok, "expected %s, found '%.*s'", what, (int)MIN(p->tok.len, 40),
			p->tok.start);
}

static void advance(struct tsdl *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (*p->at++ == '\n') {
			p->line++;
			p->column = 1;
		} else {
			p->column++;
		}
	}
}

/* Skips blanks and comments; false: a comment is not closed. */
static bool skip_blanks(struct tsdl *p)
{
	for (;;) {
		size_t left = (size_t)(p->end - p->at);
		size_t n = 0;

		if (left == 0)
			return true;
		if (isspace((unsigned char)*p->at)) {
			advance(p, 1);
			continue;
		}
		if (left < 2 || p->at[0] != '/' || (p->at[1] != '*' && p->at[1] != '/'))
			return true;
		if (p->at[1] == '/') {
			const char *nl = memchr(p->at, '\n', left);

			advance(p, nl ? (size_t)(nl - p->at) : left);
			continue;
		}
		for (n = 2; n + 1 < left; n++)
			if (p->at[n] == '*' && p->at[n + 1] == '/')
				break;
		if (n + 1 >= left) {
			advance(p, left);
			return false;
		}
		advance(p, n + 2);
	}
}

static size_t word_length(const char *s, const char *end)
{
	const char *c = s;

	while (c < end && (isalnum((unsigned char)*c) || *c == '_'))
		c++;
	return (size_t)(c - s);
}

/* The length of a literal with its quotes, 0 if it is not closed on its line. */
static size_t literal_length(const char *s, const char *end, char quote)
{
	for (const char *c = s + 1; c < end && *c != '\n'; c++) {
		if (*c == quote)
			return (size_t)(c - s) + 1;
		if (*c == '\\' && c + 1 < end)
			c++;
	}
	return 0;
}

static void lex_number(struct tsdl *p)
{
	struct tsdl_token *t = &p->tok;
	const char *c = t->start, *end = t->start + t->len;
	unsigned base = 10;

	if (t->len > 1 && c[0] == '0' && (c[1] == 'x' || c[1] == 'X')) {
		base = 16;
		c += 2;
	} else if (t->len > 1 && c[0] == '0' && (c[1] == 'b' || c[1] == 'B')) {
		base = 2;
		c += 2;
	} else if (t->len > 1 && c[0] == '0') {
		base = 8;
		c++;
	}
	const char *digits = c;

	for (; c < end; c++) {
		unsigned d = isdigit((unsigned char)*c) ? (unsigned)(*c - '0')
			: isxdigit((unsigned char)*c)	? (unsigned)(tolower(*c) - 'a' + 10)
							: 99;

		if (d >= base)
			break;
		if (__builtin_mul_overflow(t->number, base, &t->number) ||
			__builtin_add_overflow(t->number, d, &t->number)) {
			tsdl_fail(p, t, "the number '%.*s' does not fit 64 bits",
				(int)MIN(t->len, 40), t->start);
			return;
		}
	}
	bool none = c == digits && base != 8;

	while (c < end && strchr("uUlL", *c))
		c++;
	if (c != end || none)
		tsdl_fail(p, t, "'%.*s' is not a number", (int)MIN(t->len, 40), t->start);
}

static int punctuator(const char *s, size_t left, size_t *ret_len)
{
	*ret_len = 1;
	if (left >= 3 && memcmp(s, "...", 3) == 0)
		return (*ret_len = 3), TSDL_DOTS;
	if (left >= 2 && memcmp(s, ":=", 2) == 0)
		return (*ret_len = 2), TSDL_ASSIGN_TYPE;
	if (left >= 2 && memcmp(s, "->", 2) == 0)
		return (*ret_len = 2), TSDL_ARROW;
	return *s && strchr("[](){}.*+-<>:;=,", *s) ? (unsigned char)*s : -1;
}

void tsdl_next(struct tsdl *p)
{
	struct tsdl_token *t = &p->tok;
	bool closed;

	memset(t, 0, sizeof(*t));
	if (p->failed)
		return;
	closed = skip_blanks(p);
	t->line = p->line;
	t->column = p->column;
	t->start = p->at;
	if (!closed) {
		tsdl_fail(p, t, "a comment is not closed");
		return;
	}
	if (p->at == p->end)
		return;
	size_t left = (size_t)(p->end - p->at);
	bool wide = left > 1 && p->at[0] == 'L' && (p->at[1] == '"' || p->at[1] == '\'');
	char quote = wide ? p->at[1] : p->at[0];

	if (quote == '"' || quote == '\'') {
		size_t n = literal_length(p->at + wide, p->end, quote);

		if (n == 0) {
			tsdl_fail(p, t, "a string is not closed before the end of its line");
			return;
		}
		t->kind = TSDL_STRING;
		t->start += wide;
		t->len = n;
		advance(p, n + wide);
	} else if (isalpha((unsigned char)*p->at) || *p->at == '_') {
		t->kind = TSDL_WORD;
		t->len = word_length(p->at, p->end);
		t->is_keyword = is_keyword(p->at, t->len);
		advance(p, t->len);
	} else if (isdigit((unsigned char)*p->at)) {
		t->kind = TSDL_NUMBER;
		t->len = word_length(p->at, p->end);
		advance(p, t->len);
		lex_number(p);
	} else {
		t->kind = punctuator(p->at, left, &t->len);
		if (t->kind < 0)
			tsdl_fail(p, t, "a character that has no place here: 0x%02x",
				(unsigned char)*p->at);
		else
			advance(p, t->len);
	}
}

size_t tsdl_declaration(const struct tsdl *from, bool *ret_blank)
{
	struct tsdl p = *from;
	int depth = 0;

	*ret_blank = true;
	while (p.at < p.end) {
		size_t n = 1;

		if (!skip_blanks(&p))
			return 0;
		if (p.at == p.end)
			break;
		*ret_blank = false;
		if (*p.at == '"' || *p.at == '\'') {
			n = literal_length(p.at, p.end, *p.at);
			if (n == 0 && !memchr(p.at, '\n', (size_t)(p.end - p.at)))
				return 0;
			n = n ? n : 1;
		} else if (*p.at == '{') {
			depth++;
		} else if (*p.at == '}') {
			depth--;
		} else if (*p.at == ';' && depth <= 0) {
			return (size_t)(p.at - from->at) + 1;
		}
		p.at += n; /* lines do not matter here */
	}
	return *ret_blank ? (size_t)(from->end - from->at) : 0;
}

bool tsdl_is_word(const struct tsdl *p, const char *word)
{
	return p->tok.kind == TSDL_WORD && p->tok.len == strlen(word) &&
		memcmp(p->tok.start, word, p->tok.len) == 0;
}

bool tsdl_accept(struct tsdl *p, int kind)
{
	if (p->failed || p->tok.kind != kind)
		return false;
	tsdl_next(p);
	return true;
}

bool tsdl_accept_word(struct tsdl *p, const char *word)
{
	return tsdl_is_word(p, word) && tsdl_accept(p, TSDL_WORD);
}

void tsdl_expect(struct tsdl *p, int kind, const char *what)
{
	if (!tsdl_accept(p, kind) && !p->failed)
		tsdl_expected(p, what);
}

static size_t put_utf8(char *d, uint32_t c)
{
	if (c < 0x80) {
		d[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		d[0] = (char)(0xc0 | c >> 6);
		d[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		d[0] = (char)(0xe0 | c >> 12);
		d[1] = (char)(0x80 | (c >> 6 & 63));
		d[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	d[0] = (char)(0xf0 | (c >> 18 & 7));
	d[1] = (char)(0x80 | (c >> 12 & 63));
	d[2] = (char)(0x80 | (c >> 6 & 63));
	d[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* One escape at s (after the backslash); its length, *ret_n bytes put to d (never more than the
 * escape had). */
static size_t unescape(const char *s, size_t left, char *d, size_t *ret_n)
{
	static const char from[] = "abfnrtv", to[] = "\a\b\f\n\r\t\v";
	const char *simple = *s ? strchr(from, *s) : NULL;
	uint32_t v = 0;
	size_t i = 0;

	*ret_n = 1;
	if (simple) {
		*d = to[simple - from];
		return 1;
	}
	if (*s >= '0' && *s <= '7') {
		for (; i < 3 && i < left && s[i] >= '0' && s[i] <= '7'; i++)
			v = v * 8 + (uint32_t)(s[i] - '0');
		*d = (char)v;
		return i;
	}
	if (*s == 'x' || *s == 'u' || *s == 'U') {
		size_t max = *s == 'x' ? 2 : *s == 'u' ? 4 : 8;

		for (i = 1; i <= max && i < left && isxdigit((unsigned char)s[i]); i++)
			v = v * 16 +
				(uint32_t)(isdigit((unsigned char)s[i]) ? s[i] - '0'
									: tolower(s[i]) - 'a' + 10);
		if (*s == 'x')
			*d = (char)v;
		else if (i > max)
			*ret_n = put_utf8(d, v);
		else
			*d = '?';
		return i;
	}
	*d = *s;
	return 1;
}

char *tsdl_copy(struct tsdl *p, const struct tsdl_token *t)
{
	bool quoted = t->kind == TSDL_STRING;
	const char *s = t->start + quoted, *end = t->start + t->len - quoted;
	char *d, *out;

	if (!t->start || t->kind == TSDL_END)
		return arena_strndup(&p->meta->arena, "", 0);
	out = d = arena_alloc(&p->meta->arena, t->len + 1);
	if (!out) {
		tsdl_no_memory(p);
		return NULL;
	}
	while (s < end) {
		size_t n;

		if (!quoted || *s != '\\' || s + 1 >= end) {
			*d++ = *s++;
			continue;
		}
		s++;
		s += unescape(s, (size_t)(end - s), d, &n);
		d += n;
	}
	*d = '\0';
	return out;
}

bool tsdl_enter(struct tsdl *p)
{
	if (p->failed)
		return false;
	if (++p->depth > CTFR_MAX_DEPTH) {
		tsdl_fail(p, &p->tok, "declarations are nested deeper than %d", CTFR_MAX_DEPTH);
		return false;
	}
	return true;
}

void tsdl_leave(struct tsdl *p)
{
	p->depth--;
}
