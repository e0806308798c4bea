/* Tests of src/kernel/dynevent*.c and btf*.c: texts of probes, good and bad, with what is made of them.
 *
 * dynevent/NAME.txt hold the texts: "KIND: TEXT" ("arm KIND: TEXT" for aarch64), then "= " and the
 * definition with "+ NAME TYPE" for each field, or "! " before each line of what the user is told.
 * CAIRN_UPDATE=1 writes the files anew: look at the difference. The kernel they are checked against is
 * the folder dynevent/world, with the types of made-btf.h. */
#include "kernel/dynevent.h"
#include "made-btf.h"
#include "test.h"
#include <dirent.h>
#include <errno.h>
#include <unistd.h>

static struct dynevent_world *made_world(enum karch arch)
{
	static const struct dynevent_paths paths = {.tracefs = DYNEVENT_DIR "/world",
		.kallsyms = DYNEVENT_DIR "/world/kallsyms",
		.blacklist = DYNEVENT_DIR "/world/blacklist",
		.btf = DYNEVENT_DIR "/world/no-btf"};
	struct dynevent_world *w = dynevent_world_new(&paths, arch);

	kbtf_set_vmlinux(dynevent_world_btf(w), made_btf());
	return w;
}

static enum dynevent_kind kind_named(const char *name, size_t n)
{
	for (int k = 0; k < DYNEVENT_KINDS; k++) {
		const char *s = dynevent_kind_name((enum dynevent_kind)k);

		if (strlen(s) == n && memcmp(s, name, n) == 0)
			return (enum dynevent_kind)k;
	}
	return DYNEVENT_KINDS;
}

/* What the files say after a text. */
static void answer(
	struct dynevent_world *w, enum dynevent_kind kind, const char *text, struct buf *out)
{
	AUTO(buf) struct buf why = {0};
	struct dynevent_fault fault;
	struct dynevent d;

	if (dynevent_parse(w, kind, NULL, text, &d, &fault) == 0) {
		buf_printf(out, "= %s\n", d.definition);
		for (size_t i = 0; i < d.len; i++)
			buf_printf(out, "+ %s %s\n", d.fields[i].name, d.fields[i].type);
		dynevent_done(&d);
		return;
	}
	dynevent_print_fault(&why, text, &fault);
	for (char *save, *line = strtok_r(why.data, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save))
		buf_printf(out, "! %s\n", line);
}

struct worlds {
	struct dynevent_world *x86, *arm;
};

static void run_case(const struct worlds *w, const char *line, struct buf *out)
{
	bool arm = strncmp(line, "arm ", 4) == 0;
	const char *colon = strstr(line, ": "), *name = line + (arm ? 4 : 0);
	enum dynevent_kind kind = colon ? kind_named(name, (size_t)(colon - name)) : DYNEVENT_KINDS;

	CHECK(kind != DYNEVENT_KINDS);
	if (kind != DYNEVENT_KINDS)
		answer(arm ? w->arm : w->x86, kind, colon + 2, out);
}

/* All of a file again: comments, empty lines and texts as they are, answers as they come now. */
static void run_file(const struct worlds *w, const char *path)
{
	AUTO(buf) struct buf text = {0};
	AUTO(buf) struct buf now = {0};
	AUTO(buf) struct buf copy = {0};
	bool update = getenv("CAIRN_UPDATE") != NULL;
	int cases = 0;

	CHECK_INT(read_file(path, 1 << 20, &text), 0);
	buf_add(&copy, text.data, text.len);
	for (char *line = copy.data, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (line[0] == '=' || line[0] == '+' || line[0] == '!')
			continue;
		buf_printf(&now, "%s\n", line);
		if (line[0] && line[0] != '#') {
			run_case(w, line, &now);
			cases++;
		}
	}
	CHECK(cases > 0);
	if (strcmp(now.data, text.data) == 0)
		return;
	if (update) {
		FILE *f = fopen(path, "we");

		CHECK(f && fwrite(now.data, 1, now.len, f) == now.len && fclose(f) == 0);
		return;
	}
	for (size_t i = 0, line = 1; i <= now.len; i++) {
		if (now.data[i] != text.data[i]) {
			size_t from = i;

			while (from && now.data[from - 1] != '\n')
				from--;
			printf("# %s:%zu: now \"%.*s\"\n", path, line,
				(int)strcspn(now.data + from, "\n"), now.data + from);
			break;
		}
		line += now.data[i] == '\n';
	}
	CHECK(!"the answers are those of the file");
}

TEST(texts)
{
	struct worlds w = {made_world(KARCH_X86_64), made_world(KARCH_AARCH64)};
	DIR *d = opendir(DYNEVENT_DIR);
	struct dirent *entry;

	CHECK(d != NULL);
	while (d && (entry = readdir(d))) {
		char path[512];

		if (!strstr(entry->d_name, ".txt"))
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", DYNEVENT_DIR, entry->d_name);
		run_file(&w, path);
	}
	closedir(d);
	dynevent_world_free(w.x86);
	dynevent_world_free(w.arm);
}

/* The function that uprobes of these tests are on. */
int dynevent_probed(long number, const char *text, unsigned char small);
__attribute__((noinline, used)) int dynevent_probed(
	long number, const char *text, unsigned char small)
{
	__asm__ volatile("");
	return (int)(number + text[0] + small);
}

/* Where an address of this program is in its file, by /proc/self/maps. */
static uint64_t offset_of(const void *p)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long from, to, offset;
	uint64_t found = 0;
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %*s %lx", &from, &to, &offset) == 3 &&
			(unsigned long)p >= from && (unsigned long)p < to)
			found = (unsigned long)p - from + offset;
	}
	if (f)
		fclose(f);
	return found;
}

static int uprobe(
	struct dynevent_world *w, const char *fmt, struct dynevent *d, struct dynevent_fault *fault)
{
	char path[256], text[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[n < 0 ? 0 : n] = '\0';
	(void)snprintf(text, sizeof(text), "%s:%s", path, fmt);
	return dynevent_parse(w, DYNEVENT_UPROBE, "mine", text, d, fault);
}

TEST(a_function_of_a_program)
{
	struct dynevent_world *w = made_world(karch_native());
	struct dynevent_fault fault = {0};
	struct dynevent d = {0};
	char want[64];

	CHECK_INT(dynevent_probed(1, "a", 2), 'a' + 3);
	CHECK_INT(uprobe(w, "dynevent_probed $arg1 s=+0($arg2):string", &d, &fault), 0);
	CHECK_STR(fault.error.message, "");
	(void)snprintf(
		want, sizeof(want), ":0x%08llx ", (unsigned long long)offset_of(dynevent_probed));
	CHECK(d.definition && strstr(d.definition, want));
	CHECK(d.definition && strncmp(d.definition, "p:mine/dynevent_probed /", 24) == 0);
#ifdef __x86_64__
	CHECK(d.definition && strstr(d.definition, " arg1=%di s=+0(%si):string"));
#endif
	dynevent_done(&d);
	CHECK_INT(uprobe(w, "dynevent_probed%return $retval:s32", &d, &fault), 0);
	CHECK(d.definition && strncmp(d.definition, "r:mine/dynevent_probed__return /", 32) == 0);
	dynevent_done(&d);
	CHECK_INT(uprobe(w, "dynevent_prob", &d, &fault), -ENOENT);
	CHECK_STR(fault.error.hint, "did you mean 'dynevent_probed'?");
	CHECK_INT(uprobe(w, "dynevent_probed+0x100000", &d, &fault), -EINVAL);
	CHECK_INT(uprobe(w, "dynevent_probed%return $arg1", &d, &fault), -EINVAL);
	CHECK_INT(uprobe(w, "0x0", &d, &fault), -EINVAL);
	CHECK_INT(uprobe(w, "0x7fffffff", &d, &fault), -EINVAL);
	CHECK_INT(uprobe(w, "", &d, &fault), -EINVAL);
	dynevent_world_free(w);
}

TEST(arguments_by_debug_information)
{
	struct dynevent_world *w = made_world(karch_native());
	struct dynevent_fault fault;
	struct dynevent d = {0};
	int r = uprobe(w, "dynevent_probed number text small", &d, &fault);

	dynevent_world_free(w);
	if (r && strstr(fault.error.message, "no debug information"))
		SKIP("built without debug information");
	CHECK_INT(r, 0);
	CHECK_STR(fault.error.message, "");
#ifdef __x86_64__
	CHECK(d.definition &&
		strstr(d.definition, " number=%di:s64 text=+0(%si):string small=%dx:u8"));
#endif
	dynevent_done(&d);
}

TEST(unknown_arguments_are_refused_by_name)
{
	struct dynevent_world *w = made_world(karch_native());
	struct dynevent_fault fault;
	struct dynevent d = {0};
	int r = uprobe(w, "dynevent_probed numbers", &d, &fault);

	dynevent_world_free(w);
	if (strstr(fault.error.message, "no debug information"))
		SKIP("built without debug information");
	CHECK_INT(r, -EINVAL);
	CHECK_STR(fault.error.hint, "did you mean 'number'?");
}

/* The kernel of this machine has types for what is asked; which offsets, is its business. */
TEST(types_of_this_kernel)
{
	struct dynevent_world *w = dynevent_world_new(NULL, karch_native());
	struct kbtf_fault fault = {0};
	struct kbtf_func f;
	struct kbtf_way way;
	struct error e;
	uint32_t type;
	int r = kbtf_find_func(dynevent_world_btf(w), NULL, "vfs_read", &f, &e);

	if (r == 0) {
		CHECK_INT(f.len, 4);
		CHECK_STR(kbtf_param(&f, 0, &type), "file");
		CHECK_INT(kbtf_walk(f.btf, type, false, "->f_path.dentry->d_name.name", 28, &way,
				  &fault),
			0);
		CHECK_INT(way.n, 2);
		CHECK_INT(way.value.kind, KVALUE_STRING_POINTER);
	}
	dynevent_world_free(w);
	if (r)
		SKIP("this kernel has no types to read (CONFIG_DEBUG_INFO_BTF)");
}

TEST_MAIN()
