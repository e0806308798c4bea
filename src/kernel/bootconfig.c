/* The parser of boot configurations, and the tree; see bootconfig.h. */
#include "kernel/bootconfig-impl.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>

struct parser {
	const char *text; /* borrowed; not terminated */
	size_t len;
	struct bootconfig *c;
	struct text_fault *fault;
	struct bootconfig_key *open[BOOTCONFIG_DEPTH_MAX]; /* keys whose brace is open */
	unsigned depth;
};

static bool is_space(char ch)
{
	return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

static bool is_print(char ch)
{
	return ch >= ' ' && ch <= '~';
}

static bool ends_value(char ch)
{
	return ch == ',' || ch == ';' || ch == '\n' || ch == '#' || ch == '}';
}

static int fault(struct parser *p, size_t at, const char *message)
{
	p->fault->at = at;
	p->fault->message = message;
	return -EINVAL;
}

/* ---- the tree ---- */

bool bootconfig_is_word(const char *word)
{
	if (!*word)
		return false;
	for (; *word; word++)
		if (!isalnum((unsigned char)*word) && *word != '-' && *word != '_')
			return false;
	return true;
}

static struct bootconfig_key *key_below(const struct bootconfig *c,
	const struct bootconfig_key *under, const char *word, size_t len)
{
	struct bootconfig_key *k = under ? under->first : c->first;

	while (k && (strlen(k->word) != len || memcmp(k->word, word, len) != 0))
		k = k->next;
	return k;
}

static struct bootconfig_key *key_new(
	struct bootconfig *c, struct bootconfig_key *under, const char *word, size_t len, size_t at)
{
	struct bootconfig_key *k = arena_alloc(&c->arena, sizeof(*k));
	struct bootconfig_key **first = under ? &under->first : &c->first;
	struct bootconfig_key **last = under ? &under->last : &c->last;

	if (!k || !(k->word = arena_strndup(&c->arena, word, len)))
		return NULL;
	k->parent = under;
	k->at = at;
	if (*last)
		(*last)->next = k;
	else
		*first = k;
	*last = k;
	c->nodes++;
	return k;
}

int bootconfig_value_add(
	struct bootconfig *c, struct bootconfig_key *k, const char *text, size_t len, size_t at)
{
	struct bootconfig_value *v = arena_alloc(&c->arena, sizeof(*v));

	if (!v || !(v->text = arena_strndup(&c->arena, text, len)))
		return -ENOMEM;
	v->at = at;
	if (k->last_value)
		k->last_value->next = v;
	else
		k->values = v;
	k->last_value = v;
	c->nodes++;
	return 0;
}

struct bootconfig_key *bootconfig_key(
	struct bootconfig *c, struct bootconfig_key *under, const char *word)
{
	struct bootconfig_key *k = key_below(c, under, word, strlen(word));

	if (k || !bootconfig_is_word(word))
		return k;
	return key_new(c, under, word, strlen(word), 0);
}

struct bootconfig_key *bootconfig_find(
	const struct bootconfig *c, const struct bootconfig_key *under, const char *path)
{
	for (;;) {
		size_t len = strcspn(path, ".");
		struct bootconfig_key *k = key_below(c, under, path, len);

		if (!k || !path[len])
			return k;
		path += len + 1;
		under = k;
	}
}

void bootconfig_path(const struct bootconfig_key *k, struct buf *ret)
{
	if (k->parent) {
		bootconfig_path(k->parent, ret);
		buf_char(ret, '.');
	}
	buf_str(ret, k->word);
}

void bootconfig_done(struct bootconfig *c)
{
	arena_done(&c->arena);
	*c = (struct bootconfig){0};
}

void auto_bootconfig(struct bootconfig *c)
{
	bootconfig_done(c);
}

/* ---- text to tree ---- */

static size_t skip_spaces(const struct parser *p, size_t at)
{
	while (at < p->len && is_space(p->text[at]))
		at++;
	return at;
}

static size_t skip_line(const struct parser *p, size_t at)
{
	const char *nl = at < p->len ? memchr(p->text + at, '\n', p->len - at) : NULL;

	return nl ? (size_t)(nl - p->text) + 1 : p->len;
}

/* The end of [begin, end) without the spaces there. */
static size_t cut_spaces(const struct parser *p, size_t begin, size_t end)
{
	while (end > begin && is_space(p->text[end - 1]))
		end--;
	return end;
}

static int add_value(struct parser *p, struct bootconfig_key *k, size_t begin, size_t end)
{
	if (p->c->nodes >= BOOTCONFIG_NODES_MAX)
		return fault(p, begin, "more than 8192 words and values");
	return bootconfig_value_add(p->c, k, p->text + begin, end - begin, begin);
}

/* The key that the dotted words in [begin, end) name below *k; *k becomes it. */
static int parse_path(struct parser *p, size_t begin, size_t end, struct bootconfig_key **k)
{
	begin = skip_spaces(p, begin);
	end = cut_spaces(p, MIN(begin, end), end);
	for (;; begin++) {
		size_t word = begin;
		struct bootconfig_key *below;

		while (begin < end && p->text[begin] != '.')
			begin++;
		if (begin == word)
			return fault(p, word, "a key is missing here");
		for (size_t i = word; i < begin; i++)
			if (!isalnum((unsigned char)p->text[i]) && p->text[i] != '-' &&
				p->text[i] != '_')
				return fault(p, word,
					"no key: words of letters, digits, - and _, joined by dots");
		below = key_below(p->c, *k, p->text + word, begin - word);
		if (!below && p->c->nodes >= BOOTCONFIG_NODES_MAX)
			return fault(p, word, "more than 8192 words and values");
		if (!below && !(below = key_new(p->c, *k, p->text + word, begin - word, word)))
			return -ENOMEM;
		*k = below;
		if (begin == end)
			return 0;
	}
}

/* A value in quotes from *at, behind the opening one. *ret_end: its end. *at: its delimiter. */
static int parse_quoted(struct parser *p, char quote, size_t *at, size_t *ret_end)
{
	size_t i = *at;

	for (; i < p->len && p->text[i] != quote; i++)
		if (!is_print(p->text[i]) && !is_space(p->text[i]))
			return fault(p, i, "not printable ASCII");
	if (i == p->len)
		return fault(p, i, "the quotes are not closed");
	*ret_end = i++;
	while (i < p->len && is_space(p->text[i]) && p->text[i] != '\n')
		i++;
	if (i < p->len && !ends_value(p->text[i]))
		return fault(p, i, "after the quotes: one of , ; } # or the end of the line");
	*at = i;
	return 0;
}

/* One value from *at: [*ret_begin, *ret_end); *at moves behind what ended it, which is returned ('\0':
 * the end of the text; a comment counts as a newline). */
static int parse_value(struct parser *p, size_t *at, size_t *ret_begin, size_t *ret_end)
{
	size_t i = skip_spaces(p, *at), begin;
	int r;
	char ch;

	while (i < p->len && p->text[i] == '#')
		i = skip_spaces(p, skip_line(p, i));
	begin = i;
	if (i < p->len && (p->text[i] == '"' || p->text[i] == '\'')) {
		*ret_begin = ++i;
		r = parse_quoted(p, p->text[begin], &i, ret_end);
		if (r < 0)
			return r;
	} else {
		for (; i < p->len && !ends_value(p->text[i]); i++)
			if (!is_print(p->text[i]) && !is_space(p->text[i]))
				return fault(p, i, "not printable ASCII");
		*ret_begin = begin;
		/* Spaces before the very end of the text stay, as the kernel has it. */
		*ret_end = i < p->len ? cut_spaces(p, begin, i) : i;
	}
	ch = i < p->len ? p->text[i] : '\0';
	*at = ch == '#' ? skip_line(p, i) : ch ? i + 1 : i;
	return ch == '#' ? '\n' : ch;
}

static int close_brace(struct parser *p, size_t at)
{
	if (p->depth == 0)
		return fault(p, at, "a closing brace, and none is open");
	p->depth--;
	return 0;
}

static struct bootconfig_key *here(const struct parser *p)
{
	return p->depth ? p->open[p->depth - 1] : NULL;
}

/* "key OP values": key in [begin, end), values from *at on. */
static int parse_assignment(struct parser *p, size_t begin, size_t end, char op, size_t *at)
{
	struct bootconfig_key *k = here(p);
	size_t from, to;
	int r = parse_path(p, begin, end, &k), delimiter;

	if (r < 0)
		return r;
	delimiter = parse_value(p, at, &from, &to);
	if (delimiter < 0)
		return delimiter;
	if (k->values && op == '=')
		return fault(
			p, from, "this key has a value already: `:=` replaces, `+=` appends to it");
	if (k->values && op == ':') {
		k->values = k->last_value = NULL;
		p->c->nodes--; /* the first one is overwritten, the others are still counted */
	}
	r = add_value(p, k, from, to);
	while (r == 0 && delimiter == ',') {
		delimiter = parse_value(p, at, &from, &to);
		r = delimiter < 0 ? delimiter : add_value(p, k, from, to);
	}
	if (r == 0 && delimiter == '}')
		r = close_brace(p, *at - 1);
	return r;
}

static int parse_key_only(struct parser *p, size_t begin, size_t end)
{
	struct bootconfig_key *k = here(p);

	begin = skip_spaces(p, begin);
	return begin < end ? parse_path(p, begin, end, &k) : 0;
}

/* What begins at *at, up to and with what ends it. */
static int parse_item(struct parser *p, size_t *at)
{
	struct bootconfig_key *k = here(p);
	size_t begin = *at, i = begin;
	int r;

	while (i < p->len && !strchr("{}=+;:\n#", p->text[i]))
		i++;
	if (i == p->len) {
		*at = i;
		begin = skip_spaces(p, begin);
		return begin < i
			? fault(p, begin, "the last key needs a newline, a semicolon or a value")
			: 0;
	}
	*at = i + 1;
	switch (p->text[i]) {
	case '+':
	case ':':
		if (*at >= p->len || p->text[*at] != '=')
			return fault(p, i,
				p->text[i] == '+' ? "a + that is no +=" : "a : that is no :=");
		(*at)++;
		return parse_assignment(p, begin, i, p->text[i], at);
	case '=': return parse_assignment(p, begin, i, '=', at);
	case '{':
		r = parse_path(p, begin, i, &k);
		if (r == 0 && p->depth == BOOTCONFIG_DEPTH_MAX)
			r = fault(p, i, "more than 16 open braces");
		if (r == 0)
			p->open[p->depth++] = k;
		return r;
	case '}': r = parse_key_only(p, begin, i); return r < 0 ? r : close_brace(p, i);
	case '#': *at = skip_line(p, i); break;
	default: break;
	}
	return parse_key_only(p, begin, i);
}

/* Length and depth of whole keys. */
static int check_keys(struct parser *p, const struct bootconfig_key *k, size_t len, unsigned words)
{
	for (; k; k = k->next) {
		size_t all = len + strlen(k->word) + 1;
		int r;

		if (all > BOOTCONFIG_KEY_MAX)
			return fault(p, k->at, "a key of more than 256 bytes");
		if (words + 1 > BOOTCONFIG_DEPTH_MAX)
			return fault(p, k->at, "a key of more than 16 words");
		r = check_keys(p, k->first, all, words + 1);
		if (r < 0)
			return r;
	}
	return 0;
}

int bootconfig_parse(const char *text, size_t len, struct bootconfig *ret, struct text_fault *why)
{
	struct parser p = {.text = text, .len = len, .c = ret, .fault = why};
	const char *nul = len ? memchr(text, '\0', len) : NULL;
	int r = 0;

	*ret = (struct bootconfig){0};
	*why = (struct text_fault){0};
	if (nul)
		return fault(&p, (size_t)(nul - text), "a NUL byte: the kernel reads no further");
	if (len > BOOTCONFIG_SIZE_MAX)
		return fault(&p, BOOTCONFIG_SIZE_MAX, "more than 32766 bytes");
	for (size_t at = 0; r == 0 && at < len;)
		r = parse_item(&p, &at);
	if (r == 0 && p.depth)
		r = fault(&p, here(&p)->at, "the brace after this key is not closed");
	if (r == 0 && !ret->first)
		r = fault(&p, 0, "there is no key in it");
	return r < 0 ? r : check_keys(&p, ret->first, 0, 0);
}

void text_place(const char *text, size_t len, size_t at, unsigned *ret_line, unsigned *ret_column,
	size_t *ret_begin, size_t *ret_end)
{
	size_t begin = 0, end;
	unsigned line = 1;

	at = MIN(at, len);
	for (size_t i = 0; i < at; i++)
		if (text[i] == '\n') {
			line++;
			begin = i + 1;
		}
	for (end = at; end < len && text[end] != '\n';)
		end++;
	*ret_line = line;
	*ret_column = (unsigned)(at - begin) + 1;
	*ret_begin = begin;
	*ret_end = end;
}
