/* Definitions of kprobes, taken apart for the forms in which they are given at boot; see boot.h. */
#include "kernel/boot.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct word {
	const char *at;
	size_t len;
};

static struct word next_word(const char **text)
{
	struct word w;

	*text += strspn(*text, " \t");
	w = (struct word){*text, strcspn(*text, " \t")};
	*text += w.len;
	return w;
}

static int fault_at(struct text_fault *f, const char *text, const char *at, const char *message)
{
	*f = (struct text_fault){(size_t)(at - text), message};
	return -EINVAL;
}

/* "p", "r", "r10", each alone or with ":[GROUP/]EVENT". */
static bool is_definition(struct word w)
{
	size_t i = 1;

	if (!w.len || (w.at[0] != 'p' && w.at[0] != 'r'))
		return false;
	while (i < w.len && w.at[0] == 'r' && isdigit((unsigned char)w.at[i]))
		i++;
	return i == w.len || w.at[i] == ':';
}

static bool is_name(struct word w)
{
	for (size_t i = 0; i < w.len; i++)
		if (!isalnum((unsigned char)w.at[i]) && w.at[i] != '_')
			return false;
	return w.len && !isdigit((unsigned char)w.at[0]);
}

/* The first word of a definition. */
static int take_head(struct arena *arena, const char *text, struct word w, struct boot_probe *ret,
	struct text_fault *fault)
{
	const char *colon = memchr(w.at, ':', w.len), *slash;
	struct word name;

	ret->is_return = w.at[0] == 'r';
	if (isdigit((unsigned char)w.at[1]))
		ret->maxactive = (unsigned)strtoul(w.at + 1, NULL, 10);
	if (!colon)
		return 0;
	name = (struct word){colon + 1, w.len - (size_t)(colon + 1 - w.at)};
	slash = name.len ? memchr(name.at, '/', name.len) : NULL;
	if (slash) {
		struct word group = {name.at, (size_t)(slash - name.at)};

		if (!is_name(group))
			return fault_at(fault, text, group.at, "no name for a group of events");
		ret->group = arena_strndup(arena, group.at, group.len);
		name = (struct word){slash + 1, name.len - group.len - 1};
		if (!ret->group)
			return -ENOMEM;
	}
	if (!name.len && slash)
		return 0; /* a name is made */
	if (!is_name(name))
		return fault_at(fault, text, name.at, "no name for an event");
	ret->event = arena_strndup(arena, name.at, name.len);
	return ret->event ? 0 : -ENOMEM;
}

/* "p_vfs_read_0" as the kernel does, or "vfs_read", "vfs_read__return" by names. */
static int make_name(struct arena *arena, struct word place, bool by_names, struct boot_probe *ret)
{
	AUTO(buf) struct buf b = {0};
	const char *colon = memchr(place.at, ':', place.len);

	if (by_names && colon) {
		place.len -= (size_t)(colon + 1 - place.at);
		place.at = colon + 1;
	}
	if (!by_names)
		buf_str(&b, ret->is_return ? "r_" : "p_");
	for (size_t i = 0; i < place.len; i++)
		buf_char(&b, isalnum((unsigned char)place.at[i]) ? place.at[i] : '_');
	if (!by_names && !memchr(place.at, '+', place.len))
		buf_str(&b, "_0");
	if (by_names && ret->is_return)
		buf_str(&b, "__return");
	if (b.err || !(ret->event = arena_strndup(arena, b.data, b.len)))
		return -ENOMEM;
	return 0;
}

int boot_probe_parse(struct arena *arena, const char *text, bool is_return, struct boot_probe *ret,
	struct text_fault *fault)
{
	static const char suffix[] = "%return";
	const char *rest = text;
	struct word place = next_word(&rest);
	bool by_names = !is_definition(place);
	int r = 0;

	*ret = (struct boot_probe){.is_return = is_return};
	if (!by_names) {
		r = take_head(arena, text, place, ret, fault);
		place = next_word(&rest);
	}
	if (r < 0)
		return r;
	if (!place.len)
		return fault_at(fault, text, place.at, "a function is missing here");
	if (place.len > strlen(suffix) &&
		memcmp(place.at + place.len - strlen(suffix), suffix, strlen(suffix)) == 0) {
		place.len -= strlen(suffix);
		ret->is_return = true;
	}
	if (isdigit((unsigned char)place.at[0])
			? place.at[0] != '0'
			: !isalpha((unsigned char)place.at[0]) && place.at[0] != '_')
		return fault_at(fault, text, place.at, "no function: [MODULE:]NAME[+OFFSET]");
	rest += strspn(rest, " \t");
	if (by_names && strstr(rest, "->"))
		return fault_at(fault, text, strstr(rest, "->"),
			"members of structures need the kernel's types");
	ret->place = arena_strndup(arena, place.at, place.len);
	ret->args = arena_strndup(arena, rest, strlen(rest));
	if (!ret->place || !ret->args)
		return -ENOMEM;
	return ret->event ? 0 : make_name(arena, place, by_names, ret);
}
