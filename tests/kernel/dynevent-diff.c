/* dynevent-diff TEXTS [N [SEED]]: probes judged by us and by the kernel that runs. TAP; needs root.
 *
 * Each text of the file is given to dynevent_parse() and, if it is in the kernel's own writing, as it
 * is to the kernel's dynamic_events, in a group of this process that is removed at once: both must
 * take it, or both refuse. What we make of a text the kernel must take. Then N texts at random: made of
 * these, and made by the grammar (dynevent-make.c). {exe} stands for this program, {group} for the group, {hex}, {dec} and
 * {oct} for where a function of it lies; "KIND: " begins a line as in
 * tests/unit/dynevent; a line that begins with "~" may be judged differently, and says so before "|".
 * Kinds of probes that this kernel lacks are passed over, and counted.
 */
#include "kernel/dynevent-make.h"
#include "kernel/dynevent.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct diff {
	struct dynevent_world *w;
	struct tracefs *top; /* owned */
	int fd; /* dynamic_events */
	char group[64], exe[256];
	unsigned long long offset; /* of dynevent_target() in the file */
	unsigned same, skipped, differ, taken;
	bool loud;
};

int dynevent_target(long number, const char *text);
__attribute__((noinline, used)) int dynevent_target(long number, const char *text)
{
	__asm__ volatile("");
	return (int)(number + text[0]);
}

/* 0 if the kernel takes the line; what it made is gone afterwards. */
static int kernel_takes(struct diff *d, const char *line)
{
	AUTO(buf) struct buf b = {0};
	struct error e;
	int r = 0;

	buf_printf(&b, "%s\n", line);
	if (write(d->fd, b.data, b.len) < 0)
		r = -errno;
	else if (line[0] == 's')
		(void)dynevent_remove(d->top, "synthetic", MAKER_SYNTH, &e);
	else
		(void)dynevent_remove_group(d->top, d->group, &e);
	return r;
}

static void differ(struct diff *d, const char *text, const char *what, const char *why)
{
	d->differ++;
	if (d->differ <= 60)
		printf("# differ: %s\n#   %s: %s\n", text, what, why);
}

/* What we refuse and the kernel takes, and the other way round: docs/decisions/031. */
static bool stated_refusal(const char *text, const char *why)
{
	static const char *const waits[] = {"no executable part", "neither a program",
		"is not loaded", "kernel has no tracepoint",
		"no code of the kernel at this address", "this says no kind of probe",
		"name of a function is missing", "there is already a field"};

	for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
		if (strstr(why, waits[i]))
			return true;
	/* behind ENDBR the function still begins: only the kernel knows */
	if (strstr(text, "+4") && strstr(why, "a return is probed at the function"))
		return true;
	/* a function by its number in ftrace's list */
	if (text[0] == 'f' && strstr(why, "kernel has no function '0x10'"))
		return true;
	/* a number whose size is, by chance, the id of char in the kernel's types */
	return strstr(why, "text lies in memory") &&
		(strstr(text, "$arg") || strstr(text, "$retval")) && text[0] != 'e';
}

static bool stated_help(const char *text)
{
	return strstr(text, "$arg") ||
		strstr(text, "(sk_buff)"); /* arguments of user functions; casts */
}

/* Judges one text. verbatim: the kernel is given the text itself, too. */
static void judge(
	struct diff *d, enum dynevent_kind kind, const char *text, bool verbatim, bool known)
{
	struct dynevent_fault fault;
	struct dynevent ours = {0};
	int r = dynevent_parse(d->w, kind, verbatim ? NULL : d->group, text, &ours, &fault), k;
	char why[300];

	if (r == -EOPNOTSUPP || (r == -EEXIST && verbatim)) {
		d->skipped++;
		return;
	}
	(void)snprintf(why, sizeof(why), "%s", r ? fault.error.message : ours.definition);
	if (verbatim) {
		k = kernel_takes(d, text);
		if ((k == 0) != (r == 0) && !known && k != -EILSEQ &&
			!(r && stated_refusal(text, why)) && !(r == 0 && stated_help(text)))
			differ(d, text, k == 0 ? "only the kernel takes it" : "only we take it",
				why);
		else
			d->same++;
	}
	if (r == 0) {
		k = kernel_takes(d, ours.definition);
		if (k && k != -EILSEQ) /* where instructions begin, only the kernel knows */
			differ(d, text, strerror(-k), why);
		else
			d->taken++;
		dynevent_done(&ours);
	}
}

/* {exe}, {group} and so on replaced. */
static void fill(const struct diff *d, const char *line, struct buf *out)
{
	char number[3][32];
	const struct {
		const char *name, *value;
	} words[] = {{"{exe}", d->exe}, {"{group}", d->group}, {"{hex}", number[0]},
		{"{dec}", number[1]}, {"{oct}", number[2]}};

	(void)snprintf(number[0], sizeof(number[0]), "%llx", d->offset);
	(void)snprintf(number[1], sizeof(number[1]), "%llu", d->offset);
	(void)snprintf(number[2], sizeof(number[2]), "%llo", d->offset);
	while (*line) {
		size_t i = 0;

		while (i < ARRAY_SIZE(words) &&
			strncmp(line, words[i].name, strlen(words[i].name)) != 0)
			i++;
		if (i == ARRAY_SIZE(words)) {
			buf_char(out, *line++);
			continue;
		}
		buf_str(out, words[i].value);
		line += strlen(words[i].name);
	}
}

/* Where dynevent_target() is in the file. */
static bool find_target(struct diff *d)
{
	struct dynevent_fault fault;
	struct dynevent place;
	char text[300];
	const char *at;

	(void)snprintf(text, sizeof(text), "%s:dynevent_target", d->exe);
	if (dynevent_parse(d->w, DYNEVENT_UPROBE, d->group, text, &place, &fault)) {
		printf("# %s: %s\n", text, fault.error.message);
		return false;
	}
	at = strstr(place.definition, ":0x");
	d->offset = at ? strtoull(at + 1, NULL, 16) : 0;
	dynevent_done(&place);
	return d->offset != 0;
}

static bool find_kind(const char *name, size_t n, enum dynevent_kind *ret)
{
	for (int k = 0; k < DYNEVENT_KINDS; k++) {
		const char *s = dynevent_kind_name((enum dynevent_kind)k);

		if (strlen(s) == n && memcmp(s, name, n) == 0) {
			*ret = (enum dynevent_kind)k;
			return true;
		}
	}
	return false;
}

struct texts {
	char **all;
	size_t n, cap;
};

static void judge_line(struct diff *d, const char *line, struct texts *verbatim)
{
	AUTO(buf) struct buf text = {0};
	bool known = line[0] == '~';
	const char *colon;
	enum dynevent_kind kind;

	if (known)
		line = strchr(line, '|')
			? strchr(line, '|') + 1 + strspn(strchr(line, '|') + 1, " ")
			: line + 1;
	colon = strstr(line, ": ");
	if (!colon || !find_kind(line, (size_t)(colon - line), &kind)) {
		printf("not ok - the line \"%s\" has no kind\n", line);
		exit(1);
	}
	fill(d, colon + 2, &text);
	judge(d, kind, text.data ? text.data : "", kind == DYNEVENT_ANY, known);
	if (kind == DYNEVENT_ANY && !known && text.data) {
		char **s = VEC_ADD(verbatim->all, verbatim->n, verbatim->cap);

		if (s)
			*s = strdup(text.data);
	}
}

/* ---- texts at random ---- */

static struct maker maker;

static unsigned below(unsigned n)
{
	return maker_below(&maker, n);
}

/* Changes a few letters behind the first word: that one says whose group it is. */
static void mutate(char *s, size_t size, const char *other)
{
	static const char letters[] = "+-:@$%()[]\\\"=0123x8ua/._ ";
	char *from = strchr(s, ' ');

	if (!from || strlen(s) + 40 > size)
		return;
	from++;
	for (unsigned i = 0; i <= below(3); i++) {
		size_t len = strlen(from), at = below((unsigned)len + 1);
		char c = letters[below(sizeof(letters) - 1)];

		switch (below(5)) {
		case 0:
			if (at < len)
				memmove(from + at, from + at + 1, len - at);
			break;
		case 1:
			if (at < len)
				from[at] = c;
			break;
		case 2: { /* an argument of another text */
			const char *word = strrchr(other, ' ');

			if (word && strlen(word) + strlen(s) + 4 < size)
				strcat(s, word);
			break;
		}
		default: memmove(from + at + 1, from + at, len - at + 1); from[at] = c;
		}
	}
}

/* What is judged differently on purpose; docs/decisions/031. */
static bool stated(const char *text)
{
	const char *at;

	/* Some kernels take anything that begins with $retval for it. */
	for (at = text; (at = strstr(at, "$retval")); at += 7) {
		if (at[7] && !strchr(" :)", at[7]))
			return true;
	}
	return strchr(text, '#') != NULL;
}

static void at_random(struct diff *d, const struct texts *t, unsigned n)
{
	char s[4096];

	maker.group = d->group;
	maker.exe = d->exe;
	maker.offset = d->offset;
	for (unsigned i = 0; i < n && t->n; i++) {
		if (below(3)) {
			AUTO(buf) struct buf made = {0};

			make_probe(&maker, &made);
			(void)snprintf(s, sizeof(s), "%s", made.data); /* cut: as good as another */
		} else {
			(void)snprintf(s, sizeof(s), "%s", t->all[below((unsigned)t->n)]);
		}
		if (below(3) == 0)
			mutate(s, sizeof(s), t->all[below((unsigned)t->n)]);
		judge(d, DYNEVENT_ANY, s, true, stated(s));
	}
}

int main(int argc, char **argv)
{
	struct diff d = {.fd = -1};
	struct texts verbatim = {0};
	AUTO(buf) struct buf file = {0};
	ssize_t n = readlink("/proc/self/exe", d.exe, sizeof(d.exe) - 1);
	struct error e;

	if (argc < 2 || n < 0 || read_file(argv[1], 1 << 20, &file))
		return 2;
	d.fd = open("/sys/kernel/tracing/dynamic_events", O_WRONLY | O_APPEND | O_CLOEXEC);
	if (d.fd < 0) {
		printf("ok 1 - probes # SKIP no tracefs to write to: %s\n1..1\n", strerror(errno));
		return 0;
	}
	(void)snprintf(d.group, sizeof(d.group), "cairn_test_%d", (int)getpid());
	d.w = dynevent_world_new(NULL, karch_native());
	if (tracefs_open(NULL, &d.top, &e) || !d.w || dynevent_target(1, "") != 1 ||
		!find_target(&d))
		return 2;
	for (char *save, *line = strtok_r(file.data, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		if (line[0] != '#')
			judge_line(&d, line, &verbatim);
	}
	maker.state = argc > 3 ? strtoull(argv[3], NULL, 0) : 88172645463325252ull;
	at_random(&d, &verbatim, argc > 2 ? (unsigned)atoi(argv[2]) : 0);
	(void)dynevent_remove_group(d.top, d.group, &e);
	printf("# %u judged alike, %u of ours taken, %u of kinds that this kernel lacks, %u different\n",
		d.same, d.taken, d.skipped, d.differ);
	printf("%s 1 - the kernel judges as we do\n1..1\n", d.differ ? "not ok" : "ok");
	dynevent_world_free(d.w);
	tracefs_free(d.top);
	for (size_t i = 0; i < verbatim.n; i++)
		free(verbatim.all[i]);
	free(verbatim.all);
	close(d.fd);
	return d.differ != 0;
}
