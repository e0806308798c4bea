/* Boot configurations as text; see bootconfig.h. */
#include "kernel/bootconfig-impl.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>

static bool has_both_quotes(const char *text)
{
	return strchr(text, '\'') && strchr(text, '"');
}

/* Can stand without quotes: the only way for what has both kinds of them. */
static bool is_bare(const char *text)
{
	size_t n = strlen(text);

	return n && !strchr("'\"", text[0]) && !isspace((unsigned char)text[0]) &&
		!isspace((unsigned char)text[n - 1]) && !text[strcspn(text, ",;#}\n")];
}

int bootconfig_value(struct bootconfig *c, struct bootconfig_key *k, const char *text)
{
	if (has_both_quotes(text) && !is_bare(text))
		return -EINVAL;
	for (const char *s = text; *s; s++)
		if ((*s < ' ' || *s > '~') && !isspace((unsigned char)*s))
			return -EINVAL;
	return bootconfig_value_add(c, k, text, strlen(text), 0);
}

/* Letters, digits, - and _ need no quotes; all else has some, whether it must or not. */
static void write_value(struct buf *b, const char *text, bool always)
{
	char quote = strchr(text, '"') ? '\'' : '"';

	if ((!always && bootconfig_is_word(text)) || has_both_quotes(text)) {
		buf_str(b, text);
		return;
	}
	buf_char(b, quote);
	buf_str(b, text);
	buf_char(b, quote);
}

static void write_values(struct buf *b, const struct bootconfig_key *k, bool always)
{
	for (const struct bootconfig_value *v = k->values; v; v = v->next) {
		buf_str(b, v == k->values ? " = " : ", ");
		write_value(b, v->text, always);
	}
}

static void indent(struct buf *b, unsigned depth)
{
	while (depth--)
		buf_char(b, '\t');
}

/* Keys with one key below and no value of their own are joined by dots; deeper than the kernel's 16
 * braces nothing can be, for a key has at most 16 words. */
static void write_tree(struct buf *b, const struct bootconfig_key *k, unsigned depth)
{
	for (; k; k = k->next) {
		const struct bootconfig_key *at = k;

		indent(b, depth);
		buf_str(b, at->word);
		while (!at->values && at->first && !at->first->next) {
			at = at->first;
			buf_printf(b, ".%s", at->word);
		}
		if (at->values || !at->first) {
			write_values(b, at, false);
			buf_char(b, '\n');
		}
		if (!at->first)
			continue;
		if (at->values) { /* both: once more, for the keys below */
			indent(b, depth);
			for (const struct bootconfig_key *w = k;; w = w->first) {
				buf_printf(b, "%s%s", w == k ? "" : ".", w->word);
				if (w == at)
					break;
			}
		}
		buf_str(b, " {\n");
		write_tree(b, at->first, depth + 1);
		indent(b, depth);
		buf_str(b, "}\n");
	}
}

static void write_list(struct buf *b, const struct bootconfig_key *k)
{
	for (; k; k = k->next) {
		if (k->values || !k->first) {
			bootconfig_path(k, b);
			if (!k->values)
				buf_str(b, " = \"\"");
			write_values(b, k, true);
			buf_char(b, '\n');
		}
		write_list(b, k->first);
	}
}

/* The first value that nothing can hold: both kinds of quotes, and something that needs them. */
static const struct bootconfig_value *unwritable(const struct bootconfig_key *k)
{
	const struct bootconfig_value *v = NULL;

	for (; k && !v; k = k->next) {
		for (v = k->values; v && (!has_both_quotes(v->text) || is_bare(v->text));)
			v = v->next;
		if (!v)
			v = unwritable(k->first);
	}
	return v;
}

int bootconfig_write(
	struct bootconfig *c, enum bootconfig_form form, struct buf *ret, struct text_fault *fault)
{
	struct bootconfig again AUTO(bootconfig) = {0};
	size_t before = ret->len;
	int r;

	if (unwritable(c->first)) {
		*fault = (struct text_fault){.message = "a value has both kinds of quotes"};
		return -EINVAL;
	}
	if (form == BOOTCONFIG_TREE)
		write_tree(ret, c->first, 0);
	else
		write_list(ret, c->first);
	if (ret->err)
		return ret->err;
	r = bootconfig_parse(ret->data + before, ret->len - before, &again, fault);
	return r == -EINVAL ? -E2BIG : r;
}
